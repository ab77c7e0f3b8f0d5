//! The load tester: phones, a display and a host, who judge the server by what they receive.
//!
//! It is a client like any other, over HTTP and WebSocket, and shares no code with the server. Its
//! predecessor reported PASS while most messages never arrived. So this one accounts for every
//! frame of every phone, and a missing measurement never passes.
//!
//! Arrows go downwards only:
//!
//! ```text
//! commands   full-scenario, websocket-test, http-test, memory-monitor, compare
//! report     terminal, page, tables: all from one summary
//! run        one scenario from the first request to the last; ceiling, sizing, summary
//! verdict    audit of draws, numbers and answers; metrics, criteria, outcome
//! actors     phones, display and host, on one thread; their sockets; the exit interview
//! scenario   what happens when, built in or from a file
//! client     target, TLS, connections, HTTP
//! measure    clock, latencies, delivery ledger, processes, recorder
//! answers    the server's answers as types
//! arguments  the command line, exit codes; beneath it the options that name a server
//! ```
//!
//! One thread does everything, so that nothing needs a lock and a tester that is too slow shows as
//! one: its timers are late.
//!
//! Exit codes: 0 all criteria met, 99 one was missed, 4 void since the tester was the bottleneck, 3
//! it could not run, 64 wrong arguments, 105 interrupted.

mod actors;
mod answers;
mod arguments;
mod client;
mod commands;
mod measure;
mod report;
mod run;
mod scenario;
mod server_options;
mod verdict;

use arguments::{Arguments, COULD_NOT_RUN, INTERRUPTED, RunError, Subcommand, USAGE};
use clap::{CommandFactory, FromArgMatches};
use std::process::ExitCode;

fn main() -> ExitCode {
    let parsed = Arguments::command().after_long_help(commands::help()).try_get_matches();
    let parsed = parsed.and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = parsed.unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { i32::from(USAGE) } else { 0 });
    });
    let result = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => tokio::task::LocalSet::new().block_on(&runtime, run_subcommand(&arguments.subcommand)),
        Err(error) => Err(RunError::CouldNotRun(format!("no runtime: {error}"))),
    };
    let (code, why) = match result {
        Ok(code) => return ExitCode::from(code),
        Err(RunError::Interrupted) => (INTERRUPTED, "interrupted before anything could be judged".to_owned()),
        Err(RunError::Usage(why)) => (USAGE, why),
        Err(RunError::CouldNotRun(why)) => (COULD_NOT_RUN, format!("could not run: {why}")),
    };
    eprintln!("drawload: {why}");
    ExitCode::from(code)
}

async fn run_subcommand(subcommand: &Subcommand) -> Result<u8, RunError> {
    match subcommand {
        Subcommand::FullScenario(options) => commands::full_scenario(options).await,
        Subcommand::WebsocketTest(options) => commands::websocket_test(options).await,
        Subcommand::HttpTest(options) => commands::http_test(options).await,
        Subcommand::MemoryMonitor(options) => commands::monitor::monitor(options).await,
        Subcommand::Agent(options) => run::agent::serve(options).await.map(|()| 0),
        Subcommand::Compare(options) => commands::compare::compare(options),
    }
}
