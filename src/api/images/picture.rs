//! A picture made fit for a hall: decoded from whatever a camera or a designer made, turned upright, made small, and written anew.
//!
//! Of the file that came in nothing is kept but its colours: no place where a photo was taken, no camera, no thumbnail of what was cut away, and
//! nothing that is only dressed up as a picture. Writing anew was chosen over cutting metadata out, since every format hides it in other places. It
//! bounds what thousands of phones load besides. Size and kind are checked before a decoder may allocate for them, because a few bytes can claim any
//! size; the shrinking averages straight from the decoder's buffer, so that a large photo is in memory once. Blocks for up to seconds and takes up to
//! some 150 MB: never on a worker, and one at a time.

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageDecoder, ImageEncoder, ImageError, Limits, Pixel, Primitive, Rgba,
    RgbaImage,
};
use std::io::Cursor;

/// The most pixels that are decoded: the photo of a phone at its usual 12 megapixels, and what fits the box beside a hall.
pub const PIXELS_MAX: u64 = 12_500_000;
/// The longest side that is decoded.
pub const SIDE_MAX: u32 = 16_384;
/// The longest side that is kept, in pixels: as sharp as a projector shows it.
const KEPT_SIDE_MAX: u32 = 1_600;
/// The most bytes that are kept, whatever they cost in sharpness: every phone of a hall loads them.
const KEPT_BYTES_MAX: usize = 2 << 20;
/// What a decoder may allocate beside the picture itself.
const SCRATCH_BYTES_MAX: u64 = 16 << 20;
/// Of 100: where one begins to see a difference only when one looks for it.
const JPEG_QUALITY: u8 = 85;

/// A picture's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Png,
    Jpeg,
    Gif,
    Webp,
}

/// A picture as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub format: Format,
    pub bytes: Vec<u8>,
    /// In pixels.
    pub width: u32,
    pub height: u32,
}

/// Why a file is no picture for us. Each reads on after the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("must be a PNG, JPEG, GIF or WebP image")]
    NoPicture,
    #[error("is {width} x {height} pixels; at most 12.5 megapixels, and {SIDE_MAX} pixels a side, are taken")]
    TooLarge { width: u32, height: u32 },
    #[error("is of a kind that cannot be read; save it as a plain JPEG or PNG")]
    Unknown,
    #[error("is a broken image")]
    Broken,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Png, Format::Jpeg, Format::Gif, Format::Webp];

    /// Its extension and its media type.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Format::Png => ("png", "image/png"),
            Format::Jpeg => ("jpg", "image/jpeg"),
            Format::Gif => ("gif", "image/gif"),
            Format::Webp => ("webp", "image/webp"),
        }
    }

    /// The format by the first bytes of a file.
    fn sniff(file: &[u8]) -> Option<Self> {
        match file {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::Webp),
            _ => None,
        }
    }
}

/// Makes a picture of a file: upright, at most 1600 pixels and 2 MiB, without metadata; of an animation the first frame. Transparent pictures become
/// PNG or lossless WebP, whichever is smaller, others JPEG. The same file always makes the same bytes.
///
/// # Errors
/// When the file is no picture, or one that is broken or too large.
pub fn remake(file: &[u8]) -> Result<Picture, Unfit> {
    let format = Format::sniff(file).ok_or(Unfit::NoPicture)?;
    written(decode(format, file)?, KEPT_BYTES_MAX)
}

/// The picture, smaller and smaller until it has at most so many bytes.
fn written(mut image: RgbaImage, bytes_max: usize) -> Result<Picture, Unfit> {
    loop {
        let picture = encode(&image)?;
        if picture.bytes.len() <= bytes_max {
            return Ok(picture);
        }
        let (width, height) = fitted(image.width(), image.height(), image.width().max(image.height()) / 4 * 3);
        image = average(&image, width, height);
    }
}

fn decode(format: Format, file: &[u8]) -> Result<RgbaImage, Unfit> {
    let mut decoder = open(format, file)?;
    let (width, height) = decoder.dimensions();
    refuse_large(width, height)?;
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(width), Some(height));
    // A frame of a GIF may be larger than the picture; nothing else is held to this one.
    limits.max_alloc = Some(PIXELS_MAX * 4);
    decoder.set_limits(limits).map_err(unfit)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let whole = DynamicImage::from_decoder(decoder).map_err(unfit)?;
    let mut small = DynamicImage::ImageRgba8(shrunk(&whole));
    // Before the turn, which takes a second copy.
    drop(whole);
    small.apply_orientation(orientation);
    Ok(small.into_rgba8())
}

/// A decoder that has read the head of the file, and has allocated nothing for the picture yet.
fn open(format: Format, file: &[u8]) -> Result<Box<dyn ImageDecoder + '_>, Unfit> {
    let bytes = Cursor::new(file);
    let mut scratch = Limits::no_limits();
    scratch.max_alloc = Some(SCRATCH_BYTES_MAX);
    Ok(match format {
        Format::Png => Box::new(PngDecoder::with_limits(bytes, scratch).map_err(unfit)?),
        Format::Jpeg if !is_whole(file) => return Err(Unfit::Broken),
        Format::Jpeg => Box::new(JpegDecoder::new(bytes).map_err(unfit)?),
        Format::Gif => Box::new(GifDecoder::new(bytes).map_err(unfit)?),
        Format::Webp => {
            refuse_large_frames(file)?;
            Box::new(WebPDecoder::new(bytes).map_err(unfit)?)
        }
    })
}

fn refuse_large(width: u32, height: u32) -> Result<(), Unfit> {
    match u64::from(width) * u64::from(height) {
        0 => Err(Unfit::Broken),
        pixels if pixels > PIXELS_MAX || width.max(height) > SIDE_MAX => Err(Unfit::TooLarge { width, height }),
        _ => Ok(()),
    }
}

/// Whether a JPEG ends: the decoder would paint what is missing of it grey. Where its pixels begin no marker but the last is 0xffd9; before, a
/// thumbnail may have an end of its own.
fn is_whole(file: &[u8]) -> bool {
    let mut rest = &file[2..];
    while let [0xff, marker, high, low, ..] = *rest {
        // 0xff may be repeated before a marker.
        let length = if marker == 0xff { 1 } else { usize::from(u16::from_be_bytes([high, low])) + 2 };
        rest = rest.get(length..).unwrap_or_default();
        if marker == 0xda {
            return rest.windows(2).any(|two| two == [0xff, 0xd9]);
        }
    }
    // Odd, but perhaps not cut off: the decoder shall see.
    !rest.is_empty()
}

/// A lossy frame of a WebP tells its size again, and the decoder allocates by that before it compares. Looked for everywhere rather than where chunks
/// should be, so that nobody can hide one; that other bytes look like one by chance, and a large one, does not happen.
fn refuse_large_frames(file: &[u8]) -> Result<(), Unfit> {
    let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    file.windows(18)
        .filter(|chunk| chunk.starts_with(b"VP8 ") && chunk[11..14] == [0x9d, 0x01, 0x2a])
        .try_for_each(|chunk| refuse_large(side(chunk[14], chunk[15]), side(chunk[16], chunk[17])))
}

fn unfit(error: ImageError) -> Unfit {
    match error {
        ImageError::Unsupported(_) | ImageError::Limits(_) => Unfit::Unknown,
        _ => Unfit::Broken,
    }
}

/// The size of a picture within a square, its shape kept; never larger than it is.
fn fitted(width: u32, height: u32, side_max: u32) -> (u32, u32) {
    let long = width.max(height);
    let scaled = |side: u32| (u64::from(side) * u64::from(side_max) + u64::from(long) / 2) / u64::from(long);
    // At most `side_max`, since no side is longer than the long one.
    let kept = |side: u32| if long <= side_max { side } else { u32::try_from(scaled(side)).unwrap_or(side_max).max(1) };
    (kept(width), kept(height))
}

/// The picture at the size it is kept, whatever its samples are.
fn shrunk(image: &DynamicImage) -> RgbaImage {
    let (width, height) = fitted(image.width(), image.height(), KEPT_SIDE_MAX);
    match image {
        DynamicImage::ImageLuma8(image) => average(image, width, height),
        DynamicImage::ImageLumaA8(image) => average(image, width, height),
        DynamicImage::ImageRgb8(image) => average(image, width, height),
        DynamicImage::ImageRgba8(image) => average(image, width, height),
        DynamicImage::ImageLuma16(image) => average(image, width, height),
        DynamicImage::ImageLumaA16(image) => average(image, width, height),
        DynamicImage::ImageRgb16(image) => average(image, width, height),
        DynamicImage::ImageRgba16(image) => average(image, width, height),
        // No decoder of ours makes another.
        other => average(&other.to_rgba8(), width, height),
    }
}

/// The pixels that one pixel of the result averages: the first, and the share of each. The shares add up to 1.
struct Span {
    first: usize,
    shares: Vec<f32>,
}

/// How `target` pixels in a row share out `source` of them.
fn spans(source: u32, target: u32) -> Vec<Span> {
    let (source, target) = (u64::from(source), u64::from(target));
    let span = |index: u64| {
        // In units of a pixel's `target`th part.
        let (from, to) = (index * source, (index + 1) * source);
        let pixels = from / target..to.div_ceil(target);
        let share = |pixel: u64| ((pixel + 1) * target).min(to) - (pixel * target).max(from);
        Span { first: pixels.start as usize, shares: pixels.map(|pixel| share(pixel) as f32 / source as f32).collect() }
    };
    (0..target).map(span).collect()
}

/// The picture at a size no larger than its own, each pixel the average of those it covers. A pixel counts by its opacity, or what nobody sees would
/// colour the edges.
fn average<P>(image: &ImageBuffer<P, Vec<P::Subpixel>>, width: u32, height: u32) -> RgbaImage
where
    P: Pixel,
    P::Subpixel: Into<f32>,
{
    let (columns, rows) = (spans(image.width(), width), spans(image.height(), height));
    let channels = usize::from(P::CHANNEL_COUNT);
    let line = image.width() as usize * channels;
    let scale = 255.0 / P::Subpixel::DEFAULT_MAX_VALUE.into();
    let mut sums = vec![[0.0; 4]; columns.len()];
    let mut small = RgbaImage::new(width, height);
    for (pixels, span) in small.rows_mut().zip(&rows) {
        sums.fill([0.0; 4]);
        for (y, share) in (span.first..).zip(&span.shares) {
            add_line::<P>(&image.as_raw()[y * line..(y + 1) * line], &columns, *share, &mut sums);
        }
        for (pixel, [red, green, blue, opacity]) in pixels.zip(&sums) {
            let colour = |sum: &f32| if *opacity > 0.0 { (sum / opacity * scale).round() as u8 } else { 0 };
            *pixel = Rgba([colour(red), colour(green), colour(blue), (opacity * scale).round() as u8]);
        }
    }
    small
}

/// Adds a line of samples to the sums of the pixels that cover it: colours times opacity, and the opacity.
fn add_line<P>(samples: &[P::Subpixel], columns: &[Span], share: f32, sums: &mut [[f32; 4]])
where
    P: Pixel,
    P::Subpixel: Into<f32>,
{
    let channels = usize::from(P::CHANNEL_COUNT);
    for (column, sum) in columns.iter().zip(sums) {
        let pixels = samples[column.first * channels..].chunks_exact(channels);
        for (pixel, part) in pixels.zip(&column.shares) {
            let Rgba([red, green, blue, opacity]) = P::from_slice(pixel).to_rgba();
            let opacity = opacity.into() * part * share;
            for (sum, colour) in sum.iter_mut().zip([red.into(), green.into(), blue.into(), 1.0]) {
                *sum += colour * opacity;
            }
        }
    }
}

fn encode(image: &RgbaImage) -> Result<Picture, Unfit> {
    let (width, height) = image.dimensions();
    let is_opaque = image.pixels().all(|pixel| pixel[3] == 255);
    let (format, bytes) = if is_opaque { (Format::Jpeg, jpeg(image)) } else { lossless(image) };
    // Writing to memory fails for no picture that could be read.
    Ok(Picture { format, bytes: bytes.map_err(unfit)?, width, height })
}

fn jpeg(image: &RgbaImage) -> Result<Vec<u8>, ImageError> {
    let colours: Vec<u8> = image.pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    encoder.encode(&colours, image.width(), image.height(), ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

/// PNG or WebP, whichever is smaller.
fn lossless(image: &RgbaImage) -> (Format, Result<Vec<u8>, ImageError>) {
    let (width, height) = image.dimensions();
    let (mut png, mut webp) = (Vec::new(), Vec::new());
    let written = PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
        .write_image(image, width, height, ExtendedColorType::Rgba8)
        .and_then(|()| WebPEncoder::new_lossless(&mut webp).encode(image, width, height, ExtendedColorType::Rgba8));
    let (format, bytes) = if webp.len() < png.len() { (Format::Webp, webp) } else { (Format::Png, png) };
    (format, written.map(|()| bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;

    const RED: [u8; 3] = [220, 30, 30];
    const BLUE: [u8; 3] = [30, 30, 220];

    fn file_of(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    /// A picture whose left half is red and whose right half is blue.
    fn halves(width: u32, height: u32) -> DynamicImage {
        image::RgbImage::from_fn(width, height, |x, _| image::Rgb(if x < width / 2 { RED } else { BLUE })).into()
    }

    /// A JPEG with these bytes in its EXIF.
    fn jpeg_with_exif(image: &DynamicImage, exif: Vec<u8>) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
        encoder.set_exif_metadata(exif).unwrap();
        encoder.encode_image(image).unwrap();
        file
    }

    /// EXIF as a phone writes it that was held upright: to be turned by a quarter to the right, taken at a place in Seoul.
    fn exif() -> Vec<u8> {
        let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
        };
        let place = b"37.5665N 126.9780E\0";
        [
            &b"II*\0\x08\0\0\0"[..],
            &[2, 0],
            &entry(0x0112, 3, 1, [6, 0, 0, 0]),
            &entry(0x8825, 4, 1, [38, 0, 0, 0]),
            &[0; 4],
            &[1, 0],
            // GPSAreaInformation, beyond the directory.
            &entry(0x001c, 7, place.len() as u32, [56, 0, 0, 0]),
            &[0; 4],
            place,
        ]
        .concat()
    }

    fn read(picture: &Picture) -> RgbaImage {
        let image = image::load_from_memory(&picture.bytes).unwrap().into_rgba8();
        assert_eq!(image.dimensions(), (picture.width, picture.height));
        image
    }

    fn assert_close(image: &RgbaImage, x: u32, y: u32, colour: [u8; 3]) {
        let found = image.get_pixel(x, y).0;
        assert!(found.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 12), "{found:?} at {x},{y} instead of {colour:?}");
    }

    fn holds(bytes: &[u8], needle: &[u8]) -> bool {
        bytes.windows(needle.len()).any(|window| window == needle)
    }

    /// A JPEG of one block in four colours, as print shops write them: inverted, all ink but cyan's complement.
    fn cmyk_jpeg(samples: [u8; 4]) -> Vec<u8> {
        let mut bits = String::new();
        for sample in samples {
            let value = 8 * (i32::from(sample) - 128);
            let size = 32 - value.unsigned_abs().leading_zeros();
            let shown = if value < 0 { value + (1 << size) - 1 } else { value };
            // The size in four bits, the value, and the end of the block in one.
            bits += &format!("{size:04b}{shown:0width$b}0", width = size as usize);
        }
        bits += &"1".repeat(bits.len().wrapping_neg() % 8);
        let data = bits.as_bytes().chunks(8).flat_map(|byte| {
            let byte = byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
            if byte == 0xff { vec![0xff, 0] } else { vec![byte] }
        });
        let segment = |marker: u8, body: &[u8]| [&[0xff, marker], &(body.len() as u16 + 2).to_be_bytes()[..], body].concat();
        let counts =
            |length: usize, count: u8| std::array::from_fn::<u8, 16, _>(|index| if index + 1 == length { count } else { 0 });
        [
            vec![0xff, 0xd8],
            segment(0xee, b"Adobe\0\x64\0\0\0\0\0"),
            segment(0xdb, &[[0].as_slice(), &[1; 64]].concat()),
            segment(0xc0, &[8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0]),
            segment(0xc4, &[&[0x00][..], &counts(4, 12), &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]].concat()),
            segment(0xc4, &[&[0x10][..], &counts(1, 1), &[0]].concat()),
            segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]),
            data.collect(),
            vec![0xff, 0xd9],
        ]
        .concat()
    }

    /// The head of a PNG that claims this size.
    fn claimed_png(width: u32, height: u32) -> Vec<u8> {
        let mut file = file_of(&halves(8, 8), ImageFormat::Png);
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = file[12..29].iter().fold(!0_u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
        });
        file[29..33].copy_from_slice(&(!sum).to_be_bytes());
        file
    }

    #[test]
    fn a_photo_is_turned_upright_and_does_not_tell_where_it_was_taken() {
        let file = jpeg_with_exif(&halves(40, 20), exif());
        assert!(holds(&file, b"126.9780E") && holds(&file, b"Exif"));
        let picture = remake(&file).unwrap();
        assert_eq!((picture.format, picture.width, picture.height), (Format::Jpeg, 20, 40));
        let image = read(&picture);
        assert_close(&image, 10, 4, RED);
        assert_close(&image, 10, 36, BLUE);
        for secret in [&b"126.9780E"[..], b"Exif", b"II*\0"] {
            assert!(!holds(&picture.bytes, secret));
        }
    }

    #[test]
    fn a_large_photo_becomes_as_large_as_a_projector_shows_it() {
        let picture = remake(&file_of(&halves(2_000, 750), ImageFormat::Jpeg)).unwrap();
        assert_eq!((picture.width, picture.height), (1_600, 600));
        let image = read(&picture);
        assert_close(&image, 780, 300, RED);
        assert_close(&image, 820, 300, BLUE);
        assert_eq!(fitted(12_000, 1, 1_600), (1_600, 1));
        assert_eq!(fitted(1_600, 900, 1_600), (1_600, 900));
    }

    #[test]
    fn what_is_transparent_stays_so_and_bears_no_colour_of_what_nobody_saw() {
        let clear = RgbaImage::from_fn(3_200, 2, |x, _| Rgba(if x % 2 == 0 { [200, 100, 50, 255] } else { [0, 255, 0, 0] }));
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let picture = remake(&file_of(&clear.clone().into(), format)).unwrap();
            assert!([Format::Png, Format::Webp].contains(&picture.format));
            assert_eq!((picture.width, picture.height), (1_600, 1));
            assert_eq!(read(&picture).get_pixel(7, 0).0, [200, 100, 50, 128]);
        }
        let small = RgbaImage::from_fn(20, 20, |x, y| Rgba([x as u8 * 9, y as u8 * 9, 77, x as u8 * 13]));
        let kept = read(&remake(&file_of(&small.clone().into(), ImageFormat::Png)).unwrap());
        assert!(small.pixels().zip(kept.pixels()).all(|(a, b)| a == b || a[3] == 0 && b[3] == 0), "nothing is lost");
    }

    #[test]
    fn every_kind_of_sample_is_read() {
        let plain = halves(24, 8);
        let sixteen = DynamicImage::ImageRgb16(plain.to_rgb16());
        for (format, image) in [
            (ImageFormat::Png, &sixteen),
            (ImageFormat::Png, &DynamicImage::ImageRgba16(plain.to_rgba16())),
            (ImageFormat::Gif, &plain),
            (ImageFormat::WebP, &plain),
        ] {
            let picture = remake(&file_of(image, format)).unwrap();
            assert_eq!(picture.format, Format::Jpeg);
            assert_close(&read(&picture), 2, 4, RED);
            assert_close(&read(&picture), 21, 4, BLUE);
        }
        let grey = read(&remake(&file_of(&DynamicImage::ImageLuma16(plain.to_luma16()), ImageFormat::Png)).unwrap());
        assert_close(&grey, 2, 4, [plain.to_luma8().get_pixel(2, 4)[0]; 3]);
        assert_close(&read(&remake(&cmyk_jpeg([255, 0, 0, 255])).unwrap()), 4, 4, [255, 0, 0]);
        assert_close(&read(&remake(&cmyk_jpeg([40, 200, 120, 255])).unwrap()), 4, 4, [40, 200, 120]);
    }

    #[test]
    fn of_an_animation_the_first_frame_is_kept() {
        let mut file = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut file);
        for colour in [RED, BLUE] {
            let frame = RgbaImage::from_pixel(10, 10, Rgba([colour[0], colour[1], colour[2], 255]));
            encoder.encode_frame(image::Frame::new(frame)).unwrap();
        }
        drop(encoder);
        let chunk = |name: &[u8; 4], body: &[u8]| [&name[..], &(body.len() as u32).to_le_bytes(), body].concat();
        let frames = [RED, BLUE].map(|colour| {
            let still = file_of(&image::RgbImage::from_pixel(10, 10, image::Rgb(colour)).into(), ImageFormat::WebP);
            chunk(b"ANMF", &[&[0, 0, 0, 0, 0, 0, 9, 0, 0, 9, 0, 0, 100, 0, 0, 2], &still[12..]].concat())
        });
        let head = [chunk(b"VP8X", &[2, 0, 0, 0, 9, 0, 0, 9, 0, 0]), chunk(b"ANIM", &[0; 6])].concat();
        let animated = chunk(b"RIFF", &[&b"WEBP"[..], &head, &frames.concat()].concat());
        for file in [file, animated] {
            let picture = remake(&file).unwrap();
            assert_eq!((picture.width, picture.height), (10, 10));
            assert_close(&read(&picture), 5, 5, RED);
        }
    }

    #[test]
    fn what_cannot_be_packed_becomes_smaller() {
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let image = RgbaImage::from_fn(100, 80, |_, _| Rgba([noise(), noise(), noise(), noise()]));
        let picture = written(image.clone(), 20_000).unwrap();
        assert!(picture.bytes.len() <= 20_000 && (50..100).contains(&picture.width), "{} bytes", picture.bytes.len());
        assert_eq!(read(&picture).dimensions(), (picture.width, picture.height));
        assert_eq!(written(image, 1 << 20).unwrap().width, 100);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let jpeg = jpeg_with_exif(&halves(64, 64), exif());
        let png = file_of(&halves(64, 64), ImageFormat::Png);
        let webp = file_of(&halves(64, 64), ImageFormat::WebP);
        let gif = file_of(&halves(64, 64), ImageFormat::Gif);
        for file in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>", b"<!doctype html><title>a.png", &[0; 100]]
        {
            assert_eq!(remake(file), Err(Unfit::NoPicture));
        }
        for whole in [&jpeg, &png, &webp, &gif] {
            for length in [16, whole.len() / 4, whole.len() / 2, whole.len() - 20] {
                assert!(remake(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
            }
        }
        assert_eq!(remake(&[&png[..60], &[7; 400]].concat()), Err(Unfit::Broken));
    }

    #[test]
    fn what_claims_to_be_large_is_refused_before_it_is_decoded() {
        for (width, height) in [(60_000, 60_000), (3_536, 3_536), (16_385, 1), (1, u32::MAX / 2)] {
            assert_eq!(remake(&claimed_png(width, height)), Err(Unfit::TooLarge { width, height }));
        }
        assert_eq!(remake(&claimed_png(4_080, 3_060)), Err(Unfit::Broken), "a phone's photo may be so large, were it whole");
        let mut jpeg = file_of(&halves(8, 8), ImageFormat::Jpeg);
        let size = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap() + 5;
        jpeg[size..size + 4].copy_from_slice(&[0xff; 4]);
        assert_eq!(remake(&jpeg), Err(Unfit::TooLarge { width: 65_535, height: 65_535 }));
        let mut gif = file_of(&halves(8, 8), ImageFormat::Gif);
        gif[6..10].copy_from_slice(&[0xff; 4]);
        assert_eq!(remake(&gif), Err(Unfit::TooLarge { width: 65_535, height: 65_535 }));
        // The frame of a GIF, and of a WebP, larger than the picture says.
        let mut gif = file_of(&halves(8, 8), ImageFormat::Gif);
        let frame = gif.windows(9).position(|nine| nine == [0x2c, 0, 0, 0, 0, 8, 0, 8, 0]).unwrap();
        gif[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        assert!(remake(&gif).is_err());
        let lossy = b"RIFF\x30\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x07\0\0\x07\0\0VP8 \x10\0\0\0\x10\x02\0\x9d\x01\x2a\xff\x3f\xff\x3f\0\0\0\0\0\0";
        assert_eq!(remake(lossy), Err(Unfit::TooLarge { width: 16_383, height: 16_383 }));
    }
}
