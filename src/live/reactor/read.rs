//! What peers say: bytes are read into the stage's one buffer, frames are understood where they lie, and the protocol says what to do.
//!
//! A peer cannot keep the stage: whoever sends without end is closed after its burst of frames, a frame has a bound, and whoever was told to go and
//! still sends is cut off after a while.

use crate::live::inbound::{Frame, Meaning, Unfinished};
use crate::live::peer::{Peer, State};
use crate::live::protocol::{Action, Speaker, Standing};
use crate::live::reactor::event_loop::EventLoop;
use crate::live::{CloseCode, outbox::Kind};
use crate::tls::session::ReadOutcome;

/// Reads of one round from a peer that was told to go: a megabyte is more than a polite one has on its way.
const DRAIN_READS_MAX: usize = 64;

impl EventLoop {
    /// Reads what a peer has said. `is_ended`: the end may follow what is there, so that a short read is not the last.
    pub fn listen(&mut self, slot: u32, is_ended: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(peer) = self.peers.get_mut(slot as usize) {
            if peer.is_leaving() {
                self.drain(slot, &mut buffer);
                break;
            }
            let held = peer.unfinished.as_ref().map_or(0, |unfinished| unfinished.lay_out(&mut buffer));
            let before = peer.unfinished_bytes();
            let heard = peer.read(&mut buffer[held..]);
            self.note_unfinished(slot, before);
            match heard {
                // Who brought the stage over its bound has been told to go, and is drained by the next round.
                _ if self.is_leaving(slot) => {}
                Ok(ReadOutcome::Bytes(count)) => self.understand(slot, &mut buffer[..held + count]),
                Ok(ReadOutcome::Last(count)) => {
                    self.understand(slot, &mut buffer[..held + count]);
                    if !is_ended && !self.is_leaving(slot) {
                        break;
                    }
                }
                Ok(ReadOutcome::Nothing) => break,
                Ok(ReadOutcome::End) | Err(_) => self.remove(slot),
            }
        }
        self.buffer = buffer;
    }

    /// Takes bytes that hyper had read already as the first that the peer has said.
    pub fn hear_ahead(&mut self, slot: u32, mut ahead: &[u8]) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(peer) = self.peers.get(slot as usize).filter(|peer| !ahead.is_empty() && !peer.is_leaving()) {
            let held = peer.unfinished.as_ref().map_or(0, |unfinished| unfinished.lay_out(&mut buffer));
            let (first, rest) = ahead.split_at(ahead.len().min(buffer.len() - held));
            buffer[held..held + first.len()].copy_from_slice(first);
            self.understand(slot, &mut buffer[..held + first.len()]);
            ahead = rest;
        }
        self.buffer = buffer;
    }

    fn is_leaving(&self, slot: u32) -> bool {
        self.peers.get(slot as usize).is_some_and(Peer::is_leaving)
    }

    /// Takes bytes apart into frames, and keeps the beginning of one that is not all there.
    fn understand(&mut self, slot: u32, mut bytes: &mut [u8]) {
        self.peers[slot as usize].note_heard(self.now);
        loop {
            match Frame::find(bytes) {
                Ok(None) => return self.keep(slot, bytes),
                Err(code) => return self.close(slot, code),
                Ok(Some(frame)) => {
                    let (one, rest) = bytes.split_at_mut(frame.len());
                    self.take_frame(slot, frame, one);
                    // Whoever has left meanwhile, or was told to, is listened to no more.
                    if self.peers.get(slot as usize).is_none_or(Peer::is_leaving) {
                        return;
                    }
                    bytes = rest;
                }
            }
        }
    }

    fn take_frame(&mut self, slot: u32, frame: Frame, bytes: &mut [u8]) {
        let peer = &mut self.peers[slot as usize];
        if let Err(code) = peer.spend_frame(self.now, &self.limits) {
            return self.close(slot, code);
        }
        let before = peer.unfinished_bytes();
        let meaning = frame.understand(bytes, &mut peer.unfinished);
        self.note_unfinished(slot, before);
        match meaning {
            // Kept as far as it goes: who brought the stage over its bound has been let go.
            Ok(Meaning::Part | Meaning::Pong) => {}
            Ok(Meaning::Message(message)) => self.hear(slot, message),
            Ok(Meaning::Assembled(mut message)) => self.hear(slot, &mut message),
            Ok(Meaning::Ping(payload)) => self.pong(slot, payload),
            Ok(Meaning::Close(code)) => self.part(slot, code),
            Err(code) => self.close(slot, code),
        }
    }

    /// Keeps what a peer has said of a frame so far.
    fn keep(&mut self, slot: u32, rest: &[u8]) {
        let peer = &mut self.peers[slot as usize];
        let before = peer.unfinished_bytes();
        Unfinished::keep(&mut peer.unfinished, rest);
        self.note_unfinished(slot, before);
    }

    /// Counts what a peer keeps, and lets it go if that is more than this stage keeps for all.
    fn note_unfinished(&mut self, slot: u32, before: usize) {
        let after = self.peers[slot as usize].unfinished_bytes();
        self.unfinished_bytes = self.unfinished_bytes - before + after;
        if after > before && self.unfinished_bytes > self.limits.unfinished_bytes_max {
            self.close(slot, CloseCode::Overloaded);
        }
    }

    /// Has the protocol understand a message, and does what it says.
    fn hear(&mut self, slot: u32, message: &mut [u8]) {
        let peer = &self.peers[slot as usize];
        let standing = match peer.state {
            State::Admitted(role) => Standing::Admitted(role),
            State::Awaiting(role) => Standing::Awaiting(role),
            State::Arrived | State::Lingering | State::Draining => return,
        };
        let Some(place) = peer.crowd else { return };
        let crowd = &self.crowds[place.crowd as usize];
        let (id, number) = (self.id(slot), peer.number());
        let speaker = Speaker { id, standing, number, room: &crowd.room, snapshot: &crowd.snapshot };
        match self.protocol.hear(&speaker, message) {
            Action::Nothing => {}
            Action::Reply(frames) => self.send(slot, &frames, Kind::Plain),
            Action::Admit(role) => self.admit(slot, role),
            Action::Identify { number, since, reply } => self.identify(slot, number, since, &reply),
            Action::Close(code) => self.close(slot, code),
        }
    }

    /// Reads what a peer still sends that was told to go, and forgets it, until it hangs up.
    fn drain(&mut self, slot: u32, buffer: &mut [u8]) {
        let peer = &mut self.peers[slot as usize];
        for _ in 0..DRAIN_READS_MAX {
            match peer.drain(buffer) {
                Ok(ReadOutcome::Bytes(_) | ReadOutcome::Last(_)) => {}
                Ok(ReadOutcome::Nothing) => return,
                // It has said its last word, but may still read ours.
                Ok(ReadOutcome::End) if peer.state == State::Lingering => return,
                Ok(ReadOutcome::End) | Err(_) => return self.remove(slot),
            }
        }
        self.remove(slot);
    }
}

#[cfg(test)]
mod tests {
    use crate::live::Role;
    use crate::live::limits::Limits;
    use crate::live::reactor::testing::*;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use tokio_tungstenite::tungstenite::Message;

    #[test]
    fn each_broken_rule_is_closed_with_its_code() {
        let house = House::open(patient(), 1);
        let flood: Vec<u8> = std::iter::once(0x01).chain([0x00; 20]).flat_map(|first| raw_frame(first, &[b'x'; 1000])).collect();
        let cases = [
            ("an unmasked frame", vec![0x81, 1, b'x'], 1002),
            ("a reserved bit", raw_frame(0xc1, b"x"), 1002),
            ("a continuation of nothing", raw_frame(0x80, b"x"), 1002),
            ("a binary frame", raw_frame(0x82, b"x"), 1003),
            ("no UTF-8", raw_frame(0x81, &[0xff]), 1007),
            ("a frame of 17 KiB", raw_frame(0x81, &[b'x'; 17 << 10]), 1009),
            ("a fragmented flood", flood, 1009),
            ("too many messages at once", raw_frame(0x81, b"quiet").repeat(41), 4429),
            ("too many pongs at once", raw_frame(0x8a, b"").repeat(41), 4429),
            ("a goodbye", raw_frame(0x88, &[3, 232]), 1000),
        ];
        for (what, bytes, code) in cases {
            let far = house.join_raw(house.admitted(Role::Phone));
            assert_eq!(closing_words(far, &bytes).1, code, "{what}");
        }
        assert_eq!(house.room.census.evicted_total(), 2, "who talks too much is evicted, who breaks a rule just closed");
        eventually("nobody is left", || house.room.census.total() == 0);
    }

    #[test]
    fn messages_pings_and_fragments_are_answered_in_turn() {
        let house = House::open(patient(), 1);
        let mut far = house.join_raw(house.admitted(Role::Phone));
        let said = [
            raw_frame(0x81, b"one"),
            raw_frame(0x01, b"t"),
            raw_frame(0x89, b"there?"),
            raw_frame(0x80, b"wo"),
            raw_frame(0x8a, b""),
            raw_frame(0x88, b""),
        ];
        // One byte at a time, each its own segment: whatever the cuts, the words are the same.
        for byte in said.concat() {
            far.write_all(&[byte]).unwrap();
        }
        let mut client = Client::new(far);
        client.expect(&[&sync(0, Role::Phone, None), "heard one"]);
        assert_eq!(client.next(), Message::Pong("there?".into()));
        client.expect(&["heard two"]);
        assert_eq!(client.until_closed(), (vec![], 0));
    }

    #[test]
    fn a_stage_keeps_unfinished_frames_within_a_bound() {
        let house = House::open(Limits { unfinished_bytes_max: 3_000, ..patient() }, 1);
        let frame = raw_frame(0x81, &[b'x'; 1_200]);
        let (most, last) = frame.split_at(1_100);
        let mut peers: Vec<_> = (0..5).map(|_| house.join_raw(house.admitted(Role::Phone))).collect();
        let mut greeting = vec![0; 2 + sync(0, Role::Phone, None).len()];
        peers.iter_mut().for_each(|far| far.read_exact(&mut greeting).unwrap());
        peers.iter_mut().for_each(|far| far.write_all(most).unwrap());
        eventually("as many are left as fit", || house.room.census.total() == 2);
        let mut heard = 0;
        for mut far in peers {
            let mut words = Vec::new();
            // Whoever was let go may find the line broken.
            let _ = far.write_all(last);
            let _ = far.shutdown(Shutdown::Write);
            let _ = far.read_to_end(&mut words);
            match words.ends_with(b"x") {
                true => heard += 1,
                false => assert!(words.ends_with(&[0x88, 2, 0x03, 0xf5]), "the others were told 1013"),
            }
        }
        assert_eq!(heard, 2);
    }
}
