//! The stage: what it says of itself, and how it recovers from an outage.

use super::chromium::{Browser, Screen};
use crate::event_steps::EVENT;
use crate::test_server::TestServer;
use hyper::Method;
use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::json;

impl TestServer {
    /// The address of the stage, by a link of its own.
    async fn stage_page(&self) -> String {
        let link = self.admin_post("links", &json!({"role": "display"})).await.expect_data(201);
        self.page(link["path"].as_str().unwrap())
    }
}

#[tokio::test]
async fn a_stage_that_nobody_logged_in_says_that_it_only_watches() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let address = server.page(&format!("/lottery?event={EVENT}"));
    let viewer = browser.open(Screen::Projector, &address).await;
    viewer.until_text("#viewer", "무대가 아니어서").await;
    let stage = browser.open(Screen::Projector, &server.stage_page().await).await;
    stage.until("document.body.dataset.role === 'stage' && document.querySelector('#viewer').hidden").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_picture_that_did_not_come_is_asked_for_again() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let mut file = std::io::Cursor::new(Vec::new());
    DynamicImage::from(RgbImage::new(30, 20)).write_to(&mut file, ImageFormat::Png).unwrap();
    let stored = server.admin(Method::POST, "images").body("image/png", file.into_inner()).await.ok();
    let browser = Browser::start().await;
    let stage = browser.open(Screen::Projector, &server.stage_page().await).await;
    stage.until("document.body.dataset.role === 'stage'").await;
    stage.command("Network.enable", json!({})).await;
    stage.command("Network.setBlockedURLs", json!({"urls": ["*/images/*"]})).await;
    let prize = json!({"prize_name": "TV", "prize_rank": 1, "prize_image": stored["prize_image"]});
    server.admin_post("draw/standby", &prize).await.ok();
    stage.until("document.querySelector('#prize').dataset.picture === 'none'").await;
    stage.command("Network.setBlockedURLs", json!({"urls": []})).await;
    stage.until("document.querySelector('#prize').dataset.picture === 'shown'").await;
    browser.assert_no_errors(&["ERR_BLOCKED_BY_CLIENT"]).await;
}
