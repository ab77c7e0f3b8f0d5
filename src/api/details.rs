//! Winners' details on their way out of the journal: page by page, so that the writer, who opens each of them, is never held for long.

use crate::api::app::App;
use crate::draw::fact::WinnerDetails;
use crate::draw::{DrawId, EventId, Number};
use crate::sequencer::inbox::{Rejection, Request};
use crate::wire::view::people::WinnerContact;

/// How many are opened at a time: well under a millisecond of the writer's.
const PAGE: u32 = 256;

/// All details of an event, by draw and number.
///
/// # Errors
/// When they cannot be read.
pub async fn all(app: &App, event: &EventId) -> Result<Vec<WinnerDetails>, Rejection> {
    let mut all: Vec<WinnerDetails> = Vec::new();
    loop {
        let after = all.last().map_or((DrawId(0), Number(0)), |last| (last.draw, last.number));
        let page = page(app, event, after, PAGE).await?;
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// The details of one seat, if its winner has handed them in.
///
/// # Errors
/// When they cannot be read.
pub async fn of_seat(app: &App, event: &EventId, draw: DrawId, number: Number) -> Result<Option<WinnerDetails>, Rejection> {
    let before = (draw, Number(number.0.saturating_sub(1)));
    let page = page(app, event, before, 1).await?;
    Ok(page.into_iter().find(|details| (details.draw, details.number) == (draw, number)))
}

/// As a view shows them.
pub fn reached(details: &WinnerDetails) -> WinnerContact<'_> {
    WinnerContact {
        draw: details.draw,
        number: details.number,
        name: &details.name,
        phone: &details.phone,
        address: details.address.as_deref(),
        submitted_at: details.submitted_at,
    }
}

async fn page(app: &App, event: &EventId, after: (DrawId, Number), limit: u32) -> Result<Vec<WinnerDetails>, Rejection> {
    app.inbox.ask(|reply| Request::ReadDetails { event: event.clone(), after, limit, reply }).await
}
