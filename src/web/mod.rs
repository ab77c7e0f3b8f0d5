//! The street side: connections, HTTP, who may do what, and the hand-over of sockets to their stage.
//!
//! [`bind`] opens the doors, [`listener`] accepts and deals out; a [`worker`] speaks HTTP (hyper) on a runtime of its own, over
//! connections that [`linger`] for a proper goodbye. One request is an [`exchange`]: [`guard`] turns away what is not proper
//! HTTP, [`origin`] what comes from a foreign page; [`routes`] is the table of every path, which [`router`] walks; the handlers
//! are in [`participants`], [`draws`], [`events`] and their neighbours; [`upgrade`] makes a socket of a connection and gives it to its
//! stage; [`messages`] understands what sockets say. This room knows no SQL and no rule of the draw.

pub mod answer;
pub mod app;
pub mod auth;
pub mod bind;
pub mod call;
pub mod desk;
pub mod draws;
pub mod entrance;
pub mod events;
pub mod exchange;
pub mod figures;
pub mod guard;
pub mod health;
pub mod images;
pub mod linger;
pub mod links;
pub mod listener;
pub mod messages;
pub mod metrics;
pub mod origin;
pub mod pages;
pub mod participants;
pub mod patience;
pub mod prizes;
pub mod public;
pub mod query;
pub mod router;
pub mod routes;
pub mod state;
pub mod upgrade;
pub mod worker;
