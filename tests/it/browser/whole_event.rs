//! A whole event in one browser, from the first login to the reset: five phones, a stage, a console
//! and two prize desks, and no direct API call.

use super::chromium::{Browser, Page, Screen};
use super::people::open_console;
use crate::test_server::TestServer;
use std::collections::BTreeSet;

const NAME: &str = "김하늘";

#[tokio::test]
async fn a_whole_event_is_run_through_the_pages() {
    let server = TestServer::start().await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, "/lottery/admin").await;
    open_event(&host).await;
    add_prizes(&host).await;
    host.open_tab("links").await;
    let stage = browser.open(Screen::Projector, &host.make_link("display").await).await;
    let staff_link = host.make_link("staff").await;
    let (desk, other_desk) = (browser.open(Screen::Phone, &staff_link).await, browser.open(Screen::Phone, &staff_link).await);
    assert!(!desk.url().await.contains("token"), "the link's secret leaves the address bar");
    host.open_tab("show").await;

    let phones = join_phones(&server, &browser).await;
    stage.until_state("lobby").await;
    stage.until("document.querySelector('#count').innerText === '5'").await;
    host.until("document.querySelector('#fig-registered').innerText === '5'").await;

    // The first winner is absent, and the seat is redrawn.
    let absent = draw(&host, &stage, &phones, "slot").await;
    let (number, phone) = &phones[absent];
    host.click(&format!("[data-absent$=\":{number}\"]")).await;
    phone.until_state("voided").await;
    phone.click("#notice-button").await;
    host.press_step("reveal").await;
    let winner = winner(&phones).await;
    assert_ne!(winner, absent, "an absent winner does not win the same seat");
    stage.until_state("announced").await;

    let (number, phone) = &phones[winner];
    phone.click("#won-here").await;
    host.until_text("#drawn", "현장 확인").await;
    host.until(&format!("document.querySelector('[data-seat$=\":{number}\"][data-arrived]') !== null")).await;
    let code = phone.submit_details(NAME, "01012345678", Some("서울시 중구 세종대로 110")).await;
    hand_over(&desk, &other_desk, &code).await;
    phone.until_state("handed-over").await;
    phone.click("#prize-back").await;

    let mut winners = BTreeSet::from([absent, winner]);
    for mode in ["card", "network", "list"] {
        let winner = draw(&host, &stage, &phones, mode).await;
        assert!(winners.insert(winner), "nobody wins twice");
        phones[winner].1.click("#won-next").await;
        phones[winner].1.click("#prize-back").await;
    }

    host.open_tab("winners").await;
    let row = format!("#winners [data-winner=\"{number}\"]");
    host.until_text(&row, "010-****-5678").await;
    let shown = host.text("#winners").await;
    assert!(!shown.contains(NAME) && !shown.contains("010-1234-5678"), "details are masked until an operator unmasks them");
    host.click("#unmask").await;
    host.click("[data-answer=yes]").await;
    host.until_text(&row, "010-1234-5678").await;
    assert!(host.text(&row).await.contains(NAME));

    reset(&host, &phones).await;
    stage.until_state("lobby").await;
    stage.until("document.querySelector('#count').innerText === '0'").await;
    assert_eq!(phones[3].1.join().await, 1, "numbers restart");
    // The other desk was refused.
    browser.assert_no_errors(&["status of 409"]).await;
}

async fn open_event(host: &Page<'_>) {
    host.click("#new-event").await;
    host.fill("[data-field=event_id]", "gala").await;
    host.fill("[data-field=title]", "가을 체육대회").await;
    host.click("[data-answer=yes]").await;
    host.until_text("#event-title", "가을 체육대회").await;
}

/// Adds one prize per draw mode: three pasted as from a spreadsheet, one typed.
async fn add_prizes(host: &Page<'_>) {
    host.open_tab("prizes").await;
    host.click("#import-prizes").await;
    let table = "경품명,등급,수량,방식,주소 필요\n자전거,1등,1,슬롯,예\n무선 이어폰,2등,1,카드,\n커피 쿠폰,3등,1,네트워크,";
    host.fill("#paste", table).await;
    host.click("#preview").await;
    host.until_text("#import-outcome", "3개").await;
    host.click("#take").await;
    host.until("document.querySelectorAll('#prizes [data-prize]').length === 3").await;
    host.click("#add-prize").await;
    host.fill("[data-field=prize_name]", "머그컵").await;
    host.choose("[data-field=draw_mode]", "list").await;
    host.click("[data-answer=yes]").await;
    host.until("document.querySelectorAll('#prizes [data-prize]').length === 4").await;
}

/// Opens the QR code's address on five phones; returns their numbers and phones.
async fn join_phones<'b>(server: &TestServer, browser: &'b Browser) -> Vec<(u64, Page<'b>)> {
    let mut phones = Vec::new();
    for expected in 1..=5 {
        let phone = browser.open(Screen::Phone, &server.page("/j/gala")).await;
        let number = phone.join().await;
        assert_eq!(number, expected, "numbers go up by one");
        phones.push((number, phone));
    }
    phones
}

/// Draws the next prize; returns the index of the winner.
async fn draw(host: &Page<'_>, stage: &Page<'_>, phones: &[(u64, Page<'_>)], mode: &str) -> usize {
    host.press_step("standby").await;
    stage.until_state("standby").await;
    stage.until(&format!("document.body.dataset.mode === '{mode}'")).await;
    wait_for_all(phones, "standby").await;
    host.press_step("start").await;
    stage.until_state("running").await;
    wait_for_all(phones, "suspense").await;
    host.press_step("reveal").await;
    loop {
        // Reads the phones before the stage, so a phone that is earlier than the stage fails.
        let mut states = Vec::new();
        for (_, phone) in phones {
            states.push(phone.state().await);
        }
        if stage.run("return document.body.dataset.settled", vec![]).await == "true" {
            break;
        }
        assert!(states.iter().all(|state| state == "suspense"), "no phone shows the result before the stage: {states:?}");
    }
    let winner = winner(phones).await;
    let (number, _) = &phones[winner];
    let shown = format!("document.querySelector('#animation [data-winner=\"{number}\"]')");
    // A slot machine labels its reels as one number.
    stage.until(&format!("({shown}?.ariaLabel ?? {shown}?.innerText)?.includes('00{number}')")).await;
    stage.until_state("announced").await;
    winner
}

async fn wait_for_all(phones: &[(u64, Page<'_>)], state: &str) {
    for (_, phone) in phones {
        phone.until_state(state).await;
    }
}

/// The index of the only phone that has won, once all know the result.
async fn winner(phones: &[(u64, Page<'_>)]) -> usize {
    let mut won = Vec::new();
    for (index, (_, phone)) in phones.iter().enumerate() {
        phone.until("['won', 'lost', 'waiting'].includes(document.body.dataset.state)").await;
        if phone.state().await == "won" {
            won.push(index);
        }
    }
    let [winner] = won[..] else { panic!("one phone wins: {won:?}") };
    winner
}

/// Two desks find the same claim; the first hands the prize over, and the second shows which desk
/// did.
async fn hand_over(desk: &Page<'_>, other: &Page<'_>, code: &str) {
    desk.find_claim("1번 데스크", code).await;
    other.find_claim("2번 데스크", code).await;
    for page in [desk, other] {
        page.until_text("#claim-prize", "자전거").await;
        page.until_text("#claim-name", "김*").await;
        page.until("document.querySelector('#claim').dataset.claim === 'ready'").await;
    }
    desk.click("#hand-over").await;
    desk.until("document.querySelector('#claim').dataset.claim === 'done'").await;
    other.click("#hand-over").await;
    other.until("document.querySelector('#claim').dataset.claim === 'handed-over'").await;
    other.until_text("#claim-history", "1번 데스크").await;
}

async fn reset(host: &Page<'_>, phones: &[(u64, Page<'_>)]) {
    host.open_tab("event").await;
    host.click("#reset-all").await;
    host.fill("[data-word]", "초기화").await;
    host.click("[data-answer=yes]").await;
    wait_for_all(phones, "reset").await;
}
