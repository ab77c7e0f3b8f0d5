//! What falls due without anybody asking: announcements, counts, the journal's upkeep, and the end of old events.

use super::Sequencer;
use super::batch::die;
use super::inbox::{Denial, Order, Reply};
use crate::draw::command::Command;
use crate::draw::fact::Cause;
use crate::draw::{Actor, EventId, Moment};
use crate::live::snapshot::Publication;
use crate::live::{CloseCode, Role};
use crate::store::CommitError;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// An announcement waits for no display when none has been there for so long.
const DISPLAY_GRACE: Duration = Duration::from_secs(30);
/// How often an unwritable journal is tried again.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// The journal's log is folded into its file after so long without a commit.
const QUIET: Duration = Duration::from_secs(5);
/// How often old events and old details are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// When what is done next.
#[derive(Debug)]
pub(super) struct Deadlines {
    probe_at: Instant,
    sweep_at: Instant,
    /// When the journal's log is to be folded in; none: it is.
    fold_at: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(now: Instant) -> Self {
        Self { probe_at: now, sweep_at: now + SWEEP_EVERY, fold_at: None }
    }
}

impl Sequencer {
    /// Looks at everything that may have fallen due.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.announce_due(now);
        self.tell_counts(now);
        self.look_after_journal(now);
        if now >= self.deadlines.sweep_at {
            self.deadlines.sweep_at = now + SWEEP_EVERY;
            self.sweep();
        }
    }

    /// Announces every draw that has waited long enough, or that has no display to wait for.
    fn announce_due(&mut self, now: Instant) {
        let now_ms = super::wall_clock().0;
        let due = self.halls.iter().filter_map(|(id, hall)| {
            let draw = hall.state.event.unannounced()?.id;
            let has_display = hall.room.as_ref()?.census.has_display(now_ms, DISPLAY_GRACE.as_millis() as i64);
            let waited = now.duration_since(hall.unannounced_since?);
            let cause = match has_display {
                false => Cause::NoDisplay,
                true if waited >= self.limits.announce_after => Cause::Deadline,
                true => return None,
            };
            let command = Command::Announce { draw, cause };
            Some(Order::Command { event: id.clone(), actor: Actor::Clock, command, details: None, reply: Reply::Nobody })
        });
        let due: Vec<_> = due.collect();
        if !due.is_empty() {
            self.round(due);
        }
    }

    fn tell_counts(&mut self, now: Instant) {
        for publication in self.halls.values_mut().filter_map(|hall| hall.publish_counts(now)) {
            self.stages.publish(Arc::new(publication));
        }
    }

    fn look_after_journal(&mut self, now: Instant) {
        if !self.durable.load(Relaxed) && now >= self.deadlines.probe_at {
            self.deadlines.probe_at = now + PROBE_EVERY;
            match self.journal.probe() {
                Ok(()) => self.note_commit(true),
                Err(CommitError::Fatal(error)) => die(&error),
                Err(CommitError::NotDurable(_)) => {}
            }
        }
        if self.deadlines.fold_at.is_some_and(|fold_at| now >= fold_at) {
            self.deadlines.fold_at = None;
            if let Err(error) = self.journal.checkpoint() {
                tracing::warn!(%error, "the journal's log could not be folded in");
            }
        }
    }

    /// A commit went through: the journal can be written, and is to be looked after once it is quiet.
    pub(super) fn note_commit(&mut self, wrote: bool) {
        if wrote {
            self.deadlines.fold_at = Some(Instant::now() + QUIET);
            if !self.durable.swap(true, Relaxed) {
                tracing::info!("the journal can be written again");
            }
        }
    }

    /// Lets old details and old events go; an event with a display or console connected is not old.
    fn sweep(&mut self) {
        let now = self.clock.now();
        let before = |age: Duration| Moment(now.0.saturating_sub(age.as_millis() as i64));
        if let Err(error) = self.journal.purge_details(before(self.limits.details_ttl)) {
            tracing::warn!(%error, "old winner details could not be purged");
        }
        let bound = before(self.limits.event_ttl);
        let old = self.halls.iter().filter(|(_, hall)| hall.state.event.changed_at < bound);
        let old: Vec<_> = old.map(|(id, _)| id.clone()).collect();
        for id in old {
            match self.delete(&id) {
                Ok(()) => tracing::info!(event = %id, "an old event was deleted"),
                Err(Denial::EventInUse) => {}
                Err(error) => tracing::warn!(event = %id, %error, "an old event could not be deleted"),
            }
        }
    }

    /// Serves what is neither a command nor an opening.
    pub(super) fn serve_aside(&mut self, order: Order) {
        match order {
            Order::Delete { event, reply } => drop(reply.send(self.delete(&event))),
            Order::ReadDetails { event, reply } => {
                let details = self.known(&event).and_then(|()| self.journal.details(&event).map_err(unreadable));
                drop(reply.send(details));
            }
            Order::ReadAudit { event, before, limit, reply } => {
                let lines = self.known(&event).and_then(|()| self.journal.audit(&event, before, limit).map_err(unreadable));
                drop(reply.send(lines));
            }
            Order::Command { .. } | Order::Open { .. } | Order::Stop => unreachable!("a round serves these itself"),
        }
    }

    /// Deletes an event and its rows, with a copy of the journal made first. Never under a connected display or console.
    fn delete(&mut self, id: &EventId) -> Result<(), Denial> {
        let hall = self.halls.get(id).ok_or(Denial::NoSuchEvent)?;
        let in_use =
            |room: &crate::live::room::Room| room.census.connected(Role::Display) + room.census.connected(Role::Admin) > 0;
        let Some(room) = hall.room.clone() else { return Err(Denial::NoSuchEvent) };
        if in_use(&room) {
            return Err(Denial::EventInUse);
        }
        let copy = self.limits.backups_dir.join(format!("before-delete-{id}-{}.sqlite", self.clock.now().0));
        self.journal.backup(&copy).map_err(unwritable)?;
        self.journal.delete_event(id).map_err(unwritable)?;
        self.halls.remove(id);
        self.directory.remove(id.as_str());
        let snapshot = room.snapshot();
        let closes = Some(CloseCode::NoSuchEvent);
        self.stages.publish(Arc::new(Publication { room, snapshot, frames: Default::default(), announces: None, closes }));
        Ok(())
    }

    fn known(&self, event: &EventId) -> Result<(), Denial> {
        self.halls.contains_key(event).then_some(()).ok_or(Denial::NoSuchEvent)
    }
}

fn unwritable(error: impl std::error::Error) -> Denial {
    tracing::error!(%error, "the journal could not be written");
    Denial::NotDurable
}

fn unreadable(error: impl std::error::Error) -> Denial {
    tracing::error!(%error, "the journal could not be read");
    Denial::NotDurable
}
