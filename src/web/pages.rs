//! The pages people open. Until the real ones are built, each says in two languages what will be there.
//!
//! Plain HTML, no script, nothing from another host. Nothing of a request is written into a page but an event's id, which is of
//! a plain alphabet, and a host that the guard has let in.

use super::answer::{Answer, Failure, Reply};
use super::app::App;
use super::call::Call;
use super::guard::Host;
use super::scheme::Scheme;
use crate::draw::{EventId, Phase};
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

/// Nothing may be loaded, run, sent or framed; the page's own style is all there is.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "body{font:1.25rem/1.6 system-ui,sans-serif;max-width:40rem;margin:12vh auto;padding:0 1.5rem;\
                     color:#1a1a2e;background:#fdfcf7;overflow-wrap:anywhere;word-break:keep-all}h1{font-size:1.75rem}\
                     @media(prefers-color-scheme:dark){body{color:#eee;background:#14141f}a{color:#9cf}}";

/// What a page says of itself.
struct Page<'p> {
    title_ko: &'p str,
    title_en: &'p str,
    about_ko: &'p str,
    about_en: &'p str,
    /// An address to show, as a link.
    link: Option<&'p str>,
}

/// The bare address leads to the lobby.
pub fn home() -> Answer {
    let mut reply = Response::new(Default::default());
    *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/lottery"));
    Ok(reply)
}

/// `/lottery`: where to join.
///
/// # Errors
/// 404 when the address names what cannot be an event.
pub fn lobby(call: &Call) -> Answer {
    let host = call.head.headers.get(HOST).and_then(|value| value.to_str().ok());
    let address = join_address(&call.app.settings.join_base, Scheme::of(&call.head.extensions), host, event_of(call)?.as_str());
    Ok(show(&Page {
        title_ko: "경품 추첨",
        title_en: "Lucky draw",
        about_ko: "이곳에 참가용 QR 코드와 추첨 무대가 표시됩니다. 휴대폰으로 아래 주소를 열어 참가하세요.",
        about_en: "The QR code to join and the stage will be here. To take part, open this address on a phone:",
        link: Some(&address),
    }))
}

/// `/j/{event_id}`: the short address of the QR code.
///
/// # Errors
/// 404 when the address names what cannot be an event.
pub fn join(call: &Call) -> Answer {
    EventId::parse(call.param(0)).ok_or_else(Failure::no_event)?;
    phone()
}

/// `/lottery/main`: the projector.
pub fn stage() -> Answer {
    Ok(show(&Page {
        title_ko: "추첨 무대",
        title_en: "The stage",
        about_ko: "이곳에 추첨 진행 화면과 당첨 번호가 표시됩니다.",
        about_en: "The draw and its winners will be shown here.",
        link: None,
    }))
}

/// `/lottery/waiting`: the phone.
pub fn phone() -> Answer {
    Ok(show(&Page {
        title_ko: "내 추첨 번호",
        title_en: "Your number",
        about_ko: "이곳에서 추첨 번호를 받고 당첨 결과를 확인합니다.",
        about_en: "Here you will get your number and see whether you have won.",
        link: None,
    }))
}

/// `/lottery/admin`: the console.
pub fn admin() -> Answer {
    Ok(show(&Page {
        title_ko: "추첨 관리",
        title_en: "The console",
        about_ko: "이곳에서 경품을 등록하고 추첨을 진행합니다.",
        about_en: "Prizes will be entered and drawn from here.",
        link: None,
    }))
}

/// `/lottery/staff`: the prize desk.
pub fn staff() -> Answer {
    Ok(show(&Page {
        title_ko: "경품 전달",
        title_en: "The prize desk",
        about_ko: "이곳에서 당첨자를 확인하고 경품을 전달합니다.",
        about_en: "Winners will be checked and handed their prizes here.",
        link: None,
    }))
}

/// `/lottery/verify`: the proof.
pub fn verify() -> Answer {
    Ok(show(&Page {
        title_ko: "추첨 검증",
        title_en: "The proof",
        about_ko: "이곳에서 누구나 추첨 결과를 다시 계산해 확인할 수 있습니다.",
        about_en: "Anybody will be able to recompute every draw here.",
        link: None,
    }))
}

/// The event an address means: the one it names, else the one meant by all that name none.
fn event_of(call: &Call) -> Result<EventId, Failure> {
    let named = call.query("event");
    let event = named.map_or_else(|| event_meant(&call.app), |named| EventId::parse(&named));
    event.ok_or_else(Failure::no_event)
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

/// The address phones join by: as this page was asked for, unless that name means this machine only.
fn join_address(join_base: &str, scheme: Scheme, host: Option<&str>, event: &str) -> String {
    let reachable = host.filter(|text| Host::parse(text).is_some_and(|host| !host.is_local()));
    reachable.map_or_else(|| format!("{join_base}/j/{event}"), |host| format!("{scheme}://{host}/j/{event}"))
}

/// The page as it is sent.
fn show(page: &Page<'_>) -> Reply {
    let Page { title_ko, title_en, about_ko, about_en, link } = page;
    let link = link.map_or(String::new(), |link| format!("<p><a href=\"{link}\">{link}</a></p>"));
    let html = format!(
        "<!doctype html><html lang=\"ko\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title_ko} · {title_en}</title><style>{STYLE}</style></head><body><main><h1>{title_ko}</h1><p>{about_ko}</p>\
         <section lang=\"en\"><h1>{title_en}</h1><p>{about_en}</p></section>{link}</main></body></html>"
    );
    let mut reply = Response::new(html.into());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_page_speaks_both_languages_and_runs_nothing() {
        let pages = [stage(), phone(), admin(), staff(), verify()];
        for page in pages {
            let reply = page.unwrap();
            assert!(reply.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
            let html = String::from_utf8(reply.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
            assert!(html.contains("lang=\"ko\"") && html.contains("lang=\"en\"") && !html.contains("<script"), "{html}");
        }
    }

    #[test]
    fn phones_are_never_sent_to_localhost() {
        let base = "http://192.168.0.7:8000";
        for host in [None, Some("localhost:8000"), Some("127.0.0.1:8000"), Some("[::1]:8000")] {
            assert_eq!(join_address(base, Scheme::Http, host, "gala"), "http://192.168.0.7:8000/j/gala", "{host:?}");
        }
        assert_eq!(join_address(base, Scheme::Https, Some("draw.example.kr"), "gala"), "https://draw.example.kr/j/gala");
    }
}
