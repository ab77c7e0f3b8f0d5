//! Which allocator the process has, and how quickly it gives back what it no longer needs.
//!
//! The box has 512 MB, and ten thousand phones that shake hands at one instant want 140 MB for a second. mimalloc keeps freed pages for another
//! second and looks at them only when its thread allocates again, which a server that has gone quiet does not: five seconds after such a rush it
//! still held 13,700 bytes for each socket. Giving pages back at once makes that 290, and costs a registration 5 % of its CPU. Huge pages are
//! refused for the same reason: with them an empty server holds 20 MB, without them 9.
//!
//! Without the feature `mimalloc` the system's allocator serves, for comparison. Nothing else of the program knows which it is.

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's header, in milliseconds; the binding has no name for it. The same in its versions 2 and 3.
#[cfg(feature = "mimalloc")]
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// To be called at the start of `main`. What the operator says in `MIMALLOC_PURGE_DELAY` outweighs it.
pub fn be_frugal() {
    // Where the kernel cannot be told, it stays as it is.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    #[cfg(feature = "mimalloc")]
    // SAFETY: the call stores one integer in mimalloc's table of options, at an index that the table has (the test below reads it),
    // and no other thread runs yet that could read it meanwhile.
    unsafe {
        libmimalloc_sys::mi_option_set_default(PURGE_DELAY, 0);
    }
}

#[cfg(all(test, feature = "mimalloc"))]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: the call reads one integer of mimalloc's table of options.
        let delay_ms = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            assert_eq!(delay_ms(), 1000, "a second is mimalloc's default of this option and no other's");
            be_frugal();
            assert_eq!(delay_ms(), 0);
        }
    }
}
