//! What a phone asks over HTTP: its number, its number again, whether it won; and how its owner can be reached.
//!
//! A number is claimed from the roster under the key of the phone's `request_id`, and answered only once it is committed: a retry
//! finds the same claim, so that an answer lost on the way costs no number. A token presented here is checked and never adopted.

use crate::api::app::{App, Settings};
use crate::api::auth::{cookie, slow_down};
use crate::api::events::first_use;
use crate::api::patience::TooMany;
use crate::base::chance;
use crate::base::clock::wall_clock;
use crate::draw::{Actor, Command, DrawId, Event, EventId, Number, Outcome, Phase, Refusal, SessionId, WinSelector};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult, envelope, success};
use crate::live::room::Room;
use crate::live::snapshot::Snapshot;
use crate::sequencer::inbox::{Rejection, Request, Responder};
use crate::store::tokens;
use crate::wire::parse::parse;
use crate::wire::request::{self, ContactBody, Recover, Register, WinnerInfo};
use crate::wire::view::people::{self, AuthenticatedPhone, Registration};
use hyper::StatusCode;
use hyper::header::{HeaderValue, ORIGIN, SET_COOKIE};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// How often a claim is made anew because a reset came between claim and commit.
const CLAIMS_MAX: u32 = 4;
/// How long a browser keeps its number: as long as an event stays after its last fact.
const COOKIE_AGE_S: u32 = 30 * 24 * 3600;

/// `POST /register`
pub async fn register(mut call: RequestContext) -> HttpResult {
    let body: Register = parse(&call.read_body(BODY_MAX).await?)?;
    let id = request::event_id(&body.event_id)?;
    let key = registration_key(&call, &body)?;
    let room = first_use(&call.app, id.as_str()).await?;
    let snapshot = room.snapshot();
    if let Some(number) = number_shown(&call, &body, &snapshot.event) {
        return hand_out(&call.app, StatusCode::CREATED, &id, snapshot.event.session, number, true);
    }
    let (session, number, existing) = claim(&call.app, &room, &key, &body).await?;
    hand_out(&call.app, StatusCode::CREATED, &id, session, number, existing)
}

/// `POST /recover`: the token again, for a number and the code that was shown beside it.
pub async fn recover(mut call: RequestContext) -> HttpResult {
    let body: Recover = parse(&call.read_body(BODY_MAX).await?)?;
    let snapshot = find(&call.app, &body.event_id)?.snapshot();
    let (event, number) = (&snapshot.event, Number(body.draw_number));
    if event.participant(number).is_none() {
        slow_down().await;
        return Err(participant_not_found());
    }
    call.app.patience.try_recovery(&event.id, number, call.app.patience.now_ms())?;
    if !call.app.tokens.is_recovery_code(event.session, number, &body.recovery_code) {
        return Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "the recovery code is wrong"));
    }
    hand_out(&call.app, StatusCode::OK, &event.id, event.session, number, true)
}

/// `GET /my-number`
pub async fn my_number(call: RequestContext) -> HttpResult {
    let snapshot = find(&call.app, &event_named(&call)?)?.snapshot();
    let event = &snapshot.event;
    let number = number_of_caller(&call, event)?;
    let participant = event.participant(number).ok_or_else(participant_not_found)?;
    success(&people::my_number(event, number, participant), "your number")
}

/// `GET /check-winner`
pub async fn check_winner(call: RequestContext) -> HttpResult {
    let snapshot = find(&call.app, &event_named(&call)?)?.snapshot();
    let number = call.query("draw_number").ok_or_else(|| HttpError::invalid("draw_number: is missing"))?;
    let number: NonZeroU32 = number.parse().map_err(|_| HttpError::invalid("draw_number: must be a number from 1"))?;
    let (event, number) = (&snapshot.event, Number(number.get()));
    let query = call.query("session_token");
    let token = query.as_deref().or(call.bearer());
    let is_own = token.and_then(|token| number_of(&call.app.tokens, event, token)) == Some(number);
    let data = if is_own {
        own(&call.app.tokens, &call.app.settings, event, number, |own| people::check_own(event, own))
    } else {
        people::check_winner(event, number)
    };
    success(&data, "checked")
}

/// `POST /winner-info`
pub async fn winner_info(mut call: RequestContext) -> HttpResult {
    let body = call.read_body(BODY_MAX).await?;
    let (info, contact): (WinnerInfo, ContactBody) = (parse(&body)?, parse(&body)?);
    let snapshot = find(&call.app, &info.event_id)?.snapshot();
    let number = number_of_caller(&call, &snapshot.event)?;
    let contact = contact.check(call.app.settings.open)?;
    let (event, win) = (snapshot.event.id.clone(), WinSelector::Draw(DrawId(info.draw_id)));
    let submit = |reply| Request::SubmitDetails { event, number, win, contact, reply: Responder::Handler(reply) };
    let granted = call.app.inbox.ask(submit).await?;
    let Outcome::Details { draw, number, first, .. } = granted.outcome else {
        return success("{}", "received");
    };
    let data = format!(r#"{{"draw_id":{},"draw_number":{},"first":{first}}}"#, draw.0, number.0);
    success(&data, if first { "received" } else { "received before, the first is kept" })
}

/// The room of that name.
///
/// # Errors
/// 404 when there is none.
pub fn find(app: &App, event: &str) -> Result<Arc<Room>, HttpError> {
    app.directory.find(event).ok_or_else(HttpError::no_event)
}

/// The event that a query names.
///
/// # Errors
/// 422 when it names none.
pub fn event_named(call: &RequestContext) -> Result<String, HttpError> {
    let event = call.query("event_id").filter(|event| !event.is_empty());
    event.map(|event| event.into_owned()).ok_or_else(|| HttpError::invalid("event_id: is missing"))
}

/// The number that a token proves in an event; none for a token of another session or event, or of a number that never was committed.
pub fn number_of(tokens: &tokens::Tokens, event: &Event, token: &str) -> Option<Number> {
    tokens.verify(event.session, token).filter(|number| event.participant(*number).is_some())
}

/// Does `say` with a phone that proved its number, and what only it is told.
pub fn own<T>(
    tokens: &tokens::Tokens,
    settings: &Settings,
    event: &Event,
    number: Number,
    say: impl FnOnce(&AuthenticatedPhone<'_>) -> T,
) -> T {
    let claim_code = |draw| tokens.claim_code(event.session, draw, number);
    say(&AuthenticatedPhone { number, claim_code: &claim_code, details_days: settings.details_days, now: wall_clock() })
}

/// The key under which a registration claims its number: of the phone's own making, so that its retry finds the claim again, else by chance.
fn registration_key(call: &RequestContext, body: &Register) -> Result<[u8; 32], HttpError> {
    match key_named(call, body) {
        Some(id) => Ok(tokens::new_request_key(request::request_id(id)?)),
        None => Ok(chance::bytes()),
    }
}

/// The `request_id`, in the body or the header.
fn key_named<'c>(call: &'c RequestContext, body: &'c Register) -> Option<&'c str> {
    let header = call.head.headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    body.request_id.as_deref().or(header)
}

/// The number that the request proves to have already: by the body's token, the header's or the cookie's, the first that is good.
///
/// A page's cookie speaks for its phone. A script may play many phones out of one jar: its cookie does not count where it names each phone by a
/// key, nor in open mode, whose old scripts know no keys. Only pages send an `Origin`.
fn number_shown(call: &RequestContext, body: &Register, event: &Event) -> Option<Number> {
    let is_page = call.head.headers.contains_key(ORIGIN);
    let counts = is_page || !(call.app.settings.open || key_named(call, body).is_some());
    let kept = cookie(&call.head.headers, &cookie_name(&event.id)).filter(|_| counts);
    let tokens = [body.session_token.as_deref(), call.bearer(), kept];
    tokens.into_iter().flatten().find_map(|token| number_of(&call.app.tokens, event, token))
}

/// The number of whoever calls, by a token in the query or the header.
fn number_of_caller(call: &RequestContext, event: &Event) -> Result<Number, HttpError> {
    let query = call.query("session_token").filter(|token| !token.is_empty());
    let token = query.as_deref().or(call.bearer());
    let token = token.ok_or_else(|| HttpError::new(StatusCode::BAD_REQUEST, "TOKEN_REQUIRED", "this needs the phone's token"))?;
    number_of(&call.app.tokens, event, token).ok_or_else(participant_not_found)
}

/// Claims a number and has it committed. A found claim is a retry and is honoured whatever has been closed since.
async fn claim(app: &App, room: &Room, key: &[u8; 32], body: &Register) -> Result<(SessionId, Number, bool), HttpError> {
    for _ in 0..CLAIMS_MAX {
        let mut snapshot = room.snapshot();
        if snapshot.roster.find(key).is_none() {
            // A claim is never given back: phones that ask again and again while the disk is full would take every seat.
            if !app.durable.load(Relaxed) {
                return Err(Rejection::NotDurable.into());
            }
            check_consent(&snapshot.event, body.consent)?;
            check_entry_code(app, &snapshot.event, body.entry_code.as_deref()).await?;
            // Checking may have waited for its turn: what is claimed from is what stands now.
            snapshot = room.snapshot();
        }
        let number = claimed_number(&snapshot, key)?;
        let session = snapshot.event.session;
        if snapshot.event.participant(number).is_some() {
            return Ok((session, number, true));
        }
        let command = Command::Register { number, key: *key, session };
        match app.inbox.submit(room.id.clone(), Actor::Phone, command).await {
            Ok(granted) => {
                let existing = matches!(granted.outcome, Outcome::Registered { existing: true, .. });
                return Ok((session, number, existing));
            }
            Err(Rejection::Refused(Refusal::StaleSession)) => {}
            Err(denial) => return Err(denial.into()),
        }
    }
    Err(HttpError::overloaded())
}

/// The number that the roster holds for a key, or gives it while registration is open.
fn claimed_number(snapshot: &Snapshot, key: &[u8; 32]) -> Result<Number, HttpError> {
    if let Some(number) = snapshot.roster.find(key) {
        return Ok(Number(number));
    }
    match snapshot.event.phase {
        Phase::Open => {}
        Phase::Drawing => return Err(Refusal::RegistrationClosed.into()),
        Phase::Closed => return Err(Refusal::EventClosed.into()),
    }
    let full = Refusal::EventFull { max: snapshot.event.settings.participants_max };
    snapshot.roster.claim(key).map(Number).ok_or(full.into())
}

/// Lets pass who agreed to what the event asks, if it asks anything.
fn check_consent(event: &Event, given: bool) -> Result<(), HttpError> {
    if event.settings.consent_text.is_none() || given {
        return Ok(());
    }
    Err(HttpError::new(StatusCode::FORBIDDEN, "CONSENT_REQUIRED", "this event asks for consent before it gives a number"))
}

/// Lets pass who knows the entry code, where the event asks for one.
async fn check_entry_code(app: &App, event: &Event, shown: Option<&str>) -> Result<(), HttpError> {
    let Some(code) = event.entry_code.filter(|_| event.phase == Phase::Open) else { return Ok(()) };
    let Some(shown) = shown else {
        return Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "this event asks for the code on the screen"));
    };
    let wait = app.patience.guess_turn(&event.id, app.patience.now_ms())?;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    if shown.as_bytes() == code {
        return Ok(());
    }
    app.patience.note_wrong_guess(&event.id, app.patience.now_ms());
    Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "that is not the code on the screen"))
}

/// A number with all that proves it, and a cookie that keeps it in this browser.
fn hand_out(app: &App, status: StatusCode, event: &EventId, session: SessionId, number: Number, existing: bool) -> HttpResult {
    let session_token = app.tokens.session_token(session, number);
    let recovery_code = app.tokens.recovery_code(session, number);
    let kept = format!("{}={session_token}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax", cookie_name(event));
    let data = people::registered(&Registration { event, session, number, session_token, recovery_code, existing });
    let mut reply = envelope(status, &data, if existing { "already registered" } else { "registered" });
    if let Ok(kept) = HeaderValue::try_from(kept) {
        reply.headers_mut().append(SET_COOKIE, kept);
    }
    Ok(reply)
}

fn cookie_name(event: &EventId) -> String {
    format!("ld_{event}")
}

fn participant_not_found() -> HttpError {
    Refusal::ParticipantNotFound.into()
}

impl From<TooMany> for HttpError {
    fn from(TooMany { retry_after_s }: TooMany) -> Self {
        let failure = HttpError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY", "too many tries, come back later");
        Self { retry_after: Some(retry_after_s), ..failure }
    }
}
