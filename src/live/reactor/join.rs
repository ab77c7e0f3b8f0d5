//! Joining: a peer takes over its socket, enters its room, is greeted, and proves its role and
//! number.
//!
//! A greeting is the frames that the peer missed and one `state_sync` of the last snapshot that
//! this reactor broadcast. From then on the peer is on the list that the next publication walks.
//! Both happen here, on the thread that broadcasts, so no frame can come between them. A join never
//! waits for its peer.

use crate::draw::{LinkId, Number};
use crate::live::message_handler::ResumePoint;
use crate::live::outbox::FrameKind;
use crate::live::peer::{Membership, Peer, PeerState};
use crate::live::reactor::event_loop::EventLoop;
use crate::live::reactor::inbox::{Admission, Job, Join};
use crate::live::room::Room;
use crate::live::subscribers::{PendingAuth, Subscribers};
use crate::live::transport::Transport;
use crate::live::{CloseCode, Identity, PeerId, Role};
use crate::wire::join_frames;
use bytes::Bytes;
use mio::Token;
use std::sync::Arc;

/// Buffers up to this size in sum are copied into one, since a copy costs less than a system call.
/// Larger ones stay shared.
const COPIED_BYTES_MAX: usize = 16 << 10;

impl EventLoop {
    /// Takes over a socket. One whose peer has gone meanwhile is dropped.
    pub fn join(&mut self, join: Join) {
        let permit = join.permit;
        let Ok(transport) = Transport::open(join.socket, &self.limits) else { return };
        let slot = self.peers.vacant_key() as u32;
        if transport.register(self.poll.registry(), Token(slot as usize)).is_err() {
            return;
        }
        self.joined = self.joined.wrapping_add(1);
        let peer = Peer::new(transport, join.tls, self.joined, self.now, self.now.after(self.limits.auth_max));
        self.unfinished_bytes += peer.unfinished_bytes();
        self.peers.insert(peer);
        match (&mut self.permits, permit) {
            (Some(permits), Some(permit)) => permits.merge(permit),
            (permits, permit) => *permits = permits.take().or(permit),
        }
        let (entered, since) = match join.admission {
            _ if self.stop_at.is_some() => (Err(CloseCode::Restarting), None),
            Admission::Rejected { code } => (Err(code), None),
            Admission::PendingAuth { room, role, since } => (self.await_auth(slot, room, role, since), None),
            Admission::Admitted { room, role, identity, link, since } => {
                (self.enter_room(slot, room, role, identity, link), since)
            }
        };
        match entered {
            Ok(()) => self.greet(slot, since, &join.response),
            Err(code) => {
                self.send_buffers(slot, &[&join.response], FrameKind::Greeting);
                self.close(slot, code);
            }
        }
        self.count_first_record(slot);
        self.decode_read_ahead(slot, &join.read_ahead);
        if self.peers[slot as usize].has_unread() {
            self.read(slot, false);
        }
    }

    /// Admits a peer that has proved its role. Does nothing to a peer that had nothing to prove.
    pub fn admit(&mut self, slot: u32, role: Role) {
        let peer = &self.peers[slot as usize];
        let (PeerState::PendingAuth(_), Some(membership)) = (peer.state, peer.membership) else { return };
        let (pending, moved) = self.subscribers[membership.subscribers as usize].remove_pending(membership.index());
        self.update_moved(moved, membership);
        self.subscribe(slot, membership.subscribers, role);
        self.greet(slot, pending.since, &Bytes::new());
    }

    /// Binds a proven number to a peer. Answers with `reply`, the frames that it missed before it
    /// connected, and its own `state_sync`.
    pub fn identify(&mut self, slot: u32, number: Number, since: Option<ResumePoint>, reply: &Bytes) {
        let PeerState::Admitted(role) = self.peers[slot as usize].state else { return };
        if let Err(code) = self.bind_number(slot, number) {
            return self.close(slot, code);
        }
        let peer = &mut self.peers[slot as usize];
        let Some(membership) = peer.membership else { return };
        let subscribers = &mut self.subscribers[membership.subscribers as usize];
        // After a numbered frame an older one would come out of order; the `state_sync` covers it.
        let last = subscribers.snapshot.ring.last_seq();
        let since = since.filter(|_| peer.has_no_frame(last));
        let room_left = self.limits.own_bytes_max.saturating_sub(self.own_bytes);
        let missed = since.and_then(|since| subscribers.missed(since));
        let missed = missed.filter(|missed| !missed.is_empty() && missed.len() <= room_left);
        let sync = self.handler.state_sync(&subscribers.snapshot, role, Some(number));
        match missed {
            Some(missed) => {
                peer.note_frames(last);
                self.send_buffers(slot, &[reply, &missed, &sync], FrameKind::Greeting);
            }
            // Counted: a phone that proves its token again and again must not fill its outbox for
            // free.
            None => self.send_buffers(slot, &[reply, &sync], FrameKind::Own),
        }
    }

    /// Closes a peer that was the oldest socket of `number`, which has one too many. Leaves alone a
    /// peer that has proved another number meanwhile, or the same one again.
    pub fn replace(&mut self, oldest: PeerId, number: Number) {
        let Some(slot) = self.find_slot(oldest) else { return };
        let peer = &self.peers[slot as usize];
        let Some(membership) = peer.membership else { return };
        let room = &self.subscribers[membership.subscribers as usize].room;
        if peer.number() == Some(number) && !room.token_sockets.holds(number, oldest) {
            self.close(slot, CloseCode::Replaced);
        }
    }

    fn await_auth(&mut self, slot: u32, room: Arc<Room>, role: Role, since: Option<ResumePoint>) -> Result<(), CloseCode> {
        let key = self.find_or_add_subscribers(room)?;
        let pending_auth = &mut self.subscribers[key as usize].pending_auth;
        pending_auth.push(PendingAuth { slot, since });
        let peer = &mut self.peers[slot as usize];
        peer.membership = Some(Membership::last(key, pending_auth.len()));
        peer.state = PeerState::PendingAuth(role);
        Ok(())
    }

    fn enter_room(
        &mut self,
        slot: u32,
        room: Arc<Room>,
        role: Role,
        identity: Option<Identity>,
        link: Option<LinkId>,
    ) -> Result<(), CloseCode> {
        let key = self.find_or_add_subscribers(room)?;
        self.subscribe(slot, key, role);
        // By the latest snapshot, once the peer is listed. A link that is revoked later closes it
        // by a publication.
        if link.is_some_and(|link| self.subscribers[key as usize].room.snapshot().event.link_role(link).is_none()) {
            return Err(CloseCode::BadToken);
        }
        let Some(identity) = identity else { return Ok(()) };
        // A token is issued after its registration is committed, so its session is never ahead of
        // this reactor's snapshot.
        if identity.session != self.subscribers[key as usize].snapshot.event.session {
            return Err(CloseCode::BadToken);
        }
        self.bind_number(slot, identity.number)
    }

    /// The key of a room's subscribers, which the room's first peer creates.
    fn find_or_add_subscribers(&mut self, room: Arc<Room>) -> Result<u32, CloseCode> {
        if let Some(code) = room.close_code() {
            return Err(code);
        }
        Ok(self.find_subscribers(&room).unwrap_or_else(|| self.subscribers.insert(Subscribers::new(room)) as u32))
    }

    /// Puts a peer on its role's list, counts it, and starts its heartbeat.
    fn subscribe(&mut self, slot: u32, key: u32, role: Role) {
        let count = self.subscribers[key as usize].admit(role, slot);
        let peer = &mut self.peers[slot as usize];
        peer.membership = Some(Membership::last(key, count));
        peer.state = PeerState::Admitted(role);
        peer.due_at = self.now.after(self.jitter.between(self.limits.silence_min, self.limits.silence_max));
    }

    /// Sends the rest of the handshake's `response`. An admitted peer also gets the frames after
    /// `since`, if they are held, and the `state_sync`.
    fn greet(&mut self, slot: u32, since: Option<ResumePoint>, response: &Bytes) {
        let peer = &mut self.peers[slot as usize];
        let (PeerState::Admitted(role), Some(membership)) = (peer.state, peer.membership) else {
            return self.send_buffers(slot, &[response], FrameKind::Greeting);
        };
        let subscribers = &mut self.subscribers[membership.subscribers as usize];
        let last = subscribers.snapshot.ring.last_seq();
        let missed = since.and_then(|since| subscribers.missed(since)).unwrap_or_default();
        // The frames are owed to those that read; the `state_sync` covers them.
        let fits = self.own_bytes + missed.len() <= self.limits.own_bytes_max;
        let missed = if fits { missed } else { Bytes::new() };
        let sync = self.handler.state_sync(&subscribers.snapshot, role, peer.number());
        if missed.is_empty() {
            peer.note_no_frame(last)
        } else {
            peer.note_frames(last)
        }
        self.send_buffers(slot, &[response, &missed, &sync], FrameKind::Greeting);
    }

    /// Binds a number to a peer, and replaces the number's oldest socket if there is one too many.
    fn bind_number(&mut self, slot: u32, number: Number) -> Result<(), CloseCode> {
        let id = self.peer_id(slot);
        let peer = &mut self.peers[slot as usize];
        let Some(membership) = peer.membership else { return Ok(()) };
        let room = self.subscribers[membership.subscribers as usize].room.clone();
        if let Some(former) = peer.number().filter(|&former| former != number) {
            room.token_sockets.remove(former, id);
        }
        peer.set_number(None);
        let mut replaced_here = None;
        let evict = |oldest: PeerId| {
            if oldest.reactor == self.index {
                replaced_here = Some(oldest);
                return true;
            }
            // A reactor never waits for another. The client may retry.
            self.inbox.handles[usize::from(oldest.reactor)].try_send(Job::Replace(oldest, number)).is_ok()
        };
        if !room.token_sockets.add(number, id, evict) {
            return Err(CloseCode::Overloaded);
        }
        self.peers[slot as usize].set_number(Some(number));
        if let Some(oldest) = replaced_here {
            self.replace(oldest, number);
        }
        Ok(())
    }

    /// Sends several buffers of frames, as one if they are small.
    fn send_buffers(&mut self, slot: u32, buffers: &[&Bytes], kind: FrameKind) {
        let filled = buffers.iter().copied().filter(|buffer| !buffer.is_empty());
        let total: usize = filled.clone().map(Bytes::len).sum();
        if filled.clone().count() > 1 && total <= COPIED_BYTES_MAX {
            return self.send(slot, &join_frames(filled), kind);
        }
        filled.for_each(|buffer| self.send(slot, buffer, kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::chance;
    use crate::draw::{Epoch, Link, LinkRole, SessionId, Timestamp};
    use crate::live::limits::Limits;
    use crate::live::peer::close_frame;
    use crate::live::reactor::testing::*;
    use crate::live::room::Snapshot;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[test]
    fn a_peer_gets_what_it_missed_then_its_state_sync_then_every_later_frame() {
        let mut test = TestRoom::open(patient_limits(), 1);
        for text in ["1", "2", "3"] {
            test.publish(text);
        }
        let mut first = test.phone();
        let mut back = test.join(test.returning(1));
        let mut current = test.join(test.returning(3));
        let mut ahead = test.join(test.returning(9));
        let stranger = Some(ResumePoint { epoch: Epoch([9; 8]), seq: 1 });
        let room = test.room.clone();
        let mut stranger =
            test.join(Admission::Admitted { room, role: Role::Display, identity: None, link: None, since: stranger });
        // In whatever order the reactor takes these up: it has broadcast nothing of the room since
        // the first peer joined.
        test.publish("4");
        first.expect(&["4"]);
        back.expect(&["2", "3", &sync(3, Role::Phone, None), "4"]);
        current.expect(&[&sync(3, Role::Phone, None), "4"]);
        ahead.expect(&[&sync(3, Role::Phone, None), "4"]);
        stranger.expect(&[&sync(3, Role::Display, None), "4"]);
    }

    #[test]
    fn missed_frames_arrive_whole_however_long_they_are() {
        let mut test = TestRoom::open(patient_limits(), 1);
        let texts: Vec<String> = (1..=50).map(|n| format!("{n} {}", "x".repeat(4_000))).collect();
        for text in &texts {
            test.publish(text);
        }
        for _ in 0..2 {
            let mut back = test.join(test.returning(2));
            texts[2..].iter().for_each(|text| assert_eq!(back.next_text(), *text));
            back.expect(&[&sync(50, Role::Phone, None)]);
        }
    }

    #[test]
    fn joining_and_publishing_never_race() {
        // Fewer than the ring holds, so that a late peer has missed nothing that is gone.
        const FRAMES: u64 = 1_000;
        let mut test = TestRoom::open(patient_limits(), 2);
        let is_done = AtomicBool::new(false);
        let (reactors, room) = (test.reactors.clone(), test.room.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let sockets: usize = std::thread::scope(|scope| {
            let joiner = scope.spawn(|| {
                let mut clients = Vec::new();
                // Sockets join for as long as frames are published.
                while clients.len() < 200 {
                    let was_done = is_done.load(Ordering::Acquire);
                    let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    far.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    let since = (clients.len() % 3 == 0)
                        .then_some(ResumePoint { epoch: EPOCH, seq: room.snapshot().ring.last_seq() / 2 });
                    let admission =
                        Admission::Admitted { room: room.clone(), role: Role::Phone, identity: None, link: None, since };
                    let socket = listener.accept().unwrap().0;
                    socket.set_nonblocking(true).unwrap();
                    reactors.join(Join::new(socket, admission));
                    clients.push(scope.spawn(move || follow(TestClient::new(far), since, FRAMES)));
                    if was_done {
                        break;
                    }
                }
                clients.into_iter().map(|client| client.join().unwrap()).count()
            });
            (1..=FRAMES).for_each(|seq| assert_eq!(test.publish(&seq.to_string()), seq));
            is_done.store(true, Ordering::Release);
            joiner.join().unwrap()
        });
        println!("{sockets} sockets joined while {FRAMES} frames were published");
        assert!(sockets > 1);
    }

    /// Reads to the last frame: each comes once and in order, and the one `state_sync` in its place
    /// among them.
    fn follow(mut client: TestClient, since: Option<ResumePoint>, last: u64) {
        let (mut seq, mut synced) = (since.map(|since| since.seq), false);
        while seq != Some(last) || !synced {
            let text = client.next_text();
            if let Some(covered) = text.strip_prefix("sync ") {
                let covered = covered.split(' ').next().unwrap().parse().unwrap();
                assert!(!synced && seq.is_none_or(|seq| seq == covered), "{seq:?} {text}");
                (seq, synced) = (Some(covered), true);
            } else {
                assert_eq!(text.parse(), Ok(seq.expect("the first frame of a new peer is its state_sync") + 1));
                seq = seq.map(|seq| seq + 1);
            }
        }
    }

    #[test]
    fn a_peer_gets_no_frame_before_it_has_proved_its_role() {
        let mut test = TestRoom::open(patient_limits(), 1);
        test.publish("1");
        let mut display = test.join(test.pending(0));
        test.publish("2");
        display.send_text("whoami");
        assert!(display.next_text().ends_with("false"));
        assert_eq!(test.room.connections.total(), 0);
        display.send_text("display");
        display.expect(&["1", "2", &sync(2, Role::Display, None)]);
        test.publish("3");
        display.expect(&["3"]);
        assert_eq!((test.room.connections.connected(Role::Display), test.room.connections.total()), (1, 1));
    }

    #[test]
    fn a_peer_that_proves_nothing_in_time_is_closed_with_4401() {
        let test = TestRoom::open(Limits { auth_max: Duration::from_millis(20), ..patient_limits() }, 1);
        assert_eq!(test.join(test.pending(0)).until_closed(), (vec![], 4401));
    }

    #[test]
    fn a_peer_that_proves_the_wrong_role_is_closed_with_4401() {
        let test = TestRoom::open(patient_limits(), 1);
        let mut display = test.join(test.pending(0));
        display.send_text("wrong");
        assert_eq!(display.until_closed(), (vec![], 4401));
    }

    #[test]
    fn a_phone_that_proves_its_number_later_gets_what_it_missed_before_it_connected() {
        let mut test = TestRoom::open(patient_limits(), 1);
        for text in ["1", "2", "3"] {
            test.publish(text);
        }
        let (mut phone, mut late) = (test.phone(), test.phone());
        phone.send_text("number 7 1");
        phone.expect(&["identified", "2", "3", &sync(3, Role::Phone, Some(7))]);
        for since in ["1", "0"] {
            phone.send_text(&format!("number 7 {since}"));
            phone.expect(&["identified", &sync(3, Role::Phone, Some(7))]);
        }
        test.publish("4");
        phone.expect(&["4"]);
        late.expect(&["4"]);
        late.send_text("number 7 1");
        late.expect(&["identified", &sync(4, Role::Phone, Some(7))]);
        phone.send_text("whoami");
        assert!(phone.next_text().ends_with(" 7 true"));
    }

    #[test]
    fn numbered_frames_come_once_and_in_order_wherever_a_peer_resumes() {
        let seed = u64::from_le_bytes(chance::bytes());
        println!("seed {seed}");
        let mut choices = Choices(seed);
        for _ in 0..40 {
            let mut test = TestRoom::open(patient_limits(), 1);
            let mut peers = Vec::new();
            for _ in 0..30 {
                let last = test.snapshot.ring.last_seq();
                let since = choices.below(last + 2);
                match choices.below(4) {
                    0 => peers.push(test.join(if choices.below(2) == 0 { test.returning(since) } else { test.pending(since) })),
                    1 => assert_eq!(test.publish(&(last + 1).to_string()), last + 1),
                    2 if !peers.is_empty() => {
                        let at = choices.below(peers.len() as u64) as usize;
                        let peer: &mut TestClient = &mut peers[at];
                        let message = if choices.below(4) == 0 { "display".into() } else { format!("number 7 {since}") };
                        peer.send_text(&message);
                    }
                    _ if choices.below(12) == 0 => {
                        let change = |snapshot: &mut Snapshot| snapshot.event.session = SessionId([last as u8; 16]);
                        assert_eq!(test.publish_with(&(last + 1).to_string(), change, |_| {}), last + 1);
                    }
                    _ => {}
                }
            }
            for peer in &mut peers {
                peer.send_text("wrong");
                let seqs: Vec<u64> = peer.until_closed().0.iter().filter_map(|text| text.parse().ok()).collect();
                assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
            }
        }
    }

    #[test]
    fn greetings_that_nobody_reads_stay_within_their_budget() {
        const BUDGET: usize = 1 << 20;
        let mut test = TestRoom::open(Limits { own_bytes_max: BUDGET, ..patient_limits() }, 1);
        let texts: Vec<String> = (1..=60).map(|n| format!("{n} {}", "x".repeat(4_000))).collect();
        for text in &texts {
            test.publish(text);
        }
        let frames = 4_000 * texts.len();
        // Each missed another range, so that none shares its buffer with the next.
        let unread: Vec<_> = (0..40).map(|n| test.join_raw(test.returning(n % 30))).collect();
        let mut honest = test.join(test.returning(60));
        honest.expect(&[&sync(60, Role::Phone, None)]);
        let mut late = test.join(test.returning(58));
        let first = late.next_text();
        assert!(first == texts[58] || first == sync(60, Role::Phone, None), "missed frames or none");
        eventually("all have joined", || test.room.connections.total() == 42);
        let (mut whole, mut bare) = (0, 0);
        for far in unread {
            let mut client = TestClient::new(far);
            match client.next_text().starts_with("sync") {
                true => bare += 1,
                false => whole += 1,
            }
        }
        assert!(bare > 0 && whole >= BUDGET / frames && whole <= 3 * BUDGET / (frames / 2), "{whole} whole, {bare} bare");
        // Their outboxes are empty again, and the budget is free.
        eventually("a returning peer gets its frames again", || {
            let mut back = test.join(test.returning(0));
            back.next_text() == texts[0]
        });
    }

    #[test]
    fn replies_that_nobody_reads_stay_within_their_budget() {
        let limits = Limits { own_bytes_max: 1 << 20, outbox_bytes_max: 8 << 20, outbox_frames_max: 100, ..patient_limits() };
        let test = TestRoom::open(limits, 1);
        let mut honest = test.phone();
        let unread: Vec<_> = (0..40).map(|_| test.join_raw(test.admitted(Role::Phone))).collect();
        let question = raw_frame(0x81, format!("echo {}", "x".repeat(12 << 10)).as_bytes());
        for _ in 0..30 {
            // One that is closed already takes no more.
            unread.iter().for_each(|mut far| drop(far.write_all(&question)));
        }
        eventually("some are closed for what they do not read", || test.room.connections.total() < 41);
        honest.send_text("echo still here");
        honest.expect(&["echo echo still here"]);
    }

    #[test]
    fn a_link_that_is_revoked_during_the_handshake_opens_nothing() {
        let mut test = TestRoom::open(patient_limits(), 1);
        let _early = test.phone();
        let link = |id| {
            let room = test.room.clone();
            Admission::Admitted { room, role: Role::Display, identity: None, link: Some(LinkId(id)), since: None }
        };
        let (standing, revoked) = (link(1), link(2));
        let made = |id, revoked_at| Link { id: LinkId(id), role: LinkRole::Display, made_at: Timestamp(0), revoked_at };
        let links = Arc::new(vec![made(1, None), made(2, Some(Timestamp(1)))]);
        // Neither is published to the reactor: it reads the room's latest snapshot.
        drop(test.next_publication("links", |snapshot| snapshot.event.links = links, |_| {}));
        test.greeted(standing);
        assert_eq!(test.join(revoked).until_closed(), (vec![], 4401));
    }

    #[test]
    fn a_fifth_socket_of_a_number_replaces_the_oldest_on_any_reactor() {
        for reactors in [1, 3] {
            let mut test = TestRoom::open(patient_limits(), reactors);
            let mut tabs: Vec<_> = (0..4).map(|_| test.greeted(test.numbered(7))).collect();
            let mut other = test.greeted(test.numbered(8));
            for number in 0..4 {
                // The fifth proves its number by its handshake, or by a message.
                let mut fifth = if number % 2 == 0 { test.greeted(test.numbered(7)) } else { test.phone() };
                fifth.send_text("number 7 x");
                fifth.expect(&["identified", &sync(0, Role::Phone, Some(7))]);
                assert_eq!(tabs.remove(0).until_closed(), (vec![], 4409));
                tabs.push(fifth);
            }
            test.publish("1");
            tabs.iter_mut().chain([&mut other]).for_each(|tab| tab.expect(&["1"]));
            drop(tabs);
            eventually("the four have left", || test.room.token_sockets.len() == 1);
        }
    }

    #[test]
    fn a_number_of_an_earlier_session_is_not_valid() {
        let mut test = TestRoom::open(patient_limits(), 1);
        let mut phone = test.join(test.numbered(7));
        phone.expect(&[&sync(0, Role::Phone, Some(7))]);
        test.publish_with("reset", |snapshot| snapshot.event.session = SessionId([9; 16]), |_| {});
        phone.expect(&["reset"]);
        phone.send_text("whoami");
        assert!(phone.next_text().ends_with(" 0 true"), "its number is unbound");
        assert_eq!(test.room.token_sockets.len(), 0);
        assert_eq!(test.join(test.numbered(7)).until_closed(), (vec![], 4401));
    }

    #[test]
    fn bytes_that_came_with_the_handshake_are_decoded_first() {
        let test = TestRoom::open(patient_limits(), 1);
        let (socket, mut far) = test.connection();
        let sent = [raw_frame(0x81, b"one"), raw_frame(0x81, &[b'x'; 16 << 10]), raw_frame(0x81, b"two")].concat();
        let (ahead, rest) = sent.split_at(sent.len() - 3);
        far.write_all(rest).unwrap();
        let join = Join::new(socket, test.admitted(Role::Phone));
        test.reactors.join(Join { read_ahead: Bytes::copy_from_slice(ahead), ..join });
        let long = format!("echo {}", "x".repeat(16 << 10));
        TestClient::new(far).expect(&[&sync(0, Role::Phone, None), "echo one", &long, "echo two"]);
    }

    #[test]
    fn the_handshake_s_response_comes_before_every_frame() {
        const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let test = TestRoom::open(patient_limits(), 1);
        let stale = Identity { session: SessionId([9; 16]), number: Number(1) };
        let stranger =
            Admission::Admitted { room: test.room.clone(), role: Role::Phone, identity: Some(stale), link: None, since: None };
        let admissions = [
            (test.admitted(Role::Phone), 0x81),
            (test.numbered(3), 0x81),
            (stranger, 0x88),
            (Admission::Rejected { code: CloseCode::NoSuchEvent }, 0x88),
            // It gets no frame before it has proved its role, but its ping is answered.
            (test.pending(0), 0x8a),
        ];
        for (admission, first) in admissions {
            let (socket, mut far) = test.connection();
            far.write_all(&raw_frame(0x89, b"there?")).unwrap();
            let response = Bytes::from_static(RESPONSE);
            test.reactors.join(Join { response, ..Join::new(socket, admission) });
            let mut received = [0; RESPONSE.len() + 1];
            far.read_exact(&mut received).unwrap();
            assert_eq!((&received[..RESPONSE.len()], received[RESPONSE.len()]), (RESPONSE, first));
        }
        let (socket, mut far) = test.connection();
        let join = Join { response: Bytes::from_static(RESPONSE), ..Join::new(socket, test.numbered(3)) };
        join.reject(CloseCode::Overloaded);
        let mut received = Vec::new();
        far.read_to_end(&mut received).unwrap();
        assert_eq!(received, [RESPONSE, &close_frame(Some(1013))].concat());
    }

    #[test]
    fn a_rejected_socket_gets_the_close_code() {
        let test = TestRoom::open(patient_limits(), 1);
        for code in [CloseCode::BadToken, CloseCode::NoSuchEvent] {
            assert_eq!(test.join(Admission::Rejected { code }).until_closed(), (vec![], code as u16));
        }
    }

    #[test]
    fn a_full_inbox_closes_a_join_with_1013() {
        let test = TestRoom::open(Limits { inbox_jobs_max: 1, ..patient_limits() }, 1);
        let mut blocker = test.phone();
        blocker.send_text("block");
        // The reactor reads it at some time: until then it takes joins, and from then on its inbox
        // holds one.
        let last = loop {
            let mut far = test.join_raw(test.admitted(Role::Phone));
            let mut first = [0; 4];
            far.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            match far.read_exact(&mut first) {
                Ok(()) if first[0] == 0x88 => break first,
                Ok(()) | Err(_) => {}
            }
        };
        assert_eq!(last[..], close_frame(Some(1013))[..]);
        test.unblock.send(()).unwrap();
    }

    #[test]
    fn a_socket_that_closed_before_it_joined_leaves_nothing_behind() {
        let test = TestRoom::open(patient_limits(), 1);
        for sent in [&b""[..], &raw_frame(0x81, b"quiet"), &raw_frame(0x88, b""), &[0x81]] {
            let (socket, mut far) = test.connection();
            far.write_all(sent).unwrap();
            far.shutdown(std::net::Shutdown::Write).unwrap();
            test.reactors.join(Join::new(socket, test.numbered(3)));
            far.read_to_end(&mut Vec::new()).expect("the reactor closes it too");
        }
        eventually("they have left the counts", || test.room.connections.total() == 0 && test.room.token_sockets.len() == 0);
        eventually("no reactor holds their room", || Arc::strong_count(&test.room) == 1);
    }
}
