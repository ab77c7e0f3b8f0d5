//! The gate in the clear that leads to the one under TLS, and does nothing else.
//!
//! No path, page or call is answered here: a token that is sent in the clear must not work, or nobody would notice. Only a host this
//! server goes by is led on, so that it sends nobody elsewhere. It keeps the bounds and deadlines of every other connection.

use crate::api::app::Settings;
use crate::http::guard;
use crate::http::response::HttpResponse;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};

/// Answers a request in the clear.
pub fn answer(settings: &Settings, request: Request<Incoming>) -> HttpResponse {
    let (head, _) = request.into_parts();
    let mut reply = lead_on(settings, &head);
    // Whoever follows goes elsewhere.
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

fn lead_on(settings: &Settings, head: &Parts) -> HttpResponse {
    let host = match guard::check(settings, head) {
        Ok(host) => host,
        Err(failure) => return failure.into_reply(),
    };
    let name = settings.domain.as_deref().or(host.as_ref().map(|host| host.name));
    let target = name.and_then(|name| HeaderValue::try_from(target(settings, name, head)).ok());
    let mut reply = Response::new(Default::default());
    match target {
        Some(target) => {
            *reply.status_mut() = StatusCode::PERMANENT_REDIRECT;
            reply.headers_mut().insert(LOCATION, target);
        }
        None => *reply.status_mut() = StatusCode::BAD_REQUEST,
    }
    reply
}

/// The same address under TLS.
fn target(settings: &Settings, name: &str, head: &Parts) -> String {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    // `*` is asked for by OPTIONS, and is no path.
    let path = if path.starts_with('/') { path } else { "/" };
    match settings.https_port {
        None | Some(443) => format!("https://{name}{path}"),
        Some(port) => format!("https://{name}:{port}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::app::sample_settings;

    /// Where a request is led: a status and a location.
    fn check(settings: &Settings, uri: &str, host: &str) -> (u16, String) {
        let (head, ()) = Request::get(uri).header("host", host).body(()).unwrap().into_parts();
        let reply = lead_on(settings, &head);
        let target = reply.headers().get(LOCATION).map_or("", |value| value.to_str().unwrap());
        (reply.status().as_u16(), target.to_owned())
    }

    #[test]
    fn everybody_is_led_to_the_same_path_under_tls() {
        let settings = Settings { https_port: Some(443), domain: Some("draw.example.kr".into()), ..sample_settings() };
        let to = |path: &str| (308, format!("https://draw.example.kr{path}"));
        assert_eq!(check(&settings, "/j/gala?x=1", "draw.example.kr"), to("/j/gala?x=1"));
        assert_eq!(check(&settings, "/", "192.168.0.7"), to("/"), "a certificate has a name, an address has none");
        assert_eq!(check(&settings, "//evil.example/", "draw.example.kr"), to("//evil.example/"));
        let settings = Settings { https_port: Some(8443), ..sample_settings() };
        assert_eq!(check(&settings, "/a", "192.168.0.7:8080"), (308, "https://192.168.0.7:8443/a".into()));
    }

    #[test]
    fn nobody_is_led_to_a_foreign_host() {
        let (status, target) = check(&sample_settings(), "/", "evil.example");
        assert_eq!((status, target.as_str()), (403, ""));
    }
}
