//! One WebSocket: opening it, receiving, recording what came, and closing.
//!
//! The owner of a socket must remove it from the count of open sockets exactly once, however it
//! ends.

use super::Run;
use crate::client::http::ANSWER_MAX;
use crate::client::{self, Connection, Window};
use crate::measure::clock::Rng;
use crate::measure::delivery_ledger::NumberedFrame;
use crate::measure::latency::Wait;
use crate::measure::micros;
use crate::measure::recorder::Recorder;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// The code of a socket that ended without a close frame (RFC 6455 section 7.1.5).
const ABNORMAL_CLOSURE: u16 = 1006;

/// The code of a close frame without a code.
const NO_STATUS: u16 = 1005;

/// The read buffer that every phone keeps; the usual 128 KiB would be 2.5 GB for 20,000 phones.
const READ_BYTES: usize = 2 << 10;

/// A message that asks the server for a pong.
pub const PING: &str = r#"{"type":"ping"}"#;

/// The fields of a server frame that are recorded.
#[derive(Deserialize)]
pub struct Frame<'a> {
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    seq: Option<u64>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    pub draw_id: Option<u32>,
    #[serde(default)]
    pub winners: Vec<u32>,
    pub success: Option<bool>,
}

pub type Socket = WebSocketStream<Connection>;

pub enum Received {
    Text(Message),
    Closed(u16),
}

/// Opens a socket and counts it; `planned_us` is when the attempt was due.
pub async fn open(run: &Run, index: usize, query: &str, window: Window, planned_us: u64) -> Option<Socket> {
    let started_us = run.clock.now_us();
    run.recorder().counts.handshakes += 1;
    // On the heap, and freed afterwards: a handshake needs more memory than a phone that listens.
    let result = Box::pin(timeout(ANSWER_MAX, handshake(run, query, window))).await;
    let mut recorder = run.recorder();
    match result {
        Ok(Ok(socket)) => {
            recorder.record(Wait::Handshake, planned_us, started_us);
            recorder.counts.sockets += 1;
            recorder.ledger.open(index);
            return Some(socket);
        }
        Ok(Err(error)) => {
            let name = recorder.ledger.name(index);
            recorder.record_failure("ws.handshake", &format!("{name}: {error}"));
        }
        Err(_) => recorder.record_failure("ws.handshake", &"no answer in time"),
    }
    recorder.counts.handshakes_failed += 1;
    None
}

async fn handshake(run: &Run, query: &str, window: Window) -> Result<Socket, Box<Error>> {
    let request = run.target.socket_url(query).into_client_request()?;
    let connection = client::open(&run.target, window).await.map_err(Error::Io)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0).max_message_size(Some(1 << 20));
    Ok(client_async_with_config(request, connection, Some(config)).await?.0)
}

/// The position that a reconnecting socket asks the server to resume from.
pub fn position(recorder: &Recorder, index: usize) -> Option<String> {
    recorder.ledger.position(index).map(|(seq, epoch)| format!("since={seq}&epoch={epoch}"))
}

/// The pause before reconnecting, with the jitter of the pages.
pub fn reconnect_pause(rng: &mut Rng) -> Duration {
    Duration::from_secs_f64(0.1 + 0.4 * rng.fraction())
}

/// Waits for the next text or the end. Cancel safe.
pub async fn receive(socket: &mut Socket) -> Received {
    loop {
        match socket.next().await {
            Some(Ok(text @ Message::Text(_))) => return Received::Text(text),
            Some(Ok(Message::Close(frame))) => return Received::Closed(frame.map_or(NO_STATUS, |frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Received::Closed(ABNORMAL_CLOSURE),
        }
    }
}

/// Records a frame and returns its fields.
pub fn record_frame<'a>(recorder: &mut Recorder, index: usize, text: &'a str) -> Option<Frame<'a>> {
    let at_us = recorder.clock.now_us();
    let is_phone = index < recorder.phones.len();
    let Ok(frame) = serde_json::from_str::<Frame<'a>>(text) else {
        recorder.ledger.record_invalid(index, "something that is no frame");
        return None;
    };
    if frame.r#type == "winner_revealed" && is_phone {
        recorder.ledger.record_invalid(index, "of a reveal, before its announcement");
    }
    let Some((seq, epoch)) = frame.seq.zip(frame.epoch.as_deref()) else { return Some(frame) };
    if frame.r#type == "state_sync" {
        recorder.ledger.sync(index, seq, epoch);
        if let Some(due_us) = recorder.ledger.mark_returned(index) {
            recorder.record(Wait::Return, due_us, due_us);
        }
    } else {
        let numbered = NumberedFrame { kind: &frame.r#type, seq, epoch, draw: frame.draw_id, winners: &frame.winners, text };
        if recorder.ledger.receive(index, numbered, at_us) && is_phone {
            recorder.record_delivery(frame.draw_id);
        }
    }
    Some(frame)
}

/// Sends a text.
///
/// # Errors
/// The code that the socket ended with.
pub async fn send(socket: &mut Socket, text: impl Into<Utf8Bytes>) -> Result<(), u16> {
    socket.send(Message::text(text)).await.map_err(|_| ABNORMAL_CLOSURE)
}

/// Records that the server or the network closed a socket.
pub fn record_drop(run: &Run, code: u16) {
    let mut recorder = run.recorder();
    recorder.counts.sockets -= 1;
    *recorder.drops.entry(code).or_default() += 1;
}

/// Drops a socket without a close frame, in the storm; it is due back after the pause.
pub fn drop_in_storm(run: &Run, index: usize, socket: Socket, pause: Duration) {
    drop(socket);
    let due_us = run.clock.now_us() + micros(pause);
    let mut recorder = run.recorder();
    recorder.counts.sockets -= 1;
    recorder.ledger.depart(index, due_us);
}

/// Closes a socket at the end of the run.
pub async fn close(run: &Run, mut socket: Socket) {
    run.recorder().counts.sockets -= 1;
    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: &str = r#"{"type":"state_sync","seq":7,"epoch":"e"}"#;

    /// A recorder of one phone and a display, with a state sync for both.
    fn synced() -> Recorder {
        let mut recorder = Recorder::new(1);
        for socket in [0, 1] {
            assert_eq!(position(&recorder, socket), None);
            record_frame(&mut recorder, socket, SYNC).unwrap();
            assert_eq!(position(&recorder, socket).as_deref(), Some("since=7&epoch=e"));
        }
        recorder
    }

    #[test]
    fn a_numbered_frame_moves_the_position_and_any_other_does_not() {
        let mut recorder = synced();
        let pong = record_frame(&mut recorder, 0, r#"{"type":"pong"}"#).unwrap();
        assert_eq!((&*pong.r#type, recorder.ledger.received), ("pong", 0));
        let text = r#"{"type":"winner_announced","seq":8,"epoch":"e","draw_id":3,"winners":[5]}"#;
        let frame = record_frame(&mut recorder, 0, text).unwrap();
        assert_eq!((frame.draw_id, frame.winners), (Some(3), vec![5]));
        assert_eq!(position(&recorder, 0).as_deref(), Some("since=8&epoch=e"));
        assert_eq!(position(&recorder, 1).as_deref(), Some("since=7&epoch=e"));
        assert_eq!((recorder.announced(), recorder.ledger.received, recorder.ledger.invalid), (1, 1, 0));
    }

    #[test]
    fn a_phone_must_not_receive_a_reveal_and_the_display_must() {
        let mut recorder = synced();
        let reveal = r#"{"type":"winner_revealed","draw_id":3,"winners":[5]}"#;
        assert!(record_frame(&mut recorder, 1, reveal).is_some());
        assert_eq!(recorder.ledger.invalid, 0);
        assert!(record_frame(&mut recorder, 0, reveal).is_some());
        assert!(record_frame(&mut recorder, 0, "no frame").is_none());
        assert_eq!(recorder.ledger.invalid, 2);
    }

    #[test]
    fn a_dropped_socket_that_returns_is_timed_once() {
        let mut recorder = synced();
        recorder.ledger.depart(0, 0);
        for _ in 0..2 {
            record_frame(&mut recorder, 0, SYNC).unwrap();
        }
        assert_eq!(recorder.latencies()[Wait::Return.name()].response.len(), 1);
    }
}
