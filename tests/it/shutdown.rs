//! Shutdown: sockets close with 1012, nothing is lost, the exit code is 0.

use crate::event_steps::{EVENT, prize};
use crate::test_server::TestServer;
use futures_util::future::select;
use std::future::IntoFuture;
use std::os::unix::process::ExitStatusExt;

#[tokio::test]
async fn a_stop_closes_sockets_with_1012_and_exits_cleanly() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(3).await;
    let (_, winners) = server.whole_draw(&prize("TV")).await;
    let mut sockets = Vec::new();
    for phone in &phones {
        sockets.push(server.phone_socket(phone).await);
    }
    sockets.push(server.display().await);
    server.terminate();
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, 1012);
    }
    let status = server.ended().await;
    assert_eq!(status.code(), Some(0), "{status}\n{}", server.printed());

    server.restart().await;
    assert_eq!(server.register(1).await, phones[0]);
    assert_eq!(server.public(&format!("/check-winner?draw_number={}", winners[0])).await["won"], true);
    let mut back = server.phone_socket(&phones[0]).await;
    back.drain().await;
}

#[tokio::test]
async fn a_stop_answers_waiting_long_polls() {
    let mut server = TestServer::start_with(&[("LUCKYDRAW_LONG_POLLS_MAX", "1")]).await;
    server.open_event().await;
    let state = server.public("/state").await;
    let path = format!("/state?event_id={EVENT}&since={}&epoch={}", state["seq"], state["epoch"].as_str().unwrap());
    let [one, other] = [(); 2].map(|()| tokio::spawn(server.get(&path).into_future()));
    // One long poll may wait; while it does, the other is refused.
    let (refused, waiting) = select(one, other).await.factor_first();
    refused.unwrap().expect_refusal(503, "OVERLOADED");
    server.terminate();
    assert_eq!(waiting.await.unwrap().ok()["seq"], state["seq"], "it gets a response before the exit");
    assert_eq!(server.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_exits_at_once() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    // A request that never ends keeps the drain waiting.
    let mut open = server.raw_socket(EVENT).await;
    server.terminate();
    open.closed().await;
    server.terminate();
    let status = server.ended().await;
    assert!(status.code().is_some() || status.signal().is_some());
}

#[tokio::test]
async fn a_killed_server_restarts_on_its_port_and_journal() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    for _ in 0..3 {
        let mut socket = server.phone_socket(&phone).await;
        server.kill();
        assert_eq!(socket.closed().await, 1006);
        server.restart().await;
    }
    assert_eq!(server.register(1).await, phone);
    assert_eq!(server.register(2).await.number, 2);
}
