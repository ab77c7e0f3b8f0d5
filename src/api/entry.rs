//! Entry to an event that asks for a code: the code, the pass that follows from it, and what a
//! wrong one costs.
//!
//! A right code passes at once, always: hundreds of phones type it while one client guesses. A
//! wrong one is answered late, and later each time, counted by connection and by cookie. A script
//! that drops both begins anew: with 400 connections it tries four digits out in seconds, and eight
//! in hours. A rotating code has 40 bits, nobody types it and nobody guesses it. A phone that had
//! it in time gets a pass for its one registration, which its owner may take minutes to finish.

use crate::api::app::{ApiRequest, App};
use crate::base::clock::{monotonic_ms, rfc3339, wall_clock};
use crate::draw::entry_code::EntryCode;
use crate::draw::{Event, Phase, Timestamp};
use crate::http::response::{HttpError, HttpResponse, HttpResult, success};
use crate::store::tokens::hash_request_id;
use crate::wire::request::{self, EntryPass, Register};
use crate::wire::view::json;
use hyper::header::{HeaderValue, SET_COOKIE};
use serde::Serialize;
use std::time::Duration;

/// Time that a phone with a pass has to finish its registration.
const PASS_MS: i64 = 10 * 60 * 1000;
/// Delay of the answer to the first wrong code; each further one doubles it.
const WRONG_CODE_DELAY: Duration = Duration::from_millis(250);
/// Longest delay of an answer.
const WRONG_CODE_DELAY_MAX: Duration = Duration::from_secs(16);
/// Counts the wrong codes of a browser. Cookies of events begin with `ld_`.
const WRONG_CODES_COOKIE: &str = "luckydraw_wrong_codes";
/// Lifetime of that cookie.
const WRONG_CODES_AGE_S: u32 = 600;

/// The wrong codes of one connection.
#[derive(Clone, Copy, Default)]
struct WrongCodes(u32);

/// A pass, as its phone gets it.
#[derive(Serialize)]
struct Pass {
    entry_pass: String,
    expires_at: String,
}

/// `POST /entry-pass`: exchanges the code on the display for a pass of one registration.
pub async fn entry_pass(mut request: ApiRequest) -> HttpResult {
    let body: EntryPass = request.json().await?;
    let key = hash_request_id(request::request_id(&body.request_id)?);
    let snapshot = request.app.find_room(&body.event_id)?.snapshot();
    let event = &snapshot.event;
    if !is_right(&request.app, event, &body.entry_code) {
        return refuse_wrong_code(&request, event).await;
    }
    let expires_at = Timestamp(wall_clock().0 + PASS_MS);
    let entry_pass = request.app.tokens.entry_pass(event.session, &key, expires_at);
    success(&json(&Pass { entry_pass, expires_at: rfc3339(expires_at) }), "this phone may register")
}

/// The standing of a registration at an event's entry.
pub enum Entry {
    /// It may claim a number.
    Admitted,
    /// The answer to a wrong code.
    Refused(HttpResponse),
}

/// Requires a pass or the code, where the event asks for one.
///
/// # Errors
/// 403 where neither is presented.
pub async fn require_entry(request: &ApiRequest, event: &Event, body: &Register, key: &[u8; 32]) -> Result<Entry, HttpError> {
    if event.entry_code.is_none() || event.phase != Phase::Open {
        return Ok(Entry::Admitted);
    }
    let tokens = &request.app.tokens;
    let has_pass = |pass: &str| tokens.verify_entry_pass(event.session, key, pass, wall_clock());
    if body.entry_pass.as_deref().is_some_and(has_pass) {
        return Ok(Entry::Admitted);
    }
    match &body.entry_code {
        Some(code) if is_right(&request.app, event, code) => Ok(Entry::Admitted),
        Some(_) => refuse_wrong_code(request, event).await.map(Entry::Refused),
        None => Err(HttpError::forbidden("this event asks for the code on the screen")),
    }
}

/// Returns whether that is the event's code now; an event without one takes any.
fn is_right(app: &App, event: &Event, code: &str) -> bool {
    match event.entry_code {
        Some(EntryCode::Fixed(digits)) => code == digits.as_str(),
        Some(EntryCode::Rotating) => app.tokens.is_rotating_entry_code(event.session, code, wall_clock()),
        None => true,
    }
}

/// Answers a wrong code, late: by what its connection and its browser presented before.
async fn refuse_wrong_code(request: &ApiRequest, event: &Event) -> HttpResult {
    request.app.registrations.count_wrong_code(&event.id, monotonic_ms());
    let by_cookie = request.cookie(WRONG_CODES_COOKIE).and_then(|count| count.parse().ok()).unwrap_or(0);
    let before = request.connection.get::<WrongCodes>().0.max(by_cookie);
    let count = before.saturating_add(1);
    request.connection.set(WrongCodes(count));
    tokio::time::sleep(delay_after(before)).await;
    let mut response = HttpError::forbidden("that is not the code on the screen").into_response();
    let cookie = format!("{WRONG_CODES_COOKIE}={count}; Path=/; Max-Age={WRONG_CODES_AGE_S}; HttpOnly; SameSite=Lax");
    response.headers_mut().append(SET_COOKIE, HeaderValue::try_from(cookie).expect("digits are a header's text"));
    Ok(response)
}

/// The delay of an answer after so many wrong codes.
fn delay_after(wrong_codes: u32) -> Duration {
    WRONG_CODE_DELAY.saturating_mul(1 << wrong_codes.min(16)).min(WRONG_CODE_DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_code_is_answered_later_than_the_one_before() {
        let delays: Vec<_> = (0..9).map(|wrong| delay_after(wrong).as_millis()).collect();
        assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]);
        assert_eq!(delay_after(u32::MAX), WRONG_CODE_DELAY_MAX);
    }
}
