//! The proof: for every draw that is in the open, all that went into its pick, so that anybody can do it again.

use super::draws::status_name;
use super::json;
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::{Draw, Event, Status};
use data_encoding::HEXLOWER;
use serde::Serialize;

/// One draw's proof. Ranges are inclusive; `weights` holds those other than 1.
#[derive(Serialize)]
struct ProofView<'a> {
    draw_id: u32,
    prize_name: &'a str,
    prize_rank: u32,
    draw_mode: &'static str,
    winner_count: u32,
    status: &'static str,
    started_at: String,
    revealed_at: Option<String>,
    announced_at: Option<String>,
    cancelled_at: Option<String>,
    reason: Option<&'a str>,
    redraw_of: Option<RedrawView>,
    pool: &'a [(u32, u32)],
    pool_size: u32,
    registered_through: u32,
    excluded: Vec<(u32, u32)>,
    weights: &'a [(u32, u16)],
    entropy: String,
    commitment: String,
    picks: Vec<u32>,
    voided: Vec<VoidedView>,
}

/// The seat that a draw fills again.
#[derive(Serialize)]
struct RedrawView {
    draw_id: u32,
    draw_number: u32,
}

/// A seat that was voided after its announcement.
#[derive(Serialize)]
struct VoidedView {
    draw_number: u32,
    reason: &'static str,
    voided_at: String,
}

/// The proof of an event's draws: those announced, and those called off before their reveal, since a pick that vanished unseen would be a reroll.
pub fn proof(event: &Event) -> String {
    #[derive(Serialize)]
    struct Proof<'a> {
        event_id: &'a str,
        event_session_id: String,
        draws: Vec<ProofView<'a>>,
    }
    let draws = event.draws().filter_map(|draw| view(draw)).collect();
    json(&Proof { event_id: event.id.as_str(), event_session_id: HEXLOWER.encode(&event.session.0), draws })
}

fn view(draw: &Draw) -> Option<ProofView<'_>> {
    let open = draw.is_known_to(Audience::Public) || draw.status() == Status::Cancelled;
    let sealed = draw.disclosed_pick().filter(|_| open)?;
    let voided = draw.seats.iter().filter_map(|seat| {
        let (at, reason) = seat.voided?;
        Some(VoidedView { draw_number: seat.number.0, reason: reason.name(), voided_at: rfc3339(at) })
    });
    Some(ProofView {
        draw_id: draw.id.0,
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        draw_mode: draw.spec.mode.name(),
        winner_count: draw.spec.winner_count,
        status: status_name(draw.status()),
        started_at: rfc3339(draw.started_at),
        revealed_at: draw.revealed_at.map(rfc3339),
        announced_at: draw.announced_at.map(rfc3339),
        cancelled_at: draw.cancelled.as_ref().map(|(at, _)| rfc3339(*at)),
        reason: draw.cancelled.as_ref().map(|(_, reason)| &**reason),
        redraw_of: draw.redraw_of.map(|(of, number)| RedrawView { draw_id: of.0, draw_number: number.0 }),
        pool: &draw.pool.ranges,
        pool_size: draw.pool.size,
        registered_through: draw.pool.through,
        excluded: draw.pool.excluded(),
        weights: &draw.pool.weights,
        entropy: HEXLOWER.encode(&sealed.entropy.0),
        commitment: HEXLOWER.encode(&draw.commitment()),
        picks: sealed.picks.iter().map(|number| number.0).collect(),
        voided: voided.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::sample;
    use serde_json::Value;

    fn statuses(event: &Event) -> Vec<String> {
        let proof: Value = serde_json::from_str(&proof(event)).unwrap();
        let draws = proof["draws"].as_array().unwrap().clone();
        draws.iter().map(|draw| draw["status"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn nothing_is_proved_before_it_is_announced_and_nothing_vanishes() {
        let event = sample::event().announced("TV", &[3]).revealed("TV", &[7]).build();
        assert_eq!(statuses(&event), ["announced"]);
        let event = sample::event().announced("TV", &[3]).started("TV", &[7]).build();
        assert_eq!(statuses(&event), ["announced"]);
        let event = sample::event().started("TV", &[7]).cancelled("wrong prize").build();
        assert_eq!(statuses(&event), ["cancelled"], "no silent reroll");
        assert!(proof(&event).contains(r#""picks":[7]"#) && proof(&event).contains("wrong prize"));
    }

    #[test]
    fn a_proof_holds_what_a_pick_was_made_of() {
        let event = sample::event().announced("TV", &[3, 9]).build();
        let proof = proof(&event);
        for part in [r#""pool":[[1,10]]"#, r#""pool_size":10"#, r#""excluded":[]"#, r#""picks":[3,9]"#, &"ab".repeat(32)] {
            assert!(proof.contains(part), "{part} in {proof}");
        }
    }
}
