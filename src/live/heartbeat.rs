//! Heartbeats: the decision when a silent peer is pinged, and when it counts as dead.
//!
//! Each peer has one deadline, which the reactor's scan compares with the clock. A byte from the
//! peer only notes the time; the deadline moves when it is reached. A timer per peer would move at
//! every byte. The clock is an argument: this file never waits and never reads the time.

use crate::live::limits::Limits;
use crate::live::tick::Tick;
use std::time::Duration;

/// The verdict about a peer whose deadline is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// The peer has sent bytes recently: check again at this time.
    Alive { next_check: Tick },
    /// The peer is silent: ping it, and check again at this time.
    Ping { next_check: Tick },
    /// The peer was pinged and has not sent a byte since.
    Dead,
}

/// Checks a peer whose deadline is reached at `now`. `awaits_pong`: it was pinged and has sent
/// nothing since. `silence` is random for this round, within the bounds that `limits` set.
pub fn check_heartbeat(now: Tick, heard_at: Tick, awaits_pong: bool, silence: Duration, limits: &Limits) -> Heartbeat {
    if awaits_pong {
        Heartbeat::Dead
    } else if now.since(heard_at) < limits.silence_min {
        Heartbeat::Alive { next_check: heard_at.after(silence) }
    } else {
        Heartbeat::Ping { next_check: now.after(limits.pong_max) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::jitter::Jitter;

    /// Simulates a peer's connection at one scan per second, the first `phase_ms` after it joined.
    /// The peer sends a byte at each second of `sends`, and answers a ping `pong_ms` later, if at
    /// all. Returns the times of the pings and of the peer's death, in milliseconds.
    fn simulate(sends: &[u32], pong_ms: Option<u32>, phase_ms: u32, jitter: &mut Jitter) -> (Vec<u32>, Option<u32>) {
        let limits = Limits::default();
        let mut silence = || jitter.between(limits.silence_min, limits.silence_max);
        let mut bytes: Vec<u32> = sends.iter().map(|second| second * 1000).collect();
        let (mut heard_at, mut awaits_pong, mut pings) = (Tick::at(0), false, Vec::new());
        let mut due_at = Tick::at(0).after(silence());
        for now_ms in (phase_ms..400_000).step_by(1000) {
            let now = Tick::at(now_ms);
            if let Some(last) = bytes.iter().filter(|&&at| at <= now_ms).max() {
                heard_at = Tick::at(*last);
                awaits_pong = awaits_pong && !bytes.iter().any(|at| at <= &now_ms && at > pings.last().unwrap());
            }
            if !due_at.is_reached(now) {
                continue;
            }
            match check_heartbeat(now, heard_at, awaits_pong, silence(), &limits) {
                Heartbeat::Alive { next_check } => due_at = next_check,
                Heartbeat::Ping { next_check } => {
                    (awaits_pong, due_at) = (true, next_check);
                    pings.push(now_ms);
                    bytes.extend(pong_ms.map(|wait| now_ms + wait));
                }
                Heartbeat::Dead => return (pings, Some(now_ms)),
            }
        }
        (pings, None)
    }

    #[test]
    fn a_dead_peer_is_pinged_once_and_found_dead_within_50_seconds() {
        let mut jitter = Jitter::default();
        for phase_ms in (0..1000).cycle().step_by(7).take(2_000) {
            let (pings, died_at) = simulate(&[], None, phase_ms, &mut jitter);
            assert!(pings.len() == 1 && (20_000..=30_000).contains(&pings[0]), "{pings:?}");
            assert!((40_000..=50_000).contains(&died_at.expect("it is found dead")), "{died_at:?}");
        }
    }

    #[test]
    fn a_peer_that_answers_pings_is_never_found_dead() {
        let mut jitter = Jitter::default();
        for phase_ms in 0..500 {
            for pong_ms in [1, 300, 19_000] {
                let (pings, died_at) = simulate(&[], Some(pong_ms), phase_ms, &mut jitter);
                assert!(died_at.is_none() && pings.len() >= 8, "{pings:?} {died_at:?}");
                assert!(pings.windows(2).all(|pair| pair[1] - pair[0] >= 20_000), "{pings:?}");
            }
        }
    }

    #[test]
    fn a_peer_that_sends_is_not_pinged() {
        let sends: Vec<u32> = (0..400).step_by(15).collect();
        assert_eq!(simulate(&sends, None, 0, &mut Jitter::default()), (vec![], None));
    }

    #[test]
    fn pings_of_many_peers_are_spread_over_time() {
        let mut jitter = Jitter::default();
        let pings: std::collections::HashSet<_> = (0..200).map(|_| simulate(&[], None, 0, &mut jitter).0[0]).collect();
        assert!(pings.len() >= 5, "{pings:?}");
    }
}
