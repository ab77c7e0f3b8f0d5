//! One scenario from the first question to the last: the event, the baseline, everybody's evening, the audit.

use crate::arguments::{Common, FullScenario, HttpTest, WebsocketTest, Which};
use crate::audit::{self, Memory, insist};
use crate::book::{Book, Moment};
use crate::clock::{Chance, Clock, Span, micros};
use crate::http::{Ask, Failure, PATIENCE};
use crate::measure::latency::{Wait, in_ms};
use crate::measure::process::Reading;
use crate::outcome::{Evidence, Outcome, Summary};
use crate::phone::{self, Moments};
use crate::plan::{Plan, Size};
use crate::progress::Progress;
use crate::target::Target;
use crate::verdict::{self, Rule, Verdict};
use crate::{report, stage_hand};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How long frames that are still under way at the end are waited for.
const SETTLING: Duration = Duration::from_secs(5);

/// Connections and requests of the baseline.
const BASELINE_ROUNDS: u32 = 20;

/// Descriptors beside those of the phones.
const SPARE_DESCRIPTORS: u64 = 128;

/// Why nothing was judged.
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
}

/// What the scenarios of one run have in common.
struct Run<'a> {
    common: &'a Common,
    time_scale: f64,
    rules: Vec<Rule>,
}

/// `full-scenario`
///
/// # Errors
/// When it could not begin.
pub async fn full_scenario(asked: &FullScenario) -> Result<u8, Stopped> {
    run(plans(asked), &asked.common, asked.time_scale).await
}

/// `websocket-test`
///
/// # Errors
/// When it could not begin.
pub async fn websocket_test(asked: &WebsocketTest) -> Result<u8, Stopped> {
    run(vec![Plan::websocket(asked.users, asked.ramp_up, asked.duration)], &asked.common, 1.0).await
}

/// `http-test`
///
/// # Errors
/// When it could not begin.
pub async fn http_test(asked: &HttpTest) -> Result<u8, Stopped> {
    run(vec![Plan::http(asked.scenario, asked.users, asked.prizes, asked.duration)], &asked.common, 1.0).await
}

/// Plays scenarios, reports them and gives back the exit code.
async fn run(plans: Vec<Plan>, common: &Common, time_scale: f64) -> Result<u8, Stopped> {
    let mut rules = verdict::standing_rules();
    for text in &common.thresholds {
        rules.push(Rule::parse(text).map_err(Stopped::Usage)?);
    }
    let run = Run { common, time_scale, rules };
    if let Some(plan) = plans.iter().find(|plan| plan.draw_count() as usize > plan.users) {
        return Err(Stopped::Usage(format!("--prizes {}: there are only {} users to win them", plan.draw_count(), plan.users)));
    }
    let target = Target::of(&common.door).map_err(Stopped::Usage)?;
    let users = plans.iter().map(|plan| plan.users as u64).max().unwrap_or(0);
    raise_descriptors(users + SPARE_DESCRIPTORS).map_err(Stopped::CouldNotRun)?;
    if let Some(pid) = common.pid {
        Reading::of(pid).map_err(|error| Stopped::CouldNotRun(format!("--pid {pid}: {error}")))?;
    }
    if let Some(folder) = &common.out {
        std::fs::create_dir_all(folder).map_err(|error| Stopped::CouldNotRun(format!("--out {}: {error}", folder.display())))?;
    }
    let mut summary = Summary::new(&common.door.host, common.seed, time_scale);
    for plan in plans {
        let outcome = play(plan, target.clone(), &run).await?;
        print!("{}", report::text::of(&outcome));
        let interrupted = outcome.verdict == Verdict::Interrupted;
        summary.add(outcome);
        if interrupted {
            break;
        }
    }
    println!("{}", report::text::ending(&summary));
    if let Some(folder) = &common.out {
        report::write(&summary, folder).map_err(|error| Stopped::CouldNotRun(format!("the report: {error}")))?;
    }
    Ok(summary.exit_code)
}

fn plans(asked: &FullScenario) -> Vec<Plan> {
    let size = Size {
        users: asked.users,
        prizes: asked.prizes,
        draw_interval_s: asked.draw_interval,
        scale: asked.time_scale,
        idle_s: asked.idle,
        dead_fraction: asked.dead_clients,
    };
    match asked.scenario {
        Which::A => vec![Plan::a(size)],
        Which::B => vec![Plan::b(size)],
        Which::C => vec![Plan::c(size)],
        Which::D => vec![Plan::d(size)],
        Which::All => vec![Plan::a(size), Plan::b(size), Plan::c(size), Plan::d(size)],
    }
}

/// One scenario.
async fn play(plan: Plan, mut target: Target, run: &Run<'_>) -> Result<Outcome, Stopped> {
    let made = run.common.door.event_id.is_none();
    open_event(&mut target, &plan, made).await.map_err(Stopped::CouldNotRun)?;
    let empty = run.common.pid.and_then(|pid| Reading::of(pid).ok());
    let mut book = Book::new(plan.users);
    measure_baseline(&mut book, &target).await.map_err(Stopped::CouldNotRun)?;
    book.clock = Clock::starting_now();
    let clock = book.clock;
    let evening = Rc::new(Evening { plan, target, clock, book: RefCell::new(book), over: CancellationToken::new() });
    let observers = [
        tokio::task::spawn_local(sample(evening.clone(), run.common.pid, run.time_scale)),
        tokio::task::spawn_local(watch_timers(evening.clone())),
        tokio::task::spawn_local(tell_progress(evening.clone())),
    ];
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
    let mut outcome = {
        let mut book = evening.book.borrow_mut();
        let findings = audit::compare(&memory, &book);
        let event_id = evening.target.event.clone();
        let evidence = Evidence {
            plan: &evening.plan,
            event_id,
            lasted_s,
            book: &mut book,
            memory: &memory,
            findings: &findings,
            empty,
            end,
        };
        Outcome::of(evidence)
    };
    verdict::speak(&mut outcome, &evening.plan, &run.rules, run.time_scale, interrupted);
    if made {
        let path = evening.target.path(&format!("/admin/events/{}", evening.target.event));
        if let Err(failure) = insist(|| Ask::delete(&evening.target, path.clone()).admin()).await {
            eprintln!("drawload: the event {} was left behind: {failure}", evening.target.event);
        }
    }
    Ok(outcome)
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

/// What a connection and an empty answer cost while nothing is going on.
async fn measure_baseline(book: &mut Book, target: &Target) -> Result<(), String> {
    for _ in 0..BASELINE_ROUNDS {
        let begun_us = book.clock.now_us();
        TcpStream::connect(target.address).await.map_err(|error| format!("no connection to {}: {error}", target.authority))?;
        book.note(Wait::Connect, begun_us, begun_us);
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
            vanishes: index < plan.dead,
        };
        let own_chance = Chance(chance.next());
        people.push(tokio::task::spawn_local(phone::attend(evening.clone(), index, moments, own_chance)));
        if let Some(moment) = moments.aftermath {
            show.push(tokio::task::spawn_local(phone::look_back(evening.clone(), index, moment)));
        }
    }
    if let Some(draws) = plan.draws {
        let cues = plan.sockets.map(|_| {
            let (cues, cued) = mpsc::channel(1);
            people.push(tokio::task::spawn_local(stage_hand::display(evening.clone(), cued)));
            cues
        });
        show.push(tokio::task::spawn_local(stage_hand::host(evening.clone(), draws, cues)));
    }
    (people, show)
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
/// any more, so that each registration has an answer or has failed when the server is asked for its list.
async fn settle(evening: &Evening) {
    let deadline = Instant::now() + PATIENCE;
    while evening.book.borrow().registering > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
    let Some(seq) = audit::last_seq(&evening.target).await else { return };
    let deadline = Instant::now() + SETTLING;
    while evening.book.borrow().ledger.balance(seq).lost > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Writes a line of the run each second of the plan, at most ten a second.
async fn sample(evening: Rc<Evening>, pid: Option<u32>, scale: f64) {
    let mut ticks = interval(Duration::from_secs_f64(scale.clamp(0.1, 1.0)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while tick(&evening, &mut ticks).await.is_some() {
        let server = pid.and_then(|pid| Reading::of(pid).ok());
        let at_s = evening.clock.now().as_secs_f64();
        let mut book = evening.book.borrow_mut();
        book.oneself.sample(at_s);
        if let Some(server) = server {
            book.server_cpu.note(at_s, server.cpu_s);
        }
        let moment = Moment {
            at_s,
            registered: book.registered(),
            sockets: book.sockets,
            announced: book.announced(),
            errors: book.errors,
            api_p50_ms: in_ms(book.recent.value_at_quantile(0.5)),
            api_p95_ms: in_ms(book.recent.value_at_quantile(0.95)),
            server,
        };
        book.recent.reset();
        book.series.push(moment);
    }
}

/// Looks how late the tester's own timers are.
async fn watch_timers(evening: Rc<Evening>) {
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(planned) = tick(&evening, &mut ticks).await {
        // Timers are kept in whole milliseconds; what is below two is no delay.
        let late_us = micros(planned.elapsed()).saturating_sub(2_000);
        evening.book.borrow_mut().oneself.note_lag(late_us);
    }
}

/// A line on stderr now and then.
async fn tell_progress(evening: Rc<Evening>) {
    let progress = Progress::begin();
    let mut ticks = interval(progress.every());
    while tick(&evening, &mut ticks).await.is_some() {
        progress.tell(&evening.plan, &evening.book.borrow());
    }
}

/// The next tick, or none when the evening is over.
async fn tick(evening: &Evening, ticks: &mut tokio::time::Interval) -> Option<Instant> {
    tokio::select! {
        planned = ticks.tick() => Some(planned),
        () = evening.over.cancelled() => None,
    }
}

/// Lifts the soft limit on descriptors as far as is needed.
fn raise_descriptors(needed: u64) -> Result<(), String> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes one rlimit, which lives until it returns.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err("RLIMIT_NOFILE cannot be read".into());
    }
    if limit.rlim_cur >= needed {
        return Ok(());
    }
    limit.rlim_cur = needed.min(limit.rlim_max);
    // SAFETY: setrlimit reads one rlimit, which lives until it returns.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    if result != 0 || limit.rlim_cur < needed {
        return Err(format!("{needed} descriptors are needed, RLIMIT_NOFILE allows {}", limit.rlim_max));
    }
    Ok(())
}
