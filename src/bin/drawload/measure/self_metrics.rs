//! The tester's own health: a tester that is late measures itself and calls it the server.

use super::latency::histogram;
use super::process::{CpuUsage, own_cpu_s};
use super::{ms, number};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Timers later than this make the tester the bottleneck: a tenth of the strictest criterion would
/// already be noise.
pub const LAG_P99_MS_MAX: f64 = 50.0;
/// The share of its one thread above which the tester has no headroom left.
pub const CPU_MAX: f64 = 0.90;
/// The share of sends that may miss their time by more than [`MISSED_US`].
pub const MISSED_MAX: f64 = 0.01;
/// A send this late has missed its time.
pub const MISSED_US: u64 = 100_000;

/// Timers, sends and CPU time of the tester itself.
pub struct SelfMetrics {
    lag: Histogram<u64>,
    sends: u64,
    missed: u64,
    cpu: CpuUsage,
}

/// The same in figures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TesterHealth {
    pub timer_lag_p99_ms: f64,
    pub sends: u64,
    pub sends_missed: u64,
    pub cpu_s: f64,
    /// The worst ten seconds, as a share of the one thread.
    pub cpu_worst_10s: Option<f64>,
    /// Reasons why the tester was the bottleneck; empty when it was not.
    pub limited_by: Vec<String>,
}

impl SelfMetrics {
    pub fn new() -> Self {
        Self { lag: histogram(), sends: 0, missed: 0, cpu: CpuUsage::default() }
    }

    /// Records by how much a timer was late.
    pub fn record_lag(&mut self, us: u64) {
        self.lag.saturating_record(us.max(1));
    }

    /// Records by how much the tester was late to send something.
    pub fn record_send(&mut self, late_us: u64) {
        self.sends += 1;
        self.missed += u64::from(late_us > MISSED_US);
    }

    /// Records the CPU time of the one thread that does everything but reading the server's
    /// `/proc`. Must be called on that thread.
    pub fn record_cpu(&mut self, at_s: f64) {
        self.cpu.record(at_s, own_cpu_s());
    }

    pub fn health(&self) -> TesterHealth {
        let timer_lag_p99_ms = ms(self.lag.value_at_quantile(0.99));
        let missed = number(self.missed) / number(self.sends.max(1));
        let cpu_worst_10s = self.cpu.worst_10s;
        let mut limited_by = Vec::new();
        if timer_lag_p99_ms > LAG_P99_MS_MAX {
            limited_by.push(format!("its timers came {timer_lag_p99_ms:.0} ms late at p99"));
        }
        if missed > MISSED_MAX {
            limited_by.push(format!("{} of {} sends missed their time", self.missed, self.sends));
        }
        if let Some(busy) = cpu_worst_10s.filter(|busy| *busy > CPU_MAX) {
            limited_by.push(format!("its thread was {:.0} % busy", busy * 100.0));
        }
        let (sends, sends_missed, cpu_s) = (self.sends, self.missed, self.cpu.total_s());
        TesterHealth { timer_lag_p99_ms, sends, sends_missed, cpu_s, cpu_worst_10s, limited_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_tester_says_so() {
        let mut metrics = SelfMetrics::new();
        (0..100).for_each(|_| metrics.record_lag(1_000));
        (0..100).for_each(|_| metrics.record_send(0));
        assert!(metrics.health().limited_by.is_empty());
        (0..2).for_each(|_| metrics.record_lag(80_000));
        assert_eq!(metrics.health().limited_by.len(), 1);
        (0..2).for_each(|_| metrics.record_send(MISSED_US + 1));
        assert_eq!(metrics.health().limited_by.len(), 2);
    }
}
