//! `GET` and `POST backup`: copies of the whole data folder, which stay on the server's disk. What is in them is nobody's to download.

use super::auth::{Rank, enter};
use crate::archive::backup::{self, Backup, Cause};
use crate::archive::keeper::NotMade;
use crate::sequencer::inbox::Denial;
use crate::web::answer::{Answer, Failure, envelope, success};
use crate::web::app::App;
use crate::web::call::Call;
use crate::wire::view::backups::{BackupView, backups, made};
use hyper::StatusCode;

/// `POST backup`
pub async fn create(call: Call) -> Answer {
    enter(&call, Rank::Admin).await?;
    let backup = make(&call.app, Cause::Asked).await?;
    Ok(envelope(StatusCode::CREATED, &made(&view(&backup)), "backed up"))
}

/// `GET backup`
pub async fn list(call: Call) -> Answer {
    enter(&call, Rank::Admin).await?;
    let dir = call.app.settings.backups_dir.clone();
    let listed = tokio::task::spawn_blocking(move || backup::list(&dir)).await;
    let Ok(Ok(listed)) = listed else { return Err(Denial::NotDurable.into()) };
    success(&backups(&listed.iter().map(view).collect::<Vec<_>>()), "the backups")
}

/// Makes a backup and waits until it has been read back.
///
/// # Errors
/// 429 while others are being made, 503 when it could not be.
pub async fn make(app: &App, cause: Cause) -> Result<Backup, Failure> {
    app.backups.make(cause).await.map_err(|not_made| match not_made {
        NotMade::Busy => {
            let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY", "another backup is being made");
            Failure { retry_after: Some(1), ..failure }
        }
        NotMade::Failed => Denial::NotDurable.into(),
    })
}

fn view(backup: &Backup) -> BackupView<'_> {
    BackupView { name: &backup.name, made_at: backup.made_at, bytes: backup.bytes, cause: backup.cause.name() }
}
