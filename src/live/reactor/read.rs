//! Reading: bytes come into the reactor's one buffer, frames are decoded in place, and the handler
//! answers.
//!
//! A peer cannot occupy the reactor. One that sends without end is closed after its burst of
//! frames, every frame has a bound, and a closed peer that still sends is cut off after a while. A
//! buffer per peer would cost every idle one its memory.

use crate::live::inbound::{Decoded, Frame, Unfinished};
use crate::live::message_handler::{Action, AuthState, PeerContext};
use crate::live::outbox::FrameKind;
use crate::live::peer::{Peer, PeerState};
use crate::live::reactor::event_loop::EventLoop;
use crate::live::{CloseCode, PeerId};
use crate::tls::session::ReadOutcome;

/// Reads per turn from a closed peer: a megabyte is more than a well-behaved one has under way.
const DRAIN_READS_MAX: usize = 64;

impl EventLoop {
    /// Reads what a peer has sent. `is_ended`: its end may follow the bytes, so a short read is not
    /// the last.
    pub fn read(&mut self, slot: u32, is_ended: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        // A stale event may name a slot that is free by now.
        while let Some(peer) = self.peers.get_mut(slot as usize).filter(|peer| peer.state != PeerState::Removed) {
            if peer.is_leaving() {
                self.drain(slot, &mut buffer);
                break;
            }
            let held = peer.unfinished.as_ref().map_or(0, |unfinished| unfinished.copy_into(&mut buffer));
            let before = peer.unfinished_bytes();
            let outcome = peer.read(&mut buffer[held..]);
            self.count_unfinished(slot, before);
            match outcome {
                // A peer that exceeded the reactor's budget is closed or removed by now.
                _ if self.peers[slot as usize].is_leaving() => {}
                Ok(ReadOutcome::Bytes(count)) => self.decode(slot, &mut buffer[..held + count]),
                Ok(ReadOutcome::Last(count)) => {
                    self.decode(slot, &mut buffer[..held + count]);
                    if !is_ended && !self.peers[slot as usize].is_leaving() {
                        break;
                    }
                }
                Ok(ReadOutcome::Nothing) => break,
                Ok(ReadOutcome::End) | Err(_) => self.remove(slot),
            }
        }
        self.buffer = buffer;
    }

    /// Decodes the bytes that hyper had read already, as the first that the peer has sent.
    pub fn decode_read_ahead(&mut self, slot: u32, mut ahead: &[u8]) {
        let mut buffer = std::mem::take(&mut self.buffer);
        while !ahead.is_empty() && !self.peers[slot as usize].is_leaving() {
            let peer = &self.peers[slot as usize];
            let held = peer.unfinished.as_ref().map_or(0, |unfinished| unfinished.copy_into(&mut buffer));
            let (first, rest) = ahead.split_at(ahead.len().min(buffer.len() - held));
            buffer[held..held + first.len()].copy_from_slice(first);
            self.decode(slot, &mut buffer[..held + first.len()]);
            ahead = rest;
        }
        self.buffer = buffer;
    }

    /// Decodes bytes into frames, and stores the beginning of an unfinished one.
    fn decode(&mut self, slot: u32, mut bytes: &mut [u8]) {
        self.peers[slot as usize].note_bytes(self.now);
        loop {
            match Frame::find(bytes, self.limits.message_bytes_max) {
                Ok(None) => return self.store_unfinished(slot, bytes),
                Err(code) => return self.close(slot, code),
                Ok(Some(frame)) => {
                    let (one, rest) = bytes.split_at_mut(frame.len());
                    self.handle_frame(slot, frame, one);
                    // Frames of a peer that has left or is closed are ignored.
                    if self.peers[slot as usize].is_leaving() {
                        return;
                    }
                    bytes = rest;
                }
            }
        }
    }

    fn handle_frame(&mut self, slot: u32, frame: Frame, bytes: &mut [u8]) {
        let peer = &mut self.peers[slot as usize];
        if let Err(code) = peer.spend_frame(self.now, &self.limits) {
            return self.close(slot, code);
        }
        let before = peer.unfinished_bytes();
        let decoded = frame.decode(bytes, &mut peer.unfinished, self.limits.message_bytes_max);
        peer.note_frame_end(self.now);
        self.count_unfinished(slot, before);
        match decoded {
            // Stored within the budget: a peer that exceeded it is closed by now.
            Ok(Decoded::Fragment | Decoded::Pong) => {}
            Ok(Decoded::Message(message)) => self.handle_message(slot, message),
            Ok(Decoded::Assembled(mut message)) => self.handle_message(slot, &mut message),
            Ok(Decoded::Ping(payload)) => self.pong(slot, payload),
            Ok(Decoded::Close(code)) => self.send_close(slot, code),
            Err(code) => self.close(slot, code),
        }
    }

    /// Stores the beginning of a frame.
    fn store_unfinished(&mut self, slot: u32, rest: &[u8]) {
        let peer = &mut self.peers[slot as usize];
        let before = peer.unfinished_bytes();
        Unfinished::store(&mut peer.unfinished, rest);
        self.count_unfinished(slot, before);
    }

    /// Notes since when a peer owns the part of a TLS record that came with its handshake, and
    /// frees some bytes if all peers own more than their budget.
    pub fn count_first_record(&mut self, slot: u32) {
        self.unfinished_bytes -= self.peers[slot as usize].unfinished_bytes();
        self.count_unfinished(slot, 0);
    }

    /// Counts the unfinished bytes that a peer owns, `before` and now, and frees some if all peers
    /// own more than their budget.
    fn count_unfinished(&mut self, slot: u32, before: usize) {
        let peer = &mut self.peers[slot as usize];
        peer.note_unfinished(self.now);
        let after = peer.unfinished_bytes();
        self.unfinished_bytes = self.unfinished_bytes - before + after;
        if after > before && self.unfinished_bytes > self.limits.unfinished_bytes_max {
            self.close_largest_unfinished();
        }
    }

    /// Closes the peers that own the most unfinished bytes, until a quarter of the budget is free.
    /// A peer with an honest message of some hundred bytes is the last to go.
    /// O(peers), once per quarter of the budget that was received.
    #[cold]
    fn close_largest_unfinished(&mut self) {
        let bytes_of = |(slot, peer): (usize, &Peer)| (peer.unfinished_bytes(), slot as u32);
        let mut owners: Vec<_> = self.peers.iter().map(bytes_of).filter(|(bytes, _)| *bytes > 0).collect();
        owners.sort_unstable_by(|one, other| other.cmp(one));
        for (_, slot) in owners {
            if self.unfinished_bytes <= self.limits.unfinished_bytes_max / 4 * 3 {
                return;
            }
            self.close(slot, CloseCode::Overloaded);
        }
    }

    /// Passes a message to the handler and carries out its action.
    fn handle_message(&mut self, slot: u32, message: &mut [u8]) {
        let peer = &self.peers[slot as usize];
        let auth = match peer.state {
            PeerState::Admitted(role) => AuthState::Admitted(role),
            PeerState::PendingAuth(role) => AuthState::Pending(role),
            PeerState::Joining | PeerState::Closing | PeerState::Draining | PeerState::Removed => return,
        };
        // For the tests of a panic in this thread. A release build has no such message.
        #[cfg(debug_assertions)]
        assert_ne!(message, b"panic!", "a test asks for it");
        let Some(membership) = peer.membership else { return };
        let subscribers = &self.subscribers[membership.subscribers as usize];
        let (id, number) = (self.peer_id(slot), peer.number());
        let context = PeerContext { id, auth, number, room: &subscribers.room, snapshot: &subscribers.snapshot };
        let action = self.handler.handle(&context, message);
        self.perform(slot, action);
    }

    /// Carries out an action that was decided after its message, if the peer is still here.
    pub fn act(&mut self, id: PeerId, action: Action) {
        if let Some(slot) = self.find_slot(id) {
            self.perform(slot, action);
        }
    }

    fn perform(&mut self, slot: u32, action: Action) {
        match action {
            Action::Nothing => {}
            Action::Reply(frames) => self.send(slot, &frames, FrameKind::Own),
            Action::Admit(role) => self.admit(slot, role),
            Action::Identify { number, since, reply } => self.identify(slot, number, since, &reply),
            Action::Close(code) => self.close(slot, code),
        }
    }

    /// Reads and ignores what a closed peer still sends, until it closes its side.
    fn drain(&mut self, slot: u32, buffer: &mut [u8]) {
        let peer = &mut self.peers[slot as usize];
        for _ in 0..DRAIN_READS_MAX {
            match peer.drain(buffer) {
                Ok(ReadOutcome::Bytes(_) | ReadOutcome::Last(_)) => {}
                Ok(ReadOutcome::Nothing) => return,
                // It has closed its side, but may still read the close frame.
                Ok(ReadOutcome::End) if peer.state == PeerState::Closing => return,
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
    use std::time::{Duration, Instant};
    use tokio_tungstenite::tungstenite::Message;

    #[test]
    fn each_broken_rule_closes_with_its_code() {
        let test = TestRoom::open(patient_limits(), 1);
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
            ("a close frame", raw_frame(0x88, &[3, 232]), 1000),
        ];
        for (what, bytes, code) in cases {
            let far = test.join_raw(test.admitted(Role::Phone));
            assert_eq!(read_to_close(far, &bytes).1, code, "{what}");
        }
        assert_eq!(test.room.connections.evicted_total(), 2, "a flooding peer is evicted, one that breaks a rule only closed");
        eventually("no peer is left", || test.room.connections.total() == 0);
    }

    #[test]
    fn messages_pings_and_fragments_are_answered_in_order() {
        let test = TestRoom::open(patient_limits(), 1);
        let mut far = test.join_raw(test.admitted(Role::Phone));
        let sent = [
            raw_frame(0x81, b"one"),
            raw_frame(0x01, b"t"),
            raw_frame(0x89, b"there?"),
            raw_frame(0x80, b"wo"),
            raw_frame(0x8a, b""),
            raw_frame(0x88, b""),
        ];
        // One byte per segment: wherever the bytes are cut, the messages are the same.
        for byte in sent.concat() {
            far.write_all(&[byte]).unwrap();
        }
        let mut client = TestClient::new(far);
        client.expect(&[&sync(0, Role::Phone, None), "echo one"]);
        assert_eq!(client.next(), Message::Pong("there?".into()));
        client.expect(&["echo two"]);
        assert_eq!(client.until_closed(), (vec![], 0));
    }

    #[test]
    fn a_tls_peer_that_exceeds_the_budget_and_resets_its_socket_harms_no_other() {
        let test = TestRoom::open(Limits { unfinished_bytes_max: 1_000, ..patient_limits() }, 1);
        let mut other = test.phone();
        let (mut far, mut client) = test.tls_phone();
        // While the reactor is blocked, a whole record, part of a second one and the reset arrive.
        // One read then returns a frame and exceeds the budget, and the close frame that follows
        // finds the connection broken.
        test.block(&mut other);
        let mut seal = |payload: &[u8]| {
            let mut record = Vec::new();
            client.writer().write_all(payload).unwrap();
            client.write_tls(&mut record).unwrap();
            record
        };
        let (whole, partial) = (seal(&raw_frame(0x81, b"quiet")), seal(&[0; 3_000]));
        far.write_all(&[&whole, &partial[..2_000]].concat()).unwrap();
        socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        test.unblock.send(()).unwrap();
        eventually("it has left the counts", || test.room.connections.total() == 1);
        other.send_text("one");
        other.expect(&["echo one"]);
    }

    #[test]
    fn peers_that_drip_bytes_are_closed_and_an_honest_one_is_not() {
        let limits = Limits { unfinished_bytes_max: 64 << 10, message_age_max: Duration::from_millis(200), ..patient_limits() };
        let test = TestRoom::open(limits, 1);
        let part = raw_frame(0x81, &[b'x'; 16 << 10]);
        let mut honest = test.join_raw(test.admitted(Role::Phone));
        let message = raw_frame(0x81, b"honest");
        honest.write_all(&message[..4]).unwrap();
        let hold = |_| {
            let mut far = test.join_raw(test.admitted(Role::Phone));
            far.write_all(&part[..part.len() - 1]).unwrap();
            far
        };
        let full: Vec<_> = (0..8).map(hold).collect();
        honest.write_all(&message[4..]).unwrap();
        TestClient::new(honest).expect(&[&sync(0, Role::Phone, None), "echo honest"]);
        let codes: Vec<_> = full.into_iter().map(|far| read_to_close(far, b"").1).collect();
        assert!(codes.contains(&1013) && codes.iter().all(|code| [1013, 4430].contains(code)), "{codes:?}");
        // Fragments, bytes and pings in between do not move the deadline.
        let mut drip = test.join_raw(test.admitted(Role::Phone));
        drip.write_all(&raw_frame(0x01, b"x")).unwrap();
        let mut tail = drip.try_clone().unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) && tail.write_all(&raw_frame(0x00, b"x")).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(read_to_close(drip, b"").1, 4430);
    }

    #[test]
    fn a_reactor_keeps_unfinished_frames_within_their_budget() {
        let test = TestRoom::open(Limits { unfinished_bytes_max: 3_000, ..patient_limits() }, 1);
        let frame = raw_frame(0x81, &[b'x'; 1_200]);
        let (most, last) = frame.split_at(1_100);
        let mut peers: Vec<_> = (0..5).map(|_| test.join_raw(test.admitted(Role::Phone))).collect();
        let mut greeting = vec![0; 2 + sync(0, Role::Phone, None).len()];
        peers.iter_mut().for_each(|far| far.read_exact(&mut greeting).unwrap());
        peers.iter_mut().for_each(|far| far.write_all(most).unwrap());
        eventually("the peers that fit are left", || test.room.connections.total() == 2);
        let mut kept = 0;
        for mut far in peers {
            let mut received = Vec::new();
            // A closed peer may find its connection broken.
            let _ = far.write_all(last);
            let _ = far.shutdown(Shutdown::Write);
            let _ = far.read_to_end(&mut received);
            match received.ends_with(b"x") {
                true => kept += 1,
                false => assert!(received.ends_with(&[0x88, 2, 0x03, 0xf5]), "the others are closed with 1013"),
            }
        }
        assert_eq!(kept, 2);
    }
}
