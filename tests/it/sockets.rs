//! The WebSocket's contract: who a socket is, what it hears, how it catches up, and how it is let go.

use crate::show::{EVENT, prize};
use crate::socket::{Heard, gapless, masked};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use hyper::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_bare_socket_is_a_phone_and_is_greeted_with_one_state_sync() {
    let house = TestServer::start().await;
    house.open_event().await;
    let mut phone = house.socket(EVENT, "").await;
    phone.settle().await;
    let syncs = phone.heard("state_sync");
    assert_eq!(syncs.len(), 1, "{:?}", phone.kinds());
    assert!(syncs[0]["seq"].is_u64() && syncs[0]["epoch"].is_string(), "{}", syncs[0]);
    let stats = house.look("stats").await;
    assert_eq!(stats["connection_count"], 1);
}

#[tokio::test]
async fn a_phone_says_its_number_or_proves_it() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phones = house.register_many(2).await;
    let (_, winners) = house.whole_draw(&prize("TV")).await;
    let (winner, loser) = match winners[0] {
        1 => (&phones[0], &phones[1]),
        _ => (&phones[1], &phones[0]),
    };
    let mut socket = house.socket(EVENT, "").await;
    socket.say(&json!({"type": "identify", "draw_number": loser.number})).await;
    assert_eq!(socket.until("identify_ack").await["won"], false);
    socket.say(&json!({"type": "identify", "draw_number": winner.number})).await;
    let won = socket.until("already_won").await;
    assert_eq!((&won["won"], won["prizes"][0]["prize_name"].as_str()), (&json!(true), Some("TV")));

    let mut proved = house.socket(EVENT, "").await;
    proved.until("state_sync").await;
    proved.say(&json!({"type": "identify", "session_token": winner.token})).await;
    proved.settle().await;
    let own = proved.heard("state_sync").last().unwrap().to_string();
    assert!(proved.kinds().contains(&"already_won"), "{:?}", proved.kinds());
    assert!(own.contains("\"TV\"") && own.contains(&winner.number.to_string()), "its own number and wins: {own}");

    let mut known = house.phone_socket(winner).await;
    known.settle().await;
    assert!(known.heard("state_sync")[0].to_string().contains("\"TV\""));
}

#[tokio::test]
async fn who_connects_is_told_how_things_stand_now() {
    let house = TestServer::start_with(&[("LUCKYDRAW_SOCKET_THREADS", "1")]).await;
    house.open_event().await;
    let mut early = house.socket(EVENT, "").await;
    early.until("connection_count").await;
    house.order("entry-code", &json!({"entry_code": "0427"})).await.ok();
    let link = house.admin(Method::POST, "links").json(&json!({"role": "display"})).await.granted(201);
    let auth = json!({"type": "auth", "token": link["token"]});
    let mut display = house.socket(EVENT, "?role=display").await;
    display.say(&auth).await;
    assert_eq!(display.until("state_sync").await["entry_code"], "0427", "though no frame told of it");
    house.admin(Method::DELETE, &format!("links/{}", link["link_id"])).await.ok();
    let mut late = house.socket(EVENT, "?role=display").await;
    late.say(&auth).await;
    assert_eq!(late.closed().await, 4401, "a revoked link opens nothing");
}

#[tokio::test]
async fn ping_is_answered_and_nonsense_gets_an_error_frame() {
    let house = TestServer::start().await;
    house.open_event().await;
    let mut phone = house.socket(EVENT, "").await;
    for nonsense in
        ["", "not json", "[]", "{}", "{\"type\":7}", "{\"type\":\"no_such_thing\"}", "null", "{\"type\":\"identify\"}"]
    {
        phone.send(Message::text(nonsense)).await;
        let error = phone.until("error").await;
        assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
    }
    phone.say(&json!({"type": "ping"})).await;
    phone.until("pong").await;
    phone.send(Message::Ping("hello".into())).await;
    phone.settle().await;
}

#[tokio::test]
async fn a_role_has_to_be_proved() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phone = house.register(1).await;
    for (query, token) in [("?role=display", "wrong"), ("?role=admin", phone.token.as_str()), ("?client_type=admin", "")] {
        let mut socket = house.socket(EVENT, query).await;
        socket.say(&json!({"type": "auth", "token": token})).await;
        assert_eq!(socket.closed().await, 4401, "{query} {token}");
        assert!(socket.kinds().is_empty(), "and is told nothing: {:?}", socket.kinds());
    }
    let mut by_query = house.socket(EVENT, &format!("?role=display&token={ADMIN_TOKEN}")).await;
    by_query.until("state_sync").await;
    let mut wrong = house.socket(EVENT, "?role=display&token=wrong").await;
    assert_eq!(wrong.closed().await, 4401);
    let mut talking = house.socket(EVENT, "?role=display").await;
    talking.say(&json!({"type": "draw_complete"})).await;
    assert_eq!(talking.closed().await, 4401, "the first message proves, or nothing does");
}

#[tokio::test]
async fn who_proves_nothing_within_five_seconds_is_let_go() {
    let house = TestServer::start().await;
    house.open_event().await;
    let mut silent = house.socket(EVENT, "?role=admin").await;
    let begun = std::time::Instant::now();
    assert_eq!(silent.closed().await, 4401);
    assert!(begun.elapsed().as_secs() >= 4, "it has its five seconds: {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_bad_token_and_an_unknown_event_are_said_after_the_handshake() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.open_event_with(json!({"event_id": "other", "title": "Other", "prizes": []})).await;
    let elsewhere = house.post("/register").json(&json!({"event_id": "other"})).await.granted(201);
    for token in ["nonsense", elsewhere["session_token"].as_str().unwrap()] {
        assert_eq!(house.socket(EVENT, &format!("?token={token}")).await.closed().await, 4401);
    }
    assert_eq!(house.socket("nowhere", "").await.closed().await, 4404);
    let mut phone = house.socket(EVENT, "").await;
    phone.say(&json!({"type": "identify", "session_token": "nonsense"})).await;
    assert_eq!(phone.closed().await, 4401);
}

#[tokio::test]
async fn the_oldest_of_five_sockets_of_one_token_is_replaced() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phone = house.register(1).await;
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(house.phone_socket(&phone).await);
    }
    let mut fifth = house.phone_socket(&phone).await;
    assert_eq!(sockets[0].closed().await, 4409);
    for socket in sockets[1..].iter_mut().chain([&mut fifth]) {
        socket.settle().await;
    }
}

#[tokio::test]
async fn a_chatterbox_is_let_go_and_nobody_else_is_harmed() {
    let house = TestServer::start().await;
    house.open_event().await;
    let (mut loud, mut quiet) = (house.socket(EVENT, "").await, house.socket(EVENT, "").await);
    let shouting = async {
        for _ in 0..5_000 {
            loud.say(&json!({"type": "ping"})).await;
        }
        loud.closed().await
    };
    assert_eq!(shouting.await, 4429);
    quiet.settle().await;
}

#[tokio::test]
async fn broken_frames_are_answered_with_their_close_code() {
    let house = TestServer::start().await;
    house.open_event().await;
    let unmasked: &[u8] = &[0x81, 0x02, b'{', b'}'];
    for (what, bytes, code) in [
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
        let mut raw = house.raw_socket(EVENT).await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await, code, "{what}");
    }
    house.socket(EVENT, "").await.settle().await;
}

/// One message that never ends: a first fragment and then 1 KiB at a time.
fn flood_of_fragments() -> Vec<u8> {
    let mut bytes = masked(0x01, b"{");
    (0..64).for_each(|_| bytes.extend(masked(0x00, &[b' '; 1 << 10])));
    bytes
}

#[tokio::test]
async fn fragments_bytes_one_by_one_and_a_clean_close_are_understood() {
    let house = TestServer::start().await;
    house.open_event().await;
    let mut raw = house.raw_socket(EVENT).await;
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
async fn who_comes_back_hears_exactly_what_it_missed() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phones = house.register_many(6).await;
    let mut phone = house.phone_socket(&phones[0]).await;
    house.whole_draw(&prize("First")).await;
    phone.until("draw_complete").await;
    let seq = gapless(&phone.numbered()).unwrap();
    let epoch = phone.heard("draw_complete")[0]["epoch"].as_str().unwrap().to_owned();
    phone.vanish();
    house.whole_draw(&prize("Second")).await;
    house.whole_draw(&prize("Third")).await;

    let query = format!("?token={}&since={seq}&epoch={epoch}", phones[0].token);
    let mut back = house.socket(EVENT, &query).await;
    back.until("state_sync").await;
    assert_eq!(back.numbered()[0]["seq"], seq + 1);
    let last = gapless(&back.numbered()).unwrap();
    assert_eq!(back.heard("state_sync")[0]["seq"], last, "the sync covers what came before it");
    assert_eq!(back.heard("winner_announced").len(), 2);
    house.whole_draw(&prize("Fourth")).await;
    back.until("draw_complete").await;
    back.settle().await;
    gapless(&back.numbered());
    assert_eq!(back.heard("winner_announced").len(), 3);

    let mut identified = house.socket(EVENT, "").await;
    identified.until("state_sync").await;
    identified.take();
    identified.say(&json!({"type": "identify", "session_token": phones[0].token, "since": seq, "epoch": epoch})).await;
    identified.until("state_sync").await;
    assert_eq!(identified.heard("winner_announced").len(), 3, "{:?}", identified.kinds());

    let mut stranger = house.socket(EVENT, &format!("?since={seq}&epoch=ffffffffffffffff")).await;
    stranger.until("state_sync").await;
    assert!(stranger.numbered().is_empty(), "another history is not caught up with");
}

#[tokio::test]
async fn a_display_or_console_completes_the_draw_it_names_and_a_phone_does_not() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(9).await;
    let mut display = house.display().await;
    let (mut console, mut phone) = (house.console().await, house.socket(EVENT, "").await.greeted().await);
    for (index, by_winners) in [false, true, false].into_iter().enumerate() {
        let revealed = house.reveal_draw(&prize(&format!("Prize {index}"))).await;
        phone.say(&json!({"type": "draw_complete", "draw_id": revealed["draw_id"]})).await;
        phone.settle().await;
        assert!(phone.heard("winner_announced").is_empty());
        assert!(phone.heard("draw_complete_ack").iter().all(|ack| ack["success"] == false));
        let message = match by_winners {
            true => json!({"type": "draw_complete", "winners": revealed["winners"]}),
            false => json!({"type": "draw_complete", "draw_id": revealed["draw_id"]}),
        };
        for _ in 0..2 {
            console.say(&message).await;
            let ack = console.until("draw_complete_ack").await;
            assert_eq!((&ack["success"], &ack["winners"]), (&json!(true), &revealed["winners"]));
        }
        assert_eq!(phone.until("winner_announced").await["winners"], revealed["winners"]);
        phone.settle().await;
        phone.take();
    }
    display.say(&json!({"type": "draw_complete", "winners": [4711]})).await;
    let ack = display.until("draw_complete_ack").await;
    assert!(ack["success"] == false && ack["error"].is_string(), "{ack}");
}

#[tokio::test]
async fn counts_are_merged_whatever_the_number_of_sockets() {
    const CROWD: usize = 60;
    let house = TestServer::start().await;
    house.open_event().await;
    let mut display = house.display().await;
    let mut sockets = Vec::new();
    for index in 0..CROWD {
        sockets.push(house.socket(EVENT, "").await);
        house.register(index as u64).await;
    }
    let seen = loop {
        let frame = match display.hear().await {
            Heard::Frame(frame) => frame,
            Heard::Closed(code) => panic!("the display was closed with {code}"),
        };
        let counted = display.heard("connection_count").iter().any(|frame| frame["count"] == CROWD as u64 + 1);
        let joined = display.heard("participant_joined").iter().any(|frame| frame["total_count"] == CROWD as u64);
        if counted && joined {
            break frame;
        }
    };
    assert!(seen["seq"].is_null(), "counts are not numbered");
    let mut heard = 0;
    for socket in &mut sockets {
        socket.settle().await;
        heard += socket.heard("connection_count").len() + socket.heard("participant_joined").len();
    }
    assert!(heard < CROWD * CROWD / 4, "{CROWD} sockets heard {heard} counts: the cost grows with the square");
}

#[tokio::test]
async fn a_phone_is_known_by_its_token_the_moment_it_has_one() {
    let house = TestServer::start().await;
    house.open_event().await;
    // Keeps the stages at a publication from before the registrations.
    let mut early = house.socket(EVENT, "").await;
    early.until("state_sync").await;
    for index in 1..=20 {
        let phone = house.register(index).await;
        let mut socket = house.socket(EVENT, "").await;
        socket.say(&json!({"type": "identify", "session_token": phone.token})).await;
        assert_eq!(socket.until("identify_ack").await["draw_number"], phone.number);
    }
}
