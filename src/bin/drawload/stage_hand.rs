//! The host and the projector: draws by the plan's steps, each at its planned moment.
//!
//! The host speaks HTTP, the display holds a socket and says `draw_complete`. A step that fails is an error and no reason to stop:
//! the show goes on with the next one, as it would in a hall.

use crate::clock::Chance;
use crate::connection::Window;
use crate::evening::Evening;
use crate::http::{Ask, PATIENCE};
use crate::line::{Heard, Line, account, break_off, connect, hear, leave, note_drop, say};
use crate::measure::latency::Wait;
use crate::phone::{ask, jitter};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Where in a draw's interval its steps are: standby at its beginning.
const START_AT: f64 = 0.15;
const REVEAL_AT: f64 = 0.55;
const COMPLETE_AT: f64 = 0.75;

/// "Say that this draw's show is over, and tell me when you were heard."
pub type Cue = (Option<u32>, oneshot::Sender<bool>);

/// Plays every draw.
pub async fn host(evening: Rc<Evening>, cues: Option<mpsc::Sender<Cue>>) {
    let blocks = evening.plan.draws.iter();
    let draws = blocks.flat_map(|block| (0..block.count).map(|index| (block.from + block.interval * index, block.interval)));
    for ((from, interval), index) in draws.zip(0..) {
        if evening.over.is_cancelled() {
            return;
        }
        play(&evening, index, from, interval, cues.as_ref()).await;
    }
}

async fn play(evening: &Evening, index: u32, from: Duration, interval: Duration, cues: Option<&mpsc::Sender<Cue>>) {
    let prize = format!("Prize {}", index + 1);
    let spec = json!({"prize_name": prize, "prize_rank": index % 5 + 1, "draw_mode": "slot", "winner_count": 1});
    step(evening, Wait::Standby, from, "draw/standby", spec.clone()).await;
    let started = step(evening, Wait::Start, from + interval.mul_f64(START_AT), "draw/start-animation", spec).await;
    let reveal_at = from + interval.mul_f64(REVEAL_AT);
    let revealed = step(evening, Wait::Reveal, reveal_at, "draw/reveal", json!({})).await;
    let id = |answer: &Option<Value>| answer.as_ref().and_then(draw_id);
    let draw = id(&revealed).or(id(&started));
    if let Some(draw) = draw {
        let mut book = evening.book.borrow_mut();
        let seen = book.ledger.draws.entry(draw).or_default();
        seen.prize = prize;
        seen.reveal_asked_us = Some(crate::clock::micros(reveal_at));
        seen.revealed = revealed.as_ref().map(winners);
    }
    let complete_at = from + interval.mul_f64(COMPLETE_AT);
    match cues {
        Some(cues) => complete(evening, draw, complete_at, cues).await,
        None => complete_alone(evening, draw, complete_at).await,
    }
}

/// Has the display say that the show is over.
async fn complete(evening: &Evening, draw: Option<u32>, planned: Duration, cues: &mpsc::Sender<Cue>) {
    evening.wait_to_send(planned).await;
    let begun_us = evening.clock.now_us();
    if let Some(draw) = draw {
        evening.book.borrow_mut().ledger.draws.entry(draw).or_default().completed_us = Some(begun_us);
    }
    let (heard, acknowledged) = oneshot::channel();
    let acknowledged = async { cues.send((draw, heard)).await.is_ok() && acknowledged.await.unwrap_or(false) };
    let success = timeout(PATIENCE, acknowledged).await.unwrap_or(false);
    let mut book = evening.book.borrow_mut();
    book.calls += 1;
    book.note(Wait::Complete, crate::clock::micros(planned), begun_us);
    if !success {
        book.errors += 1;
        book.mishap(Wait::Complete.name(), &"the display's word was not acknowledged");
    }
}

/// Without a display the host says it; and nobody else hears the announcement.
async fn complete_alone(evening: &Evening, draw: Option<u32>, planned: Duration) {
    let answer = step(evening, Wait::Complete, planned, "draw/complete", json!({})).await;
    if let Some((draw, answer)) = draw.zip(answer) {
        let mut book = evening.book.borrow_mut();
        book.ledger.draws.entry(draw).or_default().announced = Some(winners(&answer));
    }
}

async fn step(evening: &Evening, wait: Wait, planned: Duration, path: &str, body: Value) -> Option<Value> {
    evening.wait_to_send(planned).await;
    let target = &evening.target;
    ask(evening, wait, planned, Ask::post(target, target.admin_path(path), body).admin()).await
}

/// The draw that an answer speaks of, whether in the envelope or beside it.
fn draw_id(answer: &Value) -> Option<u32> {
    let id = answer["data"]["draw_id"].as_u64().or(answer["draw_id"].as_u64());
    id.and_then(|id| u32::try_from(id).ok())
}

fn winners(answer: &Value) -> Vec<u32> {
    let list = answer["data"]["winners"].as_array().or(answer["winners"].as_array());
    list.into_iter().flatten().filter_map(|number| u32::try_from(number.as_u64()?).ok()).collect()
}

/// The display: holds its socket all evening and says what the host cues. What was not acknowledged when a socket broke is said again on the next
/// one, as the projector's page does; the server acknowledges a draw that it has announced already.
pub async fn display(evening: Rc<Evening>, mut cues: mpsc::Receiver<Cue>, mut chance: Chance) {
    let ear = evening.plan.users;
    let mut said: Option<Cue> = None;
    while !evening.over.is_cancelled() {
        let known = evening.book.borrow().ledger.position(ear).map(|(seq, epoch)| format!("&since={seq}&epoch={epoch}"));
        let query = format!("?role=display{}", known.unwrap_or_default());
        let now_us = evening.clock.now_us();
        let mut pause = Duration::from_millis(100);
        if let Some(mut line) = connect(&evening, ear, &query, Window::Usual, now_us).await {
            if let Some(token) = &evening.target.admin_token {
                // A socket that broke meanwhile is noticed when it is listened to.
                let _ = say(&mut line, json!({"type": "auth", "token": token}).to_string()).await;
            }
            pause = show(&evening, line, &mut cues, &mut said, jitter(&mut chance)).await;
        }
        tokio::select! {
            () = evening.over.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Shows until the socket or the evening ends; gives back how long to wait before the next one.
async fn show(
    evening: &Evening,
    mut line: Line,
    cues: &mut mpsc::Receiver<Cue>,
    said: &mut Option<Cue>,
    pause: Duration,
) -> Duration {
    let ear = evening.plan.users;
    let storm = evening.storm();
    tokio::pin!(storm);
    if let Some((draw, _)) = said {
        // As above.
        let _ = say(&mut line, word(*draw)).await;
    }
    let code = loop {
        tokio::select! {
            heard = hear(&mut line) => match heard {
                Heard::Text(text) => note(evening, text.to_text().unwrap_or_default(), said),
                Heard::Closed(code) => break code,
            },
            Some(cue) = cues.recv() => {
                let draw = cue.0;
                *said = Some(cue);
                if let Err(code) = say(&mut line, word(draw)).await {
                    break code;
                }
            }
            () = &mut storm => {
                break_off(evening, ear, line, pause);
                return pause;
            }
            () = evening.over.cancelled() => {
                leave(evening, line).await;
                return Duration::ZERO;
            }
        }
    };
    note_drop(evening, code);
    Duration::from_millis(100)
}

/// "The show of this draw is over."
fn word(draw: Option<u32>) -> String {
    draw.map_or(json!({"type": "draw_complete"}), |draw| json!({"type": "draw_complete", "draw_id": draw})).to_string()
}

/// A frame came; an acknowledgement is passed on to the host.
fn note(evening: &Evening, text: &str, said: &mut Option<Cue>) {
    let mut book = evening.book.borrow_mut();
    let Some(frame) = account(&mut book, evening.plan.users, text) else { return };
    match (&*frame.r#type, frame.draw_id) {
        ("draw_complete_ack", _) => {
            if let Some((_, heard)) = said.take() {
                // The host has given up on it when it took too long.
                let _ = heard.send(frame.success == Some(true));
            }
        }
        ("winner_revealed", Some(draw)) => book.ledger.draws.entry(draw).or_default().shown = Some(frame.winners),
        _ => {}
    }
}
