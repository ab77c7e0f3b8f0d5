//! The state that an edge's threads share, and its questions to the origin.
//!
//! Every wait has a deadline, and ends at once when the origin falls silent: a phone hears 503
//! within seconds and tries again with the same `request_id`. A call is never sent twice from here,
//! since only its phone knows whether a second one is the same.

use crate::api::app::JoinBase;
use crate::base::chance;
use crate::base::clock::monotonic_ms;
use crate::base::refreshed::Refreshed;
use crate::draw::{EventId, Number, SessionId, Timestamp};
use crate::edge::clock::OriginClock;
use crate::edge::update::{Position, text};
use crate::edge::{ASK_TIME_MAX, MESSAGE, RESPONSE_HEADERS, subject};
use crate::http::response::{HttpError, HttpResponse, empty};
use crate::live::PeerId;
use crate::live::message_handler::ResumePoint;
use crate::live::room::Directory;
use async_nats::{Client, HeaderMap, Request};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http_body_util::Full;
use hyper::StatusCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The message by which an edge asks for the number of a token.
const IDENTIFY: &[u8] = br#"{"type":"identify"}"#;

/// Time that an answer waits for the edge to have the frames that it rests on.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Messages of sockets that wait for the link, at most.
pub const PEER_REQUESTS_MAX: usize = 8192;

/// Seconds after which a phone that was answered 503 tries again, at most.
const RETRY_AFTER_MAX_S: u32 = 4;

/// The state that the threads of an edge share.
pub struct Shared {
    /// The rooms of this edge.
    pub directory: Arc<Directory>,
    /// The way to NATS.
    pub client: Client,
    /// The name by which NATS knows this edge.
    pub name: String,
    /// This edge's own address and room.
    pub own: OwnPlace,
    /// The longest time that an update took to come here since the last report, in milliseconds.
    /// Relaxed: it is a figure.
    pub lag_ms: AtomicU32,
    /// The origin's state, as this edge knows it. Written by the link.
    pub origin: watch::Sender<OriginState>,
    /// The origin's clock.
    pub clock: OriginClock,
    /// The last frame of each event that the reactors have been handed. Written by the link.
    pub handed_out: watch::Sender<HashMap<EventId, (Position, u32)>>,
    /// Messages of sockets on their way to the link.
    pub peer_requests: mpsc::Sender<PeerRequest>,
    /// Phones that have proved their number here.
    phones: Mutex<HashMap<EventId, HashMap<Number, ProvedPhone>>>,
}

/// The place of an edge.
#[derive(Debug)]
pub struct OwnPlace {
    /// The address by which phones reach it.
    pub base: Refreshed<JoinBase>,
    /// Sockets that it has room for.
    pub sockets_max: u32,
    /// The origin's address, as far as a code to join told it; else empty.
    pub origin: String,
}

/// The origin, as an edge knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginState {
    /// It was heard of within the last seconds, and NATS is connected.
    pub is_there: bool,
    /// It has been heard of for long enough that an event without an update does not exist.
    pub is_known: bool,
    /// The address by which people reach it.
    pub address: String,
}

/// A phone that has proved its number.
struct ProvedPhone {
    session: SessionId,
    token: Arc<str>,
    /// Its own part of the state when it last proved its number.
    own: OwnPart,
}

/// A phone's own part of its state.
#[derive(Clone, Debug)]
pub struct OwnPart {
    /// The number of the last frame when the origin made it.
    pub seq: u64,
    /// JSON fields, without braces.
    pub fields: Bytes,
}

/// A socket's message that the origin has to answer.
pub struct PeerRequest {
    /// The event of the socket.
    pub event: EventId,
    /// The phone's token, where it has proved or presents one.
    pub token: Option<Arc<str>>,
    /// The work to be done.
    pub task: Task,
}

/// The task of a request.
#[expect(missing_docs, reason = "the variants say what their fields are")]
pub enum Task {
    /// Send the message to the origin, and its answer to the peer.
    Message { peer: PeerId, message: Bytes },
    /// Prove the token's number for this peer. `since` is where its earlier connection ended.
    Identify { peer: PeerId, since: Option<ResumePoint> },
    /// Send the message to the origin; nobody waits for an answer.
    Report { message: Bytes },
    /// Send the sockets of this number a newer state of their own.
    Refresh { number: Number },
}

/// A question to the origin.
pub struct Ask<'a> {
    /// The event; `NO_EVENT` for a call that names none.
    pub event: &'a str,
    /// Method, path and credential.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The origin's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// Headers of the message.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The reason why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The call has not reached the origin.
    #[error("the origin cannot be reached")]
    Unreachable,
    /// It may have reached the origin.
    #[error("the origin has not answered; the call is perhaps done")]
    Unanswered,
}

/// A phone whose token the origin has verified.
pub struct Proof {
    /// Its session.
    pub session: SessionId,
    /// Its number.
    pub number: Number,
    /// The frame that says so.
    pub frame: Bytes,
}

impl Shared {
    /// Shared state of an edge that knows nothing yet, and the requests that its sockets will post.
    pub fn new(client: Client, name: String, own: OwnPlace) -> (Arc<Self>, mpsc::Receiver<PeerRequest>) {
        let (peer_requests, posted) = mpsc::channel(PEER_REQUESTS_MAX);
        let shared = Self {
            directory: Arc::default(),
            client,
            name,
            lag_ms: AtomicU32::new(0),
            origin: watch::Sender::new(OriginState { address: own.origin.clone(), ..OriginState::default() }),
            own,
            clock: OriginClock::default(),
            handed_out: watch::Sender::default(),
            peer_requests,
            phones: Mutex::default(),
        };
        (Arc::new(shared), posted)
    }

    /// Asks the origin, and waits until this edge has handed out the frames that the answer rests
    /// on.
    ///
    /// # Errors
    /// [`AskError`] when the origin is not there, falls silent, or does not answer in time.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, AskError> {
        let mut origin = self.origin.subscribe();
        if !origin.borrow_and_update().is_there {
            return Err(AskError::Unreachable);
        }
        let sent_ms = monotonic_ms();
        let request = Request::new().headers(ask.headers).payload(ask.body).timeout(Some(ASK_TIME_MAX));
        // Both arms are cancel safe: the answer to a dropped question is dropped too.
        let answered = tokio::select! {
            answered = self.client.send_request(subject(ask.event, "ask"), request) => answered,
            _ = origin.wait_for(|origin| !origin.is_there) => return Err(AskError::Unanswered),
        };
        let message = answered.map_err(|error| match error.kind() {
            async_nats::RequestErrorKind::NoResponders
            | async_nats::RequestErrorKind::MaxPayloadExceeded
            | async_nats::RequestErrorKind::InvalidSubject => AskError::Unreachable,
            _ => AskError::Unanswered,
        })?;
        let headers = message.headers.unwrap_or_default();
        if let Some(time) = text(&headers, "time").and_then(|time| time.parse().ok()) {
            self.clock.add(sent_ms, monotonic_ms(), Timestamp(time));
        }
        let status = text(&headers, "status").and_then(|status| StatusCode::from_bytes(status.as_bytes()).ok());
        let status = status.ok_or(AskError::Unanswered)?;
        if let Some(at) = Position::read(&headers) {
            self.wait_for(ask.event, at).await;
        }
        Ok(Answer { status, headers, body: message.payload })
    }

    /// Notes the time that an update took to come here, and returns it; zero before the origin's
    /// clock is known.
    pub fn note_lag(&self, sent_at: Timestamp) -> Duration {
        let lag = self.clock.since(sent_at).unwrap_or_default();
        self.lag_ms.fetch_max(u32::try_from(lag.as_millis()).unwrap_or(u32::MAX), Relaxed);
        lag
    }

    /// Waits until the reactors have been handed these frames, or for a bounded time.
    async fn wait_for(&self, event: &str, at: Position) {
        let mut handed_out = self.handed_out.subscribe();
        let has_it = |events: &HashMap<EventId, (Position, u32)>| {
            events.get(event).is_some_and(|(own, _)| own.epoch == at.epoch && own.seq >= at.seq)
        };
        let _ = tokio::time::timeout(CATCH_UP_MAX, handed_out.wait_for(has_it)).await;
    }

    /// Has the origin verify a token, and keeps the phone's own part of the state for its
    /// `state_sync`. `None` when the token proves nothing.
    ///
    /// # Errors
    /// As [`Shared::ask`].
    pub async fn prove(&self, event: &EventId, token: &Arc<str>) -> Result<Option<Proof>, AskError> {
        let answer = self.ask_message(event, Some(token), Bytes::from_static(IDENTIFY)).await?;
        let Some((proof, own)) = answer.proof() else {
            let is_refused = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND);
            return if is_refused { Ok(None) } else { Err(AskError::Unanswered) };
        };
        let phone = ProvedPhone { session: proof.session, token: Arc::clone(token), own };
        self.lock_phones().entry(event.clone()).or_default().insert(proof.number, phone);
        Ok(Some(proof))
    }

    /// Asks the origin what a socket's message asks.
    ///
    /// # Errors
    /// As [`Shared::ask`].
    pub async fn ask_message(&self, event: &EventId, token: Option<&Arc<str>>, message: Bytes) -> Result<Answer, AskError> {
        let mut headers = HeaderMap::new();
        headers.insert("method", MESSAGE);
        // A token with other characters proves nothing, and is no header.
        if let Some(token) = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic())) {
            headers.insert("authorization", &**token);
        }
        self.ask(Ask { event: event.as_str(), headers, body: message }).await
    }

    /// The token by which this edge's phone has proved its number in the present session.
    pub fn token_of(&self, event: &EventId, session: SessionId, number: Number) -> Option<Arc<str>> {
        let phones = self.lock_phones();
        let phone = phones.get(event)?.get(&number).filter(|phone| phone.session == session)?;
        Some(Arc::clone(&phone.token))
    }

    /// The part of the state that is this phone's own, as of its last proof in the present session.
    pub fn own_part(&self, event: &EventId, session: SessionId, number: Number) -> Option<OwnPart> {
        let phones = self.lock_phones();
        Some(phones.get(event)?.get(&number).filter(|phone| phone.session == session)?.own.clone())
    }

    /// Forgets phones of other sessions; of the event as a whole where there is none.
    pub fn forget_phones(&self, event: &EventId, but_of: Option<SessionId>) {
        let mut phones = self.lock_phones();
        match (but_of, phones.get_mut(event)) {
            (Some(session), Some(of_event)) => of_event.retain(|_, phone| phone.session == session),
            _ => drop(phones.remove(event)),
        }
    }

    fn lock_phones(&self) -> MutexGuard<'_, HashMap<EventId, HashMap<Number, ProvedPhone>>> {
        // Each change is one insertion or removal, so a thread that panicked left nothing half
        // done.
        self.phones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// The response that a phone gets.
    pub fn into_response(self) -> HttpResponse {
        let mut response = empty(self.status);
        *response.body_mut() = Full::new(self.body);
        let headers = response.headers_mut();
        for name in RESPONSE_HEADERS {
            for value in self.headers.get_all(name) {
                if let Ok(value) = hyper::header::HeaderValue::from_str(value.as_str()) {
                    headers.append(name, value);
                }
            }
        }
        response
    }

    /// The frames in the answer to a message.
    pub fn frames(&self) -> Option<Bytes> {
        let (frames, _) = super::update::unpack(&self.headers, self.body.clone())?;
        (!frames.is_empty()).then(|| crate::wire::join_frames(&frames))
    }

    /// The proof of a number, and the phone's own part of the state.
    fn proof(&self) -> Option<(Proof, OwnPart)> {
        let number = text(&self.headers, "number")?.parse().ok().map(Number)?;
        let session = HEXLOWER.decode(text(&self.headers, "session")?.as_bytes()).ok()?.try_into().ok().map(SessionId)?;
        let (frames, fields) = super::update::unpack(&self.headers, self.body.clone())?;
        let own = OwnPart { seq: text(&self.headers, "own-seq")?.parse().ok()?, fields };
        Some((Proof { session, number, frame: frames.into_iter().next()? }, own))
    }
}

impl From<AskError> for HttpError {
    fn from(error: AskError) -> Self {
        let code = match error {
            AskError::Unreachable => "OVERLOADED",
            AskError::Unanswered => "OUTCOME_UNKNOWN",
        };
        // Jitter: all phones of an edge are refused at the same time.
        let retry_after = 1 + u32::from(chance::bytes::<1>()[0]) % RETRY_AFTER_MAX_S;
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string()) }
    }
}
