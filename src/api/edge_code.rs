//! The code by which the next edge joins.

use crate::api::app::ApiRequest;
use crate::api::auth::AccessLevel;
use crate::api::edges::NamedCode;
use crate::http::response::{HttpError, HttpResult, success};
use crate::wire::view::events::EdgeCodeView;
use crate::wire::view::json;
use hyper::StatusCode;
use std::time::Instant;

/// `POST /admin/edge-code`: the code by which the next edge joins. It is a secret, so that only an
/// operator gets it, and a link does not suffice.
///
/// # Errors
/// 404 while there are no credentials that no edge uses.
pub async fn make_code(request: ApiRequest) -> HttpResult {
    request.require(AccessLevel::Admin).await?;
    let edges = &request.app.edges;
    let codes = edges.codes().map_err(|why| HttpError::new(StatusCode::NOT_FOUND, "NOT_FOUND", why))?;
    let heard = edges.list(Instant::now());
    let is_free = |(name, _): &NamedCode| !heard.iter().any(|(edge, _)| edge == name);
    let Some((name, code)) = codes.into_iter().find(is_free) else {
        return Err(HttpError::not_found("no credentials are left: add some to LUCKYDRAW_NATS_EDGE_CREDENTIALS"));
    };
    tracing::info!(edge = name, "an operator has the code of an edge");
    success(&json(&EdgeCodeView { name, code }), "the code")
}
