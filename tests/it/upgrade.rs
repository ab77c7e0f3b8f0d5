//! An upgrade in mid-draw: the listening socket stays open, 300 phones are told to come back, and none of them loses a frame or its number.

use crate::http::Ask;
use crate::show::{EVENT, Phone, prize, request_id};
use crate::socket::{Heard, Socket};
use crate::test_server::{PATIENCE, TestServer};
use hyper::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The phones of the plan's hall.
const PHONES: u64 = 300;

/// How many go on calling, each call on a connection of its own.
const CALLERS: usize = 8;

/// Calls over and over until it is told to end, and insists on every answer; gives back their number.
async fn call(ask: Ask, end: watch::Receiver<bool>) -> usize {
    let mut answered = 0;
    while !*end.borrow() {
        let answer = ask.clone().try_send().await.unwrap_or_else(|error| panic!("call {answered} was cut off: {error}"));
        assert_eq!(answer.status.as_u16(), 200);
        answered += 1;
    }
    answered
}

/// What a phone knows at the end.
struct Evening {
    /// Its number from the registration.
    number: u64,
    /// The numbered frames it heard, as seq and type, in order, over all its sockets.
    frames: Vec<(u64, String)>,
    epochs: Vec<String>,
    /// How its sockets ended.
    closes: Vec<u16>,
    /// What its number was each time it was greeted.
    numbers: Vec<u64>,
}

/// A phone as the page is one: it comes back with jitter, says what it knows, and goes home once it has heard the frame numbered `last`.
async fn attend(
    address: SocketAddr,
    phone: Phone,
    greeted: tokio::sync::mpsc::Sender<()>,
    last: watch::Receiver<Option<u64>>,
) -> Evening {
    let mut evening = Evening { number: phone.number, frames: vec![], epochs: vec![], closes: vec![], numbers: vec![] };
    let mut known: Option<(u64, String)> = None;
    loop {
        let since = known.as_ref().map_or(String::new(), |(seq, epoch)| format!("&since={seq}&epoch={epoch}"));
        let query = format!("?token={}{since}", phone.token);
        let Ok(mut socket) = Socket::try_connect(address, EVENT, &query, &[]).await else {
            // Cut off in the handshake by the process that made way: the next one takes it.
            tokio::time::sleep(Duration::from_millis(20 + phone.number)).await;
            continue;
        };
        let code = loop {
            let frame = match socket.hear().await {
                Heard::Frame(frame) => frame,
                Heard::Closed(code) => break code,
            };
            let Some(seq) = frame["seq"].as_u64() else { continue };
            let epoch = frame["epoch"].as_str().unwrap().to_owned();
            if frame["type"] == "state_sync" {
                evening.numbers.extend(own_number(&frame));
                let _ = greeted.try_send(());
            } else {
                evening.frames.push((seq, frame["type"].as_str().unwrap().to_owned()));
                evening.epochs.push(epoch.clone());
            }
            known = Some((seq, epoch));
            if *last.borrow() == Some(seq) && frame["type"] != "state_sync" {
                return evening;
            }
        };
        evening.closes.push(code);
        // Bounded jitter, as the pages': they do not come back as one.
        tokio::time::sleep(Duration::from_millis(phone.number.wrapping_mul(37) % 300)).await;
    }
}

/// The number that a greeting says is the phone's own.
fn own_number(sync: &Value) -> Option<u64> {
    sync["you"]["draw_number"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_phones_go_through_an_upgrade_in_mid_draw_and_lose_nothing() {
    let mut house = TestServer::start_activated(&[]).await;
    house.open_event().await;
    let phones = house.register_many(PHONES).await;
    let (greeted, mut greetings) = tokio::sync::mpsc::channel(4 * PHONES as usize);
    let (end, last) = watch::channel(None);
    let mut crowd = JoinSet::new();
    for phone in &phones {
        crowd.spawn(attend(house.address, phone.clone(), greeted.clone(), last.clone()));
    }
    for _ in 0..PHONES {
        greetings.recv().await.unwrap();
    }
    house.whole_draw(&prize("Before")).await;
    house.order("draw/standby", &prize("TV")).await.ok();
    let draw = house.start_draw(&prize("TV")).await;

    let (calls_end, calls) = watch::channel(false);
    let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(call(house.ask(Method::GET, "/healthz"), calls.clone()))).collect();
    house.terminate();
    // Nobody listens any more, and yet nobody is refused: this call waits in the queue for the next process.
    assert_eq!(house.ended().await.code(), Some(0));
    let waiting = house.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(9_999)}));
    let waiting = tokio::spawn(waiting.try_send());
    house.restart().await;
    calls_end.send(true).unwrap();
    for caller in callers {
        let answered = tokio::time::timeout(PATIENCE, caller).await.unwrap().unwrap();
        assert!(answered > 0, "every call is answered, by the one or by the other");
    }

    let late = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().expect("a call made in between is answered");
    assert_eq!(late.granted(201)["draw_number"], PHONES + 1);
    let revealed = house.order("draw/reveal", &json!({})).await.ok();
    assert_eq!(revealed["draw_id"], draw, "the draw that was under way goes on");
    house.order("draw/complete", &json!({})).await.ok();
    let seq = house.public("/state").await["seq"].as_u64().unwrap();
    end.send(Some(seq + 1)).unwrap();
    house.order("draw/standby", &prize("Farewell")).await.ok();

    let mut told = 0;
    while let Some(evening) = tokio::time::timeout(2 * PATIENCE, crowd.join_next()).await.expect("every phone hears the end") {
        let evening = evening.unwrap();
        let seqs: Vec<u64> = evening.frames.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (1..=seq + 1).collect::<Vec<_>>(), "each frame once and in order");
        assert!(evening.epochs.iter().all(|epoch| *epoch == evening.epochs[0]), "one history");
        assert!(evening.closes.iter().all(|code| matches!(code, 1012 | 1006)), "{:?}", evening.closes);
        assert!(evening.closes.contains(&1012), "it was told to come back: {:?}", evening.closes);
        assert!(evening.numbers.len() >= 2 && evening.numbers.iter().all(|number| *number == evening.number), "its own number");
        told += 1;
    }
    assert_eq!(told, PHONES);
    let again = house.register_many(PHONES).await;
    assert_eq!(again, phones, "everybody keeps number and token");
}
