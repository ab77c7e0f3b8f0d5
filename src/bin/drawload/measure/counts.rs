//! Plain counters of a scenario.

use std::collections::BTreeMap;

/// Plain counters.
#[derive(Debug, Default)]
pub struct Counts {
    pub calls: u64,
    pub errors: u64,
    /// People who are to register.
    pub registrations_due: u64,
    /// Registrations without an answer yet.
    pub registering: u64,
    pub handshakes: u64,
    pub handshakes_failed: u64,
    pub sockets: u64,
    /// Handshakes without an outcome yet.
    pub opening: u64,
    /// Calls and handshakes that the server openly refused, as one that is full does.
    pub refused: u64,
    /// The fewest sockets that were open during the audit at the end, of those at the first
    /// address, whose server may count no others; and the most, with those that it may have opened
    /// already.
    pub sockets_at_end: (u64, u64),
    /// Sockets that the server may still count though no phone uses them.
    pub ghosts_allowed: u64,
    /// Sockets that roaming phones left open, by agent.
    pub half_open: BTreeMap<usize, u64>,
    /// Slow phones that the server evicted, and those among them that read nothing and were kept.
    pub slow_evicted: u64,
    pub slow_kept: u64,
}
