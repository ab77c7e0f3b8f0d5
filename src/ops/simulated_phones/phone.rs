//! One simulated phone: registers, holds its socket, and answers when it wins.
//!
//! It keeps its number over a lost connection, and registers anew when the participants are reset.
//! One that the server refuses a number stays refused, as a person would, until there are to be
//! fewer phones.

use super::own_server::{OwnServer, Socket};
use crate::api::app::App;
use crate::api::simulated_phones::PhoneGroup;
use crate::base::chance;
use crate::base::clock::wall_clock;
use crate::draw::entry_code::EntryCode;
use data_encoding::HEXLOWER;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;

/// One winner in this many gives no details.
const NO_DETAILS_EVERY: u32 = 5;
/// Time from a win to the winner's details, at least and at most.
const ANSWER_MIN: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Pause after a failure, at least and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Close codes after which the number is nobody's: bad token, no such event.
const GONE: [u16; 2] = [4401, 4404];

/// A registered number.
struct Ticket {
    number: u32,
    token: String,
}

/// The reason why a phone has no number, or no socket.
enum Ended {
    /// The connection failed, or the server was busy.
    Lost,
    /// The server gives it no number.
    Refused,
    /// Its number is gone.
    Gone,
}

/// One more in a figure of the group, until it is dropped.
struct Counted(Arc<PhoneGroup>, fn(&PhoneGroup) -> &AtomicU32);

impl Counted {
    fn new(group: &Arc<PhoneGroup>, figure: fn(&PhoneGroup) -> &AtomicU32) -> Self {
        figure(group).fetch_add(1, Relaxed);
        Self(Arc::clone(group), figure)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1(&self.0).fetch_sub(1, Relaxed);
    }
}

/// Parts of the frames that a phone acts upon.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame {
    WinnerAnnounced {
        draw_id: u32,
        winners: Vec<u32>,
    },
    EventReset {
        #[serde(default)]
        reset_participants: bool,
    },
    ParticipantsRemoved {
        ranges: Vec<(u32, u32)>,
    },
    #[serde(other)]
    Other,
}

/// Plays one phone for as long as it is polled.
pub async fn play(app: Arc<App>, server: Arc<OwnServer>, group: Arc<PhoneGroup>) {
    loop {
        let request_id = HEXLOWER.encode(&chance::bytes::<16>());
        let mut failures = 0;
        let ticket = loop {
            match register(&app, &server, &group, &request_id).await {
                Ok(ticket) => break ticket,
                Err(Ended::Refused) => {
                    let _refused = Counted::new(&group, |group| &group.refused);
                    std::future::pending::<()>().await;
                }
                Err(_) => pause(&mut failures).await,
            }
        };
        let _registered = Counted::new(&group, |group| &group.registered);
        failures = 0;
        loop {
            match stay_connected(&server, &group, &ticket).await {
                Ended::Gone => break,
                _ => pause(&mut failures).await,
            }
        }
        pause(&mut 1).await;
    }
}

/// Waits half to all of a time that doubles with each failure.
async fn pause(failures: &mut u32) {
    let longest = PAUSE_MIN.saturating_mul(1 << (*failures).min(6)).min(PAUSE_MAX);
    *failures += 1;
    sleep(longest.mul_f64(0.5 + fraction() / 2.0)).await;
}

/// A random part of 1.
fn fraction() -> f64 {
    f64::from(u16::from_le_bytes(chance::bytes())) / f64::from(u16::MAX)
}

/// Registers as the page does, with the code that the stage shows.
async fn register(app: &App, server: &OwnServer, group: &PhoneGroup, request_id: &str) -> Result<Ticket, Ended> {
    let _arrival = server.arrivals.acquire().await.map_err(|_| Ended::Lost)?;
    // Another event may have taken the name meanwhile, and a real one.
    if !group.is_present(&app.directory) {
        return Err(Ended::Lost);
    }
    let snapshot = group.room.snapshot();
    let session = snapshot.event.session;
    let code = snapshot.event.entry_code.as_ref().map(|code| match code {
        EntryCode::Fixed(digits) => digits.as_str().to_owned(),
        EntryCode::Rotating => app.tokens.rotating_entry_code(session, wall_clock()),
    });
    let body = json!({"event_id": group.room.id.as_str(), "request_id": request_id, "consent": true, "entry_code": code});
    let (status, answer) = server.post("/register", None, &body).await.map_err(|_| Ended::Lost)?;
    let data = &answer["data"];
    match (data["draw_number"].as_u64().and_then(|number| u32::try_from(number).ok()), data["session_token"].as_str()) {
        (Some(number), Some(token)) => Ok(Ticket { number, token: token.to_owned() }),
        _ if status.is_server_error() || status.as_u16() == 429 => Err(Ended::Lost),
        _ => Err(Ended::Refused),
    }
}

/// Holds a socket until it ends.
async fn stay_connected(server: &OwnServer, group: &Arc<PhoneGroup>, ticket: &Ticket) -> Ended {
    let event = group.room.id.as_str();
    let opened = async {
        let _arrival = server.arrivals.acquire().await.map_err(io::Error::other)?;
        let mut socket = server.open_socket(event).await?;
        send(&mut socket, json!({"type": "identify", "session_token": ticket.token})).await?;
        Ok::<_, io::Error>(socket)
    };
    let Ok(mut socket) = opened.await else { return Ended::Lost };
    let _connected = Counted::new(group, |group| &group.connected);
    // The draw that this phone has won and not answered, and the time of its answer.
    let mut won: Option<(u32, Instant)> = None;
    loop {
        let answer_at = won.map_or_else(|| Instant::now() + Duration::from_secs(3600), |(_, at)| at);
        // Both arms are cancel safe.
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => match react(&text, ticket) {
                    Reaction::Win(draw) => won = Some((draw, Instant::now() + ANSWER_MIN + (ANSWER_MAX - ANSWER_MIN).mul_f64(fraction()))),
                    Reaction::Leave => return Ended::Gone,
                    Reaction::None => {}
                },
                Some(Ok(Message::Close(close))) if close.as_ref().is_some_and(|close| GONE.contains(&close.code.into())) => {
                    return Ended::Gone;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ended::Lost,
            },
            () = sleep_until(answer_at) => {
                let Some((draw, _)) = won.take() else { continue };
                if answer(server, &mut socket, event, ticket, draw).await.is_err() {
                    return Ended::Lost;
                }
            }
        }
    }
}

/// An act of a phone.
enum Reaction {
    Win(u32),
    Leave,
    None,
}

/// The consequence of a frame for a phone. Most have none, and thousands of phones read each.
fn react(text: &str, ticket: &Ticket) -> Reaction {
    let concerns = ["\"winner_announced\"", "\"event_reset\"", "\"participants_removed\""];
    if !concerns.iter().any(|kind| text.contains(kind)) {
        return Reaction::None;
    }
    match serde_json::from_str(text) {
        Ok(Frame::WinnerAnnounced { draw_id, winners }) if winners.contains(&ticket.number) => Reaction::Win(draw_id),
        Ok(Frame::EventReset { reset_participants: true }) => Reaction::Leave,
        Ok(Frame::ParticipantsRemoved { ranges }) => {
            let is_removed = ranges.iter().any(|(first, last)| (*first..=*last).contains(&ticket.number));
            if is_removed { Reaction::Leave } else { Reaction::None }
        }
        _ => Reaction::None,
    }
}

/// Says that the winner is here, and gives made-up details. The server may refuse these.
async fn answer(server: &OwnServer, socket: &mut Socket, event: &str, ticket: &Ticket, draw: u32) -> io::Result<()> {
    send(socket, json!({"type": "im_here", "draw_id": draw})).await?;
    if ticket.number.is_multiple_of(NO_DETAILS_EVERY) {
        return Ok(());
    }
    let details = json!({
        "event_id": event,
        "draw_id": draw,
        "name": format!("리허설 Rehearsal {}", ticket.number),
        "phone": format!("010-0000-{:04}", ticket.number % 10_000),
        "address": "리허설 Rehearsal",
        "consent": true,
    });
    server.post("/winner-info", Some(&ticket.token), &details).await.map(drop)
}

async fn send(socket: &mut Socket, message: serde_json::Value) -> io::Result<()> {
    socket.send(Message::text(message.to_string())).await.map_err(io::Error::other)
}
