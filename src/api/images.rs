//! Pictures of prizes: made anew, stored once under their SHA-256, sent from memory.
//!
//! What is stored is never what was sent, but a `picture` made of it, without the place where it was taken. Making one takes much memory, so that
//! one is made at a time, on a blocking thread that also flushes it to the disk; a few wait for their turn, and no more. An old console sends its
//! picture with every step of a draw: what the last ones became is remembered. All phones of a hall ask for the same picture in the same second, so
//! the last few are kept as one buffer each that every answer shares: a copy for each phone would not fit the box.

mod picture;

use self::picture::{Format, Unfit};
use crate::api::app::App;
use crate::api::assets;
use crate::api::auth::{Rank, enter};
use crate::base::durable_file;
use crate::draw::Refusal;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, success};
use crate::sequencer::inbox::Rejection;
use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use hyper::{Response, StatusCode};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The largest image that may be sent in.
const IMAGE_BYTES_MAX: usize = 5 << 20;
/// The most images a server keeps.
const IMAGES_MAX: usize = 2_000;
/// The most images, and bytes of them, that are kept in memory.
const SHELF_IMAGES_MAX: usize = 8;
const SHELF_BYTES_MAX: usize = 16 << 20;
/// The most files of which it is remembered what they became.
const MADE_MAX: usize = 64;
/// The most images that wait for their turn to be made, and for how long.
const WAITING_MAX: usize = 8;
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Where images are found.
const PATH: &str = "/api/luckydraw/images/";

/// An image that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    name: String,
    /// In pixels.
    width: u32,
    height: u32,
}

/// Why an image is not stored.
#[derive(Debug, thiserror::Error)]
enum NotStored {
    #[error("prize_image: {0}")]
    Unfit(#[from] Unfit),
    #[error("there are too many images")]
    Full,
    #[error("the image could not be written")]
    Disk(#[from] std::io::Error),
}

/// The images that were asked for last, and the files that came last; the latest first. Shared by all workers.
#[derive(Debug)]
pub struct ImageCache {
    recent: Mutex<VecDeque<(String, Bytes)>>,
    /// By the SHA-256 of the file that came, what it became.
    made: Mutex<VecDeque<([u8; 32], Stored)>>,
    /// Places to wait for a turn in.
    waiting: Semaphore,
}

impl Default for ImageCache {
    fn default() -> Self {
        Self { recent: Mutex::default(), made: Mutex::default(), waiting: Semaphore::new(WAITING_MAX) }
    }
}

impl ImageCache {
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

    /// Makes a picture of a file and keeps it in `dir`, unless that was done a while ago. Blocks for up to seconds.
    fn store(&self, dir: &Path, file: &[u8]) -> Result<Stored, NotStored> {
        let hash = sha256(file);
        if let Some(stored) = self.made(&hash).filter(|stored| dir.join(&stored.name).exists()) {
            return Ok(stored);
        }
        let made = picture::remake(file)?;
        let name = format!("{}.{}", HEXLOWER.encode(&sha256(&made.bytes)), made.format.names().0);
        keep(dir, &name, &made.bytes)?;
        let stored = Stored { name, width: made.width, height: made.height };
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(MADE_MAX - 1);
        all.push_front((hash, stored.clone()));
        Ok(stored)
    }

    fn made(&self, hash: &[u8; 32]) -> Option<Stored> {
        let all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(known, _)| known == hash).map(|(_, stored)| stored.clone())
    }
}

/// `POST images`
pub async fn upload(mut call: RequestContext) -> HttpResult {
    enter(&call, Rank::Host).await?;
    let image = call.read_body(IMAGE_BYTES_MAX).await?;
    let Stored { name, width, height } = store(&call.app, image).await?;
    success(&format!(r#"{{"prize_image":"{PATH}{name}","width":{width},"height":{height}}}"#), "stored")
}

/// `GET /images/{name}`
pub async fn show(call: RequestContext) -> HttpResult {
    let not_found = || HttpError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "no such image");
    let name = call.param(0);
    let format = format_of(name).ok_or_else(not_found)?;
    let tag = format!("\"{name}\"");
    // The name is the content: whoever holds the tag holds the image, and no file needs to be looked at.
    let is_held = assets::holds(&call.head.headers, &tag);
    let image = if is_held { Some(Bytes::new()) } else { call.app.images.get(&call.app.settings.data_dir.images(), name) };
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
pub async fn store_data_url(app: &Arc<App>, url: &str) -> Result<String, HttpError> {
    let image = decode_data_url(url).ok_or_else(|| HttpError::invalid("prize_image: must be a base64 data: URL"))?;
    let stored = store(app, image.into()).await?;
    Ok(format!("{PATH}{}", stored.name))
}

async fn store(app: &Arc<App>, image: Bytes) -> Result<Stored, HttpError> {
    let place = app.images.waiting.try_acquire().map_err(|_| HttpError::overloaded())?;
    let turn = tokio::time::timeout(WAIT_MAX, Arc::clone(&app.files).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else { return Err(HttpError::overloaded()) };
    drop(place);
    let app = Arc::clone(app);
    let work = move || {
        // Held by who works, not by who asked: when a caller goes away, the next picture still waits until this one is made.
        let _turn = turn;
        app.images.store(&app.settings.data_dir.images(), &image)
    };
    // What panics over a picture cannot read it.
    let stored = tokio::task::spawn_blocking(work).await.unwrap_or(Err(NotStored::Unfit(Unfit::Broken)));
    stored.map_err(|error| match error {
        NotStored::Unfit(_) => HttpError::invalid(error.to_string()),
        NotStored::Full => Refusal::TooMany { what: "images", max: IMAGES_MAX as u32 }.into(),
        NotStored::Disk(error) => {
            tracing::error!(%error, "an image could not be stored");
            Rejection::NotDurable.into()
        }
    })
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
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

/// Writes an image whole or not at all. One that exists already is left as it is.
fn keep(dir: &Path, name: &str, image: &[u8]) -> Result<(), NotStored> {
    let place = dir.join(name);
    if place.exists() {
        return Ok(());
    }
    durable_file::create_folder(dir)?;
    if std::fs::read_dir(dir)?.count() >= IMAGES_MAX {
        return Err(NotStored::Full);
    }
    // The permit of `App::files` lets one thread write at a time. The journal is about to name the image: it must outlast a power cut.
    Ok(durable_file::write(&place, image)?)
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
    fn an_image_is_kept_once_under_what_it_holds_and_shared() {
        let (dir, shelf, file) = (tempfile::tempdir().unwrap(), ImageCache::default(), png(30, 20));
        let stored = shelf.store(dir.path(), &file).unwrap();
        assert_eq!((stored.width, stored.height), (30, 20));
        assert_eq!(shelf.store(dir.path(), &file).unwrap(), stored);
        assert_eq!(
            ImageCache::default().store(dir.path(), &file).unwrap(),
            stored,
            "the same image has the same name on every day"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing half-written is left");
        let (first, second) = (shelf.get(dir.path(), &stored.name).unwrap(), shelf.get(dir.path(), &stored.name).unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(stored.name, format!("{}.jpg", HEXLOWER.encode(&sha256(&first))));
        assert_eq!(format_of(&stored.name), Some(Format::Jpeg));
        assert!(shelf.get(dir.path(), "missing.png").is_none());
    }

    #[test]
    fn an_image_that_was_deleted_is_made_again() {
        let (dir, shelf, file) = (tempfile::tempdir().unwrap(), ImageCache::default(), png(3, 2));
        let stored = shelf.store(dir.path(), &file).unwrap();
        std::fs::remove_file(dir.path().join(&stored.name)).unwrap();
        assert_eq!(shelf.store(dir.path(), &file).unwrap(), stored);
        assert!(dir.path().join(&stored.name).exists());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (dir, shelf) = (tempfile::tempdir().unwrap(), ImageCache::default());
        for width in 1..=MADE_MAX as u32 + 10 {
            shelf.store(dir.path(), &png(width, 1)).unwrap();
        }
        assert_eq!(shelf.made.lock().unwrap().len(), MADE_MAX);
        assert!(shelf.made(&sha256(&png(MADE_MAX as u32 + 10, 1))).is_some(), "the latest is known");
        for place in 0..20 {
            let name = format!("{place}.png");
            std::fs::write(dir.path().join(&name), vec![0; 3 << 20]).unwrap();
            shelf.get(dir.path(), &name).unwrap();
        }
        let held: usize = shelf.recent.lock().unwrap().iter().map(|(_, image)| image.len()).sum();
        assert!((3 << 20..=SHELF_BYTES_MAX).contains(&held), "{held} bytes");
    }
}
