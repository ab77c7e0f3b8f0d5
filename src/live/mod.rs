//! Live state that many threads share: events' rooms, the roster of numbers, and the reactors that
//! own every socket from its handshake to its close.
//!
//! A [`room`] is one event's live state: its snapshot, its counts and who holds which number. The
//! [`roster`] gives numbers. A [`reactor`] is a thread with one readiness loop that owns its
//! `peer`s, grouped by room in `subscribers`. A peer's socket is its `transport`; a slow peer's
//! frames wait in its `outbox`; `inbound` decodes what it sends; `heartbeat` finds the dead ones;
//! [`limits`] bounds them all. This module never knows HTTP, SQL or JSON: frames arrive ready-made,
//! and a peer's messages go to the [`message_handler`].

mod claim_table;
pub mod connection_counts;
pub mod delivery;
#[cfg(test)]
mod faulty_socket;
mod heartbeat;
mod inbound;
pub mod limits;
pub mod message_handler;
mod outbox;
mod peer;
pub mod reactor;
pub mod ring;
pub mod room;
pub mod roster;
mod subscribers;
mod tick;
mod token_sockets;
mod transport;
mod zeroed;

pub use crate::wire::Role;

use crate::draw::{Number, SessionId};

/// The atomics that hand-made lock-free code is written against: std's here, loom's in
/// `tests/loom.rs`.
///
/// A cfg flag would do the same, but loom's flag rebuilds every dependency. A file that takes its
/// atomics from `super::sync` alone can be compiled a second time, unchanged, beside loom's `sync`.
mod sync {
    pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub use std::thread::yield_now;

    /// Arrays of `N` words.
    pub type Words<const N: usize> = super::zeroed::Zeroed<[AtomicU64; N]>;

    /// `len` times `N` words of 0, in memory that no thread has touched yet.
    pub fn zeros<const N: usize>(len: usize) -> Words<N> {
        Words::new(len)
    }
}

/// One value per role.
#[derive(Clone, Debug, Default)]
pub struct ByRole<T>(
    /// The values, in the order of [`Role::ALL`].
    pub [T; 3],
);

impl<T> ByRole<T> {
    /// Makes one value per role.
    pub fn from_fn(mut make: impl FnMut(Role) -> T) -> Self {
        Self(Role::ALL.map(&mut make))
    }
}

impl<T> std::ops::Index<Role> for ByRole<T> {
    type Output = T;
    fn index(&self, role: Role) -> &T {
        &self.0[role as usize]
    }
}

impl<T> std::ops::IndexMut<Role> for ByRole<T> {
    fn index_mut(&mut self, role: Role) -> &mut T {
        &mut self.0[role as usize]
    }
}

/// A peer's id, never used twice: a unicast to a peer that has left goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId {
    /// The index of the reactor that owns the peer.
    pub reactor: u16,
    /// The peer's slot in that reactor's slab.
    pub slot: u32,
    /// The count of sockets that had joined the reactor when this one did; tells a slot's tenants
    /// apart.
    pub generation: u32,
}

/// A number that a token has proved. It is valid in its session only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The session that the token was issued in.
    pub session: SessionId,
    /// The participant's number.
    pub number: Number,
}

/// The reason for a close, as the close frame carries it (RFC 6455 section 7.4; 44xx are this
/// product's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The connection ends as planned.
    Normal = 1000,
    /// A frame breaks RFC 6455.
    ProtocolError = 1002,
    /// A binary message: this protocol is text.
    Unsupported = 1003,
    /// A text message or close reason that is not UTF-8.
    InvalidText = 1007,
    /// A message longer than 16 KiB.
    TooBig = 1009,
    /// The server stops, or the peer's rights changed: the client reconnects.
    Restarting = 1012,
    /// A queue or budget of the server is full: the client retries later.
    Overloaded = 1013,
    /// The token proves nothing here, or none came in time.
    BadToken = 4401,
    /// The event does not exist, or no longer.
    NoSuchEvent = 4404,
    /// The peer did not answer a ping.
    Silent = 4408,
    /// The same token opened one socket too many, and this was the oldest.
    Replaced = 4409,
    /// The peer sent more frames than its rate allows.
    TooManyMessages = 4429,
    /// The peer's outbox was full, a frame waited in it for too long, or a message of its own took
    /// too long to arrive.
    TooSlow = 4430,
}
