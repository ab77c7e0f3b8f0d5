//! `GET export.csv` and `export.xlsx`: winners, participants and draws as files for spreadsheet programs.
//!
//! Telephone numbers are masked and addresses left out unless the whole ones are asked for, which is on record before the first one is read. A file is
//! made off the workers, one at a time.

use crate::api::auth::{Rank, enter};
use crate::api::details;
use crate::api::imports::turn;
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::fact::WinnerDetails;
use crate::draw::{Command, Event};
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult};
use crate::live::snapshot::Snapshot;
use crate::sequencer::inbox::Rejection;
use crate::sheet::export::{Cell, Sheet, csv, xlsx};
use crate::wire::view::people::{Mask, masked};
use http_body_util::Full;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use std::collections::BTreeMap;
use std::sync::Arc;

const CSV: &str = "text/csv; charset=utf-8";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// What is exported.
#[derive(Clone, Copy)]
enum What {
    Winners,
    Participants,
    Draws,
}

/// An event with what its winners handed in.
struct Hall {
    snapshot: Arc<Snapshot>,
    details: Vec<WinnerDetails>,
    mask: Mask,
}

/// `GET export.csv`
pub async fn as_csv(call: RequestContext) -> HttpResult {
    let (what, name) = match call.query("what").as_deref() {
        None | Some("winners") => (What::Winners, "winners"),
        Some("participants") => (What::Participants, "participants"),
        Some("draws") => (What::Draws, "draws"),
        Some(_) => return Err(HttpError::invalid("what: must be one of winners, participants, draws")),
    };
    file(&call, &format!("{name}.csv"), CSV, move |hall| Some(csv(hall.sheet(what)))).await
}

/// `GET export.xlsx`: all three, as sheets.
pub async fn as_xlsx(call: RequestContext) -> HttpResult {
    let sheets = |hall: &Hall| xlsx([What::Winners, What::Participants, What::Draws].map(|what| hall.sheet(what)).into());
    let write =
        move |hall: &Hall| sheets(hall).inspect_err(|error| tracing::error!(%error, "a workbook could not be written")).ok();
    file(&call, "event.xlsx", XLSX, write).await
}

/// Makes a file of the event in the path.
async fn file(
    call: &RequestContext,
    name: &str,
    media_type: &'static str,
    write: impl FnOnce(&Hall) -> Option<Vec<u8>> + Send + 'static,
) -> HttpResult {
    let (room, proved) = enter(call, Rank::Admin).await?;
    let mask = if call.query("unmask").as_deref() == Some("1") { Mask::Off } else { Mask::On };
    let turn = turn(&call.app)?;
    if mask == Mask::Off {
        call.app.inbox.submit(room.id.clone(), proved.actor(), Command::NoteUnmasking).await?;
    }
    let details = details::all(&call.app, &room.id).await?;
    let hall = Hall { snapshot: room.snapshot(), details, mask };
    let bytes = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        write(&hall)
    })
    .await
    .ok()
    .flatten();
    let mut reply = Response::new(Full::new(bytes.ok_or(Rejection::NotDurable)?.into()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    // Names and telephone numbers are for nobody's cache.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{}-{name}\"", room.id)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(reply)
}

impl Hall {
    fn event(&self) -> &Event {
        &self.snapshot.event
    }

    fn sheet(&self, what: What) -> Sheet<'_> {
        match what {
            What::Winners => self.winners(),
            What::Participants => self.participants(),
            What::Draws => self.draws(),
        }
    }

    fn winners(&self) -> Sheet<'_> {
        let details: BTreeMap<_, _> = self.details.iter().map(|details| ((details.draw, details.number), details)).collect();
        let known = self.event().draws().filter(|draw| draw.is_known_to(Audience::Operators));
        let seats = known.flat_map(|draw| draw.seats.iter().map(move |seat| (draw, seat)));
        let row = move |(draw, seat): (&Arc<crate::draw::Draw>, &crate::draw::Seat)| {
            let reached = details.get(&(draw.id, seat.number));
            let phone = reached.map(|reached| match self.mask {
                Mask::On => Cell::Phone(masked(&reached.phone)),
                Mask::Off => Cell::Phone(reached.phone.clone()),
            });
            let address = reached.and_then(|reached| reached.address.as_deref()).filter(|_| self.mask == Mask::Off);
            vec![
                Cell::Number(draw.id.0),
                Cell::from(&*draw.spec.prize_name),
                Cell::Number(draw.spec.prize_rank),
                Cell::Number(seat.number.0),
                Cell::from(reached.map(|reached| reached.name.as_str())),
                phone.unwrap_or(Cell::Empty),
                Cell::from(address),
                Cell::from(reached.map(|reached| rfc3339(reached.submitted_at))),
                Cell::from(seat.arrived_at.map(rfc3339)),
                Cell::from(seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at))),
                Cell::from(seat.handed_over.as_ref().map(|(_, desk)| &**desk)),
                Cell::from(seat.voided.map(|(_, reason)| reason.name())),
            ]
        };
        let headings = &[
            "draw_id",
            "prize_name",
            "prize_rank",
            "draw_number",
            "name",
            "phone",
            "address",
            "submitted_at",
            "arrived_at",
            "handed_over_at",
            "desk",
            "voided",
        ];
        Sheet { name: "winners", headings, rows: Box::new(seats.map(row)) }
    }

    fn participants(&self) -> Sheet<'_> {
        let row = |(number, participant): (crate::draw::Number, &crate::draw::Participant)| {
            let mark = self.event().mark(participant);
            vec![
                Cell::Number(number.0),
                Cell::from(rfc3339(participant.registered_at)),
                Cell::from(if mark.is_none_or(|mark| mark.eligible) { "yes" } else { "no" }),
                Cell::from(mark.and_then(|mark| mark.group.as_deref())),
                Cell::Number(mark.map_or(1, |mark| mark.weight.into())),
            ]
        };
        let headings = &["draw_number", "registered_at", "eligible", "group", "weight"];
        Sheet { name: "participants", headings, rows: Box::new(self.event().participants_after(0).map(row)) }
    }

    fn draws(&self) -> Sheet<'_> {
        let known = self.event().draws().filter(|draw| draw.is_known_to(Audience::Operators));
        let row = |draw: &Arc<crate::draw::Draw>| {
            let winners: Vec<_> = draw.winners().map(|number| number.0.to_string()).collect();
            vec![
                Cell::Number(draw.id.0),
                Cell::from(&*draw.spec.prize_name),
                Cell::Number(draw.spec.prize_rank),
                Cell::from(draw.spec.mode.name()),
                Cell::from(rfc3339(draw.started_at)),
                Cell::from(draw.revealed_at.map(rfc3339)),
                Cell::from(draw.announced_at.map(rfc3339)),
                Cell::from(winners.join(" ")),
            ]
        };
        let headings =
            &["draw_id", "prize_name", "prize_rank", "draw_mode", "started_at", "revealed_at", "announced_at", "winners"];
        Sheet { name: "draws", headings, rows: Box::new(known.map(row)) }
    }
}
