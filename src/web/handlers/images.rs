//! Pictures of prizes: stored once under their SHA-256, sent from memory.
//!
//! A picture is known by what it holds, not by what its sender calls it; SVG is none, since it can hold scripts. All phones of a hall ask for the
//! same picture in the same second, so the last few are kept as one buffer each that every answer shares: a copy for each phone would not fit the
//! box. Storing, which ends in a flush to the disk, happens on a blocking thread.

use super::auth::{Rank, enter};
use crate::draw::Refusal;
use crate::web::answer::{Answer, Failure, success};
use crate::web::app::App;
use crate::web::call::Call;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{Response, StatusCode};
use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The largest image that may be sent in.
const IMAGE_BYTES_MAX: usize = 5 << 20;
/// The most pixels of an image: what a cheap phone still decodes.
const PIXELS_MAX: usize = 40_000_000;
/// The most images a server keeps.
const IMAGES_MAX: usize = 2_000;
/// The most images, and bytes of them, that are kept in memory.
const SHELF_IMAGES_MAX: usize = 8;
const SHELF_BYTES_MAX: usize = 16 << 20;
/// Where images are found.
const PATH: &str = "/api/luckydraw/images/";

/// A picture's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    Gif,
    Webp,
}

impl Format {
    const ALL: [Format; 4] = [Format::Png, Format::Jpeg, Format::Gif, Format::Webp];

    /// Its extension and its media type.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Format::Png => ("png", "image/png"),
            Format::Jpeg => ("jpg", "image/jpeg"),
            Format::Gif => ("gif", "image/gif"),
            Format::Webp => ("webp", "image/webp"),
        }
    }

    /// The format by the first bytes of an image.
    fn sniff(image: &[u8]) -> Option<Self> {
        match image {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::Webp),
            _ => None,
        }
    }
}

/// The images that were asked for last, the latest first. Shared by all workers.
#[derive(Debug, Default)]
pub struct Shelf {
    recent: Mutex<VecDeque<(String, Bytes)>>,
}

impl Shelf {
    /// The image of that name, from memory or from `dir`. Reads under the lock, so that a hall that asks at once reads the file once.
    fn get(&self, dir: &Path, name: &str) -> Option<Bytes> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|(known, _)| known == name).and_then(|place| recent.remove(place));
        let image = match known {
            Some((_, image)) => image,
            None => Bytes::from(std::fs::read(dir.join(name)).ok()?),
        };
        recent.push_front((name.to_owned(), image.clone()));
        while recent.len() > SHELF_IMAGES_MAX || recent.iter().map(|(_, image)| image.len()).sum::<usize>() > SHELF_BYTES_MAX {
            recent.pop_back();
        }
        Some(image)
    }
}

/// `POST images`
pub async fn upload(mut call: Call) -> Answer {
    enter(&call, Rank::Host).await?;
    let image = call.read_body(IMAGE_BYTES_MAX).await?;
    let path = store(&call.app, image).await?;
    success(&format!(r#"{{"prize_image":"{path}"}}"#), "stored")
}

/// `GET /images/{name}`
pub async fn show(call: Call) -> Answer {
    let not_found = || Failure::new(StatusCode::NOT_FOUND, "NOT_FOUND", "no such image");
    let name = call.param(0);
    let format = format_of(name).ok_or_else(not_found)?;
    let tag = format!("\"{name}\"");
    let known = call.head.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // The name is the content: whoever holds the tag holds the image, and no file needs to be looked at.
    let is_held = known.flat_map(|tags| tags.split(',')).any(|held| held.trim().trim_start_matches("W/") == tag);
    let image = if is_held { Some(Bytes::new()) } else { call.app.images.get(&call.app.settings.images_dir, name) };
    let mut reply = Response::new(Full::new(image.ok_or_else(not_found)?));
    if is_held {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.names().1));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    Ok(reply)
}

/// Stores the image of a `data:` URL, as old consoles send it, and gives its path.
///
/// # Errors
/// 422 for what is no such URL or no image.
pub async fn store_data_url(app: &App, url: &str) -> Result<String, Failure> {
    let image = decode_data_url(url).ok_or_else(|| Failure::invalid("prize_image: must be a base64 data: URL"))?;
    store(app, image.into()).await
}

async fn store(app: &App, image: Bytes) -> Result<String, Failure> {
    let name = name_of(&image).map_err(|why| Failure::invalid(format!("prize_image: {why}")))?;
    let (dir, path) = (app.settings.images_dir.clone(), format!("{PATH}{name}"));
    let kept = tokio::task::spawn_blocking(move || keep(&dir, &name, &image)).await;
    match kept {
        Ok(Ok(Kept::Yes)) => Ok(path),
        Ok(Ok(Kept::Full)) => Err(Refusal::TooMany { what: "images", max: IMAGES_MAX as u32 }.into()),
        Ok(Err(error)) => {
            tracing::error!(%error, "an image could not be stored");
            Err(not_durable())
        }
        Err(_) => Err(not_durable()),
    }
}

/// The name an image is kept under: its SHA-256 and its format.
fn name_of(image: &[u8]) -> Result<String, &'static str> {
    let format = Format::sniff(image).ok_or("must be a PNG, JPEG, GIF or WebP image")?;
    let size = imagesize::blob_size(image).map_err(|_| "is a broken image")?;
    if size.width.saturating_mul(size.height) > PIXELS_MAX {
        return Err("has too many pixels");
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, image);
    Ok(format!("{}.{}", HEXLOWER.encode(hash.as_ref()), format.names().0))
}

/// The format of a name that this file could have given.
fn format_of(name: &str) -> Option<Format> {
    let (hash, extension) = name.split_once('.')?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Format::ALL.into_iter().find(|format| is_hash && format.names().0 == extension)
}

fn decode_data_url(url: &str) -> Option<Vec<u8>> {
    let (head, data) = url.split_once(',')?;
    let is_base64 = head.get(5..)?.to_ascii_lowercase().ends_with(";base64");
    let data = data.trim().as_bytes();
    is_base64.then(|| BASE64.decode(data).or_else(|_| BASE64_NOPAD.decode(data)).ok())?
}

enum Kept {
    Yes,
    Full,
}

/// Writes an image whole or not at all: beside its place first, flushed, then moved. One that is there already is left as it is.
fn keep(dir: &Path, name: &str, image: &[u8]) -> std::io::Result<Kept> {
    let place = dir.join(name);
    if place.exists() {
        return Ok(Kept::Yes);
    }
    std::fs::create_dir_all(dir)?;
    if std::fs::read_dir(dir)?.count() >= IMAGES_MAX {
        return Ok(Kept::Full);
    }
    let beside = half_written(&place);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(image)?;
    file.sync_all()?;
    std::fs::rename(&beside, &place)?;
    // The journal is about to name it: the move must outlast a power cut as well.
    std::fs::File::open(dir)?.sync_all()?;
    Ok(Kept::Yes)
}

/// A name of this thread's own, so that two uploads of one image do not write into each other.
fn half_written(place: &Path) -> PathBuf {
    place.with_extension(format!("{:?}.part", std::thread::current().id()))
}

fn not_durable() -> Failure {
    crate::sequencer::inbox::Denial::NotDurable.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a PNG of that size; nobody decodes the rest.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut image = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        image.extend(width.to_be_bytes());
        image.extend(height.to_be_bytes());
        image.extend([8, 6, 0, 0, 0, 0, 0, 0, 0]);
        image
    }

    #[test]
    fn an_image_is_known_by_what_it_holds() {
        let name = name_of(&png(64, 64)).unwrap();
        assert!(name.len() == 68 && name.ends_with(".png"));
        assert_eq!(format_of(&name), Some(Format::Png));
        assert_eq!(name_of(&png(64, 64)).unwrap(), name, "the same image has the same name");
        for wrong in [&b"<svg onload='x'/>"[..], b"", b"\x89PNG\r\n\x1a\n", &[0; 100]] {
            assert!(name_of(wrong).is_err());
        }
        assert_eq!(name_of(&png(60_000, 60_000)), Err("has too many pixels"));
    }

    #[test]
    fn only_names_of_our_own_making_are_looked_for() {
        let hash = "a".repeat(64);
        assert!(format_of(&format!("{hash}.webp")).is_some());
        for name in ["../key", &format!("{hash}.svg"), &format!("{hash}.png/.."), &format!("{}.png", "A".repeat(64)), "", "a.png"]
        {
            assert_eq!(format_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_data_url_gives_its_bytes() {
        assert_eq!(decode_data_url("data:image/png;base64,aGk=").as_deref(), Some(&b"hi"[..]));
        assert_eq!(decode_data_url("DATA:;BASE64,aGk").as_deref(), Some(&b"hi"[..]));
        for wrong in ["data:image/png,hi", "data:image/png;base64", "data:image/png;base64,*", ""] {
            assert_eq!(decode_data_url(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_image_is_kept_once_and_shared() {
        let dir = tempfile::tempdir().unwrap();
        let image = png(1, 1);
        let name = name_of(&image).unwrap();
        assert!(matches!(keep(dir.path(), &name, &image), Ok(Kept::Yes)));
        assert!(matches!(keep(dir.path(), &name, &image), Ok(Kept::Yes)));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-written is left");
        let shelf = Shelf::default();
        let (first, second) = (shelf.get(dir.path(), &name).unwrap(), shelf.get(dir.path(), &name).unwrap());
        assert_eq!((&first[..], first.as_ptr()), (&image[..], second.as_ptr()));
        assert!(shelf.get(dir.path(), "missing.png").is_none());
    }

    #[test]
    fn the_shelf_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::default();
        for place in 0..20 {
            let name = format!("{place}.png");
            std::fs::write(dir.path().join(&name), vec![0; 3 << 20]).unwrap();
            shelf.get(dir.path(), &name).unwrap();
        }
        let held: usize = shelf.recent.lock().unwrap().iter().map(|(_, image)| image.len()).sum();
        assert!((3 << 20..=SHELF_BYTES_MAX).contains(&held), "{held} bytes");
    }
}
