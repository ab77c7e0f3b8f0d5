//! The show: standby, start, reveal, complete, cancel, void, the whole draw in one call, history,
//! reset, end of a rehearsal.
//!
//! Every handler takes the same three steps: who asks, what is requested, what came of it. The
//! rules decide what may follow what.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::AccessLevel;
use crate::api::backups;
use crate::api::pictures::{mark_used, store_data_url};
use crate::backup::copy::BackupCause;
use crate::base::chance;
use crate::draw::command::{DrawSelector, ResetScope};
use crate::draw::{Command, Draw, DrawId, DrawRequest, Outcome, Refusal, Status};
use crate::http::response::{HttpError, HttpResult, success};
use crate::live::room::Room;
use crate::sequencer::inbox::{Accepted, Request};
use crate::store::tokens::hash_request_id;
use crate::wire::request::{
    Cancel, DrawAtOnce, DrawBody, DrawReference, OutsideValue, Reset, TakeFallback, Void, Wipe, request_id,
};
use crate::wire::view::draws;
use std::sync::Arc;
use std::time::Instant;

/// `POST draw/standby`
pub async fn standby(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let spec = request.json_with_image().await?;
    let draw = draw_request(&request.app, spec).await?;
    let accepted = match request.submit(&access, Command::Standby(draw.clone())).await {
        Err(HttpError { code: "DRAW_IN_PROGRESS", .. })
            if let Some(pending) = request.app.draw_of_repeated_standby(&access.room.snapshot().event, &draw) =>
        {
            return success(&draws::standby(&pending.spec), "standing by");
        }
        submitted => submitted?,
    };
    // Another console may have started the draw in the same moment: then none is on standby any
    // more.
    let data = accepted.snapshot.event.standby.as_deref().map_or_else(|| "null".to_owned(), draws::standby);
    success(&data, "standing by")
}

/// `POST draw/start-animation`
pub async fn start(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let spec = request.json_with_image().await?;
    let draw = draw_request(&request.app, spec).await?;
    prepare_lock(&access.room).await;
    let accepted = request.submit(&access, Command::Start(draw)).await?;
    success(&draws::started(draw_of(&accepted)?), "started")
}

/// `POST draw/outside`: the words that the hall called out after the lock.
pub async fn give_outside(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let (draw, words) = request.json::<OutsideValue>().await?.parts()?;
    request.submit(&access, Command::GiveWords { draw, words: words.clone() }).await?;
    success(&draws::outside_given(draw, &words), "received")
}

/// `POST draw/fallback`: goes on without the round of drand, where the event's settings said so
/// before the lock.
pub async fn fall_back(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let (draw, reason) = request.json::<TakeFallback>().await?.parts()?;
    let accepted = request.submit(&access, Command::FallBack { draw, reason }).await?;
    success(&draws::fell_back(draw_of(&accepted)?), "fell back")
}

/// `POST draw/reveal`
pub async fn reveal(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let meant = request.json::<Option<DrawReference>>().await?.unwrap_or_default();
    let show = request.app.stages.show(&access.room.id, Instant::now());
    let command = meant.draw_id.map_or(Command::Reveal(show), |id| Command::RevealDraw(DrawId(id), show));
    let accepted = match request.submit(&access, command).await {
        Err(HttpError { code: "REVEAL_FAILED", .. })
            if meant.draw_id.is_none()
                && let Some(draw) = request.app.draw_of_repeated_reveal(&access.room.snapshot().event) =>
        {
            return success(&draws::revealed(&draw), "revealed");
        }
        submitted => submitted?,
    };
    success(&draws::revealed(draw_of(&accepted)?), "revealed")
}

/// `POST draw/complete`
pub async fn complete(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let meant = request.json::<Option<DrawReference>>().await?.unwrap_or_default();
    let which = meant.draw_id.map_or(DrawSelector::Latest, |id| DrawSelector::Draw(DrawId(id)));
    refuse_outdated(&access.room, &which)?;
    let accepted = request.submit(&access, Command::Complete(which)).await?;
    let message = match accepted.outcome {
        Outcome::CompletedBefore(_) => "this draw had been announced before",
        _ => "announced",
    };
    success(&draws::revealed(draw_of(&accepted)?), message)
}

/// `POST draw/cancel`
pub async fn cancel(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let body: Cancel = request.json().await?;
    let (draw, reason) = (body.draw_id.map(DrawId), body.reason()?);
    let command = match draw {
        Some(draw) => Command::CancelDraw { draw, reason },
        None => Command::Cancel { reason },
    };
    let accepted = request.submit(&access, command).await?;
    let Outcome::Cancelled(draw) = accepted.outcome else { return success("{}", "called off") };
    success(&draws::cancelled(draw), "called off")
}

/// `POST draw/void`
pub async fn void(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let (draw, number, reason, redraw) = request.json::<Void>().await?.parts()?;
    prepare_lock(&access.room).await;
    let accepted = request.submit(&access, Command::Void { draw, number, reason, redraw }).await?;
    let redraw = if let Outcome::Voided { redraw } = accepted.outcome { redraw } else { None };
    success(&draws::voided(draw, number, reason, redraw), "voided")
}

/// `POST draw`: starts and reveals in one call.
pub async fn draw_at_once(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let body: DrawAtOnce = request.json_with_image().await?;
    // The caller's own key, as for a registration: a retry after a lost answer draws nothing anew.
    let id = body.request_id.as_deref().or(request.header("idempotency-key")).map(request_id).transpose()?;
    let key = id.map(hash_request_id);
    let draw = DrawRequest { request: key, ..draw_request(&request.app, body.draw_body()).await? };
    prepare_lock(&access.room).await;
    let accepted = request.submit(&access, Command::DrawAtOnce(draw)).await?;
    success(&draws::revealed(draw_of(&accepted)?), "drawn")
}

/// `GET draws`
pub async fn history(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    success(&draws::history(&access.room.snapshot().event), "the draws so far")
}

/// `POST reset`
pub async fn reset(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    let body: Reset = request.json().await?;
    let scope = match (body.reset_participants, body.reset_draws) {
        (true, _) => ResetScope::Participants(chance::session_id()),
        (false, true) => ResetScope::Draws,
        (false, false) => ResetScope::Nothing,
    };
    // Before it is decided whether anything is cleared: a copy too many does no harm.
    let backup = if body.backup { Some(backups::make(&request.app, BackupCause::BeforeReset).await?.name) } else { None };
    let accepted = request.submit(&access, Command::Reset(scope)).await?;
    let participants = body.reset_participants;
    let clears_draws = body.reset_draws || participants;
    let data = draws::reset(&accepted.snapshot.event, participants, clears_draws, backup.as_deref());
    success(&data, "reset")
}

/// `POST rehearsal/wipe`: deletes what was rehearsed, with one typed word, and only in an event
/// marked as a rehearsal.
pub async fn wipe_rehearsal(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    request.json::<Wipe>().await?.check()?;
    let accepted = request.submit(&access, Command::Wipe(chance::session_id())).await?;
    // After their draws: a crash in between leaves details that nothing shows, and that another
    // wipe, or their days, remove.
    request.app.inbox.ask(|reply| Request::DropDetails { event: access.room.id.clone(), reply }).await?;
    success(&draws::wiped(&accepted.snapshot.event), "wiped")
}

/// Hashes the registrations and the seeds on this thread, in parts of a fraction of a millisecond,
/// so that the one writer finds them done.
async fn prepare_lock(room: &Room) {
    let snapshot = room.snapshot();
    let mut part = 0;
    while snapshot.event.prepare_lock(part) {
        part += 1;
        tokio::task::yield_now().await;
    }
}

/// The draw that a body asks for; an image in the body is stored, and its path takes its place.
async fn draw_request(app: &Arc<App>, mut body: DrawBody) -> Result<DrawRequest, HttpError> {
    if let Some(url) = body.take_data_url() {
        body.prize_image = Some(store_data_url(app, &url).await?);
    }
    let draw = body.draw_request()?;
    mark_used(app, draw.prize_image.as_deref()).await;
    Ok(draw)
}

/// Refuses to complete a draw that is gone or cancelled: the console that names it shows an old
/// state.
fn refuse_outdated(room: &Room, which: &DrawSelector) -> Result<(), HttpError> {
    let DrawSelector::Draw(id) = which else { return Ok(()) };
    let snapshot = room.snapshot();
    let is_valid = snapshot.event.draw(*id).is_some_and(|draw| draw.status() != Status::Cancelled);
    if is_valid { Ok(()) } else { Err(Refusal::Outdated.into()) }
}

/// The draw of an accepted command.
fn draw_of(accepted: &Accepted) -> Result<&Arc<Draw>, HttpError> {
    let id = match accepted.outcome {
        Outcome::Started(id)
        | Outcome::FellBack(id)
        | Outcome::Revealed(id)
        | Outcome::Completed(id)
        | Outcome::CompletedBefore(id) => Some(id),
        _ => None,
    };
    // A reset in the same batch may have removed it.
    id.and_then(|id| accepted.snapshot.event.draw(id)).ok_or_else(|| Refusal::NotFound("draw").into())
}
