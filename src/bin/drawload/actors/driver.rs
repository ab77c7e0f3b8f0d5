//! The driver of the draws: the host over HTTP, and the display on a socket.
//!
//! Each step comes at its planned time. A step that fails is an error and no reason to stop: the
//! next one follows, as it would in a real event. Only a draw that did not start is not revealed.

use super::Run;
use super::socket::{self, Failure, Received, Socket, drop_in_storm, position, receive, reconnect_pause, record_drop, send};
use crate::answers::{CheckedWinner, DrawResult, Results, Standby, Started};
use crate::client::Window;
use crate::client::http::{ANSWER_MAX, Request};
use crate::client::protocol::Call;
use crate::measure::clock::Rng;
use crate::measure::draw_record::{DrawRecord, Step, WINNERS};
use crate::measure::latency::Wait;
use crate::measure::micros;
use crate::scenario::STAGE_REVEAL_AT;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};

/// Steps of a draw as parts of its interval; standby is at its beginning.
const START_AT: f64 = 0.15;
const REVEAL_AT: f64 = 0.55;
const COMPLETE_AT: f64 = 0.75;

/// The start where a stage plays a show.
const STAGE_START_AT: f64 = 0.02;

/// Between two reports of a stage; the server forgets one after a minute.
const STAGE_REPORTS_EVERY: Duration = Duration::from_secs(20);

/// The display's pause before it reconnects, except in the storm.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// The report of a stage, which makes the server plan the shows that it plays.
const STAGE: &str = r#"{"type":"stage","stage_id":"drawload","page":"main","scene":"lobby","width":1920,"height":1080}"#;

/// One draw in this many is looked for in public answers before its announcement.
const PROBED_EVERY: usize = 10;

/// The host's request to the display to complete a draw, and the way back for the winners of the
/// acknowledgement; `None` for one that denies it.
pub type CompleteRequest = (Option<u32>, oneshot::Sender<Option<Vec<u32>>>);

/// Drives every draw, as the host; `display` is `None` without sockets.
pub async fn drive_draws(run: Rc<Run>, display: Option<mpsc::Sender<CompleteRequest>>) {
    let _drawn = run.drawn.clone().drop_guard();
    if !run.target().protocol.socket.has_greeting {
        // Without a greeting nobody can tell which frame is the first that is due to a socket.
        let all_open = async {
            while run.recorder().connections.never_opened() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        // A socket that never opens is judged by itself.
        let _ = timeout(ANSWER_MAX, all_open).await;
    }
    for ((from, interval), index) in run.scenario.each_draw().zip(0..) {
        if run.ended.is_cancelled() {
            return;
        }
        drive_draw(&run, index, from, interval, display.as_ref()).await;
    }
}

async fn drive_draw(
    run: &Run,
    index: usize,
    from: Duration,
    interval: Duration,
    display: Option<&mpsc::Sender<CompleteRequest>>,
) {
    let DrawRecord { prize, rank, mode, has_stage, .. } = run.recorder().plan[index].clone();
    let spec = json!({"prize_name": prize, "prize_rank": rank, "draw_mode": mode, "winner_count": WINNERS});
    let (start, reveal) = if has_stage { (STAGE_START_AT, STAGE_REVEAL_AT) } else { (START_AT, REVEAL_AT) };
    let standby: Option<Standby> = step(run, index, Step::Standby, from, spec.clone()).await;
    let start_at = from + interval.mul_f64(start);
    let started: Option<Started> = step(run, index, Step::Start, start_at, spec).await;
    if started.is_none() && run.target().has(Call::Start) {
        // The next reveal would be of an earlier draw, whose own was refused.
        return;
    }
    let reveal_at = from + interval.mul_f64(reveal);
    let revealed: Option<DrawResult> = step(run, index, Step::Reveal, reveal_at, json!({})).await;
    let draw = revealed.as_ref().map(|draw| draw.draw_id).or(started.as_ref().map(|draw| draw.draw_id));
    {
        let mut recorder = run.recorder();
        let named = [standby.as_ref().map(|answer| &answer.prize_name), started.as_ref().map(|answer| &answer.prize_name)];
        if let Some(other) = named.into_iter().flatten().find(|name| **name != prize) {
            recorder.answers_wrong.push(format!("the host asked for {prize}, and the answer names {other}"));
        }
        if standby.is_some_and(|answer| answer.status != "standby") {
            recorder.answers_wrong.push(format!("the answer to the standby of {prize} has another status"));
        }
        let record = &mut recorder.plan[index];
        (record.reveal_planned_us, record.id, record.revealed) = (micros(reveal_at), draw, revealed.clone());
        if let Some(draw) = draw {
            recorder.ledger.draws.entry(draw).or_default().reveal_planned_us = Some(micros(reveal_at));
        }
    }
    if index.is_multiple_of(PROBED_EVERY) && display.is_some() {
        probe(run, index, revealed).await;
    }
    let complete_at = from + interval.mul_f64(COMPLETE_AT);
    match display {
        // The server itself ends a show that it has planned.
        Some(_) if has_stage => {}
        Some(display) => complete(run, index, draw, complete_at, display).await,
        None => complete_without_display(run, index, draw, complete_at).await,
    }
}

/// Asks the public calls for a draw that is revealed and not announced: they must not know it.
async fn probe(run: &Run, index: usize, revealed: Option<DrawResult>) {
    let Some((draw, winner)) = revealed.and_then(|draw| Some((draw.draw_id, *draw.winners.first()?))) else { return };
    let target = run.target();
    let check = Request::call(target, Call::CheckWinner, json!({"draw_number": winner}));
    let checked: Option<CheckedWinner> = check.send().await.ok();
    let results: Option<Results> = Request::call(target, Call::Results, json!({})).send().await.ok();
    let mut recorder = run.recorder();
    let now_us = recorder.clock.now_us();
    if recorder.plan[index].announceable_us(&recorder.display.spans).is_none_or(|at_us| at_us <= now_us) {
        return;
    }
    let knows = [
        ("check-winner", checked.is_some_and(|answer| answer.prizes.iter().any(|prize| prize.draw_id == draw))),
        ("results", results.is_some_and(|answer| answer.into_draws().iter().any(|result| result.draw_id == draw))),
    ];
    for (call, _) in knows.iter().filter(|(_, knows)| *knows) {
        recorder.told_early.push(format!("{call} told the winner of draw {draw} before its announcement"));
    }
}

/// Has the display complete the draw, or the host if the server turns the display away.
async fn complete(run: &Run, index: usize, draw: Option<u32>, planned: Duration, display: &mpsc::Sender<CompleteRequest>) {
    run.wait_to_send(run.scenario.users, planned).await;
    let started_us = run.clock.now_us();
    {
        let mut recorder = run.recorder();
        recorder.plan[index].ask(Step::Complete, started_us);
        if let Some(draw) = draw {
            recorder.ledger.draws.entry(draw).or_default().completed_us = Some(started_us);
        }
    }
    let (sender, acknowledged) = oneshot::channel();
    let acknowledged = async {
        display.send((draw, sender)).await.ok()?;
        acknowledged.await.ok()
    };
    let Some(winners) = timeout(ANSWER_MAX, acknowledged).await.unwrap_or(Some(None)) else {
        // No display shows it, so that the host ends it.
        return complete_without_display(run, index, draw, planned).await;
    };
    let mut recorder = run.recorder();
    let answer = winners.is_some().then_some(()).ok_or("the display's word was not acknowledged");
    recorder.record_call(Wait::Complete, planned, started_us, &answer);
    recorder.plan[index].completed = winners;
}

/// Completes the draw as the host, where no display does.
async fn complete_without_display(run: &Run, index: usize, draw: Option<u32>, planned: Duration) {
    if let Some(draw) = draw.filter(|_| run.scenario.sockets.is_some()) {
        run.recorder().ledger.draws.entry(draw).or_default().completed_us = Some(micros(planned.max(run.clock.now())));
    }
    let answer: Option<DrawResult> = step(run, index, Step::Complete, planned, json!({})).await;
    if let Some((draw, answer)) = draw.zip(answer) {
        let mut recorder = run.recorder();
        recorder.ledger.draws.entry(draw).or_default().winners = Some(answer.winners.clone());
        recorder.plan[index].completed = Some(answer.winners);
    }
}

async fn step<T: DeserializeOwned>(run: &Run, index: usize, step: Step, planned: Duration, body: Value) -> Option<T> {
    let (wait, call) = match step {
        Step::Standby => (Wait::Standby, Call::Standby),
        Step::Start => (Wait::Start, Call::Start),
        Step::Reveal => (Wait::Reveal, Call::Reveal),
        Step::Complete => (Wait::Complete, Call::Complete),
    };
    run.wait_to_send(run.scenario.users, planned).await;
    let (target, now_us) = (run.target(), run.clock.now_us());
    let values = {
        let mut recorder = run.recorder();
        recorder.plan[index].ask(step, now_us);
        // A server that draws nothing is told the winner: the next number that has not won.
        let winners: Vec<u32> = recorder.numbers().nth(index).into_iter().collect();
        let DrawRecord { prize, rank, mode, .. } = &recorder.plan[index];
        json!({"draw": index + 1, "winners": winners, "prize_name": prize, "prize_rank": rank, "draw_mode": mode, "winner_count": WINNERS})
    };
    let values = values.as_object().cloned().unwrap_or_default();
    let answer = run.call(run.scenario.users, wait, planned, Request::call_with(target, call, body, &values).admin()).await;
    if answer.is_none() && target.has(call) {
        run.recorder().plan[index].fail(step);
    }
    answer
}

/// Runs the display: holds a socket to the end of the run and completes draws for the host. A
/// request that is not acknowledged when the socket drops is sent again on the next socket, as the
/// projector's page does; the server acknowledges a draw that it has already announced.
pub async fn run_display(run: Rc<Run>, mut requests: mpsc::Receiver<CompleteRequest>, mut rng: Rng) {
    let index = run.scenario.users;
    let mut open_request: Option<CompleteRequest> = None;
    while !run.ended.is_cancelled() {
        let position = position(&run.recorder(), index).map(|position| format!("&{position}"));
        let query = format!("?role=display{}", position.unwrap_or_default());
        let now_us = run.clock.now_us();
        let mut pause = RECONNECT_AFTER;
        match socket::open(&run, index, &query, Window::Usual, now_us).await {
            Ok(mut socket) => {
                if let Some(token) = &run.target().admin_token {
                    // A send that fails is noticed when the socket is read.
                    let _ = send(&mut socket, json!({"type": "auth", "token": token}).to_string()).await;
                }
                let storm_pause = reconnect_pause(&run, 1, &mut rng);
                pause = hold(&run, socket, &mut requests, &mut open_request, storm_pause).await;
            }
            // The server turns the display away. The host must not wait for it.
            Err(Failure::Refused) => {
                open_request = None;
                let _ = requests.try_recv();
            }
            Err(_) => {}
        }
        tokio::select! {
            () = run.ended.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Holds the display's socket until it or the run ends; returns the pause before the next one.
async fn hold(
    run: &Run,
    mut socket: Socket,
    requests: &mut mpsc::Receiver<CompleteRequest>,
    open_request: &mut Option<CompleteRequest>,
    storm_pause: Duration,
) -> Duration {
    let storm = run.storm();
    tokio::pin!(storm);
    let mut reports = interval(STAGE_REPORTS_EVERY);
    if let Some((draw, _)) = open_request {
        // A send that fails is noticed when the socket is read.
        let _ = send(&mut socket, draw_complete(*draw)).await;
    }
    let code = loop {
        tokio::select! {
            received = receive(&mut socket) => match received {
                Received::Text(text) => record(run, text.to_text().unwrap_or_default(), open_request),
                Received::Closed(code) => break code,
            },
            Some(request) = requests.recv() => {
                let draw = request.0;
                *open_request = Some(request);
                if let Err(code) = send(&mut socket, draw_complete(draw)).await {
                    break code;
                }
            }
            _ = reports.tick(), if run.scenario.has_stage => {
                // A send that fails is noticed when the socket is read.
                let _ = send(&mut socket, STAGE).await;
            }
            () = &mut storm => {
                drop_in_storm(run, run.scenario.users, socket, storm_pause);
                return storm_pause;
            }
            () = run.ended.cancelled() => {
                socket::close(run, run.scenario.users, socket).await;
                return Duration::ZERO;
            }
        }
    };
    record_drop(run, run.scenario.users, code);
    RECONNECT_AFTER
}

fn draw_complete(draw: Option<u32>) -> String {
    draw.map_or(json!({"type": "draw_complete"}), |draw| json!({"type": "draw_complete", "draw_id": draw})).to_string()
}

/// Records a frame, and passes an acknowledgement on to the host.
fn record(run: &Run, text: &str, open_request: &mut Option<CompleteRequest>) {
    let Some(frame) = run.note_frame(run.scenario.users, text) else { return };
    if frame.r#type == "draw_complete_ack"
        && let Some((_, sender)) = open_request.take()
    {
        // The host no longer waits when this took too long.
        let _ = sender.send((frame.success == Some(true)).then_some(frame.winners));
    }
}
