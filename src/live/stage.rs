//! (to come: the thread that owns sockets)

use super::protocol::{Protocol, Since};
use super::room::Room;
use super::snapshot::Publication;
use super::{CloseCode, PeerId, Role};
use crate::draw::Number;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A socket that has shaken hands and comes to its stage.
#[derive(Debug)]
pub struct Join {
    /// Non-blocking, and no longer known to any other readiness loop.
    pub socket: std::net::TcpStream,
    /// What hyper had read beyond the handshake.
    pub read_ahead: Bytes,
    pub entry: Entry,
}

/// How a socket enters.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It is this role, and a phone may have proved a number.
    Admitted { room: Arc<Room>, role: Role, number: Option<Number>, since: Option<Since> },
    /// It has 5 seconds to prove this role by its first message.
    Awaiting { room: Arc<Room>, role: Role, since: Option<Since> },
    /// It is told this code and closed: a browser sees no reason in a refused handshake.
    Turned { code: CloseCode },
}

/// The doors to all stages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stages;

impl Stages {
    /// Starts `count` stage threads; `interpreter` makes each its own protocol.
    ///
    /// # Errors
    /// When the operating system gives no thread or readiness queue.
    pub fn start(count: usize, interpreter: impl Fn() -> Box<dyn Protocol>) -> std::io::Result<Self> {
        let _ = (count, interpreter);
        unimplemented!()
    }

    /// Hands a publication to every stage; waits where an inbox is full. Called by the sequencer alone.
    pub fn publish(&self, publication: Arc<Publication>) {
        let _ = publication;
    }

    /// Sends whole frames to one peer, after everything published before. Called by the sequencer alone; waits where the inbox is full.
    pub fn whisper(&self, peer: PeerId, frames: Bytes) {
        let _ = (peer, frames);
    }

    /// Hands a socket to the next stage, or closes it with 1013 when that stage's inbox is full.
    pub fn join(&self, join: Join) {
        let _ = join;
    }

    /// Tells every peer 1012, spread over `spread`, waits at most `patience` for them to go, and ends the threads.
    pub fn stop(&self, spread: Duration, patience: Duration) {
        let _ = (spread, patience);
    }
}
