//! Random work on a reactor whose sockets fail: the tables are consistent after every step, and no
//! step panics.
//!
//! The test is the reactor's thread: it takes one turn per step and then compares each table with
//! the others. A run is repeated from the same seed with a fault at its first call of a socket, at
//! its second, and so on to its last. The sockets are real, so that readiness is the kernel's own.

use crate::base::threads::probe;
use crate::draw::{DrawId, Number, SessionId};
use crate::live::faulty_socket::{self, Fault};
use crate::live::limits::Limits;
use crate::live::message_handler::Action;
use crate::live::peer::PeerState;
use crate::live::reactor::event_loop::EventLoop;
use crate::live::reactor::inbox::{Admission, Inbox, Job, Join, ReactorHandle, WAKER, Wakeup};
use crate::live::reactor::testing::*;
use crate::live::{CloseCode, Identity, PeerId, Role};
use crate::wire::text_frame;
use bytes::Bytes;
use crossbeam::channel::{Receiver, bounded};
use mio::{Events, Poll, Waker};
use rustls::ClientConnection;
use socket2::SockRef;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Steps per run.
const STEPS: u32 = 60;

/// A client, whose writes and reads never wait.
struct Far {
    socket: TcpStream,
    tls: Option<ClientConnection>,
}

impl Far {
    fn send(&mut self, bytes: &[u8]) {
        // The server may have closed it, or take no more.
        match &mut self.tls {
            None => drop(self.socket.write(bytes)),
            Some(tls) => {
                let _ = tls.writer().write(bytes);
                let mut records = Vec::new();
                while tls.wants_write() && tls.write_tls(&mut records).is_ok() {}
                // Some records arrive in part.
                let cut = if bytes.len().is_multiple_of(3) { records.len() / 2 } else { records.len() };
                let _ = self.socket.write(&records[..cut]);
            }
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 64 << 10];
        while self.socket.read(&mut buffer).is_ok_and(|count| count == buffer.len()) {}
    }
}

/// A reactor on the test's thread, with another one that takes no jobs.
struct Driver {
    choices: Choices,
    event_loop: EventLoop,
    handle: Arc<[ReactorHandle]>,
    events: Events,
    test: TestRoom,
    fars: Vec<Far>,
    with_tls: bool,
    permits: Arc<Semaphore>,
    _other: Receiver<Job>,
}

impl Driver {
    fn new(seed: u64, with_tls: bool) -> Self {
        let limits = Limits {
            scan_interval: Duration::ZERO,
            scan_interval_closing: Duration::ZERO,
            unfinished_bytes_max: 12 << 10,
            own_bytes_max: 64 << 10,
            outbox_frames_max: 4,
            ..Limits::default()
        };
        let poll = Poll::new().unwrap();
        let wakeup = Arc::new(Wakeup::new(Waker::new(poll.registry(), WAKER).unwrap()));
        let ((sender, jobs), (other, _other)) = (bounded(64), bounded(2));
        let handle: Arc<[_]> = [ReactorHandle::new(sender, wakeup.clone()), ReactorHandle::new(other, wakeup.clone())].into();
        let inbox = Inbox { jobs, wakeup, handles: handle.clone() };
        // Its own reactors are idle: only its room, listener and publications are used.
        let test = TestRoom::open(Limits::default(), 1);
        let event_loop = EventLoop::new(0, limits, poll, inbox, test.handler());
        let (events, permits) = (Events::with_capacity(64), Arc::new(Semaphore::new(STEPS as usize)));
        Self { choices: Choices(seed), event_loop, handle, events, test, fars: Vec::new(), with_tls, permits, _other }
    }

    /// One random step, and the reactor's turn after it.
    fn step(&mut self) {
        match self.choices.below(22) {
            0..=5 => self.join(),
            6..=8 => self.publish(),
            9..=13 => self.send(),
            14 => self.for_any(Far::receive),
            15 => self.end(),
            16 | 17 => {
                let seconds = self.choices.of(&[1, 4, 12, 30, 60]);
                self.event_loop.clock.skip(Duration::from_secs(seconds));
            }
            18 | 19 => self.join_elsewhere(),
            20 => {
                let peer = self.any_id();
                self.job(Job::Act(peer, Action::Reply(text_frame(&"u".repeat(3_000)))));
            }
            _ => {
                let (peer, number) = (self.any_id(), Number(1 + self.choices.below(3) as u32));
                self.job(Job::Replace(peer, number));
            }
        }
        self.turn();
    }

    fn turn(&mut self) {
        // With a job in its inbox the reactor does not wait for an event.
        drop(probe("reactor", |liveness| self.handle[0].try_send(Job::Probe(liveness)).is_ok()));
        self.event_loop.turn(&mut self.events);
    }

    fn job(&self, job: Job) {
        assert!(self.handle[0].try_send(job).is_ok(), "one job per turn fits");
    }

    fn join(&mut self) {
        let (socket, far, tls, client) = if self.with_tls && self.choices.below(3) > 0 {
            let (socket, session, far, client) = self.test.tls_connection();
            (socket, far, Some(session), Some(client))
        } else {
            let (socket, far) = self.test.connection();
            (socket, far, None, None)
        };
        far.set_nonblocking(true).unwrap();
        let admission = self.admission();
        let read_ahead = self.choices.of(&[&b""[..], b"\x81\x84\0\0\0\0read", b"\x81\xfe\x10", b"\x82\x80\0\0\0\0"]);
        let (response, read_ahead) = (Bytes::from_static(b"HTTP/1.1 101\r\n\r\n"), Bytes::from_static(read_ahead));
        let permit = self.permits.clone().try_acquire_owned().ok();
        assert!(permit.is_some(), "a permit per socket comes back");
        self.job(Job::Join(Box::new(Join { tls, response, read_ahead, permit, ..Join::new(socket, admission) })));
        self.fars.push(Far { socket: far, tls: client });
    }

    fn admission(&mut self) -> Admission {
        let last = self.test.snapshot.ring.last_seq();
        match self.choices.below(8) {
            0 => Admission::Rejected { code: CloseCode::BadToken },
            1 | 2 => self.test.pending(last.saturating_sub(2)),
            3 => self.test.returning(last.saturating_sub(3)),
            4 => self.test.admitted(self.choices.of(&Role::ALL)),
            _ => {
                let number = Number(1 + self.choices.below(3) as u32);
                let identity = Some(Identity { session: self.test.snapshot.event.session, number });
                Admission::Admitted { room: self.test.room.clone(), role: Role::Phone, identity, link: None, since: None }
            }
        }
    }

    fn publish(&mut self) {
        let text = "p".repeat(self.choices.of(&[10, 3_000, 30_000]));
        let kind = self.choices.below(16);
        let session = SessionId([self.choices.below(200) as u8; 16]);
        let role = self.choices.of(&Role::ALL);
        let publication = self.test.next_publication(
            &text,
            |snapshot| {
                if kind == 0 {
                    snapshot.event.session = session;
                }
            },
            |publication| match kind {
                1 => publication.reauthenticate[role] = true,
                2..=5 => publication.announces = Some(DrawId(1)),
                _ => {}
            },
        );
        self.job(Job::Publish(publication));
    }

    /// A client sends whole messages, parts of them, or what no client may.
    fn send(&mut self) {
        let since = self.test.snapshot.ring.last_seq().saturating_sub(self.choices.below(4));
        let text = match self.choices.below(6) {
            0 => "display".to_owned(),
            1 => format!("number {} {since}", 1 + self.choices.below(3)),
            2 => "wrong".to_owned(),
            _ => "x".repeat(self.choices.of(&[1, 100, 9_000])),
        };
        let whole = raw_frame(0x81, text.as_bytes());
        let bytes = match self.choices.below(10) {
            0 => whole[..whole.len() / 2].to_vec(),
            1 => raw_frame(0x01, text.as_bytes()),
            2 => raw_frame(0x80, b"end"),
            3 => raw_frame(0x89, b"ping"),
            4 => raw_frame(0x88, b""),
            5 => whole.repeat(50),
            _ => whole,
        };
        self.for_any(|far| far.send(&bytes));
    }

    /// A socket on the other reactor takes a number; its oldest socket has to go.
    fn join_elsewhere(&mut self) {
        let number = Number(1 + self.choices.below(3) as u32);
        let newest = PeerId { reactor: 1, slot: 0, generation: self.choices.below(100) as u32 };
        let handle = self.handle.clone();
        let evict = |oldest: PeerId| handle[usize::from(oldest.reactor)].try_send(Job::Replace(oldest, number)).is_ok();
        self.test.room.token_sockets.add(number, newest, evict);
    }

    /// A client ends: it shuts down, hangs up, or resets.
    fn end(&mut self) {
        if self.fars.is_empty() {
            return;
        }
        let at = self.choices.below(self.fars.len() as u64) as usize;
        match self.choices.below(3) {
            0 => drop(self.fars[at].socket.shutdown(Shutdown::Write)),
            1 => drop(self.fars.swap_remove(at)),
            _ => {
                SockRef::from(&self.fars[at].socket).set_linger(Some(Duration::ZERO)).unwrap();
                drop(self.fars.swap_remove(at));
            }
        }
    }

    fn for_any(&mut self, act: impl FnOnce(&mut Far)) {
        if !self.fars.is_empty() {
            let at = self.choices.below(self.fars.len() as u64) as usize;
            act(&mut self.fars[at]);
        }
    }

    /// The id of a peer, of one that has left, or of another reactor's.
    fn any_id(&mut self) -> PeerId {
        let reactor = u16::from(self.choices.below(8) == 0);
        let generation = 1 + self.choices.below(u64::from(self.event_loop.joined) + 1) as u32;
        let here = self.event_loop.peers.iter().find(|(_, peer)| peer.generation == generation);
        PeerId { reactor, slot: here.map_or(0, |(slot, _)| slot as u32), generation }
    }

    /// Compares every table of the reactor with the others.
    fn check(&self) {
        let EventLoop { peers, subscribers, .. } = &self.event_loop;
        assert!(self.event_loop.removed.is_empty() && self.event_loop.verdicts.is_empty() && !self.event_loop.buffer.is_empty());
        let mut members = BTreeMap::new();
        for (key, here) in subscribers {
            assert!(!here.is_empty(), "subscribers without a peer are dropped");
            for role in Role::ALL {
                members.extend(
                    here.admitted[role].iter().enumerate().map(|(at, &slot)| (slot, (key, at, PeerState::Admitted(role)))),
                );
            }
            let pending = here.pending_auth.iter().enumerate();
            members.extend(pending.map(|(at, one)| (one.slot, (key, at, PeerState::PendingAuth(Role::Display)))));
            assert_eq!(
                here.slots().count(),
                members.values().filter(|member| member.0 == key).count(),
                "no slot is listed twice"
            );
        }
        let (mut behind, mut tokens) = (0, Vec::new());
        for (slot, peer) in peers {
            let member = members.remove(&(slot as u32));
            let expected = peer.membership.map(|entry| (entry.subscribers as usize, entry.index() as usize, peer.state));
            assert_eq!(member, expected, "slot {slot} is where it says it is");
            assert_eq!(peer.is_leaving(), peer.membership.is_none(), "{:?}", peer.state);
            assert_ne!(peer.state, PeerState::Removed);
            assert!(peer.outbox.as_ref().is_none_or(|outbox| outbox.depth() > 0), "an empty outbox is dropped");
            behind += u32::from(peer.outbox.is_some() && member.is_some());
            let id = self.event_loop.peer_id(slot as u32);
            tokens.extend(peer.number().filter(|_| member.is_some()).map(|number| (number, id)));
        }
        assert!(members.is_empty(), "listed, and not here: {members:?}");
        let connections = &self.test.room.connections;
        for role in Role::ALL {
            let listed: usize = subscribers.iter().map(|(_, here)| here.admitted[role].len()).sum();
            assert_eq!(connections.connected(role) as usize, listed, "{role:?}");
        }
        assert_eq!(connections.behind.load(Relaxed), behind);
        let mut held = self.test.room.token_sockets.all();
        held.retain(|(_, id)| id.reactor == 0);
        held.sort_by_key(|(number, id)| (number.0, id.generation));
        tokens.sort_by_key(|(number, id)| (number.0, id.generation));
        assert_eq!(held, tokens);
        let unfinished: usize = peers.iter().map(|(_, peer)| peer.unfinished_bytes()).sum();
        assert_eq!(self.event_loop.unfinished_bytes, unfinished);
        let own: usize = peers.iter().map(|(_, peer)| peer.own_bytes()).sum();
        assert_eq!(self.event_loop.own_bytes, own);
        assert_eq!(STEPS as usize - self.permits.available_permits(), peers.len(), "a permit per socket");
        assert_eq!(self.event_loop.closing, peers.iter().filter(|(_, peer)| peer.is_leaving()).count());
    }
}

/// A run of random steps with a fault at one call. Returns the calls that were made.
fn run(seed: u64, with_tls: bool, fails_at: u32, fault: Fault) -> u32 {
    let mut driver = Driver::new(seed, with_tls);
    faulty_socket::fail_at(fails_at, fault);
    for step in 0..STEPS {
        let step_and_check = AssertUnwindSafe(|| {
            driver.step();
            driver.check();
        });
        if let Err(panic) = catch_unwind(step_and_check) {
            eprintln!("seed {seed}, step {step}, TLS {with_tls}, {fault:?} at call {fails_at}");
            resume_unwind(panic);
        }
    }
    faulty_socket::calls()
}

fn run_all(with_tls: bool) {
    let seeds = std::iter::repeat_with(|| u64::from_le_bytes(crate::base::chance::bytes()));
    let mut runs = seeds.map(|seed| (seed, run(seed, with_tls, 0, Fault::Reset)));
    // Steps are random, and some runs hold hardly a socket.
    let (seed, calls) = runs.by_ref().take(50).find(|(_, calls)| *calls > STEPS).expect("a run that uses its sockets");
    for fault in [Fault::Reset, Fault::Blocks, Fault::OneByte] {
        for fails_at in 1..=calls {
            run(seed, with_tls, fails_at, fault);
        }
    }
}

#[test]
fn a_replaced_socket_that_has_proved_another_number_meanwhile_stays() {
    for (proves, stays) in [("number 2 x", true), ("number 1 x", true), ("quiet", false)] {
        let mut driver = Driver::new(0, false);
        let (socket, mut far) = driver.test.connection();
        driver.job(Job::Join(Box::new(Join::new(socket, driver.test.numbered(1)))));
        driver.turn();
        for generation in 0..4 {
            let newest = PeerId { reactor: 1, slot: 0, generation };
            let evict = |oldest| driver.handle[0].try_send(Job::Replace(oldest, Number(1))).is_ok();
            assert!(driver.test.room.token_sockets.add(Number(1), newest, evict));
        }
        // The reactor reads the message before it takes the job.
        far.write_all(&raw_frame(0x81, proves.as_bytes())).unwrap();
        driver.turn();
        let peer = driver.event_loop.peers.iter().next().map(|(_, peer)| peer.is_leaving());
        assert_eq!(peer, Some(!stays), "{proves}");
    }
}

#[test]
fn whatever_call_of_a_plain_socket_fails_the_tables_stay_consistent() {
    run_all(false);
}

#[test]
fn whatever_call_of_a_socket_under_tls_fails_the_tables_stay_consistent() {
    run_all(true);
}
