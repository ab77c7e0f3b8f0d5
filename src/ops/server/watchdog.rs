//! The house as its supervisor watches it: who is asked whether they live, and how things stand in one line.

use crate::api::app::App;
use crate::base::threads::{PendingProbe, probe};
use crate::ops::server::Running;
use crate::ops::supervisor::watchdog::Watched;
use crate::sequencer::inbox::Inbox;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tokio::runtime::Handle;

/// The threads that the house cannot do without, to be asked, and the counts that tell how it fares.
pub struct House {
    app: Arc<App>,
    inbox: Inbox,
    workers: Vec<Handle>,
}

impl Running {
    /// What a watchdog asks; it outlives the house without keeping it open.
    pub fn watched(&self) -> House {
        House { inbox: self.app.inbox.clone(), workers: self.workers.runtimes().to_vec(), app: Arc::clone(&self.app) }
    }
}

impl Watched for House {
    fn silent_by(&self, deadline: Instant) -> Vec<String> {
        let worker = |(index, runtime): (usize, &Handle)| {
            probe(format!("worker-{index}"), |call| {
                // Let go of when the worker comes to run it, or at once when its runtime has ended.
                drop(runtime.spawn(async move { drop(call) }));
                true
            })
        };
        let mut called: Vec<PendingProbe> = self.workers.iter().enumerate().map(worker).collect();
        called.push(self.inbox.send_probe(deadline));
        called.extend(self.app.stages.call(deadline));
        called.into_iter().filter(|called| !called.answers_by(deadline)).map(|called| called.name).collect()
    }

    fn status(&self) -> String {
        let rooms = self.app.directory.all();
        let sockets: usize = rooms.iter().map(|room| room.census.total() as usize).sum();
        let participants: u64 = rooms.iter().map(|room| u64::from(room.snapshot().event.participant_count())).sum();
        let journal = if self.app.durable.load(Relaxed) { "kept" } else { "NOT WRITABLE" };
        format!("{} events, {participants} participants, {sockets} sockets, journal {journal}", rooms.len())
    }
}
