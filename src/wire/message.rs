//! What clients say over a socket.
//!
//! A message of an unknown `type` is no message and is answered by an error frame; unknown fields are ignored. The type is read first, and then
//! what belongs to it: an enum tagged by it would read the fields from a copy, and could not say which one is wrong. Who may say what is not
//! known here. No message prints itself: some hold names and tokens.

use super::parse::{Invalid, parse};
use super::request::ContactBody;
use serde::Deserialize;

/// A message.
pub enum Message {
    Ping,
    /// Proves the role that the socket asked for.
    Auth(Auth),
    Identify(Identify),
    DrawComplete(DrawComplete),
    SubmitWinnerInfo(SubmitWinnerInfo, ContactBody),
    ImHere(ImHere),
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(text: &[u8]) -> Result<Self, Invalid> {
        /// What every message says.
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
        }
        match parse::<Kind>(text)?.r#type.as_str() {
            "ping" => Ok(Self::Ping),
            "auth" => parse(text).map(Self::Auth),
            "identify" => parse(text).map(Self::Identify),
            "draw_complete" => parse(text).map(Self::DrawComplete),
            "submit_winner_info" => Ok(Self::SubmitWinnerInfo(parse(text)?, parse(text)?)),
            "im_here" => parse(text).map(Self::ImHere),
            _ => Err(Invalid::field("type", "must be one of ping, auth, identify, draw_complete, submit_winner_info, im_here")),
        }
    }
}

/// `auth`
#[derive(Deserialize)]
pub struct Auth {
    pub token: String,
}

/// `identify`: an old phone says its number and asks whether it won; a new one proves it.
#[derive(Deserialize)]
pub struct Identify {
    pub draw_number: Option<u32>,
    pub session_token: Option<String>,
    pub since: Option<u64>,
    pub epoch: Option<String>,
}

/// `draw_complete`
#[derive(Deserialize)]
pub struct DrawComplete {
    pub draw_id: Option<u32>,
    pub winners: Option<Vec<u32>>,
}

/// `submit_winner_info`
#[derive(Deserialize)]
pub struct SubmitWinnerInfo {
    pub event_id: Option<String>,
    pub draw_number: Option<u32>,
    pub draw_id: Option<u32>,
    pub prize_name: Option<String>,
}

/// `im_here`
#[derive(Deserialize)]
pub struct ImHere {
    pub draw_id: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_messages_are_understood() {
        assert!(matches!(Message::read(br#"{"type":"ping","t":1}"#), Ok(Message::Ping)));
        assert!(matches!(
            Message::read(br#"{"type":"identify","draw_number":7}"#),
            Ok(Message::Identify(Identify { draw_number: Some(7), .. }))
        ));
        assert!(matches!(Message::read(br#"{"winners":[3,4],"type":"draw_complete"}"#), Ok(Message::DrawComplete(_))));
        let info = br#"{"type":"submit_winner_info","draw_number":7,"prize_name":"TV","name":"A","phone":"010-1234-5678","consent":true}"#;
        let Ok(Message::SubmitWinnerInfo(info, contact)) = Message::read(info) else { panic!("not understood") };
        assert_eq!((info.draw_number, contact.phone.as_str(), contact.consent), (Some(7), "010-1234-5678", true));
    }

    #[test]
    fn what_is_no_message_is_refused_with_a_reason() {
        let why = |text: &str| Message::read(text.as_bytes()).err().expect(text).to_string();
        assert_eq!(why("{}"), "type: is missing");
        assert!(why(r#"{"type":"reroll"}"#).starts_with("type: must be one of ping, auth,"));
        assert_eq!(why(r#"{"type":"im_here"}"#), "draw_id: is missing");
        assert_eq!(why(r#"{"type":"identify","draw_number":"7"}"#), "draw_number: must be a whole number in range");
        assert_eq!(why(r#"{"type":"draw_complete","winners":[7,"8"]}"#), "winners[1]: must be a whole number in range");
        assert_eq!(why(r#"{"type":"submit_winner_info","name":"Kim","phone":1012345678}"#), "phone: must be a string");
        assert!(why("[").starts_with("the body is not JSON"));
    }
}
