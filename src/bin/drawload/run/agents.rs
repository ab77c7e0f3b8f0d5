//! The coordinator of agents: gives each its share of the phones, and makes their entries in the
//! one ledger.
//!
//! An agent that ends, or is silent for long, makes the run void: what its phones received since
//! then is not known.

use crate::actors::Run;
use crate::actors::message::{Command, Job, Message, Share, line};
use crate::arguments::RunError;
use crate::measure::clock::{Clock, ServerClock};
use crate::measure::ms;
use crate::measure::self_metrics::LAG_P99_MS_MAX;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Time for an agent to answer before the run.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// An agent that sends nothing for this long has stalled; a sign of life comes every second.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Questions for its clock, of which the quickest counts.
const CLOCK_QUESTIONS: u32 = 8;

/// From the jobs to the start of the run.
pub const STARTS_IN: Duration = Duration::from_millis(500);

/// An agent that accepted the token.
pub struct Agent {
    name: String,
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    /// Its clock, by that of the coordinator.
    clock: ServerClock,
}

/// Connects to every agent and measures its clock.
///
/// # Errors
/// When one cannot be reached, or has another token.
pub async fn connect(addresses: &[String], token: &str, clock: Clock) -> Result<Vec<Agent>, RunError> {
    let mut agents = Vec::with_capacity(addresses.len());
    for address in addresses {
        let connected = timeout(ANSWER_MAX, Agent::connect(address, token, clock)).await;
        let connected = connected.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        agents.push(connected.map_err(|why| RunError::CouldNotRun(format!("--agents {address}: {why}")))?);
    }
    Ok(agents)
}

/// Starts every agent: tasks that last until it has ended, and tasks that end when its phones have
/// requested their results. `clock` is the one that measured theirs.
pub fn start(run: &Rc<Run>, agents: Vec<Agent>, seed: u64, clock: Clock) -> (Vec<JoinHandle<()>>, Vec<JoinHandle<()>>) {
    let of = agents.len();
    let started = agents.into_iter().enumerate().map(|(index, agent)| {
        let over = CancellationToken::new();
        let starts_us = agent.clock.offset_us().unwrap_or(0).saturating_add(run.clock.since_us(clock));
        let job = Job {
            scenario: run.scenario.clone(),
            share: Share::new(index, of),
            seed,
            host: run.target.url(),
            event: run.target.event.clone(),
            origin: run.target.origin.clone(),
            starts_us,
        };
        let follower = spawn_local(agent.play(run.clone(), job, over.clone()));
        (follower, spawn_local(over.cancelled_owned()))
    });
    started.unzip()
}

impl Agent {
    async fn connect(address: &str, token: &str, clock: Clock) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (reader, writer) = stream.into_split();
        let (lines, clock_of_agent) = (BufReader::new(reader).lines(), ServerClock::default());
        let mut agent = Self { name: address.to_owned(), lines, writer, clock: clock_of_agent };
        agent.send(&Command::Hello { token: token.to_owned() }).await?;
        for _ in 0..CLOCK_QUESTIONS {
            let sent_us = clock.now_us();
            agent.send(&Command::Clock).await?;
            let text = agent.next_line().await?;
            match serde_json::from_str(&text) {
                Ok(Message::Clock(agent_us)) => agent.clock.add(sent_us, clock.now_us(), agent_us),
                Ok(Message::Refused(why)) => return Err(why.into_owned()),
                _ => return Err("is no agent of this version".to_owned()),
            }
        }
        Ok(agent)
    }

    async fn send(&mut self, command: &Command) -> Result<(), String> {
        self.writer.write_all(line(command).as_bytes()).await.map_err(|error| error.to_string())
    }

    async fn next_line(&mut self) -> Result<String, String> {
        let line = timeout(SILENCE_MAX, self.lines.next_line()).await;
        let line = line.map_err(|_| format!("was silent for {} s", SILENCE_MAX.as_secs()))?;
        line.map_err(|error| error.to_string())?.ok_or_else(|| "ended".to_owned())
    }

    /// Has the agent play its share, to the end of the run.
    async fn play(mut self, run: Rc<Run>, job: Job, over: CancellationToken) {
        let uncertain_ms = ms(self.clock.round_trip_us().unwrap_or(0)) / 2.0;
        if uncertain_ms > LAG_P99_MS_MAX {
            let why = format!("the clock of agent {} is known within {uncertain_ms:.0} ms only", self.name);
            run.recorder().tester.record_limit(why);
        }
        if let Err(why) = self.follow(&run, job, &over).await {
            run.recorder().tester.record_failure(format!("agent {}: {why}", self.name));
            run.tester_failed.cancel();
        }
        over.cancel();
    }

    async fn follow(&mut self, run: &Run, job: Job, over: &CancellationToken) -> Result<(), String> {
        self.send(&Command::Job(Box::new(job))).await?;
        let mut told = [false; 3];
        loop {
            let text = tokio::select! {
                text = self.next_line() => text?,
                () = run.drawn.cancelled(), if !told[0] => {
                    told[0] = true;
                    self.send(&Command::Drawn).await?;
                    continue;
                }
                () = run.leaving.cancelled(), if !told[1] => {
                    told[1] = true;
                    self.send(&Command::Leave).await?;
                    continue;
                }
                () = run.ended.cancelled(), if !told[2] => {
                    told[2] = true;
                    self.send(&Command::End).await?;
                    continue;
                }
            };
            match serde_json::from_str(&text) {
                Ok(Message::Entry(phone, at_us, entry)) if phone < run.scenario.users => run.note_at(phone, at_us, entry),
                Ok(Message::Alive) => {}
                Ok(Message::Over) => over.cancel(),
                Ok(Message::Done { limited_by }) => {
                    let limits = limited_by.into_iter().map(|why| format!("agent {}: {why}", self.name));
                    limits.for_each(|why| run.recorder().tester.record_limit(why));
                    return Ok(());
                }
                Ok(Message::Refused(why)) => return Err(why.into_owned()),
                _ => return Err(format!("sent what nobody knows: {text:.200}")),
            }
        }
    }
}
