//! Signed links: for the projector, the prize desk and whoever runs the show, each valid until it is revoked.
//!
//! A link's token is derived from its event and id, so that the console can show it again, and nothing secret is stored.

use crate::api::app::App;
use crate::api::auth::{Rank, enter};
use crate::draw::{Command, EventId, Link, LinkId, LinkRole, Outcome, Refusal};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult, envelope, success};
use crate::wire::parse::{Invalid, parse};
use crate::wire::request::NewLink;
use crate::wire::view::events::{self, LinkView};
use crate::wire::view::json;
use crate::wire::view::role_named;
use hyper::StatusCode;

/// `GET links`
pub async fn list(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Admin).await?;
    let snapshot = room.snapshot();
    let links = snapshot.event.links.iter().map(|link| view(&call.app, &room.id, link)).collect();
    success(&events::links(links), "the links")
}

/// `POST links`
pub async fn make(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Admin).await?;
    let body: NewLink = parse(&call.read_body(BODY_MAX).await?)?;
    let role = role_named(&body.role).ok_or_else(|| Invalid::field("role", "must be one of display, staff, host"))?;
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::MakeLink(role)).await?;
    let made = if let Outcome::LinkMade(id) = granted.outcome { Some(id) } else { None };
    let link = granted.snapshot.event.links.iter().find(|link| Some(link.id) == made);
    let link = link.ok_or_else(|| HttpError::from(Refusal::NotFound("link")))?;
    Ok(envelope(StatusCode::CREATED, &json(&view(&call.app, &room.id, link)), "made"))
}

/// `DELETE links/{link_id}`
pub async fn revoke(call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Admin).await?;
    let id = call.param(1).parse().map(LinkId).map_err(|_| HttpError::from(Refusal::NotFound("link")))?;
    call.app.inbox.submit(room.id.clone(), proved.actor(), Command::RevokeLink(id)).await?;
    success("{}", "revoked")
}

/// A link with its token and page, while it stands. The token goes behind a `#`, where no server and no log sees it.
fn view(app: &App, event: &EventId, link: &Link) -> LinkView {
    let mut view = events::link(link);
    if link.revoked_at.is_none() {
        let token = app.tokens.link_token(event, link);
        let page = match link.role {
            LinkRole::Display => "main",
            LinkRole::Staff => "staff",
            LinkRole::Host => "admin",
        };
        view.path = Some(format!("/lottery/{page}?event={event}#token={token}"));
        view.token = Some(token);
    }
    view
}
