//! Events as such: which there are, making one, changing how it is settled and how far it is, removing it.

use crate::api::app::App;
use crate::api::auth::{Rank, admit, enter};
use crate::backup::copy::BackupCause;
use crate::draw::fact::Settings;
use crate::draw::{Command, EventId, Prize};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult, envelope, success};
use crate::live::room::Room;
use crate::sequencer::inbox::{Accepted, Rejection, Request, Responder};
use crate::wire::parse::{parse, parse_many_fields};
use crate::wire::request::{self, EntryCode, EventChange, NewEvent, PhaseChange};
use crate::wire::view::events;
use hyper::StatusCode;
use std::sync::Arc;

/// `GET /admin/events`
pub async fn list(call: RequestContext) -> HttpResult {
    admit(&call, None, Rank::Admin).await?;
    let snapshots: Vec<_> = call.app.directory.all().iter().map(|room| room.snapshot()).collect();
    success(&events::events(snapshots.iter().map(|snapshot| &snapshot.event)), "the events")
}

/// `POST /admin/events`
pub async fn create(mut call: RequestContext) -> HttpResult {
    admit(&call, None, Rank::Admin).await?;
    let body: NewEvent = parse_many_fields(&call.read_body(BODY_MAX).await?)?;
    let id = request::event_id(&body.event_id)?;
    let settings = Settings {
        title: request::title(body.title.as_deref().unwrap_or(id.as_str()))?,
        participants_max: request::participants_max(body.participants_max.unwrap_or(call.app.settings.participants_max))?,
        groups: body.groups,
        weights: body.weights,
        consent_text: body.consent_text.map_or(Ok(None), request::consent_text)?,
        privacy_purpose: body.privacy_purpose.map_or(Ok(None), request::privacy_purpose)?,
        rehearsal: body.rehearsal,
    };
    let granted = open(&call.app, id, settings, NewEvent::prizes(body.prizes)?).await?;
    Ok(envelope(StatusCode::CREATED, &events::event(&granted.snapshot.event), "created"))
}

/// `GET /admin/events/{event_id}`
pub async fn show(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Staff).await?;
    success(&events::event(&room.snapshot().event), "the event")
}

/// `PATCH /admin/events/{event_id}`
pub async fn change(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Admin).await?;
    let body: EventChange = parse(&call.read_body(BODY_MAX).await?)?;
    let now = Settings::clone(&room.snapshot().event.settings);
    let settings = Settings {
        title: body.title.as_deref().map_or(Ok(now.title), request::title)?,
        participants_max: body.participants_max.map_or(Ok(now.participants_max), request::participants_max)?,
        groups: body.groups.unwrap_or(now.groups),
        weights: body.weights.unwrap_or(now.weights),
        consent_text: body.consent_text.map_or(Ok(now.consent_text), request::consent_text)?,
        privacy_purpose: body.privacy_purpose.map_or(Ok(now.privacy_purpose), request::privacy_purpose)?,
        rehearsal: body.rehearsal.unwrap_or(now.rehearsal),
    };
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::ChangeSettings(settings)).await?;
    success(&events::event(&granted.snapshot.event), "changed")
}

/// `DELETE /admin/events/{event_id}`
pub async fn remove(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Admin).await?;
    call.app.inbox.ask(|reply| Request::Delete { event: room.id.clone(), reply }).await?;
    success("{}", "removed")
}

/// `POST phase`
pub async fn phase(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Host).await?;
    let phase = parse::<PhaseChange>(&call.read_body(BODY_MAX).await?)?.phase()?;
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::ChangePhase(phase)).await?;
    call.app.backups.request(BackupCause::Phase);
    success(&events::event(&granted.snapshot.event), "changed")
}

/// `POST entry-code`: asks phones for four digits; `null` lets everybody register again.
pub async fn entry_code(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Host).await?;
    let body: EntryCode = parse(&call.read_body(BODY_MAX).await?)?;
    let code = body.entry_code.as_deref().map(request::entry_code).transpose()?;
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::SetEntryCode(code)).await?;
    success(&events::event(&granted.snapshot.event), "changed")
}

/// The room of that name. In open mode an event comes into being when it is first used.
///
/// # Errors
/// 404 when there is none and none may be made.
pub async fn first_use(app: &App, name: &str) -> Result<Arc<Room>, HttpError> {
    if let Some(room) = app.directory.find(name) {
        return Ok(room);
    }
    let id = EventId::parse(name).filter(|_| app.settings.open);
    let id = id.ok_or_else(HttpError::no_event)?;
    let title = id.as_str().into();
    let settings = Settings { title, participants_max: app.settings.participants_max, ..Settings::default() };
    match open(app, id, settings, Vec::new()).await {
        // Somebody else was first: that is the same event.
        Ok(_) | Err(Rejection::EventExists) => app.directory.find(name).ok_or_else(HttpError::no_event),
        Err(denial) => Err(denial.into()),
    }
}

async fn open(app: &App, event: EventId, settings: Settings, prizes: Vec<Prize>) -> Result<Accepted, Rejection> {
    app.inbox.ask(|reply| Request::Open { event, settings, prizes, reply: Responder::Handler(reply) }).await
}
