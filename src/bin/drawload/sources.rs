//! The addresses that connections come from, one after the other.
//!
//! An address has some 28,000 ports towards one server; a loopback network has sixteen million addresses. The kernel would take the same one
//! for every connection.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

/// Addresses that one range may hold.
const RANGE_MAX: u32 = 1_024;

/// They take turns.
#[derive(Debug)]
pub struct Sources {
    addresses: Vec<IpAddr>,
    turn: Cell<usize>,
}

/// One address, or all from one to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Vec<IpAddr>);

impl Sources {
    pub fn new(ranges: &[Range]) -> Self {
        Self { addresses: ranges.iter().flat_map(|range| range.0.iter().copied()).collect(), turn: Cell::new(0) }
    }

    /// None when none were named.
    pub fn next(&self) -> Option<IpAddr> {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let index = turn.checked_rem(self.addresses.len())?;
        self.addresses.get(index).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }
}

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((first, last)) = text.split_once('-') else {
            return text.trim().parse().map(|address| Self(vec![address])).map_err(|_| format!("{text} is no address"));
        };
        let ends = [first, last].map(|end| end.trim().parse::<Ipv4Addr>().map(u32::from));
        let [Ok(first), Ok(last)] = ends else { return Err(format!("{text} is no range of IPv4 addresses")) };
        if first > last || last - first >= RANGE_MAX {
            return Err(format!("{text} must go upwards and hold at most {RANGE_MAX} addresses"));
        }
        Ok(Self((first..=last).map(|bits| Ipv4Addr::from(bits).into()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(ranges: &[&str], count: usize) -> Vec<String> {
        let sources = Sources::new(&ranges.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>());
        (0..count).filter_map(|_| sources.next()).map(|address| address.to_string()).collect()
    }

    #[test]
    fn addresses_take_turns() {
        let expected = ["127.0.0.254", "127.0.0.255", "127.0.1.0", "::1", "127.0.0.254"];
        assert_eq!(taken(&["127.0.0.254-127.0.1.0", "::1"], 5), expected);
        assert_eq!(taken(&[], 3), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "x", "127.0.0.3-127.0.0.2", "127.0.0.2-", "10.0.0.0-10.255.0.0", "::1-::2"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
