//! The command line, in the words of the plan that this tester was built for.

use crate::sources;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The most people: more sockets than one process may have descriptors for on a usual machine.
pub const USERS_MAX: u32 = 20_000;

/// A load tester for luckydraw that accounts for every frame of every phone.
#[derive(Parser)]
#[command(name = "drawload", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Plays the plan's scenarios (a registration spike, b draws, c a mixed evening, d idle sockets), one of one's own, or looks for the ceiling
    FullScenario(FullScenario),
    /// Opens sockets and holds them, with pings
    WebsocketTest(WebsocketTest),
    /// Calls over HTTP alone: registrations, draws, or both and the results
    HttpTest(HttpTest),
    /// Watches a process's memory, CPU and descriptors
    MemoryMonitor(MemoryMonitor),
    /// Holds a run against an earlier one
    Compare(Compare),
}

/// Which scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    A,
    B,
    C,
    D,
    All,
    /// As many users as the server bears
    Ceiling,
}

/// `full-scenario`
#[derive(Args)]
pub struct FullScenario {
    #[arg(long, value_enum, default_value = "all")]
    pub scenario: Which,
    /// A scenario of one's own, in TOML; scripts/scenarios/evening.toml shows how
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub scenario_file: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
    /// How many people there are; where the ceiling is looked for, how many to begin with [default: 300, or what the file says]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(USERS_MAX)))]
    pub users: Option<u32>,
    /// How many people there may be where the ceiling is looked for
    #[arg(long, default_value_t = USERS_MAX, value_parser = clap::value_parser!(u32).range(1..=i64::from(USERS_MAX)))]
    pub users_max: u32,
    /// How many prizes are drawn in b, c and on the way to the ceiling; at most as many as users [default: 100, to the ceiling 10]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub prizes: Option<u32>,
    /// Seconds from one draw to the next
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    pub draw_interval: f64,
    /// All times of the plan times this; other than 1, nothing that is measured in time, memory or CPU is judged, unless --threshold asks
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub time_scale: f64,
    /// Seconds that sockets idle in d
    #[arg(long, default_value_t = 3600.0, value_parser = duration)]
    pub idle: f64,
    /// Percentage of phones that vanish without a word in d
    #[arg(long, default_value = "2%", value_parser = percentage)]
    pub dead_clients: f64,
    #[command(flatten)]
    pub trouble: Trouble,
}

/// What goes wrong in the hall itself, in whichever scenario.
#[derive(Args)]
pub struct Trouble {
    /// Percentage of phones that read little or nothing once all are connected
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub slow_clients: Option<f64>,
    /// In the middle all sockets drop at once, and come back with what they heard last
    #[arg(long)]
    pub reconnect_storm: bool,
}

/// `websocket-test`
#[derive(Args)]
pub struct WebsocketTest {
    #[command(flatten)]
    pub common: Common,
    /// How many sockets there are
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=i64::from(USERS_MAX)))]
    pub users: u32,
    /// Seconds in all
    #[arg(long, default_value_t = 120.0, value_parser = duration)]
    pub duration: f64,
    /// Seconds in which they connect
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    pub ramp_up: f64,
    #[command(flatten)]
    pub trouble: Trouble,
}

/// What is called in `http-test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Calls {
    Registration,
    Draw,
    Mixed,
}

/// `http-test`
#[derive(Args)]
pub struct HttpTest {
    #[command(flatten)]
    pub common: Common,
    #[arg(long, value_enum, default_value = "mixed")]
    pub scenario: Calls,
    /// How many people there are
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=i64::from(USERS_MAX)))]
    pub users: u32,
    /// How many prizes are drawn in draw and mixed; at most as many as users
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub prizes: u32,
    /// Seconds in all
    #[arg(long, default_value_t = 60.0, value_parser = duration)]
    pub duration: f64,
}

/// What every test takes.
#[derive(Args)]
pub struct Common {
    #[command(flatten)]
    pub door: Door,
    /// Makes arrivals repeatable
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The server's process on this machine, to measure its memory and CPU
    #[arg(long)]
    pub pid: Option<u32>,
    /// One criterion more, as in draw.spread.p99<100ms; may be given several times
    #[arg(long = "threshold", value_name = "METRIC<LIMIT")]
    pub thresholds: Vec<String>,
    /// A folder for report.html, summary.json, tables and distributions; made if it is not there
    #[arg(long, visible_alias = "output", value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// `memory-monitor`
#[derive(Args)]
pub struct MemoryMonitor {
    /// The process
    #[arg(long, conflicts_with_all = ["name", "auto", "metrics_url"])]
    pub pid: Option<u32>,
    /// The one process that is called so
    #[arg(long, conflicts_with_all = ["auto", "metrics_url"])]
    pub name: Option<String>,
    /// The one process that is called luckydraw; so it is when nothing is said
    #[arg(long, conflicts_with = "metrics_url")]
    pub auto: bool,
    /// A server elsewhere, by its metrics in Prometheus's text format, as in `https://draw.example/metrics`
    #[arg(long, value_name = "URL")]
    pub metrics_url: Option<String>,
    #[command(flatten)]
    pub vouching: Vouching,
    /// Seconds
    #[arg(long, default_value_t = 60.0, value_parser = duration)]
    pub duration: f64,
    /// Seconds between two lines
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub interval: f64,
    /// MB an hour that memory may rise; it grows when it rises faster and by more than --growth-max
    #[arg(long, default_value_t = 5.0)]
    pub slope_max: f64,
    /// MB that the end may be above the start
    #[arg(long, default_value_t = 2.0)]
    pub growth_max: f64,
    /// A file for the table, as CSV
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `compare`
#[derive(Args)]
pub struct Compare {
    /// The summary.json of the earlier run
    pub before: PathBuf,
    /// The summary.json of the later run
    pub after: PathBuf,
    /// A change that is too much, as in register.p95>+20%; may be given several times
    #[arg(long, value_name = "METRIC>+CHANGE")]
    pub fail_if: Vec<String>,
}

/// How to reach the server.
#[derive(Args)]
pub struct Door {
    /// http://…, https://…, ws://…, wss://… or just address:port, with or without a path
    #[arg(long, default_value = "http://127.0.0.1:8000")]
    pub host: String,
    /// The event to play in; without it one is made for each scenario and removed afterwards
    #[arg(long)]
    pub event_id: Option<String>,
    /// What opens admin calls; not needed in open mode [env: LUCKYDRAW_ADMIN_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    admin_token: Option<String>,
    /// A file that holds the admin token [env: LUCKYDRAW_ADMIN_TOKEN_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "admin_token")]
    admin_token_file: Option<PathBuf>,
    /// Addresses of this machine that connections come from in turn, as in 127.0.0.2-127.0.0.9; one has some 28,000 ports
    #[arg(long, value_name = "ADDRESS[-ADDRESS],…", value_delimiter = ',')]
    pub source_ips: Vec<sources::Range>,
    #[command(flatten)]
    pub vouching: Vouching,
}

/// Who vouches for a server that speaks TLS; when nothing is said, the authorities that browsers trust.
#[derive(Args)]
pub struct Vouching {
    /// A PEM file with the certificates of one's own authority
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Take any certificate; towards this machine only
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
}

impl Door {
    /// What opens admin calls. A flag outweighs the environment, which may hold a token for other programs.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn admin_token(&self) -> Result<Option<String>, String> {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let read = |file: PathBuf| {
            let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok(Some(text.trim().to_owned()))
        };
        match (&self.admin_token, &self.admin_token_file) {
            (Some(token), _) => Ok(Some(token.clone())),
            (None, Some(file)) => read(file.clone()),
            (None, None) => match named("LUCKYDRAW_ADMIN_TOKEN") {
                Some(token) => Ok(Some(token)),
                None => named("LUCKYDRAW_ADMIN_TOKEN_FILE").map_or(Ok(None), |file| read(file.into())),
            },
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (value > 0.0 && value <= 3600.0).then_some(value).ok_or_else(|| "must be above 0 and at most 3600".to_owned())
}

fn duration(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (value > 0.0 && value <= 604_800.0).then_some(value).ok_or_else(|| "must be above 0 and at most a week".to_owned())
}

/// A share, as in 2%.
pub fn percentage(text: &str) -> Result<f64, String> {
    let value: f64 = text.trim_end_matches('%').parse().map_err(|_| "not a percentage".to_owned())?;
    (0.0..=100.0).contains(&value).then_some(value / 100.0).ok_or_else(|| "must be 0% to 100%".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
        assert_eq!((percentage("2%"), percentage("50")), (Ok(0.02), Ok(0.5)));
        assert!(percentage("101%").is_err() && positive("0").is_err() && positive("NaN").is_err());
    }
}
