//! The log: no line holds a secret, and a refused upgrade has one line.

use crate::event_steps::{EVENT, prize};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use crate::websocket_client::Socket;
use serde_json::json;

#[tokio::test]
async fn no_log_line_holds_a_secret_a_name_or_a_query() {
    let mut server = TestServer::start_with(&[("LUCKYDRAW_LOG", "trace")]).await;
    server.open_event().await;
    let phone = server.register(1).await;
    let (draw, _) = server.whole_draw(&prize("TV")).await;
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "홍길동", "phone": "010-1234-5678", "consent": true});
    server.post("/winner-info").bearer(&phone.token).json(&form).await.ok();
    server.get(&format!("/my-number?event_id={EVENT}&session_token={}&marker=query-marker", phone.token)).await.ok();
    let mut socket = server.socket(EVENT, &format!("?token={}&marker=query-marker", phone.token)).await;
    socket.send_json(&json!({"type": "identify", "session_token": phone.token})).await;
    socket.drain().await;
    server.display().await.drain().await;
    server.post("/admin/events").bearer("a-wrong-admin-token").json(&json!({})).await.expect_refusal(401, "UNAUTHORIZED");
    server.post("/register").json(&json!({"event_id": 7, "name": "body-marker"})).await.expect_refusal(422, "INVALID_REQUEST");
    server.terminate();
    server.ended().await;
    let printed = server.printed();
    assert!(printed.contains("listening on"), "the output was captured");
    let (token, code) = (phone.token.as_str(), phone.recovery_code.as_str());
    for secret in
        [ADMIN_TOKEN, token, code, "홍길동", "010-1234-5678", "01012345678", "query-marker", "a-wrong-admin-token", "body-marker"]
    {
        let line = printed.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {line:?}");
    }
}

#[tokio::test]
async fn a_refused_upgrade_says_why_in_one_line() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let refused = Socket::try_connect(server.address, EVENT, "", &[("origin", "https://elsewhere.example")]).await;
    assert!(refused.is_err(), "another origin's page gets no socket");
    server.terminate();
    server.ended().await;
    let printed = server.printed();
    let lines: Vec<_> =
        printed.lines().filter(|line| line.contains("upgrade") && line.to_lowercase().contains("origin")).collect();
    assert_eq!(lines.len(), 1, "{printed}");
}
