//! The console's calls: events, participants, phases, statistics and the audit trail.

use crate::event_steps::{EVENT, numbers, prize, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_event_is_created_once_listed_and_refused_under_a_bad_name() {
    let server = TestServer::start_with(&[("LUCKYDRAW_MAX_EVENTS", "3")]).await;
    let described = json!({"event_id": EVENT, "title": "경품 추첨", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "prize_grade": "gold", "quantity": 2, "draw_mode": "card", "winner_count": 2}]});
    server.open_event_with(described.clone()).await;
    server.post("/admin/events").admin().json(&described).await.expect_refusal(409, "EVENT_EXISTS");
    for id in ["", "a b", "한글", "a/b", "../x", &"x".repeat(65)] {
        let body = json!({"event_id": id, "title": "X", "prizes": []});
        server.post("/admin/events").admin().json(&body).await.expect_refusal(422, "INVALID_REQUEST");
    }
    let listed = server.get("/admin/events").admin().await.ok();
    let events = listed["events"].as_array().unwrap();
    let created = events.iter().find(|event| event["event_id"] == EVENT).expect("it is listed");
    assert_eq!(created["title"], "경품 추첨");
    for index in events.len()..3 {
        server.open_event_with(json!({"event_id": format!("more-{index}"), "title": "X", "prizes": []})).await;
    }
    let body = json!({"event_id": "one-too-many", "title": "X", "prizes": []});
    server.post("/admin/events").admin().json(&body).await.expect_refusal(409, "TOO_MANY_EVENTS");
}

#[tokio::test]
async fn participants_are_listed_by_number_all_or_in_pages() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(7).await;
    let whole = server.admin_get("participants").await;
    let listed =
        |data: &Value| numbers(&data["participants"].as_array().unwrap().iter().map(|row| row["draw_number"].clone()).collect());
    assert_eq!((whole["total_count"].as_u64(), listed(&whole)), (Some(7), (1..=7).collect()));
    assert!(whole["participants"][0]["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(listed(&server.admin_get("participants?limit=3").await), [1, 2, 3]);
    let page = server.admin_get("participants?limit=3&after=5").await;
    assert_eq!((page["total_count"].as_u64(), listed(&page)), (Some(7), vec![6, 7]));
    server.admin(Method::GET, "participants?limit=many").await.expect_refusal(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn the_history_has_one_row_per_winner() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(9).await;
    let spec = json!({"prize_name": "Voucher", "prize_rank": 3, "draw_mode": "card", "winner_count": 3});
    let (draw, winners) = server.whole_draw(&spec).await;
    let data = server.admin_get("draws").await;
    let rows = data["draws"].as_array().unwrap();
    assert_eq!((data["total_count"].as_u64(), rows.len()), (Some(3), 3));
    for row in rows {
        assert_eq!((row["prize_name"].as_str(), row["prize_rank"].as_u64()), (Some("Voucher"), Some(3)));
        assert_eq!(row["draw_id"], draw);
        assert!(winners.contains(&row["draw_number"].as_u64().unwrap()));
        assert!(row["drawn_at"].as_str().unwrap().ends_with('Z') && row["status"].is_string(), "{row}");
    }
}

#[tokio::test]
async fn a_closed_registration_refuses_new_phones_and_answers_registered_ones() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let mut socket = server.phone_socket(&phone).await;
    server.admin_post("phase", &json!({"phase": "drawing"})).await.ok();
    let body = json!({"event_id": EVENT, "request_id": request_id(2)});
    server.post("/register").json(&body).await.expect_refusal(403, "REGISTRATION_CLOSED");
    assert_eq!(server.register(1).await, phone);
    server.whole_draw(&prize("TV")).await;
    socket.until("draw_complete").await;
    server.admin_post("phase", &json!({"phase": "open"})).await.ok();
    assert_eq!(server.register(2).await.number, 2);
    server.admin_post("phase", &json!({"phase": "party"})).await.expect_refusal(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_closed_event_ends_registration_drawing_and_sockets_but_keeps_its_rows() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    server.whole_draw(&prize("TV")).await;
    let mut socket = server.phone_socket(&phone).await;
    server.admin_post("phase", &json!({"phase": "closed"})).await.ok();
    assert!((4400..4500).contains(&socket.closed().await), "its sockets are closed for good");
    let body = json!({"event_id": EVENT, "request_id": request_id(2)});
    server.post("/register").json(&body).await.expect_refusal(409, "EVENT_CLOSED");
    server.admin_post("draw/start-animation", &prize("Radio")).await.expect_refusal(409, "EVENT_CLOSED");
    assert_eq!(server.admin_get("draws").await["total_count"], 1);
    assert_eq!(server.public("/check-winner?draw_number=1").await["won"], true);
}

#[tokio::test]
async fn an_entry_code_is_required_for_a_new_number() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.admin_post("entry-code", &json!({"entry_code": "0427"})).await.ok();
    let register =
        |code: Value| server.post("/register").json(&json!({"event_id": EVENT, "entry_code": code, "request_id": request_id(1)}));
    register(Value::Null).await.expect_refusal(403, "FORBIDDEN");
    register(json!("0000")).await.expect_refusal(403, "FORBIDDEN");
    assert_eq!(register(json!("0427")).await.expect_data(201)["draw_number"], 1);
    assert_eq!(register(Value::Null).await.expect_data(201)["draw_number"], 1, "a registered phone needs no code");
    server.admin_post("entry-code", &json!({"entry_code": null})).await.ok();
    server.register(2).await;
}

#[tokio::test]
async fn displays_and_consoles_get_a_new_entry_code_and_phones_do_not() {
    let server = TestServer::start().await;
    server.open_event().await;
    let (mut display, mut console, mut phone) = (server.display().await, server.console().await, server.socket(EVENT, "").await);
    for code in [json!("0427"), Value::Null] {
        server.admin_post("entry-code", &json!({"entry_code": code})).await.ok();
        assert_eq!(display.until("entry_code").await["entry_code"], code);
        assert_eq!(console.until("entry_code").await["entry_code"], code);
    }
    phone.drain().await;
    assert!(phone.received("entry_code").is_empty(), "the code proves that its user can see the screen");
}

#[tokio::test]
async fn stats_count_connections_by_role_and_measure_the_last_announcement() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(3).await;
    let (_display, _console) = (server.display().await, server.console().await);
    let mut sockets = Vec::new();
    for phone in &phones {
        sockets.push(server.phone_socket(phone).await);
    }
    server.whole_draw(&prize("TV")).await;
    for socket in &mut sockets {
        socket.until("draw_complete").await;
        socket.drain().await;
    }
    let stats = server.admin_get("stats").await;
    assert_eq!(
        (&stats["participant_count"], &stats["draw_count"], &stats["connection_count"]),
        (&json!(3), &json!(1), &json!(5))
    );
    let text = stats.to_string();
    assert!(["phone", "display", "admin"].iter().all(|role| text.contains(role)), "{text}");
    sockets.pop().unwrap().disconnect();
    loop {
        if server.admin_get("stats").await["connection_count"] == 4 {
            break;
        }
    }
}

#[tokio::test]
async fn the_audit_trail_lists_actions_newest_first() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    server.whole_draw(&prize("TV")).await;
    let audit = server.admin_get("audit?limit=2").await;
    let lines = audit["lines"].as_array().expect("lines");
    assert_eq!(lines.len(), 2, "a page has the requested length: {audit}");
    assert!(lines[0]["id"].as_i64() > lines[1]["id"].as_i64());
    assert!(audit.to_string().to_lowercase().contains("announced"), "{audit}");
}

#[tokio::test]
async fn an_event_is_deleted_unless_it_is_in_use() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let delete = || server.request(Method::DELETE, &format!("/api/luckydraw/admin/events/{EVENT}")).admin();
    let display = server.display().await;
    let refused = delete().await;
    assert_eq!(refused.status, 409, "never under a connected display: {}", refused.json());
    display.disconnect();
    loop {
        let answer = delete().await;
        if answer.status.is_success() {
            break;
        }
        answer.expect_refusal(409, "EVENT_IN_USE");
    }
    server.post("/register").json(&json!({"event_id": EVENT})).await.expect_refusal(404, "EVENT_NOT_FOUND");
    server.open_event().await;
    assert_eq!(server.register(1).await.number, 1, "an event with the same name can be created again");
}
