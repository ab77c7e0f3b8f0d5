//! The atomics that this room's hand-made lock-free code is written against: the standard ones here, loom's in `tests/loom.rs`.
//!
//! A cfg flag would do the same, but loom's flag rebuilds every dependency; so a file that takes its atomics from `crate::live::sync`
//! alone is compiled once more, unchanged, beside a `sync` of loom's. Only what such a file uses is here.

pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
pub use std::thread::yield_now;

/// So many times `N` words of 0, in memory that nobody has touched yet.
pub fn noughts<const N: usize>(len: usize) -> Box<[[AtomicU64; N]]> {
    bytemuck::zeroed_slice_box(len)
}
