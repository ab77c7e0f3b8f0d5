//! The proof of an event, and a phone's path in the tree of registrations.
//!
//! `src/draw/PROOF.md` specifies the format. A draw is shown once it is announced or cancelled, and
//! for good: one that was called off, by cancellation or by a reset of draws, would otherwise be a
//! silent reroll.

use super::{json, status_name};
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::proof::drand::QUICKNET;
use crate::draw::proof::{Hash, Lock, OutsideValue, difference};
use crate::draw::{Draw, Event, Number, Status};
use data_encoding::HEXLOWER;
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// The longest lock that a path comes with. Every phone asks for its own, and a pool with hundreds
/// of runs or weights is for the proof.
const LOCK_BYTES_MAX: usize = 2_048;

/// A locked draw. `../../draw/PROOF.md` explains each field; what can be computed is left out.
#[derive(Serialize)]
struct LockedDrawView<'a> {
    version: u32,
    draw_id: u32,
    status: &'static str,
    /// The event's name at the lock, where it is not the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    /// Index into `anchors`.
    chain: usize,
    place: u32,
    prize_name: &'a str,
    prize_rank: u32,
    draw_mode: &'static str,
    winner_count: u32,
    redraw_of: Option<RedrawView>,
    registered_through: u32,
    /// Left out where it is that of the lock before.
    #[serde(skip_serializing_if = "Option::is_none")]
    roster_root: Option<String>,
    pool_size: u32,
    /// The numbers that are excluded here or at the lock before, and not at both.
    excluded: Vec<Numbers>,
    /// Left out where they are those of the lock before, without numbers that are excluded here.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'a [(u32, u16)]>,
    outside: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<u64>,
    /// The chain of the round, where it is not quicknet.
    #[serde(skip_serializing_if = "Option::is_none")]
    drand_chain: Option<String>,
    started_at_ms: i64,
    head: String,
    /// The reason for which an operator gave up on the round.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<&'a str>,
    outside_value: Option<Cow<'a, str>>,
    seed: String,
    picks: Vec<u32>,
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset_at: Option<String>,
    voided: Vec<VoidedView>,
}

/// A number, or the first and last of a run.
#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    One(u32),
    Run(u32, u32),
}

#[derive(Serialize)]
#[serde(untagged)]
enum DrawView<'a> {
    Locked(LockedDrawView<'a>),
    FirstVersion(FirstVersionView<'a>),
}

/// A draw from before locks. Ranges are inclusive; `weights` holds those other than 1.
#[derive(Serialize)]
struct FirstVersionView<'a> {
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
    /// The time of the reset that called the draw off.
    reset_at: Option<String>,
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

/// The voided seat that a draw fills again.
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

/// The proof of an event: all input of each announced or cancelled draw, so that anyone can repeat
/// it. With `leaves` it has the hash of every registration that the newest lock holds.
pub fn proof(event: &Event, with_leaves: bool) -> String {
    #[derive(Serialize)]
    struct Proof<'a> {
        event_id: &'a str,
        event_session_id: String,
        outside: &'static str,
        /// The anchors of the seed chains, the present one last.
        anchors: Vec<String>,
        draws: Vec<DrawView<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        leaves: Option<Leaves>,
    }
    #[derive(Serialize)]
    struct Leaves {
        draw_id: u32,
        hashes: Vec<String>,
    }
    let (mut anchors, mut before) = (event.anchors.to_vec(), None);
    let draws = event.draws_with_cleared().filter(|draw| is_open(draw));
    let draws = draws.filter_map(|draw| match &draw.lock {
        Some(lock) => {
            let chain = chain_index(&mut anchors, lock.anchor);
            let before = before.replace((draw, &**lock));
            locked(event, draw, lock, chain, before).map(DrawView::Locked)
        }
        None => first_version(draw).map(DrawView::FirstVersion),
    });
    let draws = draws.collect();
    let leaves = event
        .locked_roster()
        .filter(|_| with_leaves)
        .map(|(draw, roster)| Leaves { draw_id: draw.0, hashes: roster.leaves().map(|leaf| HEXLOWER.encode(&leaf)).collect() });
    json(&Proof {
        event_id: event.id.as_str(),
        event_session_id: HEXLOWER.encode(&event.session.0),
        outside: event.settings.outside.name(),
        anchors: anchors.iter().map(|anchor| HEXLOWER.encode(anchor)).collect(),
        draws,
        leaves,
    })
}

/// The path of a registration in the newest lock; `None` while there is no lock, or none that holds
/// the number.
pub fn path(event: &Event, number: Number) -> Option<String> {
    #[derive(Serialize)]
    struct PathView {
        draw_id: u32,
        draw_number: u32,
        receipt: String,
        registered_through: u32,
        roster_root: String,
        path: Vec<String>,
        /// The bytes of the lock, whose hash is the head that phones heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        lock: Option<String>,
    }
    let (draw, roster) = event.locked_roster()?;
    let locked = event.draws_with_cleared().find(|locked| locked.id == draw);
    let lock = locked.and_then(|locked| event.lock_bytes(locked)).filter(|bytes| bytes.len() <= LOCK_BYTES_MAX);
    let (receipt, path) = (roster.key(number.0)?, roster.path(number.0)?);
    Some(json(&PathView {
        draw_id: draw.0,
        draw_number: number.0,
        receipt: HEXLOWER.encode(receipt),
        registered_through: roster.len(),
        roster_root: HEXLOWER.encode(&roster.root()),
        path: path.iter().map(|hash| HEXLOWER.encode(hash)).collect(),
        lock: lock.map(|bytes| HEXLOWER.encode(&bytes)),
    }))
}

/// True when the public may see all of a draw.
fn is_open(draw: &Draw) -> bool {
    draw.is_known_to(Audience::Public) || draw.status() == Status::Cancelled
}

/// The index of an anchor. A journal of another program may lack the fact that began the chain.
fn chain_index(anchors: &mut Vec<Hash>, anchor: Hash) -> usize {
    anchors.iter().rposition(|each| *each == anchor).unwrap_or_else(|| {
        anchors.push(anchor);
        anchors.len() - 1
    })
}

/// A locked draw; `before` is the locked draw before it in the file.
fn locked<'a>(
    event: &Event,
    draw: &'a Draw,
    lock: &'a Lock,
    chain: usize,
    before: Option<(&Arc<Draw>, &Lock)>,
) -> Option<LockedDrawView<'a>> {
    let excluded_before = before.map(|(draw, _)| draw.pool.excluded()).unwrap_or_default();
    let is_new_root = before.is_none_or(|(_, before)| before.roster_root != lock.roster_root);
    let has_new_weights = before.is_none_or(|(before, _)| !draw.pool.has_weights_of(&before.pool));
    let picks = draw.disclosed_pick().map(|sealed| sealed.picks.iter().map(|number| number.0).collect());
    let run = |(first, last)| if first == last { Numbers::One(first) } else { Numbers::Run(first, last) };
    Some(LockedDrawView {
        version: 2,
        draw_id: draw.id.0,
        status: status_name(draw.status()),
        event_id: Some(lock.event.as_str()).filter(|name| *name != event.id.as_str()),
        chain,
        place: lock.place,
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        draw_mode: draw.spec.mode.name(),
        winner_count: draw.spec.winner_count,
        redraw_of: redraw_of(draw),
        registered_through: draw.pool.through,
        roster_root: is_new_root.then(|| HEXLOWER.encode(&lock.roster_root)),
        pool_size: draw.pool.size,
        excluded: difference(&excluded_before, &draw.pool.excluded()).into_iter().map(run).collect(),
        weights: has_new_weights.then_some(&draw.pool.weights),
        outside: lock.outside.name(),
        round: lock.round.map(|round| round.number),
        drand_chain: lock.round.filter(|round| round.chain != QUICKNET.hash()).map(|round| HEXLOWER.encode(&round.chain)),
        started_at_ms: draw.started_at.0,
        head: HEXLOWER.encode(&lock.head),
        fallback: draw.fallback.as_deref(),
        outside_value: draw.outside.as_ref().map(|value| match value {
            OutsideValue::Words(words) => words.as_str().into(),
            OutsideValue::Signature(signature) => HEXLOWER.encode(signature).into(),
        }),
        seed: HEXLOWER.encode(&draw.disclosed_seed()?.0),
        picks: picks.unwrap_or_default(),
        code: draw.confirmation_code(),
        reason: draw.cancelled.as_ref().map(|(_, reason)| &**reason),
        reset_at: draw.reset_at.map(rfc3339),
        voided: voided(draw),
    })
}

fn redraw_of(draw: &Draw) -> Option<RedrawView> {
    draw.redraw_of.map(|(of, number)| RedrawView { draw_id: of.0, draw_number: number.0 })
}

fn voided(draw: &Draw) -> Vec<VoidedView> {
    let voided = draw.seats.iter().filter_map(|seat| {
        let (at, reason) = seat.voided?;
        Some(VoidedView { draw_number: seat.number.0, reason: reason.name(), voided_at: rfc3339(at) })
    });
    voided.collect()
}

fn first_version(draw: &Draw) -> Option<FirstVersionView<'_>> {
    let sealed = draw.disclosed_pick()?;
    Some(FirstVersionView {
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
        reset_at: draw.reset_at.map(rfc3339),
        redraw_of: redraw_of(draw),
        pool: &draw.pool.ranges,
        pool_size: draw.pool.size,
        registered_through: draw.pool.through,
        excluded: draw.pool.excluded(),
        weights: &draw.pool.weights,
        entropy: HEXLOWER.encode(&sealed.entropy.0),
        commitment: HEXLOWER.encode(&draw.commitment()?),
        picks: sealed.picks.iter().map(|number| number.0).collect(),
        voided: voided(draw),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Fact, Timestamp, sample};
    use serde_json::Value;

    fn proof(event: &Event) -> String {
        super::proof(event, false)
    }

    fn statuses(event: &Event) -> Vec<String> {
        let proof: Value = serde_json::from_str(&proof(event)).unwrap();
        let draws = proof["draws"].as_array().unwrap().clone();
        draws.iter().map(|draw| draw["status"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_proof_shows_announced_and_cancelled_draws_only() {
        let event = sample::event().announced("TV", &[3]).revealed("TV", &[7]).build();
        assert_eq!(statuses(&event), ["announced"]);
        let event = sample::event().announced("TV", &[3]).started("TV", &[7]).build();
        assert_eq!(statuses(&event), ["announced"]);
        let event = sample::event().started("TV", &[7]).cancelled("wrong prize").build();
        assert_eq!(statuses(&event), ["cancelled"], "no silent reroll");
        assert!(proof(&event).contains(r#""picks":[7]"#) && proof(&event).contains("wrong prize"));
    }

    #[test]
    fn a_proof_shows_what_a_reset_called_off() {
        let mut event = sample::event().announced("TV", &[3]).build();
        event.apply(Timestamp(7_000), &Fact::Reset { session: None });
        assert_eq!((statuses(&event), event.draws().len()), (vec!["announced".to_owned()], 0));
        assert!(proof(&event).contains(r#""reset_at":"1970-01-01T00:00:07.000Z""#), "{}", proof(&event));
    }

    #[test]
    fn a_proof_holds_all_input_of_a_pick() {
        let event = sample::event().announced("TV", &[3, 9]).build();
        let proof = proof(&event);
        for part in [r#""pool":[[1,10]]"#, r#""pool_size":10"#, r#""excluded":[]"#, r#""picks":[3,9]"#, &"ab".repeat(32)] {
            assert!(proof.contains(part), "{part} in {proof}");
        }
    }
}
