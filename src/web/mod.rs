//! The street side: connections, HTTP, who may do what, and the hand-over of sockets to their stage.
//!
//! [`bind`] opens the doors, [`listener`] accepts and deals out; a [`worker`] speaks HTTP (hyper) on a runtime of its own, over
//! connections that are [`eager`] before they wait and [`linger`] for a proper goodbye. One request is an [`exchange`]: [`guard`] turns away what is not proper
//! HTTP, [`origin`] what comes from a foreign page; [`routes`] is the table of every path, which [`router`] walks; what is answered there is
//! in [`handlers`]; [`upgrade`] makes a socket of a connection and gives it to its stage. This room knows no SQL and no rule of the draw.

pub mod answer;
pub mod app;
pub mod bind;
pub mod call;
pub mod eager;
pub mod exchange;
pub mod guard;
pub mod handlers;
pub mod health;
pub mod linger;
pub mod listener;
pub mod metrics;
pub mod origin;
pub mod pages;
pub mod query;
pub mod router;
pub mod routes;
pub mod upgrade;
pub mod worker;
