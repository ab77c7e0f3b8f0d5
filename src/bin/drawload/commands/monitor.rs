//! `memory-monitor`: watches a process for any length of time, in constant memory.
//!
//! Rising memory is no leak unless it rises steadily and by an amount that matters. The verdict
//! needs both the slope and the difference between end and start: a short run has a steep slope of
//! nothing, and a long one may have grown at its beginning only.

use crate::arguments::{CRITERION_MISSED, INTERRUPTED, MemoryMonitor, RunError};
use crate::client::process_source::{CPU, ProcessSource, find_pid};
use crate::measure::mib;
use crate::measure::process::{CpuUsage, ProcessStats};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The plan's limit.
const RSS_MB_MAX: f64 = 512.0;

const HEADER: &str = "at_s,rss_mb,rss_peak_mb,pss_mb,uss_mb,swap_mb,cpu_percent,threads,descriptors,sockets";

/// A least-squares line through points that are not kept.
#[derive(Debug, Default)]
struct Slope {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Slope {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
    }

    /// Units of y per unit of x; `None` for fewer than two points.
    fn value(&self) -> Option<f64> {
        let spread = self.count * self.xx - self.x * self.x;
        (self.count >= 2.0 && spread > 1e-9).then(|| (self.count * self.xy - self.x * self.y) / spread)
    }
}

/// The process since the start of the watch.
#[derive(Default)]
struct Watch {
    slope: Slope,
    cpu: CpuUsage,
    first: Option<ProcessStats>,
    last: ProcessStats,
    last_at_s: f64,
}

impl Watch {
    /// Adds a reading; returns the vCPUs used since the one before.
    fn add(&mut self, at_s: f64, mut stats: ProcessStats) -> f64 {
        stats.rss_peak = stats.rss_peak.max(self.last.rss_peak);
        let used = self.first.map_or(0.0, |_| (stats.cpu_s - self.last.cpu_s) / (at_s - self.last_at_s).max(1e-9));
        self.first.get_or_insert(stats);
        self.slope.add(at_s / 3_600.0, mib(stats.rss));
        self.cpu.record(at_s, stats.cpu_s);
        (self.last, self.last_at_s) = (stats, at_s);
        used
    }

    fn growth_mb(&self) -> f64 {
        mib(self.last.rss) - mib(self.first.unwrap_or(self.last).rss)
    }
}

/// Watches until the time is up and prints the verdict.
///
/// # Errors
/// When there is no such process, or it ends meanwhile.
pub async fn monitor(options: &MemoryMonitor) -> Result<u8, RunError> {
    let source = match (&options.metrics_url, options.pid) {
        (Some(url), _) => ProcessSource::remote(url, &options.trust, None).await?,
        (None, Some(pid)) => ProcessSource::local(pid)?,
        (None, None) => ProcessSource::local(find_pid(options.name.as_deref())?)?,
    };
    let file = options.output.as_ref().map(|path| {
        let file = File::create(path).map_err(|error| RunError::CouldNotRun(format!("{}: {error}", path.display())));
        file.map(BufWriter::new)
    });
    let mut file = file.transpose()?;
    print_row(&mut file, HEADER)?;
    let start = Instant::now();
    let mut ticks = interval(Duration::from_secs_f64(options.interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut watch = Watch::default();
    let interrupted = loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => break true,
        }
        let at_s = start.elapsed().as_secs_f64();
        let stats = source.read().await;
        let stats = stats.map_err(|why| RunError::CouldNotRun(format!("{} after {at_s:.0} s: {why}", source.name())))?;
        let used = watch.add(at_s, stats);
        print_row(&mut file, &source.row(at_s, &watch.last, used))?;
        if at_s >= options.duration {
            break false;
        }
    };
    if let Some(file) = &mut file {
        file.flush().map_err(|error| RunError::CouldNotRun(error.to_string()))?;
    }
    let missed = print_verdict(options, &source, &watch, start.elapsed());
    Ok(if interrupted { INTERRUPTED } else { u8::from(missed) * CRITERION_MISSED })
}

/// Prints the verdict; returns true when the process leaks or is too large.
fn print_verdict(options: &MemoryMonitor, source: &ProcessSource, watch: &Watch, elapsed: Duration) -> bool {
    let (slope, growth_mb, peak_mb) = (watch.slope.value(), watch.growth_mb(), mib(watch.last.rss_peak));
    let (leaks, is_large) = (leaks(slope, growth_mb, options), peak_mb >= RSS_MB_MAX);
    let size = if is_large { "MISSED" } else { "good" };
    let trend = if leaks { "GROWS" } else { "steady" };
    let slope = slope.map_or("-".to_owned(), |slope| format!("{slope:+.2}"));
    let cpu = format!("{:.2} CPU-seconds", watch.cpu.total_s());
    let cpu = if source.reports(CPU) { &cpu } else { "its CPU time is not reported" };
    print!("memory-monitor: {}, {:.0} s: ", source.name(), elapsed.as_secs_f64());
    print!("peak {peak_mb:.1} MB (limit {RSS_MB_MAX} MB: {size}), ");
    println!("end minus start {growth_mb:+.2} MB, slope {slope} MB/h: {trend}; {cpu}");
    leaks || is_large
}

/// Both slope and growth must be above their limits.
fn leaks(slope: Option<f64>, growth_mb: f64, options: &MemoryMonitor) -> bool {
    slope.is_some_and(|slope| slope > options.slope_max) && growth_mb > options.growth_max
}

/// Prints a row on the terminal, and in the file if there is one.
fn print_row(file: &mut Option<BufWriter<File>>, row: &str) -> Result<(), RunError> {
    println!("{row}");
    let written = file.as_mut().map_or(Ok(()), |file| writeln!(file, "{row}"));
    written.map_err(|error| RunError::CouldNotRun(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Subcommand};
    use clap::Parser;

    #[test]
    fn a_slope_is_that_of_its_points() {
        let mut slope = Slope::default();
        assert_eq!(slope.value(), None);
        for x in 0..100_u32 {
            slope.add(f64::from(x) / 10.0, 3.0 * f64::from(x) / 10.0 + 7.0);
        }
        assert!((slope.value().unwrap() - 3.0).abs() < 1e-6);
    }

    #[test]
    fn memory_leaks_only_when_it_rises_steadily_and_by_much() {
        let Subcommand::MemoryMonitor(defaults) = Arguments::parse_from(["drawload", "memory-monitor"]).subcommand else {
            panic!("another subcommand")
        };
        assert!(leaks(Some(6.0), 3.0, &defaults));
        assert!(!leaks(Some(600.0), 1.0, &defaults), "a short run is steep");
        assert!(!leaks(Some(0.1), 3.0, &defaults), "it grew at the beginning");
        assert!(!leaks(None, 3.0, &defaults));
    }

    #[test]
    fn a_peak_is_kept_and_cpu_counts_from_reading_to_reading() {
        let stats = |rss: u64, cpu_s| ProcessStats { rss: rss << 20, rss_peak: rss << 20, cpu_s, ..ProcessStats::default() };
        let mut watch = Watch::default();
        assert_eq!(watch.add(0.0, stats(10, 5.0)), 0.0, "nothing is known before the first reading");
        assert!((watch.add(2.0, stats(30, 6.0)) - 0.5).abs() < 1e-9);
        watch.add(4.0, stats(12, 6.0));
        assert_eq!((mib(watch.last.rss_peak), watch.growth_mb()), (30.0, 2.0));
    }
}
