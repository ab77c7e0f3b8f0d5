//! A claim code as a picture for the prize desk to scan.
//!
//! The code buys a prize: it comes in a body and stands behind the `#` of the address drawn, so that no log and no history on the way holds it.
//! Whether it is right is for the desk to find out; whoever has none learns nothing here.

use crate::api::join::drawn;
use crate::draw::EventId;
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult};
use crate::wire::parse::parse;
use hyper::header::{CACHE_CONTROL, HOST, HeaderValue};
use serde::Deserialize;

/// The most characters of a code, with what people put between them.
const CODE_CHARS_MAX: usize = 16;

#[derive(Deserialize)]
struct ClaimCode {
    event_id: String,
    claim_code: String,
    /// Whether the asking page came by https.
    #[serde(default)]
    secure: bool,
}

/// `POST /claim.svg`: the QR code of the prize desk's address with the claim in it, by the name that the asking page came by.
///
/// # Errors
/// 404 for what cannot be an event, 422 for what cannot be a code.
pub async fn draw(mut call: RequestContext) -> HttpResult {
    let body: ClaimCode = parse(&call.read_body(BODY_MAX).await?)?;
    let host = call.head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut reply = drawn(&desk_address(&body, host)?)?;
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}

fn desk_address(body: &ClaimCode, host: &str) -> Result<String, HttpError> {
    let event = EventId::parse(&body.event_id).ok_or_else(HttpError::no_event)?;
    let code = &body.claim_code;
    let is_plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if code.is_empty() || code.len() > CODE_CHARS_MAX || !is_plain {
        return Err(HttpError::invalid("claim_code: must be 1 to 16 letters and digits"));
    }
    let scheme = if body.secure { "https" } else { "http" };
    Ok(format!("{scheme}://{host}/lottery/staff?event={}#claim={code}", event.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(event: &str, code: &str) -> Option<String> {
        let body = ClaimCode { event_id: event.to_owned(), claim_code: code.to_owned(), secure: true };
        desk_address(&body, "draw.example.kr").ok()
    }

    #[test]
    fn a_claim_leads_to_its_event_s_desk_and_stays_behind_the_hash() {
        let expected = "https://draw.example.kr/lottery/staff?event=gala#claim=7K3MQ2ZX";
        assert_eq!(address("gala", "7K3MQ2ZX").as_deref(), Some(expected));
    }

    #[test]
    fn nothing_but_a_code_is_drawn() {
        for code in ["", "7K3M&x=1", "https://elsewhere", "7K3M Q2ZX", "0123456789ABCDEFG"] {
            assert_eq!(address("gala", code), None, "{code}");
        }
        assert_eq!(address("no/event", "7K3MQ2ZX"), None);
    }
}
