//! Answers to edges' calls, by the origin's own router.
//!
//! A call runs through the same pipeline as one that a phone made here: guard, router, handler,
//! commit. An edge is believed nothing; the phone's own credential travels with the call. Only
//! calls of phones are answered, so that nobody reaches the console with an edge's credentials.
//!
//! The pipeline takes bodies as hyper makes them, so each call is a connection in memory. It keeps
//! the notes of the phone's connection to its edge, by which handlers count a client's attempts.

use crate::api::app::App;
use crate::api::routes::{ROUTER, ROUTES};
use crate::base::address::Scheme;
use crate::edge::update::text;
use crate::edge::{MESSAGE, REQUEST_HEADERS, RESPONSE_HEADERS, messages};
use crate::http::request::ConnectionNotes;
use crate::http::response::{HttpError, HttpResponse};
use crate::http::router::Match;
use crate::http::{HttpServer, pipeline};
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, client, server};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Patterns of the calls that an edge may pass on.
const ASKABLE: [&str; 13] = [
    "/healthz",
    "/register",
    "/entry-pass",
    "/recover",
    "/my-number",
    "/check-winner",
    "/winner-info",
    "/claim.svg",
    "/results",
    "/proof",
    "/proof/path",
    "/images/{name}",
    "/join",
];

/// Bytes that a connection in memory holds per direction.
const PIPE_BYTES: usize = 64 << 10;

/// Connections of phones to edges whose notes are kept, at most. The oldest is forgotten.
const CONNECTIONS_MAX: usize = 4096;

/// Answers calls; at most so many at once.
pub struct Answerer {
    server: Arc<HttpServer<App>>,
    permits: Semaphore,
    notes: RefCell<Notes>,
}

impl Answerer {
    /// Answers at most `calls_max` at once.
    pub fn new(server: Arc<HttpServer<App>>, calls_max: usize) -> Self {
        Self { server, permits: Semaphore::new(calls_max), notes: RefCell::default() }
    }

    /// The answer to a message on an `ask` subject. Always an answer: an edge need not wait for its
    /// timeout.
    pub async fn answer(&self, message: &Message) -> (HeaderMap, Bytes) {
        let empty = HeaderMap::new();
        let headers = message.headers.as_ref().unwrap_or(&empty);
        let Ok(_permit) = self.permits.try_acquire() else { return self.busy().await };
        match text(headers, "method") {
            Some(MESSAGE) => messages::answer(&self.server.app, &message.subject, headers, &message.payload).await,
            Some(method) => encode(self.call(method, headers, message.payload.clone()).await).await,
            None => encode(refused()).await,
        }
    }

    /// The answer of an origin that serves no edge at the moment.
    pub async fn busy(&self) -> (HeaderMap, Bytes) {
        encode(HttpError::overloaded().into_response()).await
    }

    async fn call(&self, method: &str, headers: &HeaderMap, body: Bytes) -> HttpResponse {
        let Some(request) = request(method, headers, body) else { return refused() };
        let notes = match text(headers, "connection-id") {
            Some(id) => self.notes.borrow_mut().of(id),
            None => Rc::default(),
        };
        self.dispatch(notes, request).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call of an edge broke off");
            HttpError::overloaded().into_response()
        })
    }

    /// Sends a request through the pipeline, over a connection in memory.
    async fn dispatch(&self, notes: Rc<ConnectionNotes>, request: Request<Full<Bytes>>) -> hyper::Result<HttpResponse> {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let server = Arc::clone(&self.server);
        let answer = service_fn(move |request: Request<Incoming>| {
            let (server, notes) = (Arc::clone(&server), Rc::clone(&notes));
            async move { Ok::<_, Infallible>(pipeline::answer(&server, Scheme::Http, notes, request).await) }
        });
        let serving = server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), answer);
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(near)).await?;
        let exchange = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            Ok(Response::from_parts(head, Full::new(body.collect().await?.to_bytes())))
        };
        // The two ends run until the exchange is over; their own results say no more than its.
        let ends = async {
            let _ = tokio::join!(serving, connection);
            std::future::pending().await
        };
        tokio::select! {
            answered = exchange => answered,
            never = ends => never,
        }
    }
}

/// The request that an edge passes on; `None` for one that is none of a phone's.
fn request(method: &str, headers: &HeaderMap, body: Bytes) -> Option<Request<Full<Bytes>>> {
    let (method, target) = (Method::from_bytes(method.as_bytes()).ok()?, text(headers, "path")?);
    let path = target.split('?').next()?;
    let Ok(Match::Route { index, .. }) = ROUTER.find(&method, path) else { return None };
    if !ASKABLE.contains(&ROUTES[index].pattern) {
        return None;
    }
    let mut request = Request::builder().method(method).uri(target).header(HOST, "127.0.0.1").header(CONTENT_LENGTH, body.len());
    if text(headers, "page").is_some() {
        request = request.header(ORIGIN, "http://127.0.0.1");
    }
    for name in REQUEST_HEADERS {
        if let Some(value) = text(headers, name) {
            request = request.header(name, value);
        }
    }
    request.body(Full::new(body)).ok()
}

fn refused() -> HttpResponse {
    HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "an edge does not ask for this").into_response()
}

/// The message that carries a response.
async fn encode(response: HttpResponse) -> (HeaderMap, Bytes) {
    let (head, body) = response.into_parts();
    let mut headers = HeaderMap::new();
    headers.insert("status", head.status.as_u16().to_string());
    for name in RESPONSE_HEADERS {
        for value in head.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()) {
            headers.append(name, value);
        }
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    (headers, body)
}

/// Notes of the connections that called last.
#[derive(Default)]
struct Notes {
    by_id: HashMap<String, Rc<ConnectionNotes>>,
    order: VecDeque<String>,
}

impl Notes {
    fn of(&mut self, id: &str) -> Rc<ConnectionNotes> {
        if let Some(notes) = self.by_id.get(id) {
            return Rc::clone(notes);
        }
        if self.order.len() == CONNECTIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(id.to_owned());
        Rc::clone(self.by_id.entry(id.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str) -> Option<Request<Full<Bytes>>> {
        let mut headers = HeaderMap::new();
        headers.insert("path", path);
        request(method, &headers, Bytes::new())
    }

    #[test]
    fn only_calls_of_phones_are_passed_on() {
        for (method, path) in
            [("POST", "/api/luckydraw/register"), ("GET", "/api/luckydraw/my-number?event_id=gala"), ("GET", "/healthz")]
        {
            assert!(asked(method, path).is_some(), "{method} {path}");
        }
        for (method, path) in [
            ("GET", "/metrics"),
            ("POST", "/admin/login"),
            ("GET", "/api/luckydraw/admin/gala/winners"),
            ("POST", "/api/luckydraw/admin/gala/draw"),
            ("GET", "/api/luckydraw/state?event_id=gala&role=admin"),
            ("GET", "/api/luckydraw/ws/gala"),
            ("GET", "/api/luckydraw/../admin/events"),
            ("GET", "/api/luckydraw/register"),
            ("GET", "no path"),
        ] {
            assert!(asked(method, path).is_none(), "{method} {path}");
        }
    }

    #[test]
    fn every_call_that_an_edge_passes_on_exists() {
        for pattern in ASKABLE {
            assert!(ROUTES.iter().any(|route| route.pattern == pattern), "{pattern}");
        }
    }

    #[test]
    fn notes_of_a_connection_are_kept_until_there_are_too_many() {
        let mut notes = Notes::default();
        notes.of("first").set(7_u32);
        (1..CONNECTIONS_MAX).for_each(|id| drop(notes.of(&id.to_string())));
        assert_eq!(notes.of("first").get::<u32>(), 7);
        notes.of("one more");
        assert_eq!((notes.of("first").get::<u32>(), notes.by_id.len()), (0, CONNECTIONS_MAX));
    }
}
