//! The connection to NATS: address, credentials, and settings for a live event.
//!
//! The library's defaults hurt here. A subscription holds 65,536 messages before it drops one, a
//! dead server is noticed after two minutes, and a request waits ten seconds. The connection is
//! made and made again in the background for ever: neither an origin nor an edge needs NATS to
//! start.

use crate::base::chance;
use crate::edge::{NatsSettings, TextSource};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use std::io::{self, Write};
use std::os::fd::IntoRawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Messages that a subscription holds, at most. One more is dropped, and the subscriber is told.
const SUBSCRIPTION_MAX: usize = 1024;

/// Messages that wait to be sent, at most.
const OUTGOING_MAX: usize = 4096;

/// Time between pings. The second one without a pong ends the connection.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Time for a connection to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// Waits between attempts to connect, at most.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(2);

/// Time after which the same warning is logged again.
const WARN_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The largest message that the origin may have to send: a picture with its headers.
pub const PAYLOAD_WANTED: usize = 1 << 20;

/// The reason why the way to NATS cannot be used.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    #[error("{} cannot be read", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{source_name} holds neither USER:PASSWORD, nor an nkey's seed, nor credentials as NATS tools make them")]
    Credentials { source_name: String },
    #[error("the operating system gives no file in memory")]
    Memory(#[source] io::Error),
    #[error("the connection to NATS cannot be opened")]
    Connect(#[source] async_nats::ConnectError),
    #[error("the operating system gives no thread")]
    Thread(#[source] io::Error),
}

/// The reason why nothing could be checked.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum LinkFault {
    #[error(transparent)]
    Settings(#[from] NatsError),
    #[error("NATS refuses these credentials")]
    Refused,
    #[error("NATS is not reached: {0}")]
    Unreachable(String),
    #[error("NATS takes the credentials and permits neither an origin's nor an edge's messages")]
    NoPermission,
}

/// A connection, open or not.
pub struct Connection {
    /// Sends and subscribes; cheap to clone.
    pub client: Client,
    /// The name by which the server knows this end.
    pub name: String,
    /// Changes when messages may have been lost: after a connect, and when a subscription was full.
    pub losses: watch::Receiver<u64>,
}

/// Credentials, and the name by which the server knows their owner.
struct Identity {
    name: String,
    options: ConnectOptions,
}

/// Returns whether a text is an address of NATS, or several with commas between.
pub fn is_address(text: &str) -> bool {
    let has_scheme = |part: &str| ["nats://", "tls://"].iter().any(|scheme| part.starts_with(scheme));
    text.split(',').all(|part| has_scheme(part) && part.parse::<ServerAddr>().is_ok_and(|server| !server.host().is_empty()))
}

/// Opens the connection in the background, within a runtime. Never waits for the server.
///
/// # Errors
/// When a file cannot be used.
pub async fn connect(settings: &NatsSettings) -> Result<Connection, NatsError> {
    let Identity { name, options } = base_options(settings)?;
    let (sender, losses) = watch::channel(0);
    let noted = Mutex::new(LastWarning::default());
    let note = move |event: Event| {
        // Each change is whole, so a thread that panicked left nothing half done.
        noted.lock().unwrap_or_else(PoisonError::into_inner).log(&event, Instant::now());
        if matches!(event, Event::Connected | Event::SlowConsumer(_)) {
            sender.send_modify(|losses| *losses += 1);
        }
        std::future::ready(())
    };
    let options = with_certificates(options, settings)?
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_wait)
        .ping_interval(PING_EVERY)
        .subscription_capacity(SUBSCRIPTION_MAX)
        .client_capacity(OUTGOING_MAX)
        .event_callback(note);
    let client = options.connect(settings.url.split(',').map(str::to_owned).collect::<Vec<_>>()).await;
    Ok(Connection { client: client.map_err(NatsError::Connect)?, name, losses })
}

/// Opens a connection at once or not at all, for a check; with the refusals of the server.
///
/// # Errors
/// [`LinkFault`] without a connection.
pub async fn connect_once(settings: &NatsSettings) -> Result<(Client, String, Arc<Mutex<Vec<String>>>), LinkFault> {
    let Identity { name, options } = base_options(settings)?;
    let refusals = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&refusals);
    let note = move |event: Event| {
        if let (Event::ServerError(error), Ok(mut heard)) = (event, heard.lock()) {
            heard.push(error.to_string());
        }
        std::future::ready(())
    };
    let options = with_certificates(options, settings)?.event_callback(note).max_reconnects(Some(1));
    match options.connect(settings.url.split(',').map(str::to_owned).collect::<Vec<_>>()).await {
        Ok(client) => Ok((client, name, refusals)),
        Err(error) => match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => Err(LinkFault::Refused),
            _ => Err(LinkFault::Unreachable(error.to_string())),
        },
    }
}

/// The last warning about the connection. Attempts to connect fail each second or two for as long
/// as a server is away, and each dropped message is an event.
#[derive(Default)]
struct LastWarning {
    text: String,
    at: Option<Instant>,
}

impl LastWarning {
    /// Logs an event; one that says the same as the last at most once per [`WARN_AGAIN_AFTER`].
    fn log(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Connected => {
                *self = Self::default();
                tracing::info!("NATS is connected");
            }
            Event::Draining | Event::Closed => {}
            Event::SlowConsumer(_) => self.warn("a subscription was full: messages were dropped", now),
            other => self.warn(&format!("NATS: {other}"), now),
        }
    }

    fn warn(&mut self, text: &str, now: Instant) {
        if self.is_due(text, now) {
            tracing::warn!("{text}");
        }
    }

    /// Returns whether to warn, and notes the warning.
    fn is_due(&mut self, text: &str, now: Instant) -> bool {
        let is_recent = self.at.is_some_and(|at| now.saturating_duration_since(at) < WARN_AGAIN_AFTER);
        if is_recent && self.text == text {
            return false;
        }
        (self.text, self.at) = (text.to_owned(), Some(now));
        true
    }
}

/// Options of every connection: credentials, and the prefix of answers.
fn base_options(settings: &NatsSettings) -> Result<Identity, NatsError> {
    let Identity { name, options } = match &settings.credentials {
        None => Identity { name: chance::hex(8), options: ConnectOptions::new() },
        Some(source) => {
            let text = source.read()?;
            identity(&text).ok_or_else(|| NatsError::Credentials { source_name: source.to_string() })?
        }
    };
    // An edge may listen under its own prefix alone, or edges would read each other's answers.
    let options = options.name("luckydraw").connection_timeout(CONNECT_TIME_MAX).custom_inbox_prefix(format!("_INBOX.{name}"));
    Ok(Identity { name, options })
}

/// Adds the root certificates, which the library reads from a file at each connect.
fn with_certificates(options: ConnectOptions, settings: &NatsSettings) -> Result<ConnectOptions, NatsError> {
    let path = match &settings.certificates {
        None => return Ok(options),
        Some(TextSource::File(path)) => {
            TextSource::File(path.clone()).read()?;
            path.clone()
        }
        Some(TextSource::Given(text)) => file_in_memory(text).map_err(NatsError::Memory)?,
    };
    Ok(options.add_root_certificates(path))
}

/// A file in memory with this text. Its descriptor stays open for as long as the process lives, and
/// its path leads to it.
fn file_in_memory(text: &str) -> io::Result<PathBuf> {
    let descriptor = rustix::fs::memfd_create("nats-ca", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(text.as_bytes())?;
    Ok(format!("/proc/self/fd/{}", file.into_raw_fd()).into())
}

/// Warns of a server that refuses messages which an event may need.
pub fn check_payload(client: &Client) {
    let max = client.max_payload();
    if max < PAYLOAD_WANTED {
        tracing::warn!(max, wanted = PAYLOAD_WANTED, "NATS takes no long messages: raise its max_payload");
    }
}

/// The wait before an attempt: up to the longest, with jitter, so that edges do not come all at
/// once.
fn reconnect_wait(attempts: usize) -> Duration {
    let longest = Duration::from_millis(100 << attempts.min(5)).min(RECONNECT_WAIT_MAX);
    longest.mul_f64(0.5 + f64::from(chance::bytes::<1>()[0]) / 512.0)
}

/// The name by which the server knows the owner of credentials; `None` for what is none.
pub fn name_in(credentials: &str) -> Option<String> {
    identity(credentials).map(|identity| identity.name)
}

/// Reads credentials: `USER:PASSWORD`, an nkey's seed, or the file that NATS tools make.
fn identity(text: &str) -> Option<Identity> {
    let text = text.trim();
    let public_key = |seed: &str| nkeys::KeyPair::from_seed(seed).map(|pair| pair.public_key());
    if let Some((_, rest)) = text.split_once("USER NKEY SEED-----") {
        let seed = rest.split_whitespace().next().unwrap_or_default();
        let options = ConnectOptions::with_credentials(text).ok()?;
        return Some(Identity { name: public_key(seed).ok()?, options });
    }
    if let Ok(name) = public_key(text) {
        return Some(Identity { name, options: ConnectOptions::with_nkey(text.to_owned()) });
    }
    let (user, password) = text.split_once(':')?;
    let is_token = !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_token || password.is_empty() || password.contains(char::is_whitespace) {
        return None;
    }
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    Some(Identity { name: user.to_owned(), options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_scheme() {
        for good in ["nats://10.0.0.1", "tls://nats.example.kr:4222", "nats://a:4222,nats://b:4222"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "10.0.0.1", "http://a", "nats://", "nats://a,", "nats://a:port"] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn credentials_are_of_three_forms() {
        assert_eq!(name_in("edge1:secret\n"), Some("edge1".into()));
        let pair = nkeys::KeyPair::new_user();
        assert_eq!(name_in(&pair.seed().unwrap()), Some(pair.public_key()));
        for bad in ["", "edge1", "edge1:", ":secret", "edge.1:secret", "edge *:secret", "edge1:sec ret"] {
            assert_eq!(name_in(bad), None, "{bad}");
        }
        let missing = TextSource::File("/nowhere/at-all".into());
        assert!(matches!(missing.read(), Err(NatsError::File { .. })));
    }

    #[test]
    fn a_server_that_is_away_for_long_is_one_warning_per_minute() {
        let (mut last, start) = (LastWarning::default(), Instant::now());
        let due: usize = (0..120).map(|s| usize::from(last.is_due("NATS: DNS error", start + Duration::from_secs(s)))).sum();
        assert_eq!(due, 2);
        assert!(last.is_due("NATS: disconnected", start + Duration::from_secs(120)), "another state is told at once");
        last.log(&Event::Connected, start);
        assert!(last.is_due("NATS: disconnected", start), "and so is the first one after a connect");
    }

    #[test]
    fn certificates_of_a_code_are_read_from_memory() {
        let path = file_in_memory("PEM").unwrap();
        for _ in 0..2 {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "PEM");
        }
    }
}
