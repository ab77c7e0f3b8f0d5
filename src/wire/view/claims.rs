//! What the prize desk sees of a winner who shows a code: the prize, and just enough of the person to know them by.

use super::json;
use super::people::{WinnerContact, masked, masked_name};
use crate::base::clock::rfc3339;
use crate::draw::{DrawId, Event, Number};
use crate::wire::display_number;
use serde::Serialize;

/// A seat as its prize is claimed; none when it is not there.
pub fn claim(event: &Event, draw: DrawId, number: Number, reached: Option<&WinnerContact<'_>>) -> Option<String> {
    #[derive(Serialize)]
    struct ClaimView<'a> {
        draw_id: u32,
        draw_number: u32,
        display_number: String,
        prize_name: &'a str,
        prize_rank: u32,
        prize_image: Option<&'a str>,
        name_masked: Option<String>,
        phone_masked: Option<String>,
        arrived_at: Option<String>,
        handed_over: bool,
        handed_over_at: Option<String>,
        desk: Option<&'a str>,
    }
    let draw = event.draw(draw)?;
    let seat = draw.seat(number)?;
    Some(json(&ClaimView {
        draw_id: draw.id.0,
        draw_number: number.0,
        display_number: display_number(number),
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        prize_image: draw.spec.prize_image.as_deref(),
        name_masked: reached.map(|reached| masked_name(reached.name)),
        phone_masked: reached.map(|reached| masked(reached.phone)),
        arrived_at: seat.arrived_at.map(rfc3339),
        handed_over: seat.handed_over.is_some(),
        handed_over_at: seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at)),
        desk: seat.handed_over.as_ref().map(|(_, desk)| &**desk),
    }))
}
