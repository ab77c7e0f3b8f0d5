//! Bodies about draws, prizes and the prize desk.
//!
//! The rules decide what can be drawn. A body here only has to be complete and within its limits.

use super::{Invalid, NAME_CHARS_MAX, in_range, one_of, optional, text};
use crate::base::image_name::{self, ImageName};
use crate::draw::command::{Redraw, WinSelector};
use crate::draw::fact::VoidReason;
use crate::draw::prize::PrizeVersion;
use crate::draw::proof::Words;
use crate::draw::{DrawId, DrawRequest, Mode, Number, Prize, PrizeId, ShowLength};
use crate::wire::message::StageReport;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use std::sync::Arc;

/// The longest path of an image, in characters.
const IMAGE_CHARS_MAX: usize = 500;
/// The highest quantity of a prize.
pub(crate) const QUANTITY_MAX: u32 = 100_000;
/// The longest name of a desk, in characters.
const DESK_CHARS_MAX: usize = 60;
/// The words that confirm the wiping of a rehearsal, in the console's two languages.
const WIPE_WORDS: [&str; 2] = ["리허설", "REHEARSAL"];

/// `POST draw/standby` and `draw/start-animation`
#[derive(Deserialize)]
pub struct DrawBody {
    /// The listed prize.
    pub prize_id: Option<u32>,
    /// The prize's name.
    pub prize_name: Option<String>,
    /// The prize's rank.
    pub prize_rank: Option<u32>,
    /// The path of the prize's image, or the image as a `data:` URL.
    pub prize_image: Option<String>,
    /// The animation's name.
    pub draw_mode: Option<String>,
    /// The number of winners.
    pub winner_count: Option<u32>,
    /// The newest draw that the console knows of, 0 for none.
    pub last_draw_id: Option<u32>,
}

/// `POST draw`
#[derive(Deserialize)]
pub struct DrawAtOnce {
    /// The listed prize.
    pub prize_id: Option<u32>,
    /// The prize's name.
    pub prize_name: Option<String>,
    /// The prize's rank.
    pub prize_rank: Option<u32>,
    /// The path of the prize's image, or the image as a `data:` URL.
    pub prize_image: Option<String>,
    /// The number of winners.
    pub count: u32,
    /// The newest draw that the console knows of, 0 for none.
    pub last_draw_id: Option<u32>,
    /// The key by which a retry finds its draw again.
    pub request_id: Option<String>,
}

/// `POST draw/reveal` and `draw/complete`, which also take no body and `null`.
#[derive(Default, Deserialize)]
pub struct DrawReference {
    /// The draw; without one, the draw whose turn it is.
    pub draw_id: Option<u32>,
}

/// `PATCH stages/{stage_id}`: what it names changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct StageChange {
    /// True: this stage leads, and no other.
    pub is_lead: Option<bool>,
    /// The page, one of [`StageReport::PAGES`].
    pub page: Option<String>,
    /// A black screen.
    pub is_black: Option<bool>,
    /// No sound.
    pub is_muted: Option<bool>,
    /// The QR code in place of what is shown.
    pub shows_code: Option<bool>,
}

impl StageChange {
    /// Checks the page's name.
    ///
    /// # Errors
    /// For another name.
    pub fn check(&self) -> Result<(), Invalid> {
        let is_page = self.page.as_deref().is_none_or(|page| StageReport::PAGES.contains(&page));
        if is_page { Ok(()) } else { Err(Invalid::field("page", one_of(StageReport::PAGES))) }
    }
}

/// `POST draw/outside`
#[derive(Deserialize)]
pub struct OutsideValue {
    /// The pending draw.
    pub draw_id: u32,
    /// The words that the hall called out.
    pub words: String,
}

/// `POST draw/fallback`
#[derive(Deserialize)]
pub struct TakeFallback {
    /// The pending draw.
    pub draw_id: u32,
    /// The reason, which is public.
    pub reason: String,
}

/// `POST draw/cancel`
#[derive(Deserialize)]
pub struct Cancel {
    /// The reason, which is public.
    pub reason: Option<String>,
    /// The draw; without one, the pending draw or the standby.
    pub draw_id: Option<u32>,
}

/// `POST draw/void`
#[derive(Deserialize)]
pub struct Void {
    /// The seat's draw.
    pub draw_id: u32,
    /// The seat's number.
    pub draw_number: u32,
    /// The reason's name.
    pub reason: String,
    /// Redraws the seat.
    #[serde(default)]
    pub redraw: bool,
}

/// `POST reset`
#[derive(Deserialize)]
pub struct Reset {
    /// Clears participants and draws.
    #[serde(default)]
    pub reset_participants: bool,
    /// Clears draws.
    #[serde(default = "yes")]
    pub reset_draws: bool,
    /// Makes a backup before anything is cleared.
    #[serde(default)]
    pub backup: bool,
}

/// `POST prizes` and `PUT prizes/{prize_id}`
#[derive(Deserialize)]
pub struct PrizeBody {
    /// The name.
    pub prize_name: String,
    /// The rank; 1 is the highest.
    pub prize_rank: u32,
    /// The name of the rank.
    pub prize_grade: Option<String>,
    /// The number of prizes to win.
    pub quantity: u32,
    /// The animation's name.
    pub draw_mode: Option<String>,
    /// The winners per draw.
    pub winner_count: Option<u32>,
    /// Seconds of the show.
    pub show_seconds: Option<u32>,
    /// The path of the image.
    pub prize_image: Option<String>,
    /// Winners of other prizes can win this one too.
    #[serde(default)]
    pub repeat_winners: bool,
    /// The only group that can win it.
    pub group: Option<String>,
    /// The prize is sent to its winners.
    #[serde(default)]
    pub needs_address: bool,
    /// The version of the prize that a change was made from, as the list of prizes gave it.
    pub version: Option<String>,
}

/// `POST claims/look-up`
#[derive(Deserialize)]
pub struct ClaimCode {
    /// The claim code on the winner's phone.
    pub code: String,
}

/// `POST claims/hand-over`
#[derive(Deserialize)]
pub struct HandOver {
    /// The claim code on the winner's phone.
    pub code: String,
    /// The desk's name.
    pub desk: String,
}

/// `POST claims/undo`
#[derive(Deserialize)]
pub struct UndoHandOver {
    /// The winner's draw.
    pub draw_id: u32,
    /// The winner's number.
    pub draw_number: u32,
}

/// `POST rehearsal/phones`
#[derive(Deserialize)]
pub struct PhoneCount {
    /// Simulated phones that there are to be.
    pub count: u32,
}

/// `POST rehearsal/wipe`
#[derive(Deserialize)]
pub struct Wipe {
    /// The word that confirms it.
    pub word: String,
}

impl Wipe {
    /// Checks the word, so that no operator wipes an event by a slip.
    pub fn check(&self) -> Result<(), Invalid> {
        let typed = self.word.trim();
        let is_word = WIPE_WORDS.iter().any(|word| typed.eq_ignore_ascii_case(word));
        if is_word { Ok(()) } else { Err(Invalid::field("word", format!("must be {}", WIPE_WORDS.join(" or ")))) }
    }
}

impl DrawBody {
    /// Removes an image that came as a `data:` URL. The caller stores it and puts its path in its
    /// place.
    pub fn take_data_url(&mut self) -> Option<String> {
        self.prize_image.take_if(|image| is_data_url(image))
    }

    /// The draw request.
    pub fn draw_request(self) -> Result<DrawRequest, Invalid> {
        Ok(DrawRequest {
            prize_id: self.prize_id.map(PrizeId),
            prize_name: optional("prize_name", self.prize_name)?,
            prize_rank: self.prize_rank,
            prize_image: image(self.prize_image)?,
            mode: mode(self.draw_mode)?,
            winner_count: self.winner_count,
            last_draw: self.last_draw_id.map(DrawId),
            request: None,
        })
    }
}

impl DrawAtOnce {
    /// The same draw as a body of the other draw calls.
    pub fn draw_body(self) -> DrawBody {
        let Self { prize_id, prize_name, prize_rank, prize_image, count, last_draw_id, .. } = self;
        let draw_mode = Some(Mode::List.name().into());
        DrawBody { prize_id, prize_name, prize_rank, prize_image, draw_mode, winner_count: Some(count), last_draw_id }
    }
}

impl OutsideValue {
    /// The draw and its words.
    pub fn parts(self) -> Result<(DrawId, Words), Invalid> {
        let words = Words::parse(&self.words).ok_or_else(|| Invalid::field("words", Words::RULE))?;
        Ok((DrawId(self.draw_id), words))
    }
}

impl TakeFallback {
    /// The draw and the reason.
    pub fn parts(self) -> Result<(DrawId, Arc<str>), Invalid> {
        let reason = optional("reason", Some(self.reason))?.ok_or_else(|| Invalid::field("reason", "must say why"))?;
        Ok((DrawId(self.draw_id), reason))
    }
}

impl Cancel {
    /// The reason, which is public; `cancelled` without one.
    pub fn reason(self) -> Result<Arc<str>, Invalid> {
        Ok(optional("reason", self.reason)?.unwrap_or_else(|| "cancelled".into()))
    }
}

impl Void {
    /// The draw, the number, the reason and the choice to redraw.
    pub fn parts(self) -> Result<(DrawId, Number, VoidReason, Redraw), Invalid> {
        let reason = VoidReason::named(&self.reason);
        let reason = reason.ok_or_else(|| Invalid::field("reason", one_of(VoidReason::ALL.map(VoidReason::name))))?;
        Ok((DrawId(self.draw_id), Number(self.draw_number), reason, if self.redraw { Redraw::Yes } else { Redraw::No }))
    }
}

impl PrizeBody {
    /// The version that the change was made from. Open mode needs none, since its old scripts name
    /// none.
    pub fn made_from(&self, is_open_mode: bool) -> Result<Option<PrizeVersion>, Invalid> {
        if self.version.is_none() && !is_open_mode {
            return Err(Invalid::field("version", "is missing"));
        }
        let version = |text: &String| HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(PrizeVersion);
        let read = |text| version(text).ok_or_else(|| Invalid::field("version", "must be 16 hexadecimal digits"));
        self.version.as_ref().map(read).transpose()
    }

    /// The prize, with this id.
    pub fn prize(self, id: PrizeId) -> Result<Prize, Invalid> {
        let quantity = in_range("quantity", self.quantity, QUANTITY_MAX)?;
        let mode = mode(self.draw_mode)?;
        let winners_max = mode.map_or(Mode::List.winners_max(), Mode::winners_max);
        let winner_count = self.winner_count.map(|count| in_range("winner_count", count, winners_max)).transpose()?;
        Ok(Prize {
            id,
            name: text("prize_name", &self.prize_name, NAME_CHARS_MAX)?,
            rank: self.prize_rank,
            grade: optional("prize_grade", self.prize_grade)?,
            quantity,
            mode,
            winner_count,
            show_length: self.show_seconds.map(show_length).transpose()?,
            image: image(self.prize_image)?,
            repeat_winners: self.repeat_winners,
            group: optional("group", self.group)?,
            needs_address: self.needs_address,
        })
    }
}

/// The win that a winner means: by the draw's id, as new pages name it, else by the prize's name,
/// which is all that old pages know.
pub fn win_selector(draw_id: Option<u32>, prize_name: Option<String>) -> Result<WinSelector, Invalid> {
    match (draw_id, prize_name) {
        (Some(id), _) => Ok(WinSelector::Draw(DrawId(id))),
        (None, Some(name)) => Ok(WinSelector::PrizeNamed(text("prize_name", &name, NAME_CHARS_MAX)?)),
        (None, None) => Err(Invalid::field("prize_name", "is missing")),
    }
}

/// A desk's name.
pub fn desk(name: &str) -> Result<Arc<str>, Invalid> {
    text("desk", name.trim(), DESK_CHARS_MAX)
}

/// An image's address. Image data is refused, however short, since it would travel in every frame.
fn image(path: Option<String>) -> Result<Option<Arc<str>>, Invalid> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    if is_data_url(&path) {
        return Err(Invalid::field("prize_image", "must be a path, as the call `images` gives it"));
    }
    let path = text("prize_image", &path, IMAGE_CHARS_MAX)?;
    let is_address = is_image_address(&path);
    is_address.then_some(Some(path)).ok_or_else(|| Invalid::field("prize_image", "must be a path, as the call `images` gives it"))
}

/// True for a stored image, for another path of this host, and for an https address. No page asks
/// another host for an image, but old scripts name such addresses.
fn is_image_address(path: &str) -> bool {
    if path.starts_with(image_name::PATH) {
        return ImageName::in_path(path).is_some();
    }
    let is_plain = !path.contains(['\\', '%']) && !path.split('/').any(|part| part == "..");
    is_plain && ((path.starts_with('/') && !path.starts_with("//")) || path.starts_with("https://"))
}

fn is_data_url(image: &str) -> bool {
    image.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

fn show_length(seconds: u32) -> Result<ShowLength, Invalid> {
    let refused = || {
        let lengths = ShowLength::SECONDS.map(|seconds| seconds.to_string());
        Invalid::field("show_seconds", one_of(lengths.each_ref().map(String::as_str)))
    };
    ShowLength::from_seconds(seconds).ok_or_else(refused)
}

fn mode(name: Option<String>) -> Result<Option<Mode>, Invalid> {
    let named = |name: String| Mode::named(&name).ok_or_else(|| Invalid::field("draw_mode", one_of(Mode::ALL.map(Mode::name))));
    name.map(named).transpose()
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::parse;
    use super::*;

    fn request(body: &str) -> Result<DrawRequest, Invalid> {
        parse::<DrawBody>(body.as_bytes()).and_then(DrawBody::draw_request)
    }

    #[test]
    fn a_draw_names_its_prize_and_a_mode_that_exists() {
        let asked =
            request(r#"{"prize_name":"TV","prize_rank":1,"prize_image":"","draw_mode":"card","winner_count":3}"#).unwrap();
        assert_eq!((asked.prize_name.as_deref(), asked.mode, asked.winner_count), (Some("TV"), Some(Mode::Card), Some(3)));
        assert_eq!(asked.prize_image, None);
        for (body, field) in [
            (r#"{"prize_name":"TV","prize_rank":1,"draw_mode":"roulette"}"#, "draw_mode"),
            (r#"{"prize_name":"a\nb","prize_rank":1}"#, "prize_name"),
            (r#"{"prize_name":"TV","prize_rank":"1"}"#, "prize_rank"),
            (r#"{"prize_name":"TV","prize_rank":-1}"#, "prize_rank"),
        ] {
            assert!(request(body).expect_err(body).to_string().starts_with(field), "{body}");
        }
    }

    #[test]
    fn a_data_url_is_taken_out_and_a_path_is_left() {
        let mut body: DrawBody = parse(br#"{"prize_image":"DATA:image/png;base64,AA"}"#).unwrap();
        assert_eq!(body.take_data_url().as_deref(), Some("DATA:image/png;base64,AA"));
        assert_eq!(body.prize_image, None);
        let mut body: DrawBody = parse(br#"{"prize_image":"/api/luckydraw/images/a.png"}"#).unwrap();
        assert_eq!(body.take_data_url(), None);
        assert!(body.prize_image.is_some());
    }

    #[test]
    fn an_image_is_named_by_an_address_that_leads_to_no_other_file() {
        let stored = format!("{}{}.png", image_name::PATH, "a".repeat(64));
        for good in [&*stored, "/pictures/tv.png", "https://example.org/tv.png"] {
            assert_eq!(image(Some(good.into())).unwrap().as_deref(), Some(good));
        }
        let up = format!("{}../secret.key", image_name::PATH);
        let encoded = format!("{}%2e%2e/secret.key", image_name::PATH);
        for bad in [&*up, &encoded, "../secret.key", "/a/../b.png", "//host/a.png", "a.png", "/a\\b.png", "javascript:x"] {
            assert!(image(Some(bad.into())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prize_cannot_have_more_winners_per_draw_than_its_mode_shows() {
        let prize = |body: &str| parse::<PrizeBody>(body.as_bytes()).unwrap().prize(PrizeId(1));
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":5,"draw_mode":"card","winner_count":5}"#).is_ok());
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":5,"draw_mode":"card","winner_count":6}"#).is_err());
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":0}"#).is_err());
        assert!(prize(r#"{"prize_name":"TV","prize_rank":1,"quantity":500,"winner_count":500}"#).is_ok());
        let length = |seconds| prize(&format!(r#"{{"prize_name":"TV","prize_rank":1,"quantity":5,"show_seconds":{seconds}}}"#));
        assert_eq!(length(9).unwrap().show_length, ShowLength::from_seconds(9));
        assert_eq!(length(10).unwrap_err().to_string(), "show_seconds: must be one of 2, 5, 9, 15");
    }

    #[test]
    fn a_listed_prize_has_its_image_at_a_path() {
        let prize = |image: &str| {
            let body = format!(r#"{{"prize_name":"TV","prize_rank":1,"quantity":5,"prize_image":"{image}"}}"#);
            parse::<PrizeBody>(body.as_bytes()).unwrap().prize(PrizeId(1)).map(|prize| prize.image)
        };
        let stored = format!("{}{}.png", image_name::PATH, "a".repeat(64));
        assert_eq!(prize(&stored), Ok(Some(stored.as_str().into())));
        assert_eq!(prize(""), Ok(None));
        for data in ["data:image/png;base64,AA", "DATA:,"] {
            assert!(prize(data).unwrap_err().to_string().starts_with("prize_image"), "no frame carries {data}");
        }
    }

    #[test]
    fn a_call_without_fields_takes_no_body_an_object_and_null() {
        for body in ["", " \n", "{}", "null", r#"{"anything":[1]}"#] {
            assert!(parse::<Option<DrawReference>>(body.as_bytes()).is_ok(), "{body}");
        }
        assert!(parse::<Option<DrawReference>>(b"a=1").is_err());
        assert!(parse::<Reset>(b"").unwrap().reset_draws, "a reset without a body clears the draws");
    }

    #[test]
    fn a_win_is_named_by_its_draw_or_by_its_prize() {
        assert!(win_selector(None, None).is_err());
        assert_eq!(win_selector(Some(7), Some("TV".into())), Ok(WinSelector::Draw(DrawId(7))));
        assert_eq!(win_selector(None, Some("TV".into())), Ok(WinSelector::PrizeNamed("TV".into())));
    }

    #[test]
    fn a_void_names_a_known_reason() {
        let void = |reason: &str| Void { draw_id: 1, draw_number: 3, reason: reason.into(), redraw: true }.parts();
        for reason in VoidReason::ALL {
            assert_eq!(void(reason.name()), Ok((DrawId(1), Number(3), reason, Redraw::Yes)));
        }
        assert!(void("because").unwrap_err().to_string().starts_with("reason: must be one of absent, declined,"));
    }

    #[test]
    fn a_rehearsal_is_wiped_by_its_word_in_either_language() {
        let check = |word: &str| Wipe { word: word.into() }.check();
        assert!(check("리허설").is_ok() && check(" rehearsal ").is_ok());
        assert_eq!(check("yes").unwrap_err().to_string(), "word: must be 리허설 or REHEARSAL");
        assert!(desk(" lobby ").is_ok_and(|desk| &*desk == "lobby"));
        assert!(desk(&"x".repeat(DESK_CHARS_MAX + 1)).is_err());
    }
}
