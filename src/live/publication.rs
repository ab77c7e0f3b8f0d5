//! What the sequencer tells the stages: once for each, whatever the number of peers.

use crate::draw::DrawId;
use crate::live::room::Room;
use crate::live::snapshot::Snapshot;
use crate::live::{ByRole, CloseCode};
use bytes::Bytes;
use std::sync::Arc;

/// What a stage is told: the new picture, and the frames for those who are connected.
#[derive(Clone, Debug)]
pub struct Publication {
    pub room: Arc<Room>,
    pub snapshot: Arc<Snapshot>,
    /// Whole WebSocket frames, one or several back to back; none: nothing is sent to that role.
    pub frames: ByRole<Option<Bytes>>,
    /// Whether these frames announce a draw, so that their delivery is counted.
    pub announces: Option<DrawId>,
    /// Whether the room closes after these frames, and with which code.
    pub closes: Option<CloseCode>,
    /// Roles that have to prove themselves again, since a link was revoked: they are closed with 1012, and come back as what they still are.
    pub doubts: ByRole<bool>,
}
