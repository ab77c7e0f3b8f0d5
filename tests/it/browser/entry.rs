//! Who gets in: the code in the QR code that changes, and a burst of registrations as the console
//! sees it.

use super::chromium::{Browser, Page, Screen};
use super::people::open_console;
use crate::event_steps::{EVENT, request_id};
use crate::http_client::RequestBuilder;
use crate::test_server::{TIMEOUT, TestServer};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::time::Instant;

/// Registrations at once, each on its own connection.
const AT_ONCE: u64 = 150;

/// The code in the QR code that the stage shows, once there is one.
async fn shown_code(stage: &Page<'_>) -> String {
    let code = stage.until("new URL(document.querySelector('#code').src).searchParams.get('code')").await;
    code.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_in_the_qr_code_admits_who_scanned_it_and_an_old_one_asks_to_scan_again() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let stage = host.open_beside(Screen::Projector, &server.page(&format!("/lottery?event={EVENT}"))).await;
    stage.until("document.querySelector('#code').src.includes('join.svg')").await;
    server.admin_post("entry-code", &json!({"rotates": true})).await.ok();
    let code = shown_code(&stage).await;
    assert_eq!(stage.text("#entry-code").await, "", "there are no digits to type");
    let drawn = "document.querySelector('#code').complete && document.querySelector('#code').naturalWidth > 0";
    stage.until(drawn).await;

    let scanned = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}#code={code}"))).await;
    assert_eq!(scanned.join().await, 1, "one tap, and nothing to type");
    // As from a photo that is too old, and from a link without a code.
    for address in [format!("/j/{EVENT}#code=ZZZZZZ"), format!("/j/{EVENT}")] {
        let late = browser.open(Screen::Phone, &server.page(&address)).await;
        late.click("#join-button").await;
        late.until_text("#join-wrong", "다시 찍어").await;
    }
    assert_eq!(server.public("/state").await["state_sync"]["participant_count"], 1);
    server.admin_post("entry-code", &json!({"entry_code": null})).await.ok();
    stage.until("!document.querySelector('#code').src.includes('code=')").await;
    browser.assert_no_errors(&["status of 403"]).await;
}

/// Registers many phones at once, from the request of this index on.
async fn register_at_once(server: &TestServer, from: u64) {
    let register =
        |index| -> RequestBuilder { server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(index)})) };
    join_all((from..from + AT_ONCE).map(|index| register(index).into_future())).await;
}

/// Registers phones until the server sees a burst.
async fn make_burst(server: &TestServer) {
    let (deadline, mut next) = (Instant::now() + TIMEOUT, 1);
    while server.admin_get("stats").await["registrations"]["burst"].is_null() {
        assert!(Instant::now() < deadline, "so many at once are a burst");
        register_at_once(server, next).await;
        next += AT_ONCE;
    }
}

/// Presses a button of the alert. It shows the last minute, so a slow machine may need another
/// burst.
async fn press(host: &Page<'_>, server: &TestServer, button: &str) {
    let deadline = Instant::now() + TIMEOUT;
    while host.run("return document.querySelector('#registration-alert').hidden", vec![]).await == true {
        assert!(Instant::now() < deadline, "the alert shows");
        register_at_once(server, 500_000).await;
    }
    host.click(button).await;
}

#[tokio::test]
async fn the_console_sees_a_burst_and_can_raise_the_size_require_the_code_close_and_remove_it() {
    let server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [], "participants_max": 20_000})).await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.until("document.querySelector('#registration-alert').hidden").await;
    make_burst(&server).await;
    host.until("!document.querySelector('#registration-alert').hidden").await;
    host.until_text("#registration-figures", "비정상").await;

    host.click("#alert-remove").await;
    host.click("dialog [data-answer=yes]").await;
    host.until_text("#notes", "삭제했습니다").await;
    assert_eq!(server.admin_get("participants").await["total_count"], 0, "all of them came in the burst");

    press(&host, &server, "#alert-raise").await;
    host.fill("dialog [name=participants_max]", "30000").await;
    host.click("dialog [data-answer=yes]").await;
    until(&server, "the size is raised", |event| event["participants_max"] == 30_000).await;
    press(&host, &server, "#alert-rotate").await;
    until(&server, "the code is required", |event| event["entry_code_rotates"] == true).await;
    let joins = server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(900_000)}));
    joins.clone().await.expect_refusal(403, "FORBIDDEN");
    press(&host, &server, "#alert-close").await;
    until(&server, "registration is closed", |event| event["phase"] == "drawing").await;
    joins.await.expect_refusal(403, "REGISTRATION_CLOSED");
    browser.assert_no_errors(&[]).await;
}

/// Waits until the event is as described.
async fn until(server: &TestServer, what: &str, holds: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let path = format!("/api/luckydraw/admin/events/{EVENT}");
        let event = server.request(hyper::Method::GET, &path).admin().await.ok();
        if holds(&event) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {event}");
    }
}
