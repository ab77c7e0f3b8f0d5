//! A process as the kernel reports it: memory, CPU, descriptors, threads.
//!
//! Read from `/proc` by hand: five fields of three files need no crate.

use super::number;
use serde::Serialize;
use std::collections::VecDeque;
use std::{fs, io};

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
    pub fn read(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let (descriptors, sockets) = descriptors(pid);
        Ok(Self {
            rss: field(&status, "VmRSS:") << 10,
            rss_peak: field(&status, "VmHWM:") << 10,
            pss: field(&rollup, "Pss:") << 10,
            uss: (field(&rollup, "Private_Clean:") + field(&rollup, "Private_Dirty:")) << 10,
            swap: field(&status, "VmSwap:") << 10,
            threads: field(&status, "Threads:"),
            descriptors,
            sockets,
            cpu_s: cpu_s(&pid.to_string())?,
        })
    }
}

/// CPU time of a process, or of `thread-self`, in the kernel's ticks of 10 ms.
pub fn cpu_s(process: &str) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold anything; the fields begin behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok(number(ticks(11) + ticks(12)) / number(rustix::param::clock_ticks_per_second().max(1)))
}

/// Counts open descriptors, and the sockets among them; 0 where they may not be read.
fn descriptors(pid: u32) -> (u64, u64) {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.fold((0, 0), |(all, sockets), file| {
        let socket = fs::read_link(file.path()).is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        (all + 1, sockets + u64::from(socket))
    })
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
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
            let begun = std::time::Instant::now();
            let before = cpu_s("thread-self").unwrap();
            while cpu_s("thread-self").unwrap() - before < 0.05 && begun.elapsed().as_secs() < 20 {}
            cpu_s("thread-self").unwrap() - before
        };
        let before = cpu_s("thread-self").unwrap();
        assert!(std::thread::spawn(spin).join().unwrap() >= 0.05);
        assert!(cpu_s("thread-self").unwrap() - before < 0.05, "another thread's time is not this one's");
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
