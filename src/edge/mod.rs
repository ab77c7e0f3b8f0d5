//! More boxes than one: an origin publishes what phones may see over NATS, and edges serve phones
//! with it.
//!
//! The origin is the server as it is, with its journal, its stage and its console. [`origin`] reads
//! its rooms as a long poll does, so the sequencer and the reactors know nothing of it. It
//! publishes each [`update`] once per event, whatever the number of phones, and answers what edges
//! ask by its own router ([`ask`], [`messages`]).
//!
//! An edge holds phones and nothing else: no journal, no key, nothing that is not announced. Its
//! [`link`] applies updates to a [`mirror`] per event, and hands frames to reactors of its own.
//! The origin answers what the mirror cannot ([`shared`]). [`routes`] and [`socket`] are the
//! doors of its phones, [`public_answers`] are asked for once, and [`clock`] is the origin's clock,
//! by which phones show winners.
//!
//! An edge joins by one [`join_code`], which the origin's console gives. [`check`] tries for the
//! doctor what credentials permit.
//!
//! NATS carries only what can be asked for again: a gap, another epoch, a slow consumer or a
//! reconnect makes an edge ask for the frames it missed. No other module knows NATS ([`nats`]).
//!
//! | subject | from | to | what |
//! |---|---|---|---|
//! | `ld.EVENT.frames` | origin | edges | numbered frames and the phones' `state_sync`; a heartbeat per second |
//! | `ld.EVENT.sync` | edge | origin | a request for the frames after the last one that the edge has |
//! | `ld.edge.NAME.presence` | edge | origin | its address, load and last frames, per second ([`presence`]) |
//! | `ld.origin` | origin | origins | one that hears another falls silent ([`other_origin`]) |
//! | `ld.EVENT.ask` | edge | origin | a phone's call or message, with the phone's credential |

pub mod app;
pub mod ask;
pub mod check;
pub mod clock;
pub mod join_code;
pub mod link;
pub mod messages;
pub mod metrics;
pub mod mirror;
pub mod nats;
pub mod origin;
pub mod other_origin;
pub mod peer_requests;
pub mod presence;
pub mod public_answers;
pub mod routes;
pub mod shared;
pub mod socket;
pub mod update;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Time between heartbeats of an event.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Silence after which an edge counts the origin as gone: three heartbeats.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// The longest wait for an answer of an origin that is there: above the longest delay of a wrong
/// entry code. An origin that is gone ends the wait sooner.
const ASK_TIME_MAX: Duration = Duration::from_secs(20);

/// The subject on which origins tell each other that they are there. It is no event's.
const PRESENCE: &str = "ld.origin";

/// The method of a socket's message, in place of an HTTP method.
const MESSAGE: &str = "MESSAGE";

/// The event of a call that names none. No event is called so.
const NO_EVENT: &str = "-";

/// Request headers that the origin's handlers read of a phone's call.
const REQUEST_HEADERS: [&str; 5] = ["authorization", "cookie", "content-type", "idempotency-key", "if-none-match"];

/// Response headers that a phone gets of the origin's answer.
const RESPONSE_HEADERS: [&str; 7] =
    ["content-type", "set-cookie", "retry-after", "cache-control", "etag", "content-disposition", "connection"];

/// The way to NATS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsSettings {
    /// Addresses, separated by commas, as `nats://host:4222` or `tls://host:4222`.
    pub url: String,
    /// The credentials; `None` where NATS asks for none.
    pub credentials: Option<TextSource>,
    /// Root certificates for the server's TLS in PEM form; `None` for those of the system.
    pub certificates: Option<TextSource>,
    /// The origin's address, as an edge that joined by a code knows it.
    pub origin: Option<String>,
    /// An origin's file with the credentials of its edges, for codes to join.
    pub edge_credentials: Option<TextSource>,
    /// The address of NATS as edges reach it; `None` for the origin's own.
    pub edge_url: Option<String>,
}

/// The source of a text that may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum TextSource {
    /// A file, read when it is needed.
    File(PathBuf),
    /// The text itself, of a code to join.
    Given(String),
}

impl TextSource {
    /// The text.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> Result<String, nats::NatsError> {
        match self {
            Self::File(path) => {
                std::fs::read_to_string(path).map_err(|source| nats::NatsError::File { path: path.clone(), source })
            }
            Self::Given(text) => Ok(text.clone()),
        }
    }
}

impl fmt::Display for TextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Given(_) => f.write_str("the code to join"),
        }
    }
}

impl fmt::Debug for TextSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The subject of an event's `frames`, `sync` or `ask`. A name of an event is one token.
fn subject(event: &str, what: &str) -> String {
    format!("ld.{event}.{what}")
}

/// The event that a subject names.
fn event_of(subject: &str) -> Option<&str> {
    subject.strip_prefix("ld.")?.split_once('.').map(|(event, _)| event)
}
