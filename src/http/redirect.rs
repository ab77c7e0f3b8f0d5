//! The plain port that redirects to the TLS one, and does nothing else.
//!
//! It answers no path, page or call: a token sent in the clear must not work, or the mistake would
//! stay unnoticed. It redirects only to a host this server goes by. The bounds and deadlines of
//! every other connection hold here too.

use crate::base::address::Scheme;
use crate::http::HttpSettings;
use crate::http::guard;
use crate::http::response::{HttpResponse, empty};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};

/// Answers a request of plain HTTP.
pub fn answer(settings: &HttpSettings, https_port: Option<u16>, request: Request<Incoming>) -> HttpResponse {
    let (head, _) = request.into_parts();
    let mut response = redirect(settings, https_port, &head);
    // A client that follows goes elsewhere.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn redirect(settings: &HttpSettings, https_port: Option<u16>, head: &Parts) -> HttpResponse {
    let host = match guard::check(settings, Scheme::Http, head) {
        Ok(host) => host,
        Err(error) => return error.into_response(),
    };
    let name = settings.domain.as_deref().or(host.as_ref().map(guard::Host::name));
    match name.and_then(|name| HeaderValue::try_from(target(https_port, name, head)).ok()) {
        Some(target) => {
            let mut response = empty(StatusCode::PERMANENT_REDIRECT);
            response.headers_mut().insert(LOCATION, target);
            response
        }
        None => empty(StatusCode::BAD_REQUEST),
    }
}

/// The same address under TLS.
fn target(https_port: Option<u16>, name: &str, head: &Parts) -> String {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    // The target of `OPTIONS *` is no path.
    let path = if path.starts_with('/') { path } else { "/" };
    match https_port {
        None | Some(443) => format!("https://{name}{path}"),
        Some(port) => format!("https://{name}:{port}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status and location of the answer.
    fn check(settings: &HttpSettings, https_port: Option<u16>, uri: &str, host: &str) -> (u16, String) {
        let (head, ()) = Request::get(uri).header("host", host).body(()).unwrap().into_parts();
        let response = redirect(settings, https_port, &head);
        let target = response.headers().get(LOCATION).map_or("", |value| value.to_str().unwrap());
        (response.status().as_u16(), target.to_owned())
    }

    #[test]
    fn a_request_is_redirected_to_the_same_path_under_tls() {
        let settings = HttpSettings { domain: Some("draw.example.kr".into()), ..HttpSettings::default() };
        let to = |path: &str| (308, format!("https://draw.example.kr{path}"));
        assert_eq!(check(&settings, Some(443), "/j/gala?x=1", "draw.example.kr"), to("/j/gala?x=1"));
        assert_eq!(check(&settings, Some(443), "/", "192.168.0.7"), to("/"), "a certificate has a name, an address has none");
        assert_eq!(check(&settings, Some(443), "//evil.example/", "draw.example.kr"), to("//evil.example/"));
        let settings = HttpSettings::default();
        assert_eq!(check(&settings, Some(8443), "/a", "192.168.0.7:8080"), (308, "https://192.168.0.7:8443/a".into()));
    }

    #[test]
    fn no_redirect_leads_to_a_foreign_host() {
        let (status, target) = check(&HttpSettings::default(), None, "/", "evil.example");
        assert_eq!((status, target.as_str()), (403, ""));
    }
}
