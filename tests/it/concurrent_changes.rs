//! Two operators at once: every pair of calls ends as one after the other would, and of two that
//! replace the same thing one is refused.

use crate::event_steps::request_id;
use crate::http_client::RequestBuilder;
use crate::test_server::{TIMEOUT, TestServer};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Pairs that run at once. The writer is never idle meanwhile, so both calls of a pair have read
/// the event before either is decided.
const PAIRS_AT_ONCE: usize = 24;
/// One pair in so many runs in the usual form of the test. They differ from run to run.
const PAIRS_PER_CHOSEN: usize = 32;
/// A time after every registration.
const FAR_FUTURE_MS: i64 = 9_999_999_999_999;

/// An event of two participants, of whom the first can win: with two prizes, a link, and a win of
/// the second prize.
struct Made {
    id: String,
    /// The first participant's token, and the code of the win.
    token: String,
    claim_code: String,
    /// The versions of the prizes.
    versions: Vec<Value>,
}

/// A call to such an event.
struct Call {
    method: Method,
    path: &'static str,
    /// The thing that it replaces as a whole, if it does.
    replaces: Option<&'static str>,
    body: fn(&Made) -> Value,
}

const fn call(method: Method, path: &'static str, body: fn(&Made) -> Value) -> Call {
    Call { method, path, replaces: None, body }
}

const fn replacing(thing: &'static str, method: Method, path: &'static str, body: fn(&Made) -> Value) -> Call {
    Call { method, path, replaces: Some(thing), body }
}

fn television(quantity: u32, version: &Value) -> Value {
    json!({"prize_name": "TV", "prize_rank": 1, "quantity": quantity, "repeat_winners": true, "version": version})
}

fn details(name: &str) -> Value {
    json!({"name": name, "phone": "010-1234-5678", "consent": true, "version": 0})
}

/// Every call that changes an event. A path begins after the event, or names a phone's call.
const CALLS: &[Call] = &[
    call(Method::PATCH, "/participants/1", |_| json!({"eligible": false})),
    call(Method::PATCH, "/participants/1", |_| json!({"group": "blue"})),
    call(Method::PATCH, "/participants/1", |_| json!({"weight": 5})),
    call(Method::POST, "/participants/remove", |_| json!({"from_ms": 0, "until_ms": FAR_FUTURE_MS})),
    call(Method::PATCH, "", |_| json!({"title": "Second"})),
    call(Method::PATCH, "", |_| json!({"groups": true, "consent_text": "Yes?"})),
    call(Method::DELETE, "", |made| json!({"confirm": made.id})),
    replacing("TV", Method::PUT, "/prizes/1", |made| television(2, &made.versions[0])),
    replacing("TV", Method::PUT, "/prizes/1", |made| television(3, &made.versions[0])),
    replacing("order", Method::POST, "/prizes/order", |_| json!({"order": [2, 1], "made_from": [1, 2]})),
    call(Method::POST, "/prizes", |_| json!({"prize_name": "Mug", "prize_rank": 3, "quantity": 9})),
    call(Method::POST, "/prizes/import", |_| json!("경품명\t수량\r\n컵\t2\r\n")),
    call(Method::DELETE, "/prizes/2", |_| json!({})),
    call(Method::POST, "/phase", |_| json!({"phase": "drawing"})),
    call(Method::POST, "/phase", |_| json!({"phase": "closed"})),
    call(Method::POST, "/entry-code", |_| json!({"entry_code": "0417"})),
    call(Method::POST, "/draw/standby", |_| json!({"prize_id": 1})),
    call(Method::POST, "/draw/start-animation", |_| json!({"prize_id": 1})),
    call(Method::POST, "/draw/reveal", |_| json!({})),
    call(Method::POST, "/draw/complete", |_| json!({})),
    call(Method::POST, "/draw/cancel", |_| json!({})),
    call(Method::POST, "/draw", |_| json!({"prize_name": "TV", "prize_rank": 1, "count": 1})),
    call(Method::POST, "/draw/void", |_| json!({"draw_id": 1, "draw_number": 1, "reason": "absent"})),
    call(Method::POST, "/reset", |_| json!({})),
    call(Method::POST, "/reset", |_| json!({"reset_participants": true})),
    call(Method::POST, "/rehearsal/wipe", |_| json!({"word": "REHEARSAL"})),
    call(Method::POST, "/links", |_| json!({"role": "display"})),
    call(Method::DELETE, "/links/1", |_| json!({})),
    call(Method::POST, "/claims/hand-over", |made| json!({"code": made.claim_code, "desk": "lobby"})),
    call(Method::POST, "/claims/undo", |_| json!({"draw_id": 1, "draw_number": 1})),
    replacing("details", Method::PUT, "/winners/1/1", |_| details("An Operator")),
    replacing("details", Method::POST, "winner-info", |made| {
        let mut body = details("A Winner");
        (body["event_id"], body["draw_id"]) = (json!(made.id), json!(1));
        body
    }),
];

impl TestServer {
    async fn make(&self, name: String) -> Made {
        let prize =
            |name: &str, rank: u32| json!({"prize_name": name, "prize_rank": rank, "quantity": 1, "repeat_winners": true});
        let event = json!({"event_id": name, "title": "First", "rehearsal": true, "prizes": [prize("TV", 1), prize("Tea", 2)]});
        self.post("/admin/events").admin().json(&event).await.expect_data(201);
        let register = async |index| {
            let body = json!({"event_id": name, "request_id": request_id(index)});
            self.post("/register").json(&body).await.expect_data(201)
        };
        let token = register(1).await["session_token"].as_str().unwrap().to_owned();
        register(2).await;
        let admin = |method: Method, path: &str| self.request(method, &format!("/api/luckydraw/admin/{name}{path}")).admin();
        admin(Method::PATCH, "/participants/2").json(&json!({"eligible": false})).await.ok();
        let draw = json!({"prize_name": "Tea", "prize_rank": 2, "count": 1});
        admin(Method::POST, "/draw").json(&draw).await.ok();
        admin(Method::POST, "/draw/complete").json(&json!({})).await.ok();
        admin(Method::POST, "/links").json(&json!({"role": "staff"})).await.expect_data(201);
        let prizes = admin(Method::GET, "/prizes").await.ok();
        let versions = prizes["prizes"].as_array().unwrap().iter().map(|prize| prize["version"].clone()).collect();
        let own = self.get(&format!("/check-winner?event_id={name}&draw_number=1")).bearer(&token).await.ok();
        let claim_code = own["prizes"][0]["claim_code"].as_str().unwrap().to_owned();
        Made { id: name, token, claim_code, versions }
    }

    fn request_of(&self, made: &Made, call: &Call) -> RequestBuilder {
        let path = match call.path {
            "winner-info" => return self.post("/winner-info").bearer(&made.token).json(&(call.body)(made)),
            "" => format!("/api/luckydraw/admin/events/{}", made.id),
            path => format!("/api/luckydraw/admin/{}{path}", made.id),
        };
        let request = self.request(call.method.clone(), &path).admin();
        match (call.body)(made) {
            Value::String(file) => request.body("text/plain", file),
            body => request.json(&body),
        }
    }

    /// The status of the answer. A call is sent again while the event is being deleted, and an
    /// import while another one is read.
    async fn execute(&self, made: &Made, call: &Call) -> u16 {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let status = self.request_of(made, call).await.status.as_u16();
            if ![429, 503].contains(&status) || Instant::now() > deadline {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// All that the calls change; nothing of a deleted event. One that is being deleted is read
    /// again.
    async fn state_of(&self, made: &Made) -> Value {
        // What is revealed would be announced in a moment anyway.
        self.execute(made, &call(Method::POST, "/draw/complete", |_| json!({}))).await;
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(state) = self.try_state_of(&made.id).await {
                return state;
            }
            assert!(Instant::now() < deadline, "{} stays busy", made.id);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn try_state_of(&self, id: &str) -> Option<Value> {
        let mut parts = Vec::new();
        for path in [
            format!("events/{id}"),
            format!("{id}/prizes"),
            format!("{id}/participants"),
            format!("{id}/draws"),
            format!("{id}/links"),
            format!("{id}/winners?all=1&unmask=1"),
        ] {
            let response = self.get(&format!("/admin/{path}")).admin().await;
            let mut part = match response.status.as_u16() {
                503 => return None,
                404 => Value::Null,
                _ => response.ok(),
            };
            remove_own_parts(&mut part);
            parts.push(part);
        }
        Some(json!(parts))
    }

    async fn delete(&self, made: &Made) {
        self.execute(made, &call(Method::DELETE, "", |made| json!({"confirm": made.id}))).await;
    }
}

/// Removes what no two events share, and leaves of each time that there is one.
fn remove_own_parts(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !["event_id", "event_session_id", "epoch", "token", "path", "changed_at"].contains(&name.as_str())
            });
            for (name, field) in fields {
                if name.ends_with("_at") { *field = json!(!field.is_null()) } else { remove_own_parts(field) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(remove_own_parts),
        _ => {}
    }
}

/// Runs these pairs, each in both orders and at once.
async fn check_pairs(server: &TestServer, round: usize, pairs: &[(&Call, &Call)]) {
    let (both_orders, at_once): (Vec<_>, Vec<_>) = (
        join_all(pairs.iter().enumerate().map(async |(index, (first, second))| {
            let made = server.make(format!("a-{round}-{index}")).await;
            let statuses = (server.execute(&made, first).await, server.execute(&made, second).await);
            let forwards = (statuses, server.state_of(&made).await);
            server.delete(&made).await;
            let made = server.make(format!("b-{round}-{index}")).await;
            let (second, first) = (server.execute(&made, second).await, server.execute(&made, first).await);
            let backwards = ((first, second), server.state_of(&made).await);
            server.delete(&made).await;
            [forwards, backwards]
        }))
        .await,
        join_all((0..pairs.len()).map(|index| server.make(format!("c-{round}-{index}")))).await,
    );
    let calls = pairs.iter().zip(&at_once).flat_map(|((first, second), made)| [(made, *first), (made, *second)]);
    let answers = join_all(calls.map(|(made, call)| server.execute(made, call))).await;
    for (index, (made, (first, second))) in at_once.iter().zip(pairs).enumerate() {
        let statuses = (answers[2 * index], answers[2 * index + 1]);
        let ended = (statuses, server.state_of(made).await);
        let name = |call: &Call| format!("{} {} {}", call.method, call.path, (call.body)(made));
        let case = format!("{} and {} at once", name(first), name(second));
        assert!(both_orders[index].contains(&ended), "{case}: {ended:?}, one by one: {:?}", both_orders[index]);
        if first.replaces.is_some() && first.replaces == second.replaces {
            for statuses in [statuses, both_orders[index][0].0, both_orders[index][1].0] {
                assert!(statuses == (200, 409) || statuses == (409, 200), "{case}: {statuses:?}, and one is lost");
            }
        }
        server.delete(made).await;
    }
}

/// Runs the pairs whose place leaves `rest` when divided by `divisor`, and all that replace one
/// thing.
async fn check_chosen(divisor: usize, rest: usize) {
    let server = TestServer::start_with(&[("LUCKYDRAW_MAX_EVENTS", "1000")]).await;
    let pairs = CALLS.iter().enumerate().flat_map(|(place, first)| CALLS[place..].iter().map(move |second| (first, second)));
    let is_chosen = |(place, (first, second)): &(usize, (&Call, &Call))| {
        place % divisor == rest || (first.replaces.is_some() && first.replaces == second.replaces)
    };
    let chosen: Vec<_> = pairs.enumerate().filter(is_chosen).map(|(_, pair)| pair).collect();
    for (round, pairs) in chosen.chunks(PAIRS_AT_ONCE).enumerate() {
        check_pairs(&server, round, pairs).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_of_calls_at_once_ends_as_one_after_the_other() {
    let rest = std::process::id() as usize % PAIRS_PER_CHOSEN;
    println!("pairs {rest} of {PAIRS_PER_CHOSEN}");
    check_chosen(PAIRS_PER_CHOSEN, rest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "all pairs take minutes"]
async fn all_pairs_of_calls_at_once_end_as_one_after_the_other() {
    check_chosen(1, 0).await;
}

#[tokio::test]
async fn a_change_of_what_another_operator_changed_is_refused() {
    let server = TestServer::start().await;
    let made = server.make("gala".into()).await;
    let (id, versions) = (&made.id, &made.versions);
    let put = |body: Value| server.request(Method::PUT, &format!("/api/luckydraw/admin/{id}/prizes/1")).admin().json(&body);
    let changed = put(television(2, &versions[0])).await.ok();
    assert_ne!(changed["version"], versions[0]);
    put(television(3, &versions[0])).await.expect_refusal(409, "PRIZES_OUTDATED");
    put(television(4, &changed["version"])).await.ok();
    for wrong in [json!("1"), json!(null)] {
        put(television(5, &wrong)).await.expect_refusal(422, "INVALID_REQUEST");
    }
    let order =
        |body: Value| server.request(Method::POST, &format!("/api/luckydraw/admin/{id}/prizes/order")).admin().json(&body);
    order(json!({"order": [2, 1], "made_from": [1, 2]})).await.ok();
    order(json!({"order": [2, 1], "made_from": [1, 2]})).await.expect_refusal(409, "PRIZES_OUTDATED");
    order(json!({"order": [1, 2]})).await.expect_refusal(422, "INVALID_REQUEST");

    let correct = |name: &str, version: u32| {
        let mut body = details(name);
        body["version"] = json!(version);
        server.request(Method::PUT, &format!("/api/luckydraw/admin/{id}/winners/1/1")).admin().json(&body)
    };
    assert_eq!(correct("First", 0).await.ok()["details_version"], 1);
    let refused = correct("Second", 0).await;
    refused.expect_refusal(409, "DETAILS_OUTDATED");
    assert_eq!(refused.json()["detail"]["details_version"], 1);
    assert_eq!(correct("Second", 1).await.ok()["details_version"], 2);
    let listed = server.get(&format!("/admin/{id}/winners?unmask=1")).admin().await.ok();
    assert_eq!((&listed["winners"][0]["name"], &listed["winners"][0]["details_version"]), (&json!("Second"), &json!(2)));
}

#[tokio::test]
async fn open_mode_replaces_without_a_version_as_its_old_clients_do() {
    let server = TestServer::start_open().await;
    let made = server.make("gala".into()).await;
    let put = |path: &str, body: Value| {
        server.request(Method::PUT, &format!("/api/luckydraw/admin/{}{path}", made.id)).admin().json(&body)
    };
    let mut prize = television(2, &json!(null));
    prize.as_object_mut().unwrap().remove("version");
    let mut winner = details("A Winner");
    winner.as_object_mut().unwrap().remove("version");
    for _ in 0..2 {
        put("/prizes/1", prize.clone()).await.ok();
        put("/winners/1/1", winner.clone()).await.ok();
    }
    let path = format!("/api/luckydraw/admin/{}/prizes/order", made.id);
    server.request(Method::POST, &path).admin().json(&json!({"order": [2, 1]})).await.ok();
}
