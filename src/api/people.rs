//! The prize desk: who takes part, what staff note about them, and how winners can be reached.
//!
//! Telephone numbers leave here masked. To see them whole is asked for, allowed to hosts, and on record before the first one is read.

use crate::api::auth::{Rank, enter};
use crate::api::details;
use crate::draw::fact::Eligibility;
use crate::draw::{Command, Number, Refusal};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult, success};
use crate::wire::parse::{Invalid, parse};
use crate::wire::request::{self, EligibilityChange};
use crate::wire::view::people::{self, Listing, Mask};
use hyper::StatusCode;

/// The most participants of one page.
const PAGE_MAX: usize = 10_000;

/// `GET participants`: a page of them, or all when no limit is given.
pub async fn participants(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Staff).await?;
    let limit = number_in_query(&call, "limit")?.map_or(usize::MAX, |limit| (limit as usize).clamp(1, PAGE_MAX));
    let after = number_in_query(&call, "after")?.unwrap_or(0);
    success(&people::participants(&room.snapshot().event, after, limit), "the participants")
}

/// `PATCH participants/{draw_number}`: the desk says who may not win; groups and weights are the host's to give.
pub async fn mark(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Staff).await?;
    let number = call.param(1).parse().map(Number).map_err(|_| HttpError::from(Refusal::ParticipantNotFound))?;
    let body: EligibilityChange = parse(&call.read_body(BODY_MAX).await?)?;
    if (body.group.is_some() || body.weight.is_some()) && !proved.reaches(Rank::Host) {
        return Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "groups and weights are the host's to give"));
    }
    let snapshot = room.snapshot();
    let participant = snapshot.event.participant(number).ok_or(Refusal::ParticipantNotFound)?;
    let noted = snapshot.event.eligibility(participant).cloned().unwrap_or_default();
    let command = Command::MarkParticipant { number, mark: changed(noted, body)? };
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), command).await?;
    let event = &granted.snapshot.event;
    let participant = event.participant(number).ok_or(Refusal::ParticipantNotFound)?;
    success(&people::participant(event, number, participant), "noted")
}

/// `GET winners`
pub async fn winners(call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Staff).await?;
    let mask = if call.query("unmask").as_deref() == Some("1") { Mask::Off } else { Mask::On };
    if mask == Mask::Off {
        if !proved.reaches(Rank::Host) {
            return Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "whole numbers are for the host"));
        }
        call.app.inbox.submit(room.id.clone(), proved.actor(), Command::NoteUnmasking).await?;
    }
    let listing = if call.query("all").as_deref() == Some("1") { Listing::All } else { Listing::HandedIn };
    let details = details::all(&call.app, &room.id).await?;
    success(&people::winners(&room.snapshot().event, details.iter(), mask, listing), "the winners")
}

/// A number in the query, if it stands there.
///
/// # Errors
/// 422 when something else does.
pub fn number_in_query(call: &RequestContext, name: &'static str) -> Result<Option<u32>, HttpError> {
    let value = call.query(name).map(|value| value.parse());
    value.transpose().map_err(|_| HttpError::invalid(format!("{name}: must be a number")))
}

fn changed(mark: Eligibility, change: EligibilityChange) -> Result<Eligibility, Invalid> {
    Ok(Eligibility {
        eligible: change.eligible.unwrap_or(mark.eligible),
        group: change.group.map_or(Ok(mark.group), request::group)?,
        weight: match change.weight {
            Some(0) => return Err(Invalid::field("weight", "must be at least 1")),
            Some(weight) => weight,
            None => mark.weight,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(eligible: Option<bool>, group: Option<&str>, weight: Option<u16>) -> Result<Eligibility, Invalid> {
        let noted = Eligibility { eligible: true, group: Some("blue".into()), weight: 3 };
        changed(noted, EligibilityChange { eligible, group: group.map(str::to_owned), weight })
    }

    #[test]
    fn what_is_left_out_of_a_mark_stays() {
        let group = Some("blue".into());
        assert_eq!(change(Some(false), None, None), Ok(Eligibility { eligible: false, group: group.clone(), weight: 3 }));
        assert_eq!(change(None, Some(""), None), Ok(Eligibility { eligible: true, group: None, weight: 3 }));
        assert_eq!(change(None, None, Some(7)), Ok(Eligibility { eligible: true, group, weight: 7 }));
        assert!(change(None, None, Some(0)).is_err(), "nobody is excluded by weight unseen");
    }
}
