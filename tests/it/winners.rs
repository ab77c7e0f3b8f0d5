//! Winner details: from winners only, after the announcement, with consent, once; masked for whoever reads them.

use crate::show::{EVENT, Phone, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

const NAME: &str = "홍길동";
const PHONE: &str = "010-1234-5678";

fn form(draw: u64) -> Value {
    json!({"event_id": EVENT, "draw_id": draw, "name": NAME, "phone": PHONE, "address": "Seoul", "consent": true})
}

/// A house with a few phones and one announced draw; gives back the draw, its winner and a phone that did not win.
async fn with_winner(house: &TestServer) -> (u64, Phone, Phone) {
    house.open_event().await;
    let phones = house.register_many(3).await;
    let (draw, winners) = house.whole_draw(&prize("TV")).await;
    let winner = phones.iter().find(|phone| phone.number == winners[0]).unwrap().clone();
    let loser = phones.iter().find(|phone| phone.number != winners[0]).unwrap().clone();
    (draw, winner, loser)
}

#[tokio::test]
async fn a_claim_code_is_drawn_for_the_desk_and_kept_by_nobody() {
    let house = TestServer::start().await;
    let code = |claim: &str| house.post("/claim.svg").json(&json!({"event_id": EVENT, "claim_code": claim}));
    let drawn = code("7K3MQ2ZX").await;
    assert_eq!((drawn.header("content-type"), drawn.header("cache-control")), ("image/svg+xml", "no-store"));
    assert_ne!(drawn.body, code("7K3MQ2ZY").await.body, "another code is another picture");
    code("7K3M/../Q2ZX").await.refused(422, "INVALID_REQUEST");
    house
        .post("/claim.svg")
        .json(&json!({"event_id": "no/event", "claim_code": "7K3MQ2ZX"}))
        .await
        .refused(404, "EVENT_NOT_FOUND");
    house.get("/claim.svg?claim_code=7K3MQ2ZX").await.refused(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_winner_hands_in_details_once_and_the_first_are_kept() {
    let house = TestServer::start().await;
    let (draw, winner, _) = with_winner(&house).await;
    let mut console = house.console().await;
    house.post("/winner-info").bearer(&winner.token).json(&form(draw)).await.ok();
    let mut second = form(draw);
    second["name"] = json!("Somebody Else");
    house.post("/winner-info").bearer(&winner.token).json(&second).await.ok();

    let received = console.until("winner_info_received").await;
    assert_eq!((received["draw_number"].as_u64(), received["prize_name"].as_str()), (Some(winner.number), Some("TV")));
    assert_eq!((received["name"].as_str(), received["phone"].as_str()), (Some(NAME), Some("010-****-5678")));

    let listed = house.look("winners").await;
    let row = &listed["winners"][0];
    assert_eq!((listed["total_count"].as_u64(), row["draw_number"].as_u64()), (Some(1), Some(winner.number)));
    assert_eq!((row["name"].as_str(), row["phone"].as_str()), (Some(NAME), Some("010-****-5678")));
    assert!(row["submitted_at"].as_str().unwrap().ends_with('Z'));
    let unmasked = house.look("winners?unmask=1").await;
    assert_eq!(unmasked["winners"][0]["phone"], PHONE);
    let checked = house.public(&format!("/check-winner?draw_number={}", winner.number)).await;
    assert_eq!((&checked["prizes"][0]["details_received"], &checked["prizes"][0]["claimed"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn reading_details_unmasked_leaves_a_trace() {
    let house = TestServer::start().await;
    with_winner(&house).await;
    let before = house.look("audit").await.to_string();
    house.look("winners?unmask=1").await;
    let after = house.look("audit").await.to_string();
    assert!(after.to_lowercase().matches("unmask").count() > before.to_lowercase().matches("unmask").count(), "{after}");
}

#[tokio::test]
async fn details_are_taken_from_nobody_but_the_winner_with_consent() {
    let house = TestServer::start().await;
    let (draw, winner, loser) = with_winner(&house).await;
    house.post("/winner-info").json(&form(draw)).await.refused(400, "TOKEN_REQUIRED");
    house.post("/winner-info").bearer("not-a-token").json(&form(draw)).await.refused(404, "PARTICIPANT_NOT_FOUND");
    house.post("/winner-info").bearer(&loser.token).json(&form(draw)).await.refused(403, "NOT_A_WINNER");
    house.post("/winner-info").bearer(&winner.token).json(&form(draw + 1)).await.refused(403, "NOT_A_WINNER");
    for (field, value) in [("consent", json!(false)), ("consent", Value::Null), ("name", json!("")), ("phone", json!(12))] {
        let mut wrong = form(draw);
        wrong[field] = value;
        house.post("/winner-info").bearer(&winner.token).json(&wrong).await.refused(422, "INVALID_REQUEST");
    }
    assert_eq!(house.look("winners").await["total_count"], 0);
}

#[tokio::test]
async fn details_wait_for_the_announcement_and_end_with_the_seat() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phone = house.register(1).await;
    let _display = house.display().await;
    let draw = house.reveal_draw(&prize("TV")).await["draw_id"].as_u64().unwrap();
    house.post("/winner-info").bearer(&phone.token).json(&form(draw)).await.refused(403, "NOT_A_WINNER");
    house.order("draw/complete", &json!({})).await.ok();
    let void = json!({"draw_id": draw, "draw_number": 1, "reason": "absent", "redraw": false});
    house.order("draw/void", &void).await.ok();
    house.post("/winner-info").bearer(&phone.token).json(&form(draw)).await.refused(403, "NOT_A_WINNER");
}

#[tokio::test]
async fn a_socket_that_proved_its_token_may_hand_in_details() {
    let house = TestServer::start().await;
    let (draw, winner, loser) = with_winner(&house).await;
    let message = |number: u64| {
        json!({"type": "submit_winner_info", "event_id": EVENT, "draw_number": number, "prize_name": "TV",
               "name": NAME, "phone": PHONE, "consent": true})
    };
    let mut stranger = house.socket(EVENT, "").await;
    stranger.say(&message(winner.number)).await;
    assert_eq!(stranger.until("submit_winner_info_ack").await["success"], false, "an unproved socket is nobody");
    let mut losing = house.phone_socket(&loser).await;
    losing.say(&message(winner.number)).await;
    assert_eq!(losing.until("submit_winner_info_ack").await["success"], false, "a phone speaks for itself only");
    let mut winning = house.phone_socket(&winner).await;
    for _ in 0..2 {
        winning.say(&message(winner.number)).await;
        assert_eq!(winning.until("submit_winner_info_ack").await["success"], true);
    }
    assert_eq!(house.look("winners").await["total_count"], 1);
    winning.say(&json!({"type": "im_here", "draw_id": draw})).await;
    winning.settle().await;
    assert!(winning.heard("error").is_empty(), "{:?}", winning.heard("error"));
}

#[tokio::test]
async fn details_in_the_data_folder_are_not_in_the_clear() {
    let house = TestServer::start().await;
    let (draw, winner, _) = with_winner(&house).await;
    house.post("/winner-info").bearer(&winner.token).json(&form(draw)).await.ok();
    for secret in [NAME, PHONE, "01012345678"] {
        assert!(!house.data_holds(secret.as_bytes()), "{secret} lies in the data folder");
    }
    let answer = house.admin(Method::GET, "winners?unmask=1").await.ok();
    assert_eq!(answer["winners"][0]["name"], NAME, "and yet they can be read");
}
