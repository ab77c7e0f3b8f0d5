//! The real binary, killed at the worst times, loses nothing.

use crate::event_steps::{EVENT, Phone, numbers, prize, request_id};
use crate::test_server::TestServer;
use crate::websocket_client::gapless;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

#[tokio::test]
async fn a_kill_during_a_spike_loses_no_acknowledged_number() {
    // Each client registers again upon each response, so a kill at any time hits open requests.
    const CLIENTS: u64 = 50;
    const PHONES: u64 = 400;
    let mut server = TestServer::start().await;
    server.open_event().await;
    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let request =
            |index| (index, server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(index)})));
        let requests: Vec<_> = (client..PHONES).step_by(CLIENTS as usize).map(request).collect();
        let answered = answered.clone();
        clients.spawn(async move {
            let mut acknowledged = Vec::new();
            for (index, request) in requests {
                let Ok(answer) = request.try_send().await else { break };
                acknowledged.push((index, Phone::from_registration(&answer.expect_data(201))));
                answered.fetch_add(1, SeqCst);
            }
            acknowledged
        });
    }
    crate::test_server::poll("a third of the spike is answered", || (answered.load(SeqCst) >= PHONES / 3).then_some(())).await;
    server.kill();
    let mut acknowledged = BTreeMap::new();
    while let Some(done) = clients.join_next().await {
        acknowledged.extend(done.unwrap());
    }
    assert!((acknowledged.len() as u64) < PHONES, "the kill came too late to show anything");

    server.restart().await;
    let mut numbers = BTreeSet::new();
    for index in 0..PHONES {
        let phone = server.register(index).await;
        if let Some(before) = acknowledged.get(&index) {
            assert_eq!(*before, phone, "an acknowledged number is kept for its request_id");
        }
        assert!(numbers.insert(phone.number), "{} was given twice", phone.number);
    }
    let highest = *numbers.last().unwrap();
    let gaps = highest - PHONES;
    assert!(gaps <= CLIENTS, "{gaps} gaps, but at most {CLIENTS} numbers were between claim and commit");
    assert_eq!(server.admin_get("stats").await["participant_count"], PHONES);
    assert_eq!(server.register(PHONES).await.number, highest + 1, "the next number is one above the highest");
}

#[tokio::test]
async fn a_kill_between_start_and_reveal_reveals_the_winners_that_were_picked() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    register_concurrently(&server, 100).await;
    // Five of a hundred, in order: two picks are the same by chance once in nine billion.
    let spec = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": "card", "winner_count": 5});
    let draw = server.start_draw(&spec).await;
    server.kill();
    // A server on a copy of the folder reveals the pick without a change to the original.
    let copy = server.start_copy().await;
    let expected = copy.admin_post("draw/reveal", &json!({})).await.ok();

    for pick in [expected["winners"].to_string(), expected["winners"].to_string().replace(',', ", ")] {
        assert!(!server.data_holds(pick.as_bytes()), "a copy of the data folder shows the pick before its reveal");
    }
    for _ in 0..2 {
        server.restart().await;
        let again = server.admin_post("draw/start-animation", &spec).await.ok();
        assert_eq!(again["draw_id"], draw, "the draw is still pending");
        server.admin_post("draw/start-animation", &prize("Radio")).await.expect_refusal(409, "DRAW_IN_PROGRESS");
        server.kill();
    }
    server.restart().await;
    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    assert_eq!((revealed["draw_id"].as_u64(), &revealed["winners"]), (Some(draw), &expected["winners"]));
    assert_eq!(server.admin_get("draws").await["total_count"], 5);
}

async fn register_concurrently(server: &TestServer, count: u64) {
    let body = |index| json!({"event_id": EVENT, "request_id": request_id(index)});
    let requests = (0..count).map(|index| server.post("/register").json(&body(index)).try_send());
    for answer in futures_util::future::join_all(requests).await {
        answer.unwrap().expect_data(201);
    }
}

#[tokio::test]
async fn a_kill_between_reveal_and_announcement_announces_exactly_once() {
    let mut server = TestServer::start_with(&[("LUCKYDRAW_ANNOUNCE_AFTER_MS", "300")]).await;
    server.open_event().await;
    let phones = server.register_many(5).await;
    let _display = server.display().await;
    let mut phone = server.phone_socket(&phones[0]).await;
    server.start_draw(&prize("TV")).await;
    phone.until("draw_started").await;
    let seq = gapless(&phone.numbered()).unwrap();
    let epoch = phone.received("draw_started")[0]["epoch"].as_str().unwrap().to_owned();
    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    server.kill();

    for _ in 0..2 {
        server.restart().await;
        let mut back = server.socket(EVENT, &format!("?token={}&since={seq}&epoch={epoch}", phones[0].token)).await;
        let announced = back.until("winner_announced").await;
        assert_eq!((&announced["winners"], &announced["draw_id"]), (&revealed["winners"], &revealed["draw_id"]));
        assert_eq!(announced["seq"], seq + 1, "the same fact has the same number after every start");
        back.until("draw_complete").await;
        back.drain().await;
        assert_eq!(back.received("winner_announced").len(), 1);
        server.kill();
    }
    server.restart().await;
    let rows = server.admin_get("draws").await;
    assert_eq!((rows["total_count"].as_u64(), &rows["draws"][0]["draw_number"]), (Some(1), &revealed["winners"][0]));
    assert_eq!(server.admin_post("draw/complete", &json!({})).await.ok()["winners"], revealed["winners"]);
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(400, "REVEAL_FAILED");
}

#[tokio::test]
async fn frames_have_the_same_numbers_after_a_restart() {
    let mut server = TestServer::start().await;
    server
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "quantity": 5}]}))
        .await;
    server.register_many(8).await;
    let mut phone = server.socket(EVENT, "").await;
    let epoch = phone.until("state_sync").await["epoch"].as_str().unwrap().to_owned();
    server.admin_post("draw/standby", &prize("TV")).await.ok();
    let (draw, winners) = server.whole_draw(&prize("TV")).await;
    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "absent", "redraw": true});
    server.admin_post("draw/void", &void).await.ok();
    server.admin_post("draw/cancel", &json!({"reason": "enough"})).await.ok();
    server.whole_draw(&prize("TV")).await;
    server.admin_post("reset", &json!({})).await.ok();
    phone.until("event_reset").await;
    phone.drain().await;
    let live: Vec<_> = phone.numbered().into_iter().cloned().collect();
    assert_eq!(live[0]["seq"], 1, "numbers begin at one");
    gapless(&phone.numbered());

    server.kill();
    server.restart().await;
    let mut back = server.socket(EVENT, &format!("?since=0&epoch={epoch}")).await;
    back.until("state_sync").await;
    let replayed: Vec<_> = back.numbered().into_iter().cloned().collect();
    assert_eq!(live, replayed, "every frame is identical");
    assert_eq!(back.received("state_sync")[0]["epoch"], epoch.as_str());
}

#[tokio::test]
async fn wins_voids_and_details_survive_a_kill() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(2).await;
    let (draw, winners) = server.whole_draw(&prize("TV")).await;
    let winner = &phones[winners[0] as usize - 1];
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "Kim", "phone": "010-9876-5432", "consent": true});
    server.post("/winner-info").bearer(&winner.token).json(&form).await.ok();
    let before = (
        server.public("/results").await,
        server.public("/proof").await,
        server.admin_get("winners?unmask=1").await,
        server.admin_get("draws").await,
    );
    server.kill();
    server.restart().await;
    let after = (
        server.public("/results").await,
        server.public("/proof").await,
        server.admin_get("winners?unmask=1").await,
        server.admin_get("draws").await,
    );
    assert_eq!(before, after);
    let (_, second) = server.whole_draw(&prize("Radio")).await;
    assert_ne!(numbers(&json!(second)), winners, "an earlier winner is still out of the pool");
}
