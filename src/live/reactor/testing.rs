//! Shared by the reactor's tests: a room whose messages are plain text instead of JSON, its
//! publications, and clients on real loopback sockets.

use crate::draw::fact::Settings;
use crate::draw::{DrawId, Epoch, Event, EventId, Number, SessionId, Timestamp};
use crate::live::limits::Limits;
use crate::live::message_handler::{Action, AuthState, MessageHandler, PeerContext, ResumePoint, RevocableCredential};
use crate::live::reactor::{Admission, Join, Publication, Reactors};
use crate::live::ring::Ring;
use crate::live::room::{Room, Snapshot};
use crate::live::roster::Roster;
use crate::live::{ByRole, CloseCode, Identity, PeerId, Role};
use crate::tls::session::TlsSession;
use crate::wire::text_frame;
use bytes::Bytes;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::protocol::Role as Side;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// Deadline of a test's waits, far beyond any busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub const SESSION: SessionId = SessionId([1; 16]);
pub const EPOCH: Epoch = Epoch([2; 8]);

/// Limits under which no peer is evicted for being slow, however busy the machine is.
pub fn patient_limits() -> Limits {
    let long = DEADLINE * 2;
    Limits {
        outbox_frames_max: usize::MAX,
        outbox_bytes_max: usize::MAX,
        frame_age_max: long,
        close_frame_age_max: long,
        auth_max: long,
        scan_interval: Duration::from_millis(10),
        scan_interval_closing: Duration::from_millis(10),
        inbox_jobs_max: 4096,
        ..Limits::default()
    }
}

/// Waits until `holds` is true; panics with `what` if it stays false.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// A room on its reactors, with the test as its sequencer.
pub struct TestRoom {
    pub reactors: Reactors,
    pub room: Arc<Room>,
    pub snapshot: Arc<Snapshot>,
    listener: TcpListener,
    /// Releases a reactor that handles the message `block`.
    pub unblock: mpsc::Sender<()>,
    /// Locked while a reactor handles the message `block`.
    blocked: Arc<Mutex<mpsc::Receiver<()>>>,
    /// The id of the one login that has ended.
    pub ended_login: Arc<AtomicU8>,
}

impl TestRoom {
    pub fn open(limits: Limits, reactors: usize) -> Self {
        let (unblock, blocked) = mpsc::channel();
        let (blocked, ended_login) = (Arc::new(Mutex::new(blocked)), Arc::new(AtomicU8::new(0)));
        let new_handler = || -> Box<dyn MessageHandler> {
            Box::new(PlainHandler { blocked: blocked.clone(), ended_login: ended_login.clone() })
        };
        let reactors = Reactors::start_with_limits(limits, reactors, new_handler).unwrap();
        let snapshot = Arc::new(first_snapshot());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { reactors, room: Arc::new(Room::new(snapshot.clone())), snapshot, listener, unblock, blocked, ended_login }
    }

    /// A connection: the server's end and the client's.
    pub fn connection(&self) -> (TcpStream, TcpStream) {
        let far = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        far.set_read_timeout(Some(DEADLINE)).unwrap();
        let near = self.listener.accept().unwrap().0;
        // As the listener sets it for every socket that it accepts.
        near.set_nodelay(true).unwrap();
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    pub fn join(&self, admission: Admission) -> TestClient {
        TestClient::new(self.join_raw(admission))
    }

    /// Joins a client that sends and reads bytes by hand.
    pub fn join_raw(&self, admission: Admission) -> TcpStream {
        let (socket, far) = self.connection();
        self.reactors.join(Join::new(socket, admission));
        far
    }

    /// A message handler as the room's reactors have it.
    pub fn handler(&self) -> Box<dyn MessageHandler> {
        Box::new(PlainHandler { blocked: self.blocked.clone(), ended_login: self.ended_login.clone() })
    }

    /// A connection after its TLS handshake: the server's end and session, and the client's.
    pub fn tls_connection(&self) -> (TcpStream, Box<TlsSession>, TcpStream, ClientConnection) {
        let (mut socket, mut far) = self.connection();
        let (server, mut client) = tls_pair();
        let mut session = Box::new(TlsSession::new(server).unwrap());
        std::thread::scope(|scope| {
            let handshake = scope.spawn(|| client.complete_io(&mut far).unwrap());
            while let Err(error) = session.handshake(&mut socket) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                std::thread::yield_now();
            }
            handshake.join().unwrap();
        });
        (socket, session, far, client)
    }

    /// Joins a phone under TLS that has read its `state_sync`: the client's end and its session.
    pub fn tls_phone(&self) -> (TcpStream, ClientConnection) {
        let (socket, session, mut far, mut client) = self.tls_connection();
        let (tls, admission) = (Some(session), self.admitted(Role::Phone));
        self.reactors.join(Join { tls, ..Join::new(socket, admission) });
        let mut greeting = vec![0; text_frame(&sync(0, Role::Phone, None)).len()];
        rustls::Stream::new(&mut client, &mut far).read_exact(&mut greeting).unwrap();
        (far, client)
    }

    /// Blocks the one reactor by a message of `client`, until `unblock` is sent to.
    pub fn block(&self, client: &mut TestClient) {
        client.send_text("block");
        eventually("the reactor is blocked", || self.blocked.try_lock().is_err());
    }

    /// A peer of this role without a number.
    pub fn admitted(&self, role: Role) -> Admission {
        Admission::Admitted { room: self.room.clone(), role, identity: None, credential: None, since: None }
    }

    /// A console that has proved its role by such a credential.
    pub fn console(&self, credential: RevocableCredential) -> Admission {
        let room = self.room.clone();
        Admission::Admitted { room, role: Role::Admin, identity: None, credential: Some(credential), since: None }
    }

    /// A phone that returns after frame `seq`.
    pub fn returning(&self, seq: u64) -> Admission {
        let since = Some(ResumePoint { epoch: EPOCH, seq });
        Admission::Admitted { room: self.room.clone(), role: Role::Phone, identity: None, credential: None, since }
    }

    /// A phone that has proved this number.
    pub fn numbered(&self, number: u32) -> Admission {
        let identity = Some(Identity { session: SESSION, number: Number(number) });
        Admission::Admitted { room: self.room.clone(), role: Role::Phone, identity, credential: None, since: None }
    }

    /// A display that has yet to prove its role, and returns after frame `seq`.
    pub fn pending(&self, seq: u64) -> Admission {
        let since = Some(ResumePoint { epoch: EPOCH, seq });
        Admission::PendingAuth { room: self.room.clone(), role: Role::Display, since }
    }

    /// A phone that has read its `state_sync`: it gets every later publication.
    pub fn phone(&self) -> TestClient {
        self.greeted(self.admitted(Role::Phone))
    }

    /// A client that has read its first frame.
    pub fn greeted(&self, admission: Admission) -> TestClient {
        let mut client = self.join(admission);
        client.next_text();
        client
    }

    /// Publishes the next frame to all roles, and returns its `seq`.
    pub fn publish(&mut self, text: &str) -> u64 {
        self.publish_with(text, |_| {}, |_| {})
    }

    /// Like [`publish`](Self::publish), with changes to the snapshot and to the publication.
    pub fn publish_with(
        &mut self,
        text: &str,
        change_snapshot: impl FnOnce(&mut Snapshot),
        change_publication: impl FnOnce(&mut Publication),
    ) -> u64 {
        let publication = self.next_publication(text, change_snapshot, change_publication);
        self.reactors.publish(publication);
        self.snapshot.ring.last_seq()
    }

    /// The next publication, for a reactor that the test hands it to.
    pub fn next_publication(
        &mut self,
        text: &str,
        change_snapshot: impl FnOnce(&mut Snapshot),
        change_publication: impl FnOnce(&mut Publication),
    ) -> Arc<Publication> {
        let mut snapshot = Snapshot::clone(&self.snapshot);
        let frame = text_frame(text);
        snapshot.revision += 1;
        snapshot.ring.push(frame.clone());
        change_snapshot(&mut snapshot);
        self.snapshot = Arc::new(snapshot);
        self.room.publish(self.snapshot.clone());
        let mut publication = Publication {
            room: self.room.clone(),
            snapshot: self.snapshot.clone(),
            frames: ByRole::from_fn(|_| Some(frame.clone())),
            announces: None,
            closes: None,
            reauthenticate: ByRole::default(),
        };
        change_publication(&mut publication);
        Arc::new(publication)
    }

    pub fn announce(&mut self, text: &str, draw: DrawId) {
        self.room.delivery.begin(draw);
        self.publish_with(text, |_| {}, |publication| publication.announces = Some(draw));
    }
}

impl Drop for TestRoom {
    fn drop(&mut self) {
        let _ = self.unblock.send(());
        self.reactors.stop(Duration::ZERO, Duration::from_millis(100));
    }
}

fn first_snapshot() -> Snapshot {
    let settings = Settings { title: "송년회".into(), participants_max: 100, ..Settings::default() };
    let event = Event::new(EventId::parse("hall").unwrap(), settings, SESSION, EPOCH, Timestamp(0));
    let roster = Arc::new(Roster::new(100, 1));
    Snapshot { revision: 1, event, roster, ring: Ring::default(), sync: ByRole::default(), documents: Arc::default() }
}

/// A server's TLS settings, and a client that trusts them.
fn tls_pair() -> (Arc<ServerConfig>, ClientConnection) {
    static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(tls_configs);
    let (server, client) = &*CONFIGS;
    (server.clone(), ClientConnection::new(client.clone(), ServerName::try_from("hall.example").unwrap()).unwrap())
}

fn tls_configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(["hall.example".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (Arc::new(server), Arc::new(client.with_root_certificates(roots).with_no_client_auth()))
}

/// Understands plain text.
struct PlainHandler {
    blocked: Arc<Mutex<mpsc::Receiver<()>>>,
    ended_login: Arc<AtomicU8>,
}

impl MessageHandler for PlainHandler {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes {
        text_frame(&sync(snapshot.ring.last_seq(), role, number.map(|number| number.0)))
    }

    fn handle(&mut self, peer: &PeerContext<'_>, message: &mut [u8]) -> Action {
        let text = std::str::from_utf8(message).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["whoami"] => {
                let PeerId { reactor, slot, generation } = peer.id;
                let number = peer.number.map_or(0, |number| number.0);
                let is_admitted = matches!(peer.auth, AuthState::Admitted(_));
                Action::Reply(text_frame(&format!("{reactor} {slot} {generation} {number} {is_admitted}")))
            }
            ["display"] => Action::Admit(Role::Display),
            ["number", number, since] => {
                let since = since.parse().ok().map(|seq| ResumePoint { epoch: EPOCH, seq });
                Action::Identify { number: Number(number.parse().unwrap()), since, reply: text_frame("identified") }
            }
            ["wrong"] => Action::Close(CloseCode::BadToken),
            ["block"] => {
                let _ = self.blocked.lock().unwrap().recv();
                Action::Nothing
            }
            ["panic"] => panic!("the test asked for it"),
            ["quiet", ..] => Action::Nothing,
            _ => Action::Reply(text_frame(&format!("echo {text}"))),
        }
    }

    fn is_valid(&self, room: &Room, credential: RevocableCredential) -> bool {
        match credential {
            RevocableCredential::Link(link) => room.snapshot().event.link_role(link).is_some(),
            RevocableCredential::Login { id, .. } => id[0] != self.ended_login.load(Ordering::Relaxed),
        }
    }
}

/// The `state_sync` of the plain handler.
pub fn sync(seq: u64, role: Role, number: Option<u32>) -> String {
    format!("sync {seq} {role:?} {number:?}")
}

/// A source of choices that repeats itself from the same seed (SplitMix64).
pub struct Choices(pub u64);

impl Choices {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    pub fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize].clone()
    }
}

/// A WebSocket client.
pub struct TestClient(WebSocket<TcpStream>);

impl TestClient {
    pub fn new(far: TcpStream) -> Self {
        Self(WebSocket::from_raw_socket(far, Side::Client, None))
    }

    pub fn send_text(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub fn send(&mut self, message: Message) {
        self.0.send(message).unwrap();
    }

    /// The next message that is not a ping.
    pub fn next(&mut self) -> Message {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < DEADLINE, "waited in vain for a message");
            match self.0.read().unwrap() {
                Message::Ping(_) => {}
                message => return message,
            }
        }
    }

    pub fn next_text(&mut self) -> String {
        match self.next() {
            Message::Text(text) => text.as_str().to_owned(),
            message => panic!("{message:?} is no text"),
        }
    }

    /// Checks that these texts come next.
    pub fn expect(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| assert_eq!(self.next_text(), *text));
    }

    /// The id that the reactor gave this peer.
    pub fn id(&mut self) -> PeerId {
        self.send_text("whoami");
        let text = self.next_text();
        let words: Vec<u32> = text.split(' ').take(3).map(|word| word.parse().unwrap()).collect();
        PeerId { reactor: words[0] as u16, slot: words[1], generation: words[2] }
    }

    /// Reads to the end: the texts before the close frame, and its code, 0 for none.
    pub fn until_closed(&mut self) -> (Vec<String>, u16) {
        let mut texts = Vec::new();
        loop {
            match self.next() {
                Message::Close(frame) => return (texts, frame.map_or(0, |frame| frame.code.into())),
                message => texts.push(message.into_text().unwrap().as_str().to_owned()),
            }
        }
    }
}

/// A client's frame made by hand, with a mask of zeros.
pub fn raw_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        len @ 0..=125 => vec![0x80 | len as u8],
        len => vec![0xfe, (len >> 8) as u8, len as u8],
    };
    [&[first][..], &len, &[0; 4], payload].concat()
}

/// Writes bytes as they are and reads to the end of the stream. Returns the bytes before the close
/// frame, and its code.
pub fn read_to_close(mut far: TcpStream, bytes: &[u8]) -> (Vec<u8>, u16) {
    // The server may stop reading after a broken rule.
    let _ = far.write_all(bytes);
    let mut received = Vec::new();
    far.read_to_end(&mut received).unwrap();
    let close = received.split_off(received.len().checked_sub(4).expect("a close frame comes"));
    assert_eq!(close[..2], [0x88, 2], "a close frame with a code");
    (received, u16::from_be_bytes([close[2], close[3]]))
}
