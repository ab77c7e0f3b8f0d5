//! The ground that every layer above `draw` shares: chance, clock, histogram, the watch over threads, addresses, a small
//! HTTP client. It knows no layer.

pub mod address;
pub mod chance;
pub mod clock;
pub mod histogram;
pub mod http_client;
pub mod threads;
