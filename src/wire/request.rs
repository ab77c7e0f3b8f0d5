//! What clients send over HTTP: the bodies as they lie in JSON, and the draw's own nouns made of them.
//!
//! A body is checked once, here, into types that cannot be wrong; behind this file nobody asks again how long a name is. Unknown
//! fields are ignored, since old pages send some. `draws` holds the bodies of the draw calls, `desk` those of the prize desk. No body prints itself: some hold names and tokens. Nothing here knows whether the sender may ask for what it asks.

mod desk;
mod draws;

pub use desk::{ClaimCode, HandOver, SeatNamed, Wipe, desk};
pub use draws::{Cancel, DrawAtOnce, Meant, MeantDraw, Reset, Spec, Void};

use super::parse::Invalid;
use crate::draw::command::WinSelector;
use crate::draw::decide::PARTICIPANTS_MAX;
use crate::draw::{DrawId, Epoch, EventId, Mode, Phase, Prize, PrizeId};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use std::sync::Arc;

/// The longest name of a prize or a group, a title or a reason, in characters.
const NAME_CHARS_MAX: usize = 200;
/// The longest consent text and purpose of winners' details.
const CONSENT_CHARS_MAX: usize = 2_000;
const PURPOSE_CHARS_MAX: usize = 500;
/// The longest path of an image.
const IMAGE_CHARS_MAX: usize = 500;
/// The most of one prize.
const QUANTITY_MAX: u32 = 100_000;
/// The most prizes that come with a new event.
const PRIZES_MAX: usize = 500;
/// How long a `request_id` is: long enough to hold 128 random bits, short enough to be hashed at no cost.
const REQUEST_ID_LEN: std::ops::RangeInclusive<usize> = 16..=128;

/// A call that takes nothing: no body, `{}` or `null`.
pub type Nothing = Option<Empty>;

/// An object whose fields do not matter.
#[derive(Deserialize)]
pub struct Empty {}

/// `POST /register`
#[derive(Deserialize)]
pub struct Register {
    pub event_id: String,
    pub session_token: Option<String>,
    pub request_id: Option<String>,
    pub entry_code: Option<String>,
    #[serde(default)]
    pub consent: bool,
}

/// `POST /recover`
#[derive(Deserialize)]
pub struct Recover {
    pub event_id: String,
    pub draw_number: u32,
    pub recovery_code: String,
}

/// `POST /winner-info`, beside the [`ContactBody`] in the same object.
#[derive(Deserialize)]
pub struct WinnerInfo {
    pub event_id: String,
    pub draw_id: u32,
}

/// How a winner can be reached, as it is handed in. Read by itself from the same text as what it stands beside: serde forgets where it is in
/// flattened fields, and could not say which of them is wrong.
#[derive(Deserialize)]
pub struct ContactBody {
    pub name: String,
    pub phone: String,
    pub address: Option<String>,
    #[serde(default)]
    pub consent: bool,
}

/// How a winner can be reached, checked. Never printed: `Debug` shows no field.
pub struct Contact {
    pub name: String,
    pub phone: String,
    pub address: Option<String>,
}

impl std::fmt::Debug for Contact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contact(..)")
    }
}

/// `POST /admin/events`
#[derive(Deserialize)]
pub struct NewEvent {
    pub event_id: String,
    pub title: Option<String>,
    pub participants_max: Option<u32>,
    #[serde(default)]
    pub groups: bool,
    #[serde(default)]
    pub weights: bool,
    pub consent_text: Option<String>,
    pub privacy_purpose: Option<String>,
    #[serde(default)]
    pub rehearsal: bool,
    #[serde(default)]
    pub prizes: Vec<PrizeBody>,
}

/// `PATCH /admin/events/{event_id}`: what is left out stays.
#[derive(Deserialize)]
pub struct EventChange {
    pub title: Option<String>,
    pub participants_max: Option<u32>,
    pub groups: Option<bool>,
    pub weights: Option<bool>,
    pub consent_text: Option<String>,
    pub privacy_purpose: Option<String>,
    pub rehearsal: Option<bool>,
}

/// `POST phase`
#[derive(Deserialize)]
pub struct PhaseChange {
    pub phase: String,
}

/// `POST entry-code`: none asks for none.
#[derive(Deserialize)]
pub struct EntryCode {
    pub entry_code: Option<String>,
}

/// `POST links`
#[derive(Deserialize)]
pub struct NewLink {
    pub role: String,
}

/// `POST /admin/login`
#[derive(Deserialize)]
pub struct Login {
    pub token: String,
}

/// A prize, new or changed as a whole.
#[derive(Deserialize)]
pub struct PrizeBody {
    pub prize_name: String,
    pub prize_rank: u32,
    pub prize_grade: Option<String>,
    pub quantity: u32,
    pub draw_mode: Option<String>,
    pub winner_count: Option<u32>,
    pub prize_image: Option<String>,
    #[serde(default)]
    pub repeat_winners: bool,
    pub group: Option<String>,
    #[serde(default)]
    pub needs_address: bool,
}

/// `POST prizes/order`
#[derive(Deserialize)]
pub struct PrizeOrder {
    pub order: Vec<u32>,
}

/// `PATCH participants/{draw_number}`: what is left out stays; `group: ""` takes the group away.
#[derive(Deserialize)]
pub struct EligibilityChange {
    pub eligible: Option<bool>,
    pub group: Option<String>,
    pub weight: Option<u16>,
}

impl ContactBody {
    /// Checks what a winner handed in; `trusting` is open mode, whose old pages ask for no consent.
    pub fn check(self, trusting: bool) -> Result<Contact, Invalid> {
        if !self.consent && !trusting {
            return Err(Invalid::field("consent", "must be true"));
        }
        let name = text("name", &self.name, 100)?.trim().to_owned();
        let phone = self.phone.trim().to_owned();
        let plausible = phone.bytes().all(|b| b.is_ascii_digit() || b"+-() ".contains(&b));
        let digits = phone.bytes().filter(u8::is_ascii_digit).count();
        if !plausible || !(7..=20).contains(&phone.len()) || digits < 7 {
            return Err(Invalid::field("phone", "must be a telephone number of 7 to 20 characters"));
        }
        let address = self.address.filter(|address| !address.trim().is_empty());
        let address =
            address.map(|address| text("address", &address, 300).map(|address| address.trim().to_owned())).transpose()?;
        Ok(Contact { name, phone, address })
    }
}

impl PrizeBody {
    /// The prize under that id.
    pub fn prize(self, id: PrizeId) -> Result<Prize, Invalid> {
        if !(1..=QUANTITY_MAX).contains(&self.quantity) {
            return Err(Invalid::field("quantity", format!("must be 1 to {QUANTITY_MAX}")));
        }
        let mode = mode(self.draw_mode)?;
        let winners_max = mode.map_or(Mode::List.winners_max(), Mode::winners_max);
        if self.winner_count.is_some_and(|count| !(1..=winners_max).contains(&count)) {
            return Err(Invalid::field("winner_count", format!("must be 1 to {winners_max}")));
        }
        Ok(Prize {
            id,
            name: text("prize_name", &self.prize_name, NAME_CHARS_MAX)?,
            rank: self.prize_rank,
            grade: optional("prize_grade", self.prize_grade)?,
            quantity: self.quantity,
            mode,
            winner_count: self.winner_count,
            image: image(self.prize_image)?,
            repeat_winners: self.repeat_winners,
            group: optional("group", self.group)?,
            needs_address: self.needs_address,
        })
    }
}

impl NewEvent {
    /// The prizes it comes with; their ids are the event's to give.
    pub fn prizes(bodies: Vec<PrizeBody>) -> Result<Vec<Prize>, Invalid> {
        if bodies.len() > PRIZES_MAX {
            return Err(Invalid::field("prizes", format!("must be at most {PRIZES_MAX}")));
        }
        bodies.into_iter().map(|body| body.prize(PrizeId(0))).collect()
    }
}

impl PhaseChange {
    /// The phase it names.
    pub fn phase(&self) -> Result<Phase, Invalid> {
        match self.phase.as_str() {
            "open" => Ok(Phase::Open),
            "drawing" => Ok(Phase::Drawing),
            "closed" => Ok(Phase::Closed),
            _ => Err(Invalid::field("phase", one_of(["open", "drawing", "closed"]))),
        }
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

/// What a phone agrees to; an empty text asks for nothing.
pub fn consent_text(text: String) -> Result<Option<Arc<str>>, Invalid> {
    paragraphs("consent_text", text, CONSENT_CHARS_MAX)
}

/// What winners' details are used for; an empty text says nothing.
pub fn privacy_purpose(text: String) -> Result<Option<Arc<str>>, Invalid> {
    paragraphs("privacy_purpose", text, PURPOSE_CHARS_MAX)
}

/// How many participants an event takes.
pub fn participants_max(max: u32) -> Result<u32, Invalid> {
    let fits = (1..=PARTICIPANTS_MAX).contains(&max);
    fits.then_some(max).ok_or_else(|| Invalid::field("participants_max", format!("must be 1 to {PARTICIPANTS_MAX}")))
}

/// A `request_id`, wherever it stood.
pub fn request_id(id: &str) -> Result<&str, Invalid> {
    let fits = REQUEST_ID_LEN.contains(&id.chars().count());
    fits.then_some(id).ok_or_else(|| Invalid::field("request_id", "must be 16 to 128 characters"))
}

/// A group's name, `""` for none.
pub fn group(name: String) -> Result<Option<Arc<str>>, Invalid> {
    optional("group", Some(name))
}

/// Four digits.
pub fn entry_code(code: &str) -> Result<[u8; 4], Invalid> {
    let digits = <[u8; 4]>::try_from(code.as_bytes()).ok().filter(|code| code.iter().all(u8::is_ascii_digit));
    digits.ok_or_else(|| Invalid::field("entry_code", "must be four digits"))
}

/// Which win a winner means: the draw by its id, as new pages know it, else the prize's name, which is all that old ones know.
pub fn pick(draw_id: Option<u32>, prize_name: Option<String>) -> Result<WinSelector, Invalid> {
    match (draw_id, prize_name) {
        (Some(id), _) => Ok(WinSelector::Draw(DrawId(id))),
        (None, Some(name)) => Ok(WinSelector::PrizeNamed(text("prize_name", &name, NAME_CHARS_MAX)?)),
        (None, None) => Err(Invalid::field("prize_name", "is missing")),
    }
}

/// An event's epoch, 16 hexadecimal digits; none for anything else, which matches no event.
pub fn epoch(text: &str) -> Option<Epoch> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok().map(Epoch)
}

/// A text of 1 to `chars_max` characters, none of them a control character.
fn text(field: &'static str, text: &str, chars_max: usize) -> Result<Arc<str>, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::field(field, "must not be empty"));
    }
    if text.chars().count() > chars_max {
        return Err(Invalid::field(field, format!("must be at most {chars_max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::field(field, "must hold no control characters"));
    }
    Ok(text.into())
}

/// A text of several lines, none if it is empty.
fn paragraphs(field: &'static str, text: String, chars_max: usize) -> Result<Option<Arc<str>>, Invalid> {
    let text = text.replace("\r\n", "\n");
    if text.chars().count() > chars_max {
        return Err(Invalid::field(field, format!("must be at most {chars_max} characters")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Invalid::field(field, "must hold no control characters but line breaks"));
    }
    Ok(Some(text.trim().into()).filter(|text: &Arc<str>| !text.is_empty()))
}

/// A text that may be left out; an empty one is none.
fn optional(field: &'static str, value: Option<String>) -> Result<Option<Arc<str>>, Invalid> {
    value.filter(|value| !value.is_empty()).map(|value| text(field, &value, NAME_CHARS_MAX)).transpose()
}

/// An image's path. However short, image data never travels in a frame.
fn image(path: Option<String>) -> Result<Option<Arc<str>>, Invalid> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    if is_data_url(&path) {
        return Err(Invalid::field("prize_image", "must be a path, as the call `images` gives it"));
    }
    text("prize_image", &path, IMAGE_CHARS_MAX).map(Some)
}

fn is_data_url(image: &str) -> bool {
    image.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

fn mode(name: Option<String>) -> Result<Option<Mode>, Invalid> {
    let named = |name: String| Mode::named(&name).ok_or_else(|| Invalid::field("draw_mode", one_of(Mode::ALL.map(Mode::name))));
    name.map(named).transpose()
}

fn one_of<const N: usize>(names: [&str; N]) -> String {
    format!("must be one of {}", names.join(", "))
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;
    use crate::draw::DrawRequest;

    fn contact(name: &str, phone: &str, consent: bool, trusting: bool) -> Result<Contact, Invalid> {
        ContactBody { name: name.into(), phone: phone.into(), address: Some(" ".into()), consent }.check(trusting)
    }

    fn spec(body: &str) -> Result<DrawRequest, Invalid> {
        parse::<Spec>(body.as_bytes()).and_then(Spec::wish)
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
    fn a_draw_names_its_prize_and_a_mode_that_exists() {
        let wish = spec(r#"{"prize_name":"TV","prize_rank":1,"prize_image":"","draw_mode":"card","winner_count":3}"#).unwrap();
        assert_eq!((wish.prize_name.as_deref(), wish.mode, wish.winner_count), (Some("TV"), Some(Mode::Card), Some(3)));
        assert_eq!(wish.prize_image, None);
        for (body, field) in [
            (r#"{"prize_name":"TV","prize_rank":1,"draw_mode":"roulette"}"#, "draw_mode"),
            (r#"{"prize_name":"a\nb","prize_rank":1}"#, "prize_name"),
            (r#"{"prize_name":"TV","prize_rank":"1"}"#, "prize_rank"),
            (r#"{"prize_name":"TV","prize_rank":-1}"#, "prize_rank"),
        ] {
            assert!(spec(body).expect_err(body).to_string().starts_with(field), "{body}");
        }
    }

    #[test]
    fn a_data_url_is_taken_out_and_a_path_is_left() {
        let mut body: Spec = parse(br#"{"prize_image":"DATA:image/png;base64,AA"}"#).unwrap();
        assert_eq!(body.take_data_url().as_deref(), Some("DATA:image/png;base64,AA"));
        assert_eq!(body.prize_image, None);
        let mut body: Spec = parse(br#"{"prize_image":"/api/luckydraw/images/a.png"}"#).unwrap();
        assert_eq!(body.take_data_url(), None);
        assert!(body.prize_image.is_some());
    }

    #[test]
    fn a_prize_cannot_win_more_at_once_than_its_mode_shows() {
        let prize = |body: &str| parse::<PrizeBody>(body.as_bytes()).unwrap().prize(PrizeId(1));
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":5,"draw_mode":"card","winner_count":5}"#).is_ok());
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":5,"draw_mode":"card","winner_count":6}"#).is_err());
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":0}"#).is_err());
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":500,"winner_count":500}"#).is_ok());
    }

    #[test]
    fn a_listed_prize_has_its_image_at_a_path() {
        let prize = |image: &str| {
            let body = format!(r#"{{"prize_name":"TV","prize_rank":1,"quantity":5,"prize_image":"{image}"}}"#);
            parse::<PrizeBody>(body.as_bytes()).unwrap().prize(PrizeId(1)).map(|prize| prize.image)
        };
        assert_eq!(prize("/api/luckydraw/images/a.png"), Ok(Some("/api/luckydraw/images/a.png".into())));
        assert_eq!(prize(""), Ok(None));
        for data in ["data:image/png;base64,AA", "DATA:,"] {
            assert!(prize(data).unwrap_err().to_string().starts_with("prize_image"), "no frame carries {data}");
        }
    }

    #[test]
    fn an_empty_call_takes_no_body_an_object_and_null() {
        for body in ["", " \n", "{}", "null", r#"{"anything":[1]}"#] {
            assert!(parse::<Nothing>(body.as_bytes()).is_ok(), "{body}");
        }
        assert!(parse::<Nothing>(b"a=1").is_err());
        assert!(parse::<Reset>(b"").unwrap().reset_draws, "a reset without a word clears the draws");
    }

    #[test]
    fn short_texts_are_checked_by_their_shape() {
        assert!(request_id(&"r".repeat(15)).is_err() && request_id(&"r".repeat(16)).is_ok());
        assert!(request_id(&"r".repeat(128)).is_ok() && request_id(&"r".repeat(129)).is_err());
        assert_eq!(entry_code("0042"), Ok(*b"0042"));
        for code in ["", "042", "12345", "12a4", "१२३४"] {
            assert!(entry_code(code).is_err(), "{code}");
        }
        assert!(pick(None, None).is_err());
        assert_eq!(pick(Some(7), Some("TV".into())), Ok(WinSelector::Draw(DrawId(7))));
    }
}
