//! The server's process: a local one through `/proc`, or a remote one through its own `/metrics`.
//!
//! A remote server reports less. A missing metric is announced once and its column stays empty; it
//! is never shown as zero. The metrics have the usual names of Prometheus clients, and of its text
//! format (version 0.0.4) only what four samples without labels need is parsed.

use super::http::Request;
use super::target::Target;
use crate::arguments::RunError;
use crate::measure::mib;
use crate::measure::process::{ProcessStats, vcpus};
use crate::server_options::TrustOptions;
use tokio::task::spawn_blocking;

/// The name of the server's process.
pub const SERVER: &str = "luckydraw";

/// Metrics of a remote server.
const MEMORY: &str = "process_resident_memory_bytes";
pub const CPU: &str = "process_cpu_seconds_total";
const PEAK: &str = "process_resident_memory_peak_bytes";
const DESCRIPTORS: &str = "process_open_fds";
const THREADS: &str = "process_threads";
const METRICS: [&str; 4] = [MEMORY, CPU, DESCRIPTORS, THREADS];

#[derive(Clone)]
pub enum ProcessSource {
    Local(u32),
    Remote(Box<RemoteProcess>),
}

#[derive(Clone)]
pub struct RemoteProcess {
    target: Target,
    path: String,
    url: String,
    token: Option<String>,
    /// The metrics that it reports.
    reported: Vec<&'static str>,
}

impl ProcessSource {
    /// A process of this machine.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn local(pid: u32) -> Result<Self, RunError> {
        let readable = ProcessStats::read(pid).map(|_| Self::Local(pid));
        readable.map_err(|error| RunError::CouldNotRun(format!("--pid {pid}: {error}")))
    }

    /// A server that reports its process.
    ///
    /// # Errors
    /// When it does not report its memory.
    pub async fn remote(url: &str, trust: &TrustOptions, token: Option<String>) -> Result<Self, RunError> {
        let target = Target::at(url, trust).map_err(|why| RunError::Usage(why.replace("--host", "--metrics-url")))?;
        let path = metrics_path(url);
        let text = request(&target, &path, token.as_deref()).text().await;
        let text = text.map_err(|error| RunError::CouldNotRun(format!("{url}: {error}")))?;
        let (reported, missing): (Vec<_>, Vec<_>) = METRICS.into_iter().partition(|name| sample(&text, name).is_some());
        if missing.contains(&MEMORY) {
            return Err(RunError::CouldNotRun(format!("{url}: {MEMORY} is not reported, so nothing can be judged")));
        }
        missing.iter().for_each(|name| eprintln!("drawload: {url}: {name} is not reported, and its column stays empty"));
        Ok(Self::Remote(Box::new(RemoteProcess { target, path, url: url.to_owned(), token, reported })))
    }

    /// Reads the process now.
    ///
    /// # Errors
    /// When it is gone, or does not answer.
    pub async fn read(&self) -> Result<ProcessStats, String> {
        match self {
            // Reading 20,000 descriptors takes longer than a timer may be late.
            Self::Local(pid) => {
                let pid = *pid;
                let stats = spawn_blocking(move || ProcessStats::read(pid)).await.map_err(|error| error.to_string())?;
                stats.map_err(|error| error.to_string())
            }
            Self::Remote(server) => {
                let text = request(&server.target, &server.path, server.token.as_deref()).text().await;
                let text = text.map_err(|error| error.to_string())?;
                parse(&text).ok_or_else(|| format!("{MEMORY} is no longer reported"))
            }
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Local(pid) => format!("process {pid}"),
            Self::Remote(server) => server.url.clone(),
        }
    }

    pub fn reports(&self, metric: &str) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Remote(server) => server.reported.contains(&metric),
        }
    }

    /// A row of the table; `used` is in vCPUs. An unknown value is empty, and not zero.
    pub fn row(&self, at_s: f64, stats: &ProcessStats, used: f64) -> String {
        let [rss, peak, pss, uss, swap] = [stats.rss, stats.rss_peak, stats.pss, stats.uss, stats.swap].map(mib);
        let ProcessStats { threads, descriptors, sockets, .. } = stats;
        if let Self::Local(_) = self {
            let cpu_percent = 100.0 * used / vcpus();
            return format!(
                "{at_s:.1},{rss:.2},{peak:.2},{pss:.2},{uss:.2},{swap:.2},{cpu_percent:.1},{threads},{descriptors},{sockets}"
            );
        }
        let known = |metric, text: String| if self.reports(metric) { text } else { String::new() };
        // A remote server does not report its number of vCPUs: these are percent of one.
        let cpu_percent = known(CPU, format!("{:.1}", 100.0 * used));
        let (threads, descriptors) = (known(THREADS, threads.to_string()), known(DESCRIPTORS, descriptors.to_string()));
        format!("{at_s:.1},{rss:.2},{peak:.2},,,,{cpu_percent},{threads},{descriptors},")
    }
}

fn request<'a>(target: &'a Target, path: &str, token: Option<&'a str>) -> Request<'a> {
    let request = Request::get(target, path.to_owned());
    match token {
        Some(token) => request.bearer(token),
        None => request,
    }
}

/// The path of a URL: `/metrics` when it names only a server.
fn metrics_path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map(|at| &rest[at..]).filter(|path| *path != "/").unwrap_or("/metrics").to_owned()
}

/// The one process with this name, by default the server's.
///
/// # Errors
/// When no process has it, or several.
pub fn find_pid(name: Option<&str>) -> Result<u32, RunError> {
    let name = name.unwrap_or(SERVER);
    let processes = procfs::process::all_processes().map_err(|error| RunError::CouldNotRun(error.to_string()))?;
    let named = processes.flatten().filter(|process| process.stat().is_ok_and(|stat| stat.comm == name));
    let found: Vec<u32> = named.map(|process| process.pid().unsigned_abs()).collect();
    match found[..] {
        [pid] => Ok(pid),
        [] => Err(RunError::CouldNotRun(format!("no process is called {name}"))),
        _ => Err(RunError::Usage(format!("several processes are called {name}: {found:?}; give the --pid of one"))),
    }
}

/// Parses the metrics of a process; a missing one is 0. `None` without the memory.
fn parse(text: &str) -> Option<ProcessStats> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sample is finite and not negative")]
    let count = |name: &str| sample(text, name).map(|value| value as u64);
    let rss = count(MEMORY)?;
    Some(ProcessStats {
        rss,
        rss_peak: count(PEAK).unwrap_or(rss),
        cpu_s: sample(text, CPU).unwrap_or(0.0),
        descriptors: count(DESCRIPTORS).unwrap_or(0),
        threads: count(THREADS).unwrap_or(0),
        ..ProcessStats::default()
    })
}

/// The value of a sample, with labels or without; the first of several. `None` for a value that is
/// not finite or negative.
fn sample(text: &str, name: &str) -> Option<f64> {
    let rest =
        text.lines().find_map(|line| line.trim_start().strip_prefix(name).filter(|rest| rest.starts_with([' ', '\t', '{'])))?;
    let value = rest.rsplit_once('}').map_or(rest, |(_, value)| value).split_whitespace().next()?;
    value.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP process_open_fds Open.\n# TYPE process_open_fds gauge\nprocess_open_fds 12\n\
        process_resident_memory_bytes{instance=\"a b\"} 2.5e+07 1700000000000\nprocess_threads NaN\nprocess_open_fds_more 3\n\
        process_cpu_seconds_total 1.25";

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let stats = parse(TEXT).unwrap();
        assert_eq!((stats.rss, stats.descriptors, stats.threads), (25_000_000, 12, 0));
        assert!((stats.cpu_s - 1.25).abs() < 1e-9);
        assert_eq!(sample(TEXT, "process_threads"), None, "not a number");
        assert_eq!(sample(TEXT, "process_open"), None);
    }

    #[test]
    fn without_the_memory_there_is_nothing_to_judge() {
        assert!(parse("process_open_fds 12\n").is_none());
    }

    #[test]
    fn a_url_of_a_server_means_its_metrics() {
        for url in ["http://h:1", "http://h:1/", "h:1", "https://h/metrics"] {
            assert_eq!(metrics_path(url), "/metrics", "{url}");
        }
        assert_eq!(metrics_path("https://h/inside/metrics?x=1"), "/inside/metrics?x=1");
    }
}
