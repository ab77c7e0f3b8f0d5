//! The product as its users meet it: the real binary, over real sockets, killed for real.
//!
//! One binary for all of it, each test on a server and a data folder of its own. [`house`] starts and ends the server, [`http`] and
//! [`socket`] are the clients, [`credentials`] makes certificates and speaks TLS, [`faulty_proxy`] sits between a client and the server, [`show`] an evening in few words; the others are named for the promise they hold the server to.

mod acme;
mod admin;
mod asks;
mod backup;
mod bad_input;
mod browser;
mod claims;
mod config;
mod credentials;
mod deploy;
mod disk;
mod docs;
mod doctor;
mod draws;
mod exports;
mod faulty_proxy;
mod guard;
mod http;
mod imports;
mod links;
mod load;
mod load_scenarios;
mod logs;
mod metrics;
mod numbers;
mod old_clients;
mod operators;
mod participants;
mod pictures;
mod prizes;
mod recovery;
mod secrecy;
mod show;
mod shutdown;
mod simulation;
mod socket;
mod sockets;
mod supervised;
mod test_server;
mod tidy;
mod tls;
mod upgrade;
mod views;
mod winners;
