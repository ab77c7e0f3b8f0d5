//! Unchanged clients of the previous server, against open mode.

use crate::event_steps::numbers;
use crate::test_server::TestServer;
use crate::websocket_client::Socket;
use hyper::Method;
use serde_json::{Value, json};

const EVENT: &str = "old-event";
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// An old page's registration: the event alone, or with the token of an earlier registration.
async fn register(server: &TestServer, token: Option<&str>) -> Value {
    let mut body = json!({"event_id": EVENT});
    if let Some(token) = token {
        body["session_token"] = json!(token);
    }
    server.post("/register").json(&body).await.expect_data(201)
}

/// An old console's call, without a token.
fn post_without_token(server: &TestServer, path: &str) -> crate::http_client::RequestBuilder {
    server.request(Method::POST, &format!("/api/luckydraw/admin/{EVENT}/{path}"))
}

#[tokio::test]
async fn one_cookie_jar_of_a_script_is_many_phones() {
    let server = TestServer::start_open().await;
    let body = json!({"event_id": EVENT});
    let first = server.post("/register").json(&body).await;
    let cookie = first.cookie().unwrap();
    assert_eq!(first.expect_data(201)["draw_number"], 1);
    let again = server.post("/register").json(&body).header("Cookie", &cookie);
    assert_eq!(again.clone().await.expect_data(201)["draw_number"], 2, "one cookie jar plays many phones");
    let page = again.header("Origin", "http://localhost:3000").await.expect_data(201);
    assert_eq!((&page["draw_number"], &page["is_existing"]), (&json!(1), &json!(true)), "a page is one phone");
}

#[tokio::test]
async fn an_old_phone_takes_part_from_registration_to_details() {
    let server = TestServer::start_open().await;
    let first = register(&server, None).await;
    assert_eq!(
        (first["draw_number"].as_u64(), first["is_existing"].as_bool()),
        (Some(1), Some(false)),
        "the first use opens the event"
    );
    let token = first["session_token"].as_str().unwrap();
    assert_eq!(register(&server, Some(token)).await["draw_number"], 1);
    assert_eq!(register(&server, None).await["draw_number"], 2);

    let mut script = server.socket(EVENT, "").await.synced().await;
    script.send_json(&json!({"type": "identify", "draw_number": 1})).await;
    assert_eq!(script.until("identify_ack").await["won"], false);
    script.send_json(&json!({"type": "ping"})).await;
    script.until("pong").await;

    let spec = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": "slot", "winner_count": 1});
    post_without_token(&server, "draw/start-animation").json(&spec).await.ok();
    let revealed = post_without_token(&server, "draw/reveal").await.ok();
    post_without_token(&server, "draw/complete").body("text/plain", "").await.ok();
    let announced = script.until("winner_announced").await;
    assert_eq!(announced["winners"], revealed["winners"]);
    script.until("draw_complete").await;

    let winner = numbers(&revealed["winners"])[0];
    script.send_json(&json!({"type": "identify", "draw_number": winner})).await;
    assert_eq!(script.until("already_won").await["prizes"][0]["prize_name"], "TV");
    let form = |number: u64| {
        json!({"type": "submit_winner_info", "event_id": EVENT, "draw_number": number, "prize_name": "TV",
               "name": "Kim", "phone": "010-1234-5678"})
    };
    script.send_json(&form(3 - winner)).await;
    assert_eq!(script.until("submit_winner_info_ack").await["success"], false, "details need a win");
    script.send_json(&form(winner)).await;
    assert_eq!(script.until("submit_winner_info_ack").await["success"], true);
    let winners = server.request(Method::GET, &format!("/api/luckydraw/admin/{EVENT}/winners")).await.ok();
    assert_eq!((winners["total_count"].as_u64(), winners["winners"][0]["phone"].as_str()), (Some(1), Some("010-1234-5678")));
}

#[tokio::test]
async fn an_old_page_counts_as_a_display() {
    let server = TestServer::start_open().await;
    register(&server, None).await;
    let mut page = server.socket_with(EVENT, "", &[("origin", "http://localhost:3000")]).await.synced().await;
    let mut script = server.socket(EVENT, "").await.synced().await;
    let mut console = server.socket(EVENT, "?client_type=admin").await.synced().await;
    let spec = json!({"prize_name": "TV", "prize_rank": 1});
    post_without_token(&server, "draw/start-animation").json(&spec).await.ok();
    let revealed = post_without_token(&server, "draw/reveal").json(&json!({})).await.ok();
    for operator in [&mut page, &mut console] {
        assert_eq!(operator.until("winner_revealed").await["winners"], revealed["winners"]);
    }
    page.send_json(&json!({"type": "draw_complete", "winners": revealed["winners"]})).await;
    assert_eq!(page.until("draw_complete_ack").await["success"], true);
    script.until("draw_complete").await;
    assert!(script.received("winner_revealed").is_empty(), "a script is a phone");
}

#[tokio::test]
async fn an_old_console_draws_without_standby_token_or_complete() {
    let server = TestServer::start_open().await;
    for _ in 0..5 {
        register(&server, None).await;
    }
    let mut phone = server.socket(EVENT, "").await.synced().await;
    let mut won = Vec::new();
    for index in 0..5 {
        let spec = json!({"prize_name": format!("Prize {index}"), "prize_rank": 1, "draw_mode": "slot", "winner_count": 1});
        let path = format!("/admin/{EVENT}/draw/start-animation");
        server.request(Method::POST, &path).json(&spec).await.ok();
        won.extend(numbers(&post_without_token(&server, "draw/reveal").await.ok()["winners"]));
    }
    won.sort_unstable();
    assert_eq!(won, [1, 2, 3, 4, 5], "every reveal is in the history, and nobody won twice");
    let draws = server.request(Method::GET, &format!("/admin/{EVENT}/draws")).await.ok();
    assert_eq!(draws["total_count"], 5);
    while phone.received("winner_announced").len() < 4 {
        phone.receive().await;
    }
}

#[tokio::test]
async fn an_old_consoles_picture_arrives_as_a_path() {
    let server = TestServer::start_open().await;
    register(&server, None).await;
    let mut page = server.socket_with(EVENT, "", &[("origin", "http://127.0.0.1:8080")]).await.synced().await;
    let image = format!("data:image/png;base64,{PIXEL}");
    let spec = json!({"prize_name": "TV", "prize_rank": 1, "prize_image": image, "draw_mode": "slot", "winner_count": 1});
    post_without_token(&server, "draw/standby").json(&spec).await.ok();
    let standby = page.until("draw_standby").await;
    let path = standby["prize_image"].as_str().unwrap();
    assert!(path.starts_with('/') && path.len() < 200, "{path}");
    assert!(server.request(Method::GET, path).await.header("content-type").starts_with("image/"));
}

#[tokio::test]
async fn old_pages_are_accepted_from_local_origins_only() {
    let server = TestServer::start_open().await;
    register(&server, None).await;
    let draws = server.request(Method::GET, &format!("/api/luckydraw/admin/{EVENT}/draws"));
    for origin in ["http://localhost:3000", "http://127.0.0.1", "http://[::1]:5173"] {
        let answer = draws.clone().header("Origin", origin).await;
        answer.ok();
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        Socket::try_connect(server.address, EVENT, "", &[("origin", origin)]).await.unwrap();
    }
    for origin in ["https://evil.example", "http://localhost.evil.example", "null", "http://192.168.0.9"] {
        draws.clone().header("Origin", origin).await.expect_refusal(403, "FORBIDDEN_ORIGIN");
        assert!(Socket::try_connect(server.address, EVENT, "", &[("origin", origin)]).await.is_err(), "{origin}");
    }
    assert_eq!(draws.clone().header("Host", "evil.example").await.status, 403);
    assert!(server.printed().to_lowercase().contains("open mode"), "and the banner warns of open mode");
}

#[tokio::test]
async fn an_old_console_sends_texts_for_numbers_and_repeats_its_steps() {
    let server = TestServer::start_open().await;
    register(&server, None).await;
    let spec = json!({"prize_name": "TV", "prize_rank": "1", "draw_mode": "slot", "winner_count": "1"});
    post_without_token(&server, "draw/standby").json(&spec).await.ok();
    post_without_token(&server, "draw/start-animation").json(&spec).await.ok();
    let again = post_without_token(&server, "draw/standby").json(&spec).await.ok();
    assert_eq!((&again["prize_name"], &again["status"]), (&json!("TV"), &json!("standby")), "after a reload");
    let other = json!({"prize_name": "Radio", "prize_rank": 2});
    let refused = post_without_token(&server, "draw/standby").json(&other).await;
    refused.expect_refusal(409, "DRAW_IN_PROGRESS");
    let body: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["detail"]["message"], "다른 추첨이 진행 중입니다.", "people read it");
    let revealed = post_without_token(&server, "draw/reveal").await.ok();
    let twice = post_without_token(&server, "draw/reveal").json(&json!({})).await.ok();
    assert_eq!(revealed["winners"], twice["winners"]);
    assert_eq!(post_without_token(&server, "draw/complete").await.ok()["winners"], revealed["winners"]);
    let named = post_without_token(&server, "draw/reveal").json(&json!({"draw_id": 9}));
    named.await.expect_refusal(409, "DRAW_OUTDATED");
}

#[tokio::test]
async fn a_bare_script_ends_its_draw_by_its_own_socket_in_open_mode_only() {
    let server = TestServer::start_open().await;
    register(&server, None).await;
    let mut script = server.socket(EVENT, "").await.synced().await;
    let spec = json!({"prize_name": "TV", "prize_rank": 1});
    post_without_token(&server, "draw/start-animation").json(&spec).await.ok();
    let winners = post_without_token(&server, "draw/reveal").await.ok()["winners"].clone();
    script.send_json(&json!({"type": "draw_complete", "winners": [winners[0].to_string()]})).await;
    assert_eq!(script.until("draw_complete_ack").await["success"], true);
    while script.received("draw_complete").is_empty() {
        script.receive().await;
    }

    let server = TestServer::start().await;
    server.open_event().await;
    let mut phone = server.socket(crate::event_steps::EVENT, "").await.synced().await;
    phone.send_json(&json!({"type": "draw_complete"})).await;
    assert_eq!(phone.until("error").await["code"], "FORBIDDEN");
}

#[tokio::test]
async fn an_old_phone_learns_in_korean_that_its_details_were_not_taken() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut phone = server.socket(crate::event_steps::EVENT, "").await.synced().await;
    let form =
        json!({"type": "submit_winner_info", "draw_number": 1, "prize_name": "TV", "name": "Kim", "phone": "010-1234-5678"});
    phone.send_json(&form).await;
    let answer = phone.until("submit_winner_info_ack").await;
    assert_eq!(answer["success"], false);
    assert!(answer["error"].as_str().unwrap().contains("전송되지 않았습니다"), "{answer}");
}
