//! The command line, and how the program ends: its exit codes and its errors.
//!
//! A low layer, so that every other file may read it. Values are checked here, once; no later code
//! sees a number out of range.

use crate::server_options::{AgentToken, ServerOptions, TrustOptions};
use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, ValueEnum};
use std::path::PathBuf;

pub const CRITERION_MISSED: u8 = 99;
pub const VOID: u8 = 4;
pub const COULD_NOT_RUN: u8 = 3;
pub const USAGE: u8 = 64;
pub const INTERRUPTED: u8 = 105;

/// Maximum number of users: more sockets than one process usually has descriptors for.
pub const USERS_MAX: u32 = 20_000;

/// Maximum length of anything: a week.
pub const SECONDS_MAX: f64 = 604_800.0;

/// Maximum number of prizes in a run.
pub const PRIZES_MAX: u32 = 10_000;

/// Reason why nothing was judged.
#[derive(Debug)]
pub enum RunError {
    /// A signal came before anything could be judged.
    Interrupted,
    Usage(String),
    CouldNotRun(String),
}

/// A load tester for luckydraw that accounts for every frame of every phone.
#[derive(Parser)]
#[command(name = "drawload", version, about)]
pub struct Arguments {
    #[command(subcommand)]
    pub subcommand: Subcommand,
}

#[derive(clap::Subcommand)]
pub enum Subcommand {
    /// Runs the plan's scenarios (a registration spike, b draws, c a mixed event, d idle sockets)
    /// or a scenario file, or finds the ceiling
    FullScenario(FullScenario),
    /// Opens sockets and holds them, with pings
    WebsocketTest(WebsocketTest),
    /// Calls over HTTP alone: registrations, draws, or both and the results
    HttpTest(HttpTest),
    /// Watches a process's memory, CPU and descriptors
    MemoryMonitor(MemoryMonitor),
    /// Plays phones for a coordinator on another machine, which is started with --agents
    Agent(AgentOptions),
    /// Compares a run with an earlier one
    Compare(Compare),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScenarioChoice {
    A,
    B,
    C,
    D,
    All,
    /// As many users as the server can carry
    Ceiling,
}

#[derive(Args)]
pub struct FullScenario {
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    pub scenario: Vec<ScenarioChoice>,
    /// A scenario file in TOML; scripts/scenarios/company-event.toml is an example
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub scenario_file: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
    /// Number of users; with ceiling, the number to begin with [default: 300, or what the file
    /// says]
    #[arg(long, value_parser = users())]
    pub users: Option<u32>,
    /// Maximum number of users with ceiling
    #[arg(long, default_value_t = USERS_MAX, value_parser = users())]
    pub users_max: u32,
    /// Number of prizes drawn in b, c and ceiling; at most as many as users [default: 100, with
    /// ceiling 10, and never more than users]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(PRIZES_MAX)))]
    pub prizes: Option<u32>,
    /// Seconds from one draw to the next
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    pub draw_interval: f64,
    /// Factor for all times of the plan; other than 1, no time, memory or CPU is judged, unless
    /// --threshold asks
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub time_scale: f64,
    /// Seconds that sockets idle in d
    #[arg(long, default_value_t = 3600.0, value_parser = duration)]
    pub idle: f64,
    /// Percentage of phones that vanish without closing in d
    #[arg(long, default_value = "2%", value_parser = percentage)]
    pub dead_clients: f64,
    #[command(flatten)]
    pub trouble: Trouble,
}

/// Trouble on the clients' side, in any scenario.
#[derive(Args)]
pub struct Trouble {
    /// Percentage of phones that read little or nothing once all are connected
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub slow_clients: Option<f64>,
    /// In the middle all sockets drop at once, and reconnect from their last position
    #[arg(long)]
    pub reconnect_storm: bool,
    /// The display reports itself as a stage: the server plans the moment at which every page shows
    /// the winners, and each phone is held to it
    #[arg(long)]
    pub stage: bool,
}

#[derive(Args)]
pub struct WebsocketTest {
    #[command(flatten)]
    pub common: Common,
    /// Number of sockets
    #[arg(long, default_value_t = 300, value_parser = users())]
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

/// Calls that `http-test` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HttpCalls {
    Registration,
    Draw,
    Mixed,
}

#[derive(Args)]
pub struct HttpTest {
    #[command(flatten)]
    pub common: Common,
    #[arg(long, value_enum, default_value = "mixed")]
    pub scenario: HttpCalls,
    /// Number of users
    #[arg(long, default_value_t = 300, value_parser = users())]
    pub users: u32,
    /// Number of prizes drawn in draw and mixed; at most as many as users
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(PRIZES_MAX)))]
    pub prizes: u32,
    /// Seconds in all
    #[arg(long, default_value_t = 60.0, value_parser = duration)]
    pub duration: f64,
}

/// A column of the plan's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accept {
    /// Its targets
    Target,
    /// Its second column, the acceptable
    Threshold,
}

/// The network of the phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkChoice {
    /// None but that of this machine
    Direct,
    /// As in a hall: Wi-Fi and 4G, stalls, phones that change their network and tabs that sleep,
    /// all from one address
    Hall,
}

/// Options of every test.
#[derive(Args)]
pub struct Common {
    #[command(flatten)]
    pub server: ServerOptions,
    /// Makes arrivals repeatable
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The server's process on this machine, to measure its memory and CPU
    #[arg(long, conflicts_with = "metrics_url")]
    pub pid: Option<u32>,
    /// The metrics of a server elsewhere, to measure its memory and CPU, as in
    /// `https://draw.example/metrics`
    #[arg(long, value_name = "URL")]
    pub metrics_url: Option<String>,
    /// Token for --metrics-url [default: the admin token]
    #[arg(long, value_name = "TOKEN", requires = "metrics_url")]
    pub metrics_token: Option<String>,
    /// One more criterion, as in draw.spread.p99<100ms; may be given several times
    #[arg(long = "threshold", value_name = "METRIC<LIMIT")]
    pub thresholds: Vec<String>,
    /// Column of the plan's table that must be met
    #[arg(long, value_enum, default_value = "target")]
    pub accept: Accept,
    /// The server's log, in which lines that report an error are counted
    #[arg(long, value_name = "FILE")]
    pub server_log: Option<PathBuf>,
    /// Phones are pages of this other origin, as in `https://event.example`: each call that needs a
    /// CORS preflight sends one
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,
    /// Path between each phone's socket and the server
    #[arg(long, value_enum, default_value = "direct")]
    pub network: NetworkChoice,
    /// Machines that run `drawload agent`: they play the phones, each its share, and this one the
    /// host and the display
    #[arg(long, value_name = "HOST:PORT,…", value_delimiter = ',')]
    pub agents: Vec<String>,
    #[command(flatten)]
    pub agent_token: AgentToken,
    /// A folder for report.html, summary.json, tables and distributions; created if missing
    #[arg(long, visible_alias = "output", value_name = "FOLDER", default_value = "results")]
    pub out: PathBuf,
}

#[derive(Args)]
pub struct MemoryMonitor {
    /// The process
    #[arg(long, conflicts_with_all = ["name", "auto", "metrics_url"])]
    pub pid: Option<u32>,
    /// The name of the process, if only one has it
    #[arg(long, conflicts_with_all = ["auto", "metrics_url"])]
    pub name: Option<String>,
    /// The one process named luckydraw; the default
    #[arg(long, conflicts_with = "metrics_url")]
    pub auto: bool,
    /// A remote server, by its metrics in Prometheus's text format, as in
    /// `https://draw.example/metrics`
    #[arg(long, value_name = "URL")]
    pub metrics_url: Option<String>,
    #[command(flatten)]
    pub trust: TrustOptions,
    /// Seconds
    #[arg(long, default_value_t = 60.0, value_parser = duration)]
    pub duration: f64,
    /// Seconds between two rows
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub interval: f64,
    /// MB per hour that memory may rise; it grows when it rises faster and by more than
    /// --growth-max
    #[arg(long, default_value_t = 5.0)]
    pub slope_max: f64,
    /// MB that the end may be above the start
    #[arg(long, default_value_t = 2.0)]
    pub growth_max: f64,
    /// A file for the table, as CSV
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Args)]
pub struct AgentOptions {
    /// The address to listen on, as in 0.0.0.0:7000
    #[arg(long, value_name = "ADDRESS")]
    pub listen: String,
    #[command(flatten)]
    pub token: AgentToken,
    #[command(flatten)]
    pub trust: TrustOptions,
}

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

fn users() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(USERS_MAX))
}

fn positive(text: &str) -> Result<f64, String> {
    seconds(text, 3600.0).ok_or_else(|| "must be above 0 and at most 3600 s, as in 90, 90s or 1.5m".to_owned())
}

fn duration(text: &str) -> Result<f64, String> {
    seconds(text, SECONDS_MAX).ok_or_else(|| "must be above 0 and at most a week, as in 90, 90s, 2m or 1h".to_owned())
}

/// Parses seconds, or another unit behind the number.
fn seconds(text: &str, max: f64) -> Option<f64> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("", 1.0)];
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let value = number.trim().parse::<f64>().ok()? * factor;
    (value > 0.0 && value <= max).then_some(value)
}

/// Parses a share, as in 2%.
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
        let lengths = ["90", "90s", "2m", "1.5h", "500ms"].map(|text| duration(text).unwrap());
        assert_eq!(lengths, [90.0, 90.0, 120.0, 5_400.0, 0.5]);
        assert!(duration("2 days").is_err() && duration("m").is_err());
    }
}
