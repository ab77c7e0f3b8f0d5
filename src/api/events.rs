//! Events: listing, creating, settings, phase, entry code, removal.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::AccessLevel;
use crate::api::error::event_not_found;
use crate::api::pictures;
use crate::backup::copy::BackupCause;
use crate::draw::fact::Settings;
use crate::draw::proof::OutsideRule;
use crate::draw::{Command, EventId, Prize};
use crate::http::response::{HttpError, HttpResult, created, success};
use crate::live::room::Room;
use crate::sequencer::inbox::{Accepted, Rejection, Request, Responder};
use crate::wire::request::{self, EntryCodeChange, EventChange, NewEvent, PhaseChange};
use crate::wire::view::events;
use std::sync::Arc;

/// `GET /admin/events`
pub async fn list(request: ApiRequest) -> HttpResult {
    request.require(AccessLevel::Admin).await?;
    let snapshots: Vec<_> = request.app.directory.all().iter().map(|room| room.snapshot()).collect();
    success(&events::events(snapshots.iter().map(|snapshot| &snapshot.event)), "the events")
}

/// `POST /admin/events`
pub async fn create(mut request: ApiRequest) -> HttpResult {
    request.require(AccessLevel::Admin).await?;
    let body: NewEvent = request.json_of_many_fields().await?;
    let id = request::event_id(&body.event_id)?;
    let participants_max = body.participants_max.unwrap_or(request.app.settings.participants_max);
    let settings = Settings {
        title: request::title(body.title.as_deref().unwrap_or(id.as_str()))?,
        participants_max: request::participants_max(participants_max)?,
        groups: body.groups,
        weights: body.weights,
        consent_text: body.consent_text.map_or(Ok(None), request::consent_text)?,
        privacy_purpose: body.privacy_purpose.map_or(Ok(None), request::privacy_purpose)?,
        rehearsal: body.rehearsal,
        outside: body.outside.as_deref().map_or(Ok(OutsideRule::default()), request::outside)?,
    };
    let prizes = NewEvent::prizes(body.prizes)?;
    for prize in &prizes {
        pictures::mark_used(&request.app, prize.image.as_deref()).await;
    }
    let accepted = open(&request.app, id, settings, prizes).await?;
    created(&events::event(&accepted.snapshot.event), "created")
}

/// `GET /admin/events/{event_id}`
pub async fn show(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    success(&events::event(&access.room.snapshot().event), "the event")
}

/// `PATCH /admin/events/{event_id}`
pub async fn change(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    let body: EventChange = request.json().await?;
    let accepted = request.submit(&access, Command::ChangeSettings(body.patch()?)).await?;
    success(&events::event(&accepted.snapshot.event), "changed")
}

/// `DELETE /admin/events/{event_id}`
pub async fn remove(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    request.app.inbox.ask(|reply| Request::Delete { event: access.room.id.clone(), reply }).await?;
    success("{}", "removed")
}

/// `POST phase`
pub async fn phase(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let phase = request.json::<PhaseChange>().await?.phase()?;
    let accepted = request.submit(&access, Command::ChangePhase(phase)).await?;
    request.app.backups.request(BackupCause::Phase);
    success(&events::event(&accepted.snapshot.event), "changed")
}

/// `POST entry-code`: asks phones for digits or a rotating code; `null` lets every phone
/// register again.
pub async fn entry_code(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let code = request.json::<EntryCodeChange>().await?.code()?;
    let accepted = request.submit(&access, Command::SetEntryCode(code)).await?;
    success(&events::event(&accepted.snapshot.event), "changed")
}

impl App {
    /// The room of an event. In open mode an event is created by its first use.
    ///
    /// # Errors
    /// 404 when there is none and none may be created.
    pub async fn find_or_open_room(&self, name: &str) -> Result<Arc<Room>, HttpError> {
        if let Some(room) = self.directory.find(name) {
            return Ok(room);
        }
        let id = EventId::parse(name).filter(|_| self.settings.http.open);
        let id = id.ok_or_else(event_not_found)?;
        let title = id.as_str().into();
        let settings = Settings { title, participants_max: self.settings.participants_max, ..Settings::default() };
        match open(self, id, settings, Vec::new()).await {
            // Another request was first: that is the same event.
            Ok(_) | Err(Rejection::EventExists) => self.find_room(name),
            Err(rejection) => Err(rejection.into()),
        }
    }
}

async fn open(app: &App, event: EventId, settings: Settings, prizes: Vec<Prize>) -> Result<Accepted, Rejection> {
    app.inbox.ask(|reply| Request::Open { event, settings, prizes, reply: Responder::Handler(reply) }).await
}
