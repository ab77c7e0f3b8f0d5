//! The pages that people open: the file of each address, what a page may do, and the default event.
//!
//! A page is the same for all clients and holds nothing of the request, so that it is embedded
//! compressed; it asks for what it shows by itself, and for the event too when its address names
//! none.

use crate::api::app::App;
use crate::api::assets;
use crate::api::error::event_not_found;
use crate::draw::{EventId, Phase};
use crate::http::guard::Host;
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResult, empty};
use crate::live::room::Room;
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION};
use std::sync::Arc;

/// The camera is for the prize desk, the screen lock and sound for all.
const PERMISSIONS: (HeaderName, &str) = (
    HeaderName::from_static("permissions-policy"),
    "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), screen-wake-lock=(self), autoplay=(self), fullscreen=(self)",
);

/// No other window gets a handle on a page.
const OPENER: (HeaderName, &str) = (HeaderName::from_static("cross-origin-opener-policy"), "same-origin");

/// A page that needs no file and no script: a title and a paragraph in Korean, and both in English.
macro_rules! bare_page {
    ($title:literal, $title_en:literal, $text:literal, $text_en:literal) => {
        concat!(
            "<!doctype html>\n<html lang=\"ko\">\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
            $title,
            " · ",
            $title_en,
            "</title>\n<h1>",
            $title,
            "</h1>\n<p>",
            $text,
            "</p>\n<p lang=\"en\">",
            $text_en,
            "</p>\n</html>\n"
        )
    };
}

/// The page at an address where there is nothing.
const NOTHING_HERE: &str = bare_page!(
    "없는 주소입니다",
    "Nothing here",
    r#"주소를 다시 확인하거나 화면의 QR 코드를 다시 찍어 주세요. <a href="/lottery">추첨 화면으로 가기</a>"#,
    r#"There is nothing at this address. Please check it, or scan the QR code again. <a href="/lottery">To the draw</a>"#
);

/// The page at a host name that is not the server's, such as that of a laptop.
const UNKNOWN_HOST: &str = bare_page!(
    "이 이름으로는 열 수 없습니다",
    "Not by this name",
    "서버가 출력한 숫자 주소(예: 192.168.0.10:8000)로 열거나 화면의 QR 코드를 찍어 주세요. 이 이름을 쓰려면 LUCKYDRAW_DOMAIN에 이름을 넣고 서버를 다시 시작하세요.",
    "This server does not go by that host name. Please use its IP address, as the server printed it, or scan the QR code. To use the name, set LUCKYDRAW_DOMAIN to it and start the server again."
);

/// The page of a server that cannot answer now.
const BUSY: &str = bare_page!(
    "잠시만 기다려 주세요",
    "Please wait",
    "접속이 몰리고 있습니다. 몇 초 뒤에 새로 고쳐 주세요.",
    "Many phones are connecting. Please reload in a few seconds."
);

/// The page for a person whose browser meets this error. Other errors come from scripts alone.
pub fn error_page(error: &HttpError) -> Option<&'static str> {
    match (error.status, error.code) {
        (StatusCode::NOT_FOUND, _) => Some(NOTHING_HERE),
        (StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN") => Some(UNKNOWN_HOST),
        (StatusCode::SERVICE_UNAVAILABLE, _) => Some(BUSY),
        _ => None,
    }
}

/// The bare address leads to the lobby.
pub async fn home<A>(_request: RequestContext<A>) -> HttpResult {
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/lottery"));
    Ok(response)
}

/// `/lottery`: the stage with the QR code to join.
pub async fn lobby<A>(request: RequestContext<A>) -> HttpResult {
    event_page(&request, "stage/index.html")
}

/// `/lottery/main`: the projector.
pub async fn stage<A>(request: RequestContext<A>) -> HttpResult {
    event_page(&request, "stage/index.html")
}

/// `/lottery/waiting`: the phone.
pub async fn phone<A>(request: RequestContext<A>) -> HttpResult {
    event_page(&request, "phone/index.html")
}

/// `/j/{event_id}`: the phone, by the short address of the QR code.
///
/// # Errors
/// 404 when the address names what cannot be an event.
pub async fn join<A>(request: RequestContext<A>) -> HttpResult {
    EventId::parse(request.param(0)).ok_or_else(event_not_found)?;
    page(&request, "phone/index.html")
}

/// `/lottery/admin`: the console; it shows all events when none is named.
pub async fn admin<A>(request: RequestContext<A>) -> HttpResult {
    page(&request, "console/index.html")
}

/// `/lottery/staff`: the prize desk.
pub async fn staff<A>(request: RequestContext<A>) -> HttpResult {
    event_page(&request, "staff/index.html")
}

/// `/lottery/verify`: the proof.
pub async fn verify<A>(request: RequestContext<A>) -> HttpResult {
    event_page(&request, "verify/index.html")
}

/// The page, unless the address names what cannot be an event. One that names none finds out by
/// `GET /join`.
///
/// # Errors
/// 404 when the address names what cannot be an event.
fn event_page<A>(request: &RequestContext<A>, name: &str) -> HttpResult {
    if request.query("event").is_some_and(|named| EventId::parse(&named).is_none()) {
        return Err(event_not_found());
    }
    page(request, name)
}

impl App {
    /// The event of an address that names none: the operator's while it goes on, else the newest
    /// that does. In open mode an event is created by its first use, so that the operator's always
    /// goes on.
    pub fn event_by_default(&self) -> Option<EventId> {
        let default = self.settings.default_event.as_deref().and_then(EventId::parse);
        let goes_on = |room: Arc<Room>| room.snapshot().event.phase != Phase::Closed;
        let default_goes_on = |id: &EventId| self.settings.http.open || self.directory.find(id.as_str()).is_some_and(goes_on);
        default.clone().filter(default_goes_on).or_else(|| self.directory.newest_open()).or(default)
    }
}

fn page<A>(request: &RequestContext<A>, name: &str) -> HttpResult {
    let file = assets::find(name).ok_or_else(|| HttpError::not_found("no such page"))?;
    let mut response = assets::response(file, &request.head.headers, "no-cache");
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy(request.host.as_ref().map_or("", Host::as_str))) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [PERMISSIONS, OPENER] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// A page's content security policy: it runs and shows what this server sends, speaks to this
/// server, and takes no text for markup. The socket's address is named since older phones do not
/// count it as `'self'`; the host has passed the guard.
fn policy(host: &str) -> String {
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
        String::from_utf8(file(name).plain().to_vec()).unwrap()
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
        let parts = assets::files_of("phone/index.html");
        let weight: usize = parts.iter().map(|file| file.brotli.len() + HEAD_BYTES).sum();
        let heaviest: Vec<_> = parts.iter().map(|file| (file.name, file.brotli.len())).collect();
        assert!(weight < 30_000, "{weight} bytes: {heaviest:?}");
        let names: Vec<_> = parts.iter().map(|file| file.name).collect();
        for name in ["phone/index.html", "phone/style.css", "shared/icon.svg", "shared/unsupported.js", "phone/main.js"] {
            assert!(names.contains(&name), "{name} counts: {names:?}");
        }
        assert!(!names.contains(&"phone/winner.js"), "what only winners need is loaded after a win");
    }

    #[test]
    fn a_page_is_one_script_and_one_style_sheet() {
        for page in PAGES {
            let (folder, _) = page.split_once('/').unwrap();
            let mut names: Vec<_> = assets::files_of(page).iter().map(|file| file.name.to_owned()).collect();
            names.sort();
            let mut expected = vec!["shared/icon.svg".to_owned(), "shared/unsupported.js".to_owned()];
            expected.extend(["index.html", "main.js", "style.css"].map(|name| format!("{folder}/{name}")));
            expected.sort();
            // The stage's picture of a gift is in its HTML.
            names.retain(|name| name != "stage/gift.svg");
            assert_eq!(names, expected);
            assert!(!text(&format!("{folder}/main.js")).contains("import {"), "{page}: nothing is found late");
        }
    }

    #[test]
    fn a_page_is_held_to_its_own_server() {
        let policy = policy("draw.example.kr:8443");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.contains("wss://draw.example.kr:8443;") && !policy.contains("unsafe"), "{policy}");
    }
}
