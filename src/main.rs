//! The server's binary: settings, logs, the house, and the signals that close it.
//!
//! Exit codes: 0 after a stop, 64 when what was asked for is wrong, 1 when the house could not be opened or closed, 130 when a
//! second signal cuts a stop short.

mod memory;

use luckydraw::banner::Banner;
use luckydraw::config::{self, Config, Wish};
use luckydraw::server::{self, Running};
use luckydraw::{logs, server::StartError};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Wrong arguments or settings (EX_USAGE of sysexits.h).
const USAGE: u8 = 64;

/// Ended by a second signal, as a shell reports Ctrl-C.
const CUT_SHORT: u8 = 130;

fn main() -> ExitCode {
    match config::of_this_process() {
        Ok(Wish::Serve(config)) => serve(&config),
        Ok(Wish::Say(text)) => {
            say(text);
            ExitCode::SUCCESS
        }
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("luckydraw: {problem}"));
            ExitCode::from(USAGE)
        }
    }
}

/// Serves until a signal.
fn serve(config: &Config) -> ExitCode {
    memory::be_frugal();
    if let Ok(filter) = logs::filter(&config.log) {
        logs::start(filter);
    }
    serve_until_signal(config).unwrap_or_else(|error| {
        eprintln!("luckydraw: {}", with_causes(&error));
        ExitCode::from(if error.is_usage() { USAGE } else { 1 })
    })
}

/// The signals are taken before the house opens, so that one that comes meanwhile closes it properly.
fn serve_until_signal(config: &Config) -> Result<ExitCode, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Threads)?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::take().map_err(StartError::Threads)?
    };
    let house = server::start(config)?;
    greet(config, &house);
    Ok(runtime.block_on(async {
        // Both arms are cancel safe.
        tokio::select! {
            () = signals.next() => {}
            never = memory::give_back_forever() => match never {},
        }
        tracing::info!("stopping; a second signal ends at once");
        close(house, signals).await
    }))
}

/// Closes the house, unless a second signal ends the process before.
async fn close(house: Running, mut signals: Signals) -> ExitCode {
    let closing = tokio::task::spawn_blocking(|| house.stop());
    // Both arms are cancel safe.
    tokio::select! {
        closed = closing => closed.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        // Not returned: the runtime would wait for the closing thread.
        () = signals.next() => std::process::exit(i32::from(CUT_SHORT)),
    }
}

fn greet(config: &Config, house: &Running) {
    if config.open {
        tracing::warn!("open mode: every client is trusted");
    }
    let event = house.event().unwrap_or_else(|| config.default_event.clone());
    let banner = Banner {
        listening: house.addresses(),
        join_base: house.join_base(),
        event: &event,
        admin_token: house.admin_token(),
        open: config.open,
        on_terminal: io::stdout().is_terminal(),
    };
    say(banner);
}

/// Prints to stdout; a reader that has gone away is no reason to stop.
fn say(text: impl std::fmt::Display) {
    let mut stdout = io::stdout().lock();
    let _ = write!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// An error and its causes on one line.
fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// What asks for a stop: SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one. Cancel safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
