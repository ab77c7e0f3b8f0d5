//! TLS of one connection, apart from its socket: records are opened and sealed here, by rustls, and handed to whatever reads and writes.
//!
//! rustls's unbuffered connection keeps the keys and nothing else, where its usual one keeps a read buffer of 4 KiB for ever: with 5,000 phones in
//! the hall that is 20 MB of nothing. So an idle connection owns no buffer here either. Records are opened and sealed in two buffers that each
//! thread has once; only the beginning of a record, or what the kernel did not take of one, is kept. The same value shakes hands on a worker and
//! then moves to a stage with its socket. It waits for nothing and knows neither HTTP nor frames.

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus, WriteTraffic};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// The longest payload of a record (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 16 << 10;
/// What is read at once, and the most that is kept of records that are not whole: the longest record of TLS 1.2 takes 18,437 bytes.
const INWARD_BYTES: usize = 20 << 10;
/// A sealed record, with room for a change of keys before it.
const OUTWARD_BYTES: usize = RECORD_BYTES_MAX + 1024;

thread_local! {
    /// What this thread opens records in, and what it seals them in. Empty until its first connection under TLS.
    static BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// So many bytes, and there may be more.
    Bytes(usize),
    /// So many bytes, and that was all for now.
    Last(usize),
    /// Nothing for now.
    Nothing,
    /// The peer has shut down its side.
    End,
}

/// The TLS of one connection, on the server's side.
pub struct TlsSession {
    tls: UnbufferedServerConnection,
    /// The beginning of a record, as it came.
    begun: Vec<u8>,
    /// What was opened and not asked for yet, the next byte last.
    unread: Vec<u8>,
    /// Sealed bytes that the kernel has not taken yet.
    owed: Vec<u8>,
    /// Whether `owed` ends with a record whose last byte has not been called taken.
    holds_back: bool,
    /// Whether the peer has said that nothing more comes.
    is_ended: bool,
}

impl TlsSession {
    /// A connection that has yet to shake hands.
    ///
    /// # Errors
    /// When `config` cannot serve anybody.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let tls = UnbufferedServerConnection::new(config)?;
        Ok(Self { tls, begun: Vec::new(), unread: Vec::new(), owed: Vec::new(), holds_back: false, is_ended: false })
    }

    /// Shakes hands as far as that goes without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when `socket` has to be waited for; any other ends the handshake, and [`TlsSession::flush`] then tells the peer why.
    pub fn shake_hands(&mut self, socket: &mut (impl Read + Write)) -> io::Result<()> {
        loop {
            if !self.flush(socket)? {
                return Err(ErrorKind::WouldBlock.into());
            }
            if !self.tls.is_handshaking() {
                return Ok(());
            }
            match self.read_records(socket, &mut [])? {
                Reading::Nothing => return Err(ErrorKind::WouldBlock.into()),
                Reading::End => return Err(ErrorKind::UnexpectedEof.into()),
                Reading::Opened { .. } => {}
            }
        }
    }

    /// The protocol that was agreed upon by ALPN.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// What came in place of a handshake: the bytes that were refused.
    pub fn refused(&self) -> &[u8] {
        &self.begun
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// When the connection is broken, or what comes is not TLS; the peer has been told then, as far as its socket took it.
    pub fn read(&mut self, socket: &mut (impl Read + Write), room: &mut [u8]) -> io::Result<ReadOutcome> {
        if !self.unread.is_empty() {
            return Ok(ReadOutcome::Bytes(self.take_unread(room)));
        }
        loop {
            let read = self.read_records(socket, room);
            let told = self.flush(socket);
            match read? {
                Reading::Opened { count: 0, .. } => {}
                Reading::Opened { count, is_all } => {
                    let is_last = is_all && self.unread.is_empty() && !self.is_ended;
                    return told.map(|_| if is_last { ReadOutcome::Last(count) } else { ReadOutcome::Bytes(count) });
                }
                Reading::Nothing => return Ok(ReadOutcome::Nothing),
                Reading::End => return Ok(ReadOutcome::End),
            }
        }
    }

    /// Whether bytes of the peer lie here that no readiness of its socket will tell of.
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty() || self.is_ended
    }

    /// Seals and writes as much as the kernel takes, possibly nothing.
    ///
    /// A record goes out whole or not at all. Of one that the kernel took in part the rest is kept here, and all its bytes but the last are called taken;
    /// the last when the rest has gone too. Whatever is offered next must therefore begin with that byte, as it does where what was not taken is queued.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() || !self.flush(socket)? {
            return Ok(0);
        }
        let mut taken = usize::from(std::mem::take(&mut self.holds_back));
        while taken < bytes.len() {
            let record = &bytes[taken..][..RECORD_BYTES_MAX.min(bytes.len() - taken)];
            if !self.write_record(socket, |traffic, sealed| traffic.encrypt(record, sealed))? {
                self.holds_back = true;
                return Ok(taken + record.len() - 1);
            }
            taken += record.len();
        }
        Ok(taken)
    }

    /// Writes what was sealed before. True when nothing of it is left.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while !self.owed.is_empty() {
            match write_some(socket, &self.owed)? {
                0 => return Ok(false),
                all if all == self.owed.len() => self.owed = Vec::new(),
                some => drop(self.owed.drain(..some)),
            }
        }
        Ok(true)
    }

    /// Says that nothing more will be sent (RFC 8446 section 6.1), if the kernel takes that at once: the end of the connection says it too.
    pub fn finish(&mut self, socket: &mut impl Write) {
        if self.flush(socket).is_ok_and(|is_flushed| is_flushed) {
            let _ = self.write_record(socket, |traffic, sealed| traffic.queue_close_notify(sealed));
        }
    }

    /// How many bytes it keeps of what came in.
    pub fn kept_bytes(&self) -> usize {
        self.begun.capacity() + self.unread.capacity()
    }

    /// Forgets what came in: nothing of this peer will be opened any more.
    pub fn forget(&mut self) {
        (self.begun, self.unread) = (Vec::new(), Vec::new());
    }

    /// Reads once, and opens what is whole: into `room`, and beyond it into `unread`.
    fn read_records(&mut self, socket: &mut impl Read, room: &mut [u8]) -> io::Result<Reading> {
        if self.is_ended {
            return Ok(Reading::End);
        }
        BUFFERS.with_borrow_mut(|(inward, _)| {
            inward.resize(INWARD_BYTES, 0);
            let held = self.begun.len();
            inward[..held].copy_from_slice(&self.begun);
            if held == INWARD_BYTES {
                return Err(io::Error::new(ErrorKind::InvalidData, "a handshake longer than any that is meant well"));
            }
            let count = match read_some(socket, &mut inward[held..])? {
                None => return Ok(Reading::Nothing),
                Some(0) => return Ok(Reading::End),
                Some(count) => count,
            };
            let is_all = held + count < INWARD_BYTES;
            Ok(Reading::Opened { count: self.open(&mut inward[..held + count], room)?, is_all })
        })
    }

    /// Opens the records of `incoming`, and keeps the beginning of one that is not all there. Gives the bytes put into `room`.
    fn open(&mut self, incoming: &mut [u8], room: &mut [u8]) -> io::Result<usize> {
        let (mut done, mut given, mut overflow) = (0, 0, Vec::new());
        let ended = loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut incoming[done..]);
            let mut extra = 0;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(not_tls)?;
                        let (fits, beyond) = record.payload.split_at(record.payload.len().min(room.len() - given));
                        room[given..given + fits.len()].copy_from_slice(fits);
                        given += fits.len();
                        overflow.extend_from_slice(beyond);
                        extra += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.owed),
                // They wait in `owed`, ahead of everything that is sealed from now on.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => self.is_ended = true,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => break Ok(discard),
                // Early data is not offered.
                Ok(_) => break Err(io::Error::new(ErrorKind::InvalidData, "a state that was never asked for")),
                Err(error) => break Err(not_tls(error)),
            }
            done += discard + extra;
            if self.is_ended {
                break Ok(0);
            }
        };
        // What was refused stays, so that it can be looked at.
        self.begun = incoming[done + *ended.as_ref().unwrap_or(&0)..].to_vec();
        overflow.reverse();
        self.unread = overflow;
        match ended {
            Ok(_) => Ok(given),
            Err(error) => {
                self.gather_alert();
                Err(error)
            }
        }
    }

    /// Takes what rustls has to say about an error, which it says at the next call.
    fn gather_alert(&mut self) {
        while let Ok(ConnectionState::EncodeTlsData(data)) = self.tls.process_tls_records(&mut []).state {
            encode(data, &mut self.owed);
        }
    }

    fn take_unread(&mut self, room: &mut [u8]) -> usize {
        let count = room.len().min(self.unread.len());
        let rest = self.unread.len() - count;
        room[..count].iter_mut().zip(self.unread.drain(rest..).rev()).for_each(|(to, byte)| *to = byte);
        if rest == 0 {
            self.unread = Vec::new();
        }
        count
    }

    /// Seals a record and writes it. False when the kernel took only a part, and the rest is owed.
    fn write_record<E: fmt::Debug>(
        &mut self,
        socket: &mut impl Write,
        seal: impl FnOnce(&mut WriteTraffic<'_, rustls::server::ServerConnectionData>, &mut [u8]) -> Result<usize, E>,
    ) -> io::Result<bool> {
        BUFFERS.with_borrow_mut(|(_, outward)| {
            outward.resize(OUTWARD_BYTES, 0);
            let len = loop {
                match self.tls.process_tls_records(&mut []).state.map_err(not_tls)? {
                    ConnectionState::WriteTraffic(mut traffic) => {
                        break seal(&mut traffic, outward).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
                    }
                    ConnectionState::EncodeTlsData(data) => encode(data, &mut self.owed),
                    ConnectionState::TransmitTlsData(data) => data.done(),
                    ConnectionState::PeerClosed => self.is_ended = true,
                    _ => return Err(ErrorKind::BrokenPipe.into()),
                }
            };
            let sealed = &outward[..len];
            let sent = if self.flush(socket)? { write_some(socket, sealed)? } else { 0 };
            self.owed.extend_from_slice(&sealed[sent..]);
            Ok(sent == len)
        })
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession").field("owed", &self.owed.len()).finish_non_exhaustive()
    }
}

/// What one read brought.
enum Reading {
    /// So many bytes; with `is_all` the kernel had no more.
    Opened {
        count: usize,
        is_all: bool,
    },
    Nothing,
    End,
}

/// Appends a message of the handshake, or of what comes after it, to what is owed.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, owed: &mut Vec<u8>) {
    let at = owed.len();
    if let Err(EncodeError::InsufficientSize(short)) = data.encode(&mut []) {
        owed.resize(at + short.required_size, 0);
        // It has the room it asked for.
        let _ = data.encode(&mut owed[at..]);
    }
}

fn not_tls(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Reads once; none when there is nothing.
fn read_some(socket: &mut impl Read, room: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match socket.read(room) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes once, possibly nothing.
fn write_some(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.write(bytes) {
            Ok(count) => return Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
    use std::collections::VecDeque;

    /// The server's socket: what came in, what has gone out, and how much the kernel takes before it wants to be waited for.
    #[derive(Default)]
    struct Pipe {
        inward: VecDeque<u8>,
        outward: Vec<u8>,
        step: usize,
        takes: usize,
    }

    impl Read for Pipe {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let count = room.len().min(self.step).min(self.inward.len());
            room[..count].iter_mut().zip(self.inward.drain(..count)).for_each(|(to, byte)| *to = byte);
            if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.takes);
            self.takes -= count;
            self.outward.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A connection: the server's end, its socket, and a client that has shaken hands.
    struct Talk {
        cipher: TlsSession,
        pipe: Pipe,
        client: ClientConnection,
        heard: Vec<u8>,
    }

    impl Talk {
        fn new(version: &'static SupportedProtocolVersion, step: usize) -> Self {
            let made = rcgen::generate_simple_self_signed(["hall.example".to_owned()]).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
            let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
            let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
            let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
            let client = ClientConnection::new(client, ServerName::try_from("hall.example").unwrap()).unwrap();
            let pipe = Pipe { step, takes: usize::MAX, ..Pipe::default() };
            let mut talk = Self { cipher: TlsSession::new(Arc::new(server)).unwrap(), pipe, client, heard: Vec::new() };
            let is_done = (0..20).any(|_| {
                talk.client_speaks();
                let is_done = talk.cipher.shake_hands(&mut talk.pipe).is_ok();
                talk.client_hears();
                is_done && !talk.client.is_handshaking()
            });
            assert!(is_done, "they shook hands");
            talk
        }

        fn client_speaks(&mut self) {
            let mut bytes = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut bytes).unwrap();
            }
            self.pipe.inward.extend(bytes);
        }

        /// Gives the client what the server's kernel took. True when the server has said its last word.
        fn client_hears(&mut self) -> bool {
            let outward = std::mem::take(&mut self.pipe.outward);
            let mut bytes = outward.as_slice();
            let mut is_ended = false;
            while !bytes.is_empty() {
                self.client.read_tls(&mut bytes).unwrap();
                is_ended = self.client.process_new_packets().unwrap().peer_has_closed();
                let mut plain = Vec::new();
                let _ = self.client.reader().read_to_end(&mut plain);
                self.heard.extend(plain);
            }
            is_ended
        }

        fn say(&mut self, bytes: &[u8]) {
            self.client.writer().write_all(bytes).unwrap();
            self.client_speaks();
        }

        /// Everything the server reads, with so much room each time.
        fn listen(&mut self, room: usize) -> Vec<u8> {
            let (mut room, mut all) = (vec![0; room], Vec::new());
            loop {
                match self.cipher.read(&mut self.pipe, &mut room).unwrap() {
                    ReadOutcome::Bytes(count) | ReadOutcome::Last(count) => all.extend_from_slice(&room[..count]),
                    ReadOutcome::Nothing => return all,
                    ReadOutcome::End => panic!("nobody has ended it"),
                }
            }
        }
    }

    const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    #[test]
    fn what_comes_is_heard_wherever_it_is_cut() {
        for version in VERSIONS {
            for (step, room) in [(1, 100), (7, 1), (usize::MAX, 16_398), (1000, 500), (usize::MAX, 3)] {
                let mut talk = Talk::new(version, step);
                talk.say(&text(40_000));
                assert_eq!(talk.listen(room), text(40_000), "steps of {step}, room for {room}");
                assert_eq!((talk.cipher.kept_bytes(), talk.cipher.has_unread()), (0, false), "an idle connection keeps nothing");
            }
        }
    }

    #[test]
    fn a_kernel_that_takes_little_gets_every_byte_once_and_in_order() {
        for version in VERSIONS {
            for takes in [1, 2, 29, 100, 16_000, 17_000, 100_000] {
                let mut talk = Talk::new(version, usize::MAX);
                let frames = [text(2), text(200), text(40_000), text(1)].concat();
                let mut rest = frames.as_slice();
                while !rest.is_empty() {
                    talk.pipe.takes = takes;
                    let taken = talk.cipher.write(&mut talk.pipe, rest).unwrap();
                    assert!(taken == rest.len() || talk.pipe.takes == 0, "it stops only where the kernel does");
                    rest = &rest[taken..];
                    talk.client_hears();
                }
                assert_eq!(talk.heard, frames, "{takes} bytes at a time");
                assert_eq!(talk.cipher.owed.capacity(), 0, "what has gone is kept no longer");
            }
        }
    }

    #[test]
    fn bytes_that_were_not_begun_may_be_changed_and_begun_ones_are_finished() {
        let mut talk = Talk::new(VERSIONS[0], usize::MAX);
        talk.pipe.takes = 10;
        assert_eq!(talk.cipher.write(&mut talk.pipe, b"first").unwrap(), 4);
        assert_eq!(talk.cipher.write(&mut talk.pipe, b"t").unwrap(), 0, "the kernel takes no more");
        talk.pipe.takes = usize::MAX;
        assert_eq!(talk.cipher.write(&mut talk.pipe, b"tsecond").unwrap(), 7);
        talk.client_hears();
        assert_eq!(talk.heard, b"firstsecond");
    }

    #[test]
    fn an_announcement_is_one_record() {
        let mut talk = Talk::new(VERSIONS[0], usize::MAX);
        assert_eq!(talk.cipher.write(&mut talk.pipe, &text(4_000)).unwrap(), 4_000);
        assert_eq!(talk.pipe.outward.len(), 5 + 4_000 + 1 + 16, "a header, the type and the tag are all there is beside it");
    }

    #[test]
    fn both_can_end_it_properly() {
        for version in VERSIONS {
            let mut talk = Talk::new(version, usize::MAX);
            talk.cipher.finish(&mut talk.pipe);
            assert!(talk.client_hears(), "the client knows that this was all");
            talk.client.send_close_notify();
            talk.client_speaks();
            assert_eq!(talk.cipher.read(&mut talk.pipe, &mut [0; 10]).unwrap(), ReadOutcome::End);
        }
    }

    #[test]
    fn damaged_bytes_end_it_with_an_alert() {
        let mut talk = Talk::new(VERSIONS[0], usize::MAX);
        talk.say(b"whole");
        *talk.pipe.inward.back_mut().unwrap() ^= 1;
        let error = talk.cipher.read(&mut talk.pipe, &mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(!talk.pipe.outward.is_empty(), "the peer is told");
    }

    #[test]
    fn new_keys_are_taken_up_while_frames_wait() {
        let mut talk = Talk::new(VERSIONS[0], usize::MAX);
        talk.pipe.takes = 10;
        assert_eq!(talk.cipher.write(&mut talk.pipe, b"first").unwrap(), 4);
        talk.client.refresh_traffic_keys().unwrap();
        talk.say(b"with new keys");
        assert_eq!(talk.listen(100), b"with new keys");
        talk.pipe.takes = usize::MAX;
        assert_eq!(talk.cipher.write(&mut talk.pipe, b"t").unwrap(), 1);
        assert_eq!(talk.cipher.write(&mut talk.pipe, b"second").unwrap(), 6);
        talk.client_hears();
        assert_eq!(talk.heard, b"firstsecond");
    }

    #[test]
    fn what_is_no_tls_is_kept_to_be_looked_at() {
        let mut talk = Talk::new(VERSIONS[0], usize::MAX);
        talk.pipe.inward.extend(b"GET / HTTP/1.1\r\n");
        assert!(talk.cipher.read(&mut talk.pipe, &mut [0; 10]).is_err());
        assert!(talk.cipher.refused().starts_with(b"GET "));
    }
}
