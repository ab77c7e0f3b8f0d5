//! A value that many threads read and that is found anew once it is old.
//!
//! A reader that finds it due takes the time to find it anew, and all others go on with the value
//! that they have: none waits, whatever the number of readers.

use crate::base::clock::monotonic_ms;
use arc_swap::ArcSwap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

/// A value of a known age.
pub struct Refreshed<T> {
    find: Box<dyn Fn() -> T + Send + Sync>,
    age_max_ms: i64,
    value: ArcSwap<T>,
    /// Time from which the value is old, on the monotonic clock. Written by the one reader that
    /// takes the turn; relaxed, since nothing else is read on the strength of it.
    due_ms: AtomicI64,
}

impl<T> Refreshed<T> {
    /// A value that `find` gives now, and again once it is older than `age_max`.
    pub fn new(age_max: Duration, find: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let age_max_ms = age_max.as_millis() as i64;
        let value = ArcSwap::from_pointee(find());
        Self { find: Box::new(find), age_max_ms, value, due_ms: AtomicI64::new(monotonic_ms() + age_max_ms) }
    }

    /// The value.
    pub fn get(&self) -> Arc<T> {
        self.get_at(monotonic_ms())
    }

    fn get_at(&self, now_ms: i64) -> Arc<T> {
        let due_ms = self.due_ms.load(Relaxed);
        let has_turn = || self.due_ms.compare_exchange(due_ms, now_ms + self.age_max_ms, Relaxed, Relaxed).is_ok();
        if now_ms >= due_ms && has_turn() {
            self.value.store(Arc::new((self.find)()));
        }
        self.value.load_full()
    }
}

impl<T: fmt::Debug> fmt::Debug for Refreshed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refreshed").field(&self.value.load()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_once_per_age_however_many_ask() {
        let found = Arc::new(AtomicI64::new(0));
        let counter = Arc::clone(&found);
        let value = Refreshed::new(Duration::from_secs(1), move || counter.fetch_add(1, Relaxed) + 1);
        let began_ms = value.due_ms.load(Relaxed);
        assert!((0..1_000).all(|_| *value.get_at(began_ms - 1) == 1));
        assert!((0..1_000).all(|asked| *value.get_at(began_ms + asked) == 2));
        assert_eq!(*value.get_at(began_ms + 1_000), 3);
        assert_eq!(found.load(Relaxed), 3);
    }

    #[test]
    fn nobody_waits_while_one_finds_it() {
        let (entered, enter) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let is_first = std::sync::atomic::AtomicBool::new(true);
        let value = Refreshed::new(Duration::from_secs(1), move || {
            if is_first.swap(false, Relaxed) {
                return 1;
            }
            entered.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            2
        });
        let due_ms = value.due_ms.load(Relaxed);
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| *value.get_at(due_ms));
            enter.recv().unwrap();
            assert_eq!(*value.get_at(due_ms + 1), 1, "it has the value from before");
            release.send(()).unwrap();
            assert_eq!(slow.join().unwrap(), 2);
        });
    }
}
