//! The ground that every layer above `draw` shares: chance, clock, histogram, the watch over
//! threads, addresses, the data folder and its durable files, a small HTTP client. It knows no
//! layer.

pub mod address;
pub mod chance;
pub mod clock;
pub mod data_dir;
pub mod durable_file;
pub mod histogram;
pub mod http_client;
pub mod threads;
