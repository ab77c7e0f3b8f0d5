//! A list that is cheap to copy: a list of shared chunks, copied only where it is written to.
//!
//! An event's state is cloned for every publication, so that readers keep a whole, unmoving picture while the writer goes on.
//! With plain vectors that clone would be as large as the hall; here 20,000 participants are 40 pointers, and a write after a clone
//! copies one chunk. A general persistent-collection crate would do more than is asked, and slower for a list that only grows.

use std::sync::Arc;

/// Entries in a chunk: at 16 bytes an entry a copied chunk is 8 KiB.
const CHUNK: usize = 512;

/// A growing list whose clones share their chunks. Clone: O(len / 512). Push and set after a clone: one chunk copied.
#[derive(Clone, Debug)]
pub struct Chunked<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Chunked<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry at `index`, from 0.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    /// The entry at `index`, to be changed; copies its chunk if a clone still reads it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        Arc::make_mut(self.chunks.get_mut(index / CHUNK)?).get_mut(index % CHUNK)
    }

    /// Adds an entry at the end.
    pub fn push(&mut self, entry: T) {
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::new()));
        }
        let last = self.chunks.last_mut().expect("a chunk with room was just made sure of");
        Arc::make_mut(last).push(entry);
        self.len += 1;
    }

    /// All entries from `index` on, in order.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &T> {
        let first = (index / CHUNK).min(self.chunks.len());
        self.chunks[first..].iter().flat_map(|chunk| chunk.iter()).skip(index - first.min(index / CHUNK) * CHUNK)
    }

    /// All entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.iter_from(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(len: usize) -> Chunked<usize> {
        let mut list = Chunked::default();
        (0..len).for_each(|n| list.push(n));
        list
    }

    #[test]
    fn a_clone_does_not_see_later_writes() {
        let mut list = numbers(CHUNK + 3);
        let before = list.clone();
        *list.get_mut(1).unwrap() = 99;
        list.push(7);
        assert_eq!(before.iter().copied().collect::<Vec<_>>(), (0..CHUNK + 3).collect::<Vec<_>>());
        assert_eq!((list.get(1), list.len()), (Some(&99), CHUNK + 4));
    }

    #[test]
    fn reading_may_begin_anywhere() {
        let list = numbers(2 * CHUNK);
        for start in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 5 * CHUNK] {
            assert_eq!(list.iter_from(start).copied().next(), (start < 2 * CHUNK).then_some(start), "from {start}");
        }
    }
}
