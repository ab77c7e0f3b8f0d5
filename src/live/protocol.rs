//! The stage's interpreter: it turns what a peer says into what is to be done, without the stage knowing the language.
//!
//! The stage could parse messages itself, but then sockets would know JSON, tokens and commands. Two implementors: the web's
//! `messages`, and the plain one of the stage's own tests.

use crate::draw::{Epoch, Number};
use crate::live::room::Room;
use crate::live::snapshot::Snapshot;
use crate::live::{CloseCode, PeerId, Role};
use bytes::Bytes;
use std::sync::Arc;

/// What a peer has shown itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Connected as this role; it has proved whatever the role asks for.
    Admitted(Role),
    /// Wants to be this role and has yet to prove it by its first message.
    Awaiting(Role),
}

/// Who is speaking.
pub struct Speaker<'a> {
    pub id: PeerId,
    pub standing: Standing,
    /// The number a phone has proved by its token.
    pub number: Option<Number>,
    pub room: &'a Arc<Room>,
    /// The publication this peer's stage last walked: the peer has been told everything in it, and nothing later.
    pub snapshot: &'a Arc<Snapshot>,
}

/// What is to be done about a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing now. A command may be under way; its answer comes as a whisper.
    Nothing,
    /// Send these whole frames.
    Reply(Bytes),
    /// The peer has proved the role it wanted: greet it.
    Admit(Role),
    /// A phone has proved its number: send `reply`, then what it missed since `since` before it connected, then its own `state_sync`.
    Identify { number: Number, since: Option<Since>, reply: Bytes },
    /// Let it go.
    Close(CloseCode),
}

/// How far a peer that comes back had got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    pub epoch: Epoch,
    pub seq: u64,
}

/// Understands what peers say. Each stage has one of its own.
pub trait MessageHandler: Send {
    /// The `state_sync` frame for a peer. Ready-made unless it has a number of its own.
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes;

    /// What to do about one whole text message, valid UTF-8, of at most 16 KiB; the parser may scribble over it.
    fn hear(&mut self, speaker: &Speaker<'_>, message: &mut [u8]) -> Action;
}
