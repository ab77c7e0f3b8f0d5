//! `drawload agent`: plays the phones of its share for a coordinator, and sends it every entry.
//!
//! An agent judges nothing. It serves one coordinator at a time, which must know the shared token.

use super::ceiling::reserve_sockets;
use super::{LEAVE_MAX, observers, start_clients, stop};
use crate::actors::Run;
use crate::actors::message::{Command, Job, Message, line};
use crate::arguments::{AgentOptions, RunError};
use crate::client::target::Target;
use crate::measure::clock::Clock;
use crate::measure::recorder::Recorder;
use std::io::{Error, ErrorKind, Result};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::spawn_local;
use tokio::time::{interval, timeout};

/// Entries on their way to the coordinator. With more the agent is the bottleneck, and gives up.
const QUEUE_MAX: usize = 1 << 16;

/// The longest first line: until it has the token, a peer may be anybody.
const HELLO_MAX: u64 = 1 << 10;

/// Time for a coordinator to present its token.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// Between two signs of life.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

type Commands = Lines<BufReader<OwnedReadHalf>>;

/// Serves coordinators until a signal comes.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(options: &AgentOptions, token: &str) -> std::result::Result<(), RunError> {
    let cannot = |error: Error| RunError::CouldNotRun(format!("--listen {}: {error}", options.listen));
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
            ended = serve_coordinator(stream, options, token) => ended,
        };
        eprintln!("drawload: {peer}: {}", ended.map_or_else(|error| error.to_string(), |()| "done".to_owned()));
    }
}

/// Serves one coordinator for one scenario.
async fn serve_coordinator(stream: TcpStream, options: &AgentOptions, token: &str) -> Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut hello = String::new();
    timeout(HELLO_WITHIN, (&mut reader).take(HELLO_MAX).read_line(&mut hello)).await??;
    let is_known = matches!(serde_json::from_str(&hello), Ok(Command::Hello { token: theirs }) if theirs == token);
    if !is_known {
        writer.write_all(line(&Message::Refused("the token is another".into())).as_bytes()).await?;
        return Err(Error::new(ErrorKind::PermissionDenied, "it has another token"));
    }
    let (mut commands, clock) = (reader.lines(), Clock::start());
    loop {
        match next(&mut commands).await? {
            Command::Clock => {
                let now_us = i64::try_from(clock.now_us()).unwrap_or(i64::MAX);
                writer.write_all(line(&Message::Clock(now_us)).as_bytes()).await?;
            }
            Command::Job(job) => return play(*job, clock, commands, writer, options).await,
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

async fn next(commands: &mut Commands) -> Result<Command> {
    let line = commands.next_line().await?.ok_or(ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}

/// Plays the phones of a job to its end.
async fn play(job: Job, clock: Clock, commands: Commands, mut writer: OwnedWriteHalf, options: &AgentOptions) -> Result<()> {
    let mut target = Target::at(&job.host, &options.trust).map_err(Error::other)?;
    (target.event, target.origin) = (job.event, job.origin);
    target.choose_address().await;
    reserve_sockets(job.scenario.users as u64, 1).map_err(Error::other)?;
    let (sender, mut entries) = channel(QUEUE_MAX);
    let (recorder, clock) = (Recorder::new(job.scenario.users), clock.shifted(job.starts_us));
    let run = Rc::new(Run::start(job.scenario, target, recorder, clock, None).report_to(sender.clone()));
    let (mut tasks, drivers) = start_clients(&run, job.seed, job.share);
    tasks.push(spawn_local(observers::watch_timers(run.clone())));
    tasks.push(spawn_local(async move {
        for driver in drivers {
            // A panic shows in the count of what the phones did not do.
            let _ = driver.await;
        }
        let _ = sender.send(line(&Message::Over)).await;
    }));
    let followed = send_while(follow(&run, commands), &mut entries, &mut writer).await;
    run.ended.cancel();
    let panics = send_while(stop::end_tasks(tasks, LEAVE_MAX), &mut entries, &mut writer).await?;
    followed??;
    while let Ok(entry) = entries.try_recv() {
        writer.write_all(entry.as_bytes()).await?;
    }
    let mut limited_by = run.recorder().tester.health().limited_by;
    limited_by.extend(panics.into_iter().map(|message| format!("its own task panicked: {message}")));
    writer.write_all(line(&Message::Done { limited_by }).as_bytes()).await
}

/// Follows the coordinator's commands until the last one.
async fn follow(run: &Run, mut commands: Commands) -> Result<()> {
    loop {
        let command = tokio::select! {
            command = next(&mut commands) => command?,
            () = run.ended.cancelled() => return Err(Error::other("it takes entries too slowly")),
        };
        match command {
            Command::Drawn => run.drawn.cancel(),
            Command::Leave => run.leaving.cancel(),
            Command::End => return Ok(()),
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// Waits for a future, and sends entries and signs of life meanwhile.
async fn send_while<T>(
    future: impl Future<Output = T>,
    entries: &mut Receiver<String>,
    writer: &mut OwnedWriteHalf,
) -> Result<T> {
    tokio::pin!(future);
    let mut ticks = interval(ALIVE_EVERY);
    loop {
        let line = tokio::select! {
            result = &mut future => return Ok(result),
            Some(entry) = entries.recv() => entry,
            _ = ticks.tick() => line(&Message::Alive),
        };
        writer.write_all(line.as_bytes()).await?;
    }
}
