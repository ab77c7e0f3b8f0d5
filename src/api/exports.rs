//! Exports: winners, participants and draws as files of spreadsheet programs.
//!
//! An export masks telephone numbers and leaves addresses out, unless the whole ones are requested.
//! With a language, its words are those of the console and its times local; without one it has the
//! names on the wire and UTC, for scripts. The caller names the offset of local time: an event has
//! no zone of its own, the server's is that of a data center, and who reads the list is at the
//! browser. The heading of each time says the offset.

use crate::api::app::ApiRequest;
use crate::api::auth::AccessLevel;
use crate::api::deadline::run_blocking;
use crate::api::desk::{all_details, requested_mask};
use crate::api::spreadsheets::{XLSX, file_permit, language_in_query};
use crate::base::clock::{UtcOffset, local_time, rfc3339};
use crate::draw::event::Audience;
use crate::draw::fact::WinnerDetails;
use crate::draw::{Draw, Event, Number, Participant, Seat, Timestamp};
use crate::http::response::{HttpError, HttpResult, with_type};
use crate::live::room::Snapshot;
use crate::sequencer::inbox::Rejection;
use crate::sheet::export::{Cell, Sheet, csv};
use crate::sheet::labels::{Language, word};
use crate::sheet::workbook;
use crate::wire::view::people::{Mask, masked_phone};
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue};
use std::collections::BTreeMap;
use std::sync::Arc;

const CSV: &str = "text/csv; charset=utf-8";

const WINNERS: &[&str] = &[
    "draw_id",
    "prize_name",
    "prize_grade",
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
const PARTICIPANTS: &[&str] = &["draw_number", "registered_at", "eligible", "group", "weight"];
const DRAWS: &[&str] =
    &["draw_id", "prize_name", "prize_grade", "prize_rank", "draw_mode", "started_at", "revealed_at", "announced_at", "winners"];

/// `GET export.csv`
pub async fn export_csv(request: ApiRequest) -> HttpResult {
    let (kind, name) = match request.query("what").as_deref() {
        None | Some("winners") => (Kind::Winners, "winners"),
        Some("participants") => (Kind::Participants, "participants"),
        Some("draws") => (Kind::Draws, "draws"),
        Some(_) => return Err(HttpError::invalid("what: must be one of winners, participants, draws")),
    };
    export(&request, &format!("{name}.csv"), CSV, move |data| Some(csv(data.sheet(kind)))).await
}

/// `GET export.xlsx`: all three, as sheets.
pub async fn export_xlsx(request: ApiRequest) -> HttpResult {
    let write = move |data: &ExportData| {
        let sheets = [Kind::Winners, Kind::Participants, Kind::Draws].map(|kind| data.sheet(kind));
        workbook::write(sheets.into()).inspect_err(|error| tracing::error!(%error, "a workbook could not be written")).ok()
    };
    export(&request, "event.xlsx", XLSX, write).await
}

/// A sheet of an export.
#[derive(Clone, Copy)]
enum Kind {
    Winners,
    Participants,
    Draws,
}

/// An event with the details that its winners submitted.
struct ExportData {
    snapshot: Arc<Snapshot>,
    details: Vec<WinnerDetails>,
    mask: Mask,
    words: Words,
}

/// The words and times of an export.
#[derive(Clone, Copy)]
struct Words {
    /// `None` for the names on the wire.
    language: Option<Language>,
    /// `None` for UTC, as on the wire.
    offset: Option<UtcOffset>,
}

impl Words {
    fn of_name(self, name: &'static str) -> &'static str {
        word(name, self.language)
    }

    fn headings(self, names: &[&'static str]) -> Vec<String> {
        let heading = |name: &&'static str| match self.offset.filter(|_| name.ends_with("_at")) {
            Some(offset) => format!("{} (UTC{offset})", self.of_name(name)),
            None => self.of_name(name).to_owned(),
        };
        names.iter().map(heading).collect()
    }

    fn time(self, at: Timestamp) -> String {
        self.offset.map_or_else(|| rfc3339(at), |offset| local_time(at, offset))
    }
}

/// The language and the offset that the query names.
///
/// # Errors
/// 422 for a language or an offset that does not exist.
fn words_in_query(request: &ApiRequest) -> Result<Words, HttpError> {
    let offset =
        |minutes| UtcOffset::of_minutes(minutes).ok_or_else(|| HttpError::invalid("utc_offset_min: must be -840 to 840"));
    let offset = request.number_in_query("utc_offset_min")?.map(offset).transpose()?;
    Ok(Words { language: language_in_query(request)?, offset })
}

/// Exports the event in the path as a file.
async fn export(
    request: &ApiRequest,
    name: &str,
    media_type: &'static str,
    write: impl FnOnce(&ExportData) -> Option<Vec<u8>> + Send + 'static,
) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    let words = words_in_query(request)?;
    let permit = file_permit(&request.app)?;
    let mask = requested_mask(request, &access).await?;
    let details = all_details(&request.app, &access.room.id).await?;
    let data = ExportData { snapshot: access.room.snapshot(), details, mask, words };
    let work = move || {
        let _permit = permit;
        write(&data)
    };
    let bytes = run_blocking(work).await?.flatten();
    let mut response = with_type(media_type, bytes.ok_or(Rejection::NotDurable)?);
    let headers = response.headers_mut();
    // Names and telephone numbers are for no cache.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{}-{name}\"", access.room.id)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

impl ExportData {
    fn event(&self) -> &Event {
        &self.snapshot.event
    }

    fn sheet(&self, kind: Kind) -> Sheet<'_> {
        match kind {
            Kind::Winners => self.winners(),
            Kind::Participants => self.participants(),
            Kind::Draws => self.draws(),
        }
    }

    fn winners(&self) -> Sheet<'_> {
        let details: BTreeMap<_, _> = self.details.iter().map(|details| ((details.draw, details.number), details)).collect();
        let known = self.event().draws().filter(|draw| draw.is_known_to(Audience::Operators));
        let seats = known.flat_map(|draw| draw.seats.iter().map(move |seat| (draw, seat)));
        let words = self.words;
        let row = move |(draw, seat): (&Arc<Draw>, &Seat)| {
            let contact = details.get(&(draw.id, seat.number));
            let phone = contact.map(|contact| match self.mask {
                Mask::On => Cell::Phone(masked_phone(&contact.phone)),
                Mask::Off => Cell::Phone(contact.phone.clone()),
            });
            let address = contact.and_then(|contact| contact.address.as_deref()).filter(|_| self.mask == Mask::Off);
            vec![
                Cell::Number(draw.id.0),
                Cell::from(&*draw.spec.prize_name),
                Cell::from(draw.spec.prize_grade.as_deref()),
                Cell::Number(draw.spec.prize_rank),
                Cell::Number(seat.number.0),
                Cell::from(contact.map(|contact| contact.name.as_str())),
                phone.unwrap_or(Cell::Empty),
                Cell::from(address),
                Cell::from(contact.map(|contact| words.time(contact.submitted_at))),
                Cell::from(seat.arrived_at.map(|at| words.time(at))),
                Cell::from(seat.handed_over.as_ref().map(|(at, _)| words.time(*at))),
                Cell::from(seat.handed_over.as_ref().map(|(_, desk)| &**desk)),
                Cell::from(seat.voided.map(|(_, reason)| words.of_name(reason.name()))),
            ]
        };
        Sheet { name: words.of_name("winners"), headings: words.headings(WINNERS), rows: Box::new(seats.map(row)) }
    }

    fn participants(&self) -> Sheet<'_> {
        let words = self.words;
        let row = move |(number, participant): (Number, &Participant)| {
            let mark = self.event().eligibility(participant);
            vec![
                Cell::Number(number.0),
                Cell::from(words.time(participant.registered_at)),
                Cell::from(words.of_name(if mark.is_none_or(|mark| mark.eligible) { "yes" } else { "no" })),
                Cell::from(mark.and_then(|mark| mark.group.as_deref())),
                Cell::Number(mark.map_or(1, |mark| mark.weight.into())),
            ]
        };
        Sheet {
            name: words.of_name("participants"),
            headings: words.headings(PARTICIPANTS),
            rows: Box::new(self.event().participants_after(0).map(row)),
        }
    }

    fn draws(&self) -> Sheet<'_> {
        let known = self.event().draws().filter(|draw| draw.is_known_to(Audience::Operators));
        let words = self.words;
        let row = move |draw: &Arc<Draw>| {
            let winners: Vec<_> = draw.winners().map(|number| number.0.to_string()).collect();
            vec![
                Cell::Number(draw.id.0),
                Cell::from(&*draw.spec.prize_name),
                Cell::from(draw.spec.prize_grade.as_deref()),
                Cell::Number(draw.spec.prize_rank),
                Cell::from(words.of_name(draw.spec.mode.name())),
                Cell::from(words.time(draw.started_at)),
                Cell::from(draw.revealed_at.map(|at| words.time(at))),
                Cell::from(draw.announced_at.map(|at| words.time(at))),
                Cell::from(winners.join(" ")),
            ]
        };
        Sheet { name: words.of_name("draws"), headings: words.headings(DRAWS), rows: Box::new(known.map(row)) }
    }
}
