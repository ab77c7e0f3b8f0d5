//! A stop: sockets are told to come back, everything is kept, the exit is clean.

use crate::show::{EVENT, prize};
use crate::test_server::TestServer;
use futures_util::future::select;
use std::future::IntoFuture;
use std::os::unix::process::ExitStatusExt;

#[tokio::test]
async fn a_stop_tells_sockets_to_come_back_and_ends_cleanly() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    let phones = house.register_many(3).await;
    let (_, winners) = house.whole_draw(&prize("TV")).await;
    let mut sockets = Vec::new();
    for phone in &phones {
        sockets.push(house.phone_socket(phone).await);
    }
    sockets.push(house.display().await);
    house.terminate();
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, 1012);
    }
    let status = house.ended().await;
    assert_eq!(status.code(), Some(0), "{status}\n{}", house.printed());

    house.restart().await;
    assert_eq!(house.register(1).await, phones[0]);
    assert_eq!(house.public(&format!("/check-winner?draw_number={}", winners[0])).await["won"], true);
    let mut back = house.phone_socket(&phones[0]).await;
    back.settle().await;
}

#[tokio::test]
async fn a_stop_answers_phones_that_wait_for_news() {
    let mut house = TestServer::start_with(&[("LUCKYDRAW_LONG_POLLS_MAX", "1")]).await;
    house.open_event().await;
    let state = house.public("/state").await;
    let path = format!("/state?event_id={EVENT}&since={}&epoch={}", state["seq"], state["epoch"].as_str().unwrap());
    let [one, other] = [(); 2].map(|()| tokio::spawn(house.get(&path).into_future()));
    // One may wait: once it has its place, the other is refused.
    let (refused, waiting) = select(one, other).await.factor_first();
    refused.unwrap().refused(503, "OVERLOADED");
    house.terminate();
    assert_eq!(waiting.await.unwrap().ok()["seq"], state["seq"], "it is answered, not cut off");
    assert_eq!(house.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    // A request that never ends keeps the drain waiting.
    let mut lingering = house.raw_socket(EVENT).await;
    house.terminate();
    lingering.closed().await;
    house.terminate();
    let status = house.ended().await;
    assert!(status.code().is_some() || status.signal().is_some());
}

#[tokio::test]
async fn a_killed_server_finds_its_port_and_journal_again() {
    let mut house = TestServer::start().await;
    house.open_event().await;
    let phone = house.register(1).await;
    for _ in 0..3 {
        let mut socket = house.phone_socket(&phone).await;
        house.kill();
        assert_eq!(socket.closed().await, 1006);
        house.restart().await;
    }
    assert_eq!(house.register(1).await, phone);
    assert_eq!(house.register(2).await.number, 2);
}
