//! Operators at work: lists that stay under their hands, a presenter's clicker, another operator,
//! and what they typed.

use super::chromium::{Browser, Screen};
use super::instant::open_console_with_stage_link;
use super::people::{SPACE, open_console};
use crate::event_steps::EVENT;
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

const PAGE_DOWN: &str = "\u{e00f}";
const ARROW_RIGHT: &str = "\u{e014}";

#[tokio::test]
async fn lists_stay_under_the_hand_while_people_join() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    for name in ["자전거", "머그컵"] {
        server.add_prize(name).await;
    }
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = browser.open(Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    server.whole_draw(&json!({"prize_id": 1})).await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') && document.querySelector('[data-absent]')").await;
    let mark = "self.marked = ['#stages select', '[data-absent]', '#run li', '.current-draw > *'].map((each) => document.querySelector(each));
        document.querySelector('[data-absent]').focus()";
    host.run(mark, vec![]).await;
    // The second press takes the first one back, three seconds at most after it.
    host.press(SPACE).await;
    host.until_text("[data-absent]", "눌러서 멈추기").await;
    server.register(4).await;
    host.until("document.querySelector('#fig-registered').innerText === '4'").await;
    let kept = "return [self.marked.every((each) => each.isConnected), document.activeElement === self.marked[1]]";
    assert_eq!(host.run(kept, vec![]).await, json!([true, true]));
    host.press(SPACE).await;
    host.until_text("[data-absent]", "부재").await;
    // A stage reports every second, and an open menu stays.
    host.run("document.querySelector('#stages select').focus()", vec![]).await;
    stage.press("b").await;
    host.until_text("#stages li", "암전").await;
    assert_eq!(host.run("return document.activeElement === self.marked[0]", vec![]).await, true);
    let draws = server.admin_get("draws").await;
    assert_eq!(draws["draws"].as_array().unwrap().len(), 1, "nothing was voided");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_presenter_s_clicker_works_on_console_and_stage() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(61).await;
    let list = json!({"prize_name": "쿠폰", "prize_rank": 1, "quantity": 61, "draw_mode": "list", "winner_count": 61});
    server.admin_post("prizes", &list).await.expect_data(201);
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = browser.open(Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    host.run("document.activeElement.blur()", vec![]).await;
    host.press("b").await;
    stage.until("document.body.dataset.black !== undefined").await;
    host.until("document.querySelector('#stages [data-action=black][aria-pressed=true]') !== null").await;
    host.press(".").await;
    stage.until("document.body.dataset.black === undefined").await;
    for (step, key) in [("standby", PAGE_DOWN), ("start", ARROW_RIGHT), ("reveal", PAGE_DOWN)] {
        host.until(&format!("document.querySelector('#step[data-step={step}]:not(:disabled)') !== null")).await;
        host.press(key).await;
    }
    stage.until("document.body.dataset.settled === 'true' && document.body.dataset.page").await;
    let press = "return arguments[0].map((key) => {
        document.dispatchEvent(new KeyboardEvent('keydown', { key }));
        return document.body.dataset.page;
    })";
    let turned = stage.run(press, vec![json!(["PageDown", "PageUp", "ArrowRight", "ArrowLeft"])]).await;
    let (one, two) = (json!("1/2"), json!("2/2"));
    let expected = [[&two, &one, &two, &one], [&one, &two, &one, &two]];
    assert!(expected.iter().any(|pages| json!(pages) == turned), "each key turns a page: {turned}");
    stage.press("b").await;
    stage.until("document.body.dataset.black !== undefined").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn the_console_says_which_operator_took_a_step() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(2).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let admin = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let link = server.admin_post("links", &json!({"role": "host"})).await.expect_data(201);
    let host = browser.open(Screen::Desktop, &server.page(link["path"].as_str().unwrap())).await;
    admin.until("document.querySelector('#step[data-step=standby]:not(:disabled)') !== null").await;
    host.press_step("standby").await;
    admin.until_text("#notes", &format!("진행자 {}", link["link_id"])).await;
    admin.press_step("start").await;
    host.until_text("#notes", "다른 관리자").await;
    let told = admin.run("return document.querySelector('#notes').innerText.includes('다른 관리자')", vec![]).await;
    assert_eq!(told, false, "its own step is no news");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_refused_save_keeps_what_was_typed_and_a_lost_drag_stops_no_refresh() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("prizes").await;
    host.until("document.querySelector('#prizes [data-prize]') !== null").await;
    host.run("[...document.querySelectorAll('#prizes button')].find((button) => button.textContent === '수정').click()", vec![])
        .await;
    host.fill("dialog[open] [data-field=prize_name]", "빨간 자전거").await;
    let mut other = json!({"prize_name": "파란 자전거", "prize_rank": 1, "quantity": 2});
    other["version"] = server.admin_get("prizes").await["prizes"][0]["version"].clone();
    server.admin(Method::PUT, "prizes/1").json(&other).await.ok();
    host.click("dialog[open] [data-answer=yes]").await;
    host.until_text("#notes", "다른 진행자가 경품을").await;
    host.until("document.querySelector('dialog[open] [data-field=prize_name]')?.value === '빨간 자전거'").await;
    host.click("dialog[open] [data-answer=yes]").await;
    host.until_text("#prizes", "빨간 자전거").await;
    assert_eq!(host.run("return document.querySelector('dialog[open]')", vec![]).await, Value::Null);
    let drag = "const row = document.querySelector('#prizes [data-prize]');
        for (const name of ['dragstart', 'dragend']) row.dispatchEvent(new DragEvent(name, { bubbles: true }));";
    host.run(drag, vec![]).await;
    server.add_prize("머그컵").await;
    host.until_text("#prizes", "머그컵").await;
    browser.assert_no_errors(&["409"]).await;
}
