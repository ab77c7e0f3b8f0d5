//! The proof's calls on a running server: what a phone is told, outside values, and crashes between
//! the steps of a draw.

use super::verifiers::Verifiers;
use crate::backup::{back_up, run, run_while_serving, text};
use crate::event_steps::{EVENT, prize, request_id};
use crate::test_server::TestServer;
use luckydraw::base::sha256;
use luckydraw::draw::proof::roster_tree;
use luckydraw::ops::verify::verify;
use serde_json::{Value, json};

/// Reads 32 bytes of hex.
fn hash(value: &Value) -> [u8; 32] {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap().try_into().unwrap()
}

async fn open_hall_event(server: &TestServer) {
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [], "outside": "hall"})).await;
}

#[tokio::test]
async fn a_phone_is_told_the_anchor_and_finds_its_registration_in_the_lock() {
    let server = TestServer::start().await;
    server.open_event().await;
    let registered =
        server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(1)})).await.expect_data(201);
    let proof = server.public("/proof").await;
    assert_eq!((&registered["anchor"], &registered["head"]), (&proof["anchors"][0], &Value::Null));
    assert_eq!(hash(&registered["receipt"]), sha256(request_id(1).as_bytes()), "the phone's own key");
    server.register_many(20).await;
    let token = registered["session_token"].as_str().unwrap();
    let path = || server.get(&format!("/proof/path?event_id={EVENT}")).bearer(token);
    path().await.expect_refusal(404, "NOT_FOUND");
    let mut phone = server.socket(EVENT, "").await.synced().await;
    server.start_draw(&prize("TV")).await;
    let started = phone.until("draw_started").await;
    assert_eq!((&started["pool_size"], &started["outside"]), (&json!(20), &json!("none")));
    let found = path().await.ok();
    let steps: Vec<_> = found["path"].as_array().unwrap().iter().map(hash).collect();
    let leaf = roster_tree::leaf(1, &hash(&registered["receipt"]));
    let root = roster_tree::root_from(leaf, 1, found["registered_through"].as_u64().unwrap() as u32, &steps);
    assert_eq!(root, Some(hash(&found["roster_root"])));
    let lock = data_encoding::HEXLOWER.decode(found["lock"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(sha256(&lock), hash(&started["head"]), "the lock that the phone heard");
    assert!(lock.windows(32).any(|bytes| bytes == hash(&found["roster_root"])), "and it holds the root");
    server.get(&format!("/proof/path?event_id={EVENT}")).await.expect_refusal(400, "TOKEN_REQUIRED");
    server.admin_post("draw/reveal", &json!({})).await.ok();
    server.admin_post("draw/complete", &json!({})).await.ok();
    let announced = phone.until("winner_announced").await;
    let proof = server.public("/proof").await;
    let draw = &proof["draws"][0];
    assert_eq!(
        (&draw["head"], &draw["roster_root"], &draw["seed"]),
        (&started["head"], &found["roster_root"], &announced["seed"])
    );
    assert_eq!(draw["code"], announced["code"]);
    let findings = verify(proof.to_string().as_bytes(), None).unwrap();
    assert_eq!(findings.mismatches, 0, "{findings:?}");
}

#[tokio::test]
async fn the_first_words_count_and_no_reveal_comes_before_them() {
    let server = TestServer::start().await;
    open_hall_event(&server).await;
    server.register_many(20).await;
    let at_once = server.admin_post("draw", &json!({"prize_name": "TV", "prize_rank": 1, "count": 1})).await;
    assert_eq!(at_once.header("retry-after"), "", "it would be refused for ever");
    at_once.expect_refusal(409, "OUTSIDE_REQUIRED");
    let mut phone = server.socket(EVENT, "").await.synced().await;
    let draw = server.start_draw(&prize("TV")).await;
    let refused = server.admin_post("draw/reveal", &json!({})).await;
    assert_eq!(refused.header("retry-after"), "2");
    refused.expect_refusal(409, "WAITING_FOR_OUTSIDE");
    for words in ["", "a!", "사과\u{7}", "\u{1109}\u{1161}\u{1100}\u{116a}", &"x".repeat(10_000)] {
        server.admin_post("draw/outside", &json!({"draw_id": draw, "words": words})).await.expect_refusal(422, "INVALID_REQUEST");
    }
    let give = |words: &'static str| json!({"draw_id": draw, "words": words});
    let (first, second) = (give("Red 7"), give("blue7"));
    let (one, other) = tokio::join!(server.admin_post("draw/outside", &first), server.admin_post("draw/outside", &second));
    let statuses = [one.status, other.status];
    assert!(statuses == [200, 409] || statuses == [409, 200], "two consoles at once: {statuses:?}");
    let received = phone.until("outside_received").await;
    let value = received["outside_value"].as_str().unwrap().to_owned();
    server.admin_post("draw/outside", &json!({"draw_id": draw, "words": value.to_uppercase()})).await.ok();
    server.admin_post("draw/outside", &give("green")).await.expect_refusal(409, "OUTSIDE_GIVEN");
    server.admin_post("draw/reveal", &json!({})).await.ok();
    server.admin_post("draw/complete", &json!({})).await.ok();
    let proof = server.public("/proof").await;
    assert_eq!(proof["draws"][0]["outside_value"], json!(value));
    assert_eq!(verify(proof.to_string().as_bytes(), None).unwrap().mismatches, 0);
}

#[tokio::test]
async fn a_crash_at_each_step_resumes_the_same_draw() {
    let mut server = TestServer::start().await;
    open_hall_event(&server).await;
    server.register_many(30).await;
    let draw = server.start_draw(&prize("TV")).await;
    let head = server.public("/state").await["state_sync"]["current"]["head"].clone();
    assert!(head.is_string());
    server.kill();
    server.restart().await;
    assert_eq!(server.public("/state").await["state_sync"]["current"]["head"], head, "the same lock");
    assert_eq!(server.start_draw(&prize("TV")).await, draw, "and no second draw");
    server.admin_post("draw/outside", &json!({"draw_id": draw, "words": "red7"})).await.ok();
    server.kill();
    server.restart().await;
    assert_eq!(server.public("/state").await["state_sync"]["current"]["outside_value"], "red7");
    server.admin_post("draw/outside", &json!({"draw_id": draw, "words": "red8"})).await.expect_refusal(409, "OUTSIDE_GIVEN");
    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    server.kill();
    server.restart().await;
    server.admin_post("draw/complete", &json!({"draw_id": draw})).await.ok();
    let proof = server.public("/proof").await;
    assert_eq!((&proof["draws"][0]["head"], &proof["draws"][0]["picks"]), (&head, &revealed["winners"]));
    assert_eq!(verify(proof.to_string().as_bytes(), None).unwrap().mismatches, 0);
}

#[tokio::test]
async fn a_draw_that_waits_moves_to_another_server_and_is_the_same_there() {
    let server = TestServer::start().await;
    open_hall_event(&server).await;
    server.register_many(30).await;
    let draw = server.start_draw(&prize("TV")).await;
    let current = async |server: &TestServer| server.public("/state").await["state_sync"]["current"].clone();
    let head = current(&server).await["head"].clone();
    let before = server.public("/proof").await["anchors"].clone();
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("gala.luckydraw");
    run_while_serving(&server.data_dir(), &["export", EVENT, "--to", text(&file)]).await.expect_success();

    let mut other = TestServer::start().await;
    other.terminate();
    other.ended().await;
    run(&other.data_dir(), &["import", text(&file)]).expect_success();
    other.restart().await;
    assert_eq!(current(&other).await["head"], head, "the lock of the draw that waits is kept");
    assert_eq!(other.start_draw(&prize("TV")).await, draw, "and no second draw begins");
    other.admin_post("draw/reveal", &json!({})).await.expect_refusal(409, "WAITING_FOR_OUTSIDE");
    // The same words decide the same winners on both: the seed was fixed before.
    for server in [&server, &other] {
        server.admin_post("draw/outside", &json!({"draw_id": draw, "words": "red7"})).await.ok();
        server.admin_post("draw/reveal", &json!({})).await.ok();
        server.admin_post("draw/complete", &json!({})).await.ok();
    }
    let next = other.start_draw(&prize("Radio")).await;
    other.admin_post("draw/outside", &json!({"draw_id": next, "words": "blue8"})).await.ok();
    other.admin_post("draw/reveal", &json!({})).await.ok();
    other.admin_post("draw/complete", &json!({})).await.ok();
    let (here, there) = (server.public("/proof").await, other.public("/proof").await);
    assert_eq!((&there["draws"][0]["picks"], &there["draws"][0]["head"]), (&here["draws"][0]["picks"], &head));
    assert_eq!(there["anchors"][0], before[0], "the chain of the draw that waited stays");
    assert_eq!((&there["draws"][0]["chain"], &there["draws"][1]["chain"]), (&json!(0), &json!(1)), "later draws use a new one");
    let verdicts = Verifiers::start().await.run(&[(here, None), (there.clone(), None)]).await;
    for (verifier, verdicts) in verdicts {
        assert_eq!(verdicts, [true, true], "{verifier}");
    }
    let findings = verify(there.to_string().as_bytes(), None).unwrap();
    assert!(findings.lines[1].contains("a new seed chain begins"), "{findings:?}");
}

#[tokio::test]
async fn a_phone_that_registered_before_a_move_or_a_restore_finds_its_anchor_in_the_proof() {
    let server = TestServer::start().await;
    server.open_event().await;
    let registered =
        server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(1)})).await.expect_data(201);
    server.register_many(20).await;
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("gala.luckydraw");
    run_while_serving(&server.data_dir(), &["export", EVENT, "--to", text(&file)]).await.expect_success();
    let backup = back_up(&server, temp.path()).await;
    let mut cases = Vec::new();
    for arguments in [["import", text(&file)], ["restore", text(&backup)]] {
        let mut other = TestServer::start().await;
        other.terminate();
        other.ended().await;
        run(&other.data_dir(), &arguments).expect_success();
        other.restart().await;
        let mut phone = other.socket(EVENT, "").await.synced().await;
        let draw = other.start_draw(&prize("TV")).await;
        let head = phone.until("draw_started").await["head"].clone();
        other.admin_post("draw/reveal", &json!({})).await.ok();
        other.admin_post("draw/complete", &json!({"draw_id": draw})).await.ok();
        let proof = other.public("/proof").await;
        assert_eq!(proof["anchors"][0], registered["anchor"], "{arguments:?}: the anchor that the phone heard");
        assert_eq!((proof["anchors"].as_array().unwrap().len(), &proof["draws"][0]["chain"]), (2, &json!(1)), "{arguments:?}");
        let receipt = json!({
            "event_id": EVENT, "event_session_id": proof["event_session_id"], "draw_number": 1, "receipt": registered["receipt"],
            "anchor": registered["anchor"], "heads": {draw.to_string(): head}, "codes": {}, "paths": [],
        });
        let findings = verify(proof.to_string().as_bytes(), Some(receipt.to_string().as_bytes())).unwrap();
        assert!(findings.lines[0].contains("NOTE: a new seed chain begins"), "{arguments:?}: {findings:?}");
        cases.push((proof, Some(receipt)));
    }
    for (verifier, verdicts) in Verifiers::start().await.run(&cases).await {
        assert_eq!(verdicts, [true, true], "{verifier}");
    }
}
