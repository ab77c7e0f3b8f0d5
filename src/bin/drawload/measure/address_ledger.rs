//! The addresses by which phones reach the event, as an origin and its edges: which phone goes by
//! which, and what came over each.
//!
//! The first address is that of the host and the display. A phone that an address fails goes by the
//! next one.

use super::latency::{Figures, histogram};
use serde::Serialize;
use std::collections::BTreeMap;

/// Every phone's address, and the figures of each address.
#[derive(Debug, Default)]
pub struct AddressLedger {
    of_phone: Vec<usize>,
    /// The address of the socket that a phone holds.
    of_socket: Vec<Option<usize>>,
    addresses: Vec<AddressFigures>,
    /// By draw: when it reached the first phone of all, and the last one of each address.
    announced: BTreeMap<u32, (u64, Vec<u64>)>,
}

/// The figures of one address.
#[derive(Clone, Debug, Serialize)]
pub struct AddressFigures {
    pub address: String,
    /// Phones that go by it at the end.
    pub phones: usize,
    /// Times that a phone left it, since it failed.
    pub left: u64,
    /// Handshakes that succeeded, and those that failed.
    pub handshakes: u64,
    pub handshakes_failed: u64,
    /// Announcements that phones received.
    pub deliveries: u64,
    /// By draw: from the first phone of all addresses to the last one of this address.
    pub spread: Figures,
}

impl AddressLedger {
    /// Spreads phones evenly over addresses. Each run of neighbours begins with another address, so
    /// that every second or third phone, which an agent plays, is spread as well.
    pub fn new(phones: usize, names: Vec<String>) -> Self {
        let count = names.len().max(1);
        let addresses = names.into_iter().map(|address| AddressFigures {
            address,
            phones: 0,
            left: 0,
            handshakes: 0,
            handshakes_failed: 0,
            deliveries: 0,
            spread: Figures::of(&histogram()),
        });
        Self {
            of_phone: (0..phones).map(|phone| (phone + phone / count) % count).collect(),
            // The display has one as well.
            of_socket: vec![None; phones + 1],
            addresses: addresses.collect(),
            announced: BTreeMap::new(),
        }
    }

    pub fn count(&self) -> usize {
        self.addresses.len()
    }

    /// The address by which a phone goes; the display goes by the first.
    pub fn of(&self, socket: usize) -> usize {
        self.of_phone.get(socket).copied().unwrap_or(0)
    }

    /// Sends a phone by the next address.
    pub fn move_on(&mut self, phone: usize) {
        let (count, of) = (self.count(), self.of(phone));
        if let Some(address) = self.of_phone.get_mut(phone).filter(|_| count > 1) {
            self.addresses[of].left += 1;
            *address = (of + 1) % count;
        }
    }

    /// Counts a handshake that ended.
    pub fn open(&mut self, socket: usize, has_opened: bool) {
        let of = self.of(socket);
        self.of_socket[socket] = has_opened.then_some(of);
        if let Some(address) = self.addresses.get_mut(of) {
            address.handshakes += u64::from(has_opened);
            address.handshakes_failed += u64::from(!has_opened);
        }
    }

    pub fn close(&mut self, socket: usize) {
        self.of_socket[socket] = None;
    }

    /// Sockets that are open at the first address.
    pub fn open_at_first(&self) -> u64 {
        self.of_socket.iter().filter(|address| **address == Some(0)).count() as u64
    }

    /// Records that an announcement reached a phone.
    pub fn announce(&mut self, phone: usize, draw: u32, at_us: u64) {
        let Some(of) = self.of_socket[phone].filter(|of| *of < self.count()) else { return };
        self.addresses[of].deliveries += 1;
        let new = || (at_us, vec![0; self.addresses.len()]);
        let (first_us, last_us) = self.announced.entry(draw).or_insert_with(new);
        *first_us = at_us.min(*first_us);
        last_us[of] = at_us.max(last_us[of]);
    }

    /// The figures of every address.
    pub fn figures(&self) -> Vec<AddressFigures> {
        let figures = self.addresses.iter().enumerate().map(|(of, address)| {
            let mut spread = histogram();
            let lasts = self.announced.values().filter(|(_, last_us)| last_us[of] > 0);
            lasts.for_each(|(first_us, last_us)| spread.saturating_record((last_us[of] - first_us).max(1)));
            let phones = self.of_phone.iter().filter(|address| **address == of).count();
            AddressFigures { phones, spread: Figures::of(&spread), ..address.clone() }
        });
        figures.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_spread_evenly_also_those_of_one_agent() {
        let ledger = AddressLedger::new(60, ["a", "b", "c"].map(str::to_owned).into());
        for phones in [(0..60).collect::<Vec<usize>>(), (0..60).step_by(2).collect(), (1..60).step_by(3).collect()] {
            for address in 0..3 {
                let found = phones.iter().filter(|phone| ledger.of(**phone) == address).count();
                assert!(found.abs_diff(phones.len() / 3) <= 1, "{found} of {} go by {address}", phones.len());
            }
        }
        assert_eq!(ledger.of(60), 0, "the display");
    }

    #[test]
    fn a_phone_that_an_address_fails_goes_by_the_next_and_counts_there() {
        let mut ledger = AddressLedger::new(2, ["a", "b"].map(str::to_owned).into());
        (0..3).for_each(|socket| ledger.open(socket, true));
        ledger.announce(0, 7, 1_000);
        ledger.announce(1, 7, 5_000);
        ledger.close(1);
        ledger.open(1, false);
        ledger.move_on(1);
        ledger.open(1, true);
        ledger.announce(1, 8, 9_000);
        let figures = ledger.figures();
        let seen = figures.iter().map(|of| (of.phones, of.left, of.handshakes, of.handshakes_failed, of.deliveries));
        assert_eq!(seen.collect::<Vec<_>>(), [(2, 0, 3, 0, 2), (0, 1, 1, 1, 1)]);
        assert!((figures[1].spread.max_ms - 4.0).abs() < 0.01 && figures[0].spread.count == 2, "{figures:?}");
        assert_eq!(ledger.open_at_first(), 3);
        let mut alone = AddressLedger::new(1, vec!["a".to_owned()]);
        alone.move_on(0);
        assert_eq!((alone.of(0), alone.figures()[0].left), (0, 0), "there is no other");
    }
}
