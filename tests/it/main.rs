//! The product as its users meet it: the real binary, over real sockets, killed for real.
//!
//! One binary holds all tests; each test has its own server and data folder. [`test_server`] starts
//! and stops the server, [`http_client`] and [`websocket_client`] are the clients, [`credentials`]
//! makes certificates and speaks TLS, [`faulty_proxy`] is a proxy that damages traffic,
//! [`fake_server`] is a server that lies to the load tester, and
//! [`event_steps`] runs an event in few lines. The other files are named for the behaviour they
//! test.

#![allow(unsafe_code, reason = "signals, limits and ptrace are sent by libc")]

mod acme;
mod admin;
mod backup;
mod bad_input;
mod browser;
mod claims;
mod clock;
mod concurrent_changes;
mod config;
mod credentials;
mod deploy;
mod disk;
mod docs;
mod doctor;
mod draws;
#[cfg(feature = "edges")]
mod edges;
mod event_steps;
mod exports;
mod fake_server;
mod faulty_proxy;
mod framing;
mod fresh_root;
mod guard;
mod http_client;
mod imports;
mod launch;
mod links;
mod load;
mod load_addresses;
mod load_agents;
mod load_honesty;
mod load_protocols;
mod load_scenarios;
mod logs;
mod lost_numbers;
mod memory;
mod metrics;
#[cfg(feature = "edges")]
mod nats;
mod numbers;
mod old_clients;
mod operators;
mod package;
mod participants;
mod pictures;
mod planted_faults;
mod prizes;
mod proof;
mod recovery;
mod refusals;
mod registration;
mod rehearsal;
mod release;
mod secrecy;
mod shutdown;
mod simulation;
mod supervised;
mod test_server;
mod tidy;
mod tls;
mod torture;
mod untrusted_journals;
mod upgrade;
mod views;
mod websocket;
mod websocket_client;
mod winners;
