//! Which pages may call: this server's own, those that the operator listed, and in open mode those
//! of this very machine.
//!
//! A page of any other site is refused outright rather than merely denied the answer, since a
//! request that changes something has done so before a browser hides its answer. No `Origin` means
//! that no page is calling; it gives no rights. The handlers decide what a caller may do.

use crate::base::address::Scheme;
use crate::http::HttpSettings;
use crate::http::guard::Host;
use crate::http::response::{HttpError, HttpResponse, empty};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

/// Request headers that this server reads.
const HEADERS_READ: &str = "Authorization, Content-Type, Idempotency-Key, X-Luckydraw";

/// Who is calling, as far as browsers say.
#[expect(missing_docs, reason = "the variant says it")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No page: a script, or a browser that was given the address.
    Direct,
    /// A page of this server.
    OwnPage,
    /// A page of another origin that is allowed. Behind a TLS proxy the server's own pages are
    /// such: same host, other scheme.
    OtherPage { origin: HeaderValue, has_our_host: bool },
}

impl Caller {
    /// Returns whether a page is calling: only pages send an `Origin`.
    pub fn is_page(&self) -> bool {
        *self != Caller::Direct
    }

    /// Returns whether the calling page came from the very host it calls, by whatever scheme.
    pub fn is_same_host(&self) -> bool {
        matches!(self, Caller::OwnPage | Caller::OtherPage { has_our_host: true, .. })
    }
}

/// Finds out who is calling; `scheme` and `host` say how the request came and where it was sent.
///
/// # Errors
/// 403 when the calling page is neither ours nor allowed.
pub fn check(settings: &HttpSettings, scheme: Scheme, host: Option<&Host>, headers: &HeaderMap) -> Result<Caller, HttpError> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(value), None) = (origins.next(), origins.next()) else {
        return if headers.contains_key(ORIGIN) { Err(forbidden()) } else { Ok(Caller::Direct) };
    };
    let text = value.to_str().map_err(|_| forbidden())?;
    let named = split(text);
    if let (Some((named_scheme, place)), Some(host)) = (&named, host)
        && *named_scheme == scheme.as_str()
        && place.is_same(host, scheme.default_port())
    {
        return Ok(Caller::OwnPage);
    }
    if !is_allowed(settings, text, named.as_ref().map(|(_, place)| place)) {
        return Err(forbidden());
    }
    let authority = text.split_once("://").map(|(_, authority)| authority);
    let has_our_host = authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host.as_str()));
    Ok(Caller::OtherPage { origin: value.clone(), has_our_host })
}

/// Returns whether a page of `origin`, which is not ours, may call. Open mode trusts this machine
/// and no other, listed or not.
fn is_allowed(settings: &HttpSettings, origin: &str, place: Option<&Host>) -> bool {
    if settings.open {
        return place.is_some_and(Host::is_local);
    }
    settings.allowed_origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
}

/// The scheme and host of a web origin.
fn split(origin: &str) -> Option<(&str, Host)> {
    let (scheme, place) = origin.split_once("://")?;
    matches!(scheme, "http" | "https").then_some((scheme, Host::parse(place)?))
}

/// The answer to a CORS preflight, which the browser keeps for a day; `None` when the request is no
/// preflight.
pub fn preflight(head: &Parts) -> Option<HttpResponse> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers_allowed(head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS)));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    Some(response)
}

/// Headers that a page may send: those this server reads, and those it asks for beside them, since
/// an allowed page is trusted. Requests with credentials forbid the wildcard.
fn headers_allowed(asked: Option<&HeaderValue>) -> HeaderValue {
    let read = HeaderValue::from_static(HEADERS_READ);
    let Some(asked) = asked.and_then(|asked| asked.to_str().ok()) else { return read };
    HeaderValue::try_from(format!("{HEADERS_READ}, {asked}")).unwrap_or(read)
}

/// Lets the caller's page read the answer, cookies included, if it is of another origin.
pub fn allow_reading(caller: &Caller, headers: &mut HeaderMap) {
    let Caller::OtherPage { origin, .. } = caller else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
}

fn forbidden() -> HttpError {
    HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", "pages of that origin may not call")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    /// `own`, `other`, `direct` or `no` for a page of `origin` that calls `host`.
    fn check_origin(settings: &HttpSettings, host: &str, origin: Option<&'static str>) -> &'static str {
        let headers = headers(&origin.map(|origin| ("origin", origin)).into_iter().collect::<Vec<_>>());
        match check(settings, Scheme::Http, Host::parse(host).as_ref(), &headers) {
            Ok(Caller::Direct) => "direct",
            Ok(Caller::OwnPage) => "own",
            Ok(Caller::OtherPage { .. }) => "other",
            Err(error) => {
                assert_eq!((error.status.as_u16(), error.code), (403, "FORBIDDEN_ORIGIN"));
                "no"
            }
        }
    }

    #[test]
    fn our_own_pages_and_listed_ones_may_call() {
        let settings = HttpSettings { allowed_origins: vec!["https://stage.example.kr".into()], ..HttpSettings::default() };
        let check = |host, origin| check_origin(&settings, host, origin);
        assert_eq!(check("192.168.0.7:8000", None), "direct");
        assert_eq!(check("192.168.0.7:8000", Some("http://192.168.0.7:8000")), "own");
        assert_eq!(check("localhost", Some("http://LOCALHOST:80")), "own");
        assert_eq!(check("192.168.0.7:8000", Some("https://stage.example.kr")), "other");
        for origin in [
            "http://192.168.0.7",
            "http://192.168.0.7:8001",
            "https://192.168.0.7:8000",
            "http://localhost:3000",
            "http://stage.example.kr",
            "https://stage.example.kr:444",
            "https://stage.example.kr.evil.example",
            "null",
            "",
            "192.168.0.7:8000",
            "http://192.168.0.7:8000/",
        ] {
            assert_eq!(check("192.168.0.7:8000", Some(origin)), "no", "{origin}");
        }
    }

    #[test]
    fn open_mode_trusts_pages_of_this_machine_on_any_port_and_no_others() {
        let settings =
            HttpSettings { open: true, allowed_origins: vec!["https://stage.example.kr".into()], ..HttpSettings::default() };
        let check = |origin| check_origin(&settings, "127.0.0.1:8000", Some(origin));
        assert_eq!(check("http://127.0.0.1:8000"), "own");
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:5173"] {
            assert_eq!(check(origin), "other", "{origin}");
        }
        for origin in
            ["https://stage.example.kr", "http://192.168.0.7:8000", "null", "file://localhost", "http://localhost.evil.example"]
        {
            assert_eq!(check(origin), "no", "{origin}");
        }
    }

    #[test]
    fn a_page_of_plain_http_is_foreign_to_the_server_under_tls() {
        let (settings, host) = (HttpSettings::default(), Host::parse("draw.example.kr"));
        let check = |scheme, origin| check(&settings, scheme, host.as_ref(), &headers(&[("origin", origin)])).is_ok();
        assert!(check(Scheme::Https, "https://draw.example.kr") && check(Scheme::Https, "https://draw.example.kr:443"));
        assert!(!check(Scheme::Https, "http://draw.example.kr") && !check(Scheme::Http, "https://draw.example.kr"));
    }

    #[test]
    fn two_origins_are_refused() {
        let both = headers(&[("origin", "http://localhost"), ("origin", "http://localhost")]);
        assert!(check(&HttpSettings::default(), Scheme::Http, Host::parse("localhost").as_ref(), &both).is_err());
    }

    #[test]
    fn a_preflight_is_granted_what_it_asks_for_a_day() {
        let request = Request::options("/api/luckydraw/register").header("access-control-request-method", "POST");
        let (head, ()) = request.header("access-control-request-headers", "x-luckydraw, x-more").body(()).unwrap().into_parts();
        let response = preflight(&head).unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()["access-control-max-age"], "86400");
        let allowed = response.headers()["access-control-allow-headers"].to_str().unwrap();
        assert!(allowed.contains("Idempotency-Key") && allowed.ends_with("x-luckydraw, x-more"), "{allowed}");
        let (plain, ()) = Request::options("/").body(()).unwrap().into_parts();
        assert!(preflight(&plain).is_none(), "OPTIONS alone asks for Allow");
    }

    #[test]
    fn only_pages_elsewhere_are_named_in_the_answer_and_never_by_a_wildcard() {
        let mut answer = HeaderMap::new();
        allow_reading(&Caller::OwnPage, &mut answer);
        allow_reading(&Caller::Direct, &mut answer);
        assert!(answer.is_empty());
        allow_reading(
            &Caller::OtherPage { origin: HeaderValue::from_static("http://localhost:3000"), has_our_host: false },
            &mut answer,
        );
        assert_eq!(answer["access-control-allow-origin"], "http://localhost:3000");
        assert_eq!(answer["access-control-allow-credentials"], "true");
    }

    #[test]
    fn behind_a_tls_proxy_a_listed_page_of_our_host_is_known_as_such() {
        let settings = HttpSettings {
            allowed_origins: vec!["https://draw.example.kr".into(), "https://stage.example.kr".into()],
            ..HttpSettings::default()
        };
        let host = Host::parse("Draw.example.kr");
        let caller = |origin| check(&settings, Scheme::Http, host.as_ref(), &headers(&[("origin", origin)])).unwrap();
        assert!(caller("https://draw.example.kr").is_same_host());
        assert!(!caller("https://stage.example.kr").is_same_host());
        assert!(caller("http://draw.example.kr").is_same_host() && !Caller::Direct.is_same_host());
    }
}
