//! The language of the street: every body and frame, encoded once. It knows the draw's nouns and nothing of who sends or reads.
//!
//! [`frame`] are the frames that announce what happened, [`state_sync`] the one that says how things stand, [`reply`] the answers
//! to one peer; [`request`] is what clients send over HTTP and [`message`] over a socket, both read by [`parse`]; [`view`] is
//! how draws, prizes and participants look in answers; [`text`] holds times and the WebSocket envelope.

pub mod frame;
pub mod message;
pub mod parse;
pub mod reply;
pub mod request;
pub mod state_sync;
pub mod text;
pub mod view;
