//! Bodies that clients send over HTTP, and their conversion into the draw's types.
//!
//! Each body is checked here once, into types that cannot be wrong; no code behind this module
//! checks a length again. Unknown fields are ignored, since old pages send some. `draws` holds the
//! bodies about draws, prizes and the prize desk; this file holds those of phones and events, and
//! the rules for single fields. No body implements `Debug`, since some hold names and tokens.
//! Rights are not checked here.

mod claim_code;
mod draws;
mod prize_order;
mod telephone;

pub use claim_code::claim_code;
pub(crate) use draws::QUANTITY_MAX;
pub use draws::{
    Cancel, ClaimCode, DrawAtOnce, DrawBody, DrawReference, HandOver, OutsideValue, PhoneCount, PrizeBody, Reset, StageChange,
    TakeFallback, UndoHandOver, Void, Wipe, desk, win_selector,
};
pub use prize_order::PrizeOrder;

use super::parse::Invalid;
use super::view::phase_named;
use crate::draw::command::{EligibilityPatch, SettingsPatch};
use crate::draw::decide::{PARTICIPANTS_MAX, PRIZES_MAX};
use crate::draw::entry_code::{EntryCode, EntryDigits};
use crate::draw::proof::OutsideRule;
use crate::draw::{Epoch, EventId, Phase, Prize, PrizeId};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use std::sync::Arc;

/// The longest name of a prize or group, title or reason, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 200;
/// The longest consent text and purpose of winners' details, in characters.
const CONSENT_CHARS_MAX: usize = 2_000;
const PURPOSE_CHARS_MAX: usize = 500;
/// The longest name and address of a winner, in characters.
const WINNER_NAME_CHARS_MAX: usize = 100;
const ADDRESS_CHARS_MAX: usize = 300;
/// The most prizes that come with a new event: half a list. A body of at most 64 KiB has 131 bytes
/// for each.
const NEW_EVENT_PRIZES_MAX: usize = PRIZES_MAX as usize / 2;
/// The length of a `request_id`, in characters: long enough for 128 random bits, short enough to
/// hash at no cost.
const REQUEST_ID_CHARS: std::ops::RangeInclusive<usize> = 16..=128;

/// `POST /register`
#[derive(Deserialize)]
pub struct Register {
    /// The event.
    pub event_id: String,
    /// The token of an earlier registration.
    pub session_token: Option<String>,
    /// The key by which a retry finds its number again.
    pub request_id: Option<String>,
    /// The code on the display.
    pub entry_code: Option<String>,
    /// The pass of a phone that had the code in time.
    pub entry_pass: Option<String>,
    /// The phone agrees to the consent text.
    #[serde(default)]
    pub consent: bool,
}

/// `POST /entry-pass`
#[derive(Deserialize)]
pub struct EntryPass {
    /// The event.
    pub event_id: String,
    /// The key of the registration that the pass is for.
    pub request_id: String,
    /// The code on the display.
    pub entry_code: String,
}

/// `POST /recover`
#[derive(Deserialize)]
pub struct Recover {
    /// The event.
    pub event_id: String,
    /// The phone's number.
    pub draw_number: u32,
    /// The code that was shown beside the number.
    pub recovery_code: String,
}

/// `POST /winner-info`, beside the [`ContactBody`] in the same object.
#[derive(Deserialize)]
pub struct WinnerInfo {
    /// The event.
    pub event_id: String,
    /// The draw that was won.
    pub draw_id: u32,
}

/// A winner's contact details as they come in. Parsed apart from the fields beside it, from the
/// same text: serde loses the path in flattened fields, and could not name the wrong one.
#[derive(Deserialize)]
pub struct ContactBody {
    /// The name.
    pub name: String,
    /// The telephone number.
    pub phone: String,
    /// The postal address.
    pub address: Option<String>,
    /// The winner agrees to their use.
    #[serde(default)]
    pub consent: bool,
    /// The version of the details that these replace.
    pub version: Option<u32>,
}

/// A winner's contact details, checked and trimmed. Never printed: `Debug` shows no field.
pub struct Contact {
    /// The name.
    pub name: String,
    /// The telephone number.
    pub phone: String,
    /// The postal address.
    pub address: Option<String>,
    /// The version of the details that these replace, 0 for none; `None` replaces any.
    pub made_from: Option<u32>,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contact(..)")
    }
}

/// `POST /admin/events`
#[derive(Deserialize)]
pub struct NewEvent {
    /// The name in addresses.
    pub event_id: String,
    /// The title; the name without one.
    pub title: Option<String>,
    /// The most participants; the server's default without one.
    pub participants_max: Option<u32>,
    /// Prizes with a group go to its members only.
    #[serde(default)]
    pub groups: bool,
    /// Weights count.
    #[serde(default)]
    pub weights: bool,
    /// The text that phones agree to.
    pub consent_text: Option<String>,
    /// The purpose of winners' details.
    pub privacy_purpose: Option<String>,
    /// The event is for practice.
    #[serde(default)]
    pub rehearsal: bool,
    /// The first prizes.
    #[serde(default)]
    pub prizes: Vec<PrizeBody>,
    /// The name of the rule for outside values; `none` without one.
    pub outside: Option<String>,
}

/// `PATCH /admin/events/{event_id}`. A missing field changes nothing.
#[derive(Deserialize)]
pub struct EventChange {
    /// The title.
    pub title: Option<String>,
    /// The most participants, which cannot change.
    pub participants_max: Option<u32>,
    /// Prizes with a group go to its members only.
    pub groups: Option<bool>,
    /// Weights count.
    pub weights: Option<bool>,
    /// The text that phones agree to; empty for none.
    pub consent_text: Option<String>,
    /// The purpose of winners' details; empty for none.
    pub privacy_purpose: Option<String>,
    /// The event is for practice, which cannot change.
    pub rehearsal: Option<bool>,
    /// The name of the rule for outside values.
    pub outside: Option<String>,
}

/// `POST phase`
#[derive(Deserialize)]
pub struct PhaseChange {
    /// The phase's name.
    pub phase: String,
}

/// `POST entry-code`
#[derive(Deserialize)]
pub struct EntryCodeChange {
    /// Four digits; `null` when phones need none.
    pub entry_code: Option<String>,
    /// The code changes with the time, and only the QR code carries it.
    #[serde(default)]
    pub rotates: bool,
}

/// `POST participants/remove`
#[derive(Deserialize)]
pub struct ParticipantRemoval {
    /// The time from which on who registered is removed, in milliseconds since 1970.
    pub from_ms: i64,
    /// The time until which who registered is removed, in milliseconds since 1970.
    pub until_ms: i64,
}

/// `POST links`
#[derive(Deserialize)]
pub struct NewLink {
    /// The role's name.
    pub role: String,
}

/// `POST /admin/login`: one of the two.
#[derive(Deserialize)]
pub struct Login {
    /// The admin token.
    pub token: Option<String>,
    /// A login that opens the console once, as the server prints it at its start.
    pub link: Option<String>,
}

/// `PATCH participants/{draw_number}`. A missing field changes nothing.
#[derive(Deserialize)]
pub struct EligibilityChange {
    /// The participant can win.
    pub eligible: Option<bool>,
    /// The group; empty for none.
    pub group: Option<String>,
    /// The chance relative to other participants.
    pub weight: Option<u16>,
}

impl EventChange {
    /// The change of the settings.
    pub fn patch(self) -> Result<SettingsPatch, Invalid> {
        Ok(SettingsPatch {
            title: self.title.as_deref().map(title).transpose()?,
            participants_max: self.participants_max.map(participants_max).transpose()?,
            groups: self.groups,
            weights: self.weights,
            consent_text: self.consent_text.map(consent_text).transpose()?,
            privacy_purpose: self.privacy_purpose.map(privacy_purpose).transpose()?,
            outside: self.outside.as_deref().map(outside).transpose()?,
            rehearsal: self.rehearsal,
        })
    }
}

impl EligibilityChange {
    /// The change of the eligibility.
    pub fn patch(self) -> Result<EligibilityPatch, Invalid> {
        let group = self.group.map(group).transpose()?;
        Ok(EligibilityPatch { eligible: self.eligible, group, weight: self.weight })
    }
}

impl ContactBody {
    /// Checks the details. Without a version they are the first ones. Open mode needs neither
    /// version nor consent, since its old pages have none.
    pub fn check(self, is_open_mode: bool) -> Result<Contact, Invalid> {
        if !self.consent && !is_open_mode {
            return Err(Invalid::field("consent", "must be true"));
        }
        let trimmed = |field, value: &str, chars_max| text(field, value, chars_max).map(|text| text.trim().to_owned());
        let name = trimmed("name", &self.name, WINNER_NAME_CHARS_MAX)?;
        let phone = telephone::telephone(&self.phone);
        let phone =
            phone.ok_or_else(|| Invalid::field("phone", "must be a telephone number, one of 010 with 10 or 11 digits"))?;
        let address = self.address.filter(|address| !address.trim().is_empty());
        let address = address.map(|address| trimmed("address", &address, ADDRESS_CHARS_MAX)).transpose()?;
        let made_from = if is_open_mode { self.version } else { Some(self.version.unwrap_or(0)) };
        Ok(Contact { name, phone, address, made_from })
    }
}

impl NewEvent {
    /// The first prizes. The event gives them their ids.
    pub fn prizes(bodies: Vec<PrizeBody>) -> Result<Vec<Prize>, Invalid> {
        if bodies.len() > NEW_EVENT_PRIZES_MAX {
            return Err(Invalid::field("prizes", format!("must be at most {NEW_EVENT_PRIZES_MAX}")));
        }
        bodies.into_iter().map(|body| body.prize(PrizeId(0))).collect()
    }
}

impl PhaseChange {
    /// The phase of that name.
    pub fn phase(&self) -> Result<Phase, Invalid> {
        phase_named(&self.phase).ok_or_else(|| Invalid::field("phase", one_of(["open", "drawing", "closed"])))
    }
}

/// An event's name in a body.
pub fn event_id(name: &str) -> Result<EventId, Invalid> {
    EventId::parse(name).ok_or_else(|| Invalid::field("event_id", format!("must be {}", EventId::RULE)))
}

/// An event's title.
pub fn title(title: &str) -> Result<Arc<str>, Invalid> {
    text("title", title, NAME_CHARS_MAX)
}

/// A consent text; `None` for an empty one.
pub fn consent_text(text: String) -> Result<Option<Arc<str>>, Invalid> {
    paragraphs("consent_text", text, CONSENT_CHARS_MAX)
}

/// The rule for outside values of that name.
pub fn outside(name: &str) -> Result<OutsideRule, Invalid> {
    OutsideRule::named(name).ok_or_else(|| Invalid::field("outside", one_of(OutsideRule::ALL.map(OutsideRule::name))))
}

/// The purpose of winners' details; `None` for an empty one.
pub fn privacy_purpose(text: String) -> Result<Option<Arc<str>>, Invalid> {
    paragraphs("privacy_purpose", text, PURPOSE_CHARS_MAX)
}

/// The most participants of an event.
pub fn participants_max(max: u32) -> Result<u32, Invalid> {
    in_range("participants_max", max, PARTICIPANTS_MAX)
}

/// A `request_id` from a body or a header.
pub fn request_id(id: &str) -> Result<&str, Invalid> {
    let fits = REQUEST_ID_CHARS.contains(&id.chars().count());
    let (min, max) = (REQUEST_ID_CHARS.start(), REQUEST_ID_CHARS.end());
    fits.then_some(id).ok_or_else(|| Invalid::field("request_id", format!("must be {min} to {max} characters")))
}

/// A group's name; `None` for an empty one.
fn group(name: String) -> Result<Option<Arc<str>>, Invalid> {
    optional("group", Some(name))
}

impl EntryCodeChange {
    /// The code.
    pub fn code(&self) -> Result<Option<EntryCode>, Invalid> {
        match &self.entry_code {
            Some(_) if self.rotates => Err(Invalid::field("rotates", "takes no entry_code")),
            None if self.rotates => Ok(Some(EntryCode::Rotating)),
            digits => Ok(digits.as_deref().map(entry_code).transpose()?.map(EntryCode::Fixed)),
        }
    }
}

/// An entry code that people type.
fn entry_code(code: &str) -> Result<EntryDigits, Invalid> {
    EntryDigits::parse(code).ok_or_else(|| Invalid::field("entry_code", "must be four to eight digits"))
}

/// An event's epoch, of 16 hexadecimal digits; `None` for any other text, which matches no event.
pub fn epoch(text: &str) -> Option<Epoch> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok().map(Epoch)
}

/// A number of 1 to `max`.
fn in_range(field: &'static str, number: u32, max: u32) -> Result<u32, Invalid> {
    let fits = (1..=max).contains(&number);
    fits.then_some(number).ok_or_else(|| Invalid::field(field, format!("must be 1 to {max}")))
}

/// A text of 1 to `chars_max` characters, none of them a control character.
fn text(field: &'static str, text: &str, chars_max: usize) -> Result<Arc<str>, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::field(field, "must not be empty"));
    }
    check_chars(field, text, chars_max, |_| false)?;
    Ok(text.into())
}

/// A text of several lines; `None` for an empty one.
fn paragraphs(field: &'static str, text: String, chars_max: usize) -> Result<Option<Arc<str>>, Invalid> {
    let text = text.replace("\r\n", "\n");
    check_chars(field, &text, chars_max, |c| c == '\n')?;
    Ok(Some(text.trim().into()).filter(|text: &Arc<str>| !text.is_empty()))
}

/// Checks a text's length, and that it holds no control characters but those of `allowed`.
fn check_chars(field: &'static str, text: &str, chars_max: usize, allowed: fn(char) -> bool) -> Result<(), Invalid> {
    if text.chars().count() > chars_max {
        return Err(Invalid::field(field, format!("must be at most {chars_max} characters")));
    }
    if text.chars().any(|c| c.is_control() && !allowed(c)) {
        let breaks = if allowed('\n') { " but line breaks" } else { "" };
        return Err(Invalid::field(field, format!("must hold no control characters{breaks}")));
    }
    Ok(())
}

/// An optional name; `None` for an empty one.
fn optional(field: &'static str, value: Option<String>) -> Result<Option<Arc<str>>, Invalid> {
    value.filter(|value| !value.is_empty()).map(|value| text(field, &value, NAME_CHARS_MAX)).transpose()
}

fn one_of<const N: usize>(names: [&str; N]) -> String {
    format!("must be one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse::parse;

    #[test]
    fn fuzzed_bodies_are_read_or_refused() {
        let why = |result: Result<(), Invalid>| result.map_or_else(|invalid| invalid.to_string(), |()| "read".to_owned());
        crate::fuzz::run("requests", 2_000, |body| {
            [
                why(parse::<Register>(body).map(drop)),
                why(parse::<DrawBody>(body).and_then(DrawBody::draw_request).map(drop)),
                why(parse::<DrawAtOnce>(body).and_then(|body| body.draw_body().draw_request()).map(drop)),
                why(parse::<Void>(body).and_then(Void::parts).map(drop)),
                why(parse::<PrizeBody>(body)
                    .and_then(|body| body.made_from(true).and_then(|_| body.prize(PrizeId(1))))
                    .map(drop)),
                why(parse::<NewEvent>(body).map(drop)),
                why(parse::<EventChange>(body).and_then(EventChange::patch).map(drop)),
                why(parse::<WinnerInfo>(body).map(drop)),
                why(parse::<Reset>(body).map(drop)),
                why(parse::<PrizeOrder>(body).map(drop)),
            ]
            .join("; ")
        });
    }

    fn contact(name: &str, phone: &str, consent: bool, is_open_mode: bool) -> Result<Contact, Invalid> {
        ContactBody { name: name.into(), phone: phone.into(), address: Some(" ".into()), consent, version: None }
            .check(is_open_mode)
    }

    #[test]
    fn a_winner_needs_a_name_a_plausible_number_and_consent() {
        assert!(contact("김철수", "010-1234-5678", true, false).is_ok());
        assert!(contact("김철수", "+82 10 1234 5678", false, true).is_ok(), "old pages ask for no consent");
        let field = |result: Result<Contact, Invalid>| match result {
            Err(Invalid::Field { field, .. }) => field.into_owned(),
            _ => "fits".into(),
        };
        assert_eq!(field(contact("김철수", "010-1234-5678", false, false)), "consent");
        assert_eq!(field(contact(" ", "010-1234-5678", true, false)), "name");
        assert_eq!(field(contact(&"x".repeat(101), "010-1234-5678", true, false)), "name");
        for phone in ["", "123456", "010-1234-567a", "+------+", &"1".repeat(21)] {
            assert_eq!(field(contact("김철수", phone, true, false)), "phone", "{phone}");
        }
    }

    #[test]
    fn short_texts_are_checked_by_their_shape() {
        assert!(request_id(&"r".repeat(15)).is_err() && request_id(&"r".repeat(16)).is_ok());
        assert!(request_id(&"r".repeat(128)).is_ok() && request_id(&"r".repeat(129)).is_err());
        assert_eq!(entry_code("0042").unwrap().as_str(), "0042");
        for code in ["", "042", "123456789", "12a4", "१२३४"] {
            assert!(entry_code(code).is_err(), "{code}");
        }
    }

    #[test]
    fn texts_are_bounded_in_characters_and_hold_no_control_characters() {
        for chars in [1, NAME_CHARS_MAX] {
            assert!(title(&"가".repeat(chars)).is_ok(), "{chars} characters");
        }
        for wrong in ["", "  ", "a\u{7}b", "a\nb", &"가".repeat(NAME_CHARS_MAX + 1)] {
            assert!(title(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(consent_text("a\r\nb ".into()).unwrap().as_deref(), Some("a\nb"), "line breaks are kept");
        assert_eq!(privacy_purpose(" \n".into()), Ok(None));
        assert!(consent_text("a\u{7}b".into()).is_err());
        assert!(privacy_purpose("x".repeat(PURPOSE_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn numbers_and_names_outside_their_ranges_are_refused() {
        assert!(participants_max(1).is_ok() && participants_max(PARTICIPANTS_MAX).is_ok());
        assert!(participants_max(0).is_err() && participants_max(PARTICIPANTS_MAX + 1).is_err());
        assert!(event_id("events").unwrap_err().to_string().ends_with(EventId::RULE));
        assert_eq!(epoch("0202020202020202"), Some(Epoch([2; 8])));
        assert_eq!(epoch("ABABABABABABABAB"), Some(Epoch([0xab; 8])));
        for text in ["", "02", "02020202020202020", "xx02020202020202", "020202020202020202"] {
            assert_eq!(epoch(text), None, "{text}");
        }
        let phase = |name: &str| PhaseChange { phase: name.into() }.phase();
        assert_eq!(phase("drawing"), Ok(Phase::Drawing));
        assert_eq!(phase("over").unwrap_err().to_string(), "phase: must be one of open, drawing, closed");
    }

    #[test]
    fn a_new_event_brings_at_most_half_a_list_of_prizes() {
        let bodies = |count: usize| {
            let body = r#"{"prize_name":"TV","prize_rank":1,"quantity":1}"#;
            (0..count).map(|_| parse::<PrizeBody>(body.as_bytes()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(NewEvent::prizes(bodies(500)).unwrap().len(), 500);
        assert!(NewEvent::prizes(bodies(501)).unwrap_err().to_string().starts_with("prizes: must be at most 500"));
    }
}
