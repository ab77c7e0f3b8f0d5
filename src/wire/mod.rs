//! The language of the street: every body and frame, encoded once. It knows the draw's nouns and nothing of who sends or reads.
//!
//! [`frame`] are the frames that tell what happened, [`state_sync`] the one that says how things stand; [`text`] holds times and
//! the WebSocket envelope.

pub mod frame;
pub mod state_sync;
pub mod text;
