//! Counts on their way to the hall: how many registered, how many are connected.
//!
//! Told one by one, 300 phones arriving cost 300 × 300 frames; so they are merged, and what they cost is bounded by a budget of frames a
//! second whatever the number of sockets. Displays, which are few, hear each number by itself while they come slowly.

use crate::draw::Number;
use crate::live::{ByRole, Role};
use crate::wire::frame;
use crate::wire::join_frames;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Count frames a second that all sockets of a role share.
const FRAMES_PER_S: u32 = 1_000;
/// The shortest time between two tellings, which a single socket meets: for phones calm, for a stage lively.
const PHONE_EVERY_MIN: Duration = Duration::from_secs(1);
const STAGE_EVERY_MIN: Duration = Duration::from_millis(50);
/// What a long peace saves up: a telling that costs no more comes at once.
const SAVED_MAX: Duration = Duration::from_secs(1);
/// So many new numbers go to displays one by one; more go as one list.
const SINGLY_MAX: usize = 4;
/// The most new numbers a list names. Who came before them is in the count.
const NUMBERS_MAX: usize = 64;

/// What each role has been told, and when it may be told more.
#[derive(Debug)]
pub struct CountUpdates {
    told: ByRole<Told>,
}

#[derive(Debug)]
struct Told {
    participants: u32,
    connections: u32,
    /// True if whoever joined since the last telling may have been greeted with another count of connections.
    is_unsure: bool,
    /// Numbers registered since the last telling, the latest [`NUMBERS_MAX`].
    joined: Vec<Number>,
    /// Since when there has been something to tell.
    news_since: Option<Instant>,
    /// When it was last told, and in how many frames.
    last: Option<(Instant, u32)>,
}

impl CountUpdates {
    /// A tally of an event with so many participants, of which everybody knows.
    pub fn new(participants: u32) -> Self {
        Self {
            told: ByRole::from_fn(|_| Told {
                participants,
                connections: 0,
                is_unsure: false,
                joined: Vec::new(),
                news_since: None,
                last: None,
            }),
        }
    }

    /// Notes a new number.
    pub fn note(&mut self, number: Number) {
        for told in &mut self.told.0 {
            if told.joined.len() == NUMBERS_MAX {
                told.joined.remove(0);
            }
            told.joined.push(number);
        }
    }

    /// Notes the count of connections that joiners are greeted with from now on. Somebody who leaves and comes back leaves the total as it was, and
    /// would otherwise go on believing a greeting of between.
    pub fn note_greeting(&mut self, connections: u32) {
        self.told.0.iter_mut().for_each(|told| told.is_unsure |= told.connections != connections);
    }

    /// Forgets the noted numbers: a reset made them void.
    pub fn clear(&mut self) {
        self.told.0.iter_mut().for_each(|told| told.joined.clear());
    }

    /// What is due at `now`: frames for each role whose time has come and which has not heard of these counts.
    pub fn due(
        &mut self,
        now: Instant,
        participants: u32,
        connections: u32,
        sockets: impl Fn(Role) -> u32,
    ) -> ByRole<Option<Bytes>> {
        ByRole::from_fn(|role| {
            let (told, sockets) = (&mut self.told[role], sockets(role));
            // Where nobody listens nobody is told: whoever joins this moment was greeted with what its stage knew, which may be less.
            if sockets == 0 || !told.is_due(now, participants, connections, |frames| spacing(role, sockets, frames)) {
                return None;
            }
            let frames = told.catch_up(participants, connections, role);
            (told.last, told.news_since) = (Some((now, frames.len() as u32)), None);
            Some(join_frames(&frames))
        })
    }
}

impl Told {
    /// Returns whether there is something to tell, and there was peace for as long as that many frames want: as many as the last telling took.
    fn is_due(&mut self, now: Instant, participants: u32, connections: u32, peace: impl Fn(u32) -> Duration) -> bool {
        if self.participants == participants && self.joined.is_empty() && self.connections == connections && !self.is_unsure {
            self.news_since = None;
            return false;
        }
        let since = *self.news_since.get_or_insert(now);
        let peace = peace(self.last.map_or(1, |(_, frames)| frames));
        now >= since + peace.saturating_sub(SAVED_MAX) && self.last.is_none_or(|(at, _)| now >= at + peace)
    }

    fn catch_up(&mut self, participants: u32, connections: u32, role: Role) -> Vec<Bytes> {
        let mut frames = Vec::new();
        if self.participants != participants || !self.joined.is_empty() {
            match self.joined.len() {
                few @ 1..=SINGLY_MAX if role != Role::Phone => {
                    let before = participants.saturating_sub(few as u32);
                    let singly = self.joined.iter().zip(before + 1..);
                    frames.extend(singly.map(|(number, total)| frame::participant_joined(total, &[*number])));
                }
                _ => frames.push(frame::participant_joined(participants, &self.joined)),
            }
            self.joined.clear();
            self.participants = participants;
        }
        if self.connections != connections || self.is_unsure {
            frames.push(frame::connection_count(connections));
            self.connections = connections;
            self.is_unsure = false;
        }
        frames
    }
}

/// How long a role with so many sockets by now is left in peace after it was told in so many frames. Counted by who would hear the next telling:
/// a hall that fills up in a second would otherwise be told midway, at what the few who were there had cost, while its handshakes wait.
fn spacing(role: Role, sockets: u32, frames: u32) -> Duration {
    let least = if role == Role::Phone { PHONE_EVERY_MIN } else { STAGE_EVERY_MIN };
    let budgeted = Duration::from_secs(1) * sockets * frames / FRAMES_PER_S;
    budgeted.max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets one number register every `gap` for a minute, and counts the frames that `sockets` phones and two displays receive.
    fn frames_in_a_minute(sockets: u32, gap: Duration) -> (usize, usize) {
        let start = Instant::now();
        let mut tally = CountUpdates::new(0);
        let (mut phones, mut displays) = (0, 0);
        for step in 1..(60_000 / gap.as_millis() as u32) {
            tally.note(Number(step));
            let due = tally.due(start + gap * step, step, step, |role| if role == Role::Phone { sockets } else { 2 });
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
            assert!(phones <= budget, "{sockets} sockets heard {phones} frames in a minute");
            assert!(displays <= 60 * 20 * 3, "a display heard {displays}");
        }
    }

    #[test]
    fn a_hall_that_fills_up_in_a_second_is_told_when_it_can_be_afforded() {
        let start = Instant::now();
        let mut tally = CountUpdates::new(0);
        let phones = |count| move |role| if role == Role::Phone { count } else { 0 };
        let mut is_told =
            |ms, count| tally.due(start + Duration::from_millis(ms), 0, count, phones(count))[Role::Phone].is_some();
        assert!(!is_told(0, 1_500));
        assert!(!is_told(600, 3_000));
        assert!(is_told(2_000, 3_000));
        assert!(!is_told(3_000, 3_001) && !is_told(5_000, 3_001));
        assert!(is_told(5_001, 3_001));
        assert!(!is_told(60_000, 2_000) && is_told(61_000, 2_000));
        assert!(is_told(70_000, 1_000), "what has been saved up pays for it");
    }

    #[test]
    fn a_display_hears_each_number_while_they_come_slowly() {
        let start = Instant::now();
        let mut tally = CountUpdates::new(0);
        for number in 1..=3 {
            tally.note(Number(number));
            let at = start + Duration::from_secs(u64::from(number));
            let frames = tally.due(at, number, 0, |_| 1);
            let text = String::from_utf8_lossy(frames[Role::Display].as_ref().unwrap()).into_owned();
            assert!(
                text.contains(&format!(r#""total_count":{number},"draw_number":{number},"draw_numbers":[{number}]"#)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_nobody_was_there_to_hear_is_told_to_the_first_who_comes() {
        let start = Instant::now();
        let mut tally = CountUpdates::new(0);
        tally.note(Number(1));
        assert!(tally.due(start, 1, 0, |_| 0)[Role::Phone].is_none());
        let later = tally.due(start, 1, 1, |_| 1);
        let text = String::from_utf8_lossy(later[Role::Phone].as_ref().unwrap()).into_owned();
        assert!(text.contains(r#""total_count":1"#), "{text}");
    }

    #[test]
    fn who_leaves_and_comes_back_is_told_the_count_anew() {
        let start = Instant::now();
        let mut tally = CountUpdates::new(0);
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(tally.due(later(0), 0, 1, |_| 1)[Role::Display].is_some());
        // It leaves, something else is published meanwhile, and it comes back.
        tally.note_greeting(0);
        let frames = tally.due(later(9), 0, 1, |_| 1);
        assert!(String::from_utf8_lossy(frames[Role::Display].as_ref().unwrap()).contains(r#""count":1"#));
        tally.note_greeting(1);
        assert!(tally.due(later(18), 0, 1, |_| 1)[Role::Display].is_none(), "the greeting and the telling agree");
    }

    #[test]
    fn who_is_told_nothing_new_is_told_nothing() {
        let start = Instant::now();
        let mut tally = CountUpdates::new(7);
        assert!(tally.due(start, 7, 0, |_| 1).0.iter().all(Option::is_none));
        assert!(tally.due(start, 7, 1, |_| 1).0.iter().all(Option::is_some));
    }
}
