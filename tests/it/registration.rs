//! The entry to an event: codes typed or scanned, quotas of new numbers, and what a console does
//! about a script that takes them.

use crate::event_steps::{EVENT, numbers, prize, request_id};
use crate::http_client::{RequestBuilder, Response};
use crate::test_server::{TIMEOUT, TestServer};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

impl TestServer {
    fn registration(&self, index: u64, fields: Value) -> RequestBuilder {
        let mut body = json!({"event_id": EVENT, "request_id": request_id(index)});
        fields.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        self.post("/register").json(&body)
    }

    async fn send_all(&self, requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<Response> {
        join_all(requests.into_iter().map(IntoFuture::into_future)).await
    }
}

/// Registrations as raw requests of one connection, and the statuses of their answers until the
/// server closes it.
async fn register_on_one_connection(server: &TestServer, bodies: &[Value]) -> Vec<u16> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for body in bodies.iter().map(Value::to_string) {
        let head = format!("POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
    }
    let (mut received, mut chunk) = (String::new(), [0; 4096]);
    let statuses =
        |text: &str| -> Vec<u16> { text.split("HTTP/1.1 ").skip(1).filter_map(|rest| rest.get(..3)?.parse().ok()).collect() };
    let reading = async {
        while statuses(&received).len() < bodies.len() {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(length) => received.push_str(&String::from_utf8_lossy(&chunk[..length])),
            }
        }
    };
    tokio::time::timeout(TIMEOUT, reading).await.expect("the server answers or closes");
    statuses(&received)
}

#[tokio::test]
async fn right_codes_pass_at_once_while_a_client_guesses() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.admin_post("entry-code", &json!({"entry_code": "0042"})).await.ok();
    let guesses = (0..200).map(|guess| server.registration(1_000 + guess, json!({"entry_code": format!("9{guess:03}")})));
    let hall = (1..=60).map(|phone| server.registration(phone, json!({"entry_code": "0042"})));
    let (guesses, hall) = tokio::join!(server.send_all(guesses), server.send_all(hall));
    hall.iter().for_each(|answer| drop(answer.expect_data(201)));
    guesses.iter().for_each(|answer| answer.expect_refusal(403, "FORBIDDEN"));
    let figures = server.admin_get("stats").await["registrations"].clone();
    assert_eq!((&figures["wrong_codes"], &figures["is_alarming"]), (&json!(200), &json!(true)), "the console is told");
    assert_eq!(server.admin_get("stats").await["participant_count"], 60);
}

#[tokio::test]
async fn wrong_codes_are_answered_later_each_time_by_connection_and_by_cookie() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.admin_post("entry-code", &json!({"entry_code": "0042"})).await.ok();
    let wrong = |index| json!({"event_id": EVENT, "request_id": request_id(index), "entry_code": "0000"});
    let began = Instant::now();
    assert_eq!(register_on_one_connection(&server, &[wrong(1), wrong(2), wrong(3)]).await, [403, 403, 403]);
    assert!(began.elapsed() >= Duration::from_millis(250 + 500 + 1_000), "{:?}", began.elapsed());
    let mut cookie = "a=b".to_owned();
    for delay_ms in [250, 500, 1_000] {
        let began = Instant::now();
        let answer = server.post("/register").header("Cookie", &cookie).json(&wrong(4)).await;
        answer.expect_refusal(403, "FORBIDDEN");
        assert!(began.elapsed() >= Duration::from_millis(delay_ms), "{:?}", began.elapsed());
        cookie = answer.cookie().unwrap();
    }
}

#[tokio::test]
async fn a_rotating_code_is_shown_to_displays_and_admits_who_had_it_in_time() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.admin_post("entry-code", &json!({"rotates": true, "entry_code": "0042"})).await.expect_refusal(422, "INVALID_REQUEST");
    let mut display = server.display().await;
    let event = server.admin_post("entry-code", &json!({"rotates": true})).await.ok();
    assert_eq!((&event["entry_code"], &event["entry_code_rotates"]), (&Value::Null, &json!(true)));
    assert_eq!(display.until("entry_code").await["entry_code_rotates"], true);
    display.send_json(&json!({"type": "join_code"})).await;
    let shown = display.until("join_code").await;
    let code = shown["join_code"].as_str().unwrap().to_owned();
    assert!((1..=30_000).contains(&shown["next_in_ms"].as_i64().unwrap()), "{shown}");
    let mut phone = server.socket(EVENT, "").await;
    let state = phone.until("state_sync").await;
    assert_eq!((&state["entry_code_required"], &state["entry_code_rotates"]), (&json!(true), &json!(true)));
    assert!(!state.to_string().contains(&code));
    phone.send_json(&json!({"type": "join_code"})).await;
    assert_eq!(phone.until("error").await["code"], "FORBIDDEN");

    let pass = |index: u64, code: &str| {
        let body = json!({"event_id": EVENT, "request_id": request_id(index), "entry_code": code});
        server.post("/entry-pass").json(&body)
    };
    pass(1, "0042").await.expect_refusal(403, "FORBIDDEN");
    let entry_pass = pass(1, &code).await.ok()["entry_pass"].clone();
    for fields in [json!({}), json!({"entry_code": "0042"}), json!({"entry_pass": "1.x"})] {
        server.registration(1, fields).await.expect_refusal(403, "FORBIDDEN");
    }
    server.registration(2, json!({"entry_pass": entry_pass})).await.expect_refusal(403, "FORBIDDEN");
    server.registration(1, json!({"entry_pass": entry_pass})).await.expect_data(201);
    server.registration(3, json!({"entry_code": code.to_lowercase()})).await.expect_data(201);
    server.kill();
    server.restart().await;
    server.registration(4, json!({})).await.expect_refusal(403, "FORBIDDEN");
    server.admin_post("entry-code", &json!({"entry_code": null})).await.ok();
    server.registration(4, json!({})).await.expect_data(201);
    let svg = server.get(&format!("/join.svg?event_id={EVENT}&code={code}")).await;
    assert_eq!(svg.status, 200);
    assert_ne!(svg.body, server.get(&format!("/join.svg?event_id={EVENT}")).await.body, "the code is in the QR code");
    server.get(&format!("/join.svg?event_id={EVENT}&code=a%26b")).await.expect_refusal(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_script_on_one_connection_is_stopped_and_a_hall_behind_one_address_is_not() {
    let server = TestServer::start().await;
    server.open_event().await;
    let bodies: Vec<_> = (0..20).map(|index| json!({"event_id": EVENT, "request_id": request_id(9_000 + index)})).collect();
    assert_eq!(register_on_one_connection(&server, &bodies).await, [201; 5], "then the connection is closed");
    let hall: Vec<_> = (1..=1_000).collect();
    for many in hall.chunks(100) {
        let answers = server.send_all(many.iter().map(|phone| server.registration(*phone, json!({})))).await;
        answers.iter().for_each(|answer| drop(answer.expect_data(201)));
    }
    assert_eq!(server.admin_get("stats").await["registrations"]["refused"], 0, "no phone met a quota");
}

#[tokio::test]
async fn a_script_of_many_connections_leaves_room_for_the_next_phone() {
    const SEATS: u64 = 1_000;
    let server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "participants_max": SEATS})).await;
    let bodies = |connection: u64| -> Vec<Value> {
        (0..5).map(|index| json!({"event_id": EVENT, "request_id": request_id(9_000 + connection * 5 + index)})).collect()
    };
    let mut given = 0;
    for connections in (0..SEATS / 5).collect::<Vec<_>>().chunks(50) {
        let bodies: Vec<_> = connections.iter().map(|connection| bodies(*connection)).collect();
        let scripts = bodies.iter().map(|bodies| register_on_one_connection(&server, bodies));
        given += join_all(scripts).await.concat().iter().filter(|status| **status == 201).count();
    }
    assert!((given as u64) < SEATS / 2, "{given} of {SEATS} seats are taken");
    let hall = server.send_all((1..=100).map(|phone| server.registration(phone, json!({})))).await;
    hall.iter().for_each(|answer| drop(answer.expect_data(201)));
    let figures = server.admin_get("stats").await["registrations"].clone();
    assert!(figures["is_alarming"] == true && figures["refused"].as_u64() > Some(0), "the console is told: {figures}");
}

#[tokio::test]
async fn a_full_event_is_raised_and_what_came_in_a_burst_is_removed() {
    let mut server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "participants_max": 5})).await;
    let phones = server.register_many(5).await;
    server.registration(6, json!({})).await.expect_refusal(409, "EVENT_FULL");
    let resize = |size: u32| {
        let path = format!("/api/luckydraw/admin/events/{EVENT}");
        server.request(Method::PATCH, &path).admin().json(&json!({"participants_max": size}))
    };
    resize(4).await.expect_refusal(422, "INVALID_REQUEST");
    resize(8).await.ok();
    assert_eq!(server.register(6).await.number, 6);
    assert_eq!(server.register(1).await, phones[0], "a phone keeps its number");

    let (_, winners) = server.whole_draw(&prize("TV")).await;
    let gone = (1..=6).find(|number| !winners.contains(number)).unwrap();
    let (phone, winner) = (&phones[gone as usize - 1], winners[0]);
    let mut socket = server.phone_socket(phone).await;
    let window = json!({"from_ms": 0, "until_ms": 9_999_999_999_999_i64});
    let removed = server.admin_post("participants/remove", &window).await.ok();
    assert_eq!(removed, json!({"removed": 5, "participant_count": 1}));
    let told = socket.until("participants_removed").await;
    let told: Vec<_> = told["ranges"].as_array().unwrap().iter().map(numbers).collect();
    assert!(told.iter().any(|range| (range[0]..=range[1]).contains(&gone)));
    assert!(!told.iter().any(|range| (range[0]..=range[1]).contains(&winner)));
    let own = server.get(&format!("/my-number?event_id={EVENT}")).bearer(&phone.token).await;
    own.expect_refusal(404, "PARTICIPANT_NOT_FOUND");

    let anew = server.register(gone).await;
    assert_eq!(anew.number, 7, "its number is never given again");
    for _ in 0..2 {
        assert_eq!(server.register(gone).await, anew);
        assert_eq!(server.admin_get("participants").await["total_count"], 2);
        server.kill();
        server.restart().await;
    }
    for index in 20..26 {
        server.registration(index, json!({})).await.expect_data(201);
    }
    server.registration(26, json!({})).await.expect_refusal(409, "EVENT_FULL");
}
