//! Stored images, and the last few of them in memory; conversions of uploads, and the last few of
//! those remembered.
//!
//! An image is named by the SHA-256 of its content and never written again. Knows no request.

mod picture;

pub use self::picture::{Format, Unfit};
use crate::backup::unused_images::mark_used;
use crate::base::durable_file;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Images that a server stores, at most.
pub const IMAGES_MAX: usize = 2_000;
/// Images, and bytes of them, that are kept in memory.
const CACHED_IMAGES_MAX: usize = 8;
const CACHED_BYTES_MAX: usize = 16 << 20;
/// Uploads whose conversion is remembered.
const CONVERTED_MAX: usize = 64;
/// Uploads that wait for their turn.
const WAITING_MAX: usize = 8;

/// A stored image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// File name: SHA-256 and extension.
    pub name: String,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Why an image is not stored.
#[expect(missing_docs, reason = "the messages say it")]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("prize_image: {0}")]
    Unfit(#[from] Unfit),
    #[error("there are too many images")]
    Full,
    #[error("the image could not be written")]
    Disk(#[from] std::io::Error),
}

/// The images that were requested last, and the last conversions; latest first. Shared by all
/// workers.
#[derive(Debug)]
pub struct ImageCache {
    recent: Mutex<VecDeque<(String, Bytes)>>,
    /// Results by the SHA-256 of the upload.
    converted: Mutex<VecDeque<([u8; 32], Stored)>>,
    /// Permits to wait for a turn.
    pub waiting: Semaphore,
}

impl Default for ImageCache {
    fn default() -> Self {
        Self { recent: Mutex::default(), converted: Mutex::default(), waiting: Semaphore::new(WAITING_MAX) }
    }
}

impl ImageCache {
    /// An image, from memory or from `dir`. Reads under the lock, so that a hall that asks at once
    /// reads the file once.
    pub fn get(&self, dir: &Path, name: &str) -> Option<Bytes> {
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

    /// Converts an upload and stores it in `dir`, unless that was done recently. Blocks for up to
    /// seconds.
    pub fn store(&self, dir: &Path, upload: &[u8]) -> Result<Stored, StoreError> {
        let hash = sha256(upload);
        if let Some(stored) = self.find_converted(&hash).filter(|stored| mark_used(&dir.join(&stored.name))) {
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

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    hash.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

/// The format of a name that [`ImageCache::store`] could have made.
pub fn format_of(name: &str) -> Option<Format> {
    let (hash, extension) = name.split_once('.')?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    Format::ALL.into_iter().find(|format| is_hash && format.extension() == extension)
}

/// Writes an image whole or not at all; an existing one stays, marked as used. The permit of
/// `App::files` lets one thread write at a time. The journal is about to name the image, so it must
/// outlast a power cut.
fn write(dir: &Path, name: &str, image: &[u8]) -> Result<(), StoreError> {
    let place = dir.join(name);
    if mark_used(&place) {
        return Ok(());
    }
    durable_file::create_folder(dir)?;
    if std::fs::read_dir(dir)?.count() >= IMAGES_MAX {
        return Err(StoreError::Full);
    }
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
    fn only_names_that_this_file_makes_are_looked_up() {
        let hash = "a".repeat(64);
        assert!(format_of(&format!("{hash}.webp")).is_some());
        for name in ["../key", &format!("{hash}.svg"), &format!("{hash}.png/.."), &format!("{}.png", "A".repeat(64)), "", "a.png"]
        {
            assert_eq!(format_of(name), None, "{name}");
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
