//! The hot path: one publication, everybody it is for.
//!
//! A peer that keeps up costs one system call and nothing else: no allocation, no copy, no atomic, no lookup but its slot. Counts are added up
//! along the way and told once a role; peers that cannot be kept are noted and seen to after the walk, so that the list does not move under it.

use crate::live::Role;
use crate::live::outbox::Kind;
use crate::live::peer::Sent;
use crate::live::publication::Publication;
use crate::live::reactor::event_loop::EventLoop;
use crate::live::snapshot::Snapshot;
use crate::live::subscribers::Subscribers;
use crate::live::{CloseCode, PeerId};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

impl EventLoop {
    /// Tells a publication to everybody of its room who is here, unless the crowd began with it or a later one.
    pub fn walk(&mut self, publication: &Publication) {
        if let Some(code) = publication.closes {
            publication.room.shut(code);
        }
        let Some(key) = self.crowd_of(&publication.room) else { return };
        if publication.snapshot.revision > self.crowds[key as usize].snapshot.revision {
            self.turn_page(key, &publication.snapshot);
            Role::ALL.into_iter().for_each(|role| self.broadcast(key, role, publication));
            self.carry_out_verdicts();
            self.send_out_doubted(key, publication);
        }
        if let Some(code) = publication.closes {
            self.send_everybody_out(key, code);
        }
    }

    /// Sends whole frames to one peer, if it is still there.
    pub fn whisper(&mut self, id: PeerId, frames: &Bytes) {
        if let Some(slot) = self.slot(id).filter(|&slot| !self.peers[slot as usize].is_leaving()) {
            self.send(slot, frames, Kind::Plain);
        }
    }

    fn broadcast(&mut self, key: u32, role: Role, publication: &Publication) {
        let Some(frames) = &publication.frames[role] else { return };
        let crowd = &self.crowds[key as usize];
        let kind = match publication.announces {
            Some(draw) if role == Role::Phone => Kind::Announcement(draw),
            _ => Kind::Plain,
        };
        let (mut delivered, mut fell_behind) = (0, 0);
        for &slot in &crowd.admitted[role] {
            match self.peers[slot as usize].send(frames, kind, self.now, &self.limits) {
                Ok(Sent::Whole) => delivered += 1,
                Ok(Sent::FellBehind) => fell_behind += 1,
                Ok(Sent::StillBehind) => {}
                Err(fault) => self.verdicts.push((slot, fault.into())),
            }
        }
        crowd.room.census.behind.fetch_add(fell_behind, Relaxed);
        if let Kind::Announcement(draw) = kind {
            crowd.room.delivery.walked(draw, crowd.admitted[role].len() as u32, delivered);
        }
    }

    /// Makes a snapshot the crowd's own. A new session takes every number away, and a new epoch begins the count of frames anew.
    fn turn_page(&mut self, key: u32, snapshot: &Arc<Snapshot>) {
        let crowd = &mut self.crowds[key as usize];
        let before = std::mem::replace(&mut crowd.snapshot, snapshot.clone());
        crowd.forget_missed();
        let is_new_session = before.event.session != snapshot.event.session;
        if is_new_session || before.event.epoch != snapshot.event.epoch {
            self.begin_anew(key, is_new_session);
        }
    }

    fn begin_anew(&mut self, key: u32, is_new_session: bool) {
        let crowd: &Subscribers = &self.crowds[key as usize];
        for slot in crowd.slots() {
            let peer = &mut self.peers[slot as usize];
            peer.from = crowd.snapshot.ring.last_seq() as u32;
            if let Some(number) = peer.number().filter(|_| is_new_session) {
                crowd.room.holders.release(number, PeerId { stage: self.index, slot, generation: peer.generation });
                peer.set_number(None);
            }
        }
    }

    fn send_out_doubted(&mut self, key: u32, publication: &Publication) {
        for role in Role::ALL.into_iter().filter(|&role| publication.doubts[role]) {
            // The last of those before may have emptied the crowd.
            let slots = self.crowds.get(key as usize).map_or_else(Vec::new, |crowd| crowd.admitted[role].clone());
            slots.into_iter().for_each(|slot| self.close(slot, CloseCode::Restarting));
        }
    }

    fn send_everybody_out(&mut self, key: u32, code: CloseCode) {
        // The last of the verdicts above may have emptied the crowd.
        if let Some(crowd) = self.crowds.get(key as usize) {
            let slots: Vec<u32> = crowd.slots().collect();
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
    use std::time::Duration;

    #[test]
    fn each_role_hears_its_own_frames_and_no_other() {
        let mut house = House::open(patient(), 2);
        let mut peers = Role::ALL.map(|role| (role, house.join(house.admitted(role))));
        for (role, peer) in &mut peers {
            peer.expect(&[&sync(0, *role, None)]);
        }
        house.tell("secret", |_| {}, |publication| publication.frames[Role::Phone] = None);
        house.say("public");
        for (role, peer) in &mut peers {
            if *role != Role::Phone {
                peer.expect(&["secret"]);
            }
            peer.expect(&["public"]);
        }
    }

    #[test]
    fn rooms_do_not_hear_each_other() {
        let (mut house, mut other) = (House::open(patient(), 1), House::open(patient(), 1));
        other.stages.stop(Duration::ZERO, Duration::ZERO);
        other.stages = house.stages.clone();
        let (mut here, mut there) = (house.phone(), other.phone());
        house.say("here");
        other.say("there");
        house.say("here again");
        here.expect(&["here", "here again"]);
        there.expect(&["there"]);
    }

    #[test]
    fn a_whisper_reaches_its_peer_after_what_was_published_and_never_the_next_tenant() {
        let mut house = House::open(patient(), 1);
        let mut first = house.phone();
        let id = first.id();
        drop(first);
        eventually("the slot is free", || house.room.census.total() == 0);
        let mut next = house.phone();
        let next_id = next.id();
        assert_eq!((next_id.stage, next_id.slot), (id.stage, id.slot), "it is the same slot");
        house.stages.whisper(id, text_frame("for the first"));
        house.say("1");
        house.stages.whisper(next_id, text_frame("for the next"));
        house.stages.whisper(PeerId { stage: 99, ..id }, text_frame("for nobody"));
        house.say("2");
        next.expect(&["1", "for the next", "2"]);
    }

    #[test]
    fn a_peer_that_never_reads_is_evicted_with_4430_and_the_others_hear_everything() {
        let limits = Limits { outbox_frames_max: 64, outbox_bytes_max: 64 << 10, ..patient() };
        let mut house = House::open(limits, 1);
        let (mut stalled, mut reader) = (house.phone(), house.phone());
        let mut said = Vec::new();
        let was_behind = (0..20_000).any(|n| {
            said.push(format!("{n} {}", "x".repeat(4_000)));
            house.say(&said[n]);
            reader.expect(&[&said[n]]);
            house.room.census.evicted_total() == 1
        });
        assert!(was_behind, "it was never evicted");
        let census = &house.room.census;
        eventually("it is counted out", || census.total() == 1 && census.behind.load(Relaxed) == 0);
        let (heard, code) = stalled.until_closed();
        assert_eq!(code, 4430);
        assert_eq!(heard, said[..heard.len()], "whole frames in order, up to where it was let go");
        assert!(heard.len() < said.len(), "what was still queued is forgotten");
    }

    #[test]
    fn a_frame_that_waits_too_long_evicts_with_4430() {
        let limits = Limits { frame_age_max: Duration::from_millis(50), ..patient() };
        let mut house = House::open(limits, 1);
        let mut stalled = house.phone();
        let is_evicted = |house: &House| house.room.census.evicted_total() == 1;
        // Being behind once is not enough: the kernel may yet take what waits. It does not take 80 MB.
        for _ in 0..20_000 {
            house.say(&"x".repeat(4_000));
            if is_evicted(&house) {
                break;
            }
        }
        eventually("its frame is too old", || is_evicted(&house));
        assert_eq!(stalled.until_closed().1, 4430);
    }

    #[test]
    fn a_peer_that_reads_again_gets_everything_and_is_behind_no_more() {
        let mut house = House::open(patient(), 1);
        let mut slow = house.phone();
        let mut said = 0;
        // More than a kernel holds for one socket, so that the announcement cannot slip through while it makes room.
        while said < 5_000 || house.room.census.behind.load(Relaxed) == 0 {
            said += 1;
            house.say(&format!("{said} {}", "x".repeat(4_000)));
        }
        house.announce("the winner", DrawId(5));
        eventually("the announcement is walked", || house.room.delivery.reading().is_some_and(|read| read.expected == 1));
        assert_eq!(house.room.delivery.reading().unwrap().delivered, 0);
        (1..=said).for_each(|n| assert!(slow.hear().starts_with(&format!("{n} "))));
        slow.expect(&["the winner"]);
        eventually("it is behind no more", || house.room.census.behind.load(Relaxed) == 0);
        let reading = house.room.delivery.reading().unwrap();
        assert_eq!((reading.draw, reading.expected, reading.delivered), (DrawId(5), 1, 1));
        assert!(reading.slowest_us > 0);
    }

    #[test]
    fn an_announcement_counts_phones_and_nobody_else() {
        let mut house = House::open(patient(), 2);
        let mut phones: Vec<_> = (0..5).map(|_| house.phone()).collect();
        let mut display = house.greeted(house.admitted(Role::Display));
        house.announce("the winner", DrawId(1));
        phones.iter_mut().chain([&mut display]).for_each(|peer| peer.expect(&["the winner"]));
        eventually("both stages have counted", || {
            let reading = house.room.delivery.reading().unwrap();
            (reading.expected, reading.delivered) == (5, 5)
        });
    }

    #[test]
    fn a_room_that_closes_sends_everybody_out_and_is_let_go() {
        let mut house = House::open(patient(), 2);
        let mut peers: Vec<_> = (0..4).map(|n| house.greeted(house.holding(n + 1))).collect();
        let mut waiting = house.join(house.awaiting(0));
        house.tell("goodbye", |_| {}, |publication| publication.closes = Some(CloseCode::NoSuchEvent));
        for peer in &mut peers {
            assert_eq!(peer.until_closed(), (vec!["goodbye".to_owned()], 4404));
        }
        assert_eq!(waiting.until_closed(), (vec![], 4404));
        assert_eq!(
            house.join(house.admitted(Role::Phone)).until_closed(),
            (vec![], 4404),
            "and who comes too late is sent after them"
        );
        assert_eq!((house.room.census.total(), house.room.holders.len()), (0, 0));
        eventually("no stage holds the room", || Arc::strong_count(&house.room) == 1);
    }

    #[test]
    fn another_epoch_begins_the_count_of_frames_anew() {
        let mut house = House::open(patient(), 1);
        house.say("1");
        let mut phone = house.phone();
        let anew = |snapshot: &mut Snapshot| {
            snapshot.event.epoch = Epoch([7; 8]);
            snapshot.ring = Default::default();
        };
        house.tell("restored", anew, |_| {});
        phone.expect(&["restored"]);
        phone.say("number 3 0");
        phone.expect(&["known", &sync(0, Role::Phone, Some(3))]);
    }
}
