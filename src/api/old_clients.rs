//! Leniency of open mode towards pages and scripts of the server before this one, which nobody
//! changes any more.
//!
//! They send texts for numbers, repeat a step after a reload, and show a refusal's message to
//! people. Every leniency is here or names this module. Outside open mode only one thing is for
//! them: a message that says why a winner's details were not taken.

use crate::api::app::App;
use crate::draw::{Draw, DrawRequest, Event};
use crate::wire::parse::{Invalid, numbers_from_texts};
use std::borrow::Cow;
use std::sync::Arc;

/// The answer to an old phone that sends a winner's details and proves no number.
pub const DETAILS_NEED_PROOF: &str = "정보가 전송되지 않았습니다. QR 코드를 다시 찍어 새 화면에서 입력해 주세요. \
     (not sent: scan the QR code again, and enter them on the new page)";

/// Reads a body or message; in open mode also one with texts in place of numbers.
///
/// # Errors
/// The fault of the body as it came.
pub fn read<T>(open: bool, body: &[u8], parse: impl Fn(&[u8]) -> Result<T, Invalid>) -> Result<T, Invalid> {
    parse(body).or_else(|invalid| {
        let corrected = if open { numbers_from_texts(body) } else { None };
        corrected.map_or(Err(invalid), |corrected| parse(&corrected))
    })
}

impl App {
    /// The pending draw, when an old console that was reloaded puts its prize on standby again.
    pub fn draw_of_repeated_standby(&self, event: &Event, asked: &DrawRequest) -> Option<Arc<Draw>> {
        let pending = event.pending_draw().filter(|_| self.settings.http.open)?;
        let is_same = asked.prize_name.as_deref() == Some(&*pending.spec.prize_name);
        is_same.then(|| Arc::clone(pending))
    }

    /// The draw that an old console reveals again; it names none.
    pub fn draw_of_repeated_reveal(&self, event: &Event) -> Option<Arc<Draw>> {
        event.latest_revealed_draw().filter(|_| self.settings.http.open && event.pending_draw().is_none()).cloned()
    }
}

/// A refusal's message in Korean, by its code: old pages show it as it comes.
pub fn in_korean(code: &str, message: Cow<'static, str>) -> Cow<'static, str> {
    let korean = match code {
        "BODY_TOO_LARGE" => "보낸 내용이 너무 큽니다.",
        "COMPLETE_FAILED" => "발표할 추첨이 없습니다.",
        "DRAW_FAILED" => "추첨할 수 없습니다. 참가자 수와 남은 수량을 확인해 주세요.",
        "DRAW_IN_PROGRESS" => "다른 추첨이 진행 중입니다.",
        "EVENT_CLOSED" => "종료된 행사입니다.",
        "EVENT_FULL" => "참가 인원이 모두 찼습니다.",
        "EVENT_NOT_FOUND" => "행사를 찾을 수 없습니다.",
        "FORBIDDEN" | "FORBIDDEN_ORIGIN" | "UNAUTHORIZED" => "권한이 없습니다.",
        "NOT_A_WINNER" => "당첨 내역이 없습니다.",
        "NOT_DURABLE" | "OVERLOADED" => "서버가 바쁩니다. 잠시 후 다시 시도해 주세요.",
        "NOT_FOUND" => "찾을 수 없습니다.",
        "PARTICIPANT_NOT_FOUND" => "참가자를 찾을 수 없습니다.",
        "REGISTRATION_CLOSED" => "참가 접수가 끝났습니다.",
        "REVEAL_FAILED" => "공개할 추첨이 없습니다.",
        "TOKEN_REQUIRED" => "참가 등록이 필요합니다.",
        "TOO_MANY" => "너무 많이 시도했습니다. 잠시 후 다시 시도해 주세요.",
        // The field and its rule are the message.
        "INVALID_REQUEST" => return format!("입력한 내용을 확인해 주세요: {message}").into(),
        _ => return message,
    };
    korean.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse::parse;
    use serde_json::{Value, json};

    #[test]
    fn texts_count_as_numbers_in_open_mode_only_and_only_where_numbers_belong() {
        #[derive(serde::Deserialize)]
        struct Body {
            winner_count: u32,
            winners: Vec<u32>,
            prize_name: String,
        }
        let body = json!({"winner_count": "2", "winners": [1, " 7 "], "prize_name": "365"}).to_string();
        let lenient = read(true, body.as_bytes(), parse::<Body>).unwrap();
        assert_eq!((lenient.winner_count, lenient.winners, lenient.prize_name.as_str()), (2, vec![1, 7], "365"));
        assert!(read(false, body.as_bytes(), parse::<Body>).is_err());
        let wrong = json!({"winner_count": "two", "winners": [], "prize_name": "TV"}).to_string();
        assert!(read(true, wrong.as_bytes(), parse::<Body>).is_err());
        assert!(read(true, b"half {", parse::<Value>).is_err());
    }

    #[test]
    fn a_message_is_in_korean_and_an_unknown_code_keeps_its_own() {
        assert_eq!(in_korean("DRAW_IN_PROGRESS", "another draw".into()), "다른 추첨이 진행 중입니다.");
        assert!(in_korean("INVALID_REQUEST", "count: is missing".into()).ends_with("count: is missing"));
        assert_eq!(in_korean("INTERNAL_ERROR", "lost".into()), "lost");
    }
}
