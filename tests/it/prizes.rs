//! The list of prizes: its order and quantities, and the eligibility of participants.

use crate::event_steps::{EVENT, numbers, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

fn listed(name: &str, rank: u32, quantity: u32) -> Value {
    json!({"prize_name": name, "prize_rank": rank, "quantity": quantity})
}

fn names(list: &Value) -> Vec<&str> {
    list["prizes"].as_array().unwrap().iter().map(|prize| prize["prize_name"].as_str().unwrap()).collect()
}

async fn remaining(server: &TestServer, index: usize) -> u64 {
    server.admin_get("prizes").await["prizes"][index]["remaining"].as_u64().unwrap()
}

#[tokio::test]
async fn prizes_are_added_changed_ordered_and_removed() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let mut ids = Vec::new();
    for (name, rank) in [("TV", 1), ("Radio", 2), ("Pen", 3)] {
        let added = server.admin(Method::POST, "prizes").json(&listed(name, rank, 2)).await.expect_data(201);
        ids.push(added["prize_id"].as_u64().unwrap());
    }
    assert_eq!(names(&server.admin_get("prizes").await), ["TV", "Radio", "Pen"]);
    let order = json!({"order": [ids[2], ids[0], ids[1]], "made_from": ids});
    server.admin_post("prizes/order", &order).await.ok();
    let mut radio = listed("Radio", 2, 5);
    radio["draw_mode"] = json!("card");
    radio["winner_count"] = json!(3);
    radio["version"] = server.admin_get("prizes").await["prizes"][2]["version"].clone();
    server.admin(Method::PUT, &format!("prizes/{}", ids[1])).json(&radio).await.ok();
    server.admin(Method::DELETE, &format!("prizes/{}", ids[0])).await.ok();
    server.admin(Method::DELETE, &format!("prizes/{}", ids[0])).await.expect_refusal(404, "NOT_FOUND");
    server.admin(Method::PUT, "prizes/77").json(&radio).await.expect_refusal(404, "NOT_FOUND");
    let listed_ids = [ids[2], ids[1]];
    for wrong in [vec![ids[1]], vec![ids[1], ids[1]], vec![ids[1], 77]] {
        let wrong = json!({"order": wrong, "made_from": listed_ids});
        let status = server.admin_post("prizes/order", &wrong).await.status.as_u16();
        assert!([404, 422].contains(&status), "{wrong}: {status}");
    }
    for wrong in [
        listed("", 1, 1),
        listed("X", 1, 0),
        json!({"prize_name": "X"}),
        json!({"prize_name": "X", "prize_rank": 1, "quantity": "2"}),
    ] {
        server.admin(Method::POST, "prizes").json(&wrong).await.expect_refusal(422, "INVALID_REQUEST");
    }
    let before = server.admin_get("prizes").await;
    assert_eq!(names(&before), ["Pen", "Radio"]);
    server.kill();
    server.restart().await;
    assert_eq!(server.admin_get("prizes").await, before);
}

#[tokio::test]
async fn a_listed_prize_completes_its_draw_and_counts_down() {
    let server = TestServer::start().await;
    server
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
            {"prize_name": "TV", "prize_rank": 1, "quantity": 3, "draw_mode": "card", "winner_count": 2}]}))
        .await;
    server.register_many(9).await;
    let id = server.admin_get("prizes").await["prizes"][0]["prize_id"].clone();
    let (draw, winners) = server.whole_draw(&json!({"prize_id": id})).await;
    assert_eq!((winners.len(), remaining(&server, 0).await), (2, 1), "mode and count come from the list");
    server.admin_post("draw/start-animation", &json!({"prize_name": "TV"})).await.expect_refusal(400, "DRAW_FAILED");
    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "absent", "redraw": false});
    server.admin_post("draw/void", &void).await.ok();
    assert_eq!(remaining(&server, 0).await, 2, "a void returns one");
    server.whole_draw(&json!({"prize_name": "TV"})).await;
    assert_eq!(remaining(&server, 0).await, 0);
    server.admin_post("draw/start-animation", &json!({"prize_id": 77})).await.expect_refusal(404, "NOT_FOUND");
    server.whole_draw(&prize("tv")).await;
    assert_eq!(remaining(&server, 0).await, 0, "another name is another prize");
}

#[tokio::test]
async fn operators_count_a_prize_from_its_reveal_and_the_public_from_its_announcement() {
    let server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [listed("TV", 1, 2)]})).await;
    server.register_many(3).await;
    let _display = server.display().await;
    let public = async || server.public("/results").await["prizes"][0]["remaining"].as_u64().unwrap();
    server.start_draw(&prize("TV")).await;
    assert_eq!((remaining(&server, 0).await, public().await), (2, 2));
    server.admin_post("draw/reveal", &json!({})).await.ok();
    assert_eq!((remaining(&server, 0).await, public().await), (1, 2));
    server.admin_post("draw/complete", &json!({})).await.ok();
    assert_eq!((remaining(&server, 0).await, public().await), (1, 1));
}

#[tokio::test]
async fn a_participant_marked_not_eligible_does_not_win() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(4).await;
    for number in [1, 2, 4] {
        let mark = server.admin(Method::PATCH, &format!("participants/{number}")).json(&json!({"eligible": false}));
        assert_eq!(mark.await.ok()["eligible"], false);
    }
    let (_, winners) = server.whole_draw(&prize("TV")).await;
    assert_eq!(winners, [3]);
    server.admin_post("draw/start-animation", &prize("Radio")).await.expect_refusal(400, "DRAW_FAILED");
    let back = server.admin(Method::PATCH, "participants/2").json(&json!({"eligible": true}));
    back.await.ok();
    assert_eq!(server.whole_draw(&prize("Radio")).await.1, [2]);
    server
        .admin(Method::PATCH, "participants/9")
        .json(&json!({"eligible": false}))
        .await
        .expect_refusal(404, "PARTICIPANT_NOT_FOUND");
    server.admin(Method::PATCH, "participants/1").json(&json!({"eligible": "no"})).await.expect_refusal(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn groups_and_repeat_winners_apply_only_where_they_are_set() {
    let server = TestServer::start().await;
    let mut staff_only = listed("Staff prize", 1, 9);
    staff_only["group"] = json!("staff");
    let mut again = listed("For everybody", 2, 9);
    again["repeat_winners"] = json!(true);
    let event = json!({"event_id": EVENT, "title": "Gala", "groups": true, "prizes": [staff_only, again]});
    server.open_event_with(event).await;
    server.register_many(3).await;
    server.admin(Method::PATCH, "participants/2").json(&json!({"group": "staff"})).await.ok();
    assert_eq!(server.whole_draw(&prize("Staff prize")).await.1, [2]);
    server.admin_post("draw/start-animation", &prize("Staff prize")).await.expect_refusal(400, "DRAW_FAILED");
    let everybody = json!({"prize_name": "For everybody", "prize_rank": 2, "draw_mode": "card", "winner_count": 3});
    let mut winners = server.whole_draw(&everybody).await.1;
    winners.sort_unstable();
    assert_eq!(winners, [1, 2, 3], "winners of another prize can win this one too");
    server.admin_post("draw/start-animation", &prize("Unlisted")).await.expect_refusal(400, "DRAW_FAILED");
    assert_eq!(
        numbers(
            &server.admin_get("draws").await["draws"].as_array().unwrap().iter().map(|row| row["draw_number"].clone()).collect()
        )
        .len(),
        4
    );
}
