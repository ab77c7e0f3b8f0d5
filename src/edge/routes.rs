//! The calls that an edge answers: pages and public state by itself, a phone's own calls by the
//! origin, and nothing else.
//!
//! Stage, console and prize desk are at the origin, and so is everything that is not public: their
//! pages are redirected there, and their calls refused with its address.

use crate::api::context::BODY_MAX;
use crate::api::long_poll::{self, Answer};
use crate::api::{assets, health, old_clients, pages};
use crate::base::chance;
use crate::draw::EventId;
use crate::edge::app::Edge;
use crate::edge::shared::Ask;
use crate::edge::update::Position;
use crate::edge::{NO_EVENT, REQUEST_HEADERS, metrics, socket};
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResponse, HttpResult, empty, json, success};
use crate::http::router::{Route, Router};
use crate::routes;
use async_nats::HeaderMap;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, ETAG, HeaderValue, LOCATION, SET_COOKIE};
use serde::Deserialize;

/// The router of an edge.
pub static ROUTER: Router<Edge> =
    Router { prefix: "/api/luckydraw", routes: ROUTES, error_page: pages::error_page, open_mode_message: old_clients::in_korean };

/// The table.
pub static ROUTES: &[Route<Edge>] = routes![
    Root GET "/health" => health::live,
    Root GET "/healthz" => health::live,
    Root GET "/readyz" => ready,
    Root GET "/metrics" => metrics::metrics,
    Root GET "/openapi.json" => health::openapi,
    Root GET "/asyncapi.json" => health::asyncapi,
    Root GET "/" => at_origin,
    Root GET "/lottery" => at_origin,
    Root GET "/lottery/main" => at_origin,
    Root GET "/lottery/admin" => at_origin,
    Root GET "/lottery/staff" => at_origin,
    Root GET "/lottery/waiting" => phone,
    Root GET "/lottery/verify" => pages::verify,
    Root GET "/lottery/files/{version}/{folder}/{name}" => assets::show,
    Root GET "/j/{event_id}" => join,
    Prefixed POST "/register" => pass_on,
    Prefixed POST "/entry-pass" => pass_on,
    Prefixed POST "/recover" => pass_on,
    Prefixed GET "/my-number" => pass_on,
    Prefixed GET "/check-winner" => pass_on,
    Prefixed POST "/winner-info" => pass_on,
    Prefixed POST "/claim.svg" => pass_on,
    Prefixed GET "/state" => state,
    Prefixed GET "/results" => results,
    Prefixed GET "/proof" => pass_on,
    Prefixed GET "/proof/path" => pass_on,
    Prefixed GET "/images/{name}" => image,
    Prefixed GET "/join" => pass_on,
    Prefixed GET "/ws/{event_id}" => socket::connect,
    Both GET "/admin/{a}" => refuse,
    Both POST "/admin/{a}" => refuse,
    Both GET "/admin/{a}/{b}" => refuse,
    Both POST "/admin/{a}/{b}" => refuse,
    Both GET "/admin/{a}/{b}/{c}" => refuse,
    Both POST "/admin/{a}/{b}/{c}" => refuse,
];

/// The id of a phone's connection, by which the origin counts what it does.
#[derive(Clone, Default)]
struct ConnectionId(String);

/// `GET /readyz`: whether phones can be sent here.
///
/// # Errors
/// 503 without an origin.
pub async fn ready(request: RequestContext<Edge>) -> HttpResult {
    if request.app.shared.origin.borrow().is_there && !request.app.stopping.is_cancelled() {
        return Ok(json(StatusCode::OK, r#"{"status":"ready"}"#));
    }
    let error = HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "the origin cannot be reached");
    Err(HttpError { retry_after: Some(2), ..error })
}

/// Leads to the same page at the origin.
pub async fn at_origin(request: RequestContext<Edge>) -> HttpResult {
    let address = origin_address(&request)?;
    let target = request.head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    let location = HeaderValue::try_from(format!("{address}{target}")).map_err(|_| HttpError::overloaded())?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Refuses a call that belongs to the origin.
pub async fn refuse(request: RequestContext<Edge>) -> HttpResult {
    let address = origin_address(&request)?;
    let error = HttpError::new(StatusCode::MISDIRECTED_REQUEST, "AT_ORIGIN", "an edge serves phones: call the origin");
    let mut error = HttpError { closes: true, ..error };
    error.more.insert("origin".into(), address.into());
    Err(error)
}

/// `/j/{event_id}`: the phone's page.
pub async fn join(request: RequestContext<Edge>) -> HttpResult {
    let origin = request.app.shared.origin.borrow().address.clone();
    Ok(with_origin(pages::join(request).await?, &origin))
}

/// `/lottery/waiting`: the phone's page.
pub async fn phone(request: RequestContext<Edge>) -> HttpResult {
    let origin = request.app.shared.origin.borrow().address.clone();
    Ok(with_origin(pages::phone(request).await?, &origin))
}

/// Lets a page find its way back: a cookie names the origin, and the page may ask whether it is
/// there.
fn with_origin(mut page: HttpResponse, origin: &str) -> HttpResponse {
    let cookie = format!("luckydraw_origin={origin}; Path=/; SameSite=Lax");
    let policy = page.headers().get(CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok()).unwrap_or_default();
    let policy = policy.replace("connect-src 'self'", &format!("connect-src 'self' {origin}"));
    let made = (HeaderValue::try_from(cookie), HeaderValue::try_from(policy));
    if let ((Ok(cookie), Ok(policy)), false) = (made, origin.is_empty()) {
        page.headers_mut().append(SET_COOKIE, cookie);
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    page
}

fn origin_address(request: &RequestContext<Edge>) -> Result<String, HttpError> {
    let address = request.app.shared.origin.borrow().address.clone();
    if address.is_empty() { Err(HttpError::overloaded()) } else { Ok(address) }
}

/// `GET /results`: asked of the origin once per frame.
pub async fn results(request: RequestContext<Edge>) -> HttpResult {
    let event = request.query("event_id").unwrap_or_default().into_owned();
    let Some(room) = request.app.shared.directory.find(&event) else { return pass_on(request).await };
    let snapshot = room.snapshot();
    let at = Position { epoch: snapshot.event.epoch, seq: snapshot.ring.last_seq() };
    public(&request, &event, &format!("/results?event_id={event}"), Some(at)).await
}

/// `GET /images/{name}`: asked of the origin once, since its name is of its content.
pub async fn image(request: RequestContext<Edge>) -> HttpResult {
    public(&request, NO_EVENT, &format!("/images/{}", request.param(0)), None).await
}

/// An answer that is the same for every phone.
async fn public(request: &RequestContext<Edge>, event: &str, path: &str, at: Option<Position>) -> HttpResult {
    let mut headers = HeaderMap::new();
    headers.insert("method", "GET");
    headers.insert("path", format!("{}{path}", ROUTER.prefix));
    let ask = || request.app.shared.ask(Ask { event, headers, body: Bytes::new() });
    let response = request.app.public_answers.get(path, at, ask).await?.into_response();
    let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
    if !tag.is_some_and(|tag| assets::is_held(&request.head.headers, tag)) {
        return Ok(response);
    }
    let (mut head, _) = response.into_parts();
    head.status = StatusCode::NOT_MODIFIED;
    Ok(HttpResponse::from_parts(head, Default::default()))
}

/// Passes a phone's call on to the origin, with the phone's own credential.
pub async fn pass_on(mut request: RequestContext<Edge>) -> HttpResult {
    let body = request.read_body(BODY_MAX).await?;
    let event = event_named(&request, &body);
    let ConnectionId(mut connection) = request.connection.get();
    if connection.is_empty() {
        connection = chance::hex(16);
        request.connection.set(ConnectionId(connection.clone()));
    }
    let mut headers = HeaderMap::new();
    headers.insert("method", request.head.method.as_str());
    headers.insert("path", request.head.uri.path_and_query().map_or("/", |target| target.as_str()));
    headers.insert("connection-id", connection);
    if request.caller.is_same_host() {
        headers.insert("page", "1");
    }
    for name in REQUEST_HEADERS {
        if let Some(value) = request.header(name) {
            headers.insert(name, value);
        }
    }
    let answer = request.app.shared.ask(Ask { event: event.as_deref().unwrap_or(NO_EVENT), headers, body }).await?;
    Ok(answer.into_response())
}

/// The event that a call names, in its query or its body.
fn event_named(request: &RequestContext<Edge>, body: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        event_id: String,
    }
    let named = request.query("event_id").map(|event| event.into_owned());
    let named = named.or_else(|| serde_json::from_slice::<Named>(body).ok().map(|named| named.event_id))?;
    EventId::parse(&named).map(|_| named)
}

/// `GET /state`: the frames of a socket, for networks that block WebSocket.
pub async fn state(request: RequestContext<Edge>) -> HttpResult {
    let app = &request.app;
    if long_poll::operator_role(&request).is_some() {
        return refuse(request).await;
    }
    let event = request.query("event_id").unwrap_or_default().into_owned();
    let Some(room) = app.shared.directory.find(&event) else {
        let is_known = app.shared.origin.borrow().is_known;
        return Err(if is_known { crate::api::error::event_not_found() } else { HttpError::overloaded() });
    };
    let epoch = request.query("epoch").unwrap_or_else(|| long_poll::epoch_text(&room.snapshot()).into());
    let since = long_poll::parse_since(request.query("since").as_deref(), Some(&epoch))?;
    if long_poll::is_up_to_date(&room.snapshot(), since) {
        let _permit = app.long_polls.try_acquire().map_err(|_| HttpError::overloaded())?;
        long_poll::wait_for_frames(&app.stopping, &room, since).await;
    }
    let query = request.query("token").or_else(|| request.query("session_token"));
    let token = request.bearer().or(query.as_deref());
    let (snapshot, phone) = match token {
        None => (room.snapshot(), Answer::Anonymous),
        Some(token) => socket::poll_answer(&app.shared, &room, token).await?,
    };
    success(&long_poll::body(&snapshot, since, phone, app.shared.clock.now()), "the state")
}
