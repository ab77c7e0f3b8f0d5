//! A phone: registers, opens and holds a socket, reconnects when it drops, and requests the
//! results.
//!
//! Some phones misbehave once all are connected: they vanish, read slowly, or never read. Slow ones
//! have the smallest receive window, so that unread frames soon queue at the server, which must
//! evict them without an effect on other phones. Nothing is due to a phone that misbehaves.

use super::Run;
use super::socket::{
    self, PING, Received, Socket, drop_in_storm, position, receive, reconnect_pause, record_drop, record_frame, send,
};
use crate::client::Window;
use crate::client::http::Request;
use crate::measure::clock::Rng;
use crate::measure::latency::Wait;
use crate::measure::micros;
use crate::measure::recorder::{Recorder, Registration};
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

/// Between two frames of a phone that reads slowly; a draw has four every few seconds.
const SLOW_READ_EVERY: Duration = Duration::from_secs(2);

/// Silence after which a socket that is read to its end counts as kept by the server.
const SILENCE: Duration = Duration::from_secs(2);

/// Limit on reading a socket to its end.
const READ_OUT_MAX: Duration = Duration::from_secs(20);

/// Behaviour of a phone once all are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Listens to the end.
    Normal,
    /// Keeps its socket open and never touches it again, as when a phone leaves the room.
    Vanishes,
    /// Reads a frame now and then.
    ReadsSlowly,
    /// Neither reads nor sends.
    NeverReads,
}

/// When one phone does what.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    pub register: Option<Duration>,
    pub connect: Option<Duration>,
    pub results: Option<Duration>,
    pub behaviour: Behaviour,
}

/// Runs a phone from its registration to the end of the run.
pub async fn run_phone(run: Rc<Run>, index: usize, schedule: Schedule, mut rng: Rng) {
    let mut arrived = Duration::ZERO;
    if let Some(at) = schedule.register {
        run.wait_to_send(at).await;
        // On the heap, and freed afterwards: a phone spends most of the run listening.
        Box::pin(register(&run, index, at, &mut rng)).await;
        arrived = at;
    }
    let Some(at) = schedule.connect else { return };
    // A phone that registers after its time to connect connects at once.
    let at = if at < arrived { run.clock.now() } else { at };
    run.wait_to_send(at).await;
    let mut planned_us = micros(at);
    let window = match schedule.behaviour {
        Behaviour::Normal | Behaviour::Vanishes => Window::Usual,
        Behaviour::ReadsSlowly | Behaviour::NeverReads => Window::Small,
    };
    while !run.ended.is_cancelled() {
        let query = query(&run.recorder(), index);
        let mut reconnects_after = Some(reconnect_pause(&mut rng));
        if let Some(socket) = socket::open(&run, index, &query, window, planned_us).await {
            reconnects_after = hold(&run, index, socket, schedule.behaviour, &mut rng).await;
        }
        let Some(pause) = reconnects_after else { return };
        tokio::select! {
            () = run.ended.cancelled() => {}
            () = sleep(pause) => planned_us = run.clock.now_us(),
        }
    }
}

async fn register(run: &Run, index: usize, planned: Duration, rng: &mut Rng) {
    let request_id = format!("{:016x}{:016x}{index:08x}", rng.next(), rng.next());
    let body = json!({"event_id": run.target.event, "request_id": request_id});
    run.recorder().counts.registering += 1;
    let answer = run.call(Wait::Register, planned, Request::post(&run.target, run.target.path("/register"), body)).await;
    let mut recorder = run.recorder();
    recorder.counts.registering -= 1;
    let Some(answer) = answer else { return };
    let data = &answer["data"];
    let number = data["draw_number"].as_u64().and_then(|number| u32::try_from(number).ok());
    match number.zip(data["session_token"].as_str()) {
        Some((number, token)) => recorder.phones[index] = Some(Registration { number, token: token.to_owned() }),
        None => recorder.answers_wrong.push(format!("phone {index} was registered without a number or a token")),
    }
}

/// The query of a phone's socket: its token, and its position when it reconnects.
fn query(recorder: &Recorder, index: usize) -> String {
    let token = recorder.phones[index].as_ref().map(|phone| format!("token={}", phone.token));
    let parts: Vec<String> = token.into_iter().chain(position(recorder, index)).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

/// Listens and pings until the socket or the run ends, or the phone begins to misbehave. Returns
/// the pause before the phone reconnects, or `None` when it does not.
async fn hold(run: &Run, index: usize, mut socket: Socket, behaviour: Behaviour, rng: &mut Rng) -> Option<Duration> {
    let every = run.scenario.ping_interval;
    let mut pings = interval_at(Instant::now() + every.mul_f64(rng.fraction()), every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pinged_us = None;
    let all_connected = run.clock.wait_until(run.scenario.all_connected());
    let storm = run.storm();
    tokio::pin!(all_connected, storm);
    let code = loop {
        tokio::select! {
            received = receive(&mut socket) => match received {
                Received::Text(text) => record(run, index, text.to_text().unwrap_or_default(), &mut pinged_us),
                Received::Closed(code) => break code,
            },
            planned = pings.tick() => {
                let late_us = micros(planned.elapsed());
                pinged_us.get_or_insert(run.clock.now_us().saturating_sub(late_us));
                run.recorder().counts.pings += 1;
                if let Err(code) = send(&mut socket, PING).await {
                    break code;
                }
            }
            _ = &mut all_connected, if behaviour != Behaviour::Normal => {
                Box::pin(misbehave(run, index, socket, behaviour)).await;
                return None;
            }
            () = &mut storm => {
                let pause = reconnect_pause(rng);
                drop_in_storm(run, index, socket, pause);
                return Some(pause);
            }
            () = run.ended.cancelled() => {
                socket::close(run, socket).await;
                return None;
            }
        }
    };
    record_drop(run, code);
    Some(reconnect_pause(rng))
}

/// Records a frame, and the time of an awaited pong.
fn record(run: &Run, index: usize, text: &str, pinged_us: &mut Option<u64>) {
    let mut recorder = run.recorder();
    let frame = record_frame(&mut recorder, index, text);
    if frame.is_some_and(|frame| frame.r#type == "pong") {
        recorder.counts.pongs += 1;
        if let Some(at_us) = pinged_us.take() {
            recorder.record(Wait::Ping, at_us, at_us);
        }
    }
}

async fn misbehave(run: &Run, index: usize, socket: Socket, behaviour: Behaviour) {
    {
        let mut recorder = run.recorder();
        recorder.ledger.vanish(index);
        recorder.counts.sockets -= 1;
    }
    match behaviour {
        Behaviour::Normal | Behaviour::Vanishes => run.ended.cancelled().await,
        Behaviour::ReadsSlowly => read_slowly(run, socket).await,
        Behaviour::NeverReads => never_read(run, socket).await,
    }
}

/// Reads a frame now and then, and pings like other phones. While it makes progress, the server may
/// keep it.
async fn read_slowly(run: &Run, mut socket: Socket) {
    let mut pause = run.scenario.ping_interval.min(SLOW_READ_EVERY);
    while !run.ended.is_cancelled() {
        tokio::select! {
            () = sleep(pause) => {}
            () = run.ended.cancelled() => break,
        }
        pause = SLOW_READ_EVERY;
        let gone = send(&mut socket, PING).await.is_err();
        if gone || matches!(timeout(SILENCE, receive(&mut socket)).await, Ok(Received::Closed(_))) {
            run.recorder().counts.slow_evicted += 1;
            return;
        }
    }
}

/// Neither reads nor sends until the end of the run. Then it reads the socket to its end, to see
/// whether the server has closed it: there is a close, a reset, or just silence.
async fn never_read(run: &Run, mut socket: Socket) {
    run.ended.cancelled().await;
    let kept = async {
        loop {
            match timeout(SILENCE, receive(&mut socket)).await {
                Ok(Received::Text(_)) => {}
                Ok(Received::Closed(_)) => return false,
                Err(_) => return true,
            }
        }
    };
    let kept = timeout(READ_OUT_MAX, kept).await.unwrap_or(true);
    let counts = &mut run.recorder().counts;
    counts.slow_evicted += u64::from(!kept);
    counts.slow_kept += u64::from(kept);
}

/// Requests the results; a winner submits its details.
pub async fn request_results(run: Rc<Run>, index: usize, planned: Duration) {
    run.wait_to_send(planned).await;
    let Some(phone) = run.recorder().phones[index].clone() else { return };
    let (target, number) = (&run.target, phone.number);
    // Only what was announced before a question is sent: a draw that is announced while the answer
    // is on its way need not be in it.
    let announced = run.recorder().announced();
    let path = target.path(&format!("/results?event_id={}", target.event));
    let results = run.call(Wait::Results, planned, Request::get(target, path)).await;
    let had_won = draw_won(&run.recorder(), number).is_some();
    let path = target.path(&format!("/check-winner?event_id={}&draw_number={number}", target.event));
    let checked = run.call(Wait::CheckWinner, run.clock.now(), Request::get(target, path)).await;
    let won = {
        let mut recorder = run.recorder();
        let wrong = &mut recorder.answers_wrong;
        let listed = |answer: &serde_json::Value| answer["data"]["draws"].as_array().map_or(0, Vec::len) as u64;
        if let Some(answer) = results.filter(|answer| listed(answer) < announced) {
            wrong.push(format!("phone {index}: {announced} draws were announced, the results list fewer: {answer:.100}"));
        }
        if checked.is_some_and(|answer| had_won && answer["data"]["won"] != json!(true)) {
            wrong.push(format!("phone {index}: number {number} has won, and check-winner denies it"));
        }
        draw_won(&recorder, number)
    };
    if let Some(draw) = won {
        let body = json!({"event_id": target.event, "draw_id": draw, "name": format!("Winner {number}"),
            "phone": format!("010-0000-{:04}", number % 10_000), "consent": true});
        let request = Request::post(target, target.path("/winner-info"), body).bearer(&phone.token);
        run.call(Wait::Details, run.clock.now(), request).await;
    }
}

/// The first announced draw that a number has won.
fn draw_won(recorder: &Recorder, number: u32) -> Option<u32> {
    let mut draws = recorder.ledger.draws.iter();
    draws.find(|(_, draw)| draw.announced.as_ref().is_some_and(|winners| winners.contains(&number))).map(|(id, _)| *id)
}
