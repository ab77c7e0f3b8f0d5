//! Signed links: each opens what its role may, in its event alone, until it is revoked.

use crate::http::Ask;
use crate::show::{EVENT, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

/// A link's id and token.
async fn make(house: &TestServer, role: &str) -> (u64, String) {
    let link = house.admin(Method::POST, "links").json(&json!({"role": role})).await.granted(201);
    assert_eq!(link["role"], role);
    assert!(link["path"].as_str().unwrap().starts_with("/lottery/"), "{link}");
    (link["link_id"].as_u64().unwrap(), link["token"].as_str().unwrap().to_owned())
}

fn call(house: &TestServer, method: Method, event: &str, path: &str, token: &str) -> Ask {
    house.ask(method, &format!("/api/luckydraw/admin/{event}/{path}")).bearer(token)
}

#[tokio::test]
async fn each_role_reaches_its_own_calls() {
    let house = TestServer::start().await;
    house.open_event().await;
    house.register_many(2).await;
    let (display, staff, host) = (make(&house, "display").await.1, make(&house, "staff").await.1, make(&house, "host").await.1);
    house.admin(Method::POST, "links").json(&json!({"role": "king"})).await.refused(422, "INVALID_REQUEST");

    call(&house, Method::GET, EVENT, "draws", &display).await.refused(403, "FORBIDDEN");
    call(&house, Method::GET, EVENT, "winners", &staff).await.ok();
    call(&house, Method::GET, EVENT, "winners?unmask=1", &staff).await.refused(403, "FORBIDDEN");
    call(&house, Method::PATCH, EVENT, "participants/1", &staff).json(&json!({"eligible": false})).await.ok();
    call(&house, Method::POST, EVENT, "draw/standby", &staff).json(&prize("TV")).await.refused(403, "FORBIDDEN");
    call(&house, Method::POST, EVENT, "draw/standby", &host).json(&prize("TV")).await.ok();
    call(&house, Method::POST, EVENT, "reset", &host).json(&json!({})).await.refused(403, "FORBIDDEN");
    call(&house, Method::GET, EVENT, "audit", &host).await.refused(403, "FORBIDDEN");
    house.get("/admin/events").bearer(&host).await.refused(401, "UNAUTHORIZED");

    for (role, token, welcome) in [
        ("display", &display, true),
        ("display", &host, true),
        ("admin", &host, true),
        ("admin", &display, false),
        ("display", &staff, false),
        ("admin", &staff, false),
    ] {
        let mut socket = house.socket(EVENT, &format!("?role={role}")).await;
        socket.say(&json!({"type": "auth", "token": token})).await;
        match welcome {
            true => drop(socket.until("state_sync").await),
            false => assert_eq!(socket.closed().await, 4401, "{role}"),
        }
    }
}

#[tokio::test]
async fn a_link_is_of_one_event_and_ends_when_it_is_revoked() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    house.open_event_with(json!({"event_id": "other", "title": "Other", "prizes": []})).await;
    let (id, token) = make(&house, "host").await;
    call(&house, Method::GET, "other", "stats", &token).await.refused(401, "UNAUTHORIZED");
    house.kill();
    house.restart().await;
    call(&house, Method::GET, EVENT, "stats", &token).await.ok();
    house.admin(Method::DELETE, &format!("links/{id}")).await.ok();
    call(&house, Method::GET, EVENT, "stats", &token).await.refused(401, "UNAUTHORIZED");
    let listed = house.look("links").await;
    assert!(listed["links"][0]["revoked_at"].is_string() && listed["links"][0].get("token").is_none(), "{listed}");
    house.admin(Method::DELETE, "links/77").await.refused(404, "NOT_FOUND");
}

#[tokio::test]
async fn whoever_holds_a_revoked_link_is_sent_out_and_whoever_does_not_comes_back() {
    let house = TestServer::start().await;
    house.open_event().await;
    let (link, token) = make(&house, "display").await;
    let mut guest = house.socket(EVENT, &format!("?role=display&token={token}")).await;
    guest.until("state_sync").await;
    let (mut own, mut console, mut phone) = (house.display().await, house.console().await, house.socket(EVENT, "").await);
    phone.until("state_sync").await;
    house.admin(Method::DELETE, &format!("links/{link}")).await.ok();
    assert_eq!(guest.closed().await, 1012);
    assert_eq!(own.closed().await, 1012, "nobody remembers which display came by which link, so that each proves itself again");
    assert_eq!(house.socket(EVENT, &format!("?role=display&token={token}")).await.closed().await, 4401);
    house.display().await.settle().await;
    console.settle().await;
    phone.settle().await;
}
