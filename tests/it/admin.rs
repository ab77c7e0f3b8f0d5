//! The console's calls: events, prizes, participants, figures.

use crate::show::{EVENT, numbers, prize, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_event_is_made_once_listed_and_refused_when_misnamed() {
    let house = TestServer::start_with(&[("LUCKYDRAW_MAX_EVENTS", "3")]).await;
    let described = json!({"event_id": EVENT, "title": "경품 추첨", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "prize_grade": "gold", "quantity": 2, "draw_mode": "card", "winner_count": 2}]});
    house.open_event_with(described.clone()).await;
    house.post("/admin/events").admin().json(&described).await.refused(409, "EVENT_EXISTS");
    for id in ["", "a b", "한글", "a/b", "../x", &"x".repeat(65)] {
        let body = json!({"event_id": id, "title": "X", "prizes": []});
        house.post("/admin/events").admin().json(&body).await.refused(422, "INVALID_REQUEST");
    }
    let listed = house.get("/admin/events").admin().await.ok();
    let events = listed["events"].as_array().unwrap();
    let mine = events.iter().find(|event| event["event_id"] == EVENT).expect("it is listed");
    assert_eq!(mine["title"], "경품 추첨");
    for index in events.len()..3 {
        house.open_event_with(json!({"event_id": format!("more-{index}"), "title": "X", "prizes": []})).await;
    }
    let body = json!({"event_id": "one-too-many", "title": "X", "prizes": []});
    house.post("/admin/events").admin().json(&body).await.refused(409, "TOO_MANY_EVENTS");
}

#[tokio::test]
async fn participants_come_by_number_whole_or_in_pages() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(7).await;
    let whole = house.look("participants").await;
    let listed =
        |data: &Value| numbers(&data["participants"].as_array().unwrap().iter().map(|row| row["draw_number"].clone()).collect());
    assert_eq!((whole["total_count"].as_u64(), listed(&whole)), (Some(7), (1..=7).collect()));
    assert!(whole["participants"][0]["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(listed(&house.look("participants?limit=3").await), [1, 2, 3]);
    let page = house.look("participants?limit=3&after=5").await;
    assert_eq!((page["total_count"].as_u64(), listed(&page)), (Some(7), vec![6, 7]));
    house.admin(Method::GET, "participants?limit=many").await.refused(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn history_has_a_row_a_winner() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(9).await;
    let spec = json!({"prize_name": "Voucher", "prize_rank": 3, "draw_mode": "card", "winner_count": 3});
    let (draw, winners) = house.whole_draw(&spec).await;
    let data = house.look("draws").await;
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
async fn a_closed_registration_refuses_the_new_and_knows_the_old() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phone = house.register(1).await;
    let mut socket = house.phone_socket(&phone).await;
    house.order("phase", &json!({"phase": "drawing"})).await.ok();
    let body = json!({"event_id": EVENT, "request_id": request_id(2)});
    house.post("/register").json(&body).await.refused(403, "REGISTRATION_CLOSED");
    assert_eq!(house.register(1).await, phone);
    house.whole_draw(&prize("TV")).await;
    socket.until("draw_complete").await;
    house.order("phase", &json!({"phase": "open"})).await.ok();
    assert_eq!(house.register(2).await.number, 2);
    house.order("phase", &json!({"phase": "party"})).await.refused(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn a_closed_event_ends_registration_drawing_and_sockets_but_keeps_its_rows() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phone = house.register(1).await;
    house.whole_draw(&prize("TV")).await;
    let mut socket = house.phone_socket(&phone).await;
    house.order("phase", &json!({"phase": "closed"})).await.ok();
    assert!((4400..4500).contains(&socket.closed().await), "its sockets end for good");
    let body = json!({"event_id": EVENT, "request_id": request_id(2)});
    house.post("/register").json(&body).await.refused(409, "EVENT_CLOSED");
    house.order("draw/start-animation", &prize("Radio")).await.refused(409, "EVENT_CLOSED");
    assert_eq!(house.look("draws").await["total_count"], 1);
    assert_eq!(house.public("/check-winner?draw_number=1").await["won"], true);
}

#[tokio::test]
async fn an_entry_code_keeps_out_who_is_not_in_the_hall() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.order("entry-code", &json!({"entry_code": "0427"})).await.ok();
    let ask =
        |code: Value| house.post("/register").json(&json!({"event_id": EVENT, "entry_code": code, "request_id": request_id(1)}));
    ask(Value::Null).await.refused(403, "FORBIDDEN");
    ask(json!("0000")).await.refused(403, "FORBIDDEN");
    assert_eq!(ask(json!("0427")).await.granted(201)["draw_number"], 1);
    assert_eq!(ask(Value::Null).await.granted(201)["draw_number"], 1, "who is in needs no code");
    house.order("entry-code", &json!({"entry_code": null})).await.ok();
    house.register(2).await;
}

#[tokio::test]
async fn the_stage_hears_of_a_new_entry_code_and_phones_do_not() {
    let house = TestServer::start().await;
    house.open_event().await;
    let (mut display, mut console, mut phone) = (house.display().await, house.console().await, house.socket(EVENT, "").await);
    for code in [json!("0427"), Value::Null] {
        house.order("entry-code", &json!({"entry_code": code})).await.ok();
        assert_eq!(display.until("entry_code").await["entry_code"], code);
        assert_eq!(console.until("entry_code").await["entry_code"], code);
    }
    phone.settle().await;
    assert!(phone.heard("entry_code").is_empty(), "who can read the screen is in the hall");
}

#[tokio::test]
async fn stats_count_by_role_and_tell_how_the_last_announcement_travelled() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phones = house.register_many(3).await;
    let (_display, _console) = (house.display().await, house.console().await);
    let mut sockets = Vec::new();
    for phone in &phones {
        sockets.push(house.phone_socket(phone).await);
    }
    house.whole_draw(&prize("TV")).await;
    for socket in &mut sockets {
        socket.until("draw_complete").await;
        socket.settle().await;
    }
    let stats = house.look("stats").await;
    assert_eq!(
        (&stats["participant_count"], &stats["draw_count"], &stats["connection_count"]),
        (&json!(3), &json!(1), &json!(5))
    );
    let text = stats.to_string();
    assert!(["phone", "display", "admin"].iter().all(|role| text.contains(role)), "{text}");
    sockets.pop().unwrap().vanish();
    loop {
        if house.look("stats").await["connection_count"] == 4 {
            break;
        }
    }
}

#[tokio::test]
async fn the_audit_says_who_did_what_newest_first() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    house.whole_draw(&prize("TV")).await;
    let audit = house.look("audit?limit=2").await;
    let lines = audit["lines"].as_array().expect("lines");
    assert_eq!(lines.len(), 2, "a page is as long as asked: {audit}");
    assert!(lines[0]["id"].as_i64() > lines[1]["id"].as_i64());
    assert!(audit.to_string().to_lowercase().contains("announced"), "{audit}");
}

#[tokio::test]
async fn a_deleted_event_is_gone_and_one_in_use_stays() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    let delete = || house.ask(Method::DELETE, &format!("/api/luckydraw/admin/events/{EVENT}")).admin();
    let display = house.display().await;
    let refused = delete().await;
    assert_eq!(refused.status, 409, "never under a connected display: {}", refused.json());
    display.vanish();
    loop {
        let answer = delete().await;
        if answer.status.is_success() {
            break;
        }
        answer.refused(409, "EVENT_IN_USE");
    }
    house.post("/register").json(&json!({"event_id": EVENT})).await.refused(404, "EVENT_NOT_FOUND");
    house.open_event().await;
    assert_eq!(house.register(1).await.number, 1, "an event of that name may be made anew");
}
