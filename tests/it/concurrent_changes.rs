//! Two operators at once: every pair of changes ends as one after the other would, and a change of
//! something that has changed meanwhile is refused.

use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

/// Runs of a pair at once; each is one chance for the two to meet.
const ROUNDS: usize = 3;

/// A call to an event: method, path and body.
type Call = (Method, &'static str, Value);

/// Changes of one event with a participant and two prizes. `versions` are the prizes' own.
fn calls(versions: &[Value]) -> Vec<Call> {
    let tv =
        |quantity: u32, grade: &str| json!({"prize_name": "TV", "prize_rank": 1, "quantity": quantity, "prize_grade": grade});
    let seen = |mut prize: Value| {
        prize["version"] = versions[0].clone();
        prize
    };
    vec![
        (Method::PATCH, "/participants/1", json!({"eligible": false})),
        (Method::PATCH, "/participants/1", json!({"group": "blue"})),
        (Method::PATCH, "/participants/1", json!({"weight": 5})),
        (Method::PATCH, "", json!({"title": "Second"})),
        (Method::PATCH, "", json!({"groups": true, "consent_text": "Yes?"})),
        (Method::PUT, "/prizes/1", seen(tv(2, "gold"))),
        (Method::PUT, "/prizes/1", seen(tv(3, "silver"))),
        (Method::PUT, "/prizes/1", tv(4, "bronze")),
        (Method::POST, "/prizes/order", json!({"order": [2, 1], "made_from": [1, 2]})),
        (Method::POST, "/prizes", json!({"prize_name": "Mug", "prize_rank": 3, "quantity": 9})),
        (Method::DELETE, "/prizes/2", json!({})),
        (Method::POST, "/phase", json!({"phase": "drawing"})),
        (Method::POST, "/entry-code", json!({"entry_code": "0417"})),
    ]
}

/// The events of a test, each made alike under the next name.
struct Events<'s> {
    server: &'s TestServer,
    made: usize,
}

impl Events<'_> {
    async fn make(&mut self) -> (String, Vec<Value>) {
        self.made += 1;
        let id = format!("pair-{}", self.made);
        let prize = |name: &str, rank: u32| json!({"prize_name": name, "prize_rank": rank, "quantity": 1});
        let event = json!({"event_id": id, "title": "First", "prizes": [prize("TV", 1), prize("Tea", 2)]});
        self.server.post("/admin/events").admin().json(&event).await.expect_data(201);
        self.server.post("/register").json(&json!({"event_id": id})).await.expect_data(201);
        let prizes = self.server.get(&format!("/admin/{id}/prizes")).admin().await.ok();
        let versions = prizes["prizes"].as_array().unwrap().iter().map(|prize| prize["version"].clone()).collect();
        (id, versions)
    }

    async fn execute(&self, id: &str, (method, path, body): &Call) -> u16 {
        let path = match *path {
            "" => format!("/api/luckydraw/admin/events/{id}"),
            path => format!("/api/luckydraw/admin/{id}{path}"),
        };
        self.server.request(method.clone(), &path).admin().json(body).await.status.as_u16()
    }

    /// All that the calls change.
    async fn state(&self, id: &str) -> Value {
        let mut event = self.server.get(&format!("/admin/events/{id}")).admin().await.ok();
        for own in ["event_id", "event_session_id", "epoch", "opened_at", "changed_at"] {
            event.as_object_mut().unwrap().remove(own);
        }
        let prizes = self.server.get(&format!("/admin/{id}/prizes")).admin().await.ok();
        let mut participants = self.server.get(&format!("/admin/{id}/participants")).admin().await.ok();
        participants["participants"][0].as_object_mut().unwrap().remove("created_at");
        participants.as_object_mut().unwrap().remove("event_session_id");
        json!([event, prizes, participants])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_changes_at_once_ends_as_one_after_the_other() {
    let server = TestServer::start_with(&[("LUCKYDRAW_MAX_EVENTS", "1000")]).await;
    let mut events = Events { server: &server, made: 0 };
    let (_, versions) = events.make().await;
    let calls = calls(&versions);
    for (place, first) in calls.iter().enumerate() {
        for second in &calls[place + 1..] {
            let mut serial = Vec::new();
            for [a, b] in [[first, second], [second, first]] {
                let (id, _) = events.make().await;
                let (a_status, b_status) = (events.execute(&id, a).await, events.execute(&id, b).await);
                let statuses = if std::ptr::eq(a, first) { [a_status, b_status] } else { [b_status, a_status] };
                serial.push((statuses, events.state(&id).await));
            }
            for _ in 0..ROUNDS {
                let (id, _) = events.make().await;
                let (a, b) = tokio::join!(events.execute(&id, first), events.execute(&id, second));
                let ended = ([a, b], events.state(&id).await);
                assert!(serial.contains(&ended), "{first:?} and {second:?} at once: {ended:?}, one by one: {serial:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_change_of_what_another_operator_changed_is_refused() {
    let server = TestServer::start().await;
    let mut events = Events { server: &server, made: 0 };
    let (id, versions) = events.make().await;
    let put = |version: Value, quantity: u32| {
        let body = json!({"prize_name": "TV", "prize_rank": 1, "quantity": quantity, "version": version});
        server.request(Method::PUT, &format!("/api/luckydraw/admin/{id}/prizes/1")).admin().json(&body)
    };
    let changed = put(versions[0].clone(), 2).await.ok();
    assert_ne!(changed["version"], versions[0]);
    put(versions[0].clone(), 3).await.expect_refusal(409, "PRIZES_OUTDATED");
    put(changed["version"].clone(), 4).await.ok();
    put(json!("1"), 5).await.expect_refusal(422, "INVALID_REQUEST");
    put(json!(null), 6).await.ok();
    let order = |order: [u32; 2], made_from: [u32; 2]| {
        let body = json!({"order": order, "made_from": made_from});
        server.request(Method::POST, &format!("/api/luckydraw/admin/{id}/prizes/order")).admin().json(&body)
    };
    order([2, 1], [1, 2]).await.ok();
    order([2, 1], [1, 2]).await.expect_refusal(409, "PRIZES_OUTDATED");
}
