//! The seed chain of a session: one secret that fixes the seed of every draw before anybody
//! registers.
//!
//! Each seed is the hash of the next, and the hash of the first is the public anchor. So a draw can
//! use its own seed and no other, and a seed that becomes public says nothing about those after it.
//! Who holds the last seed knows all of them: it is sealed at rest, and an export leaves out the
//! seeds that no draw has used.

use super::{Hash, hash_fields};
use std::fmt;
use std::sync::OnceLock;

/// Seeds between two that are kept. Keeping one in a hundred makes a seed cost at most 99 hashes
/// during the start of a draw, instead of all.
const STRIDE: u32 = 100;

/// The secret input of one draw; public once the draw is announced or cancelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub Hash);

impl Seed {
    /// The seed of the draw before; of the first seed, the anchor.
    pub fn before(&self) -> Seed {
        Seed(hash_fields(&[b"luckydraw seed 2", &self.0]))
    }
}

impl fmt::Debug for Seed {
    /// Prints no byte: a seed predicts winners, and debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// All seeds of a session.
pub struct SeedChain {
    /// The public hash of the first seed.
    pub anchor: Hash,
    /// The place of the last seed.
    pub length: u32,
    last: Seed,
    /// Every [`STRIDE`]th seed, the last one first, once one was asked for.
    kept: OnceLock<Vec<Seed>>,
}

impl SeedChain {
    /// The chain of this anchor that ends with `last` at the place `length`. Nothing is hashed yet:
    /// a journal may hold more chains than are ever used.
    pub fn new(anchor: Hash, last: Seed, length: u32) -> Self {
        Self { anchor, length, last, kept: OnceLock::new() }
    }

    /// The seed at a place, from 1; `None` beyond the chain, and for a chain that does not lead to
    /// its anchor. The first question costs `length` hashes, a fraction of a millisecond for 1,000.
    pub fn seed(&self, place: u32) -> Option<Seed> {
        let steps = self.length.checked_sub(place).filter(|_| place > 0)?;
        let kept = self.kept.get_or_init(|| {
            let (kept, first) = self.hashed();
            if first == self.anchor { kept } else { Vec::new() }
        });
        Some((0..steps % STRIDE).fold(*kept.get((steps / STRIDE) as usize)?, |seed, _| seed.before()))
    }

    /// The anchor of the chain that ends with `last` at the place `length`.
    pub fn anchor_of(last: Seed, length: u32) -> Hash {
        Self::new([0; 32], last, length).hashed().1
    }

    /// The seeds to keep, and the anchor that they lead to.
    fn hashed(&self) -> (Vec<Seed>, Hash) {
        let (mut kept, mut seed) = (Vec::with_capacity((self.length / STRIDE + 1) as usize), self.last);
        for step in 0..self.length {
            if step % STRIDE == 0 {
                kept.push(seed);
            }
            seed = seed.before();
        }
        (kept, seed.0)
    }
}

impl PartialEq for SeedChain {
    fn eq(&self, other: &Self) -> bool {
        (self.anchor, self.length, self.last) == (other.anchor, other.length, other.last)
    }
}

impl Eq for SeedChain {}

impl fmt::Debug for SeedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedChain").field("anchor", &self.anchor).field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_the_hash_of_the_next_and_the_first_of_the_anchor() {
        for length in [1, 2, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE + 7] {
            let last = Seed([7; 32]);
            let chain = SeedChain::new(SeedChain::anchor_of(last, length), last, length);
            assert_eq!(chain.seed(length), Some(last));
            assert_eq!(chain.seed(1).unwrap().before().0, chain.anchor, "of {length}");
            for place in 2..=length {
                assert_eq!(chain.seed(place).unwrap().before(), chain.seed(place - 1).unwrap(), "{place} of {length}");
            }
            assert_eq!((chain.seed(0), chain.seed(length + 1)), (None, None));
            let half = length.div_ceil(2);
            let shorter = SeedChain::anchor_of(chain.seed(half).unwrap(), half);
            assert_eq!(shorter, chain.anchor, "a chain without its later seeds has the same anchor");
            assert_eq!(SeedChain::new([9; 32], last, length).seed(1), None, "not its anchor");
        }
    }

    #[test]
    fn no_seed_is_printed() {
        assert!(!format!("{:?}", SeedChain::new([1; 32], Seed([0xab; 32]), 1)).contains("171"));
        assert_eq!(format!("{:?}", Seed([0xab; 32])), "Seed(..)");
    }
}
