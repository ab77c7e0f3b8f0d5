//! Numbers under a crowd: unique, rising without a gap, one for each request.

use crate::show::{EVENT, Phone, request_id};
use crate::test_server::TestServer;
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn a_crowd_with_retries_gets_numbers_without_a_gap() {
    const PHONES: u64 = 200;
    let house = TestServer::start().await;
    house.open_event().await;
    let mut asks = tokio::task::JoinSet::new();
    for index in 0..PHONES {
        let body = json!({"event_id": EVENT, "request_id": request_id(index)});
        // Every third asks twice at once, as an impatient thumb does.
        for _ in 0..=u64::from(index % 3 == 0) {
            let ask = house.post("/register").json(&body);
            asks.spawn(async move { (index, ask.await) });
        }
    }
    let mut given = std::collections::BTreeMap::new();
    while let Some(done) = asks.join_next().await {
        let (index, answer) = done.unwrap();
        let phone = Phone::from_answer(&answer.granted(201));
        let first = given.entry(index).or_insert_with(|| phone.clone());
        assert_eq!(*first, phone, "both answers to one request are the same");
    }
    let numbers: BTreeSet<u64> = given.values().map(|phone| phone.number).collect();
    assert_eq!(numbers, (1..=PHONES).collect());
    let tokens: BTreeSet<&str> = given.values().map(|phone| phone.token.as_str()).collect();
    assert_eq!(tokens.len() as u64, PHONES, "no token serves two");
}

#[tokio::test]
async fn an_event_takes_no_more_than_it_was_made_for() {
    let house = TestServer::start().await;
    house.open_event_with(json!({"event_id": EVENT, "title": "Small", "prizes": [], "participants_max": 3})).await;
    let phones = house.register_many(3).await;
    let body = json!({"event_id": EVENT, "request_id": request_id(4)});
    house.post("/register").json(&body).await.refused(409, "EVENT_FULL");
    assert_eq!(house.register(1).await, phones[0], "one who is in is still known");
    assert_eq!(house.look("stats").await["participant_count"], 3);
}
