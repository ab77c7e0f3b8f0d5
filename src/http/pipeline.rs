//! The request pipeline: guard, origin, route, handler, and the headers that every answer carries.
//!
//! The order matters: the guard first, since an ill-formed request has no origin to trust; the
//! origin before the route, so that a foreign page learns nothing about paths. Nothing here looks
//! into a body. The log has paths and never query strings: tokens travel in those.

use crate::base::address::Scheme;
use crate::http::HttpServer;
use crate::http::origin::Caller;
use crate::http::request::{ConnectionNotes, RequestContext};
use crate::http::response::{HttpError, HttpResponse, HttpResult, empty};
use crate::http::router::Match;
use crate::http::{guard, origin, upgrade};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Request, StatusCode};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Headers of every answer whose handler did not set them.
const DEFAULTS: [(HeaderName, &str); 3] =
    [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer"), (CACHE_CONTROL, "no-store")];

/// Keeps a browser to TLS for two years.
const TLS_ONLY: &str = "max-age=63072000";

/// Answers a request that came by `scheme` on a connection with these notes.
pub async fn answer<A>(
    server: &HttpServer<A>,
    scheme: Scheme,
    connection: Rc<ConnectionNotes>,
    request: Request<Incoming>,
) -> HttpResponse {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let (method, uri) = (head.method.clone(), head.uri.clone());
    let wants_socket = upgrade::is_requested(&head.headers);
    let wants_page = accepts_html(&head.headers);

    let settings = &server.settings;
    let admitted = guard::check(settings, scheme, &head).and_then(|host| {
        let caller = origin::check(settings, scheme, host.as_ref(), &head.headers)?;
        Ok((host, caller))
    });
    let (caller, (route, result)) = match admitted {
        Ok((host, caller)) => {
            let result = match origin::preflight(&head) {
                Some(response) => (None, Ok(response)),
                None => {
                    let params = Vec::new();
                    let app = Arc::clone(&server.app);
                    let caller = caller.clone();
                    let (body, memory) = (Some(body), Arc::clone(&server.memory));
                    dispatch(server, RequestContext { app, head, scheme, host, caller, params, connection, body, memory }).await
                }
            };
            (caller, result)
        }
        Err(error) => (Caller::Direct, (None, Err(error))),
    };
    let mut response = result.unwrap_or_else(|error| {
        if wants_socket {
            tracing::info!(path = uri.path(), reason = %error.message, "upgrade refused");
        }
        error_response(server, error, wants_page)
    });
    origin::allow_reading(&caller, response.headers_mut());
    add_common_headers(response.headers_mut());
    if scheme == Scheme::Https {
        keep_to_tls(response.headers_mut());
    }
    if wants_socket && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // A proxy may take a refused upgrade for an accepted one, and pass on what follows unread.
        response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
    }
    let took = began.elapsed();
    let status = response.status().as_u16();
    server.metrics.record(route, status, took);
    tracing::debug!(%method, path = uri.path(), status, took_us = took.as_micros() as u64, "answered");
    response
}

/// Finds the route and runs its handler; returns the route's index in the table.
async fn dispatch<A>(server: &HttpServer<A>, request: RequestContext<A>) -> (Option<usize>, HttpResult) {
    let head = &request.head;
    match server.router.find(&head.method, head.uri.path()) {
        Ok(Match::Route { index, params }) => {
            let request = RequestContext { params, ..request };
            let result = (server.router.routes[index].handler)(request).await;
            (Some(index), result.and_then(|response| server.memory.charge_answer(response)))
        }
        Ok(Match::Options { allow }) => (None, Ok(options(&allow))),
        Err(error) => (None, Err(HttpError { closes: error.closes || !guard::is_known(&head.method), ..error })),
    }
}

/// Returns whether a person's browser asks: a program accepts anything.
fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).is_some_and(|accepted| accepted.contains("text/html"))
}

/// The response to an error: a page for people where there is one, else the contract's envelope.
/// Status and headers are the same.
fn error_response<A>(server: &HttpServer<A>, error: HttpError, wants_page: bool) -> HttpResponse {
    let page = if wants_page { (server.router.error_page)(&error) } else { None };
    let message = match server.settings.open {
        true => (server.router.open_mode_message)(error.code, error.message),
        false => error.message,
    };
    let mut response = HttpError { message, ..error }.into_response();
    if let Some(page) = page {
        *response.body_mut() = Full::new(Bytes::from_static(page.as_bytes()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    }
    response
}

/// The answer to OPTIONS.
fn options(allow: &str) -> HttpResponse {
    let mut response = empty(StatusCode::NO_CONTENT);
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// Adds the headers that every answer carries. All vary by origin, since a foreign one is refused.
fn add_common_headers(headers: &mut HeaderMap) {
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// Keeps a browser to TLS (RFC 6797), and its cookies too.
fn keep_to_tls(headers: &mut HeaderMap) {
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    let hyper::header::Entry::Occupied(cookies) = headers.entry(SET_COOKIE) else { return };
    let (_, cookies) = cookies.remove_entry_mult();
    let secured: Vec<_> =
        cookies.filter_map(|cookie| HeaderValue::try_from([cookie.as_bytes(), b"; Secure"].concat()).ok()).collect();
    headers.extend(secured.into_iter().map(|cookie| (SET_COOKIE, cookie)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_may_choose_how_its_answer_is_cached() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        add_common_headers(&mut headers);
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[VARY], "Origin");
    }

    #[test]
    fn under_tls_every_cookie_is_kept_to_it() {
        let mut headers = HeaderMap::new();
        keep_to_tls(&mut headers);
        assert!(headers.contains_key(STRICT_TRANSPORT_SECURITY) && !headers.contains_key(SET_COOKIE));
        for cookie in ["a=1; Path=/", "b=2"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        keep_to_tls(&mut headers);
        let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; Path=/; Secure", "b=2; Secure"]);
    }

    #[test]
    fn options_lists_the_methods_of_a_path() {
        let response = options("GET, HEAD, OPTIONS");
        assert_eq!((response.status().as_u16(), response.headers()[ALLOW].to_str().unwrap()), (204, "GET, HEAD, OPTIONS"));
    }
}
