//! Sending to one peer, and the end of a peer.
//!
//! There is one way out of a room, `leave_room`, which takes the peer off its list and out of every
//! count. There is one way out of the reactor, `remove`, after which the event loop frees the slot
//! and closes the socket. A closed peer leaves its room at once; its socket lives on until its
//! close frame is sent and its own side is closed, or until a deadline.

use crate::base::clock::monotonic_ms;
use crate::live::connection_counts::EvictionReason;
use crate::live::outbox::FrameKind;
use crate::live::peer::{Membership, PeerState, SendError, SendOutcome, close_frame};
use crate::live::reactor::event_loop::EventLoop;
use crate::live::{CloseCode, PeerId};
use bytes::Bytes;

/// An empty ping (RFC 6455 section 5.5.2).
const PING: &[u8] = &[0x89, 0];

impl EventLoop {
    /// Sends frames to one peer unless it leaves; closes or removes it if that fails.
    pub fn send(&mut self, slot: u32, frames: &Bytes, kind: FrameKind) {
        // Of several buffers sent in a row, the first may already have closed the peer.
        let peer = &mut self.peers[slot as usize];
        if !peer.is_leaving() {
            let before = peer.own_bytes();
            let sent = peer.send(frames, kind, self.now, &self.limits);
            let after = peer.own_bytes();
            self.own_bytes = self.own_bytes - before + after;
            self.handle_send_outcome(slot, sent);
            if after > before && self.own_bytes > self.limits.own_bytes_max {
                self.close(slot, CloseCode::Overloaded);
            }
        }
    }

    /// Answers a ping with its payload.
    pub fn pong(&mut self, slot: u32, payload: &[u8]) {
        let mut frame = [0; 127];
        frame[..2].copy_from_slice(&[0x8a, payload.len() as u8]);
        frame[2..2 + payload.len()].copy_from_slice(payload);
        let sent = self.peers[slot as usize].send_control(&frame[..2 + payload.len()], self.now, &self.limits);
        self.handle_send_outcome(slot, sent);
    }

    /// Pings a silent peer.
    pub fn ping(&mut self, slot: u32) {
        let peer = &mut self.peers[slot as usize];
        peer.note_ping();
        let sent = peer.send_control(PING, self.now, &self.limits);
        self.handle_send_outcome(slot, sent);
    }

    /// Sends what waits in a peer's outbox, now that its socket takes more.
    pub fn flush_outbox(&mut self, slot: u32) {
        let Some(peer) = self.peers.get_mut(slot as usize).filter(|peer| peer.outbox.is_some()) else { return };
        let membership = peer.membership;
        let room = membership.map(|membership| &self.subscribers[membership.subscribers as usize].room);
        let before = peer.own_bytes();
        let is_empty = peer.flush_outbox(|kind| {
            if let (FrameKind::Announcement(draw), Some(room)) = (kind, room) {
                room.delivery.count_late_delivery(draw);
            }
        });
        self.own_bytes = self.own_bytes - before + peer.own_bytes();
        match (is_empty, membership) {
            (Ok(true), Some(membership)) => self.subscribers[membership.subscribers as usize].count_caught_up(),
            (Ok(true), None) => self.begin_drain(slot),
            (Ok(false), _) => {}
            // The peer still has its outbox, by which the count of peers behind is corrected.
            (Err(_), _) => self.remove(slot),
        }
    }

    /// Closes a peer with `code`, and counts it if that is an eviction. Leaves alone a peer that is
    /// closed already.
    pub fn close(&mut self, slot: u32, code: CloseCode) {
        let reason = match code {
            CloseCode::TooSlow => Some(EvictionReason::Slow),
            CloseCode::Silent => Some(EvictionReason::Silent),
            CloseCode::TooManyMessages => Some(EvictionReason::Flooding),
            _ => None,
        };
        if let Some((membership, reason)) = self.peers[slot as usize].membership.zip(reason) {
            self.subscribers[membership.subscribers as usize].room.connections.count_eviction(reason);
        }
        self.send_close(slot, Some(code as u16));
    }

    /// Sends a close frame as the last one: with a code, or without when it answers a close frame
    /// without one.
    pub fn send_close(&mut self, slot: u32, code: Option<u16>) {
        if self.peers[slot as usize].is_leaving() {
            return;
        }
        self.leave_room(slot);
        self.closing += 1;
        let peer = &mut self.peers[slot as usize];
        self.unfinished_bytes -= peer.unfinished_bytes();
        peer.discard_unfinished();
        self.own_bytes -= peer.own_bytes();
        peer.discard_unsent();
        self.own_bytes += peer.own_bytes();
        peer.state = PeerState::Closing;
        peer.due_at = self.now.after(self.limits.close_frame_age_max);
        match peer.send_control(&close_frame(code), self.now, &self.limits) {
            Ok(SendOutcome::Complete) => self.begin_drain(slot),
            Ok(SendOutcome::FellBehind | SendOutcome::StillBehind) => {}
            Err(_) => self.remove(slot),
        }
    }

    /// Removes a peer: out of its room and every count. Its slot stays valid until the end of the
    /// unit of work, so that callers may go on with it. Leaves alone a peer that is removed
    /// already.
    pub fn remove(&mut self, slot: u32) {
        if self.peers[slot as usize].state == PeerState::Removed {
            return;
        }
        self.leave_room(slot);
        let peer = &mut self.peers[slot as usize];
        self.unfinished_bytes -= peer.unfinished_bytes();
        self.closing -= usize::from(peer.is_leaving());
        peer.discard_unfinished();
        self.own_bytes -= peer.own_bytes();
        peer.outbox = None;
        peer.state = PeerState::Removed;
        self.removed.push(slot);
    }

    /// Updates the peer that moved into a position of its list which became free.
    pub fn update_moved(&mut self, moved: Option<u32>, freed: Membership) {
        if let Some(moved) = moved {
            self.peers[moved as usize].membership = Some(freed);
        }
    }

    /// Takes a peer out of its room, if it is in one: off its list and out of the counts. The
    /// room's last peer here drops its subscribers.
    fn leave_room(&mut self, slot: u32) {
        let peer = &mut self.peers[slot as usize];
        let Some(membership) = peer.membership.take() else { return };
        let subscribers = &mut self.subscribers[membership.subscribers as usize];
        if peer.outbox.is_some() {
            subscribers.count_caught_up();
        }
        if let Some(number) = peer.number() {
            let id = PeerId { reactor: self.index, slot, generation: peer.generation };
            subscribers.room.token_sockets.remove(number, id);
        }
        let moved = match peer.state {
            PeerState::Admitted(role) => subscribers.remove_admitted(role, membership.index(), monotonic_ms()),
            PeerState::PendingAuth(_) => subscribers.remove_pending(membership.index()).1,
            PeerState::Joining | PeerState::Closing | PeerState::Draining | PeerState::Removed => {
                unreachable!("only these two are members of a room")
            }
        };
        if subscribers.is_empty() {
            self.subscribers.remove(membership.subscribers as usize);
        }
        self.update_moved(moved, membership);
    }

    /// Counts a peer that fell behind; closes or removes one that cannot be sent to.
    fn handle_send_outcome(&mut self, slot: u32, sent: Result<SendOutcome, SendError>) {
        match sent {
            Ok(SendOutcome::FellBehind) => {
                if let Some(membership) = self.peers[slot as usize].membership {
                    self.subscribers[membership.subscribers as usize].count_behind(1);
                }
            }
            Ok(SendOutcome::Complete | SendOutcome::StillBehind) => {}
            Err(SendError::OutboxFull) => self.close(slot, CloseCode::TooSlow),
            Err(SendError::Disconnected) => self.remove(slot),
        }
    }

    /// Shuts down the sending side after the close frame and gives the peer a moment to close its
    /// own.
    fn begin_drain(&mut self, slot: u32) {
        let peer = &mut self.peers[slot as usize];
        peer.shut_down_writes();
        peer.state = PeerState::Draining;
        peer.due_at = self.now.after(self.limits.drain_max);
    }
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
    fn a_close_frame_is_answered_and_the_peer_leaves_the_counts() {
        let test = TestRoom::open(patient_limits(), 1);
        let mut display = test.greeted(test.admitted(Role::Display));
        assert!(test.room.connections.has_display(monotonic_ms(), 0));
        display.send(Message::Close(None));
        assert_eq!(display.until_closed(), (vec![], 0));
        eventually("it has left the counts", || test.room.connections.total() == 0);
        assert!(test.room.connections.has_display(monotonic_ms(), 600_000), "but a display was there recently");
    }

    #[test]
    fn a_silent_peer_is_pinged_and_then_closed_with_4408() {
        let short = Duration::from_millis(30);
        let test = TestRoom::open(Limits { silence_min: short, silence_max: short, pong_max: short, ..patient_limits() }, 1);
        let (received, code) = read_to_close(test.join_raw(test.admitted(Role::Phone)), b"");
        assert_eq!((code, received.ends_with(PING)), (4408, true));
        assert_eq!(test.room.connections.evicted_total(), 1);
    }

    #[test]
    fn a_closed_peer_that_does_not_hang_up_is_cut_off() {
        let test = TestRoom::open(Limits { drain_max: Duration::from_millis(20), ..patient_limits() }, 1);
        let mut far = test.join_raw(test.admitted(Role::Phone));
        far.write_all(&raw_frame(0x82, b"")).unwrap();
        // It never closes its side; at the deadline the reactor closes the socket, and then a write
        // fails.
        eventually("the socket is closed", || (&far).write_all(b"more").is_err());
    }

    #[test]
    fn a_peer_that_breaks_a_rule_and_sends_on_still_reads_the_close_code() {
        let test = TestRoom::open(patient_limits(), 1);
        let far = test.join_raw(test.admitted(Role::Phone));
        let (mut broken, flood) = (raw_frame(0x82, b""), [0x82; 256 << 10]);
        broken.extend_from_slice(&flood);
        assert_eq!(read_to_close(far, &broken).1, 1003);
    }

    #[test]
    fn a_half_closed_socket_is_no_leak() {
        let test = TestRoom::open(patient_limits(), 1);
        for side in [Shutdown::Write, Shutdown::Both] {
            let far = test.join_raw(test.admitted(Role::Phone));
            far.shutdown(side).unwrap();
            eventually("it is gone", || test.room.connections.total() == 0);
        }
    }

    #[test]
    fn a_stop_closes_every_peer_and_a_late_socket_with_1012() {
        let test = TestRoom::open(patient_limits(), 2);
        let mut peers: Vec<_> = (0..20).map(|_| test.phone()).collect();
        peers.push(test.join(test.pending(0)));
        let reactors = test.reactors.clone();
        let stopper = std::thread::spawn(move || reactors.stop(Duration::from_millis(100), Duration::from_secs(60)));
        for peer in &mut peers {
            assert_eq!(peer.until_closed(), (vec![], 1012));
        }
        drop(peers);
        stopper.join().unwrap();
        assert_eq!(test.room.connections.total(), 0);
        assert_eq!(test.join(test.admitted(Role::Phone)).until_closed(), (vec![], 1012));
    }

    #[test]
    fn a_stop_ends_although_a_peer_does_not_hang_up() {
        let test = TestRoom::open(patient_limits(), 1);
        let _deaf = test.phone();
        test.reactors.stop(Duration::from_secs(600), Duration::from_millis(50));
        assert_eq!(test.room.connections.total(), 0);
    }
}
