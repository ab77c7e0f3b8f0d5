//! What clients say over a socket.
//!
//! One tagged enum: a message of an unknown `type` is no message and is answered by an error frame, unknown fields are ignored. Who may
//! say what is not known here. No message prints itself: some hold names and tokens.

use super::request::ContactBody;
use serde::Deserialize;

/// A message.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    Ping,
    /// Proves the role that the socket asked for.
    Auth(Auth),
    Identify(Identify),
    DrawComplete(DrawComplete),
    SubmitWinnerInfo(SubmitWinnerInfo),
    ImHere(ImHere),
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
    #[serde(flatten)]
    pub contact: ContactBody,
}

/// `im_here`
#[derive(Deserialize)]
pub struct ImHere {
    pub draw_id: u32,
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    #[test]
    fn old_and_new_messages_are_understood() {
        assert!(matches!(parse(br#"{"type":"ping","t":1}"#), Ok(Message::Ping)));
        assert!(matches!(
            parse(br#"{"type":"identify","draw_number":7}"#),
            Ok(Message::Identify(Identify { draw_number: Some(7), .. }))
        ));
        assert!(matches!(parse(br#"{"winners":[3,4],"type":"draw_complete"}"#), Ok(Message::DrawComplete(_))));
        let info = br#"{"type":"submit_winner_info","draw_number":7,"prize_name":"TV","name":"A","phone":"010-1234-5678","consent":true}"#;
        let Ok(Message::SubmitWinnerInfo(info)) = parse(info) else { panic!("not understood") };
        assert_eq!((info.draw_number, info.contact.phone.as_str(), info.contact.consent), (Some(7), "010-1234-5678", true));
    }

    #[test]
    fn what_is_no_message_is_refused_with_a_reason() {
        let why = |text: &str| parse::<Message>(text.as_bytes()).err().expect(text).to_string();
        assert_eq!(why("{}"), "type: is missing");
        assert!(why(r#"{"type":"reroll"}"#).contains("`draw_complete`"), "{}", why(r#"{"type":"reroll"}"#));
        assert!(why(r#"{"type":"im_here"}"#).contains("draw_id"));
        assert!(why("[").starts_with("the body is not JSON"));
    }
}
