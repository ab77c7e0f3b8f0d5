//! A list that is cheap to clone: shared chunks, each copied on its first write after a clone.
//!
//! The writer clones the event's state for each publication, so that readers keep an immutable
//! snapshot. Cloning a plain vector costs one copy per participant; here 20,000 participants are 40
//! pointers, and a write after a clone copies one chunk. A general persistent-collection crate
//! offers more than is needed and is slower for a list that only grows. Entries are never removed.

use std::sync::Arc;

/// Entries per chunk: at 16 bytes per entry a copied chunk is 8 KiB.
const CHUNK_LEN: usize = 512;

/// A growing list whose clones share their chunks. A clone is O(len / 512); a push or change after
/// it copies one chunk.
#[derive(Clone, Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Chunked<T> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The entry at `index`, from 0.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK_LEN)?.get(index % CHUNK_LEN)
    }

    /// The entry at `index`, mutable; copies its chunk while a clone shares it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        Arc::make_mut(self.chunks.get_mut(index / CHUNK_LEN)?).get_mut(index % CHUNK_LEN)
    }

    /// Appends an entry.
    pub fn push(&mut self, entry: T) {
        if self.len.is_multiple_of(CHUNK_LEN) {
            self.chunks.push(Arc::new(Vec::new()));
        }
        let last = self.chunks.last_mut().expect("the last chunk was just given room");
        Arc::make_mut(last).push(entry);
        self.len += 1;
    }

    /// The entries from `index` on, in order.
    pub fn iter_from(&self, index: usize) -> impl Iterator<Item = &T> {
        let first = (index / CHUNK_LEN).min(self.chunks.len());
        self.chunks[first..].iter().flat_map(|chunk| chunk.iter()).skip(index - first.min(index / CHUNK_LEN) * CHUNK_LEN)
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
        let mut list = numbers(CHUNK_LEN + 3);
        let before = list.clone();
        *list.get_mut(1).unwrap() = 99;
        list.push(7);
        assert_eq!(before.iter_from(0).copied().collect::<Vec<_>>(), (0..CHUNK_LEN + 3).collect::<Vec<_>>());
        assert_eq!((list.get(1), list.len()), (Some(&99), CHUNK_LEN + 4));
    }

    #[test]
    fn an_iteration_can_start_anywhere() {
        let list = numbers(2 * CHUNK_LEN);
        for start in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 2 * CHUNK_LEN - 1, 2 * CHUNK_LEN, 5 * CHUNK_LEN] {
            assert_eq!(list.iter_from(start).copied().next(), (start < 2 * CHUNK_LEN).then_some(start), "from {start}");
        }
    }
}
