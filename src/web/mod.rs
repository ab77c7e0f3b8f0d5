//! The street side: connections, HTTP, who may do what, and the hand-over of sockets to their stage.
//!
//! [`listener`] accepts and deals out; a [`worker`] speaks HTTP (hyper) on a runtime of its own; [`guard`] turns away what is not
//! proper HTTP or comes from a foreign page; [`router`] is the table of every path; the handlers are in [`participants`], [`admin`] and their neighbours;
//! [`upgrade`] makes a socket of a connection and gives it to its stage; [`messages`] understands what sockets say.
//! This room knows no SQL and no rule of the draw.

pub mod answer;
pub mod app;
pub mod auth;
pub mod call;
pub mod clock;
pub mod desk;
pub mod draws;
pub mod entrance;
pub mod events;
pub mod figures;
pub mod images;
pub mod links;
pub mod messages;
pub mod participants;
pub mod patience;
pub mod prizes;
pub mod public;
pub mod query;
pub mod routes;
pub mod state;
pub mod upgrade;
