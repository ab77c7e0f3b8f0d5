//! How a peer leaves, and how anything is sent to one alone.
//!
//! There is one way out of a room, `depart`, which takes the peer off its list and out of every count; and one way out of the stage,
//! `remove`, which closes the socket. A peer that is told to go has departed at once, and its socket lives on for as long as it takes to say so.

use crate::live::connection_counts::Evicted;
use crate::live::outbox::Kind;
use crate::live::peer::{Fault, Place, Sent, State, close_frame};
use crate::live::reactor::event_loop::EventLoop;
use crate::live::{CloseCode, PeerId};
use bytes::Bytes;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

/// An empty ping (RFC 6455 section 5.5.2).
const PING: &[u8] = &[0x89, 0];

impl EventLoop {
    /// Sends frames to one peer, and lets it go if they cannot be.
    pub fn send(&mut self, slot: u32, frames: &Bytes, kind: Kind) {
        // Frames that are sent one after the other may find that the first was too much.
        let Some(peer) = self.peers.get_mut(slot as usize).filter(|peer| !peer.is_leaving()) else { return };
        let sent = peer.send(frames, kind, self.now, &self.limits);
        self.see_to(slot, sent);
    }

    /// Answers a ping with what it said.
    pub fn pong(&mut self, slot: u32, payload: &[u8]) {
        let mut frame = [0; 127];
        frame[..2].copy_from_slice(&[0x8a, payload.len() as u8]);
        frame[2..2 + payload.len()].copy_from_slice(payload);
        let sent = self.peers[slot as usize].send_own(&frame[..2 + payload.len()], self.now, &self.limits);
        self.see_to(slot, sent);
    }

    /// Asks a silent peer whether it is there.
    pub fn ask(&mut self, slot: u32) {
        let peer = &mut self.peers[slot as usize];
        peer.note_asked();
        let sent = peer.send_own(PING, self.now, &self.limits);
        self.see_to(slot, sent);
    }

    /// Sends what a peer is owed, now that its socket takes more.
    pub fn catch_up(&mut self, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot as usize).filter(|peer| peer.outbox.is_some()) else { return };
        let room = peer.crowd.map(|place| &self.crowds[place.crowd as usize].room);
        let is_even = peer.catch_up(|kind| {
            if let (Kind::Announcement(draw), Some(room)) = (kind, room) {
                room.delivery.caught_up(draw);
            }
        });
        match (is_even, room) {
            (Ok(true), Some(room)) => drop(room.census.behind.fetch_sub(1, Relaxed)),
            (Ok(true), None) => self.hang_up(slot),
            (Ok(false), _) => {}
            (Err(_), _) => {
                // The queue may be empty or not: what the counts go by is whether the peer still has one, and it has.
                self.remove(slot);
            }
        }
    }

    /// Tells a peer to go and why. One that was told already, or is gone, is left alone.
    pub fn close(&mut self, slot: u32, code: CloseCode) {
        let Some(peer) = self.peers.get(slot as usize) else { return };
        let reason = match code {
            CloseCode::TooSlow => Some(Evicted::Slow),
            CloseCode::Silent => Some(Evicted::Silent),
            CloseCode::TooManyMessages => Some(Evicted::Talkative),
            _ => None,
        };
        if let Some((place, reason)) = peer.crowd.zip(reason) {
            self.crowds[place.crowd as usize].room.census.evict(reason);
        }
        self.part(slot, Some(code as u16));
    }

    /// Says goodbye, with a code or, as an answer to a goodbye without one, with none: the last frame that is sent.
    pub fn part(&mut self, slot: u32, code: Option<u16>) {
        if self.peers.get(slot as usize).is_none_or(|peer| peer.is_leaving()) {
            return;
        }
        self.depart(slot);
        self.leaving += 1;
        let peer = &mut self.peers[slot as usize];
        self.unfinished_bytes -= peer.unfinished_bytes();
        peer.forget_unfinished();
        peer.abandon_outbox();
        peer.state = State::Lingering;
        peer.due_at = self.now.after(self.limits.linger_max);
        match peer.send_own(&close_frame(code), self.now, &self.limits) {
            Ok(Sent::Whole) => self.hang_up(slot),
            Ok(Sent::FellBehind | Sent::StillBehind) => {}
            Err(_) => self.remove(slot),
        }
    }

    /// Drops a peer: its socket is closed and nothing of it is left.
    pub fn remove(&mut self, slot: u32) {
        if !self.peers.contains(slot as usize) {
            return;
        }
        self.depart(slot);
        let peer = self.peers.remove(slot as usize);
        self.unfinished_bytes -= peer.unfinished_bytes();
        self.leaving -= usize::from(peer.is_leaving());
    }

    /// Notes that a peer has moved up on its list, into a place that became free.
    pub fn note_moved(&mut self, moved: Option<u32>, place: Place) {
        if let Some(moved) = moved {
            self.peers[moved as usize].crowd = Some(place);
        }
    }

    /// Takes a peer out of its room, if it is in one: off its list, out of the counts, and the crowd with its last.
    fn depart(&mut self, slot: u32) {
        let peer = &mut self.peers[slot as usize];
        let Some(place) = peer.crowd.take() else { return };
        let crowd = &mut self.crowds[place.crowd as usize];
        let census = &crowd.room.census;
        if peer.outbox.is_some() {
            census.behind.fetch_sub(1, Relaxed);
        }
        if let Some(number) = peer.number() {
            crowd.room.holders.release(number, PeerId { stage: self.index, slot, generation: peer.generation });
        }
        let moved = match peer.state {
            State::Admitted(role) => {
                census.leave(role, unix_ms());
                crowd.dismiss(role, place.index())
            }
            State::Awaiting(_) => crowd.settle(place.index()).1,
            State::Arrived | State::Lingering | State::Draining => unreachable!("only who is listed has a place"),
        };
        if crowd.is_empty() {
            self.crowds.remove(place.crowd as usize);
        }
        self.note_moved(moved, place);
    }

    /// Counts a peer that has fallen behind, or lets one go that cannot be kept.
    fn see_to(&mut self, slot: u32, sent: Result<Sent, Fault>) {
        match sent {
            Ok(Sent::FellBehind) => {
                if let Some(place) = self.peers[slot as usize].crowd {
                    self.crowds[place.crowd as usize].room.census.behind.fetch_add(1, Relaxed);
                }
            }
            Ok(Sent::Whole | Sent::StillBehind) => {}
            Err(Fault::TooSlow) => self.close(slot, CloseCode::TooSlow),
            Err(Fault::Broken) => self.remove(slot),
        }
    }

    /// Has said the last word: the peer may take a moment to hang up.
    fn hang_up(&mut self, slot: u32) {
        let peer = &mut self.peers[slot as usize];
        peer.finish();
        peer.state = State::Draining;
        peer.due_at = self.now.after(self.limits.drain_max);
    }
}

/// The wall clock, which the sequencer compares with its own.
fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Role;
    use crate::live::limits::Limits;
    use crate::live::reactor::testing::*;
    use std::io::Write;
    use std::net::Shutdown;
    use std::time::Duration;
    use tokio_tungstenite::tungstenite::Message;

    #[test]
    fn a_goodbye_is_answered_and_the_peer_counted_out() {
        let house = House::open(patient(), 1);
        let mut display = house.greeted(house.admitted(Role::Display));
        assert!(house.room.census.has_display(unix_ms(), 0));
        display.send(Message::Close(None));
        assert_eq!(display.until_closed(), (vec![], 0));
        eventually("it is counted out", || house.room.census.total() == 0);
        assert!(house.room.census.has_display(unix_ms(), 600_000), "but was there lately");
    }

    #[test]
    fn a_silent_peer_is_asked_and_then_closed_with_4408() {
        let short = Duration::from_millis(30);
        let house = House::open(Limits { silence_min: short, silence_max: short, pong_max: short, ..patient() }, 1);
        let (heard, code) = closing_words(house.join_raw(house.admitted(Role::Phone)), b"");
        assert_eq!((code, heard.ends_with(PING)), (4408, true));
        assert_eq!(house.room.census.evicted_total(), 1);
    }

    #[test]
    fn who_is_told_to_go_and_does_not_is_cut_off() {
        let house = House::open(Limits { drain_max: Duration::from_millis(20), ..patient() }, 1);
        let mut far = house.join_raw(house.admitted(Role::Phone));
        far.write_all(&raw_frame(0x82, b"")).unwrap();
        // It never hangs up; in the end the stage does, and then a write fails.
        eventually("the socket is closed", || (&far).write_all(b"more").is_err());
    }

    #[test]
    fn who_breaks_a_rule_and_goes_on_sending_still_reads_why() {
        let house = House::open(patient(), 1);
        let far = house.join_raw(house.admitted(Role::Phone));
        let (mut broken, flood) = (raw_frame(0x82, b""), [0x82; 256 << 10]);
        broken.extend_from_slice(&flood);
        assert_eq!(closing_words(far, &broken).1, 1003);
    }

    #[test]
    fn half_a_farewell_is_no_leak() {
        let house = House::open(patient(), 1);
        for way in [Shutdown::Write, Shutdown::Both] {
            let far = house.join_raw(house.admitted(Role::Phone));
            far.shutdown(way).unwrap();
            eventually("it is gone", || house.room.census.total() == 0);
        }
    }

    #[test]
    fn a_stop_says_1012_to_everybody_and_to_who_comes_late() {
        let house = House::open(patient(), 2);
        let mut peers: Vec<_> = (0..20).map(|_| house.phone()).collect();
        peers.push(house.join(house.awaiting(0)));
        let stages = house.stages.clone();
        let stopper = std::thread::spawn(move || stages.stop(Duration::from_millis(100), Duration::from_secs(60)));
        for peer in &mut peers {
            assert_eq!(peer.until_closed(), (vec![], 1012));
        }
        drop(peers);
        stopper.join().unwrap();
        assert_eq!(house.room.census.total(), 0);
        assert_eq!(house.join(house.admitted(Role::Phone)).until_closed(), (vec![], 1012));
    }

    #[test]
    fn a_stop_does_not_wait_for_ever() {
        let house = House::open(patient(), 1);
        let _deaf = house.phone();
        house.stages.stop(Duration::from_secs(600), Duration::from_millis(50));
        assert_eq!(house.room.census.total(), 0);
    }
}
