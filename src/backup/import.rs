//! An import: an exported event goes on in this data folder, which no server may use meanwhile.
//!
//! The file is verified before anything is changed. Images come first, the key of the phones'
//! tokens next and the facts last, in one commit: an event that exists has all it needs, and a
//! crash before leaves only a few bytes that nobody asks for. Picks and details are sealed again
//! under this folder's secret. The event gets a new epoch and a new seed chain: the server it came
//! from may have gone on.

use crate::backup::{BackupError, at, now_ms};
use crate::base::chance;
use crate::base::data_dir::DataDir;
use crate::base::durable_file;
use crate::base::image_name::ImageName;
use crate::draw::fact::{RecordedFact, WinnerDetails};
use crate::draw::{Actor, DrawId, Event, EventId, Fact, Number, Timestamp};
use crate::store::event_export::EventExport;
use crate::store::journal::Journal;
use crate::store::keys::{self, Keys};
use crate::store::{JournalEntry, JournalError};
use data_encoding::HEXLOWER;
use ring::digest;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    event: Event,
    into: EventId,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (participants, draws) = (self.event.participant_count(), self.event.draws().len());
        writeln!(f, "took in {}: {participants} participants, {draws} draws; start the server and go on", self.into)
    }
}

/// Takes in the event of the file, as `name` where one is given.
///
/// # Errors
/// When a server uses `data`, an event of that name exists, or the file cannot be used; then
/// nothing is changed.
pub fn import(data: &DataDir, file: &Path, name: Option<&EventId>, events_max: u32) -> Result<Imported, BackupError> {
    let (export, event) = read(file).map_err(|error| match error {
        BackupError::Journal(JournalError::NotAnExport { .. } | JournalError::Io { .. }) => error,
        other => BackupError::UnfitExport { path: file.to_owned(), source: Box::new(other) },
    })?;
    let into = name.unwrap_or(&event.id).clone();
    let own = Keys::open(data)?;
    let mut journal = Journal::open(data, &own)?;
    if journal.events().any(|held| *held == into) {
        return Err(BackupError::EventExists { event: into });
    }
    if journal.events().count() >= events_max as usize {
        return Err(BackupError::TooManyEvents { max: events_max });
    }
    let entries = entries(&export, &event.id, &into)?;
    add_images(&export, data)?;
    if own.token_secret(event.session) != export.token_secret {
        keys::store_imported_key(data, &into, event.session, export.token_secret)?;
    }
    journal.commit(&entries)?;
    journal.checkpoint()?;
    Ok(Imported { event, into })
}

/// Opens and verifies the file, down to the images.
fn read(file: &Path) -> Result<(EventExport, Event), BackupError> {
    let export = EventExport::open(file)?;
    // Before any of them is built: an export has one event, and a file of a stranger may have a
    // million.
    if export.reader.count_rows(i64::MAX)?.events != 1 {
        return Err(BackupError::NotOneEvent);
    }
    let event = export.reader.verify()?.into_iter().next().ok_or(BackupError::NotOneEvent)?;
    export.images(|name, bytes| parse_image(name, bytes).map(drop))?;
    Ok((export, event))
}

/// Every fact as one of `into`, with the details beside the facts that they came with, and a new
/// epoch and seed chain at the end.
fn entries(export: &EventExport, from: &EventId, into: &EventId) -> Result<Vec<JournalEntry>, BackupError> {
    let details = export.reader.details(from)?;
    let mut details: BTreeMap<(DrawId, Number), WinnerDetails> =
        details.into_iter().map(|details| ((details.draw, details.number), details)).collect();
    let mut entries = Vec::new();
    export.reader.facts(|id, mut stamped| {
        if id != *from {
            return;
        }
        let mut own = None;
        match &mut stamped.fact {
            Fact::Opened { id, .. } => *id = into.clone(),
            Fact::DetailsReceived { draw, number } => own = details.remove(&(*draw, *number)),
            _ => {}
        }
        entries.push(JournalEntry { event: into.clone(), stamped, details: own });
    })?;
    for fact in [Fact::EpochRenewed { epoch: chance::epoch() }, Event::begin_chain(chance::bytes())] {
        let stamped = RecordedFact { at: Timestamp(now_ms()), actor: Actor::Admin, fact };
        entries.push(JournalEntry { event: into.clone(), stamped, details: None });
    }
    Ok(entries)
}

/// Writes the images that are missing.
fn add_images(export: &EventExport, data: &DataDir) -> Result<(), BackupError> {
    durable_file::create_folder(&data.images()).map_err(at(&data.images()))?;
    export.images(|name, bytes| {
        let path = data.image(&parse_image(name, bytes)?);
        if path.exists() {
            return Ok(());
        }
        durable_file::write(&path, bytes).map_err(at(&path))
    })
}

/// The name of an image, which must be the SHA-256 of its content: a name from a stranger's file
/// may be a path to anywhere.
fn parse_image(name: &str, bytes: &[u8]) -> Result<ImageName, BackupError> {
    let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref());
    let named = ImageName::parse(name).filter(|name| name.hash() == hash);
    named.ok_or_else(|| BackupError::OtherImage { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_accepted_only_under_the_hash_of_its_content() {
        let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, b"picture").as_ref());
        parse_image(&format!("{hash}.png"), b"picture").unwrap();
        for wrong in ["../secret.key", "x.png", &hash, &format!("{hash}.svg"), &format!("{hash}.png/../../x")] {
            assert!(parse_image(wrong, b"picture").is_err(), "{wrong}");
        }
        assert!(parse_image(&format!("{hash}.png"), b"another").is_err());
    }
}
