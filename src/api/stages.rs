//! The console's calls about stages: which are there, and what it asks of each.

use crate::api::app::ApiRequest;
use crate::api::auth::AccessLevel;
use crate::base::clock::monotonic_ms;
use crate::draw::Refusal;
use crate::http::response::{HttpError, HttpResult, success};
use crate::live::Role;
use crate::wire::message::StageReport;
use crate::wire::request::StageChange;
use crate::wire::view::{json, stages};
use std::time::Instant;

/// `GET stages`
pub async fn list(request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Host).await?.room;
    success(&stages::list(request.app.stages.list(&room.id, Instant::now())), "the stages")
}

/// `POST stages`: the report of a stage that polls, since its network blocks WebSocket.
pub async fn report(mut request: ApiRequest) -> HttpResult {
    let room = request.app.find_or_open_room(request.param(0)).await?;
    request.require_role(&room, Role::Display).await?;
    let report = request.json::<StageReport>().await?.check()?;
    room.connections.note_display(monotonic_ms());
    success(&json(&request.app.stages.report(&room.id, report, Instant::now())), "reported")
}

/// `PATCH stages/{stage_id}`
pub async fn change(mut request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Host).await?.room;
    let body: StageChange = request.json().await?;
    body.check()?;
    let is_known = request.app.stages.change(&room.id, request.param(1), &body, Instant::now());
    if is_known { success("{}", "asked of the stage") } else { Err(HttpError::from(Refusal::NotFound("stage"))) }
}
