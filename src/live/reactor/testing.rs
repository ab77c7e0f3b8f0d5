//! What the stage's tests share: a room with a plain language instead of JSON, its publications, and clients on real loopback sockets.

use crate::draw::fact::Settings;
use crate::draw::{DrawId, Epoch, Event, EventId, Number, SessionId, Timestamp};
use crate::live::limits::Limits;
use crate::live::protocol::{Action, MessageHandler, Since, Speaker, Standing};
use crate::live::publication::Publication;
use crate::live::reactor::{Entry, Join, Reactors};
use crate::live::ring::Ring;
use crate::live::room::Room;
use crate::live::roster::Roster;
use crate::live::snapshot::Snapshot;
use crate::live::{ByRole, CloseCode, Identity, PeerId, Role};
use crate::wire::text_frame;
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::protocol::Role as Side;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// How long a test waits for what must come; far beyond any busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub const SESSION: SessionId = SessionId([1; 16]);
pub const EPOCH: Epoch = Epoch([2; 8]);

/// Limits under which nobody is let go for being slow, whatever else the machine does.
pub fn patient() -> Limits {
    let long = DEADLINE * 2;
    Limits {
        outbox_frames_max: usize::MAX,
        outbox_bytes_max: usize::MAX,
        frame_age_max: long,
        linger_max: long,
        admission_max: long,
        scan: Duration::from_millis(10),
        scan_closing: Duration::from_millis(10),
        inbox_orders_max: 4096,
        ..Limits::default()
    }
}

/// Waits until `holds`, and says what did not.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// A room on its stages, with the test as its sequencer.
pub struct House {
    pub stages: Reactors,
    pub room: Arc<Room>,
    pub snapshot: Arc<Snapshot>,
    listener: TcpListener,
    /// While a stage hears `block`, it waits for a word from here.
    pub unblock: mpsc::Sender<()>,
}

impl House {
    pub fn open(limits: Limits, stages: usize) -> Self {
        let (unblock, blocked) = mpsc::channel();
        let blocked = Arc::new(Mutex::new(blocked));
        let stages = Reactors::start_within(limits, stages, || Box::new(Plain { blocked: blocked.clone() })).unwrap();
        let snapshot = Arc::new(first_snapshot());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { stages, room: Arc::new(Room::new(snapshot.clone())), snapshot, listener, unblock }
    }

    /// A connection: the server's end and the client's.
    pub fn connection(&self) -> (TcpStream, TcpStream) {
        let far = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        far.set_read_timeout(Some(DEADLINE)).unwrap();
        let near = self.listener.accept().unwrap().0;
        // As the street has it set for all it accepts.
        near.set_nodelay(true).unwrap();
        near.set_nonblocking(true).unwrap();
        (near, far)
    }

    pub fn join(&self, entry: Entry) -> Client {
        let (socket, far) = self.connection();
        self.stages.join(Join { socket, cipher: None, answer: Bytes::new(), read_ahead: Bytes::new(), entry });
        Client::new(far)
    }

    pub fn join_raw(&self, entry: Entry) -> TcpStream {
        let (socket, far) = self.connection();
        self.stages.join(Join { socket, cipher: None, answer: Bytes::new(), read_ahead: Bytes::new(), entry });
        far
    }

    pub fn admitted(&self, role: Role) -> Entry {
        Entry::Admitted { room: self.room.clone(), role, identity: None, since: None }
    }

    pub fn since(&self, seq: u64) -> Entry {
        let since = Some(Since { epoch: EPOCH, seq });
        Entry::Admitted { room: self.room.clone(), role: Role::Phone, identity: None, since }
    }

    pub fn holding(&self, number: u32) -> Entry {
        let identity = Some(Identity { session: SESSION, number: Number(number) });
        Entry::Admitted { room: self.room.clone(), role: Role::Phone, identity, since: None }
    }

    pub fn awaiting(&self, seq: u64) -> Entry {
        Entry::Awaiting { room: self.room.clone(), role: Role::Display, since: Some(Since { epoch: EPOCH, seq }) }
    }

    /// A phone whose `state_sync` was heard: what is published from now on comes to it.
    pub fn phone(&self) -> Client {
        self.greeted(self.admitted(Role::Phone))
    }

    /// Somebody whose first word was heard.
    pub fn greeted(&self, entry: Entry) -> Client {
        let mut client = self.join(entry);
        client.hear();
        client
    }

    /// Sends the next frame to everybody, and says its `seq`.
    pub fn say(&mut self, text: &str) -> u64 {
        self.tell(text, |_| {}, |_| {})
    }

    /// The same, with changes to the snapshot and to the publication.
    pub fn tell(&mut self, text: &str, turn: impl FnOnce(&mut Snapshot), publish: impl FnOnce(&mut Publication)) -> u64 {
        let mut snapshot = Snapshot::clone(&self.snapshot);
        let frame = text_frame(text);
        snapshot.revision += 1;
        snapshot.ring.push(frame.clone());
        turn(&mut snapshot);
        self.snapshot = Arc::new(snapshot);
        self.room.show(self.snapshot.clone());
        let frames = ByRole::from_fn(|_| Some(frame.clone()));
        let (room, snapshot) = (self.room.clone(), self.snapshot.clone());
        let mut publication = Publication { room, snapshot, frames, announces: None, closes: None, doubts: ByRole::default() };
        publish(&mut publication);
        self.stages.publish(Arc::new(publication));
        self.snapshot.ring.last_seq()
    }

    pub fn announce(&mut self, text: &str, draw: DrawId) {
        self.room.delivery.begin(draw);
        self.tell(text, |_| {}, |publication| publication.announces = Some(draw));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.unblock.send(());
        self.stages.stop(Duration::ZERO, Duration::from_millis(100));
    }
}

fn first_snapshot() -> Snapshot {
    let settings = Settings { title: "송년회".into(), participants_max: 100, ..Settings::default() };
    let event = Event::new(EventId::parse("hall").unwrap(), settings, SESSION, EPOCH, Timestamp(0));
    let roster = Arc::new(Roster::new(100, 1));
    Snapshot { revision: 1, event, roster, ring: Ring::default(), sync: ByRole::default() }
}

/// A language of plain words.
struct Plain {
    blocked: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl MessageHandler for Plain {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes {
        text_frame(&sync(snapshot.ring.last_seq(), role, number.map(|number| number.0)))
    }

    fn hear(&mut self, speaker: &Speaker<'_>, message: &mut [u8]) -> Action {
        let text = std::str::from_utf8(message).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        match words[..] {
            ["who"] => {
                let PeerId { stage, slot, generation } = speaker.id;
                let number = speaker.number.map_or(0, |number| number.0);
                let is_admitted = matches!(speaker.standing, Standing::Admitted(_));
                Action::Reply(text_frame(&format!("{stage} {slot} {generation} {number} {is_admitted}")))
            }
            ["display"] => Action::Admit(Role::Display),
            ["number", number, since] => {
                let since = since.parse().ok().map(|seq| Since { epoch: EPOCH, seq });
                Action::Identify { number: Number(number.parse().unwrap()), since, reply: text_frame("known") }
            }
            ["wrong"] => Action::Close(CloseCode::BadToken),
            ["block"] => {
                let _ = self.blocked.lock().unwrap().recv();
                Action::Nothing
            }
            ["panic"] => panic!("as it was told to"),
            ["quiet", ..] => Action::Nothing,
            _ => Action::Reply(text_frame(&format!("heard {text}"))),
        }
    }
}

/// The `state_sync` of the plain language.
pub fn sync(seq: u64, role: Role, number: Option<u32>) -> String {
    format!("sync {seq} {role:?} {number:?}")
}

/// A client that speaks WebSocket.
pub struct Client(WebSocket<TcpStream>);

impl Client {
    pub fn new(far: TcpStream) -> Self {
        Self(WebSocket::from_raw_socket(far, Side::Client, None))
    }

    pub fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }

    pub fn send(&mut self, message: Message) {
        self.0.send(message).unwrap();
    }

    /// The next message that is no ping.
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

    /// The next text.
    pub fn hear(&mut self) -> String {
        match self.next() {
            Message::Text(text) => text.as_str().to_owned(),
            message => panic!("{message:?} is no text"),
        }
    }

    pub fn expect(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| assert_eq!(self.hear(), *text));
    }

    /// Who the stage says this is.
    pub fn id(&mut self) -> PeerId {
        self.say("who");
        let text = self.hear();
        let words: Vec<u32> = text.split(' ').take(3).map(|word| word.parse().unwrap()).collect();
        PeerId { stage: words[0] as u16, slot: words[1], generation: words[2] }
    }

    /// Reads to the end: the texts before the close frame, and its code.
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

/// A client's frame by hand, with a mask of noughts.
pub fn raw_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = match payload.len() {
        len @ 0..=125 => vec![0x80 | len as u8],
        len => vec![0xfe, (len >> 8) as u8, len as u8],
    };
    [&[first][..], &len, &[0; 4], payload].concat()
}

/// Writes bytes as they are, reads to the end of the stream, and gives the last four: a close frame's.
pub fn closing_words(mut far: TcpStream, bytes: &[u8]) -> (Vec<u8>, u16) {
    // What comes after a broken rule may not be read any more.
    let _ = far.write_all(bytes);
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).unwrap();
    let words = heard.split_off(heard.len().checked_sub(4).expect("a close frame came"));
    assert_eq!(words[..2], [0x88, 2], "a close frame with a code");
    (heard, u16::from_be_bytes([words[2], words[3]]))
}
