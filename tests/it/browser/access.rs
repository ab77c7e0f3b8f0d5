//! Contrast and labels, as axe-core sees them: no page may leave anybody out, in either language, by day or by night.

use super::chromium::{Browser, Page, Screen};
use super::people::console;
use crate::show::EVENT;
use crate::test_server::TestServer;
use serde_json::{Value, json};

const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe-core/axe.min.js");

/// Colours have been changed, and nothing fades from one to the other any more.
const SETTLE: &str =
    "return new Promise(requestAnimationFrame).then(() => new Promise(requestAnimationFrame)).then(() => Promise.allSettled(
    document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime !== Infinity).map((each) => each.finished)))
    .then(() => true)";

/// Everything that keeps people out, and where; what axe cannot decide is no finding.
const LOOK: &str = "return axe.run(document, {
    resultTypes: ['violations'], preload: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'],
}).then(({ violations, passes }) => passes.length < 10 ? ['it looked at next to nothing'] : violations
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} (${node.any[0]?.message ?? node.html})`).join(', ')}`))";

#[tokio::test]
async fn nobody_is_left_out_by_contrast_or_labels() {
    let axe =
        std::fs::read_to_string(AXE).expect("axe-core is in target/axe-core: scripts/axe fetches it, and scripts/test runs that");
    let house = TestServer::start().await;
    house
        .open_event_with(json!({"event_id": EVENT, "title": "가을 체육대회", "prizes": [], "consent_text": "참가에 동의합니다."}))
        .await;
    for name in ["자전거", "머그컵"] {
        house.add_prize(name).await;
    }
    let browser = Browser::start().await;
    let mut found = Vec::new();
    let mut look = async |page: &Page<'_>, what: &str| found.extend(findings(page, what, &axe).await);

    let phone = browser.open(Screen::Phone, &house.page(&format!("/j/{EVENT}"))).await;
    phone.until_state("welcome").await;
    look(&phone, "phone, welcome").await;
    phone.join().await;
    look(&phone, "phone, number").await;
    let login = browser.open(Screen::Desktop, &house.page("/lottery/admin")).await;
    login.until("document.body.dataset.view === 'login'").await;
    look(&login, "console, login").await;
    let host = console(&browser, &house, "/lottery/admin").await;
    host.until("document.querySelector('[data-event]') !== null").await;
    look(&host, "console, events").await;
    let stage = host.beside(Screen::Projector, &house.page(&format!("/lottery/main?event={EVENT}"))).await;
    stage.until_state("lobby").await;
    look(&stage, "stage, lobby").await;
    host.go(&house.page(&format!("/lottery/admin?event={EVENT}"))).await;
    host.step("standby").await;
    stage.until_state("standby").await;
    look(&stage, "stage, standby").await;
    phone.until_state("standby").await;
    look(&phone, "phone, standby").await;
    host.step("start").await;
    host.step("reveal").await;
    stage.until_state("announced").await;
    look(&stage, "stage, winner").await;
    phone.until_state("won").await;
    look(&phone, "phone, won").await;
    phone.click("#won-next").await;
    phone.until_state("form").await;
    look(&phone, "phone, form").await;
    let code = phone.hand_in("김하늘", "010-1234-5678", None).await;
    look(&phone, "phone, claim").await;
    for tab in ["show", "prizes", "people", "winners", "links", "event", "audit"] {
        host.tab(tab).await;
        if tab == "links" {
            host.make_link("staff").await;
        }
        look(&host, &format!("console, {tab}")).await;
    }
    let staff = host.beside(Screen::Phone, &house.page(&format!("/lottery/staff?event={EVENT}"))).await;
    staff.until_state("ready").await;
    look(&staff, "desk, code").await;
    staff.look_up("1번 데스크", &code).await;
    look(&staff, "desk, claim").await;
    let stranger = browser.open(Screen::Phone, &house.page(&format!("/lottery/staff?event={EVENT}"))).await;
    stranger.until_state("no-right").await;
    look(&stranger, "desk, no right").await;
    let proof = browser.open(Screen::Phone, &house.page(&format!("/lottery/verify?event={EVENT}"))).await;
    proof.until("document.querySelector('#draws li') !== null").await;
    look(&proof, "proof").await;
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What keeps people out of a page as it stands, in both languages, by day and by night.
async fn findings(page: &Page<'_>, what: &str, axe: &str) -> Vec<String> {
    if page.run("return typeof axe", vec![]).await == "undefined" {
        // A driver's script is not the page's, so that the page's policy has no say in it. The library wants to be the window's.
        page.run(&format!("{axe}\nwindow.axe = axe;"), vec![]).await;
    }
    let mut found = Vec::new();
    for theme in ["light", "dark"] {
        let features =
            json!([{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        page.order("Emulation.setEmulatedMedia", json!({"features": features})).await;
        for _ in 0..2 {
            let language = page.run("return document.documentElement.lang", vec![]).await;
            page.run(SETTLE, vec![]).await;
            let told = page.run(LOOK, vec![]).await;
            let told = told.as_array().unwrap().iter().filter_map(Value::as_str);
            found.extend(told.map(|finding| format!("{what}, {language}, {theme}: {finding}")));
            page.run(
                "[...document.querySelectorAll('[data-switch-language]')].find((button) => button.offsetParent)?.click()",
                vec![],
            )
            .await;
        }
    }
    found
}
