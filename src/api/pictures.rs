//! Pictures of prizes: converted, stored once under their SHA-256, served from memory.
//!
//! What is stored is never what was uploaded, but a `picture` made of it, without the place where it was taken. Converting takes
//! much memory: one thread at a time does it, and flushes the result to the disk; a few uploads wait for their turn. An old
//! console sends its picture with every step of a draw, so recent conversions are remembered. All phones of a hall request the
//! same picture in the same second: the last few are kept as one buffer each, which every response shares.

mod picture;

use self::picture::{Format, Unfit};
use crate::api::app::App;
use crate::api::assets;
use crate::api::auth::AccessLevel;
use crate::api::context::ApiRequest;
use crate::draw::Refusal;
use crate::http::response::{HttpError, HttpResult, empty, success, with_type};
use crate::sequencer::inbox::Rejection;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes of an upload, at most.
const UPLOAD_BYTES_MAX: usize = 5 << 20;
/// Images that a server stores, at most.
const IMAGES_MAX: usize = 2_000;
/// Images, and bytes of them, that are kept in memory.
const CACHED_IMAGES_MAX: usize = 8;
const CACHED_BYTES_MAX: usize = 16 << 20;
/// Uploads whose conversion is remembered.
const CONVERTED_MAX: usize = 64;
/// Uploads that wait for their turn, and for how long.
const WAITING_MAX: usize = 8;
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The path of images.
const PATH: &str = "/api/luckydraw/images/";

/// A stored image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    name: String,
    /// In pixels.
    width: u32,
    height: u32,
}

/// Why an image is not stored.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error("prize_image: {0}")]
    Unfit(#[from] Unfit),
    #[error("there are too many images")]
    Full,
    #[error("the image could not be written")]
    Disk(#[from] std::io::Error),
}

/// The images that were requested last, and the last conversions; latest first. Shared by all workers.
#[derive(Debug)]
pub struct ImageCache {
    recent: Mutex<VecDeque<(String, Bytes)>>,
    /// Results by the SHA-256 of the upload.
    converted: Mutex<VecDeque<([u8; 32], Stored)>>,
    /// Permits to wait for a turn.
    waiting: Semaphore,
}

impl Default for ImageCache {
    fn default() -> Self {
        Self { recent: Mutex::default(), converted: Mutex::default(), waiting: Semaphore::new(WAITING_MAX) }
    }
}

impl ImageCache {
    /// An image, from memory or from `dir`. Reads under the lock, so that a hall that asks at once reads the file once.
    fn get(&self, dir: &Path, name: &str) -> Option<Bytes> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|(known, _)| known == name).and_then(|place| recent.remove(place));
        let image = match known {
            Some((_, image)) => image,
            None => Bytes::from(std::fs::read(dir.join(name)).ok()?),
        };
        recent.push_front((name.to_owned(), image.clone()));
        let bytes = |images: &VecDeque<(String, Bytes)>| images.iter().map(|(_, image)| image.len()).sum::<usize>();
        while recent.len() > CACHED_IMAGES_MAX || bytes(&recent) > CACHED_BYTES_MAX {
            recent.pop_back();
        }
        Some(image)
    }

    /// Converts an upload and stores it in `dir`, unless that was done recently. Blocks for up to seconds.
    fn store(&self, dir: &Path, upload: &[u8]) -> Result<Stored, StoreError> {
        let hash = sha256(upload);
        if let Some(stored) = self.find_converted(&hash).filter(|stored| dir.join(&stored.name).exists()) {
            return Ok(stored);
        }
        let picture = picture::convert(upload)?;
        let name = format!("{}.{}", HEXLOWER.encode(&sha256(&picture.bytes)), picture.format.extension());
        write(dir, &name, &picture.bytes)?;
        let stored = Stored { name, width: picture.width, height: picture.height };
        let mut all = self.converted.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(CONVERTED_MAX - 1);
        all.push_front((hash, stored.clone()));
        Ok(stored)
    }

    fn find_converted(&self, hash: &[u8; 32]) -> Option<Stored> {
        let all = self.converted.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(known, _)| known == hash).map(|(_, stored)| stored.clone())
    }
}

/// `POST images`
pub async fn upload(mut request: ApiRequest) -> HttpResult {
    request.require_event(AccessLevel::Host).await?;
    let image = request.read_body(UPLOAD_BYTES_MAX).await?;
    let Stored { name, width, height } = store(&request.app, image).await?;
    success(&format!(r#"{{"prize_image":"{PATH}{name}","width":{width},"height":{height}}}"#), "stored")
}

/// `GET /images/{name}`
pub async fn show(request: ApiRequest) -> HttpResult {
    let not_found = || HttpError::not_found("no such image");
    let name = request.param(0);
    let format = format_of(name).ok_or_else(not_found)?;
    let tag = format!("\"{name}\"");
    // The name is the content: a client that holds the tag holds the image, and no file is read.
    let mut response = if assets::is_held(&request.head.headers, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let image = request.app.images.get(&request.app.settings.images_dir, name);
        with_type(format.media_type(), image.ok_or_else(not_found)?)
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}

/// Stores the image of a `data:` URL, as old consoles send it, and returns its path.
///
/// # Errors
/// 422 for anything but such a URL of an image.
pub async fn store_data_url(app: &Arc<App>, url: &str) -> Result<String, HttpError> {
    let image = decode_data_url(url).ok_or_else(|| HttpError::invalid("prize_image: must be a base64 data: URL"))?;
    let stored = store(app, image.into()).await?;
    Ok(format!("{PATH}{}", stored.name))
}

async fn store(app: &Arc<App>, upload: Bytes) -> Result<Stored, HttpError> {
    let waiting = app.images.waiting.try_acquire().map_err(|_| HttpError::overloaded())?;
    let permit = tokio::time::timeout(WAIT_MAX, Arc::clone(&app.files).acquire_owned()).await;
    let Ok(Ok(permit)) = permit else { return Err(HttpError::overloaded()) };
    drop(waiting);
    let app = Arc::clone(app);
    let work = move || {
        // Held by the thread that works: when the client goes away, the next upload still waits for its end.
        let _permit = permit;
        app.images.store(&app.settings.images_dir, &upload)
    };
    // An upload that makes a decoder panic cannot be read.
    let stored = tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Unfit(Unfit::Broken)));
    stored.map_err(|error| match error {
        StoreError::Unfit(_) => HttpError::invalid(error.to_string()),
        StoreError::Full => Refusal::TooMany { what: "images", max: IMAGES_MAX as u32 }.into(),
        StoreError::Disk(error) => {
            tracing::error!(%error, "an image could not be stored");
            Rejection::NotDurable.into()
        }
    })
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    hash.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

/// The format of a name that [`ImageCache::store`] could have made.
fn format_of(name: &str) -> Option<Format> {
    let (hash, extension) = name.split_once('.')?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Format::ALL.into_iter().find(|format| is_hash && format.extension() == extension)
}

fn decode_data_url(url: &str) -> Option<Vec<u8>> {
    let (head, data) = url.split_once(',')?;
    let is_base64 = head.get(5..)?.to_ascii_lowercase().ends_with(";base64");
    let data = data.trim().as_bytes();
    is_base64.then(|| BASE64.decode(data).or_else(|_| BASE64_NOPAD.decode(data)).ok())?
}

/// Writes an image whole or not at all: beside its place, flushed, then moved. An existing one stays as it is.
fn write(dir: &Path, name: &str, image: &[u8]) -> Result<(), StoreError> {
    let place = dir.join(name);
    if place.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    if std::fs::read_dir(dir)?.count() >= IMAGES_MAX {
        return Err(StoreError::Full);
    }
    let beside = half_written(&place);
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(image)?;
    file.sync_all()?;
    std::fs::rename(&beside, &place)?;
    // The journal is about to name it: the move must outlast a power cut as well.
    std::fs::File::open(dir)?.sync_all()?;
    Ok(())
}

/// A name of this thread's own, so that two uploads of one image do not write into each other.
fn half_written(place: &Path) -> PathBuf {
    place.with_extension(format!("{:?}.part", std::thread::current().id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of one colour, as a PNG.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut file = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(width, height, image::Rgb([9, 99, 199]))
            .write_to(&mut file, image::ImageFormat::Png)
            .unwrap();
        file.into_inner()
    }

    #[test]
    fn only_names_that_this_file_makes_are_looked_up() {
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
    fn an_image_is_stored_once_under_its_hash_and_shared() {
        let (dir, cache, file) = (tempfile::tempdir().unwrap(), ImageCache::default(), png(30, 20));
        let stored = cache.store(dir.path(), &file).unwrap();
        assert_eq!((stored.width, stored.height), (30, 20));
        assert_eq!(cache.store(dir.path(), &file).unwrap(), stored);
        assert_eq!(
            ImageCache::default().store(dir.path(), &file).unwrap(),
            stored,
            "the same image has the same name on every day"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-written is left");
        let (first, second) = (cache.get(dir.path(), &stored.name).unwrap(), cache.get(dir.path(), &stored.name).unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(stored.name, format!("{}.jpg", HEXLOWER.encode(&sha256(&first))));
        assert_eq!(format_of(&stored.name), Some(Format::Jpeg));
        assert!(cache.get(dir.path(), "missing.png").is_none());
    }

    #[test]
    fn a_deleted_image_is_converted_again() {
        let (dir, cache, file) = (tempfile::tempdir().unwrap(), ImageCache::default(), png(3, 2));
        let stored = cache.store(dir.path(), &file).unwrap();
        std::fs::remove_file(dir.path().join(&stored.name)).unwrap();
        assert_eq!(cache.store(dir.path(), &file).unwrap(), stored);
        assert!(dir.path().join(&stored.name).exists());
    }

    #[test]
    fn the_cache_is_bounded() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), ImageCache::default());
        for width in 1..=CONVERTED_MAX as u32 + 10 {
            cache.store(dir.path(), &png(width, 1)).unwrap();
        }
        assert_eq!(cache.converted.lock().unwrap().len(), CONVERTED_MAX);
        assert!(cache.find_converted(&sha256(&png(CONVERTED_MAX as u32 + 10, 1))).is_some(), "the latest is known");
        for place in 0..20 {
            let name = format!("{place}.png");
            std::fs::write(dir.path().join(&name), vec![0; 3 << 20]).unwrap();
            cache.get(dir.path(), &name).unwrap();
        }
        let held: usize = cache.recent.lock().unwrap().iter().map(|(_, image)| image.len()).sum();
        assert!((3 << 20..=CACHED_BYTES_MAX).contains(&held), "{held} bytes");
    }
}
