//! What everybody may read: the announced results and the proof of how they came about.

use crate::api::participants::{event_named, find};
use crate::http::request::RequestContext;
use crate::http::response::{HttpResult, success};
use crate::wire::view::draws;

/// `GET /results`
pub async fn results(call: RequestContext) -> HttpResult {
    let snapshot = find(&call.app, &event_named(&call)?)?.snapshot();
    success(&draws::results(&snapshot.event), "the announced draws")
}

/// `GET /proof`
pub async fn proof(call: RequestContext) -> HttpResult {
    let snapshot = find(&call.app, &event_named(&call)?)?.snapshot();
    success(&draws::proof(&snapshot.event), "what each pick was made of")
}
