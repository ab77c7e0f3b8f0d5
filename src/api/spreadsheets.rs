//! Prizes imported from a spreadsheet, and the template of one.
//!
//! A list of prizes is shown before it is taken, and taken whole or not at all. Files are read and
//! written on blocking threads, one at a time.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::AccessLevel;
use crate::api::deadline::run_blocking;
use crate::draw::Command;
use crate::http::response::{HttpError, HttpResult, created, success, with_type};
use crate::sequencer::inbox::Rejection;
use crate::sheet::columns::Field;
use crate::sheet::labels::Language;
use crate::sheet::prizes::{self, CellError, ParsedPrizes};
use crate::sheet::table::{Table, TableError};
use crate::sheet::{template, workbook};
use crate::wire::view::prizes::{self as view, ErrorView, ImportView, Imported, LeftOutView};
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of an imported file, at most.
const FILE_BYTES_MAX: usize = 2 << 20;
/// Errors that an import reports, at most.
const ERRORS_MAX: usize = 100;

/// Rows that are no prizes and that an import reports, at most.
const LEFT_OUT_MAX: usize = 50;

/// The media type of workbooks.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// `POST prizes/import`
pub async fn import_prizes(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let file = request.read_body(FILE_BYTES_MAX).await?;
    let is_preview = request.is_flag_set("preview");
    let permit = file_permit(&request.app)?;
    let snapshot = access.room.snapshot();
    let read = run_blocking(move || {
        let _permit = permit;
        prizes::read_file(&file, &snapshot.event)
    });
    // A file that makes a reader panic cannot be read.
    let (table, parsed) = read.await?.unwrap_or(Err(TableError::Broken)).map_err(file_error)?;
    let errors: Vec<_> = parsed.errors.iter().take(ERRORS_MAX).map(error_view).collect();
    if is_preview {
        return success(&import_view(&table, &parsed, Imported::No, errors), "nothing is changed yet");
    }
    if !errors.is_empty() {
        return Err(import_error("the list has mistakes, nothing was added", &errors, parsed.errors.len()));
    }
    let list = parsed.prizes.iter().map(|(_, prize)| prize.clone()).collect();
    request.submit(&access, Command::AddPrizes(list)).await?;
    created(&import_view(&table, &parsed, Imported::Yes, errors), "added")
}

/// `GET prizes/template.xlsx`
pub async fn template(request: ApiRequest) -> HttpResult {
    request.require_event(AccessLevel::Host).await?;
    let language = language_in_query(&request)?.unwrap_or(Language::Korean);
    let permit = file_permit(&request.app)?;
    let work = move || {
        let _permit = permit;
        workbook::write(vec![template::sheet(language)]).ok()
    };
    let bytes = run_blocking(work).await?.flatten().ok_or(Rejection::NotDurable)?;
    let mut response = with_type(XLSX, bytes);
    let name = HeaderValue::from_static("attachment; filename=\"prizes.xlsx\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// The language that the query names.
///
/// # Errors
/// 422 for one that the console does not have.
pub fn language_in_query(request: &ApiRequest) -> Result<Option<Language>, HttpError> {
    let language =
        |tag: std::borrow::Cow<'_, str>| Language::named(&tag).ok_or_else(|| HttpError::invalid("lang: must be ko or en"));
    request.query("lang").map(language).transpose()
}

/// Permits one file at a time, since each may take tens of megabytes. The thread that works holds
/// the permit, and goes on when the client goes away.
///
/// # Errors
/// 429 while another thread holds it.
pub fn file_permit(app: &App) -> Result<OwnedSemaphorePermit, HttpError> {
    let busy = |_| HttpError::too_many("another file is being worked on", 1);
    Arc::clone(&app.files).try_acquire_owned().map_err(busy)
}

fn import_view(table: &Table, parsed: &ParsedPrizes, imported: Imported, errors: Vec<ErrorView<'_>>) -> String {
    let prizes = parsed.prizes.iter().map(|(line, prize)| (*line, prize));
    let left_out = parsed.left_out.iter().take(LEFT_OUT_MAX);
    let import = ImportView {
        format: table.format,
        encoding: table.encoding,
        imported,
        errors,
        error_count: parsed.errors.len(),
        sheet: table.sheet.as_deref(),
        rows_left_out: left_out.map(|row| LeftOutView { row: row.line, kind: row.kind, text: &row.text }).collect(),
        columns_left_out: &parsed.columns_left_out,
    };
    view::import(import, prizes)
}

fn error_view(error: &CellError) -> ErrorView<'_> {
    ErrorView {
        row: Some(error.line),
        column: error.field.map_or("", Field::name),
        cell: error.cell(),
        value: &error.value,
        code: error.problem.code(),
        limit: error.problem.limit().map(u64::from),
        why: error.problem.to_string(),
    }
}

/// The refusal of a file that is no table.
fn file_error(error: TableError) -> HttpError {
    let limit = error.limit().map(|limit| limit as u64);
    let why = error.to_string();
    let view = ErrorView { row: None, column: "", cell: None, value: "", code: error.code(), limit, why: why.clone() };
    import_error(why, &[view], 1)
}

fn import_error(message: impl Into<std::borrow::Cow<'static, str>>, errors: &[ErrorView<'_>], count: usize) -> HttpError {
    let mut error = HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, "IMPORT_FAILED", message);
    error.more.insert("errors".into(), serde_json::json!(errors));
    error.more.insert("error_count".into(), count.into());
    error
}
