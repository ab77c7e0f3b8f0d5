//! What the writer's tests share: a writer in the test's own hands, on a real journal, and peers on real loopback sockets.

use crate::draw::command::Command;
use crate::draw::fact::Settings;
use crate::draw::{Actor, DrawRequest, EventId, Mode, Number, Prize, PrizeId};
use crate::live::Role;
use crate::live::message_handler::{Action, MessageHandler, PeerContext};
use crate::live::reactor::{Admission, Join, Reactors};
use crate::live::room::{Directory, Room, Snapshot};
use crate::sequencer::event_state::EventState;
use crate::sequencer::inbox::{Accepted, Rejection, Request, Responder};
use crate::sequencer::{Limits, Sequencer};
use crate::store::journal::Journal;
use crate::store::keys::Keys;
use bytes::Bytes;
use crossbeam::channel::bounded;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot::{Receiver, channel};

/// How long a test waits for what must come; far beyond any busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The event that is there from the beginning.
pub const GALA: &str = "gala";

/// A writer that does a round when it is told to.
pub struct Desk {
    pub writer: Sequencer,
    pub directory: Arc<Directory>,
    pub stages: Reactors,
    _folder: TempDir,
}

/// Where an answer comes.
pub type Waiting = Receiver<Result<Accepted, Rejection>>;

impl Desk {
    /// A writer with one event, nobody in it and nothing listed.
    pub fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), &Keys::open(folder.path()).unwrap()).unwrap();
        let (directory, stages) = (Arc::<Directory>::default(), Reactors::start(1, || Box::new(Mute)).unwrap());
        let limits = Limits {
            events_max: 3,
            announce_after: Duration::from_secs(10),
            event_ttl: Duration::from_secs(3_600),
            details_ttl: Duration::from_secs(3_600),
            backups_dir: folder.path().join("backups"),
        };
        let orders = bounded(1).1;
        let writer = Sequencer::recover(journal, directory.clone(), stages.clone(), orders, limits, Default::default()).unwrap();
        let mut desk = Self { writer, directory, stages, _folder: folder };
        desk.serve([opens(GALA)]).remove(0).unwrap();
        desk
    }

    /// Serves these orders as one batch.
    pub fn serve<const N: usize>(&mut self, orders: [(Request, Waiting); N]) -> Vec<Result<Accepted, Rejection>> {
        let (orders, waiting): (Vec<_>, Vec<_>) = orders.into_iter().unzip();
        self.writer.round(orders);
        waiting.into_iter().map(|mut answer| answer.try_recv().expect("every order is answered")).collect()
    }

    pub fn room(&self) -> Arc<Room> {
        self.directory.find(GALA).unwrap()
    }

    pub fn hall(&mut self) -> &mut EventState {
        self.writer.halls.get_mut(GALA).unwrap()
    }

    /// A number that was claimed for a key, and is to be committed.
    pub fn claim(&self, key: u8) -> Command {
        let (key, snapshot) = ([key; 32], self.room().snapshot());
        let number = Number(snapshot.roster.claim(&key).unwrap());
        Command::Register { number, key, session: snapshot.event.session }
    }

    /// A phone that has been greeted.
    pub fn phone(&self) -> Listener {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(door.local_addr().unwrap()).unwrap();
        far.set_read_timeout(Some(DEADLINE)).unwrap();
        let (socket, _) = door.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let entry = Admission::Admitted { room: self.room(), role: Role::Phone, identity: None, since: None };
        self.stages.join(Join { socket, tls: None, response: Bytes::new(), read_ahead: Bytes::new(), admission: entry });
        let mut listener = Listener { far, heard: Vec::new() };
        listener.until(b"state_sync");
        listener
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stages.stop(Duration::ZERO, Duration::ZERO);
    }
}

/// The far end of a phone's socket, and every byte it has heard.
pub struct Listener {
    far: TcpStream,
    heard: Vec<u8>,
}

impl Listener {
    /// Listens until these bytes come.
    pub fn until(&mut self, bytes: &[u8]) {
        while !self.has_heard(bytes) {
            let mut more = [0; 4096];
            let count = self.far.read(&mut more).expect("more is said");
            assert!(count > 0, "closed before {:?}: {}", bytes.escape_ascii(), self.heard.escape_ascii());
            self.heard.extend_from_slice(&more[..count]);
        }
    }

    pub fn has_heard(&self, bytes: &[u8]) -> bool {
        self.heard.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// Understands nothing, and says how things stand.
struct Mute;

impl MessageHandler for Mute {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn handle(&mut self, _: &PeerContext<'_>, _: &mut [u8]) -> Action {
        Action::Nothing
    }
}

pub fn opens(event: &str) -> (Request, Waiting) {
    let settings = Settings { title: "t".into(), participants_max: 100, ..Settings::default() };
    let (reply, answer) = channel();
    (Request::Open { event: id(event), settings, prizes: vec![], reply: Responder::Handler(reply) }, answer)
}

pub fn order(event: &str, command: Command) -> (Request, Waiting) {
    let (reply, answer) = channel();
    let (event, reply) = (id(event), Responder::Handler(reply));
    (Request::Command { event, actor: Actor::Admin, command, details: None, reply }, answer)
}

pub fn id(event: &str) -> EventId {
    EventId::parse(event).unwrap()
}

/// A draw of one winner.
pub fn wish(prize: &str) -> DrawRequest {
    let (prize_name, mode) = (Some(prize.into()), Some(Mode::List));
    DrawRequest { prize_name, prize_rank: Some(1), mode, winner_count: Some(1), ..DrawRequest::default() }
}

/// A prize whose fact takes up about a page.
pub fn bulky(name: &str) -> Prize {
    Prize {
        id: PrizeId(0),
        name: format!("{name} {}", "x".repeat(4_000)).into(),
        rank: 1,
        grade: None,
        quantity: 1,
        mode: None,
        winner_count: None,
        image: None,
        repeat_winners: false,
        group: None,
        needs_address: false,
    }
}
