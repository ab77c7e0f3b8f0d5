//! The interface between a reactor and the code that understands messages.
//!
//! A reactor could parse messages itself, but then sockets would know JSON, tokens and commands.
//! The handler decides, the reactor acts: a handler never touches a socket. Two implementors:
//! `api`'s messages, and the plain text of the reactor's own tests.

use crate::draw::{Epoch, LinkId, Number, Timestamp};
use crate::live::room::{Room, Snapshot};
use crate::live::{CloseCode, PeerId, Role};
use bytes::Bytes;
use std::sync::Arc;

/// A peer's role, proven or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthState {
    /// The peer has this role and gets its frames.
    Admitted(Role),
    /// The peer asks for this role and has to prove it by its first message.
    Pending(Role),
}

/// The peer that a message comes from.
pub struct PeerContext<'a> {
    /// The address of a later unicast to the peer.
    pub id: PeerId,
    /// The peer's role, and whether it is proven.
    pub auth: AuthState,
    /// The number that a phone has proved by its token.
    pub number: Option<Number>,
    /// The peer's room.
    pub room: &'a Arc<Room>,
    /// The snapshot of the last publication that the peer's reactor broadcast: the peer knows all
    /// of it and nothing later.
    pub snapshot: &'a Arc<Snapshot>,
}

/// The handler's answer to a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Do nothing now. A command may be under way; its answer comes as a unicast.
    Nothing,
    /// Send these whole frames.
    Reply(Bytes),
    /// Admit the peer, which has proved the role it asked for.
    Admit(Role),
    /// Bind a phone to the number it has proved. It gets `reply`, the frames after `since` that it
    /// missed before it connected, and a `state_sync` of its own.
    Identify {
        /// The number that the token proved.
        number: Number,
        /// Where the phone's earlier connection ended, if it said so.
        since: Option<ResumePoint>,
        /// Whole frames that come first.
        reply: Bytes,
    },
    /// Close the peer with this code.
    Close(CloseCode),
}

/// The last frame that a returning peer has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// The history that `seq` counts in; a restored backup begins another.
    pub epoch: Epoch,
    /// The number of the frame.
    pub seq: u64,
}

/// A credential that may end before the socket whose role it proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocableCredential {
    /// A signed link of the room's event: an operator may revoke it.
    Link(LinkId),
    /// A console's login: a log-out ends it, or its time.
    Login {
        /// The login's own id.
        id: [u8; 16],
        /// The end of its time.
        expires_at: Timestamp,
    },
}

/// Understands what peers send. Each reactor has a handler of its own.
pub trait MessageHandler: Send {
    /// The `state_sync` frame for a peer. It is ready-made in the snapshot unless the peer has a
    /// number.
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes;

    /// Decides about one whole text message, valid UTF-8, of at most `Limits::message_bytes_max`
    /// bytes. The parser may
    /// overwrite it.
    fn handle(&mut self, peer: &PeerContext<'_>, message: &mut [u8]) -> Action;

    /// Returns whether a credential still counts in a room. Asked when its peer enters and at every
    /// scan. By default none does, since no peer is admitted by one.
    fn is_valid(&self, _: &Room, _: RevocableCredential) -> bool {
        false
    }
}
