//! The prize desk: staff of the event hand a prize over once by the winner's claim code, and
//! guessing is limited.

use crate::http::Ask;
use crate::show::{EVENT, Phone, prize};
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
async fn desk(server: &TestServer) -> impl Fn(&str, Value) -> Ask + use<> {
    let made = server.order("links", &json!({"role": "staff"})).await.granted(201);
    let token = made["token"].as_str().unwrap().to_owned();
    let (address, path) = (server.address, format!("/api/luckydraw/admin/{EVENT}/claims/"));
    move |call, body| Ask::new(address, Method::POST, &format!("{path}{call}")).bearer(&token).json(&body)
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
    second.refused(409, "ALREADY_HANDED_OVER");
    let detail = &second.json()["detail"];
    assert_eq!(
        (&detail["desk"], &detail["handed_over_at"]),
        (&json!("로비 1번"), &given["handed_over_at"]),
        "the first hand-over is the one that counts"
    );
    assert_eq!(own_wins(&server, &winner).await[0]["claimed"], true);
    let row = server.look("draws").await["draws"][0].clone();
    assert_eq!((&row["claimed"], &row["desk"]), (&json!(true), &json!("로비 1번")));
    assert_eq!(server.look("winners").await["winners"][0]["handed_over_at"], given["handed_over_at"]);
    let void = json!({"draw_id": draw, "draw_number": winner.number, "reason": "absent", "redraw": false});
    server.order("draw/void", &void).await.refused(409, "ALREADY_HANDED_OVER");

    let seat = json!({"draw_id": draw, "draw_number": winner.number});
    desk("undo", seat.clone()).await.refused(403, "FORBIDDEN");
    server.order("claims/undo", &seat).await.ok();
    server.order("claims/undo", &seat).await.refused(409, "NOT_HANDED_OVER");
    assert_eq!(desk("look-up", json!({"code": code})).await.ok()["handed_over"], false);
    let audit = server.look("audit").await.to_string();
    assert!(audit.contains("handed_over") && audit.contains("hand_over_undone") && audit.contains("로비 1번"), "{audit}");
    assert!(!audit.contains(&code), "no code is ever recorded");
}

#[tokio::test]
async fn a_code_is_shown_to_its_own_phone_alone_and_after_the_announcement() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let _display = server.display().await;
    server.reveal_draw(&prize("TV")).await;
    assert_eq!(own_wins(&server, &phone).await, json!([]), "not before the announcement");
    server.order("draw/complete", &json!({})).await.ok();
    let code = code_of(&own_wins(&server, &phone).await);

    let mut socket = server.socket(EVENT, "").await;
    socket.say(&json!({"type": "identify", "session_token": phone.token})).await;
    assert_eq!(socket.until("already_won").await["prizes"][0]["claim_code"], code);
    let path = format!("/check-winner?event_id={EVENT}&draw_number=1");
    assert_eq!(server.get(&path).bearer(&phone.token).await.ok()["prizes"][0]["claim_code"], code);

    let mut stranger = server.socket(EVENT, "").await;
    stranger.say(&json!({"type": "identify", "draw_number": 1})).await;
    let told = stranger.until("already_won").await.to_string();
    let public = server.public("/check-winner?draw_number=1").await.to_string();
    let results = server.public("/results").await.to_string() + &server.public("/proof").await.to_string();
    let admin = server.look("draws").await.to_string() + &server.look("winners?all=1").await.to_string();
    for text in [told, public, results, admin] {
        assert!(!text.contains("claim_code") && !text.contains(&code), "{text}");
    }
}

#[tokio::test]
async fn every_code_that_is_not_of_this_event_gets_the_same_refusal() {
    let server = TestServer::start().await;
    let (draw, winner, code) = with_winner(&server).await;
    server.post("/admin/events").admin().json(&json!({"event_id": "other"})).await.granted(201);
    let elsewhere = server.post("/admin/other/claims/look-up").admin().json(&json!({"code": code})).await;
    elsewhere.refused(404, "CLAIM_NOT_FOUND");
    let desk = desk(&server).await;
    let mut said = vec![];
    for wrong in ["", "AAAAAAAA", &winner.recovery_code, &winner.token, "🎁"] {
        let answer = desk("hand-over", json!({"code": wrong, "desk": "x"})).await;
        answer.refused(404, "CLAIM_NOT_FOUND");
        said.push(answer.body);
    }
    assert!(said.windows(2).all(|pair| pair[0] == pair[1]), "{said:?}");
    for wrong in
        [json!({"code": code, "desk": " "}), json!({"code": code}), json!({"desk": "x"}), json!({"code": 7, "desk": "x"})]
    {
        desk("hand-over", wrong).await.refused(422, "INVALID_REQUEST");
    }
    server.post(&format!("/admin/{EVENT}/claims/look-up")).json(&json!({"code": code})).await.refused(401, "UNAUTHORIZED");
    let as_phone =
        server.post(&format!("/admin/{EVENT}/claims/look-up")).bearer(&winner.token).json(&json!({"code": code})).await;
    as_phone.refused(401, "UNAUTHORIZED");

    let void = json!({"draw_id": draw, "draw_number": winner.number, "reason": "absent", "redraw": false});
    server.order("draw/void", &void).await.ok();
    desk("hand-over", json!({"code": code, "desk": "x"})).await.refused(409, "WIN_VOIDED");
    server.order("reset", &json!({})).await.ok();
    desk("look-up", json!({"code": code})).await.refused(404, "CLAIM_NOT_FOUND");
}

#[tokio::test]
async fn guessing_codes_is_limited_per_desk() {
    let server = TestServer::start().await;
    let (_, _, code) = with_winner(&server).await;
    let (guesser, honest) = (desk(&server).await, desk(&server).await);
    for _ in 0..10 {
        guesser("look-up", json!({"code": "00000000"})).await.refused(404, "CLAIM_NOT_FOUND");
    }
    let stopped = guesser("look-up", json!({"code": code})).await;
    stopped.refused(429, "TOO_MANY");
    assert!(stopped.header("retry-after").parse::<u32>().is_ok_and(|seconds| (1..=61).contains(&seconds)));
    for _ in 0..12 {
        honest("look-up", json!({"code": code})).await.ok();
    }
}
