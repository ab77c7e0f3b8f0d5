//! A process as the kernel tells of it: memory, CPU, descriptors, threads.
//!
//! Read from `/proc` by hand: five fields of three files need no crate.

use serde::Serialize;
use std::collections::VecDeque;
use std::fs;
use std::io;

/// The share of each vCPU that the smallest Lightsail box may use for ever.
const BASELINE: f64 = 0.05;

/// A process at one moment. Sizes in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Reading {
    pub rss: u64,
    pub rss_peak: u64,
    /// Its fair share of what it shares with others; 0 where that may not be read.
    pub pss: u64,
    /// What it shares with nobody.
    pub uss: u64,
    pub swap: u64,
    pub threads: u64,
    pub descriptors: u64,
    /// Descriptors that are sockets.
    pub sockets: u64,
    /// User and system time since it started.
    pub cpu_s: f64,
}

impl Reading {
    /// # Errors
    /// When there is no such process, or it may not be looked at.
    #[expect(clippy::cast_precision_loss, reason = "ticks of a process fit 53 bits")]
    pub fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        // The name in parentheses may hold anything; the fields begin behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        // SAFETY: sysconf takes no pointers.
        let ticks_per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1);
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
            cpu_s: (ticks(11) + ticks(12)) as f64 / ticks_per_s as f64,
        })
    }
}

/// How many descriptors are open, and how many of them are sockets; none where that may not be looked at.
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
pub struct Cpu {
    recent: VecDeque<(f64, f64)>,
    first: Option<f64>,
    worst_10s: Option<f64>,
    burst_vcpu_s: f64,
}

impl Cpu {
    /// Notes how much had been used at a moment, both in seconds.
    pub fn note(&mut self, at_s: f64, used_s: f64) {
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

    /// CPU-seconds between the first note and the last.
    pub fn total_s(&self) -> f64 {
        self.recent.back().map_or(0.0, |(_, used)| used - self.first.unwrap_or(*used))
    }

    /// The worst mean over ten seconds, in vCPUs; none for a shorter run.
    pub fn worst_10s(&self) -> Option<f64> {
        self.worst_10s
    }

    /// Minutes of one vCPU spent above the 5 % of each that are free.
    pub fn burst_minutes(&self) -> f64 {
        self.burst_vcpu_s / 60.0
    }
}

/// How many vCPUs this machine has.
pub fn vcpus() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| u32::try_from(count.get()).map_or(1.0, f64::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_read_and_one_that_is_not_there_is_an_error() {
        let reading = Reading::of(std::process::id()).unwrap();
        assert!(
            reading.rss > 100_000 && reading.rss_peak >= reading.rss && reading.threads > 0 && reading.descriptors > 2,
            "{reading:?}"
        );
        assert!(Reading::of(u32::MAX).is_err());
    }

    #[test]
    fn the_worst_ten_seconds_are_found_and_the_idle_ones_cost_no_burst() {
        let mut cpu = Cpu::default();
        let mut used = 0.0;
        for second in 0..60_u32 {
            cpu.note(second.into(), used);
            used += if (20..35).contains(&second) { 0.8 } else { 0.01 };
        }
        let worst = cpu.worst_10s().unwrap();
        assert!((worst - 0.8).abs() < 1e-9, "{worst}");
        let expected = 15.0 * (0.8 - BASELINE * vcpus()) / 60.0;
        assert!((cpu.burst_minutes() - expected).abs() < 1e-9);
    }
}
