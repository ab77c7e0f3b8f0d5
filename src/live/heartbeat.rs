//! When a silent peer is asked whether it is there, and when it is let go.
//!
//! Each peer has one deadline, which the stage's scan compares with the clock; a byte from the peer only notes the time, and the deadline
//! is moved when it comes. A timer a peer would be moved at every byte. The clock is an argument: this file waits for nothing.

use crate::live::limits::Limits;
use crate::live::tick::Tick;
use std::time::Duration;

/// What to do about a peer whose deadline has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// It has been heard meanwhile: look again then.
    Alive { look_again: Tick },
    /// It is silent: ping it, and look again then.
    Ask { look_again: Tick },
    /// It was asked and has not said a byte since.
    Dead,
}

/// Judges a peer whose deadline came at `now`. `asked`: it was pinged and has not been heard since. `silence` is drawn for this round,
/// between the shortest and the longest that `limits` allow.
pub fn judge(now: Tick, heard_at: Tick, asked: bool, silence: Duration, limits: &Limits) -> Pulse {
    if asked {
        Pulse::Dead
    } else if now.since(heard_at) < limits.silence_min {
        Pulse::Alive { look_again: heard_at.after(silence) }
    } else {
        Pulse::Ask { look_again: now.after(limits.pong_max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::jitter::Jitter;

    /// Runs a peer's evening at one scan a second, the first `phase_ms` after it joined; it says a byte at the seconds of `speaks`,
    /// and answers a ping `pong_ms` later, if at all. Gives the pings, and when it was let go, in milliseconds.
    fn evening(speaks: &[u32], pong_ms: Option<u32>, phase_ms: u32, jitter: &mut Jitter) -> (Vec<u32>, Option<u32>) {
        let limits = Limits::default();
        let mut draw = || jitter.between(limits.silence_min, limits.silence_max);
        let mut bytes: Vec<u32> = speaks.iter().map(|second| second * 1000).collect();
        let (mut heard_at, mut asked, mut due, mut pings) = (Tick::at(0), false, Tick::at(0).after(draw()), Vec::new());
        for now_ms in (phase_ms..400_000).step_by(1000) {
            let now = Tick::at(now_ms);
            if let Some(last) = bytes.iter().filter(|&&at| at <= now_ms).max() {
                (heard_at, asked) =
                    (Tick::at(*last), asked && !bytes.iter().any(|at| at <= &now_ms && at > pings.last().unwrap()));
            }
            if !due.has_come(now) {
                continue;
            }
            match judge(now, heard_at, asked, draw(), &limits) {
                Pulse::Alive { look_again } => due = look_again,
                Pulse::Ask { look_again } => {
                    (asked, due) = (true, look_again);
                    pings.push(now_ms);
                    bytes.extend(pong_ms.map(|wait| now_ms + wait));
                }
                Pulse::Dead => return (pings, Some(now_ms)),
            }
        }
        (pings, None)
    }

    #[test]
    fn a_dead_peer_is_asked_once_and_gone_within_50_seconds() {
        let mut jitter = Jitter::new();
        for phase_ms in (0..1000).cycle().step_by(7).take(2_000) {
            let (pings, gone) = evening(&[], None, phase_ms, &mut jitter);
            assert!(pings.len() == 1 && (20_000..=30_000).contains(&pings[0]), "{pings:?}");
            assert!((40_000..=50_000).contains(&gone.expect("it is let go")), "{gone:?}");
        }
    }

    #[test]
    fn a_peer_that_answers_is_never_let_go() {
        let mut jitter = Jitter::new();
        for phase_ms in 0..500 {
            for pong_ms in [1, 300, 19_000] {
                let (pings, gone) = evening(&[], Some(pong_ms), phase_ms, &mut jitter);
                assert!(gone.is_none() && pings.len() >= 8, "{pings:?} {gone:?}");
                assert!(pings.windows(2).all(|pair| pair[1] - pair[0] >= 20_000), "{pings:?}");
            }
        }
    }

    #[test]
    fn a_peer_that_speaks_is_not_asked() {
        let speaks: Vec<u32> = (0..400).step_by(15).collect();
        assert_eq!(evening(&speaks, None, 0, &mut Jitter::new()), (vec![], None));
    }

    #[test]
    fn rounds_differ_so_that_a_hall_is_not_asked_at_one_instant() {
        let mut jitter = Jitter::new();
        let pings: std::collections::HashSet<_> = (0..200).map(|_| evening(&[], None, 0, &mut jitter).0[0]).collect();
        assert!(pings.len() >= 5, "{pings:?}");
    }
}
