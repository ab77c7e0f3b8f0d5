//! One scenario from the first request to the last: the event, the baseline, all clients, the
//! audit.
//!
//! Beside it: the search of the ceiling, the sizing, and the summary of a whole run.

pub mod agent;
mod agents;
pub mod ceiling;
mod event;
mod live_view;
mod observers;
pub mod sizing;
pub mod stop;
pub mod summary;

use crate::actors::message::Share;
use crate::actors::phone::{self, Behaviour, Schedule};
use crate::actors::{Run, driver, interview};
use crate::arguments::{Common, NetworkChoice, RunError};
use crate::client::agent_channel::AgentKey;
use crate::client::http::{ANSWER_MAX, Request};
use crate::client::network::Network;
use crate::client::process_source::ProcessSource;
use crate::client::protocol::Call;
use crate::client::server_log::ServerLog;
use crate::client::target::Target;
use crate::client::{self, Window};
use crate::measure::clock::{Clock, Rng, Span};
use crate::measure::draw_record::DrawRecord;
use crate::measure::latency::Wait;
use crate::measure::process::ProcessStats;
use crate::measure::recorder::Recorder;
use crate::scenario::Scenario;
use crate::verdict::audit;
use crate::verdict::criteria::Criterion;
use crate::verdict::outcome::Outcome;
use serde_json::json;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Maximum wait for frames and pongs still on their way at the end, and for the server to notice
/// which sockets are gone.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// The server notices a vanished phone within this time.
const GHOST_MAX: Duration = Duration::from_secs(75);

/// Time for clients to leave: a phone that reads nothing reads its socket to the end first.
const LEAVE_MAX: Duration = Duration::from_secs(30);

/// The same when a run ends early.
const LEAVE_EARLY_MAX: Duration = Duration::from_secs(1);

/// Connections and requests of the baseline.
const BASELINE_ROUNDS: u32 = 20;

/// Settings that all scenarios of a run share.
pub struct Settings<'a> {
    pub common: &'a Common,
    pub time_scale: f64,
    pub criteria: Vec<Criterion>,
    /// The server's process, where it is measured.
    pub process: Option<ProcessSource>,
    /// The key that agents and their coordinator share, where there are any.
    pub agent_key: Option<AgentKey>,
    /// Length of the scenarios that follow.
    pub later: Cell<Duration>,
    /// Cancelled by the first signal.
    pub stop: CancellationToken,
}

/// The end of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was played to its end.
    Whole,
    /// A signal came.
    Interrupted,
    /// Nothing reached the server any more.
    ServerGone,
    /// An agent failed.
    TesterFailed,
}

/// Runs one scenario.
///
/// # Errors
/// When it could not start, or a signal came before it did.
pub async fn run_scenario(scenario: Scenario, targets: &[Target], settings: &Settings<'_>) -> Result<Outcome, RunError> {
    let mut targets = targets.to_vec();
    let opened = async {
        let creates_event = event::open(&mut targets, &scenario, &settings.common.server).await?;
        let mut recorder = Recorder::new(scenario.users);
        let log = settings.common.server_log.as_deref().map(ServerLog::follow).transpose();
        let log = log.map_err(|error| RunError::CouldNotRun(format!("--server-log: {error}")))?;
        plan_promises(&mut recorder, &scenario, targets[0].protocol.socket.has_display);
        recorder.has_network = settings.common.network == NetworkChoice::Hall;
        if !creates_event {
            recorder.before = audit::fetch_before(&targets[0]).await;
            event::require_unused(&recorder.before, &targets[0], &settings.common.server)?;
        }
        let empty = read_process(settings).await;
        let empty = empty.and_then(|reading| recorder.note_reading(reading));
        measure_baseline(&mut recorder, &targets[0]).await.map_err(RunError::CouldNotRun)?;
        Ok::<_, RunError>((recorder, creates_event, empty, log))
    };
    let is_hall = settings.common.network == NetworkChoice::Hall;
    let network_seed = is_hall.then_some(settings.common.seed);
    let clock = Clock::start();
    let agents = agents::connect(&settings.common.agents, settings.agent_key.as_ref(), clock).await?;
    let (recorder, creates_event, empty, log) = tokio::select! {
        () = settings.stop.cancelled() => return Err(RunError::Interrupted),
        opened = opened => opened?,
    };
    let starts_in = if agents.is_empty() { Duration::ZERO } else { agents::STARTS_IN };
    let starts = clock.later(clock.now() + starts_in);
    let run = Rc::new(Run::start(scenario, targets, recorder, starts, network_seed));
    let share = if agents.is_empty() { Share::ALL } else { Share::NONE };
    let (mut clients, mut drivers) = start_clients(&run, settings.common.seed, share);
    let (followers, overs) = agents::start(&run, agents, settings.common.seed, network_seed);
    clients.extend(followers);
    drivers.extend(overs);
    let (outcome, end) = play(&run, settings, (clients, drivers), creates_event, empty, log).await;
    if creates_event && end != End::ServerGone {
        event::remove(run.target()).await;
    }
    Ok(outcome)
}

/// Plays a scenario that is ready, and judges it.
async fn play(
    run: &Rc<Run>,
    settings: &Settings<'_>,
    (clients, drivers): (Vec<JoinHandle<()>>, Vec<JoinHandle<()>>),
    creates_event: bool,
    empty: Option<ProcessStats>,
    log: Option<ServerLog>,
) -> (Outcome, End) {
    let observers = observers::start(run, settings);
    let (mut end, drivers) = wait_for_end(run, drivers, settings).await;
    let lasted_s = run.clock.now().as_secs_f64();
    // Clients of a run that ended early are still active: an answer of the server now would
    // contradict what they receive later.
    let settled = async {
        settle(run).await;
        let state = audit::fetch_state(run.target()).await;
        // A phone that was refused may have got in meanwhile.
        let (fewest, most) = sockets(run);
        let counted = &mut run.recorder().counts.sockets_at_end;
        *counted = (counted.0.min(fewest), counted.1.max(most));
        state
    };
    let state = match end {
        End::Whole => until_stopped(settings, settled).await,
        _ => None,
    };
    let reading = read_process(settings).await;
    let process_end = reading.and_then(|reading| run.recorder().note_reading(reading));
    run.ended.cancel();
    let leave_max = if state.is_some() { LEAVE_MAX } else { LEAVE_EARLY_MAX };
    let tasks = clients.into_iter().chain(observers).chain(drivers).collect();
    let panics = stop::end_tasks(tasks, leave_max).await;
    let panics = panics.into_iter().map(|message| format!("its own task panicked: {message}"));
    panics.for_each(|message| run.recorder().tester.record_failure(message));
    let interviewed = match state {
        Some(_) => until_stopped(settings, interview_phones(run, creates_event)).await,
        None => None,
    };
    if end == End::Whole && interviewed.is_none() {
        end = End::Interrupted;
    }
    run.recorder().is_server_gone = end == End::ServerGone;
    run.recorder().log_errors = log.map(|log| log.errors());
    // A process that is gone is judged by its last sample, and its end is counted.
    let last = run.recorder().samples.iter().rev().find_map(|sample| sample.server);
    let process = empty.zip(process_end.or(last));
    let mut outcome = Outcome::new(run, lasted_s, &state.unwrap_or_default(), process);
    outcome.judge(run, &settings.criteria, settings.time_scale, end == End::Interrupted);
    (outcome, end)
}

/// Waits for a future unless a signal comes first.
async fn until_stopped<T>(settings: &Settings<'_>, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        () = settings.stop.cancelled() => None,
        result = future => Some(result),
    }
}

async fn interview_phones(run: &Run, creates_event: bool) {
    let (truth, participants) = {
        let recorder = run.recorder();
        let truth = recorder.before.results.iter().cloned().chain(recorder.announced_draws()).collect::<Vec<_>>();
        let is_known = creates_event && recorder.registered() == recorder.counts.registrations_due;
        (truth, is_known.then_some(recorder.registered()))
    };
    interview::interview(run, &truth, participants).await;
}

/// Notes what the scenario promises, before anything happens: whatever the server does not do is
/// then missing.
fn plan_promises(recorder: &mut Recorder, scenario: &Scenario, has_display: bool) {
    recorder.plan = (0..scenario.draw_count()).map(|index| DrawRecord::planned(index, scenario.has_stage)).collect();
    recorder.counts.registrations_due = scenario.registrations.map_or(0, |_| scenario.users as u64);
    recorder.has_sockets = scenario.sockets.is_some();
    if recorder.has_sockets {
        let display = scenario.users;
        let sockets = if recorder.plan.is_empty() || !has_display { 0..display } else { 0..display + 1 };
        sockets.for_each(|socket| recorder.connections.plan(socket));
    }
}

/// Reads the server's process, where it is measured.
async fn read_process(settings: &Settings<'_>) -> Option<Result<ProcessStats, String>> {
    Some(settings.process.as_ref()?.read().await)
}

/// Measures a connection, its TLS and an empty answer while the server is idle.
async fn measure_baseline(recorder: &mut Recorder, target: &Target) -> Result<(), String> {
    let unreached = |error: std::io::Error| format!("no connection to {}: {error}", target.authority);
    let late = |_| format!("no connection to {} within {} s", target.authority, ANSWER_MAX.as_secs());
    for _ in 0..BASELINE_ROUNDS {
        let started_us = recorder.clock.now_us();
        let stream = timeout(ANSWER_MAX, client::connect(target, Window::Usual)).await.map_err(late)?.map_err(unreached)?;
        recorder.record(Wait::Connect, started_us, started_us);
        if target.tls.is_some() {
            let started_us = recorder.clock.now_us();
            let secured = timeout(ANSWER_MAX, client::secure(target, stream)).await.map_err(late)?;
            drop(secured.map_err(|error| format!("no TLS with {}: {error}", target.authority))?);
            recorder.record(Wait::Tls, started_us, started_us);
        }
        let started_us = recorder.clock.now_us();
        // A refusal is no measurement; the scenario that follows counts errors.
        if target.has(Call::Health) && Request::call(target, Call::Health, json!({})).text().await.is_ok() {
            recorder.record(Wait::Health, started_us, started_us);
        }
    }
    Ok(())
}

/// Starts the tasks of this share of the clients: those that last until the run ends, and those
/// that end by themselves.
fn start_clients(run: &Rc<Run>, seed: u64, share: Share) -> (Vec<JoinHandle<()>>, Vec<JoinHandle<()>>) {
    let scenario = &run.scenario;
    let mut rng = Rng(seed);
    let mut arrivals = |span: Option<Span>| span.map(|span| span.arrivals(scenario.users, &mut rng));
    let [register, connect, results] = [scenario.registrations, scenario.sockets, scenario.results].map(&mut arrivals);
    let at = |times: &Option<Vec<Duration>>, index: usize| times.as_ref().map(|times| times[index]);
    let (mut clients, mut drivers) = (Vec::new(), Vec::new());
    for index in 0..scenario.users {
        let schedule = Schedule {
            register: at(&register, index),
            connect: at(&connect, index),
            results: at(&results, index),
            behaviour: behaviour(scenario, index),
        };
        let phone_rng = Rng(rng.next());
        if !share.has(index) {
            continue;
        }
        clients.push(spawn_local(phone::run_phone(run.clone(), index, schedule, phone_rng)));
        if let Some(at) = schedule.results {
            drivers.push(spawn_local(phone::request_results(run.clone(), index, at)));
        }
    }
    if scenario.draw_count() > 0 && share.has_host {
        let has_display = run.target().protocol.socket.has_display;
        let display = scenario.sockets.filter(|_| has_display).map(|_| {
            let (sender, requests) = mpsc::channel(1);
            clients.push(spawn_local(driver::run_display(run.clone(), requests, Rng(rng.next()))));
            sender
        });
        drivers.push(spawn_local(driver::drive_draws(run.clone(), display)));
    }
    (clients, drivers)
}

/// The dead come first, then the slow, of which every other never reads.
fn behaviour(scenario: &Scenario, index: usize) -> Behaviour {
    match index.checked_sub(scenario.dead) {
        None => Behaviour::Vanishes,
        Some(place) if place >= scenario.slow => Behaviour::Normal,
        Some(place) if place % 2 == 0 => Behaviour::NeverReads,
        Some(_) => Behaviour::ReadsSlowly,
    }
}

/// Waits until the scenario is over, or a signal or the server ends it. Returns the tasks that are
/// still at work.
async fn wait_for_end(run: &Run, drivers: Vec<JoinHandle<()>>, settings: &Settings<'_>) -> (End, Vec<JoinHandle<()>>) {
    let mut drivers = drivers;
    let over = async {
        run.clock.wait_until(run.scenario.end).await;
        while drivers.iter().any(|task| !task.is_finished()) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let end = tokio::select! {
        () = over => End::Whole,
        () = settings.stop.cancelled() => End::Interrupted,
        () = run.server_gone.cancelled() => End::ServerGone,
        () = run.tester_failed.cancelled() => End::TesterFailed,
    };
    if end != End::Whole {
        drivers.iter_mut().for_each(|task| task.abort());
    }
    (end, drivers)
}

/// Gives answers and frames on their way the time to arrive: a late one is not lost, and is in the
/// latencies. No client asks for anything any more. Afterwards each registration has an answer or
/// has failed, and every socket is back from the storm.
async fn settle(run: &Run) {
    let wait_while = async |max: Duration, pending: &dyn Fn(&Recorder) -> bool| {
        let deadline = Instant::now() + max;
        while pending(&run.recorder()) && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
    };
    wait_while(ANSWER_MAX, &|recorder| recorder.counts.registering + recorder.ledger.absent() > 0).await;
    run.leaving.cancel();
    let told = audit::fetch_sync(run.target()).await.map(|sync| sync.seq);
    let owed = |recorder: &Recorder| {
        // A server that tells no position owes the announcement of each draw that it completed.
        let completed = recorder.plan.iter().filter(|draw| draw.completed.is_some()).count() as u64;
        let unheard = if told.is_none() && recorder.has_sockets { completed.saturating_sub(recorder.announced()) } else { 0 };
        let seq = told.unwrap_or(0).max(recorder.ledger.highest);
        recorder.ledger.balance(seq).lost + recorder.connections.pongs_missing() + unheard
    };
    wait_while(SETTLE_MAX, &|recorder| owed(recorder) > 0).await;
    let deadline = Instant::now() + SETTLE_MAX;
    loop {
        let counted = audit::fetch_sync(run.target()).await.map(|sync| sync.connection_count);
        count_sockets(run);
        let is_settled = {
            let recorder = run.recorder();
            counted.is_none_or(|counted| recorder.ghosts(counted) + recorder.forgotten(counted) == 0)
        };
        if is_settled || Instant::now() >= deadline {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The sockets that are open at the first address, and those at all of them, with those that the
/// server may have opened already.
fn sockets(run: &Run) -> (u64, u64) {
    let recorder = run.recorder();
    (recorder.addresses.open_at_first(), recorder.counts.sockets + recorder.counts.opening)
}

/// Notes how many sockets the server may count: those that are open, those that vanished a moment
/// ago, and slow ones, which it may have evicted.
fn count_sockets(run: &Run) {
    let scenario = &run.scenario;
    let vanished_for = run.clock.now().saturating_sub(scenario.all_connected());
    let dead = if vanished_for < GHOST_MAX { scenario.dead } else { 0 };
    let half_open = run.network.as_ref().map_or(0, Network::half_open);
    let open = sockets(run);
    let counts = &mut run.recorder().counts;
    let half_open = half_open + counts.half_open.values().sum::<u64>();
    (counts.sockets_at_end, counts.ghosts_allowed) = (open, (dead + scenario.slow) as u64 + half_open);
}
