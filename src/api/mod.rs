//! What is answered on each path, and to what sockets say.
//!
//! A handler reads and checks once, at the edge, into the draw's own types; reads a snapshot or submits a command; and answers. For phones there are
//! [`participants`], [`public`], [`join`], [`claim_code`] and [`state`]; for consoles [`draws`], [`prizes`], [`events`], [`people`], [`claims`], [`links`],
//! [`figures`], [`images`], [`imports`], [`exports`] and [`rehearsal`]. [`details`] reads winners' details for them; [`auth`] says who may
//! do what, [`patience`] how often. A socket enters by [`entrance`], and [`messages`] understands what it says. Handlers know no rule, and wait for
//! nobody but the sequencer.

pub mod app;
pub mod assets;
pub mod auth;
pub mod backups;
pub mod claim_code;
pub mod claims;
pub mod details;
pub mod draws;
pub mod entrance;
pub mod events;
pub mod exports;
pub mod figures;
pub mod health;
pub mod images;
pub mod imports;
pub mod join;
pub mod links;
pub mod messages;
pub mod metrics;
pub mod pages;
pub mod participants;
pub mod patience;
pub mod people;
pub mod prizes;
pub mod public;
pub mod rehearsal;
pub mod routes;
pub mod state;
