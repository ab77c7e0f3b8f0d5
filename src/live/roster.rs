//! Where numbers come from: a lock-free table from a registration's key to the number it claimed.
//!
//! Whoever inserts a key takes the next number by one `fetch_add`; every later arrival with that key finds the same claim, so a
//! retry burns no number, and two phones never share one. A mutex around a map would be shorter, but ten thousand phones arrive
//! at one instant, and a worker must never sleep because another one was preempted while holding it.
//!
//! One roster serves one session of one event and lies in its snapshot, which is how a claim carries its session: the handler
//! takes both from one load. A claim is a wish and not a registration; the sequencer commits it or refuses it. This file must
//! never forget a key, and never know a journal, a clock or an event. It takes its atomics from `crate::live::sync` alone, so that
//! `tests/loom.rs` can prove this very text.
//!
//! # The table
//! Open addressing with linear steps, at most 0.65 full, made at once for every seat: a table that grows would have to move under
//! its readers. A slot is 24 bytes, which are 128 bits of the key and the claim: 0.8 MB for 20,000 seats, 12.6 MB for 300,000.
//! It is asked for as memory full of noughts, of which the kernel gives a page when its first key settles: the table of an empty
//! event takes next to nothing.
//! The key is a SHA-256, and two that agree in those bits would share a number: among 300,000 the odds are 300,000² / 2¹²⁹ ≈
//! 10⁻²⁸. Who seeks such a pair of their own needs 2⁶⁴ tries and wins one number for two phones; hitting somebody else's takes
//! 2¹⁰⁹.
//!
//! Each word of a slot is written once, and that carries the whole argument:
//! 1. `high` goes from 0 to a key's first word by compare-exchange, and its winner owns the slot for good. A read-modify-write
//!    sees the latest value whatever the ordering, so a slot has one owner, and no key settles behind a slot that it could have
//!    had.
//! 2. The owner takes a number, stores `low`, then stores `claim` with release. Who reads a `claim` other than 0 with acquire
//!    sees `low` too, and may compare the rest of the key.
//!
//! # The wait
//! Who meets its own first word before the claim is there waits: to go on without it would need a second number or another
//! thread's help. Between the compare-exchange and the store lie a handful of instructions, with no lock, allocation, system call
//! or panic among them, and at most one page to be had of the kernel, where a slot lies across two. So the wait ends as soon as
//! the owner has run them. It happens only when two copies of one request meet within some nanoseconds on two cores; the waiter
//! gives its core away each time, so that an owner preempted just there gets to run. [`Roster::find`] never waits.

use super::sync::{AtomicU32, AtomicU64, Ordering, noughts, yield_now};
use std::fmt;

/// `high` of a slot that nobody owns: 0, as the table is made.
const EMPTY: u64 = 0;
/// `claim` of a slot whose owner has not said its number yet: 0 likewise.
const UNSAID: u32 = 0;
/// `claim` of a slot whose owner found every seat taken.
const REFUSED: u32 = u32::MAX;

/// A session's numbers, claimed by many threads at once.
pub struct Roster {
    /// A power of two of them, so that the walk wraps by a mask.
    slots: Box<[[AtomicU64; 3]]>,
    /// The first number that is not committed yet.
    first: u32,
    /// One above the last number that has a seat. Written by [`Roster::restore`], before the roster is shared.
    end: AtomicU32,
    /// The next number. Written by every thread that inserts a key, and at most once beyond `end` by each.
    next: AtomicU32,
}

/// A key and its claim, where they lie in the table.
struct Slot<'a> {
    /// The key's first word, or [`EMPTY`]. Written once, by whoever thereby becomes the owner.
    high: &'a AtomicU64,
    /// The key's second word. Written once, by the owner, and meaningless before the claim is said.
    low: &'a AtomicU64,
    /// [`UNSAID`], a number, or [`REFUSED`]. Written once, by the owner.
    claim: &'a AtomicU64,
}

/// The part of a key that is kept.
struct Key {
    high: u64,
    low: u64,
}

impl Roster {
    /// A roster with seats for `participants_max` keys, whose next number is `first`: one above the highest committed, so 1 for
    /// nobody.
    ///
    /// # Panics
    /// When `first` is 0: numbers begin at 1.
    pub fn new(participants_max: u32, first: u32) -> Self {
        assert!(first > 0, "numbers begin at 1");
        // A bound that was lowered below the number of those who had registered must not keep their keys from coming back.
        let keys_max = participants_max.max(first - 1) as usize;
        Self {
            slots: noughts(slots_for(keys_max)),
            first,
            end: AtomicU32::new(first.saturating_add(participants_max)),
            next: AtomicU32::new(first),
        }
    }

    /// Puts back a committed key at the start of the server, before other threads see the roster; it takes one of the seats. A
    /// key that is already there keeps the number it has.
    ///
    /// # Panics
    /// When `number` is not below the first number to give: it would be given twice.
    pub fn restore(&self, key: &[u8; 32], number: u32) {
        assert!((1..self.first).contains(&number), "a committed number lies below the first that is given");
        let taken = || {
            // Relaxed, and no read-modify-write: one thread restores, and what hands the roster to the others hands over this
            // too.
            let end = self.end.load(Ordering::Relaxed);
            self.end.store(end.saturating_sub(1).max(self.first), Ordering::Relaxed);
            number
        };
        let kept = self.settle(&Key::of(key), Seats::Left, taken);
        assert!(kept.is_some(), "the table has slots for every number below the first that is given");
    }

    /// The number that `key` has claimed, if it has. Never waits: a claim that is not said yet is one that comes later.
    pub fn find(&self, key: &[u8; 32]) -> Option<u32> {
        let key = Key::of(key);
        for slot in self.walk(&key) {
            // Relaxed: a caller that was told of a claim got that word by some hand-over which orders this load after it.
            match slot.high.load(Ordering::Relaxed) {
                EMPTY => return None,
                high if high == key.high => match slot.claim() {
                    UNSAID => return None,
                    claim if slot.holds(&key) => return said(claim),
                    _ => {}
                },
                _ => {}
            }
        }
        None
    }

    /// The number that `key` has claimed, now or before; none when every seat is taken and `key` has none.
    ///
    /// A thread takes at most one slot for a key that is refused, and it pushes [`Roster::next`] no further than `end`: its own
    /// `fetch_add` has then shown it the end, and it reads nothing older afterwards.
    pub fn claim(&self, key: &[u8; 32]) -> Option<u32> {
        // Acquire, before the walk: pairs with the release of the `fetch_add`s that took the last seats, so that the walk meets
        // every key that has one. Otherwise a retry of the last to come in could be told that all is full.
        let full = self.next.load(Ordering::Acquire) >= self.end.load(Ordering::Relaxed);
        let seats = if full { Seats::Taken } else { Seats::Left };
        self.settle(&Key::of(key), seats, || self.take())
    }

    /// The next number that would be given; one above the last when every seat is taken. Others may claim it meanwhile.
    pub fn next(&self) -> u32 {
        // Relaxed: a figure to look at; nothing else is read on the strength of it.
        self.next.load(Ordering::Relaxed).min(self.end.load(Ordering::Relaxed))
    }

    /// Finds the slot of `key`, or makes one its own and says there what `number` gives.
    fn settle(&self, key: &Key, seats: Seats, number: impl FnOnce() -> u32) -> Option<u32> {
        for slot in self.walk(key) {
            let mut high = slot.high.load(Ordering::Relaxed);
            if high == EMPTY {
                if let Seats::Taken = seats {
                    return None;
                }
                // Relaxed both ways: what makes the owner is that the exchange is one step. Others act on `claim`, not on this
                // word.
                match slot.high.compare_exchange(EMPTY, key.high, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return slot.say(key.low, number()),
                    Err(other) => high = other,
                }
            }
            if high == key.high {
                let claim = slot.wait();
                if slot.holds(key) {
                    return said(claim);
                }
            }
        }
        // Every slot is owned, and there are fewer seats than slots.
        None
    }

    /// Takes the next number, or learns that there is none.
    fn take(&self) -> u32 {
        // Release: pairs with the acquire in `claim`, and orders the exchange of `high` before it. That no two threads get the
        // same number needs no ordering, since a read-modify-write is one step.
        let number = self.next.fetch_add(1, Ordering::Release);
        if number < self.end.load(Ordering::Relaxed) { number } else { REFUSED }
    }

    /// The slots in which `key` may be, each once, its home first.
    fn walk(&self, key: &Key) -> impl Iterator<Item = Slot<'_>> {
        let mask = self.slots.len() - 1;
        let home = key.high as usize;
        (0..self.slots.len()).map(move |step| {
            let [high, low, claim] = &self.slots[home.wrapping_add(step) & mask];
            Slot { high, low, claim }
        })
    }
}

impl fmt::Debug for Roster {
    /// Prints no key: debug output ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("next", &self.next()).field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Slot<'_> {
    /// What its owner has claimed so far.
    fn claim(&self) -> u32 {
        // Acquire: pairs with the release in `say`, after which `low` is compared. Only a `u32` is ever stored.
        self.claim.load(Ordering::Acquire) as u32
    }

    /// Says what the owner claims.
    fn say(&self, low: u64, claim: u32) -> Option<u32> {
        self.low.store(low, Ordering::Relaxed);
        // Release: pairs with the acquire in `claim`.
        self.claim.store(claim.into(), Ordering::Release);
        said(claim)
    }

    /// What the owner claims, once it is said; how long that takes, the head of this file argues.
    fn wait(&self) -> u32 {
        loop {
            match self.claim() {
                UNSAID => yield_now(),
                claim => return claim,
            }
        }
    }

    /// Whether the rest of the key is `key`'s too. Only after `claim` was read with acquire.
    fn holds(&self, key: &Key) -> bool {
        self.low.load(Ordering::Relaxed) == key.low
    }
}

impl Key {
    fn of(key: &[u8; 32]) -> Self {
        let word = |from: usize| u64::from_be_bytes(std::array::from_fn(|i| key[from + i]));
        // The one first word that means an empty slot is taken for its neighbour: half of nothing of the odds above.
        Self { high: word(0).max(EMPTY + 1), low: word(8) }
    }
}

/// Whether a key that is not in the table may come in.
enum Seats {
    Left,
    Taken,
}

/// How many slots keep `keys` at a load of at most 0.65, and one of them empty.
fn slots_for(keys: usize) -> usize {
    (keys * 20 / 13 + 1).next_power_of_two()
}

/// The number in a claim that is said.
fn said(claim: u32) -> Option<u32> {
    (claim != REFUSED).then_some(claim)
}
