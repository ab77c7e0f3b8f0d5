//! The supervisor that runs the server, which is systemd on a box: what it hands over at the start, and what it is told.
//!
//! [`sockets`] are the listening sockets that stay open while one server makes way for the next; [`watchdog`] tells the supervisor that the
//! server is ready, how it fares, and that its threads still come round to their work. Without a supervisor nothing of this happens.
//! Nothing here opens or closes a room.

pub mod sockets;
pub mod watchdog;

use sd_notify::NotifyState;

/// Tells the supervisor, if there is one; what it does with it is its affair, so that a word that is not heard stops nobody.
fn tell(words: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(words) {
        tracing::warn!(%error, "the supervisor does not hear");
    }
}
