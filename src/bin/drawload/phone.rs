//! Somebody in the hall: registers, opens a socket, holds it, comes back when it is cut off, looks up the results.

use crate::book::{Acknowledged, Book};
use crate::clock::{Chance, micros};
use crate::connection::Window;
use crate::evening::Evening;
use crate::http::Ask;
use crate::line::{Heard, Line, account, break_off, connect, hear, leave, note_drop, say};
use crate::measure::latency::Wait;
use crate::slow;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// What becomes of a phone once all are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It listens to the end.
    Stays,
    /// It leaves the hall without a word.
    Vanishes,
    /// It reads a little now and then.
    ReadsLittle,
    /// It reads nothing and says nothing, and is there all the same.
    ReadsNothing,
}

/// When one phone does what.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub register: Option<Duration>,
    pub connect: Option<Duration>,
    pub aftermath: Option<Duration>,
    pub fate: Fate,
}

/// Why a phone has no socket any more.
enum Gone {
    /// It was cut off, and comes back after a pause.
    For(Duration),
    ForGood,
}

/// A phone's whole evening.
pub async fn attend(evening: std::rc::Rc<Evening>, index: usize, moments: Moments, mut chance: Chance) {
    let mut arrived = Duration::ZERO;
    if let Some(moment) = moments.register {
        evening.wait_to_send(moment).await;
        // On the heap, and gone afterwards: most of an evening is spent listening.
        Box::pin(register(&evening, index, moment, &mut chance)).await;
        arrived = moment;
    }
    let Some(moment) = moments.connect else { return };
    // Who registers later than others connect cannot have connected before.
    let moment = if moment < arrived { evening.clock.now() } else { moment };
    evening.wait_to_send(moment).await;
    let mut planned_us = micros(moment);
    while !evening.over.is_cancelled() {
        let query = query(&evening.book.borrow(), index);
        let window = if matches!(moments.fate, Fate::Stays | Fate::Vanishes) { Window::Usual } else { Window::Small };
        let mut gone = Gone::For(jitter(&mut chance));
        if let Some(line) = connect(&evening, index, &query, window, planned_us).await {
            gone = hold(&evening, index, line, moments.fate, &mut chance).await;
        }
        let Gone::For(pause) = gone else { return };
        tokio::select! {
            () = evening.over.cancelled() => {}
            () = tokio::time::sleep(pause) => planned_us = evening.clock.now_us(),
        }
    }
}

/// How long a phone waits before it comes back, as the pages do.
pub fn jitter(chance: &mut Chance) -> Duration {
    Duration::from_secs_f64(0.1 + 0.4 * chance.fraction())
}

async fn register(evening: &Evening, index: usize, planned: Duration, chance: &mut Chance) {
    let request_id = format!("{:016x}{:016x}{index:08x}", chance.next(), chance.next());
    let body = json!({"event_id": evening.target.event, "request_id": request_id});
    let begun_us = evening.clock.now_us();
    evening.book.borrow_mut().registering += 1;
    let answer = Ask::post(&evening.target, evening.target.path("/register"), body).send().await;
    let mut book = evening.book.borrow_mut();
    book.registering -= 1;
    book.note_call(Wait::Register, planned, begun_us, &answer);
    let Ok(answer) = answer else { return };
    let data = &answer["data"];
    let number = data["draw_number"].as_u64().and_then(|number| u32::try_from(number).ok());
    match (number, data["session_token"].as_str()) {
        (Some(number), Some(token)) => book.phones[index] = Some(Acknowledged { number, token: token.to_owned() }),
        _ => book.answers_wrong.push(format!("phone {index} was registered without a number or a token")),
    }
}

/// What a phone's socket asks for: itself, and to be told what it missed.
fn query(book: &Book, index: usize) -> String {
    let token = book.phones[index].as_ref().map(|phone| format!("token={}", phone.token));
    let known = book.ledger.position(index).map(|(seq, epoch)| format!("since={seq}&epoch={epoch}"));
    let parts: Vec<String> = token.into_iter().chain(known).collect();
    if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
}

/// Listens and pings until the socket or the evening ends, or the phone meets its fate.
async fn hold(evening: &Evening, index: usize, mut line: Line, fate: Fate, chance: &mut Chance) -> Gone {
    let every = evening.plan.ping_every;
    let mut pings = interval_at(Instant::now() + every.mul_f64(chance.fraction()), every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pinged_us = None;
    let assembled = evening.clock.wait_for(evening.plan.assembled());
    let storm = evening.storm();
    tokio::pin!(assembled, storm);
    let code = loop {
        tokio::select! {
            heard = hear(&mut line) => match heard {
                Heard::Text(text) => note(evening, index, text.to_text().unwrap_or_default(), &mut pinged_us),
                Heard::Closed(code) => break code,
            },
            planned = pings.tick() => {
                let late_us = micros(planned.elapsed());
                let now_us = evening.clock.now_us();
                pinged_us.get_or_insert(now_us.saturating_sub(late_us));
                evening.book.borrow_mut().pings += 1;
                if let Err(code) = say(&mut line, r#"{"type":"ping"}"#.into()).await {
                    break code;
                }
            }
            _ = &mut assembled, if fate != Fate::Stays => {
                Box::pin(meet(evening, index, line, fate)).await;
                return Gone::ForGood;
            }
            () = &mut storm => {
                let pause = jitter(chance);
                break_off(evening, index, line, pause);
                return Gone::For(pause);
            }
            () = evening.over.cancelled() => {
                leave(evening, line).await;
                return Gone::ForGood;
            }
        }
    };
    note_drop(evening, code);
    Gone::For(jitter(chance))
}

/// A frame came; an awaited pong is timed.
fn note(evening: &Evening, index: usize, text: &str, pinged_us: &mut Option<u64>) {
    let mut book = evening.book.borrow_mut();
    let frame = account(&mut book, index, text);
    if frame.is_some_and(|frame| frame.r#type == "pong") {
        book.pongs += 1;
        if let Some(at_us) = pinged_us.take() {
            book.note(Wait::Ping, at_us, at_us);
        }
    }
}

/// Nothing is owed to it from now on.
async fn meet(evening: &Evening, index: usize, line: Line, fate: Fate) {
    {
        let mut book = evening.book.borrow_mut();
        book.ledger.vanish(index);
        book.sockets -= 1;
    }
    match fate {
        // The socket stays open and nobody looks at it, as when a phone leaves the hall.
        Fate::Stays | Fate::Vanishes => evening.over.cancelled().await,
        Fate::ReadsLittle => slow::read_little(evening, line).await,
        Fate::ReadsNothing => slow::read_nothing(evening, line).await,
    }
}

/// Looks up the results; a winner hands in its details.
pub async fn look_back(evening: std::rc::Rc<Evening>, index: usize, planned: Duration) {
    evening.wait_to_send(planned).await;
    let Some(me) = evening.book.borrow().phones[index].clone() else { return };
    let target = &evening.target;
    let wins = |book: &Book| {
        let mine = |winners: &Vec<u32>| winners.contains(&me.number);
        book.ledger.draws.iter().find(|(_, draw)| draw.announced.as_ref().is_some_and(mine)).map(|(id, _)| *id)
    };
    // What was heard before a question was sent: a draw that is announced while the answer is on its way need not be in it.
    let count = evening.book.borrow().ledger.draws.values().filter(|draw| draw.announced.is_some()).count();
    let results =
        ask(&evening, Wait::Results, planned, Ask::get(target, target.path(&format!("/results?event_id={}", target.event))))
            .await;
    let had_won = wins(&evening.book.borrow()).is_some();
    let path = target.path(&format!("/check-winner?event_id={}&draw_number={}", target.event, me.number));
    let checked = ask(&evening, Wait::CheckWinner, evening.clock.now(), Ask::get(target, path)).await;
    let won = {
        let mut book = evening.book.borrow_mut();
        let won = wins(&book);
        if let Some(answer) = results.filter(|answer| answer["data"]["draws"].as_array().map_or(0, Vec::len) < count) {
            book.answers_wrong
                .push(format!("phone {index}: {count} draws were announced, the results tell of fewer: {answer:.100}"));
        }
        if checked.is_some_and(|answer| had_won && answer["data"]["won"] != json!(true)) {
            book.answers_wrong.push(format!("phone {index}: number {} has won, and is told that it has not", me.number));
        }
        won
    };
    if let Some(draw) = won {
        let body = json!({"event_id": target.event, "draw_id": draw, "name": format!("Winner {}", me.number),
            "phone": format!("010-0000-{:04}", me.number % 10_000), "consent": true});
        ask(&evening, Wait::Details, evening.clock.now(), Ask::post(target, target.path("/winner-info"), body).bearer(&me.token))
            .await;
    }
}

/// A call that is timed and accounted for; none when it failed.
pub async fn ask(evening: &Evening, wait: Wait, planned: Duration, ask: Ask<'_>) -> Option<Value> {
    let begun_us = evening.clock.now_us();
    let answer = ask.send().await;
    evening.book.borrow_mut().note_call(wait, planned, begun_us, &answer);
    answer.ok()
}
