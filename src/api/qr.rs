//! QR codes and their addresses: of the event, for the hall to join, and of a winner's claim, for
//! the prize desk to scan.
//!
//! A claim code buys a prize: it comes in a body and stands behind the `#` of the encoded address,
//! so that no log and no browser history on the way holds it. Whether it is right is for the desk
//! to find out.

use crate::api::app::{ApiRequest, JoinBase};
use crate::api::error::event_not_found;
use crate::base::address::Scheme;
use crate::base::clock::monotonic_ms;
use crate::draw::EventId;
use crate::http::guard::Host;
use crate::http::response::{HttpError, HttpResult, success, with_type};
use crate::wire::view::json;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Characters of a claim code or an entry code, separators included, at most.
const CLAIM_CODE_CHARS_MAX: usize = 16;

#[derive(Deserialize)]
struct ClaimQr {
    event_id: String,
    claim_code: String,
    /// True if the asking page came by https.
    #[serde(default)]
    secure: bool,
}

/// `GET /join`: the event, and the address by which phones join it.
///
/// # Errors
/// 404 when the query names what cannot be an event, or no event while there is none.
pub async fn join_address(request: ApiRequest) -> HttpResult {
    #[derive(Serialize)]
    struct Join<'j> {
        event_id: &'j str,
        join_address: String,
        /// False for an address that only this machine reaches.
        is_reachable: bool,
    }
    let event = event(&request)?;
    let (join_address, is_reachable) = address_of(&request, &event);
    let address = Join { event_id: event.as_str(), join_address, is_reachable };
    success(&json(&address), "the address to join by")
}

/// `GET /join.svg`: the address as a QR code, dark on light, with the quiet zone that phones look
/// for.
///
/// # Errors
/// As [`join_address`], and 422 for what cannot be an entry code.
pub async fn join(request: ApiRequest) -> HttpResult {
    let address = address_of(&request, &event(&request)?).0;
    let codes = &request.app.qr_codes;
    svg(match shown_code(&request)? {
        None => codes.get_or_draw(&address, monotonic_ms()),
        Some(code) => codes.get_or_draw(&format!("{address}#code={code}"), monotonic_ms()),
    })
}

/// `GET /verify.svg`: the address of the verify page as a QR code, with the head of a lock behind
/// the `#`. The page compares the proof with it. Nothing here says whether it is one.
///
/// # Errors
/// As [`join_address`], and 422 for what cannot be a head.
pub async fn verify(request: ApiRequest) -> HttpResult {
    let (event, head) = (event(&request)?, request.query("head").unwrap_or_default());
    let is_hash = head.len() == 64 && head.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hash {
        return Err(HttpError::invalid("head: must be 64 hex digits"));
    }
    let path = format!("/j/{}", event.as_str());
    let (address, _) = address_of(&request, &event);
    let base = address.strip_suffix(&path).unwrap_or(&address);
    let text = format!("{base}/lottery/verify?event={}#head={head}", event.as_str());
    svg(request.app.qr_codes.get_or_draw(&text, monotonic_ms()))
}

/// `POST /claim.svg`: the address of the prize desk with a claim in it, by the host that the asking
/// page came by.
///
/// # Errors
/// 404 for what cannot be an event, 422 for what cannot be a claim code.
pub async fn claim(mut request: ApiRequest) -> HttpResult {
    let body: ClaimQr = request.json().await?;
    let host = request.host.as_ref().map_or("", Host::as_str);
    let mut response = svg(request.app.qr_codes.draw(&desk_address(&body, host)?, monotonic_ms()))?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The response with a code.
fn svg(drawn: Result<Bytes, HttpError>) -> HttpResult {
    Ok(with_type("image/svg+xml", drawn?))
}

/// The event that the query names, else the default one.
fn event(request: &ApiRequest) -> Result<EventId, HttpError> {
    let named = request.query("event_id");
    named.map_or_else(|| request.app.event_by_default(), |id| EventId::parse(&id)).ok_or_else(event_not_found)
}

/// The event's address, by the scheme that the asking page came by; false for one that only this
/// machine reaches.
fn address_of(request: &ApiRequest, event: &EventId) -> (String, bool) {
    // Behind a proxy the page knows better than this connection.
    let is_secure = request.scheme == Scheme::Https || request.query("scheme").as_deref() == Some("https");
    address_for(&request.app.join_base.get(), request.host.as_ref(), is_secure, event.as_str())
}

/// The code that the asking page shows in the address, behind a `#`. It is the page's own: nothing
/// here says whether it is right.
///
/// # Errors
/// 422 for what cannot be one.
fn shown_code(request: &ApiRequest) -> Result<Option<Cow<'_, str>>, HttpError> {
    let Some(code) = request.query("code") else { return Ok(None) };
    let is_plain =
        !code.is_empty() && code.len() <= CLAIM_CODE_CHARS_MAX && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then_some(Some(code)).ok_or_else(|| HttpError::invalid("code: must be 1 to 16 letters and digits"))
}

/// The address by which phones join: by the requested host, unless that name means this machine
/// only, or is an address of it that phones reach worse than another.
fn address_for(base: &JoinBase, host: Option<&Host>, is_secure: bool, event: &str) -> (String, bool) {
    let scheme = if is_secure { Scheme::Https } else { Scheme::Http };
    let is_detour = |host: &Host| host.ip().is_some_and(|ip| base.detours.contains(&ip));
    match host.filter(|host| !host.is_local() && !is_detour(host)) {
        Some(host) => (format!("{scheme}://{}/j/{event}", host.as_str()), true),
        None => (format!("{}/j/{event}", base.address), base.is_reachable),
    }
}

fn desk_address(body: &ClaimQr, host: &str) -> Result<String, HttpError> {
    let event = EventId::parse(&body.event_id).ok_or_else(event_not_found)?;
    let code = &body.claim_code;
    let is_plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if code.is_empty() || code.len() > CLAIM_CODE_CHARS_MAX || !is_plain {
        return Err(HttpError::invalid("claim_code: must be 1 to 16 letters and digits"));
    }
    let scheme = if body.secure { Scheme::Https } else { Scheme::Http };
    Ok(format!("{scheme}://{host}/lottery/staff?event={event}#claim={code}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim_address(event: &str, code: &str) -> Option<String> {
        let body = ClaimQr { event_id: event.to_owned(), claim_code: code.to_owned(), secure: true };
        desk_address(&body, "draw.example.kr").ok()
    }

    #[test]
    fn a_claim_leads_to_its_event_s_desk_and_stays_behind_the_hash() {
        let expected = "https://draw.example.kr/lottery/staff?event=gala#claim=7K3MQ2ZX";
        assert_eq!(claim_address("gala", "7K3MQ2ZX").as_deref(), Some(expected));
    }

    #[test]
    fn only_a_claim_code_becomes_a_qr_code() {
        for code in ["", "7K3M&x=1", "https://elsewhere", "7K3M Q2ZX", "0123456789ABCDEFG"] {
            assert_eq!(claim_address("gala", code), None, "{code}");
        }
        assert_eq!(claim_address("no/event", "7K3MQ2ZX"), None);
    }

    #[test]
    fn phones_are_sent_neither_to_localhost_nor_into_a_vpn() {
        let detours = vec![[100, 101, 102, 103].into(), [169, 254, 3, 4].into()];
        let base = JoinBase { address: "http://192.168.0.7:8000".into(), is_reachable: true, detours };
        let own = ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "100.101.102.103:8000", "169.254.3.4"];
        for host in own.map(Some).into_iter().chain([None]) {
            assert_eq!(
                address_for(&base, host.and_then(Host::parse).as_ref(), false, "gala"),
                ("http://192.168.0.7:8000/j/gala".to_owned(), true),
                "{host:?}"
            );
        }
        // Of another machine, in front of this one.
        let fronted = address_for(&base, Host::parse("100.64.0.9").as_ref(), false, "gala");
        assert_eq!(fronted, ("http://100.64.0.9/j/gala".to_owned(), true));
        let named = address_for(&base, Host::parse("draw.example.kr").as_ref(), true, "gala");
        assert_eq!(named, ("https://draw.example.kr/j/gala".to_owned(), true));
        let alone = JoinBase { address: "http://127.0.0.1:8000".into(), is_reachable: false, detours: Vec::new() };
        assert_eq!(address_for(&alone, None, false, "gala"), ("http://127.0.0.1:8000/j/gala".to_owned(), false));
    }
}
