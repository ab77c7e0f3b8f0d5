//! A disk that takes no more: no answer says yes to what is not kept, everything else goes on, and nobody has to help when space returns.

use crate::show::{EVENT, prize, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_unaided() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    let phones = house.register_many(3).await;
    let mut phone = house.phone_socket(&phones[0]).await;
    house.limit_files(Some(4096));

    let body = json!({"event_id": EVENT, "request_id": request_id(4)});
    let refused = house.post("/register").json(&body).await;
    refused.refused(503, "NOT_DURABLE");
    assert!(refused.header("retry-after").parse::<u32>().is_ok(), "it says when to come back: {:?}", refused.headers);
    house.order("draw/start-animation", &prize("TV")).await.refused(503, "NOT_DURABLE");
    for _ in 0..5 {
        house.post("/register").json(&json!({"event_id": EVENT})).await.refused(503, "NOT_DURABLE");
    }
    assert_eq!(house.ask(Method::GET, "/readyz").await.status, 503);
    assert_eq!(house.ask(Method::GET, "/health").await.status, 200);
    assert_eq!(house.register(1).await, phones[0], "who is known is answered");
    assert_eq!(house.look("stats").await["participant_count"], 3);
    phone.settle().await;
    assert!(phone.numbered().is_empty(), "nobody was told of a draw that is not kept");

    house.limit_files(None);
    let number = house.register(4).await.number;
    assert_eq!(number, 4, "the claim that could not be kept is kept now, and no number is lost");
    assert_eq!(house.ask(Method::GET, "/readyz").await.status, 200);
    assert_eq!(house.register(5).await.number, 5, "who was sent away without a number took none");
    let (_, winners) = house.whole_draw(&prize("TV")).await;
    phone.until("draw_complete").await;
    assert_eq!(phone.numbered()[0]["seq"], 1, "what was refused took no frame's number");
    house.kill();
    house.restart().await;
    assert_eq!(house.look("stats").await["participant_count"], 5);
    assert_eq!(house.look("draws").await["draws"][0]["draw_number"], winners[0]);
}
