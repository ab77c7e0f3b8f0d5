//! The server's binary: settings, logs, the house, and the signals that close it.
//!
//! Each errand has one function here and its work in a room or file of its own. Exit codes: 0 after a stop or when an errand found all well, 64 when what was asked for is wrong, 1 when it found something wrong or the house could not be opened or closed, 130 when a
//! second signal cuts a stop short.

mod memory;

use luckydraw::backup;
use luckydraw::ops::banner::Banner;
use luckydraw::ops::config::arguments;
use luckydraw::ops::config::{self, Config, Wish};
use luckydraw::ops::doctor;
use luckydraw::ops::healthcheck;
use luckydraw::ops::logs;
use luckydraw::ops::server::StartError;
use luckydraw::ops::server::{self, Running};
use luckydraw::ops::supervisor::watchdog;
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
        Ok(Wish::Healthcheck(config, wanted)) => healthcheck(&config, &wanted),
        Ok(Wish::Doctor { config, json }) => see_doctor(&config, json),
        Ok(Wish::Archive(config, archival)) => keep_or_bring_back(&config, &archival),
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

/// Asks the running server how it is.
fn healthcheck(config: &Config, wanted: &arguments::Healthcheck) -> ExitCode {
    let bind = if wanted.url.is_some() { Ok(&config.bind[..]) } else { healthcheck::places(config) };
    match bind.and_then(|bind| healthcheck::ask(bind, wanted)) {
        Ok(said) => {
            say(format_args!("{said}\n"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("luckydraw: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Says whether this machine is fit to serve.
fn see_doctor(config: &Config, json: bool) -> ExitCode {
    let report = doctor::examine(config);
    if json {
        say(report.json())
    } else {
        say(&report)
    }
    if report.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes a backup or an export, or brings one back.
fn keep_or_bring_back(config: &Config, archival: &backup::BackupCommand) -> ExitCode {
    match backup::run(&config.data_dir, archival, config.backup_keep, config.events_max) {
        Ok(said) => {
            say(said);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("luckydraw: {}", with_causes(&error));
            ExitCode::FAILURE
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
    watchdog::begin(house.watched());
    Ok(runtime.block_on(async {
        loop {
            // Both arms are cancel safe.
            tokio::select! {
                wanted = signals.next() => match wanted {
                    Wanted::Look => house.look_again(),
                    Wanted::Stop => break,
                },
                never = memory::give_back_forever() => match never {},
            }
        }
        watchdog::stopping();
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
        () = signals.stop() => std::process::exit(i32::from(CUT_SHORT)),
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

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// A stop: SIGTERM and Ctrl-C.
    Stop,
    /// A look at the certificates: SIGHUP.
    Look,
}

/// The signals that are heard.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn take() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one. Cancel safe.
    async fn next(&mut self) -> Wanted {
        tokio::select! {
            _ = self.hangup.recv() => Wanted::Look,
            _ = self.terminate.recv() => Wanted::Stop,
            _ = self.interrupt.recv() => Wanted::Stop,
        }
    }

    /// Waits for the next one that asks for a stop. Cancel safe.
    async fn stop(&mut self) {
        while self.next().await != Wanted::Stop {}
    }
}
