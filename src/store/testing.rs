//! Journals and entries that the tests of this module and of `backup` share.

use crate::base::data_dir::DataDir;
use crate::draw::fact::{Cause, RecordedFact, SealedPick, SecretScope, Settings, WinnerDetails};
use crate::draw::{Actor, DrawId, DrawSpec, Entropy, Epoch, EventId, Fact, Mode, Number, Pool, SessionId, Timestamp};
use crate::store::{Journal, JournalEntry, Keys};
use std::ops::Deref;
use tempfile::TempDir;

/// A data folder that is removed with the test.
pub struct TempDataDir {
    data: DataDir,
    _temp: TempDir,
}

impl Deref for TempDataDir {
    type Target = DataDir;

    fn deref(&self) -> &DataDir {
        &self.data
    }
}

pub fn temp_data_dir() -> TempDataDir {
    let temp = tempfile::tempdir().unwrap();
    TempDataDir { data: DataDir::new(temp.path()), _temp: temp }
}

/// The journal of a folder, under the folder's own keys.
pub fn open_in(data: &DataDir) -> Journal {
    Journal::open(data, &Keys::open(data).unwrap()).unwrap()
}

/// Does the log of a folder's journal hold anything but zeros?
pub fn has_frames(data: &DataDir) -> bool {
    std::fs::read(data.journal_log()).unwrap().iter().any(|byte| *byte != 0)
}

/// An empty journal in a folder of its own.
pub fn open_journal() -> (TempDataDir, Journal) {
    let data = temp_data_dir();
    let journal = open_in(&data);
    (data, journal)
}

pub fn event_id(text: &str) -> EventId {
    EventId::parse(text).unwrap()
}

pub fn entry(event: &str, at: i64, fact: Fact) -> JournalEntry {
    JournalEntry { event: event_id(event), stamped: RecordedFact { at: Timestamp(at), actor: Actor::Admin, fact }, details: None }
}

pub fn opened(event: &str) -> JournalEntry {
    let settings = Settings { title: "송년회".into(), participants_max: 20_000, ..Settings::default() };
    entry(event, 1, Fact::Opened { id: event_id(event), settings, session: SessionId([1; 16]), epoch: Epoch([2; 8]) })
}

pub fn registered(event: &str, number: u32) -> JournalEntry {
    let (number, key) = (Number(number), [number as u8; 32]);
    entry(event, 2, Fact::Registered { number, key, secrets: SecretScope::Registration })
}

/// A pick of the number 70,707, with entropy of 0xab.
pub fn sealed_pick() -> SealedPick {
    SealedPick { entropy: Entropy([0xab; 32]), picks: [70_707].map(Number).into() }
}

/// The start of draw 1, with [`sealed_pick`].
pub fn started(event: &str) -> JournalEntry {
    let spec = DrawSpec {
        prize_id: None,
        prize_name: "자전거".into(),
        prize_rank: 1,
        prize_grade: None,
        prize_image: None,
        mode: Mode::Slot,
        winner_count: 1,
        show_length: None,
    };
    let (spec, pool) = (spec.into(), Pool::new(9).into());
    entry(
        event,
        3,
        Fact::Started { draw: DrawId(1), spec, pool, sealed: Some(sealed_pick()), lock: None, redraw_of: None, request: None },
    )
}

/// An announced draw 1 of one winner, who submitted details at this time.
pub fn announced_win(event: &str, at: i64) -> Vec<JournalEntry> {
    let (draw, sealed) = (DrawId(1), sealed_pick());
    let winner = sealed.picks[0].0;
    let revealed = entry(event, 4, Fact::Revealed { draw, sealed, show_at: None });
    let announced = entry(event, 5, Fact::Announced { draw, cause: Cause::Completed });
    vec![opened(event), started(event), revealed, announced, details_received(event, winner, at)]
}

/// The receipt of a winner's details for draw 1, with the details.
pub fn details_received(event: &str, number: u32, at: i64) -> JournalEntry {
    let details = WinnerDetails {
        draw: DrawId(1),
        number: Number(number),
        name: "홍길동".into(),
        phone: "010-1234-5678".into(),
        address: Some("서울".into()),
        submitted_at: Timestamp(at),
    };
    let fact = Fact::DetailsReceived { draw: DrawId(1), number: Number(number) };
    JournalEntry { details: Some(details), ..entry(event, at, fact) }
}
