//! The program around the server: settings, start and stop, the supervisor's side, and the
//! subcommands for operators.
//!
//! [`config`] is read by everything here and by nothing below. [`server`] opens the layers in order
//! and closes them in reverse; [`supervisor`] is systemd's side of it, [`limits`] the limit on open
//! files, [`drand`] gets the rounds that draws wait for, [`simulated_phones`] plays those of
//! rehearsals, [`admin_token`] the operator's secret,
//! [`lan`] and [`banner`] what a start prints. [`healthcheck`], [`doctor`], [`licences`] and
//! [`verify`] are subcommands; [`logs`] is for all. Nothing in this module answers a request.

pub mod admin_token;
pub mod banner;
pub mod config;
pub mod doctor;
pub mod drand;
pub mod healthcheck;
pub mod lan;
pub mod licences;
pub mod limits;
pub mod logs;
pub mod server;
pub mod simulated_phones;
pub mod supervisor;
pub mod verify;
