//! An export: one event of a data folder, in one file that another server can take over with. The
//! server need not stop.
//!
//! The event's facts are written into a new journal under a secret of its own, so that the server's
//! secret stays at home. Seeds that no draw has used stay too: they decide later draws. Of the keys
//! only the one that signs tokens travels, since the phones in the hall hold tokens that it signed.
//! It signs those of the other events too: the file opens what `secret.key` opens for phones and
//! links, and is created for its owner alone.

use crate::backup::{BackupError, at};
use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use crate::base::image_name::ImageName;
use crate::draw::fact::WinnerDetails;
use crate::draw::proof::{Hash, Seed, SeedChain};
use crate::draw::{DrawId, Event, EventId, Fact, Number};
use crate::store::event_export::{self, EventExport};
use crate::store::journal::Journal;
use crate::store::keys::Keys;
use crate::store::reader::JournalReader;
use crate::store::{JournalEntry, JournalError};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The facts per commit.
const BATCH_FACTS: usize = 4_096;

/// The result of an export.
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

/// Everything of one event.
struct Contents {
    entries: Vec<JournalEntry>,
    details: usize,
    images: Vec<ImageName>,
}

/// Writes the event into the file `to`, readable by its owner alone; whole, or not at all.
///
/// # Errors
/// When there is no such event, or something cannot be read, written or read back.
pub fn export(data: &DataDir, event: &EventId, to: &Path) -> Result<Exported, BackupError> {
    if !data.journal().is_file() {
        return Err(BackupError::NoJournal { folder: data.path().to_owned() });
    }
    if to.exists() {
        return Err(BackupError::FileExists { path: to.to_owned() });
    }
    let keys = Keys::read(data)?;
    let reader = JournalReader::open(&data.journal(), &keys)?;
    let found = reader.verify()?.into_iter().find(|found| found.id == *event);
    let found = found.ok_or_else(|| BackupError::NoSuchEvent { event: event.clone() })?;
    let contents = collect(&reader, event)?;
    let work = durable_file::temporary_path(&durable_file::temporary_path(to));
    let _ = fs::remove_dir_all(&work);
    let packed = pack(&DataDir::new(&work), data, &contents, &keys.token_secret(found.session), to);
    // It holds a secret with all that is sealed under it: not a byte may stay.
    let removed = fs::remove_dir_all(&work);
    packed?;
    removed.map_err(at(&work))?;
    Ok(Exported { event: found, details: contents.details, images: contents.images.len(), to: to.to_owned() })
}

/// Collects the event, with the details beside the facts that they came with.
fn collect(reader: &JournalReader, event: &EventId) -> Result<Contents, BackupError> {
    let details = reader.details(event)?;
    let count = details.len();
    let mut details: BTreeMap<(DrawId, Number), WinnerDetails> =
        details.into_iter().map(|details| ((details.draw, details.number), details)).collect();
    let (mut entries, mut images) = (Vec::new(), BTreeSet::new());
    reader.facts(|id, stamped| {
        if id != *event {
            return;
        }
        images.extend(image_of(&stamped.fact).and_then(ImageName::in_path));
        let details = match &stamped.fact {
            Fact::DetailsReceived { draw, number } => details.remove(&(*draw, *number)),
            _ => None,
        };
        entries.push(JournalEntry { event: id, stamped, details });
    })?;
    drop_unused_seeds(&mut entries);
    Ok(Contents { entries, details: count - details.len(), images: images.into_iter().collect() })
}

/// Ends every seed chain at the last draw that it was used for; of those without a draw only the
/// anchor is left, which phones may have kept.
fn drop_unused_seeds(entries: &mut [JournalEntry]) {
    let mut used: BTreeMap<Hash, u32> = BTreeMap::new();
    for entry in entries.iter() {
        if let Fact::Started { lock: Some(lock), .. } = &entry.stamped.fact {
            used.insert(lock.anchor, lock.place);
        }
    }
    for entry in entries {
        let Fact::ChainBegun { anchor, length, last } = &mut entry.stamped.fact else { continue };
        let place = used.get(anchor).copied();
        let used_seed = place.and_then(|place| Some((place, SeedChain::new(*anchor, *last, *length).seed(place)?)));
        (*length, *last) = used_seed.unwrap_or((0, Seed(*anchor)));
    }
}

/// The path of the image that a fact names.
fn image_of(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::PrizeAdded { prize } | Fact::PrizeChanged { prize } => prize.image.as_deref(),
        Fact::StandbyShown { spec } | Fact::Started { spec, .. } => spec.prize_image.as_deref(),
        _ => None,
    }
}

/// Writes a journal in the folder `work`, turns it into the file `to`, and reads that back.
fn pack(work: &DataDir, data: &DataDir, contents: &Contents, token_secret: &[u8; 32], to: &Path) -> Result<(), BackupError> {
    let keys = Keys::open(work)?;
    let mut journal = Journal::open(work, &keys)?;
    for batch in contents.entries.chunks(BATCH_FACTS) {
        journal.commit(batch)?;
    }
    let secret = fs::read(work.secret_key()).map_err(at(&work.secret_key()))?;
    // A console may name an image that was never there.
    let images: Vec<_> = contents.images.iter().filter(|name| data.image(name).is_file()).cloned().collect();
    event_export::write(&journal, &secret, token_secret, (data, &images), to)?;
    read_back(to, contents).inspect_err(|_| {
        // A leftover that cannot be removed is replaced by the next export.
        let _ = fs::remove_file(to);
    })
}

/// Checks that the file holds it all, as an import would.
fn read_back(file: &Path, contents: &Contents) -> Result<(), BackupError> {
    let export = EventExport::open(file)?;
    export.reader.verify()?;
    let counts = export.reader.count_rows(i64::MAX)?;
    let is_whole = counts.facts == contents.entries.len() as i64 && counts.details == contents.details as i64;
    if is_whole { Ok(()) } else { Err(JournalError::CopyDiffers.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::proof::{Lock, OutsideRule};
    use crate::draw::{DrawSpec, Mode, Pool};
    use crate::store::testing::entry;
    use std::sync::Arc;

    #[test]
    fn an_export_has_the_seeds_of_its_draws_and_no_later_one() {
        let last = Seed([7; 32]);
        let anchor = SeedChain::anchor_of(last, 100);
        let chain = SeedChain::new(anchor, last, 100);
        let lock = |place| Lock {
            event: EventId::parse("gala").unwrap(),
            anchor,
            place,
            previous: [0; 32],
            roster_root: [1; 32],
            outside: OutsideRule::Hall,
            round: None,
            head: [2; 32],
        };
        let spec = DrawSpec {
            prize_id: None,
            prize_name: "TV".into(),
            prize_rank: 1,
            prize_grade: None,
            prize_image: None,
            mode: Mode::Slot,
            winner_count: 1,
            show_length: None,
        };
        let started = |draw, place| Fact::Started {
            draw: DrawId(draw),
            spec: Arc::new(spec.clone()),
            pool: Arc::new(Pool::new(1)),
            sealed: None,
            lock: Some(Arc::new(lock(place))),
            redraw_of: None,
            request: None,
        };
        let unused = Fact::ChainBegun { anchor: [9; 32], length: 100, last: Seed([8; 32]) };
        let facts = [Fact::ChainBegun { anchor, length: 100, last }, started(1, 1), started(2, 2), unused];
        let mut entries: Vec<_> = facts.map(|fact| entry("gala", 1, fact)).into();
        drop_unused_seeds(&mut entries);
        let second = Fact::ChainBegun { anchor, length: 2, last: chain.seed(2).unwrap() };
        assert_eq!(entries[0].stamped.fact, second);
        let anchor_alone = Fact::ChainBegun { anchor: [9; 32], length: 0, last: Seed([9; 32]) };
        assert_eq!(entries[3].stamped.fact, anchor_alone, "the seeds of a chain without a draw stay at home");
        assert_eq!(SeedChain::new([9; 32], Seed([9; 32]), 0).seed(1), None);
    }
}
