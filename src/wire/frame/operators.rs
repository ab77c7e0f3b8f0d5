//! Frames for displays and consoles alone, which no phone gets. They carry no `seq`.

use super::typed;
use crate::base::clock::rfc3339;
use crate::draw::fact::{Actor, Fact};
use crate::draw::{Draw, DrawId, Event, Number, Pool, Timestamp};
use crate::wire::view::role_name;
use bytes::Bytes;
use serde::Serialize;

/// The most ranges of a pool in a frame.
const RANGES_MAX: usize = 256;

/// `draw_pool`, for displays and consoles: numbers that can win the draw.
pub fn draw_pool(draw: &Draw) -> Bytes {
    #[derive(Serialize)]
    struct DrawPool {
        draw_id: u32,
        ranges: Vec<(u32, u32)>,
    }
    typed("draw_pool", DrawPool { draw_id: draw.id.0, ranges: shown_ranges(&draw.pool) })
}

/// Ranges of a pool that an animation shows, inclusive and rising: all of them, or of a pool in
/// many parts as many as a frame may hold, spread evenly and with the last.
pub fn shown_ranges(pool: &Pool) -> Vec<(u32, u32)> {
    let (ranges, count) = (&pool.ranges, pool.ranges.len());
    if count <= RANGES_MAX {
        return ranges.clone();
    }
    (0..RANGES_MAX).map(|place| ranges[place * (count - 1) / (RANGES_MAX - 1)]).collect()
}

/// `winner_info_received`, for consoles. `phone` must be masked.
pub fn winner_info_received(number: Number, prize_name: &str, name: &str, phone: &str, submitted_at: Timestamp) -> Bytes {
    #[derive(Serialize)]
    struct Received<'a> {
        draw_number: u32,
        prize_name: &'a str,
        name: &'a str,
        phone: &'a str,
        submitted_at: String,
    }
    typed(
        "winner_info_received",
        Received { draw_number: number.0, prize_name, name, phone, submitted_at: rfc3339(submitted_at) },
    )
}

/// `prizes_changed`, for consoles: the list of prizes, or who can win them. Consoles ask for the
/// new list themselves.
pub fn prizes_changed() -> Bytes {
    #[derive(Serialize)]
    struct Changed {}
    typed("prizes_changed", Changed {})
}

/// `step_taken`, for consoles: the operator who took a step of the show; `None` for other facts,
/// and for what no operator did.
pub fn step_taken(event: &Event, actor: Actor, fact: &Fact) -> Option<Bytes> {
    #[derive(Serialize)]
    struct Step {
        step: &'static str,
        by: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        link_id: Option<u32>,
    }
    let (by, link_id) = match actor {
        Actor::Admin => ("admin", None),
        Actor::Link(id) => (role_name(event.links.iter().find(|link| link.id == id)?.role), Some(id.0)),
        Actor::Phone | Actor::Display | Actor::Clock => return None,
    };
    let step = match fact {
        Fact::StandbyShown { .. } => "standby",
        Fact::Started { .. } => "start",
        Fact::Revealed { .. } => "reveal",
        Fact::Announced { .. } => "complete",
        _ => return None,
    };
    Some(typed("step_taken", Step { step, by, link_id }))
}

/// `winner_arrived`, for displays: this winner is in the hall.
pub fn winner_arrived(draw: DrawId, number: Number) -> Bytes {
    about_winner("winner_arrived", draw, number)
}

/// `winner_updated`, for consoles: this winner arrived, or a hand-over changed. Consoles ask for
/// the new state themselves.
pub fn winner_updated(draw: DrawId, number: Number) -> Bytes {
    about_winner("winner_updated", draw, number)
}

fn about_winner(kind: &'static str, draw: DrawId, number: Number) -> Bytes {
    #[derive(Serialize)]
    struct Winner {
        draw_id: u32,
        draw_number: u32,
    }
    typed(kind, Winner { draw_id: draw.0, draw_number: number.0 })
}

#[cfg(test)]
mod tests {
    use super::super::super::frame_text;
    use super::*;
    use crate::draw::fact::Cause;
    use crate::draw::{Link, LinkId, LinkRole, sample};
    use serde_json::{Value, json};

    #[test]
    fn consoles_are_told_which_operator_took_a_step() {
        let mut event = sample::event().build();
        event.apply(
            Timestamp(1),
            &Fact::LinkMade { link: Link { id: LinkId(7), role: LinkRole::Host, made_at: Timestamp(1), revoked_at: None } },
        );
        let ended = Fact::StandbyEnded;
        let shown = Fact::Announced { draw: DrawId(1), cause: Cause::Completed };
        let told =
            |actor, fact| step_taken(&event, actor, fact).map(|frame| serde_json::from_slice(&frame_text(&frame)).unwrap());
        let by = |by: &str, link: Option<u32>| {
            let mut step = json!({"type": "step_taken", "step": "complete", "by": by});
            link.into_iter().for_each(|id| step["link_id"] = json!(id));
            Some(step)
        };
        assert_eq!(told(Actor::Admin, &shown), by("admin", None));
        assert_eq!(told(Actor::Link(LinkId(7)), &shown), by("host", Some(7)));
        assert_eq!((told(Actor::Clock, &shown), told(Actor::Admin, &ended)), (None::<Value>, None));
    }

    #[test]
    fn a_pool_in_many_parts_is_shown_in_part_and_up_to_its_last_number() {
        let mut pool = Pool::default();
        (1..=10_000).filter(|number| number % 3 != 0).for_each(|number| pool.push(Number(number), 1));
        let shown = shown_ranges(&pool);
        assert_eq!((shown.len(), shown[0], shown[RANGES_MAX - 1]), (RANGES_MAX, (1, 2), (10_000, 10_000)));
        assert!(shown.windows(2).all(|pair| pair[0].1 < pair[1].0), "each once");
        pool.ranges.truncate(3);
        assert_eq!(shown_ranges(&pool), pool.ranges);
    }
}
