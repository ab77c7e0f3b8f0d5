//! A phone keeps its number and gets its result despite failures of the page, the server, the
//! network or the browser's storage.

use super::chromium::{Browser, Screen};
use super::people::open_console;
use crate::backup::{back_up, run, text};
use crate::event_steps::{EVENT, prize};
use crate::faulty_proxy::{Fault, faulty_proxy};
use crate::test_server::TestServer;
use serde_json::{Value, json};

#[tokio::test]
async fn a_phone_keeps_its_number_through_a_refresh_and_without_its_storage() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(4).await;
    let browser = Browser::start().await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    assert_eq!(phone.join().await, 5);
    phone.refresh().await;
    assert_eq!(phone.number().await, 5, "after a refresh");
    phone.go(&server.page(&format!("/j/{EVENT}"))).await;
    assert_eq!(phone.number().await, 5, "when the code is scanned again");
    phone.run("localStorage.clear()", vec![]).await;
    phone.refresh().await;
    assert_eq!(phone.join().await, 5, "by its cookie alone");
    let another = phone.open_beside(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    assert_eq!(another.number().await, 5, "in a second window");
    assert_eq!(server.public("/state").await["state_sync"]["participant_count"], 5);
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn the_page_s_own_socket_asks_for_the_frames_since_the_last_one_it_has() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    phone.join().await;
    let synced = server.public("/state").await["state_sync"].clone();
    // The page's next connection is this one, which has two more frames and then ends.
    let script = r#"
        const sync = arguments[0];
        self.asked = [];
        self.WebSocket = class {
            static CONNECTING = 0;
            static OPEN = 1;
            constructor(url) {
                self.asked.push(new URL(url).search);
                this.readyState = 1;
                setTimeout(() => {
                    this.onopen();
                    if (self.asked.length > 1) return;
                    const frame = (type, seq) => this.onmessage({ data: JSON.stringify({ ...sync, type, seq, epoch: '0202020202020202', total_count: 2 }) });
                    frame('state_sync', 7);
                    frame('participant_joined', 8);
                    this.onclose({ code: 1012 });
                });
            }
            send() {}
            close() {}
        };"#;
    phone.run(script, vec![synced.clone()]).await;
    server.kill();
    phone.until("self.asked.length === 2").await;
    let (seq, epoch) = (&synced["seq"], synced["epoch"].as_str().unwrap());
    let expected = [format!("?role=phone&since={seq}&epoch={epoch}"), "?role=phone&since=8&epoch=0202020202020202".to_owned()];
    assert_eq!(phone.run("return self.asked", vec![]).await, json!(expected));
}

#[tokio::test]
async fn a_phone_whose_number_a_restore_lost_gets_a_new_one_and_is_told_why() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.register_many(1).await;
    let temp = tempfile::tempdir().unwrap();
    let copy = back_up(&server, temp.path()).await;
    let browser = Browser::start().await;
    let address = server.page(&format!("/j/{EVENT}"));
    let phone = browser.open(Screen::Phone, &address).await;
    assert_eq!(phone.join().await, 2);
    phone.go("about:blank").await;
    server.terminate();
    server.ended().await;
    run(&server.data_dir(), &["restore", text(&copy)]).expect_success();
    server.restart().await;
    assert_eq!(server.register(50).await.number, 2, "the number is somebody else's now");
    phone.go(&address).await;
    phone.until_text("#renumbered", "002").await;
    assert_eq!(phone.number().await, 3, "a new number without a tap");
    phone.refresh().await;
    phone.until_text("#renumbered", "002").await;
    assert_eq!(server.public("/state").await["state_sync"]["participant_count"], 3);
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn open_pages_recover_from_a_killed_server() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let stage = host.open_beside(Screen::Projector, &server.page(&format!("/lottery?event={EVENT}"))).await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    let number = phone.join().await;
    host.press_step("standby").await;
    phone.until_state("standby").await;
    stage.until("document.body.dataset.role === 'stage' && document.body.dataset.state === 'standby'").await;

    server.kill();
    phone.until("!document.querySelector('#connection').hidden").await;
    stage.until("!document.querySelector('#connection-dot').hidden").await;
    host.until("document.querySelector('#connection').dataset.connection === 'waiting'").await;
    assert_eq!(phone.text("#number").await, format!("{number:03}"), "a phone keeps its number in an outage");
    assert_eq!(stage.state().await, "standby", "the stage still shows the prize");

    server.restart().await;
    host.until("document.querySelector('#connection').dataset.connection === 'live'").await;
    stage.until("document.querySelector('#connection-dot').hidden").await;
    phone.until("document.querySelector('#connection').hidden").await;
    host.press_step("start").await;
    phone.until_state("suspense").await;
    host.press_step("reveal").await;
    phone.until_state("won").await;
    stage.until_state("announced").await;
    browser
        .assert_no_errors(&["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "WebSocket connection to"])
        .await;
}

#[tokio::test]
async fn a_phone_without_websockets_still_gets_the_result() {
    let server = TestServer::start().await;
    server.open_event().await;
    let proxy = faulty_proxy(server.address, Fault::RefuseEvery(1)).await;
    let browser = Browser::start().await;
    let phone = browser.open(Screen::Phone, &format!("http://{}/j/{EVENT}", proxy.address)).await;
    let number = phone.join().await;
    server.admin_post("draw/standby", &prize("자전거")).await.ok();
    phone.until_state("standby").await;
    let (_, winners) = server.whole_draw(&prize("자전거")).await;
    assert_eq!(winners, [number]);
    phone.until_state("won").await;
    assert_eq!(phone.text("#won-name").await, "자전거");
    browser.assert_no_errors(&["WebSocket connection to"]).await;
}

#[tokio::test]
async fn a_phone_without_javascript_gets_a_notice_in_both_languages() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    for path in [&format!("/j/{EVENT}"), "/lottery", "/lottery/admin", "/lottery/staff", "/lottery/verify"] {
        let page = browser.open_blank(Screen::Phone).await;
        page.command("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
        page.go(&server.page(path)).await;
        // Scripts are off, so the laid-out texts come from a snapshot.
        let seen = page.command("DOMSnapshot.captureSnapshot", json!({"computedStyles": []})).await;
        let strings = seen["strings"].as_array().unwrap();
        let laid_out = seen["documents"][0]["layout"]["text"].as_array().unwrap();
        let texts: Vec<_> =
            laid_out.iter().filter_map(Value::as_u64).filter_map(|at| strings.get(at as usize)?.as_str()).collect();
        let visible = texts.join("\n");
        assert!(visible.contains("자바스크립트") && visible.contains("JavaScript"), "{path} shows {visible}");
        assert!(!visible.contains("innerText"), "the texts are the visible ones");
    }
}

#[tokio::test]
async fn a_phone_without_cookies_and_storage_still_gets_a_number() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let phone = browser.open_blank(Screen::Phone).await;
    // Behaves like a browser that blocks all storage, on every later page.
    let deny_storage = "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, name, { get() { throw \
                  new DOMException('denied', 'SecurityError'); } }); Object.defineProperty(navigator, 'cookieEnabled', { value: false });";
    phone.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": deny_storage})).await;
    phone.go(&server.page(&format!("/j/{EVENT}"))).await;
    let stores = "try { localStorage.setItem('a', 'b'); return true } catch { return navigator.cookieEnabled }";
    assert_eq!(phone.run(stores, vec![]).await, false, "this browser stores nothing");
    let number = phone.join().await;
    phone.command("Network.clearBrowserCookies", json!({})).await;
    phone.until("!document.querySelector('#not-stored').hidden").await;
    let (_, winners) = server.whole_draw(&prize("자전거")).await;
    assert_eq!(winners, [number]);
    phone.until_state("won").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_browser_that_is_too_old_is_told_so_on_every_page() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    for path in [&format!("/j/{EVENT}"), "/lottery", "/lottery/admin", "/lottery/staff", "/lottery/verify"] {
        let page = browser.open_blank(Screen::Phone).await;
        page.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": "delete Array.prototype.at"})).await;
        page.go(&server.page(path)).await;
        page.until_text("#old-browser", "너무 오래되어").await;
        let page = browser.open(Screen::Phone, &server.page(path)).await;
        page.until("document.readyState === 'complete'").await;
        assert_eq!(page.run("return document.querySelector('#old-browser')", vec![]).await, Value::Null, "{path} opens here");
        // The browser reports a module that it cannot read so.
        let unread = "dispatchEvent(new ErrorEvent('error', { message: \"Uncaught SyntaxError: Unexpected token '?'\" }))";
        page.run(unread, vec![]).await;
        page.until_text("#old-browser", "too old").await;
    }
}

#[tokio::test]
async fn a_phone_without_a_wake_lock_plays_a_silent_picture_or_says_that_it_may_sleep() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let absent = "delete Navigator.prototype.wakeLock;";
    let refused = "navigator.wakeLock.request = () => Promise.reject(new DOMException('low battery', 'NotAllowedError'));";
    let silent = "HTMLMediaElement.prototype.play = () => Promise.reject(new Error('no'));";
    for (lock, refuses, shown) in [(absent, "", "#awake"), (refused, "", "#awake"), (refused, silent, "#may-sleep")] {
        let phone = browser.open_blank(Screen::Phone).await;
        let source = format!("{lock} {refuses}");
        phone.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": source})).await;
        phone.go(&server.page(&format!("/j/{EVENT}"))).await;
        phone.join().await;
        phone.click("#ticket-foot").await;
        phone.until(&format!("document.querySelector('{shown}') !== null")).await;
        if refuses.is_empty() {
            phone.until("!document.querySelector('#awake').paused && document.querySelector('#awake').currentTime > 0").await;
            assert_eq!(phone.run("return document.querySelector('#may-sleep')", vec![]).await, Value::Null);
        }
    }
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_waiting_phone_shows_the_prizes_that_are_left_and_the_people() {
    let server = TestServer::start().await;
    server.open_event().await;
    for (name, quantity) in [("자전거", 1), ("커피", 3)] {
        let listed = json!({"prize_name": name, "prize_rank": 1, "quantity": quantity});
        server.admin_post("prizes", &listed).await.expect_data(201);
    }
    server.register_many(2).await;
    let browser = Browser::start().await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    server.exclude(phone.join().await).await;
    phone.until_text("#prizes summary", "남은 경품 4개 · 참가자 3명").await;
    phone.click("#prizes summary").await;
    phone.until_text("#prizes ul", "커피").await;
    let display = server.display().await;
    let coffee = json!({"prize_name": "커피", "prize_rank": 1, "draw_mode": "slot", "winner_count": 1});
    let (draw, winners) = server.whole_draw(&coffee).await;
    phone.until_text("#prizes summary", "남은 경품 3개").await;
    let absent = json!({"draw_id": draw, "draw_number": winners[0], "reason": "absent", "redraw": false});
    server.admin_post("draw/void", &absent).await.ok();
    phone.until_text("#prizes summary", "남은 경품 4개").await;
    server.whole_draw(&coffee).await;
    phone.until_text("#prizes summary", "남은 경품 3개").await;
    server.admin_post("reset", &json!({"reset_draws": true})).await.ok();
    phone.until_text("#prizes summary", "남은 경품 4개").await;
    drop(display);
    browser.assert_no_errors(&[]).await;
}
