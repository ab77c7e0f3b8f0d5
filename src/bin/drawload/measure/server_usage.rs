//! The server's process over a whole scenario: its peaks, its growth, its CPU time, and the
//! descriptors that it left open.

use super::process::{ProcessStats, vcpus};
use super::recorder::Recorder;
use super::{mib, number};
use serde::Serialize;

/// The server's process over the whole scenario.
#[derive(Debug, Serialize)]
pub struct ServerUsage {
    pub empty: ProcessStats,
    pub end: ProcessStats,
    pub rss_peak_mb: f64,
    pub pss_peak_mb: f64,
    pub cpu_s: f64,
    /// Growth while all sockets were held: the end of that time against its beginning. `None` for
    /// fewer than ten samples.
    pub growth_mb: Option<f64>,
    /// In percent of all vCPUs; of a run of less than ten seconds, as a whole.
    pub cpu_worst_10s_percent: Option<f64>,
    /// Descriptors beyond those of the empty server and of the sockets that are still open; `None`
    /// when the server does not report them.
    pub descriptors_leaked: Option<u64>,
    pub burst_minutes: f64,
}

impl ServerUsage {
    /// From what the process was before and after the scenario. Its sockets were all open from
    /// `held_from_s` on.
    pub fn of(recorder: &Recorder, empty: ProcessStats, end: ProcessStats, held_from_s: f64) -> Self {
        let sampled = || recorder.samples.iter().filter_map(|sample| sample.server).chain([empty, end]);
        let sampled_peak = sampled().map(|server| server.rss).max().unwrap_or_default();
        // The kernel keeps the highest peak since the process began. It belongs to this run when
        // the run raised it.
        let peak = if end.rss_peak > empty.rss_peak { end.rss_peak.max(sampled_peak) } else { sampled_peak };
        let held = recorder.samples.iter().filter(|sample| sample.at_s >= held_from_s).filter_map(|sample| sample.server);
        let held: Vec<f64> = held.map(|server| mib(server.rss)).collect();
        let growth_mb = (held.len() >= 10).then(|| {
            let tenth = held.len() / 10;
            let mean = |part: &[f64]| part.iter().sum::<f64>() / number(part.len());
            mean(&held[held.len() - tenth..]) - mean(&held[..tenth])
        });
        Self {
            empty,
            end,
            rss_peak_mb: mib(peak),
            pss_peak_mb: mib(sampled().map(|server| server.pss).max().unwrap_or_default()),
            growth_mb,
            cpu_s: recorder.server_cpu.total_s(),
            cpu_worst_10s_percent: recorder.server_cpu.worst_10s_or_all().map(|busy| 100.0 * busy / vcpus()),
            descriptors_leaked: (end.descriptors > 0).then(|| {
                let held = recorder.counts.sockets_at_end.1 + recorder.counts.ghosts_allowed;
                end.descriptors.saturating_sub(empty.descriptors + held)
            }),
            burst_minutes: recorder.server_cpu.burst_minutes(),
        }
    }
}
