//! The connection to NATS: address, credentials, and settings for a live event.
//!
//! The library's defaults hurt here. A subscription holds 65,536 messages before it drops one, a
//! dead server is noticed after two minutes, and a request waits ten seconds. The connection is
//! made and made again in the background for ever: neither an origin nor an edge needs NATS to
//! start.

use crate::base::chance;
use crate::edge::NatsSettings;
use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
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

/// The largest message that the origin may have to send: a picture with its headers.
const PAYLOAD_WANTED: usize = 1 << 20;

/// The reason why the way to NATS cannot be used.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    #[error("{} cannot be read", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} holds neither USER:PASSWORD, nor an nkey's seed, nor a NATS credentials file", path.display())]
    Credentials { path: PathBuf },
    #[error("the connection to NATS cannot be opened")]
    Connect(#[source] async_nats::ConnectError),
    #[error("the operating system gives no thread")]
    Thread(#[source] io::Error),
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
    let Identity { name, options } = identity(settings.credentials.as_deref())?;
    let (sender, losses) = watch::channel(0);
    let note = move |event: Event| {
        match &event {
            Event::Connected => tracing::info!("NATS is connected"),
            Event::SlowConsumer(_) => tracing::warn!("a subscription was full: messages were dropped"),
            Event::Draining | Event::Closed => {}
            other => tracing::warn!("NATS: {other}"),
        }
        if matches!(event, Event::Connected | Event::SlowConsumer(_)) {
            sender.send_modify(|losses| *losses += 1);
        }
        std::future::ready(())
    };
    let mut options = options
        .name("luckydraw")
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIME_MAX)
        .reconnect_delay_callback(reconnect_wait)
        .ping_interval(PING_EVERY)
        .subscription_capacity(SUBSCRIPTION_MAX)
        .client_capacity(OUTGOING_MAX)
        // An edge may listen under its own prefix alone, or edges would read each other's answers.
        .custom_inbox_prefix(format!("_INBOX.{name}"))
        .event_callback(note);
    if let Some(path) = &settings.certificates {
        readable(path)?;
        options = options.add_root_certificates(path.clone());
    }
    let client = options.connect(settings.url.split(',').map(str::to_owned).collect::<Vec<_>>()).await;
    Ok(Connection { client: client.map_err(NatsError::Connect)?, name, losses })
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

/// Reads the credentials: `USER:PASSWORD`, an nkey's seed, or the file that NATS tools make.
fn identity(path: Option<&Path>) -> Result<Identity, NatsError> {
    let Some(path) = path else { return Ok(Identity { name: chance::hex(8), options: ConnectOptions::new() }) };
    let text = readable(path)?;
    let text = text.trim();
    let invalid = || NatsError::Credentials { path: path.to_owned() };
    let public_key = |seed: &str| nkeys::KeyPair::from_seed(seed).map(|pair| pair.public_key());
    if let Some((_, rest)) = text.split_once("USER NKEY SEED-----") {
        let seed = rest.split_whitespace().next().unwrap_or_default();
        let options = ConnectOptions::with_credentials(text).map_err(|_| invalid())?;
        return Ok(Identity { name: public_key(seed).map_err(|_| invalid())?, options });
    }
    if let Ok(name) = public_key(text) {
        return Ok(Identity { name, options: ConnectOptions::with_nkey(text.to_owned()) });
    }
    let (user, password) = text.split_once(':').ok_or_else(invalid)?;
    let is_token = !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_token || password.is_empty() || password.contains(char::is_whitespace) {
        return Err(invalid());
    }
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    Ok(Identity { name: user.to_owned(), options })
}

fn readable(path: &Path) -> Result<String, NatsError> {
    std::fs::read_to_string(path).map_err(|source| NatsError::File { path: path.to_owned(), source })
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
        let name_of = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            identity(Some(file.path())).map(|identity| identity.name).map_err(|error| error.to_string())
        };
        assert_eq!(name_of("edge1:secret\n"), Ok("edge1".into()));
        let pair = nkeys::KeyPair::new_user();
        assert_eq!(name_of(&pair.seed().unwrap()), Ok(pair.public_key()));
        for bad in ["", "edge1", "edge1:", ":secret", "edge.1:secret", "edge *:secret", "edge1:sec ret"] {
            assert!(name_of(bad).unwrap_err().contains("USER:PASSWORD"), "{bad}");
        }
        assert!(matches!(identity(Some(Path::new("/nowhere/at-all"))), Err(NatsError::File { .. })));
    }
}
