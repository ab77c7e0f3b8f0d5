//! The public proof of an event, and each phone's own path in it.
//!
//! Both say only what the public may know. A phone's path needs its token, since the key of its
//! registration is its own.

use crate::api::app::ApiRequest;
use crate::api::phone::require_registration;
use crate::draw::Refusal;
use crate::http::response::{HttpResult, envelope_text, json, success};
use crate::wire::view::proof;
use hyper::StatusCode;

/// `GET /proof`: how each pick came about, for everybody; with `leaves=1`, the hash of every
/// registration too.
pub async fn proof(request: ApiRequest) -> HttpResult {
    let snapshot = request.event_in_query()?.snapshot();
    let with_leaves = request.query("leaves").as_deref() == Some("1");
    let documents = &snapshot.documents;
    let document = if with_leaves { &documents.proof_with_leaves } else { &documents.proof };
    let text = || envelope_text(&proof::proof(&snapshot.event, with_leaves), "what each pick was made of");
    Ok(json(StatusCode::OK, request.document(document, text)?))
}

/// `GET /proof/path`: the way from the phone's own registration to the root of the newest lock.
pub async fn path(request: ApiRequest) -> HttpResult {
    let snapshot = request.event_in_query()?.snapshot();
    let number = require_registration(&request, &snapshot.event)?.number;
    let path = proof::path(&snapshot.event, number).ok_or(Refusal::NotFound("lock that holds the number"))?;
    success(&path, "your path")
}
