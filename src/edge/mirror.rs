//! An event as an edge has it: the frames and the phones' state that the origin published, and
//! nothing else.
//!
//! A mirror decides by numbers alone whether an update follows on what it has. It never guesses: a
//! gap, or another epoch, is for the caller to ask the origin about.

use crate::draw::fact::Settings;
use crate::draw::{DrawId, Event, EventId, SessionId, Timestamp};
use crate::edge::update::{Position, Standing, Update};
use crate::live::reactor::Publication;
use crate::live::ring::Ring;
use crate::live::room::{Room, Snapshot};
use crate::live::roster::Roster;
use crate::live::{ByRole, CloseCode, Role};
use crate::sequencer::counts::update_interval;
use crate::wire::frame::{self, ConnectionTotals};
use crate::wire::{frame_text, join_frames};
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The relation of an update to what a mirror has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It follows, after so many frames that the mirror has already.
    Follows(usize),
    /// Frames are missing between the two, or it tells of another history.
    Gap,
    /// It is older than what the mirror has.
    Old,
}

/// The counts that phones see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Counts {
    participant_count: u32,
    connection_count: u32,
}

/// An event on an edge.
pub struct Mirror {
    /// The room that phones of this edge are in.
    pub room: Arc<Room>,
    /// When the origin was last heard of this event.
    pub heard_at: Instant,
    at: Position,
    session: SessionId,
    ring: Ring,
    sync: Bytes,
    standing: Standing,
    revision: u64,
    counts: Counts,
    counts_sent: Counts,
    counts_sent_at: Instant,
}

impl Mirror {
    /// The event as a full update describes it; `None` when it brings no state.
    pub fn new(id: &EventId, update: &Update, now: Instant) -> Option<Self> {
        let sync = update.sync.clone()?;
        let mut ring = Ring::starting_after(update.base_seq());
        update.frames.iter().cloned().for_each(|frame| ring.push(frame));
        let snapshot = snapshot(id, update.at, update.session, 1, &ring, &sync);
        let counts = counts_in(&sync);
        Some(Self {
            room: Arc::new(Room::new(Arc::new(snapshot))),
            heard_at: now,
            at: update.at,
            session: update.session,
            ring,
            sync,
            standing: update.standing,
            revision: 1,
            counts,
            counts_sent: counts,
            counts_sent_at: now,
        })
    }

    /// The last frame that it has.
    pub fn at(&self) -> Position {
        self.at
    }

    /// The session of participants.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The event's standing.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The participants, as the origin last said.
    pub fn participants(&self) -> u32 {
        self.counts.participant_count
    }

    /// Compares an update with what it has.
    pub fn fit(&self, update: &Update) -> Fit {
        if update.at.epoch != self.at.epoch {
            return Fit::Gap;
        }
        if update.at.seq < self.at.seq {
            return Fit::Old;
        }
        match self.at.seq.checked_sub(update.base_seq()) {
            Some(known) => Fit::Follows(known as usize),
            None => Fit::Gap,
        }
    }

    /// Takes an update over that follows after `known` frames, shows it in the room, and returns
    /// the publication for the reactors. `None` when it changes nothing.
    /// `lag`: the time that the update took to come here.
    pub fn apply(&mut self, update: &Update, known: usize, now: Instant, lag: Duration) -> Option<Publication> {
        self.heard_at = now;
        let frames = update.frames.get(known..).unwrap_or_default();
        let sync = update.sync.as_ref().filter(|sync| **sync != self.sync);
        if let Some(sync) = sync {
            self.counts = counts_in(sync);
        }
        let counts = self.due_counts(now);
        let closes = update.standing == Standing::Closed && self.standing == Standing::Going;
        let has_news = !frames.is_empty() || !counts.is_empty() || sync.is_some() || update.session != self.session;
        if !has_news && !closes {
            return None;
        }
        frames.iter().cloned().for_each(|frame| self.ring.push(frame));
        let announces = frames.iter().rev().find_map(announced_in);
        if let Some(draw) = announces {
            self.room.delivery.begin_after(draw, lag);
        }
        if let Some(sync) = sync {
            self.sync = sync.clone();
        }
        (self.at, self.session, self.standing) = (update.at, update.session, update.standing);
        let frames = join_frames(frames.iter().chain(&counts));
        let closes = closes.then_some(CloseCode::NoSuchEvent);
        Some(Publication { announces, ..self.publish(frames, closes) })
    }

    /// Closes the room for good with this code, and returns the publication that does it.
    pub fn close(&mut self, code: CloseCode) -> Publication {
        self.publish(Bytes::new(), Some(code))
    }

    fn publish(&mut self, frames: Bytes, closes: Option<CloseCode>) -> Publication {
        self.revision += 1;
        let snapshot = Arc::new(snapshot(&self.room.id, self.at, self.session, self.revision, &self.ring, &self.sync));
        // The room first, as the sequencer does: a reactor that meets it in between starts from the
        // newer snapshot.
        self.room.publish(Arc::clone(&snapshot));
        let mut of_role = ByRole::default();
        of_role[Role::Phone] = Some(frames).filter(|frames| !frames.is_empty());
        let room = Arc::clone(&self.room);
        Publication { room, snapshot, frames: of_role, announces: None, closes, reauthenticate: ByRole::default() }
    }

    /// The frames of counts that have changed, at most as often as the phones here share a budget
    /// of frames.
    fn due_counts(&mut self, now: Instant) -> Vec<Bytes> {
        let phones = self.room.connections.connected(Role::Phone);
        let interval = update_interval(Role::Phone, phones, 1);
        let (counts, sent) = (self.counts, self.counts_sent);
        if counts == sent || now.saturating_duration_since(self.counts_sent_at) < interval {
            return Vec::new();
        }
        (self.counts_sent, self.counts_sent_at) = (counts, now);
        let joined = (counts.participant_count != sent.participant_count)
            .then(|| frame::participant_joined(counts.participant_count, &[]));
        let totals = ConnectionTotals { sockets: counts.connection_count, phones: None };
        let connected = (counts.connection_count != sent.connection_count).then(|| frame::connection_count(totals));
        joined.into_iter().chain(connected).collect()
    }
}

/// A snapshot with what the reactors of an edge need. Its event knows its name, epoch and session,
/// and no participant, prize or draw.
fn snapshot(id: &EventId, at: Position, session: SessionId, revision: u64, ring: &Ring, sync: &Bytes) -> Snapshot {
    let event = Event::new(id.clone(), Settings::default(), session, at.epoch, Timestamp(0));
    let mut of_role = ByRole::default();
    of_role[Role::Phone] = sync.clone();
    let roster = Arc::new(Roster::new(0, 1));
    Snapshot { revision, event, roster, ring: ring.clone(), sync: of_role, documents: Arc::default() }
}

/// The draw that a frame announces to phones.
fn announced_in(frame: &Bytes) -> Option<DrawId> {
    #[derive(Deserialize)]
    struct Announcement<'a> {
        r#type: &'a str,
        draw_id: Option<u32>,
    }
    let text = frame_text(frame);
    let frame: Announcement<'_> = serde_json::from_slice(&text).ok()?;
    frame.draw_id.filter(|_| frame.r#type == "winner_announced").map(DrawId)
}

/// The counts in a `state_sync`; zeros in one that cannot be read.
fn counts_in(sync: &Bytes) -> Counts {
    serde_json::from_slice(&frame_text(sync)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Epoch;
    use crate::wire::text_frame;

    /// The lag of the tests' updates.
    const LAG: Duration = Duration::from_millis(3);

    fn update(epoch: u8, seq: u64, frames: &[&str], participants: u32) -> Update {
        let sync = format!(r#"{{"type":"state_sync","participant_count":{participants},"connection_count":2}}"#);
        Update {
            at: Position { epoch: Epoch([epoch; 8]), seq },
            session: SessionId([1; 16]),
            frames: frames.iter().map(|frame| text_frame(frame)).collect(),
            sync: Some(text_frame(&sync)),
            standing: Standing::Going,
            address: String::new(),
            sent_at: Timestamp(0),
        }
    }

    fn mirror(seq: u64) -> Mirror {
        Mirror::new(&EventId::parse("gala").unwrap(), &update(1, seq, &[], 5), Instant::now()).unwrap()
    }

    #[test]
    fn an_update_follows_only_without_a_gap_and_in_the_same_epoch() {
        let mirror = mirror(7);
        let fit = |epoch, seq, frames| mirror.fit(&update(epoch, seq, frames, 5));
        assert_eq!(fit(1, 7, &[]), Fit::Follows(0), "a heartbeat");
        assert_eq!(fit(1, 8, &["a"]), Fit::Follows(0));
        assert_eq!(fit(1, 8, &["a", "b"]), Fit::Follows(1), "one of the two is known");
        assert_eq!(fit(1, 7, &["a", "b"]), Fit::Follows(2));
        assert_eq!(fit(1, 6, &["a"]), Fit::Old);
        assert_eq!(fit(1, 9, &["b"]), Fit::Gap);
        assert_eq!(fit(1, 8, &[]), Fit::Gap, "a heartbeat tells of a frame that did not come");
        assert_eq!(fit(2, 7, &[]), Fit::Gap, "another history");
    }

    #[test]
    fn frames_are_handed_on_once_and_as_they_are() {
        let mut mirror = mirror(7);
        let two = update(1, 8, &["known", "new"], 5);
        let publication = mirror.apply(&two, 1, Instant::now(), LAG).unwrap();
        assert_eq!(publication.frames[Role::Phone], Some(text_frame("new")));
        assert_eq!(publication.frames[Role::Display], None, "no stage is here");
        let ring = &publication.snapshot.ring;
        assert_eq!((ring.last_seq(), ring.after(7).unwrap().count(), ring.after(6).is_none()), (8, 1, true));
        assert!(mirror.apply(&two, 2, Instant::now(), LAG).is_none(), "the same again changes nothing");
    }

    #[test]
    fn counts_are_merged_to_one_update_per_second() {
        let mut mirror = mirror(7);
        let now = Instant::now();
        let sent = |publication: Option<Publication>| publication.unwrap().frames[Role::Phone].clone();
        assert_eq!(sent(mirror.apply(&update(1, 7, &[], 6), 0, now, LAG)), None, "joiners are greeted with it, phones wait");
        let later = now + update_interval(Role::Phone, 1, 1) + Duration::from_secs(1);
        let heartbeat = Update { sync: None, ..update(1, 7, &[], 0) };
        assert_eq!(
            sent(mirror.apply(&heartbeat, 0, later, LAG)),
            Some(frame::participant_joined(6, &[])),
            "no count is held back for ever"
        );
        assert_eq!(sent(mirror.apply(&update(1, 7, &[], 7), 0, later, LAG)), None);
    }

    #[test]
    fn a_closed_event_closes_its_room_once() {
        let mut mirror = mirror(7);
        let closed = Update { standing: Standing::Closed, ..update(1, 8, &["notice"], 5) };
        let closes = |publication: Option<Publication>| publication.and_then(|publication| publication.closes);
        assert_eq!(closes(mirror.apply(&closed, 0, Instant::now(), LAG)), Some(CloseCode::NoSuchEvent));
        assert_eq!(closes(mirror.apply(&closed, 1, Instant::now(), LAG)), None);
    }

    #[test]
    fn an_announcement_is_metered_from_the_time_at_which_it_was_made() {
        let mut mirror = mirror(7);
        let frames = [r#"{"type":"winner_announced","draw_id":3}"#, r#"{"type":"draw_complete","draw_id":3}"#];
        let publication = mirror.apply(&update(1, 9, &frames, 5), 0, Instant::now(), LAG).unwrap();
        assert_eq!(publication.announces, Some(DrawId(3)));
        mirror.room.delivery.count_broadcast(DrawId(3), 2, 2);
        let report = mirror.room.delivery.report().unwrap();
        assert!(report.delivered == 2 && report.slowest_us >= LAG.as_micros() as u64, "{report:?}");
        let other = mirror.apply(&update(1, 10, &[r#"{"type":"draw_standby"}"#], 5), 0, Instant::now(), LAG).unwrap();
        assert_eq!(other.announces, None);
    }

    #[test]
    fn an_update_without_a_state_makes_no_mirror() {
        let bare = Update { sync: None, ..update(1, 7, &["a"], 5) };
        assert!(Mirror::new(&EventId::parse("gala").unwrap(), &bare, Instant::now()).is_none());
    }
}
