//! The prize desk: participants and what staff note about them, winners and how to reach them,
//! claims and hand-overs.
//!
//! Telephone numbers leave here masked. To see them whole is requested, allowed to hosts, and on
//! record before the first one is read.
//!
//! A claim code is derived from its seat and never stored: looking one up derives the codes of all
//! announced seats anew, half a microsecond each. Wrong codes are counted per link and per event,
//! and every refusal of a code is the same: only a holder of a right one learns anything.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::EventAccess;
use crate::api::auth::{AccessLevel, Credential};
use crate::api::phone::submit_details;
use crate::base::clock::monotonic_ms;
use crate::draw::event::Audience;
use crate::draw::fact::WinnerDetails;
use crate::draw::{Command, DrawId, EventId, Number, Outcome, Refusal, Timestamp};
use crate::http::response::{HttpError, HttpResult, success};
use crate::live::room::Snapshot;
use crate::sequencer::inbox::{Rejection, Request};
use crate::store::tokens::Tokens;
use crate::wire::request::{self, ClaimCode, ContactBody, EligibilityChange, HandOver, ParticipantRemoval, UndoHandOver};
use crate::wire::view::people::{self, Listing, Mask};
use hyper::StatusCode;

/// Participants of one page, at most.
const PAGE_MAX: usize = 10_000;
/// Winners' details that the sequencer reads per request: well under a millisecond of its time.
const DETAILS_PAGE: u32 = 256;

/// `GET participants`: one page, or all without a limit.
pub async fn participants(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    let limit = request.number_in_query::<u32>("limit")?.map_or(usize::MAX, |limit| (limit as usize).clamp(1, PAGE_MAX));
    let after = request.number_in_query("after")?.unwrap_or(0);
    success(&people::participants(&access.room.snapshot().event, after, limit), "the participants")
}

/// `PATCH participants/{draw_number}`: staff decide eligibility; groups and weights are the host's.
pub async fn mark(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    let number = request.param(1).parse().map(Number).map_err(|_| HttpError::from(Refusal::ParticipantNotFound))?;
    let body: EligibilityChange = request.json().await?;
    if (body.group.is_some() || body.weight.is_some()) && !access.credential.grants(AccessLevel::Host) {
        return Err(HttpError::forbidden("groups and weights are the host's to give"));
    }
    let accepted = request.submit(&access, Command::MarkParticipant { number, patch: body.patch()? }).await?;
    let event = &accepted.snapshot.event;
    let participant = event.participant(number).ok_or(Refusal::ParticipantNotFound)?;
    success(&people::participant(event, number, participant), "noted")
}

/// `POST participants/remove`: removes who registered within some seconds, but for winners.
pub async fn remove_participants(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let ParticipantRemoval { from_ms, until_ms } = request.json().await?;
    let command = Command::RemoveParticipants { from: Timestamp(from_ms), until: Timestamp(until_ms) };
    let accepted = request.submit(&access, command).await?;
    let count = if let Outcome::Removed(count) = accepted.outcome { count } else { 0 };
    success(&people::participants_removed(&accepted.snapshot.event, count), "removed")
}

/// `GET winners`
pub async fn winners(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    let mask = requested_mask(&request, &access).await?;
    let listing = if request.is_flag_set("all") { Listing::All } else { Listing::HandedIn };
    let details = all_details(&request.app, &access.room.id).await?;
    success(&people::winners(&access.room.snapshot().event, details.iter(), mask, listing), "the winners")
}

/// `PUT winners/{draw_id}/{draw_number}`: an operator writes or corrects a winner's details, on
/// record, in place of the version that the body names. The winner's consent is asked for all the
/// same.
pub async fn correct_details(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let seat = (request.param(1).parse().map(DrawId), request.param(2).parse().map(Number));
    let (Ok(draw), Ok(number)) = seat else { return Err(Refusal::NotAWinner.into()) };
    let body: ContactBody = request.json().await?;
    let contact = body.check(request.app.settings.http.open)?;
    submit_details(&request.app, access.room.id.clone(), access.credential.actor(), (draw, number), contact).await
}

/// `POST claims/look-up`
pub async fn look_up(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    let body: ClaimCode = request.json().await?;
    let seat = claimed_seat(&request.app, &access, &body.code)?;
    claim_response(&request.app, &access.room.snapshot(), seat, "found").await
}

/// `POST claims/hand-over`
pub async fn hand_over(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    let body: HandOver = request.json().await?;
    let desk = request::desk(&body.desk)?;
    let (draw, number) = claimed_seat(&request.app, &access, &body.code)?;
    let accepted = request.submit(&access, Command::HandOver { draw, number, desk }).await.map_err(|error| match error {
        // Since the code was found, a reset removed its draw.
        HttpError { code: "NOT_A_WINNER", .. } => claim_not_found(),
        error => error,
    })?;
    claim_response(&request.app, &accepted.snapshot, (draw, number), "handed over").await
}

/// `POST claims/undo`
pub async fn undo_hand_over(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    let UndoHandOver { draw_id, draw_number } = request.json().await?;
    let command = Command::UndoHandOver { draw: DrawId(draw_id), number: Number(draw_number) };
    request.submit(&access, command).await?;
    success(&people::hand_over_undone(DrawId(draw_id), Number(draw_number)), "undone")
}

/// The mask that the query asks for. Taking it off is the host's right, and is on record before
/// anything is read. In open mode there is none, as with the old server.
///
/// # Errors
/// 403 for staff that ask for whole numbers.
pub async fn requested_mask(request: &ApiRequest, access: &EventAccess) -> Result<Mask, HttpError> {
    if request.app.settings.http.open {
        return Ok(Mask::Off);
    }
    if !request.is_flag_set("unmask") {
        return Ok(Mask::On);
    }
    if !access.credential.grants(AccessLevel::Host) {
        return Err(HttpError::forbidden("whole numbers are for the host"));
    }
    request.submit(access, Command::NoteUnmasking).await?;
    Ok(Mask::Off)
}

/// All winners' details of an event, by draw and number; page by page, so that the sequencer is
/// never held for long.
///
/// # Errors
/// When they cannot be read.
pub async fn all_details(app: &App, event: &EventId) -> Result<Vec<WinnerDetails>, Rejection> {
    let mut all: Vec<WinnerDetails> = Vec::new();
    loop {
        let after = all.last().map_or((DrawId(0), Number(0)), |last| (last.draw, last.number));
        let page = details_page(app, event, after, DETAILS_PAGE).await?;
        let is_last = page.len() < DETAILS_PAGE as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// The details of one seat, if its winner has submitted them.
async fn details_of(app: &App, event: &EventId, draw: DrawId, number: Number) -> Result<Option<WinnerDetails>, Rejection> {
    let before = (draw, Number(number.0.saturating_sub(1)));
    let page = details_page(app, event, before, 1).await?;
    Ok(page.into_iter().find(|details| (details.draw, details.number) == (draw, number)))
}

async fn details_page(app: &App, event: &EventId, after: (DrawId, Number), limit: u32) -> Result<Vec<WinnerDetails>, Rejection> {
    app.inbox.ask(|reply| Request::ReadDetails { event: event.clone(), after, limit, reply }).await
}

/// The seat of a claim code.
///
/// # Errors
/// 404 for a code of nothing, 409 for that of a voided seat, 429 after too many wrong ones.
fn claimed_seat(app: &App, access: &EventAccess, typed: &str) -> Result<(DrawId, Number), HttpError> {
    let code = request::claim_code(typed);
    // A text in another form is no guess: half an address, or the name of a winner.
    if !Tokens::is_claim_code(&code) {
        return Err(claim_not_found());
    }
    let (room, limiter) = (&access.room, &app.rate_limiter);
    let link = match access.credential {
        Credential::Admin => None,
        Credential::Link(id, _) => Some(id),
    };
    // Counted before the look, and taken back when right: many codes at once get no further than
    // one after the other.
    limiter.count_claim_attempt(&room.id, link, monotonic_ms())?;
    let snapshot = room.snapshot();
    let event = &snapshot.event;
    let announced = event.draws().filter(|draw| draw.is_known_to(Audience::Public));
    let seats = announced.flat_map(|draw| draw.winners().filter_map(|number| Some((draw.id, event.registration(number)?))));
    let (draw, number) = app.tokens.find_claim(seats, &code).ok_or_else(claim_not_found)?;
    limiter.forgive_claim_attempt(&room.id, link);
    let seat = event.draw(draw).and_then(|draw| draw.seat(number)).ok_or_else(claim_not_found)?;
    if seat.voided.is_some() { Err(Refusal::WinVoided.into()) } else { Ok((draw, number)) }
}

/// A seat as the desk sees it.
async fn claim_response(app: &App, snapshot: &Snapshot, (draw, number): (DrawId, Number), message: &str) -> HttpResult {
    let details = details_of(app, &snapshot.event.id, draw, number).await?;
    let data = people::claim(&snapshot.event, draw, number, details.as_ref()).ok_or_else(claim_not_found)?;
    success(&data, message)
}

fn claim_not_found() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "CLAIM_NOT_FOUND", "this code claims nothing here")
}
