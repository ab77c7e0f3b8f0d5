//! What a broadcast may cost, counted rather than timed: no allocation a peer, and one write a peer for all frames of an announcement.
//!
//! A binary of its own, since the allocator that counts is the whole process's; it holds one test, so that nothing else allocates meanwhile.

use bytes::Bytes;
use luckydraw::draw::fact::Settings;
use luckydraw::draw::{DrawId, Epoch, Event, EventId, Number, SessionId, Timestamp};
use luckydraw::live::protocol::{Action, MessageHandler, Speaker};
use luckydraw::live::publication::Publication;
use luckydraw::live::reactor::{Entry, Join, Reactors};
use luckydraw::live::ring::Ring;
use luckydraw::live::room::Room;
use luckydraw::live::roster::Roster;
use luckydraw::live::snapshot::Snapshot;
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

/// Counts what is asked of the system's allocator, by any thread.
struct Counting;

/// Written by every thread that allocates; read between broadcasts. Relaxed: it is exact once the threads are idle, and a
/// broadcast is over only when its bytes have been read from the sockets.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each call goes on, unchanged, to the system's allocator, which keeps the contract; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the contract of this very call.
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
fn a_broadcast_allocates_nothing_for_a_peer_and_writes_to_each_once() {
    let (few, many) = (allocations_of_broadcasts(FEW), allocations_of_broadcasts(MANY));
    // A publication has a snapshot and lists of its own, whoever hears it; that it is counted at all shows that the count works.
    assert!(few >= ROUNDS, "{few} allocations in {ROUNDS} broadcasts: nothing was counted");
    let more = many.saturating_sub(few);
    assert!(more < ROUNDS, "{ROUNDS} broadcasts to {MANY} peers made {more} allocations more than to {FEW}");
}

/// How many allocations some broadcasts of two frames to so many peers take, none of whom is behind.
fn allocations_of_broadcasts(peers: usize) -> usize {
    let mut hall = Hall::fill(peers);
    // The first walk grows what later ones use again.
    hall.announce();
    let before = ALLOCATIONS.load(Relaxed);
    (0..ROUNDS).for_each(|_| hall.announce());
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    hall.stages.stop(Duration::ZERO, Duration::ZERO);
    allocations
}

/// A room of phones on one stage.
struct Hall {
    stages: Reactors,
    room: Arc<Room>,
    phones: Vec<TcpStream>,
    /// The two frames of an announcement as the sequencer hands them over: one buffer.
    frames: Bytes,
    draws: u32,
}

impl Hall {
    fn fill(peers: usize) -> Self {
        let stages = Reactors::start(1, || Box::new(Deaf)).unwrap();
        let room = Arc::new(Room::new(Arc::new(first_snapshot())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut phones = Vec::new();
        for _ in 0..peers {
            let mut phone = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            phone.set_read_timeout(Some(DEADLINE)).unwrap();
            let (socket, _) = listener.accept().unwrap();
            // As the street's listening sockets have it: otherwise the kernel would hold a second write back, and might join it to a third.
            socket.set_nodelay(true).unwrap();
            socket.set_nonblocking(true).unwrap();
            let entry = Entry::Admitted { room: room.clone(), role: Role::Phone, identity: None, since: None };
            stages.join(Join { socket, cipher: None, answer: Bytes::new(), read_ahead: Bytes::new(), entry });
            phone.read_exact(&mut [0; SYNC.len() + 2]).unwrap();
            phones.push(phone);
        }
        let frames = join_frames([&text_frame(&"w".repeat(300)), &text_frame(&"c".repeat(300))]);
        Self { stages, room, phones, frames, draws: 0 }
    }

    /// Announces a draw, and reads it at every phone: both frames come as one segment, since they left by one write. That they are read at once is
    /// not enough: the far kernel joins what came apart, if it is read late enough.
    fn announce(&mut self) {
        self.draws += 1;
        let segments: Vec<u32> = self.phones.iter().map(segments_of).collect();
        let mut snapshot = Snapshot::clone(&self.room.snapshot());
        snapshot.revision += 1;
        let snapshot = Arc::new(snapshot);
        self.room.show(snapshot.clone());
        let frames = ByRole::from_fn(|_| Some(self.frames.clone()));
        let announces = Some(DrawId(self.draws));
        self.room.delivery.begin(DrawId(self.draws));
        let (room, doubts) = (self.room.clone(), ByRole::default());
        self.stages.publish(Arc::new(Publication { room, snapshot, frames, announces, closes: None, doubts }));
        let mut heard = vec![0; self.frames.len()];
        for (phone, before) in self.phones.iter_mut().zip(segments) {
            phone.read_exact(&mut heard).unwrap();
            assert!(heard == self.frames, "the frames come as they were sent");
            assert_eq!(segments_of(phone) - before, 1, "an announcement is one write");
        }
        // The walk is over when it has been counted, which is after its last write.
        let start = Instant::now();
        while self.room.delivery.reading().is_none_or(|reading| (reading.delivered as usize) < self.phones.len()) {
            assert!(start.elapsed() < DEADLINE, "the announcement was not counted");
            std::thread::yield_now();
        }
    }
}

/// How many segments with data have come in at a phone, as the kernel counts them.
fn segments_of(phone: &TcpStream) -> u32 {
    /// Where `tcpi_data_segs_in` stands in the kernel's `struct tcp_info`, which only ever grows at its end.
    const DATA_SEGS_IN: usize = 152;
    let mut info = [0u8; 256];
    let mut len = info.len() as libc::socklen_t;
    // SAFETY: the socket is open while it is borrowed; the kernel writes at most `len` bytes to `info`, which is that long, and says in `len` how many.
    let result =
        unsafe { libc::getsockopt(phone.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut len) };
    assert!(result == 0 && len as usize >= DATA_SEGS_IN + 4, "this kernel counts segments");
    u32::from_ne_bytes(info[DATA_SEGS_IN..DATA_SEGS_IN + 4].try_into().unwrap())
}

/// What everybody is greeted with.
const SYNC: &str = "hello";

fn first_snapshot() -> Snapshot {
    let settings = Settings { title: "allocations".into(), participants_max: 10, ..Settings::default() };
    let id = EventId::parse("allocations").unwrap();
    let event = Event::new(id, settings, SessionId([1; 16]), Epoch([2; 8]), Timestamp(0));
    let sync = ByRole::from_fn(|_| text_frame(SYNC));
    Snapshot { revision: 1, event, roster: Arc::new(Roster::new(10, 1)), ring: Ring::default(), sync }
}

/// Greets everybody alike, and hears nothing.
struct Deaf;

impl MessageHandler for Deaf {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _number: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn hear(&mut self, _speaker: &Speaker<'_>, _message: &mut [u8]) -> Action {
        Action::Nothing
    }
}
