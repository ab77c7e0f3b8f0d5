//! Several stages of one event: what each shows, and how the console steers them.

use super::chromium::{Browser, Screen};
use super::instant::open_console_with_stage_link;
use crate::event_steps::EVENT;
use crate::test_server::TestServer;
use data_encoding::BASE64;
use serde_json::{Value, json};

#[tokio::test]
async fn each_screen_has_its_own_part_of_the_show() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let lead = browser.open(Screen::Projector, &stage_link).await;
    lead.until_state("lobby").await;
    host.open_tab("show").await;
    host.until("document.querySelector('#stages [data-lead=true]') !== null").await;
    let other = browser.open(Screen::Projector, &stage_link).await;
    let choose = async |screen: &str| {
        host.choose("#stages [data-lead=false] [data-action=page]", screen).await;
        other.until(&format!("document.body.dataset.screen === '{screen}'")).await;
    };
    host.until("document.querySelectorAll('#stages li').length === 2").await;
    choose("overlay").await;
    other.until_state("empty").await;
    host.press_step("standby").await;
    other.until_state("standby").await;
    choose("entrance").await;
    other.until_state("lobby").await;
    lead.until_state("standby").await;
    choose("winners").await;
    other.until_state("between").await;
    for step in ["start", "reveal"] {
        host.press_step(step).await;
    }
    lead.until_state("announced").await;
    other.until("document.querySelector('#board [data-winner]') !== null").await;
    assert_eq!(other.state().await, "between");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_host_steers_every_stage_and_announces_early_only_by_holding() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    // Long enough that a busy machine is done with it before the show is.
    let prize = json!({"prize_name": "자전거", "prize_rank": 1, "quantity": 1, "show_seconds": 15});
    server.admin_post("prizes", &prize).await.expect_data(201);
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stages = [browser.open(Screen::Projector, &stage_link).await, browser.open(Screen::Projector, &stage_link).await];
    for stage in &stages {
        stage.until_state("lobby").await;
    }
    host.open_tab("show").await;
    host.until("document.querySelectorAll('#stages li').length === 2").await;
    let mirror = "#stages [data-lead=false]";
    host.click(&format!("{mirror} [data-action=black]")).await;
    stages[1].until("document.body.dataset.black !== undefined").await;
    assert!(stages[0].run("return document.body.dataset.black === undefined", vec![]).await == true);
    host.click(&format!("{mirror} [data-action=lead]")).await;
    stages[1].until("document.body.dataset.lead === 'true'").await;
    stages[0].until("document.body.dataset.lead === 'false'").await;
    for step in ["standby", "start"] {
        host.press_step(step).await;
    }
    host.until("document.querySelector('#step[data-step=reveal]:not(:disabled)') !== null").await;
    host.click("#step").await;
    host.until_text("dialog[open]", "암전").await;
    host.click("dialog[open] [data-answer=yes]").await;
    host.until("document.querySelector('#step').dataset.step === 'playing'").await;
    // A tap does nothing; a hold of a second announces.
    host.click("#announce-now").await;
    host.run("self.tappedAt = performance.now()", vec![]).await;
    host.until("performance.now() - self.tappedAt > 1500").await;
    assert_eq!(announcement(&server).await, None, "a tap does not announce");
    assert!(host.run("return document.querySelector('#step').dataset.step === 'playing'", vec![]).await == true);
    host.run("document.querySelector('#announce-now').dispatchEvent(new PointerEvent('pointerdown'))", vec![]).await;
    stages[0].until_state("announced").await;
    assert_eq!(announcement(&server).await, Some(json!("completed")), "the host did not wait for the end of the show");
    browser.assert_no_errors(&[]).await;
}

/// The cause of the announcement, if there was one.
async fn announcement(server: &TestServer) -> Option<Value> {
    let audit = server.admin_get("audit").await;
    let announced = audit["lines"].as_array().unwrap().iter().find(|line| line["kind"] == "announced");
    announced.map(|line| line["summary"]["cause"].clone())
}

#[tokio::test]
async fn a_key_at_a_stage_outlasts_what_the_console_asks_later() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = browser.open(Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    host.open_tab("show").await;
    host.click("#stages [data-action=black]").await;
    stage.until("document.body.dataset.black !== undefined").await;
    stage.press("b").await;
    stage.until("document.body.dataset.black === undefined").await;
    host.click("#stages [data-action=mute]").await;
    stage.until("document.body.dataset.sound === 'muted'").await;
    assert!(stage.run("return document.body.dataset.black === undefined", vec![]).await == true, "its screen stays lit");
    // The console's page and sound outlast a reload.
    host.choose("#stages [data-action=page]", "winners").await;
    stage.until("document.body.dataset.screen === 'winners'").await;
    stage.refresh().await;
    stage.until("document.body.dataset.screen === 'winners' && document.body.dataset.sound === 'muted'").await;
    assert!(stage.run("return document.body.dataset.black === undefined", vec![]).await == true);
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_duplicated_tab_is_a_stage_of_its_own() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = browser.open(Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    let id = stage.run("return sessionStorage.getItem('stage.id')", vec![]).await;
    // A browser copies what the tab stores.
    let copy = stage.open_beside(Screen::Projector, &server.page(&format!("/j/{EVENT}"))).await;
    copy.run("sessionStorage.setItem('stage.id', arguments[0])", vec![id.clone()]).await;
    copy.go(&stage_link).await;
    host.open_tab("show").await;
    host.until("document.querySelectorAll('#stages [data-stage]').length === 2").await;
    assert_eq!(stage.run("return sessionStorage.getItem('stage.id')", vec![]).await, id, "the first keeps its name");
    host.until("document.querySelectorAll('#stages [data-lead=true]').length === 1").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn an_overlay_is_transparent() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let (_host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    // What is below a page shows through, as in a program that mixes pictures.
    let clear = json!({"color": {"r": 0, "g": 0, "b": 0, "a": 0}});
    let overlay = browser.open_blank(Screen::Projector).await;
    overlay.command("Emulation.setDefaultBackgroundColorOverride", clear).await;
    for (screen, state, is_opaque) in [("main", "lobby", true), ("overlay", "empty", false)] {
        overlay.go(&stage_link.replacen('#', &format!("&screen={screen}#"), 1)).await;
        overlay.until_state(state).await;
        let shot = overlay.command("Page.captureScreenshot", json!({"format": "png"})).await;
        let picture = image::load_from_memory(&BASE64.decode(shot["data"].as_str().unwrap().as_bytes()).unwrap()).unwrap();
        let alphas = [(5, 5), (640, 360), (1270, 710)].map(|(x, y)| picture.to_rgba8().get_pixel(x, y).0[3]);
        assert_eq!(alphas, [if is_opaque { 255 } else { 0 }; 3], "{screen}");
    }
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn only_numbers_that_can_win_roll_and_only_phones_are_counted() {
    let server = TestServer::start().await;
    server.open_event().await;
    // The first thousand leave, so that the count of participants is shorter than their numbers.
    for hundred in 0..10 {
        futures_util::future::join_all((1..=100).map(|index| server.register(100 * hundred + index))).await;
    }
    let window = json!({"from_ms": 0, "until_ms": std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64});
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    for index in 1_001..=1_003 {
        server.register(index).await;
    }
    server.admin_post("participants/remove", &window).await.ok();
    let prize = json!({"prize_name": "자전거", "prize_rank": 1, "quantity": 2, "draw_mode": "card", "winner_count": 2});
    server.admin_post("prizes", &prize).await.expect_data(201);
    let browser = Browser::start().await;
    let (host, stage_link) = open_console_with_stage_link(&browser, &server).await;
    let stage = browser.open(Screen::Projector, &stage_link).await;
    stage.until_state("lobby").await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/lottery/waiting?event={EVENT}"))).await;
    phone.join().await;
    // A console, a stage and a viewer are no phones.
    let viewer = browser.open(Screen::Projector, &server.page(&format!("/lottery/main?event={EVENT}"))).await;
    viewer.until_state("lobby").await;
    stage.until("document.querySelector('#connected').textContent === '1'").await;
    server.exclude(1_002).await;
    host.open_tab("show").await;
    for step in ["standby", "start"] {
        host.press_step(step).await;
    }
    stage.until_state("running").await;
    let note = "self.faces = new Set(); new MutationObserver(() => document.querySelectorAll('.face')
        .forEach((face) => self.faces.add(face.textContent))).observe(document.querySelector('.cards'), { subtree: true, childList: true });";
    stage.run(note, vec![]).await;
    stage.until("['1001', '1003', '1004'].every((number) => self.faces.has(number))").await;
    let shown =
        "return [[...self.faces].filter(Boolean).sort(), document.querySelector('.cards').style.getPropertyValue('--digits')]";
    assert_eq!(stage.run(shown, vec![]).await, json!([["1001", "1003", "1004"], "4"]));
    browser.assert_no_errors(&[]).await;
}
