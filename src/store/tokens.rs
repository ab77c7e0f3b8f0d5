//! Tokens that are derived, not stored: each is checked by making it again, so there is no table of
//! tokens to keep, to leak or to fall out of step with the journal.
//!
//! Every text is signed with HMAC-SHA256 under a key of the data folder, over a label and its
//! parts, each with its length before it, so that no two purposes and no two splittings of the same
//! bytes share a signature. A check takes the same time wherever the token is wrong. A token of
//! another maker must never be adopted, and none must ever be logged. An imported event goes on
//! under the key that came with it, so that its phones notice nothing.

use crate::base::sha256;
use crate::draw::{DrawId, Event, EventId, Link, LinkId, LinkRole, Number, Registration, SessionId, Timestamp};
use crate::store::keys::Keys;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::hmac;
use std::sync::Arc;

/// Crockford's base 32: no I, L, O or U, which are misread or misheard.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of a recovery code, and of a claim code: 40 bits, guessed at a few tries a minute.
const CODE_LEN: usize = 8;

/// Time for which one rotating entry code is shown. It is accepted for one period more, so that a
/// photo of it is worth nothing after a minute.
pub const ENTRY_CODE_PERIOD_MS: i64 = 30_000;

/// The longest text that can be a token, in bytes; longer ones are not read.
const TOKEN_LEN_MAX: usize = 96;

/// A login of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// Random; a log-out revokes the login by it.
    pub id: [u8; 16],
    /// The time after which the cookie opens nothing.
    pub expires_at: Timestamp,
}

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    token: hmac::Key,
    login: hmac::Key,
    /// The token keys of imported events: few, so that a list suffices.
    imported: Arc<[(EventId, SessionId, hmac::Key)]>,
}

impl Tokens {
    /// The tokens of a data folder.
    pub fn new(keys: &Keys) -> Self {
        let imported = keys.imported().iter().map(|imported| (imported.event.clone(), imported.session, imported.token_key()));
        Self { token: keys.token_key(), login: keys.login_key(), imported: imported.collect() }
    }

    /// The key that signs the tokens of a session.
    fn session_key(&self, session: SessionId) -> &hmac::Key {
        self.imported.iter().find(|(_, of, _)| *of == session).map_or(&self.token, |(.., key)| key)
    }

    /// The key that signs the links of an event.
    fn link_key(&self, event: &EventId) -> &hmac::Key {
        self.imported.iter().find(|(of, ..)| of == event).map_or(&self.token, |(.., key)| key)
    }

    /// The token by which a phone proves its registration: the number, a dot, and a signature.
    pub fn session_token(&self, of: &Registration) -> String {
        sign(self.session_key(of.session), &of.number.0.to_string(), &registration_message("session", of, None))
    }

    /// The registration of `event` that a token proves; `None` for any other text. A token of
    /// another registration of the same number proves nothing: a restore brought the event back
    /// from before it.
    pub fn verify(&self, event: &Event, token: &str) -> Option<Registration> {
        let (number, signature) = split_token(token)?;
        let of = event.registration(Number(parse_canonical(number)?))?;
        is_signed(self.session_key(of.session), &registration_message("session", &of, None), signature).then_some(of)
    }

    /// The code that a person types to get a number back on another phone: 8 characters that cannot
    /// be misread.
    pub fn recovery_code(&self, of: &Registration) -> String {
        self.code(of.session, &registration_message("recovery", of, None)).map(char::from).iter().collect()
    }

    /// True when `typed` is the recovery code of that registration, in any spacing, hyphenation or
    /// case. The caller bounds the tries.
    pub fn is_recovery_code(&self, of: &Registration, typed: &str) -> bool {
        let Some(typed) = normalize_code(typed) else { return false };
        // Signed once more, since the constant-time comparison at hand is that of whole signatures.
        let right = hmac::sign(&self.token, self.recovery_code(of).as_bytes());
        hmac::verify(&self.token, &typed, right.as_ref()).is_ok()
    }

    /// The code that a winner shows at the desk to collect the prize of that draw: 8 characters,
    /// derived each time and never stored.
    pub fn claim_code(&self, of: &Registration, draw: DrawId) -> String {
        self.claim_characters(of, draw).map(char::from).iter().collect()
    }

    /// True for a text in the form of a claim code, in any spacing, hyphenation or case.
    pub fn is_claim_code(typed: &str) -> bool {
        normalize_code(typed).is_some()
    }

    /// The seat among `seats` whose claim code was typed, in any spacing, hyphenation or case.
    /// Checks every seat, so that its duration discloses nothing; about half a microsecond per
    /// seat. The caller bounds the tries.
    pub fn find_claim(&self, seats: impl Iterator<Item = (DrawId, Registration)>, typed: &str) -> Option<(DrawId, Number)> {
        let typed = u64::from_be_bytes(normalize_code(typed)?);
        let mut found = None;
        for (draw, of) in seats {
            let code = u64::from_be_bytes(self.claim_characters(&of, draw));
            if code == typed {
                found = Some((draw, of.number));
            }
        }
        found
    }

    fn claim_characters(&self, of: &Registration, draw: DrawId) -> [u8; CODE_LEN] {
        self.code(of.session, &registration_message("claim", of, Some(draw)))
    }

    /// A code for people, made of the signature of a message.
    fn code(&self, session: SessionId, message: &[u8]) -> [u8; CODE_LEN] {
        let tag = hmac::sign(self.session_key(session), message);
        let mut code = [0; CODE_LEN];
        for (character, byte) in code.iter_mut().zip(tag.as_ref()) {
            *character = CROCKFORD[usize::from(byte & 31)];
        }
        code
    }

    /// The entry code of a session at a time, for an event whose code rotates: 8 characters that
    /// the QR code carries.
    pub fn rotating_entry_code(&self, session: SessionId, at: Timestamp) -> String {
        self.entry_characters(session, entry_code_period(at)).map(char::from).iter().collect()
    }

    /// True when `presented` is the entry code shown at `now`, or the one before it, which a phone
    /// may have read a moment ago.
    pub fn is_rotating_entry_code(&self, session: SessionId, presented: &str, now: Timestamp) -> bool {
        let Some(presented) = normalize_code(presented).map(u64::from_be_bytes) else { return false };
        let period = entry_code_period(now);
        let is_of = |period| u64::from_be_bytes(self.entry_characters(session, period)) == presented;
        // Both are made, so that the duration does not say which one it was.
        is_of(period) | is_of(period - 1)
    }

    fn entry_characters(&self, session: SessionId, period: i64) -> [u8; CODE_LEN] {
        self.code(session, &message("entry code", &[&session.0, &period.to_be_bytes()]))
    }

    /// The pass of a phone that had the entry code in time: one registration under `key` may be
    /// finished with it until `expires_at`.
    pub fn entry_pass(&self, session: SessionId, key: &[u8; 32], expires_at: Timestamp) -> String {
        sign(self.session_key(session), &expires_at.0.to_string(), &pass_message(session, key, expires_at))
    }

    /// True when `pass` is that of a registration under `key`, and not expired at `now`.
    pub fn verify_entry_pass(&self, session: SessionId, key: &[u8; 32], pass: &str, now: Timestamp) -> bool {
        let Some((expires_at, signature)) = split_token(pass) else { return false };
        let Some(expires_at) = parse_canonical(expires_at).map(Timestamp) else { return false };
        now < expires_at && is_signed(self.session_key(session), &pass_message(session, key, expires_at), signature)
    }

    /// The token in a signed link. Its time is signed along: an event that was deleted and opened
    /// again gives the same ids again, and last year's links must not open it.
    pub fn link_token(&self, event: &EventId, link: &Link) -> String {
        sign(self.link_key(event), &link.id.0.to_string(), &link_message(event, link))
    }

    /// The link whose token this is, if it is one of `links` and not revoked.
    pub fn verify_link(&self, event: &EventId, links: &[Link], token: &str) -> Option<LinkId> {
        let (id, signature) = split_token(token)?;
        let id = LinkId(parse_canonical(id)?);
        let link = links.iter().find(|link| link.id == id && link.revoked_at.is_none())?;
        is_signed(self.link_key(event), &link_message(event, link), signature).then_some(id)
    }

    /// The cookie that a console's browser keeps instead of the admin token, until the login
    /// expires. Another admin token voids it.
    pub fn login_cookie(&self, admin_token_hash: &[u8; 32], login: Login) -> String {
        let head = format!("{}-{}", login.expires_at.0, HEXLOWER.encode(&login.id));
        sign(&self.login, &head, &login_message(admin_token_hash, login))
    }

    /// The login of a cookie under that admin token; `None` for any other text, and once it has
    /// expired at `now`.
    pub fn verify_login(&self, admin_token_hash: &[u8; 32], cookie: &str, now: Timestamp) -> Option<Login> {
        let (head, signature) = split_token(cookie)?;
        let (expires_at, id) = head.split_once('-')?;
        let id = HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()?;
        let login = Login { id, expires_at: Timestamp(parse_canonical(expires_at)?) };
        let is_valid = is_signed(&self.login, &login_message(admin_token_hash, login), signature);
        (is_valid && now < login.expires_at).then_some(login)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// The key under which the journal keeps a `request_id`: its SHA-256.
pub fn hash_request_id(request_id: &str) -> [u8; 32] {
    sha256(request_id.as_bytes())
}

/// The message behind a secret of a registration. The parts that bind it come last, so that a
/// number of [`SecretScope::Session`](crate::draw::fact::SecretScope) has the message of before.
fn registration_message(label: &str, of: &Registration, draw: Option<DrawId>) -> Vec<u8> {
    let draw = draw.map(|draw| draw.0.to_be_bytes());
    let number = of.number.0.to_be_bytes();
    let bound_to = of.bound_to.map(|(at, tag)| (at.0.to_be_bytes(), tag.to_be_bytes()));
    let mut parts: Vec<&[u8]> = vec![&of.session.0];
    parts.extend(draw.as_ref().map(<[u8; 4]>::as_slice));
    parts.push(&number);
    if let Some((at, tag)) = &bound_to {
        parts.extend([at.as_slice(), tag.as_slice()]);
    }
    message(label, &parts)
}

fn link_message(event: &EventId, link: &Link) -> Vec<u8> {
    let role = match link.role {
        LinkRole::Display => "display",
        LinkRole::Staff => "staff",
        LinkRole::Host => "host",
    };
    message("link", &[event.as_str().as_bytes(), &link.id.0.to_be_bytes(), role.as_bytes(), &link.made_at.0.to_be_bytes()])
}

fn login_message(admin_token_hash: &[u8; 32], login: Login) -> Vec<u8> {
    message("login", &[admin_token_hash, &login.expires_at.0.to_be_bytes(), &login.id])
}

fn pass_message(session: SessionId, key: &[u8; 32], expires_at: Timestamp) -> Vec<u8> {
    message("entry pass", &[&session.0, key, &expires_at.0.to_be_bytes()])
}

/// The period of a rotating entry code, counted from 1970.
fn entry_code_period(at: Timestamp) -> i64 {
    at.0.div_euclid(ENTRY_CODE_PERIOD_MS)
}

/// The message to sign: a label and parts, each after its length.
fn message(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::with_capacity(96);
    for part in [label.as_bytes()].iter().chain(parts) {
        message.extend_from_slice(&(part.len() as u32).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

fn sign(key: &hmac::Key, head: &str, message: &[u8]) -> String {
    format!("{head}.{}", BASE64URL_NOPAD.encode(hmac::sign(key, message).as_ref()))
}

fn is_signed(key: &hmac::Key, message: &[u8], signature: &str) -> bool {
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes());
    signature.is_ok_and(|signature| hmac::verify(key, message, &signature).is_ok())
}

/// The texts before and after a token's dot.
fn split_token(token: &str) -> Option<(&str, &str)> {
    token.split_once('.').filter(|_| token.len() <= TOKEN_LEN_MAX)
}

/// Reads a number from 1 in its one spelling: no sign, no leading zero.
fn parse_canonical<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

/// Brings a typed code into its canonical form: capitals, nothing between them, and the look-alikes
/// that Crockford's alphabet leaves out replaced by what they look like. `None` when it has another
/// length.
fn normalize_code(typed: &str) -> Option<[u8; CODE_LEN]> {
    let mut code = [0; CODE_LEN];
    let mut len = 0;
    for typed in typed.bytes().take(TOKEN_LEN_MAX).filter(|b| !matches!(b, b' ' | b'-')) {
        *code.get_mut(len)? = match typed.to_ascii_uppercase() {
            b'O' => b'0',
            b'I' | b'L' => b'1',
            plain => plain,
        };
        len += 1;
    }
    (len == CODE_LEN).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::{SecretScope, Settings};
    use crate::draw::{Epoch, Fact};
    use crate::store::testing::temp_data_dir;

    const HERE: SessionId = SessionId([1; 16]);
    const THERE: SessionId = SessionId([2; 16]);

    fn of(session: u8, number: u32) -> Registration {
        Registration { session: SessionId([session; 16]), number: Number(number), bound_to: Some((Timestamp(9), 7)) }
    }

    /// An event in which phones with these numbers registered, and when.
    fn event_with(session: u8, at: i64, numbers: impl IntoIterator<Item = u32>) -> Event {
        let (id, session) = (EventId::parse("gala").unwrap(), SessionId([session; 16]));
        let mut event = Event::new(id, Settings::default(), session, Epoch([2; 8]), Timestamp(0));
        for number in numbers.into_iter().map(Number) {
            let fact = Fact::Registered { number, key: [number.0 as u8; 32], secrets: SecretScope::Registration };
            event.apply(Timestamp(at), &fact);
        }
        event
    }

    fn tokens() -> Tokens {
        Tokens::new(&Keys::open(&temp_data_dir()).unwrap())
    }

    fn link(id: u32, role: LinkRole) -> Link {
        Link { id: LinkId(id), role, made_at: Timestamp(5), revoked_at: None }
    }

    #[test]
    fn a_claim_code_opens_its_own_seat_and_no_other() {
        let tokens = tokens();
        let seats = |session| (1..=50).map(move |n| (DrawId(n / 10 + 1), of(session, n)));
        let code = tokens.claim_code(&of(1, 17), DrawId(2));
        assert!(code.len() == 8 && code.bytes().all(|b| CROCKFORD.contains(&b)), "{code}");
        let typed = format!(" {}-{} ", code[..4].to_lowercase(), &code[4..]);
        assert_eq!(tokens.find_claim(seats(1), &typed), Some((DrawId(2), Number(17))));
        assert_eq!(tokens.find_claim(seats(2), &code), None, "another event's, or one from before a reset");
        for wrong in ["", "0", &code[1..], &format!("{code}0"), &tokens.recovery_code(&of(1, 17))] {
            assert_eq!(tokens.find_claim(seats(1), wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_token_is_its_number_in_its_session_only() {
        let tokens = tokens();
        let (here, there) = (event_with(1, 9, [1, 9, 10, 300]), event_with(2, 9, [1, 9, 10, 300]));
        for number in [1, 9, 10, 300].map(Number) {
            let of = here.registration(number).unwrap();
            let token = tokens.session_token(&of);
            assert_eq!(tokens.verify(&here, &token), Some(of));
            assert_eq!(token, tokens.session_token(&of), "made again, it is the same");
            assert_eq!(tokens.verify(&there, &token), None);
            assert_eq!(tokens.verify(&event_with(1, 9, [2]), &token), None, "a number that was never committed");
        }
        let other = self::tokens().session_token(&here.registration(Number(1)).unwrap());
        assert_eq!(tokens.verify(&here, &other), None, "another folder's key");
    }

    #[test]
    fn no_secret_of_a_registration_is_that_of_another_of_its_number() {
        let tokens = tokens();
        let first = event_with(1, 9, [17]).registration(Number(17)).unwrap();
        let later = event_with(1, 10, [17]).registration(Number(17)).unwrap();
        let by_another_key = Registration { bound_to: Some((Timestamp(9), 8)), ..first };
        let of_the_session = Registration { bound_to: None, ..first };
        for other in [later, by_another_key, of_the_session] {
            assert_ne!(tokens.session_token(&first), tokens.session_token(&other));
            assert_ne!(tokens.recovery_code(&first), tokens.recovery_code(&other));
            assert_ne!(tokens.claim_code(&first, DrawId(1)), tokens.claim_code(&other, DrawId(1)));
        }
    }

    #[test]
    fn no_changed_token_verifies() {
        let tokens = tokens();
        let here = event_with(1, 9, [17]);
        let token = tokens.session_token(&here.registration(Number(17)).unwrap());
        for i in 0..token.len() {
            let mut bent = token.clone().into_bytes();
            bent[i] = if bent[i] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.verify(&here, std::str::from_utf8(&bent).unwrap()), None, "character {i}");
            assert_eq!(tokens.verify(&here, &token[..i]), None, "{i} characters");
        }
        for strange in
            [format!("0{token}"), format!("+{token}"), format!("{token}="), format!(" {token}"), "17.".into(), ".".into()]
        {
            assert_eq!(tokens.verify(&here, &strange), None, "{strange}");
        }
        assert_eq!(tokens.verify(&here, &"9".repeat(1 << 20)), None);
        assert_eq!(tokens.verify(&here, "번호.번호"), None);
    }

    #[test]
    fn a_recovery_code_may_be_typed_as_people_type() {
        let tokens = tokens();
        for number in 1..=500 {
            let code = tokens.recovery_code(&of(1, number));
            assert_eq!(code.len(), 8);
            assert!(code.bytes().all(|b| CROCKFORD.contains(&b)), "{code}");
            let spaced = format!(" {}-{} ", &code[..4], code[4..].to_lowercase());
            let misread = code.replace('0', "O").replace('1', "l");
            for typed in [&code, &spaced, &misread] {
                assert!(tokens.is_recovery_code(&of(1, number), typed), "{typed}");
            }
            assert!(!tokens.is_recovery_code(&of(2, number), &code));
            assert!(!tokens.is_recovery_code(&of(1, number + 1), &code));
            assert!(!tokens.is_recovery_code(&of(1, number), &code[..7]));
            assert!(!tokens.is_recovery_code(&of(1, number), &format!("{code}0")));
        }
        assert!(!tokens.is_recovery_code(&of(1, 1), ""));
    }

    #[test]
    fn a_link_opens_its_own_event_until_it_is_revoked() {
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
        assert_eq!(tokens.verify(&event_with(1, 9, [2]), &token), None, "a link is no phone");
    }

    #[test]
    fn a_rotating_entry_code_is_worth_nothing_after_a_minute() {
        let tokens = tokens();
        let begin = Timestamp(7 * ENTRY_CODE_PERIOD_MS);
        let code = tokens.rotating_entry_code(HERE, begin);
        assert_eq!(code.len(), CODE_LEN);
        let after = |ms: i64| tokens.is_rotating_entry_code(HERE, &code.to_lowercase(), Timestamp(begin.0 + ms));
        assert!(!after(-1) && after(0) && after(29_999) && after(30_000) && after(59_999) && !after(60_000));
        assert!(!tokens.is_rotating_entry_code(THERE, &code, begin), "another session's");
        assert!(!tokens.is_rotating_entry_code(HERE, "0042", begin));
        assert_ne!(code, tokens.rotating_entry_code(HERE, Timestamp(begin.0 + ENTRY_CODE_PERIOD_MS)));
    }

    #[test]
    fn an_entry_pass_is_for_one_registration_until_it_expires() {
        let tokens = tokens();
        let pass = tokens.entry_pass(HERE, &[1; 32], Timestamp(1_000));
        let verify = |session, key: u8, pass: &str, now| tokens.verify_entry_pass(session, &[key; 32], pass, Timestamp(now));
        assert!(verify(HERE, 1, &pass, 999));
        assert!(!verify(HERE, 1, &pass, 1_000) && !verify(HERE, 2, &pass, 999) && !verify(THERE, 1, &pass, 999));
        assert!(!verify(HERE, 1, &pass.replacen("1000", "2000", 1), 999) && !verify(HERE, 1, "", 0));
    }

    #[test]
    fn a_login_ends_with_its_time_and_its_admin_token() {
        let tokens = tokens();
        let login = Login { id: [7; 16], expires_at: Timestamp(1_000) };
        let cookie = tokens.login_cookie(&[1; 32], login);
        let verify = |hash: u8, cookie: &str, now| tokens.verify_login(&[hash; 32], cookie, Timestamp(now));
        assert_eq!(verify(1, &cookie, 999), Some(login));
        assert_eq!(verify(1, &cookie, 1_000), None);
        assert_eq!(verify(2, &cookie, 999), None);
        for changed in
            [cookie.replacen("1000", "2000", 1), cookie.replacen("-07", "-08", 1), cookie.replacen('-', "", 1), "".into()]
        {
            assert_eq!(verify(1, &changed, 999), None, "{changed}");
        }
    }

    #[test]
    fn a_request_key_is_a_sha_256() {
        let key = hash_request_id("abc");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(HEXLOWER.encode(&key), known, "FIPS 180-2, appendix B.1");
    }

    #[test]
    fn parts_cannot_be_split_in_two_ways() {
        assert_ne!(message("a", &[b"bc"]), message("a", &[b"b", b"c"]));
        assert_ne!(message("ab", &[b"c"]), message("a", &[b"bc"]));
    }
}
