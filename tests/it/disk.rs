//! A full disk: no answer acknowledges a fact that is not kept, everything else goes on, and the
//! server recovers by itself.

use crate::show::{EVENT, prize, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_unaided() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(3).await;
    let mut phone = server.phone_socket(&phones[0]).await;
    server.limit_files(Some(4096));

    let body = json!({"event_id": EVENT, "request_id": request_id(4)});
    let refused = server.post("/register").json(&body).await;
    refused.refused(503, "NOT_DURABLE");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "it says when to come back: {:?}", refused.headers);
    server.order("draw/start-animation", &prize("TV")).await.refused(503, "NOT_DURABLE");
    for _ in 0..5 {
        server.post("/register").json(&json!({"event_id": EVENT})).await.refused(503, "NOT_DURABLE");
    }
    assert_eq!(server.ask(Method::GET, "/readyz").await.status, 503);
    assert_eq!(server.ask(Method::GET, "/health").await.status, 200);
    assert_eq!(server.register(1).await, phones[0], "a known phone is answered");
    assert_eq!(server.look("stats").await["participant_count"], 3);
    phone.settle().await;
    assert!(phone.numbered().is_empty(), "no phone heard of a draw that is not kept");

    server.limit_files(None);
    server.until_ready().await;
    assert_eq!(server.register(4).await.number, 4, "the number that could not be kept went back");
    assert_eq!(server.register(5).await.number, 5, "a refused registration took no number");
    let (_, winners) = server.whole_draw(&prize("TV")).await;
    phone.until("draw_complete").await;
    assert_eq!(phone.numbered()[0]["seq"], 1, "what was refused took no frame's number");
    server.kill();
    server.restart().await;
    assert_eq!(server.look("stats").await["participant_count"], 5);
    assert_eq!(server.look("draws").await["draws"][0]["draw_number"], winners[0]);
}
