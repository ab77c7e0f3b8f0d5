//! The server's binary: settings, log, subcommands, and the signals that stop the server.
//!
//! Each subcommand has one function here and its work in a module of the library. Exit codes: 0
//! after a stop, or when a subcommand succeeded; 64 for wrong arguments or settings; 1 when
//! something failed or a check found something wrong; 2 when `verify` finds no proof to read; 130
//! when a second signal ends the process during a stop.

mod allocator;

use luckydraw::backup::{self, BackupCommand};
use luckydraw::ops::banner::{Audience, Banner};
use luckydraw::ops::config::arguments::{HealthcheckArguments, Subcommand};
use luckydraw::ops::config::{self, Config, Invocation, help};
use luckydraw::ops::server::demo::Pace;
use luckydraw::ops::server::{self, Server, StartError};
use luckydraw::ops::{doctor, healthcheck, licences, logs, verify};
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Wrong arguments or settings (EX_USAGE of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// No proof to read, as `scripts/verify-proof` says it.
const EXIT_NO_PROOF: u8 = 2;

/// Ended by a second signal, as a shell reports Ctrl-C.
const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let (subcommand, config) = match config::from_process() {
        Ok(Invocation::Run { subcommand, config }) => (subcommand, config),
        Ok(Invocation::Print(text)) => return print_and_end(text),
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("luckydraw: {problem}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match subcommand {
        Subcommand::Serve | Subcommand::Demo => serve(&config),
        #[cfg(feature = "edges")]
        Subcommand::Edge { .. } => serve_edge(&config),
        #[cfg(feature = "edges")]
        Subcommand::EdgeCode { name } => report(server::edge::codes(&config, name.as_deref())),
        #[cfg(not(feature = "edges"))]
        Subcommand::Edge { .. } | Subcommand::EdgeCode { .. } => unreachable!("the settings refuse it"),
        Subcommand::Healthcheck(arguments) => run_healthcheck(&config, &arguments),
        Subcommand::Doctor { json } => run_doctor(&config, json),
        Subcommand::Backup(command) => run_backup(&config, &command),
        Subcommand::Verify { proof, receipt } => run_verify(&proof, receipt.as_deref()),
        Subcommand::Licences => report(licences::text()),
        Subcommand::Manual => report(help::manual()),
        Subcommand::Settings => print_and_end(help::settings()),
        Subcommand::Completions(shell) => print_and_end(help::completions(shell)),
    }
}

/// Checks the liveness of the running server.
fn run_healthcheck(config: &Config, arguments: &HealthcheckArguments) -> ExitCode {
    let result = healthcheck::run(config, arguments).map(|status| format!("{status}\n"));
    report(result)
}

/// Checks whether this machine is fit to serve.
fn run_doctor(config: &Config, json: bool) -> ExitCode {
    let report = doctor::examine(config);
    if json {
        print(report.json())
    } else {
        print(&report)
    }
    if report.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes or restores a copy.
fn run_backup(config: &Config, command: &BackupCommand) -> ExitCode {
    report(backup::run(&config.data_dir, command, config.backups.keep_max, config.sequencer.events_max))
}

/// Checks a proof file.
fn run_verify(proof: &Path, receipt: Option<&Path>) -> ExitCode {
    match verify::verify_files(proof, receipt) {
        Ok(findings) => {
            findings.lines.iter().for_each(|line| print(format!("{line}\n")));
            if findings.mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("luckydraw: {}", with_causes(&error));
            ExitCode::from(EXIT_NO_PROOF)
        }
    }
}

/// Prints a subcommand's result: its text to stdout, or its error to stderr.
fn report(result: Result<String, impl Error + 'static>) -> ExitCode {
    match result {
        Ok(text) => {
            print(text);
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
    prepare_to_serve(config);
    serve_until_signal(config).unwrap_or_else(|error| not_started(&error))
}

/// Serves phones of an origin until a signal.
#[cfg(feature = "edges")]
fn serve_edge(config: &Config) -> ExitCode {
    prepare_to_serve(config);
    serve_edge_until_signal(config).unwrap_or_else(|error| not_started(&error))
}

fn prepare_to_serve(config: &Config) {
    allocator::disable_huge_pages();
    if let Ok(filter) = logs::parse_filter(&config.log) {
        logs::start(filter);
    }
}

fn not_started(error: &StartError) -> ExitCode {
    eprintln!("luckydraw: {}", with_causes(error));
    ExitCode::from(if error.is_usage() { EXIT_USAGE } else { 1 })
}

/// Starts an edge, and serves until a signal.
#[cfg(feature = "edges")]
fn serve_edge_until_signal(config: &Config) -> Result<ExitCode, StartError> {
    let (runtime, mut signals) = listen_for_signals()?;
    let edge = server::edge::start(config)?;
    print(luckydraw::ops::banner::listening(edge.addresses()));
    edge.start_watchdog();
    Ok(runtime.block_on(async {
        loop {
            // Both arms are cancel safe.
            tokio::select! {
                action = signals.next() => match action {
                    SignalAction::ReloadCertificates => edge.reload_certificates(),
                    SignalAction::Stop => break,
                },
                never = allocator::return_freed_memory() => match never {},
            }
        }
        tracing::info!("stopping; a second signal ends at once");
        stop(move || edge.stop(), signals).await
    }))
}

/// Installs the handlers of signals, before anything starts, so that a signal in between stops it
/// properly.
fn listen_for_signals() -> Result<(Runtime, Signals), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Threads)?;
    let signals = {
        let _inside = runtime.enter();
        Signals::listen().map_err(StartError::Threads)?
    };
    Ok((runtime, signals))
}

/// Starts the server, and serves until a signal.
fn serve_until_signal(config: &Config) -> Result<ExitCode, StartError> {
    let (runtime, mut signals) = listen_for_signals()?;
    let server = server::start(config)?;
    print_banner(config, &server, &runtime);
    server.start_watchdog();
    Ok(runtime.block_on(async {
        serve_signals(&server, &mut signals, config.is_demo).await;
        tracing::info!("stopping; a second signal ends at once");
        stop(move || server.stop(), signals).await
    }))
}

/// Serves signals until one asks for a stop, and the demonstration beside them.
async fn serve_signals(server: &Server, signals: &mut Signals, is_demo: bool) {
    let mut demo = pin!(server.run_demo(Pace::MINUTE));
    loop {
        // The demonstration is not dropped in between; the others are cancel safe.
        tokio::select! {
            action = signals.next() => match action {
                SignalAction::ReloadCertificates => server.reload_certificates(),
                SignalAction::Stop => break,
            },
            never = allocator::return_freed_memory() => match never {},
            never = &mut demo, if is_demo => match never {},
        }
    }
}

/// Stops what serves, unless a second signal ends the process first.
async fn stop(stop: impl FnOnce() + Send + 'static, mut signals: Signals) -> ExitCode {
    let (sender, stopped) = oneshot::channel();
    let stop = move || {
        stop();
        // There is no receiver after a second signal.
        let _ = sender.send(());
    };
    if let Err(error) = std::thread::Builder::new().name("stop".into()).spawn(stop) {
        tracing::error!(%error, "no thread to stop on: the journal's log is read at the next start");
        return ExitCode::FAILURE;
    }
    // Both arms are cancel safe.
    tokio::select! {
        // The sender is dropped unused when the stop panics.
        stopped = stopped => stopped.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        () = signals.next_stop() => ExitCode::from(EXIT_INTERRUPTED),
    }
}

fn print_banner(config: &Config, server: &Server, runtime: &Runtime) {
    let event = server.default_event().unwrap_or_else(|| config.default_event.clone());
    let join_base = server.join_base();
    // The demonstration is nobody's to steer.
    let is_terminal = io::stdout().is_terminal() && !config.is_demo;
    let audience = match (config.app.http.open, is_terminal) {
        (true, _) => {
            tracing::warn!("open mode: every client is trusted");
            Audience::Trusted
        }
        (false, true) => Audience::Terminal {
            stage_path: runtime.block_on(server.stage_path(&event)),
            console_path: server.console_path(&event),
        },
        (false, false) => Audience::Log,
    };
    let banner = Banner {
        listening: server.addresses(),
        join_base: &join_base,
        event: &event,
        token_file: server.admin_token().file.as_deref(),
        audience,
        in_colour: io::stdout().is_terminal(),
    };
    print(banner);
}

/// Prints what was asked for, and nothing else is to be done.
fn print_and_end(text: String) -> ExitCode {
    print(text);
    ExitCode::SUCCESS
}

/// Prints to stdout. A reader that has closed its end is no reason to stop.
fn print(text: impl std::fmt::Display) {
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

/// The action that a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalAction {
    /// SIGTERM and SIGINT (Ctrl-C).
    Stop,
    /// SIGHUP.
    ReloadCertificates,
}

/// The signals that the server handles.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Installs the handlers; within a runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal. Cancel safe.
    async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.hangup.recv() => SignalAction::ReloadCertificates,
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.interrupt.recv() => SignalAction::Stop,
        }
    }

    /// Waits for the next signal that asks for a stop. Cancel safe.
    async fn next_stop(&mut self) {
        while self.next().await != SignalAction::Stop {}
    }
}
