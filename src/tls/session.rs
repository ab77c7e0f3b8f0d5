//! The TLS of one connection, apart from its socket: rustls opens and seals records here.
//!
//! rustls's unbuffered connection holds the keys and nothing else; its usual one holds a read
//! buffer of 4 KiB for good, 20 MB for 5,000 idle phones. An idle session here owns no buffer
//! either: each thread opens and seals records in two buffers of its own. A session stores only the
//! beginning of a record, and the part of one that the kernel did not take. The same value shakes
//! hands on a worker and then moves to a reactor with its socket. It never waits, and knows neither
//! HTTP nor WebSocket frames.

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus, WriteTraffic};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

/// Bytes of a record's longest payload (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 16 << 10;
/// Bytes of one read, and the most that are stored of unfinished records: the longest record of TLS
/// 1.2 takes 18,437 bytes.
const INBOUND_BYTES: usize = 20 << 10;
/// Bytes of the longest sealed record, with room for a key update before it.
const OUTBOUND_BYTES: usize = RECORD_BYTES_MAX + 1024;

thread_local! {
    /// The buffers in which this thread opens and seals records. Empty until its first TLS
    /// connection.
    static BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// The outcome of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// This many bytes; there may be more.
    Bytes(usize),
    /// This many bytes, the last for now.
    Last(usize),
    /// No bytes for now.
    Nothing,
    /// The peer has shut down its sending side.
    End,
}

/// The server's side of one TLS connection.
pub struct TlsSession {
    tls: UnbufferedServerConnection,
    /// The beginning of a record, as it came.
    partial_record: Vec<u8>,
    /// Opened bytes that the caller had no room for, reversed: the next byte is the last.
    plaintext: Vec<u8>,
    /// Sealed bytes that the kernel has not taken yet.
    unsent: Vec<u8>,
    /// Does `unsent` end with a record whose last byte was not reported as taken? See
    /// [`TlsSession::write`].
    withholds_byte: bool,
    /// Has the peer announced that nothing more comes?
    is_closed: bool,
}

impl TlsSession {
    /// A session before its handshake.
    ///
    /// # Errors
    /// When `config` cannot serve any client.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let tls = UnbufferedServerConnection::new(config)?;
        Ok(Self {
            tls,
            partial_record: Vec::new(),
            plaintext: Vec::new(),
            unsent: Vec::new(),
            withholds_byte: false,
            is_closed: false,
        })
    }

    /// Continues the handshake as far as possible without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when `socket` is not ready. Any other ends the handshake;
    /// [`TlsSession::flush`] then sends the alert.
    pub fn handshake(&mut self, socket: &mut (impl Read + Write)) -> io::Result<()> {
        loop {
            if !self.flush(socket)? {
                return Err(ErrorKind::WouldBlock.into());
            }
            if !self.tls.is_handshaking() {
                return Ok(());
            }
            match self.read_records(socket, &mut [])? {
                RecordsRead::Nothing => return Err(ErrorKind::WouldBlock.into()),
                RecordsRead::End => return Err(ErrorKind::UnexpectedEof.into()),
                RecordsRead::Opened { .. } => {}
            }
        }
    }

    /// The protocol that ALPN settled on.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// The bytes that were rejected because they are no TLS.
    pub fn rejected_input(&self) -> &[u8] {
        &self.partial_record
    }

    /// Reads the plaintext that has arrived.
    ///
    /// # Errors
    /// When the connection is broken or the bytes are not TLS. The alert is sent by then, as far as
    /// the socket takes it.
    pub fn read(&mut self, socket: &mut (impl Read + Write), buffer: &mut [u8]) -> io::Result<ReadOutcome> {
        if !self.plaintext.is_empty() {
            return Ok(ReadOutcome::Bytes(self.take_plaintext(buffer)));
        }
        loop {
            let read = self.read_records(socket, buffer);
            let flushed = self.flush(socket);
            match read? {
                RecordsRead::Opened { count: 0, .. } => {}
                RecordsRead::Opened { count, is_all } => {
                    let is_last = is_all && self.plaintext.is_empty() && !self.is_closed;
                    return flushed.map(|_| if is_last { ReadOutcome::Last(count) } else { ReadOutcome::Bytes(count) });
                }
                RecordsRead::Nothing => return Ok(ReadOutcome::Nothing),
                RecordsRead::End => return Ok(ReadOutcome::End),
            }
        }
    }

    /// Does the session hold bytes, or the end, that no readiness event of its socket will
    /// announce?
    pub fn has_unread(&self) -> bool {
        !self.plaintext.is_empty() || self.is_closed
    }

    /// Seals and writes as much as the kernel takes, possibly nothing. Returns the count of bytes
    /// taken.
    ///
    /// A record that was begun has to go out whole. When the kernel takes part of one, the session
    /// stores the rest and reports all bytes of the record but the last as taken; the last one once
    /// the rest has gone. So the next call must start with that byte, as it does where the caller
    /// queues what was not taken.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&mut self, socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() || !self.flush(socket)? {
            return Ok(0);
        }
        let mut taken = usize::from(std::mem::take(&mut self.withholds_byte));
        while taken < bytes.len() {
            let record = &bytes[taken..][..RECORD_BYTES_MAX.min(bytes.len() - taken)];
            if !self.write_record(socket, |traffic, sealed| traffic.encrypt(record, sealed))? {
                self.withholds_byte = true;
                return Ok(taken + record.len() - 1);
            }
            taken += record.len();
        }
        Ok(taken)
    }

    /// Writes what was sealed earlier. True when nothing of it is left.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while !self.unsent.is_empty() {
            match write_some(socket, &self.unsent)? {
                0 => return Ok(false),
                count if count == self.unsent.len() => self.unsent = Vec::new(),
                count => drop(self.unsent.drain(..count)),
            }
        }
        Ok(true)
    }

    /// Sends a close_notify alert (RFC 8446 section 6.1), if the kernel takes it at once: the
    /// connection's end means the same.
    pub fn close_notify(&mut self, socket: &mut impl Write) {
        if self.flush(socket).is_ok_and(|is_flushed| is_flushed) {
            let _ = self.write_record(socket, |traffic, sealed| traffic.queue_close_notify(sealed));
        }
    }

    /// Bytes of input that it stores.
    pub fn buffered_input_bytes(&self) -> usize {
        self.partial_record.capacity() + self.plaintext.capacity()
    }

    /// Drops the stored input: no record of this peer will be opened any more.
    pub fn discard_input(&mut self) {
        (self.partial_record, self.plaintext) = (Vec::new(), Vec::new());
    }

    /// Reads once and opens the whole records: into `buffer`, and what exceeds it into `plaintext`.
    fn read_records(&mut self, socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<RecordsRead> {
        if self.is_closed {
            return Ok(RecordsRead::End);
        }
        BUFFERS.with_borrow_mut(|(inbound, _)| {
            inbound.resize(INBOUND_BYTES, 0);
            let held = self.partial_record.len();
            inbound[..held].copy_from_slice(&self.partial_record);
            if held == INBOUND_BYTES {
                return Err(io::Error::new(ErrorKind::InvalidData, "a record or handshake is too long"));
            }
            let count = match read_some(socket, &mut inbound[held..])? {
                None => return Ok(RecordsRead::Nothing),
                Some(0) => return Ok(RecordsRead::End),
                Some(count) => count,
            };
            let is_all = held + count < INBOUND_BYTES;
            Ok(RecordsRead::Opened { count: self.open_records(&mut inbound[..held + count], buffer)?, is_all })
        })
    }

    /// Opens the whole records of `incoming`, and stores the beginning of an unfinished one.
    /// Returns the bytes put into `buffer`.
    fn open_records(&mut self, incoming: &mut [u8], buffer: &mut [u8]) -> io::Result<usize> {
        let (mut done, mut filled, mut overflow) = (0, 0, Vec::new());
        let ended = loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut incoming[done..]);
            let mut extra = 0;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(not_tls)?;
                        let (fits, beyond) = record.payload.split_at(record.payload.len().min(buffer.len() - filled));
                        buffer[filled..filled + fits.len()].copy_from_slice(fits);
                        filled += fits.len();
                        overflow.extend_from_slice(beyond);
                        extra += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.unsent),
                // They wait in `unsent`, ahead of everything that is sealed from now on.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => self.is_closed = true,
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => break Ok(discard),
                // Early data is not offered.
                Ok(_) => break Err(io::Error::new(ErrorKind::InvalidData, "an unexpected TLS state")),
                Err(error) => break Err(not_tls(error)),
            }
            done += discard + extra;
            if self.is_closed {
                break Ok(0);
            }
        };
        // Rejected bytes stay for `rejected_input`.
        self.partial_record = incoming[done + *ended.as_ref().unwrap_or(&0)..].to_vec();
        overflow.reverse();
        self.plaintext = overflow;
        match ended {
            Ok(_) => Ok(filled),
            Err(error) => {
                self.collect_alert();
                Err(error)
            }
        }
    }

    /// Collects the alert for an error, which rustls hands out at the next call.
    fn collect_alert(&mut self) {
        while let Ok(ConnectionState::EncodeTlsData(data)) = self.tls.process_tls_records(&mut []).state {
            encode(data, &mut self.unsent);
        }
    }

    fn take_plaintext(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.plaintext.len());
        let rest = self.plaintext.len() - count;
        buffer[..count].iter_mut().zip(self.plaintext.drain(rest..).rev()).for_each(|(to, byte)| *to = byte);
        if rest == 0 {
            self.plaintext = Vec::new();
        }
        count
    }

    /// Seals a record and writes it. False when the kernel took only a part; the rest is in
    /// `unsent`.
    fn write_record<E: fmt::Debug>(
        &mut self,
        socket: &mut impl Write,
        seal: impl FnOnce(&mut WriteTraffic<'_, rustls::server::ServerConnectionData>, &mut [u8]) -> Result<usize, E>,
    ) -> io::Result<bool> {
        BUFFERS.with_borrow_mut(|(_, outbound)| {
            outbound.resize(OUTBOUND_BYTES, 0);
            let len = loop {
                match self.tls.process_tls_records(&mut []).state.map_err(not_tls)? {
                    ConnectionState::WriteTraffic(mut traffic) => {
                        break seal(&mut traffic, outbound).map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
                    }
                    ConnectionState::EncodeTlsData(data) => encode(data, &mut self.unsent),
                    ConnectionState::TransmitTlsData(data) => data.done(),
                    ConnectionState::PeerClosed => self.is_closed = true,
                    _ => return Err(ErrorKind::BrokenPipe.into()),
                }
            };
            let sealed = &outbound[..len];
            let sent = if self.flush(socket)? { write_some(socket, sealed)? } else { 0 };
            self.unsent.extend_from_slice(&sealed[sent..]);
            Ok(sent == len)
        })
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession").field("unsent", &self.unsent.len()).finish_non_exhaustive()
    }
}

/// The outcome of one read from the socket.
enum RecordsRead {
    /// This many bytes of plaintext; with `is_all` the kernel had no more.
    Opened {
        count: usize,
        is_all: bool,
    },
    Nothing,
    End,
}

/// Appends a handshake or post-handshake message to `unsent`.
fn encode<Data>(mut data: EncodeTlsData<'_, Data>, unsent: &mut Vec<u8>) {
    let at = unsent.len();
    if let Err(EncodeError::InsufficientSize(short)) = data.encode(&mut []) {
        unsent.resize(at + short.required_size, 0);
        // It has the room that it asked for.
        let _ = data.encode(&mut unsent[at..]);
    }
}

fn not_tls(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// Reads once; `None` when nothing has arrived.
pub(crate) fn read_some(socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match socket.read(buffer) {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes once, and returns the count of bytes that the kernel took, possibly 0.
pub(crate) fn write_some(socket: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
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

    /// The server's socket: bytes that arrived, bytes that were sent, and how many more the kernel
    /// takes before it blocks.
    #[derive(Default)]
    struct Pipe {
        inbound: VecDeque<u8>,
        outbound: Vec<u8>,
        step: usize,
        takes: usize,
    }

    impl Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.step).min(self.inbound.len());
            buffer[..count].iter_mut().zip(self.inbound.drain(..count)).for_each(|(to, byte)| *to = byte);
            if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.takes);
            self.takes -= count;
            self.outbound.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A connection after its handshake: the server's session, its socket, and the client.
    struct Connection {
        session: TlsSession,
        pipe: Pipe,
        client: ClientConnection,
        received: Vec<u8>,
    }

    impl Connection {
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
            let mut connection = Self { session: TlsSession::new(Arc::new(server)).unwrap(), pipe, client, received: Vec::new() };
            let is_done = (0..20).any(|_| {
                connection.client_sends();
                let is_done = connection.session.handshake(&mut connection.pipe).is_ok();
                connection.client_receives();
                is_done && !connection.client.is_handshaking()
            });
            assert!(is_done, "the handshake completes");
            connection
        }

        fn client_sends(&mut self) {
            let mut bytes = Vec::new();
            while self.client.wants_write() {
                self.client.write_tls(&mut bytes).unwrap();
            }
            self.pipe.inbound.extend(bytes);
        }

        /// Hands the client the bytes that the server's kernel took. True once the server has sent
        /// its close_notify.
        fn client_receives(&mut self) -> bool {
            let outbound = std::mem::take(&mut self.pipe.outbound);
            let mut bytes = outbound.as_slice();
            let mut is_ended = false;
            while !bytes.is_empty() {
                self.client.read_tls(&mut bytes).unwrap();
                is_ended = self.client.process_new_packets().unwrap().peer_has_closed();
                let mut plain = Vec::new();
                let _ = self.client.reader().read_to_end(&mut plain);
                self.received.extend(plain);
            }
            is_ended
        }

        fn send(&mut self, bytes: &[u8]) {
            self.client.writer().write_all(bytes).unwrap();
            self.client_sends();
        }

        /// Reads all that arrived at the server, with a buffer of `buffer_bytes`.
        fn read_all(&mut self, buffer_bytes: usize) -> Vec<u8> {
            let (mut buffer, mut all) = (vec![0; buffer_bytes], Vec::new());
            loop {
                match self.session.read(&mut self.pipe, &mut buffer).unwrap() {
                    ReadOutcome::Bytes(count) | ReadOutcome::Last(count) => all.extend_from_slice(&buffer[..count]),
                    ReadOutcome::Nothing => return all,
                    ReadOutcome::End => panic!("the client has not closed"),
                }
            }
        }
    }

    const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    #[test]
    fn plaintext_arrives_whole_wherever_the_records_are_cut() {
        for version in VERSIONS {
            for (step, buffer_bytes) in [(1, 100), (7, 1), (usize::MAX, 16_398), (1000, 500), (usize::MAX, 3)] {
                let mut connection = Connection::new(version, step);
                connection.send(&text(40_000));
                assert_eq!(connection.read_all(buffer_bytes), text(40_000), "steps of {step}, a buffer of {buffer_bytes}");
                assert_eq!(
                    (connection.session.buffered_input_bytes(), connection.session.has_unread()),
                    (0, false),
                    "an idle session stores nothing"
                );
            }
        }
    }

    #[test]
    fn a_kernel_that_takes_little_gets_every_byte_once_and_in_order() {
        for version in VERSIONS {
            for takes in [1, 2, 29, 100, 16_000, 17_000, 100_000] {
                let mut connection = Connection::new(version, usize::MAX);
                let frames = [text(2), text(200), text(40_000), text(1)].concat();
                let mut rest = frames.as_slice();
                while !rest.is_empty() {
                    connection.pipe.takes = takes;
                    let taken = connection.session.write(&mut connection.pipe, rest).unwrap();
                    assert!(taken == rest.len() || connection.pipe.takes == 0, "a write stops only where the kernel does");
                    rest = &rest[taken..];
                    connection.client_receives();
                }
                assert_eq!(connection.received, frames, "{takes} bytes at a time");
                assert_eq!(connection.session.unsent.capacity(), 0, "sent bytes are not stored");
            }
        }
    }

    #[test]
    fn a_record_that_was_begun_is_finished_before_the_next_bytes() {
        let mut connection = Connection::new(VERSIONS[0], usize::MAX);
        connection.pipe.takes = 10;
        assert_eq!(connection.session.write(&mut connection.pipe, b"first").unwrap(), 4);
        assert_eq!(connection.session.write(&mut connection.pipe, b"t").unwrap(), 0, "the kernel takes no more");
        connection.pipe.takes = usize::MAX;
        assert_eq!(connection.session.write(&mut connection.pipe, b"tsecond").unwrap(), 7);
        connection.client_receives();
        assert_eq!(connection.received, b"firstsecond");
    }

    #[test]
    fn an_announcement_is_one_record() {
        let mut connection = Connection::new(VERSIONS[0], usize::MAX);
        assert_eq!(connection.session.write(&mut connection.pipe, &text(4_000)).unwrap(), 4_000);
        assert_eq!(connection.pipe.outbound.len(), 5 + 4_000 + 1 + 16, "the overhead is a header, a type byte and a tag");
    }

    #[test]
    fn either_side_can_close_properly() {
        for version in VERSIONS {
            let mut connection = Connection::new(version, usize::MAX);
            connection.session.close_notify(&mut connection.pipe);
            assert!(connection.client_receives(), "the client sees the close_notify");
            connection.client.send_close_notify();
            connection.client_sends();
            assert_eq!(connection.session.read(&mut connection.pipe, &mut [0; 10]).unwrap(), ReadOutcome::End);
        }
    }

    #[test]
    fn damaged_bytes_end_the_session_with_an_alert() {
        let mut connection = Connection::new(VERSIONS[0], usize::MAX);
        connection.send(b"whole");
        *connection.pipe.inbound.back_mut().unwrap() ^= 1;
        let error = connection.session.read(&mut connection.pipe, &mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(!connection.pipe.outbound.is_empty(), "an alert is sent");
    }

    #[test]
    fn a_key_update_works_while_frames_wait() {
        let mut connection = Connection::new(VERSIONS[0], usize::MAX);
        connection.pipe.takes = 10;
        assert_eq!(connection.session.write(&mut connection.pipe, b"first").unwrap(), 4);
        connection.client.refresh_traffic_keys().unwrap();
        connection.send(b"with new keys");
        assert_eq!(connection.read_all(100), b"with new keys");
        connection.pipe.takes = usize::MAX;
        assert_eq!(connection.session.write(&mut connection.pipe, b"t").unwrap(), 1);
        assert_eq!(connection.session.write(&mut connection.pipe, b"second").unwrap(), 6);
        connection.client_receives();
        assert_eq!(connection.received, b"firstsecond");
    }

    #[test]
    fn bytes_that_are_no_tls_can_be_inspected() {
        let mut connection = Connection::new(VERSIONS[0], usize::MAX);
        connection.pipe.inbound.extend(b"GET / HTTP/1.1\r\n");
        assert!(connection.session.read(&mut connection.pipe, &mut [0; 10]).is_err());
        assert!(connection.session.rejected_input().starts_with(b"GET "));
    }
}
