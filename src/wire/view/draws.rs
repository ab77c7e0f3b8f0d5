//! Draws: standby, started and revealed draws, the history and the results.
//!
//! The public must see a draw only from its announcement on.

use super::prizes::{PrizeView, prizes};
use super::{json, status_name};
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::fact::VoidReason;
use crate::draw::proof::{Fallback, Words};
use crate::draw::{Draw, DrawId, DrawSpec, Event, Number, Seat};
use crate::wire::frame::PrizeFields;
use data_encoding::HEXLOWER;
use serde::Serialize;

/// A draw with its winners.
#[derive(Serialize)]
struct RevealedView<'a> {
    success: bool,
    draw_id: u32,
    #[serde(flatten)]
    spec: PrizeFields<'a>,
    winners: Vec<u32>,
    drawn_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    status: &'static str,
}

/// A seat in the history.
#[derive(Serialize)]
struct RowView<'a> {
    draw_id: u32,
    prize_name: &'a str,
    prize_rank: u32,
    prize_grade: Option<&'a str>,
    draw_number: u32,
    drawn_at: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redraw_of: Option<u32>,
    details_received: bool,
    arrived: bool,
    arrived_at: Option<String>,
    /// The prize was handed over.
    claimed: bool,
    handed_over_at: Option<String>,
    desk: Option<&'a str>,
}

/// A draw in the results.
#[derive(Serialize)]
struct ResultView<'a> {
    draw_id: u32,
    #[serde(flatten)]
    spec: PrizeFields<'a>,
    drawn_at: Option<String>,
    announced_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redraw_of: Option<u32>,
    winners: Vec<SeatView>,
}

/// A seat in the results.
#[derive(Serialize)]
struct SeatView {
    draw_number: u32,
    voided: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voided_at: Option<String>,
}

/// The prize on standby.
pub fn standby(spec: &DrawSpec) -> String {
    #[derive(Serialize)]
    struct Standby<'a> {
        #[serde(flatten)]
        spec: PrizeFields<'a>,
        status: &'static str,
    }
    json(&Standby { spec: PrizeFields::of(spec), status: "standby" })
}

/// A started draw, without its winners. The answer stays the same after the reveal, so that a retry
/// gets it again.
pub fn started(draw: &Draw) -> String {
    #[derive(Serialize)]
    struct Started<'a> {
        draw_id: u32,
        #[serde(flatten)]
        spec: PrizeFields<'a>,
        started_at: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<String>,
        status: &'static str,
    }
    json(&Started {
        draw_id: draw.id.0,
        spec: PrizeFields::of(&draw.spec),
        started_at: rfc3339(draw.started_at),
        head: draw.lock.as_ref().map(|lock| HEXLOWER.encode(&lock.head)),
        status: "started",
    })
}

/// A draw with its winners, for the console that revealed or completed it.
pub fn revealed(draw: &Draw) -> String {
    json(&RevealedView {
        success: true,
        draw_id: draw.id.0,
        spec: PrizeFields::of(&draw.spec),
        winners: draw.winners().map(|number| number.0).collect(),
        drawn_at: draw.revealed_at.map(rfc3339),
        code: draw.confirmation_code(),
        status: status_name(draw.status()),
    })
}

/// The history for consoles: one row per seat of each revealed draw, in the order of drawing. A
/// voided seat keeps its row.
pub fn history(event: &Event) -> String {
    #[derive(Serialize)]
    struct History<'a> {
        draws: Vec<RowView<'a>>,
        total_count: usize,
    }
    let known = event.draws().filter(|draw| draw.is_known_to(Audience::Operators));
    let draws: Vec<_> = known.flat_map(|draw| draw.seats.iter().map(move |seat| row(draw, seat))).collect();
    json(&History { total_count: draws.len(), draws })
}

/// The public results: the announced draws, and the number left of each prize.
pub fn results(event: &Event) -> String {
    #[derive(Serialize)]
    struct Results<'a> {
        event_id: &'a str,
        title: &'a str,
        draws: Vec<ResultView<'a>>,
        total_count: usize,
        prizes: Vec<PrizeView<'a>>,
    }
    let known = event.draws().filter(|draw| draw.is_known_to(Audience::Public));
    let draws: Vec<_> = known.map(|draw| result(draw)).collect();
    let (event_id, title) = (event.id.as_str(), &*event.settings.title);
    json(&Results { event_id, title, total_count: draws.len(), draws, prizes: prizes(event, Audience::Public) })
}

/// The answer to an outside value: the one spelling that counts.
pub fn outside_given(draw: DrawId, words: &Words) -> String {
    #[derive(Serialize)]
    struct OutsideGiven<'a> {
        draw_id: u32,
        outside_value: &'a str,
    }
    json(&OutsideGiven { draw_id: draw.0, outside_value: words.as_str() })
}

/// The answer to a fallback.
pub fn fell_back(draw: &Draw) -> String {
    #[derive(Serialize)]
    struct FellBack<'a> {
        draw_id: u32,
        fallback: Option<&'static str>,
        reason: Option<&'a str>,
    }
    let fallback = draw.taken_fallback().map(Fallback::name);
    json(&FellBack { draw_id: draw.id.0, fallback, reason: draw.fallback.as_deref() })
}

/// The answer to a cancellation; `None` cancelled a standby.
pub fn cancelled(draw: Option<DrawId>) -> String {
    #[derive(Serialize)]
    struct Cancelled {
        draw_id: Option<u32>,
    }
    json(&Cancelled { draw_id: draw.map(|id| id.0) })
}

/// The answer to the voiding of a seat, with the draw that fills it again.
pub fn voided(draw: DrawId, number: Number, reason: VoidReason, redraw: Option<DrawId>) -> String {
    #[derive(Serialize)]
    struct Voided {
        draw_id: u32,
        draw_number: u32,
        reason: &'static str,
        redraw_draw_id: Option<u32>,
    }
    let redraw_draw_id = redraw.map(|id| id.0);
    json(&Voided { draw_id: draw.0, draw_number: number.0, reason: reason.name(), redraw_draw_id })
}

/// The answer to a reset, with the name of the backup made before it.
pub fn reset(event: &Event, reset_participants: bool, reset_draws: bool, backup: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Reset<'a> {
        reset_participants: bool,
        reset_draws: bool,
        event_session_id: String,
        backup: Option<&'a str>,
    }
    json(&Reset { reset_participants, reset_draws, event_session_id: HEXLOWER.encode(&event.session.0), backup })
}

/// The new session of a rehearsal that was wiped.
pub fn wiped(event: &Event) -> String {
    #[derive(Serialize)]
    struct Wiped {
        event_session_id: String,
    }
    json(&Wiped { event_session_id: HEXLOWER.encode(&event.session.0) })
}

fn row<'a>(draw: &'a Draw, seat: &'a Seat) -> RowView<'a> {
    RowView {
        draw_id: draw.id.0,
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        prize_grade: draw.spec.prize_grade.as_deref(),
        draw_number: seat.number.0,
        drawn_at: draw.revealed_at.map(rfc3339),
        status: if seat.voided.is_some() { "voided" } else { status_name(draw.status()) },
        reason: seat.voided.map(|(_, reason)| reason.name()),
        redraw_of: draw.redraw_of.map(|(of, _)| of.0),
        details_received: seat.details_at.is_some(),
        arrived: seat.arrived_at.is_some(),
        arrived_at: seat.arrived_at.map(rfc3339),
        claimed: seat.handed_over.is_some(),
        handed_over_at: seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at)),
        desk: seat.handed_over.as_ref().map(|(_, desk)| &**desk),
    }
}

fn result(draw: &Draw) -> ResultView<'_> {
    let seat = |seat: &Seat| SeatView {
        draw_number: seat.number.0,
        voided: seat.voided.is_some(),
        reason: seat.voided.map(|(_, reason)| reason.name()),
        voided_at: seat.voided.map(|(at, _)| rfc3339(at)),
    };
    ResultView {
        draw_id: draw.id.0,
        spec: PrizeFields::of(&draw.spec),
        drawn_at: draw.revealed_at.map(rfc3339),
        announced_at: draw.announced_at.map(rfc3339),
        redraw_of: draw.redraw_of.map(|(of, _)| of.0),
        winners: draw.seats.iter().map(seat).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::sample;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn results_show_announced_draws_and_no_others() {
        let event = sample::event().announced("TV", &[3]).revealed("TV", &[7]).build();
        let results = read(&results(&event));
        assert_eq!(results["total_count"], 1);
        assert_eq!(results["draws"][0]["winners"], json!([{"draw_number": 3, "voided": false}]));
        assert_eq!(results["prizes"][0]["remaining"], 1, "the public does not count an unannounced draw");
    }

    #[test]
    fn the_console_sees_a_draw_from_its_reveal_on() {
        let event = sample::event().announced("TV", &[3]).voided(VoidReason::Absent).revealed("Pen", &[7, 8]).build();
        let rows = read(&history(&event));
        assert_eq!(rows["total_count"], 3);
        assert_eq!((&rows["draws"][0]["status"], &rows["draws"][0]["reason"]), (&json!("voided"), &json!("absent")));
        assert_eq!((&rows["draws"][2]["draw_number"], &rows["draws"][2]["status"]), (&json!(8), &json!("revealed")));
        let started = sample::event().started("TV", &[3]).build();
        assert_eq!(read(&history(&started))["total_count"], 0);
    }

    #[test]
    fn a_started_draw_shows_no_winner() {
        let event = sample::event().started("TV", &[3]).build();
        let text = started(event.pending_draw().unwrap());
        assert_eq!(read(&text)["draw_id"], 1);
        assert!(!text.contains("winners") && !text.contains("abab"), "{text}");
    }

    #[test]
    fn answers_about_missing_draws_say_null() {
        assert_eq!((cancelled(Some(DrawId(7))), cancelled(None)), (r#"{"draw_id":7}"#.into(), r#"{"draw_id":null}"#.into()));
        assert_eq!(
            voided(DrawId(1), Number(3), VoidReason::Absent, None),
            r#"{"draw_id":1,"draw_number":3,"reason":"absent","redraw_draw_id":null}"#
        );
        assert_eq!(
            reset(&sample::event().build(), false, true, None),
            format!(
                r#"{{"reset_participants":false,"reset_draws":true,"event_session_id":"{}","backup":null}}"#,
                "01".repeat(16)
            )
        );
    }
}
