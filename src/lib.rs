//! luckydraw: a live lucky draw (경품 추첨) on one small box. This page is the map of the house.
//!
//! ```text
//!                    S T R E E T   (phones, projector, console, load tester)
//!   ┌───────────────────────────── web/ ─────────────────────────────────┐
//!   │ listener ─▶ worker (hyper) ─▶ guard ─▶ router ─▶ handlers          │
//!   │                                  upgrade ─▶ entrance   messages    │
//!   └───────────────────────────────┬──────────────────┬──────────▲──────┘
//!                            submit │ Order      join  │          │ frames
//!                                   ▼                  ▼          │
//!   ┌──────────── sequencer/ ────────────────┐ publish ┌────── live/ ────────────────┐
//!   │ gather ▸ decide ▸ commit ▸ show ▸ tell │────────▶│ directory ▸ room ▸ snapshot │
//!   │                                ▸ reply │         │ roster      stage ▸ peers   │
//!   └──────┬──────────────────┬──────────────┘         └─────────────────────────────┘
//!          ▼ decide           ▼ commit
//!     ┌─ draw/ ─┐        ┌─ store/ ─┐     beside all: wire/ (the language of bodies and frames),
//!     │  rules  │        │ journal  │                 sheet (tables from and for spreadsheets),
//!     │         │        │          │                 token, chance, config, logs, histogram, fail_stop, roll_call
//!     └─────────┘        └──────────┘     above all:  server (opens the rooms in order, closes in reverse), supervisor;
//!                                                     doctor, healthcheck and archive (backups) are errands
//! ```
//!
//! # What holds, always
//! 1. **One writer.** Only the [`sequencer`] changes what an event is. Numbers are the one exception: [`live::roster`] gives them from atomics, and they are
//!    claims until the sequencer commits them.
//! 2. **Durable before visible.** No answer, snapshot or frame tells of a fact that is not committed (`sequencer::batch`).
//! 3. **Live is replay.** The same [`draw::Event::apply`] serves live traffic and recovery, in the same order (`sequencer::recovery`).
//! 4. **Caught up, then in order.** A peer gets what it missed and one `state_sync` for its role, then every later frame once, in order, or it is closed
//!    ([`live::reactor`]).
//! 5. **Nothing is unbounded.** Every queue, body, wait, table and batch says what happens when it is full: shed, evict or wait.
//! 6. **Dropping a room frees it**: its snapshot, queues and sockets. Nothing is left to leak.
//! 7. **The rules are pure.** Time and chance are arguments of [`draw`].
//! 8. **A message is encoded once**, whatever the number of peers ([`wire::frame`]).
//!
//! # The four ways through
//! - *Register*: handler reads and checks ▸ roster claims ▸ order ▸ sequencer decides, commits with its neighbours, publishes the count ▸ 201.
//! - *Reveal*: handler ▸ order ▸ decide ▸ **commit** ▸ snapshot shown, frame handed to the stages ▸ reply; stages write to peers.
//! - *Socket*: handshake on a worker ▸ handed to a stage ▸ `state_sync` ▸ read, ping, evict ▸ leave.
//! - *Recovery*: open journal ▸ replay through `apply` ▸ directory and rosters ▸ sequencer ▸ bind. Clients reconnect and catch up.
//!
//! # Who may know whom
//! `draw` knows nobody. `wire` and `store` know `draw`. `live` knows `draw` and ready-made frames. `sequencer` knows `draw`, `store`, `live` and
//! `wire`. `web` knows them all but the store, and no rule. Only `server` opens rooms. `tests/it/tidy.rs` holds everybody to it.
//!
//! There is deliberately no thread pool, no lock on a hot path, no task a socket, no cache beside the snapshots, and no second place where a fact is kept.

pub mod api;
pub mod backup;
pub mod base;
pub mod draw;
pub mod http;
pub mod live;
pub mod ops;
pub mod sequencer;
pub mod sheet;
pub mod store;
pub mod tls;
pub mod wire;
