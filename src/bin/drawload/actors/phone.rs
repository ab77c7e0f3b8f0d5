//! A phone: registers, opens and holds a socket, reconnects when it drops, and requests the
//! results.
//!
//! Some phones misbehave once all are connected: they vanish, read slowly, or never read. Slow ones
//! have the smallest receive window, so that unread frames soon queue at the server, which must
//! evict them without an effect on other phones. Nothing is due to a phone that misbehaves.

use super::Run;
use super::entry::Entry;
use super::pings::{Ping, Pings};
use super::socket::{self, FINAL, PING, Received, Socket, drop_in_storm, position, receive, reconnect_pause, record_drop, send};
use crate::answers::{Anything, CheckedWinner, Registered, Results};
use crate::client::Window;
use crate::client::http::{ANSWER_MAX, Request};
use crate::client::protocol::Call;
use crate::measure::clock::Rng;
use crate::measure::connection_ledger::{RESTARTING, SILENT};
use crate::measure::latency::Wait;
use crate::measure::micros;
use crate::measure::recorder::{Recorder, Registration};
use serde_json::json;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Attempts of a registration, with the same request id, as the page makes them.
const REGISTER_ATTEMPTS: u32 = 5;

/// One phone in this many sends its request again, as after a lost answer.
pub const REPEATED_EVERY: usize = 20;

/// The longest wait for a pong or a state sync. Pages count a silent socket as lost, and reconnect.
const SILENT_AFTER: Duration = Duration::from_secs(12);

/// Between two frames of a phone that reads slowly; a draw has four every few seconds.
const SLOW_READ_EVERY: Duration = Duration::from_secs(2);

/// Silence after which a socket that is read to its end counts as kept by the server.
const SILENCE: Duration = Duration::from_secs(2);

/// Limit on reading a socket to its end.
const READ_OUT_MAX: Duration = Duration::from_secs(20);

/// The close code for a socket that is too slow.
const TOO_SLOW: u16 = 4430;

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
        run.wait_to_send(index, at).await;
        // On the heap, and freed afterwards: a phone spends most of the run listening.
        Box::pin(register(&run, index, at, &mut rng)).await;
        arrived = at;
    }
    let Some(at) = schedule.connect else { return };
    // A phone that registers after its time to connect connects at once.
    let at = if at < arrived { run.clock.now() } else { at };
    run.wait_to_send(index, at).await;
    let mut planned_us = micros(at);
    let window = match schedule.behaviour {
        Behaviour::Normal | Behaviour::Vanishes => Window::Usual,
        Behaviour::ReadsSlowly | Behaviour::NeverReads => Window::Small,
    };
    let mut failures = 0;
    while !run.ended.is_cancelled() {
        let query = query(&run.recorder(), index);
        failures += 1;
        let mut pause = reconnect_pause(&run, failures, &mut rng);
        if let Ok(socket) = socket::open(&run, index, &query, window, planned_us).await {
            match hold(&run, index, socket, schedule.behaviour, &mut rng).await {
                Left::ForGood => return,
                Left::InStorm(storm_pause) => pause = storm_pause,
                Left::Dropped { code, was_greeted } => {
                    if FINAL.contains(&code) {
                        return;
                    }
                    failures = if was_greeted || code == RESTARTING { 0 } else { failures };
                    if !was_greeted {
                        run.move_on(index);
                    }
                    pause = reconnect_pause(&run, failures + 1, &mut rng);
                }
            }
        }
        tokio::select! {
            () = run.ended.cancelled() => {}
            () = sleep(pause) => planned_us = run.clock.now_us(),
        }
    }
}

/// Registers, and sends the request again where the page would: after a failure that may pass. One
/// phone in [`REPEATED_EVERY`] also repeats a success, which must give the same number.
async fn register(run: &Run, index: usize, planned: Duration, rng: &mut Rng) {
    let request_id = format!("{:016x}{:016x}{index:08x}", rng.next(), rng.next());
    let body = json!({"event_id": run.target().event, "request_id": request_id});
    run.note(index, Entry::Registering);
    let mut registered = None;
    let mut planned = planned;
    for _ in 0..REGISTER_ATTEMPTS {
        registered = send_registration(run, index, planned, &body).await;
        if registered.is_some() || run.ended.is_cancelled() {
            break;
        }
        sleep(reconnect_pause(run, 1, rng)).await;
        planned = run.clock.now();
    }
    if let Some(first) = registered.clone().filter(|_| index.is_multiple_of(REPEATED_EVERY)) {
        let again = send_registration(run, index, run.clock.now(), &body).await;
        if let Some(again) = again.filter(|again| (again.number, &again.token) != (first.number, &first.token)) {
            let changed = format!("phone {index} got number {}, and {} for the same request_id", first.number, again.number);
            run.note(index, Entry::NumberChanged(changed));
        }
    }
    run.note(index, Entry::Registered(registered));
}

async fn send_registration(run: &Run, index: usize, planned: Duration, body: &serde_json::Value) -> Option<Registration> {
    let target = run.target_of(index);
    let request = Request::call(target, Call::Register, body.clone()).with_origin();
    let answer: Registered = run.call(index, Wait::Register, planned, request).await?;
    if answer.event_id != target.event || answer.draw_number == 0 || answer.session_token.is_empty() {
        let wrong = format!("phone {index} was registered as number {} in the event {}", answer.draw_number, answer.event_id);
        run.note(index, Entry::AnswerWrong(wrong));
    }
    Some(Registration { number: answer.draw_number, token: answer.session_token })
}

/// The query of a phone's socket: its token, and its position when it reconnects.
fn query(recorder: &Recorder, index: usize) -> String {
    let token = recorder.phones[index].as_ref().map(|phone| format!("token={}", phone.token));
    let parts: Vec<String> = token.into_iter().chain(position(recorder, index)).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

/// Reason why a phone no longer holds its socket.
enum Left {
    /// The run ended, or the phone misbehaves and does not come back.
    ForGood,
    InStorm(Duration),
    Dropped {
        code: u16,
        was_greeted: bool,
    },
}

/// Listens and pings until the socket or the run ends, or the phone begins to misbehave.
async fn hold(run: &Run, index: usize, mut socket: Socket, behaviour: Behaviour, rng: &mut Rng) -> Left {
    let mut pings = Pings::new(run.scenario.ping_interval, rng);
    let socket_table = &run.target().protocol.socket;
    let (mut was_greeted, mut are_over) = (!socket_table.has_greeting, !socket_table.has_pong);
    pings.are_over = are_over;
    let mut next_seq = run.recorder().ledger.position(index).map_or(0, |(seq, _)| seq);
    let silent = sleep_until(Instant::now() + SILENT_AFTER);
    let all_connected = run.clock.wait_until(run.scenario.all_connected());
    let storm = run.storm();
    tokio::pin!(all_connected, storm, silent);
    let code = loop {
        let (mut ping_late_us, has_open_ping) = (None, pings.open.is_some());
        tokio::select! {
            received = receive(&mut socket) => match received {
                Received::Text(text) => {
                    was_greeted |= record(run, index, text.to_text().unwrap_or_default(), &mut pings.open, &mut next_seq);
                }
                Received::Closed(code) => break code,
            },
            late_us = pings.due() => ping_late_us = Some(late_us),
            () = run.leaving.cancelled(), if !are_over => {
                are_over = true;
                ping_late_us = Some(0);
            }
            () = &mut silent, if has_open_ping || !was_greeted => break SILENT,
            _ = &mut all_connected, if behaviour != Behaviour::Normal => {
                Box::pin(misbehave(run, index, socket, behaviour)).await;
                return Left::ForGood;
            }
            () = &mut storm => {
                let pause = reconnect_pause(run, 1, rng);
                drop_in_storm(run, index, socket, pause);
                return Left::InStorm(pause);
            }
            () = run.ended.cancelled() => {
                socket::close(run, index, socket).await;
                return Left::ForGood;
            }
        }
        if let Some(late_us) = ping_late_us {
            let sent_us = run.clock.now_us();
            pings.open.get_or_insert(Ping { planned_us: sent_us.saturating_sub(late_us), sent_us });
            pings.are_over = are_over;
            silent.as_mut().reset(Instant::now() + SILENT_AFTER);
            run.note(index, Entry::Ping);
            if let Err(code) = send(&mut socket, PING).await {
                break code;
            }
        }
    };
    // A phone that is to be slow has a window so small that the server may evict it before.
    if matches!(behaviour, Behaviour::ReadsSlowly | Behaviour::NeverReads) && code == TOO_SLOW {
        run.note(index, Entry::Vanished);
        run.note(index, Entry::SlowEvicted);
        return Left::ForGood;
    }
    record_drop(run, index, code);
    Left::Dropped { code, was_greeted }
}

/// Records a frame of any protocol; returns true for a state sync.
fn record(run: &Run, index: usize, text: &str, open: &mut Option<Ping>, next_seq: &mut u64) -> bool {
    let protocol = &run.target().protocol;
    if protocol.has_own_frames() {
        return record_own(run, index, text, open);
    }
    // No other protocol has a state sync.
    for text in protocol.translate(text, next_seq) {
        record_own(run, index, &text, open);
    }
    false
}

/// Records a frame, and the time of an awaited pong; returns true for a state sync.
fn record_own(run: &Run, index: usize, text: &str, open: &mut Option<Ping>) -> bool {
    let Some(frame) = run.note_frame(index, text) else { return false };
    if frame.r#type == "pong"
        && let Some(Ping { planned_us, sent_us }) = open.take()
    {
        run.note(index, Entry::Pong { planned_us, sent_us, server_time: frame.server_time });
    }
    frame.r#type == "state_sync"
}

async fn misbehave(run: &Run, index: usize, socket: Socket, behaviour: Behaviour) {
    run.note(index, Entry::Vanished);
    match behaviour {
        Behaviour::Normal | Behaviour::Vanishes => run.ended.cancelled().await,
        Behaviour::ReadsSlowly => read_slowly(run, index, socket).await,
        Behaviour::NeverReads => never_read(run, index, socket).await,
    }
}

/// Reads a frame now and then, and pings like other phones. While it makes progress, the server may
/// keep it.
async fn read_slowly(run: &Run, index: usize, mut socket: Socket) {
    let mut pause = run.scenario.ping_interval.min(SLOW_READ_EVERY);
    while !run.ended.is_cancelled() {
        tokio::select! {
            () = sleep(pause) => {}
            () = run.ended.cancelled() => break,
        }
        pause = SLOW_READ_EVERY;
        let gone = send(&mut socket, PING).await.is_err();
        if gone || matches!(timeout(SILENCE, receive(&mut socket)).await, Ok(Received::Closed(_))) {
            run.note(index, Entry::SlowEvicted);
            return;
        }
    }
}

/// Neither reads nor sends until the end of the run. Then it reads the socket to its end, to see
/// whether the server has closed it: there is a close, a reset, or just silence.
async fn never_read(run: &Run, index: usize, mut socket: Socket) {
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
    run.note(index, if kept { Entry::SlowKept } else { Entry::SlowEvicted });
}

/// Requests the results, once all draws are over, and asks whether the number has won; a winner
/// submits its details.
pub async fn request_results(run: Rc<Run>, index: usize, planned: Duration) {
    run.wait_to_send(index, planned).await;
    // A host that is late delays the results, and no phone.
    let mut planned = planned;
    if !run.drawn.is_cancelled() {
        let _ = timeout(ANSWER_MAX, run.drawn.cancelled()).await;
        planned = run.clock.now();
    }
    let Some(phone) = run.recorder().phones[index].clone() else { return };
    let (target, number) = (run.target_of(index), phone.number);
    // Only what was announced before a question is sent: a draw that is announced while the answer
    // is on its way need not be in it.
    let announced = run.recorder().announced();
    let results: Option<Results> =
        run.call(index, Wait::Results, planned, Request::call(target, Call::Results, json!({})).with_origin()).await;
    let had_won = draw_won(&run.recorder(), number).is_some();
    let check = Request::call(target, Call::CheckWinner, json!({"draw_number": number})).with_origin();
    let checked: Option<CheckedWinner> = run.call(index, Wait::CheckWinner, run.clock.now(), check).await;
    if let Some(results) = results.filter(|results| (results.draws.len() as u64) < announced) {
        let listed = results.draws.len();
        let wrong = format!("phone {index}: {announced} draws were announced, and the results list {listed}");
        run.note(index, Entry::AnswerWrong(wrong));
    }
    if let Some(CheckedWinner { draw_number, won, .. }) = checked {
        if draw_number != number || (had_won && !won) {
            let wrong = format!("phone {index}: number {number} has won: {had_won}, and check-winner says {draw_number}: {won}");
            run.note(index, Entry::AnswerWrong(wrong));
        }
        if won {
            run.note(index, Entry::ToldWon(number));
        }
    }
    let won = draw_won(&run.recorder(), number);
    if let Some(draw) = won {
        let body = json!({"event_id": target.event, "draw_id": draw, "name": winner_name(number),
            "phone": format!("010-0000-{:04}", number % 10_000), "consent": true});
        let request = Request::call(target, Call::WinnerInfo, body).bearer(&phone.token).with_origin();
        if run.call::<Anything>(index, Wait::Details, run.clock.now(), request).await.is_some() {
            run.note(index, Entry::Details { number, draw });
        }
    }
}

/// The name that the winner with this number submits.
pub fn winner_name(number: u32) -> String {
    format!("Winner {number}")
}

/// The first announced draw that a number has won.
fn draw_won(recorder: &Recorder, number: u32) -> Option<u32> {
    let mut draws = recorder.ledger.draws.iter();
    draws.find(|(_, draw)| draw.winners.as_ref().is_some_and(|winners| winners.contains(&number))).map(|(id, _)| *id)
}
