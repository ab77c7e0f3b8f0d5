//! How a peer comes in: the hand-over of its socket, its greeting, and the proofs of its role and number.
//!
//! A greeting is what the peer missed and one `state_sync` of the publication that this stage last walked; from then on the peer is on the list
//! that the next publication walks. Both happen here, on the thread that walks, so nothing can come between.

use crate::draw::Number;
use crate::live::outbox::Kind;
use crate::live::peer::{Peer, Place, State};
use crate::live::protocol::Since;
use crate::live::reactor::event_loop::EventLoop;
use crate::live::reactor::{Entry, Join, Order, token};
use crate::live::room::Room;
use crate::live::subscribers::{PendingAuth, Subscribers};
use crate::live::transport::Transport;
use crate::live::{CloseCode, Identity, PeerId, Role};
use crate::wire::join_frames;
use bytes::Bytes;
use std::sync::Arc;

/// Buffers up to this size leave as one: a copy costs less than a system call. Above it, what many have missed stays shared.
const JOINED_BYTES_MAX: usize = 16 << 10;

impl EventLoop {
    /// Takes a socket over. One whose peer has gone meanwhile is dropped.
    pub fn join(&mut self, join: Join) {
        let Ok(line) = Transport::open(join.socket, &self.limits) else { return };
        let slot = self.peers.vacant_key() as u32;
        if line.watch(self.poll.registry(), token(slot)).is_err() {
            return;
        }
        self.joined = self.joined.wrapping_add(1);
        let peer = Peer::new(line, join.cipher, self.joined, self.now, self.now.after(self.limits.admission_max));
        self.unfinished_bytes += peer.unfinished_bytes();
        self.peers.insert(peer);
        let (came_in, since) = match join.entry {
            _ if self.ends_at.is_some() => (Err(CloseCode::Restarting), None),
            Entry::Turned { code } => (Err(code), None),
            Entry::Awaiting { room, role, since } => (self.await_proof(slot, room, role, since), None),
            Entry::Admitted { room, role, identity, since } => (self.enter(slot, room, role, identity), since),
        };
        match came_in {
            Ok(()) => self.greet(slot, since, &join.answer),
            Err(code) => {
                self.send_all(slot, &[&join.answer], Kind::Greeting);
                self.close(slot, code);
            }
        }
        self.hear_ahead(slot, &join.read_ahead);
        if self.peers.get(slot as usize).is_some_and(Peer::has_unread) {
            self.listen(slot, false);
        }
    }

    /// Lets a peer in that has proved the role it wanted. From one that had nothing to prove it changes nothing.
    pub fn admit(&mut self, slot: u32, role: Role) {
        let peer = &self.peers[slot as usize];
        let (State::Awaiting(_), Some(place)) = (peer.state, peer.crowd) else { return };
        let crowd = &mut self.crowds[place.crowd as usize];
        let (petition, moved) = crowd.settle(place.index());
        self.note_moved(moved, place);
        self.list(slot, place.crowd, role);
        self.greet(slot, petition.since, &Bytes::new());
    }

    /// Takes down a proved number and answers with `reply`, what was missed before the peer connected, and the peer's own `state_sync`.
    pub fn identify(&mut self, slot: u32, number: Number, since: Option<Since>, reply: &Bytes) {
        let State::Admitted(role) = self.peers[slot as usize].state else { return };
        if let Err(code) = self.hold(slot, number) {
            return self.close(slot, code);
        }
        let Some(peer) = self.peers.get(slot as usize) else { return };
        let Some(place) = peer.crowd else { return };
        let crowd = &mut self.crowds[place.crowd as usize];
        let from = crowd.seq(peer.from);
        let missed = since.filter(|since| since.seq < from).and_then(|since| crowd.missed(since, from));
        let sync = self.protocol.state_sync(&crowd.snapshot, role, Some(number));
        match (missed, since) {
            (Some(missed), Some(since)) => {
                self.peers[slot as usize].from = since.seq as u32;
                self.send_all(slot, &[reply, &missed, &sync], Kind::Greeting);
            }
            // Counted: a phone that shows its token again and again must not fill its outbox for nothing.
            _ => self.send_all(slot, &[reply, &sync], Kind::Plain),
        }
    }

    /// Closes a peer whose number has one socket too many.
    pub fn replace(&mut self, oldest: PeerId) {
        if let Some(slot) = self.slot(oldest) {
            self.close(slot, CloseCode::Replaced);
        }
    }

    fn await_proof(&mut self, slot: u32, room: Arc<Room>, role: Role, since: Option<Since>) -> Result<(), CloseCode> {
        let key = self.find_crowd(room)?;
        let awaiting = &mut self.crowds[key as usize].awaiting;
        awaiting.push(PendingAuth { slot, since });
        let peer = &mut self.peers[slot as usize];
        peer.crowd = Some(Place::last(key, awaiting.len()));
        peer.state = State::Awaiting(role);
        Ok(())
    }

    fn enter(&mut self, slot: u32, room: Arc<Room>, role: Role, identity: Option<Identity>) -> Result<(), CloseCode> {
        let key = self.find_crowd(room)?;
        self.list(slot, key, role);
        let Some(identity) = identity else { return Ok(()) };
        // A token is given after its registration is committed, so its session is never ahead of what this stage was told.
        if identity.session != self.crowds[key as usize].snapshot.event.session {
            return Err(CloseCode::BadToken);
        }
        self.hold(slot, identity.number)
    }

    /// The crowd of a room, which is made if this is its first peer.
    fn find_crowd(&mut self, room: Arc<Room>) -> Result<u32, CloseCode> {
        if let Some(code) = room.is_shut() {
            return Err(code);
        }
        Ok(self.crowd_of(&room).unwrap_or_else(|| self.crowds.insert(Subscribers::new(room)) as u32))
    }

    /// Puts a peer on its role's list, counts it, and begins its heartbeat.
    fn list(&mut self, slot: u32, key: u32, role: Role) {
        let crowd = &mut self.crowds[key as usize];
        let list = &mut crowd.admitted[role];
        list.push(slot);
        let peer = &mut self.peers[slot as usize];
        peer.crowd = Some(Place::last(key, list.len()));
        peer.state = State::Admitted(role);
        peer.due_at = self.now.after(self.jitter.between(self.limits.silence_min, self.limits.silence_max));
        crowd.room.census.enter(role);
    }

    /// Sends the `answer` to the handshake and, to whoever is let in, what was missed after `since`, if it is held, and the `state_sync`.
    fn greet(&mut self, slot: u32, since: Option<Since>, answer: &Bytes) {
        let Some(peer) = self.peers.get_mut(slot as usize) else { return };
        let (State::Admitted(role), Some(place)) = (peer.state, peer.crowd) else {
            return self.send_all(slot, &[answer], Kind::Greeting);
        };
        let crowd = &mut self.crowds[place.crowd as usize];
        let last = crowd.snapshot.ring.last_seq();
        let missed = since.and_then(|since| crowd.missed(since, last).map(|frames| (since.seq, frames)));
        let sync = self.protocol.state_sync(&crowd.snapshot, role, peer.number());
        peer.from = missed.as_ref().map_or(last, |(seq, _)| *seq) as u32;
        let missed = missed.map(|(_, frames)| frames).unwrap_or_default();
        self.send_all(slot, &[answer, &missed, &sync], Kind::Greeting);
    }

    /// Notes that a peer holds a number, and sends the oldest holder away when it is one too many.
    fn hold(&mut self, slot: u32, number: Number) -> Result<(), CloseCode> {
        let id = self.id(slot);
        let peer = &mut self.peers[slot as usize];
        let Some(place) = peer.crowd else { return Ok(()) };
        let room = self.crowds[place.crowd as usize].room.clone();
        if let Some(former) = peer.number().filter(|&former| former != number) {
            room.holders.release(former, id);
        }
        peer.set_number(Some(number));
        let Some(oldest) = room.holders.take(number, id) else { return Ok(()) };
        if oldest.stage == self.index {
            self.replace(oldest);
        } else if self.mailbox.doors[usize::from(oldest.stage)].try_put(Order::Replace(oldest)).is_err() {
            // A stage never waits for another. The newcomer may try again.
            room.holders.put_back(number, oldest);
            return Err(CloseCode::Overloaded);
        }
        Ok(())
    }

    /// Sends several buffers of frames, as one if they are small.
    fn send_all(&mut self, slot: u32, buffers: &[&Bytes], kind: Kind) {
        let filled = buffers.iter().copied().filter(|buffer| !buffer.is_empty());
        let total: usize = filled.clone().map(Bytes::len).sum();
        if filled.clone().count() > 1 && total <= JOINED_BYTES_MAX {
            return self.send(slot, &join_frames(filled), kind);
        }
        filled.for_each(|buffer| self.send(slot, buffer, kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Epoch, SessionId};
    use crate::live::peer::close_frame;
    use crate::live::reactor::testing::*;
    use std::io::{Read, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[test]
    fn a_peer_gets_what_it_missed_then_its_state_sync_then_every_later_frame() {
        let mut house = House::open(patient(), 1);
        for text in ["1", "2", "3"] {
            house.say(text);
        }
        let mut first = house.phone();
        let mut back = house.join(house.since(1));
        let mut current = house.join(house.since(3));
        let mut ahead = house.join(house.since(9));
        let stranger = Some(Since { epoch: Epoch([9; 8]), seq: 1 });
        let room = house.room.clone();
        let mut stranger = house.join(Entry::Admitted { room, role: Role::Display, identity: None, since: stranger });
        // Whatever the order in which the stage takes these up: it has walked nothing of the room since the first peer came.
        house.say("4");
        first.expect(&["4"]);
        back.expect(&["2", "3", &sync(3, Role::Phone, None), "4"]);
        current.expect(&[&sync(3, Role::Phone, None), "4"]);
        ahead.expect(&[&sync(3, Role::Phone, None), "4"]);
        stranger.expect(&[&sync(3, Role::Display, None), "4"]);
    }

    #[test]
    fn what_many_have_missed_comes_whole_however_long_it_is() {
        let mut house = House::open(patient(), 1);
        let texts: Vec<String> = (1..=50).map(|n| format!("{n} {}", "x".repeat(4_000))).collect();
        for text in &texts {
            house.say(text);
        }
        for _ in 0..2 {
            let mut back = house.join(house.since(2));
            texts[2..].iter().for_each(|text| assert_eq!(back.hear(), *text));
            back.expect(&[&sync(50, Role::Phone, None)]);
        }
    }

    #[test]
    fn joining_and_publishing_never_race() {
        // Fewer than the ring holds, so that whoever comes back late has missed nothing that is gone.
        const FRAMES: u64 = 1_000;
        let mut house = House::open(patient(), 2);
        let is_done = AtomicBool::new(false);
        let (stages, room) = (house.stages.clone(), house.room.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let heard_by_all: usize = std::thread::scope(|scope| {
            let joiner = scope.spawn(|| {
                let mut clients = Vec::new();
                // Sockets keep coming while frames do.
                while clients.len() < 200 {
                    let was_done = is_done.load(Ordering::Acquire);
                    let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                    far.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    let since =
                        (clients.len() % 3 == 0).then_some(Since { epoch: EPOCH, seq: room.snapshot().ring.last_seq() / 2 });
                    let entry = Entry::Admitted { room: room.clone(), role: Role::Phone, identity: None, since };
                    let socket = listener.accept().unwrap().0;
                    socket.set_nonblocking(true).unwrap();
                    stages.join(Join { socket, cipher: None, answer: Bytes::new(), read_ahead: Bytes::new(), entry });
                    clients.push(scope.spawn(move || follow(Client::new(far), since, FRAMES)));
                    if was_done {
                        break;
                    }
                }
                clients.into_iter().map(|client| client.join().unwrap()).count()
            });
            (1..=FRAMES).for_each(|seq| assert_eq!(house.say(&seq.to_string()), seq));
            is_done.store(true, Ordering::Release);
            joiner.join().unwrap()
        });
        println!("{heard_by_all} sockets came while {FRAMES} frames were published");
        assert!(heard_by_all > 1);
    }

    /// Reads to the last frame: each comes once and in order, and the one `state_sync` says where it stands among them.
    fn follow(mut client: Client, since: Option<Since>, last: u64) {
        let (mut seq, mut synced) = (since.map(|since| since.seq), false);
        while seq != Some(last) || !synced {
            let text = client.hear();
            if let Some(covered) = text.strip_prefix("sync ") {
                let covered = covered.split(' ').next().unwrap().parse().unwrap();
                assert!(!synced && seq.is_none_or(|seq| seq == covered), "{seq:?} {text}");
                (seq, synced) = (Some(covered), true);
            } else {
                assert_eq!(text.parse(), Ok(seq.expect("the first word of a bare peer is its state_sync") + 1));
                seq = seq.map(|seq| seq + 1);
            }
        }
    }

    #[test]
    fn who_has_yet_to_prove_a_role_hears_nothing_and_is_greeted_when_it_has() {
        let mut house = House::open(patient(), 1);
        house.say("1");
        let mut display = house.join(house.awaiting(0));
        house.say("2");
        display.say("who");
        assert!(display.hear().ends_with("false"));
        assert_eq!(house.room.census.total(), 0);
        display.say("display");
        display.expect(&["1", "2", &sync(2, Role::Display, None)]);
        house.say("3");
        display.expect(&["3"]);
        assert_eq!((house.room.census.connected(Role::Display), house.room.census.total()), (1, 1));
    }

    #[test]
    fn who_proves_nothing_in_time_is_closed_with_4401() {
        let house = House::open(crate::live::reactor::Limits { admission_max: Duration::from_millis(20), ..patient() }, 1);
        assert_eq!(house.join(house.awaiting(0)).until_closed(), (vec![], 4401));
    }

    #[test]
    fn a_proof_that_is_wrong_is_closed_with_4401() {
        let house = House::open(patient(), 1);
        let mut display = house.join(house.awaiting(0));
        display.say("wrong");
        assert_eq!(display.until_closed(), (vec![], 4401));
    }

    #[test]
    fn a_phone_that_proves_its_number_late_gets_what_it_missed_before_it_came() {
        let mut house = House::open(patient(), 1);
        for text in ["1", "2", "3"] {
            house.say(text);
        }
        let mut phone = house.phone();
        house.say("4");
        phone.expect(&["4"]);
        phone.say("number 7 1");
        phone.expect(&["known", "2", "3", &sync(4, Role::Phone, Some(7))]);
        phone.say("number 7 1");
        phone.expect(&["known", &sync(4, Role::Phone, Some(7))]);
        phone.say("number 7 0");
        phone.expect(&["known", "1", &sync(4, Role::Phone, Some(7))]);
        house.say("5");
        phone.expect(&["5"]);
        phone.say("who");
        assert!(phone.hear().ends_with(" 7 true"));
    }

    #[test]
    fn a_number_holds_four_sockets_on_all_stages_and_the_oldest_goes() {
        let mut house = House::open(patient(), 3);
        let mut tabs: Vec<_> = (0..4).map(|_| house.greeted(house.holding(7))).collect();
        let mut other = house.greeted(house.holding(8));
        for number in 0..4 {
            // The fifth comes by its entry, or by its word.
            let mut fifth = if number % 2 == 0 { house.greeted(house.holding(7)) } else { house.phone() };
            fifth.say("number 7 x");
            fifth.expect(&["known", &sync(0, Role::Phone, Some(7))]);
            assert_eq!(tabs.remove(0).until_closed(), (vec![], 4409));
            tabs.push(fifth);
        }
        house.say("1");
        tabs.iter_mut().chain([&mut other]).for_each(|tab| tab.expect(&["1"]));
        drop(tabs);
        eventually("the four have let their number go", || house.room.holders.len() == 1);
    }

    #[test]
    fn a_number_of_an_older_session_is_nobody() {
        let mut house = House::open(patient(), 1);
        let mut phone = house.join(house.holding(7));
        phone.expect(&[&sync(0, Role::Phone, Some(7))]);
        house.tell("reset", |snapshot| snapshot.event.session = SessionId([9; 16]), |_| {});
        phone.expect(&["reset"]);
        phone.say("who");
        assert!(phone.hear().ends_with(" 0 true"), "it has no number any more");
        assert_eq!(house.room.holders.len(), 0);
        assert_eq!(house.join(house.holding(7)).until_closed(), (vec![], 4401));
    }

    #[test]
    fn bytes_that_came_with_the_handshake_are_heard_first() {
        let house = House::open(patient(), 1);
        let (socket, mut far) = house.connection();
        let said = [raw_frame(0x81, b"one"), raw_frame(0x81, &[b'x'; 16 << 10]), raw_frame(0x81, b"two")].concat();
        let (ahead, rest) = said.split_at(said.len() - 3);
        far.write_all(rest).unwrap();
        house.stages.join(Join {
            socket,
            cipher: None,
            answer: Bytes::new(),
            read_ahead: Bytes::copy_from_slice(ahead),
            entry: house.admitted(Role::Phone),
        });
        let long = format!("heard {}", "x".repeat(16 << 10));
        Client::new(far).expect(&[&sync(0, Role::Phone, None), "heard one", &long, "heard two"]);
    }

    #[test]
    fn the_answer_to_a_handshake_comes_before_everything_else() {
        const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let house = House::open(patient(), 1);
        let stale = Identity { session: SessionId([9; 16]), number: Number(1) };
        let stranger = Entry::Admitted { room: house.room.clone(), role: Role::Phone, identity: Some(stale), since: None };
        let entries = [
            (house.admitted(Role::Phone), 0x81),
            (house.holding(3), 0x81),
            (stranger, 0x88),
            (Entry::Turned { code: CloseCode::NoSuchEvent }, 0x88),
            // It is told nothing until it has spoken, and its ping is answered.
            (house.awaiting(0), 0x8a),
        ];
        for (entry, first) in entries {
            let (socket, mut far) = house.connection();
            far.write_all(&raw_frame(0x89, b"there?")).unwrap();
            let answer = Bytes::from_static(ANSWER);
            house.stages.join(Join { socket, cipher: None, answer, read_ahead: Bytes::new(), entry });
            let mut heard = [0; ANSWER.len() + 1];
            far.read_exact(&mut heard).unwrap();
            assert_eq!((&heard[..ANSWER.len()], heard[ANSWER.len()]), (ANSWER, first));
        }
        let (socket, mut far) = house.connection();
        let join =
            Join { socket, cipher: None, answer: Bytes::from_static(ANSWER), read_ahead: Bytes::new(), entry: house.holding(3) };
        join.turn_away(CloseCode::Overloaded);
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, [ANSWER, &close_frame(Some(1013))].concat());
    }

    #[test]
    fn whoever_is_turned_away_is_told_why() {
        let house = House::open(patient(), 1);
        for code in [CloseCode::BadToken, CloseCode::NoSuchEvent] {
            assert_eq!(house.join(Entry::Turned { code }).until_closed(), (vec![], code as u16));
        }
    }

    #[test]
    fn a_full_inbox_turns_a_join_away_with_1013() {
        let house = House::open(crate::live::reactor::Limits { inbox_orders_max: 1, ..patient() }, 1);
        let mut blocker = house.phone();
        blocker.say("block");
        // The stage hears it when it hears it: until then joins are taken, and from then on one.
        let last = loop {
            let mut far = house.join_raw(house.admitted(Role::Phone));
            let mut word = [0; 4];
            far.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            match far.read_exact(&mut word) {
                Ok(()) if word[0] == 0x88 => break word,
                Ok(()) | Err(_) => {}
            }
        };
        assert_eq!(last[..], close_frame(Some(1013))[..]);
        house.unblock.send(()).unwrap();
    }

    #[test]
    fn a_socket_that_has_hung_up_on_its_way_leaves_nothing_behind() {
        let house = House::open(patient(), 1);
        for said in [&b""[..], &raw_frame(0x81, b"quiet"), &raw_frame(0x88, b""), &[0x81]] {
            let (socket, mut far) = house.connection();
            far.write_all(said).unwrap();
            far.shutdown(std::net::Shutdown::Write).unwrap();
            house.stages.join(Join {
                socket,
                cipher: None,
                answer: Bytes::new(),
                read_ahead: Bytes::new(),
                entry: house.holding(3),
            });
            far.read_to_end(&mut Vec::new()).expect("the stage hangs up too");
        }
        eventually("nothing counts them", || house.room.census.total() == 0 && house.room.holders.len() == 0);
        eventually("nothing holds their room", || Arc::strong_count(&house.room) == 1);
    }
}
