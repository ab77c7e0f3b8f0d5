//! The console as operators use it: by keyboard only, pressed twice, and with a second operator at
//! another console.

use super::chromium::{Browser, Screen};
use super::people::{ENTER, SPACE, TAB, open_console};
use crate::event_steps::EVENT;
use crate::test_server::{ADMIN_TOKEN, TestServer};
use hyper::Method;
use serde_json::json;

/// Limit of Tab presses until the main button has the focus.
const TABS_MAX: usize = 40;

/// The step on the main button once the winners are known and its pause has ended.
const AFTER_REVEAL: &str = "(({ disabled, dataset: { step } }) =>
    (step === 'exhausted' || (step === 'complete' && !disabled)) && step)(document.querySelector('#step'))";

/// A WebSocket that ignores messages while `ignoresMessages` is set.
const IGNORE_MESSAGES: &str = "const Plain = WebSocket; self.WebSocket = class extends Plain {
    set onmessage(handle) { super.onmessage = handle && ((event) => self.ignoresMessages || handle(event)); } };";

#[tokio::test]
async fn a_draw_is_run_by_keyboard_and_a_double_press_is_one_step() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let host = browser.open(Screen::Desktop, &server.page(&format!("/lottery/admin?event={EVENT}"))).await;
    host.until("document.activeElement.id === 'login-token'").await;
    host.press(ADMIN_TOKEN).await;
    host.press(ENTER).await;
    host.until("document.querySelector('#step[data-step=standby]:not(:disabled)') !== null").await;
    let mut tabs = 0;
    while host.run("return document.activeElement.id", vec![]).await != "step" {
        assert!(tabs < TABS_MAX, "the main button is reached by Tab");
        host.press(TAB).await;
        tabs += 1;
    }
    for (keys, next) in [(SPACE.repeat(2), "start"), (ENTER.repeat(2), "reveal")] {
        host.press(&keys).await;
        // After the button's pause, a second step would be visible.
        host.until(&format!(
            "document.querySelector('#step').dataset.step !== '{}'",
            if next == "start" { "standby" } else { "start" }
        ))
        .await;
        host.until("!document.querySelector('#step').disabled").await;
        assert_eq!(
            host.run("return document.querySelector('#step').dataset.step", vec![]).await,
            next,
            "two presses are one step"
        );
    }
    host.press(SPACE).await;
    // Without a stage, the console announces, or the server at its deadline.
    if host.until(AFTER_REVEAL).await == "complete" {
        host.press(SPACE).await;
    }
    host.until("document.querySelector('#step').dataset.step === 'exhausted'").await;
    assert_eq!(server.admin_get("draws").await["draws"].as_array().unwrap().len(), 1);
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn the_first_draw_of_more_prizes_than_people_is_possible_as_it_is_preselected() {
    let server = TestServer::start().await;
    server.open_event().await;
    let coupon = json!({"prize_name": "쿠폰", "prize_rank": 3, "quantity": 10, "draw_mode": "list", "winner_count": 10});
    server.admin_post("prizes", &coupon).await.expect_data(201);
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.press_step("standby").await;
    host.until_text("#notes", "참가자가 있는지").await;
    server.register_many(2).await;
    host.until("document.querySelector('#count').value === '2'").await;
    host.fill("#count", "5").await;
    host.press(TAB).await;
    host.press_step("standby").await;
    host.until_text("#notes", "2명까지").await;
    host.until("document.querySelector('#count').value === '2'").await;
    host.press_step("standby").await;
    host.press_step("start").await;
    host.press_step("reveal").await;
    host.until(AFTER_REVEAL).await;
    assert_eq!(server.admin_get("draws").await["draws"].as_array().unwrap().len(), 2, "a row for each winner");
    browser.assert_no_errors(&["status of 400"]).await;
}

#[tokio::test]
async fn the_slower_of_two_operators_is_notified_and_one_draw_starts() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let path = format!("/lottery/admin?event={EVENT}");
    let fast = open_console(&browser, &server, &path).await;
    let slow = browser.open_blank(Screen::Desktop).await;
    slow.command("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({"source": IGNORE_MESSAGES})).await;
    slow.go(&server.page(&path)).await;
    slow.fill("#login-token", ADMIN_TOKEN).await;
    slow.press(ENTER).await;
    fast.press_step("standby").await;
    slow.until("document.querySelector('#step[data-step=start]:not(:disabled)') !== null").await;
    slow.run("self.ignoresMessages = true", vec![]).await;
    fast.press_step("start").await;
    fast.press_step("reveal").await;
    fast.until(AFTER_REVEAL).await;
    slow.press_step("start").await;
    slow.until_text("#notes", "다른 진행자가 먼저").await;
    assert_eq!(server.admin_get("draws").await["draws"].as_array().unwrap().len(), 1, "one draw, whichever operator pressed");
    browser.assert_no_errors(&["status of 409"]).await;
}

#[tokio::test]
async fn the_console_tells_that_the_clock_is_not_trusted_until_an_operator_confirms_it() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("event").await;
    host.until("document.querySelector('#confirm-clock') !== null").await;
    host.click("#confirm-clock").await;
    host.until("document.querySelector('#confirm-clock') === null").await;
    let clock = server.request(Method::GET, "/api/luckydraw/admin/clock").admin().await.ok();
    assert_eq!(clock["trust"], "steady");
    browser.assert_no_errors(&[]).await;
}
