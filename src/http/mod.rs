//! The street side: connections, HTTP, who may do what, and the hand-over of sockets to their stage.
//!
//! [`bind`] opens the doors, [`listener`] accepts and deals out; a [`worker`] speaks HTTP (hyper) on a runtime of its own, over
//! connections that [`linger`] for a proper goodbye, whose bytes a [`carrier`] brings, bare and [`eager`] or under [`tls`]: each [`gate`] says which,
//! and one that only leads on to TLS answers by [`redirect`]. One request is an [`exchange`]: [`guard`] turns away what is not proper
//! HTTP, [`origin`] what comes from a foreign page; [`routes`] is the table of every path, which [`router`] walks; what is answered there is
//! in [`handlers`], [`pages`] and the embedded [`files`]; [`upgrade`] makes a socket of a connection and gives it to its stage. [`metrics`] and [`traffic`] count what it does. This room knows no SQL and no rule of the draw.

pub mod acceptor;
pub mod bind;
pub mod connection;
pub mod guard;
pub mod lingering_close;
pub mod listener;
pub mod origin;
pub mod pipeline;
pub mod query;
pub mod redirect;
pub mod request;
pub mod request_metrics;
pub mod response;
pub mod router;
pub mod tls_handshake;
pub mod try_first;
pub mod upgrade;
pub mod worker;
