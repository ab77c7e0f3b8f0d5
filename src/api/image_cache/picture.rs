//! Conversion of an uploaded file to a picture: decoded, turned upright, shrunk, and encoded anew.
//!
//! Nothing of the file is kept but its colours: no place where a photo was taken, no camera, no
//! thumbnail of what was cut away, and no file that only looks like a picture. Encoding anew was
//! chosen over removing metadata, since every format hides it in other places; it also bounds what
//! thousands of phones load. Size and format are checked before a decoder may allocate for them,
//! because a few bytes can claim any size. Blocks for up to seconds and takes up to some 150 MB:
//! never on a worker, and one at a time.

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::{WebPDecoder, WebPEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, Limits, Rgba, RgbaImage};
use std::io::Cursor;

/// Pixels that are decoded, at most: a phone's photo at its usual 12 megapixels, and what fits the
/// box beside a hall.
pub const PIXELS_MAX: u64 = 12_500_000;
/// Longest side that is decoded.
pub const SIDE_MAX: u32 = 16_384;
/// Longest side that is kept, in pixels: as sharp as a projector shows it.
const KEPT_SIDE_MAX: u32 = 1_600;
/// Bytes that are kept, at most, at the cost of sharpness: every phone of a hall loads them.
const KEPT_BYTES_MAX: usize = 2 << 20;
/// Bytes that a decoder may allocate beside the picture itself.
const SCRATCH_BYTES_MAX: u64 = 16 << 20;
/// Of 100: differences begin to show only to those who look for them.
const JPEG_QUALITY: u8 = 85;

/// A picture's format.
#[expect(missing_docs, reason = "the names are the formats")]
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

/// Why a file is refused. Each message follows the name of the field.
#[expect(missing_docs, reason = "the messages say it")]
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
    /// Every format.
    pub const ALL: [Format; 4] = [Format::Png, Format::Jpeg, Format::Gif, Format::Webp];

    /// Extension of a file name.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Jpeg => "jpg",
            Format::Gif => "gif",
            Format::Webp => "webp",
        }
    }

    /// Media type (RFC 9110).
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Png => "image/png",
            Format::Jpeg => "image/jpeg",
            Format::Gif => "image/gif",
            Format::Webp => "image/webp",
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

/// Converts a file: upright, at most 1600 pixels and 2 MiB, without metadata; of an animation the
/// first frame. Transparent pictures become PNG or lossless WebP, whichever is smaller, others
/// JPEG. The same file always makes the same bytes.
///
/// # Errors
/// When the file is no picture, or one that is broken or too large.
pub fn convert(file: &[u8]) -> Result<Picture, Unfit> {
    let format = Format::sniff(file).ok_or(Unfit::NoPicture)?;
    encode_within(decode(format, file)?, KEPT_BYTES_MAX)
}

/// Encodes the picture, smaller and smaller until it has at most so many bytes.
fn encode_within(mut image: RgbaImage, bytes_max: usize) -> Result<Picture, Unfit> {
    loop {
        let picture = encode(&image)?;
        if picture.bytes.len() <= bytes_max {
            return Ok(picture);
        }
        let side = image.width().max(image.height()) / 4 * 3;
        image = shrink(DynamicImage::ImageRgba8(image), side);
    }
}

fn decode(format: Format, file: &[u8]) -> Result<RgbaImage, Unfit> {
    let mut decoder = open(format, file)?;
    let (width, height) = decoder.dimensions();
    refuse_large(width, height)?;
    let mut limits = Limits::no_limits();
    (limits.max_image_width, limits.max_image_height) = (Some(width), Some(height));
    // For GIF alone, whose frames may be larger than the picture.
    limits.max_alloc = Some(PIXELS_MAX * 4);
    decoder.set_limits(limits).map_err(unfit)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let whole = DynamicImage::from_decoder(decoder).map_err(unfit)?;
    // Shrunk before the turn, which takes a second copy.
    let mut small = DynamicImage::ImageRgba8(shrink(whole, KEPT_SIDE_MAX));
    small.apply_orientation(orientation);
    Ok(small.into_rgba8())
}

/// A decoder that has read the file's head, and has allocated nothing for the picture yet.
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

/// Returns whether a JPEG has its end: the decoder would paint missing pixels grey. Among the
/// pixels no marker but the last is 0xffd9; before them, a thumbnail may have an end of its own.
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
    // Odd, but perhaps whole: the decoder decides.
    !rest.is_empty()
}

/// A lossy frame of a WebP repeats its size, and the decoder allocates by that before it compares.
/// Searched for everywhere rather than where chunks should be, so that none can be hidden; other
/// bytes do not look like a large one by chance.
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

/// The size of a picture within a square, its shape kept; never larger than the picture.
fn fit(width: u32, height: u32, side_max: u32) -> (u32, u32) {
    let long = width.max(height);
    let scaled = |side: u32| (u64::from(side) * u64::from(side_max) + u64::from(long) / 2) / u64::from(long);
    let kept = |side: u32| if long <= side_max { side } else { u32::try_from(scaled(side)).unwrap_or(side_max).max(1) };
    (kept(width), kept(height))
}

/// The picture within a square of `side_max`, each pixel the average of those it covers. Colours
/// are averaged by their opacity, or invisible pixels would colour the edges; with 16 bits per
/// sample, or they would lose a shade.
fn shrink(image: DynamicImage, side_max: u32) -> RgbaImage {
    let (width, height) = fit(image.width(), image.height(), side_max);
    if (image.width(), image.height()) == (width, height) {
        return image.into_rgba8();
    }
    if !image.color().has_alpha() {
        return image.thumbnail_exact(width, height).into_rgba8();
    }
    let mut image = image.into_rgba16();
    for Rgba([colours @ .., opacity]) in image.pixels_mut() {
        colours.iter_mut().for_each(|colour| *colour = scale(*colour, *opacity, u16::MAX));
    }
    let mut small = image::imageops::thumbnail(&image, width, height);
    for Rgba([colours @ .., opacity]) in small.pixels_mut() {
        colours.iter_mut().for_each(|colour| *colour = scale(*colour, u16::MAX, (*opacity).max(1)));
    }
    DynamicImage::ImageRgba16(small).into_rgba8()
}

/// `value * by / to`, rounded and saturating.
fn scale(value: u16, by: u16, to: u16) -> u16 {
    let scaled = (u64::from(value) * u64::from(by) + u64::from(to) / 2) / u64::from(to);
    u16::try_from(scaled).unwrap_or(u16::MAX)
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

    #[test]
    fn fuzzed_pictures_are_converted_or_refused() {
        crate::fuzz::run("pictures", 300, |file| match convert(file) {
            Ok(picture) => {
                assert!(picture.bytes.len() <= KEPT_BYTES_MAX);
                "a picture".into()
            }
            Err(unfit) => format!("{unfit:?}"),
        });
    }

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

    /// EXIF as a phone writes it that was held upright: to be turned by a quarter to the right,
    /// taken at a place in Seoul.
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

    /// A JPEG of one block in four colours, as print shops write them: inverted, all ink but cyan's
    /// complement.
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
    fn a_photo_is_turned_upright_and_loses_its_place() {
        let file = jpeg_with_exif(&halves(40, 20), exif());
        assert!(holds(&file, b"126.9780E") && holds(&file, b"Exif"));
        let picture = convert(&file).unwrap();
        assert_eq!((picture.format, picture.width, picture.height), (Format::Jpeg, 20, 40));
        let image = read(&picture);
        assert_close(&image, 10, 4, RED);
        assert_close(&image, 10, 36, BLUE);
        for secret in [&b"126.9780E"[..], b"Exif", b"II*\0"] {
            assert!(!holds(&picture.bytes, secret));
        }
    }

    #[test]
    fn a_large_photo_is_shrunk_to_a_projectors_size() {
        let picture = convert(&file_of(&halves(2_000, 750), ImageFormat::Jpeg)).unwrap();
        assert_eq!((picture.width, picture.height), (1_600, 600));
        let image = read(&picture);
        assert_close(&image, 780, 300, RED);
        assert_close(&image, 820, 300, BLUE);
        assert_eq!(fit(12_000, 1, 1_600), (1_600, 1));
        assert_eq!(fit(1_600, 900, 1_600), (1_600, 900));
    }

    #[test]
    fn transparency_stays_and_invisible_colours_do_not_show() {
        let clear = RgbaImage::from_fn(3_200, 2, |x, _| Rgba(if x % 2 == 0 { [200, 100, 50, 255] } else { [0, 255, 0, 0] }));
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            let picture = convert(&file_of(&clear.clone().into(), format)).unwrap();
            assert!([Format::Png, Format::Webp].contains(&picture.format));
            assert_eq!((picture.width, picture.height), (1_600, 1));
            assert_eq!(read(&picture).get_pixel(7, 0).0, [200, 100, 50, 128]);
        }
        let small = RgbaImage::from_fn(20, 20, |x, y| Rgba([x as u8 * 9, y as u8 * 9, 77, x as u8 * 13]));
        let kept = read(&convert(&file_of(&small.clone().into(), ImageFormat::Png)).unwrap());
        assert!(small.pixels().zip(kept.pixels()).all(|(a, b)| a == b || a[3] == 0 && b[3] == 0), "nothing is lost");
    }

    #[test]
    fn every_sample_format_is_read() {
        let plain = halves(24, 8);
        let sixteen = DynamicImage::ImageRgb16(plain.to_rgb16());
        for (format, image) in [
            (ImageFormat::Png, &sixteen),
            (ImageFormat::Png, &DynamicImage::ImageRgba16(plain.to_rgba16())),
            (ImageFormat::Gif, &plain),
            (ImageFormat::WebP, &plain),
        ] {
            let picture = convert(&file_of(image, format)).unwrap();
            assert_eq!(picture.format, Format::Jpeg);
            assert_close(&read(&picture), 2, 4, RED);
            assert_close(&read(&picture), 21, 4, BLUE);
        }
        let grey = read(&convert(&file_of(&DynamicImage::ImageLuma16(plain.to_luma16()), ImageFormat::Png)).unwrap());
        assert_close(&grey, 2, 4, [plain.to_luma8().get_pixel(2, 4)[0]; 3]);
        assert_close(&read(&convert(&cmyk_jpeg([255, 0, 0, 255])).unwrap()), 4, 4, [255, 0, 0]);
        assert_close(&read(&convert(&cmyk_jpeg([40, 200, 120, 255])).unwrap()), 4, 4, [40, 200, 120]);
    }

    #[test]
    fn the_first_frame_of_an_animation_is_kept() {
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
            let picture = convert(&file).unwrap();
            assert_eq!((picture.width, picture.height), (10, 10));
            assert_close(&read(&picture), 5, 5, RED);
        }
    }

    #[test]
    fn a_picture_of_too_many_bytes_becomes_smaller() {
        let mut seed = 1_u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let image = RgbaImage::from_fn(100, 80, |_, _| Rgba([noise(), noise(), noise(), noise()]));
        let picture = encode_within(image.clone(), 20_000).unwrap();
        assert!(picture.bytes.len() <= 20_000 && (50..100).contains(&picture.width), "{} bytes", picture.bytes.len());
        assert_eq!(read(&picture).dimensions(), (picture.width, picture.height));
        assert_eq!(encode_within(image, 1 << 20).unwrap().width, 100);
    }

    #[test]
    fn other_files_are_refused() {
        let jpeg = jpeg_with_exif(&halves(64, 64), exif());
        let png = file_of(&halves(64, 64), ImageFormat::Png);
        let webp = file_of(&halves(64, 64), ImageFormat::WebP);
        let gif = file_of(&halves(64, 64), ImageFormat::Gif);
        for file in [&b""[..], b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>", b"<!doctype html><title>a.png", &[0; 100]]
        {
            assert_eq!(convert(file), Err(Unfit::NoPicture));
        }
        for whole in [&jpeg, &png, &webp, &gif] {
            for length in [16, whole.len() / 4, whole.len() / 2, whole.len() - 20] {
                assert!(convert(&whole[..length]).is_err(), "{length} bytes of {}", whole.len());
            }
        }
        assert_eq!(convert(&[&png[..60], &[7; 400]].concat()), Err(Unfit::Broken));
    }

    #[test]
    fn a_claimed_size_is_refused_before_decoding() {
        for (width, height) in [(60_000, 60_000), (3_536, 3_536), (16_385, 1), (1, u32::MAX / 2)] {
            assert_eq!(convert(&claimed_png(width, height)), Err(Unfit::TooLarge { width, height }));
        }
        assert_eq!(convert(&claimed_png(4_080, 3_060)), Err(Unfit::Broken), "a phone's photo may be so large, were it whole");
        let mut jpeg = file_of(&halves(8, 8), ImageFormat::Jpeg);
        let size = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap() + 5;
        jpeg[size..size + 4].copy_from_slice(&[0xff; 4]);
        assert_eq!(convert(&jpeg), Err(Unfit::TooLarge { width: 65_535, height: 65_535 }));
        let mut gif = file_of(&halves(8, 8), ImageFormat::Gif);
        gif[6..10].copy_from_slice(&[0xff; 4]);
        assert_eq!(convert(&gif), Err(Unfit::TooLarge { width: 65_535, height: 65_535 }));
        // The frame of a GIF, and of a WebP, larger than the picture says.
        let mut gif = file_of(&halves(8, 8), ImageFormat::Gif);
        let frame = gif.windows(9).position(|nine| nine == [0x2c, 0, 0, 0, 0, 8, 0, 8, 0]).unwrap();
        gif[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
        assert!(convert(&gif).is_err());
        let lossy = b"RIFF\x30\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x07\0\0\x07\0\0VP8 \x10\0\0\0\x10\x02\0\x9d\x01\x2a\xff\x3f\xff\x3f\0\0\0\0\0\0";
        assert_eq!(convert(lossy), Err(Unfit::TooLarge { width: 16_383, height: 16_383 }));
    }
}
