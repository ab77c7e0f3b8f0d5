//! The check of a way to NATS, for the doctor: who these credentials are, and whether NATS permits
//! them what their role needs and nothing that would harm.
//!
//! Every permission is tried, since a configuration that was read proves nothing about the server
//! that runs. What is tried has no effect where it is permitted: the subjects are those of an event
//! that cannot exist, and the messages are empty.

use crate::base::clock::{monotonic_ms, wall_clock};
use crate::edge::nats::{self, LinkFault, NatsError, PAYLOAD_WANTED};
use crate::edge::update::text;
use crate::edge::{NO_EVENT, NatsSettings, PRESENCE, presence, subject};
use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use futures_util::StreamExt;
use std::time::Duration;

/// Time for NATS to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

/// The role that credentials have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRole {
    /// They may publish frames.
    Origin,
    /// They may not.
    Edge,
}

/// The findings of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReport {
    /// The name by which NATS knows the owner.
    pub name: String,
    /// The role of the credentials.
    pub role: LinkRole,
    /// The longest message that the server takes, in bytes.
    pub payload_max: usize,
    /// The longest that an event may need, in bytes.
    pub payload_wanted: usize,
    /// The things that the role needs and NATS refuses, as `publish SUBJECT`.
    pub missing: Vec<String>,
    /// The things that NATS permits and must refuse this role.
    pub excessive: Vec<String>,
    /// Milliseconds by which this machine's clock is ahead of the origin's, as an edge sees it;
    /// `None` when no origin answers.
    pub clock_ahead_ms: Option<i64>,
}

/// Checks the way to NATS. Takes some seconds where no server answers.
///
/// # Errors
/// [`LinkFault`] when there is no connection to check.
pub fn examine(settings: &NatsSettings) -> Result<LinkReport, LinkFault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NatsError::Thread)?;
    runtime.block_on(examine_link(settings))
}

async fn examine_link(settings: &NatsSettings) -> Result<LinkReport, LinkFault> {
    let (client, name, refusals) = nats::connect_once(settings).await?;
    let inbox = format!("_INBOX.{name}.{NO_EVENT}");
    let both = Tried {
        needs_edge: vec![
            publish(&subject(NO_EVENT, "ask")),
            publish(&subject(NO_EVENT, "sync")),
            publish(&presence::subject(&name)),
            subscribe(&subject("*", "frames")),
            subscribe(&inbox),
        ],
        needs_origin: vec![
            publish(&subject(NO_EVENT, "frames")),
            publish(PRESENCE),
            publish(&format!("_INBOX.{NO_EVENT}.{NO_EVENT}")),
            subscribe(&subject("*", "ask")),
            subscribe(&subject("*", "sync")),
            subscribe(&presence::subject("*")),
            subscribe(PRESENCE),
        ],
        forbidden_edge: vec![publish(&presence::subject(NO_EVENT)), subscribe("_INBOX.>"), subscribe(">")],
    };
    let mut listening = Vec::new();
    for (what, subject) in both.all() {
        // A refusal comes as an event, and a full queue not at all.
        match what {
            Doing::Publish => drop(client.publish(subject.clone(), Bytes::new()).await),
            Doing::Subscribe => listening.extend(client.subscribe(subject.clone()).await),
        }
    }
    if !answers(&client).await {
        return Err(LinkFault::NoPermission);
    }
    drop(listening);
    let refused = refusals.lock().map(|refusals| refusals.clone()).unwrap_or_default();
    let is_refused = |tried: &(Doing, String)| refused.iter().any(|text| tried.0.is_refused_in(text, &tried.1));
    // An edge that may publish frames is an edge with too much.
    let is_origin =
        [publish(&subject(NO_EVENT, "frames")), subscribe(&subject("*", "ask"))].iter().all(|tried| !is_refused(tried));
    let role = if is_origin { LinkRole::Origin } else { LinkRole::Edge };
    let named = |tried: &(Doing, String)| format!("{} {}", tried.0.verb(), tried.1);
    let (needs, forbidden): (_, Vec<_>) = match role {
        LinkRole::Origin => (&both.needs_origin, Vec::new()),
        LinkRole::Edge => (&both.needs_edge, both.needs_origin.iter().chain(&both.forbidden_edge).collect()),
    };
    let clock_ahead_ms = if role == LinkRole::Edge { ahead_of_origin(&client).await } else { None };
    Ok(LinkReport {
        name,
        role,
        payload_max: client.max_payload(),
        payload_wanted: PAYLOAD_WANTED,
        missing: needs.iter().filter(|tried| is_refused(tried)).map(named).collect(),
        excessive: forbidden.into_iter().filter(|tried| !is_refused(tried)).map(named).collect(),
        clock_ahead_ms,
    })
}

/// The permissions that are tried.
struct Tried {
    needs_edge: Vec<(Doing, String)>,
    needs_origin: Vec<(Doing, String)>,
    /// Beside those of an origin.
    forbidden_edge: Vec<(Doing, String)>,
}

impl Tried {
    fn all(&self) -> impl Iterator<Item = &(Doing, String)> {
        self.needs_edge.iter().chain(&self.needs_origin).chain(&self.forbidden_edge)
    }
}

/// The two things that NATS permits or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Publish,
    Subscribe,
}

fn publish(subject: &str) -> (Doing, String) {
    (Doing::Publish, subject.to_owned())
}

fn subscribe(subject: &str) -> (Doing, String) {
    (Doing::Subscribe, subject.to_owned())
}

impl Doing {
    fn verb(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }

    /// Returns whether a server's message refuses this, as in `permissions violation for publish to
    /// "ld.origin"`.
    fn is_refused_in(self, text: &str, subject: &str) -> bool {
        let what = match self {
            Self::Publish => "publish to",
            Self::Subscribe => "subscription to",
        };
        let text = text.to_lowercase();
        text.contains(&format!("{what} \"{}\"", subject.to_lowercase()))
    }
}

/// Waits until NATS has handled what was sent before: an edge's question is answered at once where
/// there is no origin, and an origin hears its own presence.
async fn answers(client: &Client) -> bool {
    let Ok(mut echo) = client.subscribe(PRESENCE).await else { return false };
    let heard = async {
        let _ = client.publish(PRESENCE, Bytes::new()).await;
        echo.next().await.is_some()
    };
    let asked = async {
        match client.send_request(subject(NO_EVENT, "sync"), Request::new().timeout(Some(ANSWER_TIME_MAX))).await {
            Ok(_) => true,
            Err(error) => error.kind() == RequestErrorKind::NoResponders || std::future::pending().await,
        }
    };
    let either = async {
        // Both arms are cancel safe.
        tokio::select! {
            heard = heard => heard,
            asked = asked => asked,
        }
    };
    tokio::time::timeout(ANSWER_TIME_MAX, either).await.unwrap_or(false)
}

/// Asks the origin for its time.
async fn ahead_of_origin(client: &Client) -> Option<i64> {
    let mut headers = HeaderMap::new();
    headers.insert("method", "GET");
    headers.insert("path", "/healthz");
    let request = Request::new().headers(headers).payload(Bytes::new()).timeout(Some(ANSWER_TIME_MAX));
    let sent_ms = monotonic_ms();
    let answer = client.send_request(subject(NO_EVENT, "ask"), request).await.ok()?;
    let half_ms = (monotonic_ms() - sent_ms) / 2;
    let origin_ms: i64 = text(answer.headers.as_ref()?, "time")?.parse().ok()?;
    Some(wall_clock().0 - half_ms - origin_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_it_refuses() {
        let text = r#"Permissions Violation for Publish to "ld.-.frames""#;
        assert!(Doing::Publish.is_refused_in(text, "ld.-.frames"));
        assert!(!Doing::Publish.is_refused_in(text, "ld.-.frame") && !Doing::Subscribe.is_refused_in(text, "ld.-.frames"));
        assert!(Doing::Subscribe.is_refused_in(r#"permissions violation for subscription to ">""#, ">"));
    }
}
