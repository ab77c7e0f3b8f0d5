//! Signed links: for the projector, the prize desk and the host, each valid until it is revoked.
//!
//! A link's token is derived from its event and id, so that the console can show it again, and no
//! secret is stored.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::AccessLevel;
use crate::draw::{Command, EventId, Link, LinkId, LinkRole, Outcome, Refusal};
use crate::http::response::{HttpError, HttpResult, created, success};
use crate::store::tokens::Tokens;
use crate::wire::parse::Invalid;
use crate::wire::request::NewLink;
use crate::wire::view::events::{self, LinkView};
use crate::wire::view::json;
use crate::wire::view::role_named;

/// `GET links`
pub async fn list(request: ApiRequest) -> HttpResult {
    let room = request.require_event(AccessLevel::Admin).await?.room;
    let snapshot = room.snapshot();
    let links = snapshot.event.links.iter().map(|link| view(&request.app, &room.id, link)).collect();
    success(&events::links(links), "the links")
}

/// `POST links`
pub async fn make(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    let body: NewLink = request.json().await?;
    let role = role_named(&body.role).ok_or_else(|| Invalid::field("role", "must be one of display, staff, host"))?;
    let accepted = request.submit(&access, Command::MakeLink(role)).await?;
    let made = if let Outcome::LinkMade(id) = accepted.outcome { Some(id) } else { None };
    let link = accepted.snapshot.event.links.iter().find(|link| Some(link.id) == made);
    let link = link.ok_or_else(|| HttpError::from(Refusal::NotFound("link")))?;
    created(&json(&view(&request.app, &access.room.id, link)), "made")
}

/// `DELETE links/{link_id}`
pub async fn revoke(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    let id = request.param(1).parse().map(LinkId).map_err(|_| HttpError::from(Refusal::NotFound("link")))?;
    request.submit(&access, Command::RevokeLink(id)).await?;
    success("{}", "revoked")
}

/// A link with its token and page, while it is valid. The token goes behind a `#`, where no server
/// and no log sees it.
fn view(app: &App, event: &EventId, link: &Link) -> LinkView {
    let mut view = events::link(link);
    if link.revoked_at.is_none() {
        view.path = Some(path(&app.tokens, event, link));
        view.token = Some(app.tokens.link_token(event, link));
    }
    view
}

/// The path of the page that a link opens, with its token.
pub fn path(tokens: &Tokens, event: &EventId, link: &Link) -> String {
    let page = match link.role {
        LinkRole::Display => "main",
        LinkRole::Staff => "staff",
        LinkRole::Host => "admin",
    };
    format!("/lottery/{page}?event={event}#token={}", tokens.link_token(event, link))
}
