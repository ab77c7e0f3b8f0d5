//! The street side: connections, HTTP, who may do what, and the hand-over of sockets to their stage.
//!
//! [`bind`] opens the doors, [`listener`] accepts and deals out; a [`worker`] speaks HTTP (hyper) on a runtime of its own, over
//! connections that [`linger`] for a proper goodbye, whose bytes a [`carrier`] brings, bare and [`eager`] or under [`tls`]: each [`gate`] says which,
//! and one that only leads on to TLS answers by [`redirect`]. One request is an [`exchange`]: [`guard`] turns away what is not proper
//! HTTP, [`origin`] what comes from a foreign page; [`routes`] is the table of every path, which [`router`] walks; what is answered there is
//! in [`handlers`], [`pages`] and the embedded [`files`]; [`upgrade`] makes a socket of a connection and gives it to its stage. [`metrics`] and [`traffic`] count what it does. This room knows no SQL and no rule of the draw.

pub mod answer;
pub mod app;
pub mod bind;
pub mod call;
pub mod carrier;
pub mod eager;
pub mod exchange;
pub mod files;
pub mod gate;
pub mod guard;
pub mod handlers;
pub mod health;
pub mod linger;
pub mod listener;
pub mod metrics;
pub mod origin;
pub mod pages;
pub mod query;
pub mod redirect;
pub mod router;
pub mod routes;
pub mod scheme;
pub mod tls;
pub mod traffic;
pub mod upgrade;
pub mod worker;
