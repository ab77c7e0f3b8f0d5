//! Servers that tell one consistent lie to everybody: what each verifier sees of it, what one
//! honest phone keeps, and what phone, stage and verify page do not take from the server's word.

use super::Case;
use super::story::{ROUND_1000_AT_MS, Story, Twist};
use super::verifiers::{Verifiers, python_prints};
use crate::browser::chromium::{Browser, Page, Screen};
use crate::event_steps::{EVENT, prize};
use crate::test_server::TestServer;
use hyper::Method;
use luckydraw::base::sha256;
use luckydraw::draw::proof::roster_tree;
use luckydraw::ops::verify::verify;
use serde_json::{Value, json};

#[tokio::test]
async fn a_draw_without_a_lock_is_refused_once_a_lock_is_known() {
    let (old, downgraded) = (Story::first_version().proof(false), Story::downgraded().proof(false));
    let mut unlocked = old.clone();
    unlocked["draws"].as_array_mut().unwrap().pop();
    // A phone that knows the session's anchor keeps that a draw began without a lock.
    let phone = json!({
        "event_id": "gala", "event_session_id": old["event_session_id"], "draw_number": 3,
        "receipt": "11".repeat(32), "anchor": old["anchors"][0], "heads": {"1": null}, "codes": {}, "paths": [],
    });
    let cases: Vec<Case> = vec![(old, None), (unlocked.clone(), None), (downgraded, None), (unlocked, Some(phone))];
    for (name, verdicts) in Verifiers::start().await.run(&cases).await {
        assert_eq!(verdicts, [true, true, false, false], "{name}");
    }
}

#[tokio::test]
async fn a_made_up_signature_is_refused_by_its_check_and_shown_as_unchecked_by_the_others() {
    let (story, wanted) = (Story::forged(7), 7);
    let (proof, receipt) = (story.proof(false), story.receipt());
    let (draw, signature) = (&proof["draws"][0], proof["draws"][0]["outside_value"].as_str().unwrap());
    assert_eq!(draw["picks"], json!([wanted]), "the liar has its way");
    let verifiers = Verifiers::start().await;
    for (name, verdicts) in verifiers.run(&[(proof.clone(), Some(receipt.clone()))]).await {
        assert_eq!(verdicts, [name != "luckydraw verify"], "{name}: the liar's own phones agree with it");
    }
    let (text, code) = python_prints(&proof.to_string(), Some(&receipt));
    assert!(code == Some(3) && text.lines().last().unwrap().contains("UNCHECKED: [1000]"), "{code:?} {text}");
    assert!(text.contains(signature), "the whole value can be compared: {text}");
    let page = verifiers.page().await;
    page.choose_file(&proof.to_string()).await;
    page.until_state("holds").await;
    page.until_text("#verdict-title", "drand 서명 1건은 확인하지 않음").await;
    page.until_text("#draws .round", signature).await;
    // An honest proof without drand has nothing unchecked.
    let honest = Story::told(&Twist::default()).proof(false);
    assert_eq!(python_prints(&honest.to_string(), None).1, Some(0));
    page.choose_file(&honest.to_string()).await;
    page.until("!document.body.hasAttribute('data-unchecked')").await;
}

#[tokio::test]
async fn a_lock_that_came_after_its_round_is_seen_by_the_phone_that_heard_it() {
    let story = Story::by_drand(false);
    let heard = |after_round_ms: i64| {
        let mut receipt = story.receipt();
        receipt["live"] = json!({"1": ROUND_1000_AT_MS + after_round_ms});
        (story.proof(false), Some(receipt))
    };
    let cases = [heard(-4_000), heard(4_000), heard(6_000), heard(600_000)];
    for (name, verdicts) in Verifiers::start().await.run(&cases).await {
        assert_eq!(verdicts, [true, true, false, false], "{name}");
    }
    let lines = |(proof, receipt): &Case| {
        let receipt = receipt.as_ref().unwrap().to_string();
        verify(proof.to_string().as_bytes(), Some(receipt.as_bytes())).unwrap().lines.join("\n")
    };
    assert!(lines(&cases[0]).contains("4000 ms before its round"), "{}", lines(&cases[0]));
    assert!(lines(&cases[1]).contains("NOTE: 4000 ms after its round"), "{}", lines(&cases[1]));
    assert!(python_prints(&cases[1].0.to_string(), cases[1].1.as_ref()).0.contains("NOTE: the lock of draw 1 came 4000 ms"));
}

#[tokio::test]
async fn what_a_server_changes_between_draws_is_noted() {
    let (moved, back) = (Story::moved(), Story::with_clock_set_back());
    let mut receipt = moved.receipt();
    receipt["outside"] = json!("drand");
    let cases = [(moved.proof(false), Some(moved.receipt())), (back.proof(false), None), (moved.proof(false), Some(receipt))];
    for (name, verdicts) in Verifiers::start().await.run(&cases).await {
        assert_eq!(verdicts, [true; 3], "{name}");
    }
    let mut notes = vec![
        (cases[0].clone(), "a new seed chain begins, chosen after the registrations"),
        (cases[1].clone(), "the server's clock was set back"),
        (cases[2].clone(), "not by drand, the rule before registration"),
        ((Story::told(&Twist::default()).proof(false), None), "the rule was none before"),
    ];
    for ((proof, receipt), note) in notes.drain(..) {
        let text = receipt.as_ref().map(Value::to_string);
        let lines = verify(proof.to_string().as_bytes(), text.as_ref().map(String::as_bytes)).unwrap().lines.join("\n");
        assert!(lines.contains(note), "{note}: {lines}");
        assert!(python_prints(&proof.to_string(), receipt.as_ref()).0.contains(note), "{note}");
    }
    assert_eq!(cases[0].0["anchors"].as_array().unwrap().len(), 2, "the anchor that phones heard first stays");
}

/// Changes every frame that a page receives as a lying server would: its code is another one.
const LYING_FRAMES: &str = r#"
const { parse } = JSON;
JSON.parse = (text, ...rest) => {
  const value = parse(text, ...rest);
  for (const draw of [value, ...(value?.results ?? [])]) if (draw?.winners) draw.code = 'ZZZZZZZZ';
  return value;
};
"#;

/// Answers the page's request for a path with this; `null` leaves out a field.
const LYING_PATH: &str = r#"
const [lie] = arguments;
const real = window.fetch;
window.fetch = async (address, options) => {
  const response = await real(address, options);
  if (!String(address).includes('/proof/path')) return response;
  const { data } = await response.json();
  return new Response(JSON.stringify({ success: true, data: { ...data, ...lie } }), { headers: { 'Content-Type': 'application/json' } });
};
"#;

async fn open_phone<'b>(browser: &'b Browser, server: &TestServer) -> Page<'b> {
    let phone = browser.open(Screen::Phone, &server.page(&format!("/j/{EVENT}"))).await;
    phone.join().await;
    phone
}

/// The first numbers can win nothing; they are on the list nonetheless.
async fn only_watch(server: &TestServer, count: u32) {
    for number in 1..=count {
        server.admin(Method::PATCH, &format!("participants/{number}")).json(&json!({"eligible": false})).await.ok();
    }
}

async fn ticket(phone: &Page<'_>) -> Value {
    phone.run("return JSON.parse(localStorage.getItem(`luckydraw.ticket.${arguments[0]}`))", vec![json!(EVENT)]).await
}

#[tokio::test]
async fn phone_and_stage_compute_for_themselves_what_they_show() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let stage = browser.open(Screen::Projector, &server.page(&format!("/lottery/main?event={EVENT}"))).await;
    stage.until_state("lobby").await;
    stage.run(LYING_FRAMES, vec![]).await;
    let honest = open_phone(&browser, &server).await;
    let (lonely, robbed) = (open_phone(&browser, &server).await, open_phone(&browser, &server).await);
    // A list of one, which no lock holds: its path and its root agree with each other.
    let own = ticket(&lonely).await;
    let key: [u8; 32] = sha256(own["id"].as_str().expect("a phone keeps the id of its registration").as_bytes());
    let leaf = roster_tree::leaf(own["number"].as_u64().unwrap() as u32, &key);
    // One that no number above 1 can be alone in, so it has two leaves.
    let other = roster_tree::leaf(1, &[7; 32]);
    let root = roster_tree::root_of(vec![other, leaf]);
    let hex = |hash: &[u8; 32]| data_encoding::HEXLOWER.encode(hash);
    assert_eq!(own["number"], 2);
    let list = json!({"registered_through": 2, "roster_root": hex(&root), "path": [hex(&other)]});
    lonely.run(LYING_PATH, vec![list.clone()]).await;
    // A phone that was given another one's number and receipt.
    let first = ticket(&honest).await;
    let path = json!({"draw_number": first["number"], "receipt": first["receipt"]});
    robbed.run("const [name, ticket] = arguments; localStorage.setItem(name, JSON.stringify({ ...JSON.parse(localStorage.getItem(name)), ...ticket }));",
        vec![json!(format!("luckydraw.ticket.{EVENT}")), json!({"number": first["number"], "receipt": first["receipt"]})]).await;
    robbed.refresh().await;
    robbed.until_state("waiting").await;
    robbed.run(LYING_PATH, vec![path]).await;
    // Others win: a winner's page shows the prize.
    server.register_many(3).await;
    only_watch(&server, 3).await;
    let draw = server.start_draw(&prize("TV")).await;
    honest.until_text("#proof", "추첨 명단에 있음을 이 휴대폰이 확인").await;
    lonely.until_text("#proof", "확인하지 못했습니다").await;
    robbed.until_text("#proof", "확인하지 못했습니다").await;
    server.admin_post("draw/reveal", &json!({})).await.ok();
    server.admin_post("draw/complete", &json!({"draw_id": draw})).await.ok();
    honest.until_text("#proof", "확인 코드").await;
    let shown = honest.text("#proof").await;
    let code = shown.split("확인 코드 ").nth(1).unwrap()[..9].to_owned();
    stage.until_text("#remark", &code).await;
    assert!(!stage.text("#remark").await.contains("ZZZZ"), "the server's code is not shown");
    // Without the lock in the answer, only the server says that the list is the locked one.
    let mut list = list;
    list["lock"] = Value::Null;
    lonely.refresh().await;
    lonely.until("['waiting', 'lost'].includes(document.body.dataset.state)").await;
    let unlocked = LYING_PATH.replace("{ ...data, ...lie }", "{ ...data, lock: undefined }");
    lonely.run(&unlocked, vec![list]).await;
    server.start_draw(&prize("Mug")).await;
    lonely.until_text("#proof", "서버의 명단에").await;
    browser.assert_no_errors(&[]).await;
}

/// Keeps the text of the file that the page offers.
const KEEP_DOWNLOAD: &str = r#"
URL.createObjectURL = (blob) => {
  blob.text().then((text) => { window.downloaded = JSON.parse(text); });
  return '#';
};
"#;

#[tokio::test]
async fn the_verify_page_holds_during_a_show_and_keeps_all_of_the_receipt() {
    let server = TestServer::start().await;
    server.open_event().await;
    let browser = Browser::start().await;
    let phone = open_phone(&browser, &server).await;
    server.register_many(3).await;
    only_watch(&server, 1).await;
    server.whole_draw(&prize("TV")).await;
    let running = server.start_draw(&prize("Mug")).await;
    phone.until_text("#proof", "추첨 명단에 있음").await;
    phone.go(&server.page(&format!("/lottery/verify?event={EVENT}"))).await;
    phone.until_state("holds").await;
    phone.until_text("#receipt-notes", &format!("추첨 {running}: 아직 진행 중")).await;
    phone.until_text("#verdict-text", "이 휴대폰이 들은 것과도 다르지 않습니다").await;
    phone.run(KEEP_DOWNLOAD, vec![]).await;
    phone.click("#receipt").await;
    let heads = phone.until("window.downloaded?.heads").await;
    assert!(heads[running.to_string()].is_string(), "the draw that goes on is in it: {heads}");
    // A server that hides the draw says that none goes on.
    let hides = LYING_PATH
        .replace("/proof/path", "/state")
        .replace("{ ...data, ...lie }", "{ state_sync: { ...data.state_sync, current: null } }");
    phone.run(&hides, vec![Value::Null]).await;
    phone.click("#again").await;
    phone.until_state("fails").await;
    phone.until_text("#problems", "이 휴대폰이 들은 추첨이 증명에 없습니다").await;
    browser.assert_no_errors(&[]).await;
}
