//! Numbers under concurrent registrations: unique, without gaps, one per request.

use crate::event_steps::{EVENT, Phone, request_id};
use crate::test_server::TestServer;
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn concurrent_registrations_with_retries_get_numbers_without_a_gap() {
    const PHONES: u64 = 200;
    let server = TestServer::start().await;
    server.open_event().await;
    let mut requests = tokio::task::JoinSet::new();
    for index in 0..PHONES {
        let body = json!({"event_id": EVENT, "request_id": request_id(index)});
        // Every third phone sends its request twice at once.
        for _ in 0..=u64::from(index % 3 == 0) {
            let request = server.post("/register").json(&body);
            requests.spawn(async move { (index, request.await) });
        }
    }
    let mut given = std::collections::BTreeMap::new();
    while let Some(done) = requests.join_next().await {
        let (index, answer) = done.unwrap();
        let phone = Phone::from_registration(&answer.expect_data(201));
        let first = given.entry(index).or_insert_with(|| phone.clone());
        assert_eq!(*first, phone, "both answers to one request are the same");
    }
    let numbers: BTreeSet<u64> = given.values().map(|phone| phone.number).collect();
    assert_eq!(numbers, (1..=PHONES).collect());
    let tokens: BTreeSet<&str> = given.values().map(|phone| phone.token.as_str()).collect();
    assert_eq!(tokens.len() as u64, PHONES, "no two phones share a token");
}

#[tokio::test]
async fn a_full_event_refuses_the_next_registration() {
    let server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "title": "Small", "prizes": [], "participants_max": 3})).await;
    let phones = server.register_many(3).await;
    let body = json!({"event_id": EVENT, "request_id": request_id(4)});
    server.post("/register").json(&body).await.expect_refusal(409, "EVENT_FULL");
    assert_eq!(server.register(1).await, phones[0], "a registered phone still gets its number");
    assert_eq!(server.admin_get("stats").await["participant_count"], 3);
}

#[tokio::test]
async fn overload_and_failed_commits_cost_no_seat() {
    const SEATS: u64 = 300;
    // Open mode has no quota of new numbers, which would refuse some of them first.
    let server = TestServer::start_with(&[("LUCKYDRAW_INBOX_MAX", "64"), ("LUCKYDRAW_OPEN", "1")]).await;
    server.open_event_with(json!({"event_id": EVENT, "title": "T", "prizes": [], "participants_max": SEATS})).await;
    // A lock that another program holds: commits wait for it, then fail.
    let held = rusqlite::Connection::open(server.journal()).unwrap();
    held.busy_timeout(crate::test_server::TIMEOUT).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    // All at once, so that most find the inbox full, and the others a journal that takes no write.
    let mut requests = tokio::task::JoinSet::new();
    for index in 1_000..1_000 + 2 * SEATS {
        let request = server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(index)}));
        requests.spawn(async move { request.await });
    }
    let mut refused = BTreeSet::new();
    while let Some(response) = requests.join_next().await {
        let response = response.unwrap();
        assert_eq!(response.status, 503, "nothing could be committed: {}", response.json());
        refused.insert(response.json()["detail"]["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(refused.len(), 2, "both OVERLOADED and NOT_DURABLE: {refused:?}");
    drop(held);
    server.until_ready().await;
    let mut numbers = BTreeSet::new();
    for phone in server.register_many(SEATS).await {
        numbers.insert(phone.number);
    }
    assert_eq!(numbers, (1..=SEATS).collect(), "a refused registration took no number from later ones");
    let body = json!({"event_id": EVENT, "request_id": request_id(1_000)});
    server.post("/register").json(&body).await.expect_refusal(409, "EVENT_FULL");
}
