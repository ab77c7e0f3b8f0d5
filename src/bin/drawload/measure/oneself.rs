//! The tester's own health: a tester that is late measures itself and calls it the server.

use super::latency::{histogram, in_ms};
use super::process::Cpu;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Timers that come later than this make the tester the bottleneck: a tenth of the strictest criterion would already be noise.
pub const LAG_P99_MS_MAX: f64 = 50.0;
/// One thread that is busier than this has no room left.
pub const CPU_MAX: f64 = 0.90;
/// The share of sends that may miss their time by more than [`MISSED_US`].
pub const MISSED_MAX: f64 = 0.01;
/// A send so late has missed its time.
pub const MISSED_US: u64 = 100_000;

/// What the tester saw of itself.
pub struct Oneself {
    lag: Histogram<u64>,
    sends: u64,
    missed: u64,
    cpu: Cpu,
}

/// The same in figures.
#[derive(Clone, Debug, Serialize)]
pub struct Myself {
    pub timer_lag_p99_ms: f64,
    pub sends: u64,
    pub sends_missed: u64,
    /// CPU-seconds, and the worst ten seconds as a share of the one thread there is.
    pub cpu_s: f64,
    pub cpu_worst_10s: Option<f64>,
    /// Why the tester was the bottleneck; empty when it was not.
    pub limited_by: Vec<String>,
}

impl Oneself {
    pub fn new() -> Self {
        Self { lag: histogram(), sends: 0, missed: 0, cpu: Cpu::default() }
    }

    /// A timer came so much too late.
    pub fn note_lag(&mut self, us: u64) {
        self.lag.saturating_record(us.max(1));
    }

    /// Something was to be sent, and the tester came so much too late to do it.
    pub fn note_send(&mut self, late_us: u64) {
        self.sends += 1;
        self.missed += u64::from(late_us > MISSED_US);
    }

    pub fn sample(&mut self, at_s: f64) {
        self.cpu.note(at_s, own_cpu_s());
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of sends are small")]
    pub fn myself(&self) -> Myself {
        let timer_lag_p99_ms = in_ms(self.lag.value_at_quantile(0.99));
        let missed = self.missed as f64 / self.sends.max(1) as f64;
        let cpu_worst_10s = self.cpu.worst_10s();
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
        Myself {
            timer_lag_p99_ms,
            sends: self.sends,
            sends_missed: self.missed,
            cpu_s: self.cpu.total_s(),
            cpu_worst_10s,
            limited_by,
        }
    }
}

/// CPU time of the one thread that does it all; only looking at the server's process is left to another.
fn own_cpu_s() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes one rusage, which lives until it returns; all zeros are one too, should it fail.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds and microseconds fit 53 bits")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_tester_says_so() {
        let mut oneself = Oneself::new();
        (0..100).for_each(|_| oneself.note_lag(1_000));
        (0..100).for_each(|_| oneself.note_send(0));
        assert!(oneself.myself().limited_by.is_empty());
        (0..2).for_each(|_| oneself.note_lag(80_000));
        assert_eq!(oneself.myself().limited_by.len(), 1);
        (0..2).for_each(|_| oneself.note_send(MISSED_US + 1));
        assert_eq!(oneself.myself().limited_by.len(), 2);
    }
}
