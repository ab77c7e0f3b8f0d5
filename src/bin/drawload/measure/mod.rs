//! What is measured: latencies, frames, the server's process, and the tester itself.

pub mod course;
pub mod exposition;
pub mod latency;
pub mod ledger;
pub mod oneself;
pub mod process;
