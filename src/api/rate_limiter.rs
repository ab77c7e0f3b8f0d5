//! Limits on guessing: recovery codes per number, claim codes per link and per event. Never per
//! address, since all phones of a network share one.
//!
//! Both have fixed windows of a minute. Times are arguments. Every table is bounded; while one is
//! full of fresh entries, a new key is told to retry later. [`crate::api::entry`] has entry codes.

use crate::draw::{EventId, LinkId, Number};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Length of a window.
const WINDOW_MS: i64 = 60_000;
/// Attempts at a number's recovery code per window.
const RECOVERIES_MAX: u32 = 5;
/// Wrong claim codes per window, of one link and of a whole event.
const CLAIMS_OF_LINK_MAX: u32 = 10;
const CLAIMS_OF_EVENT_MAX: u32 = 60;

/// Numbers, and events or links, that are counted at once.
const NUMBERS_MAX: usize = 16_384;
const EVENTS_MAX: usize = 4_096;

/// Too many attempts: retry after so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Until the next attempt is counted.
    pub seconds: u32,
}

/// Counts attempts.
#[derive(Debug)]
pub struct RateLimiter {
    recoveries: Windows<(EventId, Number)>,
    claims: Windows<(EventId, Claimant)>,
}

/// Whose wrong claim codes are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Claimant {
    Everybody,
    Admin,
    Link(LinkId),
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self { recoveries: Windows::new(NUMBERS_MAX), claims: Windows::new(EVENTS_MAX) }
    }
}

impl RateLimiter {
    /// Counts an attempt at a number's recovery code.
    ///
    /// # Errors
    /// The sixth in a minute, and any for a new number while the table is full.
    pub fn count_recovery_attempt(&self, event: &EventId, number: Number, now_ms: i64) -> Result<(), RetryAfter> {
        self.recoveries.count([((event.clone(), number), RECOVERIES_MAX)], now_ms)
    }

    /// Counts an attempt at a claim code, as if it were wrong; no link stands for the admin.
    ///
    /// # Errors
    /// After too many wrong ones in a minute, of this link or of the event.
    pub fn count_claim_attempt(&self, event: &EventId, link: Option<LinkId>, now_ms: i64) -> Result<(), RetryAfter> {
        self.claims.count(claim_keys(event, link), now_ms)
    }

    /// Takes an attempt back: the claim code was right.
    pub fn forgive_claim_attempt(&self, event: &EventId, link: Option<LinkId>) {
        self.claims.forgive(claim_keys(event, link));
    }
}

/// The windows that a claim code is counted in, with the limit of each.
fn claim_keys(event: &EventId, link: Option<LinkId>) -> [((EventId, Claimant), u32); 2] {
    let claimant = link.map_or(Claimant::Admin, Claimant::Link);
    [((event.clone(), claimant), CLAIMS_OF_LINK_MAX), ((event.clone(), Claimant::Everybody), CLAIMS_OF_EVENT_MAX)]
}

/// Fixed windows by key.
#[derive(Debug)]
struct Windows<K> {
    table: Mutex<HashMap<K, Window>>,
    keys_max: usize,
}

#[derive(Debug)]
struct Window {
    ends_ms: i64,
    attempts: u32,
}

impl<K: Clone + Eq + Hash> Windows<K> {
    fn new(keys_max: usize) -> Self {
        Self { table: Mutex::default(), keys_max }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Window>> {
        lock(&self.table)
    }

    /// Counts one attempt under all keys, or under none when one has reached its limit.
    fn count<const N: usize>(&self, keys: [(K, u32); N], now_ms: i64) -> Result<(), RetryAfter> {
        let mut table = self.lock();
        for (key, max) in &keys {
            if !make_room(&mut table, key, self.keys_max, |window| window.ends_ms <= now_ms) {
                return Err(RetryAfter { seconds: (WINDOW_MS / 1000) as u32 });
            }
            let fresh = || Window { ends_ms: now_ms + WINDOW_MS, attempts: 0 };
            let window = table.entry(key.clone()).or_insert_with(fresh);
            if window.ends_ms <= now_ms {
                *window = fresh();
            }
            if window.attempts >= *max {
                return Err(RetryAfter { seconds: ((window.ends_ms - now_ms) / 1000 + 1) as u32 });
            }
        }
        for (key, _) in &keys {
            table.get_mut(key).expect("every window was made above").attempts += 1;
        }
        Ok(())
    }

    /// Takes one attempt back under all keys.
    fn forgive<const N: usize>(&self, keys: [(K, u32); N]) {
        let mut table = self.lock();
        for (key, _) in keys {
            if let Some(window) = table.get_mut(&key) {
                window.attempts = window.attempts.saturating_sub(1);
            }
        }
    }
}

/// Returns whether `key` is in the table or fits in, once the stale entries of a full table are
/// gone.
fn make_room<K: Hash + Eq, V>(table: &mut HashMap<K, V>, key: &K, max: usize, is_stale: impl Fn(&V) -> bool) -> bool {
    if table.len() >= max && !table.contains_key(key) {
        table.retain(|_, entry| !is_stale(entry));
    }
    table.len() < max || table.contains_key(key)
}

/// Locks a table. No panic can leave one half changed, so poison means nothing.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> EventId {
        EventId::parse(name).unwrap()
    }

    #[test]
    fn a_number_has_five_attempts_per_minute_and_others_are_not_touched() {
        let (limiter, gala) = (RateLimiter::default(), event("gala"));
        for attempt in 0..5 {
            assert_eq!(limiter.count_recovery_attempt(&gala, Number(1), attempt), Ok(()));
        }
        assert_eq!(limiter.count_recovery_attempt(&gala, Number(1), 10), Err(RetryAfter { seconds: 60 }));
        assert_eq!(limiter.count_recovery_attempt(&gala, Number(2), 10), Ok(()));
        assert_eq!(limiter.count_recovery_attempt(&event("other"), Number(1), 10), Ok(()));
        assert_eq!(limiter.count_recovery_attempt(&gala, Number(1), WINDOW_MS), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_empties_itself() {
        let (limiter, gala) = (RateLimiter::default(), event("gala"));
        for number in 1..=NUMBERS_MAX as u32 {
            assert_eq!(limiter.count_recovery_attempt(&gala, Number(number), 0), Ok(()));
        }
        assert!(limiter.count_recovery_attempt(&gala, Number(0), 1).is_err());
        assert_eq!(limiter.count_recovery_attempt(&gala, Number(1), 1), Ok(()), "a known number is still counted");
        assert_eq!(limiter.count_recovery_attempt(&gala, Number(0), WINDOW_MS), Ok(()));
        assert_eq!(limiter.recoveries.lock().len(), 1);
    }

    #[test]
    fn wrong_claim_codes_are_bounded_per_link_and_per_event_and_right_ones_are_free() {
        let (limiter, gala) = (RateLimiter::default(), event("gala"));
        let count = |link, now_ms| limiter.count_claim_attempt(&gala, link, now_ms);
        for _ in 0..500 {
            count(Some(LinkId(1)), 0).unwrap();
            limiter.forgive_claim_attempt(&gala, Some(LinkId(1)));
        }
        assert_eq!((0..20).filter(|_| count(Some(LinkId(1)), 0).is_ok()).count(), 10);
        assert!(count(None, 0).is_ok(), "another desk goes on");
        let rest = (2..20).flat_map(|link| [Some(LinkId(link)); 10]).filter(|link| count(*link, 0).is_ok()).count();
        assert_eq!(rest, 49, "sixty for the event");
        assert_eq!(count(None, 1_000).unwrap_err().seconds, 60);
        assert!(limiter.count_claim_attempt(&event("other"), None, 0).is_ok());
        assert!(count(Some(LinkId(1)), WINDOW_MS).is_ok(), "a minute later the counts are gone");
    }
}
