//! Answers for machines: liveness, readiness, and the descriptions of its interfaces.
//!
//! Liveness and readiness are apart: a server whose disk is full still serves the results, and must
//! not be restarted for it.

use crate::api::app::ApiRequest;
use crate::http::response::{HttpError, HttpResult, json};
use hyper::StatusCode;
use std::sync::atomic::Ordering::Relaxed;

/// `GET /health`, `/healthz`: the server answers.
pub async fn live(_request: ApiRequest) -> HttpResult {
    Ok(json(StatusCode::OK, r#"{"status":"healthy"}"#))
}

/// `GET /readyz`: whether the server takes new work and can keep it.
///
/// # Errors
/// 503 with the reason.
pub async fn ready(request: ApiRequest) -> HttpResult {
    readiness(request.app.ready.load(Relaxed), request.app.durable.load(Relaxed))
}

fn readiness(takes_work: bool, is_durable: bool) -> HttpResult {
    let not_ready = match (takes_work, is_durable) {
        (true, true) => return Ok(json(StatusCode::OK, r#"{"status":"ready"}"#)),
        (false, _) => HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "the server is starting or stopping"),
        (true, false) => HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_DURABLE", "the journal cannot be written"),
    };
    Err(HttpError { retry_after: Some(2), ..not_ready })
}

/// `GET /openapi.json`: the HTTP calls.
pub async fn openapi(_request: ApiRequest) -> HttpResult {
    Ok(json(StatusCode::OK, include_str!("docs/openapi.json")))
}

/// `GET /asyncapi.json`: the frames and messages of the sockets.
pub async fn asyncapi(_request: ApiRequest) -> HttpResult {
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
            let error = readiness(takes_work, is_durable).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (503, code));
            assert!(error.retry_after.is_some());
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
