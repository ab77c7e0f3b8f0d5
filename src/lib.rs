//! luckydraw: a live lucky draw on one small box.
// (the map of the house is written when the house stands)

pub mod admin_token;
pub mod banner;
pub mod config;
pub mod descriptors;
pub mod draw;
pub mod lan;
pub mod live;
pub mod logs;
pub mod sequencer;
pub mod server;
pub mod store;
pub mod token;
pub mod web;
pub mod wire;
