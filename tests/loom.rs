//! The roster under loom: every interleaving of a few threads, and every value that a relaxed load
//! may return, within the bound below.
//!
//! The files under test are the server's, compiled here against loom's atomics.

#[path = "../src/live/claim_table.rs"]
mod claim_table;
#[path = "../src/live/roster.rs"]
mod roster;

mod sync {
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub use loom::thread::yield_now;

    pub type Words<const N: usize> = Box<[[AtomicU64; N]]>;

    pub fn zeros<const N: usize>(len: usize) -> Words<N> {
        (0..len).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect()
    }
}

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;
use roster::Roster;

/// Runs `model` through every schedule with at most `LOOM_MAX_PREEMPTIONS` forced switches, by
/// default three: each of the races here needs one or two.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(model);
}

/// A key of the words `high` and `low`. First words that are equal modulo the table's size have the
/// same home slot.
fn key(high: u64, low: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&high.to_be_bytes());
    key[8..16].copy_from_slice(&low.to_be_bytes());
    key
}

/// Claims each key on its own thread, the last on this one. Returns the numbers in the same
/// order.
fn claim_concurrently<const N: usize>(roster: &Arc<Roster>, keys: [[u8; 32]; N]) -> [Option<u32>; N] {
    let others: Vec<_> = keys[..N - 1]
        .iter()
        .map(|&key| {
            let roster = roster.clone();
            thread::spawn(move || roster.claim(&key))
        })
        .collect();
    let mine = roster.claim(&keys[N - 1]);
    let mut got: Vec<_> = others.into_iter().map(|thread| thread.join().unwrap()).collect();
    got.push(mine);
    got.try_into().unwrap()
}

#[test]
fn two_concurrent_claims_of_one_key_take_one_number() {
    explore(|| {
        let roster = Arc::new(Roster::new(3, 1));
        assert_eq!(claim_concurrently(&roster, [key(8, 5), key(8, 5)]), [Some(1), Some(1)]);
        assert_eq!(roster.next(), 2, "one fetch_add");
        assert_eq!(roster.find(&key(8, 5)), Some(1));
    });
}

#[test]
fn keys_of_the_same_home_slot_get_different_numbers_and_keep_them() {
    explore(|| {
        let roster = Arc::new(Roster::new(3, 1));
        let keys = [key(8, 5), key(16, 5)];
        let mut got = claim_concurrently(&roster, keys);
        assert_eq!(keys.map(|key| roster.find(&key)), got);
        assert_eq!(keys.map(|key| roster.claim(&key)), got, "a retry changes nothing");
        got.sort();
        assert_eq!(got, [Some(1), Some(2)]);
        assert_eq!(roster.next(), 3);
    });
}

#[test]
fn keys_that_differ_in_the_second_word_are_two() {
    explore(|| {
        let roster = Arc::new(Roster::new(3, 1));
        let keys = [key(8, 5), key(8, 6)];
        let mut got = claim_concurrently(&roster, keys);
        assert_eq!(keys.map(|key| roster.find(&key)), got);
        got.sort();
        assert_eq!(got, [Some(1), Some(2)]);
    });
}

/// Runs `search` on its own thread while this one claims `key(8, 5)`.
///
/// The search gets the other thread because loom remembers only one access per word. If the search
/// read a word first, the claim's own read would hide that from the exchange that follows, and loom
/// would try no other order.
fn search_during_a_claim(roster: &Arc<Roster>, search: impl FnOnce(&Roster) + Send + 'static) -> Option<u32> {
    let searching = {
        let roster = roster.clone();
        thread::spawn(move || search(&roster))
    };
    let claim = roster.claim(&key(8, 5));
    searching.join().unwrap();
    claim
}

#[test]
fn a_search_during_a_claim_finds_its_number_or_nothing() {
    explore(|| {
        let roster = Arc::new(Roster::new(3, 3));
        roster.restore(&key(8, 4), 1);
        let claim = search_during_a_claim(&roster, |roster| {
            let (first, second) = (roster.find(&key(8, 5)), roster.find(&key(8, 5)));
            assert!([(None, None), (None, Some(3)), (Some(3), Some(3))].contains(&(first, second)), "{first:?} {second:?}");
            assert_eq!(roster.find(&key(8, 4)), Some(1), "the neighbour is still found");
        });
        assert_eq!((claim, roster.find(&key(8, 5))), (Some(3), Some(3)), "an answered claim is found");
    });
}

#[test]
fn a_key_whose_second_word_is_not_written_yet_is_not_found() {
    explore(|| {
        let roster = Arc::new(Roster::new(1, 1));
        search_during_a_claim(&roster, |roster| {
            assert_eq!(roster.find(&key(8, 0)), None, "an unwritten second word reads 0");
        });
    });
}

#[test]
fn the_last_number_is_given_once() {
    explore(|| {
        let roster = Arc::new(Roster::new(2, 2));
        roster.restore(&key(1, 1), 1);
        let keys = [key(2, 1), key(3, 1)];
        let got = claim_concurrently(&roster, keys);
        assert!(got == [Some(2), None] || got == [None, Some(2)], "{got:?}");
        assert_eq!(roster.next(), 3, "refusals do not raise it");
        assert_eq!(keys.map(|key| roster.claim(&key)), got, "a number is not taken back, and a refusal stays");
    });
}

#[test]
fn a_retry_of_the_last_number_s_key_is_never_refused() {
    explore(|| {
        let roster = Arc::new(Roster::new(1, 1));
        assert_eq!(claim_concurrently(&roster, [key(8, 5), key(8, 5)]), [Some(1), Some(1)]);
    });
}

#[test]
fn three_concurrent_claims_of_two_numbers_leave_no_gap() {
    explore(|| {
        let roster = Arc::new(Roster::new(2, 1));
        let [one, again, other] = claim_concurrently(&roster, [key(4, 1), key(4, 1), key(8, 1)]);
        assert_eq!(one, again);
        assert!([(Some(1), Some(2)), (Some(2), Some(1))].contains(&(one, other)), "{one:?} {other:?}");
    });
}

#[test]
fn a_number_that_comes_back_is_given_to_one_key() {
    explore(|| {
        let roster = Arc::new(Roster::new(1, 1));
        assert_eq!(roster.claim(&key(8, 5)), Some(1));
        let claiming = [key(8, 5), key(16, 5)].map(|key| {
            let roster = roster.clone();
            thread::spawn(move || roster.claim(&key))
        });
        roster.give_back(&key(8, 5), 1);
        let [first, second] = claiming.map(|thread| thread.join().unwrap());
        let owners = [key(8, 5), key(16, 5)].map(|key| roster.find(&key));
        assert!(owners.iter().flatten().count() <= 1, "one number has one owner: {owners:?}");
        assert!(second.is_none() || owners[1] == second, "what a new key is given stays its own");
        assert!(first.is_some() || second == Some(1) || owners == [None, None], "{first:?} {second:?} {owners:?}");
        assert!([key(8, 5), key(16, 5)].map(|key| roster.claim(&key)).contains(&Some(1)), "it is not lost");
    });
}

#[test]
fn a_key_whose_number_went_back_claims_anew_and_once() {
    explore(|| {
        let roster = Arc::new(Roster::new(2, 1));
        assert_eq!(roster.claim(&key(8, 5)), Some(1));
        roster.give_back(&key(8, 5), 1);
        let got = claim_concurrently(&roster, [key(8, 5), key(8, 5)]);
        assert!(got[0].is_some() && got[0] == got[1], "{got:?}");
        assert_eq!(roster.claim(&key(16, 5)), Some(2), "the other number is still there");
    });
}

#[test]
fn a_claim_while_the_roster_grows_is_known_to_the_next_roster_or_made_there() {
    // The first gets a further table, the second has room in its own.
    [2, 3].into_iter().for_each(grow_under_a_claim);
}

fn grow_under_a_claim(participants_max: u32) {
    explore(move || {
        let roster = Arc::new(Roster::new(participants_max, 1));
        let claiming = {
            let roster = roster.clone();
            thread::spawn(move || roster.claim(&key(8, 5)))
        };
        let grown = roster.grown(1);
        assert!(roster.is_sealed());
        match claiming.join().unwrap() {
            Some(number) => assert_eq!(grown.find(&key(8, 5)), Some(number)),
            None => assert_eq!(grown.find(&key(8, 5)), None),
        }
        let mut given: Vec<_> = (1..=u64::from(participants_max) + 2).map(|high| grown.claim(&key(8 * high, 5))).collect();
        given.sort();
        let all = [None].into_iter().chain((1..=participants_max + 1).map(Some));
        assert_eq!(given, all.collect::<Vec<_>>(), "no number is lost and none is given twice");
    });
}
