//! The console's calls about stages: which are there, and what it asks of each.

use crate::api::app::ApiRequest;
use crate::api::auth::AccessLevel;
use crate::draw::Refusal;
use crate::http::response::{HttpError, HttpResult, success};
use crate::wire::request::StageChange;
use crate::wire::view::stages;
use std::time::Instant;

/// `GET stages`
pub async fn list(request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Host).await?.room;
    success(&stages::list(request.app.stages.list(&room.id, Instant::now())), "the stages")
}

/// `PATCH stages/{stage_id}`
pub async fn change(mut request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Host).await?.room;
    let body: StageChange = request.json().await?;
    body.check()?;
    let is_known = request.app.stages.change(&room.id, request.param(1), &body, Instant::now());
    if is_known { success("{}", "asked of the stage") } else { Err(HttpError::from(Refusal::NotFound("stage"))) }
}
