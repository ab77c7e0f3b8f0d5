//! The console as operators use it: by keyboard only, pressed twice, and with a second operator at
//! another console.

use super::chromium::{Browser, Page, Screen};
use super::people::{ENTER, SPACE, TAB, open_console};
use crate::event_steps::EVENT;
use crate::test_server::{ADMIN_TOKEN, TestServer};
use hyper::Method;
use serde_json::json;

/// Limit of Tab presses until the main button has the focus.
const TABS_MAX: usize = 40;

/// The step on the main button once the winners are known and its pause has ended.
const AFTER_REVEAL: &str = "(({ disabled, dataset: { step } }) =>
    (step === 'exhausted' || (step === 'complete' && !disabled)) && step)(document.querySelector('#step'))";

/// A WebSocket that ignores messages while `ignoresMessages` is set.
const IGNORE_MESSAGES: &str = "const Plain = WebSocket; self.WebSocket = class extends Plain {
    set onmessage(handle) { super.onmessage = handle && ((event) => self.ignoresMessages || handle(event)); } };";

#[tokio::test]
async fn a_draw_is_run_by_keyboard_and_a_double_press_is_one_step() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let host = browser.open(Screen::Desktop, &server.page(&format!("/lottery/admin?event={EVENT}"))).await;
    host.until("document.activeElement.id === 'login-token'").await;
    host.press(ADMIN_TOKEN).await;
    host.press(ENTER).await;
    host.until("document.querySelector('#step[data-step=standby]:not(:disabled)') !== null").await;
    let mut tabs = 0;
    while host.run("return document.activeElement.id", vec![]).await != "step" {
        assert!(tabs < TABS_MAX, "the main button is reached by Tab");
        host.press(TAB).await;
        tabs += 1;
    }
    for (keys, next) in [(SPACE.repeat(2), "start"), (ENTER.repeat(2), "reveal")] {
        host.press(&keys).await;
        // After the button's pause, a second step would be visible.
        host.until(&format!(
            "document.querySelector('#step').dataset.step !== '{}'",
            if next == "start" { "standby" } else { "start" }
        ))
        .await;
        host.until("!document.querySelector('#step').disabled").await;
        assert_eq!(
            host.run("return document.querySelector('#step').dataset.step", vec![]).await,
            next,
            "two presses are one step"
        );
    }
    host.press(SPACE).await;
    // Without a stage, the console announces, or the server at its deadline.
    if host.until(AFTER_REVEAL).await == "complete" {
        host.press(SPACE).await;
    }
    host.until("document.querySelector('#step').dataset.step === 'exhausted'").await;
    assert_eq!(server.admin_get("draws").await["draws"].as_array().unwrap().len(), 1);
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn the_first_draw_of_more_prizes_than_people_is_possible_as_it_is_preselected() {
    let server = TestServer::start().await;
    server.open_event().await;
    let coupon = json!({"prize_name": "쿠폰", "prize_rank": 3, "quantity": 10, "draw_mode": "list", "winner_count": 10});
    server.admin_post("prizes", &coupon).await.expect_data(201);
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.until_text("#count-problem", "당첨될 수 있는 사람이 없습니다").await;
    assert_eq!(host.run("return document.querySelector('#step').disabled", vec![]).await, true);
    server.register_many(2).await;
    host.until("document.querySelector('#count').value === '2'").await;
    host.fill("#count", "5").await;
    host.until_text("#count-problem", "사람은 2명").await;
    host.click("#count-problem [data-fix=count]").await;
    host.until("document.querySelector('#count').value === '2'").await;
    host.press_step("standby").await;
    host.press_step("start").await;
    host.press_step("reveal").await;
    // Without a stage the server may announce at once, and prizes are left.
    host.until("['revealed', 'announced'].includes(document.querySelector('.current-draw').dataset.status)").await;
    assert_eq!(server.admin_get("draws").await["draws"].as_array().unwrap().len(), 2, "a row for each winner");
    browser.assert_no_errors(&[]).await;
}

/// Limits the page to this size.
async fn resize(page: &Page<'_>, width: u32, height: u32) {
    let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
    page.command("Emulation.setDeviceMetricsOverride", size).await;
}

#[tokio::test]
async fn an_edited_prize_goes_on_stage_and_a_count_too_high_is_said_in_its_field() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(6).await;
    let listed = json!({"prize_name": "TV", "prize_rank": 1, "quantity": 3, "draw_mode": "slot"});
    let id = server.admin_post("prizes", &listed).await.expect_data(201)["prize_id"].as_u64().unwrap();
    let edit = async |name: &str, mode: &str, count: u32| {
        let mut prize = json!({"prize_name": name, "prize_rank": 1, "quantity": 3, "draw_mode": mode, "winner_count": count});
        prize["version"] = server.admin_get("prizes").await["prizes"][0]["version"].clone();
        server.admin(Method::PUT, &format!("prizes/{id}")).json(&prize).await.ok();
    };
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let shows = |mode: &str, count: &str| {
        format!("document.querySelector('#mode').value === '{mode}' && document.querySelector('#count').value === '{count}'")
    };
    host.until(&shows("slot", "1")).await;
    edit("OLED", "card", 3).await;
    host.until(&shows("card", "3")).await;
    host.until_text("#run", "OLED").await;
    host.choose("#mode", "slot").await;
    host.until_text("#count-problem", "한 번에 1명").await;
    assert_eq!(host.run("return document.querySelector('#step').disabled", vec![]).await, true);
    host.until_text("#count-problem [data-fix=card]", "카드 뒤집기").await;
    host.click("#count-problem [data-fix=card]").await;
    host.fill("#count", "4").await;
    host.until_text("#count-problem", "남은 3명").await;
    host.click("#count-problem [data-fix=count]").await;
    let mut display = server.display().await;
    host.press_step("standby").await;
    let shown = display.until("draw_standby").await;
    assert_eq!((&shown["prize_name"], &shown["draw_mode"], &shown["winner_count"]), (&json!("OLED"), &json!("card"), &json!(3)));
    edit("QLED", "list", 2).await;
    let shown = display.until("draw_standby").await;
    assert_eq!((&shown["prize_name"], &shown["draw_mode"], &shown["winner_count"]), (&json!("QLED"), &json!("list"), &json!(2)));
    host.press_step("start").await;
    let started = display.until("draw_started").await;
    assert_eq!((&started["prize_name"], &started["winner_count"]), (&json!("QLED"), &json!(2)), "as the list is at that moment");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn the_big_button_is_in_view_on_a_small_screen_with_a_hundred_prizes() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    for prize in 0..100 {
        server.add_prize(&format!("경품 {prize}")).await;
    }
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    resize(&host, 1366, 768).await;
    host.until("document.querySelectorAll('#run li').length === 100").await;
    // Notes of the longest kind, as many as there can be.
    let note = "const note = document.createElement('p'); note.className = 'note';
        note.textContent = '지금은 2명까지 뽑을 수 있어 당첨 인원을 맞췄습니다. 다시 눌러 주세요. '.repeat(3);
        for (let i = 0; i < 4; i += 1) document.querySelector('#notes').append(note.cloneNode(true));";
    host.run(note, vec![]).await;
    let seen = "(() => {
        const box = document.querySelector('#step').getBoundingClientRect();
        const at = (x, y) => document.elementFromPoint(x, y)?.id === 'step';
        const covers = [...document.querySelectorAll('.note')].some((note) => {
            const other = note.getBoundingClientRect();
            return other.bottom > box.top && other.top < box.bottom && other.right > box.left && other.left < box.right;
        });
        return !covers && box.bottom <= innerHeight && at(box.left + 9, box.top + 9) && at(box.right - 9, box.bottom - 9);
    })()";
    host.until(seen).await;
    for step in ["standby", "start", "reveal"] {
        host.press_step(step).await;
        host.until(seen).await;
    }
    let broken = "return [...document.querySelectorAll('.figures dt')].filter((label) => label.offsetHeight > 3 * parseFloat(getComputedStyle(label).lineHeight))
        .map((label) => label.textContent)";
    assert_eq!(host.run(broken, vec![]).await, json!([]), "labels of the hall break between words");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn an_edit_of_the_settings_survives_what_another_operator_does() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("event").await;
    host.fill("#settings [name=title]", "송년회 밤").await;
    server.admin_post("entry-code", &json!({"entry_code": "4711"})).await.ok();
    host.until_text("#entry-code", "4711").await;
    let kept = "return [document.querySelector('#settings [name=title]').value, document.activeElement.name]";
    assert_eq!(host.run(kept, vec![]).await, json!(["송년회 밤", "title"]));
    host.click("#settings button.main").await;
    host.until_text("#notes", "저장했습니다").await;
    let event = server.request(Method::GET, &format!("/api/luckydraw/admin/events/{EVENT}")).admin().await.ok();
    assert_eq!(event["title"], "송년회 밤");
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_browser_without_cookies_is_told_why_it_cannot_log_in() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let host = browser.open_blank(Screen::Desktop).await;
    let without = "const plain = self.fetch; self.fetch = (url, options) => plain(url, { ...options, credentials: 'omit' });";
    host.command("Page.addScriptToEvaluateOnNewDocument", json!({"source": without})).await;
    host.go(&server.page(&format!("/lottery/admin?event={EVENT}"))).await;
    host.fill("#login-token", ADMIN_TOKEN).await;
    host.press(ENTER).await;
    host.until_text("#login-wrong", "쿠키").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn an_event_needs_no_id_and_a_rehearsal_copies_it() {
    let server = TestServer::start().await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, "/lottery/admin").await;
    host.click("#new-event").await;
    host.fill("dialog [name=title]", "송년회").await;
    host.click("dialog [data-answer=yes]").await;
    let id = host.until("new URLSearchParams(location.search).get('event')").await.as_str().unwrap().to_owned();
    assert!(id.starts_with("event-"), "{id}");
    host.until("document.querySelector('#tab-show') !== null").await;
    let prize = json!({"prize_name": "자전거", "prize_rank": 1, "quantity": 2, "draw_mode": "card", "winner_count": 2, "show_seconds": 9});
    server.post(&format!("/admin/{id}/prizes")).admin().json(&prize).await.expect_data(201);
    host.click("#to-events").await;
    host.click(&format!("[data-rehearse='{id}']")).await;
    let copy = host.until("(new URLSearchParams(location.search).get('event') ?? '').startsWith('rehearsal-') && new URLSearchParams(location.search).get('event')");
    let copy = copy.await.as_str().unwrap().to_owned();
    let event = server.request(Method::GET, &format!("/api/luckydraw/admin/events/{copy}")).admin().await.ok();
    assert_eq!((&event["title"], &event["rehearsal"]), (&json!("송년회"), &json!(true)));
    let prizes = server.request(Method::GET, &format!("/api/luckydraw/admin/{copy}/prizes")).admin().await.ok();
    let copied = &prizes["prizes"][0];
    assert_eq!(
        (&copied["prize_name"], &copied["winner_count"], &copied["show_seconds"]),
        (&json!("자전거"), &json!(2), &json!(9))
    );
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn the_slower_of_two_operators_is_notified_and_one_draw_starts() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.add_prize("자전거").await;
    let browser = Browser::start().await;
    let path = format!("/lottery/admin?event={EVENT}");
    let fast = open_console(&browser, &server, &path).await;
    let slow = browser.open_blank(Screen::Desktop).await;
    slow.command("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({"source": IGNORE_MESSAGES})).await;
    slow.go(&server.page(&path)).await;
    slow.fill("#login-token", ADMIN_TOKEN).await;
    slow.press(ENTER).await;
    fast.press_step("standby").await;
    slow.until("document.querySelector('#step[data-step=start]:not(:disabled)') !== null").await;
    slow.run("self.ignoresMessages = true", vec![]).await;
    fast.press_step("start").await;
    fast.press_step("reveal").await;
    fast.until(AFTER_REVEAL).await;
    slow.press_step("start").await;
    slow.until_text("#notes", "다른 진행자가 먼저").await;
    assert_eq!(server.admin_get("draws").await["draws"].as_array().unwrap().len(), 1, "one draw, whichever operator pressed");
    browser.assert_no_errors(&["status of 409"]).await;
}

#[tokio::test]
async fn the_console_tells_that_the_clock_is_not_trusted_until_an_operator_confirms_it() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("event").await;
    host.until("document.querySelector('#confirm-clock') !== null").await;
    host.click("#confirm-clock").await;
    host.until("document.querySelector('#confirm-clock') === null").await;
    let clock = server.request(Method::GET, "/api/luckydraw/admin/clock").admin().await.ok();
    assert_eq!(clock["trust"], "steady");
    browser.assert_no_errors(&[]).await;
}

/// Puts a file into an input, as a person who chooses it.
async fn choose_file(page: &Page<'_>, selector: &str, name: &str, media_type: &str, bytes: &[u8]) {
    let script = "const [selector, name, type, bytes] = arguments;
        const chosen = new DataTransfer();
        chosen.items.add(new File([Uint8Array.from(bytes)], name, { type }));
        const input = document.querySelector(selector);
        input.files = chosen.files;
        input.dispatchEvent(new Event('change', { bubbles: true }));";
    page.run(script, vec![json!(selector), json!(name), json!(media_type), json!(bytes)]).await;
}

/// The console's list of prizes, with one prize on it.
async fn open_list_of_one_prize<'b>(browser: &'b Browser, server: &TestServer) -> Page<'b> {
    server.open_event().await;
    server.add_prize("자전거").await;
    let host = open_console(browser, server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("prizes").await;
    host
}

#[tokio::test]
async fn a_picture_of_any_kind_becomes_what_the_person_saw_and_can_be_removed() {
    let (server, browser) = (TestServer::start().await, Browser::start().await);
    let host = open_list_of_one_prize(&browser, &server).await;
    let stored = async || server.admin_get("prizes").await["prizes"][0]["prize_image"].clone();
    let edit = "#prizes li [aria-label^='수정']";
    for (name, media_type, bytes) in [
        ("small.avif", "image/avif", include_bytes!("../photos/small.avif").as_slice()),
        ("wide_gamut.png", "image/png", include_bytes!("../photos/wide_gamut.png").as_slice()),
    ] {
        let before = stored().await;
        host.click(edit).await;
        host.until("document.querySelector('dialog .preview') !== null").await;
        choose_file(&host, "dialog [data-field=picture]", name, media_type, bytes).await;
        host.until("document.querySelector('dialog .preview').naturalWidth > 0").await;
        host.click("dialog [data-answer=yes]").await;
        host.until("document.querySelector('dialog') === null").await;
        let shown = format!(
            "(({{ complete, naturalWidth: wide, src }}) => complete && wide > 0 && !src.endsWith({before}))
                (document.querySelector('#prizes li img') ?? {{}})"
        );
        host.until(&shown).await;
        let path = stored().await;
        assert!(path.is_string() && path != before, "{name} is stored: {path}");
        if name == "wide_gamut.png" {
            // Display P3 (230, 60, 40) is about (250, 31, 13) in sRGB.
            let served = server.request(Method::GET, path.as_str().unwrap()).await;
            let pixel = image::load_from_memory(&served.body).unwrap().into_rgb8().get_pixel(4, 4).0;
            assert!(pixel[0] > 242 && pixel[1] < 46, "its colours are converted: {pixel:?}");
        }
    }
    host.click(edit).await;
    // The row of buttons at the foot of a long dialog stays in view, and covers what is not
    // scrolled.
    host.run("document.querySelector('dialog [data-remove=picture]').scrollIntoView({ block: 'center' })", vec![]).await;
    host.click("dialog [data-remove=picture]").await;
    host.click("dialog [data-answer=yes]").await;
    host.until("document.querySelector('#prizes li img') === null").await;
    assert!(stored().await.is_null());
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_photograph_of_12_megapixels_is_shrunk_before_it_is_sent_and_stays_a_jpeg() {
    let (server, browser) = (TestServer::start().await, Browser::start().await);
    let host = open_list_of_one_prize(&browser, &server).await;
    host.click("#prizes li [aria-label^='수정']").await;
    host.until("document.querySelector('dialog [data-field=picture]') !== null").await;
    let script = "
        const canvas = Object.assign(document.createElement('canvas'), { width: 4000, height: 3000 });
        const context = canvas.getContext('2d');
        const colours = context.createLinearGradient(0, 0, 4000, 3000);
        colours.addColorStop(0, '#c03020');
        colours.addColorStop(1, '#2040c0');
        context.fillStyle = colours;
        context.fillRect(0, 0, 4000, 3000);
        const send = self.fetch;
        self.fetch = (path, options) => {
            if (path.endsWith('/images')) self.sent = { type: options.body.type, size: options.body.size };
            return send(path, options);
        };
        canvas.toBlob((photo) => {
            const chosen = new DataTransfer();
            chosen.items.add(new File([photo], 'photo.jpg', { type: 'image/jpeg' }));
            const input = document.querySelector('dialog [data-field=picture]');
            input.files = chosen.files;
            input.dispatchEvent(new Event('change', { bubbles: true }));
            self.original = photo.size;
        }, 'image/jpeg', 1);";
    host.run(script, vec![]).await;
    host.until("self.original > 0").await;
    host.click("dialog [data-answer=yes]").await;
    host.until("document.querySelector('dialog') === null").await;
    host.until("self.sent?.type === 'image/jpeg' && self.sent.size < self.original / 2").await;
    host.until("document.querySelector('#prizes li img')?.naturalWidth > 0").await;
    let path = server.admin_get("prizes").await["prizes"][0]["prize_image"].as_str().unwrap().to_owned();
    assert!(path.ends_with(".jpg"), "{path}");
    let served = server.request(Method::GET, &path).await;
    let reader = image::ImageReader::new(std::io::Cursor::new(&served.body)).with_guessed_format().unwrap();
    assert_eq!(reader.format(), Some(image::ImageFormat::Jpeg));
    assert_eq!(reader.into_dimensions().unwrap(), (1_600, 1_200));
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_rehearsal_has_as_many_simulated_phones_as_its_host_asks_for() {
    let server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [], "rehearsal": true})).await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.until("document.querySelector('#remove-phones:disabled') !== null").await;
    host.run("document.querySelector('#phone-count').value = ''", vec![]).await;
    host.fill("#phone-count", "400").await;
    host.click("#add-phones").await;
    host.until_text("#rehearsal-progress", "400대, 접속 400대").await;
    assert_eq!(server.public("/state").await["state_sync"]["participant_count"], 400);
    // They are the server's: another console sees them too.
    host.refresh().await;
    host.until_text("#rehearsal-progress", "400대, 접속 400대").await;
    host.click("#remove-phones").await;
    host.until("document.querySelector('#rehearsal-progress').textContent === ''").await;
    browser.assert_no_errors(&[]).await;
}
