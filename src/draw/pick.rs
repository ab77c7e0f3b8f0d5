//! The pick: pools of eligible numbers, and the only code that turns entropy into winners.
//!
//! The algorithm is small and specified here to the bit, so that anyone can recompute a draw from
//! its proof without this code, as `scripts/verify-proof` does. A seeded generator from a crate
//! would hide it behind a version number. The algorithm must never change: old draws in a journal
//! have to verify forever.
//!
//! # The algorithm
//! A draw has 32 bytes of entropy, a pool of numbers, some of them with a weight other than 1, and
//! a count `k`.
//!
//! - **Words.** Block `i`, from 0, is SHA-256(entropy ‖ `i` as 8 bytes, big-endian). Each block is
//!   four 64-bit big-endian words. The words of block 0, 1, 2 … are used in order, none twice.
//! - **`uniform(m)`** takes words until one is below ⌊2⁶⁴ / m⌋ · m, and is that word modulo `m`.
//!   The rejected words would make small results more likely. It takes a word for `m` = 1 too.
//! - **Without weights:** `list` is the pool, rising, and `n` its length. For `i` from 0 to `k -
//!   1`: `j = i + uniform(n - i)`, swap `list[i]` and `list[j]`. The winners are the first `k`, in
//!   order (Fisher and Yates; Knuth, TAOCP 3.4.2, algorithm P, ended after `k` steps).
//! - **With weights,** as soon as one number has a weight other than 1: `k` times, `r = uniform(sum
//!   of the remaining weights)`. The winner is the first remaining number, rising, at which the
//!   running sum of weights exceeds `r`; it leaves the pool.
//!
//! In Python:
//! ```text
//! def words(entropy):
//!     for i in itertools.count():
//!         yield from struct.unpack(">4Q", hashlib.sha256(entropy + i.to_bytes(8, "big")).digest())
//! def uniform(w, m):
//!     return next(x for x in w if x < 2**64 // m * m) % m
//! def pick(pool, weights, k, entropy):  # pool rising; weights {number: weight}, but no weight 1
//!     w, left, won = words(entropy), list(pool), []
//!     for i in range(0 if weights else k):
//!         j = i + uniform(w, len(left) - i); left[i], left[j] = left[j], left[i]
//!     for i in range(k if weights else 0):
//!         sums = list(itertools.accumulate(weights.get(n, 1) for n in left))
//!         won.append(left.pop(bisect.bisect_right(sums, uniform(w, sums[-1]))))
//!     return won if weights else left[:k]
//! ```

use super::{Entropy, Number};
use ring::digest::{Context, SHA256};

/// The prefix of a commitment's input, so that a commitment never equals a block.
const COMMITMENT_LABEL: &[u8] = b"luckydraw commitment";

/// The numbers that a draw picks from, as ranges, so that the proof of a draw among thousands stays
/// small. Numbers up to `through` that are in no range are excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Inclusive ranges, rising and not adjacent.
    pub ranges: Vec<(u32, u32)>,
    /// The count of numbers in the ranges.
    pub size: u32,
    /// The highest number that was registered when the draw started.
    pub through: u32,
    /// Weights other than 1, with their numbers, rising.
    pub weights: Vec<(u32, u16)>,
}

impl Pool {
    /// An empty pool of an event whose highest number is `through`.
    pub fn new(through: u32) -> Self {
        Self { through, ..Self::default() }
    }

    /// Adds a number above all others of the pool.
    ///
    /// # Panics
    /// When the number is not above them: the proof would show another pool than the draw used.
    pub fn push(&mut self, number: Number, weight: u16) {
        let number = number.0;
        match self.ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            last => {
                assert!(last.is_none_or(|(_, last)| *last < number), "a pool's numbers rise");
                self.ranges.push((number, number));
            }
        }
        self.size += 1;
        if weight != 1 {
            self.weights.push((number, weight));
        }
    }

    /// The numbers, rising.
    pub fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last).map(Number)
    }

    /// The excluded ranges up to `through`.
    pub fn excluded(&self) -> Vec<(u32, u32)> {
        let mut next = 1;
        let mut gaps = Vec::new();
        for &(first, last) in &self.ranges {
            if next < first {
                gaps.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= self.through {
            gaps.push((next, self.through));
        }
        gaps
    }

    /// True when the weights are those of another pool, without the numbers that are not here.
    pub fn has_weights_of(&self, other: &Pool) -> bool {
        self.weights.iter().eq(other.weights.iter().filter(|(number, _)| self.holds(*number)))
    }

    /// True when the pool holds the number.
    pub fn holds(&self, number: u32) -> bool {
        let below = self.ranges.partition_point(|(_, last)| *last < number);
        self.ranges.get(below).is_some_and(|(first, _)| *first <= number)
    }
}

/// The winners that `entropy` picks from `pool`, in order, each once. O(pool + log(pool) per
/// winner).
///
/// # Panics
/// When `count` exceeds the pool, or when the pool's weights leave nobody to pick. The rules refuse
/// such draws.
pub fn pick(pool: &Pool, count: u32, entropy: &Entropy) -> Vec<Number> {
    let numbers: Vec<Number> = pool.numbers().collect();
    assert!(count as usize <= numbers.len(), "a draw picks at most its pool");
    let words = Words::new(entropy);
    if pool.weights.is_empty() { shuffled(numbers, count as usize, words) } else { weighted(&numbers, pool, count, words) }
}

/// The commitment to `entropy`, public from the start on: SHA-256 of the 20 ASCII bytes `luckydraw
/// commitment` and the entropy.
pub fn commitment(entropy: &Entropy) -> [u8; 32] {
    sha256(COMMITMENT_LABEL, &entropy.0)
}

/// The first `count` of `numbers`, shuffled.
fn shuffled(mut numbers: Vec<Number>, count: usize, mut words: Words) -> Vec<Number> {
    for i in 0..count {
        let left = (numbers.len() - i) as u64;
        let j = i + words.uniform(left) as usize;
        numbers.swap(i, j);
    }
    numbers.truncate(count);
    numbers
}

/// `count` of `numbers`, each with a chance in proportion to its weight among those left.
fn weighted(numbers: &[Number], pool: &Pool, count: u32, mut words: Words) -> Vec<Number> {
    let mut exceptions = pool.weights.iter().copied().peekable();
    let weights =
        numbers.iter().map(|number| exceptions.next_if(|(other, _)| *other == number.0).map_or(1, |(_, weight)| weight.into()));
    let mut sums = Sums::of(weights.collect());
    assert!(exceptions.next().is_none(), "weights rise with the numbers of their pool");
    (0..count)
        .map(|_| {
            assert!(sums.total > 0, "a pool's weights leave somebody to pick");
            let index = sums.locate(words.uniform(sums.total));
            sums.clear(index);
            numbers[index]
        })
        .collect()
}

/// The stream of words made from a draw's entropy.
struct Words {
    entropy: Entropy,
    /// Index of the next block.
    index: u64,
    /// Unused words of the current block, the next one last.
    left: Vec<u64>,
}

impl Words {
    fn new(entropy: &Entropy) -> Self {
        Self { entropy: *entropy, index: 0, left: Vec::with_capacity(4) }
    }

    /// The next word.
    fn next(&mut self) -> u64 {
        loop {
            if let Some(word) = self.left.pop() {
                return word;
            }
            let block = sha256(&self.entropy.0, &self.index.to_be_bytes());
            let (words, _) = block.as_chunks();
            self.left.extend(words.iter().rev().map(|&word| u64::from_be_bytes(word)));
            self.index += 1;
        }
    }

    /// A number below `m`, each equally likely. `m` is at least 1. Takes at most two words on
    /// average.
    fn uniform(&mut self, m: u64) -> u64 {
        // 2⁶⁴ mod m, without the number 2⁶⁴: the count of words to reject, from the top.
        let surplus = (u64::MAX % m + 1) % m;
        loop {
            let word = self.next();
            if word <= u64::MAX - surplus {
                return word % m;
            }
        }
    }
}

/// Running sums of weights from which a weight can be removed in O(log n) (Fenwick, 1994). Summing
/// again for each of 500 winners of 300,000 participants would take 150 million additions, during
/// which the one writer answers no request.
struct Sums {
    /// Indexed from 1: node `i` holds the sum of the last `i & -i` weights up to `i`.
    nodes: Vec<u64>,
    weights: Vec<u64>,
    total: u64,
}

impl Sums {
    fn of(weights: Vec<u64>) -> Self {
        let mut nodes = vec![0; weights.len() + 1];
        for i in 1..nodes.len() {
            nodes[i] += weights[i - 1];
            let parent = i + (i & i.wrapping_neg());
            if parent < nodes.len() {
                nodes[parent] += nodes[i];
            }
        }
        Self { nodes, total: weights.iter().sum(), weights }
    }

    /// The first index, from 0, at which the running sum exceeds `r`; `r` is below the total.
    fn locate(&self, mut r: u64) -> usize {
        let mut index = 0;
        let mut step = self.weights.len().next_power_of_two();
        while step > 0 {
            if let Some(&sum) = self.nodes.get(index + step).filter(|sum| **sum <= r) {
                index += step;
                r -= sum;
            }
            step /= 2;
        }
        index
    }

    /// Removes the weight at `index`.
    fn clear(&mut self, index: usize) {
        let weight = std::mem::take(&mut self.weights[index]);
        self.total -= weight;
        let mut i = index + 1;
        while i < self.nodes.len() {
            self.nodes[i] -= weight;
            i += i & i.wrapping_neg();
        }
    }
}

pub(super) fn sha256(head: &[u8], tail: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(head);
    context.update(tail);
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const RISING: Entropy = Entropy({
        let mut bytes = [0; 32];
        let mut i = 0;
        while i < 32 {
            bytes[i] = i as u8;
            i += 1;
        }
        bytes
    });
    const ZEROS: Entropy = Entropy([0; 32]);

    fn pool(numbers: impl IntoIterator<Item = u32>, weights: &[(u32, u16)]) -> Pool {
        let weights: BTreeMap<_, _> = weights.iter().copied().collect();
        let mut pool = Pool::new(0);
        for number in numbers {
            pool.push(Number(number), *weights.get(&number).unwrap_or(&1));
            pool.through = number;
        }
        pool
    }

    /// The entropy of the `i`th draw of a test.
    fn entropy(seed: &str, i: u64) -> Entropy {
        Entropy(sha256(seed.as_bytes(), &i.to_be_bytes()))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn adjacent_numbers_share_a_range_and_the_rest_is_excluded() {
        let mut pool = Pool::new(9);
        [2, 3, 5, 7, 8].into_iter().for_each(|n| pool.push(Number(n), 1));
        assert_eq!(pool.ranges, [(2, 3), (5, 5), (7, 8)]);
        assert_eq!(pool.excluded(), [(1, 1), (4, 4), (6, 6), (9, 9)]);
        assert_eq!(pool.numbers().map(|n| n.0).collect::<Vec<_>>(), [2, 3, 5, 7, 8]);
    }

    /// Numbers up to 64, each in the pool by a bit of `bits`.
    fn pool_of_bits(bits: u64) -> Pool {
        pool((1..=64).filter(|n| bits >> (n - 1) & 1 == 1), &[])
    }

    #[test]
    fn a_pool_and_its_excluded_ranges_cover_every_number_once() {
        let mut words = Words::new(&entropy("pools", 0));
        for _ in 0..500 {
            let mut pool = pool_of_bits(words.next() & words.next());
            pool.through = 64;
            let mut covered: Vec<_> = pool.ranges.iter().copied().chain(pool.excluded()).collect();
            covered.sort_unstable();
            let numbers: Vec<_> = covered.into_iter().flat_map(|(first, last)| first..=last).collect();
            assert_eq!(numbers, (1..=64).collect::<Vec<_>>(), "{:?}", pool.ranges);
            assert_eq!(pool.numbers().count() as u32, pool.size);
            assert!(pool.ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "no two ranges touch: {:?}", pool.ranges);
        }
    }

    #[test]
    #[should_panic(expected = "a pool's numbers rise")]
    fn a_pool_takes_no_number_twice() {
        pool([1, 2, 2], &[]);
    }

    #[test]
    fn equal_weights_leave_nobody_out_and_count_as_unweighted_only_when_they_are_one() {
        for i in 0..50 {
            let entropy = entropy("equal", i);
            let plain = pool(1..=20, &[]);
            let ones: Vec<_> = (1..=20).map(|n| (n, 1)).collect();
            assert_eq!(pick(&pool(1..=20, &ones), 20, &entropy), pick(&plain, 20, &entropy));
            let threes: Vec<_> = (1..=20).map(|n| (n, 3)).collect();
            let mut all = pick(&pool(1..=20, &threes), 20, &entropy);
            all.sort_unstable();
            assert!(all.into_iter().eq(plain.numbers()));
        }
    }

    #[test]
    fn a_smaller_draw_has_the_first_winners_of_a_larger_one() {
        for weights in [&[][..], &[(7, 9)]] {
            let pool = pool(1..=100, weights);
            let all = pick(&pool, 100, &RISING);
            for count in [0, 1, 10, 99] {
                assert_eq!(pick(&pool, count, &RISING), all[..count as usize], "{count} of {weights:?}");
            }
        }
    }

    // The vectors were computed with Python's hashlib by a program that shares no code with this
    // one.

    #[test]
    fn words_and_commitment_match_the_vectors() {
        let mut words = Words::new(&RISING);
        let first: [u64; 5] = std::array::from_fn(|_| words.next());
        let expected = [0xa9d6e500293a88bd, 0x38cbe213d07ab71f, 0x8cb2258552072a01, 0xbdf1c40be527f4d0, 0x6061c4386d7a1788];
        assert_eq!(first, expected);
        assert_eq!(hex(&commitment(&RISING)), "72b8711e8d73686f14d6599f790cc61b9e358191e9fd371ea2ff5e00e4e4d10c");
    }

    #[test]
    fn a_bound_just_above_half_rejects_nearly_every_other_word() {
        // 2⁶³ + 1 fits into 2⁶⁴ once: words 0, 2, 3, 5 and others are too high. Without rejection
        // they would appear as their remainders.
        let mut words = Words::new(&RISING);
        let got: [u64; 6] = std::array::from_fn(|_| words.uniform((1 << 63) + 1));
        let expected = [
            4092613261126186783,
            6945047847015946120,
            1402384116349340663,
            300893896666610643,
            8315228738316000402,
            6212704801138175306,
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn a_power_of_two_rejects_no_word() {
        let (mut words, mut plain) = (Words::new(&RISING), Words::new(&RISING));
        for shift in 0..64 {
            assert_eq!(words.uniform(1 << shift), plain.next() % (1 << shift), "2^{shift}");
        }
    }

    #[test]
    fn picks_match_the_vectors() {
        let check = |pool: Pool, count, entropy: &Entropy, winners: &[u32]| {
            assert_eq!(pick(&pool, count, entropy).iter().map(|n| n.0).collect::<Vec<_>>(), winners);
        };
        let registered = || (1..=300).filter(|&n| n != 58);
        check(pool(1..=300, &[]), 1, &RISING, &[122]);
        check(pool(1..=300, &[]), 1, &ZEROS, &[109]);
        check(pool(registered(), &[]), 5, &RISING, &[204, 108, 294, 189, 251]);
        check(pool(registered(), &[]), 10, &ZEROS, &[207, 166, 190, 168, 71, 55, 88, 167, 56, 234]);
        check(pool([2, 3, 5, 7, 11], &[]), 5, &RISING, &[3, 11, 2, 7, 5]);
        check(pool(1..=20_000, &[]), 10, &RISING, &[4222, 7849, 6134, 9028, 14689, 19774, 11674, 11645, 12531, 2423]);
        check(pool(registered(), &[(7, 3), (100, 65535), (299, 2)]), 5, &RISING, &[100, 267, 6, 36, 169]);
        check(pool([2, 3, 5, 7, 11], &[(3, 4), (11, 9)]), 5, &ZEROS, &[11, 3, 2, 7, 5]);
        check(pool([4], &[]), 1, &ZEROS, &[4]);
        check(pool([], &[]), 0, &ZEROS, &[]);
    }

    #[test]
    fn running_sums_locate_as_a_linear_scan_does() {
        for round in 0..200 {
            let mut words = Words::new(&entropy("sums", round));
            let mut weights: Vec<u64> = (0..1 + words.uniform(70)).map(|_| words.uniform(5)).collect();
            let mut sums = Sums::of(weights.clone());
            while sums.total > 0 {
                let r = words.uniform(sums.total);
                let naive = (0..weights.len()).find(|&i| weights[..=i].iter().sum::<u64>() > r).unwrap();
                assert_eq!(sums.locate(r), naive, "round {round}, weights {weights:?}, r {r}");
                weights[naive] = 0;
                sums.clear(naive);
                assert_eq!(sums.total, weights.iter().sum::<u64>());
            }
        }
    }

    #[test]
    fn nobody_wins_twice_in_a_draw_and_a_whole_pool_can_win() {
        for weights in [&[][..], &[(3, 500), (40, 2)]] {
            let pool = pool((1..=60).filter(|n| n % 7 != 0), weights);
            let mut winners = pick(&pool, pool.size, &RISING);
            winners.sort();
            assert!(winners.into_iter().eq(pool.numbers()));
        }
    }

    /// Counts each outcome and asserts that Pearson's statistic stays below `limit`.
    ///
    /// The seeds are fixed, so a test always passes or always fails. Each limit is the quantile
    /// that a fair pick exceeds for one seed in 10,000, so that another seed would give the same
    /// answer.
    fn check_fair<K: Ord + std::fmt::Debug>(outcomes: impl Iterator<Item = K>, chances: &BTreeMap<K, f64>, limit: f64) {
        let mut counts: BTreeMap<_, _> = chances.keys().map(|outcome| (outcome, 0.0)).collect();
        let mut total = 0.0;
        for outcome in outcomes {
            *counts.get_mut(&outcome).unwrap_or_else(|| panic!("{outcome:?} is impossible")) += 1.0;
            total += 1.0;
        }
        let statistic: f64 =
            counts.iter().map(|(outcome, count)| (count - total * chances[outcome]).powi(2) / (total * chances[outcome])).sum();
        assert!(statistic < limit, "chi-square {statistic:.1} of {} outcomes in {total} draws, limit {limit}", counts.len());
    }

    #[test]
    fn every_number_of_a_pool_is_equally_likely() {
        let pool = pool((1..=301).filter(|&n| n != 58), &[]);
        let chances = pool.numbers().map(|number| (number, 1.0 / 300.0)).collect();
        // 299 degrees of freedom. A number that won 20 % too often would alone add 8; a pick by the
        // remainder of one byte, which never reaches 44 of the numbers, adds 10,000.
        check_fair((0..60_000).map(|i| pick(&pool, 1, &entropy("hall", i))[0]), &chances, 398.6);
    }

    #[test]
    fn every_order_of_three_winners_of_five_is_equally_likely() {
        let pool = pool(1..=5, &[]);
        let orders =
            (0..125).map(|i| [i / 25 + 1, i / 5 % 5 + 1, i % 5 + 1].map(Number)).filter(|[a, b, c]| a != b && b != c && a != c);
        let chances = orders.map(|order| (order.to_vec(), 1.0 / 60.0)).collect();
        // 59 degrees of freedom. The naive shuffle, which swaps with any position, adds 18,000.
        check_fair((0..60_000).map(|i| pick(&pool, 3, &entropy("orders", i))), &chances, 108.16);
    }

    #[test]
    fn every_number_is_equally_likely_among_the_last_of_many_winners() {
        let pool = pool(1..=100, &[]);
        let chances = pool.numbers().map(|number| (number, 0.01)).collect();
        // 99 degrees of freedom.
        check_fair((0..40_000).map(|i| pick(&pool, 10, &entropy("last", i))[9]), &chances, 160.06);
    }

    #[test]
    fn chances_are_in_proportion_to_weights() {
        let pool = pool([1, 2, 3, 8, 9, 20], &[(2, 2), (8, 5), (9, 10), (20, 100)]);
        let chances =
            [(1, 1.0), (2, 2.0), (3, 1.0), (8, 5.0), (9, 10.0), (20, 100.0)].map(|(n, weight)| (vec![Number(n)], weight / 119.0));
        // 5 degrees of freedom.
        check_fair((0..60_000).map(|i| pick(&pool, 1, &entropy("weights", i))), &chances.into(), 25.74);
    }

    #[test]
    fn the_second_winner_is_weighed_among_those_left() {
        let weights: [f64; 5] = [1.0, 4.0, 1.0, 2.0, 2.0];
        let pool = pool(1..=5, &[(2, 4), (4, 2), (5, 2)]);
        let mut chances = BTreeMap::new();
        for (i, first) in weights.iter().enumerate() {
            for (j, second) in weights.iter().enumerate().filter(|(j, _)| *j != i) {
                chances.insert([i, j].map(|index| Number(index as u32 + 1)).to_vec(), first / 10.0 * second / (10.0 - first));
            }
        }
        // 19 degrees of freedom.
        check_fair((0..60_000).map(|i| pick(&pool, 2, &entropy("second", i))), &chances, 50.8);
    }

    #[test]
    #[should_panic(expected = "at most its pool")]
    fn picking_more_winners_than_numbers_panics() {
        pick(&pool(1..=3, &[]), 4, &ZEROS);
    }
}
