//! Foundations for every module above `draw`: chance, clock, digest, histogram, thread supervision,
//! addresses, secrets, values of a known age, the data folder and its durable files, a small HTTP
//! client, random waits.
//!
//! No file here may know any of those modules.

pub mod address;
pub mod chance;
pub mod clock;
pub mod data_dir;
pub mod durable_file;
pub mod histogram;
pub mod http_client;
pub mod image_name;
pub mod jitter;
pub mod refreshed;
pub mod secret;
pub mod threads;

use ring::digest::{SHA256, digest};

/// The SHA-256 of `bytes`: secrets are compared by it, and content is named by it.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("a SHA-256 has 32 bytes")
}
