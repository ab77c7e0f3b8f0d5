//! Bad input: each kind gets its status and code, and affects no other client.

use crate::event_steps::{EVENT, prize};
use crate::http_client::exchange;
use crate::test_server::{TIMEOUT, TestServer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &str = "application/json";

#[tokio::test]
async fn a_body_that_is_not_valid_json_is_refused_with_422() {
    let server = TestServer::start().await;
    server.open_event().await;
    let deep = format!("{{\"event_id\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"not json".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"7".to_vec(),
        b"{}".to_vec(),
        b"{\"event_id\":null}".to_vec(),
        b"{\"event_id\":17}".to_vec(),
        b"{\"event_id\":\"\"}".to_vec(),
        b"{\"event_id\":\"a b\"}".to_vec(),
        b"{\"event_id\":\"../../etc\"}".to_vec(),
        format!("{{\"event_id\":\"{}\"}}", "x".repeat(65)).into_bytes(),
        b"{\"event_id\":\"\xff\xfe\"}".to_vec(),
        b"{\"event_id\":\"gala-2026\"} trailing".to_vec(),
        deep.into_bytes(),
    ];
    for body in bodies {
        let answer = server.post("/register").body(JSON, body.clone()).await;
        let (status, code) = (answer.status.as_u16(), answer.json()["detail"]["code"].as_str().unwrap_or_default().to_owned());
        let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        // A well-formed id of an unknown event may get a 404 instead.
        let expected = [(422, "INVALID_REQUEST"), (404, "EVENT_NOT_FOUND")].contains(&(status, code.as_str()));
        assert!(expected && (status == 422 || start.starts_with("{\"event_id\":\"")), "{start}: {status} {code}");
    }
    assert_eq!(server.admin_get("stats").await["participant_count"], 0);
    server.register(1).await;
}

#[tokio::test]
async fn a_refusal_names_the_wrong_field() {
    let server = TestServer::start().await;
    server.open_event().await;
    let message = |answer: crate::http_client::Response| answer.json()["detail"]["message"].as_str().unwrap().to_owned();
    let answer = server.post("/register").json(&json!({"event_id": EVENT, "request_id": 5})).await;
    answer.expect_refusal(422, "INVALID_REQUEST");
    assert!(message(answer).contains("request_id"));
    let answer = server.post("/register").json(&json!({})).await;
    assert!(message(answer).contains("event_id"));
    let mut spec = prize("TV");
    spec["winner_count"] = json!([1]);
    assert!(message(server.admin_post("draw/standby", &spec).await).contains("winner_count"));
    let void = json!({"draw_id": 1, "draw_number": 1, "reason": "absent", "redraw": "yes"});
    assert!(message(server.admin_post("draw/void", &void).await).contains("redraw"));
    let info = json!({"event_id": EVENT, "draw_id": 1, "name": "Kim", "phone": 1012345678, "consent": true});
    assert_eq!(message(server.post("/winner-info").bearer("any").json(&info).await), "phone: must be a string");
    assert_eq!(
        message(server.post("/register").json(&json!([])).await),
        "body: must be an object",
        "no name of an internal type"
    );
    let mut phone = server.socket(EVENT, "").await;
    phone.send_json(&json!({"type": "identify", "draw_number": "7"})).await;
    assert!(phone.until("error").await["message"].as_str().unwrap().starts_with("draw_number"));
}

#[tokio::test]
async fn a_missing_body_is_422_only_where_a_body_is_required() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.post("/register").await.expect_refusal(422, "INVALID_REQUEST");
    let path = format!("/admin/{EVENT}/draw/reveal");
    for request in [
        server.post(&path),
        server.post(&path).json(&json!({})),
        server.post(&path).body("text/plain", "{}"),
        server.post(&path).body("application/x-www-form-urlencoded", ""),
    ] {
        request.admin().await.expect_refusal(400, "REVEAL_FAILED");
    }
}

#[tokio::test]
async fn a_body_too_large_is_413_by_length_and_by_chunks() {
    let server = TestServer::start().await;
    server.open_event().await;
    let large = json!({"event_id": EVENT, "x": "x".repeat(70 << 10)});
    server.post("/register").json(&large).await.expect_refusal(413, "BODY_TOO_LARGE");
    server.admin_post("draw/void", &large).await.expect_refusal(413, "BODY_TOO_LARGE");
    let mut chunked = b"POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..20 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert!(exchange(server.address, &chunked).await.starts_with("HTTP/1.1 413"));
    server.register(1).await;
    let mut spec = prize("TV");
    spec["x"] = json!("x".repeat(1 << 20));
    server.admin_post("draw/standby", &spec).await.ok();
    spec["x"] = json!("x".repeat(5 << 20));
    server.admin_post("draw/standby", &spec).await.expect_refusal(413, "BODY_TOO_LARGE");
    server.register(2).await;
}

#[tokio::test]
async fn expect_100_continue_with_too_large_a_body_is_refused_with_413() {
    let server = TestServer::start().await;
    let request =
        "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n";
    let answer = exchange(server.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn half_a_body_and_half_a_head_affect_no_other_client() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut broken_off = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n";
    broken_off.write_all(head.as_bytes()).await.unwrap();
    broken_off.write_all(b"{\"event_id\":").await.unwrap();
    drop(broken_off);
    let mut half_head = TcpStream::connect(server.address).await.unwrap();
    half_head.write_all(b"GET /health HTTP/1.1\r\nHos").await.unwrap();
    let mut waiting_body = TcpStream::connect(server.address).await.unwrap();
    waiting_body.write_all(head.as_bytes()).await.unwrap();
    server.register(1).await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 1);
    let mut received = Vec::new();
    tokio::time::timeout(TIMEOUT, half_head.read_to_end(&mut received)).await.expect("a half-sent head times out").unwrap();
    received.clear();
    tokio::time::timeout(TIMEOUT, waiting_body.read_to_end(&mut received)).await.expect("a half-sent body times out").unwrap();
    let received = String::from_utf8_lossy(&received);
    assert!(received.starts_with("HTTP/1.1 408"), "{received}");
}

#[tokio::test]
async fn a_body_of_the_wrong_type_is_still_read_as_json() {
    let server = TestServer::start().await;
    server.open_event().await;
    let body = json!({"event_id": EVENT}).to_string();
    let answer = server.post("/register").body("text/plain;charset=UTF-8", body).await;
    assert!([201, 422].contains(&answer.status.as_u16()), "either status, but a response: {}", answer.json());
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    for number in ["0", "-1", "1.5", "4294967296", "99999999999999999999", "1e3", "", "%00"] {
        let answer = server.get(&format!("/check-winner?event_id={EVENT}&draw_number={number}")).await;
        assert!([422, 404].contains(&answer.status.as_u16()), "{number}: {}", answer.json());
    }
    for value in [json!(0), json!(-1), json!(1.5), json!(4_294_967_296_u64), json!("1"), Value::Null] {
        let body = json!({"draw_id": value, "draw_number": 1, "reason": "absent", "redraw": false});
        let status = server.admin_post("draw/void", &body).await.status.as_u16();
        assert!([422, 404].contains(&status), "{value}: {status}");
    }
}

#[tokio::test]
async fn hostile_text_comes_back_as_text() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let name = "\"},\"success\":false,\u{2028}</script><b>경품 🎁\\";
    let mut phone = server.socket(EVENT, "").await.synced().await;
    let revealed = server.reveal_draw(&prize(name)).await;
    assert_eq!(revealed["prize_name"], name);
    server.admin_post("draw/complete", &json!({})).await.ok();
    assert_eq!(phone.until("winner_announced").await["prize_name"], name);
    assert_eq!(server.admin_get("draws").await["draws"][0]["prize_name"], name);
    assert_eq!(server.public("/check-winner?draw_number=1").await["prizes"][0]["prize_name"], name);
}
