//! luckydraw: a live lucky draw (경품 추첨) on one small box. This page is the map of the program.
//!
//! Fourteen modules on a staircase; imports go only downwards. `tests/it/tidy.rs` holds every file
//! to it.
//!
//! ```text
//!  ops        settings, start and stop, doctor, health check, supervisor, banner
//!  edge       more boxes over NATS: an origin publishes, edges hold phones
//!  api        what is answered: a table of functions, one file per group of calls; sockets
//!  http       how it is spoken: acceptor ▸ worker ▸ guard ▸ router ▸ handler. Knows no event
//!  backup     copies of the data folder, restore, export and import of one event
//!  sequencer  the one writer: gather ▸ decide ▸ commit ▸ publish ▸ reply
//!  live       what many threads see: rooms, snapshots, roster; live/reactor owns the sockets
//!  tls        sessions, certificates, ACME
//!  sheet      tables from and for spreadsheets
//!  store      the journal in SQLite, its records and keys, tokens, winners' details
//!  wire       every body and frame, encoded once
//!  base       chance, clock, addresses, secrets, histogram, threads
//!  draw       the rules: pure, no I/O, no clock, no chance
//! ```
//!
//! Beside the staircase stand `pages` (embedded by `api`) and `bin/drawload`, the load tester: a
//! guest that imports only [`wire`].
//!
//! # Invariants
//! 1. **One writer.** Only the [`sequencer`] changes what an event is. Numbers are the one
//!    exception: [`live::roster`] gives them from atomics, and they are claims until the sequencer
//!    commits them.
//! 2. **Durable before visible.** No answer, snapshot or frame tells of a fact that is not
//!    committed (`sequencer::batch`).
//! 3. **Live is replay.** The same [`draw::Event::apply`] serves live traffic and recovery, in the
//!    same order (`sequencer::recovery`).
//! 4. **Caught up, then in order.** A peer gets the frames it missed and one `state_sync` for its
//!    role, then every later frame once, in order, or it is closed ([`live::reactor`]).
//! 5. **Bounded.** Every queue, body, wait, table and batch says what happens when it is full:
//!    shed, evict or wait.
//! 6. **Dropping a room frees it**: its snapshot, queues and sockets.
//! 7. **The rules are pure.** Time and chance are arguments of [`draw`].
//! 8. **A message is encoded once**, whatever the number of peers ([`wire::frame`]).
//!
//! # The four flows
//! - *Register*: handler checks ▸ place in the inbox ▸ roster claims ▸ request ▸ sequencer decides,
//!   commits with its neighbours, publishes the count ▸ 201.
//! - *Reveal*: handler ▸ request ▸ decide ▸ **commit** ▸ publish snapshot and frame ▸ reply;
//!   reactors write to peers.
//! - *Socket*: handshake on a worker ▸ handed to a reactor ▸ `state_sync` ▸ read, ping, evict ▸
//!   close.
//! - *Recovery*: open journal ▸ replay through `apply` ▸ directory and rosters ▸ sequencer ▸ bind.
//!   Clients reconnect and catch up.
//!
//! # What there is not
//! No thread pool on a request's way but tokio's for blocking work, and that only for files:
//! pictures, spreadsheets, the list of backups. No lock on the way of a registration or a
//! broadcast; the locks there are guard small tables beside it: guesses ([`api::rate_limiter`]),
//! recent images ([`api::image_cache`]), stages ([`api::stage_registry`]), simulated phones
//! ([`api::simulated_phones`]), TLS certificates being replaced. No task per socket. No
//! cache of an event's state beside its snapshot. No second place where a fact is kept.

pub mod api;
pub mod backup;
pub mod base;
pub mod draw;
#[cfg(feature = "edges")]
pub mod edge;
#[cfg(test)]
mod fuzz;
pub mod http;
pub mod live;
pub mod ops;
pub mod sequencer;
pub mod sheet;
pub mod store;
pub mod tls;
pub mod wire;
