//! What is shared of one event: its snapshot, the watch on its frames, and who is connected.

use crate::draw::EventId;
use crate::live::CloseCode;
use crate::live::connection_counts::ConnectionCounts;
use crate::live::delivery::Delivery;
use crate::live::snapshot::Snapshot;
use crate::live::token_sockets::TokenSockets;
use arc_swap::ArcSwap;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// One event as threads share it. Dropping it frees its snapshot; its sockets hold it, and are closed before it goes.
#[derive(Debug)]
pub struct Room {
    pub id: EventId,
    snapshot: ArcSwap<Snapshot>,
    seq: watch::Sender<u64>,
    /// Who is connected.
    pub census: ConnectionCounts,
    /// How the last announcement travelled.
    pub delivery: Delivery,
    /// Which sockets hold a number.
    pub(super) holders: TokenSockets,
    /// Set once the room is closed for good. Written by the stages when they walk the publication that closes it.
    shut: OnceLock<CloseCode>,
}

impl Room {
    /// A room that shows `snapshot`.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            id: snapshot.event.id.clone(),
            seq: watch::Sender::new(snapshot.ring.last_seq()),
            snapshot: ArcSwap::new(snapshot),
            census: ConnectionCounts::default(),
            delivery: Delivery::default(),
            holders: TokenSockets::default(),
            shut: OnceLock::new(),
        }
    }

    /// Closes the room for good: a socket that was on its way when everybody was sent out is sent after them with the same code.
    pub(super) fn shut(&self, code: CloseCode) {
        // Each stage says the same; the first is as good as the others.
        let _ = self.shut.set(code);
    }

    /// With which code the room was closed, if it is.
    pub(super) fn is_shut(&self) -> Option<CloseCode> {
        self.shut.get().copied()
    }

    /// The event as it stands. Load once a unit of work, so that an answer is of one piece.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Shows a newer snapshot and wakes who waits for its frames. Called by the sequencer alone.
    pub fn show(&self, snapshot: Arc<Snapshot>) {
        let seq = snapshot.ring.last_seq();
        self.snapshot.store(snapshot);
        self.seq.send_if_modified(|last| std::mem::replace(last, seq) != seq);
    }

    /// A watch on the `seq` of the event's last frame.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }
}
