//! One draw of the plan: what the host asked for and when, and what the host was told.
//!
//! It is made before the run, from the plan. A server that plays no draw therefore leaves records
//! without answers, and not an empty list that looks complete.

use super::micros;
use crate::answers::DrawResult;
use std::time::Duration;

/// The steps of a draw, in the order in which the host asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Standby,
    Start,
    Reveal,
    Complete,
}

impl Step {
    pub fn next(self) -> Option<Self> {
        match self {
            Step::Standby => Some(Step::Start),
            Step::Start => Some(Step::Reveal),
            Step::Reveal => Some(Step::Complete),
            Step::Complete => None,
        }
    }
}

/// A draw of the plan.
#[derive(Clone, Debug, Default)]
pub struct DrawRecord {
    pub prize: String,
    pub rank: u32,
    pub mode: &'static str,
    /// The display is a stage, and the server plans the end of its show.
    pub has_stage: bool,
    /// When the host sent each step; `None` before that.
    asked_us: [Option<u64>; 4],
    /// Steps whose call failed.
    failed: [bool; 4],
    pub reveal_planned_us: u64,
    /// Its id in the answer to the start.
    pub id: Option<u32>,
    /// The answer to the reveal.
    pub revealed: Option<DrawResult>,
    /// Winners in the acknowledgement of its completion, to the display or to the host.
    pub completed: Option<Vec<u32>>,
}

/// The server announces a draw by itself this long after its reveal.
const ANNOUNCED_AFTER_US: u64 = 10_000_000;

/// Without a display for this long, the server announces a draw with its reveal. The server's limit
/// is 30 s; a little less, since the two clocks start apart.
const DISPLAY_MISSED_US: u64 = 25_000_000;

/// Modes of draws without and with a stage. The show of a card is the shortest.
const MODES: [&str; 2] = ["slot", "card"];

/// Length of the show of one card, as the server plans it from the reveal on.
pub const SHOW: Duration = Duration::from_millis(2_600);

/// The server announces a draw shortly before the end of its show, so that phones can wait for it.
/// Sooner than this it would tell them too much.
const SHOW_LEAD_US_MAX: u64 = 1_000_000;

/// Winners of every planned draw.
pub const WINNERS: u32 = 1;

impl DrawRecord {
    /// The draw with this place in the plan. Its prize has a name of its own, since a standby frame
    /// carries no id.
    pub fn planned(index: u32, has_stage: bool) -> Self {
        let mode = MODES[usize::from(has_stage)];
        Self { prize: format!("Prize {}", index + 1), rank: index % 5 + 1, mode, has_stage, ..Self::default() }
    }

    /// The ids and the prize of a draw, as reports call it.
    pub fn name(&self) -> String {
        self.id.map_or_else(|| format!("the draw of {}", self.prize), |id| format!("draw {id} ({})", self.prize))
    }

    pub fn ask(&mut self, step: Step, at_us: u64) {
        self.asked_us[step as usize].get_or_insert(at_us);
    }

    pub fn fail(&mut self, step: Step) {
        self.failed[step as usize] = true;
    }

    pub fn has_failed(&self, step: Step) -> bool {
        self.failed[step as usize]
    }

    /// The earliest time at which clients may learn the winners, given the times at which the
    /// display was connected; `None` before the reveal is asked for.
    pub fn announceable_us(&self, display: &[(u64, Option<u64>)]) -> Option<u64> {
        let reveal_us = self.asked(Step::Reveal)?;
        let present =
            |(from, to): &(u64, Option<u64>)| *from < reveal_us && to.is_none_or(|to| to + DISPLAY_MISSED_US > reveal_us);
        if !display.iter().any(present) {
            return Some(reveal_us);
        }
        if self.has_stage {
            return Some(reveal_us + micros(SHOW) - SHOW_LEAD_US_MAX);
        }
        let by_itself_us = reveal_us + ANNOUNCED_AFTER_US;
        Some(self.asked(Step::Complete).map_or(by_itself_us, |at_us| at_us.min(by_itself_us)))
    }

    pub fn asked(&self, step: Step) -> Option<u64> {
        self.asked_us[step as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn winners_may_be_known_once_the_display_completes_or_has_been_missing() {
        let mut draw = DrawRecord::planned(6, false);
        assert_eq!((&*draw.prize, draw.rank, draw.announceable_us(&[])), ("Prize 7", 2, None));
        draw.ask(Step::Reveal, 40_000_000);
        let display = [(1_000_000, None)];
        assert_eq!(draw.announceable_us(&[]), Some(40_000_000), "nobody was there to show it");
        assert_eq!(draw.announceable_us(&[(1_000_000, Some(10_000_000))]), Some(40_000_000), "the display left long ago");
        assert_eq!(draw.announceable_us(&display), Some(50_000_000));
        draw.ask(Step::Complete, 42_000_000);
        draw.ask(Step::Complete, 43_000_000);
        assert_eq!(draw.announceable_us(&display), Some(42_000_000), "the first request counts");
        assert_eq!(draw.announceable_us(&[(39_000_000, Some(39_500_000))]), Some(42_000_000), "it left a moment ago");
        draw.has_stage = true;
        assert_eq!(draw.announceable_us(&display), Some(41_600_000), "a second before the end of the show");
        assert_eq!(draw.announceable_us(&[]), Some(40_000_000));
    }
}
