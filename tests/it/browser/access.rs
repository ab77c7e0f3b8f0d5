//! Accessibility as axe-core checks it, contrast and labels above all: every page, in both
//! languages, in light and dark.

use super::chromium::{Browser, Page, Screen};
use super::people::open_console;
use crate::event_steps::EVENT;
use crate::test_server::TestServer;
use serde_json::{Value, json};

const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe-core/axe.min.js");

/// Waits until a change of colors is rendered and nothing moves any more. An ended transition can
/// start those of its children, so one look at the running animations is not enough.
const WAIT_FOR_TRANSITIONS: &str = "return (async () => {
    const frame = () => new Promise(requestAnimationFrame);
    const isFinite = (animation) => animation.effect.getComputedTiming().endTime !== Infinity;
    for (let round = 0; round < 100; round += 1) {
        await frame();
        await frame();
        const running = document.getAnimations().filter((each) => each.playState === 'running' && isFinite(each));
        if (running.length === 0) return true;
        await Promise.allSettled(running.map((each) => each.finished));
    }
    return false;
})()";

/// Serious violations and their elements; what axe cannot decide is no finding.
const RUN_AXE: &str = "return axe.run(document, {
    resultTypes: ['violations'], preload: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'],
}).then(({ violations, passes }) => passes.length < 10 ? ['axe checked almost nothing'] : violations
    .filter(({ impact }) => ['serious', 'critical'].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} (${node.any[0]?.message ?? node.html})`).join(', ')}`))";

#[tokio::test]
async fn every_page_passes_the_accessibility_check() {
    let axe =
        std::fs::read_to_string(AXE).expect("axe-core is in target/axe-core: scripts/axe fetches it, and scripts/test runs that");
    let server = TestServer::start().await;
    server
        .open_event_with(json!({"event_id": EVENT, "title": "가을 체육대회", "prizes": [], "consent_text": "참가에 동의합니다."}))
        .await;
    for name in ["자전거", "머그컵"] {
        server.add_prize(name).await;
    }
    let browser = Browser::start().await;
    let mut found = Vec::new();
    let mut check = async |page: &Page<'_>, state: &str| found.extend(findings(page, state, &axe).await);

    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    phone.until_state("welcome").await;
    check(&phone, "phone, welcome").await;
    phone.join().await;
    check(&phone, "phone, number").await;
    let login = browser.open(Screen::Desktop, &server.page("/lottery/admin")).await;
    login.until("document.body.dataset.view === 'login'").await;
    check(&login, "console, login").await;
    let host = open_console(&browser, &server, "/lottery/admin").await;
    host.until("document.querySelector('[data-event]') !== null").await;
    check(&host, "console, events").await;
    let stage = host.open_beside(Screen::Projector, &server.page(&format!("/lottery/main?event={EVENT}"))).await;
    stage.until_state("lobby").await;
    check(&stage, "stage, lobby").await;
    host.go(&server.page(&format!("/lottery/admin?event={EVENT}"))).await;
    host.press_step("standby").await;
    stage.until_state("standby").await;
    check(&stage, "stage, standby").await;
    phone.until_state("standby").await;
    check(&phone, "phone, standby").await;
    host.press_step("start").await;
    host.press_step("reveal").await;
    stage.until_state("announced").await;
    check(&stage, "stage, winner").await;
    // An overlay has no ground of its own to check a contrast with.
    stage.go(&server.page(&format!("/lottery/main?event={EVENT}&screen=winners"))).await;
    stage.until_state("between").await;
    check(&stage, "stage, winners").await;
    phone.until_state("won").await;
    check(&phone, "phone, won").await;
    phone.click("#won-next").await;
    phone.until_state("form").await;
    check(&phone, "phone, form").await;
    let code = phone.submit_details("김하늘", "010-1234-5678", None).await;
    check(&phone, "phone, claim").await;
    for tab in ["show", "prizes", "people", "winners", "links", "event", "audit"] {
        host.open_tab(tab).await;
        if tab == "links" {
            host.make_link("staff").await;
        }
        check(&host, &format!("console, {tab}")).await;
        if tab == "prizes" {
            host.click("#import-prizes").await;
            host.until("document.querySelector('dialog[open]') !== null").await;
            check(&host, "console, import").await;
            host.run("document.querySelector('dialog[open]').close()", vec![]).await;
        }
    }
    let staff = host.open_beside(Screen::Phone, &server.page(&format!("/lottery/staff?event={EVENT}"))).await;
    staff.until_state("ready").await;
    check(&staff, "desk, code").await;
    staff.find_claim("1번 데스크", &code).await;
    check(&staff, "desk, claim").await;
    let unauthorized = browser.open(Screen::Phone, &server.page(&format!("/lottery/staff?event={EVENT}"))).await;
    unauthorized.until_state("no-right").await;
    check(&unauthorized, "desk, no right").await;
    let proof = browser.open(Screen::Phone, &server.page(&format!("/lottery/verify?event={EVENT}"))).await;
    proof.until("document.querySelector('#draws li') !== null").await;
    check(&proof, "proof").await;
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Violations of a page in its current state, in both languages, in light and dark.
async fn findings(page: &Page<'_>, state: &str, axe: &str) -> Vec<String> {
    if page.run("return typeof axe", vec![]).await == "undefined" {
        // The page's policy does not apply to a driver's script. The library must be a property of
        // window.
        page.run(&format!("{axe}\nwindow.axe = axe;"), vec![]).await;
    }
    let mut found = Vec::new();
    for theme in ["light", "dark"] {
        let features =
            json!([{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        page.command("Emulation.setEmulatedMedia", json!({"features": features})).await;
        for _ in 0..2 {
            let language = page.run("return document.documentElement.lang", vec![]).await;
            assert_eq!(page.run(WAIT_FOR_TRANSITIONS, vec![]).await, true, "{state}: transitions never end");
            let violations = page.run(RUN_AXE, vec![]).await;
            let violations = violations.as_array().unwrap().iter().filter_map(Value::as_str);
            found.extend(violations.map(|finding| format!("{state}, {language}, {theme}: {finding}")));
            page.run(
                "[...document.querySelectorAll('[data-switch-language]')].find((button) => button.offsetParent)?.click()",
                vec![],
            )
            .await;
        }
    }
    found
}
