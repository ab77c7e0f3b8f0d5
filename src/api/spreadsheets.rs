//! Spreadsheets: prizes imported from one, winners, participants and draws exported to one.
//!
//! A list of prizes is shown before it is taken, and taken whole or not at all. An export masks
//! telephone numbers and leaves addresses out, unless the whole ones are requested. Files are read
//! and written on blocking threads, one at a time.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::AccessLevel;
use crate::api::deadline::run_blocking;
use crate::api::desk::{all_details, requested_mask};
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::fact::WinnerDetails;
use crate::draw::{Command, Draw, Event, Number, Participant, Seat};
use crate::http::response::{HttpError, HttpResult, created, success, with_type};
use crate::live::room::Snapshot;
use crate::sequencer::inbox::Rejection;
use crate::sheet::export::{Cell, Sheet, csv, xlsx};
use crate::sheet::prizes::{self, ParsedPrizes};
use crate::sheet::table::{self, Table, TableError};
use crate::wire::view::people::{Mask, masked_phone};
use crate::wire::view::prizes::{self as view, ErrorView, ImportView, Imported};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of an imported file, at most.
const FILE_BYTES_MAX: usize = 2 << 20;
/// Errors that an import reports, at most.
const ERRORS_MAX: usize = 100;

const CSV: &str = "text/csv; charset=utf-8";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// `POST prizes/import`
pub async fn import_prizes(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let file = request.read_body(FILE_BYTES_MAX).await?;
    let is_preview = request.is_flag_set("preview");
    let permit = file_permit(&request.app)?;
    let snapshot = access.room.snapshot();
    let read = run_blocking(move || {
        let _permit = permit;
        let table = table::read(&file)?;
        let reading = prizes::read(&table, &snapshot.event);
        Ok::<_, TableError>((table, reading))
    });
    // A file that makes a reader panic cannot be read.
    let (table, reading) = read.await?.unwrap_or(Err(TableError::Broken)).map_err(|why| import_error(why.to_string(), &[], 0))?;
    let errors: Vec<_> = reading.errors.iter().take(ERRORS_MAX).map(error_view).collect();
    if is_preview {
        return success(&import_view(&table, &reading, Imported::No, errors), "nothing is changed yet");
    }
    if !errors.is_empty() {
        return Err(import_error("the list has mistakes, nothing was added", &errors, reading.errors.len()));
    }
    let list = reading.prizes.iter().map(|(_, prize)| prize.clone()).collect();
    request.submit(&access, Command::AddPrizes(list)).await?;
    created(&import_view(&table, &reading, Imported::Yes, errors), "added")
}

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
        xlsx(sheets.into()).inspect_err(|error| tracing::error!(%error, "a workbook could not be written")).ok()
    };
    export(&request, "event.xlsx", XLSX, write).await
}

/// Permits one file at a time, since each may take tens of megabytes. The thread that works holds
/// the permit, and goes on when the client goes away.
///
/// # Errors
/// 429 while another thread holds it.
fn file_permit(app: &App) -> Result<OwnedSemaphorePermit, HttpError> {
    let busy = |_| HttpError::too_many("another file is being worked on", 1);
    Arc::clone(&app.files).try_acquire_owned().map_err(busy)
}

fn import_view(table: &Table, reading: &ParsedPrizes, imported: Imported, errors: Vec<ErrorView<'_>>) -> String {
    let prizes = reading.prizes.iter().map(|(line, prize)| (*line, prize));
    let error_count = reading.errors.len();
    view::import(ImportView { format: table.format, encoding: table.encoding, imported, errors, error_count }, prizes)
}

fn error_view(error: &prizes::CellError) -> ErrorView<'_> {
    ErrorView { row: error.line, column: &error.column, why: &error.why }
}

fn import_error(message: impl Into<Cow<'static, str>>, errors: &[ErrorView<'_>], count: usize) -> HttpError {
    let mut error = HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, "IMPORT_FAILED", message);
    error.more.insert("errors".into(), serde_json::json!(errors));
    error.more.insert("error_count".into(), count.into());
    error
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
}

/// Exports the event in the path as a file.
async fn export(
    request: &ApiRequest,
    name: &str,
    media_type: &'static str,
    write: impl FnOnce(&ExportData) -> Option<Vec<u8>> + Send + 'static,
) -> HttpResult {
    let access = request.require_event(AccessLevel::Admin).await?;
    let permit = file_permit(&request.app)?;
    let mask = requested_mask(request, &access).await?;
    let details = all_details(&request.app, &access.room.id).await?;
    let data = ExportData { snapshot: access.room.snapshot(), details, mask };
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
                Cell::Number(draw.spec.prize_rank),
                Cell::Number(seat.number.0),
                Cell::from(contact.map(|contact| contact.name.as_str())),
                phone.unwrap_or(Cell::Empty),
                Cell::from(address),
                Cell::from(contact.map(|contact| rfc3339(contact.submitted_at))),
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
        let row = |(number, participant): (Number, &Participant)| {
            let mark = self.event().eligibility(participant);
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
        let row = |draw: &Arc<Draw>| {
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
