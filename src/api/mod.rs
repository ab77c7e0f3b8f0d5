//! The answers of this product: one file per group of calls.
//!
//! A handler reads and checks once, at the edge, into the draw's own types ([`context`]); reads a
//! snapshot or submits a command; and answers. Phones call [`phone`], [`long_poll`], [`qr`] and
//! [`pictures`]; consoles call [`draws`], [`prizes`], [`events`], [`desk`], [`links`],
//! [`spreadsheets`], [`stats`] and [`backups`]. [`socket`] admits WebSockets and handles their
//! messages. [`auth`] says who may do what, [`rate_limiter`] how often; [`error`] gives every
//! refusal its status. [`routes`] is the table of all calls, [`pages`] and [`assets`] serve the
//! embedded pages, [`metrics`] and [`health`] serve machines, [`edges`] lists boxes beside this
//! one. Handlers know no rule, and wait for nothing but the sequencer and, for files, a blocking
//! thread.

pub mod app;
pub mod assets;
pub mod auth;
pub mod backups;
pub mod clock;
pub mod context;
pub mod deadline;
pub mod desk;
pub mod draws;
pub mod edge_code;
pub mod edges;
pub mod entry;
pub mod error;
pub mod events;
pub mod exports;
pub mod health;
pub mod image_cache;
pub mod links;
pub mod long_poll;
pub mod metrics;
pub mod old_clients;
pub mod pages;
pub mod phone;
pub mod pictures;
pub mod placement;
pub mod prizes;
pub mod proof;
pub mod qr;
pub mod qr_codes;
pub mod rate_limiter;
pub mod registration_meter;
pub mod rehearsal;
pub mod revoked_logins;
pub mod routes;
pub mod simulated_phones;
pub mod socket;
pub mod spread;
pub mod spreadsheets;
pub mod stage_registry;
pub mod stages;
pub mod stats;
pub mod turn_meter;
