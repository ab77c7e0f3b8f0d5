//! The coordinator of agents: gives each its share of the phones, and makes their entries in the
//! one ledger.
//!
//! An agent that ends, or is silent for long, makes the run void: what its phones received since
//! then is not known. Its clock is compared again and again, and its times are corrected by what it
//! has drifted since the start.

use crate::actors::Run;
use crate::actors::message::{Command, Job, Message, Share, line};
use crate::arguments::RunError;
use crate::client::agent_channel::{AgentKey, NAME};
use crate::client::target::Target;
use crate::measure::clock::{Clock, ServerClock};
use crate::measure::ms;
use crate::measure::self_metrics::{AgentHealth, LAG_P99_MS_MAX};
use rustls::pki_types::ServerName;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// Time for an agent to answer before the run.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// An agent that sends nothing for this long has stalled; a sign of life comes every second.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Questions for its clock before the run, of which the quickest counts; and between two while it
/// lasts.
const CLOCK_QUESTIONS: u32 = 8;
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// From the jobs to the start of the run.
pub const STARTS_IN: Duration = Duration::from_millis(500);

/// An agent that holds the token.
pub struct Agent {
    name: String,
    lines: Lines<BufReader<ReadHalf<TlsStream<TcpStream>>>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    clock: AgentClock,
}

/// The clock of an agent, by that of the coordinator.
struct AgentClock {
    own: Clock,
    theirs: ServerClock,
    /// When the question was sent that has no answer yet.
    asked_us: Option<u64>,
    /// The agent's clock minus the coordinator's when the run started.
    at_start_us: i64,
    answers: u64,
}

impl AgentClock {
    fn new(own: Clock) -> Self {
        Self { own, theirs: ServerClock::default(), asked_us: None, at_start_us: 0, answers: 0 }
    }

    /// Notes that a question is sent now; `None` while another one has no answer.
    fn ask(&mut self, now_us: u64) -> Option<Command> {
        self.asked_us.replace(self.asked_us.unwrap_or(now_us)).is_none().then_some(Command::Clock)
    }

    fn answer(&mut self, now_us: u64, agent_us: i64) {
        if let Some(asked_us) = self.asked_us.take() {
            self.theirs.add(asked_us, now_us, agent_us);
            self.answers += 1;
        }
    }

    fn offset_us(&self) -> i64 {
        self.theirs.offset_us().unwrap_or(self.at_start_us)
    }

    /// The offset's change since the start: what a time of the agent is too late by.
    fn drift_us(&self) -> i64 {
        self.offset_us().saturating_sub(self.at_start_us)
    }

    fn error_ms(&self) -> f64 {
        ms(self.theirs.round_trip_us().unwrap_or(0)) / 2.0
    }
}

/// Connects to every agent and measures its clock.
///
/// # Errors
/// When one cannot be reached, or has another token.
pub async fn connect(addresses: &[String], key: Option<&AgentKey>, clock: Clock) -> Result<Vec<Agent>, RunError> {
    let Some(key) = key else { return Ok(Vec::new()) };
    let connector = key.connector().map_err(|error| RunError::CouldNotRun(error.to_string()))?;
    let mut agents = Vec::with_capacity(addresses.len());
    for address in addresses {
        let connected = timeout(ANSWER_MAX, Agent::connect(address, &connector, clock)).await;
        let connected = connected.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        agents.push(connected.map_err(|why| RunError::CouldNotRun(format!("--agents {address}: {why}")))?);
    }
    Ok(agents)
}

/// Starts every agent: tasks that last until it has ended, and tasks that end when its phones have
/// requested their results.
pub fn start(
    run: &Rc<Run>,
    agents: Vec<Agent>,
    seed: u64,
    network_seed: Option<u64>,
) -> (Vec<JoinHandle<()>>, Vec<JoinHandle<()>>) {
    let of = agents.len();
    let started = agents.into_iter().enumerate().map(|(index, mut agent)| {
        let over = CancellationToken::new();
        agent.clock.at_start_us = agent.clock.offset_us();
        let target = run.target();
        let job = Job {
            scenario: run.scenario.clone(),
            share: Share::new(index, of),
            seed,
            network_seed,
            hosts: run.targets().iter().map(Target::url).collect(),
            protocol: target.protocol.source.clone(),
            event: target.event.clone(),
            origin: target.origin.clone(),
            starts_us: agent.clock.at_start_us.saturating_add(run.clock.since_us(agent.clock.own)),
        };
        let follower = spawn_local(agent.play(run.clone(), index, job, over.clone()));
        (follower, spawn_local(over.cancelled_owned()))
    });
    started.unzip()
}

impl Agent {
    async fn connect(address: &str, connector: &TlsConnector, clock: Clock) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = ServerName::try_from(NAME).map_err(|error| error.to_string())?;
        let (reader, writer) = split(connector.connect(name, stream).await.map_err(|error| error.to_string())?);
        let lines = BufReader::new(reader).lines();
        let mut agent = Self { name: address.to_owned(), lines, writer, clock: AgentClock::new(clock) };
        for _ in 0..CLOCK_QUESTIONS {
            agent.ask_clock().await?;
            let text = agent.next_line().await?;
            match serde_json::from_str(&text) {
                Ok(Message::Clock(agent_us)) => agent.clock.answer(clock.now_us(), agent_us),
                _ => return Err("is no agent of this version".to_owned()),
            }
        }
        Ok(agent)
    }

    async fn ask_clock(&mut self) -> Result<(), String> {
        match self.clock.ask(self.clock.own.now_us()) {
            Some(question) => self.send(&question).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, command: &Command) -> Result<(), String> {
        self.writer.write_all(line(command).as_bytes()).await.map_err(|error| error.to_string())?;
        // TLS keeps what it has not sent yet.
        self.writer.flush().await.map_err(|error| error.to_string())
    }

    async fn next_line(&mut self) -> Result<String, String> {
        let line = self.lines.next_line().await;
        line.map_err(|error| error.to_string())?.ok_or_else(|| "ended".to_owned())
    }

    /// Has the agent play its share, to the end of the run.
    async fn play(mut self, run: Rc<Run>, index: usize, job: Job, over: CancellationToken) {
        let failed = self.follow(&run, index, job, &over).await.err();
        let mut recorder = run.recorder();
        let AgentClock { answers, .. } = self.clock;
        let (error_ms, drift_us) = (self.clock.error_ms(), self.clock.drift_us());
        if error_ms > LAG_P99_MS_MAX {
            recorder.tester.record_limit(format!("the clock of agent {} is known within {error_ms:.0} ms only", self.name));
        }
        #[expect(clippy::cast_precision_loss, reason = "a drift fits 53 bits")]
        let drift_ms = drift_us as f64 / 1_000.0;
        recorder.tester.agents.push(AgentHealth { agent: self.name.clone(), clock_readings: answers, error_ms, drift_ms });
        if let Some(why) = failed {
            recorder.tester.record_failure(format!("agent {}: {why}", self.name));
            run.tester_failed.cancel();
        }
        over.cancel();
    }

    async fn follow(&mut self, run: &Run, index: usize, job: Job, over: &CancellationToken) -> Result<(), String> {
        self.send(&Command::Job(Box::new(job))).await?;
        let mut told = [false; 3];
        // It lasts from line to line, whatever is sent meanwhile.
        let silence = sleep(SILENCE_MAX);
        tokio::pin!(silence);
        let mut questions = interval(CLOCK_EVERY);
        questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (word, command) = tokio::select! {
                text = self.next_line() => {
                    silence.as_mut().reset(Instant::now() + SILENCE_MAX);
                    if self.hear(run, index, &text?, over)? {
                        return Ok(());
                    }
                    continue;
                }
                () = &mut silence => {
                    // A coordinator that stood still itself has lines that it has not read.
                    let unread = timeout(Duration::ZERO, self.next_line()).await;
                    let text = unread.map_err(|_| format!("was silent for {} s", SILENCE_MAX.as_secs()))??;
                    silence.as_mut().reset(Instant::now() + SILENCE_MAX);
                    if self.hear(run, index, &text, over)? {
                        return Ok(());
                    }
                    continue;
                }
                // After the last command nobody answers.
                _ = questions.tick(), if !told[2] => {
                    self.ask_clock().await?;
                    continue;
                }
                () = run.drawn.cancelled(), if !told[0] => (0, Command::Drawn),
                () = run.leaving.cancelled(), if !told[1] => (1, Command::Leave),
                () = run.ended.cancelled(), if !told[2] => (2, Command::End),
            };
            told[word] = true;
            self.send(&command).await?;
        }
    }

    /// Takes a line of the agent; returns true for its last one.
    fn hear(&mut self, run: &Run, index: usize, text: &str, over: &CancellationToken) -> Result<bool, String> {
        match serde_json::from_str(text) {
            Ok(Message::Entry(phone, at_us, entry)) if phone < run.scenario.users => {
                let drift_us = self.clock.drift_us();
                run.note_at(phone, at_us.saturating_add_signed(-drift_us), entry.shifted(-drift_us));
            }
            Ok(Message::Clock(agent_us)) => self.clock.answer(self.clock.own.now_us(), agent_us),
            Ok(Message::Alive { half_open }) => drop(run.recorder().counts.half_open.insert(index, half_open)),
            Ok(Message::Over) => over.cancel(),
            Ok(Message::Done { limited_by }) => {
                let limits = limited_by.into_iter().map(|why| format!("agent {}: {why}", self.name));
                limits.for_each(|why| run.recorder().tester.record_limit(why));
                return Ok(true);
            }
            Ok(Message::Refused(why)) => return Err(why),
            _ => return Err(format!("sent what nobody knows: {text:.200}")),
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::entry::Entry;

    #[test]
    fn a_clock_that_drifts_is_corrected_while_the_run_lasts() {
        // A worse quartz than any: 200 ppm, 720 ms in an hour. Answers take 1 to 9 ms.
        let theirs_us = |us: u64| i64::try_from(us + us / 5_000).unwrap() + 4_000_000;
        let mut clock = AgentClock::new(Clock::start());
        let second = |clock: &mut AgentClock, at: u64| {
            let sent_us = at * 1_000_000;
            assert!(clock.ask(sent_us).is_some() && clock.ask(sent_us + 500).is_none(), "one question at a time");
            let took_us = 1_000 + at % 5 * 2_000;
            clock.answer(sent_us + took_us, theirs_us(sent_us + took_us / 2));
        };
        (0..8).for_each(|at| second(&mut clock, at));
        clock.at_start_us = clock.offset_us();
        let mut worst_us = 0;
        for at in 8..3_600 {
            second(&mut clock, at);
            // An entry of the agent, by its clock, and what it is corrected to.
            let true_us = at * 1_000_000 + 300_000;
            let told_us = theirs_us(true_us) - clock.at_start_us;
            let corrected_us = told_us - clock.drift_us();
            worst_us = worst_us.max(corrected_us.abs_diff(i64::try_from(true_us).unwrap()));
        }
        assert!(worst_us < 3_000, "{worst_us} µs: its last eight seconds and half a round trip");
        assert!(clock.drift_us().abs_diff(718_000) < 3_000, "{} µs since the start", clock.drift_us());
    }

    #[test]
    fn every_time_of_an_entry_is_corrected() {
        let call = Entry::Call { wait: crate::measure::latency::Wait::Register, planned_us: 5, started_us: 7, failure: None };
        let Entry::Call { planned_us, started_us, .. } = call.shifted(-6) else { panic!("another entry") };
        assert_eq!((planned_us, started_us), (0, 1));
        let Entry::Departed { due_us } = (Entry::Departed { due_us: 9 }).shifted(4) else { panic!("another entry") };
        assert_eq!(due_us, 13);
    }
}
