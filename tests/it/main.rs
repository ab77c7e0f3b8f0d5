//! The product as its users meet it: the real binary, over real sockets, killed for real.
//!
//! One binary for all of it, each test on a server and a data folder of its own. [`house`] starts and ends the server, [`http`] and
//! [`socket`] are the clients, [`meddler`] sits between a client and the server, [`show`] an evening in few words; the others are named for the promise they hold the server to.

mod admin;
mod bad_input;
mod config;
mod disk;
mod docs;
mod draws;
mod guard;
mod house;
mod http;
mod links;
mod load;
mod load_scenarios;
mod logs;
mod meddler;
mod numbers;
mod old_clients;
mod participants;
mod prizes;
mod recovery;
mod secrecy;
mod show;
mod shutdown;
mod simulation;
mod socket;
mod sockets;
mod tidy;
mod views;
mod winners;
