//! The sockets of each number: at most four at once, and a fifth replaces the oldest.
//!
//! The tabs of one phone may belong to different reactors, so this is one of the two places that
//! reactors share for writing; the other is the connection counts. A mutex guards it: a phone takes
//! it when it proves its token and when it leaves, never when something is sent, and what it guards
//! is one lookup.

use crate::draw::Number;
use crate::live::PeerId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most sockets of one number.
const SOCKETS_PER_NUMBER_MAX: usize = 4;

/// The sockets of one room that have proved a token. Bounded by the room's sockets.
#[derive(Debug, Default)]
pub struct TokenSockets {
    /// Numbers of two sessions meet here until every reactor has broadcast a reset and removed its
    /// own.
    by_number: Mutex<HashMap<Number, Sockets>>,
}

/// The sockets of one number, the oldest first. It is nearly always one, which needs no memory of
/// its own.
#[derive(Debug)]
enum Sockets {
    One(PeerId),
    #[expect(clippy::box_collection, reason = "a vector in place would double the size of the usual case")]
    Several(Box<Vec<PeerId>>),
}

impl TokenSockets {
    /// Adds a socket of `number`. Returns the oldest one, already removed, when there is one too
    /// many.
    pub fn add(&self, number: Number, peer: PeerId) -> Option<PeerId> {
        match self.lock().entry(number) {
            Entry::Vacant(vacant) => {
                vacant.insert(Sockets::One(peer));
                None
            }
            Entry::Occupied(mut occupied) => occupied.get_mut().add(peer),
        }
    }

    /// Adds the oldest socket back in its place: its reactor could not be told.
    pub fn restore_oldest(&self, number: Number, oldest: PeerId) {
        match self.lock().entry(number) {
            Entry::Vacant(vacant) => drop(vacant.insert(Sockets::One(oldest))),
            Entry::Occupied(mut occupied) => occupied.get_mut().list().insert(0, oldest),
        }
    }

    /// Removes a socket of `number`, if it is one.
    pub fn remove(&self, number: Number, peer: PeerId) {
        if let Entry::Occupied(mut occupied) = self.lock().entry(number) {
            match occupied.get_mut() {
                Sockets::One(one) if *one == peer => drop(occupied.remove()),
                Sockets::One(_) => {}
                Sockets::Several(peers) => {
                    peers.retain(|other| *other != peer);
                    if peers.is_empty() {
                        occupied.remove();
                    }
                }
            }
        }
    }

    /// Removes the sockets of one reactor. O(numbers).
    pub fn remove_all_of(&self, reactor: u16) {
        self.lock().retain(|_, sockets| match sockets {
            Sockets::One(one) => one.reactor != reactor,
            Sockets::Several(peers) => {
                peers.retain(|peer| peer.reactor != reactor);
                !peers.is_empty()
            }
        });
    }

    /// Numbers that have a socket.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// The sockets of all numbers, each number's oldest first.
    #[cfg(test)]
    pub fn all(&self) -> Vec<(Number, PeerId)> {
        let numbers = self.lock();
        let sockets = numbers.iter().flat_map(|(number, sockets)| match sockets {
            Sockets::One(one) => vec![(*number, *one)],
            Sockets::Several(peers) => peers.iter().map(|peer| (*number, *peer)).collect(),
        });
        sockets.collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Number, Sockets>> {
        // Each change is one insertion or removal, so a thread that panicked left nothing half
        // done.
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sockets {
    fn add(&mut self, peer: PeerId) -> Option<PeerId> {
        let peers = self.list();
        peers.retain(|other| *other != peer);
        peers.push(peer);
        (peers.len() > SOCKETS_PER_NUMBER_MAX).then(|| peers.remove(0))
    }

    fn list(&mut self) -> &mut Vec<PeerId> {
        if let Sockets::One(one) = self {
            *self = Sockets::Several(Box::new(vec![*one]));
        }
        match self {
            Sockets::Several(peers) => peers,
            Sockets::One(_) => unreachable!("it became a list above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(slot: u32) -> PeerId {
        PeerId { reactor: 0, slot, generation: 7 }
    }

    #[test]
    fn the_fifth_socket_replaces_the_oldest() {
        let sockets = TokenSockets::default();
        let replaced: Vec<_> = (1..=6).map(|slot| sockets.add(Number(1), peer(slot))).collect();
        assert_eq!(replaced, [None, None, None, None, Some(peer(1)), Some(peer(2))]);
        assert_eq!(sockets.add(Number(2), peer(9)), None, "another number is another token");
        assert_eq!(sockets.add(Number(1), peer(6)), None, "a token proved twice counts once");
        sockets.remove(Number(1), peer(4));
        assert_eq!(sockets.add(Number(1), peer(7)), None, "one had left");
        sockets.restore_oldest(Number(1), peer(3));
        assert_eq!(sockets.add(Number(1), peer(8)), Some(peer(3)));
    }

    #[test]
    fn nothing_is_left_after_the_last_socket() {
        let sockets = TokenSockets::default();
        for slot in 0..4 {
            sockets.add(Number(1), peer(slot));
        }
        sockets.add(Number(2), peer(9));
        sockets.remove(Number(2), peer(8));
        assert_eq!(sockets.len(), 2, "a stranger removes nobody");
        (0..4).for_each(|slot| sockets.remove(Number(1), peer(slot)));
        sockets.remove(Number(2), peer(9));
        assert_eq!(sockets.len(), 0);
    }

    #[test]
    fn a_number_costs_at_most_24_bytes() {
        assert!(size_of::<(Number, Sockets)>() <= 24, "{}", size_of::<(Number, Sockets)>());
    }
}
