//! What `memory-monitor` watches: a process of this machine by `/proc`, or a server elsewhere by its own `/metrics`.
//!
//! A server elsewhere tells less. What it does not tell is said once and stays empty in the table; it is never shown as zero.

use crate::arguments::MemoryMonitor;
use crate::evening::Stopped;
use crate::http::Ask;
use crate::measure::exposition::{self, Told};
use crate::measure::process::{Reading, vcpus};
use crate::outcome::megabytes;
use crate::target::Target;
use std::fs;

/// The name of the server's process.
const SERVER: &str = "luckydraw";

/// A process.
pub enum Watched {
    Here(u32),
    Elsewhere(Box<Elsewhere>),
}

/// A server that tells of itself.
pub struct Elsewhere {
    target: Target,
    path: String,
    url: String,
    /// The figures that it tells.
    told: Vec<Told>,
}

impl Watched {
    /// # Errors
    /// When there is no such process, or several, or it does not tell of its memory.
    pub async fn of(asked: &MemoryMonitor) -> Result<Self, Stopped> {
        let Some(url) = &asked.metrics_url else { return find(asked).map(Self::Here) };
        let target = Target::at(url, &asked.vouching).map_err(|why| Stopped::Usage(why.replace("--host", "--metrics-url")))?;
        let path = path(url);
        let text = Ask::get(&target, path.clone()).text().await;
        let text = text.map_err(|failure| Stopped::CouldNotRun(format!("{url}: {failure}")))?;
        let told: Vec<Told> = Told::ALL.into_iter().filter(|told| exposition::sample(&text, told.name()).is_some()).collect();
        if !told.contains(&Told::Memory) {
            return Err(Stopped::CouldNotRun(format!(
                "{url}: {} is not told, so that nothing can be judged",
                Told::Memory.name()
            )));
        }
        for missing in Told::ALL.into_iter().filter(|figure| !told.contains(figure)) {
            eprintln!("drawload: {url}: {} is not told, and its column stays empty", missing.name());
        }
        Ok(Self::Elsewhere(Box::new(Elsewhere { target, path, url: url.clone(), told })))
    }

    /// # Errors
    /// Why it cannot be read any more.
    pub async fn read(&self) -> Result<Reading, String> {
        match self {
            Self::Here(pid) => Reading::of(*pid).map_err(|error| error.to_string()),
            Self::Elsewhere(server) => {
                let text = Ask::get(&server.target, server.path.clone()).text().await.map_err(|failure| failure.to_string())?;
                exposition::reading(&text).ok_or_else(|| format!("{} is not told any more", Told::Memory.name()))
            }
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Here(pid) => format!("process {pid}"),
            Self::Elsewhere(server) => server.url.clone(),
        }
    }

    pub fn tells(&self, figure: Told) -> bool {
        match self {
            Self::Here(_) => true,
            Self::Elsewhere(server) => server.told.contains(&figure),
        }
    }

    /// A line of the table; `used` is in vCPUs. What is not known is empty, and is not zero.
    pub fn line(&self, at_s: f64, reading: &Reading, used: f64) -> String {
        let [rss, peak, pss, uss, swap] = [reading.rss, reading.rss_peak, reading.pss, reading.uss, reading.swap].map(megabytes);
        let Reading { threads, descriptors, sockets, .. } = reading;
        if let Self::Here(_) = self {
            let cpu_percent = 100.0 * used / vcpus();
            return format!(
                "{at_s:.1},{rss:.2},{peak:.2},{pss:.2},{uss:.2},{swap:.2},{cpu_percent:.1},{threads},{descriptors},{sockets}"
            );
        }
        let known = |figure, text: String| if self.tells(figure) { text } else { String::new() };
        // How many vCPUs there are elsewhere is not told: these are percent of one.
        let cpu_percent = known(Told::Cpu, format!("{:.1}", 100.0 * used));
        let (threads, descriptors) =
            (known(Told::Threads, threads.to_string()), known(Told::Descriptors, descriptors.to_string()));
        format!("{at_s:.1},{rss:.2},{peak:.2},,,,{cpu_percent},{threads},{descriptors},")
    }
}

/// What a URL asks for: `/metrics` when it names only a server.
fn path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map(|at| &rest[at..]).filter(|path| *path != "/").unwrap_or("/metrics").to_owned()
}

/// The one process that is meant.
fn find(asked: &MemoryMonitor) -> Result<u32, Stopped> {
    if let Some(pid) = asked.pid {
        return Ok(pid);
    }
    let name = asked.name.as_deref().unwrap_or(SERVER);
    let entries = fs::read_dir("/proc").map_err(|error| Stopped::CouldNotRun(format!("/proc: {error}")))?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let found: Vec<u32> =
        pids.filter(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)).collect();
    match found[..] {
        [pid] => Ok(pid),
        [] => Err(Stopped::CouldNotRun(format!("no process is called {name}"))),
        _ => Err(Stopped::Usage(format!("several processes are called {name}: {found:?}; give the --pid of one"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_asks_for_metrics() {
        for url in ["http://h:1", "http://h:1/", "h:1", "https://h/metrics"] {
            assert_eq!(path(url), "/metrics", "{url}");
        }
        assert_eq!(path("https://h/inside/metrics?x=1"), "/inside/metrics?x=1");
    }
}
