//! Work that the writer does without a request: announcements, counts, the journal's upkeep, and
//! the end of old events.

use crate::base::clock::monotonic_ms;
use crate::draw::command::Command;
use crate::draw::{Actor, DrawId};
use crate::sequencer::deletion::DeletionCause;
use crate::sequencer::event_state::EventState;
use crate::sequencer::inbox::{Request, Responder};
use crate::sequencer::timers::{AnnouncementPlan, DISPLAY_GRACE, announcement_cause};
use crate::sequencer::{Sequencer, exit_if_fatal};
use crate::store::journal::{Checkpoint, PURGED_MAX};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

impl Sequencer {
    /// Does everything that is due at `now`; true while counts move or a draw waits for its
    /// announcement.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        self.announce_due(now);
        let counts_moved = self.publish_counts(now);
        self.probe_journal(now);
        if self.timers.fire_checkpoint(now) {
            self.checkpoint("the journal's log could not be folded in", now);
            self.journal.reserve_log();
        }
        if self.timers.fire_sweep(now) {
            self.sweep();
        }
        if self.timers.fire_clock(now) {
            self.save_clock();
        }
        self.advance_deletions();
        counts_moved || self.is_deleting() || self.events.values().any(|event| event.unannounced.is_some())
    }

    /// Announces every draw that has waited long enough, or that has no display to wait for.
    ///
    /// While the journal takes no write, draws wait for [`Self::probe_journal`] instead of failing
    /// at each tick.
    fn announce_due(&mut self, now: Instant) {
        if !self.durable.load(Relaxed) {
            return;
        }
        let now_ms = monotonic_ms();
        let due = self.events.iter().filter_map(|(id, event)| {
            let (draw, since) = event.unannounced?;
            let has_display = event.room.as_ref()?.connections.has_display(now_ms, DISPLAY_GRACE.as_millis() as i64);
            let plan = AnnouncementPlan { show_end: self.show_end(event, draw), deadline: self.limits.announce_after };
            let cause = announcement_cause(now.saturating_duration_since(since), &plan, has_display)?;
            let command = Command::Announce { draw, cause };
            Some(Request::Command { event: id.clone(), actor: Actor::Clock, command, reply: Responder::Discard })
        });
        let due: Vec<_> = due.collect();
        if !due.is_empty() {
            self.serve(due);
        }
    }

    /// Time from a draw's reveal to its announcement, which comes shortly before the planned end of
    /// its show.
    fn show_end(&self, event: &EventState, draw: DrawId) -> Option<Duration> {
        let length_ms = event.working.event.draw(draw)?.show_length_ms()?;
        Some(Duration::from_millis(length_ms as u64).saturating_sub(self.limits.announce_early))
    }

    /// The time after `now` at which the next planned show is announced.
    pub(super) fn next_show_end(&self, now: Instant) -> Option<Instant> {
        let end = |event: &EventState| {
            let (draw, since) = event.unannounced?;
            Some(since + self.show_end(event, draw)?)
        };
        self.events.values().filter_map(end).filter(|end| *end > now).min()
    }

    /// Publishes the counts that have changed; false when there were none.
    fn publish_counts(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for publication in self.events.values_mut().filter_map(|event| event.publish_counts(now)) {
            self.reactors.publish(Arc::new(publication));
            moved = true;
        }
        moved
    }

    /// Keeps what the next process needs to know about the wall clock. Left out while the journal
    /// takes no write: the next process then trusts the clock later.
    pub(super) fn save_clock(&mut self) {
        if exit_if_fatal(self.journal.save_clock(self.clock.record())).is_ok() {
            self.note_write();
        }
    }

    /// Tries to write to a journal that took no write.
    fn probe_journal(&mut self, now: Instant) {
        if !self.durable.load(Relaxed) && self.timers.fire_probe(now) && exit_if_fatal(self.journal.probe()).is_ok() {
            self.note_write();
        }
    }

    /// Folds the journal's log into its file, or warns with `warning`: nothing committed is lost by
    /// a failed checkpoint. One that did not empty the log stays due.
    pub(super) fn checkpoint(&mut self, warning: &'static str, now: Instant) {
        let cause = match exit_if_fatal(self.journal.checkpoint()) {
            Ok(Checkpoint::Done) => return,
            Ok(Checkpoint::HeldUp) => "a reader or another program holds it up".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(cause, "{warning}");
        self.timers.restart_checkpoint(now);
    }

    /// Deletes old details, and begins to delete old events, as far as the wall clock is trusted;
    /// an event with a socket connected is not old.
    pub(super) fn sweep(&mut self) {
        if let Some(due) = self.clock.cutoff(self.limits.details_ttl) {
            let purged = exit_if_fatal(self.journal.purge_details(due));
            // Copies follow the journal, so that one place decides what is old.
            purged.as_ref().iter().for_each(|rows| self.details_purged.note(due, **rows));
            match purged {
                Ok(0) => {}
                Ok(rows) => {
                    // Their checkpoint may have been held up, and more rows may be due.
                    self.timers.restart_checkpoint(Instant::now());
                    if rows == PURGED_MAX {
                        self.timers.hasten_sweep(Instant::now());
                    }
                }
                Err(error) => tracing::warn!(%error, "old winner details could not be purged"),
            }
        }
        let Some(bound) = self.clock.cutoff(self.limits.event_ttl) else { return };
        let is_old = |event: &EventState| event.working.event.changed_at < bound && !event.is_ending;
        let old: Vec<_> = self.events.iter().filter(|(_, event)| is_old(event)).map(|(id, _)| id.clone()).collect();
        old.into_iter().for_each(|id| self.begin_deletion(id, DeletionCause::Expired));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::command::Show;
    use crate::draw::{DrawRequest, Mode, Status, Timestamp};
    use crate::sequencer::testing::*;

    #[test]
    fn counts_are_published_without_any_request() {
        let mut server = TestSequencer::open();
        let mut phone = server.phone();
        assert!(server.sequencer.tick(Instant::now()), "counts that moved may move on");
        phone.read_until(br#""connection_count","count":1}"#);
        assert!(!server.sequencer.tick(Instant::now()), "everything is sent");
    }

    #[test]
    fn each_draw_waits_its_own_time_for_its_announcement() {
        let mut server = TestSequencer::open();
        let registrations = [server.claim(1), server.claim(2)].map(|command| command_request(GALA, command));
        server.serve(registrations);
        let start = Instant::now();
        server.serve([command_request(GALA, Command::DrawAtOnce(draw_request("TV")))]).remove(0).unwrap();
        let (first, _) = server.event().unannounced.unwrap();
        server.event().unannounced = Some((first, start - Duration::from_secs(9)));
        server.serve([command_request(GALA, Command::DrawAtOnce(draw_request("Car")))]).remove(0).unwrap();
        let announced = |server: &TestSequencer| {
            let snapshot = server.room().snapshot();
            snapshot.event.draws().map(|draw| draw.status() == Status::Announced).collect::<Vec<_>>()
        };
        server.sequencer.announce_due(start + Duration::from_secs(5));
        assert_eq!(announced(&server), [true, false], "the second announced the first, and has not waited yet");
        server.sequencer.announce_due(Instant::now() + Duration::from_secs(10));
        assert_eq!(announced(&server), [true, true]);
    }

    #[test]
    fn a_planned_show_is_announced_shortly_before_its_end() {
        let mut server = TestSequencer::open();
        let registration = command_request(GALA, server.claim(1));
        let slot = DrawRequest { mode: Some(Mode::Slot), winner_count: Some(1), ..draw_request("TV") };
        server.serve([registration, command_request(GALA, Command::Start(slot))]);
        server.serve([command_request(GALA, Command::Reveal(Show::Planned))]).remove(0).unwrap();
        let (draw, revealed_at) = server.event().unannounced.unwrap();
        server.sequencer.announce_due(revealed_at + Duration::from_millis(4_599));
        assert!(server.event().unannounced.is_some(), "the show goes on");
        server.sequencer.announce_due(revealed_at + Duration::from_millis(4_600));
        assert!(server.event().unannounced.is_none());
        assert!(server.room().snapshot().event.draw(draw).unwrap().show_at.is_some(), "phones hold the winners until then");
    }

    #[test]
    fn an_announcement_that_cannot_be_committed_waits_for_the_disk() {
        let mut server = TestSequencer::open();
        let registration = command_request(GALA, server.claim(1));
        server.serve([registration, command_request(GALA, Command::DrawAtOnce(draw_request("TV")))]);
        server.sequencer.durable.store(false, Relaxed);
        let due = Instant::now() + Duration::from_secs(20);
        server.sequencer.announce_due(due);
        assert!(server.event().unannounced.is_some());
        server.sequencer.probe_journal(due);
        server.sequencer.announce_due(due);
        assert!(server.event().unannounced.is_none(), "the probe found the journal writable without any request");
    }

    #[test]
    fn an_old_event_is_deleted_once_no_socket_is_connected() {
        let mut server = TestSequencer::open();
        server.serve([open_request("young")]).remove(0).unwrap();
        server.age(2 * EVENT_TTL);
        server.sequencer.events.get_mut("young").unwrap().working.event.changed_at = server.sequencer.clock.wall();
        for peer in [server.console(), server.phone()] {
            server.sequencer.sweep();
            server.finish_deletions();
            assert!(server.directory.find(GALA).is_some(), "somebody still uses it");
            drop(peer);
        }
        server.wait_until(|server| server.room().connections.total() == 0);
        server.sequencer.sweep();
        server.finish_deletions();
        assert!(server.directory.find(GALA).is_none() && server.directory.find("young").is_some());
    }

    #[test]
    fn a_checkpoint_that_a_reader_holds_up_stays_due() {
        let mut server = TestSequencer::with_participant();
        let reader = server.reader();
        server.serve([command_request(GALA, Command::Standby(draw_request("TV")))]).remove(0).unwrap();
        let due = Instant::now() + Duration::from_secs(60);
        server.sequencer.tick(due);
        assert!(server.has_log(), "the reader still uses the log");
        drop(reader);
        server.sequencer.tick(due + Duration::from_secs(60));
        assert!(!server.has_log());
    }

    #[test]
    fn details_are_purged_when_they_are_old() {
        let mut server = TestSequencer::open();
        let draw = server.announce_draw("TV");
        server.serve([details_request(GALA, 1, draw, "Kim")]).remove(0).unwrap();
        server.sequencer.sweep();
        assert_eq!(server.sequencer.journal.details(&id(GALA)).unwrap().len(), 1);
        assert_eq!(server.sequencer.details_purged().take_rows(), 0);
        server.age(DETAILS_TTL + Duration::from_secs(600));
        server.sequencer.sweep();
        assert_eq!(server.sequencer.journal.details(&id(GALA)).unwrap(), []);
        let purged = server.sequencer.details_purged();
        let due = server.sequencer.clock.cutoff(DETAILS_TTL).unwrap();
        assert_eq!((purged.before(), purged.take_rows()), (due, 1), "copies follow");
        assert!(server.directory.find(GALA).is_some(), "the event outlives the details");
    }

    /// Sweeps, and returns whether the event is left, and whether its details are.
    fn left_after_sweep(server: &mut TestSequencer) -> (bool, bool) {
        server.sequencer.sweep();
        server.finish_deletions();
        let has_details = server.sequencer.journal.details(&id(GALA)).is_ok_and(|details| !details.is_empty());
        let purged_before = server.sequencer.details_purged().before();
        assert_eq!(purged_before == Timestamp(i64::MIN), has_details, "copies are told of a purge, and of nothing else");
        (server.directory.find(GALA).is_some(), has_details)
    }

    /// A server with a winner's details.
    fn server_with_details() -> TestSequencer {
        let mut server = TestSequencer::open();
        let draw = server.announce_draw("TV");
        server.serve([details_request(GALA, 1, draw, "Kim")]).remove(0).unwrap();
        server
    }

    /// Lets an event end as it should: details by their age, the event once its socket is gone.
    fn check_the_end(server: &mut TestSequencer, phone: TestPeer) {
        server.age(DETAILS_TTL + Duration::from_secs(600));
        assert_eq!(left_after_sweep(server), (true, false), "the details have had their time");
        server.age(EVENT_TTL);
        assert_eq!(left_after_sweep(server), (true, false), "a phone is connected");
        drop(phone);
        server.wait_until(|server| server.room().connections.total() == 0);
        assert_eq!(left_after_sweep(server), (false, false), "and the event has had its time too");
    }

    #[test]
    fn a_wall_clock_that_jumps_deletes_nothing_until_the_time_has_really_passed() {
        let mut server = server_with_details();
        let phone = server.phone();
        for by in [40 * 86_400, -80 * 86_400, 40 * 86_400] {
            server.jump(by);
            assert_eq!(left_after_sweep(&mut server), (true, true), "{by} s: everything is held");
            server.sequencer.clock.confirm();
            assert_eq!(left_after_sweep(&mut server), (true, true), "{by} s: no time has passed");
        }
        check_the_end(&mut server, phone);
    }

    #[test]
    fn a_start_with_a_wrong_clock_and_its_correction_delete_nothing() {
        for by in [40 * 86_400, -40 * 86_400] {
            let mut server = server_with_details();
            server.sequencer.save_clock();
            let mut server = server.restart_at(by);
            let phone = server.phone();
            assert_eq!(left_after_sweep(&mut server), (true, true), "{by} s");
            server.age(Duration::from_secs(600));
            server.jump(-by);
            assert_eq!(left_after_sweep(&mut server), (true, true), "{by} s, corrected");
            server.sequencer.clock.confirm();
            assert_eq!(left_after_sweep(&mut server), (true, true), "{by} s, confirmed: no time has passed");
            check_the_end(&mut server, phone);
        }
    }

    #[test]
    fn facts_follow_a_clock_that_is_set_right() {
        let hours = 9 * 3_600;
        let mut server = TestSequencer::open().restart_at(hours);
        server.register(1);
        let ahead = server.event().working.event.changed_at;
        server.jump(-hours);
        server.register(2);
        let after = server.event().working.event.changed_at;
        assert_eq!((ahead.0 - after.0) / 1_000, hours, "no fact is stamped with a time that is still to come");
        assert_eq!(after, server.sequencer.clock.wall());
    }

    #[test]
    fn a_day_of_steady_clock_confirms_it_too() {
        let mut server = server_with_details();
        server.jump(40 * 86_400);
        for _ in 0..23 {
            assert_eq!(left_after_sweep(&mut server), (true, true));
            server.age(Duration::from_secs(3_600));
        }
        server.age(Duration::from_secs(3_600));
        assert_eq!(left_after_sweep(&mut server), (false, false), "both have had their time since the jump");
    }
}
