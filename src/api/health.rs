//! What machines ask about the server: whether it lives, whether it can work, and which language it speaks.
//!
//! Living and being ready are apart: a server whose disk is full still shows everybody the results, and must not be restarted
//! for it.

use crate::api::app::App;
use crate::http::response::{HttpError, HttpResult, json};
use hyper::StatusCode;
use std::sync::atomic::Ordering::Relaxed;

/// It lives: it answers.
pub fn health() -> HttpResult {
    Ok(json(StatusCode::OK, r#"{"status":"healthy"}"#))
}

/// Whether it takes new work and can keep it.
///
/// # Errors
/// 503 with the reason.
pub fn ready(app: &App) -> HttpResult {
    readiness(app.ready.load(Relaxed), app.durable.load(Relaxed))
}

fn readiness(takes_work: bool, is_durable: bool) -> HttpResult {
    let (code, reason) = match (takes_work, is_durable) {
        (true, true) => return Ok(json(StatusCode::OK, r#"{"status":"ready"}"#)),
        (false, _) => ("OVERLOADED", "the server is starting or stopping"),
        (true, false) => ("NOT_DURABLE", "the journal cannot be written"),
    };
    Err(HttpError { retry_after: Some(2), ..HttpError::new(StatusCode::SERVICE_UNAVAILABLE, code, reason) })
}

/// The HTTP calls, described.
pub fn openapi() -> HttpResult {
    Ok(json(StatusCode::OK, include_str!("docs/openapi.json")))
}

/// The frames and messages of the sockets, described.
pub fn asyncapi() -> HttpResult {
    Ok(json(StatusCode::OK, include_str!("docs/asyncapi.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_what_is_missing() {
        assert_eq!(readiness(true, true).unwrap().status(), StatusCode::OK);
        for (takes_work, is_durable, code) in
            [(false, true, "OVERLOADED"), (false, false, "OVERLOADED"), (true, false, "NOT_DURABLE")]
        {
            let failure = readiness(takes_work, is_durable).unwrap_err();
            assert_eq!((failure.status.as_u16(), failure.code), (503, code));
            assert!(failure.retry_after.is_some());
        }
    }

    #[test]
    fn the_descriptions_are_json_of_their_kind() {
        for (text, kind) in [(include_str!("docs/openapi.json"), "openapi"), (include_str!("docs/asyncapi.json"), "asyncapi")] {
            let document: serde_json::Value = serde_json::from_str(text).unwrap();
            assert!(document[kind].is_string() && document["info"]["title"].is_string());
        }
    }
}
