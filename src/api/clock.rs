//! `GET` and `POST /admin/clock`: the server's wall clock, and an operator's word that it is right.
//!
//! While the clock is not trusted, nothing is deleted by its age. Only a person who looks at
//! another clock can shorten that.

use crate::api::app::ApiRequest;
use crate::api::auth::AccessLevel;
use crate::base::clock::{SteadyClock, rfc3339, wall_clock};
use crate::http::response::{HttpResult, success};
use crate::wire::view::events;

/// `GET /admin/clock`
pub async fn show(request: ApiRequest) -> HttpResult {
    request.require(AccessLevel::Admin).await?;
    success(&view(&request.app.clock), "the clock")
}

/// `POST /admin/clock`: trusts the clock as it is.
pub async fn confirm(request: ApiRequest) -> HttpResult {
    request.require(AccessLevel::Admin).await?;
    request.app.clock.confirm();
    tracing::info!("an operator confirmed the wall clock");
    success(&view(&request.app.clock), "confirmed")
}

fn view(clock: &SteadyClock) -> String {
    events::clock(clock.trust().name(), &rfc3339(wall_clock()))
}
