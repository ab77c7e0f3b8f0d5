//! The prize desk: a winner's code is looked up, the prize handed over once, and a mistake undone.
//!
//! A code is derived from its seat and never stored, so that looking one up makes the codes of all announced seats anew, half a microsecond each.
//! Wrong codes are counted for each link and for the event, and every no of a code is the same no: only who holds a right one learns anything.

use crate::api::app::App;
use crate::api::auth::{Credential, Rank, enter};
use crate::api::details;
use crate::draw::event::Audience;
use crate::draw::{Command, DrawId, LinkId, Number, Refusal};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult, success};
use crate::live::room::{Room, Snapshot};
use crate::wire::parse::parse;
use crate::wire::request::{ClaimCode, HandOver, SeatNamed, desk};
use crate::wire::view::claims;
use hyper::StatusCode;

/// `POST claims/look-up`
pub async fn look_up(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Staff).await?;
    let body: ClaimCode = parse(&call.read_body(BODY_MAX).await?)?;
    let seat = seat_of(&call.app, &room, proved, &body.code)?;
    show(&call.app, &room.snapshot(), seat, "found").await
}

/// `POST claims/hand-over`
pub async fn hand_over(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Staff).await?;
    let body: HandOver = parse(&call.read_body(BODY_MAX).await?)?;
    let desk = desk(&body.desk)?;
    let (draw, number) = seat_of(&call.app, &room, proved, &body.code)?;
    let command = Command::HandOver { draw, number, desk };
    let granted =
        call.app.inbox.submit(room.id.clone(), proved.actor(), command).await.map_err(|denial| match denial.into() {
            // Since the code was found, a reset took its draw away.
            HttpError { code: "NOT_A_WINNER", .. } => not_found(),
            failure => failure,
        })?;
    show(&call.app, &granted.snapshot, (draw, number), "handed over").await
}

/// `POST claims/undo`
pub async fn undo(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Admin).await?;
    let SeatNamed { draw_id, draw_number } = parse(&call.read_body(BODY_MAX).await?)?;
    let command = Command::UndoHandOver { draw: DrawId(draw_id), number: Number(draw_number) };
    call.app.inbox.submit(room.id.clone(), proved.actor(), command).await?;
    success(&format!(r#"{{"draw_id":{draw_id},"draw_number":{draw_number},"handed_over":false}}"#), "undone")
}

/// The seat that a code claims.
///
/// # Errors
/// 404 for a code of nothing, 409 for that of a voided seat, 429 after too many wrong ones.
fn seat_of(app: &App, room: &Room, proved: Credential, code: &str) -> Result<(DrawId, Number), HttpError> {
    let link = link_of(proved);
    // Counted before it is looked at, and given back when it was right: many at once are no more than one after the other.
    app.patience.try_claim(&room.id, link, app.patience.now_ms())?;
    let snapshot = room.snapshot();
    let event = &snapshot.event;
    let announced = event.draws().filter(|draw| draw.is_known_to(Audience::Public));
    let seats = announced.flat_map(|draw| draw.winners().map(|number| (draw.id, number)));
    let (draw, number) = app.tokens.find_claim(event.session, seats, code).ok_or_else(not_found)?;
    app.patience.forgive_claim(&room.id, link);
    let seat = event.draw(draw).and_then(|draw| draw.seat(number)).ok_or_else(not_found)?;
    if seat.voided.is_some() { Err(Refusal::WinVoided.into()) } else { Ok((draw, number)) }
}

/// What the desk sees of a seat.
async fn show(app: &App, snapshot: &Snapshot, (draw, number): (DrawId, Number), message: &str) -> HttpResult {
    let details = details::of_seat(app, &snapshot.event.id, draw, number).await?;
    let reached = details.as_ref().map(details::reached);
    let data = claims::claim(&snapshot.event, draw, number, reached.as_ref()).ok_or_else(not_found)?;
    success(&data, message)
}

fn link_of(proved: Credential) -> Option<LinkId> {
    match proved {
        Credential::Admin => None,
        Credential::Link(id, _) => Some(id),
    }
}

fn not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "CLAIM_NOT_FOUND", "this code claims nothing here")
}
