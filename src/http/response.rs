//! Responses: the contract's envelope, and every error with its status and stable code.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use std::borrow::Cow;

/// A whole response.
pub type HttpResponse = Response<Full<Bytes>>;

/// A handler's answer.
pub type HttpResult = Result<HttpResponse, HttpError>;

/// An error response.
#[derive(Debug)]
pub struct HttpError {
    /// 4xx or 5xx.
    pub status: StatusCode,
    /// Stable, for programs.
    pub code: &'static str,
    /// For people; carries nothing internal.
    pub message: Cow<'static, str>,
    /// Seconds after which a retry makes sense.
    pub retry_after: Option<u32>,
    /// The methods that the path does have, for a 405.
    pub allow: Option<String>,
    /// Closes the connection: what follows on it cannot be trusted to be a request.
    pub closes: bool,
    /// More fields of `detail`, for an error that its reader has to act upon.
    pub more: serde_json::Map<String, serde_json::Value>,
}

impl HttpError {
    /// An error with nothing but status, code and message.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let more = serde_json::Map::new();
        Self { status, code, message: message.into(), retry_after: None, allow: None, closes: false, more }
    }

    /// 404.
    pub fn not_found(message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message)
    }

    /// 403.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", message)
    }

    /// 422 for a field that is missing or wrong.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_REQUEST", message)
    }

    /// 429 with `Retry-After`.
    pub fn too_many(message: &'static str, retry_after_s: u32) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY", message);
        Self { retry_after: Some(retry_after_s), ..error }
    }

    /// 503 with `Retry-After`.
    pub fn overloaded() -> Self {
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", "the server is busy") }
    }

    /// 401: the call needs a token.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "this needs the admin token")
    }

    /// The response that carries the error.
    pub fn into_response(self) -> HttpResponse {
        let mut detail = self.more;
        detail.insert("code".into(), self.code.into());
        detail.insert("message".into(), self.message.into());
        let mut response = json(self.status, serde_json::json!({"success": false, "detail": detail}).to_string());
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2. No browser asks its user for a bearer token.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow.and_then(|methods| HeaderValue::try_from(methods).ok()) {
            headers.insert(ALLOW, methods);
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// 200 in the contract's envelope; `data` is JSON text.
pub fn success(data: &str, message: &str) -> HttpResult {
    Ok(envelope(StatusCode::OK, data, message))
}

/// 201 in the contract's envelope; `data` is JSON text.
pub fn created(data: &str, message: &str) -> HttpResult {
    Ok(envelope(StatusCode::CREATED, data, message))
}

/// A success of any status in the contract's envelope. `data` is JSON text, `message` plain text
/// without quotes or control characters.
pub fn envelope(status: StatusCode, data: &str, message: &str) -> HttpResponse {
    json(status, envelope_text(data, message))
}

/// The text of a success in the contract's envelope, for an answer that many requests share.
pub fn envelope_text(data: &str, message: &str) -> String {
    format!(r#"{{"success":true,"data":{data},"message":"{message}"}}"#)
}

/// A response of JSON text.
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> HttpResponse {
    let mut response = with_type("application/json", text);
    *response.status_mut() = status;
    response
}

/// 200 of any media type.
pub fn with_type(media_type: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A response of that status without a body.
pub fn empty(status: StatusCode) -> HttpResponse {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
