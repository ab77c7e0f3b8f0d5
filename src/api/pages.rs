//! The pages people open: which file each address shows, what a page may do, and which event is meant.
//!
//! A page is the same for everybody and holds nothing of the request, so that it can stand packed in memory; what it shows it asks for itself,
//! and which event is meant when its address names none as well.

use crate::api::app::App;
use crate::api::assets;
use crate::draw::{EventId, Phase};
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult};
use hyper::header::{CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, LOCATION};
use hyper::{HeaderMap, Response, StatusCode};

/// The camera is for the prize desk, the screen lock and sound for all.
const PERMISSIONS: (HeaderName, &str) = (
    HeaderName::from_static("permissions-policy"),
    "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), screen-wake-lock=(self), autoplay=(self), fullscreen=(self)",
);

/// No other window gets a handle on a page.
const OPENER: (HeaderName, &str) = (HeaderName::from_static("cross-origin-opener-policy"), "same-origin");

/// The bare address leads to the lobby.
pub fn home() -> HttpResult {
    let mut reply = Response::new(Default::default());
    *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/lottery"));
    Ok(reply)
}

/// `/lottery`: the stage with the QR code to join.
pub fn lobby(call: &RequestContext) -> HttpResult {
    of_an_event(call, "stage/index.html")
}

/// `/lottery/main`: the projector.
pub fn stage(call: &RequestContext) -> HttpResult {
    of_an_event(call, "stage/index.html")
}

/// `/lottery/waiting`: the phone.
pub fn phone(call: &RequestContext) -> HttpResult {
    of_an_event(call, "phone/index.html")
}

/// `/j/{event_id}`: the phone, by the short address of the QR code.
///
/// # Errors
/// 404 when the address names what cannot be an event.
pub fn join(call: &RequestContext) -> HttpResult {
    EventId::parse(call.param(0)).ok_or_else(HttpError::no_event)?;
    show(call, "phone/index.html")
}

/// `/lottery/admin`: the console; it shows all events when none is named.
pub fn admin(call: &RequestContext) -> HttpResult {
    show(call, "console/index.html")
}

/// `/lottery/staff`: the prize desk.
pub fn staff(call: &RequestContext) -> HttpResult {
    of_an_event(call, "staff/index.html")
}

/// `/lottery/verify`: the proof.
pub fn verify(call: &RequestContext) -> HttpResult {
    of_an_event(call, "verify/index.html")
}

/// The page, unless the address names what cannot be an event. One that names none finds out by `GET /join`.
///
/// # Errors
/// 404 when the address names what cannot be an event.
fn of_an_event(call: &RequestContext, name: &str) -> HttpResult {
    if call.query("event").is_some_and(|named| EventId::parse(&named).is_none()) {
        return Err(HttpError::no_event());
    }
    show(call, name)
}

/// The event of an address that names none: the operator's while it goes on, else the newest that does. In open mode the operator's comes into
/// being when it is used, so that it always is the one.
pub fn event_meant(app: &App) -> Option<EventId> {
    let default = app.settings.default_event.as_deref().and_then(EventId::parse);
    let events = app.directory.all().into_iter().map(|room| room.snapshot());
    let going_on: Vec<_> = events.filter(|snapshot| snapshot.event.phase != Phase::Closed).collect();
    let stands = |id: &EventId| app.settings.open || going_on.iter().any(|snapshot| snapshot.event.id == *id);
    let newest = || going_on.iter().max_by_key(|snapshot| snapshot.event.opened_at).map(|snapshot| snapshot.event.id.clone());
    default.clone().filter(stands).or_else(newest).or(default)
}

fn show(call: &RequestContext, name: &str) -> HttpResult {
    let asked = &call.head.headers;
    let page = assets::find(name).ok_or_else(|| HttpError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "no such page"))?;
    let mut reply = assets::reply(page, asked, "no-cache");
    let headers = reply.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy(asked)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [PERMISSIONS, OPENER] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(reply)
}

/// What a page may do: run and show what this server sends, speak to this server, and take no text for markup. The socket's address is named
/// since older phones do not count it as `'self'`; the host has passed the guard.
fn policy(asked: &HeaderMap) -> String {
    let host = asked.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' ws://{host} wss://{host}; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [&str; 5] =
        ["console/index.html", "phone/index.html", "staff/index.html", "stage/index.html", "verify/index.html"];

    /// Bytes of an answer's head, as Chromium counted them.
    const HEAD_BYTES: usize = 330;

    fn file(name: &str) -> &'static assets::File {
        assets::find(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    fn text(name: &str) -> String {
        String::from_utf8(file(name).plain()).unwrap()
    }

    #[test]
    fn a_page_names_only_files_that_are_there_and_runs_nothing_inline() {
        let mut seen = Vec::from(PAGES.map(str::to_owned));
        let mut next = 0;
        while next < seen.len() {
            let file = file(&seen[next]);
            let references = if file.name.ends_with(".svg") { Vec::new() } else { file.references(|_| true) };
            assert!(!references.is_empty() || !file.name.ends_with(".html"), "{}", file.name);
            for name in references {
                if !seen.contains(&name) {
                    seen.push(name);
                }
            }
            next += 1;
        }
        let names = assets::FILES.iter().map(|file| file.name);
        let unused: Vec<_> = names.filter(|name| !seen.iter().any(|used| used == name)).collect();
        assert!(unused.is_empty(), "no page uses {unused:?}");
        for page in PAGES {
            let html = text(page);
            assert!(html.contains("<noscript>"), "{page} says so when it cannot run");
            for inline in ["<script>", "<style", " style=", " onclick=", "javascript:", "http://", "https://"] {
                assert!(!html.contains(inline), "{page}: {inline}");
            }
        }
    }

    #[test]
    fn a_phone_has_its_number_within_30_kb() {
        let parts = assets::weighed("phone/index.html");
        let weight: usize = parts.iter().map(|file| file.brotli.len() + HEAD_BYTES).sum();
        let heaviest: Vec<_> = parts.iter().map(|file| (file.name, file.brotli.len())).collect();
        assert!(weight < 30_000, "{weight} bytes: {heaviest:?}");
        let names: Vec<_> = parts.iter().map(|file| file.name).collect();
        for name in [
            "phone/index.html",
            "shared/base.css",
            "phone/style.css",
            "shared/icon.svg",
            "phone/main.js",
            "shared/connection.js",
            "phone/messages.js",
        ] {
            assert!(names.contains(&name), "{name} counts: {names:?}");
        }
        assert!(!names.contains(&"phone/winner.js"), "what only winners need is loaded after a win");
    }

    #[test]
    fn a_page_asks_at_once_for_every_module_it_begins_with() {
        let html = text("phone/index.html");
        for file in assets::weighed("phone/index.html") {
            assert!(file.name.ends_with(".html") || html.contains(&format!("/{}\"", file.name)), "{} is found late", file.name);
        }
    }

    #[test]
    fn a_page_is_held_to_its_own_server() {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("draw.example.kr:8443"))]);
        let policy = policy(&headers);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("wss://draw.example.kr:8443;") && !policy.contains("unsafe"), "{policy}");
    }
}
