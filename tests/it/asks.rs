//! What an event asks of its phones: consent before a number, an address where the prize is sent, and what details are for.

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
async fn an_event_that_asks_for_consent_gives_no_number_without() {
    let mut house = TestServer::start().await;
    house.open_event_with(json!({"event_id": EVENT, "consent_text": CONSENT, "privacy_purpose": "경품 발송"})).await;
    let hall = house.public("/state").await["state_sync"].clone();
    assert_eq!((&hall["consent_required"], &hall["consent_text"]), (&json!(true), &json!(CONSENT)));
    for consent in [None, Some(false)] {
        house.post("/register").json(&registration(1, consent)).await.refused(403, "CONSENT_REQUIRED");
    }
    let phone = house.post("/register").json(&registration(1, Some(true))).await.granted(201);
    let again = house.post("/register").json(&registration(1, None)).await.granted(201);
    assert_eq!(again["session_token"], phone["session_token"], "whoever has a number has agreed");

    house.kill();
    house.restart().await;
    house.post("/register").json(&registration(2, None)).await.refused(403, "CONSENT_REQUIRED");
    let own = house.get(&format!("/state?event_id={EVENT}")).bearer(phone["session_token"].as_str().unwrap()).await.ok();
    let own = &own["state_sync"];
    assert_eq!((&own["privacy"]["purpose"], &own["privacy"]["days"]), (&json!("경품 발송"), &json!(30)));
    assert_eq!(own["privacy"]["until"].as_str().unwrap().len(), "2026-12-31".len());
    assert!(own.get("consent_text").is_none(), "it need not hear it again: {own}");

    let events = |change: Value| house.ask(Method::PATCH, &format!("/admin/events/{EVENT}")).admin().json(&change);
    let event = events(json!({"title": "Gala"})).await.ok();
    assert_eq!(
        (&event["consent_text"], &event["privacy_purpose"]),
        (&json!(CONSENT), &json!("경품 발송")),
        "what is left out stays"
    );
    assert_eq!(events(json!({"consent_text": ""})).await.ok()["consent_text"], Value::Null);
    house.post("/register").json(&registration(2, None)).await.granted(201);
    events(json!({"consent_text": "x".repeat(2_001)})).await.refused(422, "INVALID_REQUEST");
    events(json!({"privacy_purpose": "a\u{7}"})).await.refused(422, "INVALID_REQUEST");
    events(json!({"rehearsal": true})).await.refused(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn an_address_is_taken_where_the_prize_is_sent_and_dropped_elsewhere() {
    let house = TestServer::start().await;
    let listed = |name: &str, sent| json!({"prize_name": name, "prize_rank": 1, "quantity": 1, "needs_address": sent});
    house.open_event_with(json!({"event_id": EVENT, "prizes": [listed("Sofa", true), listed("Mug", false)]})).await;
    let phones = house.register_many(2).await;
    let mut won = Vec::new();
    for name in ["Sofa", "Mug"] {
        won.push(house.whole_draw(&prize(name)).await);
    }
    let bearer = |draw: usize| &phones.iter().find(|phone| phone.number == won[draw].1[0]).unwrap().token;
    let mut form = json!({"event_id": EVENT, "draw_id": won[0].0, "name": "홍길동", "phone": "010-1234-5678", "consent": true});
    house.post("/winner-info").bearer(bearer(0)).json(&form).await.refused(422, "INVALID_REQUEST");
    form["address"] = json!("서울시 중구 1");
    house.post("/winner-info").bearer(bearer(0)).json(&form).await.ok();
    form["draw_id"] = json!(won[1].0);
    house.post("/winner-info").bearer(bearer(1)).json(&form).await.ok();
    let winners = house.look("winners?unmask=1").await;
    let address = |draw: usize| {
        let rows = winners["winners"].as_array().unwrap();
        rows.iter().find(|row| row["draw_id"] == won[draw].0).unwrap().get("address").cloned()
    };
    assert_eq!((address(0), address(1)), (Some(json!("서울시 중구 1")), None), "what is not needed is not kept");
}
