//! Reads the texts of settings into types, and collects what is wrong with them.
//!
//! A bad value does not end the reading: its reader notes a [`Problem`] and returns a placeholder,
//! which is never used, since one problem refuses the whole configuration. Nothing here opens a
//! file or a socket.

use crate::base::address::BindAddress;
use crate::base::http_client::Url;
use crate::base::secret::{self, Secret};
use crate::draw::EventId;
#[cfg(feature = "edges")]
use crate::edge::{NatsSettings, TextSource, join_code::JoinCode, nats};
use crate::http::guard::{Host, is_web_origin};
use crate::ops::admin_token::AdminTokenSource;
#[cfg(not(feature = "edges"))]
use crate::ops::config::NatsSettings;
use crate::ops::config::table::{self, DEMO_EVENT, PREFIX};
use crate::ops::logs;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Name of the admin token among the supervisor's credentials.
const CREDENTIAL: &str = "admin-token";

/// Origins beside the server's own, at most.
const ORIGINS_MAX: usize = 64;

/// The refusal of what needs edges, in a program that has none.
#[cfg(not(feature = "edges"))]
pub const WITHOUT_EDGES: &str = "this program was built without edges: take a released one, or build it with --features edges";

/// Addresses of other servers in one setting, at most.
const URLS_MAX: usize = 16;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable's name, or `arguments` for a command line that clap refuses.
    pub name: String,
    /// One line, for people.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// The texts of all settings, and the problems found in them so far.
pub struct Reader {
    /// A text per setting of the table, perhaps an empty one.
    pub values: BTreeMap<&'static str, String>,
    /// The folder in which the supervisor puts credentials.
    pub credentials: Option<PathBuf>,
    /// Everything that is wrong, in the order it was read.
    pub problems: Vec<Problem>,
}

impl Reader {
    /// The setting's text, empty if it is not set.
    pub fn text(&self, name: &str) -> String {
        self.values.get(name).cloned().expect("every setting of the table has a text")
    }

    /// Notes a problem with a setting.
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        let problem = Problem { name: format!("{PREFIX}{name}"), message: message.into() };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// A number within the bounds of the table.
    pub fn number(&mut self, name: &str) -> u64 {
        let (unit, min, max) = table::bounds(name);
        let text = self.text(name);
        // Digits alone: `parse` also takes a plus sign, which is more likely a slip.
        let number = if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None };
        number.filter(|number| (min..=max).contains(number)).unwrap_or_else(|| {
            self.refuse(name, format!("{text:?} is not a number of {unit} from {min} to {max}"));
            min
        })
    }

    /// A number that may be left out.
    pub fn number_if_set(&mut self, name: &str) -> Option<u64> {
        (!self.text(name).is_empty()).then(|| self.number(name))
    }

    /// A switch: 0 or 1.
    pub fn switch(&mut self, name: &str) -> bool {
        let text = self.text(name);
        if !matches!(text.as_str(), "0" | "1") {
            self.refuse(name, format!("{text:?} is neither 0 nor 1"));
        }
        text == "1"
    }

    /// Addresses separated by commas; none for an empty text.
    pub fn addresses(&mut self, name: &str) -> Vec<BindAddress> {
        let text = self.text(name);
        let mut addresses = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            match BindAddress::parse(part) {
                Some(address) => addresses.push(address),
                None => self.refuse(name, format!("{part:?} is not address:port, name:port or [v6]:port")),
            }
        }
        addresses
    }

    /// The way to NATS, if there is one: of the settings, or of a code to join.
    #[cfg(feature = "edges")]
    pub fn nats(&mut self) -> Option<NatsSettings> {
        let (url, code) = (self.nats_addresses("NATS_URL"), self.text("JOIN"));
        let edge_url = self.nats_addresses("NATS_EDGE_URL");
        if !code.is_empty() {
            if url.is_some() {
                self.refuse("NATS_URL", "LUCKYDRAW_JOIN holds the address already: remove one of the two");
            }
            // The message never repeats the code: it is a secret.
            return JoinCode::decode(&code).map(JoinCode::settings).map_err(|error| self.refuse("JOIN", error.to_string())).ok();
        }
        let file = |name| Some(self.text(name)).filter(|text| !text.is_empty()).map(|path| TextSource::File(path.into()));
        Some(NatsSettings {
            url: url?,
            credentials: file("NATS_CREDENTIALS"),
            certificates: file("NATS_CA"),
            origin: None,
            edge_credentials: file("NATS_EDGE_CREDENTIALS"),
            edge_url,
        })
    }

    /// Addresses of NATS, if there are any.
    #[cfg(feature = "edges")]
    fn nats_addresses(&mut self, name: &str) -> Option<String> {
        let url = Some(self.text(name)).filter(|url| !url.is_empty())?;
        if !nats::is_address(&url) {
            self.refuse(name, format!("{url:?} is not nats://host:port or tls://host:port, or several with commas between"));
        }
        Some(url)
    }

    /// No way to NATS: this program has none.
    #[cfg(not(feature = "edges"))]
    pub fn nats(&mut self) -> Option<NatsSettings> {
        for name in ["NATS_URL", "JOIN"] {
            if !self.text(name).is_empty() {
                self.refuse(name, WITHOUT_EDGES);
            }
        }
        None
    }

    /// Addresses of other servers, separated by commas.
    pub fn urls(&mut self, name: &str) -> Vec<Url> {
        let text = self.text(name);
        let mut urls = Vec::new();
        for part in text.split(',').map(str::trim).filter(|_| !text.is_empty()) {
            match Url::parse(part) {
                Some(url) => urls.push(url),
                None => self.refuse(name, format!("{part:?} is not http(s)://host, with a port or path if needed")),
            }
        }
        if urls.len() > URLS_MAX {
            self.refuse(name, format!("these are more than {URLS_MAX}"));
        }
        urls
    }

    /// The loopback address for metrics without a token.
    pub fn metrics_bind(&mut self) -> Option<SocketAddr> {
        let text = self.text("METRICS_BIND");
        let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
        if address.is_none() && !text.is_empty() {
            self.refuse("METRICS_BIND", format!("{text:?} is not a loopback address with a port, such as 127.0.0.1:9100"));
        }
        address
    }

    /// The token that opens the metrics alone.
    pub fn metrics_token(&mut self) -> Option<Secret> {
        let text = self.text("METRICS_TOKEN");
        (!text.is_empty()).then(|| self.secret("METRICS_TOKEN", &text)).flatten()
    }

    /// The source of the admin token. A token in the settings takes precedence over a credential of
    /// the supervisor.
    pub fn admin_token(&mut self) -> AdminTokenSource {
        let (token, file) = (self.text("ADMIN_TOKEN"), self.text("ADMIN_TOKEN_FILE"));
        match (token.is_empty(), file.is_empty()) {
            (true, true) => match &self.credentials {
                Some(folder) => AdminTokenSource::Credential(folder.join(CREDENTIAL)),
                None => AdminTokenSource::DataFolder,
            },
            (true, false) => AdminTokenSource::File(PathBuf::from(file)),
            (false, is_alone) => {
                if !is_alone {
                    self.refuse("ADMIN_TOKEN_FILE", "LUCKYDRAW_ADMIN_TOKEN holds the token already: remove one of the two");
                }
                self.secret("ADMIN_TOKEN", &token).map_or(AdminTokenSource::DataFolder, AdminTokenSource::Given)
            }
        }
    }

    /// A token. The message never repeats the text: it is a secret, if a poor one.
    fn secret(&mut self, name: &str, text: &str) -> Option<Secret> {
        let secret = Secret::parse(text);
        if secret.is_none() {
            let (min, max) = (secret::LEN_MIN, secret::LEN_MAX);
            self.refuse(name, format!("is not {min} to {max} visible ASCII characters"));
        }
        secret
    }

    /// The event of addresses that name none.
    pub fn default_event(&mut self) -> EventId {
        let text = self.text("DEFAULT_EVENT");
        EventId::parse(&text).unwrap_or_else(|| {
            self.refuse("DEFAULT_EVENT", format!("{text:?} is not an event's name: it must be {}", EventId::RULE));
            EventId::parse(DEMO_EVENT).expect("the default is an event id")
        })
    }

    /// Other origins whose pages may call, spelled as browsers spell them.
    pub fn origins(&mut self) -> Vec<String> {
        let text = self.text("ALLOWED_ORIGINS").to_ascii_lowercase();
        let origins: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if origins.len() > ORIGINS_MAX {
            self.refuse("ALLOWED_ORIGINS", format!("these are more than {ORIGINS_MAX}"));
        }
        for origin in origins.iter().filter(|origin| !is_web_origin(origin)) {
            self.refuse("ALLOWED_ORIGINS", format!("{origin:?} is not http(s)://host or http(s)://host:port"));
        }
        origins.iter().map(|origin| without_default_port(origin).to_owned()).collect()
    }

    /// The address by which phones reach the server, where it is set; spelled as browsers spell it.
    pub fn public_url(&mut self) -> Option<String> {
        let text = self.text("PUBLIC_URL").to_ascii_lowercase();
        if !text.is_empty() && !is_web_origin(&text) {
            self.refuse("PUBLIC_URL", format!("{text:?} is not http(s)://host or http(s)://host:port"));
        }
        (!text.is_empty()).then(|| without_default_port(&text).to_owned())
    }

    /// The server's domain name, in lower case.
    pub fn domain(&mut self) -> Option<String> {
        let text = self.text("DOMAIN").to_ascii_lowercase();
        if !text.is_empty() && !Host::parse(&text).is_some_and(|host| host.as_str() == host.name() && !host.is_ip()) {
            self.refuse("DOMAIN", format!("{text:?} is not a host name"));
        }
        (!text.is_empty()).then_some(text)
    }

    /// The filter of the log, as [`logs::parse_filter`] takes it.
    pub fn log(&mut self) -> String {
        let text = self.text("LOG");
        if let Err(error) = logs::parse_filter(&text) {
            self.refuse("LOG", error.to_string());
        }
        text
    }
}

/// An origin without the port that its scheme implies: browsers leave it out.
fn without_default_port(origin: &str) -> &str {
    let port = if origin.starts_with("https:") { ":443" } else { ":80" };
    origin.strip_suffix(port).unwrap_or(origin)
}
