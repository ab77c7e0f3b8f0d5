//! One scenario from the first question to the last: the event, the baseline, everybody's evening, the audit.

use crate::audit::{self, Memory, insist};
use crate::book::Book;
use crate::clock::{Chance, Clock, Span, micros};
use crate::connection::{Connection, Window};
use crate::http::{Ask, Failure, PATIENCE};
use crate::measure::latency::Wait;
use crate::measure::process::Reading;
use crate::outcome::{Evidence, Outcome};
use crate::phone::{self, Fate, Moments};
use crate::plan::Plan;
use crate::run::Run;
use crate::target::Target;
use crate::{observers, stage_hand, verdict};
use serde_json::json;
use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long frames that are still under way at the end are waited for.
const SETTLING: Duration = Duration::from_secs(5);

/// Connections and requests of the baseline.
const BASELINE_ROUNDS: u32 = 20;

/// Why nothing was judged.
#[derive(Debug)]
pub enum Stopped {
    Usage(String),
    CouldNotRun(String),
}

/// What all tasks of a scenario share.
pub struct Evening {
    pub plan: Plan,
    pub target: Target,
    pub clock: Clock,
    pub book: RefCell<Book>,
    /// Everybody hangs up.
    pub over: CancellationToken,
}

impl Evening {
    /// Waits until something is to be sent, and notes how late the tester itself is.
    pub async fn wait_to_send(&self, moment: Duration) {
        let late_us = self.clock.wait_for(moment).await;
        self.book.borrow_mut().oneself.note_send(late_us);
    }

    /// Comes when all sockets drop; never when the storm is over or there is none.
    pub async fn storm(&self) {
        match self.plan.storm.filter(|at| *at > self.clock.now()) {
            Some(at) => drop(self.clock.wait_for(at).await),
            None => pending().await,
        }
    }
}

/// One scenario.
///
/// # Errors
/// When it could not begin.
pub async fn play(plan: Plan, mut target: Target, run: &Run<'_>) -> Result<Outcome, Stopped> {
    let made = run.common.door.event_id.is_none();
    open_event(&mut target, &plan, made).await.map_err(Stopped::CouldNotRun)?;
    let empty = run.common.pid.and_then(|pid| Reading::of(pid).ok());
    let mut book = Book::new(plan.users);
    measure_baseline(&mut book, &target).await.map_err(Stopped::CouldNotRun)?;
    book.clock = Clock::starting_now();
    let clock = book.clock;
    let evening = Rc::new(Evening { plan, target, clock, book: RefCell::new(book), over: CancellationToken::new() });
    let observers = observers::post(&evening, run.common.pid, run.time_scale);
    let (people, show) = invite(&evening, run.common.seed);
    let interrupted = wait_for_end(&evening, show).await;
    let lasted_s = clock.now().as_secs_f64();
    // Cut short, people are still at it: whatever the server said now would be held against what they hear later.
    let memory = if interrupted {
        Memory::default()
    } else {
        settle(&evening).await;
        audit::remember(&evening.target).await
    };
    let end = run.common.pid.and_then(|pid| Reading::of(pid).ok());
    {
        let mut book = evening.book.borrow_mut();
        book.sockets_at_end = book.sockets;
    }
    evening.over.cancel();
    for task in people.into_iter().chain(observers) {
        let _ = task.await;
    }
    let mut outcome = conclude(&evening, &memory, lasted_s, (empty, end));
    verdict::speak(&mut outcome, &evening.plan, &run.rules, run.time_scale, interrupted);
    if made {
        remove_event(&evening.target).await;
    }
    Ok(outcome)
}

/// Everything but the verdict; `readings` are of the server's process, before and after.
fn conclude(evening: &Evening, memory: &Memory, lasted_s: f64, readings: (Option<Reading>, Option<Reading>)) -> Outcome {
    let mut book = evening.book.borrow_mut();
    let findings = audit::compare(memory, &book);
    Outcome::of(Evidence {
        plan: &evening.plan,
        event_id: evening.target.event.clone(),
        lasted_s,
        book: &mut book,
        memory,
        findings: &findings,
        empty: readings.0,
        end: readings.1,
    })
}

async fn remove_event(target: &Target) {
    let path = target.path(&format!("/admin/events/{}", target.event));
    if let Err(failure) = insist(|| Ask::delete(target, path.clone()).admin()).await {
        eprintln!("drawload: the event {} was left behind: {failure}", target.event);
    }
}

/// Makes an event of its own, or makes sure that the named one is there.
async fn open_event(target: &mut Target, plan: &Plan, made: bool) -> Result<(), String> {
    if made {
        let word = micros(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default());
        target.event = format!("drawload-{}-{word:x}", plan.name);
    }
    if !made {
        // One that is there needs no admin token to be found.
        let path = target.path(&format!("/state?event_id={}", target.event));
        if insist(|| Ask::get(target, path.clone())).await.is_ok() {
            return Ok(());
        }
    }
    let body = json!({"event_id": target.event, "title": "drawload", "participants_max": (plan.users * 2).max(100)});
    match insist(|| Ask::post(target, target.path("/admin/events"), body.clone()).admin()).await {
        Ok(_) => Ok(()),
        // Its own event may stand there already when the first answer was lost.
        Err(Failure::Refused { status: 409, code }) if code == "EVENT_EXISTS" => Ok(()),
        Err(Failure::Refused { status: 401, .. }) => Err("the server wants the right --admin-token".into()),
        Err(failure) => Err(format!("the event {} cannot be made at {}: {failure}", target.event, target.authority)),
    }
}

/// What a connection, its TLS and an empty answer cost while nothing is going on.
async fn measure_baseline(book: &mut Book, target: &Target) -> Result<(), String> {
    let unreached = |error: std::io::Error| format!("no connection to {}: {error}", target.authority);
    let late = |_| format!("no connection to {} within {} s", target.authority, PATIENCE.as_secs());
    for _ in 0..BASELINE_ROUNDS {
        let begun_us = book.clock.now_us();
        let stream = timeout(PATIENCE, Connection::connect(target, Window::Usual)).await.map_err(late)?.map_err(unreached)?;
        book.note(Wait::Connect, begun_us, begun_us);
        if target.trust.is_some() {
            let begun_us = book.clock.now_us();
            let secured = timeout(PATIENCE, Connection::secure(target, stream)).await.map_err(late)?;
            drop(secured.map_err(|error| format!("no TLS with {}: {error}", target.authority))?);
            book.note(Wait::Tls, begun_us, begun_us);
        }
        let begun_us = book.clock.now_us();
        // A refused one is no measurement, and the scenario that follows counts errors.
        if Ask::get(target, "/health".into()).send().await.is_ok() {
            book.note(Wait::Health, begun_us, begun_us);
        }
    }
    Ok(())
}

/// Starts everybody's task: those that last until the evening is over, and those that end by themselves.
fn invite(evening: &Rc<Evening>, seed: u64) -> (Vec<JoinHandle<()>>, Vec<JoinHandle<()>>) {
    let plan = &evening.plan;
    let mut chance = Chance(seed);
    let mut arrivals = |span: Option<Span>| span.map(|span| span.arrivals(plan.users, &mut chance));
    let [register, connect, aftermath] = [plan.registrations, plan.sockets, plan.aftermath].map(&mut arrivals);
    let at = |moments: &Option<Vec<Duration>>, index: usize| moments.as_ref().map(|moments| moments[index]);
    let (mut people, mut show) = (Vec::new(), Vec::new());
    for index in 0..plan.users {
        let moments = Moments {
            register: at(&register, index),
            connect: at(&connect, index),
            aftermath: at(&aftermath, index),
            fate: fate(plan, index),
        };
        let own_chance = Chance(chance.next());
        people.push(tokio::task::spawn_local(phone::attend(evening.clone(), index, moments, own_chance)));
        if let Some(moment) = moments.aftermath {
            show.push(tokio::task::spawn_local(phone::look_back(evening.clone(), index, moment)));
        }
    }
    if plan.draw_count() > 0 {
        let cues = plan.sockets.map(|_| {
            let (cues, cued) = mpsc::channel(1);
            people.push(tokio::task::spawn_local(stage_hand::display(evening.clone(), cued, Chance(chance.next()))));
            cues
        });
        show.push(tokio::task::spawn_local(stage_hand::host(evening.clone(), cues)));
    }
    (people, show)
}

/// The dead come first, then the slow, of whom every other reads nothing at all.
fn fate(plan: &Plan, index: usize) -> Fate {
    match index.checked_sub(plan.dead) {
        None => Fate::Vanishes,
        Some(place) if place < plan.slow => {
            if place % 2 == 0 {
                Fate::ReadsNothing
            } else {
                Fate::ReadsLittle
            }
        }
        Some(_) => Fate::Stays,
    }
}

/// Waits until the plan is played; true when a signal cut it short.
async fn wait_for_end(evening: &Evening, show: Vec<JoinHandle<()>>) -> bool {
    let played = async {
        evening.clock.wait_for(evening.plan.end).await;
        for task in show {
            let _ = task.await;
        }
    };
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        played.await;
        return false;
    };
    tokio::select! {
        () = played => false,
        _ = terminate.recv() => true,
        _ = interrupt.recv() => true,
    }
}

/// Gives answers and frames that are under way the time to arrive: what is late is not lost, and is in the latencies. Nobody asks for anything
/// any more, so that each registration has an answer or has failed when the server is asked for its list, and everybody is back from the storm.
async fn settle(evening: &Evening) {
    let deadline = Instant::now() + PATIENCE;
    let waited_for = |book: &Book| book.registering + book.ledger.absent();
    while waited_for(&evening.book.borrow()) > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    let Some(seq) = audit::last_seq(&evening.target).await else { return };
    let deadline = Instant::now() + SETTLING;
    while evening.book.borrow().ledger.balance(seq).lost > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
}
