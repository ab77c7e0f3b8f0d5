//! luckydraw: a live lucky draw on one small box.
// (the map of the house is written when the house stands)

pub mod chance;
pub mod draw;
pub mod live;
pub mod sequencer;
pub mod store;
pub mod token;
pub mod web;
pub mod wire;
