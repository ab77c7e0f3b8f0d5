//! `memory-monitor`: a process watched from the outside for as long as one likes, in constant memory; one elsewhere by what its server says of it.
//!
//! Memory that rises is no leak until it rises steadily and by an amount that matters: the verdict needs both the slope and the difference
//! between end and start, since a short run has a steep slope of nothing, and a long one a difference that came at the beginning.

use crate::arguments::MemoryMonitor;
use crate::evening::Stopped;
use crate::measure::exposition::Told;
use crate::measure::process::{Cpu, Reading};
use crate::outcome::{CRITERION_MISSED, INTERRUPTED, megabytes};
use crate::watched::Watched;
use std::fs;
use std::io::{BufWriter, Write};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The plan's limit.
const RSS_MB_MAX: f64 = 512.0;

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
    fn note(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
    }

    /// Units of y for one of x; none for fewer than two points.
    fn value(&self) -> Option<f64> {
        let spread = self.count * self.xx - self.x * self.x;
        (self.count >= 2.0 && spread > 1e-9).then(|| (self.count * self.xy - self.x * self.y) / spread)
    }
}

/// Watches until the time is up and says what became of the memory.
///
/// # Errors
/// When there is no such process, or it ends meanwhile.
pub async fn watch(asked: &MemoryMonitor) -> Result<u8, Stopped> {
    let watched = Watched::of(asked).await?;
    let mut file = match &asked.output {
        None => None,
        Some(path) => {
            let file = fs::File::create(path).map_err(|error| Stopped::CouldNotRun(format!("{}: {error}", path.display())))?;
            Some(BufWriter::new(file))
        }
    };
    let header = "at_s,rss_mb,rss_peak_mb,pss_mb,uss_mb,swap_mb,cpu_percent,threads,descriptors,sockets";
    say(&mut file, header)?;
    let begun = Instant::now();
    let mut ticks = interval(Duration::from_secs_f64(asked.interval));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut slope, mut cpu, mut first, mut last) = (Slope::default(), Cpu::default(), None, Reading::default());
    let mut peak = 0;
    let mut before: Option<(f64, f64)> = None;
    let interrupted = loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => break true,
        }
        let at_s = begun.elapsed().as_secs_f64();
        last =
            watched.read().await.map_err(|why| Stopped::CouldNotRun(format!("{} after {at_s:.0} s: {why}", watched.name())))?;
        last.rss_peak = last.rss_peak.max(peak);
        peak = last.rss_peak;
        first.get_or_insert(last);
        slope.note(at_s / 3_600.0, megabytes(last.rss));
        cpu.note(at_s, last.cpu_s);
        let used = before.map_or(0.0, |(then_s, used_s)| (last.cpu_s - used_s) / (at_s - then_s).max(1e-9));
        before = Some((at_s, last.cpu_s));
        say(&mut file, &watched.line(at_s, &last, used))?;
        if at_s >= asked.duration {
            break false;
        }
    };
    if let Some(file) = &mut file {
        file.flush().map_err(|error| Stopped::CouldNotRun(error.to_string()))?;
    }
    let growth_mb = megabytes(last.rss) - megabytes(first.unwrap_or(last).rss);
    let leaks = leaks(slope.value(), growth_mb, asked);
    let large = megabytes(last.rss_peak) >= RSS_MB_MAX;
    println!(
        "memory-monitor: {}, {:.0} s: peak {:.1} MB (limit {RSS_MB_MAX} MB: {}), end minus start {growth_mb:+.2} MB, slope {} MB/h: {}; {}",
        watched.name(),
        begun.elapsed().as_secs_f64(),
        megabytes(last.rss_peak),
        if large { "MISSED" } else { "good" },
        slope.value().map_or("-".to_owned(), |slope| format!("{slope:+.2}")),
        if leaks { "GROWS" } else { "steady" },
        if watched.tells(Told::Cpu) { format!("{:.2} CPU-seconds", cpu.total_s()) } else { "its CPU time is not told".into() }
    );
    Ok(if interrupted {
        INTERRUPTED
    } else if leaks || large {
        CRITERION_MISSED
    } else {
        0
    })
}

/// Both must be above what is allowed.
fn leaks(slope: Option<f64>, growth_mb: f64, asked: &MemoryMonitor) -> bool {
    slope.is_some_and(|slope| slope > asked.slope_max) && growth_mb > asked.growth_max
}

/// To the terminal, and to the file if there is one.
fn say(file: &mut Option<BufWriter<fs::File>>, line: &str) -> Result<(), Stopped> {
    println!("{line}");
    let written = file.as_mut().map_or(Ok(()), |file| writeln!(file, "{line}"));
    written.map_err(|error| Stopped::CouldNotRun(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Vouching;

    fn asked() -> MemoryMonitor {
        MemoryMonitor {
            pid: None,
            name: None,
            auto: true,
            metrics_url: None,
            vouching: Vouching { ca: None, insecure: false },
            duration: 1.0,
            interval: 1.0,
            slope_max: 5.0,
            growth_max: 2.0,
            output: None,
        }
    }

    #[test]
    fn a_slope_is_a_slope() {
        let mut slope = Slope::default();
        assert_eq!(slope.value(), None);
        for x in 0..100_u32 {
            slope.note(f64::from(x) / 10.0, 3.0 * f64::from(x) / 10.0 + 7.0);
        }
        assert!((slope.value().unwrap() - 3.0).abs() < 1e-6);
    }

    #[test]
    fn memory_grows_only_when_it_rises_steadily_and_by_much() {
        assert!(leaks(Some(6.0), 3.0, &asked()));
        assert!(!leaks(Some(600.0), 1.0, &asked()), "a short run is steep");
        assert!(!leaks(Some(0.1), 3.0, &asked()), "it came at the beginning");
        assert!(!leaks(None, 3.0, &asked()));
    }
}
