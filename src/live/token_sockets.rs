//! Which sockets hold a number: at most four at once, and the oldest goes when a fifth comes.
//!
//! A phone's tabs may lie on different stages, so this is one of the two places that stages share for writing (the other is the census). A mutex guards it: it is
//! taken when a phone shows its token and when it leaves, never when something is sent, and what it guards is a lookup.

use crate::draw::Number;
use crate::live::PeerId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most sockets of one number.
pub const HOLDERS_MAX: usize = 4;

/// The sockets of one room that have shown a token. Bounded by the room's sockets.
#[derive(Debug, Default)]
pub struct TokenSockets {
    /// Numbers of two sessions meet here for the moment that stages need to walk a reset: each stage then takes out its own.
    by_number: Mutex<HashMap<Number, Holding>>,
}

/// The sockets of one number, the oldest first. Nearly always it is one, which then needs no memory of its own.
#[derive(Debug)]
enum Holding {
    One(PeerId),
    Several(Box<Tabs>),
}

/// Behind a pointer of its own, so that the usual case is small.
#[derive(Debug)]
struct Tabs {
    peers: Vec<PeerId>,
}

impl TokenSockets {
    /// Notes that `peer` holds `number`, and gives the oldest holder when it is one too many; that one counts no longer.
    pub fn take(&self, number: Number, peer: PeerId) -> Option<PeerId> {
        match self.lock().entry(number) {
            Entry::Vacant(vacant) => {
                vacant.insert(Holding::One(peer));
                None
            }
            Entry::Occupied(mut taken) => taken.get_mut().add(peer),
        }
    }

    /// Puts the oldest holder back in its place: it could not be reached.
    pub fn put_back(&self, number: Number, oldest: PeerId) {
        match self.lock().entry(number) {
            Entry::Vacant(vacant) => drop(vacant.insert(Holding::One(oldest))),
            Entry::Occupied(mut taken) => taken.get_mut().peers_mut().insert(0, oldest),
        }
    }

    /// Notes that `peer` holds `number` no longer.
    pub fn release(&self, number: Number, peer: PeerId) {
        if let Entry::Occupied(mut taken) = self.lock().entry(number) {
            match taken.get_mut() {
                Holding::One(one) if *one == peer => drop(taken.remove()),
                Holding::One(_) => {}
                Holding::Several(tabs) => {
                    tabs.peers.retain(|other| *other != peer);
                    if tabs.peers.is_empty() {
                        taken.remove();
                    }
                }
            }
        }
    }

    /// How many numbers are held.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Number, Holding>> {
        // Each change is one insertion or removal, so a thread that panicked left nothing half done.
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holding {
    fn add(&mut self, peer: PeerId) -> Option<PeerId> {
        let peers = self.peers_mut();
        peers.retain(|other| *other != peer);
        peers.push(peer);
        (peers.len() > HOLDERS_MAX).then(|| peers.remove(0))
    }

    fn peers_mut(&mut self) -> &mut Vec<PeerId> {
        if let Holding::One(one) = self {
            *self = Holding::Several(Box::new(Tabs { peers: vec![*one] }));
        }
        match self {
            Holding::Several(tabs) => &mut tabs.peers,
            Holding::One(_) => unreachable!("one has just become several"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(slot: u32) -> PeerId {
        PeerId { stage: 0, slot, generation: 7 }
    }

    #[test]
    fn the_fifth_socket_sends_the_oldest_away() {
        let holders = TokenSockets::default();
        let replaced: Vec<_> = (1..=6).map(|slot| holders.take(Number(1), peer(slot))).collect();
        assert_eq!(replaced, [None, None, None, None, Some(peer(1)), Some(peer(2))]);
        assert_eq!(holders.take(Number(2), peer(9)), None, "another number is another token");
        assert_eq!(holders.take(Number(1), peer(6)), None, "who shows it twice holds it once");
        holders.release(Number(1), peer(4));
        assert_eq!(holders.take(Number(1), peer(7)), None, "one had left");
        holders.put_back(Number(1), peer(3));
        assert_eq!(holders.take(Number(1), peer(8)), Some(peer(3)));
    }

    #[test]
    fn nothing_stays_behind() {
        let holders = TokenSockets::default();
        for slot in 0..4 {
            holders.take(Number(1), peer(slot));
        }
        holders.take(Number(2), peer(9));
        holders.release(Number(2), peer(8));
        assert_eq!(holders.len(), 2, "a stranger takes nobody's place away");
        (0..4).for_each(|slot| holders.release(Number(1), peer(slot)));
        holders.release(Number(2), peer(9));
        assert_eq!(holders.len(), 0);
    }

    #[test]
    fn a_holder_costs_at_most_24_bytes() {
        assert!(size_of::<(Number, Holding)>() <= 24, "{}", size_of::<(Number, Holding)>());
    }
}
