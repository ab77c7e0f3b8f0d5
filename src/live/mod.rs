//! What many threads see at once: the directory of rooms, each room's snapshot, the roster of numbers; and the stages, which own every
//! socket from its handshake to its close.
//!
//! An event is a *room* here. [`directory`] finds it, [`room`] holds what is shared of it, [`snapshot`] is its unmoving picture,
//! [`roster`] gives numbers, `holders` says which sockets hold one. A [`stage`] is a thread with one readiness loop that owns its `peer`s,
//! listed by room in a `crowd`; `line` is a peer's socket, [`cipher`] its TLS, `outbox` what a slow one is owed, `inbound` what came in, `heartbeat` when a silent
//! one is asked and let go; [`limits`] bounds them all. This room knows no HTTP, no SQL and no JSON: frames come in ready-made, and what a
//! peer says is for the [`protocol`] to understand.

pub mod connection_counts;
pub mod delivery;
pub mod directory;
mod heartbeat;
mod inbound;
mod jitter;
pub mod limits;
mod outbox;
mod peer;
pub mod protocol;
pub mod publication;
pub mod reactor;
pub mod ring;
pub mod room;
pub mod roster;
pub mod snapshot;
mod subscribers;
pub mod sync;
mod tick;
mod token_sockets;
mod transport;

use crate::draw::{Number, SessionId};
pub use crate::wire::Role;

/// One of something for each role.
#[derive(Clone, Debug, Default)]
pub struct ByRole<T>(pub [T; 3]);

impl<T> ByRole<T> {
    /// Makes one for each role.
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

/// Names a peer for good: a slot of a stage, and which of its tenants. A reply to one that has left goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId {
    pub stage: u16,
    pub slot: u32,
    pub generation: u32,
}

/// A number that was proved by a token: a number of one session is nobody in the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub session: SessionId,
    pub number: Number,
}

/// Why a socket is closed, as its close frame says (RFC 6455 section 7.4; 44xx are this product's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    Normal = 1000,
    Protocol = 1002,
    Unsupported = 1003,
    InvalidText = 1007,
    TooBig = 1009,
    Restarting = 1012,
    Overloaded = 1013,
    BadToken = 4401,
    NoSuchEvent = 4404,
    Silent = 4408,
    Replaced = 4409,
    TooManyMessages = 4429,
    TooSlow = 4430,
}
