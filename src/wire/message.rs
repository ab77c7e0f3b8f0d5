//! Messages that clients send over a socket.
//!
//! A message of an unknown `type` is answered by an error frame; unknown fields are ignored. The
//! type is parsed first and the fields after it, since an enum tagged by serde reads its fields
//! from a copy and could not name the wrong one. Rights are not checked here. No message implements
//! `Debug`, since some hold names and tokens.

use super::parse::{Invalid, parse};
use super::request::ContactBody;
use serde::{Deserialize, Serialize};

/// A message.
pub enum Message {
    /// Asks for a `pong`.
    Ping,
    /// Asks for the present code of an event whose entry code rotates.
    JoinCode,
    /// Proves the role that the socket asked for.
    Auth(Auth),
    /// Says or proves a phone's number.
    Identify(Identify),
    /// Reports the end of a draw's show.
    DrawComplete(DrawComplete),
    /// Hands in a winner's details.
    SubmitWinnerInfo(SubmitWinnerInfo, ContactBody),
    /// Reports that a winner is present.
    ImHere(ImHere),
    /// Reports what a stage shows.
    Stage(StageReport),
    /// Reports when a phone showed the winners.
    Turned(Turned),
}

impl Message {
    /// Parses a message.
    ///
    /// # Errors
    /// The first thing that is wrong, and its place.
    pub fn read(text: &[u8]) -> Result<Self, Invalid> {
        /// The field that every message has.
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        match parse::<Kind>(text)?.r#type.as_str() {
            "ping" => Ok(Self::Ping),
            "join_code" => Ok(Self::JoinCode),
            "auth" => parse(text).map(Self::Auth),
            "identify" => parse(text).map(Self::Identify),
            "draw_complete" => parse(text).map(Self::DrawComplete),
            "submit_winner_info" => Ok(Self::SubmitWinnerInfo(parse(text)?, parse(text)?)),
            "im_here" => parse(text).map(Self::ImHere),
            "stage" => parse::<StageReport>(text).and_then(StageReport::check).map(Self::Stage),
            "turned" => parse(text).map(Self::Turned),
            _ => Err(Invalid::field(
                "type",
                "must be one of ping, join_code, auth, identify, draw_complete, submit_winner_info, im_here, stage, turned",
            )),
        }
    }
}

/// `auth`
#[derive(Deserialize)]
pub struct Auth {
    /// The admin token or the token of a signed link.
    pub token: String,
}

/// `identify`: a new phone proves its number; an old one only says it and asks for its wins.
#[derive(Deserialize)]
pub struct Identify {
    /// The number that the phone says it has.
    pub draw_number: Option<u32>,
    /// The token that proves its number.
    pub session_token: Option<String>,
    /// The `seq` of the last frame it knows.
    pub since: Option<u64>,
    /// The epoch of that frame, in hex.
    pub epoch: Option<String>,
}

/// `draw_complete`
#[derive(Deserialize)]
pub struct DrawComplete {
    /// The draw; old displays name none.
    pub draw_id: Option<u32>,
    /// The draw's winners, by which old displays name it.
    pub winners: Option<Vec<u32>>,
}

/// `submit_winner_info`
#[derive(Deserialize)]
pub struct SubmitWinnerInfo {
    /// The event, which must be the socket's own.
    pub event_id: Option<String>,
    /// The winner's number.
    pub draw_number: Option<u32>,
    /// The draw that was won.
    pub draw_id: Option<u32>,
    /// The prize, by which old phones name the draw.
    pub prize_name: Option<String>,
}

/// `im_here`
#[derive(Deserialize)]
pub struct ImHere {
    /// The draw that was won.
    pub draw_id: u32,
}

/// `turned`: sent by a sample of the phones, once they show the winners of a planned show.
#[derive(Deserialize)]
pub struct Turned {
    /// The draw.
    pub draw_id: u32,
    /// Milliseconds after the planned moment, by the server's clock.
    pub late_ms: i32,
}

/// `stage`: sent by a stage every second, and at every change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct StageReport {
    /// The stage's own name for itself: the same after a reload, another in another tab.
    pub stage_id: String,
    /// The revision of the console's requests that it has applied; 0 after a reload.
    #[serde(default)]
    pub applied_revision: u32,
    /// The page, one of [`Self::PAGES`].
    pub page: String,
    /// The visible scene.
    pub scene: String,
    /// The animation has settled, or there is none.
    #[serde(default)]
    pub is_settled: bool,
    /// The screen is black.
    #[serde(default)]
    pub is_black: bool,
    /// The sound is off.
    #[serde(default)]
    pub is_muted: bool,
    /// The browser plays no sound before the first key or click.
    #[serde(default)]
    pub is_sound_locked: bool,
    /// The tab is in the background.
    #[serde(default)]
    pub is_hidden: bool,
    /// The QR code covers the scene.
    #[serde(default)]
    pub shows_code: bool,
    /// Animations are reduced.
    #[serde(default)]
    pub is_reduced_motion: bool,
    /// The page's width, in CSS pixels.
    pub width: u16,
    /// The page's height, in CSS pixels.
    pub height: u16,
}

impl StageReport {
    /// The pages of a stage: draws with the winners between them, draws with the way to join
    /// between them, the way to join alone, winners alone, and draws alone over other pictures.
    pub const PAGES: [&str; 5] = ["main", "lobby", "entrance", "winners", "overlay"];

    /// True when the stage plays draws.
    pub fn plays(&self) -> bool {
        !["entrance", "winners"].contains(&self.page.as_str())
    }

    /// Checks its texts, which the console shows.
    ///
    /// # Errors
    /// The first text that is too long, or of other characters.
    pub fn check(self) -> Result<Self, Invalid> {
        for (field, text) in [("stage_id", &self.stage_id), ("page", &self.page), ("scene", &self.scene)] {
            if !(1..=32).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(Invalid::field(field, "must be 1 to 32 letters, digits or hyphens"));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzzed_messages_are_read_or_refused() {
        crate::fuzz::run("messages", 3_000, |text| {
            // A reactor passes on whole texts.
            let Ok(_) = std::str::from_utf8(text) else { return "no text".into() };
            match Message::read(text) {
                Ok(Message::SubmitWinnerInfo(_, contact)) => {
                    format!("details {:?}", contact.check(false).err().map(|why| why.to_string()))
                }
                Ok(_) => "read".into(),
                Err(invalid) => invalid.to_string(),
            }
        });
    }

    #[test]
    fn old_and_new_messages_are_parsed() {
        assert!(matches!(Message::read(br#"{"type":"ping","t":1}"#), Ok(Message::Ping)));
        assert!(matches!(
            Message::read(br#"{"type":"identify","draw_number":7}"#),
            Ok(Message::Identify(Identify { draw_number: Some(7), .. }))
        ));
        assert!(matches!(Message::read(br#"{"winners":[3,4],"type":"draw_complete"}"#), Ok(Message::DrawComplete(_))));
        let info = br#"{"type":"submit_winner_info","draw_number":7,"prize_name":"TV","name":"A","phone":"010-1234-5678","consent":true}"#;
        let Ok(Message::SubmitWinnerInfo(info, contact)) = Message::read(info) else { panic!("not parsed") };
        assert_eq!((info.draw_number, contact.phone.as_str(), contact.consent), (Some(7), "010-1234-5678", true));
    }

    #[test]
    fn an_unreadable_message_is_refused_with_a_reason() {
        let why = |text: &str| Message::read(text.as_bytes()).err().expect(text).to_string();
        assert_eq!(why("{}"), "type: is missing");
        assert!(why(r#"{"type":"reroll"}"#).starts_with("type: must be one of ping, join_code, auth,"));
        assert_eq!(why(r#"{"type":"im_here"}"#), "draw_id: is missing");
        assert_eq!(why(r#"{"type":"identify","draw_number":"7"}"#), "draw_number: must be a whole number in range");
        assert_eq!(why(r#"{"type":"draw_complete","winners":[7,"8"]}"#), "winners[1]: must be a whole number in range");
        assert_eq!(why(r#"{"type":"submit_winner_info","name":"Kim","phone":1012345678}"#), "phone: must be a string");
        assert!(why("[").starts_with("the body is not JSON"));
    }
}
