//! The way to the server: its address, TLS, connections, and calls over HTTP.
//!
//! The tester is a client like any other: nothing here may use the server's own code.

pub mod connection;
pub mod http;
pub mod target;
mod tls;
