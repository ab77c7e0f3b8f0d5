//! The program around the server: its settings, its start and stop, and the subcommands that look after it.

pub mod admin_token;
pub mod banner;
pub mod config;
pub mod demo;
pub mod descriptors;
pub mod doctor;
pub mod healthcheck;
pub mod lan;
pub mod logs;
pub mod server;
pub mod supervisor;
