//! How the hall joins: the short address, and its QR code for the stage.

use crate::api::pages::event_meant;
use crate::base::address::Scheme;
use crate::draw::EventId;
use crate::http::guard::Host;
use crate::http::request::RequestContext;
use crate::http::request::scheme_of;
use crate::http::response::{HttpError, HttpResult, success};
use crate::wire::view::json;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Response, StatusCode};
use qrcode::render::svg::Color;
use qrcode::{EcLevel, QrCode};
use serde::Serialize;

/// `GET /join`: which event is meant, and the address that phones join it by.
///
/// # Errors
/// 404 when the address names what cannot be an event, or none while there is none.
pub fn address(call: &RequestContext) -> HttpResult {
    #[derive(Serialize)]
    struct Join<'j> {
        event_id: &'j str,
        join_address: String,
    }
    let event = event(call)?;
    let join = Join { event_id: event.as_str(), join_address: wanted(call, &event) };
    success(&json(&join), "the address to join by")
}

/// `GET /join.svg`: its QR code, dark on light, with the quiet zone that phones look for.
///
/// # Errors
/// 404 when the address names what cannot be an event.
pub fn code(call: &RequestContext) -> HttpResult {
    drawn(&wanted(call, &event(call)?))
}

/// The QR code of a text as SVG.
///
/// # Errors
/// 422 when it is too long for any code.
pub fn drawn(text: &str) -> HttpResult {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| HttpError::invalid("too long for a QR code"))?;
    let svg = code.render::<Color>().quiet_zone(true).min_dimensions(400, 400).build();
    let mut reply = Response::new(Full::new(Bytes::from(svg)));
    *reply.status_mut() = StatusCode::OK;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    Ok(reply)
}

/// The event that the query names, else the one meant by all that name none.
fn event(call: &RequestContext) -> Result<EventId, HttpError> {
    let named = call.query("event_id");
    named.map_or_else(|| event_meant(&call.app), |id| EventId::parse(&id)).ok_or_else(HttpError::no_event)
}

/// The event's address, by the scheme that the asking page came by.
fn wanted(call: &RequestContext, event: &EventId) -> String {
    let host = call.head.headers.get(HOST).and_then(|value| value.to_str().ok());
    // Behind a proxy the page knows better than this connection.
    let is_secure =
        scheme_of(&call.head.extensions) == Scheme::Https || call.query("scheme").is_some_and(|scheme| scheme == "https");
    join_address(&call.app.settings.join_base, host, is_secure, event.as_str())
}

/// The address phones join by: as the page was asked for, unless that name means this machine only.
fn join_address(join_base: &str, host: Option<&str>, is_secure: bool, event: &str) -> String {
    let reachable = host.filter(|text| Host::parse(text).is_some_and(|host| !host.is_local()));
    let scheme = if is_secure { "https" } else { "http" };
    reachable.map_or_else(|| format!("{join_base}/j/{event}"), |host| format!("{scheme}://{host}/j/{event}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_never_sent_to_localhost() {
        let base = "http://192.168.0.7:8000";
        for host in [None, Some("localhost:8000"), Some("127.0.0.1:8000"), Some("[::1]:8000")] {
            assert_eq!(join_address(base, host, false, "gala"), "http://192.168.0.7:8000/j/gala", "{host:?}");
        }
        assert_eq!(join_address(base, Some("draw.example.kr"), true, "gala"), "https://draw.example.kr/j/gala");
    }

    #[test]
    fn a_code_is_an_image_of_its_own() {
        let reply = drawn("http://192.168.0.7:8000/j/gala").unwrap();
        assert_eq!(reply.headers()[CONTENT_TYPE], "image/svg+xml");
        assert!(drawn(&"x".repeat(3_000)).is_err());
    }
}
