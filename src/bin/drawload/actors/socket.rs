//! One WebSocket: opening it, receiving, recording what came, and closing.
//!
//! The owner of a socket must remove it from the count of open sockets exactly once, however it
//! ends.

use super::Run;
use super::entry::Entry;
use crate::answers::StateSync;
use crate::client::http::{ANSWER_MAX, NO_ROOM};
use crate::client::{self, Connection, Window};
use crate::measure::clock::Rng;
use crate::measure::connection_ledger::ABNORMAL_CLOSURE;
use crate::measure::delivery_ledger::NumberedFrame;
use crate::measure::latency::Wait;
use crate::measure::micros;
use crate::measure::recorder::{Recorder, Shown, Statement};
use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

/// The code of a close frame without a code.
const NO_STATUS: u16 = 1005;

/// Close codes after which no page comes back: bad token, no such event, replaced.
pub const FINAL: [u16; 3] = [4401, 4404, 4409];

/// Frames without a number that any client may receive.
const UNNUMBERED: [&str; 4] = ["participant_joined", "connection_count", "identify_ack", "already_won"];

/// Frames without a number for the display.
const FOR_DISPLAYS: [&str; 7] =
    ["winner_revealed", "draw_complete_ack", "draw_pool", "entry_code", "join_code", "stage_orders", "winner_arrived"];

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
    total_count: Option<u64>,
    /// Of a draw: when every page shows it.
    #[serde(borrow)]
    show_at: Option<Cow<'a, str>>,
    /// Of a pong.
    #[serde(borrow)]
    pub server_time: Option<Cow<'a, str>>,
}

pub type Socket = WebSocketStream<Either<Connection, DuplexStream>>;

pub enum Received {
    Text(Message),
    Closed(u16),
}

/// Opens a socket and counts it; `planned_us` is when the attempt was due.
///
/// # Errors
/// The kind of failure, which is recorded.
pub async fn open(run: &Run, index: usize, query: &str, window: Window, planned_us: u64) -> Result<Socket, Failure> {
    let started_us = run.clock.now_us();
    run.note(index, Entry::Opening);
    // On the heap, and freed afterwards: a handshake needs more memory than a phone that listens.
    let result = Box::pin(timeout(ANSWER_MAX, handshake(run, index, query, window))).await;
    let (failure, why) = match result {
        Ok(Ok(socket)) => {
            let has_greeting = run.target().protocol.socket.has_greeting;
            run.note(index, Entry::Opened { planned_us, started_us, has_greeting });
            return Ok(socket);
        }
        Ok(Err(error)) => (Failure::of(&error), error.to_string()),
        Err(_) => (Failure::Unreached, "no answer in time".to_owned()),
    };
    let failure = if run.is_disturbed(index) { Failure::Disturbed } else { failure };
    run.note(index, Entry::NotOpened { failure, why });
    if failure != Failure::Disturbed {
        run.move_on(index);
    }
    Err(failure)
}

/// Reason of a handshake that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Nothing accepted the connection, or nothing came in time.
    Unreached,
    /// The server closed the connection, or has no room.
    Refused,
    /// The simulated network broke it, through no fault of the server.
    Disturbed,
    Other,
}

impl Failure {
    fn of(error: &Error) -> Self {
        match error {
            Error::Io(error) if client::is_unreached(error) => Self::Unreached,
            Error::Io(_) | Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete) => Self::Refused,
            Error::Http(answer) if NO_ROOM.contains(&answer.status().as_u16()) => Self::Refused,
            _ => Self::Other,
        }
    }
}

async fn handshake(run: &Run, index: usize, query: &str, window: Window) -> Result<Socket, Box<Error>> {
    let target = run.target_of(index);
    let request = target.socket_url(query).into_client_request()?;
    let connection = client::open(target, window).await.map_err(Error::Io)?;
    // The display has a cable, and a phone that reads slowly is slow enough.
    let network = run.network.as_ref().filter(|_| index < run.scenario.users && window == Window::Usual);
    let connection = match network {
        Some(network) => Either::Right(network.lead(index, connection)),
        None => Either::Left(connection),
    };
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0).max_message_size(Some(1 << 20));
    Ok(client_async_with_config(request, connection, Some(config)).await?.0)
}

/// The position that a reconnecting socket asks the server to resume from.
pub fn position(recorder: &Recorder, index: usize) -> Option<String> {
    recorder.ledger.position(index).map(|(seq, epoch)| format!("since={seq}&epoch={epoch}"))
}

/// The pause before reconnecting for the nth time without a frame in between: that of the pages,
/// from half a second to a bound that doubles, in the scenario's time.
pub fn reconnect_pause(run: &Run, failures: u32, rng: &mut Rng) -> Duration {
    let bound_s = f64::from(1_u32 << failures.clamp(1, 4)).min(20.0);
    let pause_s = (0.5 + (bound_s - 0.5) * rng.fraction()) * run.scenario.scale;
    Duration::from_secs_f64(pause_s.max(0.1 + 0.1 * rng.fraction()))
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
    let at_us = recorder.now_us();
    let is_phone = index < recorder.phones.len();
    let Ok(frame) = serde_json::from_str::<Frame<'a>>(text) else {
        recorder.ledger.record_invalid(index, "something that is no frame");
        return None;
    };
    let Some((seq, epoch)) = frame.seq.zip(frame.epoch.as_deref()) else {
        record_unnumbered(recorder, index, is_phone, &frame, text);
        return Some(frame);
    };
    if frame.r#type == "state_sync" {
        record_sync(recorder, index, is_phone, text);
    } else {
        let show_us = recorder.show_us(index, frame.show_at.as_deref());
        let Frame { r#type: kind, draw_id: draw, winners, .. } = &frame;
        let numbered = NumberedFrame { kind, seq, epoch, draw: *draw, winners, show_us, text };
        if recorder.ledger.receive(index, numbered, at_us) && is_phone {
            recorder.record_delivery(frame.draw_id, show_us);
            frame.draw_id.inspect(|draw| recorder.addresses.announce(index, *draw, at_us));
        }
    }
    Some(frame)
}

/// Records a frame for one socket or one role.
fn record_unnumbered(recorder: &mut Recorder, index: usize, is_phone: bool, frame: &Frame<'_>, text: &str) {
    let kind = &*frame.r#type;
    match (kind, frame.draw_id) {
        ("winner_revealed", Some(draw)) if !is_phone => {
            let at_us = recorder.now_us();
            recorder.shown.push(Shown { at_us, draw, text: text.to_owned() });
        }
        ("winner_revealed", draw) if is_phone => {
            recorder.told_early.push(format!("phone {index} received the reveal of draw {}", draw.unwrap_or(0)));
        }
        ("pong", _) => recorder.connections.pong(index),
        ("participant_joined", _) if !is_phone => recorder.display.participants = frame.total_count,
        _ if UNNUMBERED.contains(&kind) || (!is_phone && FOR_DISPLAYS.contains(&kind)) => {}
        _ => recorder.ledger.record_invalid(index, &format!("a {kind} without a number: {text:.200}")),
    }
}

/// Records a state sync: a position, and a statement about draws.
fn record_sync(recorder: &mut Recorder, index: usize, is_phone: bool, text: &str) {
    let at_us = recorder.now_us();
    let sync = match serde_json::from_str::<StateSync>(text) {
        Ok(sync) => sync,
        Err(error) => return recorder.ledger.record_invalid(index, &format!("a state_sync not as described: {error}")),
    };
    let role = if is_phone { "phone" } else { "display" };
    if sync.role != role {
        recorder.ledger.record_invalid(index, &format!("a state_sync for the role {}", sync.role));
    }
    if is_phone && sync.current.as_ref().is_some_and(|current| current.winners.is_some()) {
        recorder.told_early.push(format!("phone {index} received winners in its state_sync before their announcement"));
    }
    recorder.ledger.sync(index, sync.seq, &sync.epoch);
    if let Some(opened_us) = recorder.connections.greet(index, at_us, sync.seq) {
        recorder.record(Wait::Greeting, opened_us, opened_us);
    }
    if let Some(due_us) = recorder.ledger.mark_returned(index) {
        recorder.record(Wait::Return, due_us, due_us);
    }
    if !is_phone {
        recorder.display.spans.push((at_us, None));
        recorder.display.participants = Some(sync.participant_count);
    }
    let statement = Statement { seq: sync.seq, results: sync.results, you: sync.you };
    recorder.statements.insert(index, statement);
}

/// Sends a text.
///
/// # Errors
/// The code that the socket ended with.
pub async fn send(socket: &mut Socket, text: impl Into<Utf8Bytes>) -> Result<(), u16> {
    socket.send(Message::text(text)).await.map_err(|_| ABNORMAL_CLOSURE)
}

/// Records that the server or the network closed a socket. One that the simulated network broke is
/// due back, and no fault of the server.
pub fn record_drop(run: &Run, index: usize, code: u16) {
    run.note(index, if run.is_disturbed(index) { Entry::Disturbed } else { Entry::Dropped { code } });
}

/// Drops a socket without a close frame, in the storm; it is due back after the pause.
pub fn drop_in_storm(run: &Run, index: usize, socket: Socket, pause: Duration) {
    drop(socket);
    run.note(index, Entry::Departed { due_us: run.clock.now_us() + micros(pause) });
}

/// Closes a socket at the end of the run.
pub async fn close(run: &Run, index: usize, mut socket: Socket) {
    run.note(index, Entry::Closed);
    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::entry;

    /// A state sync at 7.
    fn sync(role: &str, current: &str) -> String {
        format!(
            r#"{{"type":"state_sync","role":"{role}","participant_count":1,"connection_count":2,"draw_count":0,
            "current":{current},"results":[],"seq":7,"epoch":"e"}}"#
        )
    }

    /// A recorder of one phone and a display, with a state sync for both.
    fn synced() -> Recorder {
        let mut recorder = Recorder::new(1);
        for (socket, role) in [(0, "phone"), (1, "display")] {
            assert_eq!(position(&recorder, socket), None);
            record_frame(&mut recorder, socket, &sync(role, "null")).unwrap();
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
        assert_eq!((recorder.shown.len(), recorder.told_early.len()), (1, 0));
        assert!(record_frame(&mut recorder, 0, reveal).is_some());
        record_frame(&mut recorder, 0, &sync("phone", r#"{"draw_id":3,"winners":[5]}"#));
        assert_eq!((recorder.shown.len(), recorder.told_early.len(), recorder.ledger.invalid), (1, 2, 0));
    }

    #[test]
    fn a_frame_that_the_server_never_sends_is_invalid() {
        let mut recorder = synced();
        let never = ["no frame", r#"{"type":"winner_announced","draw_id":3,"winners":[5]}"#, r#"{"type":"error","code":"X"}"#];
        never.iter().for_each(|text| drop(record_frame(&mut recorder, 0, text)));
        record_frame(&mut recorder, 0, &sync("display", "null"));
        record_frame(&mut recorder, 0, r#"{"type":"state_sync","seq":7,"epoch":"e"}"#);
        assert_eq!(recorder.ledger.invalid, 5);
        record_frame(&mut recorder, 1, r#"{"type":"participant_joined","total_count":4}"#);
        assert_eq!((recorder.ledger.invalid, recorder.display.participants), (5, Some(4)));
    }

    #[test]
    fn a_handshake_that_the_simulated_network_breaks_is_no_fault_of_the_server() {
        let mut recorder = synced();
        for (failure, counted) in [(Failure::Disturbed, (0, 0, 0)), (Failure::Refused, (1, 1, 1))] {
            entry::apply(&mut recorder, 0, Entry::Opening);
            entry::apply(&mut recorder, 0, Entry::NotOpened { failure, why: "it ended".into() });
            let counts = &recorder.counts;
            assert_eq!((counts.handshakes, counts.handshakes_failed, recorder.failures.len()), counted, "{failure:?}");
            assert_eq!(counts.opening, 0);
        }
    }

    #[test]
    fn a_dropped_socket_that_returns_is_timed_once() {
        let mut recorder = synced();
        recorder.ledger.depart(0, 0);
        for _ in 0..2 {
            record_frame(&mut recorder, 0, &sync("phone", "null")).unwrap();
        }
        assert_eq!(recorder.latencies()[Wait::Return.name()].response.len(), 1);
    }
}
