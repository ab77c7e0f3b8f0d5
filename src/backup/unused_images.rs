//! The collection of images that no event shows, and of files that a crash left half-written.
//!
//! A deleted prize or event leaves its images behind, and a folder that is full takes no new one.
//! Age is measured by this process and not by the wall clock, which may jump: a file goes once two
//! passes an hour apart found it unused and unchanged. A use that begins meanwhile marks the file
//! first ([`mark_used`]), and the file is checked once more after it has lost its name. So no image
//! goes that an event is about to show. Backups hold their own links to the images; a copy from
//! before a deletion is a journal alone, so the images that it names stay as long as it does. This
//! file must never remove a file of another kind.

use crate::backup::{BackupError, at};
use crate::base::data_dir::DataDir;
use crate::base::durable_file::TEMPORARY_SUFFIX;
use crate::base::image_name::ImageName;
use crate::draw::Event;
use crate::store::copies;
use crate::store::keys::Keys;
use crate::store::reader::JournalReader;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The time for which a file has to be unused before it goes.
pub const UNUSED_MIN: Duration = Duration::from_secs(3_600);

/// The ending of a half-written image of older programs, and of an image about to be removed.
const PART_SUFFIX: &str = ".part";

/// Finds the files that are unused for long enough.
#[derive(Debug, Default)]
pub struct UnusedImages {
    /// Unused files with their time of change, and when the first pass found them so.
    found: BTreeMap<OsString, (SystemTime, Instant)>,
    /// The images that each copy from before a deletion names. A copy is read once.
    copied: BTreeMap<PathBuf, BTreeSet<ImageName>>,
}

impl UnusedImages {
    /// Removes the images of a data folder that were unused for [`UNUSED_MIN`], and returns their
    /// number; `in_use` is asked after the files are listed.
    ///
    /// # Errors
    /// The disk's error, or a copy from before a deletion that cannot be read. Files that could not
    /// be removed are tried again.
    pub fn collect(
        &mut self,
        data: &DataDir,
        in_use: impl FnOnce() -> BTreeSet<ImageName>,
        now: Instant,
    ) -> Result<usize, BackupError> {
        let dir = data.images();
        let files = collectable(&dir).map_err(at(&dir))?;
        let in_use = in_use();
        let is_in = |images: &BTreeSet<ImageName>, name: &OsString| {
            name.to_str().and_then(ImageName::parse).is_some_and(|name| images.contains(&name))
        };
        let known = std::mem::take(&mut self.found);
        for (name, changed_at) in files.into_iter().filter(|(name, _)| !is_in(&in_use, name)) {
            let since = known.get(&name).filter(|(before, _)| *before == changed_at).map_or(now, |(_, since)| *since);
            self.found.insert(name, (changed_at, since));
        }
        let is_old = |since: Instant| now.saturating_duration_since(since) >= UNUSED_MIN;
        if self.found.values().any(|(_, since)| is_old(*since)) {
            self.read_copies(data)?;
        }
        let mut removed = 0;
        for (name, (changed_at, _)) in self.found.iter().filter(|(_, (_, since))| is_old(*since)) {
            if !self.copied.values().any(|images| is_in(images, name)) {
                removed += usize::from(remove_unchanged(&dir.join(name), *changed_at).map_err(at(&dir))?);
            }
        }
        Ok(removed)
    }

    /// Reads the copies from before a deletion that are new, and forgets those that are gone.
    fn read_copies(&mut self, data: &DataDir) -> Result<(), BackupError> {
        let folder = data.backups();
        let copies = copies::before_deletions(&folder).map_err(at(&folder))?;
        self.copied.retain(|known, _| copies.iter().any(|(_, path)| path == known));
        for (_, path) in copies {
            if let Entry::Vacant(new) = self.copied.entry(path) {
                let events = JournalReader::open(new.key(), &Keys::read(data)?)?.verify()?;
                new.insert(events.iter().flat_map(images_of).collect());
            }
        }
        Ok(())
    }
}

/// Marks a stored image as used from now on; false where there is no such file.
pub fn mark_used(path: &Path) -> bool {
    // Opened for reading, which suffices for its owner to set the time.
    File::open(path).and_then(|file| file.set_modified(SystemTime::now())).is_ok()
}

/// Removes the files that a crash left half-written. For the start of a server, before anything is
/// uploaded.
///
/// # Errors
/// The disk's error.
pub fn remove_unfinished(data: &DataDir) -> io::Result<()> {
    let dir = data.images();
    let unfinished = collectable(&dir)?.into_iter().map(|(name, _)| name).filter(is_unfinished);
    unfinished.map(|name| dir.join(name)).try_for_each(fs::remove_file)
}

/// The images that an event shows: of its prizes, its standby and its draws.
pub fn images_of(event: &Event) -> impl Iterator<Item = ImageName> {
    let prizes = event.prizes.iter().map(|prize| &prize.image);
    let specs = event.draws().map(|draw| &draw.spec).chain(&event.standby).map(|spec| &spec.prize_image);
    prizes.chain(specs).filter_map(|image| ImageName::in_path(image.as_deref()?))
}

/// The files that may be collected, with their times of change; none where there is no folder.
fn collectable(dir: &Path) -> io::Result<Vec<(OsString, SystemTime)>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let (name, metadata) = (entry.file_name(), entry.metadata()?);
        let is_image = name.to_str().is_some_and(|name| ImageName::parse(name).is_some());
        if metadata.is_file() && (is_image || is_unfinished(&name)) {
            files.push((name, metadata.modified()?));
        }
    }
    Ok(files)
}

fn is_unfinished(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| [TEMPORARY_SUFFIX, PART_SUFFIX].iter().any(|suffix| name.ends_with(suffix)))
}

/// Removes a file unless it was marked as used since; returns whether it did.
fn remove_unchanged(path: &Path, changed_at: SystemTime) -> io::Result<bool> {
    let mut nameless = path.as_os_str().to_owned();
    nameless.push(PART_SUFFIX);
    let nameless = PathBuf::from(nameless);
    fs::rename(path, &nameless)?;
    // From here on a use finds no file, and stores the image anew.
    if fs::metadata(&nameless)?.modified()? == changed_at {
        fs::remove_file(&nameless)?;
        return Ok(true);
    }
    fs::rename(&nameless, path)?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::image_name;
    use crate::draw::{Fact, Prize, PrizeId, Timestamp, sample};
    use crate::store::testing::{TempDataDir, entry, event_id, open_journal, opened, temp_data_dir};

    fn name(digit: &str) -> ImageName {
        ImageName::parse(&format!("{}.png", digit.repeat(64))).unwrap()
    }

    fn folder(names: &[&str]) -> TempDataDir {
        let data = temp_data_dir();
        fs::create_dir(data.images()).unwrap();
        names.iter().for_each(|name| fs::write(data.images().join(name), "picture").unwrap());
        data
    }

    fn names(data: &DataDir) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(data.images()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_image_goes_once_it_is_unused_for_an_hour_and_no_other_file_goes() {
        let (used, unused, marked) = (name("a"), name("b"), name("c"));
        let data = folder(&[used.as_str(), unused.as_str(), marked.as_str(), "x.jpg.tmp", "y.ThreadId(7).part", "mine.txt"]);
        let (mut images, start) = (UnusedImages::default(), Instant::now());
        let mut collect = |after: Duration| {
            let in_use = || BTreeSet::from([used.clone()]);
            images.collect(&data, in_use, start + after).unwrap()
        };
        assert_eq!(collect(Duration::ZERO), 0);
        assert_eq!(collect(UNUSED_MIN - Duration::from_secs(1)), 0, "a file younger than an hour");
        // As if it were used again at another instant than it was written.
        let later = SystemTime::now() + Duration::from_secs(5);
        File::open(data.image(&marked)).unwrap().set_modified(later).unwrap();
        assert_eq!(collect(UNUSED_MIN), 3);
        assert_eq!(names(&data), [used.as_str(), marked.as_str(), "mine.txt"]);
        assert_eq!(collect(2 * UNUSED_MIN), 1, "an hour after its last use");
        assert_eq!(names(&data), [used.as_str(), "mine.txt"]);
    }

    #[test]
    fn an_image_stays_as_long_as_a_copy_from_before_a_deletion_names_it() {
        let (data, mut journal) = open_journal();
        let image = name("a");
        fs::create_dir(data.images()).unwrap();
        fs::write(data.image(&image), "picture").unwrap();
        let shown = Some(format!("{}{}", image_name::PATH, image).into());
        let prize = Prize { id: PrizeId(1), image: shown, ..sample::prize("Tea", 1) };
        journal.commit(&[opened("gala"), entry("gala", 1, Fact::PrizeAdded { prize })]).unwrap();
        journal.copier().copy_before_deletion(&data.backups(), &[event_id("gala")], Timestamp(5)).unwrap();
        let (mut images, start) = (UnusedImages::default(), Instant::now());
        let mut collect = |hours: u32| images.collect(&data, BTreeSet::new, start + hours * UNUSED_MIN).unwrap();
        assert_eq!((collect(0), collect(2), collect(3)), (0, 0, 0));
        assert_eq!(names(&data), [image.as_str()], "the event can be brought back with its picture");
        fs::remove_file(data.backups().join("before-delete-gala-5.sqlite")).unwrap();
        assert_eq!(collect(4), 1);
    }

    #[test]
    fn an_image_that_is_used_at_the_last_instant_stays() {
        let image = name("a");
        let data = folder(&[image.as_str()]);
        let path = data.image(&image);
        let changed_at = fs::metadata(&path).unwrap().modified().unwrap() - Duration::from_secs(1);
        assert!(!remove_unchanged(&path, changed_at).unwrap(), "changed since it was found");
        assert_eq!(names(&data), [image.as_str()]);
        assert!(mark_used(&path));
        let changed_at = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(remove_unchanged(&path, changed_at).unwrap());
        assert!(!mark_used(&path) && names(&data).is_empty());
    }

    #[test]
    fn a_start_removes_what_a_crash_left_half_written() {
        let image = name("a");
        let data = folder(&[image.as_str(), "x.jpg.tmp", "y.ThreadId(7).part", "mine.txt"]);
        remove_unfinished(&data).unwrap();
        assert_eq!(names(&data), [image.as_str(), "mine.txt"]);
        remove_unfinished(&temp_data_dir()).unwrap();
    }

    #[test]
    fn an_event_shows_the_images_of_its_prizes_and_draws() {
        let path = |digit: &str| Some(format!("{}{}", image_name::PATH, name(digit)).into());
        let mut event = sample::event().build();
        let prize = |id, image| Prize { id: PrizeId(id), image, ..sample::prize("Tea", 1) };
        for (id, image) in [(5, path("a")), (6, path("b")), (7, Some("/elsewhere.png".into()))] {
            event.apply(Timestamp(1), &Fact::PrizeAdded { prize: prize(id, image) });
        }
        event.apply(Timestamp(2), &Fact::PrizeRemoved { prize: PrizeId(6) });
        assert_eq!(images_of(&event).collect::<Vec<_>>(), [name("a")]);
    }
}
