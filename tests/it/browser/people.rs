//! Actions of users on the pages: join, log in, press the next step, submit details, find a claim.

use super::chromium::{Browser, Page, Screen};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use hyper::Method;
use serde_json::json;

/// Keys as WebDriver writes them.
pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const SPACE: &str = " ";

impl TestServer {
    /// The full address of a page.
    pub fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Takes a participant out of the draws.
    pub async fn exclude(&self, number: u64) {
        let path = format!("participants/{number}");
        self.admin(Method::PATCH, &path).json(&json!({"eligible": false})).await.ok();
    }

    /// Adds a prize to the event.
    pub async fn add_prize(&self, name: &str) {
        self.admin_post("prizes", &json!({"prize_name": name, "prize_rank": 1, "quantity": 1})).await.expect_data(201);
    }
}

impl Page<'_> {
    /// Joins by one tap; returns the number.
    pub async fn join(&self) -> u64 {
        self.click("#join-button").await;
        self.number().await
    }

    /// The number that the phone shows.
    pub async fn number(&self) -> u64 {
        self.until("document.body.dataset.state === 'waiting' && document.querySelector('#number').innerText")
            .await
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("a number")
    }

    /// The page's state.
    pub async fn state(&self) -> String {
        self.run("return document.body.dataset.state", vec![]).await.as_str().unwrap_or_default().to_owned()
    }

    /// Opens a tab of the console.
    pub async fn open_tab(&self, name: &str) {
        self.click(&format!("#tab-{name}")).await;
        self.until(&format!("document.querySelector('#panel').dataset.tab === {}", json!(name))).await;
    }

    /// Presses the main button as soon as it names this step.
    pub async fn press_step(&self, name: &str) {
        self.click(&format!("#step[data-step=\"{name}\"]:not(:disabled)")).await;
    }

    /// Creates a link on the console's links tab; returns its address.
    pub async fn make_link(&self, role: &str) -> String {
        self.click(&format!("[data-make={role}]")).await;
        self.until(&format!("document.querySelector('[data-role={role}] input')?.value")).await.as_str().unwrap().to_owned()
    }

    /// Submits the details of a win; returns the claim code shown afterwards.
    pub async fn submit_details(&self, name: &str, phone: &str, address: Option<&str>) -> String {
        self.until_state("form").await;
        self.fill("#details-name", name).await;
        self.fill("#details-phone", phone).await;
        if let Some(address) = address {
            self.fill("#details-address", address).await;
        }
        self.click("#details-consent").await;
        self.click("#details-send").await;
        self.until_state("claim").await;
        self.until("document.querySelector('#claim-code')?.innerText").await.as_str().unwrap().to_owned()
    }

    /// Finds a claim by its code at the prize desk.
    pub async fn find_claim(&self, desk: &str, code: &str) {
        self.fill("#desk", desk).await;
        self.fill("#code", code).await;
        self.click("#find").await;
        self.until_state("claim").await;
    }
}

/// Opens the console at this path and logs in with the admin token.
pub async fn open_console<'b>(browser: &'b Browser, server: &TestServer, path: &str) -> Page<'b> {
    let page = browser.open(Screen::Desktop, &server.page(path)).await;
    page.fill("#login-token", ADMIN_TOKEN).await;
    page.press(ENTER).await;
    page.until("document.body.dataset.view !== 'login'").await;
    page
}
