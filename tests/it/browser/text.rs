//! What people type is shown as they typed it, on every page and in every script of the world, and is never taken for anything but text.

use super::chromium::{Browser, Page, Screen};
use super::people::console;
use crate::show::{EVENT, prize};
use crate::test_server::TestServer;
use serde_json::json;

/// What breaks pages that are not careful. Each becomes a prize, the first also a winner's name and the event's title.
fn texts() -> Vec<String> {
    [
        "<script>self.broken = 1</script>",
        "<img src=x onerror='self.broken = 1'>",
        "\"><svg onload=self.broken=1>",
        "=cmd|'/c calc'!A1",
        "🎁 가족 👨‍👩‍👧‍👦 여행권",
        "مرحبا بالعالم",
        "{{files}} ${self.broken} &amp;",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([("한글이름".repeat(50)), "W".repeat(200)])
    .collect()
}

#[tokio::test]
async fn whatever_is_typed_is_shown_as_text() {
    let house = TestServer::start().await;
    let texts = texts();
    let title = &texts[0];
    house.open_event_with(json!({"event_id": EVENT, "title": title, "prizes": [], "consent_text": texts[1]})).await;
    for text in &texts {
        house.add_prize(text).await;
    }
    let browser = Browser::start().await;
    let host = console(&browser, &house, &format!("/lottery/admin?event={EVENT}")).await;
    let stage = host.beside(Screen::Projector, &house.page(&format!("/lottery/main?event={EVENT}"))).await;
    let phone = browser.open(Screen::Phone, &house.page(&format!("/j/{EVENT}"))).await;
    phone.until(&holds("#consent-text", &texts[1])).await;
    phone.join().await;
    for page in [&host, &phone] {
        page.until(&holds("#event-title", title)).await;
    }
    stage.until(&holds("#title", title)).await;

    for text in &texts {
        house.order("draw/standby", &prize(text)).await.ok();
        stage.until(&holds("#prize-name", text)).await;
        phone.until(&holds("#now-title", text)).await;
        host.until(&holds(".stand", text)).await;
        fits(&phone).await;
        fits(&stage).await;
    }
    host.tab("prizes").await;
    for text in &texts {
        host.until(&holds("#prizes", text)).await;
    }

    house.whole_draw(&prize(&texts[0])).await;
    phone.until(&holds("#won-name", &texts[0])).await;
    phone.click("#won-here").await;
    let code = phone.hand_in(&texts[0], "010-1234-5678", None).await;
    host.tab("winners").await;
    host.click("#unmask").await;
    host.click("[data-answer=yes]").await;
    host.until(&holds("#winners", &format!("{0}{0}", texts[0]))).await;
    let desk = host.beside(Screen::Phone, &house.page(&format!("/lottery/staff?event={EVENT}"))).await;
    desk.look_up(&texts[0], &code).await;
    desk.until(&holds("#claim-prize", &texts[0])).await;
    desk.click("#hand-over").await;
    desk.until(&holds("#claim-told", &texts[0])).await;
    desk.until(&holds("#log", &texts[0])).await;
    let proof = browser.open(Screen::Phone, &house.page(&format!("/lottery/verify?event={EVENT}"))).await;
    proof.until(&holds("#draws", &texts[0])).await;
    for page in [&host, &stage, &phone, &desk, &proof] {
        assert_eq!(page.run("return self.broken ?? null", vec![]).await, json!(null), "nothing that was typed ran");
    }
    browser.assert_quiet(&[]).await;
}

/// That the text stands in the element, letter for letter.
fn holds(selector: &str, text: &str) -> String {
    format!("document.querySelector({})?.textContent.includes({})", json!(selector), json!(text))
}

/// Nothing reaches beyond the window's side.
async fn fits(page: &Page<'_>) {
    let wide = page.run("return document.documentElement.scrollWidth - innerWidth", vec![]).await;
    assert!(wide.as_i64().unwrap() <= 0, "the page is {wide} pixels too wide");
}
