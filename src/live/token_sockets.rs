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
    /// Adds a socket of `number`. When there is one too many, the oldest is removed if `evict`,
    /// which tells its reactor, returns true. Otherwise nothing changes. Returns whether the socket
    /// was added.
    ///
    /// `evict` is called under the lock, so that no reactor sees a list that may change back.
    pub fn add(&self, number: Number, peer: PeerId, evict: impl FnOnce(PeerId) -> bool) -> bool {
        match self.lock().entry(number) {
            Entry::Vacant(vacant) => {
                vacant.insert(Sockets::One(peer));
                true
            }
            Entry::Occupied(mut occupied) => occupied.get_mut().add(peer, evict),
        }
    }

    /// Is this socket one of `number`? One that has the number and is not was evicted.
    pub fn holds(&self, number: Number, peer: PeerId) -> bool {
        self.lock().get(&number).is_some_and(|sockets| match sockets {
            Sockets::One(one) => *one == peer,
            Sockets::Several(peers) => peers.contains(&peer),
        })
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

    /// The sockets of `number`, the oldest first.
    pub fn of(&self, number: Number) -> Vec<PeerId> {
        match self.lock().get(&number) {
            Some(Sockets::One(one)) => vec![*one],
            Some(Sockets::Several(peers)) => peers.to_vec(),
            None => Vec::new(),
        }
    }

    /// Numbers that have a socket.
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
    fn add(&mut self, peer: PeerId, evict: impl FnOnce(PeerId) -> bool) -> bool {
        let peers = self.list();
        peers.retain(|other| *other != peer);
        if peers.len() == SOCKETS_PER_NUMBER_MAX {
            if !evict(peers[0]) {
                return false;
            }
            peers.remove(0);
        }
        peers.push(peer);
        true
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
        let add = |number, slot| {
            let mut evicted = None;
            assert!(sockets.add(Number(number), peer(slot), |oldest| evicted.replace(oldest).is_none()));
            evicted
        };
        let replaced: Vec<_> = (1..=6).map(|slot| add(1, slot)).collect();
        assert_eq!(replaced, [None, None, None, None, Some(peer(1)), Some(peer(2))]);
        assert_eq!(add(2, 9), None, "another number is another token");
        assert_eq!(add(1, 6), None, "a token proved twice counts once");
        sockets.remove(Number(1), peer(4));
        assert_eq!(add(1, 7), None, "one had left");
        assert!(!sockets.add(Number(1), peer(8), |_| false), "the oldest could not be told");
        assert!(sockets.holds(Number(1), peer(3)) && !sockets.holds(Number(1), peer(8)));
        assert_eq!(add(1, 8), Some(peer(3)));
        assert!(!sockets.holds(Number(1), peer(3)) && sockets.holds(Number(2), peer(9)));
    }

    #[test]
    fn nothing_is_left_after_the_last_socket() {
        let sockets = TokenSockets::default();
        for slot in 0..4 {
            sockets.add(Number(1), peer(slot), |_| true);
        }
        sockets.add(Number(2), peer(9), |_| true);
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
