//! The table of a roster: keys and the numbers that they claimed, written by many threads without a
//! lock.
//!
//! Open addressing with linear probing, at most 0.65 full, allocated at once for every participant.
//! A slot is 24 bytes: 128 bits of the key, and the claim. That is 0.8 MB for 20,000 participants
//! and 12.6 MB for 300,000. The table is allocated as zeroed memory, which the kernel backs page by
//! page as keys arrive, so that an empty event's table costs almost nothing. The key is a SHA-256,
//! and two keys with the same 128 bits would share a number: among 300,000 the odds are
//! 300,000² / 2¹²⁹ ≈ 10⁻²⁸. An attacker who seeks a colliding pair needs 2⁶⁴ tries and wins one
//! number for two phones; a collision with somebody else's key takes 2¹⁰⁹ tries.
//!
//! The words of a key are written once, and the whole argument rests on that:
//! 1. `high` goes from 0 to a key's first word by compare-exchange, and the winner owns the slot
//!    for good. A read-modify-write sees the latest value whatever the ordering. So a slot has one
//!    owner, and no key settles behind a slot that it could have had.
//! 2. The owner takes a number, stores `low`, then stores `claim` with release. A thread that reads
//!    a `claim` other than 0 with acquire sees `low` too, and may compare the rest of the key.
//! 3. `claim` changes again only once its number is taken from the key: somebody turns it into
//!    `REFUSED`, and the thread that turns that into `PENDING` by compare-exchange owns the
//!    slot's claim from then on.
//!
//! # The wait
//! A thread that meets its own first word before the claim is published waits: to continue without
//! it would need a second number or another thread's help. Between the compare-exchange and the
//! store lie a handful of instructions. They include no lock, allocation, system call or panic, and
//! at most one page fault, where a slot spans two pages. So the wait ends as soon as the owner has
//! run them; a claim that takes a number which came back also walks the map, 5,000 words for
//! 300,000 participants. The wait happens only when two copies of one request meet within
//! nanoseconds on two cores. The waiter yields its core each time, so that a preempted owner gets
//! to run. [`Table::find`] never waits.
//!
//! It takes its atomics from `super::sync` alone, so that `tests/loom.rs` can prove this very text.

use super::sync::{AtomicU64, Ordering, Words, yield_now, zeros};
use std::sync::Arc;

/// `high` of a slot without an owner: 0, as the table is allocated.
const EMPTY: u64 = 0;
/// `claim` of a slot whose owner has not published its number yet: 0 as well.
const PENDING: u32 = 0;
/// `claim` of a slot without a number: its owner found every number taken, or its number was given
/// back.
pub const REFUSED: u32 = u32::MAX;

/// A table of slots, shared with the rosters before and after.
#[derive(Clone)]
pub struct Table {
    /// The count is a power of two, so that probing wraps by a mask.
    slots: Arc<Words<3>>,
}

/// A slot of a table: a key and its claim.
struct Slot<'a> {
    /// The key's first word, or [`EMPTY`]. Written once, by the thread that thereby becomes the
    /// owner.
    high: &'a AtomicU64,
    /// The key's second word. Written once, by the owner; meaningless before the claim is
    /// published.
    low: &'a AtomicU64,
    /// [`PENDING`], a number, or [`REFUSED`]. Written by the owner, and by a thread that takes
    /// the number from the key.
    claim: &'a AtomicU64,
}

/// The part of a key that the table stores.
pub struct Key {
    high: u64,
    low: u64,
}

impl Table {
    /// A table of that many slots, a power of two.
    pub fn new(slots: usize) -> Self {
        Self { slots: Arc::new(zeros(slots)) }
    }

    /// Its slots.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The number that `key` has claimed in this table, if any.
    pub fn find(&self, key: &Key) -> Option<u32> {
        for slot in self.probe(key) {
            // Relaxed: a caller that knows of a claim learned of it by a hand-over that orders this
            // load after the claim.
            match slot.high.load(Ordering::Relaxed) {
                EMPTY => return None,
                high if high == key.high => match slot.claim() {
                    PENDING => return None,
                    claim if slot.holds(key) => return number_of(claim),
                    _ => {}
                },
                _ => {}
            }
        }
        None
    }

    /// Takes `number` from `key`; returns whether `key` had it until now.
    pub fn forget(&self, key: &Key, number: u32) -> bool {
        let mut owned = self.probe(key).take_while(|slot| slot.high.load(Ordering::Relaxed) != EMPTY);
        let held = owned.find(|slot| slot.high.load(Ordering::Relaxed) == key.high && slot.claim() == number && slot.holds(key));
        // Relaxed: no other word is read on the strength of it. The exchange fails for a thread
        // that another came before.
        held.is_some_and(|slot| {
            slot.claim.compare_exchange(number.into(), REFUSED.into(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })
    }

    /// Finds the slot of `key`, or takes an empty one and publishes there what `number` returns.
    pub fn find_or_insert(&self, key: &Key, vacancy: Vacancy, number: impl FnOnce() -> u32) -> Option<u32> {
        for slot in self.probe(key) {
            let mut high = slot.high.load(Ordering::Relaxed);
            if high == EMPTY {
                if let Vacancy::Full = vacancy {
                    return None;
                }
                // Relaxed both ways: ownership follows from the exchange being one step. Other
                // threads act on `claim`, not on this word.
                match slot.high.compare_exchange(EMPTY, key.high, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return slot.publish(key.low, number()),
                    Err(other) => high = other,
                }
            }
            if high == key.high {
                let mut claim = slot.wait_for_claim();
                if slot.holds(key) {
                    if let (REFUSED, Vacancy::Open) = (claim, &vacancy) {
                        if slot.reclaim() {
                            return slot.publish(key.low, number());
                        }
                        claim = slot.wait_for_claim();
                    }
                    return number_of(claim);
                }
            }
        }
        // Every slot has an owner, and there are fewer numbers than slots: the roster is full.
        None
    }

    /// The slots that may hold `key`, each once, its home slot first.
    fn probe(&self, key: &Key) -> impl Iterator<Item = Slot<'_>> {
        let mask = self.slots.len() - 1;
        let home = key.high as usize;
        (0..self.slots.len()).map(move |step| {
            let [high, low, claim] = &self.slots[home.wrapping_add(step) & mask];
            Slot { high, low, claim }
        })
    }
}

impl Slot<'_> {
    /// The owner's claim so far.
    fn claim(&self) -> u32 {
        // Acquire: pairs with the release in `publish`, since `low` is compared afterwards. Only a
        // `u32` is ever stored.
        self.claim.load(Ordering::Acquire) as u32
    }

    /// Publishes the owner's claim.
    fn publish(&self, low: u64, claim: u32) -> Option<u32> {
        self.low.store(low, Ordering::Relaxed);
        // Release: pairs with the acquire in `claim`.
        self.claim.store(claim.into(), Ordering::Release);
        number_of(claim)
    }

    /// Takes over a slot without a number for its own key; false when another thread was first.
    fn reclaim(&self) -> bool {
        // Relaxed: the key's words are known already, and other threads wait for the claim.
        self.claim.compare_exchange(REFUSED.into(), PENDING.into(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The owner's claim, once it is published; the head of this file bounds the wait.
    fn wait_for_claim(&self) -> u32 {
        loop {
            match self.claim() {
                PENDING => yield_now(),
                claim => return claim,
            }
        }
    }

    /// Is the rest of the key equal too? To be called only after `claim` was read with acquire.
    fn holds(&self, key: &Key) -> bool {
        self.low.load(Ordering::Relaxed) == key.low
    }
}

impl Key {
    pub fn of(key: &[u8; 32]) -> Self {
        let word = |from: usize| u64::from_be_bytes(std::array::from_fn(|i| key[from + i]));
        // The one first word that means an empty slot is replaced by its neighbour, which changes
        // the odds above by nothing.
        Self { high: word(0).max(EMPTY + 1), low: word(8) }
    }
}

/// May a key that is not in the table be inserted?
pub enum Vacancy {
    Open,
    Full,
}

/// The slots that hold `keys` at a load of at most 0.65, with one slot left empty.
pub fn slots_for(keys: usize) -> usize {
    (keys * 20 / 13 + 1).next_power_of_two()
}

/// The number in a published claim.
fn number_of(claim: u32) -> Option<u32> {
    (claim != REFUSED).then_some(claim)
}
