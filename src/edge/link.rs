//! An edge's link to its origin: the sequencer replaced by a subscription.
//!
//! One thread applies what the origin publishes to the mirrors, in order, and hands it to the
//! reactors; it alone changes a room. Where it sees a gap it asks for what is missing and holds
//! back what comes meanwhile. Where frames can no longer be had, it opens a new room and closes the
//! old one's sockets with 1012: their phones come back and are told the state.

use crate::draw::EventId;
use crate::edge::mirror::{Fit, Mirror};
use crate::edge::nats::{self, Connection, NatsError};
use crate::edge::peer_requests;
use crate::edge::presence;
use crate::edge::shared::{Ask, OriginState, OwnPlace, PeerRequest, Shared, Task};
use crate::edge::update::{Position, Standing, Update, text};
use crate::edge::{HEARTBEAT, NO_EVENT, NatsSettings, SILENCE_MAX, event_of, subject};
use crate::live::CloseCode;
use crate::live::message_handler::Action;
use crate::live::reactor::Reactors;
use async_nats::connection::State;
use async_nats::{HeaderMap, Message, Request};
use bytes::Bytes;
use futures_util::StreamExt;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// Time for the answer to a request for missing frames.
const SYNC_TIME_MAX: Duration = Duration::from_secs(2);

/// Time between readings of the origin's clock.
const CLOCK_INTERVAL: Duration = Duration::from_secs(5);

/// Updates that are held back while frames before them are asked for, at most. Without room the
/// next heartbeat shows the gap again.
const HELD_BACK_MAX: usize = 64;

/// Answers about missing frames that wait for the link, at most: one per event, and few wait.
const SYNCED_MAX: usize = 64;

/// Requests under way, at most. A phone whose request finds no room is told to come back.
const UNDER_WAY_MAX: usize = 4096;

/// An edge's connection that nobody reads yet.
pub struct Link {
    runtime: Runtime,
    losses: watch::Receiver<u64>,
    peer_requests: mpsc::Receiver<PeerRequest>,
    /// The state that the edge's threads share.
    pub shared: Arc<Shared>,
}

/// The thread of the link.
pub struct LinkThread {
    /// Runs tasks on the thread.
    pub runtime: Handle,
    stopping: CancellationToken,
    thread: JoinHandle<()>,
}

impl Link {
    /// Opens the connection in the background.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn open(settings: &NatsSettings, own: OwnPlace) -> Result<Self, NatsError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NatsError::Thread)?;
        let Connection { client, name, losses } = runtime.block_on(nats::connect(settings))?;
        let (shared, peer_requests) = Shared::new(client, name, own);
        Ok(Self { runtime, losses, peer_requests, shared })
    }

    /// Starts the thread, which hands what comes to these reactors.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(self, reactors: Reactors) -> Result<LinkThread, NatsError> {
        let Self { runtime, losses, peer_requests, shared } = self;
        let stopping = CancellationToken::new();
        let handle = runtime.handle().clone();
        let follower = Follower::new(shared, reactors);
        let follow = follower.follow(losses, peer_requests, stopping.clone());
        let thread = std::thread::Builder::new().name("link".into()).spawn(move || runtime.block_on(follow));
        Ok(LinkThread { runtime: handle, stopping, thread: thread.map_err(NatsError::Thread)? })
    }
}

impl LinkThread {
    /// Ends the link, and waits for its thread.
    pub fn stop(self) {
        self.stopping.cancel();
        if self.thread.join().is_err() {
            tracing::error!("the link to the origin had panicked");
        }
    }
}

/// The answer to a request for missing frames.
type Synced = (EventId, Option<SyncAnswer>);

/// The origin's word about an event.
enum SyncAnswer {
    Update(Box<Update>),
    Gone,
}

/// Follows the origin.
struct Follower {
    shared: Arc<Shared>,
    reactors: Reactors,
    events: BTreeMap<EventId, Followed>,
    synced: mpsc::Sender<Synced>,
    answers: Option<mpsc::Receiver<Synced>>,
    under_way: Arc<Semaphore>,
    /// When anything was last heard of the origin, and since when without a break.
    heard: Option<(Instant, Instant)>,
}

/// An event that the origin publishes.
#[derive(Default)]
struct Followed {
    /// `None` until its state came.
    mirror: Option<Mirror>,
    /// Updates that wait for frames before them; `None` while nothing is asked for.
    held_back: Option<VecDeque<Update>>,
}

impl Follower {
    fn new(shared: Arc<Shared>, reactors: Reactors) -> Self {
        let (synced, answers) = mpsc::channel(SYNCED_MAX);
        let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        Self { shared, reactors, events: BTreeMap::new(), synced, answers: Some(answers), under_way, heard: None }
    }

    async fn follow(
        mut self,
        mut losses: watch::Receiver<u64>,
        mut peer_requests: mpsc::Receiver<PeerRequest>,
        stopping: CancellationToken,
    ) {
        let Some(mut answers) = self.answers.take() else { return };
        let Ok(mut frames) = self.shared.client.subscribe(subject("*", "frames")).await else {
            return tracing::error!("NATS takes no subscription: this edge follows nothing");
        };
        let mut tick = tokio::time::interval(HEARTBEAT / 4);
        let mut clock = tokio::time::interval(CLOCK_INTERVAL);
        let mut report = tokio::time::interval(HEARTBEAT);
        loop {
            // All arms are cancel safe.
            tokio::select! {
                () = stopping.cancelled() => return,
                Some(message) = frames.next() => self.receive(message),
                Some((event, answer)) = answers.recv() => self.receive_missing(&event, answer),
                Some(request) = peer_requests.recv() => self.start_request(request),
                Ok(()) = losses.changed() => self.request_all(),
                _ = tick.tick() => self.look_for_silence(Instant::now()),
                _ = clock.tick() => self.read_clock(),
                _ = report.tick() => self.report(),
            }
        }
    }

    /// Takes an update from the subscription.
    fn receive(&mut self, message: Message) {
        let named = event_of(&message.subject);
        if named == Some(NO_EVENT) {
            // A doctor tries what credentials permit.
            return;
        }
        let event = named.and_then(EventId::parse);
        let update = message.headers.as_ref().and_then(|headers| Update::decode(headers, message.payload.clone()));
        let Some((event, update)) = event.zip(update) else {
            return tracing::warn!(subject = %message.subject, "what came is no update: another version?");
        };
        self.note_origin(&update.address);
        if update.standing == Standing::Gone {
            return self.remove(&event, update.at);
        }
        let followed = self.events.entry(event.clone()).or_default();
        match &mut followed.held_back {
            Some(waiting) if waiting.len() < HELD_BACK_MAX => waiting.push_back(update),
            Some(_) => {}
            None => self.apply_or_request(&event, update),
        }
    }

    /// Applies an update that follows; asks for what is missing before any other.
    fn apply_or_request(&mut self, event: &EventId, update: Update) {
        let now = Instant::now();
        let Some(mirror) = self.events.get_mut(event).and_then(|followed| followed.mirror.as_mut()) else {
            return self.request_missing(event, Some(update));
        };
        match mirror.fit(&update) {
            Fit::Follows(known) => {
                let is_new_session = mirror.session() != update.session;
                let lag = self.shared.note_lag(update.sent_at);
                if let Some(publication) = mirror.apply(&update, known, now, lag) {
                    self.reactors.publish(Arc::new(publication));
                }
                if is_new_session {
                    self.shared.forget_phones(event, Some(update.session));
                }
                self.note_handed_out(event);
            }
            Fit::Old => mirror.heard_at = now,
            Fit::Gap => self.request_missing(event, Some(update)),
        }
    }

    /// Takes the answer to a request for missing frames, and then what was held back.
    fn receive_missing(&mut self, event: &EventId, answer: Option<SyncAnswer>) {
        let held_back = self.events.get_mut(event).and_then(|followed| followed.held_back.take());
        match answer {
            Some(SyncAnswer::Update(update)) => self.adopt(event, *update),
            Some(SyncAnswer::Gone) => return self.remove_room(event),
            // The next heartbeat shows the gap again.
            None => return,
        }
        held_back.into_iter().flatten().for_each(|update| match self.events.get_mut(event) {
            Some(Followed { held_back: Some(waiting), .. }) => waiting.push_back(update),
            _ => self.apply_or_request(event, update),
        });
    }

    /// Applies the origin's answer, or opens a new room where it does not follow.
    fn adopt(&mut self, event: &EventId, update: Update) {
        self.note_origin(&update.address);
        let now = Instant::now();
        let fit = self.events.get(event).and_then(|followed| followed.mirror.as_ref()).map(|mirror| mirror.fit(&update));
        match fit {
            Some(Fit::Follows(_)) => return self.apply_or_request(event, update),
            Some(Fit::Old) => return,
            // Frames before the closing are no longer held.
            Some(Fit::Gap) if update.standing == Standing::Closed => self.close_room(event, CloseCode::NoSuchEvent),
            // The new room takes the old one's place in the directory: phones that come in between
            // are told to come again.
            Some(Fit::Gap) => self.close_room(event, CloseCode::Restarting),
            None => {}
        }
        let Some(mirror) = Mirror::new(event, &update, now) else { return };
        self.shared.directory.insert(Arc::clone(&mirror.room));
        let closed = mirror.standing() == Standing::Closed;
        self.events.entry(event.clone()).or_default().mirror = Some(mirror);
        self.note_handed_out(event);
        if closed && let Some(mirror) = self.events.get_mut(event).and_then(|followed| followed.mirror.as_mut()) {
            self.reactors.publish(Arc::new(mirror.close(CloseCode::NoSuchEvent)));
        }
    }

    /// Asks for the frames after the last that the edge has; `update` waits for them.
    fn request_missing(&mut self, event: &EventId, update: Option<Update>) {
        let followed = self.events.entry(event.clone()).or_default();
        if followed.held_back.is_some() {
            return;
        }
        followed.held_back = Some(update.into_iter().collect());
        let at = followed.mirror.as_ref().map(Mirror::at);
        let (shared, synced, event) = (Arc::clone(&self.shared), self.synced.clone(), event.clone());
        tokio::spawn(async move {
            let answer = request_sync(&shared, &event, at).await;
            // The link has ended otherwise.
            let _ = synced.send((event, answer)).await;
        });
    }

    /// Asks about every event: messages may have been lost.
    fn request_all(&mut self) {
        nats::check_payload(&self.shared.client);
        let events: Vec<_> = self.events.keys().cloned().collect();
        events.iter().for_each(|event| self.request_missing(event, None));
    }

    /// Notes that the origin was heard.
    fn note_origin(&mut self, address: &str) {
        let now = Instant::now();
        let since = self.heard.filter(|(last, _)| now - *last < SILENCE_MAX).map_or(now, |(_, since)| since);
        self.heard = Some((now, since));
        self.shared.origin.send_if_modified(|origin| {
            let is_known = now - since >= 2 * HEARTBEAT;
            let heard = OriginState { is_there: true, is_known, address: address.to_owned() };
            let has_changed = *origin != heard;
            *origin = heard;
            has_changed
        });
    }

    /// Notes an origin that fell silent, and asks about events that did.
    fn look_for_silence(&mut self, now: Instant) {
        let is_connected = self.shared.client.connection_state() == State::Connected;
        let is_there = is_connected && self.heard.is_some_and(|(last, _)| now - last < SILENCE_MAX);
        if !is_there {
            self.heard = None;
            let was_there = self.shared.origin.send_if_modified(|origin| {
                let was_there = origin.is_there;
                (origin.is_there, origin.is_known) = (false, false);
                was_there
            });
            if was_there {
                tracing::warn!(is_connected, "the origin is silent: phones keep what they have");
            }
            return;
        }
        let is_silent = |followed: &Followed| {
            followed.mirror.as_ref().is_some_and(|mirror| now.saturating_duration_since(mirror.heard_at) >= SILENCE_MAX)
        };
        let silent: Vec<_> = self.events.iter().filter(|(_, followed)| is_silent(followed)).map(|(id, _)| id.clone()).collect();
        silent.iter().for_each(|event| self.request_missing(event, None));
    }

    /// Removes an event that the origin does not have any more, unless another one of its name is
    /// there already.
    fn remove(&mut self, event: &EventId, at: Position) {
        let mirror = self.events.get(event).and_then(|followed| followed.mirror.as_ref());
        if mirror.is_some_and(|mirror| mirror.at().epoch == at.epoch) {
            self.remove_room(event);
        }
    }

    fn remove_room(&mut self, event: &EventId) {
        self.close_room(event, CloseCode::NoSuchEvent);
        self.shared.directory.remove(std::slice::from_ref(event));
    }

    /// Closes an event's room for good, and forgets what the edge has of the event.
    fn close_room(&mut self, event: &EventId, code: CloseCode) {
        let Some(Followed { mirror: Some(mut mirror), .. }) = self.events.remove(event) else { return };
        self.reactors.publish(Arc::new(mirror.close(code)));
        self.shared.forget_phones(event, None);
        self.shared.handed_out.send_modify(|events| {
            events.remove(event);
        });
    }

    /// Tells those that wait for frames that the reactors have them.
    fn note_handed_out(&mut self, event: &EventId) {
        let Some(mirror) = self.events.get(event).and_then(|followed| followed.mirror.as_ref()) else { return };
        let now = (mirror.at(), mirror.participants());
        self.shared.handed_out.send_if_modified(|events| events.insert(event.clone(), now) != Some(now));
    }

    /// Asks anything, to read the origin's clock in the answer.
    fn read_clock(&self) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let mut headers = HeaderMap::new();
            headers.insert("method", "GET");
            headers.insert("path", "/healthz");
            // An origin that is away has no clock to read.
            let _ = shared.ask(Ask { event: NO_EVENT, headers, body: Bytes::new() }).await;
        });
    }

    /// Reports this edge to its origin.
    fn report(&self) {
        if self.shared.origin.borrow().is_there {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move { presence::publish(&shared).await });
        }
    }

    /// Runs a socket's request in a task of its own.
    fn start_request(&self, request: PeerRequest) {
        let (shared, reactors) = (Arc::clone(&self.shared), self.reactors.clone());
        match Arc::clone(&self.under_way).try_acquire_owned() {
            Ok(permit) => drop(tokio::spawn(async move {
                peer_requests::run(&shared, &reactors, request).await;
                drop(permit);
            })),
            Err(_) => {
                if let Task::Message { peer, .. } | Task::Identify { peer, .. } = request.task {
                    reactors.act(peer, Action::Close(CloseCode::Overloaded));
                }
            }
        }
    }
}

/// Asks the origin for an event's missing frames; `None` when it does not answer.
async fn request_sync(shared: &Shared, event: &EventId, at: Option<Position>) -> Option<SyncAnswer> {
    let mut headers = HeaderMap::new();
    headers.insert("version", env!("CARGO_PKG_VERSION"));
    if let Some(at) = at {
        at.write(&mut headers);
    }
    let request = Request::new().headers(headers).payload(Bytes::new()).timeout(Some(SYNC_TIME_MAX));
    let message = shared.client.send_request(subject(event.as_str(), "sync"), request).await;
    let message = message.inspect_err(|error| tracing::debug!(%error, event = event.as_str(), "no answer")).ok()?;
    let headers = message.headers?;
    match Update::decode(&headers, message.payload) {
        Some(update) => Some(SyncAnswer::Update(Box::new(update))),
        None => (text(&headers, "standing") == Some("gone")).then_some(SyncAnswer::Gone),
    }
}
