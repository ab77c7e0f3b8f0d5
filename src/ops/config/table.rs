//! Every setting, once: its name, unit, default and bounds. The command line, `--help`,
//! `--print-config` and the check for unknown variables are made of this table, so that none of
//! them can forget a setting. It reads nothing.

use crate::draw::decide::PARTICIPANTS_MAX;
use clap::Arg;
use clap::builder::OsStringValueParser;

/// Prefix of every variable.
pub const PREFIX: &str = "LUCKYDRAW_";

/// The demonstration, which a first start creates unless the operator names another event.
pub const DEMO_EVENT: &str = "demo";

/// Settings of earlier versions: their old name, and the present one.
pub const RENAMED: &[(&str, &str)] = &[("STAGES", "SOCKET_THREADS")];

/// Workers or socket threads, at most.
const THREADS_MAX: u64 = 64;

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// The variable's name without the prefix.
    pub name: &'static str,
    /// The flag's name without its dashes.
    pub flag: &'static str,
    /// Type and range of the value.
    pub kind: ValueKind,
    default: DefaultValue,
    help: &'static str,
}

/// The form of a setting's value.
#[expect(missing_docs, reason = "the variants say what their fields are")]
#[derive(Clone, Copy, Debug)]
pub enum ValueKind {
    /// A text, and its placeholder in the help.
    Text(&'static str),
    /// A text that is never printed.
    Secret,
    /// 0 or 1.
    Switch,
    /// A whole number in this unit, bounds included.
    Number { unit: &'static str, min: u64, max: u64 },
}

/// The value of a setting that is not given.
#[derive(Clone, Copy, Debug)]
enum DefaultValue {
    Value(&'static str),
    /// The number of cores.
    Cores,
    /// The empty text; the help says what it means.
    Empty,
}

/// All settings, in the order of `--help` and `--print-config`.
pub const SETTINGS: &[Setting] = &[
    text("BIND", "bind", "ADDRESS:PORT,…")
        .default("0.0.0.0:8000")
        .help("Where to listen. A name binds all its addresses; port 0 takes any free one"),
    text("DATA_DIR", "data-dir", "FOLDER")
        .default("./data")
        .help("Where the journal, its key and the images are kept; made if it is missing"),
    secret("ADMIN_TOKEN", "admin-token").help(
        "The token that opens every admin call, 16 to 256 visible ASCII characters. Not set: one is made at the first start and \
         kept in admin.token in the data folder",
    ),
    text("ADMIN_TOKEN_FILE", "admin-token-file", "FILE").help("A file that holds the admin token"),
    switch("OPEN", "open").help("Trust every client: for old scripts and rehearsals, on loopback addresses only"),
    text("DEFAULT_EVENT", "default-event", "EVENT_ID")
        .default(DEMO_EVENT)
        .help("The event of an address that names none; a first start creates it. 1 to 64 of A-Z a-z 0-9 _ -"),
    number("WORKERS", "workers", "threads", 1, THREADS_MAX).default_cores().help("Threads that speak HTTP"),
    number("SOCKET_THREADS", "socket-threads", "threads", 1, THREADS_MAX).default_cores().help("Threads that own the WebSockets"),
    text("ALLOWED_ORIGINS", "allowed-origins", "ORIGIN,…")
        .help("Other origins whose pages may call, as https://host or https://host:port, at most 64. Not set: none"),
    text("DOMAIN", "domain", "NAME").help("The server's domain name. Not set: it answers to addresses and localhost only"),
    text("PUBLIC_URL", "public-url", "URL").help(
        "The address by which phones reach it, as https://host or http://host:port. Not set: found from the domain or the network",
    ),
    text("TLS_CERT", "tls-cert", "FILE").help(
        "A certificate and its chain in PEM form; with it LUCKYDRAW_BIND speaks https. Read again when it changes and on SIGHUP",
    ),
    text("TLS_KEY", "tls-key", "FILE").help("The certificate's private key in PEM form, without a password"),
    text("PLAIN_BIND", "plain-bind", "ADDRESS:PORT,…")
        .help("Where to speak plain http beside LUCKYDRAW_BIND's https, for a proxy or a probe on the same machine"),
    text("REDIRECT_BIND", "redirect-bind", "ADDRESS:PORT,…")
        .help("Where to redirect every http request to https, as 0.0.0.0:80; nothing else is answered there"),
    text("ACME_CONTACT", "acme-contact", "MAIL").help(
        "A mail address for the certificate authority; with it a certificate for LUCKYDRAW_DOMAIN is ordered and renewed (ACME)",
    ),
    text("ACME_DIRECTORY", "acme-directory", "URL")
        .default("https://acme-v02.api.letsencrypt.org/directory")
        .help("The certificate authority's directory"),
    text("ACME_STAGING", "acme-staging", "URL").help(
        "A directory for a practice order before the real one. Not set: Let's Encrypt's staging directory where Let's Encrypt is \
         the authority, else none",
    ),
    text("ACME_CA", "acme-ca", "FILE")
        .help("Root certificates in PEM form for the authority's own TLS. Not set: those of the web"),
    number("ACME_PORT", "acme-port", "port", 1, 65_535)
        .default("443")
        .help("The port of LUCKYDRAW_DOMAIN that the authority connects to: other than 443 in tests only"),
    number("ANNOUNCE_AFTER_MS", "announce-after-ms", "ms", 0, 120_000)
        .default("10000")
        .help("Time from a draw's reveal to its announcement to phones, unless a display reports sooner that its show is over"),
    number("ANNOUNCE_EARLY_MS", "announce-early-ms", "ms", 0, 2_000)
        .default("400")
        .help("Time from the announcement to phones to the planned end of a show, at which every screen shows the winners"),
    number("EVENT_TTL_S", "event-ttl-s", "s", 1, 10 * 366 * 86_400)
        .default("2592000")
        .help("Time from an event's last change to its deletion"),
    number("MAX_EVENTS", "max-events", "events", 1, 1_000).default("32").help("Events, at most"),
    number("PII_DAYS", "pii-days", "days", 1, 3_650)
        .default("30")
        .help("Time for which winners' names, telephone numbers and addresses are kept"),
    number("BACKUP_EVERY_MIN", "backup-every-min", "minutes", 0, 43_200).default("15").help(
        "Time between backups in the folder backups of the data folder, made if anything has changed; 0: never by the clock",
    ),
    number("BACKUP_KEEP", "backup-keep", "backups", 1, 1_000)
        .default("10")
        .help("Backups kept per cause: the clock, an event's phases, a reset, a request"),
    text("DRAND_URLS", "drand-urls", "URL,…")
        .default("https://api.drand.sh,https://api2.drand.sh,https://api3.drand.sh,https://drand.cloudflare.com")
        .help("Relays of drand, asked in turn for the rounds of events whose outside value is drand"),
    text("NATS_URL", "nats-url", "URL,…")
        .help("NATS servers between an origin and its edges, as nats://host:4222 or tls://host:4222. Not set: no edges"),
    text("NATS_CREDENTIALS", "nats-credentials", "FILE")
        .help("A file with USER:PASSWORD, an nkey's seed, or credentials as NATS tools make them. Not set: none are sent"),
    text("NATS_CA", "nats-ca", "FILE").help("Root certificates in PEM form for the TLS of NATS. Not set: those of the system"),
    text("NATS_EDGE_CREDENTIALS", "nats-edge-credentials", "FILE").help(
        "An origin's file with credentials of its edges, one per line or as NATS tools make them: the console and `luckydraw \
         edge-code` make codes to join of them",
    ),
    text("NATS_EDGE_URL", "nats-edge-url", "URL,…").help("The NATS servers as edges reach them. Not set: LUCKYDRAW_NATS_URL"),
    secret("JOIN", "join").help("The code by which an edge joins, in place of the settings of NATS: it is a secret"),
    text("LOG", "log", "LEVEL")
        .default("info")
        .help("error, warn, info, debug or trace for this program, or a filter of the form target=level,…"),
    number("PARTICIPANTS_MAX", "participants-max", "participants", 1, PARTICIPANTS_MAX as u64)
        .default("20000")
        .help("Participants of an event that sets no limit of its own, at most"),
    number("CONNECTIONS_MAX", "connections-max", "connections", 16, 1_000_000).help(
        "Connections at once, HTTP and WebSocket together; one more is closed. Not set: as many as open files and memory allow",
    ),
    number("LONG_POLLS_MAX", "long-polls-max", "requests", 1, 100_000).default("4000").help("Long-polls at once, at most"),
    number("INBOX_MAX", "inbox-max", "commands", 64, 65_536)
        .default("8192")
        .help("Commands that wait to be decided, at most; one more is answered 503"),
    text("METRICS_BIND", "metrics-bind", "ADDRESS:PORT")
        .help("A loopback address where /metrics needs no token, for a collector on this machine. Not set: none"),
    secret("METRICS_TOKEN", "metrics-token")
        .help("A token that opens /metrics and nothing else, 16 to 256 visible ASCII characters. Not set: the admin token alone"),
];

const fn setting(name: &'static str, flag: &'static str, kind: ValueKind) -> Setting {
    Setting { name, flag, kind, default: DefaultValue::Empty, help: "" }
}

const fn text(name: &'static str, flag: &'static str, placeholder: &'static str) -> Setting {
    setting(name, flag, ValueKind::Text(placeholder))
}

const fn secret(name: &'static str, flag: &'static str) -> Setting {
    setting(name, flag, ValueKind::Secret)
}

const fn switch(name: &'static str, flag: &'static str) -> Setting {
    setting(name, flag, ValueKind::Switch).default("0")
}

const fn number(name: &'static str, flag: &'static str, unit: &'static str, min: u64, max: u64) -> Setting {
    setting(name, flag, ValueKind::Number { unit, min, max })
}

impl Setting {
    const fn default(self, text: &'static str) -> Self {
        Self { default: DefaultValue::Value(text), ..self }
    }

    const fn default_cores(self) -> Self {
        Self { default: DefaultValue::Cores, ..self }
    }

    const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }

    /// The variable's whole name.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The default as if it had been given.
    pub fn default_text(&self) -> String {
        match self.default {
            DefaultValue::Value(text) => text.into(),
            DefaultValue::Cores => {
                let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                cores.min(THREADS_MAX as usize).to_string()
            }
            DefaultValue::Empty => String::new(),
        }
    }

    /// The value's placeholder.
    pub fn placeholder(&self) -> &'static str {
        match self.kind {
            ValueKind::Text(placeholder) => placeholder,
            ValueKind::Secret => "TOKEN",
            ValueKind::Switch => "0|1",
            ValueKind::Number { .. } => "N",
        }
    }

    /// The meaning, with bounds and default.
    pub fn explanation(&self) -> String {
        let bounds = match self.kind {
            ValueKind::Number { unit, min, max } => format!(", {min} to {max} {unit}"),
            _ => String::new(),
        };
        let default = match self.default {
            DefaultValue::Value(text) => format!(" [default: {text}]"),
            DefaultValue::Cores => " [default: the number of cores]".into(),
            DefaultValue::Empty => String::new(),
        };
        format!("{}{bounds}{default}", self.help)
    }

    /// The command-line flag. It takes any text, so that one bad value does not hide the others.
    pub fn flag(&self) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.flag)
            .value_name(self.placeholder())
            .global(true)
            .value_parser(OsStringValueParser::new())
            .help(format!("{} [env: {}]", self.explanation(), self.variable()));
        if matches!(self.kind, ValueKind::Switch) { arg.num_args(0..=1).default_missing_value("1") } else { arg }
    }
}

/// The unit and bounds of a number.
///
/// # Panics
/// When the table has no number of this name.
pub fn bounds(name: &str) -> (&'static str, u64, u64) {
    let kind = SETTINGS.iter().find(|setting| setting.name == name).map(|setting| setting.kind);
    let Some(ValueKind::Number { unit, min, max }) = kind else { panic!("{name} is not a number of the table") };
    (unit, min, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_flag_is_its_variable_in_lower_case_with_dashes() {
        for setting in SETTINGS {
            assert_eq!(setting.flag, setting.name.to_ascii_lowercase().replace('_', "-"));
        }
        let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(names.len(), SETTINGS.len(), "each name once");
    }

    #[test]
    fn a_default_number_is_within_its_own_bounds() {
        for setting in SETTINGS {
            let (ValueKind::Number { min, max, .. }, text) = (setting.kind, setting.default_text()) else { continue };
            let is_within = |text: &str| (min..=max).contains(&text.parse().unwrap());
            assert!(text.is_empty() || is_within(&text), "{}: {text}", setting.name);
        }
    }

    #[test]
    fn every_setting_is_explained() {
        assert!(SETTINGS.iter().all(|setting| !setting.help.is_empty()));
    }
}
