//! The origin's side: publishes every event to edges, and answers what they ask.
//!
//! One thread reads the rooms, woken by the watch that long polls wait on: the sequencer and the
//! reactors know nothing of it and never wait for it. What it publishes are the frames of the ring
//! and the phones' `state_sync`, which are the public ones by their making. A message that is lost
//! is no harm: the next heartbeat shows its number, and edges ask.

use crate::api::app::App;
use crate::api::edges::{News, VERSION};
use crate::base::clock::wall_clock;
use crate::draw::{EventId, Phase};
use crate::edge::ask::Answerer;
use crate::edge::join_code;
use crate::edge::nats::{self, Connection, NatsError};
use crate::edge::other_origin::OtherOrigin;
use crate::edge::presence::{self, Presence};
use crate::edge::update::{Position, Standing, Update};
use crate::edge::{HEARTBEAT, NO_EVENT, NatsSettings, PRESENCE, event_of, subject};
use crate::http::HttpServer;
use crate::live::Role;
use crate::live::room::Room;
use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, PublishError, Subject, SubscribeError, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::{AbortHandle, LocalSet};
use tokio_util::sync::CancellationToken;

/// Time for a message to be queued while the connection is slow. One that is dropped then leaves a
/// gap, which edges ask about.
const SEND_TIME_MAX: Duration = Duration::from_millis(500);

/// Calls of edges that are answered at once, at most; others are answered 503.
const ASKS_MAX: usize = 4096;

/// The thread that serves edges.
pub struct OriginThread {
    stopping: CancellationToken,
    thread: JoinHandle<()>,
}

impl OriginThread {
    /// Starts the thread. It connects in the background: an origin serves without NATS.
    ///
    /// # Errors
    /// When the settings cannot be used, or the operating system gives no thread.
    pub fn start(settings: &NatsSettings, server: Arc<HttpServer<App>>) -> Result<Self, NatsError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NatsError::Thread)?;
        let connection = runtime.block_on(nats::connect(settings))?;
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        set_codes(settings.clone(), &server.app);
        let serve = move || LocalSet::new().block_on(&runtime, Origin::new(connection, server).serve(stopped));
        let thread = std::thread::Builder::new().name("origin".into()).spawn(serve).map_err(NatsError::Thread)?;
        Ok(Self { stopping, thread })
    }

    /// Stops serving edges, and waits for the thread.
    pub fn stop(self) {
        self.stopping.cancel();
        if self.thread.join().is_err() {
            tracing::error!("the thread that served edges had panicked");
        }
    }
}

/// Lets operators have the codes by which edges join.
fn set_codes(settings: NatsSettings, app: &Arc<App>) {
    // The application outlives this no longer than its server does.
    let server = Arc::downgrade(app);
    app.edges.set_codes(Box::new(move || {
        let address = server.upgrade().map(|app| app.join_base.get().address.clone()).unwrap_or_default();
        let codes = join_code::codes(&settings, &address).map_err(|error| error.to_string())?;
        Ok(codes.into_iter().map(|(name, code)| (name, code.encode())).collect())
    }));
}

/// Everything that serves edges. It lives on one thread.
struct Origin {
    client: Client,
    losses: watch::Receiver<u64>,
    server: Arc<HttpServer<App>>,
    publishers: EventPublishers,
    answerer: Rc<Answerer>,
    other_origin: Rc<OtherOrigin>,
}

/// The events that are published, by their names.
type EventPublishers = Rc<RefCell<BTreeMap<EventId, (Rc<EventPublisher>, AbortHandle)>>>;

impl Origin {
    fn new(connection: Connection, server: Arc<HttpServer<App>>) -> Self {
        let Connection { client, losses, .. } = connection;
        let answerer = Rc::new(Answerer::new(Arc::clone(&server), ASKS_MAX));
        Self {
            client,
            losses,
            server,
            publishers: Rc::default(),
            answerer,
            other_origin: Rc::new(OtherOrigin::new(Instant::now())),
        }
    }

    async fn serve(mut self, stopping: CancellationToken) {
        let subscribed = (self.subscribe("ask").await, self.subscribe("sync").await, self.client.subscribe(PRESENCE).await);
        let reports = self.client.subscribe(presence::subject("*")).await;
        let ((Ok(mut asks), Ok(mut syncs), Ok(mut origins)), Ok(mut reports)) = (subscribed, reports) else {
            return tracing::error!("NATS takes no subscription: no edge is served");
        };
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            // All arms are cancel safe.
            tokio::select! {
                () = stopping.cancelled() => break,
                Some(message) = asks.next() => self.answer(message),
                Some(message) = syncs.next() => self.catch_up(message),
                Ok(()) = self.losses.changed() => {
                    self.other_origin.listen(Instant::now());
                    nats::check_payload(&self.client);
                }
                Some(message) = origins.next() => self.note_origin(&message),
                Some(message) = reports.next() => self.note_edge(&message),
                _ = heartbeat.tick() => {
                    self.announce_presence().await;
                    self.follow_directory().await;
                    self.count_on_edges();
                }
            }
        }
        // Queued messages go out, if the server takes them.
        let _ = tokio::time::timeout(SEND_TIME_MAX, self.client.flush()).await;
    }

    async fn subscribe(&self, what: &str) -> Result<Subscriber, SubscribeError> {
        self.client.subscribe(subject("*", what)).await
    }

    /// Falls silent at the first word of another origin.
    fn note_origin(&self, message: &Message) {
        let now = Instant::now();
        self.other_origin.note(&String::from_utf8_lossy(&message.payload), now);
        if self.other_origin.is_there(now) && !self.server.app.has_other_origin.swap(true, Relaxed) {
            tracing::error!("another origin publishes on this NATS: nothing is published until one of the two has stopped");
        }
    }

    /// Lists an edge by its report.
    fn note_edge(&self, message: &Message) {
        let app = &self.server.app;
        let Some((edge, presence)) = presence::edge_of(&message.subject).zip(Presence::read(&message.payload)) else { return };
        let report = presence.compare(&app.directory, Instant::now());
        let (address, version, is_other) = (report.address.clone(), report.version.clone(), report.has_other_version());
        match (app.edges.report(edge, report), is_other) {
            (News::None, _) => {}
            (News::Joined, false) => tracing::info!(edge, address, "an edge serves phones"),
            (News::Joined, true) => {
                tracing::warn!(edge, version, own = VERSION, "an edge has another version: no phone is led to it")
            }
        }
    }

    /// Counts the sockets that edges have among those of their events.
    fn count_on_edges(&self) {
        let (app, now) = (&self.server.app, Instant::now());
        for room in app.directory.all() {
            room.connections.note_on_edges(app.edges.of_event(room.id.as_str(), now).sockets);
        }
    }

    /// Tells other origins of this one, and speaks again once they are gone.
    async fn announce_presence(&self) {
        queue(self.client.publish(PRESENCE, self.other_origin.own_id.clone().into())).await;
        if !self.other_origin.is_there(Instant::now()) && self.server.app.has_other_origin.swap(false, Relaxed) {
            tracing::info!("the other origin is gone");
        }
    }

    /// Begins with new events, and tells edges of those that are gone.
    async fn follow_directory(&self) {
        let rooms = self.server.app.directory.all();
        let mut gone = Vec::new();
        self.publishers.borrow_mut().retain(|_, (publisher, task)| {
            let stays = rooms.iter().any(|room| Arc::ptr_eq(room, &publisher.room));
            if !stays {
                task.abort();
                gone.push(publisher.gone());
            }
            stays
        });
        for (id, update) in gone {
            send(&self.client, &id, &update).await;
        }
        for room in rooms {
            let mut publishers = self.publishers.borrow_mut();
            if !publishers.contains_key(&room.id) {
                let publisher =
                    Rc::new(EventPublisher::new(Arc::clone(&room), Arc::clone(&self.server), Rc::clone(&self.other_origin)));
                let task = tokio::task::spawn_local(publish_always(self.client.clone(), Rc::clone(&publisher)));
                publishers.insert(room.id.clone(), (publisher, task.abort_handle()));
            }
        }
    }

    /// Answers an edge's call, in a task of its own.
    fn answer(&self, message: Message) {
        let Some(reply) = message.reply.clone() else { return };
        let (client, answerer) = (self.client.clone(), Rc::clone(&self.answerer));
        let publishers = Rc::clone(&self.publishers);
        let may_serve = self.other_origin.may_serve(Instant::now());
        tokio::task::spawn_local(async move {
            if !may_serve {
                let (headers, body) = answerer.busy().await;
                return respond(&client, reply, headers, body).await;
            }
            let (mut headers, body) = answerer.answer(&message).await;
            let event = event_of(&message.subject).filter(|event| *event != NO_EVENT);
            let publisher = event.and_then(|event| publishers.borrow().get(event).map(|(publisher, _)| Rc::clone(publisher)));
            if let Some(publisher) = publisher {
                // The answer may rest on frames that the watch has not told of yet.
                publisher.publish_new(&client, Cause::News).await;
                publisher.sent.borrow().at.write(&mut headers);
            }
            respond(&client, reply, headers, body).await;
        });
    }

    /// Answers with the frames after those that the edge has, and the state; or with all that is
    /// held.
    fn catch_up(&self, message: Message) {
        let Some(reply) = message.reply.clone().filter(|_| self.other_origin.may_serve(Instant::now())) else { return };
        let room = event_of(&message.subject).and_then(|event| self.server.app.directory.find(event));
        let at = message.headers.as_ref().and_then(Position::read);
        let update = room.map(|room| update_since(&room, &self.server.app, at));
        let (headers, body) = match update {
            Some(update) => update.encode(),
            None => {
                let mut headers = HeaderMap::new();
                headers.insert("standing", "gone");
                (headers, Bytes::new())
            }
        };
        let client = self.client.clone();
        tokio::task::spawn_local(async move { respond(&client, reply, headers, body).await });
    }
}

/// The reason for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// There may be new frames.
    News,
    /// A second is over.
    Heartbeat,
}

/// An event on its way to edges.
struct EventPublisher {
    room: Arc<Room>,
    server: Arc<HttpServer<App>>,
    other_origin: Rc<OtherOrigin>,
    sent: RefCell<Sent>,
}

/// The last message to edges.
struct Sent {
    at: Position,
    sync: Bytes,
}

impl EventPublisher {
    fn new(room: Arc<Room>, server: Arc<HttpServer<App>>, other_origin: Rc<OtherOrigin>) -> Self {
        let snapshot = room.snapshot();
        let at = Position { epoch: snapshot.event.epoch, seq: snapshot.ring.last_seq() };
        Self { room, server, other_origin, sent: RefCell::new(Sent { at, sync: Bytes::new() }) }
    }

    /// The last update of an event that is gone.
    fn gone(&self) -> (EventId, Update) {
        let update = Update {
            frames: Vec::new(),
            sync: None,
            standing: Standing::Gone,
            ..update_since(&self.room, &self.server.app, None)
        };
        (self.room.id.clone(), update)
    }

    /// Publishes what is new since the last time; a heartbeat in any case. Messages are queued in
    /// the order of their numbers, since nothing is awaited between the look and the queue.
    async fn publish_new(&self, client: &Client, cause: Cause) {
        // A message that is queued while there is no connection is perhaps never sent.
        if client.connection_state() == State::Connected
            && self.other_origin.may_serve(Instant::now())
            && let Some(update) = self.next(cause)
            && !send(client, &self.room.id, &update).await
        {
            // Edges see a missing frame by its number, and a missing state by nothing.
            self.sent.borrow_mut().sync = Bytes::new();
        }
    }

    /// The next update, which counts as sent from now on. `None` when there is nothing to tell.
    fn next(&self, cause: Cause) -> Option<Update> {
        let mut sent = self.sent.borrow_mut();
        let mut update = update_since(&self.room, &self.server.app, Some(sent.at));
        let follows = update.at.epoch == sent.at.epoch && update.base_seq() == sent.at.seq;
        if !follows {
            // Edges see the gap, and ask.
            update.frames.clear();
        }
        if update.at == sent.at && cause == Cause::News {
            return None;
        }
        sent.at = update.at;
        match update.sync.take_if(|sync| *sync == sent.sync) {
            Some(_) => {}
            None => sent.sync = update.sync.clone().unwrap_or_default(),
        }
        Some(update)
    }
}

/// The frames of an event after `at`, or all that are held, and the state.
fn update_since(room: &Room, app: &App, at: Option<Position>) -> Update {
    let snapshot = room.snapshot();
    let known = at.filter(|at| at.epoch == snapshot.event.epoch && snapshot.ring.after(at.seq).is_some());
    let frames = snapshot.ring.after(known.map_or(snapshot.ring.base_seq(), |at| at.seq));
    Update {
        at: Position { epoch: snapshot.event.epoch, seq: snapshot.ring.last_seq() },
        session: snapshot.event.session,
        frames: frames.map(|frames| frames.cloned().collect()).unwrap_or_default(),
        sync: Some(snapshot.sync[Role::Phone].clone()),
        standing: if snapshot.event.phase == Phase::Closed { Standing::Closed } else { Standing::Going },
        address: app.join_base.get().address.clone(),
        sent_at: wall_clock(),
    }
}

/// Publishes an event for as long as the task lives: at each new frame, and once per second.
async fn publish_always(client: Client, publisher: Rc<EventPublisher>) {
    let mut seq = publisher.room.watch_seq();
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        // Both arms are cancel safe.
        let cause = tokio::select! {
            changed = seq.changed() => match changed {
                Ok(()) => Cause::News,
                // The publisher holds the room, and the room the sender.
                Err(_) => return,
            },
            _ = heartbeat.tick() => Cause::Heartbeat,
        };
        publisher.publish_new(&client, cause).await;
    }
}

/// Queues an update for edges; returns whether it was queued.
async fn send(client: &Client, event: &EventId, update: &Update) -> bool {
    let (headers, payload) = update.encode();
    queue(client.publish_with_headers(subject(event.as_str(), "frames"), headers, payload)).await
}

/// Queues an answer, with the time at which it goes: edges read the origin's clock in it.
async fn respond(client: &Client, reply: Subject, mut headers: HeaderMap, body: Bytes) {
    headers.insert("time", wall_clock().0.to_string());
    queue(client.publish_with_headers(reply, headers, body)).await;
}

/// Waits until a message is queued, for a bounded time; returns whether it is.
async fn queue(publish: impl Future<Output = Result<(), PublishError>>) -> bool {
    match tokio::time::timeout(SEND_TIME_MAX, publish).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a message for edges was not sent");
            false
        }
        Err(_) => {
            tracing::debug!("NATS is slow: a message for edges was not sent");
            false
        }
    }
}
