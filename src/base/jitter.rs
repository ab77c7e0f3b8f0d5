//! Random waits, so that thousands of connections are not pinged, or closed, at the same moment.
//!
//! Nothing secret depends on them: a stranger who predicts a ping has won nothing. So a small
//! generator suffices (splitmix64, Steele et al. 2014), without a call to the operating system. It
//! must never pick a winner or make a token.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A thread's source of random waits.
#[derive(Debug)]
pub struct Jitter(u64);

impl Default for Jitter {
    /// A generator seeded differently per run and per thread.
    fn default() -> Self {
        Self(RandomState::new().hash_one("jitter"))
    }
}

impl Jitter {
    /// A wait of at least `shortest` and at most `longest`, in whole milliseconds.
    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let millis = longest.saturating_sub(shortest).as_millis() as u64;
        shortest + Duration::from_millis(self.next() % (millis + 1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_fill_their_range_and_stay_in_it() {
        let mut jitter = Jitter::default();
        let (shortest, longest) = (Duration::from_millis(20), Duration::from_millis(27));
        let mut seen = [0; 8];
        for _ in 0..10_000 {
            let wait = jitter.between(shortest, longest);
            assert!((shortest..=longest).contains(&wait), "{wait:?}");
            seen[(wait - shortest).as_millis() as usize] += 1;
        }
        assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
        assert_eq!(jitter.between(longest, longest), longest);
    }
}
