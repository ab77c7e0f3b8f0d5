//! The prize desk: staff hand a prize over once by the winner's claim code, and guesses are
//! limited.

use crate::event_steps::{EVENT, Phone, prize};
use crate::http_client::RequestBuilder;
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::{Value, json};

/// A phone's own wins as its state sync lists them.
async fn own_wins(server: &TestServer, phone: &Phone) -> Value {
    let state = server.get(&format!("/state?event_id={EVENT}")).bearer(&phone.token).await.ok();
    state["state_sync"]["you"]["prizes"].clone()
}

fn code_of(wins: &Value) -> String {
    wins[0]["claim_code"].as_str().unwrap_or_else(|| panic!("no code: {wins}")).to_owned()
}

/// Registers a few phones and announces one draw; returns the draw, its winner and the winner's
/// claim code.
async fn with_winner(server: &TestServer) -> (u64, Phone, String) {
    server.open_event().await;
    let phones = server.register_many(3).await;
    let (draw, winners) = server.whole_draw(&prize("TV")).await;
    let winner = phones.into_iter().find(|phone| phone.number == winners[0]).unwrap();
    let code = code_of(&own_wins(server, &winner).await);
    (draw, winner, code)
}

/// Calls of a prize desk that holds a new staff link.
async fn desk(server: &TestServer) -> impl Fn(&str, Value) -> RequestBuilder + use<> {
    let made = server.admin_post("links", &json!({"role": "staff"})).await.expect_data(201);
    let token = made["token"].as_str().unwrap().to_owned();
    let (address, path) = (server.address, format!("/api/luckydraw/admin/{EVENT}/claims/"));
    move |call, body| RequestBuilder::new(address, Method::POST, &format!("{path}{call}")).bearer(&token).json(&body)
}

#[tokio::test]
async fn a_prize_is_handed_over_once_and_a_second_desk_is_refused() {
    let mut server = TestServer::start().await;
    let (draw, winner, code) = with_winner(&server).await;
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "홍길동", "phone": "010-1234-5678", "consent": true});
    server.post("/winner-info").bearer(&winner.token).json(&form).await.ok();
    let desk = desk(&server).await;

    let typed = format!("{}-{}", code[..4].to_lowercase(), &code[4..]);
    let found = desk("look-up", json!({"code": typed})).await.ok();
    assert_eq!((&found["prize_name"], &found["draw_number"]), (&json!("TV"), &json!(winner.number)));
    assert_eq!((&found["name_masked"], &found["phone_masked"]), (&json!("홍*동"), &json!("010-****-5678")));
    assert_eq!(found["handed_over"], false);
    let given = desk("hand-over", json!({"code": code, "desk": "로비 1번"})).await.ok();
    assert_eq!((&given["handed_over"], &given["desk"]), (&json!(true), &json!("로비 1번")));

    server.kill();
    server.restart().await;
    let second = desk("hand-over", json!({"code": code, "desk": "정원"})).await;
    second.expect_refusal(409, "ALREADY_HANDED_OVER");
    let detail = &second.json()["detail"];
    assert_eq!(
        (&detail["desk"], &detail["handed_over_at"]),
        (&json!("로비 1번"), &given["handed_over_at"]),
        "the first hand-over is the one that counts"
    );
    assert_eq!(own_wins(&server, &winner).await[0]["claimed"], true);
    let row = server.admin_get("draws").await["draws"][0].clone();
    assert_eq!((&row["claimed"], &row["desk"]), (&json!(true), &json!("로비 1번")));
    assert_eq!(server.admin_get("winners").await["winners"][0]["handed_over_at"], given["handed_over_at"]);
    let void = json!({"draw_id": draw, "draw_number": winner.number, "reason": "absent", "redraw": false});
    server.admin_post("draw/void", &void).await.expect_refusal(409, "ALREADY_HANDED_OVER");

    let seat = json!({"draw_id": draw, "draw_number": winner.number});
    desk("undo", seat.clone()).await.expect_refusal(403, "FORBIDDEN");
    server.admin_post("claims/undo", &seat).await.ok();
    server.admin_post("claims/undo", &seat).await.expect_refusal(409, "NOT_HANDED_OVER");
    assert_eq!(desk("look-up", json!({"code": code})).await.ok()["handed_over"], false);
    let audit = server.admin_get("audit").await.to_string();
    assert!(audit.contains("handed_over") && audit.contains("hand_over_undone") && audit.contains("로비 1번"), "{audit}");
    assert!(!audit.contains(&code), "no code is ever recorded");
}

#[tokio::test]
async fn a_claim_code_is_shown_only_to_its_phone_and_after_the_announcement() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let _display = server.display().await;
    server.reveal_draw(&prize("TV")).await;
    assert_eq!(own_wins(&server, &phone).await, json!([]), "not before the announcement");
    server.admin_post("draw/complete", &json!({})).await.ok();
    let code = code_of(&own_wins(&server, &phone).await);

    let mut socket = server.socket(EVENT, "").await;
    socket.send_json(&json!({"type": "identify", "session_token": phone.token})).await;
    assert_eq!(socket.until("already_won").await["prizes"][0]["claim_code"], code);
    let path = format!("/check-winner?event_id={EVENT}&draw_number=1");
    assert_eq!(server.get(&path).bearer(&phone.token).await.ok()["prizes"][0]["claim_code"], code);

    let mut unauthenticated = server.socket(EVENT, "").await;
    unauthenticated.send_json(&json!({"type": "identify", "draw_number": 1})).await;
    let already_won = unauthenticated.until("already_won").await.to_string();
    let public = server.public("/check-winner?draw_number=1").await.to_string();
    let results = server.public("/results").await.to_string() + &server.public("/proof").await.to_string();
    let admin = server.admin_get("draws").await.to_string() + &server.admin_get("winners?all=1").await.to_string();
    for text in [already_won, public, results, admin] {
        assert!(!text.contains("claim_code") && !text.contains(&code), "{text}");
    }
}

#[tokio::test]
async fn every_unknown_code_gets_the_same_refusal() {
    let server = TestServer::start().await;
    let (draw, winner, code) = with_winner(&server).await;
    server.post("/admin/events").admin().json(&json!({"event_id": "other"})).await.expect_data(201);
    let elsewhere = server.post("/admin/other/claims/look-up").admin().json(&json!({"code": code})).await;
    elsewhere.expect_refusal(404, "CLAIM_NOT_FOUND");
    let desk = desk(&server).await;
    let mut bodies = vec![];
    for wrong in ["", "AAAAAAAA", &winner.recovery_code, &winner.token, "🎁"] {
        let answer = desk("hand-over", json!({"code": wrong, "desk": "x"})).await;
        answer.expect_refusal(404, "CLAIM_NOT_FOUND");
        bodies.push(answer.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    for wrong in
        [json!({"code": code, "desk": " "}), json!({"code": code}), json!({"desk": "x"}), json!({"code": 7, "desk": "x"})]
    {
        desk("hand-over", wrong).await.expect_refusal(422, "INVALID_REQUEST");
    }
    server.post(&format!("/admin/{EVENT}/claims/look-up")).json(&json!({"code": code})).await.expect_refusal(401, "UNAUTHORIZED");
    let as_phone =
        server.post(&format!("/admin/{EVENT}/claims/look-up")).bearer(&winner.token).json(&json!({"code": code})).await;
    as_phone.expect_refusal(401, "UNAUTHORIZED");

    let void = json!({"draw_id": draw, "draw_number": winner.number, "reason": "absent", "redraw": false});
    server.admin_post("draw/void", &void).await.ok();
    desk("hand-over", json!({"code": code, "desk": "x"})).await.expect_refusal(409, "WIN_VOIDED");
    server.admin_post("reset", &json!({})).await.ok();
    desk("look-up", json!({"code": code})).await.expect_refusal(404, "CLAIM_NOT_FOUND");
}

#[tokio::test]
async fn guessing_codes_is_limited_per_desk() {
    let server = TestServer::start().await;
    let (_, _, code) = with_winner(&server).await;
    let (guessing_desk, honest_desk) = (desk(&server).await, desk(&server).await);
    for _ in 0..10 {
        guessing_desk("look-up", json!({"code": "00000000"})).await.expect_refusal(404, "CLAIM_NOT_FOUND");
    }
    let stopped = guessing_desk("look-up", json!({"code": code})).await;
    stopped.expect_refusal(429, "TOO_MANY");
    assert!(stopped.header("retry-after").parse::<u32>().is_ok_and(|seconds| (1..=61).contains(&seconds)));
    for _ in 0..12 {
        honest_desk("look-up", json!({"code": code})).await.ok();
    }
}

/// A text as a hand scanner types it under a Korean input method, letter by letter.
fn in_hangul(text: &str) -> String {
    const KEYS: &str = "rsefaqtdwczxvgkoijpuhynbml";
    const LETTERS: &str = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎㅏㅐㅑㅓㅔㅕㅗㅛㅜㅠㅡㅣ";
    let letter = |c: char| KEYS.find(c.to_ascii_lowercase()).map_or(c, |at| LETTERS.chars().nth(at).unwrap());
    text.chars().map(letter).collect()
}

#[tokio::test]
async fn a_scanner_that_types_the_address_finds_the_claim_and_no_other_text_is_a_guess() {
    let server = TestServer::start().await;
    let (_, winner, code) = with_winner(&server).await;
    let desk = desk(&server).await;
    let address = format!("http://10.0.0.5:8000/lottery/staff?event={EVENT}#claim={code}");
    for typed in [&address, &address.to_uppercase(), &in_hangul(&address), &in_hangul(&code), &format!(" {code}\n")] {
        let found = desk("look-up", json!({"code": typed})).await.ok();
        assert_eq!(found["draw_number"], winner.number, "{typed}");
    }
    for _ in 0..4 {
        for no_code in [&address[..20], "http://10.0.0.5:8000/j/gala", "홍길동", "8801234567890", "010-1234-5678"] {
            desk("look-up", json!({"code": no_code})).await.expect_refusal(404, "CLAIM_NOT_FOUND");
        }
    }
    let given = desk("hand-over", json!({"code": in_hangul(&address), "desk": "lobby"})).await.ok();
    assert_eq!(given["handed_over"], true, "twenty texts that are no code cost no try");
}
