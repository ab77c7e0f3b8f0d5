//! Locks and outside values in frames.

use crate::base::clock::rfc3339;
use crate::draw::Draw;
use crate::draw::proof::{Fallback, OutsideValue, drand};
use data_encoding::HEXLOWER;
use serde::Serialize;

/// A lock, as everyone may know it before the winners are known.
#[derive(Serialize)]
pub(super) struct LockView {
    /// The hash of the whole lock, which the proof must lead to afterwards.
    head: String,
    pool_size: u32,
    outside: &'static str,
    /// The round of drand that is to come, and its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_round: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_at: Option<String>,
    /// The source in place of that round.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_value: Option<String>,
}

impl LockView {
    /// `None` for a draw from before locks.
    pub fn of(draw: &Draw) -> Option<Self> {
        let lock = draw.lock.as_ref()?;
        Some(Self {
            head: HEXLOWER.encode(&lock.head),
            pool_size: draw.pool.size,
            outside: lock.outside.name(),
            outside_round: lock.round.map(|round| round.number),
            // Rounds come at whole seconds.
            outside_at: lock.round.map(|round| rfc3339(round.at).replace(".000Z", "Z")),
            fallback: draw.taken_fallback().map(Fallback::name),
            outside_value: OutsideView::of(draw).outside_value,
        })
    }
}

/// An outside value as pages show it.
#[derive(Serialize)]
pub(super) struct OutsideView {
    /// The hall's words, or the randomness of a round in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_value: Option<String>,
    /// The number of that round.
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_round: Option<u64>,
}

impl OutsideView {
    pub fn of(draw: &Draw) -> Self {
        let (outside_value, is_round) = match &draw.outside {
            None => (None, false),
            Some(OutsideValue::Words(words)) => (Some(words.as_str().to_owned()), false),
            Some(OutsideValue::Signature(signature)) => (Some(HEXLOWER.encode(&drand::randomness(signature))), true),
        };
        let round = draw.lock.as_ref().and_then(|lock| lock.round).filter(|_| is_round);
        Self { outside_value, outside_round: round.map(|round| round.number) }
    }
}

/// The outside value of the pending draw.
#[derive(Serialize)]
pub(super) struct OutsideReceived {
    draw_id: u32,
    #[serde(flatten)]
    outside: OutsideView,
}

impl OutsideReceived {
    pub fn of(draw: &Draw) -> Self {
        Self { draw_id: draw.id.0, outside: OutsideView::of(draw) }
    }
}

/// A round of drand that an operator gave up on.
#[derive(Serialize)]
pub(super) struct FellBack<'a> {
    draw_id: u32,
    fallback: Option<&'static str>,
    reason: Option<&'a str>,
}

impl<'a> FellBack<'a> {
    pub fn of(draw: &'a Draw) -> Self {
        let fallback = draw.taken_fallback().map(Fallback::name);
        Self { draw_id: draw.id.0, fallback, reason: draw.fallback.as_deref() }
    }
}
