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

/// Between two checks of the timers.
pub const CHECKED_EVERY_US: u64 = 20_000;
/// A timer this late is a stall of the tester: meanwhile it could neither send nor receive.
const STALL_US: u64 = 50_000;
/// A stall this long voids judgements of times, however rare it is.
const STALL_US_MAX: u64 = 1_000_000;

/// Timers, sends and CPU time of the tester itself.
pub struct SelfMetrics {
    lag: Histogram<u64>,
    /// Start and end of each stall, in order.
    stalls: Vec<(u64, u64)>,
    sends: u64,
    missed: u64,
    cpu: CpuUsage,
    /// Failures of the tester itself, in words.
    panics: Vec<String>,
    /// Reasons why an agent was the bottleneck.
    limits: Vec<String>,
    pub agents: Vec<AgentHealth>,
}

/// The clock of an agent, against that of the coordinator.
#[derive(Clone, Debug, Serialize)]
pub struct AgentHealth {
    pub agent: String,
    /// Times that it was compared, before and while the scenario lasted.
    pub clock_readings: u64,
    /// The largest error of the comparison.
    pub error_ms: f64,
    /// Time that it gained since the start, by which its times were corrected.
    pub drift_ms: f64,
}

/// The same in figures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TesterHealth {
    pub timer_lag_p99_ms: f64,
    pub longest_stall_ms: f64,
    pub sends: u64,
    pub sends_missed: u64,
    pub cpu_s: f64,
    /// The worst ten seconds, as a share of the one thread.
    pub cpu_worst_10s: Option<f64>,
    /// Reasons why the tester was the bottleneck; empty when it was not.
    pub limited_by: Vec<String>,
    /// The same in Korean.
    #[serde(skip)]
    pub limited_by_ko: Vec<String>,
    /// Failures of the tester itself: a run with one proves nothing.
    pub panics: Vec<String>,
    pub agents: Vec<AgentHealth>,
}

impl SelfMetrics {
    pub fn new() -> Self {
        Self {
            lag: histogram(),
            stalls: Vec::new(),
            sends: 0,
            missed: 0,
            cpu: CpuUsage::default(),
            panics: Vec::new(),
            limits: Vec::new(),
            agents: Vec::new(),
        }
    }

    /// Records by how much a timer was late, until now. A stall counts as every check that it
    /// prevented, and not as one late sample among thousands.
    pub fn record_lag(&mut self, now_us: u64, us: u64) {
        self.lag.saturating_record(us.max(1));
        (1..=us / CHECKED_EVERY_US).for_each(|missed| self.lag.saturating_record((us - missed * CHECKED_EVERY_US).max(1)));
        if us >= STALL_US {
            self.stalls.push((now_us.saturating_sub(us), now_us));
        }
    }

    /// The time between two times in which the tester was able to receive.
    pub fn awake_us(&self, from_us: u64, to_us: u64) -> u64 {
        let first = self.stalls.partition_point(|(_, end)| *end <= from_us);
        let within = self.stalls[first..].iter().take_while(|(start, _)| *start < to_us);
        let stalled: u64 = within.map(|(start, end)| end.min(&to_us) - start.max(&from_us)).sum();
        to_us.saturating_sub(from_us).saturating_sub(stalled)
    }

    /// Records that a part of the tester failed.
    pub fn record_failure(&mut self, what: String) {
        self.panics.push(what);
    }

    /// Records that an agent was the bottleneck.
    pub fn record_limit(&mut self, why: String) {
        self.limits.push(why);
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
        let longest_us = self.stalls.iter().map(|(start, end)| end - start).max().unwrap_or(0);
        let mut limits: Vec<(String, String)> = Vec::new();
        if longest_us > STALL_US_MAX {
            let s = ms(longest_us) / 1_000.0;
            limits.push((format!("시험기가 {s:.1}초 동안 멈춰 있었음"), format!("it stood still for {s:.1} s")));
        }
        if timer_lag_p99_ms > LAG_P99_MS_MAX {
            let ko = format!("시험기의 타이머가 p99에서 {timer_lag_p99_ms:.0} ms 늦음");
            limits.push((ko, format!("its timers came {timer_lag_p99_ms:.0} ms late at p99")));
        }
        if missed > MISSED_MAX {
            let (missed, sends) = (self.missed, self.sends);
            limits.push((
                format!("전송 {sends}개 중 {missed}개가 제때를 놓침"),
                format!("{missed} of {sends} sends missed their time"),
            ));
        }
        if let Some(busy) = cpu_worst_10s.filter(|busy| *busy > CPU_MAX) {
            let percent = busy * 100.0;
            limits.push((format!("시험기의 스레드가 {percent:.0} % 바쁨"), format!("its thread was {percent:.0} % busy")));
        }
        limits.extend(self.limits.iter().chain(&self.panics).map(|why| (why.clone(), why.clone())));
        let (limited_by_ko, limited_by) = limits.into_iter().unzip();
        let (panics, agents) = (self.panics.clone(), self.agents.clone());
        let (sends, sends_missed, cpu_s) = (self.sends, self.missed, self.cpu.total_s());
        let longest_stall_ms = ms(longest_us);
        TesterHealth {
            timer_lag_p99_ms,
            longest_stall_ms,
            sends,
            sends_missed,
            cpu_s,
            cpu_worst_10s,
            limited_by,
            limited_by_ko,
            panics,
            agents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_tester_says_so() {
        let mut metrics = SelfMetrics::new();
        (0..100).for_each(|at| metrics.record_lag(at * 20_000, 1_000));
        (0..100).for_each(|_| metrics.record_send(0));
        assert!(metrics.health().limited_by.is_empty());
        (0..2).for_each(|at| metrics.record_lag(3_000_000 + at * 200_000, 80_000));
        assert_eq!(metrics.health().limited_by.len(), 1);
        (0..2).for_each(|_| metrics.record_send(MISSED_US + 1));
        assert_eq!(metrics.health().limited_by.len(), 2);
    }

    #[test]
    fn a_stall_counts_for_as_long_as_it_lasted() {
        let mut metrics = SelfMetrics::new();
        (0..5_000).for_each(|at| metrics.record_lag(at * 20_000, 500));
        metrics.record_lag(103_000_000, 3_000_000);
        let health = metrics.health();
        assert!(health.timer_lag_p99_ms > 1_000.0, "150 missed checks of 5,150: {health:?}");
        assert!(health.limited_by[0].contains("3.0 s") && health.limited_by_ko[0].contains("3.0초"), "{health:?}");
        assert_eq!(metrics.awake_us(99_000_000, 104_000_000), 2_000_000);
        assert_eq!(metrics.awake_us(101_000_000, 102_000_000), 0);
        assert_eq!(metrics.awake_us(103_000_000, 104_000_000), 1_000_000);
    }
}
