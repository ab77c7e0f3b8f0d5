//! Signed links: each grants the calls of its role, in its own event, until it is revoked.

use crate::event_steps::{EVENT, prize};
use crate::http_client::RequestBuilder;
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

/// Creates a link and returns its id and token.
async fn create_link(server: &TestServer, role: &str) -> (u64, String) {
    let link = server.admin(Method::POST, "links").json(&json!({"role": role})).await.expect_data(201);
    assert_eq!(link["role"], role);
    assert!(link["path"].as_str().unwrap().starts_with("/lottery/"), "{link}");
    (link["link_id"].as_u64().unwrap(), link["token"].as_str().unwrap().to_owned())
}

fn call(server: &TestServer, method: Method, event: &str, path: &str, token: &str) -> RequestBuilder {
    server.request(method, &format!("/api/luckydraw/admin/{event}/{path}")).bearer(token)
}

#[tokio::test]
async fn each_role_reaches_its_own_calls() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(2).await;
    let (display, staff, host) =
        (create_link(&server, "display").await.1, create_link(&server, "staff").await.1, create_link(&server, "host").await.1);
    server.admin(Method::POST, "links").json(&json!({"role": "unknown"})).await.expect_refusal(422, "INVALID_REQUEST");

    call(&server, Method::GET, EVENT, "draws", &display).await.expect_refusal(403, "FORBIDDEN");
    call(&server, Method::GET, EVENT, "winners", &staff).await.ok();
    call(&server, Method::GET, EVENT, "winners?unmask=1", &staff).await.expect_refusal(403, "FORBIDDEN");
    call(&server, Method::PATCH, EVENT, "participants/1", &staff).json(&json!({"eligible": false})).await.ok();
    call(&server, Method::POST, EVENT, "draw/standby", &staff).json(&prize("TV")).await.expect_refusal(403, "FORBIDDEN");
    call(&server, Method::POST, EVENT, "draw/standby", &host).json(&prize("TV")).await.ok();
    call(&server, Method::POST, EVENT, "reset", &host).json(&json!({})).await.expect_refusal(403, "FORBIDDEN");
    call(&server, Method::GET, EVENT, "audit", &host).await.expect_refusal(403, "FORBIDDEN");
    server.get("/admin/events").bearer(&host).await.expect_refusal(401, "UNAUTHORIZED");

    for (role, token, is_accepted) in [
        ("display", &display, true),
        ("display", &host, true),
        ("admin", &host, true),
        ("admin", &display, false),
        ("display", &staff, false),
        ("admin", &staff, false),
    ] {
        let mut socket = server.socket(EVENT, &format!("?role={role}")).await;
        socket.send_json(&json!({"type": "auth", "token": token})).await;
        match is_accepted {
            true => drop(socket.until("state_sync").await),
            false => assert_eq!(socket.closed().await, 4401, "{role}"),
        }
    }
}

#[tokio::test]
async fn a_link_works_in_one_event_until_it_is_revoked() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.open_event_with(json!({"event_id": "other", "title": "Other", "prizes": []})).await;
    let (id, token) = create_link(&server, "host").await;
    call(&server, Method::GET, "other", "stats", &token).await.expect_refusal(401, "UNAUTHORIZED");
    server.kill();
    server.restart().await;
    call(&server, Method::GET, EVENT, "stats", &token).await.ok();
    server.admin(Method::DELETE, &format!("links/{id}")).await.ok();
    call(&server, Method::GET, EVENT, "stats", &token).await.expect_refusal(401, "UNAUTHORIZED");
    let listed = server.admin_get("links").await;
    assert!(listed["links"][0]["revoked_at"].is_string() && listed["links"][0].get("token").is_none(), "{listed}");
    server.admin(Method::DELETE, "links/77").await.expect_refusal(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_revoked_link_cannot_reconnect_and_other_operators_can() {
    let server = TestServer::start().await;
    server.open_event().await;
    let (link, token) = create_link(&server, "display").await;
    let mut linked = server.socket(EVENT, &format!("?role=display&token={token}")).await;
    linked.until("state_sync").await;
    let (mut display, mut console, mut phone) = (server.display().await, server.console().await, server.socket(EVENT, "").await);
    phone.until("state_sync").await;
    server.admin(Method::DELETE, &format!("links/{link}")).await.ok();
    assert_eq!(linked.closed().await, 1012);
    assert_eq!(
        display.closed().await,
        1012,
        "the server does not know which display used which link, so each has to authenticate again"
    );
    assert_eq!(server.socket(EVENT, &format!("?role=display&token={token}")).await.closed().await, 4401);
    server.display().await.drain().await;
    console.drain().await;
    phone.drain().await;
}
