//! A full disk: no answer acknowledges a fact that is not durable, other calls are served, and the
//! server recovers by itself.

use crate::event_steps::{EVENT, prize, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

#[tokio::test]
async fn a_full_disk_refuses_changes_until_there_is_space() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(3).await;
    let mut phone = server.phone_socket(&phones[0]).await;
    server.limit_files(Some(4096));

    let body = json!({"event_id": EVENT, "request_id": request_id(4)});
    let refused = server.post("/register").json(&body).await;
    refused.expect_refusal(503, "NOT_DURABLE");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "it has a Retry-After: {:?}", refused.headers);
    server.admin_post("draw/start-animation", &prize("TV")).await.expect_refusal(503, "NOT_DURABLE");
    for _ in 0..5 {
        server.post("/register").json(&json!({"event_id": EVENT})).await.expect_refusal(503, "NOT_DURABLE");
    }
    assert_eq!(server.request(Method::GET, "/readyz").await.status, 503);
    assert_eq!(server.request(Method::GET, "/health").await.status, 200);
    assert_eq!(server.register(1).await, phones[0], "a known phone is answered");
    assert_eq!(server.admin_get("stats").await["participant_count"], 3);
    phone.drain().await;
    assert!(phone.numbered().is_empty(), "no phone got a frame of a draw that is not durable");

    server.limit_files(None);
    server.until_ready().await;
    assert_eq!(server.register(4).await.number, 4, "the number that could not be kept went back");
    assert_eq!(server.register(5).await.number, 5, "a refused registration took no number");
    let (_, winners) = server.whole_draw(&prize("TV")).await;
    phone.until("draw_complete").await;
    assert_eq!(phone.numbered()[0]["seq"], 1, "a refused draw took no sequence number");
    server.kill();
    server.restart().await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 5);
    assert_eq!(server.admin_get("draws").await["draws"][0]["draw_number"], winners[0]);
}
