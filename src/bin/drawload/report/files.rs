//! Files for other programs: tables for spreadsheets, HDR distributions, and the environment.

use crate::measure::ms;
use crate::measure::process::{ProcessStats, vcpus};
use crate::run::summary::Summary;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::borrow::Cow;
use std::fs;
use std::io::{self, Write};

/// Without it, Excel does not read a file as UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Lines of a distribution between two halvings of the distance to 100 %.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Sub-buckets of a histogram with three significant digits.
const SUB_BUCKETS: u32 = 2_048;

/// Writes `timeseries.csv`: one row per sample of each scenario.
pub fn write_timeseries(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    let columns = "scenario,at_s,registered,sockets,announced,errors,api_p50_ms,api_p95_ms,\
         rss_bytes,pss_bytes,uss_bytes,swap_bytes,cpu_s,threads,descriptors,server_sockets";
    writeln!(file, "{BYTE_ORDER_MARK}{columns}")?;
    for (outcome, sample) in summary.scenarios.iter().flat_map(|outcome| outcome.samples.iter().map(move |at| (outcome, at))) {
        let server = sample.server.map_or(",,,,,,,".to_owned(), |server| {
            let ProcessStats { rss, pss, uss, swap, cpu_s, threads, descriptors, sockets, .. } = server;
            format!("{rss},{pss},{uss},{swap},{cpu_s:.2},{threads},{descriptors},{sockets}")
        });
        write!(file, "{},{:.3},{},{},", outcome.scenario, sample.at_s, sample.registered, sample.sockets)?;
        write!(file, "{},{},{:.3},{:.3},", sample.announced, sample.errors, sample.api_p50_ms, sample.api_p95_ms)?;
        writeln!(file, "{server}")?;
    }
    Ok(())
}

/// Writes `failures.csv`: calls and sockets that failed, and faults.
pub fn write_failures(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    writeln!(file, "{BYTE_ORDER_MARK}scenario,at_s,what,why")?;
    for outcome in &summary.scenarios {
        for failure in &outcome.failures {
            writeln!(file, "{},{:.3},{},{}", outcome.scenario, failure.at_s, cell(&failure.what), cell(&failure.why))?;
        }
        if outcome.failures_unlisted > 0 {
            writeln!(file, "{},,unlisted,{} more failures", outcome.scenario, outcome.failures_unlisted)?;
        }
        for fault in &outcome.faults {
            writeln!(file, "{},,fault,{}", outcome.scenario, cell(fault))?;
        }
    }
    Ok(())
}

/// Quotes a text as a cell. An apostrophe keeps a spreadsheet from running it as a formula: it may
/// come from the server.
fn cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains([',', '"', '\n', '\r']) {
        return Cow::Borrowed(text);
    }
    let apostrophe = if formula { "'" } else { "" };
    Cow::Owned(format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")))
}

/// Writes a distribution of microseconds, in milliseconds, in the text format of the HDR histogram
/// tools.
pub fn write_hgrm(histogram: &Histogram<u64>, file: &mut impl Write) -> io::Result<()> {
    writeln!(file, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile();
        let distance = if quantile < 1.0 { format!("{:14.2}", 1.0 / (1.0 - quantile)) } else { format!("{:>14}", "inf") };
        writeln!(file, "{:12.3} {quantile:14.12} {count:>10} {distance}", ms(step.value_iterated_to()))?;
    }
    let (mean, deviation) = (histogram.mean() / 1_000.0, histogram.stdev() / 1_000.0);
    writeln!(file, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    writeln!(file, "#[Max     = {:12.3}, Total count    = {:>12}]", ms(histogram.max()), histogram.len())?;
    writeln!(file, "#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]", histogram.buckets())
}

/// The machine that the tester ran on, on loopback the server's as well: `env.json`. It makes
/// figures comparable with those of another day.
#[derive(Debug, Serialize)]
pub struct Environment {
    kernel: String,
    cpu: String,
    vcpus: f64,
    memory_kib: u64,
    /// The limit of this cgroup; "max" for none.
    memory_limit: String,
    drawload: &'static str,
    build: &'static str,
    arguments: Vec<String>,
}

impl Environment {
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |path: &str, name: &str| {
            let text = text(path);
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(String::new(), |rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
        };
        let memory = field("/proc/meminfo", "MemTotal");
        // cgroup version 2, or version 1, which writes a very large number for no limit.
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let memory_limit = limits.iter().map(|path| text(path).trim().to_owned()).find(|limit| !limit.is_empty());
        Self {
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: field("/proc/cpuinfo", "model name"),
            vcpus: vcpus(),
            memory_kib: memory.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0),
            memory_limit: memory_limit.unwrap_or_default(),
            drawload: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            arguments: without_token(std::env::args().skip(1)),
        }
    }
}

/// Removes the admin token from the arguments.
fn without_token(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut secret_follows = false;
    arguments
        .map(|argument| {
            let secret = std::mem::replace(&mut secret_follows, argument == "--admin-token");
            match argument.starts_with("--admin-token=") {
                true => "--admin-token=***".to_owned(),
                false if secret => "***".to_owned(),
                false => argument,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hgrm(values_us: impl Iterator<Item = u64>) -> String {
        let mut histogram = crate::measure::latency::histogram();
        values_us.for_each(|us| histogram.record(us).unwrap());
        let mut file = Vec::new();
        write_hgrm(&histogram, &mut file).unwrap();
        String::from_utf8(file).unwrap()
    }

    #[test]
    fn the_token_is_not_written_down() {
        let arguments = ["x", "--admin-token", "secret", "--admin-token=secret", "--admin-token-file", "f"].map(str::to_owned);
        let kept = without_token(arguments.into_iter());
        assert_eq!(kept, ["x", "--admin-token", "***", "--admin-token=***", "--admin-token-file", "f"]);
    }

    #[test]
    fn a_cell_stays_one_cell_and_is_no_formula() {
        assert_eq!(cell("plain words"), "plain words");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
    }

    #[test]
    fn the_last_line_of_a_distribution_is_the_maximum_and_counts_all() {
        let text = hgrm((1..=1_000).map(|ms| ms * 1_000));
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        let fields: Vec<&str> = last.split_whitespace().collect();
        assert_eq!((fields[1], fields[2], fields[3]), ("1.000000000000", "1000", "inf"));
        assert!((fields[0].parse::<f64>().unwrap() - 1_000.0).abs() < 1.0, "{last}");
    }

    #[test]
    fn the_plotter_of_the_hdr_tools_reads_every_line_but_the_last() {
        let text = hgrm([300, 450, 450, 9_000, 70_000_000].into_iter());
        // As plotFiles.html does it: lines that are no comment and have four words, the value and
        // 1/(1-percentile) both finite.
        let mut points = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [value, _, _, distance] = words[..]
                && let (Ok(value), Ok(distance)) = (value.parse::<f64>(), distance.parse::<f64>())
                && distance.is_finite()
            {
                points.push((distance, value));
            }
        }
        assert!(points.len() >= 5 && points.is_sorted() && points[0] == (1.25, 0.3), "{points:?}");
        assert_eq!(text.lines().filter(|line| line.starts_with("#[")).count(), 3);
    }
}
