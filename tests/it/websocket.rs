//! The WebSocket's contract: roles and credentials, frames, catching up, and close codes.

use crate::event_steps::{EVENT, prize};
use crate::test_server::{ADMIN_TOKEN, TIMEOUT, TestServer};
use crate::websocket_client::{Received, Socket, gapless, masked};
use hyper::Method;
use serde_json::json;
use std::time::Instant;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_socket_without_a_role_is_a_phone_and_gets_one_state_sync() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut phone = server.socket(EVENT, "").await;
    phone.drain().await;
    let syncs = phone.received("state_sync");
    assert_eq!(syncs.len(), 1, "{:?}", phone.kinds());
    assert!(syncs[0]["seq"].is_u64() && syncs[0]["epoch"].is_string(), "{}", syncs[0]);
    let stats = server.admin_get("stats").await;
    assert_eq!(stats["connection_count"], 1);
}

#[tokio::test]
async fn a_phone_identifies_by_number_or_by_token() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(2).await;
    let (_, winners) = server.whole_draw(&prize("TV")).await;
    let (winner, loser) = match winners[0] {
        1 => (&phones[0], &phones[1]),
        _ => (&phones[1], &phones[0]),
    };
    let mut socket = server.socket(EVENT, "").await;
    socket.send_json(&json!({"type": "identify", "draw_number": loser.number})).await;
    assert_eq!(socket.until("identify_ack").await["won"], false);
    socket.send_json(&json!({"type": "identify", "draw_number": winner.number})).await;
    let won = socket.until("already_won").await;
    assert_eq!((&won["won"], won["prizes"][0]["prize_name"].as_str()), (&json!(true), Some("TV")));

    let mut authenticated = server.socket(EVENT, "").await;
    authenticated.until("state_sync").await;
    authenticated.send_json(&json!({"type": "identify", "session_token": winner.token})).await;
    authenticated.drain().await;
    let own = authenticated.received("state_sync").last().unwrap().to_string();
    assert!(authenticated.kinds().contains(&"already_won"), "{:?}", authenticated.kinds());
    assert!(own.contains("\"TV\"") && own.contains(&winner.number.to_string()), "its own number and wins: {own}");

    let mut numbered = server.phone_socket(winner).await;
    numbered.drain().await;
    assert!(numbered.received("state_sync")[0].to_string().contains("\"TV\""));
}

#[tokio::test]
async fn a_new_socket_gets_the_current_state() {
    let server = TestServer::start_with(&[("LUCKYDRAW_SOCKET_THREADS", "1")]).await;
    server.open_event().await;
    let mut early = server.socket(EVENT, "").await;
    early.until("connection_count").await;
    server.admin_post("entry-code", &json!({"entry_code": "0427"})).await.ok();
    let link = server.admin(Method::POST, "links").json(&json!({"role": "display"})).await.expect_data(201);
    let auth = json!({"type": "auth", "token": link["token"]});
    let mut display = server.socket(EVENT, "?role=display").await;
    display.send_json(&auth).await;
    assert_eq!(display.until("state_sync").await["entry_code"], "0427", "although no frame carried it");
    server.admin(Method::DELETE, &format!("links/{}", link["link_id"])).await.ok();
    let mut late = server.socket(EVENT, "?role=display").await;
    late.send_json(&auth).await;
    assert_eq!(late.closed().await, 4401, "a revoked link opens nothing");
}

#[tokio::test]
async fn a_ping_gets_a_pong_and_an_invalid_message_an_error_frame() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut phone = server.socket(EVENT, "").await;
    for invalid in ["", "not json", "[]", "{}", "{\"type\":7}", "{\"type\":\"no_such_thing\"}", "null", "{\"type\":\"identify\"}"]
    {
        phone.send(Message::text(invalid)).await;
        let error = phone.until("error").await;
        assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
    }
    phone.send_json(&json!({"type": "ping"})).await;
    phone.until("pong").await;
    phone.send(Message::Ping("hello".into())).await;
    phone.drain().await;
}

#[tokio::test]
async fn a_role_requires_a_credential() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    for (query, token) in [("?role=display", "wrong"), ("?role=admin", phone.token.as_str()), ("?client_type=admin", "")] {
        let mut socket = server.socket(EVENT, query).await;
        socket.send_json(&json!({"type": "auth", "token": token})).await;
        assert_eq!(socket.closed().await, 4401, "{query} {token}");
        assert!(socket.kinds().is_empty(), "no frame before authentication: {:?}", socket.kinds());
    }
    let mut by_query = server.socket(EVENT, &format!("?role=display&token={ADMIN_TOKEN}")).await;
    by_query.until("state_sync").await;
    let mut wrong = server.socket(EVENT, "?role=display&token=wrong").await;
    assert_eq!(wrong.closed().await, 4401);
    let mut unauthenticated = server.socket(EVENT, "?role=display").await;
    unauthenticated.send_json(&json!({"type": "draw_complete"})).await;
    assert_eq!(unauthenticated.closed().await, 4401, "the first message has to be `auth`");
}

#[tokio::test]
async fn a_socket_that_does_not_authenticate_within_five_seconds_is_closed() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut silent = server.socket(EVENT, "?role=admin").await;
    let start = Instant::now();
    assert_eq!(silent.closed().await, 4401);
    assert!(start.elapsed().as_secs() >= 4, "it has five seconds: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_bad_token_and_an_unknown_event_close_after_the_handshake() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.open_event_with(json!({"event_id": "other", "title": "Other", "prizes": []})).await;
    let elsewhere = server.post("/register").json(&json!({"event_id": "other"})).await.expect_data(201);
    for token in ["nonsense", elsewhere["session_token"].as_str().unwrap()] {
        assert_eq!(server.socket(EVENT, &format!("?token={token}")).await.closed().await, 4401);
    }
    assert_eq!(server.socket("nowhere", "").await.closed().await, 4404);
    let mut phone = server.socket(EVENT, "").await;
    phone.send_json(&json!({"type": "identify", "session_token": "nonsense"})).await;
    assert_eq!(phone.closed().await, 4401);
}

#[tokio::test]
async fn the_oldest_of_five_sockets_of_one_token_is_replaced() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(server.phone_socket(&phone).await);
    }
    let mut fifth = server.phone_socket(&phone).await;
    assert_eq!(sockets[0].closed().await, 4409);
    for socket in sockets[1..].iter_mut().chain([&mut fifth]) {
        socket.drain().await;
    }
}

#[tokio::test]
async fn a_flooding_socket_is_closed_and_no_other_is_affected() {
    let server = TestServer::start().await;
    server.open_event().await;
    let (mut flooder, mut quiet) = (server.socket(EVENT, "").await, server.socket(EVENT, "").await);
    let flooding = async {
        for _ in 0..5_000 {
            flooder.send_json(&json!({"type": "ping"})).await;
        }
        flooder.closed().await
    };
    assert_eq!(flooding.await, 4429);
    quiet.drain().await;
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    const ALLOWED: usize = 50;
    let server = TestServer::start_with(&[("LUCKYDRAW_CONNECTIONS_MAX", "50"), ("LUCKYDRAW_SOCKET_THREADS", "2")]).await;
    server.open_event().await;
    for query in ["", "?role=display"] {
        let connect = || Socket::try_connect(server.address, EVENT, query, &[]);
        let tried = futures_util::future::join_all((0..400).map(|_| connect())).await;
        let open: Vec<Socket> = tried.into_iter().filter_map(Result::ok).collect();
        // A connection of an earlier call may hold one.
        assert!((ALLOWED - 2..=ALLOWED).contains(&open.len()), "{} are open, {query}", open.len());
        drop(open);
        // Every place comes back.
        let mut again = Vec::new();
        let deadline = Instant::now() + TIMEOUT;
        while again.len() < ALLOWED - 2 {
            again.extend(connect().await);
            assert!(Instant::now() < deadline, "{} places came back", again.len());
        }
        again.clear();
        server.until_connected(0).await;
    }
}

/// The message that panics is understood by debug builds alone.
#[cfg(debug_assertions)]
#[tokio::test]
async fn a_panic_in_a_socket_thread_costs_its_own_sockets_a_reconnect() {
    let mut server = TestServer::start_with(&[("LUCKYDRAW_SOCKET_THREADS", "2")]).await;
    server.open_event().await;
    let phones = server.register_many(8).await;
    for round in 0..3 {
        // The threads get sockets in turn.
        let mut sockets = Vec::new();
        for phone in &phones {
            sockets.push(server.phone_socket(phone).await);
        }
        sockets[round].send(Message::text("panic!")).await;
        let (mut doomed, mut unharmed): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
        for (index, socket) in sockets.into_iter().enumerate() {
            if index % 2 == round % 2 { doomed.push(socket) } else { unharmed.push(socket) }
        }
        for socket in &mut doomed {
            assert_eq!(socket.closed().await, 1012);
        }
        let mut back = [server.socket(EVENT, "").await.synced().await, server.socket(EVENT, "").await.synced().await];
        server.until_connected(6).await;
        server.whole_draw(&prize(&format!("Prize {round}"))).await;
        for socket in unharmed.iter_mut().chain(&mut back) {
            assert_eq!(socket.until("winner_announced").await["prize_name"], format!("Prize {round}"));
            gapless(&socket.numbered());
        }
        drop((unharmed, back));
        server.until_connected(0).await;
    }
    assert!(server.printed().contains("a socket thread panicked"), "{}", server.printed());
    assert!(!server.has_ended(), "the same process serves on");
}

#[tokio::test]
async fn broken_frames_close_with_their_code() {
    let server = TestServer::start().await;
    server.open_event().await;
    let unmasked: &[u8] = &[0x81, 0x02, b'{', b'}'];
    for (case, bytes, code) in [
        ("an unmasked frame", unmasked.to_vec(), 1002),
        ("reserved bits", masked(0xf1, b"{}"), 1002),
        ("an unknown opcode", masked(0x83, b"{}"), 1002),
        ("a continuation of nothing", masked(0x80, b"{}"), 1002),
        ("a long ping", masked(0x89, &[b'x'; 126]), 1002),
        ("a ping in pieces", masked(0x09, b"x"), 1002),
        ("a new message within one", [masked(0x01, b"{"), masked(0x81, b"}")].concat(), 1002),
        ("a close of one byte", masked(0x88, b"x"), 1002),
        ("a binary frame", masked(0x82, b"{}"), 1003),
        ("bad UTF-8", masked(0x81, &[0xff, 0xfe]), 1007),
        ("a frame of 17 KiB", masked(0x81, &[b' '; 17 << 10]), 1009),
        ("a flood of fragments", flood_of_fragments(), 1009),
    ] {
        let mut raw = server.raw_socket(EVENT).await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await, code, "{case}");
    }
    server.socket(EVENT, "").await.drain().await;
}

/// One message without an end: a first fragment and then 64 of 1 KiB.
fn flood_of_fragments() -> Vec<u8> {
    let mut bytes = masked(0x01, b"{");
    (0..64).for_each(|_| bytes.extend(masked(0x00, &[b' '; 1 << 10])));
    bytes
}

#[tokio::test]
async fn fragments_single_bytes_and_a_clean_close_are_decoded() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut raw = server.raw_socket(EVENT).await;
    let ping = [masked(0x01, b"{\"type\""), masked(0x89, b"?"), masked(0x80, b":\"ping\"}")].concat();
    for byte in &ping {
        raw.write(&[*byte]).await;
    }
    let (mut pong, mut answered) = (false, false);
    while !(pong && answered) {
        let (opcode, payload) = raw.frame().await.expect("the socket stays open");
        pong |= opcode == 0x0a && payload == b"?";
        answered |= opcode == 0x01 && String::from_utf8_lossy(&payload).contains("\"pong\"");
    }
    raw.write(&masked(0x88, &1000u16.to_be_bytes())).await;
    assert_eq!(raw.closed().await, 1000, "a close is answered with its own code");
}

#[tokio::test]
async fn a_returning_phone_gets_exactly_what_it_missed() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(6).await;
    let mut phone = server.phone_socket(&phones[0]).await;
    server.whole_draw(&prize("First")).await;
    phone.until("draw_complete").await;
    let seq = gapless(&phone.numbered()).unwrap();
    let epoch = phone.received("draw_complete")[0]["epoch"].as_str().unwrap().to_owned();
    phone.disconnect();
    server.whole_draw(&prize("Second")).await;
    server.whole_draw(&prize("Third")).await;

    let query = format!("?token={}&since={seq}&epoch={epoch}", phones[0].token);
    let mut back = server.socket(EVENT, &query).await;
    back.until("state_sync").await;
    assert_eq!(back.numbered()[0]["seq"], seq + 1);
    let last = gapless(&back.numbered()).unwrap();
    assert_eq!(back.received("state_sync")[0]["seq"], last, "the sync covers what came before it");
    assert_eq!(back.received("winner_announced").len(), 2);
    server.whole_draw(&prize("Fourth")).await;
    back.until("draw_complete").await;
    back.drain().await;
    gapless(&back.numbered());
    assert_eq!(back.received("winner_announced").len(), 3);

    let mut identified = server.socket(EVENT, "").await;
    identified.until("state_sync").await;
    identified.take();
    identified.send_json(&json!({"type": "identify", "session_token": phones[0].token, "since": seq, "epoch": epoch})).await;
    identified.until("state_sync").await;
    assert_eq!(identified.received("winner_announced").len(), 3, "{:?}", identified.kinds());

    let mut other = server.socket(EVENT, &format!("?since={seq}&epoch=ffffffffffffffff")).await;
    other.until("state_sync").await;
    assert!(other.numbered().is_empty(), "a resume point of another epoch is ignored");
}

#[tokio::test]
async fn a_display_or_console_completes_the_draw_it_names_and_a_phone_does_not() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(9).await;
    let mut display = server.display().await;
    let (mut console, mut phone) = (server.console().await, server.socket(EVENT, "").await.synced().await);
    for (index, by_winners) in [false, true, false].into_iter().enumerate() {
        let revealed = server.reveal_draw(&prize(&format!("Prize {index}"))).await;
        phone.send_json(&json!({"type": "draw_complete", "draw_id": revealed["draw_id"]})).await;
        phone.drain().await;
        assert!(phone.received("winner_announced").is_empty());
        assert!(phone.received("draw_complete_ack").iter().all(|ack| ack["success"] == false));
        let message = match by_winners {
            true => json!({"type": "draw_complete", "winners": revealed["winners"]}),
            false => json!({"type": "draw_complete", "draw_id": revealed["draw_id"]}),
        };
        for _ in 0..2 {
            console.send_json(&message).await;
            let ack = console.until("draw_complete_ack").await;
            assert_eq!((&ack["success"], &ack["winners"]), (&json!(true), &revealed["winners"]));
        }
        assert_eq!(phone.until("winner_announced").await["winners"], revealed["winners"]);
        phone.drain().await;
        phone.take();
    }
    display.send_json(&json!({"type": "draw_complete", "winners": [4711]})).await;
    let ack = display.until("draw_complete_ack").await;
    assert!(ack["success"] == false && ack["error"].is_string(), "{ack}");
}

#[tokio::test]
async fn counts_are_coalesced_for_any_number_of_sockets() {
    const SOCKETS: usize = 60;
    let server = TestServer::start().await;
    server.open_event().await;
    let mut display = server.display().await;
    let mut sockets = Vec::new();
    for index in 0..SOCKETS {
        sockets.push(server.socket(EVENT, "").await);
        server.register(index as u64).await;
    }
    let last = loop {
        let frame = match display.receive().await {
            Received::Frame(frame) => frame,
            Received::Closed(code) => panic!("the display was closed with {code}"),
        };
        let counted = display.received("connection_count").iter().any(|frame| frame["count"] == SOCKETS as u64 + 1);
        let joined = display.received("participant_joined").iter().any(|frame| frame["total_count"] == SOCKETS as u64);
        if counted && joined {
            break frame;
        }
    };
    assert!(last["seq"].is_null(), "counts are not numbered");
    let mut counts = 0;
    for socket in &mut sockets {
        socket.drain().await;
        counts += socket.received("connection_count").len() + socket.received("participant_joined").len();
    }
    assert!(counts < SOCKETS * SOCKETS / 4, "{SOCKETS} sockets got {counts} counts: the cost grows with the square");
}

#[tokio::test]
async fn a_phone_s_token_is_valid_at_once() {
    let server = TestServer::start().await;
    server.open_event().await;
    // Keeps the reactors at a snapshot older than the registrations.
    let mut early = server.socket(EVENT, "").await;
    early.until("state_sync").await;
    for index in 1..=20 {
        let phone = server.register(index).await;
        let mut socket = server.socket(EVENT, "").await;
        socket.send_json(&json!({"type": "identify", "session_token": phone.token})).await;
        assert_eq!(socket.until("identify_ack").await["draw_number"], phone.number);
    }
}
