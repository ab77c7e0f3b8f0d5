//! The list of prizes, with how many of each are left as the asker may know.

use super::json;
use crate::draw::event::Audience;
use crate::draw::{Event, Prize};
use serde::Serialize;

/// A prize on the list.
#[derive(Serialize)]
pub struct PrizeView<'a> {
    prize_id: u32,
    prize_name: &'a str,
    prize_rank: u32,
    prize_grade: Option<&'a str>,
    quantity: u32,
    remaining: u32,
    draw_mode: Option<&'static str>,
    winner_count: Option<u32>,
    prize_image: Option<&'a str>,
    repeat_winners: bool,
    group: Option<&'a str>,
    needs_address: bool,
}

/// The prizes in their order.
pub fn prizes(event: &Event, audience: Audience) -> Vec<PrizeView<'_>> {
    event.prizes.iter().map(|prize| view(event, prize, audience)).collect()
}

/// The console's list.
pub fn list(event: &Event) -> String {
    #[derive(Serialize)]
    struct List<'a> {
        prizes: Vec<PrizeView<'a>>,
        total_count: usize,
    }
    let prizes = prizes(event, Audience::Operators);
    json(&List { total_count: prizes.len(), prizes })
}

/// One prize, for the console.
pub fn one(event: &Event, prize: &Prize) -> String {
    json(&view(event, prize, Audience::Operators))
}

fn view<'a>(event: &Event, prize: &'a Prize, audience: Audience) -> PrizeView<'a> {
    PrizeView {
        prize_id: prize.id.0,
        prize_name: &prize.name,
        prize_rank: prize.rank,
        prize_grade: prize.grade.as_deref(),
        quantity: prize.quantity,
        remaining: event.remaining(prize, audience),
        draw_mode: prize.mode.map(|mode| mode.name()),
        winner_count: prize.winner_count,
        prize_image: prize.image.as_deref(),
        repeat_winners: prize.repeat_winners,
        group: prize.group.as_deref(),
        needs_address: prize.needs_address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::VoidReason;
    use crate::draw::sample;

    #[test]
    fn a_voided_seat_gives_its_prize_back() {
        let event = sample::event().announced("TV", &[3]).revealed("TV", &[4]).build();
        assert!(list(&event).contains(r#""remaining":0"#), "the stage knows of both");
        let event = sample::event().announced("TV", &[3]).voided(VoidReason::Absent).build();
        assert!(list(&event).contains(r#""remaining":2"#));
    }
}
