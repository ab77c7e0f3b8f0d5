//! A request as handlers see it: the head, the caller, path and query parameters, and a body still
//! to be read.

use crate::base::address::Scheme;
use crate::http::guard::Host;
use crate::http::memory::MemoryBudgets;
use crate::http::origin::Caller;
use crate::http::response::HttpError;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::http::Extensions;
use hyper::http::request::Parts;
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Time for a body to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Notes that handlers keep about one connection, from one request to the next. They are the
/// application's own types.
#[derive(Debug, Default)]
pub struct ConnectionNotes {
    notes: RefCell<Extensions>,
}

impl ConnectionNotes {
    /// The note of this type, or a new one.
    pub fn get<T: Clone + Default + Send + Sync + 'static>(&self) -> T {
        self.notes.borrow().get().cloned().unwrap_or_default()
    }

    /// Replaces the note of this type.
    pub fn set<T: Clone + Send + Sync + 'static>(&self, note: T) {
        self.notes.borrow_mut().insert(note);
    }
}

/// A request on its way to its handler. `A` is the application.
pub struct RequestContext<A> {
    /// The application.
    pub app: Arc<A>,
    /// Method, target and headers.
    pub head: Parts,
    /// http or https, by the port that it came to.
    pub scheme: Scheme,
    /// The host the request names; an HTTP/1.0 request may name none.
    pub host: Option<Host>,
    /// The page that calls, if one does.
    pub caller: Caller,
    /// Path segments where the route has a `{…}`, in the route's order. Not percent-decoded: no id
    /// needs it.
    pub params: Vec<String>,
    /// Notes about its connection.
    pub connection: Rc<ConnectionNotes>,
    /// `None` once it is read.
    pub body: Option<Incoming>,
    /// Budgets of all connections.
    pub memory: Arc<MemoryBudgets>,
}

impl<A> RequestContext<A> {
    /// The document in `slot`, which many answers share: made at its first request, and charged to
    /// the budget of documents while anybody reads it.
    ///
    /// # Errors
    /// 503 when older documents that are still being read exhaust the budget.
    pub fn document(&self, slot: &OnceLock<Bytes>, make: impl FnOnce() -> String) -> Result<Bytes, HttpError> {
        if let Some(made) = slot.get() {
            return Ok(made.clone());
        }
        let charged = self.memory.charge_document(make())?;
        Ok(slot.get_or_init(|| charged).clone())
    }

    /// The path parameter at `index`; empty when the route has fewer.
    pub fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// The first query parameter of that name, percent-decoded.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        find_in_query(self.head.uri.query()?, name)
    }

    /// A header's text; `None` for one that is absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The token of `Authorization: Bearer …`.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// Reads the whole body. A dropped call loses it.
    ///
    /// # Errors
    /// 413 above `max` bytes, 408 after 10 seconds, 400 when the peer breaks off or sends trailers,
    /// 503 when too many bodies are being read.
    pub async fn read_body(&mut self, max: usize) -> Result<Bytes, HttpError> {
        let Some(mut body) = self.body.take() else { return Ok(Bytes::new()) };
        let failed = |status, code, message: &'static str| HttpError { closes: true, ..HttpError::new(status, code, message) };
        let too_large = || failed(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "the body is too large");
        // Before the first read, which would ask a client that waits for `100 Continue` to send it
        // all.
        if body.size_hint().lower() > max as u64 {
            return Err(too_large());
        }
        let read = async {
            let (mut charge, mut whole) = (self.memory.begin_body(max), Bytes::new());
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| failed(StatusCode::BAD_REQUEST, "BAD_REQUEST", "the body broke off"))?;
                // hyper 1.12 reads what follows `0\r\n\n` as trailers, the next request included.
                let no_trailers = |_| failed(StatusCode::BAD_REQUEST, "BAD_REQUEST", "a body has no trailers");
                let data = frame.into_data().map_err(no_trailers)?;
                if whole.len() + data.len() > max {
                    return Err(too_large());
                }
                charge.add(data.len())?;
                whole = append(whole, data);
            }
            Ok(whole)
        };
        let too_slow = |_| failed(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body took too long");
        tokio::time::timeout(BODY_TIME_MAX, read).await.map_err(too_slow)?
    }
}

/// Both, one after the other. The usual body comes in one piece, which is not copied.
fn append(whole: Bytes, data: Bytes) -> Bytes {
    if whole.is_empty() {
        return data;
    }
    let mut longer = BytesMut::from(whole);
    longer.extend_from_slice(&data);
    longer.freeze()
}

/// The first value of `name` in `a=1&b=%20`, with `+` and `%XX` decoded; an ill-formed escape stays
/// as it is.
fn find_in_query<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find_map(|(key, value)| (key == name).then(|| percent_decode(value)))
}

fn percent_decode(value: &str) -> Cow<'_, str> {
    if !value.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let (byte, used) = match (first, escape) {
            (b'%', Some(byte)) => (byte, 2),
            (b'+', _) => (b' ', 0),
            _ => (first, 0),
        };
        bytes.push(byte);
        rest = &tail[used..];
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_decoded_and_the_first_one_counts() {
        let query = "a=1&name=%EA%B9%80+x&name=2&bad=%zz&flag";
        assert_eq!(find_in_query(query, "name").as_deref(), Some("김 x"));
        assert_eq!(find_in_query(query, "bad").as_deref(), Some("%zz"));
        assert_eq!(find_in_query(query, "flag").as_deref(), Some(""));
        assert_eq!(find_in_query(query, "none"), None);
    }
}
