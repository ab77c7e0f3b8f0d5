//! The pages in a real browser, used as people use them: by clicks, keys and visible text.
//!
//! [`chromium`] drives the browser, [`people`] has the actions of phones, consoles and desks. Each
//! other module is named for what it tests.

mod access;
pub mod chromium;
mod console;
mod entry;
mod instant;
mod lists;
mod operators;
mod people;
mod phone;
mod proof;
mod skew;
mod stage;
mod stages;
mod text;
mod whole_event;
