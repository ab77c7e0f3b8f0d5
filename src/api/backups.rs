//! `GET` and `POST backup`: copies of the whole data folder, which stay on the server's disk. What is in them is nobody's to download.

use crate::api::app::App;
use crate::api::auth::{Rank, enter};
use crate::backup::copy::{self, Backup, BackupCause};
use crate::backup::thread::BackupFailure;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, envelope, success};
use crate::sequencer::inbox::Rejection;
use crate::wire::view::backups::{BackupView, backups, made};
use hyper::StatusCode;

/// `POST backup`
pub async fn create(call: RequestContext) -> HttpResult {
    enter(&call, Rank::Admin).await?;
    let backup = make(&call.app, BackupCause::Asked).await?;
    Ok(envelope(StatusCode::CREATED, &made(&view(&backup)), "backed up"))
}

/// `GET backup`
pub async fn list(call: RequestContext) -> HttpResult {
    enter(&call, Rank::Admin).await?;
    let dir = call.app.settings.data_dir.backups();
    let listed = tokio::task::spawn_blocking(move || copy::list(&dir)).await;
    let Ok(Ok(listed)) = listed else { return Err(Rejection::NotDurable.into()) };
    success(&backups(&listed.iter().map(view).collect::<Vec<_>>()), "the backups")
}

/// Makes a backup and waits until it has been read back.
///
/// # Errors
/// 429 while others are being made, 503 when it could not be.
pub async fn make(app: &App, cause: BackupCause) -> Result<Backup, HttpError> {
    app.backups.make(cause).await.map_err(|not_made| match not_made {
        BackupFailure::Busy => {
            let failure = HttpError::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY", "another backup is being made");
            HttpError { retry_after: Some(1), ..failure }
        }
        BackupFailure::Failed => Rejection::NotDurable.into(),
    })
}

fn view(backup: &Backup) -> BackupView<'_> {
    BackupView { name: &backup.name, made_at: backup.made_at, bytes: backup.bytes, cause: backup.cause.name() }
}
