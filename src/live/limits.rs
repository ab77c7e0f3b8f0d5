//! Every bound and wait of a stage in one place.
//!
//! They are fields rather than constants so that a test can provoke a deadline of seconds in milliseconds, on the real clock and without
//! sleeping. A server runs with the defaults.

use std::time::Duration;

/// What a stage and its peers keep to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Publications, whispers and joins on their way to one stage. Full: the sequencer waits, a join is turned away with 1013.
    pub inbox_orders_max: usize,
    /// How often a stage looks at every peer's deadline.
    pub scan: Duration,
    /// The same while some peer is being closed or the stage is stopping.
    pub scan_closing: Duration,
    /// How long a peer may take to prove the role it wants.
    pub admission_max: Duration,
    /// The shortest and the longest silence after which a peer is pinged. 25 s ± 5 s, less what two scans may come late, so that a
    /// dead peer is gone within 50 s.
    pub silence_min: Duration,
    pub silence_max: Duration,
    /// How much longer a pinged peer may stay silent.
    pub pong_max: Duration,
    /// Frames that wait for one peer. One more: it is evicted.
    pub outbox_frames_max: usize,
    /// Bytes that wait for one peer, what it was greeted with not counted. More: it is evicted.
    pub outbox_bytes_max: usize,
    /// How long a frame may wait for one peer.
    pub frame_age_max: Duration,
    /// Frames that a peer may send at once, control frames and fragments included.
    pub burst_frames_max: u32,
    /// The wait that earns it one frame more.
    pub frame_gap: Duration,
    /// Bytes of unfinished frames and messages that one stage keeps for all its peers. More: the one that brings it over is closed with 1013.
    pub unfinished_bytes_max: usize,
    /// How long a close frame may wait behind what the kernel has not sent.
    pub linger_max: Duration,
    /// How long a peer may take to hang up once it has been told to.
    pub drain_max: Duration,
    /// What the kernel may hold for one peer as it is asked for. Linux doubles it for its own bookkeeping, and asks whether it is full only before it
    /// begins another buffer, which takes some 47 KB: with 12 KiB a peer that never reads pins 52 KiB, with 24 KiB 100, with the default of the
    /// system 3.9 MB. Even the largest announcement, some 4 KB, and a usual `state_sync` are one write.
    pub send_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inbox_orders_max: 1024,
            scan: Duration::from_secs(1),
            scan_closing: Duration::from_millis(50),
            admission_max: Duration::from_secs(5),
            silence_min: Duration::from_secs(20),
            silence_max: Duration::from_secs(28),
            pong_max: Duration::from_secs(20),
            outbox_frames_max: 64,
            outbox_bytes_max: 64 << 10,
            frame_age_max: Duration::from_secs(10),
            burst_frames_max: 40,
            frame_gap: Duration::from_millis(100),
            unfinished_bytes_max: 8 << 20,
            linger_max: Duration::from_secs(3),
            drain_max: Duration::from_millis(500),
            send_buffer_bytes: 12 << 10,
        }
    }
}
