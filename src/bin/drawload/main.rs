//! The load tester: a hall full of phones, a projector and a host, who judge the server by what they see.
//!
//! A guest of the house: it enters by the front door, over HTTP and WebSocket, and knows nothing of the server but its wire. It was
//! built because its forerunner said PASS while most messages never arrived; so every frame of every phone is accounted for, and a
//! measurement that is missing is never taken for a good one.
//!
//! [`plan`] says what happens when, or a [`screenplay`] does; a [`run`] plays one after the other, or climbs to the [`ceiling`]. An [`evening`] is
//! played with [`phone`]s, some of them [`slow`], and a [`stage_hand`], who hold a [`mod@line`] each on a [`connection`] to the [`target`]. [`audit`] asks the
//! server afterwards, [`measure`] keeps what was seen, [`verdict`] judges it, [`report`] tells it. One thread does it all, so that nothing here needs a lock and a
//! tester that is too slow shows as one: its timers lag.
//!
//! Exit codes: 0 all criteria met, 99 one was missed, 4 void since the tester was the bottleneck, 3 it could not run, 64 wrong
//! arguments, 105 interrupted.

mod advice;
mod arguments;
mod audit;
mod book;
mod ceiling;
mod clock;
mod compare;
mod connection;
mod evening;
mod http;
mod limits;
mod line;
mod measure;
mod metric;
mod monitor;
mod observers;
mod outcome;
mod phone;
mod plan;
mod progress;
mod report;
mod run;
mod screenplay;
mod slow;
mod sources;
mod stage_hand;
mod target;
mod trust;
mod verdict;
mod watched;

use arguments::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { i32::from(outcome::USAGE) } else { 0 });
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return could_not_run(&format!("no runtime: {error}")),
    };
    let hall = tokio::task::LocalSet::new();
    let ended = hall.block_on(&runtime, async {
        match arguments.command {
            Command::FullScenario(asked) => run::full_scenario(&asked).await,
            Command::WebsocketTest(asked) => run::websocket_test(&asked).await,
            Command::HttpTest(asked) => run::http_test(&asked).await,
            Command::Compare(asked) => compare::compare(&asked),
            Command::MemoryMonitor(asked) => monitor::watch(&asked).await,
        }
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(evening::Stopped::Usage(why)) => {
            eprintln!("drawload: {why}");
            ExitCode::from(outcome::USAGE)
        }
        Err(evening::Stopped::CouldNotRun(why)) => could_not_run(&why),
    }
}

fn could_not_run(why: &str) -> ExitCode {
    eprintln!("drawload: could not run: {why}");
    ExitCode::from(outcome::COULD_NOT_RUN)
}
