//! An import: an exported event goes on in this data folder, which no server may hold meanwhile.
//!
//! The file is verified before anything is touched. Images come first, the key of the phones' tokens next and the facts last, in one commit: an
//! event that is there has all it needs, and what comes without its event is only a few bytes that nobody asks for. Picks and details are closed
//! anew with this folder's secret. The event gets a new epoch: the server it came from may have gone on.

use crate::backup::{ArchiveError, IMAGES, at, now};
use crate::base::chance;
use crate::draw::fact::{RecordedFact, WinnerDetails};
use crate::draw::{Actor, DrawId, Event, EventId, Fact, Number, Timestamp};
use crate::store::event_export::EventExport;
use crate::store::journal::Journal;
use crate::store::keys::{self, Keys};
use crate::store::{JournalEntry, JournalError, folder};
use data_encoding::HEXLOWER;
use ring::digest;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What arrived.
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

/// Takes the event in the file in, as `name` where one is given.
///
/// # Errors
/// When a server holds `data`, an event of that name is there, or the file cannot be used; then nothing is changed.
pub fn import(data: &Path, file: &Path, name: Option<&EventId>, events_max: u32) -> Result<Imported, ArchiveError> {
    let (parcel, event) = read(file).map_err(|error| match error {
        ArchiveError::Journal(JournalError::NoParcel { .. }) => error,
        other => ArchiveError::UnfitExport { path: file.to_owned(), source: Box::new(other) },
    })?;
    let into = name.unwrap_or(&event.id).clone();
    let own = Keys::open(data)?;
    let mut journal = Journal::open(data, &own)?;
    if journal.events().any(|held| *held == into) {
        return Err(ArchiveError::EventExists { event: into });
    }
    if journal.events().count() >= events_max as usize {
        return Err(ArchiveError::TooManyEvents { max: events_max });
    }
    let entries = entries(&parcel, &event.id, &into)?;
    keep_images(&parcel, &data.join(IMAGES))?;
    if own.token_secret(event.session) != parcel.token_secret {
        keys::keep_imported(data, &into, event.session, parcel.token_secret)?;
    }
    journal.commit(&entries)?;
    journal.checkpoint()?;
    Ok(Imported { event, into })
}

/// Opens and verifies the file, down to the images.
fn read(file: &Path) -> Result<(EventExport, Event), ArchiveError> {
    let parcel = EventExport::open(file)?;
    let event = parcel.reading.verify()?.into_iter().next().ok_or(ArchiveError::Empty)?;
    parcel.images(is_named_right)?;
    Ok((parcel, event))
}

/// Every fact as one of `into`, with the details beside the facts that they came with, and the new epoch in the end.
fn entries(parcel: &EventExport, from: &EventId, into: &EventId) -> Result<Vec<JournalEntry>, ArchiveError> {
    let details = parcel.reading.details(from)?;
    let mut details: BTreeMap<(DrawId, Number), WinnerDetails> =
        details.into_iter().map(|details| ((details.draw, details.number), details)).collect();
    let mut entries = Vec::new();
    parcel.reading.facts(|id, mut stamped| {
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
    let fact = Fact::EpochRenewed { epoch: chance::epoch() };
    let stamped = RecordedFact { at: Timestamp(now()), actor: Actor::Admin, fact };
    entries.push(JournalEntry { event: into.clone(), stamped, details: None });
    Ok(entries)
}

/// Keeps the images that are not there yet.
fn keep_images(parcel: &EventExport, dir: &Path) -> Result<(), ArchiveError> {
    folder::make(dir).map_err(at(dir))?;
    parcel.images(|name, bytes| {
        let path = dir.join(name);
        if path.exists() {
            return Ok(());
        }
        folder::write_durably(&path, bytes).map_err(at(&path))
    })
}

/// Sees that an image is called by its SHA-256 and a format's ending: a name from a file of somebody else's may be a path to anywhere.
fn is_named_right(name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
    let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref());
    let ending = name.strip_prefix(&hash).and_then(|rest| rest.strip_prefix('.'));
    match ending {
        Some("png" | "jpg" | "gif" | "webp") => Ok(()),
        _ => Err(ArchiveError::OtherImage { name: name.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_taken_by_the_name_of_what_it_holds_and_no_other() {
        let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, b"picture").as_ref());
        is_named_right(&format!("{hash}.png"), b"picture").unwrap();
        for wrong in ["../secret.key", "x.png", &hash, &format!("{hash}.svg"), &format!("{hash}.png/../../x")] {
            assert!(is_named_right(wrong, b"picture").is_err(), "{wrong}");
        }
        assert!(is_named_right(&format!("{hash}.png"), b"another").is_err());
    }
}
