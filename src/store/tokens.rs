//! Tokens that are derived, not stored: each is checked by making it again, so there is no table of tokens to keep, to leak or to
//! fall out of step with the journal.
//!
//! Every text is signed with HMAC-SHA256 under a key of the data folder, over a label and its parts, each with its length before
//! it, so that no two purposes and no two splittings of the same bytes share a signature. Checks take the same time whatever is
//! wrong. A token the server did not make is never adopted, and none is ever logged. An event that was imported goes on under the key that
//! came with it, so that its phones need not notice.

use crate::draw::{DrawId, EventId, Link, LinkId, LinkRole, Number, SessionId, Timestamp};
use crate::store::keys::Keys;
use data_encoding::BASE64URL_NOPAD;
use ring::{digest, hmac};
use std::sync::Arc;

/// Crockford's base 32: no I, L, O or U, which are misread or misheard.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a recovery code, and of a claim code: 40 bits, guessed at a few tries a minute.
const RECOVERY_CODE_LEN: usize = 8;

/// The longest text that can be a token; longer ones are not looked at.
const TOKEN_LEN_MAX: usize = 96;

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    token: hmac::Key,
    login: hmac::Key,
    /// Events that came from other servers, with what signs their tokens: few, so that a list does.
    imported: Arc<[(EventId, SessionId, hmac::Key)]>,
}

impl Tokens {
    /// The tokens of a data folder.
    pub fn new(keys: &Keys) -> Self {
        let imported = keys.imported().iter().map(|imported| (imported.event.clone(), imported.session, imported.token()));
        Self { token: keys.token(), login: keys.login(), imported: imported.collect() }
    }

    /// What signs the tokens of a session.
    fn key(&self, session: SessionId) -> &hmac::Key {
        self.imported.iter().find(|(_, of, _)| *of == session).map_or(&self.token, |(.., key)| key)
    }

    /// What signs the links of an event.
    fn link_key(&self, event: &EventId) -> &hmac::Key {
        self.imported.iter().find(|(of, ..)| of == event).map_or(&self.token, |(.., key)| key)
    }

    /// What a phone shows to be `number` in `session`: the number, a dot, and a signature.
    pub fn session_token(&self, session: SessionId, number: Number) -> String {
        signed(self.key(session), &number.0.to_string(), &session_message(session, number))
    }

    /// The number of a token of that session.
    pub fn verify(&self, session: SessionId, token: &str) -> Option<Number> {
        let (number, signature) = parts(token)?;
        let number = Number(counting(number)?);
        is_signed(self.key(session), &session_message(session, number), signature).then_some(number)
    }

    /// What a person types to get a number back on another phone: 8 characters that cannot be misread.
    pub fn recovery_code(&self, session: SessionId, number: Number) -> String {
        let tag = hmac::sign(self.key(session), &message("recovery", &[&session.0, &number.0.to_be_bytes()]));
        let characters = tag.as_ref().iter().take(RECOVERY_CODE_LEN);
        characters.map(|byte| char::from(CROCKFORD[usize::from(byte & 31)])).collect()
    }

    /// Returns whether `typed` is the recovery code of that number, however it is spaced, hyphenated or cased. The tries are for the caller to bound.
    pub fn is_recovery_code(&self, session: SessionId, number: Number, typed: &str) -> bool {
        let Some(typed) = settle_typed(typed) else { return false };
        // Signed once more, since the constant-time comparison at hand is that of whole signatures.
        let right = hmac::sign(&self.token, self.recovery_code(session, number).as_bytes());
        hmac::verify(&self.token, &typed, right.as_ref()).is_ok()
    }

    /// What a winner shows at the desk to get what that draw gave it: 8 characters, made anew each time and never stored.
    pub fn claim_code(&self, session: SessionId, draw: DrawId, number: Number) -> String {
        self.claim_characters(session, draw, number).map(char::from).iter().collect()
    }

    /// The seat among `seats` whose claim code was typed, however it is spaced, hyphenated or cased. Looks at every seat, so that the time it
    /// takes says nothing; about half a microsecond each. The tries are for the caller to bound.
    pub fn find_claim(
        &self,
        session: SessionId,
        seats: impl Iterator<Item = (DrawId, Number)>,
        typed: &str,
    ) -> Option<(DrawId, Number)> {
        let typed = u64::from_be_bytes(settle_typed(typed)?);
        let mut found = None;
        for (draw, number) in seats {
            let code = u64::from_be_bytes(self.claim_characters(session, draw, number));
            if code == typed {
                found = Some((draw, number));
            }
        }
        found
    }

    fn claim_characters(&self, session: SessionId, draw: DrawId, number: Number) -> [u8; RECOVERY_CODE_LEN] {
        let parts: [&[u8]; 3] = [&session.0, &draw.0.to_be_bytes(), &number.0.to_be_bytes()];
        let tag = hmac::sign(self.key(session), &message("claim", &parts));
        let mut code = [0; RECOVERY_CODE_LEN];
        for (character, byte) in code.iter_mut().zip(tag.as_ref()) {
            *character = CROCKFORD[usize::from(byte & 31)];
        }
        code
    }

    /// What a signed link carries. Its time is signed along: an event that was deleted and made anew gives the same ids again, and
    /// last year's links must not open it.
    pub fn link_token(&self, event: &EventId, link: &Link) -> String {
        signed(self.link_key(event), &link.id.0.to_string(), &link_message(event, link))
    }

    /// The link whose token this is, if it is one of `links` and not revoked.
    pub fn verify_link(&self, event: &EventId, links: &[Link], token: &str) -> Option<LinkId> {
        let (id, signature) = parts(token)?;
        let id = LinkId(counting(id)?);
        let link = links.iter().find(|link| link.id == id && link.revoked_at.is_none())?;
        is_signed(self.link_key(event), &link_message(event, link), signature).then_some(id)
    }

    /// What a console's browser keeps instead of the admin token, until `expires_at`. Another admin token voids it.
    pub fn login_cookie(&self, admin_token_hash: &[u8; 32], expires_at: Timestamp) -> String {
        signed(&self.login, &expires_at.0.to_string(), &login_message(admin_token_hash, expires_at))
    }

    /// Returns whether a cookie is a login under that admin token, and still good at `now`.
    pub fn verify_login(&self, admin_token_hash: &[u8; 32], cookie: &str, now: Timestamp) -> bool {
        let checked = parts(cookie).and_then(|(expires_at, signature)| {
            let expires_at = Timestamp(counting(expires_at)?);
            is_signed(&self.login, &login_message(admin_token_hash, expires_at), signature).then_some(expires_at)
        });
        checked.is_some_and(|expires_at| now < expires_at)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// What the journal keeps of a registration's `request_id`: its SHA-256.
pub fn new_request_key(request_id: &str) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, request_id.as_bytes());
    hash.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

fn session_message(session: SessionId, number: Number) -> Vec<u8> {
    message("session", &[&session.0, &number.0.to_be_bytes()])
}

fn link_message(event: &EventId, link: &Link) -> Vec<u8> {
    let role = match link.role {
        LinkRole::Display => "display",
        LinkRole::Staff => "staff",
        LinkRole::Host => "host",
    };
    message("link", &[event.as_str().as_bytes(), &link.id.0.to_be_bytes(), role.as_bytes(), &link.made_at.0.to_be_bytes()])
}

fn login_message(admin_token_hash: &[u8; 32], expires_at: Timestamp) -> Vec<u8> {
    message("login", &[admin_token_hash, &expires_at.0.to_be_bytes()])
}

/// What is signed: a label and parts, each after its length.
fn message(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::with_capacity(96);
    for part in [label.as_bytes()].iter().chain(parts) {
        message.extend_from_slice(&(part.len() as u32).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

fn signed(key: &hmac::Key, head: &str, message: &[u8]) -> String {
    format!("{head}.{}", BASE64URL_NOPAD.encode(hmac::sign(key, message).as_ref()))
}

fn is_signed(key: &hmac::Key, message: &[u8], signature: &str) -> bool {
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes());
    signature.is_ok_and(|signature| hmac::verify(key, message, &signature).is_ok())
}

/// What stands before and after a token's dot.
fn parts(token: &str) -> Option<(&str, &str)> {
    token.split_once('.').filter(|_| token.len() <= TOKEN_LEN_MAX)
}

/// A counting number in the one way it is written: no sign, no leading nought.
fn counting<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

/// A typed code as it was made: capitals, nothing between them, and the look-alikes that Crockford's alphabet leaves out
/// read as what they look like. None when it is no such code.
fn settle_typed(typed: &str) -> Option<[u8; RECOVERY_CODE_LEN]> {
    let mut code = [0; RECOVERY_CODE_LEN];
    let mut len = 0;
    for typed in typed.bytes().take(TOKEN_LEN_MAX).filter(|b| !matches!(b, b' ' | b'-')) {
        *code.get_mut(len)? = match typed.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            plain => plain,
        };
        len += 1;
    }
    (len == RECOVERY_CODE_LEN).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SessionId = SessionId([1; 16]);
    const THERE: SessionId = SessionId([2; 16]);

    fn tokens() -> Tokens {
        let temp = tempfile::tempdir().unwrap();
        Tokens::new(&Keys::open(temp.path()).unwrap())
    }

    fn link(id: u32, role: LinkRole) -> Link {
        Link { id: LinkId(id), role, made_at: Timestamp(5), revoked_at: None }
    }

    #[test]
    fn a_claim_code_opens_its_own_seat_and_no_other() {
        let tokens = tokens();
        let (session, other) = (SessionId([1; 16]), SessionId([2; 16]));
        let seats = || (1..=50).map(|n| (DrawId(n / 10 + 1), Number(n)));
        let code = tokens.claim_code(session, DrawId(2), Number(17));
        assert!(code.len() == 8 && code.bytes().all(|b| CROCKFORD.contains(&b)), "{code}");
        let typed = format!(" {}-{} ", code[..4].to_lowercase(), &code[4..]);
        assert_eq!(tokens.find_claim(session, seats(), &typed), Some((DrawId(2), Number(17))));
        assert_eq!(tokens.find_claim(other, seats(), &code), None, "another event's, or one from before a reset");
        for wrong in ["", "0", &code[1..], &format!("{code}0"), &tokens.recovery_code(session, Number(17))] {
            assert_eq!(tokens.find_claim(session, seats(), wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_is_its_number_in_its_session_only() {
        let tokens = tokens();
        for number in [1, 9, 10, 300, u32::MAX].map(Number) {
            let token = tokens.session_token(HERE, number);
            assert_eq!(tokens.verify(HERE, &token), Some(number));
            assert_eq!(token, tokens.session_token(HERE, number), "made again, it is the same");
            assert_eq!(tokens.verify(THERE, &token), None);
        }
        let other = self::tokens().session_token(HERE, Number(1));
        assert_eq!(tokens.verify(HERE, &other), None, "another folder's key");
    }

    #[test]
    fn no_changed_token_verifies() {
        let tokens = tokens();
        let token = tokens.session_token(HERE, Number(17));
        for i in 0..token.len() {
            let mut bent = token.clone().into_bytes();
            bent[i] = if bent[i] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.verify(HERE, std::str::from_utf8(&bent).unwrap()), None, "character {i}");
            assert_eq!(tokens.verify(HERE, &token[..i]), None, "{i} characters");
        }
        for strange in
            [format!("0{token}"), format!("+{token}"), format!("{token}="), format!(" {token}"), "17.".into(), ".".into()]
        {
            assert_eq!(tokens.verify(HERE, &strange), None, "{strange}");
        }
        assert_eq!(tokens.verify(HERE, &"9".repeat(1 << 20)), None);
        assert_eq!(tokens.verify(HERE, "번호.번호"), None);
    }

    #[test]
    fn a_recovery_code_may_be_typed_as_people_type() {
        let tokens = tokens();
        for number in (1..=500).map(Number) {
            let code = tokens.recovery_code(HERE, number);
            assert_eq!(code.len(), 8);
            assert!(code.bytes().all(|b| CROCKFORD.contains(&b)), "{code}");
            let spaced = format!(" {}-{} ", &code[..4], code[4..].to_lowercase());
            let misread = code.replace('0', "O").replace('1', "l");
            for typed in [&code, &spaced, &misread] {
                assert!(tokens.is_recovery_code(HERE, number, typed), "{typed}");
            }
            assert!(!tokens.is_recovery_code(THERE, number, &code));
            assert!(!tokens.is_recovery_code(HERE, Number(number.0 + 1), &code));
            assert!(!tokens.is_recovery_code(HERE, number, &code[..7]));
            assert!(!tokens.is_recovery_code(HERE, number, &format!("{code}0")));
        }
        assert!(!tokens.is_recovery_code(HERE, Number(1), ""));
    }

    #[test]
    fn a_link_opens_its_own_event_while_it_stands() {
        let tokens = tokens();
        let event = EventId::parse("gala").unwrap();
        let links = [link(1, LinkRole::Display), link(2, LinkRole::Host)];
        let token = tokens.link_token(&event, &links[1]);
        assert_eq!(tokens.verify_link(&event, &links, &token), Some(LinkId(2)));
        assert_eq!(tokens.verify_link(&EventId::parse("gala2").unwrap(), &links, &token), None, "another event");
        assert_eq!(tokens.verify_link(&event, &links[..1], &token), None, "no such link");
        let revoked = Link { revoked_at: Some(Timestamp(9)), ..links[1] };
        assert_eq!(tokens.verify_link(&event, &[revoked], &token), None);
        let anew = Link { made_at: Timestamp(6), ..links[1] };
        assert_eq!(tokens.verify_link(&event, &[anew], &token), None, "the same id in an event made anew");
        assert_eq!(tokens.verify_link(&event, &[link(2, LinkRole::Staff)], &token), None, "another role");
        assert_eq!(tokens.verify(HERE, &token), None, "a link is no phone");
    }

    #[test]
    fn a_login_ends_with_its_time_and_its_admin_token() {
        let tokens = tokens();
        let cookie = tokens.login_cookie(&[1; 32], Timestamp(1_000));
        assert!(tokens.verify_login(&[1; 32], &cookie, Timestamp(999)));
        assert!(!tokens.verify_login(&[1; 32], &cookie, Timestamp(1_000)));
        assert!(!tokens.verify_login(&[2; 32], &cookie, Timestamp(999)));
        let prolonged = cookie.replacen("1000", "2000", 1);
        assert!(!tokens.verify_login(&[1; 32], &prolonged, Timestamp(999)));
        assert!(!tokens.verify_login(&[1; 32], "", Timestamp(999)));
    }

    #[test]
    fn a_request_key_is_a_sha_256() {
        let key = new_request_key("abc");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(data_encoding::HEXLOWER.encode(&key), known, "FIPS 180-2, appendix B.1");
    }

    #[test]
    fn parts_cannot_be_split_in_two_ways() {
        assert_ne!(message("a", &[b"bc"]), message("a", &[b"b", b"c"]));
        assert_ne!(message("ab", &[b"c"]), message("a", &[b"bc"]));
    }
}
