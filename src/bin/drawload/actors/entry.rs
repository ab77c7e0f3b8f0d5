//! The entries that phones make in the record of a run: one path for all of them.
//!
//! On an agent each is also sent to the coordinator, which makes it again in the one ledger, with
//! the time at which it happened.

use super::socket::{Failure, record_frame};
use crate::client::protocol::NO_EPOCH;
use crate::measure::connection_ledger::ABNORMAL_CLOSURE;
use crate::measure::latency::Wait;
use crate::measure::recorder::{Recorder, Registration};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// Something that happened to a phone or its socket. Times are those of the run.
#[derive(Clone, Serialize, Deserialize)]
pub enum Entry<'a> {
    /// The phone goes by the next address from now on.
    MovedOn,
    /// Something was sent this late, through the tester's own fault.
    Sent {
        late_us: u64,
    },
    /// A call ended.
    Call {
        wait: Wait,
        planned_us: u64,
        started_us: u64,
        failure: Option<CallFailure>,
    },
    /// The phone begins to register.
    Registering,
    /// It has ended, with a number or without.
    Registered(Option<Registration>),
    NumberChanged(String),
    AnswerWrong(String),
    /// Check-winner told the phone that its number has won.
    ToldWon(u32),
    /// The server acknowledged the details of a winner.
    Details {
        number: u32,
        draw: u32,
    },
    /// The phone begins to open its socket.
    Opening,
    Opened {
        planned_us: u64,
        started_us: u64,
        has_greeting: bool,
    },
    NotOpened {
        failure: Failure,
        why: String,
    },
    Frame(#[serde(borrow)] Cow<'a, str>),
    Ping,
    Pong {
        planned_us: u64,
        sent_us: u64,
        server_time: Option<Cow<'a, str>>,
    },
    /// The server or the network closed the socket.
    Dropped {
        code: u16,
    },
    /// The simulated network closed it; it is due back now.
    Disturbed,
    /// The tester dropped it in the storm.
    Departed {
        due_us: u64,
    },
    Closed,
    /// The phone misbehaves from now on.
    Vanished,
    /// The server evicted a phone that was to be slow, before or while it was.
    SlowEvicted,
    SlowKept,
}

/// A call that failed.
#[derive(Clone, Serialize, Deserialize)]
pub struct CallFailure {
    pub why: String,
    pub is_unreached: bool,
    pub is_refusal: bool,
}

impl Entry<'_> {
    /// Moves every time in it by so many microseconds, from another machine's clock to this one's.
    pub fn shifted(mut self, by_us: i64) -> Self {
        let mut shift = |us: &mut u64| *us = us.saturating_add_signed(by_us);
        match &mut self {
            Entry::Call { planned_us, started_us, .. } | Entry::Opened { planned_us, started_us, .. } => {
                [planned_us, started_us].into_iter().for_each(&mut shift);
            }
            Entry::Pong { planned_us, sent_us, .. } => [planned_us, sent_us].into_iter().for_each(&mut shift),
            Entry::Departed { due_us } => shift(due_us),
            _ => {}
        }
        self
    }
}

/// Makes an entry.
pub fn apply(recorder: &mut Recorder, index: usize, entry: Entry<'_>) {
    match entry {
        Entry::MovedOn => recorder.addresses.move_on(index),
        Entry::Sent { late_us } => recorder.tester.record_send(late_us),
        Entry::Call { wait, planned_us, started_us, failure } => {
            recorder.note_reached(index, !failure.as_ref().is_some_and(|failure| failure.is_unreached));
            recorder.counts.refused += u64::from(failure.as_ref().is_some_and(|failure| failure.is_refusal));
            let answer = failure.map_or(Ok(()), |failure| Err(failure.why));
            recorder.record_call(wait, Duration::from_micros(planned_us), started_us, &answer);
        }
        Entry::Registering => recorder.counts.registering += 1,
        Entry::Registered(registration) => {
            recorder.counts.registering -= 1;
            recorder.phones[index] = registration;
        }
        Entry::NumberChanged(changed) => recorder.numbers_changed.push(changed),
        Entry::AnswerWrong(wrong) => recorder.answers_wrong.push(wrong),
        Entry::ToldWon(number) => recorder.told_won.push((index, number)),
        Entry::Details { number, draw } => recorder.details.push((number, draw)),
        Entry::Frame(text) => drop(record_frame(recorder, index, &text)),
        Entry::Ping => recorder.connections.ping(index),
        Entry::Pong { planned_us, sent_us, server_time } => {
            recorder.record(Wait::Ping, planned_us, sent_us);
            if !recorder.record_server_time(index, sent_us, server_time.as_deref()) {
                recorder.ledger.record_invalid(index, "a pong without the server's time");
            }
        }
        Entry::SlowEvicted => recorder.counts.slow_evicted += 1,
        Entry::SlowKept => recorder.counts.slow_kept += 1,
        socket => apply_to_socket(recorder, index, socket),
    }
}

/// Makes an entry of a socket that opens or ends.
fn apply_to_socket(recorder: &mut Recorder, index: usize, entry: Entry<'_>) {
    let now_us = recorder.now_us();
    match entry {
        Entry::Opening => {
            recorder.counts.handshakes += 1;
            recorder.counts.opening += 1;
        }
        Entry::Opened { planned_us, started_us, has_greeting } => {
            recorder.counts.opening -= 1;
            recorder.counts.sockets += 1;
            recorder.note_reached(index, true);
            recorder.addresses.open(index, true);
            recorder.record(Wait::Handshake, planned_us, started_us);
            recorder.connections.open(index, now_us);
            if !has_greeting {
                let seq = recorder.ledger.highest;
                recorder.connections.greet(index, now_us, seq);
                recorder.ledger.sync(index, seq, NO_EPOCH);
                // The next frames are its own, as for one that was never away.
                let _ = recorder.ledger.mark_returned(index);
            }
        }
        Entry::NotOpened { failure: Failure::Disturbed, .. } => {
            recorder.counts.opening -= 1;
            recorder.counts.handshakes -= 1;
        }
        Entry::NotOpened { failure, why } => {
            recorder.counts.opening -= 1;
            recorder.counts.handshakes_failed += 1;
            recorder.counts.refused += u64::from(failure == Failure::Refused);
            recorder.note_reached(index, failure != Failure::Unreached);
            recorder.addresses.open(index, false);
            let name = recorder.ledger.name(index);
            recorder.record_failure("ws.handshake", &format!("{name}: {why}"));
        }
        _ => {
            recorder.counts.sockets -= 1;
            recorder.addresses.close(index);
            apply_to_end(recorder, index, &entry, now_us);
        }
    }
}

/// Makes an entry of a socket that ends.
fn apply_to_end(recorder: &mut Recorder, index: usize, entry: &Entry<'_>, now_us: u64) {
    match entry {
        Entry::Dropped { code } => {
            *recorder.drops.entry(*code).or_default() += 1;
            recorder.connections.close(index, *code);
            recorder.end_presence(index);
        }
        Entry::Disturbed => {
            recorder.connections.close(index, ABNORMAL_CLOSURE);
            recorder.ledger.depart(index, now_us);
        }
        Entry::Departed { due_us } => {
            recorder.ledger.depart(index, *due_us);
            recorder.end_presence(index);
        }
        Entry::Vanished => {
            recorder.ledger.vanish(index);
            recorder.connections.vanish(index);
        }
        _ => {}
    }
}
