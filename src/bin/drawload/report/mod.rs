//! Reports of a run: text for the terminal, and in a folder a page, `summary.json`, tables for
//! spreadsheets, distributions, and the environment. All are written from one [`Summary`].

mod chart;
mod checklist;
mod headline;
mod html;
mod labels;
mod machine;
mod matrix;
mod plots;
mod section;
mod sizing;
pub mod terminal;

use crate::measure::ms;
use crate::measure::process::{ProcessStats, vcpus};
use crate::run::summary::Summary;
use crate::verdict::criteria::Verdict;
use hdrhistogram::Histogram;
use procfs::{CpuInfo, Current, Meminfo};
use serde::Serialize;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Without it, Excel does not read a file as UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Lines of a distribution between two halvings of the distance to 100 %.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Sub-buckets of a histogram with three significant digits.
const SUB_BUCKETS: u32 = 2_048;

/// Writes the files of a run.
pub fn write(summary: &Summary, folder: &Path) -> io::Result<()> {
    in_file(folder, "summary.json", |file| Ok(serde_json::to_writer_pretty(file, summary)?))?;
    in_file(folder, "env.json", |file| Ok(serde_json::to_writer_pretty(file, &Environment::read())?))?;
    in_file(folder, "junit.xml", |file| machine::write_junit(summary, file))?;
    in_file(folder, "metrics.prom", |file| machine::write_prometheus(summary, file))?;
    in_file(folder, "timeseries.csv", |file| write_timeseries(summary, file))?;
    in_file(folder, "failures.csv", |file| write_failures(summary, file))?;
    for outcome in &summary.scenarios {
        for (name, histogram) in &outcome.histograms {
            in_file(folder, &format!("{}.{name}.hgrm", outcome.scenario), |file| write_hgrm(histogram, file))?;
        }
    }
    in_file(folder, "report.html", |file| file.write_all(html::page(summary).as_bytes()))
}

/// Writes a file beside the old one, and puts it in its place when it is whole: a full disk or a
/// killed tester must not leave half a report.
fn in_file(folder: &Path, name: &str, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let unfinished = folder.join(format!(".{name}.unfinished"));
    let mut file = BufWriter::new(File::create(&unfinished)?);
    write(&mut file)?;
    file.into_inner()?.sync_all()?;
    fs::rename(unfinished, folder.join(name))
}

/// Writes `timeseries.csv`: one row per sample of each scenario.
fn write_timeseries(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    let mut table = table(
        file,
        "scenario,at_s,registered,sockets,announced,errors,api_p50_ms,api_p95_ms,requests_per_s,frames_per_s,rss_bytes,pss_bytes,uss_bytes,swap_bytes,\
         cpu_s,threads,descriptors,server_sockets",
    )?;
    for (outcome, sample) in summary.scenarios.iter().flat_map(|outcome| outcome.samples.iter().map(move |at| (outcome, at))) {
        let counts = [sample.registered, sample.sockets, sample.announced, sample.errors].map(|count| count.to_string());
        let times = [sample.api_p50_ms, sample.api_p95_ms, sample.requests_per_s, sample.frames_per_s];
        let times = times.map(|ms| format!("{ms:.3}"));
        let server = sample.server.map_or_else(Default::default, |server| {
            let ProcessStats { rss, pss, uss, swap, cpu_s, threads, descriptors, sockets, .. } = server;
            let [rss, pss, uss, swap] = [rss, pss, uss, swap].map(|bytes| bytes.to_string());
            let [threads, descriptors, sockets] = [threads, descriptors, sockets].map(|count| count.to_string());
            [rss, pss, uss, swap, format!("{cpu_s:.2}"), threads, descriptors, sockets]
        });
        let first = [outcome.scenario.to_owned(), format!("{:.3}", sample.at_s)];
        table.write_record(first.iter().chain(&counts).chain(&times).chain(&server))?;
    }
    table.flush()
}

/// Writes `failures.csv`: calls and sockets that failed, faults, and the criteria that were missed.
fn write_failures(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    let mut table = table(file, "scenario,at_s,what,why")?;
    // A run that did not pass has a row, whatever else there is.
    if summary.verdict != Verdict::Pass {
        let why = summary.ceiling.as_ref().map_or(String::new(), |ceiling| ceiling.why.join("; "));
        table.write_record(["", "", terminal::name(summary.verdict), &cell(&why)])?;
    }
    for outcome in &summary.scenarios {
        for why in &outcome.tester.limited_by {
            table.write_record([outcome.scenario, "", "tester", &cell(why)])?;
        }
        for failure in &outcome.failures {
            let (what, why) = (cell(&failure.what), cell(&failure.why));
            table.write_record([outcome.scenario, &format!("{:.3}", failure.at_s), &what, &why])?;
        }
        if outcome.failures_unlisted > 0 {
            let more = format!("{} more failures", outcome.failures_unlisted);
            table.write_record([outcome.scenario, "", "unlisted", &more])?;
        }
        for judgement in outcome.judgements.iter().filter(|judgement| judgement.is_missed()) {
            let why = format!("{} is {:?}, wanted {}", judgement.metric, judgement.value, judgement.wanted);
            table.write_record([outcome.scenario, "", "criterion", &why])?;
        }
        for fault in &outcome.faults {
            table.write_record([outcome.scenario, "", "fault", &cell(fault)])?;
        }
    }
    table.flush()
}

/// Starts a table with this heading.
fn table<W: Write>(mut file: W, heading: &str) -> io::Result<csv::Writer<W>> {
    writeln!(file, "{BYTE_ORDER_MARK}{heading}")?;
    Ok(csv::Writer::from_writer(file))
}

/// A text as a cell. An apostrophe keeps a spreadsheet from running it as a formula: it may come
/// from the server.
fn cell(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// Writes a distribution of microseconds, in milliseconds, in the text format of the HDR histogram
/// tools.
fn write_hgrm(histogram: &Histogram<u64>, file: &mut impl Write) -> io::Result<()> {
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
struct Environment {
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
    fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let cpu = CpuInfo::current().ok().and_then(|cpus| Some(cpus.model_name(0)?.to_owned()));
        // cgroup version 2, or version 1, which writes a very large number for no limit.
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        Self {
            kernel: text("/proc/sys/kernel/osrelease"),
            cpu: cpu.unwrap_or_default(),
            vcpus: vcpus(),
            memory_kib: Meminfo::current().map_or(0, |memory| memory.mem_total >> 10),
            memory_limit: limits.map(text).into_iter().find(|limit| !limit.is_empty()).unwrap_or_default(),
            drawload: env!("CARGO_PKG_VERSION"),
            build: env!("BUILD_PROFILE"),
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

    #[test]
    fn a_run_that_did_not_pass_always_has_a_row() {
        let rows = |verdict| {
            let mut summary = Summary::new("h", 1, 1.0);
            summary.verdict = verdict;
            let mut file = Vec::new();
            write_failures(&summary, &mut file).unwrap();
            String::from_utf8(file).unwrap().lines().count() - 1
        };
        let verdicts = [Verdict::Pass, Verdict::Void, Verdict::Fail, Verdict::Interrupted];
        assert_eq!(verdicts.map(rows), [0, 1, 1, 1]);
    }

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
        let mut file = Vec::new();
        let mut written = table(&mut file, "a,b,c").unwrap();
        written.write_record(["plain words", "a,\"b\"", "=1+1"].map(cell).map(Cow::into_owned)).unwrap();
        drop(written);
        assert_eq!(String::from_utf8(file).unwrap(), "\u{feff}a,b,c\nplain words,\"a,\"\"b\"\"\",'=1+1\n");
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
