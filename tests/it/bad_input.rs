//! Bad input: each kind gets its status and code, and harms nobody else.

use crate::http::exchange;
use crate::show::{EVENT, prize};
use crate::test_server::{PATIENCE, TestServer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &str = "application/json";

#[tokio::test]
async fn a_body_that_is_no_proper_json_is_refused_with_422() {
    let house = TestServer::start().await;
    house.open_event().await;
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
        let answer = house.post("/register").body(JSON, body.clone()).await;
        let (status, code) = (answer.status.as_u16(), answer.json()["detail"]["code"].as_str().unwrap_or_default().to_owned());
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        // A well-formed id that names no event may be told so.
        let expected = [(422, "INVALID_REQUEST"), (404, "EVENT_NOT_FOUND")].contains(&(status, code.as_str()));
        assert!(expected && (status == 422 || shown.starts_with("{\"event_id\":\"")), "{shown}: {status} {code}");
    }
    assert_eq!(house.look("stats").await["participant_count"], 0);
    house.register(1).await;
}

#[tokio::test]
async fn a_refusal_says_which_field_is_wrong() {
    let house = TestServer::start().await;
    house.open_event().await;
    let say = |answer: crate::http::Answer| answer.json()["detail"]["message"].as_str().unwrap().to_owned();
    let answer = house.post("/register").json(&json!({"event_id": EVENT, "request_id": 5})).await;
    answer.refused(422, "INVALID_REQUEST");
    assert!(say(answer).contains("request_id"));
    let answer = house.post("/register").json(&json!({})).await;
    assert!(say(answer).contains("event_id"));
    let mut spec = prize("TV");
    spec["winner_count"] = json!([1]);
    assert!(say(house.order("draw/standby", &spec).await).contains("winner_count"));
    let void = json!({"draw_id": 1, "draw_number": 1, "reason": "absent", "redraw": "yes"});
    assert!(say(house.order("draw/void", &void).await).contains("redraw"));
    let info = json!({"event_id": EVENT, "draw_id": 1, "name": "Kim", "phone": 1012345678, "consent": true});
    assert_eq!(say(house.post("/winner-info").bearer("any").json(&info).await), "phone: must be a string");
    assert_eq!(say(house.post("/register").json(&json!([])).await), "body: must be an object", "no word of our types");
    let mut phone = house.socket(EVENT, "").await;
    phone.say(&json!({"type": "identify", "draw_number": "7"})).await;
    assert!(phone.until("error").await["message"].as_str().unwrap().starts_with("draw_number"));
}

#[tokio::test]
async fn no_body_at_all_is_422_and_an_empty_call_takes_whatever() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.post("/register").await.refused(422, "INVALID_REQUEST");
    let path = format!("/admin/{EVENT}/draw/reveal");
    for ask in [
        house.post(&path),
        house.post(&path).json(&json!({})),
        house.post(&path).body("text/plain", "{}"),
        house.post(&path).body("application/x-www-form-urlencoded", ""),
    ] {
        ask.admin().await.refused(400, "REVEAL_FAILED");
    }
}

#[tokio::test]
async fn a_body_too_large_is_413_by_length_and_by_chunks() {
    let house = TestServer::start().await;
    house.open_event().await;
    let large = json!({"event_id": EVENT, "x": "x".repeat(70 << 10)});
    house.post("/register").json(&large).await.refused(413, "BODY_TOO_LARGE");
    house.order("draw/void", &large).await.refused(413, "BODY_TOO_LARGE");
    let mut chunked = b"POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..20 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert!(exchange(house.address, &chunked).await.starts_with("HTTP/1.1 413"));
    let mut spec = prize("TV");
    spec["x"] = json!("x".repeat(1 << 20));
    house.order("draw/standby", &spec).await.ok();
    spec["x"] = json!("x".repeat(5 << 20));
    house.order("draw/standby", &spec).await.refused(413, "BODY_TOO_LARGE");
    house.register(1).await;
}

#[tokio::test]
async fn who_asks_first_is_not_told_to_send_a_body_that_is_too_large() {
    let house = TestServer::start().await;
    let ask =
        "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n";
    let answer = exchange(house.address, ask.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn half_a_body_and_half_a_head_harm_nobody() {
    let house = TestServer::start().await;
    house.open_event().await;
    let mut broken_off = TcpStream::connect(house.address).await.unwrap();
    let head = "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n";
    broken_off.write_all(head.as_bytes()).await.unwrap();
    broken_off.write_all(b"{\"event_id\":").await.unwrap();
    drop(broken_off);
    let mut half_head = TcpStream::connect(house.address).await.unwrap();
    half_head.write_all(b"GET /health HTTP/1.1\r\nHos").await.unwrap();
    let mut waiting_body = TcpStream::connect(house.address).await.unwrap();
    waiting_body.write_all(head.as_bytes()).await.unwrap();
    house.register(1).await;
    assert_eq!(house.look("stats").await["participant_count"], 1);
    let mut said = Vec::new();
    tokio::time::timeout(PATIENCE, half_head.read_to_end(&mut said)).await.expect("a half-sent head is given up").unwrap();
    said.clear();
    tokio::time::timeout(PATIENCE, waiting_body.read_to_end(&mut said)).await.expect("a half-sent body is given up").unwrap();
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
}

#[tokio::test]
async fn a_body_of_the_wrong_type_is_still_read_as_json() {
    let house = TestServer::start().await;
    house.open_event().await;
    let body = json!({"event_id": EVENT}).to_string();
    let answer = house.post("/register").body("text/plain;charset=UTF-8", body).await;
    assert!([201, 422].contains(&answer.status.as_u16()), "one or the other, but an answer: {}", answer.json());
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    for number in ["0", "-1", "1.5", "4294967296", "99999999999999999999", "1e3", "", "%00"] {
        let answer = house.get(&format!("/check-winner?event_id={EVENT}&draw_number={number}")).await;
        assert!([422, 404].contains(&answer.status.as_u16()), "{number}: {}", answer.json());
    }
    for value in [json!(0), json!(-1), json!(1.5), json!(4_294_967_296_u64), json!("1"), Value::Null] {
        let body = json!({"draw_id": value, "draw_number": 1, "reason": "absent", "redraw": false});
        let status = house.order("draw/void", &body).await.status.as_u16();
        assert!([422, 404].contains(&status), "{value}: {status}");
    }
}

#[tokio::test]
async fn hostile_text_comes_back_as_text() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    let name = "\"},\"success\":false,\u{2028}</script><b>경품 🎁\\";
    let mut phone = house.socket(EVENT, "").await.greeted().await;
    let revealed = house.reveal_draw(&prize(name)).await;
    assert_eq!(revealed["prize_name"], name);
    house.order("draw/complete", &json!({})).await.ok();
    assert_eq!(phone.until("winner_announced").await["prize_name"], name);
    assert_eq!(house.look("draws").await["draws"][0]["prize_name"], name);
    assert_eq!(house.public("/check-winner?draw_number=1").await["prizes"][0]["prize_name"], name);
}
