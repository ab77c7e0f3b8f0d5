//! The process's allocator, and how soon it returns freed memory to the system.
//!
//! The box has 512 MB, and ten thousand phones that shake hands at once take 140 MB for a second.
//! mimalloc returns freed pages after a second, but looks for them only while a thread allocates
//! much, which a quiet server does not. Five seconds after such a rush it still held 13,700 bytes
//! per socket.
//!
//! Returning each page at the moment it is freed makes that 290 bytes, and costs a handshake a
//! sixth of its CPU, since the next one faults the page in again. So the main thread, which has
//! nothing else to do, asks for it once per second. Huge pages are refused for the same reason:
//! with them an empty server holds 20 MB, without them 9.
//!
//! Without the feature `mimalloc` the system's allocator serves, for comparison. Nothing else knows
//! which one it is.

use std::convert::Infallible;
use std::time::Duration;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Time between returns of freed memory. Each takes some ten microseconds of CPU on a quiet server.
const RETURN_EVERY: Duration = Duration::from_secs(1);

/// Disables transparent huge pages for this process. To be called at the start of `main`.
pub fn disable_huge_pages() {
    // A kernel without this call keeps its huge pages; the server only takes more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Returns freed memory to the system, once per second and for ever. Cancel safe.
#[expect(unsafe_code, reason = "mi_collect has no safe wrapper")]
pub async fn return_freed_memory() -> Infallible {
    loop {
        tokio::time::sleep(RETURN_EVERY).await;
        #[cfg(feature = "mimalloc")]
        // SAFETY: any thread may call this at any time; it walks the lists of this thread's own
        // heap, and the shared map of free pages by atomics.
        unsafe {
            libmimalloc_sys::mi_collect(true);
        }
    }
}
