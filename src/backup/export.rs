//! An export: one event of a data folder, in one file that another server can take over with. The server need not stop.
//!
//! The event's facts are written anew into a journal under a secret of its own, which is how the server's secret stays at home; of the keys only the
//! one that signs tokens travels, since the phones in the hall hold tokens that were made with it. It signs those of the other events too: so the
//! file opens what `secret.key` opens for phones and links, and is made for its owner alone.

use crate::backup::{ArchiveError, IMAGES, at};
use crate::draw::fact::WinnerDetails;
use crate::draw::{DrawId, Event, EventId, Fact, Number};
use crate::store::event_export::{self, EventExport};
use crate::store::folder;
use crate::store::journal::{JOURNAL_FILE, Journal};
use crate::store::keys::{Keys, SECRET_FILE};
use crate::store::reading::Reading;
use crate::store::{JournalEntry, JournalError};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// So many facts are written at a time.
const BATCH: usize = 4_096;

/// Where the path of an image of this server begins.
const IMAGE_PATH: &str = "/api/luckydraw/images/";

/// What left.
#[derive(Debug)]
pub struct Exported {
    event: Event,
    details: usize,
    images: usize,
    to: PathBuf,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, details, images, to } = self;
        writeln!(f, "{}", to.display())?;
        let (participants, draws) = (event.participant_count(), event.draws().len());
        writeln!(f, "{}: {participants} participants, {draws} draws, {details} winners' details, {images} images", event.id)?;
        writeln!(f, "take it in on the other machine with: luckydraw import {}", to.display())?;
        writeln!(
            f,
            "It holds the key to the winners' details and to the phones' numbers: keep it where nobody else can read, and delete it afterwards."
        )
    }
}

/// What an event is made of.
struct Contents {
    entries: Vec<JournalEntry>,
    details: usize,
    images: Vec<String>,
}

/// Writes the event into the file `to`, readable by its owner alone; whole, or not at all.
///
/// # Errors
/// When there is no such event, or something cannot be read, written or read back.
pub fn export(data: &Path, event: &EventId, to: &Path) -> Result<Exported, ArchiveError> {
    if !data.join(JOURNAL_FILE).is_file() {
        return Err(ArchiveError::NoJournal { folder: data.to_owned() });
    }
    let keys = Keys::read(data)?;
    let reading = Reading::open(&data.join(JOURNAL_FILE), &keys)?;
    let standing = reading.verify()?.into_iter().find(|found| found.id == *event);
    let standing = standing.ok_or_else(|| ArchiveError::NoSuchEvent { event: event.clone() })?;
    let contents = collect(&reading, event)?;
    let work = folder::beside(&folder::beside(to));
    let _ = fs::remove_dir_all(&work);
    let packed = pack(&work, data, &contents, &keys.token_secret(standing.session), to);
    // It holds a secret and everything under it, in the clear for whoever may read it: not a byte stays.
    let removed = fs::remove_dir_all(&work);
    packed?;
    removed.map_err(at(&work))?;
    Ok(Exported { event: standing, details: contents.details, images: contents.images.len(), to: to.to_owned() })
}

/// Everything of the event, with the details beside the facts that they came with.
fn collect(reading: &Reading, event: &EventId) -> Result<Contents, ArchiveError> {
    let details = reading.details(event)?;
    let count = details.len();
    let mut details: BTreeMap<(DrawId, Number), WinnerDetails> =
        details.into_iter().map(|details| ((details.draw, details.number), details)).collect();
    let (mut entries, mut images) = (Vec::new(), BTreeSet::new());
    reading.facts(|id, stamped| {
        if id != *event {
            return;
        }
        images.extend(image_of(&stamped.fact).and_then(|path| path.strip_prefix(IMAGE_PATH)).map(str::to_owned));
        let details = match &stamped.fact {
            Fact::DetailsReceived { draw, number } => details.remove(&(*draw, *number)),
            _ => None,
        };
        entries.push(JournalEntry { event: id, stamped, details });
    })?;
    Ok(Contents { entries, details: count - details.len(), images: images.into_iter().collect() })
}

/// The image that a fact names.
fn image_of(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::PrizeAdded { prize } | Fact::PrizeChanged { prize } => prize.image.as_deref(),
        Fact::StandbyShown { spec } | Fact::Started { spec, .. } => spec.prize_image.as_deref(),
        _ => None,
    }
}

/// Writes a journal in the folder `work`, makes the file `to` of it, and reads that back.
fn pack(work: &Path, data: &Path, contents: &Contents, token_secret: &[u8; 32], to: &Path) -> Result<(), ArchiveError> {
    let keys = Keys::open(work)?;
    let mut journal = Journal::open(work, &keys)?;
    for batch in contents.entries.chunks(BATCH) {
        journal.commit(batch)?;
    }
    let secret = fs::read(work.join(SECRET_FILE)).map_err(at(&work.join(SECRET_FILE)))?;
    let images_dir = data.join(IMAGES);
    // A console may name an image that was never there.
    let images: Vec<_> = contents.images.iter().filter(|name| images_dir.join(name).is_file()).cloned().collect();
    event_export::close(&journal, &secret, token_secret, (&images_dir, &images), to)?;
    read_back(to, contents).inspect_err(|_| {
        // What cannot be removed is written over by the next export.
        let _ = fs::remove_file(to);
    })
}

/// Sees that the file holds it all, as an import would.
fn read_back(file: &Path, contents: &Contents) -> Result<(), ArchiveError> {
    let parcel = EventExport::open(file)?;
    parcel.reading.verify()?;
    let counts = parcel.reading.counts(i64::MAX)?;
    let is_whole = counts.facts == contents.entries.len() as i64 && counts.details == contents.details as i64;
    if is_whole { Ok(()) } else { Err(JournalError::UnlikeCopy.into()) }
}
