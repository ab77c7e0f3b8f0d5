//! The last seconds and the moment of a draw on every page, and no second screen that ends the
//! suspense.

use super::chromium::{Browser, Page, Screen};
use super::people::{ENTER, open_console};
use crate::event_steps::EVENT;
use crate::faulty_proxy::{Fault, faulty_proxy};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use serde_json::json;

/// Notes when the body's state and settling change, by the page's own clock.
const NOTE_TURNS: &str = "self.turns = [];
    new MutationObserver(() => {
        const { state, settled, draw, count, rolling, moment } = document.body.dataset;
        self.turns.push({ state, settled, draw, count, rolling, moment, at: Date.now() });
    }).observe(document, { attributes: true, subtree: true, attributeFilter: ['data-state', 'data-settled', 'data-count', 'data-rolling', 'data-moment'] });";

/// Opens a window that notes its turns.
pub async fn open_noted<'b>(browser: &'b Browser, screen: Screen, address: &str) -> Page<'b> {
    let page = browser.open_blank(screen).await;
    page.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": NOTE_TURNS})).await;
    page.go(address).await;
    page
}

/// Opens the console, and makes a link to a stage there.
pub async fn open_console_with_stage_link<'b>(browser: &'b Browser, server: &TestServer) -> (Page<'b>, String) {
    let host = open_console(browser, server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("links").await;
    let stage_link = host.make_link("display").await;
    (host, stage_link)
}

#[tokio::test]
async fn the_last_seconds_count_down_on_the_stage_and_every_phone() {
    let server = TestServer::start().await;
    server.open_event().await;
    let prize = json!({"prize_name": "자전거", "prize_rank": 1, "quantity": 1, "show_seconds": 5});
    server.admin_post("prizes", &prize).await.expect_data(201);
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("links").await;
    host.until("!document.querySelector('#unreachable').hidden").await;
    let stage_link = host.make_link("display").await;
    let stage = open_noted(&browser, Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    stage.until_text("#unreachable", "이 컴퓨터에서만").await;
    let mut phones = Vec::new();
    for _ in 0..2 {
        let phone = open_noted(&browser, Screen::Phone, &server.page(&format!("/lottery/waiting?event={EVENT}"))).await;
        phone.join().await;
        phones.push(phone);
    }
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    for step in ["standby", "start"] {
        host.press_step(step).await;
    }
    for phone in &phones {
        phone.until("document.querySelectorAll('#roll .strip').length === 3").await;
    }
    host.press_step("reveal").await;
    stage.until("document.body.dataset.settled === 'true'").await;
    let mut ends = Vec::new();
    for phone in &phones {
        phone.until("['won', 'lost'].includes(document.body.dataset.state) && document.body.dataset.moment !== undefined").await;
        assert!(
            phone.run("return document.querySelector('#roll') === null", vec![]).await == true,
            "the roll ends at the moment"
        );
        ends.push(phone.state().await);
    }
    ends.sort();
    assert_eq!(ends, ["lost", "won"]);
    // A busy machine may render late; a second is then not shown at all, and never out of order.
    let seconds =
        "return self.turns.map((turn) => turn.count).filter((count, at, all) => count && count !== all[at - 1]).join('')";
    for page in phones.iter().chain([&stage]) {
        let counted = page.run(seconds, vec![]).await;
        assert!(["321", "21", "32", "31"].contains(&counted.as_str().unwrap()), "{counted}");
    }
    // The console shows what the phones report of the moment.
    host.until_text("#delivery", "휴대폰 2대가").await;
    let winner = phones.iter().zip(&ends).next().unwrap().0;
    let winner = if winner.state().await == "won" { winner } else { &phones[1] };
    winner.click("#won-here").await;
    stage.until("document.querySelector('#animation [data-arrived]') !== null").await;
    host.until("document.querySelector('.seat[data-arrived]') !== null").await;
    stage.refresh().await;
    stage.until("document.querySelector('#animation [data-arrived]') !== null").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn where_sockets_are_blocked_console_and_stage_poll() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.add_prize("자전거").await;
    let proxy = faulty_proxy(server.address, Fault::RefuseEvery(1)).await;
    let blocked = |path: &str| format!("http://{}{path}", proxy.address);
    let phone_number = server.register(1).await.number;
    let browser = Browser::start().await;
    let host = browser.open(Screen::Desktop, &blocked(&format!("/lottery/admin?event={EVENT}"))).await;
    host.fill("#login-token", ADMIN_TOKEN).await;
    host.press(ENTER).await;
    host.until("document.querySelector('#connection').dataset.connection === 'polling'").await;
    let link = server.admin_post("links", &json!({"role": "display"})).await.expect_data(201);
    let stage = browser.open(Screen::Projector, &blocked(link["path"].as_str().unwrap())).await;
    stage.until("document.body.dataset.connection === 'polling' && document.body.dataset.role === 'stage'").await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    host.click("#stages [data-action=black]").await;
    stage.until("document.body.dataset.black !== undefined").await;
    host.click("#stages [data-action=black][aria-pressed=true]").await;
    stage.until("document.body.dataset.black === undefined").await;
    host.until("document.querySelector('#stages [data-action=black][aria-pressed=false]') !== null").await;
    for step in ["standby", "start", "reveal"] {
        host.press_step(step).await;
    }
    stage.until(&format!("document.querySelector('#animation [data-winner=\"{phone_number}\"]') !== null")).await;
    stage.until_state("announced").await;
    host.until("document.querySelector('.current-draw').dataset.status === 'announced'").await;
    browser.assert_no_errors(&["WebSocket connection to"]).await;
}

#[tokio::test]
async fn a_second_screen_does_not_end_the_suspense() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = browser.open(Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/lottery/waiting?event={EVENT}"))).await;
    phone.join().await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    for step in ["standby", "start", "reveal"] {
        host.press_step(step).await;
    }
    stage.until_state("revealed").await;
    // It opens after the reveal, reduces its motion, and is done with the show at once.
    let second = browser.open_blank(Screen::Projector).await;
    let reduced = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
    second.command("Emulation.setEmulatedMedia", reduced).await;
    second.go(&stage_link).await;
    second.until("['revealed', 'announced'].includes(document.body.dataset.state)").await;
    stage.refresh().await;
    phone.until_state("won").await;
    let audit = server.admin_get("audit").await;
    let announced = audit["lines"].as_array().unwrap().iter().find(|line| line["kind"] == "announced").unwrap();
    assert_eq!(announced["summary"]["cause"], "show_end", "the server announced it at the planned moment: {announced}");
    browser.assert_no_errors(&[]).await;
}
