//! One request on a connection of its own, as a phone makes its first.

use super::Window;
use super::protocol::{Call, Protocol, Spoken};
use super::target::Target;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_TYPE,
    HOST, ORIGIN,
};
use hyper::http::response::Parts;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Maximum time for an answer. Later is an error.
pub const ANSWER_MAX: Duration = Duration::from_secs(15);

/// The longest answer that is read: the list of 20,000 participants is about 1.5 MB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Attempts of a request whose outcome matters more than its latency.
const ATTEMPTS: u32 = 6;

/// Statuses of a server that has no room: too many requests, and out of service.
pub const NO_ROOM: [u16; 2] = [429, 503];

/// Reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the exchange broke off: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", ANSWER_MAX.as_secs())]
    TimedOut,
    #[error("{status} {code}")]
    Refused { status: u16, code: String },
    #[error("{status}, and yet success is not true: {code}")]
    Unsuccessful { status: u16, code: String },
    #[error("the answer is not as described: {0}")]
    Unfit(serde_json::Error),
    #[error("the server has no such call")]
    Absent,
    #[error("{0} does not allow the origin")]
    OriginRefused(u16),
}

/// The envelope of every answer.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    success: bool,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    detail: Option<Detail>,
}

#[derive(Default, Deserialize)]
struct Detail {
    #[serde(default)]
    code: String,
}

#[derive(Clone)]
pub struct Request<'a> {
    target: &'a Target,
    method: Method,
    path: String,
    token: Option<&'a str>,
    body: Option<Value>,
    /// The origin of the page that sends it; `None` for one of the server's own.
    origin: Option<&'a str>,
    /// The call that it is, with its values; `None` for a path outside the protocol.
    call: Option<(Call, Map<String, Value>)>,
}

impl<'a> Request<'a> {
    /// A call of the API with these values, which are also its body.
    pub fn call(target: &'a Target, call: Call, body: Value) -> Self {
        Self::call_with(target, call, body, &Map::new())
    }

    /// A call with more values than its body has, for servers that need them.
    pub fn call_with(target: &'a Target, call: Call, body: Value, more: &Map<String, Value>) -> Self {
        let mut values = more.clone();
        values.insert("event_id".into(), target.event.as_str().into());
        values.extend(body.as_object().cloned().unwrap_or_default());
        let request = match target.protocol.speak(call, &values, body) {
            Some(Spoken { method, path, body }) => Self { method, body, ..Self::get(target, path) },
            None => Self::get(target, String::new()),
        };
        Self { call: Some((call, values)), ..request }
    }

    /// Tells whether the server has no such call.
    pub fn is_absent(&self) -> bool {
        self.call.as_ref().is_some_and(|(call, _)| !self.target.has(*call))
    }

    pub fn get(target: &'a Target, path: String) -> Self {
        Self { target, method: Method::GET, path, token: None, body: None, origin: None, call: None }
    }

    /// Adds the admin token.
    pub fn admin(self) -> Self {
        let token = self.target.admin_token.as_deref();
        Self { token, ..self }
    }

    /// Adds a phone's token.
    pub fn bearer(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Sends it from the origin of the phones' pages.
    pub fn with_origin(self) -> Self {
        let origin = self.target.origin.as_deref();
        Self { origin, ..self }
    }

    /// Tells whether a browser asks for permission first: from another origin, with JSON or a
    /// token.
    pub fn needs_preflight(&self) -> bool {
        self.origin.is_some() && (self.body.is_some() || self.token.is_some())
    }

    /// Asks for permission as a browser does.
    ///
    /// # Errors
    /// When the server does not allow the origin.
    pub async fn preflight(&self) -> Result<(), RequestError> {
        let (head, _) = timeout(ANSWER_MAX, self.clone().answer(true)).await.unwrap_or(Err(RequestError::TimedOut))?;
        let allowed = head.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).and_then(|value| value.to_str().ok());
        let is_allowed =
            head.status.is_success() && allowed.is_some_and(|allowed| allowed == "*" || Some(allowed) == self.origin);
        if is_allowed { Ok(()) } else { Err(RequestError::OriginRefused(head.status.as_u16())) }
    }

    /// Sends it and returns the data of a success. A status alone is none: the envelope must say
    /// so, and the data must fit the type.
    ///
    /// # Errors
    /// Anything else, a refusal by its status and code.
    pub async fn send<T: DeserializeOwned>(self) -> Result<T, RequestError> {
        timeout(ANSWER_MAX, self.exchange()).await.unwrap_or(Err(RequestError::TimedOut))
    }

    /// Sends it up to [`ATTEMPTS`] times: for questions beside the measurement.
    ///
    /// # Errors
    /// A refusal below 500 at once, otherwise the last failure.
    pub async fn send_with_retries<T: DeserializeOwned>(self) -> Result<T, RequestError> {
        for _ in 1..ATTEMPTS {
            match self.clone().send().await {
                Err(error) if error.may_pass() => {}
                settled => return settled,
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.send().await
    }

    /// Sends it and returns the text of a success, as for `/metrics`.
    pub async fn text(self) -> Result<String, RequestError> {
        let (head, body) = timeout(ANSWER_MAX, self.answer(false)).await.unwrap_or(Err(RequestError::TimedOut))?;
        if !head.status.is_success() {
            return Err(refusal(head.status, None));
        }
        String::from_utf8(body.into()).map_err(|error| RequestError::Body(error.into()))
    }

    async fn exchange<T: DeserializeOwned>(self) -> Result<T, RequestError> {
        if self.is_absent() {
            return Err(RequestError::Absent);
        }
        let (protocol, call) = (self.target.protocol.clone(), self.call.clone());
        let (head, body) = self.answer(false).await?;
        match call.filter(|_| protocol.source.is_some()) {
            Some((call, values)) => parse_foreign(head.status, &body, &protocol, call, &values),
            None => parse(head.status, &body),
        }
    }

    /// Sends it, or the question of a browser whether it may.
    async fn answer(self, is_preflight: bool) -> Result<(Parts, Bytes), RequestError> {
        let connection = super::open(self.target, Window::Usual).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
        // Ends by itself when the sender is dropped, at the end of this exchange.
        tokio::task::spawn_local(connection);
        let method = if is_preflight { &Method::OPTIONS } else { &self.method };
        let mut request = hyper::Request::builder().method(method).uri(self.path).header(HOST, &self.target.authority);
        if let Some(origin) = self.origin {
            request = request.header(ORIGIN, origin);
        }
        if is_preflight {
            request = request.header(ACCESS_CONTROL_REQUEST_METHOD, self.method.as_str());
            request = request.header(ACCESS_CONTROL_REQUEST_HEADERS, "authorization,content-type");
            return exchange(sender, request.body(Full::default())?).await;
        }
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = self.body.map_or_else(Bytes::new, |body| body.to_string().into());
        exchange(sender, request.body(Full::new(body))?).await
    }
}

async fn exchange(
    mut sender: SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
) -> Result<(Parts, Bytes), RequestError> {
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(RequestError::Body)?.to_bytes();
    Ok((head, body))
}

impl RequestError {
    /// Tells whether nothing accepted the request.
    pub fn is_unreached(&self) -> bool {
        match self {
            RequestError::Connect(error) => super::is_unreached(error),
            error => matches!(error, RequestError::TimedOut),
        }
    }

    /// Tells whether the server openly refused the request, as one that is full does: it closed the
    /// connection, or has no room now.
    pub fn is_refusal(&self) -> bool {
        match self {
            RequestError::Connect(error) => !super::is_unreached(error),
            RequestError::Refused { status, .. } => NO_ROOM.contains(status),
            error => matches!(error, RequestError::Exchange(_)),
        }
    }

    /// Tells whether the same request may succeed later: it met no refusal, or one of a server in
    /// trouble.
    pub fn may_pass(&self) -> bool {
        match self {
            RequestError::Refused { status, .. } => *status >= 500 || *status == 429,
            RequestError::Unsuccessful { .. } | RequestError::Unfit(_) | RequestError::Absent => false,
            _ => true,
        }
    }
}

fn refusal(status: StatusCode, body: Option<Envelope<'_>>) -> RequestError {
    let code = body.and_then(|body| body.detail).unwrap_or_default().code;
    let status_code = status.as_u16();
    match status.is_success() {
        true => RequestError::Unsuccessful { status: status_code, code },
        false => RequestError::Refused { status: status_code, code },
    }
}

/// Reads an answer of another protocol as if it were ours.
fn parse_foreign<T: DeserializeOwned>(
    status: StatusCode,
    body: &[u8],
    protocol: &Protocol,
    call: Call,
    values: &Map<String, Value>,
) -> Result<T, RequestError> {
    if !status.is_success() {
        return Err(refusal(status, None));
    }
    let answer = serde_json::from_slice(body).map_err(RequestError::Unfit)?;
    let data = protocol.read(call, values, &answer);
    let data = data.map_err(|code| RequestError::Unsuccessful { status: status.as_u16(), code })?;
    serde_json::from_value(data).map_err(RequestError::Unfit)
}

/// Reads an answer: the envelope first, then its data.
fn parse<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, RequestError> {
    let envelope = serde_json::from_slice::<Envelope<'_>>(body);
    match envelope {
        Ok(envelope) if status.is_success() && envelope.success => {
            serde_json::from_str(envelope.data.map_or("null", RawValue::get)).map_err(RequestError::Unfit)
        }
        Err(error) if status.is_success() => Err(RequestError::Unfit(error)),
        envelope => Err(refusal(status, envelope.ok())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{Anything, MyNumber};

    #[test]
    fn a_closed_connection_is_a_refusal_and_no_server_is_none() {
        let connect = |kind: std::io::ErrorKind| RequestError::Connect(kind.into());
        let full = RequestError::Refused { status: 503, code: String::new() };
        let other = RequestError::Refused { status: 404, code: String::new() };
        let kinds = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::ConnectionRefused].map(connect);
        let [closed, gone] = kinds;
        let seen = [closed, gone, RequestError::TimedOut, full, other].map(|error| (error.is_refusal(), error.is_unreached()));
        assert_eq!(seen, [(true, false), (false, true), (false, true), (true, false), (false, false)]);
    }

    #[test]
    fn a_status_alone_is_no_success() {
        let check = |status, body: &str| parse::<MyNumber>(status, body.as_bytes()).map(|answer| answer.draw_number);
        let why = |status, body: &str| check(status, body).unwrap_err().to_string();
        assert_eq!(check(StatusCode::OK, r#"{"success":true,"data":{"draw_number":7,"more":1},"message":""}"#).unwrap(), 7);
        let denied = r#"{"success":false,"detail":{"code":"DRAW_FAILED","message":""}}"#;
        assert_eq!(why(StatusCode::OK, denied), "200, and yet success is not true: DRAW_FAILED");
        assert_eq!(why(StatusCode::BAD_REQUEST, denied), "400 DRAW_FAILED");
        for unfit in ["", "{", r#"{"success":true}"#, r#"{"success":true,"data":{"draw_number":"7"}}"#] {
            assert!(why(StatusCode::OK, unfit).starts_with("the answer is not as described"), "{unfit}");
        }
        assert!(why(StatusCode::OK, "{}").starts_with("200, and yet"), "an empty object is no success");
        assert!(parse::<Anything>(StatusCode::CREATED, br#"{"success":true,"data":{}}"#).is_ok());
        assert_eq!(why(StatusCode::BAD_GATEWAY, "<html>"), "502 ");
    }
}
