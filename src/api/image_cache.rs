//! Stored images, and the last few of them in memory; conversions of uploads, and the last few of
//! those remembered.
//!
//! An image is named by the SHA-256 of its content and never written again. Knows no request.

mod picture;

pub use self::picture::{Format, Unfit};
use crate::api::deadline::{run_blocking, within};
use crate::backup::unused_images::mark_used;
use crate::base::durable_file;
use crate::base::image_name::ImageName;
use crate::base::sha256;
use crate::http::response::HttpError;
use crate::sequencer::inbox::ANSWER_TIME_MAX;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OnceCell, Semaphore};

/// Images that a server stores, at most.
pub const IMAGES_MAX: usize = 2_000;
/// Images, and bytes of them, that are kept in memory.
const CACHED_IMAGES_MAX: usize = 8;
const CACHED_BYTES_MAX: usize = 16 << 20;
/// Uploads whose conversion is remembered.
const CONVERTED_MAX: usize = 64;
/// Files that are read at once.
const READS_MAX: usize = 4;
/// Uploads that wait for their turn.
const WAITING_MAX: usize = 8;

/// A stored image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// File name.
    pub name: ImageName,
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
    /// Reads under way, by the name of the image; a task each waits for, so connections bound them.
    reads: Mutex<HashMap<String, Arc<OnceCell<Option<Bytes>>>>>,
    /// Permits to read a file.
    read_permits: Arc<Semaphore>,
    /// Results by the SHA-256 of the upload.
    converted: Mutex<VecDeque<([u8; 32], Stored)>>,
    /// Permits to wait for a turn.
    pub waiting: Semaphore,
}

impl Default for ImageCache {
    fn default() -> Self {
        let (waiting, read_permits) = (Semaphore::new(WAITING_MAX), Arc::new(Semaphore::new(READS_MAX)));
        Self { recent: Mutex::default(), reads: Mutex::default(), read_permits, converted: Mutex::default(), waiting }
    }
}

impl ImageCache {
    /// An image, from memory or from `dir`; `None` when there is none. A hall that asks at once
    /// reads the file once, on a blocking thread, and waits for it without a lock.
    ///
    /// # Errors
    /// 503 when the disk takes too long.
    pub async fn get_or_read(&self, dir: &Path, name: &str) -> Result<Option<Bytes>, HttpError> {
        if let Some(image) = self.find_recent(name) {
            return Ok(Some(image));
        }
        let read = Arc::clone(lock(&self.reads).entry(name.to_owned()).or_default());
        let result = read.get_or_try_init(|| self.read(dir.join(name))).await.cloned();
        // The first to come here ends this read: the next caller finds the image in memory, or
        // reads again.
        let mut reads = lock(&self.reads);
        if reads.get(name).is_some_and(|current| Arc::ptr_eq(current, &read)) {
            reads.remove(name);
            if let Ok(Some(image)) = &result {
                self.keep_recent(name, image);
            }
        }
        result
    }

    /// Reads a file once a permit is free.
    async fn read(&self, path: PathBuf) -> Result<Option<Bytes>, HttpError> {
        let permit = within(ANSWER_TIME_MAX, Arc::clone(&self.read_permits).acquire_owned()).await?;
        // The thread may outlive this wait on a disk that hangs, and holds its permit until it
        // ends.
        let read = move || {
            let _permit = permit;
            std::fs::read(path).ok()
        };
        let image = run_blocking(read).await?;
        Ok(image.flatten().map(Bytes::from))
    }

    /// An image in memory, which thereby becomes the latest.
    fn find_recent(&self, name: &str) -> Option<Bytes> {
        let mut recent = lock(&self.recent);
        let place = recent.iter().position(|(known, _)| known == name)?;
        let found = recent.remove(place)?;
        let image = found.1.clone();
        recent.push_front(found);
        Some(image)
    }

    fn keep_recent(&self, name: &str, image: &Bytes) {
        let mut recent = lock(&self.recent);
        recent.push_front((name.to_owned(), image.clone()));
        let bytes = |images: &VecDeque<(String, Bytes)>| images.iter().map(|(_, image)| image.len()).sum::<usize>();
        while recent.len() > CACHED_IMAGES_MAX || bytes(&recent) > CACHED_BYTES_MAX {
            recent.pop_back();
        }
    }

    /// Converts an upload and stores it in `dir`, unless that was done recently. Blocks for up to
    /// seconds.
    pub fn store(&self, dir: &Path, upload: &[u8]) -> Result<Stored, StoreError> {
        let hash = sha256(upload);
        if let Some(stored) = self.find_converted(&hash).filter(|stored| mark_used(&dir.join(stored.name.as_str()))) {
            return Ok(stored);
        }
        let picture = picture::convert(upload)?;
        let name = ImageName::of(&picture.bytes, picture.format.extension());
        write(dir, name.as_str(), &picture.bytes)?;
        let stored = Stored { name, width: picture.width, height: picture.height };
        let mut all = lock(&self.converted);
        all.truncate(CONVERTED_MAX - 1);
        all.push_front((hash, stored.clone()));
        Ok(stored)
    }

    fn find_converted(&self, hash: &[u8; 32]) -> Option<Stored> {
        let all = lock(&self.converted);
        all.iter().find(|(known, _)| known == hash).map(|(_, stored)| stored.clone())
    }
}

/// Locks a table, for no longer than a look-up. No panic can leave one half changed, so poison
/// means nothing.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
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
    use data_encoding::HEXLOWER;

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

    #[tokio::test]
    async fn an_image_is_stored_once_under_its_hash_and_shared() {
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
        let get = async |name: &str| cache.get_or_read(dir.path(), name).await.unwrap();
        let (first, second) = (get(stored.name.as_str()).await.unwrap(), get(stored.name.as_str()).await.unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(stored.name.as_str(), format!("{}.jpg", HEXLOWER.encode(&sha256(&first))));
        assert_eq!(format_of(stored.name.as_str()), Some(Format::Jpeg));
        assert!(get("missing.png").await.is_none());
    }

    #[tokio::test]
    async fn a_hall_that_asks_at_once_reads_the_file_once_and_holds_no_lock_meanwhile() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), ImageCache::default());
        // A pipe: its one read lasts until the test writes, and a second one would never end.
        let path = dir.path().join("a.png");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        cache.keep_recent("b.png", &Bytes::from_static(b"other"));
        let mut hall: Vec<_> = (0..100).map(|_| Box::pin(cache.get_or_read(dir.path(), "a.png"))).collect();
        for phone in &mut hall {
            assert!(futures_util::poll!(phone).is_pending(), "the file is not read yet");
        }
        assert_eq!(
            cache.get_or_read(dir.path(), "b.png").await.unwrap().as_deref(),
            Some(&b"other"[..]),
            "others are answered meanwhile"
        );
        let writer = tokio::task::spawn_blocking(move || std::fs::write(path, b"picture"));
        let images: Vec<_> = futures_util::future::join_all(hall).await;
        writer.await.unwrap().unwrap();
        let images: Vec<_> = images.into_iter().map(|image| image.unwrap().unwrap()).collect();
        assert!(images.iter().all(|image| image == "picture" && image.as_ptr() == images[0].as_ptr()), "one buffer for all");
        assert!(lock(&cache.reads).is_empty());
    }

    #[test]
    fn a_deleted_image_is_converted_again() {
        let (dir, cache, file) = (tempfile::tempdir().unwrap(), ImageCache::default(), png(3, 2));
        let stored = cache.store(dir.path(), &file).unwrap();
        std::fs::remove_file(dir.path().join(stored.name.as_str())).unwrap();
        assert_eq!(cache.store(dir.path(), &file).unwrap(), stored);
        assert!(dir.path().join(stored.name.as_str()).exists());
    }

    #[tokio::test]
    async fn the_cache_is_bounded() {
        let (dir, cache) = (tempfile::tempdir().unwrap(), ImageCache::default());
        for width in 1..=CONVERTED_MAX as u32 + 10 {
            cache.store(dir.path(), &png(width, 1)).unwrap();
        }
        assert_eq!(cache.converted.lock().unwrap().len(), CONVERTED_MAX);
        assert!(cache.find_converted(&sha256(&png(CONVERTED_MAX as u32 + 10, 1))).is_some(), "the latest is known");
        for place in 0..20 {
            let name = format!("{place}.png");
            std::fs::write(dir.path().join(&name), vec![0; 3 << 20]).unwrap();
            cache.get_or_read(dir.path(), &name).await.unwrap().unwrap();
        }
        let held: usize = cache.recent.lock().unwrap().iter().map(|(_, image)| image.len()).sum();
        assert!((3 << 20..=CACHED_BYTES_MAX).contains(&held), "{held} bytes");
    }
}
