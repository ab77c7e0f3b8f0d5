//! The driver of the draws: the host over HTTP, and the display on a socket.
//!
//! Each step comes at its planned time. A step that fails is an error and no reason to stop: the
//! next one follows, as it would in a real event.

use super::Run;
use super::socket::{self, Received, Socket, drop_in_storm, position, receive, reconnect_pause, record_drop, record_frame, send};
use crate::client::Window;
use crate::client::http::{ANSWER_MAX, Request};
use crate::measure::clock::Rng;
use crate::measure::latency::Wait;
use crate::measure::micros;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// Steps of a draw as parts of its interval; standby is at its beginning.
const START_AT: f64 = 0.15;
const REVEAL_AT: f64 = 0.55;
const COMPLETE_AT: f64 = 0.75;

/// The display's pause before it reconnects, except in the storm.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

/// The host's request to the display to complete a draw, and the way back for the acknowledgement.
pub type CompleteRequest = (Option<u32>, oneshot::Sender<bool>);

/// Drives every draw, as the host; `display` is `None` without sockets.
pub async fn drive_draws(run: Rc<Run>, display: Option<mpsc::Sender<CompleteRequest>>) {
    for ((from, interval), index) in run.scenario.each_draw().zip(0..) {
        if run.ended.is_cancelled() {
            return;
        }
        drive_draw(&run, index, from, interval, display.as_ref()).await;
    }
}

async fn drive_draw(run: &Run, index: u32, from: Duration, interval: Duration, display: Option<&mpsc::Sender<CompleteRequest>>) {
    let prize = format!("Prize {}", index + 1);
    let spec = json!({"prize_name": prize, "prize_rank": index % 5 + 1, "draw_mode": "slot", "winner_count": 1});
    step(run, Wait::Standby, from, "draw/standby", spec.clone()).await;
    let started = step(run, Wait::Start, from + interval.mul_f64(START_AT), "draw/start-animation", spec).await;
    let reveal_at = from + interval.mul_f64(REVEAL_AT);
    let revealed = step(run, Wait::Reveal, reveal_at, "draw/reveal", json!({})).await;
    let draw = revealed.as_ref().and_then(draw_id).or(started.as_ref().and_then(draw_id));
    if let Some(draw) = draw {
        let mut recorder = run.recorder();
        let record = recorder.ledger.draws.entry(draw).or_default();
        record.prize = prize;
        record.reveal_planned_us = Some(micros(reveal_at));
        record.revealed = revealed.as_ref().map(winners);
    }
    let complete_at = from + interval.mul_f64(COMPLETE_AT);
    match display {
        Some(display) => complete(run, draw, complete_at, display).await,
        None => complete_without_display(run, draw, complete_at).await,
    }
}

/// Has the display complete the draw.
async fn complete(run: &Run, draw: Option<u32>, planned: Duration, display: &mpsc::Sender<CompleteRequest>) {
    run.wait_to_send(planned).await;
    let started_us = run.clock.now_us();
    if let Some(draw) = draw {
        run.recorder().ledger.draws.entry(draw).or_default().completed_us = Some(started_us);
    }
    let (sender, acknowledged) = oneshot::channel();
    let acknowledged = async { display.send((draw, sender)).await.is_ok() && acknowledged.await.unwrap_or(false) };
    let acknowledged = timeout(ANSWER_MAX, acknowledged).await.unwrap_or(false);
    let answer = acknowledged.then_some(()).ok_or("the display's word was not acknowledged");
    run.recorder().record_call(Wait::Complete, planned, started_us, &answer);
}

/// Completes the draw as the host; no socket receives the announcement.
async fn complete_without_display(run: &Run, draw: Option<u32>, planned: Duration) {
    let answer = step(run, Wait::Complete, planned, "draw/complete", json!({})).await;
    if let Some((draw, answer)) = draw.zip(answer) {
        run.recorder().ledger.draws.entry(draw).or_default().announced = Some(winners(&answer));
    }
}

async fn step(run: &Run, wait: Wait, planned: Duration, path: &str, body: Value) -> Option<Value> {
    run.wait_to_send(planned).await;
    let target = &run.target;
    run.call(wait, planned, Request::post(target, target.admin_path(path), body).admin()).await
}

/// The draw of an answer, in its envelope or beside it.
fn draw_id(answer: &Value) -> Option<u32> {
    let id = answer["data"]["draw_id"].as_u64().or(answer["draw_id"].as_u64());
    id.and_then(|id| u32::try_from(id).ok())
}

fn winners(answer: &Value) -> Vec<u32> {
    let list = answer["data"]["winners"].as_array().or(answer["winners"].as_array());
    list.into_iter().flatten().filter_map(|number| u32::try_from(number.as_u64()?).ok()).collect()
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
        if let Some(mut socket) = socket::open(&run, index, &query, Window::Usual, now_us).await {
            if let Some(token) = &run.target.admin_token {
                // A send that fails is noticed when the socket is read.
                let _ = send(&mut socket, json!({"type": "auth", "token": token}).to_string()).await;
            }
            pause = hold(&run, socket, &mut requests, &mut open_request, reconnect_pause(&mut rng)).await;
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
            () = &mut storm => {
                drop_in_storm(run, run.scenario.users, socket, storm_pause);
                return storm_pause;
            }
            () = run.ended.cancelled() => {
                socket::close(run, socket).await;
                return Duration::ZERO;
            }
        }
    };
    record_drop(run, code);
    RECONNECT_AFTER
}

fn draw_complete(draw: Option<u32>) -> String {
    draw.map_or(json!({"type": "draw_complete"}), |draw| json!({"type": "draw_complete", "draw_id": draw})).to_string()
}

/// Records a frame, and passes an acknowledgement on to the host.
fn record(run: &Run, text: &str, open_request: &mut Option<CompleteRequest>) {
    let mut recorder = run.recorder();
    let Some(frame) = record_frame(&mut recorder, run.scenario.users, text) else { return };
    match (&*frame.r#type, frame.draw_id) {
        ("draw_complete_ack", _) => {
            if let Some((_, sender)) = open_request.take() {
                // The host no longer waits when this took too long.
                let _ = sender.send(frame.success == Some(true));
            }
        }
        ("winner_revealed", Some(draw)) => recorder.ledger.draws.entry(draw).or_default().shown = Some(frame.winners),
        _ => {}
    }
}
