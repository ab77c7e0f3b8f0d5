//! The list of prizes: kept in order, binding in quantity, and what staff note about who may win.

use crate::show::{EVENT, numbers, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

fn listed(name: &str, rank: u32, quantity: u32) -> Value {
    json!({"prize_name": name, "prize_rank": rank, "quantity": quantity})
}

fn names(list: &Value) -> Vec<&str> {
    list["prizes"].as_array().unwrap().iter().map(|prize| prize["prize_name"].as_str().unwrap()).collect()
}

async fn remaining(house: &TestServer, place: usize) -> u64 {
    house.look("prizes").await["prizes"][place]["remaining"].as_u64().unwrap()
}

#[tokio::test]
async fn prizes_are_added_changed_put_in_order_and_removed() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    let mut ids = Vec::new();
    for (name, rank) in [("TV", 1), ("Radio", 2), ("Pen", 3)] {
        let added = house.admin(Method::POST, "prizes").json(&listed(name, rank, 2)).await.granted(201);
        ids.push(added["prize_id"].as_u64().unwrap());
    }
    assert_eq!(names(&house.look("prizes").await), ["TV", "Radio", "Pen"]);
    let order = json!({"order": [ids[2], ids[0], ids[1]]});
    house.order("prizes/order", &order).await.ok();
    let mut radio = listed("Radio", 2, 5);
    radio["draw_mode"] = json!("card");
    radio["winner_count"] = json!(3);
    house.admin(Method::PUT, &format!("prizes/{}", ids[1])).json(&radio).await.ok();
    house.admin(Method::DELETE, &format!("prizes/{}", ids[0])).await.ok();
    house.admin(Method::DELETE, &format!("prizes/{}", ids[0])).await.refused(404, "NOT_FOUND");
    house.admin(Method::PUT, "prizes/77").json(&radio).await.refused(404, "NOT_FOUND");
    for wrong in [json!({"order": [ids[1]]}), json!({"order": [ids[1], ids[1]]}), json!({"order": [ids[1], 77]})] {
        let status = house.order("prizes/order", &wrong).await.status.as_u16();
        assert!([404, 422].contains(&status), "{wrong}: {status}");
    }
    for wrong in [
        listed("", 1, 1),
        listed("X", 1, 0),
        json!({"prize_name": "X"}),
        json!({"prize_name": "X", "prize_rank": 1, "quantity": "2"}),
    ] {
        house.admin(Method::POST, "prizes").json(&wrong).await.refused(422, "INVALID_REQUEST");
    }
    let before = house.look("prizes").await;
    assert_eq!(names(&before), ["Pen", "Radio"]);
    house.kill();
    house.restart().await;
    assert_eq!(house.look("prizes").await, before);
}

#[tokio::test]
async fn a_draw_by_id_or_exact_name_fills_in_and_counts_down() {
    let house = TestServer::start().await;
    house
        .open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [
            {"prize_name": "TV", "prize_rank": 1, "quantity": 3, "draw_mode": "card", "winner_count": 2}]}))
        .await;
    house.register_many(9).await;
    let id = house.look("prizes").await["prizes"][0]["prize_id"].clone();
    let (draw, winners) = house.whole_draw(&json!({"prize_id": id})).await;
    assert_eq!((winners.len(), remaining(&house, 0).await), (2, 1), "mode and count come from the list");
    house.order("draw/start-animation", &json!({"prize_name": "TV"})).await.refused(400, "DRAW_FAILED");
    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "absent", "redraw": false});
    house.order("draw/void", &void).await.ok();
    assert_eq!(remaining(&house, 0).await, 2, "a void gives one back");
    house.whole_draw(&json!({"prize_name": "TV"})).await;
    assert_eq!(remaining(&house, 0).await, 0);
    house.order("draw/start-animation", &json!({"prize_id": 77})).await.refused(404, "NOT_FOUND");
    house.whole_draw(&prize("tv")).await;
    assert_eq!(remaining(&house, 0).await, 0, "another name is another prize");
}

#[tokio::test]
async fn the_console_s_count_goes_down_at_the_reveal_and_the_public_s_at_the_announcement() {
    let house = TestServer::start().await;
    house.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [listed("TV", 1, 2)]})).await;
    house.register_many(3).await;
    let _display = house.display().await;
    let public = async || house.public("/results").await["prizes"][0]["remaining"].as_u64().unwrap();
    house.start_draw(&prize("TV")).await;
    assert_eq!((remaining(&house, 0).await, public().await), (2, 2));
    house.order("draw/reveal", &json!({})).await.ok();
    assert_eq!((remaining(&house, 0).await, public().await), (1, 2));
    house.order("draw/complete", &json!({})).await.ok();
    assert_eq!((remaining(&house, 0).await, public().await), (1, 1));
}

#[tokio::test]
async fn who_is_marked_not_eligible_does_not_win() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(4).await;
    for number in [1, 2, 4] {
        let mark = house.admin(Method::PATCH, &format!("participants/{number}")).json(&json!({"eligible": false}));
        assert_eq!(mark.await.ok()["eligible"], false);
    }
    let (_, winners) = house.whole_draw(&prize("TV")).await;
    assert_eq!(winners, [3]);
    house.order("draw/start-animation", &prize("Radio")).await.refused(400, "DRAW_FAILED");
    let back = house.admin(Method::PATCH, "participants/2").json(&json!({"eligible": true}));
    back.await.ok();
    assert_eq!(house.whole_draw(&prize("Radio")).await.1, [2]);
    house.admin(Method::PATCH, "participants/9").json(&json!({"eligible": false})).await.refused(404, "PARTICIPANT_NOT_FOUND");
    house.admin(Method::PATCH, "participants/1").json(&json!({"eligible": "no"})).await.refused(422, "INVALID_REQUEST");
}

#[tokio::test]
async fn groups_and_repeated_winners_bind_only_where_they_are_wanted() {
    let house = TestServer::start().await;
    let mut staff_only = listed("Staff prize", 1, 9);
    staff_only["group"] = json!("staff");
    let mut again = listed("For everybody", 2, 9);
    again["repeat_winners"] = json!(true);
    let event = json!({"event_id": EVENT, "title": "Gala", "groups": true, "prizes": [staff_only, again]});
    house.open_event_with(event).await;
    house.register_many(3).await;
    house.admin(Method::PATCH, "participants/2").json(&json!({"group": "staff"})).await.ok();
    assert_eq!(house.whole_draw(&prize("Staff prize")).await.1, [2]);
    house.order("draw/start-animation", &prize("Staff prize")).await.refused(400, "DRAW_FAILED");
    let everybody = json!({"prize_name": "For everybody", "prize_rank": 2, "draw_mode": "card", "winner_count": 3});
    let mut winners = house.whole_draw(&everybody).await.1;
    winners.sort_unstable();
    assert_eq!(winners, [1, 2, 3], "who won another prize may win this one too");
    house.order("draw/start-animation", &prize("Unlisted")).await.refused(400, "DRAW_FAILED");
    assert_eq!(
        numbers(&house.look("draws").await["draws"].as_array().unwrap().iter().map(|row| row["draw_number"].clone()).collect())
            .len(),
        4
    );
}
