//! Bounds on the values of a fact that is read.
//!
//! A journal may come from a stranger: an import takes one in. Its values size lists and loops, and
//! one number of 2³² − 1 was enough to use up all memory. The bounds are those of the rules, which
//! commit nothing beyond them, so that every journal of this program can be read. They are checked
//! here, where a value enters, and nowhere behind.

use crate::draw::decide::{NUMBER_MAX, PARTICIPANTS_MAX};
use crate::draw::lifecycle::DRAWS_MAX;
use crate::draw::proof::Lock;
use crate::draw::{DrawSpec, Fact, Mode, Number, Pool, Timestamp};
use crate::store::record::RecordError;

/// The highest id of a draw, a prize or a link. The next one is counted on from it.
const ID_MAX: u32 = u32::MAX / 2;

/// The latest time, the end of the year 9999, in milliseconds since 1970.
const TIME_MAX: i64 = 253_402_300_799_999;

/// The longest body of a record, in bytes: a start with every weight and no two numbers side by
/// side has 8 MB.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Checks the time of a fact and the length of its body.
///
/// # Errors
/// [`RecordError::Beyond`], which names the field.
pub(in crate::store) fn check_row(at: Timestamp, body: &str) -> Result<(), RecordError> {
    match (is_time(at), body.len() <= BODY_BYTES_MAX) {
        (true, true) => Ok(()),
        (false, _) => Err(RecordError::Beyond { field: "time" }),
        (true, false) => Err(RecordError::Beyond { field: "length" }),
    }
}

/// Checks the values of a fact.
///
/// # Errors
/// [`RecordError::Beyond`], which names the field.
pub(in crate::store) fn check(fact: &Fact) -> Result<(), RecordError> {
    beyond(fact).map_or(Ok(()), |field| Err(RecordError::Beyond { field }))
}

/// True when a time can have been a clock's.
pub(in crate::store) fn is_time(at: Timestamp) -> bool {
    (0..=TIME_MAX).contains(&at.0)
}

/// The field of a fact that is out of its bounds, if one is.
fn beyond(fact: &Fact) -> Option<&'static str> {
    let checks: &[(&'static str, bool)] = match fact {
        Fact::Opened { settings, .. } | Fact::SettingsChanged { settings } => {
            &[("participants_max", settings.participants_max <= PARTICIPANTS_MAX)]
        }
        Fact::PrizeAdded { prize } | Fact::PrizeChanged { prize } => &[("id", is_id(prize.id.0))],
        Fact::PrizeRemoved { prize } => &[("prize", is_id(prize.0))],
        Fact::PrizesOrdered { order } => &[("order", order.iter().all(|prize| is_id(prize.0)))],
        Fact::Registered { number, .. } => &[("number", is_number(*number))],
        Fact::ParticipantMarked { number, mark } => &[("number", is_number(*number)), ("weight", mark.weight > 0)],
        Fact::ParticipantsRemoved { ranges } => &[("ranges", are_ranges(ranges, NUMBER_MAX))],
        Fact::StandbyShown { spec } => &[("spec", is_spec(spec))],
        // An export leaves no seed of a chain that no draw used.
        Fact::ChainBegun { length, .. } => &[("length", *length <= DRAWS_MAX)],
        Fact::Started { draw, spec, pool, sealed, lock, redraw_of, .. } => &[
            ("draw", is_id(draw.0)),
            ("spec", is_spec(spec)),
            ("pool", is_pool(pool)),
            ("picks", sealed.as_ref().is_none_or(|sealed| is_picks(&sealed.picks))),
            ("lock", lock.as_deref().is_none_or(is_lock)),
            ("redraw_of", redraw_of.is_none_or(|(draw, number)| is_id(draw.0) && is_number(number))),
        ],
        Fact::OutsideReceived { draw, sealed, .. } | Fact::Revealed { draw, sealed, .. } => {
            &[("draw", is_id(draw.0)), ("picks", is_picks(&sealed.picks))]
        }
        Fact::FellBack { draw, sealed, .. } | Fact::Cancelled { draw, sealed, .. } => {
            &[("draw", is_id(draw.0)), ("picks", sealed.as_ref().is_none_or(|sealed| is_picks(&sealed.picks)))]
        }
        Fact::Announced { draw, .. } => &[("draw", is_id(draw.0))],
        Fact::SeatVoided { draw, number, .. }
        | Fact::DetailsReceived { draw, number }
        | Fact::Arrived { draw, number }
        | Fact::HandedOver { draw, number, .. }
        | Fact::HandOverUndone { draw, number } => &[("draw", is_id(draw.0)), ("number", is_number(*number))],
        Fact::LinkMade { link } => &[("id", is_id(link.id.0))],
        Fact::LinkRevoked { link } => &[("link", is_id(link.0))],
        Fact::PhaseChanged { .. }
        | Fact::EntryCodeSet { .. }
        | Fact::EntryCodeRotates
        | Fact::StandbyEnded
        | Fact::Reset { .. }
        | Fact::DetailsUnmasked
        | Fact::EpochRenewed { .. } => &[],
    };
    checks.iter().find(|(_, is_within)| !is_within).map(|(field, _)| *field)
}

fn is_id(id: u32) -> bool {
    (1..=ID_MAX).contains(&id)
}

fn is_number(number: Number) -> bool {
    (1..=NUMBER_MAX).contains(&number.0)
}

fn is_picks(picks: &[Number]) -> bool {
    picks.len() <= Mode::List.winners_max() as usize && picks.iter().all(|number| is_number(*number))
}

fn is_lock(lock: &Lock) -> bool {
    (1..=DRAWS_MAX).contains(&lock.place)
        && lock.round.is_some() == lock.outside.is_drand()
        && lock.round.is_none_or(|round| is_time(round.at))
}

fn is_spec(spec: &DrawSpec) -> bool {
    spec.winner_count <= Mode::List.winners_max() && spec.prize_id.is_none_or(|prize| is_id(prize.0))
}

/// The ranges rise, from 1 to `through` at most.
fn are_ranges(ranges: &[(u32, u32)], through: u32) -> bool {
    let is_range = |(first, last): (u32, u32)| is_number(Number(first)) && first <= last && last <= through;
    let rise = ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
    rise && ranges.iter().copied().all(is_range)
}

/// The ranges rise and hold as many numbers as the pool says; each number with a weight is one.
fn is_pool(pool: &Pool) -> bool {
    are_ranges(&pool.ranges, pool.through)
        && pool.through <= NUMBER_MAX
        && pool.size == pool.ranges.iter().map(|(first, last)| last - first + 1).sum::<u32>()
        && pool.weights.len() <= pool.size as usize
}

#[cfg(test)]
mod tests {
    use super::super::examples::examples;
    use super::*;
    use crate::draw::{DrawId, PrizeId, SessionId};

    #[test]
    fn every_example_is_within_its_bounds() {
        for (fact, text) in examples() {
            assert_eq!(beyond(&fact), None, "{text}");
        }
    }

    #[test]
    fn a_value_that_would_size_a_list_or_overflow_is_beyond() {
        let registered = |number| Fact::Registered { number: Number(number), key: [1; 32], secrets: Default::default() };
        for number in [0, NUMBER_MAX + 1, u32::MAX] {
            assert_eq!(beyond(&registered(number)), Some("number"), "{number}");
        }
        assert_eq!(beyond(&registered(NUMBER_MAX)), None);
        for id in [0, ID_MAX + 1, u32::MAX] {
            assert_eq!(beyond(&Fact::PrizeRemoved { prize: PrizeId(id) }), Some("prize"));
            assert_eq!(beyond(&Fact::Arrived { draw: DrawId(id), number: Number(1) }), Some("draw"));
        }
        assert_eq!(beyond(&Fact::Reset { session: Some(SessionId([1; 16])) }), None);
        let pool = |ranges: &[(u32, u32)], size| Pool { ranges: ranges.to_vec(), size, through: 9, weights: vec![] };
        assert!(is_pool(&pool(&[(1, 3), (5, 9)], 8)) && is_pool(&pool(&[], 0)));
        for wrong in [pool(&[(1, u32::MAX)], u32::MAX), pool(&[(3, 1)], 1), pool(&[(5, 9), (1, 3)], 8), pool(&[(1, 3)], 4)] {
            assert!(!is_pool(&wrong), "{wrong:?}");
        }
        assert!(!is_pool(&Pool { through: u32::MAX, ..Pool::default() }));
        assert!(is_time(Timestamp(0)) && is_time(Timestamp(TIME_MAX)));
        assert!(![-1, TIME_MAX + 1, i64::MAX, i64::MIN].into_iter().map(Timestamp).any(is_time));
    }
}
