//! What a handler answers: the contract's envelope, and every way to say no.

use crate::base::clock::rfc3339;
use crate::draw::Refusal;
use crate::sequencer::inbox::Rejection;
use crate::wire::parse::Invalid;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use std::borrow::Cow;

/// A whole response.
pub type HttpResponse = Response<Full<Bytes>>;

/// What a handler comes back with.
pub type HttpResult = Result<HttpResponse, HttpError>;

/// A no, with its status and stable code.
#[derive(Debug)]
pub struct HttpError {
    pub status: StatusCode,
    pub code: &'static str,
    /// For people; carries nothing from inside.
    pub message: Cow<'static, str>,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u32>,
    /// The methods a path does have, for a 405.
    pub allow: Option<String>,
    /// Whether the connection is closed after it: what follows on it cannot be trusted to be a request.
    pub closes: bool,
    /// More fields of the `detail`, for a no that its reader has to act upon.
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl HttpError {
    /// A plain no.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
            allow: None,
            closes: false,
            more: serde_json::Map::new(),
        }
    }

    /// 422 for a field that is missing or wrong.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_REQUEST", message)
    }

    /// 404 for an event that is not there.
    pub fn no_event() -> Self {
        Self::new(StatusCode::NOT_FOUND, "EVENT_NOT_FOUND", "no such event")
    }

    /// 503 with Retry-After.
    pub fn overloaded() -> Self {
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "the server is busy") }
    }

    /// 401: these rights want a token.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "this needs the admin token")
    }

    /// The response that says it.
    pub fn into_reply(self) -> HttpResponse {
        let mut detail = self.more;
        detail.insert("code".into(), self.code.into());
        detail.insert("message".into(), self.message.into());
        let detail = serde_json::json!({"success": false, "detail": detail});
        let mut reply = json(self.status, detail.to_string());
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2. No browser asks its user for a bearer token.
            reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow.and_then(|methods| HeaderValue::try_from(methods).ok()) {
            reply.headers_mut().insert(ALLOW, methods);
        }
        if self.closes {
            reply.headers_mut().insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

impl From<Rejection> for HttpError {
    fn from(denial: Rejection) -> Self {
        use StatusCode as S;
        let (code, message) = (denial.code(), denial.to_string());
        match denial {
            Rejection::Refused(refusal) => Self::from(refusal),
            Rejection::NoSuchEvent => Self::no_event(),
            Rejection::EventExists => Self::new(S::CONFLICT, code, message),
            Rejection::TooManyEvents { .. } => Self::new(S::CONFLICT, code, message),
            Rejection::EventInUse => Self::new(S::CONFLICT, code, message),
            Rejection::NotDurable => Self { retry_after: Some(2), ..Self::new(S::SERVICE_UNAVAILABLE, code, message) },
            Rejection::Overloaded => Self::overloaded(),
        }
    }
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        use StatusCode as S;
        let status = match refusal {
            Refusal::RegistrationClosed | Refusal::NotAWinner => S::FORBIDDEN,
            Refusal::EventClosed
            | Refusal::EventFull { .. }
            | Refusal::DrawInProgress(_)
            | Refusal::Outdated
            | Refusal::WinVoided
            | Refusal::AlreadyHandedOver { .. }
            | Refusal::NotHandedOver
            | Refusal::NotARehearsal => S::CONFLICT,
            // The web claims again; should it ever give up, asking again is right.
            Refusal::StaleSession => return Self::overloaded(),
            Refusal::NobodyRegistered
            | Refusal::NobodyLeft
            | Refusal::TooFewLeft { .. }
            | Refusal::TooManyWinners { .. }
            | Refusal::PrizeExhausted { .. }
            | Refusal::NothingToReveal
            | Refusal::NothingToComplete
            | Refusal::NothingToCancel => S::BAD_REQUEST,
            Refusal::ParticipantNotFound | Refusal::NotFound(_) => S::NOT_FOUND,
            Refusal::Invalid { .. } | Refusal::TooMany { .. } => S::UNPROCESSABLE_ENTITY,
        };
        let mut failure = Self::new(status, refusal.code(), refusal.to_string());
        if let Refusal::AlreadyHandedOver { draw, number, prize, at, desk } = &refusal {
            failure.more.insert("draw_id".into(), draw.0.into());
            failure.more.insert("draw_number".into(), number.0.into());
            failure.more.insert("prize_name".into(), (**prize).into());
            failure.more.insert("handed_over_at".into(), rfc3339(*at).into());
            failure.more.insert("desk".into(), (**desk).into());
        }
        failure
    }
}

impl From<Invalid> for HttpError {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.to_string())
    }
}

/// 200 in the contract's envelope; `data` is JSON text.
pub fn success(data: &str, message: &str) -> HttpResult {
    Ok(envelope(StatusCode::OK, data, message))
}

/// A success of any status in the contract's envelope; `data` is JSON text, `message` plain text without quotes or control
/// characters.
pub fn envelope(status: StatusCode, data: &str, message: &str) -> HttpResponse {
    json(status, format!(r#"{{"success":true,"data":{data},"message":"{message}"}}"#))
}

/// A response of JSON text.
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> HttpResponse {
    let mut reply = Response::new(Full::new(text.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
