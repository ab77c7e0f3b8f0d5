//! Who may win a draw, kept as ranges so that a proof of a hall of thousands stays small.

use super::Number;

/// The numbers a draw picks from. Numbers up to `through` that are in no range were excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Inclusive, rising, not touching.
    pub ranges: Vec<(u32, u32)>,
    /// How many numbers there are.
    pub size: u32,
    /// The highest number that was registered when the draw started.
    pub through: u32,
    /// Weights other than 1, by rising number.
    pub weights: Vec<(u32, u16)>,
}

impl Pool {
    /// An empty pool of an event whose highest number is `through`.
    pub fn new(through: u32) -> Self {
        Self { through, ..Self::default() }
    }

    /// Adds a number above all those in it.
    ///
    /// # Panics
    /// When the number does not rise: the proof would name another pool than was drawn from.
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

    /// Its numbers, rising.
    pub fn numbers(&self) -> impl Iterator<Item = Number> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last).map(Number)
    }

    /// The ranges up to `through` that are not in it.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_range_and_the_rest_is_excluded() {
        let mut pool = Pool::new(9);
        [2, 3, 5, 7, 8].into_iter().for_each(|n| pool.push(Number(n), 1));
        assert_eq!(pool.ranges, [(2, 3), (5, 5), (7, 8)]);
        assert_eq!(pool.excluded(), [(1, 1), (4, 4), (6, 6), (9, 9)]);
        assert_eq!(pool.numbers().map(|n| n.0).collect::<Vec<_>>(), [2, 3, 5, 7, 8]);
    }
}
