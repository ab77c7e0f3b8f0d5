//! `POST prizes/import`: a list of prizes out of a spreadsheet, shown before it is taken, and taken whole or not at all.

use crate::api::app::App;
use crate::api::auth::{Rank, enter};
use crate::draw::Command;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, envelope, success};
use crate::sheet::prizes::{self, ParsedPrizes};
use crate::sheet::table::{self, Table, TableError};
use crate::wire::view::prizes::{self as view, ErrorView, ImportView, Imported};
use hyper::StatusCode;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The largest file.
const FILE_BYTES_MAX: usize = 2 << 20;
/// The most errors that are told.
const ERRORS_MAX: usize = 100;

/// `POST prizes/import`
pub async fn prizes(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Host).await?;
    let file = call.read_body(FILE_BYTES_MAX).await?;
    let is_preview = call.query("preview").as_deref() == Some("1");
    let turn = turn(&call.app)?;
    let snapshot = room.snapshot();
    let read = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let table = table::read(&file)?;
        let reading = prizes::read(&table, &snapshot.event);
        Ok::<_, TableError>((table, reading))
    });
    // What panics over a file cannot read it.
    let (table, reading) = read.await.unwrap_or(Err(TableError::Broken)).map_err(|why| refused(why.to_string(), &[], 0))?;
    let errors: Vec<_> = reading.errors.iter().take(ERRORS_MAX).map(view).collect();
    if is_preview {
        return success(&imported(&table, &reading, Imported::No, errors), "nothing is changed yet");
    }
    if !errors.is_empty() {
        return Err(refused("the list has mistakes, nothing was added", &errors, reading.errors.len()));
    }
    let list = reading.prizes.iter().map(|(_, prize)| prize.clone()).collect();
    call.app.inbox.submit(room.id.clone(), proved.actor(), Command::AddPrizes(list)).await?;
    Ok(envelope(StatusCode::CREATED, &imported(&table, &reading, Imported::Yes, errors), "added"))
}

/// The turn of a file: one at a time is read or written, since each may take tens of megabytes. To be held by the thread that works, which goes on
/// when the caller goes away.
///
/// # Errors
/// 429 while another has it.
pub fn turn(app: &App) -> Result<OwnedSemaphorePermit, HttpError> {
    Arc::clone(&app.files).try_acquire_owned().map_err(|_| {
        let failure = HttpError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY", "another file is being worked on");
        HttpError { retry_after: Some(1), ..failure }
    })
}

fn imported(table: &Table, reading: &ParsedPrizes, imported: Imported, errors: Vec<ErrorView<'_>>) -> String {
    let prizes = reading.prizes.iter().map(|(line, prize)| (*line, prize));
    view::import(
        ImportView { format: table.format, encoding: table.encoding, imported, errors, error_count: reading.errors.len() },
        prizes,
    )
}

fn view(error: &prizes::CellError) -> ErrorView<'_> {
    ErrorView { row: error.line, column: &error.column, why: &error.why }
}

fn refused(message: impl Into<std::borrow::Cow<'static, str>>, errors: &[ErrorView<'_>], count: usize) -> HttpError {
    let mut failure = HttpError::new(StatusCode::UNPROCESSABLE_ENTITY, "IMPORT_FAILED", message);
    failure.more.insert("errors".into(), serde_json::json!(errors));
    failure.more.insert("error_count".into(), count.into());
    failure
}
