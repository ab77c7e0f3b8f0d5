//! The source of numbers: a lock-free `Table` from a registration's key to the number it claimed.
//!
//! The thread that inserts a key takes the next number by one `fetch_add`. Every later request with
//! that key finds the same claim, so a retry burns no number, and two phones never share one. A
//! mutex around a map would be shorter. But ten thousand phones arrive at one moment, and a worker
//! must never sleep because another was preempted while holding the lock.
//!
//! A roster serves one session of one event and lives in its snapshot, so that a claim belongs to a
//! session: the handler takes both from one load. A claim is not a registration yet: the sequencer
//! commits or refuses it. This file must never forget a key unasked, and never know a journal, a
//! clock or an event. It takes its atomics from `super::sync` alone, so that `tests/loom.rs` can
//! prove this very text and that of `Table`.
//!
//! # Growth
//! A roster that gets more numbers ends, and another takes its place. No key moves: that would be
//! 10 ms of the sequencer's time for 300,000. The next roster shares the tables, and gets a further
//! one where the keys of its numbers might not fit into the last. New keys go into the last table
//! alone. Each is at least twice as large as the one before, so there are few. A thread that still
//! holds the roster before gets no number from it: it may leave `REFUSED` in a shared table, which
//! means in the last one that the key's owner claims there, and in another that the key is not in
//! it.
//!
//! # Numbers that come back
//! A claim whose commit failed would be lost to everybody, and an event would be full with empty
//! seats. So the sequencer gives its number back, as one bit of a map that is read only while a
//! number is in it. It gives back no number that could be committed yet: a request that still holds
//! such a claim is refused, since the key no longer has it ([`Roster::find`]).

use super::claim_table::{Key, REFUSED, Table, Vacancy, slots_for};
use super::sync::{AtomicU32, Ordering, Words, zeros};
use std::fmt;

/// `next` of a roster whose place another one has taken: above every number, and so far below the
/// highest u32 that late claims cannot count over it.
const SEALED: u32 = u32::MAX / 2;

/// The numbers of one session, claimed by many threads at once.
pub struct Roster {
    /// Takes the keys that are new.
    table: Table,
    /// Hold keys of the rosters before, and take none.
    older: Vec<Table>,
    /// Numbers that were given before `table` took keys.
    given_before: u32,
    /// The first number that was not committed when the roster was created.
    first: u32,
    /// One above the last number that may be claimed. Written by [`Roster::restore`], before the
    /// roster is shared.
    end: AtomicU32,
    /// The next number. Written by every thread that inserts a key, by each at most once beyond
    /// `end`.
    next: AtomicU32,
    /// Numbers that came back, bit by bit from `first` on. Bits are set by the sequencer alone and
    /// cleared by the threads that take the numbers.
    returned: Words<1>,
    /// The count of those bits, or more for a moment: raised after a bit is set, lowered after one
    /// is cleared.
    returned_count: AtomicU32,
}

impl Roster {
    /// A roster for `participants_max` keys, whose next number is `first`: one above the highest
    /// committed, 1 when there is none.
    ///
    /// # Panics
    /// When `first` is 0: numbers start at 1.
    pub fn new(participants_max: u32, first: u32) -> Self {
        assert!(first > 0, "numbers start at 1");
        // A bound lowered below the number of registered phones must still leave room for their
        // keys.
        let keys_max = participants_max.max(first - 1) as usize;
        Self {
            table: Table::new(slots_for(keys_max)),
            older: Vec::new(),
            given_before: 0,
            first,
            end: AtomicU32::new(first.saturating_add(participants_max)),
            next: AtomicU32::new(first),
            returned: zeros(participants_max.div_ceil(u64::BITS) as usize),
            returned_count: AtomicU32::new(0),
        }
    }

    /// Restores a committed key at the start of the server, before other threads see the roster. It
    /// uses up one of the numbers. A key that is already present keeps its number.
    ///
    /// # Panics
    /// When `number` is not below the first number to claim: it would be given twice.
    pub fn restore(&self, key: &[u8; 32], number: u32) {
        assert!((1..self.first).contains(&number), "a committed number lies below the first to claim");
        let number = || {
            // Relaxed, and no read-modify-write: one thread restores, and the hand-over of the
            // roster to other threads publishes this too.
            let end = self.end.load(Ordering::Relaxed);
            self.end.store(end.saturating_sub(1).max(self.first), Ordering::Relaxed);
            number
        };
        let restored = self.table.find_or_insert(&Key::of(key), Vacancy::Open, number);
        assert!(restored.is_some(), "the table has slots for every number below the first to claim");
    }

    /// The number that `key` has claimed, if any. Never waits: a claim that is not published yet
    /// counts as a later one.
    pub fn find(&self, key: &[u8; 32]) -> Option<u32> {
        let key = Key::of(key);
        self.tables().find_map(|table| table.find(&key))
    }

    /// The number that `key` claims, now or earlier; `None` when every number is taken and `key`
    /// has none.
    ///
    /// A thread takes at most one slot for a refused key, and [`Roster::next`] never reports more
    /// than `end`: the thread's own `fetch_add` has then shown it the end, and it reads nothing
    /// older afterwards.
    pub fn claim(&self, key: &[u8; 32]) -> Option<u32> {
        // Acquire, before probing: pairs with the release of the `fetch_add`s that took the last
        // numbers, so that probing meets every key that has one. Otherwise a retry of the last key
        // could be refused as one too many.
        let is_full = self.next.load(Ordering::Acquire) >= self.end.load(Ordering::Relaxed)
            && self.returned_count.load(Ordering::Relaxed) == 0;
        let (key, vacancy) = (Key::of(key), if is_full { Vacancy::Full } else { Vacancy::Open });
        // A key that an older table does not hold now never gets a number there: the roster that
        // inserted it was ended before this one was made.
        let known = self.older.iter().find_map(|table| table.find_or_insert(&key, Vacancy::Full, || REFUSED));
        known.or_else(|| self.table.find_or_insert(&key, vacancy, || self.take_number()))
    }

    /// Gives back a number that `key` has claimed and that will not be committed: the next key
    /// takes it, and `key` claims anew. Called by the sequencer alone, and never for a number that
    /// is committed. Does nothing where `key` has another number or none.
    pub fn give_back(&self, key: &[u8; 32], number: u32) {
        let Some(place) = number.checked_sub(self.first) else { return };
        let Some([word]) = self.returned.get((place / u64::BITS) as usize) else { return };
        if !self.forget(key, number) {
            return;
        }
        // Release: pairs with the acquire in `take_returned`. A thread that takes the number, and
        // every thread that learns of it, sees that `key` no longer has it.
        word.fetch_or(1 << (place % u64::BITS), Ordering::Release);
        // Relaxed: a claim that reads an older count takes a new number, or is refused as it would
        // have been a moment before.
        self.returned_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes from `key` a number that will never be given again, such as that of a removed
    /// participant: `key` claims anew. Returns whether `key` had it; one of many threads gets
    /// `true`.
    pub fn forget(&self, key: &[u8; 32], number: u32) -> bool {
        let key = Key::of(key);
        self.tables().any(|table| table.forget(&key, number))
    }

    /// The next number to claim; one above the last when every number is taken. Another thread may
    /// claim it meanwhile.
    pub fn next(&self) -> u32 {
        // Relaxed: a figure for reading; no other memory is read because of it.
        self.next.load(Ordering::Relaxed).min(self.end.load(Ordering::Relaxed))
    }

    /// Ends this roster and makes one in its place that gives `more` numbers and knows every key.
    /// O(numbers / 64); called by the sequencer alone.
    pub fn grown(&self, more: u32) -> Self {
        // Acquire, here and below: pairs with the release of the read-modify-writes that took
        // numbers before, so that a claim on the next roster meets the slot of each. A thread that
        // comes later gets no number.
        let next = self.next.swap(SEALED, Ordering::Acquire);
        let (first, end) = (self.first, self.end.load(Ordering::Relaxed));
        let grown_end = end.saturating_add(more);
        let returned: Words<1> = zeros((grown_end - first).div_ceil(u64::BITS) as usize);
        let mut returned_count = 0;
        for ([old], [new]) in self.returned.iter().zip(returned.iter()) {
            let numbers = old.swap(0, Ordering::Acquire);
            new.store(numbers, Ordering::Relaxed);
            returned_count += numbers.count_ones();
        }
        self.returned_count.store(0, Ordering::Relaxed);
        let next = next.min(end);
        let (mut table, mut older, mut given_before) = (self.table.clone(), self.older.clone(), self.given_before);
        if table.slots() < slots_for((grown_end - given_before) as usize) {
            given_before = next - returned_count;
            let slots = slots_for((grown_end - given_before) as usize).max(2 * table.slots());
            older.push(std::mem::replace(&mut table, Table::new(slots)));
        }
        Self {
            table,
            older,
            given_before,
            first,
            end: AtomicU32::new(grown_end),
            next: AtomicU32::new(next),
            returned,
            returned_count: AtomicU32::new(returned_count),
        }
    }

    /// Returns whether another roster has taken this one's place.
    pub fn is_sealed(&self) -> bool {
        // Relaxed: a caller that was refused looks for the roster in its place.
        self.next.load(Ordering::Relaxed) >= SEALED
    }

    /// All tables, the oldest first.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.older.iter().chain([&self.table])
    }

    /// Takes a number that came back, else the next one; [`REFUSED`] when there is none.
    fn take_number(&self) -> u32 {
        if let Some(number) = self.take_returned() {
            return number;
        }
        // Release: pairs with the acquire in `claim`, and orders the exchange of `high` before it.
        // Uniqueness of the number needs no ordering, since a read-modify-write is one step.
        let number = self.next.fetch_add(1, Ordering::Release);
        if number < self.end.load(Ordering::Relaxed) { number } else { REFUSED }
    }

    /// Takes a number that came back.
    fn take_returned(&self) -> Option<u32> {
        if self.returned_count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        for ([word], place) in self.returned.iter().zip((self.first..).step_by(u64::BITS as usize)) {
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                // Acquire: pairs with the release in `give_back`. Each failure is another thread's
                // success, or a further number.
                match word.compare_exchange(bits, bits & (bits - 1), Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => {
                        self.returned_count.fetch_sub(1, Ordering::Relaxed);
                        return Some(place + bits.trailing_zeros());
                    }
                    Err(changed) => bits = changed,
                }
            }
        }
        None
    }
}

impl fmt::Debug for Roster {
    /// Prints no key: debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("next", &self.next()).field("tables", &(self.older.len() + 1)).finish_non_exhaustive()
    }
}
