//! The keys of all registrations by number, and the Merkle tree over them (RFC 6962, section 2.1).
//!
//! A lock holds the root, so that each phone can check by a path of some twenty hashes that its own
//! registration is in it. Keys lie in shared chunks, as the participants do. A chunk hashes itself
//! at the first question and keeps its hashes until a number of it is added. So a registration
//! costs no hash, and a start hashes only what changed since anybody asked: the call that starts a
//! draw asks first, on its own thread.

use super::Hash;
use ring::digest::{Context, SHA256};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Keys per chunk: a power of two, so that a full chunk is a whole subtree.
const CHUNK_LEN: usize = 512;

/// The key of a number that nobody has: a crash left a gap. No SHA-256 has this value.
const NO_KEY: Hash = [0; 32];

/// The first bytes of a leaf's and of an inner node's input (RFC 6962), and the label of a leaf.
const LEAF: &[u8] = b"\0luckydraw leaf 2";
const NODE: &[u8] = b"\x01";

/// The keys of numbers 1 to [`RosterTree::len`]. A clone shares its chunks.
#[derive(Clone, Default)]
pub struct RosterTree {
    chunks: Vec<Arc<Chunk>>,
    len: usize,
}

/// Some keys, and their hashes once they were asked for.
#[derive(Default)]
struct Chunk {
    /// Number of the first key.
    first: u32,
    keys: Vec<Hash>,
    /// The levels of the subtree, from the leaves up to its root.
    levels: OnceLock<Vec<Vec<Hash>>>,
}

impl Clone for Chunk {
    /// Without the hashes, since a clone is made to be changed.
    fn clone(&self) -> Self {
        Self { first: self.first, keys: self.keys.clone(), levels: OnceLock::new() }
    }
}

impl RosterTree {
    /// The highest number.
    pub fn len(&self) -> u32 {
        self.len as u32
    }

    /// True before the first registration.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key of a number.
    pub fn key(&self, number: u32) -> Option<&Hash> {
        let index = (number as usize).checked_sub(1)?;
        let key = self.chunks.get(index / CHUNK_LEN)?.keys.get(index % CHUNK_LEN)?;
        (*key != NO_KEY).then_some(key)
    }

    /// Sets the key of a number, which is from 1.
    pub(in crate::draw) fn set(&mut self, number: u32, key: Hash) {
        let index = number as usize - 1;
        while self.len <= index {
            if self.len.is_multiple_of(CHUNK_LEN) {
                self.chunks.push(Arc::new(Chunk { first: self.len as u32 + 1, ..Chunk::default() }));
            }
            let last = Arc::make_mut(self.chunks.last_mut().expect("the last chunk was just given room"));
            last.keys.push(NO_KEY);
            last.levels = OnceLock::new();
            self.len += 1;
        }
        let chunk = Arc::make_mut(&mut self.chunks[index / CHUNK_LEN]);
        chunk.keys[index % CHUNK_LEN] = key;
        chunk.levels = OnceLock::new();
    }

    /// The number of chunks.
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// The number of chunks that are not hashed.
    #[cfg(test)]
    pub(in crate::draw) fn unhashed_chunks(&self) -> usize {
        self.chunks.iter().filter(|chunk| chunk.levels.get().is_none()).count()
    }

    /// Hashes a chunk ahead of [`RosterTree::root`], unless that is done: 1,023 hashes. Clones that
    /// share the chunk share the hashes.
    pub fn hash_chunk(&self, index: usize) {
        self.chunks.get(index).map(|chunk| chunk.levels());
    }

    /// The Merkle root. O(chunks) where no chunk changed since it was hashed.
    pub fn root(&self) -> Hash {
        root_of(self.roots())
    }

    /// The hashes that lead from the leaf of a number to the root, from the bottom; `None` for a
    /// number above all. At most 21.
    pub fn path(&self, number: u32) -> Option<Vec<Hash>> {
        let index = (number as usize).checked_sub(1).filter(|index| *index < self.len)?;
        let mut path = siblings(self.chunks[index / CHUNK_LEN].levels(), index % CHUNK_LEN);
        path.extend(siblings(&levels(self.roots()), index / CHUNK_LEN));
        Some(path)
    }

    /// The hashes of all leaves, by number.
    pub fn leaves(&self) -> impl Iterator<Item = Hash> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.levels()[0].iter().copied())
    }

    fn roots(&self) -> Vec<Hash> {
        self.chunks.iter().map(|chunk| chunk.levels().last().expect("a chunk has a key")[0]).collect()
    }
}

impl fmt::Debug for RosterTree {
    /// Prints the root: it tells two trees apart, and no key ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RosterTree").field("len", &self.len).field("root", &self.root()).finish()
    }
}

impl Chunk {
    fn levels(&self) -> &Vec<Vec<Hash>> {
        let leaf_of = |(number, key): (u32, &Hash)| if *key == NO_KEY { hole(number) } else { leaf(number, key) };
        self.levels.get_or_init(|| levels((self.first..).zip(&self.keys).map(leaf_of).collect()))
    }
}

/// The hash of the leaf of a registration.
pub fn leaf(number: u32, key: &Hash) -> Hash {
    sha256(&[LEAF, &number.to_be_bytes(), key])
}

/// The hash of the leaf of a number that nobody has.
pub fn hole(number: u32) -> Hash {
    sha256(&[LEAF, &number.to_be_bytes()])
}

/// The root over a list of leaves.
pub fn root_of(leaves: Vec<Hash>) -> Hash {
    levels(leaves).pop().and_then(|top| top.first().copied()).unwrap_or_else(|| sha256(&[]))
}

/// The root that a path leads to, from the leaf of `number` among `len` leaves; `None` for a path
/// of another length.
pub fn root_from(leaf: Hash, number: u32, len: u32, path: &[Hash]) -> Option<Hash> {
    let (mut index, mut width) = (number.checked_sub(1).filter(|index| *index < len)?, len);
    let (mut hash, mut path) = (leaf, path.iter());
    while width > 1 {
        hash = match index {
            _ if index % 2 == 1 => node(path.next()?, &hash),
            // The last of an odd number of nodes goes up as it is.
            _ if index + 1 == width => hash,
            _ => node(&hash, path.next()?),
        };
        (index, width) = (index / 2, width.div_ceil(2));
    }
    path.next().is_none().then_some(hash)
}

/// The levels of a tree, from these nodes up to the root.
fn levels(nodes: Vec<Hash>) -> Vec<Vec<Hash>> {
    let mut levels = vec![nodes];
    while let Some(below) = levels.last().filter(|level| level.len() > 1) {
        let parent = |pair: &[Hash]| if let [left, right] = pair { node(left, right) } else { pair[0] };
        levels.push(below.chunks(2).map(parent).collect());
    }
    levels
}

/// The siblings on the way up from a node, where it has one.
fn siblings(levels: &[Vec<Hash>], index: usize) -> Vec<Hash> {
    levels.iter().enumerate().filter_map(|(height, level)| level.get((index >> height) ^ 1).copied()).collect()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[NODE, left, right])
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(len: u32) -> RosterTree {
        let mut tree = RosterTree::default();
        (1..=len).for_each(|number| tree.set(number, key(number)));
        tree
    }

    fn key(number: u32) -> Hash {
        let mut key = [1; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    }

    /// The root as RFC 6962 defines it: split at the largest power of two below the length.
    fn rfc_6962(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                node(&rfc_6962(&leaves[..split]), &rfc_6962(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_rfc_6962_and_every_path_leads_to_it() {
        for len in [0, 1, 2, 3, 7, 511, 512, 513, 1023, 1024, 1025, 1537, 2600] {
            let tree = tree(len);
            let leaves: Vec<Hash> = (1..=len).map(|number| leaf(number, &key(number))).collect();
            assert_eq!(tree.root(), rfc_6962(&leaves), "of {len}");
            assert_eq!(tree.root(), root_of(leaves));
            for number in (1..=len).step_by(97).chain([len]).filter(|number| *number > 0) {
                let path = tree.path(number).unwrap();
                assert_eq!(root_from(leaf(number, &key(number)), number, len, &path), Some(tree.root()), "{number} of {len}");
                assert_ne!(root_from(leaf(number, &key(number + 1)), number, len, &path), Some(tree.root()));
            }
            assert_eq!((tree.path(0), tree.path(len + 1)), (None, None));
        }
    }

    #[test]
    fn a_key_that_comes_late_changes_the_root_of_its_tree_alone() {
        let mut early = tree(700);
        early.set(900, key(900));
        let (mut late, root) = (early.clone(), early.root());
        assert_eq!((early.key(800), early.len()), (None, 900));
        late.set(800, key(800));
        assert_eq!((early.root(), late.key(800)), (root, Some(&key(800))));
        assert_ne!(late.root(), root);
        assert_eq!(root_from(hole(800), 800, 900, &early.path(800).unwrap()), Some(root), "a hole is provable too");
    }

    #[test]
    fn a_path_of_another_length_is_refused() {
        let (tree, own) = (tree(600), leaf(3, &key(3)));
        let path = tree.path(3).unwrap();
        assert_eq!(root_from(own, 3, 600, &path[1..]), None);
        assert_eq!(root_from(own, 3, 600, &[&path[..], &path[..1]].concat()), None);
        assert_eq!(root_from(own, 601, 600, &path), None);
    }
}
