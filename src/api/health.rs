//! Answers for machines: liveness, readiness, and the descriptions of its interfaces.
//!
//! Liveness and readiness are apart: a server whose disk is full still serves the results, and must
//! not be restarted for it.

use crate::api::app::ApiRequest;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, json};
use hyper::StatusCode;
use std::sync::atomic::Ordering::Relaxed;

/// `GET /health`, `/healthz`: the server answers.
pub async fn live<A>(_request: RequestContext<A>) -> HttpResult {
    Ok(json(StatusCode::OK, r#"{"status":"healthy"}"#))
}

/// `GET /readyz`: whether the server takes new work and can keep it.
///
/// # Errors
/// 503 with the reason.
pub async fn ready(request: ApiRequest) -> HttpResult {
    let app = &request.app;
    readiness(app.ready.load(Relaxed), app.durable.load(Relaxed), app.has_other_origin.load(Relaxed))
}

fn readiness(takes_work: bool, is_durable: bool, has_other_origin: bool) -> HttpResult {
    let other_origin = "another origin publishes to the same edges: stop one of the two";
    let not_ready = match (takes_work, is_durable, has_other_origin) {
        (true, true, false) => return Ok(json(StatusCode::OK, r#"{"status":"ready"}"#)),
        (false, ..) => HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "the server is starting or stopping"),
        (true, false, _) => HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_DURABLE", "the journal cannot be written"),
        (true, true, true) => HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "TWO_ORIGINS", other_origin),
    };
    Err(HttpError { retry_after: Some(2), ..not_ready })
}

/// `GET /openapi.json`: the HTTP calls.
pub async fn openapi<A>(_request: RequestContext<A>) -> HttpResult {
    Ok(json(StatusCode::OK, include_str!("docs/openapi.json")))
}

/// `GET /asyncapi.json`: the frames and messages of the sockets.
pub async fn asyncapi<A>(_request: RequestContext<A>) -> HttpResult {
    Ok(json(StatusCode::OK, include_str!("docs/asyncapi.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_what_is_missing() {
        assert_eq!(readiness(true, true, false).unwrap().status(), StatusCode::OK);
        for (takes_work, is_durable, has_other_origin, code) in [
            (false, true, false, "OVERLOADED"),
            (false, false, true, "OVERLOADED"),
            (true, false, true, "NOT_DURABLE"),
            (true, true, true, "TWO_ORIGINS"),
        ] {
            let error = readiness(takes_work, is_durable, has_other_origin).unwrap_err();
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
