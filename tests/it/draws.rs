//! The draw as the plan plays it, every way it can be refused, and every way it can be taken back.

use crate::show::{EVENT, numbers, prize};
use crate::socket::gapless;
use crate::test_server::TestServer;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[tokio::test]
async fn the_plan_s_steps_reach_everybody_in_their_turn() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(5).await;
    let (mut phone, mut display, mut console) =
        (house.socket(EVENT, "").await.greeted().await, house.display().await, house.console().await);

    house.order("draw/standby", &prize("TV")).await.ok();
    let standby = phone.until("draw_standby").await;
    for (field, value) in [("prize_name", json!("TV")), ("prize_rank", json!(1)), ("draw_mode", json!("slot"))] {
        assert_eq!(standby[field], value, "{standby}");
    }
    assert_eq!((standby["winner_count"].as_u64(), standby["status"].as_str()), (Some(1), Some("standby")));
    let draw = house.start_draw(&prize("TV")).await;
    let started = phone.until("draw_started").await;
    assert_eq!((started["prize_name"].as_str(), started.get("winners")), (Some("TV"), None), "nobody is told the winners yet");

    let revealed = house.order("draw/reveal", &json!({})).await.ok();
    assert_eq!((revealed["draw_id"].as_u64(), revealed["prize_name"].as_str()), (Some(draw), Some("TV")));
    assert_eq!(numbers(&revealed["winners"]).len(), 1);
    assert!(revealed["drawn_at"].as_str().unwrap().ends_with('Z'));
    for socket in [&mut display, &mut console] {
        let shown = socket.until("winner_revealed").await;
        assert_eq!((&shown["winners"], &shown["drawn_at"]), (&revealed["winners"], &revealed["drawn_at"]));
    }

    display.say(&json!({"type": "draw_complete", "draw_id": draw, "winners": revealed["winners"]})).await;
    let ack = display.until("draw_complete_ack").await;
    assert_eq!((&ack["success"], &ack["winners"]), (&json!(true), &revealed["winners"]));
    for socket in [&mut phone, &mut display, &mut console] {
        socket.settle().await;
        let (announced, complete) = (socket.heard("winner_announced")[0].clone(), socket.heard("draw_complete")[0].clone());
        assert_eq!(without_seq(&announced), without_seq(&complete), "one payload");
        assert_eq!((&announced["draw_id"], &announced["winners"]), (&json!(draw), &revealed["winners"]));
        gapless(&socket.numbered());
    }
    assert_eq!(phone.numbered_kinds(), ["draw_standby", "draw_started", "winner_announced", "draw_complete"]);
    assert!(phone.heard("winner_revealed").is_empty());
}

/// A payload without what tells the two frames of an announcement apart.
fn without_seq(frame: &Value) -> Value {
    let mut payload = frame.clone();
    ["type", "seq"].into_iter().for_each(|field| {
        payload.as_object_mut().unwrap().remove(field);
    });
    payload
}

#[tokio::test]
async fn a_double_click_on_start_picks_once() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(20).await;
    let first = house.order("draw/start-animation", &prize("TV")).await.ok();
    let again = house.order("draw/start-animation", &prize("TV")).await.ok();
    assert_eq!(first, again, "the first answer again");
    house.order("draw/start-animation", &prize("Radio")).await.refused(409, "DRAW_IN_PROGRESS");
    house.order("draw/reveal", &json!({})).await.ok();
    house.order("draw/complete", &json!({})).await.ok();
    assert_eq!(house.look("draws").await["total_count"], 1);
    let proof = house.public("/proof").await;
    assert_eq!(proof["draws"].as_array().unwrap().len(), 1, "and no second pick anywhere");
}

#[tokio::test]
async fn two_consoles_at_one_instant_start_one_draw() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(20).await;
    let spec = prize("TV");
    let answers = futures_util::future::join_all((0..8).map(|_| house.order("draw/start-animation", &spec))).await;
    let ids: BTreeSet<String> = answers.iter().map(|answer| answer.ok()["draw_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn a_draw_that_cannot_be_is_refused_and_changes_nothing() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.order("draw/start-animation", &prize("TV")).await.refused(400, "DRAW_FAILED");
    house.order("draw/reveal", &json!({})).await.refused(400, "REVEAL_FAILED");
    house.order("draw/complete", &json!({})).await.refused(400, "COMPLETE_FAILED");
    house.order("draw/cancel", &json!({})).await.refused(400, "DRAW_FAILED");
    house.order("draw", &json!({"prize_name": "TV", "prize_rank": 1, "count": 1})).await.refused(400, "DRAW_FAILED");
    house.register_many(3).await;
    for (mode, count) in [("slot", 2), ("card", 6), ("network", 11), ("list", 501), ("card", 4)] {
        let spec = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": mode, "winner_count": count});
        house.order("draw/start-animation", &spec).await.refused(400, "DRAW_FAILED");
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
            house.order(path, &spec).await.refused(422, "INVALID_REQUEST");
        }
    }
    assert_eq!(house.look("draws").await["total_count"], 0);
    house.order("draw/reveal", &json!({})).await.refused(400, "REVEAL_FAILED");
}

#[tokio::test]
async fn nobody_wins_twice_and_the_pool_runs_dry() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(12).await;
    let mut won = BTreeSet::new();
    for index in 0..12 {
        let (_, winners) = house.whole_draw(&prize(&format!("Prize {index}"))).await;
        assert!(won.insert(winners[0]), "{} won twice", winners[0]);
    }
    assert_eq!(won, (1..=12).collect());
    house.order("draw/start-animation", &prize("One more")).await.refused(400, "DRAW_FAILED");
}

#[tokio::test]
async fn completing_again_gives_the_same_answer() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(3).await;
    house.reveal_draw(&prize("TV")).await;
    let first = house.order("draw/complete", &json!({})).await.ok();
    let again = house.order("draw/complete", &json!({})).await.ok();
    assert_eq!(first, again);
    assert_eq!(first["prize_name"], "TV");
    house.order("draw/reveal", &json!({})).await.refused(400, "REVEAL_FAILED");
    assert_eq!(house.look("draws").await["total_count"], 1);
}

#[tokio::test]
async fn the_next_step_announces_the_draw_before() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(9).await;
    let mut phone = house.socket(EVENT, "").await.greeted().await;
    for (path, body) in [
        ("draw/standby", prize("Next")),
        ("draw/start-animation", prize("Next")),
        ("draw", json!({"prize_name": "At once", "prize_rank": 2, "count": 1})),
    ] {
        let draw = house.reveal_draw(&prize("First")).await["draw_id"].clone();
        house.order(path, &body).await.ok();
        let announced = phone.until("winner_announced").await;
        assert_eq!(announced["draw_id"], draw, "{path}");
        phone.take();
        house.order("draw/cancel", &json!({})).await;
    }
}

#[tokio::test]
async fn an_announcement_goes_out_when_its_time_has_come() {
    let house = TestServer::start_with(&[("LUCKYDRAW_ANNOUNCE_AFTER_MS", "150")]).await;
    house.open_event().await;
    house.register_many(3).await;
    let (mut phone, _display) = (house.socket(EVENT, "").await.greeted().await, house.display().await);
    let revealed = house.reveal_draw(&prize("TV")).await;
    let announced = phone.until("draw_complete").await;
    assert_eq!(announced["winners"], revealed["winners"]);
    let answer = house.order("draw/complete", &json!({})).await.ok();
    assert_eq!(answer["winners"], revealed["winners"], "success, by whatever cause it was announced");
    phone.settle().await;
    assert_eq!(phone.heard("winner_announced").len(), 1, "once");
}

#[tokio::test]
async fn a_draw_in_one_call_answers_like_a_reveal() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(20).await;
    let data = house.order("draw", &json!({"prize_name": "Snacks", "prize_rank": 9, "count": 15})).await.ok();
    let winners: BTreeSet<u64> = numbers(&data["winners"]).into_iter().collect();
    assert_eq!((data["prize_name"].as_str(), winners.len()), (Some("Snacks"), 15));
    assert!(data["drawn_at"].is_string() && data["draw_id"].is_u64(), "{data}");
    let rows = house.look("draws").await;
    assert_eq!(rows["total_count"], 15, "a row a winner");
}

#[tokio::test]
async fn a_cancelled_standby_leaves_no_draw() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register(1).await;
    house.order("draw/standby", &prize("TV")).await.ok();
    house.order("draw/cancel", &json!({"reason": "wrong prize"})).await.ok();
    house.order("draw/cancel", &json!({})).await.refused(400, "DRAW_FAILED");
    assert_eq!(house.look("draws").await["total_count"], 0);
}

#[tokio::test]
async fn a_cancelled_draw_is_public_so_that_no_reroll_is_silent() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(5).await;
    let mut phone = house.socket(EVENT, "").await.greeted().await;
    let draw = house.start_draw(&prize("TV")).await;
    house.order("draw/cancel", &json!({"reason": "the beamer failed"})).await.ok();
    let voided = phone.until("draw_voided").await;
    assert_eq!((voided["draw_id"].as_u64(), voided["reason"].as_str()), (Some(draw), Some("the beamer failed")));
    house.order("draw/reveal", &json!({})).await.refused(400, "REVEAL_FAILED");
    let proof = house.public("/proof").await;
    let row = proof["draws"].as_array().unwrap().iter().find(|row| row["draw_id"] == draw).expect("it is in the proof");
    assert_eq!(numbers(&row["picks"]).len(), 1, "and shows its numbers: {row}");
    assert_eq!(house.look("draws").await["total_count"], 0, "but it is no win");
}

#[tokio::test]
async fn a_voided_seat_is_drawn_again_without_its_number() {
    let house = TestServer::start().await;
    house
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "quantity": 2, "draw_mode": "card", "winner_count": 2}]}))
        .await;
    house.register_many(3).await;
    let spec = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": "card", "winner_count": 2});
    let (draw, winners) = house.whole_draw(&spec).await;
    let last = (1..=3).find(|number| !winners.contains(number)).unwrap();
    let mut phone = house.socket(EVENT, "").await.greeted().await;

    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "absent", "redraw": true});
    house.order("draw/void", &void).await.ok();
    let voided = phone.until("draw_voided").await;
    assert_eq!((voided["draw_id"].as_u64(), voided["draw_number"].as_u64()), (Some(draw), Some(winners[0])));
    phone.until("draw_started").await;
    let revealed = house.order("draw/reveal", &json!({})).await.ok();
    assert_eq!(numbers(&revealed["winners"]), [last], "neither the voided number nor the other winner");
    house.order("draw/complete", &json!({})).await.ok();
    assert_eq!(phone.until("winner_announced").await["winners"], json!([last]));
    gapless(&phone.numbered());

    let checked = house.public(&format!("/check-winner?draw_number={}", winners[0])).await;
    assert_eq!(checked["won"], false, "a voided seat is no win: {checked}");
    let results = house.public("/results").await.to_string();
    assert!(results.contains("absent"), "the void and its reason are shown: {results}");
    house.order("draw/start-animation", &spec).await.refused(400, "DRAW_FAILED");
}

#[tokio::test]
async fn only_an_operator_s_error_puts_a_number_back() {
    for (reason, back) in [("operator_error", true), ("declined", false), ("ineligible", false), ("other", false)] {
        let house = TestServer::start().await;
        house.open_event().await;
        house.register(1).await;
        let (draw, _) = house.whole_draw(&prize("TV")).await;
        let void = json!({"draw_id": draw, "draw_number": 1, "reason": reason, "redraw": false});
        house.order("draw/void", &void).await.ok();
        let next = house.order("draw/start-animation", &prize("Radio")).await;
        match back {
            true => drop(next.ok()),
            false => next.refused(400, "DRAW_FAILED"),
        }
    }
}

#[tokio::test]
async fn only_an_announced_seat_can_be_voided() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(2).await;
    let _display = house.display().await;
    let void = |draw: u64, number: u64, reason: &str| {
        let body = json!({"draw_id": draw, "draw_number": number, "reason": reason, "redraw": false});
        async { house.order("draw/void", &{ body }).await }
    };
    let revealed = house.reveal_draw(&prize("TV")).await;
    let (draw, winner) = (revealed["draw_id"].as_u64().unwrap(), numbers(&revealed["winners"])[0]);
    let early = void(draw, winner, "absent").await;
    assert!(matches!(early.status.as_u16(), 404 | 409), "before it is announced: {}", early.json());
    house.order("draw/complete", &json!({})).await.ok();
    void(draw, 3 - winner, "absent").await.refused(403, "NOT_A_WINNER");
    void(draw + 9, winner, "absent").await.refused(404, "NOT_FOUND");
    void(draw, winner, "because").await.refused(422, "INVALID_REQUEST");
    void(draw, winner, "absent").await.ok();
    assert_eq!(house.look("draws").await["total_count"], 1, "its row stays");
}

#[tokio::test]
async fn a_listed_prize_runs_out_and_a_void_gives_one_back() {
    let house = TestServer::start().await;
    house
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
        {"prize_name": "TV", "prize_rank": 1, "prize_grade": "gold", "quantity": 1}]}))
        .await;
    house.register_many(4).await;
    let (draw, winners) = house.whole_draw(&prize("TV")).await;
    house.order("draw/start-animation", &prize("TV")).await.refused(400, "DRAW_FAILED");
    house.whole_draw(&prize("Not on the list")).await;
    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "declined", "redraw": false});
    house.order("draw/void", &void).await.ok();
    house.whole_draw(&prize("TV")).await;
    house.order("draw/start-animation", &prize("TV")).await.refused(400, "DRAW_FAILED");
}

#[tokio::test]
async fn a_reset_of_draws_keeps_the_phones_and_clears_the_wins() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phones = house.register_many(2).await;
    let (_, winners) = house.whole_draw(&prize("TV")).await;
    let mut phone = house.socket(EVENT, "").await.greeted().await;
    house.order("reset", &json!({})).await.ok();
    let reset = phone.until("event_reset").await;
    assert_eq!((&reset["reset_participants"], &reset["reset_draws"]), (&json!(false), &json!(true)), "{reset}");
    assert_eq!(house.look("draws").await["total_count"], 0);
    assert_eq!(house.public(&format!("/check-winner?draw_number={}", winners[0])).await["won"], false);
    assert_eq!(house.register(1).await, phones[0]);
    let (_, first) = house.whole_draw(&prize("TV")).await;
    let (_, second) = house.whole_draw(&prize("TV")).await;
    assert_ne!(first, second, "everybody may win again, once");
}

#[tokio::test]
async fn a_reset_of_participants_begins_again_at_one_and_voids_old_tokens() {
    let house = TestServer::start().await;
    house.open_event().await;
    let before = house.post("/register").json(&json!({"event_id": EVENT})).await.granted(201);
    house.register_many(2).await;
    let mut display = house.display().await;
    let draw = house.start_draw(&prize("TV")).await;
    house.order("reset", &json!({"reset_participants": true})).await.ok();
    let reset = display.until("event_reset").await;
    assert!(reset["reset_participants"] == true && reset["event_session_id"].is_string(), "{reset}");
    let voided = display.heard("draw_voided");
    assert!(voided.len() == 1 && voided[0]["draw_id"] == draw, "the pending draw is voided first: {:?}", display.kinds());
    house.order("draw/reveal", &json!({})).await.refused(400, "REVEAL_FAILED");
    let stats = house.look("stats").await;
    assert_eq!((stats["participant_count"].as_u64(), stats["draw_count"].as_u64()), (Some(0), Some(0)));
    let old = before["session_token"].as_str().unwrap();
    house.get(&format!("/my-number?event_id={EVENT}")).bearer(old).await.refused(404, "PARTICIPANT_NOT_FOUND");
    let after = house.post("/register").json(&json!({"event_id": EVENT, "session_token": old})).await.granted(201);
    assert_eq!((after["draw_number"].as_u64(), after["is_existing"].as_bool()), (Some(1), Some(false)));
    assert_ne!(after["event_session_id"], before["event_session_id"]);
    assert_ne!(after["session_token"], before["session_token"]);
}
