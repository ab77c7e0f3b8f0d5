//! The show itself: standing ready, starting, revealing, completing, calling off, voiding, the whole draw in one call, the history, the reset.
//!
//! Every handler is the same three steps: who asks, what is wished, what came of it. What may follow what is the rules' to say.

use crate::api::app::App;
use crate::api::auth::{Rank, enter};
use crate::api::backups;
use crate::api::images::store_data_url;
use crate::backup::copy::BackupCause;
use crate::base::chance;
use crate::draw::command::{DrawSelector, ResetScope};
use crate::draw::{Actor, Command, Draw, DrawId, DrawRequest, Outcome, Refusal, Status};
use crate::http::request::{BODY_MAX, BODY_WITH_IMAGE_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult, success};
use crate::live::room::Room;
use crate::sequencer::inbox::Accepted;
use crate::store::tokens::hash_request_id;
use crate::wire::parse::parse;
use crate::wire::request::{Cancel, DrawAtOnce, Meant, Reset, Spec, Void, request_id};
use crate::wire::view::draws;
use data_encoding::HEXLOWER;
use std::sync::Arc;

/// `POST draw/standby`
pub async fn standby(mut call: RequestContext) -> HttpResult {
    let (room, actor) = host(&call).await?;
    let body = parse(&call.read_body(BODY_WITH_IMAGE_MAX).await?)?;
    let wish = settle(&call.app, body).await?;
    let granted = call.app.inbox.submit(room.id.clone(), actor, Command::Standby(wish)).await?;
    // Another console may have started the draw in the same moment: then nothing stands ready any more.
    let data = granted.snapshot.event.standby.as_deref().map_or_else(|| "null".to_owned(), draws::standby);
    success(&data, "standing by")
}

/// `POST draw/start-animation`
pub async fn start(mut call: RequestContext) -> HttpResult {
    let (room, actor) = host(&call).await?;
    let body = parse(&call.read_body(BODY_WITH_IMAGE_MAX).await?)?;
    let wish = settle(&call.app, body).await?;
    let granted = call.app.inbox.submit(room.id.clone(), actor, Command::Start(wish)).await?;
    success(&draws::started(draw_of(&granted)?), "started")
}

/// `POST draw/reveal`
pub async fn reveal(mut call: RequestContext) -> HttpResult {
    let (room, actor) = host(&call).await?;
    let meant = parse::<Meant>(&call.read_body(BODY_MAX).await?)?.unwrap_or_default();
    let command = meant.draw_id.map_or(Command::Reveal, |id| Command::RevealDraw(DrawId(id)));
    let granted = call.app.inbox.submit(room.id.clone(), actor, command).await?;
    success(&draws::revealed(draw_of(&granted)?), "revealed")
}

/// `POST draw/complete`
pub async fn complete(mut call: RequestContext) -> HttpResult {
    let (room, actor) = host(&call).await?;
    let meant = parse::<Meant>(&call.read_body(BODY_MAX).await?)?.unwrap_or_default();
    let which = meant.draw_id.map_or(DrawSelector::Latest, |id| DrawSelector::Draw(DrawId(id)));
    refuse_unknown(&room, &which)?;
    let granted = call.app.inbox.submit(room.id.clone(), actor, Command::Complete(which)).await?;
    success(&draws::revealed(draw_of(&granted)?), "announced")
}

/// `POST draw/cancel`
pub async fn cancel(mut call: RequestContext) -> HttpResult {
    let (room, actor) = host(&call).await?;
    let body: Cancel = parse(&call.read_body(BODY_MAX).await?)?;
    let (draw, reason) = (body.draw_id.map(DrawId), body.reason()?);
    let command = match draw {
        Some(draw) => Command::CancelDraw { draw, reason },
        None => Command::Cancel { reason },
    };
    let granted = call.app.inbox.submit(room.id.clone(), actor, command).await?;
    let Outcome::Cancelled(draw) = granted.outcome else { return success("{}", "called off") };
    success(&format!(r#"{{"draw_id":{}}}"#, number_or_null(draw)), "called off")
}

/// `POST draw/void`
pub async fn void(mut call: RequestContext) -> HttpResult {
    let (room, actor) = host(&call).await?;
    let (draw, number, reason, redraw) = parse::<Void>(&call.read_body(BODY_MAX).await?)?.parts()?;
    let command = Command::Void { draw, number, reason, redraw };
    let granted = call.app.inbox.submit(room.id.clone(), actor, command).await?;
    let redraw = if let Outcome::Voided { redraw } = granted.outcome { redraw } else { None };
    let (draw_id, draw_number, reason) = (draw.0, number.0, reason.name());
    let redraw = number_or_null(redraw);
    let data = format!(r#"{{"draw_id":{draw_id},"draw_number":{draw_number},"reason":"{reason}","redraw_draw_id":{redraw}}}"#);
    success(&data, "voided")
}

/// `POST draw`: started and revealed in one call.
pub async fn at_once(mut call: RequestContext) -> HttpResult {
    let (room, actor) = host(&call).await?;
    let body: DrawAtOnce = parse(&call.read_body(BODY_WITH_IMAGE_MAX).await?)?;
    // The same name as a registration's: made by the caller, so that a retry after a lost answer draws nothing anew.
    let request = request_named(&call, body.request_id.as_deref())?;
    let wish = DrawRequest { request, ..settle(&call.app, body.spec()).await? };
    let granted = call.app.inbox.submit(room.id.clone(), actor, Command::DrawAtOnce(wish)).await?;
    success(&draws::revealed(draw_of(&granted)?), "drawn")
}

/// `GET draws`
pub async fn history(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Staff).await?;
    success(&draws::history(&room.snapshot().event), "the draws so far")
}

/// `POST reset`
pub async fn reset(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Admin).await?;
    let body: Reset = parse(&call.read_body(BODY_MAX).await?)?;
    let scope = match (body.reset_participants, body.reset_draws) {
        (true, _) => ResetScope::Participants(chance::session_id()),
        (false, true) => ResetScope::Draws,
        (false, false) => ResetScope::Nothing,
    };
    // Before it is decided whether anything is cleared: a copy too many does no harm.
    let backup = if body.backup { Some(backups::make(&call.app, BackupCause::BeforeReset).await?.name) } else { None };
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::Reset(scope)).await?;
    let session = HEXLOWER.encode(&granted.snapshot.event.session.0);
    let participants = body.reset_participants;
    let draws = body.reset_draws || participants;
    // A name of this server's own making: it needs no escapes.
    let backup = backup.map_or_else(|| "null".to_owned(), |name| format!("\"{name}\""));
    let data = format!(
        r#"{{"reset_participants":{participants},"reset_draws":{draws},"event_session_id":"{session}","backup":{backup}}}"#
    );
    success(&data, "reset")
}

/// Who runs the show of the event in the path.
async fn host(call: &RequestContext) -> Result<(Arc<Room>, Actor), HttpError> {
    let (room, proved) = enter(call, Rank::Host).await?;
    Ok((room, proved.actor()))
}

/// What is to be drawn; an image that came in the body is stored, and its path takes its place.
async fn settle(app: &Arc<App>, mut spec: Spec) -> Result<DrawRequest, HttpError> {
    if let Some(url) = spec.take_data_url() {
        spec.prize_image = Some(store_data_url(app, &url).await?);
    }
    Ok(spec.wish()?)
}

/// Refuses to complete a draw that is gone or called off: the console that names it looks at an old page.
fn refuse_unknown(room: &Room, which: &DrawSelector) -> Result<(), HttpError> {
    let DrawSelector::Draw(id) = which else { return Ok(()) };
    let snapshot = room.snapshot();
    let stands = snapshot.event.draw(*id).is_some_and(|draw| draw.status() != Status::Cancelled);
    if stands { Ok(()) } else { Err(Refusal::Outdated.into()) }
}

/// The key of a `request_id`, in the body or the header, if there is one.
fn request_named(call: &RequestContext, body: Option<&str>) -> Result<Option<[u8; 32]>, HttpError> {
    let header = call.head.headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let id = body.or(header).map(request_id).transpose()?;
    Ok(id.map(hash_request_id))
}

/// The draw that a granted wish was about.
fn draw_of(granted: &Accepted) -> Result<&Arc<Draw>, HttpError> {
    let id = match granted.outcome {
        Outcome::Started(id) | Outcome::Revealed(id) | Outcome::Completed(id) => Some(id),
        _ => None,
    };
    // A reset in the same batch may have taken it away again.
    id.and_then(|id| granted.snapshot.event.draw(id)).ok_or_else(|| Refusal::NotFound("draw").into())
}

fn number_or_null(draw: Option<DrawId>) -> String {
    draw.map_or_else(|| "null".to_owned(), |id| id.0.to_string())
}
