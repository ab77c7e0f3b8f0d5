//! How long an announcement takes to every phone of a hall, over real loopback sockets: from the publication until no stage owes a phone anything.
//!
//! Run with `cargo bench --bench live`. One stage writes, one thread reads for all phones, so on two cores each has its own. Throughput is in
//! frames delivered. A figure that is small because nothing arrived cannot come out: the bytes that were read are counted at the end.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use luckydraw::draw::fact::Settings;
use luckydraw::draw::{DrawId, Epoch, Event, EventId, Moment, Number, SessionId};
use luckydraw::live::protocol::{Answer, Protocol, Speaker};
use luckydraw::live::publication::Publication;
use luckydraw::live::ring::Ring;
use luckydraw::live::room::Room;
use luckydraw::live::roster::Roster;
use luckydraw::live::snapshot::Snapshot;
use luckydraw::live::stage::{Entry, Join, Stages};
use luckydraw::live::{ByRole, Role};
use luckydraw::wire::text::text_frame;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The text of an announcement of one winner, near enough.
const TEXT_BYTES: usize = 304;
/// How long the last byte may take at the end of a run.
const DEADLINE: Duration = Duration::from_secs(30);

fn broadcast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("live/broadcast");
    for phones in [300, 3_000] {
        let mut hall = Hall::fill(phones);
        group.throughput(Throughput::Elements(phones as u64));
        group.bench_function(BenchmarkId::from_parameter(phones), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| hall.announce()).sum());
        });
        hall.empty();
    }
    group.finish();
}

criterion_group!(benches, broadcast);
criterion_main!(benches);

/// A room full of phones, all on one stage.
struct Hall {
    stages: Stages,
    room: Arc<Room>,
    phones: u32,
    draws: u32,
    frame: Bytes,
    ears: Ears,
}

impl Hall {
    fn fill(phones: u32) -> Self {
        let frame = text_frame(&"x".repeat(TEXT_BYTES));
        let stages = Stages::start(1, || Box::new(Deaf)).expect("a stage starts");
        let room = Arc::new(Room::new(Arc::new(first_snapshot(&frame))));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let mut far = Vec::new();
        for _ in 0..phones {
            far.push(std::net::TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens"));
            let (socket, _) = listener.accept().expect("somebody has connected");
            let entry = Entry::Admitted { room: room.clone(), role: Role::Phone, identity: None, since: None };
            stages.join(Join { socket, cipher: None, read_ahead: Bytes::new(), entry });
            // An inbox is bounded: a thousand joins at once would be turned away.
            wait_until(|| room.census.total() == far.len() as u32);
        }
        Self { stages, room, phones, draws: 0, frame, ears: Ears::listen(far) }
    }

    /// Announces a draw, and says how long it took until nobody was owed anything.
    fn announce(&mut self) -> Duration {
        self.draws += 1;
        let draw = DrawId(self.draws);
        let mut snapshot = Snapshot::clone(&self.room.snapshot());
        snapshot.revision += 1;
        snapshot.ring.push(self.frame.clone());
        let snapshot = Arc::new(snapshot);
        self.room.show(snapshot.clone());
        let frames = ByRole::from_fn(|_| Some(self.frame.clone()));
        let publication = Publication {
            room: self.room.clone(),
            snapshot,
            frames,
            announces: Some(draw),
            closes: None,
            doubts: ByRole::default(),
        };
        let publication = Arc::new(publication);
        let start = Instant::now();
        self.room.delivery.begin(draw);
        self.stages.publish(publication);
        wait_until(|| self.room.delivery.reading().is_some_and(|reading| reading.delivered == self.phones));
        start.elapsed()
    }

    /// Sends everybody home, once every byte has been read.
    fn empty(self) {
        let frames = u64::from(self.phones) * u64::from(self.draws + 1);
        let bytes = frames * self.frame.len() as u64;
        wait_until(|| self.ears.heard.load(Ordering::Relaxed) == bytes);
        assert_eq!(self.room.census.evicted_total(), 0, "nobody was let go");
        self.ears.stop();
        self.stages.stop(Duration::ZERO, Duration::from_secs(5));
    }
}

fn first_snapshot(sync: &Bytes) -> Snapshot {
    let settings = Settings { title: "bench".into(), participants_max: 1, ..Settings::default() };
    let id = EventId::parse("bench").expect("it is a name");
    let event = Event::opened(id, settings, SessionId([0; 16]), Epoch([0; 8]), Moment(0));
    let roster = Arc::new(Roster::new(1, 1));
    Snapshot { revision: 1, event, roster, ring: Ring::default(), sync: ByRole::from_fn(|_| sync.clone()) }
}

fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "waited in vain");
        std::thread::yield_now();
    }
}

/// Nobody says anything here.
struct Deaf;

impl Protocol for Deaf {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn hear(&mut self, _: &Speaker<'_>, _: &mut [u8]) -> Answer {
        Answer::Nothing
    }
}

/// All phones' ends, read by one thread.
struct Ears {
    /// Bytes that were read. Relaxed: it is only counted.
    heard: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Ears {
    fn listen(far: Vec<std::net::TcpStream>) -> Self {
        let (heard, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, over) = (heard.clone(), is_over.clone());
        let thread = std::thread::spawn(move || listen(far, &counter, &over));
        Self { heard, is_over, thread }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the reader reads to the end");
    }
}

fn listen(far: Vec<std::net::TcpStream>, heard: &AtomicU64, is_over: &AtomicBool) {
    let mut poll = Poll::new().expect("a readiness queue");
    let mut phones: Vec<TcpStream> = far
        .into_iter()
        .enumerate()
        .map(|(index, socket)| {
            socket.set_nonblocking(true).expect("a socket's mode can be set");
            let mut phone = TcpStream::from_std(socket);
            poll.registry().register(&mut phone, Token(index), Interest::READABLE).expect("it is registered once");
            phone
        })
        .collect();
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 64 << 10]);
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(10))).expect("the queue stands");
        for event in &events {
            heard.fetch_add(read_all(&mut phones[event.token().0], &mut buffer), Ordering::Relaxed);
        }
    }
}

fn read_all(phone: &mut TcpStream, buffer: &mut [u8]) -> u64 {
    let mut bytes = 0;
    loop {
        match phone.read(buffer) {
            Ok(0) => return bytes,
            Ok(count) if count < buffer.len() => return bytes + count as u64,
            Ok(count) => bytes += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return bytes,
            Err(error) => panic!("a phone's line broke: {error}"),
        }
    }
}
