//! Two operators at one event, and one who presses twice: nobody acts on another one's draw, and nothing is drawn twice by a retry.

use crate::show::{EVENT, prize, request_id};
use crate::test_server::TestServer;
use serde_json::{Value, json};

fn knowing(name: &str, last_draw: u64) -> Value {
    let mut spec = prize(name);
    spec["last_draw_id"] = json!(last_draw);
    spec
}

#[tokio::test]
async fn a_console_that_looks_at_an_old_page_changes_nothing() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(5).await;
    let last = house.public("/state").await["state_sync"]["last_draw_id"].as_u64();
    assert_eq!(last, Some(0));
    let first = house.start_draw(&knowing("TV", 0)).await;
    assert_eq!(house.start_draw(&knowing("TV", 0)).await, first, "the same start again is the same draw");
    let old = json!({"draw_id": first + 1});
    for path in ["draw/reveal", "draw/cancel", "draw/complete"] {
        house.order(path, &old).await.refused(409, "DRAW_OUTDATED");
    }
    let named = json!({"draw_id": first});
    let revealed = house.order("draw/reveal", &named).await.ok();
    assert_eq!(house.order("draw/reveal", &named).await.ok()["winners"], revealed["winners"], "both pressed");
    house.order("draw/complete", &named).await.ok();
    house.order("draw/complete", &named).await.ok();
    house.order("draw/start-animation", &knowing("TV", 0)).await.refused(409, "DRAW_OUTDATED");
    house.order("draw/standby", &knowing("TV", 0)).await.refused(409, "DRAW_OUTDATED");
    let second = house.start_draw(&knowing("TV", first)).await;
    house.order("draw/cancel", &named).await.refused(409, "DRAW_OUTDATED");
    assert_eq!(house.order("draw/cancel", &json!({"draw_id": second})).await.ok()["draw_id"], second);
    house.order("draw/complete", &json!({"draw_id": second})).await.refused(409, "DRAW_OUTDATED");
}

#[tokio::test]
async fn a_draw_in_one_call_is_drawn_once_however_often_it_is_asked_for() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    house.register_many(6).await;
    let mut body = json!({"prize_name": "Mug", "prize_rank": 3, "count": 2, "request_id": request_id(1)});
    let first = house.order("draw", &body).await.ok();
    house.kill();
    house.restart().await;
    let again = house.order("draw", &body).await.ok();
    assert_eq!((&again["draw_id"], &again["winners"]), (&first["draw_id"], &first["winners"]), "also across a crash");
    let path = format!("/api/luckydraw/admin/{EVENT}/draw");
    body.as_object_mut().unwrap().remove("request_id");
    let by_header = || house.ask(hyper::Method::POST, &path).admin().header("Idempotency-Key", &request_id(2)).json(&body);
    let second = by_header().await.ok();
    assert_ne!(second["draw_id"], first["draw_id"]);
    assert_eq!(by_header().await.ok()["draw_id"], second["draw_id"]);
    body["request_id"] = json!("short");
    house.order("draw", &body).await.refused(422, "INVALID_REQUEST");
    assert_eq!(house.look("draws").await["total_count"], 4);
}
