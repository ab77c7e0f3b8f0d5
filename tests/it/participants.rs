//! A phone's calls: registration, consent, recovery of a number, and queries for wins.

use crate::event_steps::{EVENT, Phone, prize, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn the_first_phone_gets_number_one_and_every_means_to_recover_it() {
    let server = TestServer::start().await;
    server.open_event().await;
    let answer = server.post("/register").json(&json!({"event_id": EVENT, "unknown_field": [1]})).await;
    let data = answer.expect_data(201);
    assert_eq!(data["draw_number"], 1);
    assert_eq!(data["participant_number"], 1);
    assert_eq!(data["display_number"], "001");
    assert_eq!(data["event_id"], EVENT);
    assert_eq!(data["is_existing"], false);
    assert_eq!(data["recovery_code"].as_str().unwrap().len(), 8);
    assert!(data["session_token"].as_str().is_some_and(|token| token.len() >= 32), "{data}");
    assert!(data["event_session_id"].as_str().is_some_and(|id| !id.is_empty()), "{data}");
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("HttpOnly"), "a script cannot read the cookie: {cookie}");
}

#[tokio::test]
async fn a_phone_keeps_its_number_by_token_request_id_key_and_cookie() {
    let server = TestServer::start().await;
    server.open_event().await;
    let body = json!({"event_id": EVENT, "request_id": request_id(7)});
    let first = server.post("/register").json(&body).await;
    let phone = Phone::from_registration(&first.expect_data(201));
    server.register(8).await;

    let check_same = |request: crate::http_client::RequestBuilder| {
        let phone = phone.clone();
        async move {
            let data = request.await.expect_data(201);
            assert_eq!(Phone::from_registration(&data), phone);
            assert_eq!(data["is_existing"], true, "{data}");
        }
    };
    let body_without_id = json!({"event_id": EVENT});
    check_same(server.post("/register").json(&body)).await;
    check_same(server.post("/register").json(&body_without_id).header("Idempotency-Key", &request_id(7))).await;
    check_same(server.post("/register").json(&json!({"event_id": EVENT, "session_token": phone.token}))).await;
    let cookie = first.cookie().unwrap();
    check_same(server.post("/register").json(&body_without_id).header("Cookie", &cookie)).await;
    let new_request =
        server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(9)})).header("Cookie", &cookie);
    let own = format!("http://{}", server.address);
    check_same(new_request.clone().header("Origin", &own)).await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 2);
    assert_eq!(new_request.await.expect_data(201)["draw_number"], 3, "a script's new request_id is a new phone");
}

#[tokio::test]
async fn a_token_that_the_server_did_not_issue_is_never_adopted() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.open_event_with(json!({"event_id": "other", "title": "Other", "prizes": []})).await;
    let elsewhere = server.post("/register").json(&json!({"event_id": "other"})).await.expect_data(201);
    let tokens = [json!("not-issued-by-the-server"), json!(""), elsewhere["session_token"].clone(), json!("한글")];
    for (index, token) in tokens.iter().enumerate() {
        let data = server.post("/register").json(&json!({"event_id": EVENT, "session_token": token})).await.expect_data(201);
        assert_eq!(data["draw_number"], index as u64 + 1, "the request is served as if it had no token");
        assert_eq!(data["is_existing"], false);
        assert_ne!(data["session_token"], *token);
    }
}

#[tokio::test]
async fn a_weak_request_id_is_refused() {
    let server = TestServer::start().await;
    server.open_event().await;
    for id in ["short".to_owned(), "x".repeat(15), "x".repeat(129)] {
        let body = json!({"event_id": EVENT, "request_id": id});
        server.post("/register").json(&body).await.expect_refusal(422, "INVALID_REQUEST");
    }
    assert_eq!(server.admin_get("stats").await["participant_count"], 0);
}

#[tokio::test]
async fn a_lost_number_is_recovered_by_its_code_but_not_by_guessing() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let other = server.register(2).await;
    let recover = |number: u64, code: &str| {
        server.post("/recover").json(&json!({"event_id": EVENT, "draw_number": number, "recovery_code": code}))
    };
    let data = recover(phone.number, &phone.recovery_code).await.ok();
    assert_eq!((data["session_token"].as_str(), data["draw_number"].as_u64()), (Some(phone.token.as_str()), Some(1)));

    let mut refused = 0;
    while recover(phone.number, &other.recovery_code).await.status == 403 {
        refused += 1;
        assert!(refused <= 5, "guesses are not limited");
    }
    assert!(refused >= 4, "a few mistakes are allowed: {refused}");
    recover(phone.number, &phone.recovery_code).await.expect_refusal(429, "TOO_MANY");
    recover(other.number, &other.recovery_code).await.ok();
}

#[tokio::test]
async fn my_number_requires_a_token_that_verifies() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let path = format!("/my-number?event_id={EVENT}");
    for answer in
        [server.get(&format!("{path}&session_token={}", phone.token)).await, server.get(&path).bearer(&phone.token).await]
    {
        let data = answer.ok();
        assert_eq!((data["draw_number"].as_u64(), data["event_id"].as_str()), (Some(1), Some(EVENT)));
        assert!(data["created_at"].as_str().unwrap().ends_with('Z'), "{data}");
    }
    server.get(&path).await.expect_refusal(400, "TOKEN_REQUIRED");
    server.get(&path).bearer("no-such-token").await.expect_refusal(404, "PARTICIPANT_NOT_FOUND");
    server.get("/my-number").bearer(&phone.token).await.expect_refusal(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn check_winner_shows_announced_wins() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(2).await;
    let (draw, winners) = server.whole_draw(&prize("TV")).await;
    let (winner, loser) = (winners[0], 3 - winners[0]);
    let won = server.public(&format!("/check-winner?draw_number={winner}")).await;
    assert_eq!(won["won"], true, "{won}");
    let prizes = won["prizes"].as_array().unwrap();
    assert_eq!(prizes.len(), 1);
    assert_eq!((prizes[0]["prize_name"].as_str(), prizes[0]["prize_rank"].as_u64()), (Some("TV"), Some(1)));
    assert_eq!(prizes[0]["draw_id"], draw);
    assert_eq!(prizes[0]["claimed"], false);
    assert!(prizes[0]["drawn_at"].as_str().unwrap().ends_with('Z'));
    let lost = server.public(&format!("/check-winner?draw_number={loser}")).await;
    assert_eq!((&lost["won"], lost["prizes"].as_array().map(Vec::len)), (&json!(false), Some(0)));
    server.get(&format!("/check-winner?event_id={EVENT}")).await.expect_refusal(422, "INVALID_REQUEST");
    server.get(&format!("/check-winner?event_id={EVENT}&draw_number=one")).await.expect_refusal(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn results_and_proof_show_announced_draws() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(9).await;
    let spec = json!({"prize_name": "Voucher", "prize_rank": 3, "draw_mode": "card", "winner_count": 4});
    let (draw, winners) = server.whole_draw(&spec).await;
    let results = server.public("/results").await;
    let row = &results["draws"].as_array().unwrap()[0];
    assert_eq!((row["draw_id"].as_u64(), row["prize_name"].as_str()), (Some(draw), Some("Voucher")));
    let proof = server.public("/proof").await;
    let row = proof["draws"].as_array().unwrap().iter().find(|row| row["draw_id"] == draw).unwrap().clone();
    assert_eq!(crate::event_steps::numbers(&row["picks"]), winners, "{row}");
    assert!(row["seed"].as_str().is_some_and(|seed| seed.len() == 64), "32 bytes in hex: {row}");
    assert_eq!((&row["pool_size"], &row["excluded"]), (&json!(9), &json!([])), "{row}");
}

#[tokio::test]
async fn state_answers_at_once_with_missed_frames_and_waits_for_new_ones() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    let state = server.public("/state").await;
    let (seq, epoch) = cursor(&state);
    let path = format!("/state?since={seq}&epoch={epoch}");
    let bare = format!("/state?since={seq}");
    let (waited, without_epoch, ()) = tokio::join!(server.public(&path), server.public(&bare), async {
        server.admin_post("draw/standby", &prize("Radio")).await.ok();
    });
    for waited in [waited, without_epoch] {
        assert!(waited.to_string().contains("draw_standby"), "the wait ends with the frame: {waited}");
        assert!(cursor(&waited).0 > seq);
    }
    let missed = server.public(&path).await;
    assert!(missed.to_string().contains("draw_standby"), "missed frames come at once: {missed}");
}

/// The `seq` and `epoch` from which a long poll continues.
fn cursor(state: &Value) -> (u64, String) {
    let find = |name: &str| {
        let at_top = &state[name];
        if at_top.is_null() { state["state_sync"][name].clone() } else { at_top.clone() }
    };
    (find("seq").as_u64().expect("a state has a seq"), find("epoch").as_str().expect("a state has an epoch").to_owned())
}

#[tokio::test]
async fn every_call_refuses_an_unknown_event() {
    let server = TestServer::start().await;
    let token = "x".repeat(40);
    server.post("/register").json(&json!({"event_id": "nowhere"})).await.expect_refusal(404, "EVENT_NOT_FOUND");
    let recover = json!({"event_id": "nowhere", "draw_number": 1, "recovery_code": "ABCD2345"});
    server.post("/recover").json(&recover).await.expect_refusal(404, "EVENT_NOT_FOUND");
    let details = json!({"event_id": "nowhere", "draw_id": 1, "name": "A", "phone": "010-1234-5678", "consent": true});
    server.post("/winner-info").bearer(&token).json(&details).await.expect_refusal(404, "EVENT_NOT_FOUND");
    for path in ["/my-number?x=", "/check-winner?draw_number=1", "/state?x=", "/results?x=", "/proof?x="] {
        server.get(&format!("{path}&event_id=nowhere")).bearer(&token).await.expect_refusal(404, "EVENT_NOT_FOUND");
    }
    for path in ["/check-winner?draw_number=1", "/state", "/results", "/proof"] {
        server.get(path).await.expect_refusal(422, "INVALID_REQUEST");
    }
}

const CONSENT: &str = "이름과 사진이\n화면에 나올 수 있습니다 <b>😀</b>";

fn registration(index: u64, consent: Option<bool>) -> Value {
    let mut body = json!({"event_id": EVENT, "request_id": request_id(index)});
    if let Some(consent) = consent {
        body["consent"] = json!(consent);
    }
    body
}

#[tokio::test]
async fn an_event_that_requires_consent_gives_no_number_without_it() {
    let mut server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "consent_text": CONSENT, "privacy_purpose": "경품 발송"})).await;
    let state = server.public("/state").await["state_sync"].clone();
    assert_eq!((&state["consent_required"], &state["consent_text"]), (&json!(true), &json!(CONSENT)));
    for consent in [None, Some(false)] {
        server.post("/register").json(&registration(1, consent)).await.expect_refusal(403, "CONSENT_REQUIRED");
    }
    let phone = server.post("/register").json(&registration(1, Some(true))).await.expect_data(201);
    let again = server.post("/register").json(&registration(1, None)).await.expect_data(201);
    assert_eq!(again["session_token"], phone["session_token"], "a phone that has a number has agreed");

    server.kill();
    server.restart().await;
    server.post("/register").json(&registration(2, None)).await.expect_refusal(403, "CONSENT_REQUIRED");
    let own = server.get(&format!("/state?event_id={EVENT}")).bearer(phone["session_token"].as_str().unwrap()).await.ok();
    let own = &own["state_sync"];
    assert_eq!((&own["privacy"]["purpose"], &own["privacy"]["days"]), (&json!("경품 발송"), &json!(30)));
    assert_eq!(own["privacy"]["until"].as_str().unwrap().len(), "2026-12-31".len());
    assert!(own.get("consent_text").is_none(), "a registered phone does not need it: {own}");

    let change_event = |change: Value| server.request(Method::PATCH, &format!("/admin/events/{EVENT}")).admin().json(&change);
    let event = change_event(json!({"title": "Gala"})).await.ok();
    assert_eq!(
        (&event["consent_text"], &event["privacy_purpose"]),
        (&json!(CONSENT), &json!("경품 발송")),
        "an omitted field keeps its value"
    );
    assert_eq!(change_event(json!({"consent_text": ""})).await.ok()["consent_text"], Value::Null);
    server.post("/register").json(&registration(2, None)).await.expect_data(201);
    change_event(json!({"consent_text": "x".repeat(2_001)})).await.expect_refusal(422, "INVALID_REQUEST");
    change_event(json!({"privacy_purpose": "a\u{7}"})).await.expect_refusal(422, "INVALID_REQUEST");
    change_event(json!({"rehearsal": true})).await.expect_refusal(422, "INVALID_REQUEST");
}
