//! Somebody in the hall: registers, opens a socket, holds it, comes back when it is cut off, looks up the results.

use crate::book::{Acknowledged, Book};
use crate::clock::{Chance, Span, micros};
use crate::evening::Evening;
use crate::http::{Ask, PATIENCE};
use crate::measure::latency::Wait;
use crate::measure::ledger::Told;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How a socket ended that ended without a word.
const NO_WORD: u16 = 1006;

/// When one phone does what.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub register: Option<Duration>,
    pub connect: Option<Duration>,
    pub aftermath: Option<Duration>,
    pub vanishes: bool,
}

/// A frame from the server, as much of it as is accounted for.
#[derive(Deserialize)]
pub struct Frame<'a> {
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    seq: Option<u64>,
    #[serde(borrow)]
    epoch: Option<Cow<'a, str>>,
    pub draw_id: Option<u32>,
    #[serde(default)]
    pub winners: Vec<u32>,
    pub success: Option<bool>,
}

/// A WebSocket.
pub type Line = WebSocketStream<TcpStream>;

/// What came over one.
pub enum Heard {
    Text(Message),
    Closed(u16),
}

/// Opens a socket and says hello to the book; `planned_us` is when it should have been tried.
pub async fn connect(evening: &Evening, ear: usize, query: &str, planned_us: u64) -> Option<Line> {
    let begun_us = evening.clock.now_us();
    evening.book.borrow_mut().handshakes += 1;
    let result = timeout(PATIENCE, shake_hands(evening, query)).await;
    let mut book = evening.book.borrow_mut();
    match result {
        Ok(Ok(line)) => {
            book.note(Wait::Handshake, planned_us, begun_us);
            book.sockets += 1;
            book.ledger.open(ear);
            return Some(line);
        }
        Ok(Err(error)) => {
            let who = book.ledger.name(ear);
            book.mishap("ws.handshake", &format!("{who}: {error}"));
        }
        Err(_) => book.mishap("ws.handshake", &"no answer in time"),
    }
    book.handshakes_refused += 1;
    None
}

async fn shake_hands(evening: &Evening, query: &str) -> Result<Line, Box<Error>> {
    let request = evening.target.socket_url(query).into_client_request()?;
    let tcp = TcpStream::connect(evening.target.address).await.map_err(Error::Io)?;
    tcp.set_nodelay(true).map_err(Error::Io)?;
    // The defaults would cost 128 KiB a phone.
    let config = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(0).max_message_size(Some(1 << 20));
    Ok(client_async_with_config(request, tcp, Some(config)).await?.0)
}

/// The next text or the end. Cancel safe.
pub async fn hear(line: &mut Line) -> Heard {
    loop {
        match line.next().await {
            Some(Ok(text @ Message::Text(_))) => return Heard::Text(text),
            Some(Ok(Message::Close(frame))) => return Heard::Closed(frame.map_or(1005, |frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Heard::Closed(NO_WORD),
        }
    }
}

/// Writes a frame into the book, and gives it back for whoever wants more of it.
pub fn account<'a>(book: &mut Book, ear: usize, text: &'a str) -> Option<Frame<'a>> {
    let at_us = book.clock.now_us();
    let Ok(frame) = serde_json::from_str::<Frame<'a>>(text) else {
        book.ledger.note_strange(ear, "something that is no frame");
        return None;
    };
    if frame.r#type == "winner_revealed" && ear < book.phones.len() {
        book.ledger.note_strange(ear, "of a reveal, before its announcement");
    }
    match (frame.seq, frame.epoch.as_deref()) {
        (Some(seq), Some(epoch)) if frame.r#type == "state_sync" => book.ledger.greet(ear, seq, epoch),
        (Some(seq), Some(epoch)) => {
            let told = Told { kind: &frame.r#type, seq, epoch, draw: frame.draw_id, winners: &frame.winners, text };
            if book.ledger.hear(ear, told, at_us) && ear < book.phones.len() {
                book.note_delivery(frame.draw_id);
            }
        }
        _ => {}
    }
    Some(frame)
}

/// A phone's whole evening.
pub async fn attend(evening: std::rc::Rc<Evening>, index: usize, moments: Moments, mut chance: Chance) {
    if let Some(moment) = moments.register {
        evening.wait_to_send(moment).await;
        register(&evening, index, moment, &mut chance).await;
    }
    let Some(moment) = moments.connect else { return };
    evening.wait_to_send(moment).await;
    let mut planned_us = micros(moment);
    while !evening.over.is_cancelled() {
        let query = query(&evening.book.borrow(), index);
        if let Some(line) = connect(&evening, index, &query, planned_us).await {
            hold(&evening, index, line, moments.vanishes, &mut chance).await;
        }
        // It comes back with jitter, as the pages do.
        let pause = Duration::from_secs_f64(0.1 + 0.4 * chance.fraction());
        tokio::select! {
            () = evening.over.cancelled() => {}
            () = tokio::time::sleep(pause) => planned_us = evening.clock.now_us(),
        }
    }
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

/// Listens and pings until the socket or the evening ends.
async fn hold(evening: &Evening, index: usize, mut line: Line, vanishes: bool, chance: &mut Chance) {
    let every = evening.plan.ping_every;
    let mut pings = interval_at(Instant::now() + every.mul_f64(chance.fraction()), every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pinged_us = None;
    let vanishing = evening.clock.wait_for(evening.plan.sockets.map_or(evening.plan.end, Span::end));
    tokio::pin!(vanishing);
    let code = loop {
        tokio::select! {
            heard = hear(&mut line) => match heard {
                Heard::Text(text) => {
                    let mut book = evening.book.borrow_mut();
                    let frame = account(&mut book, index, text.to_text().unwrap_or_default());
                    if frame.is_some_and(|frame| frame.r#type == "pong") {
                        book.pongs += 1;
                        if let Some(at_us) = pinged_us.take() {
                            book.note(Wait::Ping, at_us, at_us);
                        }
                    }
                }
                Heard::Closed(code) => break code,
            },
            planned = pings.tick() => {
                let late_us = micros(planned.elapsed());
                let now_us = evening.clock.now_us();
                pinged_us.get_or_insert(now_us.saturating_sub(late_us));
                evening.book.borrow_mut().pings += 1;
                if line.send(Message::text(r#"{"type":"ping"}"#)).await.is_err() {
                    break NO_WORD;
                }
            }
            _ = &mut vanishing, if vanishes => {
                {
                    let mut book = evening.book.borrow_mut();
                    book.ledger.vanish(index);
                    book.sockets -= 1;
                }
                // The socket stays open and nobody looks at it, as when a phone leaves the hall.
                evening.over.cancelled().await;
                return;
            }
            () = evening.over.cancelled() => return leave(evening, line).await,
        }
    };
    let mut book = evening.book.borrow_mut();
    book.sockets -= 1;
    *book.drops.entry(code).or_default() += 1;
}

/// Hangs up at the end of the evening.
pub async fn leave(evening: &Evening, mut line: Line) {
    evening.book.borrow_mut().sockets -= 1;
    let _ = timeout(Duration::from_secs(1), line.close(None)).await;
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
