//! Every bound and timeout of a reactor, in one place.
//!
//! They are fields rather than constants, so that a test provokes a deadline of seconds in
//! milliseconds, on the real clock and without sleeping. A server always runs with the defaults.

use std::time::Duration;

/// The bounds and timeouts of a reactor and its peers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Jobs that wait in one reactor's inbox. At the bound the sequencer waits, and a join is
    /// closed with 1013.
    pub inbox_jobs_max: usize,
    /// The interval at which a reactor checks every peer's deadline.
    pub scan_interval: Duration,
    /// The same interval while a peer is being closed or the reactor stops.
    pub scan_interval_closing: Duration,
    /// The time that a peer may take to prove its role.
    pub auth_max: Duration,
    /// The shortest silence after which a peer is pinged. With `silence_max`: 25 s ± 5 s, less the
    /// delay of two scans and of the closing, so that a dead peer is gone within 50 s.
    pub silence_min: Duration,
    /// The longest silence after which a peer is pinged.
    pub silence_max: Duration,
    /// The time that a pinged peer may stay silent.
    pub pong_max: Duration,
    /// Buffers that wait in one peer's outbox. One more evicts the peer.
    pub outbox_frames_max: usize,
    /// Bytes that wait in one peer's outbox, its greeting not counted. One more evicts the peer.
    pub outbox_bytes_max: usize,
    /// Bytes of greetings and replies that wait in the outboxes of one reactor: bytes that no other
    /// peer shares. Above, a returning peer gets its `state_sync` without the frames it missed, and
    /// one that does not take even that, or a reply, is closed with 1013.
    pub own_bytes_max: usize,
    /// The time that a frame may wait in an outbox before the peer is evicted.
    pub frame_age_max: Duration,
    /// Bytes of the longest message, and so of the longest payload.
    pub message_bytes_max: usize,
    /// Frames that a peer may send at once, control frames and fragments included.
    pub burst_frames_max: u32,
    /// The interval at which a peer may send one more frame.
    pub frame_interval: Duration,
    /// Bytes of unfinished frames and messages that one reactor holds for all its peers. Above,
    /// the peers that own the most are closed with 1013.
    pub unfinished_bytes_max: usize,
    /// The time from a message's first byte to its last. A peer that needs longer is evicted.
    pub message_age_max: Duration,
    /// The time that a close frame may wait in an outbox.
    pub close_frame_age_max: Duration,
    /// The time that a peer may take to close its side after its close frame was sent.
    pub drain_max: Duration,
    /// The requested size of a socket's send buffer. Linux doubles it for its own bookkeeping, and
    /// checks whether it is full only before it starts another segment buffer of some 47 KB. With
    /// 12 KiB, a peer that never reads pins 52 KiB, with 24 KiB 100 KiB, with the system's default
    /// 3.9 MB. Even the largest announcement, some 4 KB, and a usual `state_sync` fit into one
    /// write.
    pub send_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbox_jobs_max: 1024,
            scan_interval: Duration::from_secs(1),
            scan_interval_closing: Duration::from_millis(50),
            auth_max: Duration::from_secs(5),
            silence_min: Duration::from_secs(20),
            silence_max: Duration::from_secs(27),
            pong_max: Duration::from_secs(20),
            outbox_frames_max: 64,
            outbox_bytes_max: 64 << 10,
            own_bytes_max: 16 << 20,
            frame_age_max: Duration::from_secs(10),
            message_bytes_max: 16 << 10,
            burst_frames_max: 40,
            frame_interval: Duration::from_millis(100),
            unfinished_bytes_max: 8 << 20,
            message_age_max: Duration::from_secs(10),
            close_frame_age_max: Duration::from_secs(3),
            drain_max: Duration::from_millis(500),
            send_buffer_bytes: 12 << 10,
        }
    }
}
