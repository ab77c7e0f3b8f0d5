//! Counts on their way to sockets: registrations and connections, merged.
//!
//! Sent one by one, 300 arriving phones would cost 300 × 300 frames. Merging bounds the cost by a
//! budget of frames per second, whatever the number of sockets. Displays are few, so they get each
//! number by itself while numbers come slowly.

use crate::draw::Number;
use crate::live::{ByRole, Role};
use crate::wire::frame::{self, ConnectionTotals};
use crate::wire::join_frames;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Count frames per second that all sockets of a role share.
const FRAMES_PER_S: u32 = 1_000;
/// Shortest interval between two updates, which a single socket gets. A phone shows the number of
/// participants in small print: each update costs a send per phone, so they are rare.
const PHONE_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// The same for displays and consoles: lively.
const OPERATOR_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Credit that a long silence saves up: an update that costs no more goes out at once.
const CREDIT_MAX: Duration = Duration::from_secs(5);
/// The most new numbers that displays and consoles get one by one; more go as one list.
const SINGLE_FRAMES_MAX: usize = 4;
/// The most new numbers that a list names. Those before them are in the total.
const NUMBERS_MAX: usize = 64;

/// The counts that each role was sent, and when it may be sent more.
#[derive(Debug)]
pub(super) struct CountUpdates {
    sent: ByRole<Sent>,
}

#[derive(Debug)]
struct Sent {
    participants: u32,
    connections: ConnectionTotals,
    /// Set when peers that joined since the last update may have been greeted with another count of
    /// connections.
    is_stale: bool,
    /// Numbers registered since the last update, the latest [`NUMBERS_MAX`].
    registered: Vec<Number>,
    /// The time since when there has been something to send.
    pending_since: Option<Instant>,
    /// The last update: its time and its frames.
    last: Option<(Instant, u32)>,
}

impl CountUpdates {
    /// Updates of an event whose participants so far are known to everyone.
    pub fn new(participants: u32) -> Self {
        Self {
            sent: ByRole::from_fn(|role| Sent {
                participants,
                connections: ConnectionTotals { sockets: 0, phones: Some(0) }.told_to(role),
                is_stale: false,
                registered: Vec::new(),
                pending_since: None,
                last: None,
            }),
        }
    }

    /// Adds a new number to the next update.
    pub fn add_number(&mut self, number: Number) {
        for sent in &mut self.sent.0 {
            if sent.registered.len() == NUMBERS_MAX {
                sent.registered.remove(0);
            }
            sent.registered.push(number);
        }
    }

    /// Notes the count of connections that peers are greeted with from now on.
    ///
    /// A peer that leaves and comes back leaves the total as it was, but its greeting may name the
    /// count in between.
    pub fn note_greeting(&mut self, connections: ConnectionTotals) {
        Role::ALL
            .into_iter()
            .for_each(|role| self.sent[role].is_stale |= self.sent[role].connections != connections.told_to(role));
    }

    /// Forgets the numbers of the next update: a reset made them void.
    pub fn forget_numbers(&mut self) {
        self.sent.0.iter_mut().for_each(|sent| sent.registered.clear());
    }

    /// The frames that are due at `now`, for each role whose counts have changed and whose interval
    /// is over.
    pub fn due(
        &mut self,
        now: Instant,
        participants: u32,
        connections: ConnectionTotals,
        sockets: impl Fn(Role) -> u32,
    ) -> ByRole<Option<Bytes>> {
        ByRole::from_fn(|role| {
            let (sent, sockets, connections) = (&mut self.sent[role], sockets(role), connections.told_to(role));
            // Without a socket nothing counts as sent: a peer that joins now is greeted from its
            // reactor's snapshot, which may be older than these counts.
            if sockets == 0 || !sent.is_due(now, participants, connections, |frames| update_interval(role, sockets, frames)) {
                return None;
            }
            let frames = sent.update(participants, connections, role);
            (sent.last, sent.pending_since) = (Some((now, frames.len() as u32)), None);
            Some(join_frames(&frames))
        })
    }
}

impl Sent {
    /// True when something is to be sent and the interval is over for as many frames as the last
    /// update took.
    fn is_due(
        &mut self,
        now: Instant,
        participants: u32,
        connections: ConnectionTotals,
        interval: impl Fn(u32) -> Duration,
    ) -> bool {
        let is_current = self.participants == participants && self.connections == connections;
        if is_current && self.registered.is_empty() && !self.is_stale {
            self.pending_since = None;
            return false;
        }
        let since = *self.pending_since.get_or_insert(now);
        let interval = interval(self.last.map_or(1, |(_, frames)| frames));
        now >= since + interval.saturating_sub(CREDIT_MAX) && self.last.is_none_or(|(at, _)| now >= at + interval)
    }

    /// The frames that bring the role up to date; from now on they count as sent.
    fn update(&mut self, participants: u32, connections: ConnectionTotals, role: Role) -> Vec<Bytes> {
        let mut frames = Vec::new();
        if self.participants != participants || !self.registered.is_empty() {
            match self.registered.len() {
                few @ 1..=SINGLE_FRAMES_MAX if role != Role::Phone => {
                    let before = participants.saturating_sub(few as u32);
                    let numbered = self.registered.iter().zip(before + 1..);
                    frames.extend(numbered.map(|(number, total)| frame::participant_joined(total, &[*number])));
                }
                _ => frames.push(frame::participant_joined(participants, &self.registered)),
            }
            self.registered.clear();
            self.participants = participants;
        }
        if self.connections != connections || self.is_stale {
            frames.push(frame::connection_count(connections));
            self.connections = connections;
            self.is_stale = false;
        }
        frames
    }
}

/// The interval after an update of so many frames, by the sockets that would get the next one. An
/// edge keeps to it as well.
///
/// The sockets of the last update would not do: a venue that fills up in a second would get an
/// update midway, at the price of the few sockets that were there, while its handshakes wait.
pub fn update_interval(role: Role, sockets: u32, frames: u32) -> Duration {
    let least = if role == Role::Phone { PHONE_INTERVAL_MIN } else { OPERATOR_INTERVAL_MIN };
    let budgeted = Duration::from_secs(1) * sockets * frames / FRAMES_PER_S;
    budgeted.max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(frames: &Option<Bytes>) -> String {
        String::from_utf8_lossy(frames.as_ref().expect("frames are due")).into_owned()
    }

    /// So many sockets, each of a phone with a number.
    fn sockets_and_phones(count: u32) -> ConnectionTotals {
        ConnectionTotals { sockets: count, phones: Some(count) }
    }

    /// Registers one number per `gap` for a minute, and counts the frames that `sockets` phones and
    /// two displays get.
    fn frames_in_a_minute(sockets: u32, gap: Duration) -> (usize, usize) {
        let start = Instant::now();
        let mut counts = CountUpdates::new(0);
        let (mut phones, mut displays) = (0, 0);
        for step in 1..(60_000 / gap.as_millis() as u32) {
            counts.add_number(Number(step));
            let due = counts
                .due(start + gap * step, step, sockets_and_phones(step), |role| if role == Role::Phone { sockets } else { 2 });
            let count = |frames: &Option<Bytes>| frames.as_ref().map_or(0, |b| b.windows(6).filter(|w| w == b"\"type\"").count());
            phones += count(&due[Role::Phone]) * sockets as usize;
            displays += count(&due[Role::Display]);
        }
        (phones, displays)
    }

    #[test]
    fn the_cost_is_bounded_whatever_the_number_of_sockets() {
        for sockets in [1, 300, 3_000, 100_000] {
            let (phones, displays) = frames_in_a_minute(sockets, Duration::from_millis(10));
            let budget = 60 * FRAMES_PER_S as usize + 2 * sockets as usize;
            assert!(phones <= budget, "{sockets} sockets got {phones} frames in a minute");
            assert!(displays <= 60 * 20 * 3, "a display got {displays}");
        }
    }

    #[test]
    fn a_venue_that_fills_up_in_a_second_is_updated_when_the_budget_allows() {
        let start = Instant::now();
        let mut counts = CountUpdates::new(0);
        let phones = |count| move |role| if role == Role::Phone { count } else { 0 };
        let mut is_due = |ms, count| {
            counts.due(start + Duration::from_millis(ms), 0, sockets_and_phones(count), phones(count))[Role::Phone].is_some()
        };
        assert!(!is_due(0, 7_500));
        assert!(!is_due(3_000, 15_000));
        assert!(is_due(10_000, 15_000));
        assert!(!is_due(15_000, 15_005) && !is_due(25_000, 15_005));
        assert!(is_due(25_005, 15_005));
        assert!(!is_due(300_000, 10_000) && is_due(305_000, 10_000));
        assert!(is_due(350_000, 5_000), "the saved credit pays for it");
    }

    #[test]
    fn a_display_gets_each_number_while_they_come_slowly() {
        let start = Instant::now();
        let mut counts = CountUpdates::new(0);
        for number in 1..=3 {
            counts.add_number(Number(number));
            let at = start + Duration::from_secs(u64::from(number));
            let text = text(&counts.due(at, number, sockets_and_phones(0), |_| 1)[Role::Display]);
            let expected = format!(r#""total_count":{number},"draw_number":{number},"draw_numbers":[{number}]"#);
            assert!(text.contains(&expected), "{text}");
        }
    }

    #[test]
    fn a_list_names_the_latest_numbers_and_the_total_counts_them_all() {
        let mut counts = CountUpdates::new(0);
        (1..=100).for_each(|number| counts.add_number(Number(number)));
        let due = counts.due(Instant::now(), 100, sockets_and_phones(0), |_| 1);
        for role in Role::ALL {
            let text = text(&due[role]);
            assert!(text.contains(r#""total_count":100,"draw_number":100,"draw_numbers":[37,38,"#), "{text}");
        }
    }

    #[test]
    fn numbers_from_before_a_reset_are_not_sent() {
        let mut counts = CountUpdates::new(0);
        counts.add_number(Number(1));
        counts.forget_numbers();
        assert!(counts.due(Instant::now(), 0, sockets_and_phones(0), |_| 1).0.iter().all(Option::is_none));
    }

    #[test]
    fn counts_that_no_socket_could_get_go_to_the_first_that_joins() {
        let start = Instant::now();
        let mut counts = CountUpdates::new(0);
        counts.add_number(Number(1));
        assert!(counts.due(start, 1, sockets_and_phones(0), |_| 0)[Role::Phone].is_none());
        let text = text(&counts.due(start, 1, sockets_and_phones(1), |_| 1)[Role::Phone]);
        assert!(text.contains(r#""total_count":1"#), "{text}");
    }

    #[test]
    fn a_peer_that_leaves_and_comes_back_is_sent_the_count_anew() {
        let start = Instant::now();
        let mut counts = CountUpdates::new(0);
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(counts.due(later(0), 0, sockets_and_phones(1), |_| 1)[Role::Display].is_some());
        // It leaves, something else is published meanwhile, and it comes back.
        counts.note_greeting(sockets_and_phones(0));
        assert!(text(&counts.due(later(9), 0, sockets_and_phones(1), |_| 1)[Role::Display]).contains(r#""count":1"#));
        counts.note_greeting(sockets_and_phones(1));
        assert!(counts.due(later(18), 0, sockets_and_phones(1), |_| 1)[Role::Display].is_none(), "greeting and update agree");
    }

    #[test]
    fn only_operators_are_told_of_the_phones_among_the_sockets() {
        let start = Instant::now();
        let mut counts = CountUpdates::new(0);
        let mut due = |seconds, phones| {
            let totals = ConnectionTotals { sockets: 3, phones: Some(phones) };
            counts.due(start + Duration::from_secs(seconds), 0, totals, |_| 1)
        };
        let first = due(0, 0);
        assert!(text(&first[Role::Display]).contains(r#""count":3,"phones_connected":0}"#));
        assert!(text(&first[Role::Phone]).contains(r#""count":3}"#));
        let later = due(9, 1);
        assert!(text(&later[Role::Admin]).contains(r#""phones_connected":1}"#), "a socket has proved its number");
        assert!(later[Role::Phone].is_none());
    }

    #[test]
    fn counts_that_did_not_change_are_not_sent() {
        let start = Instant::now();
        let mut counts = CountUpdates::new(7);
        assert!(counts.due(start, 7, sockets_and_phones(0), |_| 1).0.iter().all(Option::is_none));
        assert!(counts.due(start, 7, sockets_and_phones(1), |_| 1).0.iter().all(Option::is_some));
    }
}
