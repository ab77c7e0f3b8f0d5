//! `GET /ws/{event_id}`: as whom a socket enters, if at all.
//!
//! A browser sees no reason in a refused handshake, so that every socket that can shake hands does, and is told then why it may not stay. A phone
//! proves its number by its token; a display or console its role by a token, the login cookie, or else within 5 seconds by its first message.

use crate::api::auth::{Credential, has_login, is_same_origin, prove, slow_down};
use crate::api::events::first_use;
use crate::api::participants::number_of;
use crate::api::state::since;
use crate::draw::{Number, Phase};
use crate::http::request::RequestContext;
use crate::http::response::HttpResult;
use crate::http::upgrade;
use crate::live::reactor::Admission;
use crate::live::{CloseCode, Identity, Role};
use hyper::StatusCode;
use hyper::header::ORIGIN;

/// What a handshake showed, already checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// A valid login cookie from this server's own page.
    Login,
    /// A token; what it proves as a phone's, and what as anybody else's.
    Token {
        number: Option<Number>,
        proved: Option<Credential>,
    },
}

/// As what a socket enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Admitted(Role, Option<Number>),
    Awaiting(Role),
    BadToken,
}

/// `GET /ws/{event_id}`
pub async fn connect(call: RequestContext) -> HttpResult {
    let entry = entry(&call).await;
    if let Admission::Rejected { code: CloseCode::BadToken } = entry {
        slow_down().await;
    }
    upgrade::accept(call, entry)
}

async fn entry(call: &RequestContext) -> Admission {
    let room = match first_use(&call.app, call.param(0)).await {
        Ok(room) => room,
        Err(failure) if failure.status == StatusCode::SERVICE_UNAVAILABLE => {
            return Admission::Rejected { code: CloseCode::Overloaded };
        }
        Err(_) => return Admission::Rejected { code: CloseCode::NoSuchEvent },
    };
    let snapshot = room.snapshot();
    if snapshot.event.phase == Phase::Closed {
        return Admission::Rejected { code: CloseCode::NoSuchEvent };
    }
    let (settings, tokens, headers) = (&call.app.settings, &call.app.tokens, &call.head.headers);
    let shown = match call.query("token").filter(|token| !token.is_empty()) {
        Some(token) => Shown::Token {
            number: number_of(tokens, &snapshot.event, &token),
            proved: prove(settings, tokens, Some(&snapshot.event), &token),
        },
        None if has_login(settings, tokens, headers) && is_same_origin(headers) => Shown::Login,
        None => Shown::Nothing,
    };
    let wanted = wanted(call.query("role").as_deref(), call.query("client_type").as_deref());
    // A `since` that is no number misses nothing that a state sync would not tell.
    let since = since(call.query("since").as_deref(), call.query("epoch").as_deref()).unwrap_or(None);
    match judge(settings.open, wanted, headers.contains_key(ORIGIN), shown) {
        Verdict::Admitted(role, number) => {
            let session = snapshot.event.session;
            Admission::Admitted { room, role, identity: number.map(|number| Identity { session, number }), since }
        }
        Verdict::Awaiting(role) => Admission::PendingAuth { room, role, since },
        Verdict::BadToken => Admission::Rejected { code: CloseCode::BadToken },
    }
}

/// The role that a query names; old consoles name it `client_type`.
fn wanted(role: Option<&str>, client_type: Option<&str>) -> Option<Role> {
    match role.or(client_type)? {
        "display" => Some(Role::Display),
        "admin" => Some(Role::Admin),
        "phone" => Some(Role::Phone),
        _ => None,
    }
}

/// In open mode a page that names no role and shows no token may be an old phone or an old projector: it is told what a projector is.
fn judge(open: bool, wanted: Option<Role>, has_origin: bool, shown: Shown) -> Verdict {
    let bare = if open && has_origin && !matches!(shown, Shown::Token { .. }) { Role::Display } else { Role::Phone };
    let role = wanted.unwrap_or(bare);
    match (role, shown) {
        (Role::Phone, Shown::Token { number: None, .. }) => Verdict::BadToken,
        (Role::Phone, Shown::Token { number, .. }) => Verdict::Admitted(role, number),
        (Role::Phone, _) => Verdict::Admitted(role, None),
        (Role::Display | Role::Admin, _) if open => Verdict::Admitted(role, None),
        (Role::Display | Role::Admin, Shown::Token { proved: Some(proved), .. }) if proved.may_be(role) => {
            Verdict::Admitted(role, None)
        }
        (Role::Display | Role::Admin, Shown::Token { .. }) => Verdict::BadToken,
        (Role::Display | Role::Admin, Shown::Login) => Verdict::Admitted(role, None),
        (Role::Display | Role::Admin, Shown::Nothing) => Verdict::Awaiting(role),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{LinkId, LinkRole};

    const WRONG: Shown = Shown::Token { number: None, proved: None };
    const PHONE: Shown = Shown::Token { number: Some(Number(7)), proved: None };

    fn link(role: LinkRole) -> Shown {
        Shown::Token { number: None, proved: Some(Credential::Link(LinkId(1), role)) }
    }

    #[test]
    fn roles_are_named_in_two_ways() {
        assert_eq!(wanted(Some("display"), None), Some(Role::Display));
        assert_eq!(wanted(None, Some("admin")), Some(Role::Admin));
        assert_eq!(wanted(Some("phone"), Some("admin")), Some(Role::Phone));
        assert_eq!((wanted(Some("root"), None), wanted(None, None)), (None, None));
    }

    #[test]
    fn a_socket_without_a_role_is_a_phone() {
        for has_origin in [false, true] {
            assert_eq!(judge(false, None, has_origin, Shown::Nothing), Verdict::Admitted(Role::Phone, None));
            assert_eq!(judge(false, None, has_origin, PHONE), Verdict::Admitted(Role::Phone, Some(Number(7))));
            assert_eq!(judge(false, None, has_origin, Shown::Login), Verdict::Admitted(Role::Phone, None));
            assert_eq!(judge(false, None, has_origin, WRONG), Verdict::BadToken);
        }
    }

    #[test]
    fn a_display_or_console_proves_itself_now_or_soon() {
        for role in [Role::Display, Role::Admin] {
            assert_eq!(judge(false, Some(role), true, Shown::Nothing), Verdict::Awaiting(role));
            assert_eq!(judge(false, Some(role), true, Shown::Login), Verdict::Admitted(role, None));
            assert_eq!(judge(false, Some(role), true, WRONG), Verdict::BadToken);
            assert_eq!(judge(false, Some(role), true, PHONE), Verdict::BadToken, "a phone can do nothing but be a phone");
            assert_eq!(judge(false, Some(role), true, link(LinkRole::Host)), Verdict::Admitted(role, None));
            assert_eq!(judge(false, Some(role), true, link(LinkRole::Staff)), Verdict::BadToken);
        }
        assert_eq!(judge(false, Some(Role::Display), true, link(LinkRole::Display)), Verdict::Admitted(Role::Display, None));
        assert_eq!(judge(false, Some(Role::Admin), true, link(LinkRole::Display)), Verdict::BadToken);
    }

    #[test]
    fn open_mode_tells_old_pages_from_scripts_by_their_origin() {
        assert_eq!(judge(true, None, true, Shown::Nothing), Verdict::Admitted(Role::Display, None));
        assert_eq!(judge(true, None, false, Shown::Nothing), Verdict::Admitted(Role::Phone, None));
        assert_eq!(judge(true, None, true, PHONE), Verdict::Admitted(Role::Phone, Some(Number(7))));
        assert_eq!(judge(true, Some(Role::Phone), true, Shown::Nothing), Verdict::Admitted(Role::Phone, None));
        assert_eq!(judge(true, Some(Role::Admin), false, Shown::Nothing), Verdict::Admitted(Role::Admin, None));
    }
}
