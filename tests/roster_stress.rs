//! The roster under load: real threads that a barrier starts at once, at sizes that loom cannot
//! reach.

use luckydraw::live::roster::Roster;
use ring::digest::{SHA256, digest};
use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

/// The roster and its table compiled a second time, against atomics that count their operations.
#[path = "../src/live/claim_table.rs"]
#[allow(dead_code, reason = "only claims are counted here")]
mod claim_table;
#[path = "../src/live/roster.rs"]
#[allow(dead_code, reason = "only claims are counted here")]
mod counted;

mod sync {
    pub use std::sync::atomic::Ordering;
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::{Mutex, MutexGuard, atomic};
    pub use std::thread::yield_now;

    /// Slots that were taken.
    pub static SLOTS_TAKEN: atomic::AtomicU32 = atomic::AtomicU32::new(0);
    /// Numbers that were taken.
    pub static NUMBERS_TAKEN: atomic::AtomicU32 = atomic::AtomicU32::new(0);
    /// Words that were read.
    pub static WORDS_READ: atomic::AtomicU32 = atomic::AtomicU32::new(0);
    /// Held by the test that counts.
    pub static COUNTING: Mutex<()> = Mutex::new(());

    /// Counts from 0 until the guard is dropped.
    pub fn count() -> MutexGuard<'static, ()> {
        let guard = COUNTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        [&SLOTS_TAKEN, &NUMBERS_TAKEN, &WORDS_READ].into_iter().for_each(|count| count.store(0, Relaxed));
        guard
    }

    #[derive(Debug)]
    pub struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub fn new(value: u64) -> Self {
            Self(atomic::AtomicU64::new(value))
        }
        pub fn load(&self, ordering: Ordering) -> u64 {
            WORDS_READ.fetch_add(1, Relaxed);
            self.0.load(ordering)
        }
        pub fn store(&self, value: u64, ordering: Ordering) {
            self.0.store(value, ordering);
        }
        pub fn compare_exchange(&self, current: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
            let result = self.0.compare_exchange(current, new, success, failure);
            SLOTS_TAKEN.fetch_add(u32::from(result.is_ok()), Relaxed);
            result
        }
        pub fn swap(&self, value: u64, ordering: Ordering) -> u64 {
            self.0.swap(value, ordering)
        }
        pub fn fetch_or(&self, value: u64, ordering: Ordering) -> u64 {
            self.0.fetch_or(value, ordering)
        }
    }

    pub type Words<const N: usize> = Box<[[AtomicU64; N]]>;

    pub fn zeros<const N: usize>(len: usize) -> Words<N> {
        (0..len).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect()
    }

    #[derive(Debug)]
    pub struct AtomicU32(atomic::AtomicU32);

    impl AtomicU32 {
        pub fn new(value: u32) -> Self {
            Self(atomic::AtomicU32::new(value))
        }
        pub fn load(&self, ordering: Ordering) -> u32 {
            self.0.load(ordering)
        }
        pub fn store(&self, value: u32, ordering: Ordering) {
            self.0.store(value, ordering);
        }
        pub fn fetch_add(&self, value: u32, ordering: Ordering) -> u32 {
            NUMBERS_TAKEN.fetch_add(1, Relaxed);
            self.0.fetch_add(value, ordering)
        }
        pub fn swap(&self, value: u32, ordering: Ordering) -> u32 {
            self.0.swap(value, ordering)
        }
        pub fn fetch_sub(&self, value: u32, ordering: Ordering) -> u32 {
            self.0.fetch_sub(value, ordering)
        }
    }
}

const THREADS: usize = 8;

fn key(phone: usize) -> [u8; 32] {
    digest(&SHA256, &phone.to_be_bytes()).as_ref().try_into().unwrap()
}

/// Runs `work` on every thread at once, and returns the results.
fn on_all_threads<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        let start = |thread| {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                barrier.wait();
                work(thread)
            })
        };
        let running: Vec<_> = (0..THREADS).map(start).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_hundred_thousand_registrations_with_retries_get_numbers_without_gap_or_duplicate() {
    const PHONES: usize = 100_000;
    let keys: Vec<_> = (0..PHONES).map(key).collect();
    let roster = Roster::new(PHONES as u32, 1);
    let claims = on_all_threads(|thread| {
        let mut claims = Vec::new();
        for (phone, key) in keys.iter().enumerate() {
            // Two in three register once. One in six is sent by two threads in step, one in six
            // twice by the same thread.
            let mine = phone % THREADS == thread;
            let doubled = phone % 6 == 0 && (phone + 1) % THREADS == thread;
            let retried = phone % 6 == 3 && mine;
            for _ in 0..usize::from(mine) + usize::from(doubled) + usize::from(retried) {
                claims.push((phone, roster.claim(key).unwrap()));
            }
        }
        claims
    });
    let claims: Vec<_> = claims.into_iter().flatten().collect();
    let pairs: BTreeSet<_> = claims.iter().copied().collect();
    let numbers: BTreeSet<_> = pairs.iter().map(|&(_, number)| number).collect();
    assert!(claims.len() > PHONES * 4 / 3 - 2, "a third registered twice");
    assert_eq!(pairs.len(), PHONES, "each key has one number");
    assert!(numbers.into_iter().eq(1..=PHONES as u32), "the numbers are exactly 1 to N");
    assert_eq!(roster.next(), PHONES as u32 + 1);
    assert!(pairs.iter().all(|&(phone, number)| roster.find(&keys[phone]) == Some(number)));
}

#[test]
fn keys_sent_by_every_thread_still_get_one_number_each() {
    let keys: Vec<_> = (0..20_000).map(key).collect();
    let roster = Roster::new(20_000, 1);
    let claims = on_all_threads(|_| keys.iter().map(|key| roster.claim(key)).collect::<Vec<_>>());
    assert!(claims.iter().all(|claim| *claim == claims[0]), "every thread got the same numbers");
    assert_eq!(claims[0].iter().flatten().collect::<BTreeSet<_>>().len(), 20_000);
    assert_eq!(roster.next(), 20_001);
}

#[test]
fn a_full_roster_has_assigned_every_number_and_still_finds_them() {
    const NUMBERS: u32 = 1_000;
    let roster = Roster::new(NUMBERS, 1);
    let claims = on_all_threads(|thread| {
        (0..1_000).map(|i| (i * THREADS + thread, roster.claim(&key(i * THREADS + thread)))).collect::<Vec<_>>()
    });
    let numbered: BTreeSet<_> = claims.iter().flatten().filter_map(|&(phone, claim)| Some((claim?, phone))).collect();
    assert!(numbered.iter().map(|&(number, _)| number).eq(1..=NUMBERS));
    assert_eq!(roster.next(), NUMBERS + 1);
    for &(phone, claim) in claims.iter().flatten() {
        assert_eq!((roster.find(&key(phone)), roster.claim(&key(phone))), (claim, claim), "phone {phone}");
    }
}

#[test]
fn refusals_take_at_most_one_slot_per_thread_and_retries_take_none() {
    use std::sync::atomic::Ordering::Relaxed;
    const NUMBERS: u32 = 2_000;
    let _counting = sync::count();
    let roster = counted::Roster::new(NUMBERS, 1);
    on_all_threads(|thread| {
        for i in 0..2_000 {
            let _ = roster.claim(&key(i));
            let _ = roster.claim(&key(2_000 + i * THREADS + thread));
        }
    });
    let (slots, numbers) = (sync::SLOTS_TAKEN.load(Relaxed), sync::NUMBERS_TAKEN.load(Relaxed));
    assert_eq!(slots, numbers, "one fetch_add per slot, and none for a key that has one");
    assert!((NUMBERS..=NUMBERS + THREADS as u32).contains(&slots), "{slots} slots for {NUMBERS} numbers");
    assert!(roster.find(&key(usize::MAX)).is_none() && roster.next() == NUMBERS + 1, "{roster:?}");
}

#[test]
fn restored_keys_keep_their_numbers_and_use_up_capacity() {
    // Numbers 3 and 5 were claimed and never committed: they stay unused, and two further numbers
    // may be claimed for them.
    let roster = Roster::new(6, 7);
    for number in [1, 2, 4, 6] {
        roster.restore(&key(number as usize), number);
    }
    assert_eq!([1, 2, 4, 6].map(|phone| roster.claim(&key(phone))), [1, 2, 4, 6].map(Some));
    assert_eq!([10, 11, 12].map(|phone| roster.claim(&key(phone))), [Some(7), Some(8), None]);
    assert_eq!(roster.next(), 9);
}

#[test]
fn numbers_that_come_back_are_given_again_and_each_once() {
    const NUMBERS: u32 = 1_000;
    let roster = Roster::new(NUMBERS, 1);
    let first: Vec<_> = (0..1_000).map(|phone| roster.claim(&key(phone)).unwrap()).collect();
    assert_eq!(roster.claim(&key(1_000)), None, "the roster is full");
    for phone in (0..1_000).step_by(2) {
        roster.give_back(&key(phone), first[phone]);
        roster.give_back(&key(phone), first[phone]);
        roster.give_back(&key(phone + 1), first[phone]);
        assert_eq!(roster.find(&key(phone)), None);
    }
    // Old owners and new phones, each twice, in step on every thread.
    let phones: Vec<_> = (0..1_000).step_by(2).chain(1_000..1_500).flat_map(|phone| [phone, phone]).collect();
    let claims = on_all_threads(|_| phones.iter().map(|phone| (*phone, roster.claim(&key(*phone)))).collect::<BTreeSet<_>>());
    let taken: BTreeSet<_> = claims.iter().flatten().filter_map(|(phone, number)| Some(((*number)?, *phone))).collect();
    let kept = (1..1_000).step_by(2).map(|phone| (first[phone], phone));
    let all: BTreeSet<_> = taken.into_iter().chain(kept).collect();
    assert!(all.iter().map(|(number, _)| *number).eq(1..=NUMBERS), "no number is lost and none is given twice");
    assert!(all.iter().all(|(number, phone)| roster.claim(&key(*phone)) == Some(*number)));
}

#[test]
fn a_roster_grows_under_its_claims_and_every_key_keeps_one_number() {
    const PHONES: usize = 4_000;
    let current = std::sync::Mutex::new(std::sync::Arc::new(Roster::new(100, 1)));
    let latest = || current.lock().unwrap().clone();
    let claim = |phone: usize| loop {
        let roster = latest();
        match roster.claim(&key(phone)) {
            Some(number) => return number,
            // Full, or another roster takes its place.
            None => thread::yield_now(),
        }
    };
    let claims = on_all_threads(|thread| {
        if thread == 0 {
            for _ in 0..39 {
                let grown = latest().grown(100);
                assert!(latest().is_sealed());
                *current.lock().unwrap() = grown.into();
                thread::yield_now();
            }
            return BTreeSet::new();
        }
        // Every phone claims on two threads.
        let phones =
            (0..PHONES).filter(|phone| phone % (THREADS - 1) == thread - 1 || phone % (THREADS - 1) == thread % (THREADS - 1));
        phones.map(|phone| (phone, claim(phone))).collect()
    });
    let all: BTreeSet<_> = claims.into_iter().flatten().collect();
    assert_eq!(all.len(), PHONES, "a phone has one number, whichever roster gave it");
    assert!(all.iter().map(|(_, number)| *number as usize).collect::<BTreeSet<_>>().into_iter().eq(1..=PHONES), "none is lost");
    assert!(all.iter().all(|(phone, number)| latest().find(&key(*phone)) == Some(*number)));
}

#[test]
fn a_roster_grows_without_a_walk_over_its_keys() {
    use std::sync::atomic::Ordering::Relaxed;
    const PHONES: usize = 20_000;
    let _counting = sync::count();
    let mut roster = counted::Roster::new(PHONES as u32, 1);
    (0..PHONES).for_each(|phone| assert!(roster.claim(&key(phone)).is_some()));
    let before = sync::WORDS_READ.load(Relaxed);
    roster = roster.grown(PHONES as u32);
    assert_eq!(sync::WORDS_READ.load(Relaxed), before, "no slot is read");
    (0..2 * PHONES).for_each(|phone| assert_eq!(roster.claim(&key(phone)), Some(phone as u32 + 1)));
    assert_eq!(roster.claim(&key(2 * PHONES)), None);
}

#[test]
fn a_roster_that_grows_one_by_one_has_few_tables() {
    let mut roster = Roster::new(100, 1);
    for phone in 0..3_000 {
        if phone >= 100 {
            roster = roster.grown(1);
        }
        assert_eq!(roster.claim(&key(phone)), Some(phone as u32 + 1));
        assert_eq!(roster.claim(&key(phone + 1)).is_none(), phone >= 99);
    }
    assert!((0..3_000).all(|phone| roster.find(&key(phone)) == Some(phone as u32 + 1)));
    let text = format!("{roster:?}");
    let tables: u32 = text.split("tables: ").nth(1).and_then(|rest| rest.split([',', ' ']).next()?.parse().ok()).unwrap();
    assert!((2..=6).contains(&tables), "each is twice as large as the one before: {text}");
}

#[test]
fn a_grown_roster_gives_what_came_back_and_nothing_that_is_forgotten() {
    let roster = Roster::new(4, 1);
    (1..=4).for_each(|phone| assert_eq!(roster.claim(&key(phone)), Some(phone as u32)));
    roster.give_back(&key(3), 3);
    assert!(roster.forget(&key(2), 2) && !roster.forget(&key(2), 2) && !roster.forget(&key(1), 2), "once, and from its key");
    let grown = roster.grown(1);
    assert_eq!(roster.claim(&key(9)), None, "the roster before gives nothing any more");
    assert_eq!(
        (grown.find(&key(1)), grown.find(&key(2)), grown.find(&key(3)), grown.find(&key(4))),
        (Some(1), None, None, Some(4))
    );
    assert_eq!((grown.claim(&key(5)), grown.claim(&key(2)), grown.claim(&key(6))), (Some(3), Some(5), None));
}

#[test]
fn a_bound_lowered_below_the_registered_keys_refuses_only_new_ones() {
    let roster = Roster::new(1, 1_001);
    (1..=1_000).for_each(|number| roster.restore(&key(number as usize), number));
    assert!((1..=1_000).all(|number| roster.claim(&key(number as usize)) == Some(number)));
    assert_eq!((roster.claim(&key(0)), roster.next()), (None, 1_001));
}

#[test]
fn a_key_of_zeroes_is_a_key() {
    let roster = Roster::new(2, 1);
    assert_eq!(roster.find(&[0; 32]), None);
    assert_eq!((roster.claim(&[0; 32]), roster.claim(&[0; 32]), roster.find(&[0; 32])), (Some(1), Some(1), Some(1)));
}

#[test]
#[should_panic(expected = "lies below the first")]
fn a_number_that_could_be_assigned_again_is_not_restored() {
    Roster::new(10, 5).restore(&key(1), 5);
}

#[test]
fn debug_output_holds_no_key() {
    let roster = Roster::new(10, 1);
    roster.claim(&key(1));
    assert_eq!(format!("{roster:?}"), "Roster { next: 2, tables: 1, .. }");
}
