//! What falls due without anybody asking: announcements, counts, the journal's upkeep, and the end of old events.

use crate::draw::command::Command;
use crate::draw::fact::Cause;
use crate::draw::{Actor, EventId, Timestamp};
use crate::live::reactor::Publication;
use crate::live::{CloseCode, Role};
use crate::sequencer::Sequencer;
use crate::sequencer::batch::unless_fatal;
use crate::sequencer::inbox::{Rejection, Request, Responder};
use crate::store::JournalError;
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
pub(super) struct Timers {
    probe_at: Instant,
    sweep_at: Instant,
    /// When the journal's log is to be folded in; none: it is.
    fold_at: Option<Instant>,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self { probe_at: now, sweep_at: now + SWEEP_EVERY, fold_at: None }
    }
}

impl Sequencer {
    /// Looks at everything that may have fallen due. Says whether there is more to come: counts that move, or a draw that waits.
    pub(super) fn tick(&mut self) -> bool {
        let now = Instant::now();
        self.announce_due(now);
        let has_told = self.tell_counts(now);
        self.look_after_journal(now);
        if now >= self.deadlines.sweep_at {
            self.deadlines.sweep_at = now + SWEEP_EVERY;
            self.sweep();
        }
        has_told || self.halls.values().any(|hall| hall.unannounced.is_some())
    }

    /// Announces every draw that has waited long enough, or that has no display to wait for. While nothing can be committed it waits for the probe.
    fn announce_due(&mut self, now: Instant) {
        if !self.durable.load(Relaxed) {
            return;
        }
        let now_ms = crate::base::clock::wall_clock().0;
        let due = self.halls.iter().filter_map(|(id, hall)| {
            let (draw, since) = hall.unannounced?;
            let has_display = hall.room.as_ref()?.connections.has_display(now_ms, DISPLAY_GRACE.as_millis() as i64);
            let waited = now.saturating_duration_since(since);
            let cause = match has_display {
                false => Cause::NoDisplay,
                true if waited >= self.limits.announce_after => Cause::Deadline,
                true => return None,
            };
            let command = Command::Announce { draw, cause };
            Some(Request::Command { event: id.clone(), actor: Actor::Clock, command, details: None, reply: Responder::Nobody })
        });
        let due: Vec<_> = due.collect();
        if !due.is_empty() {
            self.round(due);
        }
    }

    /// Tells counts that have changed. Says whether there were any.
    fn tell_counts(&mut self, now: Instant) -> bool {
        let mut has_told = false;
        for publication in self.halls.values_mut().filter_map(|hall| hall.publish_counts(now)) {
            self.stages.publish(Arc::new(publication));
            has_told = true;
        }
        has_told
    }

    fn look_after_journal(&mut self, now: Instant) {
        if !self.durable.load(Relaxed) && now >= self.deadlines.probe_at {
            self.deadlines.probe_at = now + PROBE_EVERY;
            if unless_fatal(self.journal.probe()).is_ok() {
                self.note_commit(true);
            }
        }
        if self.deadlines.fold_at.is_some_and(|fold_at| now >= fold_at) {
            self.deadlines.fold_at = None;
            if let Err(error) = unless_fatal(self.journal.checkpoint()) {
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
        let before = |age: Duration| Timestamp(now.0.saturating_sub(age.as_millis() as i64));
        if let Err(error) = unless_fatal(self.journal.purge_details(before(self.limits.details_ttl))) {
            tracing::warn!(%error, "old winner details could not be purged");
        }
        let bound = before(self.limits.event_ttl);
        let old = self.halls.iter().filter(|(_, hall)| hall.state.event.changed_at < bound);
        let old: Vec<_> = old.map(|(id, _)| id.clone()).collect();
        for id in old {
            match self.delete(&id) {
                Ok(()) => tracing::info!(event = %id, "an old event was deleted"),
                Err(Rejection::EventInUse) => {}
                Err(error) => tracing::warn!(event = %id, %error, "an old event could not be deleted"),
            }
        }
    }

    /// Serves what is neither a command nor an opening.
    pub(super) fn serve_aside(&mut self, order: Request) {
        match order {
            Request::Delete { event, reply } => drop(reply.send(self.delete(&event))),
            Request::ReadDetails { event, after, limit, reply } => {
                let read = || self.journal.details_after(&event, after, limit).map_err(unreadable);
                let details = self.known(&event).and_then(|()| read());
                drop(reply.send(details));
            }
            Request::DropDetails { event, reply } => {
                let dropped = self.known(&event).and_then(|()| {
                    unless_fatal(self.journal.drop_details(&event)).map_err(|error| {
                        self.note_failure(&error, 0);
                        Rejection::NotDurable
                    })
                });
                drop(reply.send(dropped));
            }
            Request::ReadAudit { event, before, limit, reply } => {
                let lines = self.known(&event).and_then(|()| self.journal.audit(&event, before, limit).map_err(unreadable));
                drop(reply.send(lines));
            }
            Request::Answer(call) => drop(call),
            Request::Command { .. } | Request::Open { .. } | Request::Stop => unreachable!("a round serves these itself"),
        }
    }

    /// Deletes an event and its rows, with a copy of the journal made first. Never under a connected display or console.
    fn delete(&mut self, id: &EventId) -> Result<(), Rejection> {
        let hall = self.halls.get(id).ok_or(Rejection::NoSuchEvent)?;
        let Some(room) = hall.room.clone() else { return Err(Rejection::NoSuchEvent) };
        if room.connections.connected(Role::Display) + room.connections.connected(Role::Admin) > 0 {
            return Err(Rejection::EventInUse);
        }
        self.journal.copy_before_deletion(&self.limits.backups_dir, id, self.clock.now()).map_err(uncopied)?;
        unless_fatal(self.journal.delete_event(id)).map_err(|error| {
            self.note_failure(&error, 0);
            Rejection::NotDurable
        })?;
        self.halls.remove(id);
        self.directory.remove(id.as_str());
        let snapshot = room.snapshot();
        let closes = Some(CloseCode::NoSuchEvent);
        self.stages.publish(Arc::new(Publication {
            room,
            snapshot,
            frames: Default::default(),
            announces: None,
            closes,
            reauthenticate: Default::default(),
        }));
        Ok(())
    }

    fn known(&self, event: &EventId) -> Result<(), Rejection> {
        self.halls.contains_key(event).then_some(()).ok_or(Rejection::NoSuchEvent)
    }
}

fn uncopied(error: JournalError) -> Rejection {
    tracing::error!(%error, "nothing is deleted without a copy, and none could be made");
    Rejection::NotDurable
}

fn unreadable(error: impl std::error::Error) -> Rejection {
    tracing::error!(%error, "the journal could not be read");
    Rejection::NotDurable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Status;
    use crate::sequencer::testing::*;

    #[test]
    fn counts_are_told_though_nothing_else_happens() {
        let mut desk = Desk::open();
        let mut phone = desk.phone();
        assert!(desk.writer.tick(), "counts that moved may move on");
        phone.until(br#""connection_count","count":1}"#);
        assert!(!desk.writer.tick(), "all is told");
    }

    #[test]
    fn each_draw_waits_its_own_time_for_its_announcement() {
        let mut desk = Desk::open();
        let registrations = [desk.claim(1), desk.claim(2)].map(|command| order(GALA, command));
        desk.serve(registrations);
        let start = Instant::now();
        desk.serve([order(GALA, Command::DrawAtOnce(wish("TV")))]).remove(0).unwrap();
        let (first, _) = desk.hall().unannounced.unwrap();
        desk.hall().unannounced = Some((first, start - Duration::from_secs(9)));
        desk.serve([order(GALA, Command::DrawAtOnce(wish("Car")))]).remove(0).unwrap();
        let announced = |desk: &Desk| {
            let drawn = desk.room().snapshot();
            drawn.event.draws().map(|draw| draw.status() == Status::Announced).collect::<Vec<_>>()
        };
        desk.writer.announce_due(start + Duration::from_secs(5));
        assert_eq!(announced(&desk), [true, false], "the first by the second, which has not waited yet");
        desk.writer.announce_due(Instant::now() + Duration::from_secs(10));
        assert_eq!(announced(&desk), [true, true]);
    }

    #[test]
    fn an_announcement_that_cannot_be_kept_waits_for_the_disk() {
        let mut desk = Desk::open();
        let registration = order(GALA, desk.claim(1));
        desk.serve([registration, order(GALA, Command::DrawAtOnce(wish("TV")))]);
        desk.writer.durable.store(false, Relaxed);
        let due = Instant::now() + Duration::from_secs(20);
        desk.writer.announce_due(due);
        assert!(desk.hall().unannounced.is_some());
        desk.writer.look_after_journal(due);
        desk.writer.announce_due(due);
        assert!(desk.hall().unannounced.is_none(), "the journal was found to take writes again, without anybody's help");
    }
}
