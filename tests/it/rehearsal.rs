//! Simulated phones: they come by the listener as every phone does, answer when they win, and go
//! with their event.

use crate::event_steps::EVENT;
use crate::http_client::Response;
use crate::test_server::{TIMEOUT, TestServer};
use hyper::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

impl TestServer {
    /// Opens [`EVENT`] as a rehearsal, with more settings.
    async fn open_rehearsal(&self, settings: Value) {
        let mut event = json!({"event_id": EVENT, "title": "Gala", "prizes": [], "rehearsal": true});
        event.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.open_event_with(event).await;
    }

    pub async fn simulate(&self, count: u32) -> Response {
        self.admin_post("rehearsal/phones", &json!({"count": count})).await
    }

    /// Waits until a figure of the simulated phones is this.
    pub async fn until_simulated(&self, figure: &str, count: u32) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let phones = self.admin_get("rehearsal/phones").await;
            if phones[figure] == count {
                return;
            }
            assert!(Instant::now() < deadline, "timed out waiting for {count} {figure}: {phones}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn simulated_phones_register_connect_and_answer_when_they_win() {
    let mut server = TestServer::start().await;
    server.open_rehearsal(json!({"consent_text": "We keep your number."})).await;
    server.admin_post("entry-code", &json!({"rotates": true})).await.ok();
    assert_eq!(server.simulate(40).await.ok()["wanted"], 40);
    server.until_simulated("connected", 40).await;
    server.until_connected(40).await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 40);

    let all = json!({"prize_name": "All", "prize_rank": 1, "draw_mode": "list", "winner_count": 20});
    let (_, winners) = server.whole_draw(&all).await;
    let answering = winners.iter().filter(|number| *number % 5 != 0).count();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let listed = server.admin_get("winners").await;
        let rows = listed["winners"].as_array().unwrap();
        if rows.len() == answering && rows.iter().all(|row| row["arrived_at"].is_string()) {
            break;
        }
        assert!(Instant::now() < deadline, "{answering} of the winners give details: {listed}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    server.simulate(5).await.ok();
    server.until_simulated("connected", 5).await;
    server.until_connected(5).await;
    server.terminate();
    assert!(server.ended().await.success(), "the server stops while phones are simulated");
}

#[tokio::test]
async fn simulated_phones_register_anew_after_a_wipe_and_go_with_their_event() {
    let server = TestServer::start().await;
    server.open_rehearsal(json!({"participants_max": 12})).await;
    server.simulate(15).await.ok();
    server.until_simulated("registered", 12).await;
    server.until_simulated("refused", 3).await;
    server.simulate(10).await.ok();
    server.until_simulated("wanted", 10).await;
    server.admin_post("rehearsal/wipe", &json!({"word": "REHEARSAL"})).await.ok();
    let deadline = Instant::now() + TIMEOUT;
    while server.admin_get("stats").await["participant_count"] == 0 {
        assert!(Instant::now() < deadline, "no phone registered anew");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let path = format!("/api/luckydraw/admin/events/{EVENT}");
    server.request(Method::DELETE, &path).admin().json(&json!({"confirm": EVENT})).await.ok();
    server.open_event().await;
    let none = server.admin_get("rehearsal/phones").await;
    assert_eq!(none, json!({"wanted": 0, "registered": 0, "connected": 0, "refused": 0}), "another event of that name");
    server.register(1).await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 1);
}

#[tokio::test]
async fn only_a_rehearsal_has_simulated_phones_and_no_more_than_connections_allow() {
    let server = TestServer::start_with(&[("LUCKYDRAW_CONNECTIONS_MAX", "60")]).await;
    server.open_event().await;
    server.simulate(1).await.expect_refusal(409, "NOT_A_REHEARSAL");
    for (event, count) in [("first", 20), ("second", 10)] {
        server.open_event_with(json!({"event_id": event, "title": event, "prizes": [], "rehearsal": true})).await;
        let path = format!("/admin/{event}/rehearsal/phones");
        server.post(&path).admin().json(&json!({"count": 31})).await.expect_refusal(422, "INVALID_REQUEST");
        server.post(&path).json(&json!({"count": 1})).await.expect_refusal(401, "UNAUTHORIZED");
        server.post(&path).admin().json(&json!({"count": count})).await.ok();
    }
    let third = json!({"event_id": "third", "title": "third", "prizes": [], "rehearsal": true});
    server.open_event_with(third).await;
    let refused = server.post("/admin/third/rehearsal/phones").admin().json(&json!({"count": 1})).await;
    refused.expect_refusal(422, "INVALID_REQUEST");
}
