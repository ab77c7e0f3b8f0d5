//! Draws from standby to announcement, their refusals, and the ways to take them back.

use crate::event_steps::{EVENT, numbers, prize};
use crate::test_server::TestServer;
use crate::websocket_client::gapless;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn each_step_of_a_draw_reaches_its_roles_in_order() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(5).await;
    let (mut phone, mut display, mut console) =
        (server.socket(EVENT, "").await.synced().await, server.display().await, server.console().await);

    server.admin_post("draw/standby", &prize("TV")).await.ok();
    let standby = phone.until("draw_standby").await;
    for (field, value) in [("prize_name", json!("TV")), ("prize_rank", json!(1)), ("draw_mode", json!("slot"))] {
        assert_eq!(standby[field], value, "{standby}");
    }
    assert_eq!((standby["winner_count"].as_u64(), standby["status"].as_str()), (Some(1), Some("standby")));
    let draw = server.start_draw(&prize("TV")).await;
    let started = phone.until("draw_started").await;
    assert_eq!((started["prize_name"].as_str(), started.get("winners")), (Some("TV"), None), "no winners before the reveal");

    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    assert_eq!((revealed["draw_id"].as_u64(), revealed["prize_name"].as_str()), (Some(draw), Some("TV")));
    assert_eq!(numbers(&revealed["winners"]).len(), 1);
    assert!(revealed["drawn_at"].as_str().unwrap().ends_with('Z'));
    for socket in [&mut display, &mut console] {
        let shown = socket.until("winner_revealed").await;
        assert_eq!((&shown["winners"], &shown["drawn_at"]), (&revealed["winners"], &revealed["drawn_at"]));
    }

    display.send_json(&json!({"type": "draw_complete", "draw_id": draw, "winners": revealed["winners"]})).await;
    let ack = display.until("draw_complete_ack").await;
    assert_eq!((&ack["success"], &ack["winners"]), (&json!(true), &revealed["winners"]));
    for socket in [&mut phone, &mut display, &mut console] {
        socket.drain().await;
        let (announced, complete) = (socket.received("winner_announced")[0].clone(), socket.received("draw_complete")[0].clone());
        assert_eq!(without_seq(&announced), without_seq(&complete), "both carry the same payload");
        assert_eq!((&announced["draw_id"], &announced["winners"]), (&json!(draw), &revealed["winners"]));
        gapless(&socket.numbered());
    }
    assert_eq!(phone.numbered_kinds(), ["draw_standby", "draw_started", "winner_announced", "draw_complete"]);
    assert!(phone.received("winner_revealed").is_empty());
}

/// A payload without the fields in which the two frames of an announcement differ.
fn without_seq(frame: &Value) -> Value {
    let mut payload = frame.clone();
    ["type", "seq"].into_iter().for_each(|field| {
        payload.as_object_mut().unwrap().remove(field);
    });
    payload
}

#[tokio::test]
async fn a_double_click_on_start_picks_once() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(20).await;
    let first = server.admin_post("draw/start-animation", &prize("TV")).await.ok();
    let again = server.admin_post("draw/start-animation", &prize("TV")).await.ok();
    assert_eq!(first, again, "the second click gets the first response");
    server.admin_post("draw/start-animation", &prize("Radio")).await.expect_refusal(409, "DRAW_IN_PROGRESS");
    server.admin_post("draw/reveal", &json!({})).await.ok();
    server.admin_post("draw/complete", &json!({})).await.ok();
    assert_eq!(server.admin_get("draws").await["total_count"], 1);
    let proof = server.public("/proof").await;
    assert_eq!(proof["draws"].as_array().unwrap().len(), 1, "and there is no second pick");
}

#[tokio::test]
async fn concurrent_starts_by_consoles_start_one_draw() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(20).await;
    let spec = prize("TV");
    let answers = futures_util::future::join_all((0..8).map(|_| server.admin_post("draw/start-animation", &spec))).await;
    let ids: BTreeSet<String> = answers.iter().map(|answer| answer.ok()["draw_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn an_impossible_draw_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.admin_post("draw/start-animation", &prize("TV")).await.expect_refusal(400, "DRAW_FAILED");
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(400, "REVEAL_FAILED");
    server.admin_post("draw/complete", &json!({})).await.expect_refusal(400, "COMPLETE_FAILED");
    server.admin_post("draw/cancel", &json!({})).await.expect_refusal(400, "DRAW_FAILED");
    server.admin_post("draw", &json!({"prize_name": "TV", "prize_rank": 1, "count": 1})).await.expect_refusal(400, "DRAW_FAILED");
    server.register_many(3).await;
    for (mode, count) in [("slot", 2), ("card", 6), ("network", 11), ("list", 501), ("card", 4)] {
        let spec = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": mode, "winner_count": count});
        server.admin_post("draw/start-animation", &spec).await.expect_refusal(400, "DRAW_FAILED");
    }
    for (field, value) in [
        ("draw_mode", json!("roulette")),
        ("winner_count", json!(0)),
        ("winner_count", json!("two")),
        ("winner_count", json!(-1)),
        ("prize_rank", json!("first")),
        ("prize_name", json!(7)),
        ("prize_name", Value::Null),
    ] {
        let mut spec = prize("TV");
        spec[field] = value;
        for path in ["draw/standby", "draw/start-animation"] {
            server.admin_post(path, &spec).await.expect_refusal(422, "INVALID_REQUEST");
        }
    }
    assert_eq!(server.admin_get("draws").await["total_count"], 0);
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(400, "REVEAL_FAILED");
}

#[tokio::test]
async fn nobody_wins_twice_until_the_pool_is_empty() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(12).await;
    let mut won = BTreeSet::new();
    for index in 0..12 {
        let (_, winners) = server.whole_draw(&prize(&format!("Prize {index}"))).await;
        assert!(won.insert(winners[0]), "{} won twice", winners[0]);
    }
    assert_eq!(won, (1..=12).collect());
    server.admin_post("draw/start-animation", &prize("One more")).await.expect_refusal(400, "DRAW_FAILED");
}

#[tokio::test]
async fn completing_again_gives_the_same_answer() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.reveal_draw(&prize("TV")).await;
    let first = server.admin_post("draw/complete", &json!({})).await.ok();
    let again = server.admin_post("draw/complete", &json!({})).await.ok();
    assert_eq!(first, again);
    assert_eq!(first["prize_name"], "TV");
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(400, "REVEAL_FAILED");
    assert_eq!(server.admin_get("draws").await["total_count"], 1);
}

#[tokio::test]
async fn the_next_step_announces_the_previous_draw() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(9).await;
    let mut phone = server.socket(EVENT, "").await.synced().await;
    for (path, body) in [
        ("draw/standby", prize("Next")),
        ("draw/start-animation", prize("Next")),
        ("draw", json!({"prize_name": "At once", "prize_rank": 2, "count": 1})),
    ] {
        let draw = server.reveal_draw(&prize("First")).await["draw_id"].clone();
        server.admin_post(path, &body).await.ok();
        let announced = phone.until("winner_announced").await;
        assert_eq!(announced["draw_id"], draw, "{path}");
        phone.take();
        server.admin_post("draw/cancel", &json!({})).await;
    }
}

#[tokio::test]
async fn an_announcement_goes_out_at_its_deadline() {
    let server = TestServer::start_with(&[("LUCKYDRAW_ANNOUNCE_AFTER_MS", "150")]).await;
    server.open_event().await;
    server.register_many(3).await;
    let (mut phone, _display) = (server.socket(EVENT, "").await.synced().await, server.display().await);
    let revealed = server.reveal_draw(&prize("TV")).await;
    let announced = phone.until("draw_complete").await;
    assert_eq!(announced["winners"], revealed["winners"]);
    let answer = server.admin_post("draw/complete", &json!({})).await.ok();
    assert_eq!(answer["winners"], revealed["winners"], "a late completion succeeds after the deadline's announcement");
    phone.drain().await;
    assert_eq!(phone.received("winner_announced").len(), 1, "once");
}

#[tokio::test]
async fn a_draw_in_one_call_answers_like_a_reveal() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(20).await;
    let data = server.admin_post("draw", &json!({"prize_name": "Snacks", "prize_rank": 9, "count": 15})).await.ok();
    let winners: BTreeSet<u64> = numbers(&data["winners"]).into_iter().collect();
    assert_eq!((data["prize_name"].as_str(), winners.len()), (Some("Snacks"), 15));
    assert!(data["drawn_at"].is_string() && data["draw_id"].is_u64(), "{data}");
    let rows = server.admin_get("draws").await;
    assert_eq!(rows["total_count"], 15, "one row per winner");
}

#[tokio::test]
async fn a_cancelled_standby_leaves_no_draw() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    server.admin_post("draw/standby", &prize("TV")).await.ok();
    server.admin_post("draw/cancel", &json!({"reason": "wrong prize"})).await.ok();
    server.admin_post("draw/cancel", &json!({})).await.expect_refusal(400, "DRAW_FAILED");
    assert_eq!(server.admin_get("draws").await["total_count"], 0);
}

#[tokio::test]
async fn a_cancelled_draw_is_public_so_that_no_reroll_is_silent() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(5).await;
    let mut phone = server.socket(EVENT, "").await.synced().await;
    let draw = server.start_draw(&prize("TV")).await;
    server.admin_post("draw/cancel", &json!({"reason": "the beamer failed"})).await.ok();
    let voided = phone.until("draw_voided").await;
    assert_eq!((voided["draw_id"].as_u64(), voided["reason"].as_str()), (Some(draw), Some("the beamer failed")));
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(400, "REVEAL_FAILED");
    let proof = server.public("/proof").await;
    let row = proof["draws"].as_array().unwrap().iter().find(|row| row["draw_id"] == draw).expect("the proof has it");
    assert_eq!(numbers(&row["picks"]).len(), 1, "and shows its numbers: {row}");
    assert_eq!(server.admin_get("draws").await["total_count"], 0, "but it is no win");
}

#[tokio::test]
async fn a_voided_seat_is_redrawn_without_its_number() {
    let server = TestServer::start().await;
    server
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "quantity": 2, "draw_mode": "card", "winner_count": 2}]}))
        .await;
    server.register_many(3).await;
    let spec = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": "card", "winner_count": 2});
    let (draw, winners) = server.whole_draw(&spec).await;
    let last = (1..=3).find(|number| !winners.contains(number)).unwrap();
    let mut phone = server.socket(EVENT, "").await.synced().await;

    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "absent", "redraw": true});
    server.admin_post("draw/void", &void).await.ok();
    let voided = phone.until("draw_voided").await;
    assert_eq!((voided["draw_id"].as_u64(), voided["draw_number"].as_u64()), (Some(draw), Some(winners[0])));
    phone.until("draw_started").await;
    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    assert_eq!(numbers(&revealed["winners"]), [last], "neither the voided number nor the other winner");
    server.admin_post("draw/complete", &json!({})).await.ok();
    assert_eq!(phone.until("winner_announced").await["winners"], json!([last]));
    gapless(&phone.numbered());

    let checked = server.public(&format!("/check-winner?draw_number={}", winners[0])).await;
    assert_eq!(checked["won"], false, "a voided seat is no win: {checked}");
    let results = server.public("/results").await.to_string();
    assert!(results.contains("absent"), "the void and its reason are shown: {results}");
    server.admin_post("draw/start-animation", &spec).await.expect_refusal(400, "DRAW_FAILED");
}

#[tokio::test]
async fn only_an_operators_error_returns_a_number_to_the_pool() {
    for (reason, back) in [("operator_error", true), ("declined", false), ("ineligible", false), ("other", false)] {
        let server = TestServer::start().await;
        server.open_event().await;
        server.register(1).await;
        let (draw, _) = server.whole_draw(&prize("TV")).await;
        let void = json!({"draw_id": draw, "draw_number": 1, "reason": reason, "redraw": false});
        server.admin_post("draw/void", &void).await.ok();
        let next = server.admin_post("draw/start-animation", &prize("Radio")).await;
        match back {
            true => drop(next.ok()),
            false => next.expect_refusal(400, "DRAW_FAILED"),
        }
    }
}

#[tokio::test]
async fn only_an_announced_seat_can_be_voided() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(2).await;
    let _display = server.display().await;
    let void = |draw: u64, number: u64, reason: &str| {
        let body = json!({"draw_id": draw, "draw_number": number, "reason": reason, "redraw": false});
        async { server.admin_post("draw/void", &{ body }).await }
    };
    let revealed = server.reveal_draw(&prize("TV")).await;
    let (draw, winner) = (revealed["draw_id"].as_u64().unwrap(), numbers(&revealed["winners"])[0]);
    let early = void(draw, winner, "absent").await;
    assert!(matches!(early.status.as_u16(), 404 | 409), "before it is announced: {}", early.json());
    server.admin_post("draw/complete", &json!({})).await.ok();
    void(draw, 3 - winner, "absent").await.expect_refusal(403, "NOT_A_WINNER");
    void(draw + 9, winner, "absent").await.expect_refusal(404, "NOT_FOUND");
    void(draw, winner, "because").await.expect_refusal(422, "INVALID_REQUEST");
    void(draw, winner, "absent").await.ok();
    assert_eq!(server.admin_get("draws").await["total_count"], 1, "its row stays");
}

#[tokio::test]
async fn a_listed_prize_runs_out_and_a_void_returns_one() {
    let server = TestServer::start().await;
    server
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "prize_grade": "gold", "quantity": 1}]}))
        .await;
    server.register_many(4).await;
    let (draw, winners) = server.whole_draw(&prize("TV")).await;
    server.admin_post("draw/start-animation", &prize("TV")).await.expect_refusal(400, "DRAW_FAILED");
    server.whole_draw(&prize("Not on the list")).await;
    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "declined", "redraw": false});
    server.admin_post("draw/void", &void).await.ok();
    server.whole_draw(&prize("TV")).await;
    server.admin_post("draw/start-animation", &prize("TV")).await.expect_refusal(400, "DRAW_FAILED");
}

#[tokio::test]
async fn a_reset_of_draws_keeps_the_participants_and_clears_the_wins() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(2).await;
    let (_, winners) = server.whole_draw(&prize("TV")).await;
    let mut phone = server.socket(EVENT, "").await.synced().await;
    server.admin_post("reset", &json!({})).await.ok();
    let reset = phone.until("event_reset").await;
    assert_eq!((&reset["reset_participants"], &reset["reset_draws"]), (&json!(false), &json!(true)), "{reset}");
    assert_eq!(server.admin_get("draws").await["total_count"], 0);
    assert_eq!(server.public(&format!("/check-winner?draw_number={}", winners[0])).await["won"], false);
    assert_eq!(server.register(1).await, phones[0]);
    let (_, first) = server.whole_draw(&prize("TV")).await;
    let (_, second) = server.whole_draw(&prize("TV")).await;
    assert_ne!(first, second, "the earlier winner may win again");
}

#[tokio::test]
async fn a_reset_tells_phones_of_the_revealed_draw_and_the_proof_keeps_it() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.register_many(5).await;
    let _display = server.display().await;
    let mut phone = server.socket(EVENT, "").await.synced().await;
    let first = server.reveal_draw(&prize("TV")).await;
    server.admin_post("reset", &json!({})).await.ok();
    let announced = phone.until("winner_announced").await;
    assert_eq!((&announced["draw_id"], &announced["winners"]), (&first["draw_id"], &first["winners"]));
    phone.until("event_reset").await;
    let (second, _) = server.whole_draw(&prize("TV")).await;
    for _ in 0..2 {
        let proof = server.public("/proof").await;
        let draws = proof["draws"].as_array().unwrap();
        let ids: Vec<_> = draws.iter().map(|draw| (draw["draw_id"].clone(), draw["reset_at"].is_string())).collect();
        assert_eq!(ids, [(first["draw_id"].clone(), true), (json!(second), false)], "{proof}");
        assert_eq!(draws[0]["picks"], first["winners"]);
        server.kill();
        server.restart().await;
    }
}

#[tokio::test]
async fn a_reset_of_participants_starts_at_number_one_and_voids_old_tokens() {
    let server = TestServer::start().await;
    server.open_event().await;
    let before = server.post("/register").json(&json!({"event_id": EVENT})).await.expect_data(201);
    server.register_many(2).await;
    let mut display = server.display().await;
    let draw = server.start_draw(&prize("TV")).await;
    server.admin_post("reset", &json!({"reset_participants": true})).await.ok();
    let reset = display.until("event_reset").await;
    assert!(reset["reset_participants"] == true && reset["event_session_id"].is_string(), "{reset}");
    let voided = display.received("draw_voided");
    assert!(voided.len() == 1 && voided[0]["draw_id"] == draw, "the pending draw is voided first: {:?}", display.kinds());
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(400, "REVEAL_FAILED");
    let stats = server.admin_get("stats").await;
    assert_eq!((stats["participant_count"].as_u64(), stats["draw_count"].as_u64()), (Some(0), Some(0)));
    let old = before["session_token"].as_str().unwrap();
    server.get(&format!("/my-number?event_id={EVENT}")).bearer(old).await.expect_refusal(404, "PARTICIPANT_NOT_FOUND");
    let after = server.post("/register").json(&json!({"event_id": EVENT, "session_token": old})).await.expect_data(201);
    assert_eq!((after["draw_number"].as_u64(), after["is_existing"].as_bool()), (Some(1), Some(false)));
    assert_ne!(after["event_session_id"], before["event_session_id"]);
    assert_ne!(after["session_token"], before["session_token"]);
}
