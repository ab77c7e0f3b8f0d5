//! Which allocator the process has, and how quickly it gives back what it no longer needs.
//!
//! The box has 512 MB, and ten thousand phones that shake hands at one instant want 140 MB for a second. mimalloc gives freed pages back a second
//! after, but looks at them only when some thread allocates much, which a server that has gone quiet does not: five seconds after such a rush it
//! still held 13,700 bytes for each socket. To give each page back the moment it is free makes that 290, and costs a handshake a sixth of its CPU,
//! since the next one faults the page in again. So pages are looked at once a second, by the one thread that has nothing else to do. Huge pages are
//! refused for the same reason: with them an empty server holds 20 MB, without them 9.
//!
//! Without the feature `mimalloc` the system's allocator serves, for comparison. Nothing else of the program knows which it is.

use std::convert::Infallible;
use std::time::Duration;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often freed memory is given back. Each time is some ten microseconds of a quiet server's CPU.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

/// To be called at the start of `main`.
pub fn be_frugal() {
    // Where the kernel cannot be told, it stays as it is.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Gives back to the system what has been freed, again and again. Cancel safe.
pub async fn give_back_forever() -> Infallible {
    loop {
        tokio::time::sleep(GIVE_BACK_EVERY).await;
        #[cfg(feature = "mimalloc")]
        // SAFETY: the call may be made by any thread at any time; it walks the lists of this thread's own heap, and the shared map of free
        // pages by atomics.
        unsafe {
            libmimalloc_sys::mi_collect(true);
        }
    }
}
