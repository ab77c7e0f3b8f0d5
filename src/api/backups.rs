//! `GET` and `POST backup`: copies of the whole data folder, which stay on the server's disk. No
//! call downloads one.

use crate::api::app::{ApiRequest, App};
use crate::api::auth::AccessLevel;
use crate::api::deadline::{run_blocking, within};
use crate::backup::copy::{self, Backup, BackupCause};
use crate::backup::thread::BackupFailure;
use crate::http::response::{HttpError, HttpResult, created, success};
use crate::sequencer::inbox::Rejection;
use crate::wire::view::events::{BackupView, backup_made, backups};
use std::time::Duration;

/// Longest wait for a backup, whose time grows with the folder. It goes on after that.
const BACKUP_TIME_MAX: Duration = Duration::from_secs(120);

/// `POST backup`
pub async fn create(request: ApiRequest) -> HttpResult {
    request.require_event(AccessLevel::Admin).await?;
    let backup = make(&request.app, BackupCause::Asked).await?;
    created(&backup_made(&view(&backup)), "backed up")
}

/// `GET backup`
pub async fn list(request: ApiRequest) -> HttpResult {
    request.require_event(AccessLevel::Admin).await?;
    let dir = request.app.settings.data_dir.backups();
    let listed = run_blocking(move || copy::list(&dir)).await?;
    let Some(Ok(listed)) = listed else { return Err(Rejection::NotDurable.into()) };
    success(&backups(&listed.iter().map(view).collect::<Vec<_>>()), "the backups")
}

/// Makes a backup and waits until it has been read back.
///
/// # Errors
/// 429 while others are being made, 503 when it failed or takes too long.
pub async fn make(app: &App, cause: BackupCause) -> Result<Backup, HttpError> {
    within(BACKUP_TIME_MAX, app.backups.make(cause)).await?.map_err(|not_made| match not_made {
        BackupFailure::Busy => HttpError::too_many("another backup is being made", 1),
        BackupFailure::Failed => Rejection::NotDurable.into(),
    })
}

fn view(backup: &Backup) -> BackupView<'_> {
    BackupView { name: &backup.name, made_at: backup.made_at, bytes: backup.bytes, cause: backup.cause.name() }
}
