//! What the operator settles: read once at the start, from flags and `LUCKYDRAW_*` variables, into types that cannot be wrong.
//!
//! [`table`] lists every setting once, and `--help`, `--print-config` and the check for unknown variables are made of it.
//! Everything that is wrong is reported together: an operator who mends one mistake a start gives up at the third. clap reads
//! the flags as plain texts for that reason, since it would stop at the first bad value. An empty variable counts as one that
//! is not set. Nothing here opens a file or a socket.

pub mod arguments;
pub mod table;
pub mod tls;

use crate::base::address::BindAddress;
use crate::draw::EventId;
use crate::http::guard::Host;
use crate::ops::admin_token::{self, Secret, Source};
use crate::ops::logs;
use crate::tls::settings::TlsSettings;
use arguments::{BackupCommand, Healthcheck, Subcommand};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use table::{Kind, PREFIX, SETTINGS, Setting};

/// The supervisor's variable that says where it put the secrets it hands over (`LoadCredential=`, systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// What the admin token is called among them.
const CREDENTIAL: &str = "admin-token";

/// The most origins beside the server's own.
const ORIGINS_MAX: usize = 64;

/// The settled settings.
#[derive(Debug)]
pub struct Config {
    pub bind: Vec<BindAddress>,
    pub data_dir: PathBuf,
    pub admin_token: Source,
    pub open: bool,
    pub default_event: EventId,
    pub workers: usize,
    pub socket_threads: usize,
    /// `scheme://host[:port]`, in lower case.
    pub allowed_origins: Vec<String>,
    pub domain: Option<String>,
    /// None: everything is spoken in the clear.
    pub tls: Option<TlsSettings>,
    pub announce_after_ms: u32,
    pub event_ttl_s: u64,
    pub events_max: u32,
    pub pii_days: u32,
    /// None: no backup is made by the clock.
    pub backup_every: Option<Duration>,
    /// The most backups of a cause.
    pub backup_keep: usize,
    /// As [`logs::filter`] takes it.
    pub log: String,
    pub participants_max: u32,
    /// None: as many as there may be.
    pub connections_max: Option<usize>,
    pub long_polls_max: usize,
    pub inbox_max: usize,
    /// A loopback address for figures without a token.
    pub metrics_bind: Option<SocketAddr>,
    /// What opens the figures elsewhere, beside the admin token.
    pub metrics_token: Option<Secret>,
}

/// What was asked of the program.
#[derive(Debug)]
pub enum Wish {
    /// To serve.
    Serve(Box<Config>),
    /// To ask a running server whether it lives.
    Healthcheck(Box<Config>, Healthcheck),
    /// To look whether this machine is fit to serve; with `json`, for machines to read.
    Doctor { config: Box<Config>, json: bool },
    /// To keep copies, or bring them back.
    Archive(Box<Config>, BackupCommand),
    /// To print this and end: the help, the version, or the settings.
    Say(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable's name, or the flag's part of it that clap could not read.
    pub name: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// Understands the arguments (the program's name first) and the environment. A flag outweighs its variable.
///
/// # Errors
/// Everything that is wrong with them, at once.
pub fn understand(
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Wish, Vec<Problem>> {
    let mut problems = Vec::new();
    let env: Vec<_> = env.into_iter().collect();
    let credentials = credentials_in(&env);
    let mut values = from_env(env, &mut problems);
    let (mut prints, mut errand) = (false, Subcommand::Serve);
    match table::command().try_get_matches_from(args) {
        Ok(matches) => {
            let (asked, mut matches) = arguments::understood(matches);
            errand = asked;
            prints = matches.get_flag(table::PRINT_CONFIG);
            for setting in SETTINGS {
                values.extend(matches.remove_one::<OsString>(setting.name).map(|value| (setting.name, value)));
            }
        }
        Err(said) if !said.use_stderr() => return Ok(Wish::Say(said.render().to_string())),
        Err(wrong) => problems.push(Problem { name: "arguments".into(), message: first_line(&wrong) }),
    }
    let mut reader = Reader { values: settle(values, &mut problems), credentials, problems };
    let config = reader.read();
    match (reader.problems.is_empty(), prints) {
        (false, _) => Err(reader.problems),
        (true, true) => Ok(Wish::Say(print(&reader.values))),
        (true, false) => Ok(wish(errand, Box::new(config))),
    }
}

fn wish(errand: Subcommand, config: Box<Config>) -> Wish {
    match errand {
        Subcommand::Serve => Wish::Serve(config),
        Subcommand::Healthcheck(question) => Wish::Healthcheck(config, question),
        Subcommand::Doctor { json } => Wish::Doctor { config, json },
        Subcommand::Archive(archival) => Wish::Archive(config, archival),
    }
}

/// The variables that are settings; one with our prefix that is none is a problem, since it is most likely a slip of the pen.
fn from_env(
    env: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'static str, OsString> {
    let mut values = BTreeMap::new();
    for (name, value) in env {
        let name = name.to_string_lossy();
        let Some(own) = name.strip_prefix(PREFIX) else { continue };
        match SETTINGS.iter().find(|setting| setting.name == own) {
            Some(_) if value.is_empty() => {}
            Some(setting) => drop(values.insert(setting.name, value)),
            None => {
                let new_name = table::RENAMED.iter().find(|(old_name, _)| *old_name == own);
                let message = match new_name {
                    Some((_, new_name)) => format!("this setting is now called {PREFIX}{new_name}"),
                    None => "there is no such setting (see --help)".into(),
                };
                problems.push(Problem { name: name.into_owned(), message });
            }
        }
    }
    values
}

fn credentials_in(env: &[(OsString, OsString)]) -> Option<PathBuf> {
    let folder = env.iter().find(|(name, _)| name == CREDENTIALS_DIRECTORY);
    folder.map(|(_, folder)| PathBuf::from(folder)).filter(|folder| folder.is_absolute())
}

/// Every setting's text: what was given, else its default.
fn settle(mut given: BTreeMap<&'static str, OsString>, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, String> {
    let mut text_of = |setting: &Setting| match given.remove(setting.name).map(OsString::into_string) {
        Some(Ok(text)) => text,
        Some(Err(_)) => {
            problems.push(Problem { name: setting.variable(), message: "this is not UTF-8".into() });
            setting.default.text()
        }
        None => setting.default.text(),
    };
    SETTINGS.iter().map(|setting| (setting.name, text_of(setting))).collect()
}

/// The settings as `NAME=value` lines, secrets hidden.
fn print(values: &BTreeMap<&'static str, String>) -> String {
    let line = |setting: &Setting| {
        let value = values.get(setting.name).map_or("", String::as_str);
        let shown = if matches!(setting.kind, Kind::Secret) && !value.is_empty() { "(hidden)" } else { value };
        format!("{}={shown}\n", setting.variable())
    };
    SETTINGS.iter().map(line).collect()
}

fn first_line(wrong: &clap::Error) -> String {
    let text = wrong.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Reads texts into types, and notes what is wrong with them. Where something is, what it gives back is never used.
struct Reader {
    values: BTreeMap<&'static str, String>,
    /// Where the supervisor puts the secrets it hands over.
    credentials: Option<PathBuf>,
    problems: Vec<Problem>,
}

impl Reader {
    fn read(&mut self) -> Config {
        let domain = self.domain();
        let config = Config {
            bind: self.places_of("BIND"),
            data_dir: PathBuf::from(self.text("DATA_DIR")),
            admin_token: self.admin_token(),
            open: self.switch("OPEN"),
            default_event: self.default_event(),
            workers: self.number("WORKERS") as usize,
            socket_threads: self.number("SOCKET_THREADS") as usize,
            allowed_origins: self.origins(),
            tls: self.tls(domain.as_deref()),
            domain,
            announce_after_ms: self.number("ANNOUNCE_AFTER_MS") as u32,
            event_ttl_s: self.number("EVENT_TTL_S"),
            events_max: self.number("MAX_EVENTS") as u32,
            pii_days: self.number("PII_DAYS") as u32,
            backup_every: Some(self.number("BACKUP_EVERY_MIN")).filter(|min| *min > 0).map(|min| Duration::from_secs(min * 60)),
            backup_keep: self.number("BACKUP_KEEP") as usize,
            log: self.log(),
            participants_max: self.number("PARTICIPANTS_MAX") as u32,
            connections_max: self.number_if_set("CONNECTIONS_MAX").map(|number| number as usize),
            long_polls_max: self.number("LONG_POLLS_MAX") as usize,
            inbox_max: self.number("INBOX_MAX") as usize,
            metrics_bind: self.metrics_bind(),
            metrics_token: self.metrics_token(),
        };
        let beside = config.tls.iter().flat_map(|tls| tls.plain.iter().chain(&tls.redirect));
        if let Some(place) = config.bind.iter().chain(beside).find(|place| config.open && !place.may_be_loopback()) {
            let message = format!("trusts every client, so it listens on loopback addresses only: {place} is not one");
            self.wrong("OPEN", message);
        }
        config
    }

    fn text(&self, name: &str) -> String {
        self.values.get(name).cloned().expect("every setting has a text, if an empty one")
    }

    fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.problems.push(Problem { name: format!("{PREFIX}{name}"), message: message.into() });
    }

    fn number(&mut self, name: &str) -> u64 {
        let (unit, min, max) = table::bounds(name);
        let text = self.text(name);
        // Digits alone: what `parse` takes beside them (a plus sign) is more likely a slip.
        let number = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None };
        number.filter(|number| (min..=max).contains(number)).unwrap_or_else(|| {
            self.wrong(name, format!("{text:?} is not a number of {unit} from {min} to {max}"));
            min
        })
    }

    /// A number whose default is nothing.
    fn number_if_set(&mut self, name: &str) -> Option<u64> {
        (!self.text(name).is_empty()).then(|| self.number(name))
    }

    fn switch(&mut self, name: &str) -> bool {
        let text = self.text(name);
        if !matches!(text.as_str(), "0" | "1") {
            self.wrong(name, format!("{text:?} is neither 0 nor 1"));
        }
        text == "1"
    }

    fn metrics_bind(&mut self) -> Option<SocketAddr> {
        let text = self.text("METRICS_BIND");
        let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
        if address.is_none() && !text.is_empty() {
            self.wrong("METRICS_BIND", format!("{text:?} is not a loopback address with a port, such as 127.0.0.1:9100"));
        }
        address
    }

    fn metrics_token(&mut self) -> Option<Secret> {
        let text = self.text("METRICS_TOKEN");
        if text.is_empty() {
            return None;
        }
        let secret = Secret::parse(&text);
        if secret.is_none() {
            self.wrong("METRICS_TOKEN", "must be 16 to 256 visible ASCII characters");
        }
        secret
    }

    /// The places of a setting, none where it is empty.
    fn places_of(&mut self, name: &str) -> Vec<BindAddress> {
        let text = self.text(name);
        let mut places = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            match BindAddress::parse(part) {
                Some(place) => places.push(place),
                None => self.wrong(name, format!("{part:?} is not address:port, name:port or [v6]:port")),
            }
        }
        places
    }

    fn admin_token(&mut self) -> Source {
        let (token, file) = (self.text("ADMIN_TOKEN"), self.text("ADMIN_TOKEN_FILE"));
        match (token.is_empty(), file.is_empty()) {
            (true, true) => self.credentials.as_ref().map_or(Source::Kept, |folder| Source::Handed(folder.join(CREDENTIAL))),
            (true, false) => Source::File(PathBuf::from(file)),
            (false, is_alone) => {
                if !is_alone {
                    self.wrong("ADMIN_TOKEN_FILE", "LUCKYDRAW_ADMIN_TOKEN says the token already: leave one of the two");
                }
                Secret::parse(&token).map_or_else(
                    || {
                        // The text is a secret, if a poor one: it is not repeated.
                        let message =
                            format!("is not {} to {} visible ASCII characters", admin_token::LEN_MIN, admin_token::LEN_MAX);
                        self.wrong("ADMIN_TOKEN", message);
                        Source::Kept
                    },
                    Source::Given,
                )
            }
        }
    }

    fn default_event(&mut self) -> EventId {
        let text = self.text("DEFAULT_EVENT");
        EventId::parse(&text).unwrap_or_else(|| {
            self.wrong("DEFAULT_EVENT", format!("{text:?} is no event's name: it must be {}", EventId::RULE));
            EventId::parse("demo").expect("this one is")
        })
    }

    fn origins(&mut self) -> Vec<String> {
        let text = self.text("ALLOWED_ORIGINS").to_ascii_lowercase();
        let origins: Vec<String> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if origins.len() > ORIGINS_MAX {
            self.wrong("ALLOWED_ORIGINS", format!("these are more than {ORIGINS_MAX}"));
        }
        for origin in origins.iter().filter(|origin| !is_origin(origin)) {
            self.wrong("ALLOWED_ORIGINS", format!("{origin:?} is not http(s)://host or http(s)://host:port"));
        }
        origins.iter().map(|origin| as_browsers_say(origin).to_owned()).collect()
    }

    fn domain(&mut self) -> Option<String> {
        let text = self.text("DOMAIN").to_ascii_lowercase();
        if !text.is_empty() && !Host::parse(&text).is_some_and(|host| host.port.is_none() && !host.is_ip()) {
            self.wrong("DOMAIN", format!("{text:?} is not a host name"));
        }
        (!text.is_empty()).then_some(text)
    }

    fn log(&mut self) -> String {
        let text = self.text("LOG");
        if let Err(error) = logs::filter(&text) {
            self.wrong("LOG", error.to_string());
        }
        text
    }
}

fn is_origin(text: &str) -> bool {
    let place = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
    place.is_some_and(|(_, place)| Host::parse(place).is_some())
}

/// An origin without the port that its scheme implies: browsers leave it out.
fn as_browsers_say(origin: &str) -> &str {
    let port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(port).unwrap_or(origin)
}

/// The arguments and environment of this process, understood.
///
/// # Errors
/// As [`understand`].
pub fn of_this_process() -> Result<Wish, Vec<Problem>> {
    understand(std::env::args_os(), std::env::vars_os().filter(|(name, _)| is_ours(name)))
}

fn is_ours(name: &OsStr) -> bool {
    name == CREDENTIALS_DIRECTORY || name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(args: &[&str], env: &[(&str, &str)]) -> Result<Wish, Vec<Problem>> {
        let args = std::iter::once("luckydraw").chain(args.iter().copied()).map(OsString::from);
        understand(args, env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    fn config(args: &[&str], env: &[(&str, &str)]) -> Config {
        match wish(args, env) {
            Ok(Wish::Serve(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    /// The names of everything that is wrong.
    fn wrong(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
        wish(args, env).unwrap_err().into_iter().map(|problem| problem.name).collect()
    }

    #[test]
    fn without_a_word_the_defaults_hold() {
        let config = config(&[], &[("PATH", "/bin"), ("LUCKYDRAW_DATA_DIR", "")]);
        assert_eq!(config.bind, [BindAddress { host: "0.0.0.0".into(), port: 8000 }]);
        assert_eq!((config.data_dir.to_str(), config.default_event.as_str()), (Some("./data"), "demo"));
        assert_eq!((config.announce_after_ms, config.event_ttl_s, config.events_max), (10_000, 2_592_000, 32));
        assert!(config.workers >= 1 && !config.open && matches!(config.admin_token, Source::Kept));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
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
        ];
        let mut names = wrong(&["--no-such-flag"], &env);
        names.sort();
        names.dedup();
        let mut expected: Vec<_> = env.iter().map(|(name, _)| name.to_string()).chain(["arguments".into()]).collect();
        expected.sort();
        assert_eq!(names, expected);
    }

    #[test]
    fn no_event_can_be_called_as_the_list_of_events_is() {
        assert_eq!(wrong(&[], &[("LUCKYDRAW_DEFAULT_EVENT", "events")]), ["LUCKYDRAW_DEFAULT_EVENT"]);
    }

    #[test]
    fn a_number_is_held_to_its_bounds() {
        for (name, value) in [
            ("LUCKYDRAW_ANNOUNCE_AFTER_MS", "120001"),
            ("LUCKYDRAW_PARTICIPANTS_MAX", "300001"),
            ("LUCKYDRAW_WORKERS", "+1"),
            ("LUCKYDRAW_PII_DAYS", "1.5"),
            ("LUCKYDRAW_INBOX_MAX", "99999999999999999999"),
        ] {
            assert_eq!(wrong(&[], &[(name, value)]), [name], "{value}");
        }
        assert_eq!(config(&[], &[("LUCKYDRAW_ANNOUNCE_AFTER_MS", "0")]).announce_after_ms, 0);
    }

    #[test]
    fn open_mode_is_refused_beyond_loopback() {
        for bind in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0,192.168.0.7:8000"] {
            let problems = wish(&["--open"], &[("LUCKYDRAW_BIND", bind)]).unwrap_err();
            assert!(problems.iter().any(|problem| problem.message.contains("loopback")), "{bind}: {problems:?}");
        }
        assert!(config(&["--open"], &[("LUCKYDRAW_BIND", "127.0.0.1:0,[::1]:0,localhost:8000")]).open);
        assert_eq!(wrong(&[], &[("LUCKYDRAW_OPEN", "1")]), ["LUCKYDRAW_OPEN"], "the default address is not loopback");
    }

    #[test]
    fn a_flag_outweighs_its_variable() {
        let config =
            config(&["--workers", "3", "--bind=[::1]:80"], &[("LUCKYDRAW_WORKERS", "2"), ("LUCKYDRAW_SOCKET_THREADS", "4")]);
        assert_eq!((config.workers, config.socket_threads, config.bind[0].to_string()), (3, 4, "[::1]:80".into()));
    }

    #[test]
    fn a_word_reads_the_settings_on_either_side_of_it() {
        for args in [["--workers=3", "doctor", "--json"], ["doctor", "--json", "--workers=3"]] {
            let Ok(Wish::Doctor { config, json: true }) = wish(&args, &[("LUCKYDRAW_SOCKET_THREADS", "4")]) else {
                panic!("{args:?}")
            };
            assert_eq!((config.workers, config.socket_threads), (3, 4));
        }
        let args = ["healthcheck", "--ready", "--url", "http://[::1]:1/"];
        let Ok(Wish::Healthcheck(_, question)) = wish(&args, &[]) else { panic!() };
        assert_eq!(question, Healthcheck { url: Some("http://[::1]:1/".into()), ready: true });
        assert_eq!(wrong(&["--json"], &[]), ["arguments"], "a word's own flag is not everybody's");
        assert_eq!(wrong(&["heal"], &[]), ["arguments"]);
        assert_eq!(wrong(&["doctor"], &[("LUCKYDRAW_WORKERS", "0")]), ["LUCKYDRAW_WORKERS"]);
    }

    #[test]
    fn a_token_that_was_said_outweighs_one_that_is_handed_over() {
        let handed = ("CREDENTIALS_DIRECTORY", "/run/credentials/luckydraw.service");
        let source = |env: &[(&str, &str)]| config(&[], env).admin_token;
        let path = PathBuf::from("/run/credentials/luckydraw.service/admin-token");
        assert_eq!(source(&[handed]), Source::Handed(path));
        assert_eq!(source(&[handed, ("LUCKYDRAW_ADMIN_TOKEN_FILE", "/x")]), Source::File("/x".into()));
        assert_eq!(source(&[("CREDENTIALS_DIRECTORY", "")]), Source::Kept);
    }

    #[test]
    fn an_origin_is_kept_as_browsers_say_it() {
        let listed = "https://Stage.example:443, http://a.example:80,http://b.example:443,https://[::1]:443";
        let config = config(&[], &[("LUCKYDRAW_ALLOWED_ORIGINS", listed)]);
        let kept = ["https://stage.example", "http://a.example", "http://b.example:443", "https://[::1]"];
        assert_eq!(config.allowed_origins, kept);
    }

    #[test]
    fn secrets_are_never_shown() {
        let token = "a-token-nobody-may-see";
        let Ok(Wish::Say(printed)) = wish(&["--print-config"], &[("LUCKYDRAW_ADMIN_TOKEN", token)]) else { panic!() };
        assert!(printed.contains("LUCKYDRAW_ADMIN_TOKEN=(hidden)\n") && !printed.contains(token), "{printed}");
        assert_eq!(printed.lines().count(), SETTINGS.len());
        let debugged = format!("{:?}", config(&[], &[("LUCKYDRAW_ADMIN_TOKEN", token)]));
        assert!(!debugged.contains(token), "{debugged}");
        let problems = wish(&[], &[("LUCKYDRAW_ADMIN_TOKEN", "poor"), ("LUCKYDRAW_ADMIN_TOKEN_FILE", "/x")]).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(problems.iter().all(|problem| !problem.to_string().contains("poor")), "{problems:?}");
    }

    #[test]
    fn the_help_names_every_setting_with_its_default_and_bound() {
        let Ok(Wish::Say(help)) = wish(&["--help"], &[]) else { panic!() };
        for setting in SETTINGS {
            assert!(help.contains(&setting.variable()), "{}", setting.name);
        }
        assert!(help.contains("0 to 120000 ms") && help.contains("[default: 10000]"), "{help}");
    }
}
