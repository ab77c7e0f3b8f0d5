//! The console's calls about the simulated phones of a rehearsal.

use crate::api::app::ApiRequest;
use crate::api::auth::AccessLevel;
use crate::draw::Refusal;
use crate::http::response::{HttpError, HttpResult, success};
use crate::wire::request::PhoneCount;
use crate::wire::view::json;

/// `GET rehearsal/phones`
pub async fn phones(request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Host).await?.room;
    let group = request.app.simulated_phones.find(&room);
    success(&json(&group.map(|group| group.view()).unwrap_or_default()), "the simulated phones")
}

/// `POST rehearsal/phones`: sets their number.
///
/// # Errors
/// 409 in a real event, 422 for more than there may be.
pub async fn set_phones(mut request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Host).await?.room;
    let PhoneCount { count } = request.json().await?;
    if !room.snapshot().event.settings.rehearsal {
        return Err(Refusal::NotARehearsal.into());
    }
    let too_many = |count_max| HttpError::invalid(format!("count: must be from 0 to {count_max}"));
    let group = request.app.simulated_phones.set(&room, count).map_err(too_many)?;
    success(&json(&group.view()), "set")
}
