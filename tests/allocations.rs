//! The cost of a broadcast, counted rather than timed: no allocation per peer, and one write per
//! peer for all frames of an announcement.
//!
//! A separate binary, since the counting allocator serves the whole process. It has one test, so
//! nothing else allocates meanwhile.

#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

use bytes::Bytes;
use luckydraw::draw::fact::Settings;
use luckydraw::draw::{DrawId, Epoch, Event, EventId, Number, SessionId, Timestamp};
use luckydraw::live::message_handler::{Action, MessageHandler, PeerContext};
use luckydraw::live::reactor::{Admission, Join, Publication, Reactors};
use luckydraw::live::ring::Ring;
use luckydraw::live::room::{Room, Snapshot};
use luckydraw::live::roster::Roster;
use luckydraw::live::{ByRole, Role};
use luckydraw::wire::{join_frames, text_frame};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

const FEW: usize = 10;
const MANY: usize = 300;
const ROUNDS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(30);

/// Counts the allocations of all threads and passes them on to the system's allocator.
struct Counting;

/// Written by every thread that allocates; read between broadcasts. Relaxed: the count is exact
/// once the threads are idle, and a broadcast is over only when its bytes are read from the
/// sockets.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each call is passed on unchanged to the system's allocator, which keeps the contract;
// counting touches no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System`, by `alloc` or `realloc` above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as in `dealloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[test]
fn a_broadcast_allocates_nothing_per_peer_and_writes_once_per_peer() {
    let (few, many) = (allocations_of_broadcasts(FEW), allocations_of_broadcasts(MANY));
    // A publication allocates its snapshot and lists for any number of peers; a count of zero would
    // mean that counting does not work.
    assert!(few >= ROUNDS, "{few} allocations in {ROUNDS} broadcasts: nothing was counted");
    let more = many.saturating_sub(few);
    assert!(more < ROUNDS, "{ROUNDS} broadcasts to {MANY} peers made {more} allocations more than to {FEW}");
}

/// Allocations of [`ROUNDS`] broadcasts of two frames to this many peers, none of which is behind.
fn allocations_of_broadcasts(peers: usize) -> usize {
    let mut room = FullRoom::with_phones(peers);
    // The first broadcast grows the buffers that later ones reuse.
    room.announce();
    let before = ALLOCATIONS.load(Relaxed);
    (0..ROUNDS).for_each(|_| room.announce());
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    room.reactors.stop(Duration::ZERO, Duration::ZERO);
    allocations
}

/// A room full of phones on one reactor.
struct FullRoom {
    reactors: Reactors,
    room: Arc<Room>,
    phones: Vec<TcpStream>,
    /// The two frames of an announcement as the sequencer publishes them: one buffer.
    frames: Bytes,
    draws: u32,
}

impl FullRoom {
    fn with_phones(peers: usize) -> Self {
        let reactors = Reactors::start(1, || Box::new(SilentHandler)).unwrap();
        let room = Arc::new(Room::new(Arc::new(first_snapshot())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut phones = Vec::new();
        for _ in 0..peers {
            let mut phone = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            phone.set_read_timeout(Some(DEADLINE)).unwrap();
            let (socket, _) = listener.accept().unwrap();
            // As the server's listeners set it: otherwise the kernel could delay a second write and
            // join it to a third.
            socket.set_nodelay(true).unwrap();
            socket.set_nonblocking(true).unwrap();
            let admission =
                Admission::Admitted { room: room.clone(), role: Role::Phone, identity: None, credential: None, since: None };
            reactors.join(Join::new(socket, admission));
            phone.read_exact(&mut [0; SYNC.len() + 2]).unwrap();
            phones.push(phone);
        }
        let frames = join_frames([&text_frame(&"w".repeat(300)), &text_frame(&"c".repeat(300))]);
        Self { reactors, room, phones, frames, draws: 0 }
    }

    /// Announces a draw and reads it at every phone. Both frames arrive as one segment, since they
    /// left by one write. One read that returns both would prove nothing: the receiving kernel
    /// joins segments that are read late.
    fn announce(&mut self) {
        self.draws += 1;
        let segments: Vec<u32> = self.phones.iter().map(segments_of).collect();
        let mut snapshot = Snapshot::clone(&self.room.snapshot());
        snapshot.revision += 1;
        let snapshot = Arc::new(snapshot);
        self.room.publish(snapshot.clone());
        let frames = ByRole::from_fn(|_| Some(self.frames.clone()));
        let announces = Some(DrawId(self.draws));
        self.room.delivery.begin(DrawId(self.draws));
        let (room, reauthenticate) = (self.room.clone(), ByRole::default());
        self.reactors.publish(Arc::new(Publication { room, snapshot, frames, announces, closes: None, reauthenticate }));
        let mut received = vec![0; self.frames.len()];
        for (phone, before) in self.phones.iter_mut().zip(segments) {
            phone.read_exact(&mut received).unwrap();
            assert!(received == self.frames, "the frames arrive as they were sent");
            assert_eq!(segments_of(phone) - before, 1, "an announcement is one write");
        }
        // The broadcast is over when its delivery is counted, which is after its last write.
        let start = Instant::now();
        while self.room.delivery.report().is_none_or(|report| (report.delivered as usize) < self.phones.len()) {
            assert!(start.elapsed() < DEADLINE, "the announcement was not counted");
            std::thread::yield_now();
        }
    }
}

/// Segments with data that a phone has received, as the kernel counts them.
fn segments_of(phone: &TcpStream) -> u32 {
    /// The offset of `tcpi_data_segs_in` in the kernel's `struct tcp_info`, which grows at its end
    /// only.
    const DATA_SEGS_IN: usize = 152;
    let mut info = [0u8; 256];
    let mut len = info.len() as libc::socklen_t;
    // SAFETY: the socket is open while it is borrowed. The kernel writes at most `len` bytes to
    // `info`, which is that long, and stores the count in `len`.
    let result =
        unsafe { libc::getsockopt(phone.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut len) };
    assert!(result == 0 && len as usize >= DATA_SEGS_IN + 4, "this kernel counts segments");
    u32::from_ne_bytes(info[DATA_SEGS_IN..DATA_SEGS_IN + 4].try_into().unwrap())
}

/// The `state_sync` of every peer.
const SYNC: &str = "hello";

fn first_snapshot() -> Snapshot {
    let settings = Settings { title: "allocations".into(), participants_max: 10, ..Settings::default() };
    let id = EventId::parse("allocations").unwrap();
    let event = Event::new(id, settings, SessionId([1; 16]), Epoch([2; 8]), Timestamp(0));
    let sync = ByRole::from_fn(|_| text_frame(SYNC));
    Snapshot { revision: 1, event, roster: Arc::new(Roster::new(10, 1)), ring: Ring::default(), sync, documents: Arc::default() }
}

/// Sends every peer the same `state_sync` and ignores messages.
struct SilentHandler;

impl MessageHandler for SilentHandler {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _number: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn handle(&mut self, _peer: &PeerContext<'_>, _message: &mut [u8]) -> Action {
        Action::Nothing
    }
}
