//! Winner details: from winners only, after the announcement, with consent, once; masked for
//! readers; an address only where the prize is sent.

use crate::event_steps::{EVENT, Phone, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

const NAME: &str = "홍길동";
const PHONE: &str = "010-1234-5678";

fn form(draw: u64) -> Value {
    json!({"event_id": EVENT, "draw_id": draw, "name": NAME, "phone": PHONE, "address": "Seoul", "consent": true})
}

/// Registers a few phones and announces one draw; returns the draw, its winner and a phone that did
/// not win.
async fn with_winner(server: &TestServer) -> (u64, Phone, Phone) {
    server.open_event().await;
    let phones = server.register_many(3).await;
    let (draw, winners) = server.whole_draw(&prize("TV")).await;
    let winner = phones.iter().find(|phone| phone.number == winners[0]).unwrap().clone();
    let loser = phones.iter().find(|phone| phone.number != winners[0]).unwrap().clone();
    (draw, winner, loser)
}

#[tokio::test]
async fn a_claim_code_is_rendered_as_an_image_and_never_cached() {
    let server = TestServer::start().await;
    let code = |claim: &str| server.post("/claim.svg").json(&json!({"event_id": EVENT, "claim_code": claim}));
    let drawn = code("7K3MQ2ZX").await;
    assert_eq!((drawn.header("content-type"), drawn.header("cache-control")), ("image/svg+xml", "no-store"));
    assert_ne!(drawn.body, code("7K3MQ2ZY").await.body, "another code is another image");
    code("7K3M/../Q2ZX").await.expect_refusal(422, "INVALID_REQUEST");
    server
        .post("/claim.svg")
        .json(&json!({"event_id": "no/event", "claim_code": "7K3MQ2ZX"}))
        .await
        .expect_refusal(404, "EVENT_NOT_FOUND");
    server.get("/claim.svg?claim_code=7K3MQ2ZX").await.expect_refusal(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_winner_submits_details_and_corrects_them_until_the_hand_over() {
    let server = TestServer::start().await;
    let (draw, winner, _) = with_winner(&server).await;
    let mut console = server.console().await;
    let mut mistyped = form(draw);
    mistyped["phone"] = json!("010-1111-1111");
    let first = server.post("/winner-info").bearer(&winner.token).json(&mistyped).await.ok();
    let mut corrected = form(draw);
    server.post("/winner-info").bearer(&winner.token).json(&corrected).await.expect_refusal(409, "DETAILS_OUTDATED");
    corrected["version"] = first["details_version"].clone();
    let second = server.post("/winner-info").bearer(&winner.token).json(&corrected).await.ok();
    assert_eq!((&first["first"], &second["first"]), (&json!(true), &json!(false)));

    for phone in ["010-****-1111", "010-****-5678"] {
        let received = console.until("winner_info_received").await;
        assert_eq!((received["draw_number"].as_u64(), received["prize_name"].as_str()), (Some(winner.number), Some("TV")));
        assert_eq!((received["name"].as_str(), received["phone"].as_str()), (Some(NAME), Some(phone)));
    }
    let listed = server.admin_get("winners").await;
    let row = &listed["winners"][0];
    assert_eq!((listed["total_count"].as_u64(), row["draw_number"].as_u64()), (Some(1), Some(winner.number)));
    assert_eq!((row["name"].as_str(), row["phone"].as_str()), (Some(NAME), Some("010-****-5678")));
    assert!(row["submitted_at"].as_str().unwrap().ends_with('Z'));
    let unmasked = server.admin_get("winners?unmask=1").await;
    assert_eq!(unmasked["winners"][0]["phone"], PHONE);
    let checked = server.public(&format!("/check-winner?draw_number={}", winner.number)).await;
    assert_eq!((&checked["prizes"][0]["details_received"], &checked["prizes"][0]["claimed"]), (&json!(true), &json!(false)));

    let path = format!("/check-winner?event_id={EVENT}&draw_number={}", winner.number);
    let own = server.get(&path).bearer(&winner.token).await.ok();
    let code = own["prizes"][0]["claim_code"].as_str().unwrap().to_owned();
    server.admin_post("claims/hand-over", &json!({"code": code, "desk": "lobby"})).await.ok();
    let late = server.post("/winner-info").bearer(&winner.token).json(&mistyped).await;
    late.expect_refusal(409, "ALREADY_HANDED_OVER");
}

#[tokio::test]
async fn a_host_corrects_details_on_record() {
    let mut server = TestServer::start().await;
    let (draw, winner, _) = with_winner(&server).await;
    server.post("/winner-info").bearer(&winner.token).json(&form(draw)).await.ok();
    let correct = async |server: &TestServer, number: u64, body: Value| {
        server.admin(Method::PUT, &format!("winners/{draw}/{number}")).json(&body).await
    };
    let body = json!({"name": NAME, "phone": "０１０．９９９９．８８８８", "consent": true, "version": 1});
    assert_eq!(correct(&server, winner.number, body.clone()).await.ok()["first"], false);
    correct(&server, 99, body.clone()).await.expect_refusal(403, "NOT_A_WINNER");
    for wrong in [json!({"name": NAME, "phone": "010-12", "consent": true}), json!({"name": NAME, "phone": PHONE})] {
        correct(&server, winner.number, wrong).await.expect_refusal(422, "INVALID_REQUEST");
    }
    let audit = server.admin_get("audit").await;
    let line = &audit["lines"][0];
    assert_eq!((&line["kind"], &line["actor"]), (&json!("details_received"), &json!("admin")), "{audit}");
    assert!(!audit.to_string().contains("9999"), "no detail is in the trail");
    server.kill();
    server.restart().await;
    assert_eq!(server.admin_get("winners?unmask=1").await["winners"][0]["phone"], "010-9999-8888");

    let staff = server.admin_post("links", &json!({"role": "staff"})).await.expect_data(201);
    let path = format!("/api/luckydraw/admin/{EVENT}/winners/{draw}/{}", winner.number);
    let as_staff = server.request(Method::PUT, &path).bearer(staff["token"].as_str().unwrap()).json(&body).await;
    as_staff.expect_refusal(403, "FORBIDDEN");
}

#[tokio::test]
async fn the_grade_of_a_prize_travels_to_every_screen() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let listed = json!({"prize_name": "TV", "prize_rank": 3, "prize_grade": "특별상", "quantity": 1, "draw_mode": "slot"});
    server.admin_post("prizes", &listed).await.expect_data(201);
    let (_, _) = server.whole_draw(&prize("TV")).await;
    let own = server.get(&format!("/state?event_id={EVENT}")).bearer(&phone.token).await.ok();
    let win = &own["state_sync"]["you"]["prizes"][0];
    assert_eq!(win["prize_grade"], "특별상", "{win}");
    assert_eq!(own["state_sync"]["results"][0]["prize_grade"], "특별상");
    let code = win["claim_code"].as_str().unwrap();
    assert_eq!(server.admin_post("claims/look-up", &json!({"code": code})).await.ok()["prize_grade"], "특별상");
    for (call, list) in [("winners?all=1", "winners"), ("draws", "draws")] {
        assert_eq!(server.admin_get(call).await[list][0]["prize_grade"], "특별상", "{call}");
    }
    assert_eq!(server.public("/check-winner?draw_number=1").await["prizes"][0]["prize_grade"], "특별상");
    assert_eq!(server.public("/results").await["draws"][0]["prize_grade"], "특별상");
}

#[tokio::test]
async fn reading_details_unmasked_is_audited() {
    let server = TestServer::start().await;
    with_winner(&server).await;
    let before = server.admin_get("audit").await.to_string();
    server.admin_get("winners?unmask=1").await;
    let after = server.admin_get("audit").await.to_string();
    assert!(after.to_lowercase().matches("unmask").count() > before.to_lowercase().matches("unmask").count(), "{after}");
}

#[tokio::test]
async fn details_are_accepted_only_from_the_winner_and_with_consent() {
    let server = TestServer::start().await;
    let (draw, winner, loser) = with_winner(&server).await;
    server.post("/winner-info").json(&form(draw)).await.expect_refusal(400, "TOKEN_REQUIRED");
    server.post("/winner-info").bearer("not-a-token").json(&form(draw)).await.expect_refusal(404, "PARTICIPANT_NOT_FOUND");
    server.post("/winner-info").bearer(&loser.token).json(&form(draw)).await.expect_refusal(403, "NOT_A_WINNER");
    server.post("/winner-info").bearer(&winner.token).json(&form(draw + 1)).await.expect_refusal(403, "NOT_A_WINNER");
    for (field, value) in [("consent", json!(false)), ("consent", Value::Null), ("name", json!("")), ("phone", json!(12))] {
        let mut wrong = form(draw);
        wrong[field] = value;
        server.post("/winner-info").bearer(&winner.token).json(&wrong).await.expect_refusal(422, "INVALID_REQUEST");
    }
    assert_eq!(server.admin_get("winners").await["total_count"], 0);
}

#[tokio::test]
async fn details_are_refused_before_the_announcement_and_after_a_void() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let _display = server.display().await;
    let draw = server.reveal_draw(&prize("TV")).await["draw_id"].as_u64().unwrap();
    server.post("/winner-info").bearer(&phone.token).json(&form(draw)).await.expect_refusal(403, "NOT_A_WINNER");
    server.admin_post("draw/complete", &json!({})).await.ok();
    let void = json!({"draw_id": draw, "draw_number": 1, "reason": "absent", "redraw": false});
    server.admin_post("draw/void", &void).await.ok();
    server.post("/winner-info").bearer(&phone.token).json(&form(draw)).await.expect_refusal(403, "NOT_A_WINNER");
}

#[tokio::test]
async fn an_authenticated_socket_can_submit_details() {
    let server = TestServer::start().await;
    let (draw, winner, loser) = with_winner(&server).await;
    let message = |number: u64| {
        json!({"type": "submit_winner_info", "event_id": EVENT, "draw_number": number, "prize_name": "TV",
               "name": NAME, "phone": PHONE, "consent": true, "version": 0})
    };
    let mut unauthenticated = server.socket(EVENT, "").await;
    unauthenticated.send_json(&message(winner.number)).await;
    assert_eq!(unauthenticated.until("submit_winner_info_ack").await["success"], false, "the socket has no number");
    let mut losing = server.phone_socket(&loser).await;
    losing.send_json(&message(winner.number)).await;
    assert_eq!(losing.until("submit_winner_info_ack").await["success"], false, "a phone submits for its own number only");
    let mut winning = server.phone_socket(&winner).await;
    let mut details = message(winner.number);
    for (version, is_taken) in [(0, true), (1, true), (1, false)] {
        details["version"] = json!(version);
        winning.send_json(&details).await;
        assert_eq!(winning.until("submit_winner_info_ack").await["success"], is_taken, "in place of version {version}");
    }
    assert_eq!(server.admin_get("winners").await["total_count"], 1);
    winning.send_json(&json!({"type": "im_here", "draw_id": draw})).await;
    winning.drain().await;
    assert!(winning.received("error").is_empty(), "{:?}", winning.received("error"));
}

#[tokio::test]
async fn details_in_the_data_folder_are_encrypted() {
    let server = TestServer::start().await;
    let (draw, winner, _) = with_winner(&server).await;
    server.post("/winner-info").bearer(&winner.token).json(&form(draw)).await.ok();
    for secret in [NAME, PHONE, "01012345678"] {
        assert!(!server.data_holds(secret.as_bytes()), "{secret} is in the data folder as plain text");
    }
    let answer = server.admin(Method::GET, "winners?unmask=1").await.ok();
    assert_eq!(answer["winners"][0]["name"], NAME, "the server can still read them");
}

#[tokio::test]
async fn an_address_is_stored_only_for_a_prize_that_is_sent() {
    let server = TestServer::start().await;
    let listed = |name: &str, sent| json!({"prize_name": name, "prize_rank": 1, "quantity": 1, "needs_address": sent});
    server.open_event_with(json!({"event_id": EVENT, "prizes": [listed("Sofa", true), listed("Mug", false)]})).await;
    let phones = server.register_many(2).await;
    let mut won = Vec::new();
    for name in ["Sofa", "Mug"] {
        won.push(server.whole_draw(&prize(name)).await);
    }
    let bearer = |draw: usize| &phones.iter().find(|phone| phone.number == won[draw].1[0]).unwrap().token;
    let mut form = json!({"event_id": EVENT, "draw_id": won[0].0, "name": "홍길동", "phone": "010-1234-5678", "consent": true});
    server.post("/winner-info").bearer(bearer(0)).json(&form).await.expect_refusal(422, "INVALID_REQUEST");
    form["address"] = json!("서울시 중구 1");
    server.post("/winner-info").bearer(bearer(0)).json(&form).await.ok();
    form["draw_id"] = json!(won[1].0);
    server.post("/winner-info").bearer(bearer(1)).json(&form).await.ok();
    let winners = server.admin_get("winners?unmask=1").await;
    let address = |draw: usize| {
        let rows = winners["winners"].as_array().unwrap();
        rows.iter().find(|row| row["draw_id"] == won[draw].0).unwrap().get("address").cloned()
    };
    assert_eq!((address(0), address(1)), (Some(json!("서울시 중구 1")), None), "an address that is not needed is not stored");
}
