//! The time of an announcement to every phone of a full room, over real loopback sockets: from the
//! publication until every outbox is empty.
//!
//! Run with `cargo bench --bench live`. One reactor writes, and a second process reads for all
//! phones: 19,900 sockets have two ends each, more than one process may hold at a limit of 20,000
//! files. Throughput is in frames delivered. A figure cannot be small because frames were lost: the
//! received bytes are counted at the end.

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use luckydraw::draw::fact::Settings;
use luckydraw::draw::{DrawId, Epoch, Event, EventId, Number, SessionId, Timestamp};
use luckydraw::live::limits::Limits;
use luckydraw::live::message_handler::{Action, MessageHandler, PeerContext};
use luckydraw::live::reactor::{Admission, Join, Publication, Reactors};
use luckydraw::live::ring::Ring;
use luckydraw::live::room::{Room, Snapshot};
use luckydraw::live::roster::Roster;
use luckydraw::live::{ByRole, Role};
use luckydraw::ops::limits::raise_open_files;
use luckydraw::wire::text_frame;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The length of a typical announcement of one winner.
const TEXT_BYTES: usize = 304;
/// Limit of any step: all joins, or the last byte at the end of a run.
const DEADLINE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Set for the process that reads: the port to connect to, and the count of phones.
const READER: &str = "BENCH_READER";

fn broadcast(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("live/broadcast");
    for phones in [300, 3_000, 19_900] {
        if raise_open_files(phones as usize, 1) < phones as usize {
            println!("live/broadcast/{phones}: left out, since this process may not open so many sockets");
            continue;
        }
        let mut room = FullRoom::with_phones(phones);
        group.throughput(Throughput::Elements(phones as u64));
        group.bench_function(BenchmarkId::from_parameter(phones), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| room.announce()).sum());
        });
        room.close();
    }
    group.finish();
}

criterion_group!(benches, broadcast);

fn main() {
    match std::env::var(READER) {
        Ok(arguments) => read_for_phones(&arguments),
        Err(_) => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
}

/// A room full of phones, all on one reactor.
struct FullRoom {
    reactors: Reactors,
    room: Arc<Room>,
    phones: u32,
    draws: u32,
    frame: Bytes,
    reader: Reader,
}

impl FullRoom {
    fn with_phones(phones: u32) -> Self {
        let frame = text_frame(&"x".repeat(TEXT_BYTES));
        // No phone here answers a ping.
        let limits = Limits { silence_min: HOUR, silence_max: HOUR, ..Limits::default() };
        let reactors = Reactors::start_with_limits(limits, 1, || Box::new(SilentHandler)).expect("a reactor starts");
        let room = Arc::new(Room::new(Arc::new(first_snapshot(&frame))));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let reader = Reader::start(&listener, phones);
        for joined in 1..=phones {
            let (socket, _) = listener.accept().expect("a phone connects");
            socket.set_nodelay(true).expect("it is open");
            socket.set_nonblocking(true).expect("it is open");
            let admission =
                Admission::Admitted { room: room.clone(), role: Role::Phone, identity: None, credential: None, since: None };
            reactors.join(Join::new(socket, admission));
            // The inbox is bounded: a thousand joins at once would be rejected.
            wait_until(|| room.connections.total() + 500 > joined);
        }
        wait_until(|| room.connections.total() == phones);
        Self { reactors, room, phones, draws: 0, frame, reader }
    }

    /// Announces a draw, and returns the time until every outbox was empty.
    fn announce(&mut self) -> Duration {
        self.draws += 1;
        let draw = DrawId(self.draws);
        let mut snapshot = Snapshot::clone(&self.room.snapshot());
        snapshot.revision += 1;
        snapshot.ring.push(self.frame.clone());
        let snapshot = Arc::new(snapshot);
        self.room.publish(snapshot.clone());
        let frames = ByRole::from_fn(|_| Some(self.frame.clone()));
        let publication = Publication {
            room: self.room.clone(),
            snapshot,
            frames,
            announces: Some(draw),
            closes: None,
            reauthenticate: ByRole::default(),
        };
        let publication = Arc::new(publication);
        let start = Instant::now();
        self.room.delivery.begin(draw);
        self.reactors.publish(publication);
        wait_until(|| self.room.delivery.report().is_some_and(|report| report.delivered == self.phones));
        start.elapsed()
    }

    /// Stops the reactor, once every byte has been read.
    fn close(self) {
        let frames = u64::from(self.phones) * u64::from(self.draws + 1);
        self.reader.finish(frames * self.frame.len() as u64);
        assert_eq!(self.room.connections.evicted_total(), 0, "no phone was evicted");
        self.reactors.stop(Duration::ZERO, Duration::from_secs(5));
    }
}

fn first_snapshot(sync: &Bytes) -> Snapshot {
    let settings = Settings { title: "bench".into(), participants_max: 1, ..Settings::default() };
    let id = EventId::parse("bench").expect("it is a name");
    let event = Event::new(id, settings, SessionId([0; 16]), Epoch([0; 8]), Timestamp(0));
    let roster = Arc::new(Roster::new(1, 1));
    Snapshot {
        revision: 1,
        event,
        roster,
        ring: Ring::default(),
        sync: ByRole::from_fn(|_| sync.clone()),
        documents: Arc::default(),
    }
}

fn wait_until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "waited in vain");
        std::thread::yield_now();
    }
}

/// No phone sends a message here.
struct SilentHandler;

impl MessageHandler for SilentHandler {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn handle(&mut self, _: &PeerContext<'_>, _: &mut [u8]) -> Action {
        Action::Nothing
    }
}

/// The process that holds and reads the phones' ends.
struct Reader {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    fn start(listener: &TcpListener, phones: u32) -> Self {
        let port = listener.local_addr().expect("it is bound").port();
        let program = std::env::current_exe().expect("this program has a path");
        let mut process = Command::new(program)
            .env(READER, format!("{port} {phones}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts a second time");
        let (input, output) = (process.stdin.take().expect("it is piped"), process.stdout.take().expect("it is piped"));
        Self { process, input, output: BufReader::new(output) }
    }

    /// Lets the process read until this many bytes have arrived, and ends it.
    fn finish(mut self, bytes: u64) {
        writeln!(self.input, "{bytes}").expect("it reads its input");
        let mut received = String::new();
        self.output.read_line(&mut received).expect("it answers");
        assert_eq!(received.trim(), bytes.to_string(), "every phone got every frame");
        self.process.wait().expect("it ends");
    }
}

/// The reading process: connects all phones, and reads until the count of bytes on its standard
/// input has arrived.
fn read_for_phones(arguments: &str) {
    let (port, phones) = arguments.split_once(' ').expect("a port and a count");
    let (port, count): (u16, usize) = (port.parse().expect("a port"), phones.parse().expect("a count"));
    assert!(raise_open_files(count, 1) >= count, "this process may hold as many sockets as its parent");
    let mut poll = Poll::new().expect("a readiness queue");
    let mut phones: Vec<TcpStream> = Vec::with_capacity(count);
    for index in 0..count {
        let socket = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        socket.set_nonblocking(true).expect("a socket's mode can be set");
        let mut phone = TcpStream::from_std(socket);
        poll.registry().register(&mut phone, Token(index), Interest::READABLE).expect("it is registered once");
        phones.push(phone);
    }
    let stdin = std::io::stdin();
    poll.registry().register(&mut SourceFd(&stdin.as_raw_fd()), Token(count), Interest::READABLE).expect("it is a pipe");
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 64 << 10]);
    let (mut received, mut expected, mut end) = (0, u64::MAX, None);
    while received < expected && end.is_none_or(|end| Instant::now() < end) {
        poll.poll(&mut events, Some(Duration::from_millis(100))).expect("the queue is open");
        for event in &events {
            match phones.get_mut(event.token().0) {
                Some(phone) => received += read_all(phone, &mut buffer),
                None => {
                    let mut line = String::new();
                    stdin.lock().read_line(&mut line).expect("it is a pipe");
                    // An empty line means that the parent has ended.
                    expected = line.trim().parse().unwrap_or(0);
                    end = Some(Instant::now() + DEADLINE);
                }
            }
        }
    }
    println!("{received}");
}

fn read_all(phone: &mut TcpStream, buffer: &mut [u8]) -> u64 {
    let mut bytes = 0;
    loop {
        match phone.read(buffer) {
            Ok(0) => return bytes,
            Ok(count) if count < buffer.len() => return bytes + count as u64,
            Ok(count) => bytes += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return bytes,
            Err(error) => panic!("a phone's connection broke: {error}"),
        }
    }
}
