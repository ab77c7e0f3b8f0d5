//! `drawload agent`: plays the phones of its share for a coordinator, and sends it every entry.
//!
//! An agent judges nothing. It serves one coordinator at a time, which must hold the shared token.

use super::ceiling::reserve_sockets;
use super::{LEAVE_MAX, observers, start_clients, stop};
use crate::actors::Run;
use crate::actors::message::{Command, Job, Message, line};
use crate::arguments::{AgentOptions, RunError};
use crate::client::agent_channel::AgentKey;
use crate::client::network::Network;
use crate::client::protocol::Protocol;
use crate::client::target::Target;
use crate::measure::clock::Clock;
use crate::measure::recorder::Recorder;
use crate::server_options::AgentToken;
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_local;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Entries on their way to the coordinator. With more the agent is the bottleneck, and gives up.
const QUEUE_MAX: usize = 1 << 16;

/// Time for a coordinator to prove that it holds the token.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// Between two signs of life.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

type Commands = Lines<BufReader<ReadHalf<TlsStream<TcpStream>>>>;
type Writer = WriteHalf<TlsStream<TcpStream>>;

/// The key of the token that agents and their coordinator share.
///
/// # Errors
/// When there is no token, or it is short.
pub fn agent_key(token: &AgentToken) -> std::result::Result<AgentKey, RunError> {
    let token = token.read().map_err(RunError::Usage)?;
    AgentKey::derive(&token).map_err(|error| RunError::CouldNotRun(format!("--agent-token-file: {error}")))
}

/// Serves coordinators until a signal comes.
///
/// # Errors
/// When there is no token, or the address cannot be listened on.
pub async fn serve(options: &AgentOptions) -> std::result::Result<(), RunError> {
    let cannot = |error: Error| RunError::CouldNotRun(format!("--listen {}: {error}", options.listen));
    let acceptor = agent_key(&options.token)?.acceptor().map_err(|error| RunError::CouldNotRun(error.to_string()))?;
    let listener = TcpListener::bind(&options.listen).await.map_err(cannot)?;
    let stop = stop::on_signals();
    eprintln!("drawload: agent at {}", listener.local_addr().map_err(cannot)?);
    loop {
        let (stream, peer) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => accepted.map_err(cannot)?,
        };
        let ended = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            ended = serve_coordinator(stream, options, &acceptor) => ended,
        };
        eprintln!("drawload: {peer}: {}", ended.map_or_else(|error| error.to_string(), |()| "done".to_owned()));
    }
}

/// Serves one coordinator for one scenario.
async fn serve_coordinator(stream: TcpStream, options: &AgentOptions, acceptor: &TlsAcceptor) -> Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = split(timeout(HELLO_WITHIN, acceptor.accept(stream)).await??);
    let (mut commands, clock) = (BufReader::new(reader).lines(), Clock::start());
    loop {
        match next(&mut commands).await? {
            Command::Clock => send(&mut writer, &clock_now(clock)).await?,
            Command::Job(job) => {
                let run = match prepare(&job, clock, options).await {
                    Ok(run) => run,
                    Err(why) => return send(&mut writer, &Message::Refused(why)).await,
                };
                return play(run, &job, clock, commands, writer).await;
            }
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn clock_now(clock: Clock) -> Message<'static> {
    Message::Clock(i64::try_from(clock.now_us()).unwrap_or(i64::MAX))
}

async fn send(writer: &mut Writer, message: &Message<'_>) -> Result<()> {
    writer.write_all(line(message).as_bytes()).await?;
    // TLS keeps what it has not sent yet.
    writer.flush().await
}

async fn next(commands: &mut Commands) -> Result<Command> {
    let line = commands.next_line().await?.ok_or(ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}

/// The run of a job, by the agent's own way to the server.
async fn prepare(job: &Job, clock: Clock, options: &AgentOptions) -> std::result::Result<Run, String> {
    let protocol = Rc::new(Protocol::parse(job.protocol.clone())?);
    let mut targets = Vec::with_capacity(job.hosts.len());
    for host in &job.hosts {
        let mut target = Target::at(host, &options.trust)?;
        (target.event, target.origin, target.protocol) = (job.event.clone(), job.origin.clone(), protocol.clone());
        target.choose_address().await;
        targets.push(target);
    }
    if targets.is_empty() {
        return Err("the job names no server".to_owned());
    }
    reserve_sockets(job.scenario.users as u64, 1)?;
    let (recorder, clock) = (Recorder::new(job.scenario.users), clock.shifted(job.starts_us));
    Ok(Run::start(job.scenario.clone(), targets, recorder, clock, job.network_seed))
}

/// Plays the phones of a job to its end. `clock` is the one that the coordinator asks for.
async fn play(run: Run, job: &Job, clock: Clock, commands: Commands, mut writer: Writer) -> Result<()> {
    let (sender, mut entries) = channel(QUEUE_MAX);
    let run = Rc::new(run.report_to(sender.clone()));
    let (mut tasks, drivers) = start_clients(&run, job.seed, job.share);
    tasks.push(spawn_local(observers::watch_timers(run.clone())));
    let over = sender.clone();
    tasks.push(spawn_local(async move {
        for driver in drivers {
            // A panic shows in the count of what the phones did not do.
            let _ = driver.await;
        }
        let _ = over.send(line(&Message::Over)).await;
    }));
    let followed = send_while(&run, follow(&run, commands, clock, &sender), &mut entries, &mut writer).await;
    run.ended.cancel();
    let panics = send_while(&run, stop::end_tasks(tasks, LEAVE_MAX), &mut entries, &mut writer).await?;
    followed??;
    while let Ok(entry) = entries.try_recv() {
        writer.write_all(entry.as_bytes()).await?;
    }
    let mut limited_by = run.recorder().tester.health().limited_by;
    limited_by.extend(panics.into_iter().map(|message| format!("its own task panicked: {message}")));
    send(&mut writer, &Message::Done { limited_by }).await
}

/// Follows the coordinator's commands until the last one.
async fn follow(run: &Run, mut commands: Commands, clock: Clock, answers: &Sender<String>) -> Result<()> {
    loop {
        let command = tokio::select! {
            command = next(&mut commands) => command?,
            () = run.ended.cancelled() => return Err(Error::other("it takes entries too slowly")),
        };
        match command {
            // A queue that is full ends the run by itself.
            Command::Clock => drop(answers.try_send(line(&clock_now(clock)))),
            Command::Drawn => run.drawn.cancel(),
            Command::Leave => run.leaving.cancel(),
            Command::End => return Ok(()),
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// Waits for a future, and sends entries and signs of life meanwhile.
async fn send_while<T>(
    run: &Run,
    future: impl Future<Output = T>,
    entries: &mut Receiver<String>,
    writer: &mut Writer,
) -> Result<T> {
    tokio::pin!(future);
    let mut ticks = interval(ALIVE_EVERY);
    loop {
        let line = tokio::select! {
            result = &mut future => return Ok(result),
            Some(entry) = entries.recv() => entry,
            _ = ticks.tick() => line(&Message::Alive { half_open: run.network.as_ref().map_or(0, Network::half_open) }),
        };
        writer.write_all(line.as_bytes()).await?;
        if entries.is_empty() {
            writer.flush().await?;
        }
    }
}
