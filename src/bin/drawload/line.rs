//! One WebSocket: opening it, listening to it, writing what was heard into the book, and leaving.
//!
//! Whoever holds a line must have it counted out of the book again exactly once, however it ends.

use crate::book::Book;
use crate::connection::{Connection, Window};
use crate::evening::Evening;
use crate::http::PATIENCE;
use crate::measure::latency::Wait;
use crate::measure::ledger::Told;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How a socket ended that ended without a word.
pub const NO_WORD: u16 = 1006;

/// What is read at once, and kept for it by every phone; the usual 128 KiB would be 2.5 GB for 20,000 of them.
const READ_BYTES: usize = 2 << 10;

/// A frame from the server, as much of it as is accounted for.
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

/// A WebSocket.
pub type Line = WebSocketStream<Connection>;

/// What came over one.
pub enum Heard {
    Text(Message),
    Closed(u16),
}

/// Opens a socket and says hello to the book; `planned_us` is when it should have been tried.
pub async fn connect(evening: &Evening, ear: usize, query: &str, window: Window, planned_us: u64) -> Option<Line> {
    let begun_us = evening.clock.now_us();
    evening.book.borrow_mut().handshakes += 1;
    // On the heap, and gone afterwards: a handshake takes more room than a phone that listens.
    let result = Box::pin(timeout(PATIENCE, shake_hands(evening, query, window))).await;
    let mut book = evening.book.borrow_mut();
    match result {
        Ok(Ok(line)) => {
            book.note(Wait::Handshake, planned_us, begun_us);
            book.sockets += 1;
            book.ledger.open(ear);
            return Some(line);
        }
        Ok(Err(error)) => {
            let who = book.ledger.name(ear);
            book.mishap("ws.handshake", &format!("{who}: {error}"));
        }
        Err(_) => book.mishap("ws.handshake", &"no answer in time"),
    }
    book.handshakes_refused += 1;
    None
}

async fn shake_hands(evening: &Evening, query: &str, window: Window) -> Result<Line, Box<Error>> {
    let request = evening.target.socket_url(query).into_client_request()?;
    let connection = Connection::open(&evening.target, window).await.map_err(Error::Io)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES).write_buffer_size(0).max_message_size(Some(1 << 20));
    Ok(client_async_with_config(request, connection, Some(config)).await?.0)
}

/// The next text or the end. Cancel safe.
pub async fn hear(line: &mut Line) -> Heard {
    loop {
        match line.next().await {
            Some(Ok(text @ Message::Text(_))) => return Heard::Text(text),
            Some(Ok(Message::Close(frame))) => return Heard::Closed(frame.map_or(1005, |frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Heard::Closed(NO_WORD),
        }
    }
}

/// Writes a frame into the book, and gives it back for whoever wants more of it.
pub fn account<'a>(book: &mut Book, ear: usize, text: &'a str) -> Option<Frame<'a>> {
    let at_us = book.clock.now_us();
    let Ok(frame) = serde_json::from_str::<Frame<'a>>(text) else {
        book.ledger.note_strange(ear, "something that is no frame");
        return None;
    };
    if frame.r#type == "winner_revealed" && ear < book.phones.len() {
        book.ledger.note_strange(ear, "of a reveal, before its announcement");
    }
    match (frame.seq, frame.epoch.as_deref()) {
        (Some(seq), Some(epoch)) if frame.r#type == "state_sync" => {
            book.ledger.greet(ear, seq, epoch);
            if let Some(due_us) = book.ledger.come_back(ear) {
                book.note(Wait::Return, due_us, due_us);
            }
        }
        (Some(seq), Some(epoch)) => {
            let told = Told { kind: &frame.r#type, seq, epoch, draw: frame.draw_id, winners: &frame.winners, text };
            if book.ledger.hear(ear, told, at_us) && ear < book.phones.len() {
                book.note_delivery(frame.draw_id);
            }
        }
        _ => {}
    }
    Some(frame)
}

/// Says something; the end when it cannot be said.
///
/// # Errors
/// The code that the socket ended with.
pub async fn say(line: &mut Line, text: String) -> Result<(), u16> {
    line.send(Message::text(text)).await.map_err(|_| NO_WORD)
}

/// The server ended it.
pub fn note_drop(evening: &Evening, code: u16) {
    let mut book = evening.book.borrow_mut();
    book.sockets -= 1;
    *book.drops.entry(code).or_default() += 1;
}

/// Breaks it off without a word, in the storm, and says when to come back: with jitter, as the pages do.
pub fn break_off(evening: &Evening, ear: usize, line: Line, pause: Duration) {
    drop(line);
    let due_us = evening.clock.now_us() + crate::clock::micros(pause);
    let mut book = evening.book.borrow_mut();
    book.sockets -= 1;
    book.ledger.depart(ear, due_us);
}

/// Hangs up at the end of the evening.
pub async fn leave(evening: &Evening, mut line: Line) {
    evening.book.borrow_mut().sockets -= 1;
    let _ = timeout(Duration::from_secs(1), line.close(None)).await;
}
