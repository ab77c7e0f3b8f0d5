//! One request on its way through: its head, its path's parameters, its body still to be read.

use crate::api::app::App;
use crate::base::address::Scheme;
use crate::http::response::HttpError;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// How long a body may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// The largest body of an ordinary call.
pub const BODY_MAX: usize = 64 << 10;

/// The largest body of a draw call: an old console sends the prize's image in it.
pub const BODY_WITH_IMAGE_MAX: usize = 4 << 20;

/// A request.
pub struct RequestContext {
    pub app: Arc<App>,
    pub head: Parts,
    /// What stood in the path where the route has a `{…}`, in the route's order. Not percent-decoded: no id holds a character that
    /// needs it.
    pub params: Vec<String>,
    pub body: Option<Incoming>,
}

impl RequestContext {
    /// The path's parameter at `index`.
    pub fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// A query parameter, percent-decoded; the first, if it stands there twice.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        crate::http::query::find(self.head.uri.query()?, name)
    }

    /// The token of `Authorization: Bearer …`.
    pub fn bearer(&self) -> Option<&str> {
        let value = self.head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Reads the body whole. Cancel safe in that a dropped call loses its body.
    ///
    /// # Errors
    /// 413 above `max` bytes, 408 after 10 seconds, 400 when the peer breaks off.
    pub async fn read_body(&mut self, max: usize) -> Result<Bytes, HttpError> {
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        let failed = |status, code, message: &'static str| HttpError { closes: true, ..HttpError::new(status, code, message) };
        let too_large = || failed(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "the body is too large");
        // Before the first read, which would tell a client that asks first (`Expect: 100-continue`) to send it all.
        if body.size_hint().lower() > max as u64 {
            return Err(too_large());
        }
        match tokio::time::timeout(BODY_TIME_MAX, Limited::new(body, max).collect()).await {
            Ok(Ok(whole)) => Ok(whole.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(failed(StatusCode::BAD_REQUEST, "BAD_REQUEST", "the body broke off")),
            Err(_) => Err(failed(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body took too long")),
        }
    }
}

/// Scheme by which a request came: the worker marks each request that came under TLS, which costs the others nothing.
pub fn scheme_of(extensions: &hyper::http::Extensions) -> Scheme {
    extensions.get().copied().unwrap_or(Scheme::Http)
}
