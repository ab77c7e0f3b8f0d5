//! What is logged, and what never is.

use crate::show::{EVENT, prize};
use crate::socket::Socket;
use crate::test_server::{ADMIN_TOKEN, TestServer};
use serde_json::json;

#[tokio::test]
async fn no_log_line_holds_a_secret_a_name_or_a_query() {
    let mut house = TestServer::start_with(&[("LUCKYDRAW_LOG", "trace")]).await;
    house.open_event().await;
    let phone = house.register(1).await;
    let (draw, _) = house.whole_draw(&prize("TV")).await;
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "홍길동", "phone": "010-1234-5678", "consent": true});
    house.post("/winner-info").bearer(&phone.token).json(&form).await.ok();
    house.get(&format!("/my-number?event_id={EVENT}&session_token={}&marker=query-marker", phone.token)).await.ok();
    let mut socket = house.socket(EVENT, &format!("?token={}&marker=query-marker", phone.token)).await;
    socket.say(&json!({"type": "identify", "session_token": phone.token})).await;
    socket.settle().await;
    house.display().await.settle().await;
    house.post("/admin/events").bearer("a-wrong-admin-token").json(&json!({})).await.refused(401, "UNAUTHORIZED");
    house.post("/register").json(&json!({"event_id": 7, "name": "body-marker"})).await.refused(422, "INVALID_REQUEST");
    house.terminate();
    house.ended().await;
    let printed = house.printed();
    assert!(printed.contains("listening on"), "the output is there to be looked at");
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
    let mut house = TestServer::start().await;
    house.open_event().await;
    let refused = Socket::try_connect(house.address, EVENT, "", &[("origin", "https://elsewhere.example")]).await;
    assert!(refused.is_err(), "a foreign page gets no socket");
    house.terminate();
    house.ended().await;
    let printed = house.printed();
    let lines: Vec<_> =
        printed.lines().filter(|line| line.contains("upgrade") && line.to_lowercase().contains("origin")).collect();
    assert_eq!(lines.len(), 1, "{printed}");
}
