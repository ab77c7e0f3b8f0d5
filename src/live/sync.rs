//! The atomics that this room's hand-made lock-free code is written against: the standard ones here, loom's in `tests/loom.rs`.

pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
