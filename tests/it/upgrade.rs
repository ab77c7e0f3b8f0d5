//! An upgrade during a draw: the listening socket stays open, 300 phones reconnect, and none loses
//! a frame or its number.

use crate::event_steps::{EVENT, Phone, prize, request_id};
use crate::http_client::RequestBuilder;
use crate::test_server::{TIMEOUT, TestServer};
use crate::websocket_client::{Received, Socket};
use hyper::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Phones at the event.
const PHONES: u64 = 300;

/// Clients that keep sending requests, each on its own connection.
const CALLERS: usize = 8;

/// Sends requests until `end`, requires an answer to each, and returns their number.
async fn send_requests(request: RequestBuilder, end: watch::Receiver<bool>) -> usize {
    let mut answered = 0;
    while !*end.borrow() {
        let answer = request.clone().try_send().await.unwrap_or_else(|error| panic!("request {answered} was cut off: {error}"));
        assert_eq!(answer.status.as_u16(), 200);
        answered += 1;
    }
    answered
}

/// Everything that a phone received.
struct PhoneLog {
    /// The number from its registration.
    number: u64,
    /// Numbered frames as seq and type, in order, over all its sockets.
    frames: Vec<(u64, String)>,
    epochs: Vec<String>,
    /// Close codes of its sockets.
    closes: Vec<u16>,
    /// Its number in each `state_sync`.
    numbers: Vec<u64>,
}

/// A phone that behaves like the page: it reconnects with jitter, names its last frame, and leaves
/// after the frame numbered `last`.
async fn run_phone(
    address: SocketAddr,
    phone: Phone,
    synced: tokio::sync::mpsc::Sender<()>,
    last: watch::Receiver<Option<u64>>,
) -> PhoneLog {
    let mut log = PhoneLog { number: phone.number, frames: vec![], epochs: vec![], closes: vec![], numbers: vec![] };
    let mut known: Option<(u64, String)> = None;
    loop {
        let since = known.as_ref().map_or(String::new(), |(seq, epoch)| format!("&since={seq}&epoch={epoch}"));
        let query = format!("?token={}{since}", phone.token);
        let Ok(mut socket) = Socket::try_connect(address, EVENT, &query, &[]).await else {
            // The old process ended during the handshake; the next one accepts it.
            tokio::time::sleep(Duration::from_millis(20 + phone.number)).await;
            continue;
        };
        let code = loop {
            let frame = match socket.receive().await {
                Received::Frame(frame) => frame,
                Received::Closed(code) => break code,
            };
            let Some(seq) = frame["seq"].as_u64() else { continue };
            let epoch = frame["epoch"].as_str().unwrap().to_owned();
            if frame["type"] == "state_sync" {
                log.numbers.extend(own_number(&frame));
                let _ = synced.try_send(());
            } else {
                log.frames.push((seq, frame["type"].as_str().unwrap().to_owned()));
                log.epochs.push(epoch.clone());
            }
            known = Some((seq, epoch));
            if *last.borrow() == Some(seq) && frame["type"] != "state_sync" {
                return log;
            }
        };
        log.closes.push(code);
        // Bounded jitter, as in the pages, so that phones do not reconnect all at once.
        tokio::time::sleep(Duration::from_millis(phone.number.wrapping_mul(37) % 300)).await;
    }
}

/// The phone's own number in a `state_sync`.
fn own_number(sync: &Value) -> Option<u64> {
    sync["you"]["draw_number"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_phones_lose_nothing_in_an_upgrade_during_a_draw() {
    let mut server = TestServer::start_activated(&[]).await;
    server.open_event().await;
    let phones = server.register_many(PHONES).await;
    let (synced, mut syncs) = tokio::sync::mpsc::channel(4 * PHONES as usize);
    let (end, last) = watch::channel(None);
    let mut phone_tasks = JoinSet::new();
    for phone in &phones {
        phone_tasks.spawn(run_phone(server.address, phone.clone(), synced.clone(), last.clone()));
    }
    for _ in 0..PHONES {
        syncs.recv().await.unwrap();
    }
    server.whole_draw(&prize("Before")).await;
    server.admin_post("draw/standby", &prize("TV")).await.ok();
    let draw = server.start_draw(&prize("TV")).await;

    let (calls_end, calls) = watch::channel(false);
    let callers: Vec<_> =
        (0..CALLERS).map(|_| tokio::spawn(send_requests(server.request(Method::GET, "/healthz"), calls.clone()))).collect();
    server.terminate();
    // No process accepts now, but this request waits in the kernel's queue for the next process.
    assert_eq!(server.ended().await.code(), Some(0));
    let waiting = server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(9_999)}));
    let waiting = tokio::spawn(waiting.try_send());
    server.restart().await;
    calls_end.send(true).unwrap();
    for caller in callers {
        let answered = tokio::time::timeout(TIMEOUT, caller).await.unwrap().unwrap();
        assert!(answered > 0, "every request is answered, by the old process or the new one");
    }

    let late =
        tokio::time::timeout(TIMEOUT, waiting).await.unwrap().unwrap().expect("a request between the processes is answered");
    assert_eq!(late.expect_data(201)["draw_number"], PHONES + 1);
    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    assert_eq!(revealed["draw_id"], draw, "the draw continues");
    server.admin_post("draw/complete", &json!({})).await.ok();
    let seq = server.public("/state").await["seq"].as_u64().unwrap();
    end.send(Some(seq + 1)).unwrap();
    server.admin_post("draw/standby", &prize("Farewell")).await.ok();

    let mut finished = 0;
    while let Some(log) =
        tokio::time::timeout(2 * TIMEOUT, phone_tasks.join_next()).await.expect("every phone receives the last frame")
    {
        let log = log.unwrap();
        let seqs: Vec<u64> = log.frames.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(seqs, (1..=seq + 1).collect::<Vec<_>>(), "each frame once and in order");
        assert!(log.epochs.iter().all(|epoch| *epoch == log.epochs[0]), "one epoch");
        assert!(log.closes.iter().all(|code| matches!(code, 1012 | 1006)), "{:?}", log.closes);
        assert!(log.closes.contains(&1012), "the close code asks it to reconnect: {:?}", log.closes);
        assert!(log.numbers.len() >= 2 && log.numbers.iter().all(|number| *number == log.number), "its own number");
        finished += 1;
    }
    assert_eq!(finished, PHONES);
    let again = server.register_many(PHONES).await;
    assert_eq!(again, phones, "every phone keeps its number and token");
}
