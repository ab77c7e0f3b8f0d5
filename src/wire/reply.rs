//! Frames to one peer: the answers to what it said.
//!
//! They carry no `seq`: nobody else hears them, and nobody catches up on them. What a phone learns of its wins is what the public may know.

use super::text::text_frame;
use super::view::people::{Own, WinView, own_wins, wins};
use crate::draw::event::Audience;
use crate::draw::{Draw, Event, Number};
use bytes::Bytes;
use serde::Serialize;

/// The answer to `ping`.
pub fn pong() -> Bytes {
    /// `{"type":"pong"}` as a whole frame: header, then text.
    const PONG: &[u8] = b"\x81\x0f{\"type\":\"pong\"}";
    Bytes::from_static(PONG)
}

/// The answer to `identify`: `already_won` with the announced wins of `number`, or `identify_ack` without.
pub fn identified(event: &Event, number: Number) -> Bytes {
    answer_to_identify(number, wins(event, number, Audience::Public))
}

/// The same to a phone that proved its number: its wins come with the codes that claim them.
pub fn recognized(event: &Event, own: &Own<'_>) -> Bytes {
    answer_to_identify(own.number, own_wins(event, own))
}

fn answer_to_identify(number: Number, prizes: Vec<WinView<'_>>) -> Bytes {
    #[derive(Serialize)]
    struct Identified<'a> {
        r#type: &'static str,
        won: bool,
        draw_number: u32,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        prizes: Vec<WinView<'a>>,
    }
    let won = !prizes.is_empty();
    frame(&Identified { r#type: if won { "already_won" } else { "identify_ack" }, won, draw_number: number.0, prizes })
}

/// The answer to a `draw_complete` that was granted.
pub fn completed(draw: &Draw) -> Bytes {
    #[derive(Serialize)]
    struct Completed {
        r#type: &'static str,
        success: bool,
        draw_id: u32,
        winners: Vec<u32>,
    }
    let winners = draw.winners().map(|number| number.0).collect();
    frame(&Completed { r#type: "draw_complete_ack", success: true, draw_id: draw.id.0, winners })
}

/// The answer to a `submit_winner_info` that was granted, for the first time or again.
pub fn details_received(draw: crate::draw::DrawId) -> Bytes {
    #[derive(Serialize)]
    struct Received {
        r#type: &'static str,
        success: bool,
        draw_id: u32,
        message: &'static str,
    }
    frame(&Received { r#type: "submit_winner_info_ack", success: true, draw_id: draw.0, message: "received" })
}

/// The answer to an `im_here` that was granted.
pub fn arrived() -> Bytes {
    #[derive(Serialize)]
    struct Arrived {
        r#type: &'static str,
        success: bool,
    }
    frame(&Arrived { r#type: "im_here_ack", success: true })
}

/// The answer of that type to a wish that was not granted.
pub fn denied(r#type: &'static str, code: &str, error: &str) -> Bytes {
    #[derive(Serialize)]
    struct Denied<'a> {
        r#type: &'static str,
        success: bool,
        code: &'a str,
        error: &'a str,
    }
    frame(&Denied { r#type, success: false, code, error })
}

/// The answer to what is no message, or not this peer's to say.
pub fn error(code: &str, message: &str) -> Bytes {
    #[derive(Serialize)]
    struct Error<'a> {
        r#type: &'static str,
        code: &'a str,
        message: &'a str,
    }
    frame(&Error { r#type: "error", code, message })
}

fn frame(reply: &impl Serialize) -> Bytes {
    text_frame(&super::view::json(reply))
}

#[cfg(test)]
mod tests {
    use super::super::text::frame_text;
    use super::*;
    use crate::draw::sample;

    fn text(frame: Bytes) -> String {
        String::from_utf8(frame_text(&frame).to_vec()).unwrap()
    }

    #[test]
    fn the_ready_made_pong_is_a_whole_frame() {
        assert_eq!(pong(), text_frame(r#"{"type":"pong"}"#));
    }

    #[test]
    fn a_winner_is_told_once_everybody_may_know() {
        let (winner, other) = (Number(3), Number(4));
        let revealed = sample::event().revealed("TV", &[winner.0]).build();
        assert_eq!(text(identified(&revealed, winner)), r#"{"type":"identify_ack","won":false,"draw_number":3}"#);
        let announced = sample::event().announced("TV", &[winner.0]).build();
        assert!(
            text(identified(&announced, winner)).starts_with(r#"{"type":"already_won","won":true,"draw_number":3,"prizes":[{"#)
        );
        assert!(text(identified(&announced, other)).contains(r#""won":false"#));
    }

    #[test]
    fn a_denial_says_why_in_words_and_in_a_code() {
        let frame = denied("draw_complete_ack", "COMPLETE_FAILED", "there is \"nothing\"");
        let text = text(frame);
        assert_eq!(
            text,
            r#"{"type":"draw_complete_ack","success":false,"code":"COMPLETE_FAILED","error":"there is \"nothing\""}"#
        );
    }
}
