//! Edges: phones on boxes of their own, over a real NATS, get what phones of the origin get, and
//! nothing before its time.
//!
//! Origin, edges and NATS are killed one after another. A phone must see every frame once and in
//! order, whatever was killed, and a number that was acknowledged must stay.

use crate::event_steps::{EVENT, Phone, numbers, prize, request_id};
use crate::http_client::{RequestBuilder, exchange};
use crate::nats::{NatsServer, TAP};
use crate::test_server::{TIMEOUT, TestServer};
use crate::websocket_client::{Socket, gapless};
use hyper::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// An origin and its edges.
pub struct Boxes {
    pub nats: NatsServer,
    pub origin: TestServer,
    pub edges: Vec<TestServer>,
}

impl Boxes {
    /// An origin with an open event, and so many edges that serve it.
    pub async fn start(edges: usize) -> Self {
        Self::start_on(NatsServer::start().await, edges).await
    }

    /// The same on this NATS.
    pub async fn start_on(nats: NatsServer, edges: usize) -> Self {
        let origin = TestServer::start_with(&borrowed(&nats.settings("origin"))).await;
        origin.open_event().await;
        let mut boxes = Self { nats, origin, edges: Vec::new() };
        for index in 1..=edges {
            let edge = boxes.start_edge(&format!("edge{index}")).await;
            boxes.edges.push(edge);
        }
        boxes
    }

    async fn start_edge(&self, user: &str) -> TestServer {
        let settings = self.nats.settings(user);
        let edge = TestServer::start_program(&[env!("CARGO_BIN_EXE_luckydraw"), "edge"], &borrowed(&settings)).await;
        until_served(&edge).await;
        edge
    }

    /// A phone that registers and connects at an edge.
    pub async fn phone_at(&self, edge: usize, index: u64) -> (Phone, Socket) {
        let phone = self.edges[edge].register(index).await;
        let socket = self.edges[edge].phone_socket(&phone).await;
        (phone, socket)
    }
}

pub fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Waits until a call is answered with this status.
async fn until_status(what: &str, status: u16, call: impl Fn() -> RequestBuilder) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = call().await;
        if answer.status == status {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "timed out waiting until {what}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the event's figures at the origin are so, and returns them.
pub async fn until_stats(origin: &TestServer, what: &str, mut is_so: impl FnMut(&Value) -> bool) -> Value {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let stats = origin.get(&format!("/admin/{EVENT}/stats")).admin().await.ok();
        if is_so(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "timed out waiting until {what}: {stats}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until an edge serves the event.
pub async fn until_served(edge: &TestServer) {
    until_status("the edge serves the event", 200, || edge.get(&format!("/state?event_id={EVENT}"))).await;
}

/// Waits until an edge has an origin that answers.
async fn until_linked(edge: &TestServer) {
    until_status("the edge has its origin", 200, || edge.request(Method::GET, "/readyz")).await;
}

/// Reads a socket until it has this many announcements, and returns all its numbered frames.
pub async fn numbered_until(socket: &mut Socket, draws: usize) -> Vec<Value> {
    while socket.received("draw_complete").len() < draws {
        socket.until("draw_complete").await;
    }
    let frames: Vec<Value> = socket.numbered().into_iter().cloned().collect();
    gapless(&frames.iter().collect::<Vec<_>>());
    frames
}

#[tokio::test]
async fn phones_on_edges_and_at_the_origin_get_the_same_frames_once_and_in_order() {
    let boxes = Boxes::start(2).await;
    let (first, mut at_first) = boxes.phone_at(0, 1).await;
    let (second, mut at_second) = boxes.phone_at(1, 2).await;
    let mut at_origin = boxes.origin.phone_socket(&boxes.origin.register(3).await).await;
    assert_eq!((first.number, second.number), (1, 2));
    let mut draws = Vec::new();
    for name in ["TV", "Radio", "Bicycle"] {
        draws.push(boxes.origin.whole_draw(&prize(name)).await);
    }
    let frames = numbered_until(&mut at_origin, 3).await;
    assert_eq!(numbered_until(&mut at_first, 3).await, frames);
    assert_eq!(numbered_until(&mut at_second, 3).await, frames);

    // All edges and the origin agree about a phone, and a retry at another edge is the same phone.
    let edges = &boxes.edges;
    for server in [&edges[0], &edges[1], &boxes.origin] {
        let own = server.get(&format!("/my-number?event_id={EVENT}")).bearer(&first.token).await.ok();
        assert_eq!(own["draw_number"], first.number);
        assert_eq!(server.public("/results").await, boxes.origin.public("/results").await);
        let again = server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(1)})).await;
        assert_eq!(again.expect_data(201)["draw_number"], first.number);
    }
    let code = json!({"event_id": EVENT, "draw_number": second.number, "recovery_code": second.recovery_code});
    assert_eq!(edges[0].post("/recover").json(&code).await.ok()["session_token"], second.token);

    // The private view is laid into the public state, by socket and by long poll.
    let winners: Vec<u64> = draws.iter().flat_map(|(_, winners)| winners.clone()).collect();
    for (phone, edge) in [(&first, &edges[1]), (&second, &edges[0])] {
        let mut socket = edge.socket(EVENT, "").await.synced().await;
        socket.send_json(&json!({"type": "identify", "session_token": phone.token})).await;
        let by_socket = socket.until("state_sync").await;
        let by_poll = edge.get(&format!("/state?event_id={EVENT}")).bearer(&phone.token).await.ok()["state_sync"].clone();
        let at_origin =
            boxes.origin.get(&format!("/state?event_id={EVENT}")).bearer(&phone.token).await.ok()["state_sync"].clone();
        assert_eq!(by_socket["you"], at_origin["you"]);
        assert_eq!(by_poll["you"], at_origin["you"]);
        assert_eq!(by_socket["you"]["won"], winners.contains(&phone.number));
    }
    assert_eq!(edges[0].socket(EVENT, "?token=nonsense").await.closed().await, 4401);
    // Sure of it once it has heard the origin for a while: phones do not come again.
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let code = edges[0].socket("no-such-event", "").await.closed().await;
        assert!(code == 4404 || code == 1013 && Instant::now() < deadline, "{code}");
        if code == 4404 {
            break;
        }
    }
}

#[tokio::test]
async fn a_winner_reports_to_the_origin_by_its_edge() {
    let boxes = Boxes::start(1).await;
    let (phone, mut socket) = boxes.phone_at(0, 1).await;
    let (draw, winners) = boxes.origin.whole_draw(&prize("TV")).await;
    assert_eq!(winners, [phone.number]);
    let mut console = boxes.origin.console().await;
    socket.until("draw_complete").await;
    socket.send_json(&json!({"type": "im_here", "draw_id": draw})).await;
    assert_eq!(socket.until("im_here_ack").await["success"], true);
    assert_eq!(console.until("winner_updated").await["draw_number"], phone.number);
    let details = json!({"event_id": EVENT, "draw_id": draw, "name": "Kim", "phone": "010-1234-5678", "consent": true});
    boxes.edges[0].post("/winner-info").bearer(&phone.token).json(&details).await.ok();
    assert_eq!(console.until("winner_info_received").await["draw_number"], phone.number);
    // A correction names the version that it replaces.
    let message = json!({
        "type": "submit_winner_info",
        "draw_id": draw,
        "name": "Lee",
        "phone": "010-1234-5678",
        "consent": true,
        "version": 1,
    });
    socket.send_json(&message).await;
    assert_eq!(socket.until("submit_winner_info_ack").await["success"], true);
    assert_eq!(console.until("winner_info_received").await["name"], "Lee");
    let mut anonymous = boxes.edges[0].socket(EVENT, "").await.synced().await;
    anonymous.send_json(&json!({"type": "im_here", "draw_id": draw})).await;
    assert_eq!(anonymous.until("im_here_ack").await["code"], "UNAUTHORIZED");
}

#[tokio::test]
async fn a_phone_sees_every_frame_once_whatever_is_killed() {
    let mut boxes = Boxes::start(2).await;
    let (phone, mut socket) = boxes.phone_at(0, 1).await;
    // A number wins once.
    for index in 11..=15 {
        boxes.origin.register(index).await;
    }
    boxes.origin.whole_draw(&prize("before")).await;
    numbered_until(&mut socket, 1).await;

    boxes.nats.kill();
    boxes.origin.whole_draw(&prize("without NATS")).await;
    let register = |server: &TestServer, index: u64| {
        server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(index)}))
    };
    until_status("an edge says that it has no origin", 503, || boxes.edges[0].request(Method::GET, "/readyz")).await;
    let refused = register(&boxes.edges[0], 2).await;
    assert_eq!(refused.status, 503);
    assert!((1..=4).contains(&refused.header("retry-after").parse::<u32>().unwrap()), "with jitter");
    boxes.nats.restart().await;
    numbered_until(&mut socket, 2).await;
    until_linked(&boxes.edges[0]).await;
    let after_nats = register(&boxes.edges[0], 2).await.expect_data(201);
    assert_eq!(after_nats["draw_number"], 7, "the refused one took no number");

    boxes.origin.kill();
    until_status("an edge misses its origin", 503, || boxes.edges[0].request(Method::GET, "/readyz")).await;
    assert_eq!(register(&boxes.edges[0], 3).await.status, 503);
    boxes.origin.restart().await;
    until_linked(&boxes.edges[0]).await;
    boxes.origin.whole_draw(&prize("after the origin came back")).await;
    let seen = numbered_until(&mut socket, 3).await;

    // A phone of an edge that dies goes on at another one, where it left off.
    boxes.edges[0].kill();
    assert_eq!(socket.closed().await, 1006);
    boxes.origin.whole_draw(&prize("while it was away")).await;
    let last = seen.last().unwrap();
    let query = format!("?token={}&since={}&epoch={}", phone.token, last["seq"], last["epoch"].as_str().unwrap());
    until_linked(&boxes.edges[1]).await;
    let mut again = boxes.edges[1].socket(EVENT, &query).await;
    let missed = numbered_until(&mut again, 1).await;
    assert_eq!(missed[0]["seq"].as_u64().unwrap(), last["seq"].as_u64().unwrap() + 1);
    let sync = again.until("state_sync").await;
    assert_eq!(sync["you"]["draw_number"], phone.number);
    assert_eq!(register(&boxes.edges[1], 1).await.expect_data(201)["session_token"], phone.token, "no number is lost");
}

#[tokio::test]
async fn a_reset_a_closing_and_a_deletion_reach_the_phones_of_an_edge() {
    let boxes = Boxes::start(1).await;
    let (phone, mut socket) = boxes.phone_at(0, 1).await;
    boxes.origin.admin_post("reset", &json!({"reset_participants": true, "reset_draws": true})).await.ok();
    socket.until("event_reset").await;
    let (edge, query) = (&boxes.edges[0], format!("?token={}", phone.token));
    assert_eq!(edge.socket(EVENT, &query).await.closed().await, 4401, "its number is void");
    let (_, mut anew) = boxes.phone_at(0, 2).await;
    boxes.origin.admin_post("phase", &json!({"phase": "closed"})).await.ok();
    assert_eq!(anew.closed().await, 4404);
    assert_eq!(socket.closed().await, 4404);
    boxes.origin.request(Method::DELETE, &format!("/admin/events/{EVENT}")).admin().await.ok();
    until_status("the edge forgets the event", 404, || edge.get(&format!("/state?event_id={EVENT}"))).await;
    boxes.origin.open_event().await;
    until_served(edge).await;
    boxes.phone_at(0, 3).await;
}

#[tokio::test]
async fn nothing_of_a_winner_crosses_nats_before_its_time() {
    let boxes = Boxes::start(1).await;
    let (phone, mut socket) = boxes.phone_at(0, 1).await;
    let mut display = boxes.origin.display().await;
    let mut tap = boxes.nats.client(TAP);
    tap.subscribe(">");
    let revealed = boxes.origin.reveal_draw(&prize("TV")).await;
    assert_eq!(numbers(&revealed["winners"]), [phone.number]);
    let shown = display.until("winner_revealed").await;
    let code = shown["code"].as_str().expect("a draw has a confirmation code").to_owned();
    // Questions of phones, and the heartbeats, travel past the tap meanwhile.
    for path in [format!("/check-winner?draw_number={}", phone.number), "/results".into(), "/proof".into()] {
        boxes.edges[0].public(&path).await;
    }
    boxes.edges[0].get(&format!("/state?event_id={EVENT}")).bearer(&phone.token).await.ok();
    let heartbeats = tap.count("HMSG ld.");
    crate::test_server::poll("heartbeats come", || (tap.count("HMSG ld.") >= heartbeats + 3).then_some(())).await;
    let winners = format!(r#""winners":[{}]"#, phone.number);
    for secret in ["winner_revealed", "winner_announced", &winners, &code, r#""won":true"#] {
        assert!(!tap.has_heard(secret), "{secret} before the announcement");
    }
    assert!(tap.has_heard("draw_started"), "the tap hears what is public");
    boxes.origin.admin_post("draw/complete", &json!({})).await.ok();
    socket.until("winner_announced").await;
    for public in ["winner_announced", &winners, &code] {
        tap.until_heard(public).await;
    }
}

#[tokio::test]
async fn a_rogue_with_an_edge_s_credentials_can_neither_publish_nor_overhear() {
    let boxes = Boxes::start(2).await;
    let (_, mut socket) = boxes.phone_at(1, 1).await;
    let mut rogue = boxes.nats.client("edge1");
    let frames = format!("ld.{EVENT}.frames");
    rogue.publish(&frames, "", "epoch: 0000000000000000\r\nseq: 99\r\n", "forged");
    rogue.until_heard(&format!(r#"Permissions Violation for Publish to "{frames}""#)).await;
    for (subject, quoted) in
        [("_INBOX.>", "_INBOX.>"), ("_INBOX.edge2.>", "_INBOX.edge2.>"), ("ld.*.ask", "ld.*.ask"), (">", ">")]
    {
        rogue.subscribe(subject);
        rogue.until_heard(&format!(r#"Permissions Violation for Subscription to "{quoted}""#)).await;
    }
    // Its own questions are those of phones, and no others.
    rogue.subscribe("_INBOX.edge1.>");
    let ask = format!("ld.{EVENT}.ask");
    let path = format!("/api/luckydraw/admin/{EVENT}/winners");
    let headers = format!("method: GET\r\npath: {path}\r\nauthorization: Bearer {}\r\n", crate::test_server::ADMIN_TOKEN);
    rogue.publish(&ask, "_INBOX.edge1.reply", &headers, "");
    rogue.until_heard("an edge does not ask for this").await;
    let edge = boxes.edges[0].address;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {edge}\r\nConnection: close\r\n\r\n");
    for path in ["/", "/lottery/main?event=a", "/lottery/admin", "/lottery/staff"] {
        let leads = exchange(edge, ask(path).as_bytes()).await;
        assert!(leads.starts_with("HTTP/1.1 307 "), "{leads}");
        assert!(leads.contains(&format!("location: http://{}{path}\r\n", boxes.origin.address)), "{leads}");
    }
    let refused = exchange(edge, ask(&format!("/admin/{EVENT}/winners")).as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 421 ") && refused.contains(&boxes.origin.address.to_string()), "{refused}");
    assert_eq!(boxes.edges[0].socket(EVENT, "?role=display").await.closed().await, 4401);
    // The rogue has disturbed nobody.
    boxes.origin.whole_draw(&prize("TV")).await;
    numbered_until(&mut socket, 1).await;
}

#[tokio::test]
async fn two_origins_fall_silent_until_one_is_gone() {
    let mut boxes = Boxes::start(1).await;
    let mut other = TestServer::start_with(&borrowed(&boxes.nats.settings("origin"))).await;
    for server in [&boxes.origin, &other] {
        until_status("an origin hears the other", 503, || server.request(Method::GET, "/readyz")).await;
        server.request(Method::GET, "/readyz").await.expect_refusal(503, "TWO_ORIGINS");
    }
    until_status("the edge hears neither", 503, || boxes.edges[0].request(Method::GET, "/readyz")).await;
    let register = boxes.edges[0].post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(1)}));
    assert_eq!(register.clone().await.status, 503, "it might be given twice");
    other.kill();
    boxes.origin.until_ready().await;
    until_linked(&boxes.edges[0]).await;
    assert_eq!(register.await.expect_data(201)["draw_number"], 1);
    boxes.edges[0].kill();
}

#[tokio::test]
async fn the_console_s_figures_are_of_all_boxes() {
    let boxes = Boxes::start(2).await;
    let (_, mut at_first) = boxes.phone_at(0, 1).await;
    let (_, mut at_second) = boxes.phone_at(1, 2).await;
    let mut at_origin = boxes.origin.phone_socket(&boxes.origin.register(3).await).await;
    let (draw, _) = boxes.origin.whole_draw(&prize("TV")).await;
    for socket in [&mut at_first, &mut at_second, &mut at_origin] {
        numbered_until(socket, 1).await;
    }
    let stats = until_stats(&boxes.origin, "all phones have the announcement", |stats| stats["delivery"]["delivered"] == 3).await;
    assert_eq!((&stats["delivery"]["draw_id"], &stats["delivery"]["expected"]), (&json!(draw), &json!(3)));
    assert_eq!((&stats["connections"]["phone"], &stats["phones_connected"]), (&json!(3), &json!(3)));
    let edges = stats["edges"].as_array().unwrap();
    for (edge, name) in edges.iter().zip(["edge1", "edge2"]) {
        assert_eq!((&edge["name"], &edge["sockets"], &edge["frames_behind"]), (&json!(name), &json!(1), &json!(0)), "{edge}");
        assert_eq!(edge["has_other_version"], false);
        assert!(edge["lag_ms"].as_u64().unwrap() < 60_000 && edge["clock_ahead_ms"].as_i64().unwrap().abs() < 60_000, "{edge}");
    }
    assert_eq!(edges[1]["address"], format!("http://{}", boxes.edges[1].address));
    // Phones see the count of all boxes.
    until_stats(&boxes.origin, "all sockets are counted", |stats| stats["connection_count"] == 3).await;
    drop(at_second);
    until_stats(&boxes.origin, "a phone has left its edge", |stats| stats["phones_connected"] == 2).await;
}

#[tokio::test]
async fn an_edge_of_another_version_is_named() {
    let boxes = Boxes::start(0).await;
    let mut other = boxes.nats.client("edge1");
    let report = || json!({"version": "0.0.9", "address": "http://192.0.2.7", "sockets_max": 100}).to_string();
    let is_listed = |stats: &Value| {
        other.publish("ld.edge.edge1.presence", "", "x: y\r\n", &report());
        stats["edges"][0].is_object()
    };
    let stats = until_stats(&boxes.origin, "the edge is listed", is_listed).await;
    let edge = &stats["edges"][0];
    assert_eq!((&edge["version"], &edge["has_other_version"]), (&json!("0.0.9"), &json!(true)));
    let text = String::from_utf8(boxes.origin.request(Method::GET, "/metrics").admin().await.body.to_vec()).unwrap();
    let line = r#"luckydraw_edge_info{edge="edge1",version="0.0.9",address="http://192.0.2.7"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(boxes.origin.printed().contains("an edge has another version"), "{}", boxes.origin.printed());
}

#[tokio::test]
async fn the_origin_s_metrics_list_its_edges() {
    let boxes = Boxes::start(1).await;
    let (_, _socket) = boxes.phone_at(0, 1).await;
    let deadline = Instant::now() + TIMEOUT;
    let expected = [r#"luckydraw_edge_phones{edge="edge1"} 1"#, r#"luckydraw_edge_frames_behind{edge="edge1"} 0"#];
    loop {
        let text = String::from_utf8(boxes.origin.request(Method::GET, "/metrics").admin().await.body.to_vec()).unwrap();
        if expected.iter().all(|line| text.contains(line)) && text.contains(r#"luckydraw_edge_silent_seconds{edge="edge1"} "#) {
            break;
        }
        assert!(Instant::now() < deadline, "timed out waiting for the edge in: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // An edge reports itself and no other.
    let mut rogue = boxes.nats.client("edge1");
    rogue.publish("ld.edge.edge2.presence", "", "x: y\r\n", "{}");
    rogue.until_heard(r#"Permissions Violation for Publish to "ld.edge.edge2.presence""#).await;
}
