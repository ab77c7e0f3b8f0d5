//! An event's requirements of its phones: consent before a number, and an address where the prize
//! is sent.

use crate::show::{EVENT, prize, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

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
        server.post("/register").json(&registration(1, consent)).await.refused(403, "CONSENT_REQUIRED");
    }
    let phone = server.post("/register").json(&registration(1, Some(true))).await.granted(201);
    let again = server.post("/register").json(&registration(1, None)).await.granted(201);
    assert_eq!(again["session_token"], phone["session_token"], "a phone that has a number has agreed");

    server.kill();
    server.restart().await;
    server.post("/register").json(&registration(2, None)).await.refused(403, "CONSENT_REQUIRED");
    let own = server.get(&format!("/state?event_id={EVENT}")).bearer(phone["session_token"].as_str().unwrap()).await.ok();
    let own = &own["state_sync"];
    assert_eq!((&own["privacy"]["purpose"], &own["privacy"]["days"]), (&json!("경품 발송"), &json!(30)));
    assert_eq!(own["privacy"]["until"].as_str().unwrap().len(), "2026-12-31".len());
    assert!(own.get("consent_text").is_none(), "a registered phone does not need it: {own}");

    let change_event = |change: Value| server.ask(Method::PATCH, &format!("/admin/events/{EVENT}")).admin().json(&change);
    let event = change_event(json!({"title": "Gala"})).await.ok();
    assert_eq!(
        (&event["consent_text"], &event["privacy_purpose"]),
        (&json!(CONSENT), &json!("경품 발송")),
        "an omitted field keeps its value"
    );
    assert_eq!(change_event(json!({"consent_text": ""})).await.ok()["consent_text"], Value::Null);
    server.post("/register").json(&registration(2, None)).await.granted(201);
    change_event(json!({"consent_text": "x".repeat(2_001)})).await.refused(422, "INVALID_REQUEST");
    change_event(json!({"privacy_purpose": "a\u{7}"})).await.refused(422, "INVALID_REQUEST");
    change_event(json!({"rehearsal": true})).await.refused(422, "INVALID_REQUEST");
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
    server.post("/winner-info").bearer(bearer(0)).json(&form).await.refused(422, "INVALID_REQUEST");
    form["address"] = json!("서울시 중구 1");
    server.post("/winner-info").bearer(bearer(0)).json(&form).await.ok();
    form["draw_id"] = json!(won[1].0);
    server.post("/winner-info").bearer(bearer(1)).json(&form).await.ok();
    let winners = server.look("winners?unmask=1").await;
    let address = |draw: usize| {
        let rows = winners["winners"].as_array().unwrap();
        rows.iter().find(|row| row["draw_id"] == won[draw].0).unwrap().get("address").cloned()
    };
    assert_eq!((address(0), address(1)), (Some(json!("서울시 중구 1")), None), "an address that is not needed is not stored");
}
