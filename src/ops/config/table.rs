//! Every setting, once: its name, what it is counted in, what it is when nothing is said, and how far it goes.

use crate::draw::decide::PARTICIPANTS_MAX;
use crate::ops::config::arguments;
use clap::builder::OsStringValueParser;
use clap::{Arg, ArgAction, Command};

/// What every variable begins with.
pub const PREFIX: &str = "LUCKYDRAW_";

/// Settings of earlier versions under their old name, each with the name it has now.
pub const RENAMED: &[(&str, &str)] = &[("STAGES", "SOCKET_THREADS")];

/// The flag that prints the settings.
pub const PRINT_CONFIG: &str = "print-config";

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// The variable's name without the prefix.
    pub name: &'static str,
    /// The flag's name without its dashes.
    pub flag: &'static str,
    pub kind: Kind,
    pub default: Default,
    pub help: &'static str,
}

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text, called so in the help.
    Text(&'static str),
    /// A text that is never shown.
    Secret,
    /// 0 or 1.
    Switch,
    Number {
        unit: &'static str,
        min: u64,
        max: u64,
    },
}

/// What holds when nothing is said.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    Value(&'static str),
    /// The number of cores.
    Cores,
    /// Nothing; the help says what that means.
    Nothing,
}

impl Default {
    /// The default as if it had been given.
    pub fn text(self) -> String {
        match self {
            Default::Value(text) => text.into(),
            Default::Cores => {
                std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX as usize)).to_string()
            }
            Default::Nothing => String::new(),
        }
    }
}

/// The most workers or socket threads.
const THREADS_MAX: u64 = 64;

/// The table.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "BIND",
        flag: "bind",
        kind: Kind::Text("ADDRESS:PORT,…"),
        default: Default::Value("0.0.0.0:8000"),
        help: "Where to listen. A name binds all its addresses; port 0 takes any free one",
    },
    Setting {
        name: "DATA_DIR",
        flag: "data-dir",
        kind: Kind::Text("FOLDER"),
        default: Default::Value("./data"),
        help: "Where the journal, its key and the images are kept; made if it is not there",
    },
    Setting {
        name: "ADMIN_TOKEN",
        flag: "admin-token",
        kind: Kind::Secret,
        default: Default::Nothing,
        help: "What opens every admin call, 16 to 256 visible ASCII characters. Not set: one is made at the first start and kept \
               in admin.token in the data folder",
    },
    Setting {
        name: "ADMIN_TOKEN_FILE",
        flag: "admin-token-file",
        kind: Kind::Text("FILE"),
        default: Default::Nothing,
        help: "A file that holds the admin token",
    },
    Setting {
        name: "OPEN",
        flag: "open",
        kind: Kind::Switch,
        default: Default::Value("0"),
        help: "Trust every client, as the server before this one did: for old scripts and rehearsals, on loopback addresses only",
    },
    Setting {
        name: "DEFAULT_EVENT",
        flag: "default-event",
        kind: Kind::Text("EVENT_ID"),
        default: Default::Value("demo"),
        help: "The event of an address that names none, while it goes on; a first start makes it. 1 to 64 of A-Z a-z 0-9 _ -",
    },
    Setting {
        name: "WORKERS",
        flag: "workers",
        kind: Kind::Number { unit: "threads", min: 1, max: THREADS_MAX },
        default: Default::Cores,
        help: "Threads that speak HTTP",
    },
    Setting {
        name: "SOCKET_THREADS",
        flag: "socket-threads",
        kind: Kind::Number { unit: "threads", min: 1, max: THREADS_MAX },
        default: Default::Cores,
        help: "Threads that own the WebSockets",
    },
    Setting {
        name: "ALLOWED_ORIGINS",
        flag: "allowed-origins",
        kind: Kind::Text("ORIGIN,…"),
        default: Default::Nothing,
        help: "Pages of other origins that may call, as https://host or https://host:port, at most 64. Not set: none",
    },
    Setting {
        name: "DOMAIN",
        flag: "domain",
        kind: Kind::Text("NAME"),
        default: Default::Nothing,
        help: "The name this server goes by. Not set: addresses and localhost only",
    },
    Setting {
        name: "TLS_CERT",
        flag: "tls-cert",
        kind: Kind::Text("FILE"),
        default: Default::Nothing,
        help: "A certificate and its chain in PEM form; with it LUCKYDRAW_BIND speaks https. Read again when it changes and on SIGHUP",
    },
    Setting {
        name: "TLS_KEY",
        flag: "tls-key",
        kind: Kind::Text("FILE"),
        default: Default::Nothing,
        help: "The certificate's private key in PEM form, without a password",
    },
    Setting {
        name: "PLAIN_BIND",
        flag: "plain-bind",
        kind: Kind::Text("ADDRESS:PORT,…"),
        default: Default::Nothing,
        help: "Where to listen in the clear beside LUCKYDRAW_BIND when that speaks https, as for a proxy or a probe on the same machine",
    },
    Setting {
        name: "REDIRECT_BIND",
        flag: "redirect-bind",
        kind: Kind::Text("ADDRESS:PORT,…"),
        default: Default::Nothing,
        help: "Where to listen in the clear and lead everybody on to https, as 0.0.0.0:80; nothing else is answered there",
    },
    Setting {
        name: "ACME_CONTACT",
        flag: "acme-contact",
        kind: Kind::Text("MAIL"),
        default: Default::Nothing,
        help: "A mail address for the certificate authority; with it a certificate for LUCKYDRAW_DOMAIN is ordered and renewed (ACME)",
    },
    Setting {
        name: "ACME_DIRECTORY",
        flag: "acme-directory",
        kind: Kind::Text("URL"),
        default: Default::Value("https://acme-v02.api.letsencrypt.org/directory"),
        help: "The certificate authority",
    },
    Setting {
        name: "ACME_STAGING",
        flag: "acme-staging",
        kind: Kind::Text("URL"),
        default: Default::Nothing,
        help: "A directory that an order is tried at first. Not set: Let's Encrypt's own for practice where that is the authority, else none",
    },
    Setting {
        name: "ACME_CA",
        flag: "acme-ca",
        kind: Kind::Text("FILE"),
        default: Default::Nothing,
        help: "Certificates in PEM form that the authority's own is checked against. Not set: those of the web",
    },
    Setting {
        name: "ACME_PORT",
        flag: "acme-port",
        kind: Kind::Number { unit: "port", min: 1, max: 65_535 },
        default: Default::Value("443"),
        help: "The port of LUCKYDRAW_DOMAIN that the authority comes in by: another than 443 in tests only",
    },
    Setting {
        name: "ANNOUNCE_AFTER_MS",
        flag: "announce-after-ms",
        kind: Kind::Number { unit: "ms", min: 0, max: 120_000 },
        default: Default::Value("10000"),
        help: "How long after its reveal a draw is announced to phones, unless a display says sooner that its show is over",
    },
    Setting {
        name: "EVENT_TTL_S",
        flag: "event-ttl-s",
        kind: Kind::Number { unit: "s", min: 1, max: 10 * 366 * 86_400 },
        default: Default::Value("2592000"),
        help: "How long after its last change an event is deleted",
    },
    Setting {
        name: "MAX_EVENTS",
        flag: "max-events",
        kind: Kind::Number { unit: "events", min: 1, max: 1_000 },
        default: Default::Value("32"),
        help: "The most events",
    },
    Setting {
        name: "PII_DAYS",
        flag: "pii-days",
        kind: Kind::Number { unit: "days", min: 1, max: 3_650 },
        default: Default::Value("30"),
        help: "How long winners' names, telephone numbers and addresses are kept",
    },
    Setting {
        name: "BACKUP_EVERY_MIN",
        flag: "backup-every-min",
        kind: Kind::Number { unit: "minutes", min: 0, max: 43_200 },
        default: Default::Value("15"),
        help: "How often a backup is made in the folder backups of the data folder, if anything has changed; 0: never by the clock",
    },
    Setting {
        name: "BACKUP_KEEP",
        flag: "backup-keep",
        kind: Kind::Number { unit: "backups", min: 1, max: 1_000 },
        default: Default::Value("10"),
        help: "How many backups of a cause are kept: by the clock, by an event's phases, before resets, asked for",
    },
    Setting {
        name: "LOG",
        flag: "log",
        kind: Kind::Text("LEVEL"),
        default: Default::Value("info"),
        help: "error, warn, info, debug or trace of this program, or a filter of the form target=level,…",
    },
    Setting {
        name: "PARTICIPANTS_MAX",
        flag: "participants-max",
        kind: Kind::Number { unit: "participants", min: 1, max: PARTICIPANTS_MAX as u64 },
        default: Default::Value("20000"),
        help: "The most participants of an event that does not say",
    },
    Setting {
        name: "CONNECTIONS_MAX",
        flag: "connections-max",
        kind: Kind::Number { unit: "connections", min: 16, max: 1_000_000 },
        default: Default::Nothing,
        help: "The most connections at once, HTTP and WebSocket together; one above is closed. Not set: as many as the limit on \
               open files allows",
    },
    Setting {
        name: "LONG_POLLS_MAX",
        flag: "long-polls-max",
        kind: Kind::Number { unit: "requests", min: 1, max: 100_000 },
        default: Default::Value("4000"),
        help: "The most long-polls at once",
    },
    Setting {
        name: "INBOX_MAX",
        flag: "inbox-max",
        kind: Kind::Number { unit: "commands", min: 64, max: 65_536 },
        default: Default::Value("8192"),
        help: "The most commands that wait to be decided; one above is answered 503",
    },
    Setting {
        name: "METRICS_BIND",
        flag: "metrics-bind",
        kind: Kind::Text("ADDRESS:PORT"),
        default: Default::Nothing,
        help: "A loopback address where /metrics needs no token, for a collector on this machine. Not set: none",
    },
    Setting {
        name: "METRICS_TOKEN",
        flag: "metrics-token",
        kind: Kind::Secret,
        default: Default::Nothing,
        help: "What opens /metrics and nothing else, 16 to 256 visible ASCII characters. Not set: the admin token alone does",
    },
];

impl Setting {
    /// The variable's whole name.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    fn arg(&self) -> Arg {
        let default = match self.default {
            Default::Value(text) => format!(" [default: {text}]"),
            Default::Cores => " [default: the number of cores]".into(),
            Default::Nothing => String::new(),
        };
        let (value_name, bound) = match self.kind {
            Kind::Text(name) => (name, String::new()),
            Kind::Secret => ("TOKEN", String::new()),
            Kind::Switch => ("0|1", String::new()),
            Kind::Number { unit, min, max } => ("N", format!(", {min} to {max} {unit}")),
        };
        let arg = Arg::new(self.name)
            .long(self.flag)
            .value_name(value_name)
            .global(true)
            .value_parser(OsStringValueParser::new())
            .help(format!("{}{bound} [env: {}]{default}", self.help, self.variable()));
        if matches!(self.kind, Kind::Switch) { arg.num_args(0..=1).default_missing_value("1") } else { arg }
    }
}

/// The unit and bounds of the number called `name`.
///
/// # Panics
/// When the table has no such number.
pub fn bounds(name: &str) -> (&'static str, u64, u64) {
    let kind = SETTINGS.iter().find(|setting| setting.name == name).map(|setting| setting.kind);
    let Some(Kind::Number { unit, min, max }) = kind else { panic!("{name} is not a number of the table") };
    (unit, min, max)
}

/// The command line, made of the table and the words.
pub fn command() -> Command {
    let print = Arg::new(PRINT_CONFIG).long(PRINT_CONFIG).action(ArgAction::SetTrue).global(true);
    let command = Command::new("luckydraw")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A live lucky draw: numbers for everybody in the hall, prizes drawn before their eyes")
        .arg(print.help("Print the settings as NAME=value lines, secrets hidden, and end"))
        .args(SETTINGS.iter().map(Setting::arg))
        .after_help(
            "Every setting is a flag and an environment variable; the flag outweighs. An empty variable counts as not set.",
        );
    arguments::add_to(command)
}
