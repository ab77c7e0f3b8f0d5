//! The result of a whole run: every scenario, the worst verdict, the ceiling and the sizing.

use super::ceiling::Ceiling;
use super::sizing::Sizing;
use crate::measure::process::vcpus;
use crate::verdict::criteria::Verdict;
use crate::verdict::outcome::Outcome;
use serde::Serialize;
use std::time::SystemTime;

/// The name of the shape of `summary.json`; `summary.schema.json` describes it.
pub const FORMAT: &str = "drawload/1";

/// All scenarios of one run.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub format: &'static str,
    pub version: &'static str,
    pub started_unix_s: u64,
    pub host: String,
    pub seed: u64,
    pub time_scale: f64,
    pub vcpus: f64,
    pub verdict: Verdict,
    pub exit_code: u8,
    pub scenarios: Vec<Outcome>,
    /// Set for a search of the ceiling; `scenarios` are then the highest step that held and the
    /// lowest that did not.
    pub ceiling: Option<Ceiling>,
    #[serde(rename = "advice")]
    pub sizing: Sizing,
}

impl Summary {
    pub fn new(host: &str, seed: u64, time_scale: f64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            started_unix_s: now.map_or(0, |since| since.as_secs()),
            host: host.to_owned(),
            seed,
            time_scale,
            vcpus: vcpus(),
            verdict: Verdict::Pass,
            exit_code: 0,
            scenarios: Vec::new(),
            ceiling: None,
            sizing: Sizing::of(&[], time_scale),
        }
    }

    /// Adds a scenario; the worst verdict of all is that of the run.
    pub fn add(&mut self, outcome: Outcome) {
        self.verdict = self.verdict.max(outcome.verdict);
        self.exit_code = self.verdict.exit_code();
        self.scenarios.push(outcome);
        self.sizing = Sizing::of(&self.scenarios, self.time_scale);
    }

    /// Marks a run whose next scenario was interrupted before it began.
    pub fn interrupt(&mut self) {
        self.verdict = Verdict::Interrupted;
        self.exit_code = self.verdict.exit_code();
    }

    /// Adds a ceiling; its own verdict counts, and not that of the step that broke.
    pub fn set_ceiling(&mut self, ceiling: Ceiling) {
        self.verdict = ceiling.verdict();
        self.exit_code = self.verdict.exit_code();
        self.ceiling = Some(ceiling);
    }
}
