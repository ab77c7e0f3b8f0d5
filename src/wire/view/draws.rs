//! Draws: what stands ready, what was started and revealed, the console's history and the public's results.

use super::json;
use super::prizes::{PrizeView, prizes};
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::{Draw, DrawSpec, Event, Seat, Status};
use crate::wire::frame::Prize;
use data_encoding::HEXLOWER;
use serde::Serialize;

/// A whole draw, its winners in the open.
#[derive(Serialize)]
struct RevealedView<'a> {
    success: bool,
    draw_id: u32,
    #[serde(flatten)]
    spec: Prize<'a>,
    winners: Vec<u32>,
    drawn_at: Option<String>,
    status: &'static str,
}

/// A row of the history: one seat.
#[derive(Serialize)]
struct RowView<'a> {
    draw_id: u32,
    prize_name: &'a str,
    prize_rank: u32,
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
    /// Whether the prize was handed over.
    claimed: bool,
    handed_over_at: Option<String>,
    desk: Option<&'a str>,
}

/// A draw in the public's results.
#[derive(Serialize)]
struct ResultView<'a> {
    draw_id: u32,
    #[serde(flatten)]
    spec: Prize<'a>,
    drawn_at: Option<String>,
    announced_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redraw_of: Option<u32>,
    winners: Vec<SeatView>,
}

/// A seat in the public's results.
#[derive(Serialize)]
struct SeatView {
    draw_number: u32,
    voided: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voided_at: Option<String>,
}

/// What stands ready on the stage.
pub fn standby(spec: &DrawSpec) -> String {
    #[derive(Serialize)]
    struct Standby<'a> {
        #[serde(flatten)]
        spec: Prize<'a>,
        status: &'static str,
    }
    json(&Standby { spec: Prize::of(spec), status: "standby" })
}

/// A draw whose winners are picked and known to nobody; the same answer whatever has become of it since.
pub fn started(draw: &Draw) -> String {
    #[derive(Serialize)]
    struct Started<'a> {
        draw_id: u32,
        #[serde(flatten)]
        spec: Prize<'a>,
        started_at: String,
        commitment: String,
        status: &'static str,
    }
    json(&Started {
        draw_id: draw.id.0,
        spec: Prize::of(&draw.spec),
        started_at: rfc3339(draw.started_at),
        commitment: HEXLOWER.encode(&draw.commitment()),
        status: "started",
    })
}

/// A draw with its winners, for the console that revealed or completed it.
pub fn revealed(draw: &Draw) -> String {
    json(&RevealedView {
        success: true,
        draw_id: draw.id.0,
        spec: Prize::of(&draw.spec),
        winners: draw.winners().map(|number| number.0).collect(),
        drawn_at: draw.revealed_at.map(rfc3339),
        status: status_name(draw.status()),
    })
}

/// The console's history: a row for each seat of each revealed draw, in the order of drawing. A voided seat keeps its row.
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

/// The public's results: what is announced, and how many of each prize are left.
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

/// A status as the console reads it.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Started => "started",
        Status::Revealed => "revealed",
        Status::Announced => "announced",
        Status::Cancelled => "cancelled",
    }
}

fn row<'a>(draw: &'a Draw, seat: &'a Seat) -> RowView<'a> {
    RowView {
        draw_id: draw.id.0,
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
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
        spec: Prize::of(&draw.spec),
        drawn_at: draw.revealed_at.map(rfc3339),
        announced_at: draw.announced_at.map(rfc3339),
        redraw_of: draw.redraw_of.map(|(of, _)| of.0),
        winners: draw.seats.iter().map(seat).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::VoidReason;
    use crate::draw::sample;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn results_hold_what_is_announced_and_nothing_else() {
        let event = sample::event().announced("TV", &[3]).revealed("TV", &[7]).build();
        let results = read(&results(&event));
        assert_eq!(results["total_count"], 1);
        assert_eq!(results["draws"][0]["winners"], json!([{"draw_number": 3, "voided": false}]));
        assert_eq!(results["prizes"][0]["remaining"], 1, "an unannounced draw takes no prize off the public's count");
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
}
