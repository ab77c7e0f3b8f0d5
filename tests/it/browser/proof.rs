//! A draw by the hall's words on the pages: the console types them, the stage shows lock, words and
//! code, a phone computes the same code, and the verify page agrees with what the phone heard.

use super::chromium::{Browser, Screen};
use super::people::open_console;
use crate::event_steps::EVENT;
use crate::proof::beacon::{self, Conduct, Relay};
use crate::test_server::TestServer;
use serde_json::json;

#[tokio::test]
async fn the_halls_words_decide_and_stage_and_phone_show_one_code() {
    let server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [], "outside": "hall"})).await;
    server.add_prize("TV").await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let stage = host.open_beside(Screen::Projector, &server.page(&format!("/lottery/main?event={EVENT}"))).await;
    let phones = [
        browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await,
        browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await,
    ];
    for phone in &phones {
        phone.join().await;
    }
    host.open_tab("show").await;
    host.press_step("standby").await;
    host.press_step("start").await;
    stage.until_text("#remark", "외칠 말").await;
    for phone in &phones {
        phone.until_text("#proof", "추첨 명단에 있음").await;
    }
    host.press_step("outside").await;
    host.fill("[data-field=words]", "Red 7").await;
    host.click("[data-answer=yes]").await;
    host.until_text("dialog h2", "red7").await;
    host.click("[data-answer=yes]").await;
    stage.until_text("#remark", "red7").await;
    host.press_step("reveal").await;
    stage.until_text("#remark", "확인 코드").await;
    let shown = stage.text("#remark").await;
    let code = shown.split("확인 코드 ").nth(1).unwrap()[..9].to_owned();
    for phone in &phones {
        phone.until(&format!("document.querySelector('#proof').textContent.includes({})", json!(code))).await;
        phone.go(&server.page(&format!("/lottery/verify?event={EVENT}"))).await;
        phone.until_state("holds").await;
        phone.until_text("#draws", &code).await;
        phone.until("!document.querySelector('#receipt').hidden").await;
        phone.until_text("#draws .heard", "이 잠금을 받아 두었고").await;
    }
    let head = server.public("/proof").await["draws"][0]["head"].as_str().unwrap().to_owned();
    let address = |head: &str| server.page(&format!("/lottery/verify?event={EVENT}&again={head}#head={head}"));
    phones[0].go(&address(&head)).await;
    phones[0].until_state("holds").await;
    phones[0].go(&address(&"0".repeat(64))).await;
    phones[0].until_state("fails").await;
    phones[0].until_text("#problems", "무대가 보인 잠금").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_round_of_drand_decides_and_the_stage_s_code_leads_to_its_proof() {
    let relay = Relay::start(Conduct::Missing);
    let server = beacon::serve(&[&relay]).await;
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [], "outside": "none"})).await;
    server.add_prize("TV").await;
    server.add_prize("Mug").await;
    server.register_many(2).await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let stage = host.open_beside(Screen::Projector, &server.page(&format!("/lottery/main?event={EVENT}"))).await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    phone.join().await;
    host.open_tab("event").await;
    host.choose("#settings [data-field=outside]", "drand-or-hall").await;
    host.click("#settings button.main").await;
    host.open_tab("show").await;
    host.press_step("standby").await;
    host.press_step("start").await;
    stage.until_text("#remark", "회를 기다립니다").await;
    host.until_text("#step", "drand").await;
    relay.turn(Conduct::Honest);
    host.press_step("reveal").await;
    stage.until_text("#remark", "확인 코드").await;
    stage.until("!document.querySelector('#proof-code').hidden").await;
    let code = stage.text("#remark").await.split("확인 코드 ").nth(1).unwrap()[..9].to_owned();
    phone.until(&format!("document.querySelector('#proof').textContent.includes({})", json!(code))).await;
    let head = server.public("/proof").await["draws"][0]["head"].as_str().unwrap().to_owned();
    stage.until(&format!("document.querySelector('#proof-code').src.includes({})", json!(head))).await;
    phone.go(&server.page(&format!("/lottery/verify?event={EVENT}#head={head}"))).await;
    phone.until_state("holds").await;
    phone.until_text("#draws", "quicknet이 아닌").await;
    // A second draw, whose round does not come.
    relay.turn(Conduct::Missing);
    host.press_step("standby").await;
    host.press_step("start").await;
    host.click("#fallback").await;
    host.fill("[data-field=reason]", "no network").await;
    host.click("[data-answer=yes]").await;
    stage.until_text("#remark", "외칠 말").await;
    host.press_step("outside").await;
    host.fill("[data-field=words]", "Red 7").await;
    host.click("[data-answer=yes]").await;
    host.until_text("dialog h2", "red7").await;
    host.click("[data-answer=yes]").await;
    host.press_step("reveal").await;
    stage.until_text("#remark", "확인 코드").await;
    phone.go(&server.page(&format!("/lottery/verify?event={EVENT}&again=1"))).await;
    phone.until_text("#draws", "no network").await;
    phone.until_state("holds").await;
    browser.assert_no_errors(&[]).await;
}
