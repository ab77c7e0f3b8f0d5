//! Credentials and what they allow: the admin token, the login cookie and signed links.
//!
//! Credentials are verified first and judged after, in functions without I/O. Secrets are compared
//! by their SHA-256, so that the time of a comparison says nothing about the secret. A wrong token
//! is answered late, each on its own: a lock after so many wrong ones would let anybody lock out
//! the right one. The link to the console that a start prints is a login too, which is exchanged
//! once for the browser's own. In open mode every client is admin, as with the server before this
//! one.

use crate::api::app::{ApiRequest, App};
use crate::api::deadline::run_blocking;
use crate::base::chance;
use crate::base::clock::rfc3339;
use crate::base::secret::Secret;
use crate::base::sha256;
use crate::draw::{Actor, Event, LinkId, LinkRole, Timestamp};
use crate::http::request::RequestContext;
use crate::http::response::{HttpError, HttpResponse, HttpResult, success};
use crate::live::Role;
use crate::live::room::Room;
use crate::sequencer::inbox::Rejection;
use crate::store::tokens::{Login, Tokens};
use crate::wire::parse::Invalid;
use crate::wire::request;
use crate::wire::view::json;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Lifetime of a login: an event and the morning after.
const LOGIN_MS: i64 = 12 * 3600 * 1000;
/// The login's cookie. Cookies of events begin with `ld_`.
const LOGIN_COOKIE: &str = "luckydraw_login";
/// Delay of the answer to a wrong token.
const WRONG_TOKEN_DELAY: Duration = Duration::from_millis(250);

/// A verified credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The admin token, or a login by it.
    Admin,
    /// A signed link that is not revoked.
    Link(LinkId, LinkRole),
}

/// The access that a call requires; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    /// The prize desk: reads participants and winners, marks a participant as not eligible.
    Staff,
    /// Runs the show of one event.
    Host,
    /// Everything: events, links, resets, the audit trail.
    Admin,
}

impl Credential {
    /// Returns whether it grants that level. A display's link opens no call at all.
    pub fn grants(self, level: AccessLevel) -> bool {
        match self {
            Credential::Admin => true,
            Credential::Link(_, LinkRole::Host) => level <= AccessLevel::Host,
            Credential::Link(_, LinkRole::Staff) => level <= AccessLevel::Staff,
            Credential::Link(_, LinkRole::Display) => false,
        }
    }

    /// Returns whether a socket may have that role. The prize desk has no socket.
    pub fn allows_role(self, role: Role) -> bool {
        match role {
            Role::Phone => true,
            Role::Display => matches!(self, Credential::Admin | Credential::Link(_, LinkRole::Host | LinkRole::Display)),
            Role::Admin => matches!(self, Credential::Admin | Credential::Link(_, LinkRole::Host)),
        }
    }

    /// The actor of the audit trail.
    pub fn actor(self) -> Actor {
        match self {
            Credential::Admin => Actor::Admin,
            Credential::Link(id, _) => Actor::Link(id),
        }
    }
}

/// An event, and the credential that opened it.
pub struct EventAccess {
    /// The event's room.
    pub room: Arc<Room>,
    /// Sufficient for the level that was required.
    pub credential: Credential,
}

/// The answer to `GET /admin/login`.
#[derive(Serialize)]
struct LoginState {
    logged_in: bool,
    open: bool,
}

/// The answer to `POST /admin/login`.
#[derive(Serialize)]
struct LoginMade {
    expires_at: String,
}

/// Credentials of a request, already verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presented {
    Nothing,
    /// A token; `None`: it is wrong.
    Token(Option<Credential>),
    /// A valid login cookie, and whether the request can only have come from a page of this server.
    Cookie {
        from_own_page: bool,
    },
}

/// Why access is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AuthError {
    Missing,
    WrongToken,
    ForeignPage,
    Insufficient,
}

impl ApiRequest {
    /// The event that the path names, if the caller may access it. In open mode it is created by
    /// its first use.
    ///
    /// # Errors
    /// 401 without a credential, 403 with one that does not suffice, and then 404 for an event that
    /// does not exist.
    pub async fn require_event(&self, level: AccessLevel) -> Result<EventAccess, HttpError> {
        let room = self.app.directory.find(self.param(0));
        let credential = self.require_of(room.as_deref(), level).await?;
        match room {
            Some(room) => Ok(EventAccess { room, credential }),
            None => Ok(EventAccess { room: self.app.find_or_open_room(self.param(0)).await?, credential }),
        }
    }

    /// The caller's credential, if it suffices for a call that concerns no single event.
    ///
    /// # Errors
    /// 401 without a credential, 403 with one that does not suffice.
    pub async fn require(&self, level: AccessLevel) -> Result<Credential, HttpError> {
        self.require_of(None, level).await
    }

    /// The caller's credential; links of `room` count.
    async fn require_of(&self, room: Option<&Room>, level: AccessLevel) -> Result<Credential, HttpError> {
        match check_presented(self.app.settings.http.open, self.presented(room), level) {
            Ok(credential) => Ok(credential),
            Err(AuthError::Missing) => Err(HttpError::unauthorized()),
            Err(AuthError::WrongToken) => {
                delay_wrong_token().await;
                Err(HttpError::unauthorized())
            }
            Err(AuthError::ForeignPage) => {
                let message = "a login counts only on this server's own pages";
                Err(HttpError::new(StatusCode::FORBIDDEN, "FORBIDDEN_ORIGIN", message))
            }
            Err(AuthError::Insufficient) => Err(HttpError::forbidden("this link does not reach that far")),
        }
    }

    /// Requires that the caller may have this role at a socket: it polls in place of one.
    ///
    /// # Errors
    /// 401 without such a credential.
    pub async fn require_role(&self, room: &Room, role: Role) -> Result<(), HttpError> {
        let is_allowed = match self.presented(Some(room)) {
            Presented::Token(credential) => credential.is_some_and(|credential| credential.allows_role(role)),
            Presented::Cookie { from_own_page } => from_own_page,
            Presented::Nothing => false,
        };
        if is_allowed || self.app.settings.http.open {
            return Ok(());
        }
        delay_wrong_token().await;
        Err(HttpError::unauthorized())
    }

    /// The credentials that the caller presents; links of `room` count.
    fn presented(&self, room: Option<&Room>) -> Presented {
        match self.bearer() {
            Some(token) => {
                let snapshot = room.map(Room::snapshot);
                let event = snapshot.as_deref().map(|snapshot| &snapshot.event);
                Presented::Token(verify(&self.app.admin_token, &self.app.tokens, event, token))
            }
            None if self.has_login() => {
                let only_reads = matches!(self.head.method, Method::GET | Method::HEAD);
                Presented::Cookie { from_own_page: only_reads || self.is_from_own_page() }
            }
            None => Presented::Nothing,
        }
    }

    /// Returns whether the request carries a login that is still valid.
    pub fn has_login(&self) -> bool {
        self.login().is_some()
    }

    /// The login that the request carries, if it is still valid.
    pub fn login(&self) -> Option<Login> {
        self.app.verify_login(self.cookie(LOGIN_COOKIE)?)
    }
}

impl App {
    /// Makes a login, and the text that proves it. A console that opens `/lottery/admin#login=TEXT`
    /// exchanges it for one of its own, once.
    pub fn make_login(&self) -> (Login, String) {
        let login = Login { id: chance::bytes(), expires_at: Timestamp(self.clock.now().0 + LOGIN_MS) };
        (login, self.tokens.login_cookie(&self.admin_token_hash(), login))
    }

    /// The login behind a text, if it is still valid.
    fn verify_login(&self, text: &str) -> Option<Login> {
        self.find_login(text).filter(|found| self.revoked_logins.is_valid(*found, self.clock.now()))
    }

    /// The login behind a text, until its time ends, also after a log-out.
    fn find_login(&self, text: &str) -> Option<Login> {
        self.tokens.verify_login(&self.admin_token_hash(), text, self.clock.now())
    }

    fn admin_token_hash(&self) -> [u8; 32] {
        sha256(self.admin_token.expose().as_bytes())
    }
}

impl<A> RequestContext<A> {
    /// Returns whether a script on this server's own page made the request: a form cannot set the
    /// header, a foreign page not the origin.
    fn is_from_own_page(&self) -> bool {
        self.header("x-luckydraw") == Some("1") && self.caller.is_same_host()
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        find_cookie(&self.head.headers, name)
    }
}

/// `GET /admin/login`: whether this browser is logged in, so that a page need not try and be
/// refused.
pub async fn show_login(request: ApiRequest) -> HttpResult {
    let open = request.app.settings.http.open;
    let is_in = open || request.has_login();
    success(&json(&LoginState { logged_in: is_in, open }), if is_in { "logged in" } else { "not logged in" })
}

/// `POST /admin/login`: exchanges the admin token, or the link that a start printed, for a cookie
/// that no script can read.
pub async fn login(mut request: ApiRequest) -> HttpResult {
    let body: request::Login = request.json().await?;
    let app = &request.app;
    let is_admin = match (&body.token, body.link.as_deref().map(|link| app.verify_login(link))) {
        (Some(token), _) => is_same_secret(app.admin_token.expose(), token),
        (None, Some(Some(login))) => end_login(app, login).await?,
        (None, Some(None)) => false,
        (None, None) => return Err(Invalid::field("token", "is missing").into()),
    };
    if !is_admin {
        delay_wrong_token().await;
        return Err(HttpError::unauthorized());
    }
    let (login, cookie) = app.make_login();
    let made = LoginMade { expires_at: rfc3339(login.expires_at) };
    with_login_cookie(success(&json(&made), "logged in")?, &cookie, LOGIN_MS / 1000)
}

/// `POST /admin/logout`: ends the login, so that a copy of its cookie opens nothing either, and
/// makes the browser forget it.
pub async fn logout(request: ApiRequest) -> HttpResult {
    // One that ended before too: it may not have reached the disk.
    if let Some(held) = request.cookie(LOGIN_COOKIE).and_then(|cookie| request.app.find_login(cookie)) {
        end_login(&request.app, held).await?;
    }
    with_login_cookie(success("{}", "logged out")?, "", 0)
}

/// Ends a login; returns whether it counted until then.
///
/// # Errors
/// 503 where that cannot be stored.
async fn end_login(app: &Arc<App>, held: Login) -> Result<bool, HttpError> {
    let app = Arc::clone(app);
    let ended = run_blocking(move || app.revoked_logins.revoke(held, app.clock.now())).await?;
    let ended = ended.and_then(|ended| ended.inspect_err(|error| tracing::error!(%error, "a log-out is not stored")).ok());
    Ok(ended.ok_or(Rejection::NotDurable)?)
}

/// Verifies a token: the admin token anywhere, a link's token in its event until the link is
/// revoked.
pub fn verify(admin_token: &Secret, tokens: &Tokens, event: Option<&Event>, token: &str) -> Option<Credential> {
    if is_same_secret(admin_token.expose(), token) {
        return Some(Credential::Admin);
    }
    let event = event?;
    let id = tokens.verify_link(&event.id, &event.links, token)?;
    event.link_role(id).map(|role| Credential::Link(id, role))
}

/// Slows a client down that presented a wrong token.
pub async fn delay_wrong_token() {
    tokio::time::sleep(WRONG_TOKEN_DELAY).await;
}

fn check_presented(open: bool, presented: Presented, level: AccessLevel) -> Result<Credential, AuthError> {
    let credential = match presented {
        _ if open => Credential::Admin,
        Presented::Nothing => return Err(AuthError::Missing),
        Presented::Token(None) => return Err(AuthError::WrongToken),
        Presented::Token(Some(credential)) => credential,
        Presented::Cookie { from_own_page: false } => return Err(AuthError::ForeignPage),
        Presented::Cookie { from_own_page: true } => Credential::Admin,
    };
    credential.grants(level).then_some(credential).ok_or(AuthError::Insufficient)
}

fn find_cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find_map(|(key, value)| (key == name).then_some(value))
}

/// Returns whether both are the same secret, in a time that says nothing about it.
pub fn is_same_secret(expected: &str, presented: &str) -> bool {
    let (expected, presented) = (sha256(expected.as_bytes()), sha256(presented.as_bytes()));
    let differing = expected.iter().zip(presented).fold(0, |bits, (a, b)| bits | (a ^ b));
    differing == 0
}

fn with_login_cookie(mut response: HttpResponse, value: &str, max_age_s: i64) -> HttpResult {
    let cookie = format!("{LOGIN_COOKIE}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict");
    let cookie = HeaderValue::try_from(cookie).expect("a cookie of base64url is a header's text");
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
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
    fn each_credential_reaches_its_own_calls() {
        let reach = |credential: Credential| {
            [AccessLevel::Staff, AccessLevel::Host, AccessLevel::Admin].map(|rank| credential.grants(rank))
        };
        assert_eq!(reach(Credential::Admin), [true, true, true]);
        assert_eq!(reach(HOST_LINK), [true, true, false]);
        assert_eq!(reach(STAFF_LINK), [true, false, false]);
        assert_eq!(reach(DISPLAY_LINK), [false, false, false]);
    }

    #[test]
    fn what_is_presented_decides() {
        use Presented::{Cookie, Nothing, Token};
        assert_eq!(check_presented(false, Nothing, AccessLevel::Staff), Err(AuthError::Missing));
        assert_eq!(check_presented(false, Token(None), AccessLevel::Staff), Err(AuthError::WrongToken));
        assert_eq!(check_presented(false, Token(Some(STAFF_LINK)), AccessLevel::Host), Err(AuthError::Insufficient));
        assert_eq!(check_presented(false, Token(Some(HOST_LINK)), AccessLevel::Host), Ok(HOST_LINK));
        assert_eq!(check_presented(false, Cookie { from_own_page: false }, AccessLevel::Staff), Err(AuthError::ForeignPage));
        assert_eq!(check_presented(false, Cookie { from_own_page: true }, AccessLevel::Admin), Ok(Credential::Admin));
        for presented in [Nothing, Token(None), Cookie { from_own_page: false }] {
            assert_eq!(
                check_presented(true, presented, AccessLevel::Admin),
                Ok(Credential::Admin),
                "open mode trusts every client"
            );
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; ld_gala=tok.en=; ld_gala2=x")]);
        assert_eq!(find_cookie(&headers, "ld_gala"), Some("tok.en="));
        assert_eq!(find_cookie(&headers, "gala"), None);
    }

    #[test]
    fn only_the_exact_secret_matches() {
        assert!(is_same_secret("s3cret", "s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret"] {
            assert!(!is_same_secret("s3cret", wrong), "{wrong}");
        }
    }
}
