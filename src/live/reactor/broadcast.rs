//! The hot path: one publication, written to every peer that it is for.
//!
//! A peer that keeps up costs one system call and nothing else: no allocation, no copy, no atomic,
//! no lookup but its slot. Counts are summed during the walk and added once per role. Peers that
//! have to leave are noted and closed after the walk, so that the list does not change under it.

use crate::live::outbox::FrameKind;
use crate::live::peer::SendOutcome;
use crate::live::reactor::event_loop::EventLoop;
use crate::live::reactor::inbox::Publication;
use crate::live::room::Snapshot;
use crate::live::subscribers::Subscribers;
use crate::live::{CloseCode, PeerId, Role};
use std::sync::Arc;

impl EventLoop {
    /// Broadcasts a publication to its room's peers here, unless they started with it or a later
    /// one.
    pub fn publish(&mut self, publication: &Publication) {
        if let Some(code) = publication.closes {
            publication.room.close(code);
        }
        let Some(key) = self.find_subscribers(&publication.room) else { return };
        if publication.snapshot.revision > self.subscribers[key as usize].snapshot.revision {
            self.adopt_snapshot(key, &publication.snapshot);
            Role::ALL.into_iter().for_each(|role| self.broadcast(key, role, publication));
            self.apply_verdicts();
            self.close_revoked_roles(key, publication);
        }
        if let Some(code) = publication.closes {
            self.close_room(key, code);
        }
    }

    fn broadcast(&mut self, key: u32, role: Role, publication: &Publication) {
        let Some(frames) = &publication.frames[role] else { return };
        let subscribers = &mut self.subscribers[key as usize];
        let kind = match publication.announces {
            Some(draw) if role == Role::Phone => FrameKind::Announcement(draw),
            _ => FrameKind::Shared,
        };
        let (mut delivered, mut fell_behind) = (0, 0);
        for &slot in &subscribers.admitted[role] {
            match self.peers[slot as usize].send(frames, kind, self.now, &self.limits) {
                Ok(SendOutcome::Complete) => delivered += 1,
                Ok(SendOutcome::FellBehind) => fell_behind += 1,
                Ok(SendOutcome::StillBehind) => {}
                Err(error) => self.verdicts.push((slot, error.into())),
            }
        }
        subscribers.count_behind(fell_behind);
        if let FrameKind::Announcement(draw) = kind {
            let expected = subscribers.admitted[role].len() as u32;
            subscribers.room.delivery.count_broadcast(draw, expected, delivered);
        }
    }

    /// Makes this the snapshot that the room's peers here are at. A new session unbinds every
    /// number, and a new epoch restarts the count of frames.
    fn adopt_snapshot(&mut self, key: u32, snapshot: &Arc<Snapshot>) {
        let subscribers = &mut self.subscribers[key as usize];
        let before = std::mem::replace(&mut subscribers.snapshot, snapshot.clone());
        subscribers.drop_missed();
        let is_new_session = before.event.session != snapshot.event.session;
        if is_new_session || before.event.epoch != snapshot.event.epoch {
            self.reset_peers(key, is_new_session);
        }
    }

    fn reset_peers(&mut self, key: u32, is_new_session: bool) {
        let subscribers: &Subscribers = &self.subscribers[key as usize];
        for slot in subscribers.slots() {
            let peer = &mut self.peers[slot as usize];
            // The publication that brings the new epoch brings frames.
            peer.note_frames(subscribers.snapshot.ring.last_seq());
            if let Some(number) = peer.number().filter(|_| is_new_session) {
                let id = PeerId { reactor: self.index, slot, generation: peer.generation };
                subscribers.room.token_sockets.remove(number, id);
                peer.set_number(None);
            }
        }
    }

    fn close_revoked_roles(&mut self, key: u32, publication: &Publication) {
        for role in Role::ALL.into_iter().filter(|&role| publication.reauthenticate[role]) {
            // The last close may have dropped the subscribers.
            let slots = self.subscribers.get(key as usize).map_or_else(Vec::new, |here| here.admitted[role].clone());
            slots.into_iter().for_each(|slot| self.close(slot, CloseCode::Restarting));
        }
    }

    fn close_room(&mut self, key: u32, code: CloseCode) {
        // The verdicts may have dropped the subscribers.
        if let Some(subscribers) = self.subscribers.get(key as usize) {
            let slots: Vec<u32> = subscribers.slots().collect();
            slots.into_iter().for_each(|slot| self.close(slot, code));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{DrawId, Epoch};
    use crate::live::limits::Limits;
    use crate::live::reactor::testing::*;
    use crate::wire::text_frame;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::Duration;

    #[test]
    fn each_role_gets_its_own_frames_and_no_other() {
        let mut test = TestRoom::open(patient_limits(), 2);
        let mut peers = Role::ALL.map(|role| (role, test.join(test.admitted(role))));
        for (role, peer) in &mut peers {
            peer.expect(&[&sync(0, *role, None)]);
        }
        test.publish_with("secret", |_| {}, |publication| publication.frames[Role::Phone] = None);
        test.publish("public");
        for (role, peer) in &mut peers {
            if *role != Role::Phone {
                peer.expect(&["secret"]);
            }
            peer.expect(&["public"]);
        }
    }

    #[test]
    fn frames_stay_in_their_room() {
        let (mut test, mut other) = (TestRoom::open(patient_limits(), 1), TestRoom::open(patient_limits(), 1));
        other.reactors.stop(Duration::ZERO, Duration::ZERO);
        other.reactors = test.reactors.clone();
        let (mut here, mut there) = (test.phone(), other.phone());
        test.publish("here");
        other.publish("there");
        test.publish("here again");
        here.expect(&["here", "here again"]);
        there.expect(&["there"]);
    }

    #[test]
    fn a_unicast_reaches_its_peer_in_order_and_never_the_slot_s_next_tenant() {
        let mut test = TestRoom::open(patient_limits(), 1);
        let mut first = test.phone();
        let id = first.id();
        drop(first);
        eventually("the slot is free", || test.room.connections.total() == 0);
        let mut next = test.phone();
        let next_id = next.id();
        assert_eq!((next_id.reactor, next_id.slot), (id.reactor, id.slot), "it is the same slot");
        test.reactors.unicast(id, text_frame("for the first"));
        test.publish("1");
        test.reactors.unicast(next_id, text_frame("for the next"));
        test.reactors.unicast(PeerId { reactor: 99, ..id }, text_frame("for nobody"));
        test.publish("2");
        next.expect(&["1", "for the next", "2"]);
    }

    #[test]
    fn a_peer_that_never_reads_is_evicted_with_4430_and_the_others_get_every_frame() {
        let limits = Limits { outbox_frames_max: 64, outbox_bytes_max: 64 << 10, ..patient_limits() };
        let mut test = TestRoom::open(limits, 1);
        let (mut stalled, mut reader) = (test.phone(), test.phone());
        let mut sent = Vec::new();
        let was_evicted = (0..20_000).any(|n| {
            sent.push(format!("{n} {}", "x".repeat(4_000)));
            test.publish(&sent[n]);
            reader.expect(&[&sent[n]]);
            test.room.connections.evicted_total() == 1
        });
        assert!(was_evicted);
        let connections = &test.room.connections;
        eventually("it has left the counts", || connections.total() == 1 && connections.behind.load(Relaxed) == 0);
        let (received, code) = stalled.until_closed();
        assert_eq!(code, 4430);
        assert_eq!(received, sent[..received.len()], "whole frames in order, up to the eviction");
        assert!(received.len() < sent.len(), "queued frames are dropped");
    }

    #[test]
    fn a_frame_that_waits_too_long_evicts_with_4430() {
        let limits = Limits { frame_age_max: Duration::from_millis(50), ..patient_limits() };
        let mut test = TestRoom::open(limits, 1);
        let mut stalled = test.phone();
        let is_evicted = |test: &TestRoom| test.room.connections.evicted_total() == 1;
        // Once behind is not enough, since the kernel may still take what waits. It does not take
        // 80 MB.
        for _ in 0..20_000 {
            test.publish(&"x".repeat(4_000));
            if is_evicted(&test) {
                break;
            }
        }
        eventually("its frame is too old", || is_evicted(&test));
        assert_eq!(stalled.until_closed().1, 4430);
    }

    #[test]
    fn a_peer_that_reads_again_gets_every_frame_and_catches_up() {
        let mut test = TestRoom::open(patient_limits(), 1);
        let mut slow = test.phone();
        let mut sent = 0;
        // More than the kernel holds for one socket, so that the announcement has to wait in the
        // outbox.
        while sent < 5_000 || test.room.connections.behind.load(Relaxed) == 0 {
            sent += 1;
            test.publish(&format!("{sent} {}", "x".repeat(4_000)));
        }
        test.announce("the winner", DrawId(5));
        eventually("the announcement is broadcast", || test.room.delivery.report().is_some_and(|report| report.expected == 1));
        assert_eq!(test.room.delivery.report().unwrap().delivered, 0);
        (1..=sent).for_each(|n| assert!(slow.next_text().starts_with(&format!("{n} "))));
        slow.expect(&["the winner"]);
        eventually("it has caught up", || test.room.connections.behind.load(Relaxed) == 0);
        let report = test.room.delivery.report().unwrap();
        assert_eq!((report.draw, report.expected, report.delivered), (DrawId(5), 1, 1));
        assert!(report.slowest_us > 0);
    }

    #[test]
    fn delivery_counts_phones_alone() {
        let mut test = TestRoom::open(patient_limits(), 2);
        let mut phones: Vec<_> = (0..5).map(|_| test.phone()).collect();
        let mut display = test.greeted(test.admitted(Role::Display));
        test.announce("the winner", DrawId(1));
        phones.iter_mut().chain([&mut display]).for_each(|peer| peer.expect(&["the winner"]));
        eventually("both reactors have counted", || {
            let report = test.room.delivery.report().unwrap();
            (report.expected, report.delivered) == (5, 5)
        });
    }

    #[test]
    fn a_room_that_closes_closes_its_peers_and_is_dropped() {
        let mut test = TestRoom::open(patient_limits(), 2);
        let mut peers: Vec<_> = (0..4).map(|n| test.greeted(test.numbered(n + 1))).collect();
        let mut waiting = test.join(test.pending(0));
        test.publish_with("goodbye", |_| {}, |publication| publication.closes = Some(CloseCode::NoSuchEvent));
        for peer in &mut peers {
            assert_eq!(peer.until_closed(), (vec!["goodbye".to_owned()], 4404));
        }
        assert_eq!(waiting.until_closed(), (vec![], 4404));
        assert_eq!(
            test.join(test.admitted(Role::Phone)).until_closed(),
            (vec![], 4404),
            "a late socket is closed with the same code"
        );
        assert_eq!((test.room.connections.total(), test.room.token_sockets.len()), (0, 0));
        eventually("no reactor holds the room", || Arc::strong_count(&test.room) == 1);
    }

    #[test]
    fn a_new_epoch_restarts_the_count_of_frames() {
        let mut test = TestRoom::open(patient_limits(), 1);
        test.publish_with("1", |snapshot| snapshot.event.epoch = Epoch([7; 8]), |_| {});
        let mut phone = test.phone();
        let restore = |snapshot: &mut Snapshot| {
            snapshot.event.epoch = EPOCH;
            snapshot.ring = Default::default();
        };
        test.publish_with("restored", restore, |_| {});
        test.publish("1 again");
        phone.expect(&["restored", "1 again"]);
        phone.send_text("number 3 0");
        // Frame 1 of this epoch is not sent twice, although the phone joined at a frame 1.
        phone.expect(&["identified", &sync(1, Role::Phone, Some(3))]);
    }

    #[test]
    fn a_change_without_a_frame_leaves_a_phone_the_frames_that_it_missed() {
        let mut test = TestRoom::open(patient_limits(), 1);
        test.publish("1");
        let mut phone = test.phone();
        let ring = test.room.snapshot().ring.clone();
        test.publish_with("", |snapshot| snapshot.ring = ring, |publication| publication.frames = Default::default());
        // Once this is answered, the reactor has the change.
        phone.send_text("hello");
        phone.expect(&["echo hello"]);
        phone.send_text("number 3 0");
        phone.expect(&["identified", "1", &sync(1, Role::Phone, Some(3))]);
    }
}
