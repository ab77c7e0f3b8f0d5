//! A process as the kernel reports it: memory, CPU, descriptors, threads.

use super::number;
use procfs::process::{FDTarget, Process};
use procfs::{ProcError, ProcResult};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// The share of each vCPU that the smallest Lightsail instance may use without limit.
const BASELINE: f64 = 0.05;

/// A process at one time. Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ProcessStats {
    pub rss: u64,
    pub rss_peak: u64,
    /// Proportional set size; 0 where it may not be read.
    pub pss: u64,
    /// Memory that no other process shares.
    pub uss: u64,
    pub swap: u64,
    pub threads: u64,
    pub descriptors: u64,
    /// Descriptors that are sockets.
    pub sockets: u64,
    /// User and system time since its start.
    pub cpu_s: f64,
}

impl ProcessStats {
    /// # Errors
    /// When there is no such process, or it may not be read.
    pub fn read(pid: u32) -> ProcResult<Self> {
        let process = Process::new(i32::try_from(pid).map_err(|_| ProcError::NotFound(None))?)?;
        let (status, stat) = (process.status()?, process.stat()?);
        let rollup = process.smaps_rollup().map(|rollup| rollup.memory_map_rollup.0).unwrap_or_default();
        let mapped = |name: &str| rollup.first().and_then(|maps| maps.extension.map.get(name)).copied().unwrap_or(0);
        let kib = |size: Option<u64>| size.unwrap_or(0) << 10;
        let targets: Vec<_> = process.fd().into_iter().flatten().flatten().map(|file| file.target).collect();
        Ok(Self {
            rss: kib(status.vmrss),
            rss_peak: kib(status.vmhwm),
            pss: mapped("Pss"),
            uss: mapped("Private_Clean") + mapped("Private_Dirty"),
            swap: kib(status.vmswap),
            threads: status.threads,
            descriptors: targets.len() as u64,
            sockets: targets.iter().filter(|target| matches!(target, FDTarget::Socket(_))).count() as u64,
            cpu_s: number(stat.utime + stat.stime) / number(procfs::ticks_per_second()),
        })
    }
}

/// CPU time of the calling thread.
pub fn own_cpu_s() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0)).as_secs_f64()
}

/// CPU time as it was spent. Holds the last ten seconds and no more.
#[derive(Debug, Default)]
pub struct CpuUsage {
    recent: VecDeque<(f64, f64)>,
    first: Option<f64>,
    /// The highest mean over ten seconds, in vCPUs; `None` for a shorter run.
    pub worst_10s: Option<f64>,
    burst_vcpu_s: f64,
}

impl CpuUsage {
    /// Records the CPU time used up to a time, both in seconds.
    pub fn record(&mut self, at_s: f64, used_s: f64) {
        self.first.get_or_insert(used_s);
        if let Some((before_s, before_used_s)) = self.recent.back() {
            let above = (used_s - before_used_s) - BASELINE * vcpus() * (at_s - before_s);
            self.burst_vcpu_s += above.max(0.0);
        }
        self.recent.push_back((at_s, used_s));
        while self.recent.get(1).is_some_and(|(second_s, _)| at_s - second_s >= 10.0) {
            self.recent.pop_front();
        }
        if let Some((from_s, from_used_s)) = self.recent.front()
            && at_s - from_s >= 10.0
        {
            let mean = (used_s - from_used_s) / (at_s - from_s);
            self.worst_10s = Some(self.worst_10s.map_or(mean, |worst| worst.max(mean)));
        }
    }

    /// The worst ten seconds, or the mean of a shorter run.
    pub fn worst_10s_or_all(&self) -> Option<f64> {
        let length_s = self.recent.back()?.0 - self.recent.front()?.0;
        self.worst_10s.or((length_s > 0.0).then(|| self.total_s() / length_s))
    }

    /// CPU-seconds between the first record and the last.
    pub fn total_s(&self) -> f64 {
        self.recent.back().map_or(0.0, |(_, used)| used - self.first.unwrap_or(*used))
    }

    /// Minutes of one vCPU spent above the 5 % of each that are free.
    pub fn burst_minutes(&self) -> f64 {
        self.burst_vcpu_s / 60.0
    }
}

/// Number of vCPUs of this machine.
pub fn vcpus() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| number(count.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_read_and_a_missing_one_is_an_error() {
        let stats = ProcessStats::read(std::process::id()).unwrap();
        assert!(stats.rss > 100_000 && stats.rss_peak >= stats.rss && stats.threads > 0 && stats.descriptors > 2, "{stats:?}");
        assert!(ProcessStats::read(u32::MAX).is_err());
    }

    #[test]
    fn a_busy_thread_is_charged_for_its_own_time_alone() {
        let spin = || {
            let start = std::time::Instant::now();
            let before = own_cpu_s();
            while own_cpu_s() - before < 0.05 && start.elapsed().as_secs() < 20 {}
            own_cpu_s() - before
        };
        let before = own_cpu_s();
        assert!(std::thread::spawn(spin).join().unwrap() >= 0.05);
        assert!(own_cpu_s() - before < 0.05, "another thread's time is not this one's");
    }

    #[test]
    fn the_worst_ten_seconds_are_found_and_the_idle_ones_cost_no_burst() {
        let mut cpu = CpuUsage::default();
        let mut used = 0.0;
        for second in 0..60_u32 {
            cpu.record(second.into(), used);
            used += if (20..35).contains(&second) { 0.8 } else { 0.01 };
        }
        let worst = cpu.worst_10s.unwrap();
        assert!((worst - 0.8).abs() < 1e-9, "{worst}");
        let expected = 15.0 * (0.8 - BASELINE * vcpus()) / 60.0;
        assert!((cpu.burst_minutes() - expected).abs() < 1e-9);
    }
}
