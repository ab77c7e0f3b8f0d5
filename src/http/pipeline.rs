//! One request and its answer: looked over, routed, answered, and dressed in the headers that every answer wears.
//!
//! The order matters: the guard first, since an ill-formed request has no origin to trust; the origin before the route, so that a
//! foreign page learns nothing about paths. Nothing here looks into a body. The log has paths and never query strings: tokens
//! travel in those.

use crate::api::app::App;
use crate::api::routes;
use crate::base::address::Scheme;
use crate::http::guard;
use crate::http::origin;
use crate::http::request::RequestContext;
use crate::http::request::scheme_of;
use crate::http::response::{HttpError, HttpResponse, HttpResult};
use crate::http::router;
use crate::http::router::Found;
use crate::http::upgrade;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, SET_COOKIE, STRICT_TRANSPORT_SECURITY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Instant;

/// What an answer wears unless its handler chose otherwise.
const WORN: [(HeaderName, &str); 3] =
    [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer"), (CACHE_CONTROL, "no-store")];

/// For how long a browser keeps to TLS: two years.
const TLS_ONLY: &str = "max-age=63072000";

/// Answers a request.
pub async fn answer(app: &Arc<App>, request: Request<Incoming>) -> HttpResponse {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let (method, uri) = (head.method.clone(), head.uri.clone());
    let asks_socket = upgrade::is_asked(&head.headers);

    let (settings, scheme) = (&app.settings, scheme_of(&head.extensions));
    let caller = guard::check(settings, &head).and_then(|host| origin::check(settings, scheme, host.as_ref(), &head.headers));
    let (caller, (place, answer)) = match caller {
        Ok(caller) => (Some(caller), route(app, head, body).await),
        Err(failure) => (None, (None, Err(failure))),
    };
    let mut reply = answer.unwrap_or_else(|failure| {
        if asks_socket {
            tracing::info!(path = uri.path(), reason = %failure.message, "upgrade refused");
        }
        failure.into_reply()
    });
    if let Some(caller) = caller {
        origin::share(&caller, reply.headers_mut());
    }
    dress(reply.headers_mut());
    if scheme == Scheme::Https {
        secure(reply.headers_mut());
    }
    let took = began.elapsed();
    app.traffic.note(place, reply.status().as_u16(), took);
    tracing::debug!(%method, path = uri.path(), status = reply.status().as_u16(), took_us = took.as_micros() as u64, "answered");
    reply
}

/// Finds who answers, and lets them. Says which line of the table it was.
async fn route(app: &Arc<App>, head: Parts, body: Incoming) -> (Option<usize>, HttpResult) {
    if let Some(reply) = origin::preflight(&head) {
        return (None, Ok(reply));
    }
    match router::find(&head.method, head.uri.path()) {
        Ok(Found::Endpoint { endpoint, place, params }) => {
            let call = RequestContext { app: Arc::clone(app), head, params, body: Some(body) };
            (Some(place), routes::serve(endpoint, call).await)
        }
        Ok(Found::Options { allow }) => (None, Ok(options(&allow))),
        Err(failure) => (None, Err(HttpError { closes: failure.closes || !guard::knows(&head.method), ..failure })),
    }
}

/// The answer to OPTIONS.
fn options(allow: &str) -> HttpResponse {
    let mut reply = Response::new(Default::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allow) = HeaderValue::from_str(allow) {
        reply.headers_mut().insert(ALLOW, allow);
    }
    reply
}

/// Puts on the headers that every answer wears. All depend on the origin, since a foreign one is refused.
fn dress(headers: &mut HeaderMap) {
    for (name, value) in WORN {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

/// Keeps a browser to TLS: it never comes in the clear again (RFC 6797), and shows its cookies nowhere else.
fn secure(headers: &mut HeaderMap) {
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
        dress(&mut headers);
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[VARY], "Origin");
    }

    #[test]
    fn under_tls_every_cookie_is_kept_to_it() {
        let mut headers = HeaderMap::new();
        secure(&mut headers);
        assert!(headers.contains_key(STRICT_TRANSPORT_SECURITY) && !headers.contains_key(SET_COOKIE));
        for cookie in ["a=1; Path=/", "b=2"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
        }
        secure(&mut headers);
        let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; Path=/; Secure", "b=2; Secure"]);
    }

    #[test]
    fn options_tells_the_methods_of_a_path() {
        let reply = options("GET, HEAD, OPTIONS");
        assert_eq!((reply.status().as_u16(), reply.headers()[ALLOW].to_str().unwrap()), (204, "GET, HEAD, OPTIONS"));
    }
}
