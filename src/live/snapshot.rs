//! An event as everybody reads it: one whole, unmoving picture, swapped for the next at every publication.

use crate::draw::Event;
use crate::live::ByRole;
use crate::live::ring::Ring;
use crate::live::roster::Roster;
use bytes::Bytes;
use std::sync::Arc;

/// An event at one publication.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Rises by one with each publication of this event, from 1 at every start of the server.
    pub revision: u64,
    pub event: Event,
    /// Where numbers of the event's present session come from.
    pub roster: Arc<Roster>,
    /// The last frames that went to everybody, for those who come back.
    pub ring: Ring,
    /// The ready-made `state_sync` of each role, as whole WebSocket frames.
    pub sync: ByRole<Bytes>,
}
