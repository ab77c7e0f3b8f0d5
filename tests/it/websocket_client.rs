//! WebSocket clients: tungstenite for valid frames, hand-made bytes for invalid ones.

use crate::test_server::TIMEOUT;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A socket, and every frame it has received.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    received: Vec<Value>,
}

/// The next frame on a socket, or its end.
#[derive(Debug)]
pub enum Received {
    Frame(Value),
    /// Closed with this code: 1005 for a close frame without one, 1006 for a connection that ended
    /// without a close frame.
    Closed(u16),
}

impl Socket {
    /// Opens a socket; panics when the server refuses the handshake.
    pub async fn connect(address: SocketAddr, event: &str, query: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::try_connect(address, event, query, headers).await.expect("the server accepts the handshake")
    }

    /// Opens a socket.
    ///
    /// # Errors
    /// The server's refusal of the handshake, or the connection's error.
    pub async fn try_connect(
        address: SocketAddr,
        event: &str,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Box<Error>> {
        let mut request = format!("ws://{address}/api/luckydraw/ws/{event}{query}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let tcp = TcpStream::connect(address).await.map_err(Error::Io)?;
        let (stream, _) = timeout(TIMEOUT, tokio_tungstenite::client_async(request, tcp)).await.expect("a handshake ends")?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// The socket after its `state_sync`; later changes arrive as frames.
    pub async fn synced(mut self) -> Self {
        self.until("state_sync").await;
        self
    }

    /// Sends a JSON message.
    pub async fn send_json(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// Sends any WebSocket message. A server that has closed meanwhile is no error here: its last
    /// frames are still to be read.
    pub async fn send(&mut self, message: Message) {
        let _ = self.stream.send(message).await;
    }

    /// The next frame or close.
    pub async fn receive(&mut self) -> Received {
        let next = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Received::Frame(serde_json::from_str(&text).expect("frames are JSON"));
                    }
                    Some(Ok(Message::Close(frame))) => return Received::Closed(frame.map_or(1005, |frame| frame.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Received::Closed(1006),
                }
            }
        };
        let received = timeout(TIMEOUT, next).await.expect("the server answers in time");
        if let Received::Frame(frame) = &received {
            self.received.push(frame.clone());
        }
        received
    }

    /// Reads up to a frame of this type, and returns it.
    pub async fn until(&mut self, kind: &str) -> Value {
        loop {
            match self.receive().await {
                Received::Frame(frame) if frame["type"] == kind => return frame,
                Received::Frame(_) => {}
                Received::Closed(code) => panic!("closed with {code} before a {kind}; received {:?}", self.kinds()),
            }
        }
    }

    /// Reads until the server closes, and returns the code.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Received::Closed(code) = self.receive().await {
                return code;
            }
        }
    }

    /// Reads every frame that the server has queued by now. The first pong proves that the server
    /// has read all earlier messages; the second one, that it has also written the frames due by
    /// then.
    pub async fn drain(&mut self) {
        for _ in 0..2 {
            self.send_json(&json!({"type": "ping"})).await;
            self.until("pong").await;
        }
    }

    /// Removes and returns the frames of all types received since the last call.
    pub fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.received)
    }

    /// The received frames of one type.
    pub fn received(&self, kind: &str) -> Vec<&Value> {
        self.received.iter().filter(|frame| frame["type"] == kind).collect()
    }

    /// The types of the received frames, in order.
    pub fn kinds(&self) -> Vec<&str> {
        self.received.iter().map(|frame| frame["type"].as_str().unwrap_or("?")).collect()
    }

    /// The types of the numbered frames received, in order.
    pub fn numbered_kinds(&self) -> Vec<&str> {
        self.numbered().iter().map(|frame| frame["type"].as_str().unwrap_or("?")).collect()
    }

    /// The received frames that go to all peers of a role and are numbered.
    pub fn numbered(&self) -> Vec<&Value> {
        self.received.iter().filter(|frame| frame["type"] != "state_sync" && frame["seq"].is_u64()).collect()
    }

    /// Drops the connection without a close frame, as a phone in a lift does.
    pub fn disconnect(self) {
        drop(self);
    }
}

/// Checks that numbered frames follow one another without a gap, and returns the last number.
pub fn gapless(frames: &[&Value]) -> Option<u64> {
    let seqs: Vec<u64> = frames.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "numbers follow one another: {seqs:?}");
    seqs.last().copied()
}

/// A socket that sends any bytes.
pub struct RawSocket {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl RawSocket {
    /// Makes a handshake by hand.
    pub async fn connect(address: SocketAddr, event: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /api/luckydraw/ws/{event} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Self { stream, unread: Vec::new() };
        let end = loop {
            if let Some(at) = raw.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(raw.read_more().await, "the server accepts the handshake");
        };
        let head: Vec<u8> = raw.unread.drain(..end).collect();
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        raw
    }

    /// Writes bytes. A server that has closed meanwhile is no error here.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads frames until a close frame, and returns its code.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.frame().await {
                Some((0x8, payload)) if payload.len() >= 2 => return u16::from_be_bytes([payload[0], payload[1]]),
                Some((0x8, _)) => return 1005,
                Some(_) => {}
                None => return 1006,
            }
        }
    }

    /// The next frame's opcode and payload; `None` when the connection has ended.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((opcode, header, length)) = frame_shape(&self.unread)
                && self.unread.len() >= header + length
            {
                let frame: Vec<u8> = self.unread.drain(..header + length).collect();
                return Some((opcode, frame[header..].to_vec()));
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    async fn read_more(&mut self) -> bool {
        let mut chunk = [0; 4096];
        let length = timeout(TIMEOUT, self.stream.read(&mut chunk)).await.expect("the server answers in time").unwrap_or(0);
        self.unread.extend_from_slice(&chunk[..length]);
        length > 0
    }
}

/// A client's frame: the first byte as given, the payload masked with a fixed key.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The opcode, header length and payload length of a server's frame, once its header has arrived.
fn frame_shape(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (header, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        length => (2, usize::from(length)),
    };
    Some((first & 0x0f, header, length))
}
