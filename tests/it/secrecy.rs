//! Secrecy before the announcement: no answer to a phone or to the public betrays that a draw was
//! revealed.
//!
//! Every public call is made after the start of a draw and again after its reveal: the answers must
//! be identical. The announcement must then change them, so that a call without content cannot
//! pass.

use crate::event_steps::{EVENT, Phone, numbers, prize};
use crate::http_client::RequestBuilder;
use crate::test_server::{ADMIN_TOKEN, TestServer};
use crate::websocket_client::{Received, Socket};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Two numbers, of which one wins: a difference between winner and loser cannot hide.
const PHONES: u64 = 2;

/// An event up to the start of a draw of a listed prize, with a display connected, so that no
/// announcement is automatic.
async fn with_started_draw(server: &TestServer) -> (Vec<Phone>, Socket, u64) {
    server
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "quantity": 3}, {"prize_name": "Radio", "prize_rank": 2, "quantity": 3}]}))
        .await;
    let phones = server.register_many(PHONES).await;
    let display = server.display().await;
    let draw = server.start_draw(&prize("TV")).await;
    (phones, display, draw)
}

/// Every call that needs no admin token, with its answer.
async fn answers_to_all_calls(server: &TestServer, phones: &[Phone]) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for path in ["/results", "/proof", "/state", "/state?since=0&epoch=0000000000000000"] {
        answers.insert(path.to_owned(), server.public(path).await);
    }
    for phone in phones {
        let (number, token) = (phone.number, &phone.token);
        for path in [
            format!("/check-winner?draw_number={number}"),
            format!("/my-number?session_token={token}"),
            format!("/state?session_token={token}"),
            format!("/state?token={token}"),
        ] {
            answers.insert(format!("{number} {path}"), server.public(&path).await);
        }
        let again = json!({"event_id": EVENT, "session_token": token});
        answers.insert(format!("{number} register"), server.post("/register").json(&again).await.expect_data(201));
    }
    for path in ["draws", "winners", "participants", "stats", "audit", "prizes"] {
        let request = server.request(hyper::Method::GET, &format!("/api/luckydraw/admin/{EVENT}/{path}"));
        answers.insert(format!("admin {path} by a phone"), refusal(request.bearer(&phones[0].token)).await);
    }
    answers
}

async fn refusal(request: RequestBuilder) -> Value {
    let answer = request.await;
    answer.expect_refusal(401, "UNAUTHORIZED");
    answer.json()
}

/// The frames of sockets without rights: one without a number, one that names a number, and two
/// with a token.
async fn frames_of_all_sockets(server: &TestServer, phones: &[Phone]) -> BTreeMap<String, Vec<Value>> {
    let mut frames = BTreeMap::new();
    let mut anonymous = server.socket(EVENT, "").await;
    frames.insert("names nothing".to_owned(), draw_frames(&mut anonymous).await);
    anonymous.disconnect();
    for phone in phones {
        let mut naming = server.socket(EVENT, "").await;
        naming.send_json(&json!({"type": "identify", "draw_number": phone.number})).await;
        frames.insert(format!("{} names its number", phone.number), draw_frames(&mut naming).await);
        naming.disconnect();
        let mut authenticated = server.socket(EVENT, "").await;
        authenticated.send_json(&json!({"type": "identify", "session_token": phone.token})).await;
        frames.insert(format!("{} sends its token", phone.number), draw_frames(&mut authenticated).await);
        authenticated.disconnect();
        let mut returning = server.socket(EVENT, &format!("?token={}&since=0&epoch=0000000000000000", phone.token)).await;
        returning.send_json(&json!({"type": "draw_complete"})).await;
        frames.insert(format!("{} connects with its token", phone.number), draw_frames(&mut returning).await);
        returning.disconnect();
    }
    frames
}

/// The frames about the draw that a socket gets until it is quiet. Counts of connections vary and
/// say nothing about a draw.
async fn draw_frames(socket: &mut Socket) -> Vec<Value> {
    socket.drain().await;
    let mut frames = socket.take();
    frames.retain(|frame| !["pong", "connection_count", "participant_joined"].contains(&frame["type"].as_str().unwrap()));
    frames.iter_mut().for_each(blank_connection_counts);
    frames
}

/// Blanks the counts of connections and the time of the answer, wherever they occur.
fn blank_connection_counts(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match name.as_str() {
            "connection_count" | "connections" | "connected" | "server_time" => *value = Value::Null,
            _ => blank_connection_counts(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(blank_connection_counts),
        _ => {}
    }
}

fn without_connection_counts(mut answers: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    answers.values_mut().for_each(blank_connection_counts);
    answers
}

#[tokio::test]
async fn between_reveal_and_announcement_every_public_answer_stays_the_same() {
    let server = TestServer::start().await;
    let (phones, mut display, _) = with_started_draw(&server).await;
    let mut registered = server.phone_socket(&phones[0]).await;
    let mut unnumbered = server.socket(EVENT, "").await;
    draw_frames(&mut registered).await;
    draw_frames(&mut unnumbered).await;
    let before =
        (without_connection_counts(answers_to_all_calls(&server, &phones).await), frames_of_all_sockets(&server, &phones).await);

    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    display.until("winner_revealed").await;
    let after =
        (without_connection_counts(answers_to_all_calls(&server, &phones).await), frames_of_all_sockets(&server, &phones).await);
    for (call, answer) in &before.0 {
        assert_eq!(*answer, after.0[call], "{call} betrays that the draw was revealed");
    }
    for (socket, frames) in &before.1 {
        assert_eq!(*frames, after.1[socket], "the socket that {socket} learns that the draw was revealed");
    }
    assert_eq!(draw_frames(&mut registered).await, Vec::<Value>::new(), "a phone gets no frame");
    assert_eq!(draw_frames(&mut unnumbered).await, Vec::<Value>::new(), "a socket without a number gets no frame");

    server.admin_post("draw/complete", &json!({})).await.ok();
    let announced =
        (without_connection_counts(answers_to_all_calls(&server, &phones).await), frames_of_all_sockets(&server, &phones).await);
    let winner = numbers(&revealed["winners"])[0];
    for call in
        ["/results".to_owned(), "/proof".to_owned(), "/state".to_owned(), format!("{winner} /check-winner?draw_number={winner}")]
    {
        assert_ne!(before.0[&call], announced.0[&call], "{call} shows an announced draw");
    }
    for socket in ["names nothing".to_owned(), format!("{winner} names its number"), format!("{winner} sends its token")] {
        assert_ne!(before.1[&socket], announced.1[&socket], "the socket that {socket} learns of an announced draw");
    }
}

#[tokio::test]
async fn a_planned_show_tells_phones_its_end_and_no_winner() {
    let server = TestServer::start().await;
    let (phones, mut display, draw) = with_started_draw(&server).await;
    let stage = json!({"type": "stage", "stage_id": "s1", "page": "main", "scene": "running", "width": 1920, "height": 1080});
    display.send_json(&stage).await;
    display.until("stage_orders").await;
    let mut phone = server.phone_socket(&phones[0]).await;
    server.admin_post("draw/reveal", &json!({})).await.ok();
    let revealed = display.until("winner_revealed").await;
    let planned = phone.until("show_planned").await;
    let fields: Vec<_> = planned.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["draw_id", "epoch", "seq", "show_at", "type"], "it names no winner");
    assert_eq!((&planned["draw_id"], &planned["show_at"]), (&json!(draw), &revealed["show_at"]));
    phone.until("draw_complete").await;
    assert_eq!(phone.numbered_kinds(), ["show_planned", "winner_announced", "draw_complete"]);
}

#[tokio::test]
async fn the_display_and_the_console_see_a_revealed_draw_at_once() {
    let server = TestServer::start().await;
    let (_, mut display, draw) = with_started_draw(&server).await;
    assert_eq!(server.admin_get("draws").await["total_count"], 0, "no one sees a pick before its reveal");
    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    assert_eq!(display.until("winner_revealed").await["winners"], revealed["winners"]);
    let rows = server.admin_get("draws").await;
    assert_eq!((rows["total_count"].as_u64(), rows["draws"][0]["draw_id"].as_u64()), (Some(1), Some(draw)));
    assert_eq!(rows["draws"][0]["draw_number"], revealed["winners"][0]);
    let mut late = server.display().await;
    late.drain().await;
    let sync = late.received("state_sync")[0].to_string();
    assert!(sync.contains(&format!("[{}]", revealed["winners"][0])), "a projector that reloads sees it: {sync}");
}

#[tokio::test]
async fn a_long_poll_of_a_phone_is_not_woken_by_a_reveal() {
    let server = TestServer::start().await;
    let (phones, _display, _) = with_started_draw(&server).await;
    let state = server.public("/state").await;
    let seq = ["seq", "state_sync"].iter().find_map(|name| state[name].as_u64().or(state[name]["seq"].as_u64())).unwrap();
    let epoch = [&state["epoch"], &state["state_sync"]["epoch"]].iter().find_map(|value| value.as_str()).unwrap().to_owned();
    let path = format!("/state?since={seq}&epoch={epoch}&session_token={}", phones[0].token);
    let (answer, ()) = tokio::join!(server.public(&path), async {
        server.admin_post("draw/reveal", &json!({})).await.ok();
        server.get(&format!("/results?event_id={EVENT}")).await.ok();
        server.admin_post("draw/complete", &json!({})).await.ok();
    });
    assert!(answer.to_string().contains("winner_announced"), "the announcement wakes it: {answer}");
}

#[tokio::test]
async fn nobody_polls_as_a_display_or_console_without_their_credential() {
    let server = TestServer::start().await;
    let (phones, _display, _) = with_started_draw(&server).await;
    server.admin_post("draw/reveal", &json!({})).await.ok();
    for role in ["display", "admin"] {
        let path = format!("/state?event_id={EVENT}&role={role}");
        for token in [&phones[0].token, "wrong"] {
            server.get(&path).bearer(token).await.expect_refusal(401, "UNAUTHORIZED");
        }
        server.get(&path).await.expect_refusal(401, "UNAUTHORIZED");
        let state = server.get(&path).bearer(ADMIN_TOKEN).await.ok();
        assert_eq!(state["state_sync"]["current"]["status"], "revealed");
        let again = server.get(&format!("{path}&revision={}", state["revision"])).bearer(ADMIN_TOKEN);
        let complete = json!({});
        let (again, ()) = tokio::join!(async { again.await.ok() }, async {
            if role == "admin" {
                server.admin_post("draw/complete", &complete).await.ok();
            }
        });
        assert!(again["revision"].as_u64() >= state["revision"].as_u64());
    }
    let report = json!({"stage_id": "s1", "page": "main", "scene": "lobby", "width": 1, "height": 1});
    server.post(&format!("/admin/{EVENT}/stages")).json(&report).await.expect_refusal(401, "UNAUTHORIZED");
    assert_eq!(server.admin_post("stages", &report).await.ok()["is_lead"], true);
}

#[tokio::test]
async fn no_pick_is_in_the_audit_or_an_admin_answer_before_its_reveal() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    let spec = json!({"prize_name": "All", "prize_rank": 1, "draw_mode": "card", "winner_count": 3});
    server.start_draw(&spec).await;
    for path in ["audit", "draws", "winners", "stats"] {
        let answer = server.admin_get(path).await;
        assert!(!holds_permutation(&answer), "{path} shows a pick: {answer}");
    }
    let mut console = server.console().await;
    console.drain().await;
    assert!(!console.take().iter().any(holds_permutation), "a console is shown a pick");
}

/// True when the value contains an array of all three numbers, the pick, in any order.
fn holds_permutation(value: &Value) -> bool {
    match value {
        Value::Array(items) => {
            let mut found: Vec<u64> = items.iter().filter_map(Value::as_u64).collect();
            found.sort_unstable();
            found == [1, 2, 3] || items.iter().any(holds_permutation)
        }
        Value::Object(fields) => fields.values().any(holds_permutation),
        Value::String(text) => serde_json::from_str::<Value>(text).is_ok_and(|inner| holds_permutation(&inner)),
        _ => false,
    }
}

#[tokio::test]
async fn a_phone_cannot_announce_or_reveal() {
    let server = TestServer::start().await;
    let (phones, mut display, _) = with_started_draw(&server).await;
    server.admin_post("draw/reveal", &json!({})).await.ok();
    display.until("winner_revealed").await;
    let mut phone = server.phone_socket(&phones[0]).await;
    for message in [
        json!({"type": "draw_complete"}),
        json!({"type": "auth", "token": phones[0].token}),
        json!({"type": "auth", "token": "?"}),
    ] {
        phone.send_json(&message).await;
    }
    if let Received::Frame(frame) = phone.receive().await {
        assert!(frame["success"] != true, "{frame}");
    }
    for path in ["draw/reveal", "draw/complete", "draw/cancel"] {
        let request = server.request(hyper::Method::POST, &format!("/api/luckydraw/admin/{EVENT}/{path}")).json(&json!({}));
        refusal(request.clone()).await;
        refusal(request.bearer(&phones[0].token)).await;
    }
    assert_eq!(server.public("/results").await["draws"], json!([]), "nothing was announced");
    let complete = server.admin_post("draw/complete", &json!({})).await;
    complete.ok();
    assert_ne!(ADMIN_TOKEN, phones[0].token);
}
