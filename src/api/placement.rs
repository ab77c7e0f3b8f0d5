//! The choice of a box for a phone that joins.
//!
//! Load is the share of a box's room that is taken. Phones that were led somewhere within the last
//! seconds count there, since a report is a second old, and a hall joins within that second.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The name of this server among the boxes. No edge is called so: a dot ends a name in NATS.
pub const HERE: &str = ".";

/// Time after which a phone that was led to an edge is in its report.
const WINDOW: Duration = Duration::from_secs(1);

/// Phones that were led to each box within this window and the one before.
#[derive(Debug, Default)]
pub struct Led {
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    began_at: Option<Instant>,
    now: BTreeMap<String, u32>,
    before: BTreeMap<String, u32>,
}

/// A box that takes phones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its sockets.
    pub sockets: u32,
    /// Sockets that it has room for.
    pub sockets_max: u32,
}

impl Led {
    /// The box of a phone: the remembered one while it takes phones, else the least loaded. Where
    /// all are full it is the last of `places`.
    pub fn choose<'a>(&self, places: &[Place<'a>], remembered: Option<&str>, now: Instant) -> &'a str {
        // Each change leaves the counts whole, so a thread that panicked left nothing half done.
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.move_on(now);
        let load = |place: &Place<'_>| place.sockets.saturating_add(windows.count(place.name));
        let has_room = |place: &&Place<'_>| load(place) < place.sockets_max;
        // Compared crosswise: a quotient of whole numbers would lose what is left of it.
        let least = |a: &&Place<'_>, b: &&Place<'_>| {
            let of = |a: &Place<'_>, b: &Place<'_>| u64::from(load(a)) * u64::from(b.sockets_max);
            of(a, b).cmp(&of(b, a))
        };
        let own = places.iter().find(|place| Some(place.name) == remembered);
        let chosen =
            own.or_else(|| places.iter().filter(has_room).min_by(least)).or(places.last()).map_or(HERE, |place| place.name);
        if own.is_none() {
            *windows.now.entry(chosen.to_owned()).or_default() += 1;
        }
        chosen
    }
}

impl Windows {
    /// Begins the next window once this one is over.
    fn move_on(&mut self, now: Instant) {
        match self.began_at.map(|began_at| now.saturating_duration_since(began_at)) {
            Some(age) if age < WINDOW => return,
            Some(age) if age < 2 * WINDOW => self.before = std::mem::take(&mut self.now),
            _ => (self.now, self.before) = Default::default(),
        }
        self.began_at = Some(now);
    }

    fn count(&self, name: &str) -> u32 {
        [&self.now, &self.before].iter().filter_map(|window| window.get(name)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place<'static>; 3] = [
        Place { name: "a", sockets: 0, sockets_max: 100 },
        Place { name: "b", sockets: 0, sockets_max: 300 },
        Place { name: HERE, sockets: 0, sockets_max: 100 },
    ];

    #[test]
    fn a_burst_is_shared_by_room() {
        let (led, now) = (Led::default(), Instant::now());
        let mut counts = BTreeMap::new();
        for _ in 0..250 {
            *counts.entry(led.choose(&PLACES, None, now)).or_insert(0) += 1;
        }
        assert_eq!(counts, [("a", 50), ("b", 150), (HERE, 50)].into());
        assert_eq!(led.choose(&PLACES, Some("b"), now), "b", "a phone comes back to its box");
        assert_eq!(led.choose(&PLACES, Some("gone"), now), "a");
    }

    #[test]
    fn phones_that_were_led_count_until_they_are_reported() {
        let (led, now) = (Led::default(), Instant::now());
        assert_eq!(led.choose(&PLACES, None, now), "a");
        assert_eq!(led.choose(&PLACES, None, now + WINDOW), "b", "the one before counts still");
        assert_eq!(led.choose(&PLACES, None, now + 4 * WINDOW), "a");
    }

    #[test]
    fn a_full_box_gets_no_phone_but_where_all_are_full() {
        let (led, now) = (Led::default(), Instant::now());
        let full = |name, sockets| Place { name, sockets, sockets_max: 10 };
        assert_eq!(led.choose(&[full("a", 10), full(HERE, 9)], None, now), HERE);
        assert_eq!(led.choose(&[full("a", 10), full(HERE, 10)], None, now), HERE);
        assert_eq!(led.choose(&[], None, now), HERE);
    }
}
