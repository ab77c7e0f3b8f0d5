//! Two operators at one event, and one who clicks twice: no click acts on another draw, and no
//! retry draws twice.

use crate::event_steps::{EVENT, prize, request_id};
use crate::test_server::TestServer;
use serde_json::{Value, json};

/// A draw as a console requests it that knows of no draw after `last_draw`.
fn draw_after(name: &str, last_draw: u64) -> Value {
    let mut spec = prize(name);
    spec["last_draw_id"] = json!(last_draw);
    spec
}

#[tokio::test]
async fn a_console_with_an_outdated_page_changes_nothing() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(5).await;
    let last = server.public("/state").await["state_sync"]["last_draw_id"].as_u64();
    assert_eq!(last, Some(0));
    let first = server.start_draw(&draw_after("TV", 0)).await;
    assert_eq!(server.start_draw(&draw_after("TV", 0)).await, first, "the same start again is the same draw");
    let old = json!({"draw_id": first + 1});
    for path in ["draw/reveal", "draw/cancel", "draw/complete"] {
        server.admin_post(path, &old).await.expect_refusal(409, "DRAW_OUTDATED");
    }
    let named = json!({"draw_id": first});
    let revealed = server.admin_post("draw/reveal", &named).await.ok();
    assert_eq!(server.admin_post("draw/reveal", &named).await.ok()["winners"], revealed["winners"], "both operators clicked");
    server.admin_post("draw/complete", &named).await.ok();
    server.admin_post("draw/complete", &named).await.ok();
    server.admin_post("draw/start-animation", &draw_after("TV", 0)).await.expect_refusal(409, "DRAW_OUTDATED");
    server.admin_post("draw/standby", &draw_after("TV", 0)).await.expect_refusal(409, "DRAW_OUTDATED");
    let second = server.start_draw(&draw_after("TV", first)).await;
    server.admin_post("draw/cancel", &named).await.expect_refusal(409, "DRAW_OUTDATED");
    assert_eq!(server.admin_post("draw/cancel", &json!({"draw_id": second})).await.ok()["draw_id"], second);
    server.admin_post("draw/complete", &json!({"draw_id": second})).await.expect_refusal(409, "DRAW_OUTDATED");
}

#[tokio::test]
async fn a_draw_in_one_call_is_drawn_once_however_often_it_is_retried() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.register_many(6).await;
    let mut body = json!({"prize_name": "Mug", "prize_rank": 3, "count": 2, "request_id": request_id(1)});
    let first = server.admin_post("draw", &body).await.ok();
    server.kill();
    server.restart().await;
    let again = server.admin_post("draw", &body).await.ok();
    assert_eq!((&again["draw_id"], &again["winners"]), (&first["draw_id"], &first["winners"]), "also across a crash");
    let path = format!("/api/luckydraw/admin/{EVENT}/draw");
    body.as_object_mut().unwrap().remove("request_id");
    let by_header = || server.request(hyper::Method::POST, &path).admin().header("Idempotency-Key", &request_id(2)).json(&body);
    let second = by_header().await.ok();
    assert_ne!(second["draw_id"], first["draw_id"]);
    assert_eq!(by_header().await.ok()["draw_id"], second["draw_id"]);
    body["request_id"] = json!("short");
    server.admin_post("draw", &body).await.expect_refusal(422, "INVALID_REQUEST");
    assert_eq!(server.admin_get("draws").await["total_count"], 4);
}
