//! Frames that answer one peer.
//!
//! They carry no `seq`, since no other peer gets them and a reconnecting peer does not catch up on
//! them. A phone must learn no more about its wins than the public may know.

use super::text_frame;
use super::view::people::{AuthenticatedPhone, WinView, wins, wins_with_codes};
use super::view::stages::StageOrders;
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::{Event, Number, Outcome, Timestamp};
use bytes::Bytes;
use serde::Serialize;

/// The answer to `ping`, with the server's time: pages estimate its clock from it.
pub fn pong(now: Timestamp) -> Bytes {
    #[derive(Serialize)]
    struct Pong {
        r#type: &'static str,
        server_time: String,
    }
    frame(&Pong { r#type: "pong", server_time: rfc3339(now) })
}

/// The answer to `join_code`: the code to join with, which the QR code carries, and the
/// milliseconds until the next one; `null` when the event's code does not rotate.
pub fn join_code(code: Option<(String, i64)>) -> Bytes {
    #[derive(Serialize)]
    struct JoinCode {
        r#type: &'static str,
        join_code: Option<String>,
        next_in_ms: Option<i64>,
    }
    let (join_code, next_in_ms) = code.unzip();
    frame(&JoinCode { r#type: "join_code", join_code, next_in_ms })
}

/// The answer to `stage`: what the console asks of it.
pub fn stage_orders(orders: &StageOrders) -> Bytes {
    #[derive(Serialize)]
    struct Orders<'a> {
        r#type: &'static str,
        #[serde(flatten)]
        orders: &'a StageOrders,
    }
    frame(&Orders { r#type: "stage_orders", orders })
}

/// The answer to `identify`: `already_won` with the announced wins of `number`, or `identify_ack`
/// without any.
pub fn identified(event: &Event, number: Number) -> Bytes {
    identify_answer(number, wins(event, number, Audience::Public))
}

/// The answer to `identify` for an authenticated phone, with its claim codes.
pub fn authenticated(event: &Event, phone: &AuthenticatedPhone<'_>) -> Bytes {
    identify_answer(phone.number, wins_with_codes(event, phone))
}

fn identify_answer(number: Number, prizes: Vec<WinView<'_>>) -> Bytes {
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

/// A message whose answer waits for a commit. Its encoder is here, since the writer's thread
/// answers it and knows no layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// `draw_complete`
    DrawComplete,
    /// `submit_winner_info`
    SubmitWinnerInfo,
    /// `im_here`
    ImHere,
}

/// The result of a command in a reply: its outcome and the event that holds its facts, or
/// an error code and message.
pub type CommandResult<'a> = Result<(&'a Outcome, &'a Event), (&'a str, &'a str)>;

impl Acknowledged {
    /// The frame that answers the message with the result of its command.
    pub fn encode(self, result: CommandResult<'_>) -> Bytes {
        #[derive(Serialize)]
        struct DrawCompleted {
            r#type: &'static str,
            success: bool,
            draw_id: u32,
            winners: Vec<u32>,
        }
        #[derive(Serialize)]
        struct DetailsReceived {
            r#type: &'static str,
            success: bool,
            draw_id: u32,
            message: &'static str,
        }
        #[derive(Serialize)]
        struct Arrived {
            r#type: &'static str,
            success: bool,
        }
        let (outcome, event) = match result {
            Ok(accepted) => accepted,
            Err((code, message)) => return self.refuse(code, message),
        };
        let (r#type, success) = (self.type_name(), true);
        match (self, outcome) {
            (Self::DrawComplete, Outcome::Completed(id) | Outcome::CompletedBefore(id)) => match event.draw(*id) {
                Some(draw) => {
                    let winners = draw.winners().map(|number| number.0).collect();
                    frame(&DrawCompleted { r#type, success, draw_id: draw.id.0, winners })
                }
                // A reset in the same batch removed it.
                None => self.refuse("COMPLETE_FAILED", "the draw was reset"),
            },
            (Self::SubmitWinnerInfo, Outcome::Details { draw, .. }) => {
                frame(&DetailsReceived { r#type, success, draw_id: draw.0, message: "received" })
            }
            (Self::ImHere, _) => frame(&Arrived { r#type, success }),
            // The rules give no such outcome to these commands.
            (Self::DrawComplete | Self::SubmitWinnerInfo, _) => self.refuse("INTERNAL_ERROR", "the server lost its way"),
        }
    }

    /// The frame that refuses the message.
    pub fn refuse(self, code: &str, error: &str) -> Bytes {
        #[derive(Serialize)]
        struct Refused<'a> {
            r#type: &'static str,
            success: bool,
            code: &'a str,
            error: &'a str,
        }
        frame(&Refused { r#type: self.type_name(), success: false, code, error })
    }

    fn type_name(self) -> &'static str {
        match self {
            Self::DrawComplete => "draw_complete_ack",
            Self::SubmitWinnerInfo => "submit_winner_info_ack",
            Self::ImHere => "im_here_ack",
        }
    }
}

/// The answer to an unreadable message, and to one that this peer must not send.
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
    use super::super::frame_text;
    use super::*;
    use crate::draw::{DrawId, sample};

    fn text(frame: Bytes) -> String {
        String::from_utf8(frame_text(&frame).to_vec()).unwrap()
    }

    #[test]
    fn a_pong_carries_the_time() {
        assert_eq!(pong(Timestamp(42)), text_frame(r#"{"type":"pong","server_time":"1970-01-01T00:00:00.042Z"}"#));
    }

    #[test]
    fn a_winner_learns_of_a_win_at_its_announcement() {
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
    fn a_refusal_has_a_code_and_a_message() {
        let event = sample::event().build();
        let frame = Acknowledged::DrawComplete.encode(Err(("COMPLETE_FAILED", "there is \"nothing\"")));
        assert_eq!(
            text(frame),
            r#"{"type":"draw_complete_ack","success":false,"code":"COMPLETE_FAILED","error":"there is \"nothing\""}"#
        );
        let gone = Acknowledged::DrawComplete.encode(Ok((&Outcome::Completed(DrawId(1)), &event)));
        assert!(text(gone).contains(r#""code":"COMPLETE_FAILED","error":"the draw was reset""#));
        let odd = Acknowledged::SubmitWinnerInfo.encode(Ok((&Outcome::Done, &event)));
        assert!(text(odd).contains(r#""code":"INTERNAL_ERROR""#));
    }

    #[test]
    fn an_accepted_message_is_acknowledged_by_its_own_frame() {
        let event = sample::event().announced("TV", &[3, 9]).build();
        let details = Outcome::Details { draw: DrawId(1), number: Number(3), version: 1, keeps_address: false };
        for (message, outcome, expected) in [
            (
                Acknowledged::DrawComplete,
                Outcome::Completed(DrawId(1)),
                r#"{"type":"draw_complete_ack","success":true,"draw_id":1,"winners":[3,9]}"#,
            ),
            (
                Acknowledged::SubmitWinnerInfo,
                details,
                r#"{"type":"submit_winner_info_ack","success":true,"draw_id":1,"message":"received"}"#,
            ),
            (Acknowledged::ImHere, Outcome::Done, r#"{"type":"im_here_ack","success":true}"#),
        ] {
            assert_eq!(text(message.encode(Ok((&outcome, &event)))), expected);
        }
    }
}
