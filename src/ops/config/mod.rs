//! The operator's settings: read once at the start, from flags and `LUCKYDRAW_*` variables, into
//! types that cannot be wrong.
//!
//! [`table`] lists every setting once, [`arguments`] makes the command line of it, [`reader`] and
//! [`tls`] turn texts into types. Each layer below has a settings struct of its own, which is built
//! here and handed down whole: a new setting needs a line in the table and one in [`Config`].
//!
//! All problems are reported together: an operator who fixes one mistake per start gives up at the
//! third. clap therefore reads flags as plain texts, since it would stop at the first bad value. An
//! empty variable counts as not set. Nothing here opens a file or a socket.

pub mod arguments;
pub mod help;
pub mod reader;
pub mod table;
pub mod tls;

use crate::api::app::Settings;
use crate::backup::thread::BackupSchedule;
use crate::base::address::BindAddress;
use crate::base::data_dir::DataDir;
use crate::base::http_client::Url;
use crate::draw::EventId;
use crate::draw::proof::drand::QUICKNET;
#[cfg(feature = "edges")]
use crate::edge::NatsSettings;
use crate::http::HttpSettings;
use crate::ops::admin_token::AdminTokenSource;
use crate::sequencer::Limits;
use crate::tls::TlsSettings;
use arguments::{PRINT_CONFIG, Subcommand};
use reader::{Problem, Reader};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use table::{PREFIX, SETTINGS, Setting, ValueKind};

/// The way to NATS, of which a program without edges has none.
#[cfg(not(feature = "edges"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsSettings {}

/// The refusal of an edge without NATS.
#[cfg(feature = "edges")]
const WITHOUT_NATS: &str = "this needs the NATS between origin and edges: an edge has it of --join or --origin-nats";
#[cfg(not(feature = "edges"))]
use reader::WITHOUT_EDGES as WITHOUT_NATS;

/// The supervisor's variable that names the folder of credentials (`LoadCredential=`,
/// systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// All settings: those that concern the program's start here, those of a layer in that layer's own
/// struct.
#[derive(Debug)]
pub struct Config {
    /// Addresses of the main listeners.
    pub bind: Vec<BindAddress>,
    /// TLS on `bind`; `None` for plain HTTP everywhere.
    pub tls: Option<TlsSettings>,
    /// The folder of everything that is kept.
    pub data_dir: DataDir,
    /// Where the admin token comes from.
    pub admin_token: AdminTokenSource,
    /// The address by which phones reach it; `None` to find it.
    pub public_url: Option<String>,
    /// The event that a first start creates.
    pub default_event: EventId,
    /// Threads that speak HTTP.
    pub workers: usize,
    /// Threads that own the WebSockets.
    pub socket_threads: usize,
    /// Connections at once, at most; `None` for as many as the limit on open files allows.
    pub connections_max: Option<usize>,
    /// Commands that wait to be decided, at most.
    pub inbox_max: usize,
    /// A loopback address for metrics without a token.
    pub metrics_bind: Option<SocketAddr>,
    /// The filter of the log, as [`logs::parse_filter`](crate::ops::logs::parse_filter) takes it.
    pub log: String,
    /// The server plays host and audience of its first event.
    pub is_demo: bool,
    /// Settings of the HTTP layers.
    pub app: Settings,
    /// Settings of the sequencer.
    pub sequencer: Limits,
    /// Settings of backups.
    pub backups: BackupSchedule,
    /// Relays of drand, in the order of asking.
    pub drand_relays: Vec<Url>,
    /// The way to NATS: to the edges for an origin, to the origin for an edge.
    pub nats: Option<NatsSettings>,
}

impl Config {
    /// Every address to listen on: those of `bind`, and the plain ones beside TLS.
    pub fn addresses(&self) -> impl Iterator<Item = &BindAddress> {
        self.bind.iter().chain(self.tls.iter().flat_map(|tls| tls.plain.iter().chain(&tls.redirect)))
    }

    fn read(reader: &mut Reader) -> Self {
        let data_dir = DataDir::new(reader.text("DATA_DIR"));
        let app = read_app(reader, &data_dir);
        let config = Self {
            bind: reader.addresses("BIND"),
            tls: tls::read_tls(reader, app.http.domain.as_deref()),
            data_dir: data_dir.clone(),
            admin_token: reader.admin_token(),
            public_url: reader.public_url(),
            default_event: reader.default_event(),
            workers: reader.number("WORKERS") as usize,
            socket_threads: reader.number("SOCKET_THREADS") as usize,
            connections_max: reader.number_if_set("CONNECTIONS_MAX").map(|number| number as usize),
            inbox_max: reader.number("INBOX_MAX") as usize,
            metrics_bind: reader.metrics_bind(),
            log: reader.log(),
            is_demo: false,
            sequencer: Limits {
                events_max: reader.number("MAX_EVENTS") as u32,
                announce_after: Duration::from_millis(reader.number("ANNOUNCE_AFTER_MS")),
                announce_early: Duration::from_millis(reader.number("ANNOUNCE_EARLY_MS")),
                event_ttl: Duration::from_secs(reader.number("EVENT_TTL_S")),
                details_ttl: days(app.details_days),
                backups_dir: data_dir.backups(),
                drand: QUICKNET,
            },
            backups: BackupSchedule {
                data: data_dir,
                every: Some(reader.number("BACKUP_EVERY_MIN")).filter(|min| *min > 0).map(|min| Duration::from_secs(min * 60)),
                keep_max: reader.number("BACKUP_KEEP") as usize,
            },
            drand_relays: reader.urls("DRAND_URLS"),
            nats: reader.nats(),
            app,
        };
        if let Some(address) = config.addresses().find(|address| config.app.http.open && !address.may_be_loopback()) {
            let message = format!("trusts every client, so it listens on loopback addresses only: {address} is not one");
            reader.refuse("OPEN", message);
        }
        config
    }
}

fn read_app(reader: &mut Reader, data_dir: &DataDir) -> Settings {
    // The server goes by the name in its own address too.
    let allowed_origins = reader.origins().into_iter().chain(reader.public_url()).collect();
    let http = HttpSettings { open: reader.switch("OPEN"), allowed_origins, domain: reader.domain() };
    Settings {
        http,
        default_event: Some(reader.text("DEFAULT_EVENT")),
        participants_max: reader.number("PARTICIPANTS_MAX") as u32,
        long_polls_max: reader.number("LONG_POLLS_MAX") as usize,
        metrics_token: reader.metrics_token(),
        data_dir: data_dir.clone(),
        details_days: reader.number("PII_DAYS") as u32,
    }
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 86_400)
}

/// A command line that is understood.
#[expect(missing_docs, reason = "the variants say what their fields are")]
#[derive(Debug)]
pub enum Invocation {
    /// Run a subcommand under these settings.
    Run { subcommand: Subcommand, config: Box<Config> },
    /// Print this and end: the help, the version or the settings.
    Print(String),
}

/// Parses the arguments (the program's name first) and the environment. A flag takes precedence
/// over its variable.
///
/// # Errors
/// All problems at once.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Invocation, Vec<Problem>> {
    let mut problems = Vec::new();
    let env: Vec<_> = env.into_iter().collect();
    let credentials = find_credentials(&env);
    let mut values = settings_in(env, &mut problems);
    let (mut prints, mut subcommand) = (false, Subcommand::Serve);
    match arguments::command().override_help(help::overview()).try_get_matches_from(args) {
        Ok(matches) => {
            let (named, mut matches) = arguments::split_subcommand(matches);
            subcommand = named;
            prints = matches.get_flag(PRINT_CONFIG);
            for setting in SETTINGS {
                values.extend(matches.remove_one::<OsString>(setting.name).map(|value| (setting.name, value)));
            }
            if let Subcommand::Edge { origin_nats: Some(url) } = &subcommand {
                values.insert("NATS_URL", url.into());
            }
        }
        Err(help) if !help.use_stderr() => return Ok(Invocation::Print(help.render().to_string())),
        Err(error) => problems.push(Problem { name: "arguments".into(), message: one_line(&error) }),
    }
    let mut reader = Reader { values: with_defaults(values, &mut problems), credentials, problems };
    let config = Box::new(Config { is_demo: subcommand == Subcommand::Demo, ..Config::read(&mut reader) });
    if matches!(subcommand, Subcommand::Edge { .. } | Subcommand::EdgeCode { .. }) && config.nats.is_none() {
        reader.refuse("NATS_URL", WITHOUT_NATS);
    }
    if matches!(subcommand, Subcommand::Serve | Subcommand::Demo | Subcommand::EdgeCode { .. }) && !reader.text("JOIN").is_empty()
    {
        reader.refuse("JOIN", "is for an edge: luckydraw edge");
    }
    match (reader.problems.is_empty(), prints) {
        (false, _) => Err(reader.problems),
        (true, true) => Ok(Invocation::Print(print_config(&reader.values))),
        (true, false) => Ok(Invocation::Run { subcommand, config }),
    }
}

/// Parses the arguments and environment of this process.
///
/// # Errors
/// As [`parse`].
pub fn from_process() -> Result<Invocation, Vec<Problem>> {
    let is_ours = |name: &OsStr| name == CREDENTIALS_DIRECTORY || name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    parse(std::env::args_os(), std::env::vars_os().filter(|(name, _)| is_ours(name)))
}

/// The variables that are settings. An unknown one with the prefix is a problem, since it is most
/// likely a slip.
fn settings_in(
    env: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'static str, OsString> {
    let mut values = BTreeMap::new();
    for (name, value) in env {
        let name = name.to_string_lossy();
        let Some(short) = name.strip_prefix(PREFIX) else { continue };
        match SETTINGS.iter().find(|setting| setting.name == short) {
            Some(_) if value.is_empty() => {}
            Some(setting) => drop(values.insert(setting.name, value)),
            None => {
                let message = match table::RENAMED.iter().find(|(old, _)| *old == short) {
                    Some((_, new)) => format!("this setting is now called {PREFIX}{new}"),
                    None => "there is no such setting: `luckydraw settings` lists all".into(),
                };
                problems.push(Problem { name: name.into_owned(), message });
            }
        }
    }
    values
}

fn find_credentials(env: &[(OsString, OsString)]) -> Option<PathBuf> {
    let folder = env.iter().find(|(name, _)| name == CREDENTIALS_DIRECTORY);
    folder.map(|(_, folder)| PathBuf::from(folder)).filter(|folder| folder.is_absolute())
}

/// Every setting's text: the given one, else the default.
fn with_defaults(mut given: BTreeMap<&'static str, OsString>, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, String> {
    let mut text_of = |setting: &Setting| match given.remove(setting.name).map(OsString::into_string) {
        Some(Ok(text)) => text,
        Some(Err(_)) => {
            problems.push(Problem { name: setting.variable(), message: "this is not UTF-8".into() });
            setting.default_text()
        }
        None => setting.default_text(),
    };
    SETTINGS.iter().map(|setting| (setting.name, text_of(setting))).collect()
}

/// The settings as `NAME=value` lines, secrets hidden.
fn print_config(values: &BTreeMap<&'static str, String>) -> String {
    let line = |setting: &Setting| {
        let value = values.get(setting.name).map_or("", String::as_str);
        let shown = if matches!(setting.kind, ValueKind::Secret) && !value.is_empty() { "(hidden)" } else { value };
        format!("{}={shown}\n", setting.variable())
    };
    SETTINGS.iter().map(line).collect()
}

/// The mistake in a command line, the arguments it is about, and the right use, on one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let flowing = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let line = flowing.collect::<Vec<_>>().join("; ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arguments::HealthcheckArguments;

    fn parsed(args: &[&str], env: &[(&str, &str)]) -> Result<Invocation, Vec<Problem>> {
        let args = std::iter::once("luckydraw").chain(args.iter().copied()).map(OsString::from);
        parse(args, env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    fn config(args: &[&str], env: &[(&str, &str)]) -> Config {
        match parsed(args, env) {
            Ok(Invocation::Run { subcommand: Subcommand::Serve, config }) => *config,
            other => panic!("{other:?}"),
        }
    }

    /// The names of everything that is wrong.
    fn wrong(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
        parsed(args, env).unwrap_err().into_iter().map(|problem| problem.name).collect()
    }

    #[test]
    fn the_defaults_hold_when_nothing_is_set() {
        let config = config(&[], &[("PATH", "/bin"), ("LUCKYDRAW_DATA_DIR", "")]);
        assert_eq!(config.bind, [BindAddress { host: "0.0.0.0".into(), port: 8000 }]);
        assert_eq!((config.data_dir.path().to_str(), config.default_event.as_str()), (Some("./data"), "demo"));
        let limits = &config.sequencer;
        assert_eq!((limits.announce_after.as_millis(), limits.event_ttl.as_secs(), limits.events_max), (10_000, 2_592_000, 32));
        assert!(config.workers >= 1 && !config.app.http.open && matches!(config.admin_token, AdminTokenSource::DataFolder));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let env = [
            ("LUCKYDRAW_WOKERS", "2"),
            ("LUCKYDRAW_TLS_CERT", "/cert.pem"),
            ("LUCKYDRAW_ANNOUNCE_AFTER_MS", "soon"),
            ("LUCKYDRAW_MAX_EVENTS", "-1"),
            ("LUCKYDRAW_WORKERS", "0"),
            ("LUCKYDRAW_BIND", "nonsense,127.0.0.1:x"),
            ("LUCKYDRAW_ADMIN_TOKEN", "short"),
            ("LUCKYDRAW_ALLOWED_ORIGINS", "https://ok.example,draw.example,https://x.example/"),
            ("LUCKYDRAW_DOMAIN", "draw.example:80"),
            ("LUCKYDRAW_DEFAULT_EVENT", "한글"),
            ("LUCKYDRAW_LOG", "luckydraw=loud"),
            ("LUCKYDRAW_OPEN", "yes"),
            ("LUCKYDRAW_DRAND_URLS", "https://api.drand.sh,ftp://relay"),
        ];
        let mut names = wrong(&["--no-such-flag"], &env);
        names.sort();
        names.dedup();
        let mut expected: Vec<_> = env.iter().map(|(name, _)| name.to_string()).chain(["arguments".into()]).collect();
        expected.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_default_event_cannot_have_the_name_of_the_list_of_events() {
        assert_eq!(wrong(&[], &[("LUCKYDRAW_DEFAULT_EVENT", "events")]), ["LUCKYDRAW_DEFAULT_EVENT"]);
    }

    #[test]
    fn a_number_out_of_bounds_is_refused() {
        for (name, value) in [
            ("LUCKYDRAW_ANNOUNCE_AFTER_MS", "120001"),
            ("LUCKYDRAW_PARTICIPANTS_MAX", "300001"),
            ("LUCKYDRAW_WORKERS", "+1"),
            ("LUCKYDRAW_PII_DAYS", "1.5"),
            ("LUCKYDRAW_INBOX_MAX", "99999999999999999999"),
        ] {
            assert_eq!(wrong(&[], &[(name, value)]), [name], "{value}");
        }
        assert_eq!(config(&[], &[("LUCKYDRAW_ANNOUNCE_AFTER_MS", "0")]).sequencer.announce_after, Duration::ZERO);
    }

    #[test]
    fn open_mode_is_refused_beyond_loopback() {
        for bind in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0,192.168.0.7:8000"] {
            let problems = parsed(&["--open"], &[("LUCKYDRAW_BIND", bind)]).unwrap_err();
            assert!(problems.iter().any(|problem| problem.message.contains("loopback")), "{bind}: {problems:?}");
        }
        assert!(config(&["--open"], &[("LUCKYDRAW_BIND", "127.0.0.1:0,[::1]:0,localhost:8000")]).app.http.open);
        assert_eq!(wrong(&[], &[("LUCKYDRAW_OPEN", "1")]), ["LUCKYDRAW_OPEN"], "the default address is not loopback");
    }

    #[test]
    fn a_flag_takes_precedence_over_its_variable() {
        let config =
            config(&["--workers", "3", "--bind=[::1]:80"], &[("LUCKYDRAW_WORKERS", "2"), ("LUCKYDRAW_SOCKET_THREADS", "4")]);
        assert_eq!((config.workers, config.socket_threads, config.bind[0].to_string()), (3, 4, "[::1]:80".into()));
    }

    #[test]
    fn a_subcommand_takes_settings_on_either_side_of_it() {
        for args in [["--workers=3", "doctor", "--json"], ["doctor", "--json", "--workers=3"]] {
            let Ok(Invocation::Run { subcommand, config }) = parsed(&args, &[("LUCKYDRAW_SOCKET_THREADS", "4")]) else {
                panic!("{args:?}")
            };
            assert_eq!(subcommand, Subcommand::Doctor { json: true });
            assert_eq!((config.workers, config.socket_threads), (3, 4));
        }
        let args = ["healthcheck", "--ready", "--url", "http://[::1]:1/"];
        let Ok(Invocation::Run { subcommand, .. }) = parsed(&args, &[]) else { panic!() };
        let expected = HealthcheckArguments { url: Some("http://[::1]:1/".into()), ready: true };
        assert_eq!(subcommand, Subcommand::Healthcheck(expected));
        assert_eq!(wrong(&["--json"], &[]), ["arguments"], "a subcommand's flag is its own");
        assert_eq!(wrong(&["heal"], &[]), ["arguments"]);
        assert_eq!(wrong(&["doctor"], &[("LUCKYDRAW_WORKERS", "0")]), ["LUCKYDRAW_WORKERS"]);
    }

    #[test]
    fn a_token_file_takes_precedence_over_a_credential() {
        let credentials = ("CREDENTIALS_DIRECTORY", "/run/credentials/luckydraw.service");
        let source = |env: &[(&str, &str)]| config(&[], env).admin_token;
        let path = PathBuf::from("/run/credentials/luckydraw.service/admin-token");
        assert_eq!(source(&[credentials]), AdminTokenSource::Credential(path));
        assert_eq!(source(&[credentials, ("LUCKYDRAW_ADMIN_TOKEN_FILE", "/x")]), AdminTokenSource::File("/x".into()));
        assert_eq!(source(&[("CREDENTIALS_DIRECTORY", "")]), AdminTokenSource::DataFolder);
    }

    #[test]
    fn an_origin_is_spelled_as_browsers_spell_it() {
        let listed = "https://Stage.example:443, http://a.example:80,http://b.example:443,https://[::1]:443";
        let config = config(&[], &[("LUCKYDRAW_ALLOWED_ORIGINS", listed)]);
        let spelled = ["https://stage.example", "http://a.example", "http://b.example:443", "https://[::1]"];
        assert_eq!(config.app.http.allowed_origins, spelled);
    }

    #[test]
    fn secrets_are_never_printed() {
        let token = "a-token-nobody-may-see";
        let Ok(Invocation::Print(printed)) = parsed(&["--print-config"], &[("LUCKYDRAW_ADMIN_TOKEN", token)]) else { panic!() };
        assert!(printed.contains("LUCKYDRAW_ADMIN_TOKEN=(hidden)\n") && !printed.contains(token), "{printed}");
        assert_eq!(printed.lines().count(), SETTINGS.len());
        let secrets = [("LUCKYDRAW_ADMIN_TOKEN", token), ("LUCKYDRAW_METRICS_TOKEN", "another-hidden-token")];
        let debugged = format!("{:?}", config(&[], &secrets));
        assert!(debugged.contains("participants_max: 20000") && debugged.contains("Secret(..)"), "{debugged}");
        assert!(secrets.iter().all(|(_, secret)| !debugged.contains(secret)), "{debugged}");
        let problems = parsed(&[], &[("LUCKYDRAW_ADMIN_TOKEN", "poor"), ("LUCKYDRAW_ADMIN_TOKEN_FILE", "/x")]).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(problems.iter().all(|problem| !problem.to_string().contains("poor")), "{problems:?}");
    }

    #[test]
    fn the_help_of_the_program_lists_commands_and_that_of_a_command_its_own_flags_alone() {
        let help = |args: &[&str]| match parsed(args, &[]) {
            Ok(Invocation::Print(help)) => help,
            other => panic!("{other:?}"),
        };
        for args in [["--help"], ["-h"], ["help"]] {
            assert_eq!(help(&args), help::overview());
        }
        let export = help(&["export", "--help"]);
        assert!(export.contains("--to <FILE>") && !export.contains("--workers"), "{export}");
    }

    #[test]
    fn a_wrong_command_line_is_answered_with_the_missing_argument_and_the_right_use() {
        let problem = |args: &[&str]| parsed(args, &[]).unwrap_err()[0].to_string();
        let missing = problem(&["export"]);
        assert!(missing.contains("<EVENT>") && missing.contains("Usage: luckydraw export"), "{missing}");
        let misspelled = problem(&["backpu"]);
        assert!(misspelled.contains("'backup'") && !misspelled.contains('\n'), "{misspelled}");
        assert!(problem(&["serve"]).contains("--help"), "{}", problem(&["serve"]));
        for flag in ["--port", "--host", "--listen"] {
            let unknown = problem(&[flag, "80"]);
            assert!(unknown.contains("'--bind'"), "{flag}: {unknown}");
        }
    }
}
