//! Messages of phones' sockets that an edge cannot answer: a phone proves its number, reports its
//! arrival, or hands in its details.
//!
//! Each message comes with the phone's token and is verified here anew. The answer holds whole
//! frames. Beside them an edge gets the phone's private view, which it lays into the public state
//! that the phone's own reactor has: two states of different age would show a phone an older draw.

use crate::api::app::App;
use crate::api::long_poll::personal_sync;
use crate::api::phone::with_private_view;
use crate::api::turn_meter::TurnMeters;
use crate::draw::{Actor, Command, DrawId, Number, Registration};
use crate::edge::event_of;
use crate::edge::update::{pack, text};
use crate::live::Role;
use crate::live::room::{Room, Snapshot};
use crate::sequencer::inbox::{Accepted, Rejection, Request, Responder};
use crate::wire::message::{ImHere, Message, SubmitWinnerInfo, Turned};
use crate::wire::parse::Invalid;
use crate::wire::reply::{self, Acknowledged};
use crate::wire::request::{self, ContactBody};
use async_nats::HeaderMap;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The parts of a phone's `state_sync` that are its own.
#[derive(Deserialize)]
struct OwnParts<'a> {
    #[serde(borrow)]
    privacy: &'a RawValue,
    #[serde(borrow)]
    you: &'a RawValue,
}

/// The answer to a message of a phone on an edge.
pub async fn answer(app: &App, subject: &str, headers: &HeaderMap, message: &[u8]) -> (HeaderMap, Bytes) {
    let Some(room) = event_of(subject).and_then(|event| app.directory.find(event)) else {
        return status(StatusCode::NOT_FOUND);
    };
    let snapshot = room.snapshot();
    let proved = text(headers, "authorization").and_then(|token| app.tokens.verify(&snapshot.event, token));
    match (Message::read(message), proved) {
        (Ok(Message::Identify(_)), Some(of)) => identified(app, &room, &snapshot, &of),
        (Ok(Message::Identify(identify)), None) => match identify.draw_number.filter(|_| identify.session_token.is_none()) {
            Some(number) => frames(&[reply::identified(&snapshot.event, Number(number))]),
            None => status(StatusCode::UNAUTHORIZED),
        },
        (Ok(Message::ImHere(here)), of) => frames(&[report_arrival(app, &room, of.as_ref(), &here).await]),
        (Ok(Message::SubmitWinnerInfo(info, contact)), of) => {
            frames(&[submit_details(app, &room, of.as_ref(), info, contact).await])
        }
        (Ok(Message::Turned(turned)), Some(of)) => report_turn(app, &snapshot, &of, &turned),
        _ => status(StatusCode::UNPROCESSABLE_ENTITY),
    }
}

/// The frame that answers a token, and the phone's own part of the state.
fn identified(app: &App, room: &Room, snapshot: &Snapshot, of: &Registration) -> (HeaderMap, Bytes) {
    let event = &snapshot.event;
    let (frame, sync) = with_private_view(&app.tokens, &app.settings, of, |own| {
        (reply::authenticated(event, own), personal_sync(room, snapshot, Role::Phone, own))
    });
    let Ok(OwnParts { privacy, you }) = serde_json::from_str(&sync) else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let own = Bytes::from(format!(r#""privacy":{privacy},"you":{you}"#));
    let (mut headers, _) = status(StatusCode::OK);
    headers.insert("own-seq", snapshot.ring.last_seq().to_string());
    headers.insert("number", of.number.0.to_string());
    headers.insert("session", data_encoding::HEXLOWER.encode(&of.session.0));
    let body = pack(&mut headers, &[frame], Some(&own));
    (headers, body)
}

/// Takes a sampled phone's report of the moment at which it showed the winners.
fn report_turn(app: &App, snapshot: &Snapshot, of: &Registration, turned: &Turned) -> (HeaderMap, Bytes) {
    let (event, draw) = (&snapshot.event, DrawId(turned.draw_id));
    let is_planned = event.draw(draw).is_some_and(|draw| draw.announced_at.is_some() && draw.show_at.is_some());
    if is_planned && TurnMeters::is_sampled(of.number, draw, event.participant_count()) {
        app.turns.report(&event.id, draw, of.number, turned.late_ms);
    }
    status(StatusCode::OK)
}

async fn report_arrival(app: &App, room: &Room, of: Option<&Registration>, here: &ImHere) -> Bytes {
    let Some(of) = of else {
        return Acknowledged::ImHere.refuse("UNAUTHORIZED", "this phone has not proved its number");
    };
    let command = Command::Arrive { draw: DrawId(here.draw_id), number: of.number };
    acknowledge(Acknowledged::ImHere, app.inbox.submit(room.id.clone(), Actor::Phone, command).await)
}

/// The number is the phone's own.
async fn submit_details(
    app: &App,
    room: &Room,
    of: Option<&Registration>,
    info: SubmitWinnerInfo,
    contact: ContactBody,
) -> Bytes {
    let refuse = |code, why: &str| Acknowledged::SubmitWinnerInfo.refuse(code, why);
    let invalid = |invalid: Invalid| refuse("INVALID_REQUEST", &invalid.to_string());
    let Some(number) = of.map(|of| of.number) else {
        return refuse("UNAUTHORIZED", "this phone has not proved its number");
    };
    if info.event_id.is_some_and(|event| event != room.id.as_str()) {
        return refuse("EVENT_NOT_FOUND", "this socket is another event's");
    }
    if info.draw_number.is_some_and(|named| named != number.0) {
        return refuse("NOT_A_WINNER", "this is another phone's number");
    }
    let win = match request::win_selector(info.draw_id, info.prize_name) {
        Ok(win) => win,
        Err(why) => return invalid(why),
    };
    let contact = match contact.check(false) {
        Ok(contact) => contact,
        Err(why) => return invalid(why),
    };
    let (event, actor) = (room.id.clone(), Actor::Phone);
    let submit = |reply| Request::SubmitDetails { event, actor, number, win, contact, reply: Responder::Handler(reply) };
    acknowledge(Acknowledged::SubmitWinnerInfo, app.inbox.ask(submit).await)
}

fn acknowledge(message: Acknowledged, result: Result<Accepted, Rejection>) -> Bytes {
    match &result {
        Ok(Accepted { outcome, snapshot }) => message.encode(Ok((outcome, &snapshot.event))),
        Err(rejection) => message.encode(Err((rejection.code(), &rejection.to_string()))),
    }
}

fn frames(frames: &[Bytes]) -> (HeaderMap, Bytes) {
    let (mut headers, _) = status(StatusCode::OK);
    let body = pack(&mut headers, frames, None);
    (headers, body)
}

fn status(status: StatusCode) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert("status", status.as_u16().to_string());
    (headers, Bytes::new())
}
