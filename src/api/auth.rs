//! Who may do what: the admin token, the login cookie and signed links, and how far each of them reaches.
//!
//! What is shown is checked first and judged after, in functions without I/O. Secrets are compared by their SHA-256, so that the time a
//! comparison takes says nothing of the secret. A wrong token is answered late, each on its own: a lock after so many wrong ones would let
//! anybody lock out the right one. In open mode everybody is admin, as with the server before this one.

use crate::api::app::Settings;
use crate::base::clock::rfc3339;
use crate::base::clock::wall_clock;
use crate::draw::{Actor, Event, LinkId, LinkRole, Timestamp};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResponse, HttpResult, success};
use crate::live::Role;
use crate::live::room::Room;
use crate::store::tokens::Tokens;
use crate::wire::parse::parse;
use crate::wire::request::Login;
use hyper::header::{COOKIE, HOST, HeaderValue, ORIGIN, SET_COOKIE};
use hyper::{HeaderMap, Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// How long a login lasts: an evening and the morning after.
const LOGIN_MS: i64 = 12 * 3600 * 1000;
/// The login's cookie; no event's, which begin with `ld_`.
const LOGIN_COOKIE: &str = "luckydraw_login";
/// How late a wrong token is answered.
const WRONG_TOKEN_DELAY: Duration = Duration::from_millis(250);

/// What a caller has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    Admin,
    Link(LinkId, LinkRole),
}

/// What a call asks of its caller; each rank may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The prize desk: reads participants and winners, marks a participant as not eligible.
    Staff,
    /// Runs the show of one event.
    Host,
    /// Everything: events, links, resets, the audit trail.
    Admin,
}

impl Credential {
    /// Whether it reaches that far. A display's link opens no call at all.
    pub fn reaches(self, rank: Rank) -> bool {
        match self {
            Credential::Admin => true,
            Credential::Link(_, LinkRole::Host) => rank <= Rank::Host,
            Credential::Link(_, LinkRole::Staff) => rank <= Rank::Staff,
            Credential::Link(_, LinkRole::Display) => false,
        }
    }

    /// Whether a socket may be of that role on the strength of it. The prize desk has no socket.
    pub fn may_be(self, role: Role) -> bool {
        match role {
            Role::Phone => true,
            Role::Display => matches!(self, Credential::Admin | Credential::Link(_, LinkRole::Host | LinkRole::Display)),
            Role::Admin => matches!(self, Credential::Admin | Credential::Link(_, LinkRole::Host)),
        }
    }

    /// Who it is in the audit trail.
    pub fn actor(self) -> Actor {
        match self {
            Credential::Admin => Actor::Admin,
            Credential::Link(id, _) => Actor::Link(id),
        }
    }
}

/// What a request showed for its rights, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// A token; none: it proves nothing.
    Token(Option<Credential>),
    /// A valid login cookie, and whether the request can only have come from a page of this server's.
    Cookie {
        ours: bool,
    },
}

/// Why it is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthError {
    Unproved,
    WrongToken,
    ForeignPage,
    TooLow,
}

/// The event that the path names and who is asking, if they may.
///
/// # Errors
/// 401 without a proof, 403 with one that does not reach, and then 404 for an event that is not there.
pub async fn enter(call: &RequestContext, rank: Rank) -> Result<(Arc<Room>, Credential), HttpError> {
    let room = call.app.directory.find(call.param(0));
    let proved = admit(call, room.as_deref(), rank).await?;
    match room {
        Some(room) => Ok((room, proved)),
        None => Ok((crate::api::events::first_use(&call.app, call.param(0)).await?, proved)),
    }
}

/// Who is asking, if they may; `room` is the event whose links count.
///
/// # Errors
/// 401 without a proof, 403 with one that does not reach.
pub async fn admit(call: &RequestContext, room: Option<&Room>, rank: Rank) -> Result<Credential, HttpError> {
    let settings = &call.app.settings;
    let shown = match call.bearer() {
        Some(token) => {
            Shown::Token(prove(settings, &call.app.tokens, room.map(Room::snapshot).as_deref().map(|s| &s.event), token))
        }
        None if has_login(settings, &call.app.tokens, &call.head.headers) => {
            Shown::Cookie { ours: matches!(call.head.method, Method::GET | Method::HEAD) || is_own_page(&call.head.headers) }
        }
        None => Shown::Nothing,
    };
    match judge(settings.open, shown, rank) {
        Ok(proved) => Ok(proved),
        Err(AuthError::Unproved) => Err(HttpError::unauthorized()),
        Err(AuthError::WrongToken) => {
            slow_down().await;
            Err(HttpError::unauthorized())
        }
        Err(AuthError::ForeignPage) => {
            Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", "a login counts only on this server's own pages"))
        }
        Err(AuthError::TooLow) => Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN", "this link does not reach that far")),
    }
}

/// `GET /admin/login`: whether this browser is logged in, so that a page need not try and be refused.
pub fn show_login(call: &RequestContext) -> HttpResult {
    let settings = &call.app.settings;
    let is_in = settings.open || has_login(settings, &call.app.tokens, &call.head.headers);
    success(&format!(r#"{{"logged_in":{is_in},"open":{}}}"#, settings.open), if is_in { "logged in" } else { "not logged in" })
}

/// `POST /admin/login`: the admin token for a cookie that no script can read.
pub async fn login(mut call: RequestContext) -> HttpResult {
    let body: Login = parse(&call.read_body(BODY_MAX).await?)?;
    if !same_secret(&call.app.settings.admin_token, &body.token) {
        slow_down().await;
        return Err(HttpError::unauthorized());
    }
    let expires_at = Timestamp(wall_clock().0 + LOGIN_MS);
    let cookie = call.app.tokens.login_cookie(&hash(&call.app.settings.admin_token), expires_at);
    let data = format!(r#"{{"expires_at":"{}"}}"#, rfc3339(expires_at));
    with_login_cookie(success(&data, "logged in")?, &cookie, LOGIN_MS / 1000)
}

/// `POST /admin/logout`: the browser forgets its login.
pub async fn logout(_call: RequestContext) -> HttpResult {
    with_login_cookie(success("{}", "logged out")?, "", 0)
}

/// What a token proves: the admin token anywhere, a link's where it was made and while it stands.
pub fn prove(settings: &Settings, tokens: &Tokens, event: Option<&Event>, token: &str) -> Option<Credential> {
    if same_secret(&settings.admin_token, token) {
        return Some(Credential::Admin);
    }
    let event = event?;
    let id = tokens.verify_link(&event.id, &event.links, token)?;
    event.link_role(id).map(|role| Credential::Link(id, role))
}

/// Whether a request carries a login that has not ended.
pub fn has_login(settings: &Settings, tokens: &Tokens, headers: &HeaderMap) -> bool {
    cookie(headers, LOGIN_COOKIE).is_some_and(|value| tokens.verify_login(&hash(&settings.admin_token), value, wall_clock()))
}

/// Whether the page that sent a request came from the very host it asks.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let origin = text(ORIGIN).and_then(|origin| origin.split_once("://"));
    matches!((origin, text(HOST)), (Some((_, authority)), Some(host)) if authority.eq_ignore_ascii_case(host))
}

/// The value of a cookie.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find_map(|(key, value)| (key == name).then_some(value))
}

/// Lets whoever showed a wrong token wait.
pub async fn slow_down() {
    tokio::time::sleep(WRONG_TOKEN_DELAY).await;
}

fn judge(open: bool, shown: Shown, rank: Rank) -> Result<Credential, AuthError> {
    let proved = match shown {
        _ if open => Credential::Admin,
        Shown::Nothing => return Err(AuthError::Unproved),
        Shown::Token(None) => return Err(AuthError::WrongToken),
        Shown::Token(Some(proved)) => proved,
        Shown::Cookie { ours: false } => return Err(AuthError::ForeignPage),
        Shown::Cookie { ours: true } => Credential::Admin,
    };
    proved.reaches(rank).then_some(proved).ok_or(AuthError::TooLow)
}

/// Whether a request that changes something was made by a script on this server's own page: a form cannot set the header, a foreign page not the origin.
fn is_own_page(headers: &HeaderMap) -> bool {
    headers.get("x-luckydraw").is_some_and(|value| value == "1") && is_same_origin(headers)
}

/// Whether what is shown is the secret, in a time that says nothing of it.
pub fn same_secret(right: &str, shown: &str) -> bool {
    let differing = hash(right).iter().zip(hash(shown)).fold(0, |bits, (a, b)| bits | (a ^ b));
    differing == 0
}

fn hash(secret: &str) -> [u8; 32] {
    let hash = ring::digest::digest(&ring::digest::SHA256, secret.as_bytes());
    hash.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

fn with_login_cookie(mut reply: HttpResponse, value: &str, max_age_s: i64) -> HttpResult {
    let cookie = format!("{LOGIN_COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict");
    let cookie = HeaderValue::try_from(cookie).map_err(|_| HttpError::overloaded())?;
    reply.headers_mut().append(SET_COOKIE, cookie);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST_LINK: Credential = Credential::Link(LinkId(1), LinkRole::Host);
    const STAFF_LINK: Credential = Credential::Link(LinkId(2), LinkRole::Staff);
    const DISPLAY_LINK: Credential = Credential::Link(LinkId(3), LinkRole::Display);

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn each_proof_reaches_its_own_calls() {
        let reach = |proved: Credential| [Rank::Staff, Rank::Host, Rank::Admin].map(|rank| proved.reaches(rank));
        assert_eq!(reach(Credential::Admin), [true, true, true]);
        assert_eq!(reach(HOST_LINK), [true, true, false]);
        assert_eq!(reach(STAFF_LINK), [true, false, false]);
        assert_eq!(reach(DISPLAY_LINK), [false, false, false]);
    }

    #[test]
    fn what_is_shown_decides() {
        use Shown::{Cookie, Nothing, Token};
        assert_eq!(judge(false, Nothing, Rank::Staff), Err(AuthError::Unproved));
        assert_eq!(judge(false, Token(None), Rank::Staff), Err(AuthError::WrongToken));
        assert_eq!(judge(false, Token(Some(STAFF_LINK)), Rank::Host), Err(AuthError::TooLow));
        assert_eq!(judge(false, Token(Some(HOST_LINK)), Rank::Host), Ok(HOST_LINK));
        assert_eq!(judge(false, Cookie { ours: false }, Rank::Staff), Err(AuthError::ForeignPage));
        assert_eq!(judge(false, Cookie { ours: true }, Rank::Admin), Ok(Credential::Admin));
        for shown in [Nothing, Token(None), Cookie { ours: false }] {
            assert_eq!(judge(true, shown, Rank::Admin), Ok(Credential::Admin), "open mode trusts every client");
        }
    }

    #[test]
    fn a_login_changes_things_only_from_an_own_page() {
        let own = [("x-luckydraw", "1"), ("origin", "https://Draw.example:8443"), ("host", "draw.example:8443")];
        assert!(is_own_page(&headers(&own)));
        assert!(!is_own_page(&headers(&own[1..])), "a form sends no such header");
        assert!(!is_own_page(&headers(&[own[0], own[2]])), "no origin, no page");
        assert!(!is_own_page(&headers(&[own[0], ("origin", "https://evil.example"), own[2]])));
        assert!(!is_own_page(&headers(&[own[0], ("origin", "null"), own[2]])));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; ld_gala=tok.en=; ld_gala2=x")]);
        assert_eq!(cookie(&headers, "ld_gala"), Some("tok.en="));
        assert_eq!(cookie(&headers, "gala"), None);
    }

    #[test]
    fn only_the_very_secret_is_the_secret() {
        assert!(same_secret("s3cret", "s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!same_secret("s3cret", wrong), "{wrong}");
        }
    }
}
