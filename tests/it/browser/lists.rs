//! Lists as people have them: imported with their problems named, exported, searched and sorted;
//! and the desk that finds a winner by a scanner that is a keyboard.

use super::chromium::{Browser, Page, Screen};
use super::people::{ENTER, open_console};
use crate::event_steps::{EVENT, prize};
use crate::test_server::TestServer;
use serde_json::json;

/// The name that a right-to-left override would show before the number, and turned.
const TURNING: &str = "\u{202e}TV";

#[tokio::test]
async fn an_import_names_each_problem_with_its_cell_and_remedy_in_the_page_s_language() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}&lang=ko")).await;
    host.open_tab("prizes").await;
    host.click("#import-prizes").await;
    host.fill("#paste", "경품명;색상;수량\n자전거;빨강;2,0\n합계;;2").await;
    host.click("#preview").await;
    host.until_text("#import-outcome", "1행 · B1: “색상”은(는) 모르는 제목입니다.").await;
    host.until_text("#import-outcome", "2행 · C2 · 수량: “2,0”의 쉼표·점은 두 가지로 읽힙니다.").await;
    host.until_text("#left-out", "3행 합계: 합계").await;
    assert_eq!(host.run("return document.querySelector('#take').disabled", vec![]).await, true);
    host.fill("#paste", "<html><table>").await;
    host.click("#preview").await;
    host.until_text("#import-outcome", "웹 페이지(HTML·XML)입니다").await;
    host.click("#template").await;
    host.until_text("#notes", "서식을 내려받았습니다.").await;

    host.go(&server.page(&format!("/lottery/admin?event={EVENT}&lang=en"))).await;
    host.open_tab("prizes").await;
    host.click("#import-prizes").await;
    host.fill("#paste", "Prize,Quantity\nBicycle,many\n").await;
    host.click("#preview").await;
    host.until_text("#import-outcome", "Row 2 · B2 · Quantity: “many” is no number. Write digits, such as 3.").await;
    host.fill("#paste", "Prize,Quantity,How it is drawn\nBicycle,2,Slot machine\n").await;
    host.click("#preview").await;
    host.until_text("#import-outcome", "1 prize can be imported.").await;
    host.click("#take").await;
    host.until_text("#prizes", "Bicycle").await;
    browser.assert_no_errors(&["status of 422"]).await;
}

#[tokio::test]
async fn a_scan_finds_the_claim_under_any_keyboard_and_never_records_the_one_before() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(2).await;
    let mut codes = Vec::new();
    for name in ["자전거", "우산"] {
        let (_, winners) = server.whole_draw(&prize(name)).await;
        let phone = phones.iter().find(|phone| phone.number == winners[0]).unwrap();
        let path = format!("/check-winner?event_id={EVENT}&draw_number={}", phone.number);
        let own = server.get(&path).bearer(&phone.token).await.ok();
        codes.push(own["prizes"][0]["claim_code"].as_str().unwrap().to_owned());
    }
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let desk = host.open_beside(Screen::Desktop, &server.page(&format!("/lottery/staff?event={EVENT}"))).await;
    desk.fill("#desk", "로비").await;
    let address = |code: &str| format!("{}{}", server.page(&format!("/lottery/staff?event={EVENT}#claim=")), code);
    desk.fill("#code", &address(&codes[0])).await;
    desk.press(ENTER).await;
    desk.until_text("#claim-prize", "자전거").await;
    // The button that records the hand-over has the focus: the next scan must not press it.
    desk.until("document.activeElement.id === 'hand-over'").await;
    desk.press(&format!("{}{ENTER}", address(&codes[1]))).await;
    desk.until_text("#claim-prize", "우산").await;
    assert_eq!(server.admin_get("winners?all=1").await["winners"][0]["claimed"], false);
    desk.click("#hand-over").await;
    desk.until("document.querySelector('#claim').dataset.claim === 'done'").await;
    assert_eq!(server.admin_get("winners?all=1").await["winners"][1]["claimed"], true);
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_winner_sees_the_grade_corrects_the_details_and_finds_the_tab() {
    let server = TestServer::start().await;
    server.open_event().await;
    let listed = json!({"prize_name": TURNING, "prize_rank": 3, "prize_grade": "특별상", "quantity": 1});
    server.admin_post("prizes", &listed).await.expect_data(201);
    let browser = Browser::start().await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    phone.join().await;
    server.whole_draw(&prize(TURNING)).await;
    phone.until_state("won").await;
    phone.until_text("#won-rank", "특별상").await;
    assert!(phone.run("return document.title", vec![]).await.as_str().unwrap().starts_with("🎉 당첨"));
    phone.click("#won-next").await;
    // A paste of an address book: full-width digits, dots and a direction mark.
    let code = phone.submit_details("홍길동", "\u{202a}０１０．１１１１．１１１１\u{202c}", None).await;
    phone.click("#details-correct").await;
    phone.until_state("form").await;
    assert_eq!(
        phone.run("return document.querySelector('#details-name').value", vec![]).await,
        "홍길동",
        "nothing is typed twice"
    );
    phone.fill("#details-phone", "010-1234-567890").await;
    phone.click("#details-consent").await;
    phone.click("#details-send").await;
    phone.until_text("#details-phone-wrong", "10자리나 11자리").await;
    phone.fill("#details-phone", "01012345678").await;
    phone.click("#details-send").await;
    phone.until_text("#details-sent", "정보를 고쳤습니다").await;
    assert_eq!(server.admin_get("winners?unmask=1").await["winners"][0]["phone"], "010-1234-5678");

    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    let desk = host.open_beside(Screen::Phone, &server.page(&format!("/lottery/staff?event={EVENT}"))).await;
    desk.find_claim("로비", &code).await;
    desk.until_text("#claim-grade", "특별상").await;
    desk.click("#hand-over").await;
    desk.until_text("#log", "001 · \u{2068}\u{202e}TV\u{2069}").await;
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_long_list_of_winners_is_searched_sorted_and_corrected() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(12).await;
    let many = json!({"prize_name": "우산", "prize_rank": 2, "quantity": 9, "draw_mode": "list", "winner_count": 9});
    server.admin_post("prizes", &many).await.expect_data(201);
    let mut spec = prize("우산");
    (spec["draw_mode"], spec["winner_count"]) = (json!("list"), json!(9));
    let (draw, winners) = server.whole_draw(&spec).await;
    let void = json!({"draw_id": draw, "draw_number": winners[0], "reason": "absent", "redraw": false});
    server.admin_post("draw/void", &void).await.ok();
    let browser = Browser::start().await;
    let host = open_console(&browser, &server, &format!("/lottery/admin?event={EVENT}")).await;
    host.open_tab("winners").await;
    host.until_text("[data-tab=winners] h2", "당첨자 8명").await;
    let numbers = "[...document.querySelectorAll('#winners [data-winner]')].map((row) => Number(row.dataset.winner))";
    host.until(&format!("({numbers}).length === 9")).await;
    for (presses, order) in [(1, "a - b"), (2, "b - a")] {
        for _ in 0..presses.min(1) {
            host.click("[data-sort=number]").await;
        }
        host.until(&format!("String({numbers}) === String(({numbers}).sort((a, b) => {order}))")).await;
    }
    host.fill("#find-winner", &format!("{:03}", winners[1])).await;
    host.until(&format!("String({numbers}) === '{}'", winners[1])).await;

    host.click("#unmask").await;
    host.click("[data-answer=yes]").await;
    host.click("[data-action=correctDetails]").await;
    host.fill("[data-field=name]", "김하늘").await;
    host.fill("[data-field=phone]", "010.1234.5678").await;
    host.click("[data-field=consent]").await;
    host.click("[data-answer=yes]").await;
    host.until_text("#winners", "정보 제출").await;
    host.open_tab("audit").await;
    host.until_text("#audit", "당첨자의 정보를 넣거나 고쳤습니다.").await;
    host.until_text("#audit", "관리자").await;
    let listed = server.admin_get("winners?unmask=1").await["winners"][0].clone();
    assert_eq!((&listed["draw_number"], &listed["phone"]), (&json!(winners[1]), &json!("010-1234-5678")));
    browser.assert_no_errors(&[]).await;
}

#[tokio::test]
async fn a_phone_turned_sideways_shows_every_digit_of_its_number() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    phone.join().await;
    assert_number_fits(&phone, "#number", "#ticket").await;
    server.whole_draw(&prize("자전거")).await;
    phone.until_state("won").await;
    assert_number_fits(&phone, "#won-number", "#won-number").await;
}

/// Asserts that a number of any width stays on one line within the window, upright and sideways;
/// `sized` has the count of its digits.
async fn assert_number_fits(phone: &Page<'_>, number: &str, sized: &str) {
    let show = "const [number, sized, text] = arguments; const box = document.querySelector(number);
        box.textContent = text; document.querySelector(sized).style.setProperty('--digits', text.length); scrollTo(0, 0);
        const range = document.createRange(); range.selectNodeContents(box);
        const { left, right, top, bottom } = range.getBoundingClientRect();
        return { left, right, top, bottom, lines: range.getClientRects().length, width: innerWidth, height: innerHeight };";
    for (width, height) in [(568, 320), (667, 375), (844, 390), (320, 568)] {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        phone.command("Emulation.setDeviceMetricsOverride", size).await;
        phone.until(&format!("innerWidth === {width}")).await;
        for text in ["001", "1000", "300000"] {
            let shown = phone.run(show, vec![json!(number), json!(sized), json!(text)]).await;
            let at = |name: &str| shown[name].as_f64().unwrap();
            let fits = at("left") >= 0.0 && at("right") <= at("width") && at("top") >= 0.0 && at("bottom") <= at("height");
            assert!(fits && shown["lines"] == 1, "{number} {text} at {width} by {height}: {shown}");
        }
    }
}
