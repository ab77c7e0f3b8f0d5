//! Plays the simulated phones of rehearsals and of the demonstration: one thread, one task per
//! phone.
//!
//! A phone here is a client of this server's own listener: it passes the same guard, limits and
//! handlers as a phone in the room, and costs what one costs. The thread sleeps while no event
//! wants any. It ends the phones of an event that is deleted, and all of them when it is stopped.

pub mod own_server;
mod phone;

use crate::api::app::App;
use crate::api::simulated_phones::PhoneGroup;
use own_server::OwnServer;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Time between looks for events that were deleted.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The thread that plays the phones.
pub struct SimulatedPhonesThread {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

/// A group, and the task of each of its phones.
struct Played {
    group: Arc<PhoneGroup>,
    phones: Vec<AbortOnDropHandle<()>>,
}

impl SimulatedPhonesThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives no thread or no readiness queue.
    pub fn start(app: Arc<App>, server: OwnServer) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, server) = (CancellationToken::new(), Arc::new(server));
        let stopped = stop.clone();
        let serve = move || _ = runtime.block_on(stopped.run_until_cancelled(play_all(&app, &server)));
        let thread = std::thread::Builder::new().name("simulation".into()).spawn(serve)?;
        Ok(Self { stop, thread })
    }

    /// Ends all phones and the thread.
    pub fn stop(self) {
        self.stop.cancel();
        if self.thread.join().is_err() {
            tracing::error!("the thread of the simulated phones has failed");
        }
    }
}

/// Starts and ends phones as their numbers change.
async fn play_all(app: &Arc<App>, server: &Arc<OwnServer>) {
    let mut played: Vec<Played> = Vec::new();
    loop {
        let groups = app.simulated_phones.all();
        let is_present = |group: &Arc<PhoneGroup>| group.wanted() > 0 && group.is_present(&app.directory);
        groups.iter().filter(|group| !is_present(group)).for_each(|group| app.simulated_phones.remove(group));
        let present: Vec<_> = groups.into_iter().filter(is_present).collect();
        played.retain(|played| present.iter().any(|group| Arc::ptr_eq(group, &played.group)));
        for group in present {
            let place = played.iter().position(|played| Arc::ptr_eq(&played.group, &group)).unwrap_or_else(|| {
                played.push(Played { group: Arc::clone(&group), phones: Vec::new() });
                played.len() - 1
            });
            let phones = &mut played[place].phones;
            phones.truncate(group.wanted() as usize);
            while phones.len() < group.wanted() as usize {
                let task = phone::play(Arc::clone(app), Arc::clone(server), Arc::clone(&group));
                phones.push(AbortOnDropHandle::new(tokio::spawn(task)));
            }
        }
        let interval = async {
            match played.is_empty() {
                true => std::future::pending().await,
                false => tokio::time::sleep(CHECK_INTERVAL).await,
            }
        };
        // Both arms are cancel safe.
        tokio::select! {
            () = app.simulated_phones.changed.notified() => {}
            () = interval => {}
        }
    }
}
