//! Zeros that cost nothing until they are written: memory fresh from the kernel, which backs it
//! page by page.
//!
//! The allocator's zeroed memory is fresh only the first time. After a deletion it hands the freed
//! pages out again, and writes zeros over them first: then an event's empty table of 0.8 MB was
//! resident at once. A mapping of its own is always fresh, and goes back to the kernel when it is
//! dropped.

use bytemuck::Zeroable;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::alloc::{Layout, handle_alloc_error};
use std::ops::Deref;
use std::ptr::{NonNull, null_mut};

/// A slice that begins as zeros, in a mapping of its own.
pub(super) struct Zeroed<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T: Zeroable> Zeroed<T> {
    /// `len` times zero.
    #[expect(unsafe_code, reason = "a mapping has no safe wrapper among the dependencies")]
    pub fn new(len: usize) -> Self {
        let layout = Layout::array::<T>(len).expect("a roster is far smaller than the address space");
        assert!(layout.align() <= 4_096, "a mapping begins at a page");
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: without MAP_FIXED the kernel chooses a range that nothing uses, and the file
        // holds no other reference into it. The length is above 0.
        let mapped = unsafe { mmap_anonymous(null_mut(), layout.size().max(1), access, flags) };
        let start = mapped.ok().and_then(|start| NonNull::new(start.cast::<T>()));
        Self { start: start.unwrap_or_else(|| handle_alloc_error(layout)), len }
    }
}

impl<T> Deref for Zeroed<T> {
    type Target = [T];

    #[expect(unsafe_code, reason = "the mapping is a slice")]
    fn deref(&self) -> &[T] {
        // SAFETY: the mapping is aligned, holds `len` values and lives as long as `self`. It began
        // as zeros, which are values of `T`, and only shared references to them are given out.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T> Drop for Zeroed<T> {
    #[expect(unsafe_code, reason = "the mapping ends with its owner")]
    fn drop(&mut self) {
        let bytes = (self.len * size_of::<T>()).max(1);
        // SAFETY: the range was mapped by `new` in this length, and no reference outlives `self`.
        // An error would leave it mapped, which is only a leak.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), bytes) };
    }
}

// SAFETY: the mapping is owned like a box, so it may go where its values may.
#[expect(unsafe_code, reason = "a pointer is not sent by itself")]
unsafe impl<T: Send> Send for Zeroed<T> {}
// SAFETY: only shared references to the values are given out.
#[expect(unsafe_code, reason = "a pointer is not shared by itself")]
unsafe impl<T: Sync> Sync for Zeroed<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn it_begins_as_zeros_also_where_memory_was_written_before() {
        for len in [0, 1, 511, 512, 513, 100_000] {
            let words = Zeroed::<AtomicU64>::new(len);
            assert_eq!(words.len(), len);
            assert!(words.iter().all(|word| word.swap(u64::MAX, Relaxed) == 0));
            assert!(words.iter().all(|word| word.load(Relaxed) == u64::MAX));
        }
    }
}
