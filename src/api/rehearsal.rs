//! `POST rehearsal/wipe`: what was practised goes, with one typed word, and only where the event is marked as a rehearsal.

use crate::api::auth::{Rank, enter};
use crate::base::chance;
use crate::draw::Command;
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpResult, success};
use crate::sequencer::inbox::Request;
use crate::wire::parse::parse;
use crate::wire::request::Wipe;
use data_encoding::HEXLOWER;

/// `POST rehearsal/wipe`
pub async fn wipe(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Admin).await?;
    parse::<Wipe>(&call.read_body(BODY_MAX).await?)?.check()?;
    let wipe = Command::Wipe(chance::session_id());
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), wipe).await?;
    // After the draws they belong to: a crash in between leaves details that nothing shows, and that wiping again, or their days, remove.
    call.app.inbox.ask(|reply| Request::DropDetails { event: room.id.clone(), reply }).await?;
    let session = HEXLOWER.encode(&granted.snapshot.event.session.0);
    success(&format!(r#"{{"event_session_id":"{session}"}}"#), "wiped")
}
