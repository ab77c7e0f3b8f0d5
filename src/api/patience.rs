//! How often somebody may guess: recovery codes by number, entry codes by event, claim codes by link and event. Never by address, since a hall shares one.
//!
//! A recovery code is tried five times a minute a number. An entry code is four digits that hundreds of phones type at once, so the honest
//! must not wait for the guesser: guesses are free while few are wrong, and once many are, every guess, right or wrong, takes its turn. Times are
//! arguments. Both tables are bounded; when one is full of fresh entries, a new one is told to come back.

use crate::draw::{EventId, LinkId, Number};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Tries of a number's recovery code in one window.
const TRIES_MAX: u32 = 5;
/// How long a window lasts.
const WINDOW_MS: i64 = 60_000;
/// The most numbers whose tries are counted at once.
const NUMBERS_MAX: usize = 16_384;

/// How many wrong guesses of an entry code an event lets pass before guesses are slowed; one is forgotten each second.
const WRONG_MAX: i64 = 30;
/// How long a wrong guess is remembered.
const WRONG_MS: i64 = 1_000;
/// The distance of turns while guesses are slowed.
const TURN_MS: i64 = 100;
/// The longest a guess waits for its turn; further ones are sent away.
const TURN_WAIT_MAX_MS: i64 = 5_000;
/// The most events whose guesses are counted at once.
const EVENTS_MAX: usize = 4_096;

/// Wrong claim codes in one window, of one link and of a whole event.
const CLAIMS_OF_LINK_MAX: u32 = 10;
const CLAIMS_OF_EVENT_MAX: u32 = 60;

/// Too many tries: come back after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    pub retry_after_s: u32,
}

/// Counts tries.
#[derive(Debug)]
pub struct RateLimiter {
    began: Instant,
    recoveries: Mutex<HashMap<(EventId, Number), Window>>,
    guesses: Mutex<HashMap<EventId, Guesses>>,
    claims: Mutex<HashMap<(EventId, Claimant), Window>>,
}

/// Whose wrong claim codes are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Claimant {
    Everybody,
    Admin,
    Link(LinkId),
}

#[derive(Debug)]
struct Window {
    ends_ms: i64,
    tries: u32,
}

/// Both are times: when the wrong guesses will be forgotten, and when the next turn is free.
#[derive(Debug, Default)]
struct Guesses {
    forgotten_ms: i64,
    turn_ms: i64,
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self { began: Instant::now(), recoveries: Mutex::default(), guesses: Mutex::default(), claims: Mutex::default() }
    }
}

impl RateLimiter {
    /// The time that its calls take, in milliseconds since it began: not the wall clock's, which may be set back while somebody waits.
    pub fn now_ms(&self) -> i64 {
        self.began.elapsed().as_millis() as i64
    }

    /// Counts a try of a number's recovery code.
    ///
    /// # Errors
    /// The sixth in a minute, and any for a new number while the table is full.
    pub fn try_recovery(&self, event: &EventId, number: Number, now_ms: i64) -> Result<(), TooMany> {
        let mut recoveries = locked(&self.recoveries);
        let key = (event.clone(), number);
        if !make_room(&mut recoveries, &key, NUMBERS_MAX, |window| window.ends_ms <= now_ms) {
            return Err(TooMany { retry_after_s: 60 });
        }
        let window = recoveries.entry(key).or_insert(Window { ends_ms: now_ms + WINDOW_MS, tries: 0 });
        if window.ends_ms <= now_ms {
            *window = Window { ends_ms: now_ms + WINDOW_MS, tries: 0 };
        }
        if window.tries == TRIES_MAX {
            return Err(TooMany { retry_after_s: ((window.ends_ms - now_ms) / 1000 + 1) as u32 });
        }
        window.tries += 1;
        Ok(())
    }

    /// Counts a try of a claim code, as if it were wrong; none stands for the admin.
    ///
    /// # Errors
    /// After too many wrong ones in a minute, of this link or of the event.
    pub fn try_claim(&self, event: &EventId, link: Option<LinkId>, now_ms: i64) -> Result<(), TooMany> {
        let mut claims = locked(&self.claims);
        let counted = counted_with(event, link);
        for (key, max) in &counted {
            if !make_room(&mut claims, key, EVENTS_MAX, |window| window.ends_ms <= now_ms) {
                return Err(TooMany { retry_after_s: 60 });
            }
            let fresh = || Window { ends_ms: now_ms + WINDOW_MS, tries: 0 };
            let window = claims.entry(key.clone()).or_insert_with(fresh);
            if window.ends_ms <= now_ms {
                *window = fresh();
            }
            if window.tries >= *max {
                return Err(TooMany { retry_after_s: ((window.ends_ms - now_ms) / 1000 + 1) as u32 });
            }
        }
        for (key, _) in &counted {
            claims.get_mut(key).expect("both windows were just made").tries += 1;
        }
        Ok(())
    }

    /// Takes a try back: the code was right.
    pub fn forgive_claim(&self, event: &EventId, link: Option<LinkId>) {
        let mut claims = locked(&self.claims);
        for (key, _) in counted_with(event, link) {
            if let Some(window) = claims.get_mut(&key) {
                window.tries = window.tries.saturating_sub(1);
            }
        }
    }

    /// How long a guess of an event's entry code has to wait before it is looked at.
    ///
    /// # Errors
    /// When too many wait already.
    pub fn guess_turn(&self, event: &EventId, now_ms: i64) -> Result<Duration, TooMany> {
        let mut guesses = locked(&self.guesses);
        let Some(known) = guesses.get_mut(event) else { return Ok(Duration::ZERO) };
        if known.forgotten_ms - now_ms < WRONG_MAX * WRONG_MS {
            return Ok(Duration::ZERO);
        }
        let turn_ms = known.turn_ms.max(now_ms);
        if turn_ms - now_ms > TURN_WAIT_MAX_MS {
            return Err(TooMany { retry_after_s: (TURN_WAIT_MAX_MS / 1000) as u32 });
        }
        known.turn_ms = turn_ms + TURN_MS;
        Ok(Duration::from_millis((turn_ms - now_ms) as u64))
    }

    /// Counts a wrong guess. While the table is full of others' fresh ones it goes uncounted: events are few.
    pub fn note_wrong_guess(&self, event: &EventId, now_ms: i64) {
        let mut guesses = locked(&self.guesses);
        if make_room(&mut guesses, event, EVENTS_MAX, |known| known.forgotten_ms <= now_ms) {
            let known = guesses.entry(event.clone()).or_default();
            // Never further ahead than twice the allowance: a flood must not slow the hall for the rest of the evening.
            let ahead_ms = (known.forgotten_ms.max(now_ms) + WRONG_MS).min(now_ms + 2 * WRONG_MAX * WRONG_MS);
            known.forgotten_ms = ahead_ms;
        }
    }
}

/// The counts that a claim code falls under, with how far each goes.
fn counted_with(event: &EventId, link: Option<LinkId>) -> [((EventId, Claimant), u32); 2] {
    let claimant = link.map_or(Claimant::Admin, Claimant::Link);
    [((event.clone(), claimant), CLAIMS_OF_LINK_MAX), ((event.clone(), Claimant::Everybody), CLAIMS_OF_EVENT_MAX)]
}

/// Whether `key` is in the table or fits in, after the stale entries of a full table went.
fn make_room<K: std::hash::Hash + Eq, V>(table: &mut HashMap<K, V>, key: &K, max: usize, stale: impl Fn(&V) -> bool) -> bool {
    if table.len() >= max && !table.contains_key(key) {
        table.retain(|_, entry| !stale(entry));
    }
    table.len() < max || table.contains_key(key)
}

/// The table behind its lock. Nothing between lock and unlock can leave it half changed, so that poison means nothing.
fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> EventId {
        EventId::parse(name).unwrap()
    }

    #[test]
    fn a_number_has_five_tries_a_minute_and_others_are_not_touched() {
        let (patience, gala) = (RateLimiter::default(), event("gala"));
        for try_ in 0..5 {
            assert_eq!(patience.try_recovery(&gala, Number(1), try_), Ok(()));
        }
        assert_eq!(patience.try_recovery(&gala, Number(1), 10), Err(TooMany { retry_after_s: 60 }));
        assert_eq!(patience.try_recovery(&gala, Number(2), 10), Ok(()));
        assert_eq!(patience.try_recovery(&event("other"), Number(1), 10), Ok(()));
        assert_eq!(patience.try_recovery(&gala, Number(1), WINDOW_MS), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_empties_itself() {
        let (patience, gala) = (RateLimiter::default(), event("gala"));
        for number in 1..=NUMBERS_MAX as u32 {
            assert_eq!(patience.try_recovery(&gala, Number(number), 0), Ok(()));
        }
        assert!(patience.try_recovery(&gala, Number(0), 1).is_err());
        assert_eq!(patience.try_recovery(&gala, Number(1), 1), Ok(()), "who is known is still counted");
        assert_eq!(patience.try_recovery(&gala, Number(0), WINDOW_MS), Ok(()));
        assert_eq!(patience.recoveries.lock().unwrap().len(), 1);
    }

    #[test]
    fn guesses_take_turns_once_many_were_wrong_and_only_in_that_event() {
        let (patience, gala) = (RateLimiter::default(), event("gala"));
        for _ in 0..WRONG_MAX {
            assert_eq!(patience.guess_turn(&gala, 0), Ok(Duration::ZERO));
            patience.note_wrong_guess(&gala, 0);
        }
        let waits: Vec<_> = (0..4).map(|_| patience.guess_turn(&gala, 0).unwrap().as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 300]);
        assert_eq!(patience.guess_turn(&event("other"), 0), Ok(Duration::ZERO));
        let served = (0..1000).filter(|_| patience.guess_turn(&gala, 0).is_ok()).count();
        assert!(served <= (TURN_WAIT_MAX_MS / TURN_MS) as usize, "{served} wait at once");
        assert_eq!(patience.guess_turn(&gala, WRONG_MAX * WRONG_MS + 1), Ok(Duration::ZERO), "calm returns");
    }

    #[test]
    fn wrong_claim_codes_are_bounded_for_a_link_and_for_the_event_and_right_ones_are_free() {
        let (patience, gala) = (RateLimiter::default(), event("gala"));
        let try_claim = |link, now_ms| patience.try_claim(&gala, link, now_ms);
        for _ in 0..500 {
            try_claim(Some(LinkId(1)), 0).unwrap();
            patience.forgive_claim(&gala, Some(LinkId(1)));
        }
        assert_eq!((0..20).filter(|_| try_claim(Some(LinkId(1)), 0).is_ok()).count(), 10);
        assert!(try_claim(None, 0).is_ok(), "another desk goes on");
        let rest = (2..20).flat_map(|link| [Some(LinkId(link)); 10]).filter(|link| try_claim(*link, 0).is_ok()).count();
        assert_eq!(rest, 49, "sixty for the event");
        assert_eq!(try_claim(None, 1_000).unwrap_err().retry_after_s, 60);
        assert!(patience.try_claim(&event("other"), None, 0).is_ok());
        assert!(try_claim(Some(LinkId(1)), WINDOW_MS).is_ok(), "a minute later all is forgotten");
    }

    #[test]
    fn a_flood_of_wrong_guesses_is_forgotten_within_a_minute() {
        let (patience, gala) = (RateLimiter::default(), event("gala"));
        (0..100_000).for_each(|_| patience.note_wrong_guess(&gala, 0));
        assert_eq!(patience.guess_turn(&gala, 60_000), Ok(Duration::ZERO));
    }
}
