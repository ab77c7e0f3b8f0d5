//! The one writer: it takes commands in batches, lets the rules decide, commits the facts, publishes, and then answers.
//!
//! [`inbox`] is the door: how a command comes in and its answer goes out.

pub mod inbox;
