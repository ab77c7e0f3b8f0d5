//! The proof of a draw, version 2: the hashes that fix a draw before its result is known.
//!
//! `../PROOF.md` specifies every byte, so that a stranger can write another verifier. A session's
//! [`SeedChain`] fixes all seeds before anybody registers. A [`Lock`] fixes everything that a draw
//! depends on, and its head is public before the outside value is known. Draws of journals from
//! before version 2 have no lock and verify as version 1.
//!
//! Nothing here may change: published proofs have to verify forever. Another scheme takes other
//! labels.

pub mod chain;
pub mod drand;
pub mod outside;
pub mod roster_tree;

pub use chain::{Seed, SeedChain};
pub use drand::{Beacon, DrandChain, DrandRound, Signature};
pub use outside::{Awaited, Fallback, OutsideRule, OutsideValue, Words};
pub use roster_tree::RosterTree;

use super::{DrawId, DrawSpec, Entropy, EventId, Number, Pool, SessionId, Timestamp};
use ring::digest::{Context, SHA256, digest};
use ring::hmac;

/// A SHA-256.
pub type Hash = [u8; 32];

/// Crockford's base 32: no I, L, O or U, which are misread or misheard.
pub const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The end before the first draw of a session.
pub const NO_END: Hash = [0; 32];

/// The part of a lock that the draw itself does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The event's name at the lock; an import may change the event's own.
    pub event: EventId,
    /// The anchor of the seed chain.
    pub anchor: Hash,
    /// The place of the draw's seed in the chain, from 1.
    pub place: u32,
    /// The end of the draw before it in the session, or [`NO_END`].
    pub previous: Hash,
    /// The Merkle root over the registrations.
    pub roster_root: Hash,
    /// The rule for the outside value.
    pub outside: OutsideRule,
    /// The round of drand that is to come, where the rule asks for one.
    pub round: Option<DrandRound>,
    /// The hash of the whole lock.
    pub head: Hash,
}

/// Everything that a lock fixes.
#[derive(Clone, Copy, Debug)]
pub struct LockedFields<'a> {
    /// The event's name.
    pub event: &'a str,
    /// The session.
    pub session: &'a SessionId,
    /// The anchor of the seed chain.
    pub anchor: &'a Hash,
    /// The place of the draw's seed in the chain.
    pub place: u32,
    /// The end of the draw before it.
    pub previous: &'a Hash,
    /// The draw.
    pub draw: DrawId,
    /// The prize's name, its rank, the mode and the number of winners.
    pub spec: &'a DrawSpec,
    /// The voided seat that the draw fills again.
    pub redraw_of: Option<(DrawId, Number)>,
    /// The Merkle root over the registrations.
    pub roster_root: &'a Hash,
    /// The numbers that can win, and their weights.
    pub pool: &'a Pool,
    /// The rule for the outside value.
    pub outside: OutsideRule,
    /// The round of drand that is to come.
    pub round: Option<DrandRound>,
    /// The time of the lock.
    pub at: Timestamp,
}

impl LockedFields<'_> {
    /// The hash of the lock: public from the start of the draw on.
    pub fn head(&self) -> Hash {
        digest(&SHA256, &self.bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The bytes whose hash is the head: all fields, each with its length before it.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { spec, pool, .. } = self;
        let redraw_of = self.redraw_of.map(|(draw, number)| [draw.0.to_be_bytes(), number.0.to_be_bytes()].concat());
        let ranges: Vec<u8> = pool.ranges.iter().flat_map(|(first, last)| [*first, *last]).flat_map(u32::to_be_bytes).collect();
        let weight = |(number, weight): &(u32, u16)| [&number.to_be_bytes()[..], &weight.to_be_bytes()].concat();
        let weights: Vec<u8> = pool.weights.iter().flat_map(weight).collect();
        let round = self.round.map(|DrandRound { chain, number, .. }| [&chain[..], &number.to_be_bytes()].concat());
        let fields: [&[u8]; 18] = [
            b"luckydraw lock 2",
            self.event.as_bytes(),
            &self.session.0,
            self.anchor,
            &self.place.to_be_bytes(),
            self.previous,
            &self.draw.0.to_be_bytes(),
            spec.prize_name.as_bytes(),
            &spec.prize_rank.to_be_bytes(),
            spec.mode.name().as_bytes(),
            &spec.winner_count.to_be_bytes(),
            redraw_of.as_deref().unwrap_or_default(),
            &pool.through.to_be_bytes(),
            self.roster_root,
            &ranges,
            &weights,
            &[self.outside.name().as_bytes(), &round.unwrap_or_default()].concat(),
            &self.at.0.to_be_bytes(),
        ];
        fields.iter().flat_map(|field| [&(field.len() as u32).to_be_bytes(), *field].concat()).collect()
    }
}

/// The SHA-256 of fields, each with its length before it in 4 bytes, big-endian, so that no two
/// splittings of the same bytes share a hash.
pub fn hash_fields(fields: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for field in fields {
        context.update(&(field.len() as u32).to_be_bytes());
        context.update(field);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The entropy of a draw: from its seed, which the chain fixed, its lock, and the outside value,
/// which is empty without one.
pub fn entropy(seed: &Seed, head: &Hash, value: &[u8]) -> Entropy {
    Entropy(hmac_fields(&seed.0, &[b"luckydraw pick 2", head, value]))
}

/// The end of a draw, which the next lock names: nothing about an ended draw can change without a
/// change of every later head.
pub fn end(head: &Hash, seed: &Seed, value: &[u8], is_cancelled: bool, picks: &[Number]) -> Hash {
    let picks: Vec<u8> = picks.iter().flat_map(|number| number.0.to_be_bytes()).collect();
    let status: &[u8] = if is_cancelled { b"cancelled" } else { b"announced" };
    hash_fields(&[b"luckydraw end 2", head, &seed.0, value, status, &picks])
}

/// The confirmation code, which people compare between the stage and a phone: eight characters.
/// The key is the outside value, or the seed where the draw has none.
pub fn confirmation_code(head: &Hash, seed: &Seed, value: &[u8]) -> String {
    let key = if value.is_empty() { &seed.0[..] } else { value };
    let hash = hmac_fields(key, &[b"luckydraw code 2", head]);
    let bits = hash[..5].iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..8).rev().map(|place| char::from(CROCKFORD[(bits >> (5 * place) & 31) as usize])).collect()
}

/// The numbers that are in one of two lists and not in both, as runs. Lists have rising runs that
/// do not touch, and so has the result. It is also what turns one list into the other.
pub fn difference(one: &[(u32, u32)], other: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut bounds: Vec<u32> = one.iter().chain(other).flat_map(|(first, last)| [*first, last.saturating_add(1)]).collect();
    bounds.sort_unstable();
    // A bound of both lists is none of the result.
    let mut kept: Vec<u32> = Vec::new();
    for bound in bounds {
        match kept.pop_if(|last| *last == bound) {
            Some(_) => {}
            None => kept.push(bound),
        }
    }
    kept.chunks_exact(2).map(|pair| (pair[0], pair[1] - 1)).collect()
}

/// The HMAC-SHA256 of fields, framed as in [`hash_fields`].
fn hmac_fields(key: &[u8], fields: &[&[u8]]) -> Hash {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for field in fields {
        context.update(&(field.len() as u32).to_be_bytes());
        context.update(field);
    }
    context.sign().as_ref().try_into().expect("an HMAC-SHA256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_difference_turns_each_list_into_the_other() {
        let lists: [&[(u32, u32)]; 7] =
            [&[], &[(1, 1)], &[(1, 9)], &[(3, 3), (5, 7)], &[(2, 2), (4, 4), (8, 20)], &[(1, 2), (10, 12)], &[(13, 13)]];
        let numbers = |list: &[(u32, u32)]| list.iter().flat_map(|(first, last)| *first..=*last).collect::<BTreeSet<u32>>();
        for one in lists {
            for other in lists {
                let between = difference(one, other);
                assert_eq!(numbers(&between), &numbers(one) ^ &numbers(other), "{one:?} {other:?}");
                assert_eq!(difference(one, &between), other);
                assert!(between.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{between:?}");
            }
        }
    }
}
