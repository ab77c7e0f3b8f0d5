//! Text that users type is shown unchanged on every page, in every writing system, and never as
//! markup.

use super::chromium::{Browser, Page, Screen};
use super::people::open_console;
use crate::event_steps::{EVENT, prize};
use crate::test_server::TestServer;
use serde_json::json;

/// Texts that break pages which do not escape. Each becomes a prize, the first also a winner's name
/// and the event's title.
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
async fn typed_text_is_shown_as_text() {
    let server = TestServer::start().await;
    let texts = texts();
    let title = &texts[0];
    server.open_event_with(json!({"event_id": EVENT, "title": title, "prizes": [], "consent_text": texts[1]})).await;
    for text in &texts {
        server.add_prize(text).await;
    }
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let stage = host.open_beside(Screen::Projector, &server.page(&format!("/lottery/main?event={EVENT}"))).await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    phone.until(&contains("#consent-text", &texts[1])).await;
    phone.join().await;
    for page in [&host, &phone] {
        page.until(&contains("#event-title", title)).await;
    }
    stage.until(&contains("#title", title)).await;

    for text in &texts {
        server.admin_post("draw/standby", &prize(text)).await.ok();
        stage.until(&contains("#prize-name", text)).await;
        phone.until(&contains("#now-title", text)).await;
        host.until(&contains(".current-draw", text)).await;
        assert_fits(&phone).await;
        assert_fits(&stage).await;
    }
    host.open_tab("prizes").await;
    for text in &texts {
        host.until(&contains("#prizes", text)).await;
    }

    server.whole_draw(&prize(&texts[0])).await;
    phone.until(&contains("#won-name", &texts[0])).await;
    phone.click("#won-here").await;
    let code = phone.submit_details(&texts[0], "010-1234-5678", None).await;
    host.open_tab("winners").await;
    host.click("#unmask").await;
    host.click("[data-answer=yes]").await;
    host.until(&contains("#winners", &format!("{0}{0}", texts[0]))).await;
    let desk = host.open_beside(Screen::Phone, &server.page(&format!("/lottery/staff?event={EVENT}"))).await;
    desk.find_claim(&texts[0], &code).await;
    desk.until(&contains("#claim-prize", &texts[0])).await;
    desk.click("#hand-over").await;
    desk.until(&contains("#claim-history", &texts[0])).await;
    desk.until(&contains("#log", &texts[0])).await;
    let proof = browser.open(Screen::Phone, &server.page(&format!("/lottery/verify?event={EVENT}"))).await;
    proof.until(&contains("#draws", &texts[0])).await;
    for page in [&host, &stage, &phone, &desk, &proof] {
        assert_eq!(page.run("return self.broken ?? null", vec![]).await, json!(null), "no typed text ran as code");
    }
    browser.assert_no_errors(&[]).await;
}

/// Expression that is true if the element contains the text verbatim.
fn contains(selector: &str, text: &str) -> String {
    format!("document.querySelector({})?.textContent.includes({})", json!(selector), json!(text))
}

/// Asserts that nothing overflows the window sideways.
async fn assert_fits(page: &Page<'_>) {
    let wide = page.run("return document.documentElement.scrollWidth - innerWidth", vec![]).await;
    assert!(wide.as_i64().unwrap() <= 0, "the page is {wide} pixels too wide");
}
