//! The pages in a real browser, used as people use them: by clicks, keys and what can be read.
//!
//! [`chromium`] is the browser, [`people`] what phones, consoles and desks do in few words. Everything else is named for its promise.

mod access;
mod chromium;
mod console;
mod evening;
mod people;
mod phone;
mod text;
