//! Fixtures of the sequencer's tests: a sequencer on the test's own thread and a real journal, and
//! peers on loopback sockets.

use crate::base::clock::{ClockReading, SteadyClock, wall_clock};
use crate::base::data_dir::DataDir;
use crate::draw::command::{Command, DrawSelector, WinSelector};
use crate::draw::fact::Settings;
use crate::draw::{Actor, DrawId, DrawRequest, EventId, Mode, Number, Outcome, Prize, PrizeId, Timestamp};
use crate::live::Role;
use crate::live::message_handler::{Action, MessageHandler, PeerContext};
use crate::live::reactor::{Admission, Join, Reactors};
use crate::live::room::{Directory, Room, Snapshot};
use crate::sequencer::event_state::EventState;
use crate::sequencer::inbox::{Accepted, Rejection, Request, Responder, queue};
use crate::sequencer::{Limits, Sequencer};
use crate::store::journal::Journal;
use crate::store::keys::Keys;
use crate::wire::request::Contact;
use bytes::Bytes;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::oneshot::{Receiver, channel};

/// The longest that a test waits for bytes; far beyond any busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The event that is open from the beginning.
pub const GALA: &str = "gala";
pub const EVENT_TTL: Duration = Duration::from_secs(7_200);
pub const DETAILS_TTL: Duration = Duration::from_secs(3_600);

/// A sequencer that serves when the test calls it.
pub struct TestSequencer {
    pub sequencer: Sequencer,
    pub directory: Arc<Directory>,
    reactors: Reactors,
    folder: Option<TempDir>,
    /// The clocks that the sequencer judges by.
    clocks: Arc<Mutex<ClockReading>>,
}

/// A request and the receiver of its answer.
pub type PendingRequest = (Request, Receiver<Result<Accepted, Rejection>>);

impl TestSequencer {
    /// A sequencer with one event, without participants or prizes.
    pub fn open() -> Self {
        let mut server = Self::recover(tempfile::tempdir().unwrap(), 0);
        server.sequencer.clock.confirm();
        server.serve([open_request(GALA)]).remove(0).unwrap();
        server
    }

    /// A sequencer with one event, with one participant who has not won.
    pub fn with_participant() -> Self {
        let mut server = Self::open();
        server.register(1);
        server
    }

    /// Registers a participant.
    pub fn register(&mut self, key: u8) {
        let registration = command_request(GALA, self.claim(key));
        self.serve([registration]).remove(0).unwrap();
    }

    /// A sequencer on the journal in this folder, whose wall clock is off by so many seconds.
    fn recover(folder: TempDir, off_s: i64) -> Self {
        let data = DataDir::new(folder.path());
        let journal = Journal::open(&data, &Keys::open(&data).unwrap()).unwrap();
        let (directory, reactors) = (Arc::<Directory>::default(), Reactors::start(1, || Box::new(SilentHandler)).unwrap());
        let limits = Limits {
            events_max: 3,
            announce_after: Duration::from_secs(10),
            announce_early: Duration::from_millis(400),
            event_ttl: EVENT_TTL,
            details_ttl: DETAILS_TTL,
            backups_dir: data.backups(),
            drand: crate::draw::proof::drand::QUICKNET,
        };
        let requests = queue(1).1;
        let wall = Timestamp(wall_clock().0 + off_s * 1_000);
        let clocks = Arc::new(Mutex::new(ClockReading { elapsed: Duration::ZERO, wall }));
        let (readings, durable) = (Arc::clone(&clocks), Arc::new(true.into()));
        let clock = SteadyClock::driven(journal.clock_record().unwrap(), Box::new(move || *readings.lock().unwrap()));
        let clock = Arc::new(clock);
        let sequencer = Sequencer::recover(journal, directory.clone(), reactors.clone(), requests, limits, durable, clock);
        Self { sequencer: sequencer.unwrap(), directory, reactors, folder: Some(folder), clocks }
    }

    /// The sequencer of a later process on the same journal.
    pub fn restart(self) -> Self {
        self.restart_at(0)
    }

    /// The same where the wall clock is off by so many seconds.
    pub fn restart_at(mut self, off_s: i64) -> Self {
        let folder = self.folder.take().unwrap();
        drop(self);
        Self::recover(folder, off_s)
    }

    /// Serves these requests as one batch.
    pub fn serve<const N: usize>(&mut self, requests: [PendingRequest; N]) -> Vec<Result<Accepted, Rejection>> {
        let (requests, answers): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        self.sequencer.serve(requests);
        answers.into_iter().map(|mut answer| answer.try_recv().expect("every request is answered")).collect()
    }

    /// A reader of the journal that holds it as it is now.
    pub fn reader(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.data().journal()).unwrap();
        db.execute_batch("BEGIN; SELECT count(*) FROM fact").unwrap();
        db
    }

    /// Does the journal's log hold anything but zeros?
    pub fn has_log(&self) -> bool {
        crate::store::testing::has_frames(&self.data())
    }

    fn data(&self) -> DataDir {
        DataDir::new(self.folder.as_ref().unwrap().path())
    }

    pub fn room(&self) -> Arc<Room> {
        self.directory.find(GALA).unwrap()
    }

    pub fn event(&mut self) -> &mut EventState {
        self.sequencer.events.get_mut(GALA).unwrap()
    }

    /// Lets time pass for the clocks of the sequencer.
    pub fn age(&self, time: Duration) {
        let mut clocks = self.clocks.lock().unwrap();
        clocks.elapsed += time;
        clocks.wall.0 += time.as_millis() as i64;
    }

    /// Sets the wall clock that the sequencer judges by forward or back.
    pub fn jump(&self, by_s: i64) {
        self.clocks.lock().unwrap().wall.0 += by_s * 1_000;
    }

    /// Does the slices of every deletion under way.
    pub fn finish_deletions(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        while self.sequencer.is_deleting() {
            assert!(Instant::now() < deadline, "a deletion never ends");
            self.sequencer.advance_deletions();
            std::thread::yield_now();
        }
    }

    /// The command that commits a number which was claimed for a key.
    pub fn claim(&self, key: u8) -> Command {
        self.claim_in(GALA, key)
    }

    /// The same in another event.
    pub fn claim_in(&self, event: &str, key: u8) -> Command {
        let (key, snapshot) = ([key; 32], self.directory.find(event).unwrap().snapshot());
        let number = Number(snapshot.roster.claim(&key).unwrap());
        Command::Register { number, key, session: snapshot.event.session }
    }

    /// An announced draw whose winner registers for it: number 1 wins the first of these draws,
    /// number 2 the second.
    pub fn announce_draw(&mut self, prize: &str) -> DrawId {
        let key = self.event().working.event.participant_count() as u8 + 1;
        let registration = command_request(GALA, self.claim(key));
        let draw = command_request(GALA, Command::DrawAtOnce(draw_request(prize)));
        let drawn = self.serve([registration, draw]).remove(1).unwrap();
        let Outcome::Revealed(draw) = drawn.outcome else { panic!("no draw: {:?}", drawn.outcome) };
        let completion = Command::Complete(DrawSelector::Draw(draw));
        self.serve([command_request(GALA, completion)]).remove(0).unwrap();
        draw
    }

    /// A phone that has got its state sync.
    pub fn phone(&self) -> TestPeer {
        self.connect(Role::Phone)
    }

    /// A console that has got its state sync.
    pub fn console(&self) -> TestPeer {
        self.connect(Role::Admin)
    }

    fn connect(&self, role: Role) -> TestPeer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let admission = Admission::Admitted { room: self.room(), role, identity: None, link: None, since: None };
        self.reactors.join(Join::new(socket, admission));
        let mut peer = TestPeer { client, read: Vec::new() };
        peer.read_until(b"state_sync");
        peer
    }

    /// Waits for what reactors do in their own time.
    pub fn wait_until(&self, is_done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_done(self) {
            assert!(Instant::now() < deadline, "it never came");
            std::thread::yield_now();
        }
    }
}

impl Drop for TestSequencer {
    fn drop(&mut self) {
        self.reactors.stop(Duration::ZERO, Duration::ZERO);
    }
}

/// The client's end of a socket, and every byte that it has read.
pub struct TestPeer {
    client: TcpStream,
    read: Vec<u8>,
}

impl TestPeer {
    /// Reads until these bytes come.
    pub fn read_until(&mut self, bytes: &[u8]) {
        while !self.has_read(bytes) {
            let mut more = [0; 4096];
            let count = self.client.read(&mut more).expect("more bytes come");
            assert!(count > 0, "closed before {:?}: {}", bytes.escape_ascii(), self.read.escape_ascii());
            self.read.extend_from_slice(&more[..count]);
        }
    }

    pub fn has_read(&self, bytes: &[u8]) -> bool {
        self.read.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// Understands no message, and greets with the ready-made state sync.
struct SilentHandler;

impl MessageHandler for SilentHandler {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn handle(&mut self, _: &PeerContext<'_>, _: &mut [u8]) -> Action {
        Action::Nothing
    }
}

pub fn open_request(event: &str) -> PendingRequest {
    let settings = Settings { title: "t".into(), participants_max: 100, ..Settings::default() };
    let (reply, answer) = channel();
    (Request::Open { event: id(event), settings, prizes: vec![], reply: Responder::Handler(reply) }, answer)
}

pub fn command_request(event: &str, command: Command) -> PendingRequest {
    let (reply, answer) = channel();
    (Request::Command { event: id(event), actor: Actor::Admin, command, reply: Responder::Handler(reply) }, answer)
}

/// Details of a win, with an address.
pub fn details_request(event: &str, number: u32, draw: DrawId, name: &str) -> PendingRequest {
    let (reply, answer) = channel();
    let contact = Contact { name: name.into(), phone: "010-1234-5678".into(), address: Some("Seoul".into()) };
    let (number, win, reply) = (Number(number), WinSelector::Draw(draw), Responder::Handler(reply));
    (Request::SubmitDetails { event: id(event), actor: Actor::Phone, number, win, contact, reply }, answer)
}

/// A request to delete an event.
pub fn delete_request(event: &str) -> (Request, Receiver<Result<(), Rejection>>) {
    let (reply, answer) = channel();
    (Request::Delete { event: id(event), reply }, answer)
}

pub fn id(event: &str) -> EventId {
    EventId::parse(event).unwrap()
}

/// A draw of one winner.
pub fn draw_request(prize: &str) -> DrawRequest {
    let (prize_name, mode) = (Some(prize.into()), Some(Mode::List));
    DrawRequest { prize_name, prize_rank: Some(1), mode, winner_count: Some(1), ..DrawRequest::default() }
}

/// A prize whose fact fills about a page of the journal.
pub fn page_sized_prize(name: &str) -> Prize {
    Prize {
        id: PrizeId(0),
        name: format!("{name} {}", "x".repeat(4_000)).into(),
        rank: 1,
        grade: None,
        quantity: 1,
        mode: None,
        winner_count: None,
        show_length: None,
        image: None,
        repeat_winners: false,
        group: None,
        needs_address: false,
    }
}
