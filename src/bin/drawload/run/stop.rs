//! The end of a run: by a signal, and of its tasks.
//!
//! The first signal ends whatever is in progress, and what is known is reported. The second one
//! ends the program.

use crate::arguments::INTERRUPTED;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Watches for SIGINT and SIGTERM.
pub fn on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    // Before anything else: a signal without a handler kills the program.
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return stop;
    };
    spawn_local(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !is_first {
                std::process::exit(INTERRUPTED.into());
            }
            stopped.cancel();
        }
    });
    stop
}

/// Waits for tasks that have been told to end, and aborts those that do not within `max`. Returns
/// the messages of those that panicked.
pub async fn end_tasks(tasks: Vec<JoinHandle<()>>, max: Duration) -> Vec<String> {
    let deadline = Instant::now() + max;
    let mut panics = Vec::new();
    for mut task in tasks {
        match timeout_at(deadline, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_panic() => panics.push(message(&*error.into_panic())),
            Ok(Err(_)) => {}
            Err(_) => task.abort(),
        }
    }
    panics
}

/// The message of a panic.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::LocalSet;

    #[tokio::test]
    async fn a_task_that_panics_is_named_and_one_that_hangs_is_ended() {
        let local = LocalSet::new();
        let ended = local.run_until(async {
            let fails = spawn_local(async { panic!("the number {}", 7) });
            let hangs = spawn_local(std::future::pending());
            end_tasks(vec![spawn_local(async {}), fails, hangs], Duration::from_millis(20)).await
        });
        assert_eq!(ended.await, ["the number 7"]);
    }
}
