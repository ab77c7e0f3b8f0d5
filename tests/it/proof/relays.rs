//! Rounds of drand from relays that serve well, badly and not at all, and draws that wait for them
//! through crashes and fallbacks.

use super::beacon::{self, Conduct, Relay, chain, sign};
use crate::backup::{run, run_while_serving, text};
use crate::credentials::Authority;
use crate::event_steps::{EVENT, prize};
use crate::test_server::{TIMEOUT, TestServer, poll};
use luckydraw::base::clock::wall_clock;
use luckydraw::base::http_client::Url;
use luckydraw::draw::proof::Beacon;
use luckydraw::draw::{DrawId, EventId};
use luckydraw::ops::drand::{Fetcher, Waiting};
use luckydraw::ops::verify::verify_with;
use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A round of the past, and the draw that waits for it.
fn waiting(round: u64) -> Waiting {
    Waiting::from([(round, vec![(EventId::parse("gala").unwrap(), DrawId(4))])])
}

/// A round that every relay should have.
fn past_round() -> u64 {
    chain().round_after(wall_clock()) - 60
}

fn urls(relays: &[&Relay]) -> Vec<Url> {
    relays.iter().map(|relay| relay.url.clone()).collect()
}

/// Asks until a round comes, `looks` times at most.
fn fetch(fetcher: &mut Fetcher, round: u64, looks: usize) -> Option<Beacon> {
    let mut given = None;
    for _ in 0..looks {
        let pause = fetcher.advance(&waiting(round), &mut |event, draw, beacon| {
            assert_eq!((event.as_str(), draw), ("gala", DrawId(4)));
            given = Some(beacon);
        });
        if given.is_some() {
            break;
        }
        std::thread::sleep(pause);
    }
    given
}

#[test]
fn a_relay_that_lies_or_is_gone_gives_nothing_and_is_asked_again() {
    let relay = Relay::start(Conduct::Missing);
    for conduct in [
        Conduct::Missing,
        Conduct::Stale,
        Conduct::OtherRound,
        Conduct::Forged,
        Conduct::NoPoint,
        Conduct::Garbage,
        Conduct::Huge,
    ] {
        relay.turn(conduct);
        let (mut fetcher, round) = (Fetcher::new(&urls(&[&relay]), chain()), past_round());
        assert_eq!(fetch(&mut fetcher, round, 2), None, "{conduct:?}");
        relay.turn(if conduct == Conduct::Garbage { Conduct::Chunked } else { Conduct::Honest });
        let beacon = fetch(&mut fetcher, round, 1).unwrap_or_else(|| panic!("{conduct:?}: it is honest again"));
        assert_eq!((beacon.round().number, *beacon.signature()), (round, sign(round)), "{conduct:?}");
    }
}

#[test]
fn of_two_relays_one_may_lie_or_hang() {
    for conduct in [Conduct::Forged, Conduct::Silent] {
        let (bad, good) = (Relay::start(conduct), Relay::start(Conduct::Honest));
        let mut fetcher = Fetcher::new(&urls(&[&bad, &good]), chain());
        assert!(fetch(&mut fetcher, past_round(), 2).is_some(), "{conduct:?}");
        assert_eq!((bad.asked(), good.asked()), (1, 1), "the other one is asked at once");
        assert!(fetch(&mut fetcher, past_round() + 1, 1).is_some(), "the one that answered is asked first");
        assert_eq!((bad.asked(), good.asked()), (1, 2));
    }
    assert!(fetch(&mut Fetcher::new(&[], chain()), past_round(), 2).is_none(), "without a relay nothing comes");
}

#[test]
fn a_relay_is_asked_over_tls_and_believed_by_its_certificate_alone() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let relay = Relay::start_tls(Conduct::Honest, &authority);
    let trusting = |authority: &Authority| {
        let anchors = authority.client(&[&TLS13, &TLS12], &[]);
        Fetcher::trusting(&urls(&[&relay]), chain(), anchors)
    };
    let round = past_round();
    assert_eq!(fetch(&mut trusting(&stranger), round, 2), None, "another authority's");
    assert_eq!(fetch(&mut Fetcher::new(&urls(&[&relay]), chain()), round, 2), None, "nor is it one of the web's");
    let beacon = fetch(&mut trusting(&authority), round, 1).expect("the round comes");
    assert_eq!((beacon.round().number, *beacon.signature()), (round, sign(round)));
    relay.turn(Conduct::Forged);
    assert_eq!(fetch(&mut trusting(&authority), round, 2), None, "a good certificate makes no signature good");
}

#[test]
fn nobody_is_asked_for_a_round_before_its_time_and_tries_become_rare() {
    let relay = Relay::start(Conduct::Missing);
    let mut fetcher = Fetcher::new(&urls(&[&relay]), chain());
    let pause = fetcher.advance(&waiting(past_round() + 1_000), &mut |_, _, _| panic!("it is not there"));
    assert!(relay.asked() == 0 && pause <= Duration::from_secs(1));
    let (mut pauses, round) = (Vec::new(), past_round());
    for _ in 0..3 {
        pauses.push(fetcher.advance(&waiting(round), &mut |_, _, _| panic!("it is not there")));
        std::thread::sleep(*pauses.last().unwrap());
    }
    assert_eq!(relay.asked(), 3, "{pauses:?}");
    assert!(pauses[2] > pauses[0], "{pauses:?}");
}

async fn open_event(server: &TestServer, outside: &str) {
    server.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": [], "outside": outside})).await;
    server.register_many(20).await;
}

async fn current(server: &TestServer) -> Value {
    server.public("/state").await["state_sync"]["current"].clone()
}

async fn until_value(server: &TestServer) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = current(server).await["outside_value"].as_str() {
            return value.to_owned();
        }
        assert!(Instant::now() < deadline, "no value came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_round_decides_and_a_crash_at_each_step_keeps_it() {
    let relay = Relay::start(Conduct::Missing);
    let mut server = beacon::serve(&[&relay]).await;
    open_event(&server, "drand").await;
    let mut phone = server.socket(EVENT, "").await.synced().await;
    let draw = server.start_draw(&prize("TV")).await;
    let started = phone.until("draw_started").await;
    let round = started["outside_round"].as_u64().unwrap();
    assert!(started["outside_at"].is_string() && started["outside"] == "drand", "{started}");
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(409, "WAITING_FOR_OUTSIDE");
    let words = json!({"draw_id": draw, "words": "red7"});
    server.admin_post("draw/outside", &words).await.expect_refusal(409, "NO_OUTSIDE_VALUE");
    let fallback = json!({"draw_id": draw, "reason": "no network"});
    server.admin_post("draw/fallback", &fallback).await.expect_refusal(409, "NO_FALLBACK");
    let head = started["head"].clone();
    poll("the relay is asked", || (relay.asked() > 0).then_some(())).await;
    server.kill();
    server.restart().await;
    assert_eq!((&current(&server).await["head"], &current(&server).await["outside_round"]), (&head, &json!(round)));
    assert_eq!(server.start_draw(&prize("TV")).await, draw, "no second draw");
    relay.turn(Conduct::Honest);
    let value = until_value(&server).await;
    server.kill();
    relay.turn(Conduct::Missing);
    server.restart().await;
    assert_eq!(current(&server).await["outside_value"], json!(value), "the value is kept");
    let revealed = server.admin_post("draw/reveal", &json!({})).await.ok();
    server.kill();
    server.restart().await;
    server.admin_post("draw/complete", &json!({"draw_id": draw})).await.ok();
    let proof = server.public("/proof").await;
    let shown = &proof["draws"][0];
    assert_eq!((&shown["head"], &shown["picks"], &shown["round"]), (&head, &revealed["winners"], &json!(round)));
    assert_eq!(shown["outside_value"], json!(data_encoding::HEXLOWER.encode(&sign(round))));
    let findings = verify_with(proof.to_string().as_bytes(), None, &[chain()]).unwrap();
    assert!(findings.mismatches == 0 && findings.lines[0].contains("NOT of the chain quicknet"), "{findings:?}");
}

#[tokio::test]
async fn a_fallback_is_taken_with_a_reason_and_shown() {
    let relay = Relay::start(Conduct::Missing);
    let mut server = beacon::serve(&[&relay]).await;
    open_event(&server, "drand-or-hall").await;
    let mut phone = server.socket(EVENT, "").await.synced().await;
    let draw = server.start_draw(&prize("TV")).await;
    let fallback = |reason: &str| json!({"draw_id": draw, "reason": reason});
    server.admin_post("draw/fallback", &fallback("")).await.expect_refusal(422, "INVALID_REQUEST");
    server.admin_post("draw/fallback", &fallback(&"x".repeat(10_000))).await.expect_refusal(422, "INVALID_REQUEST");
    let (one, other) = (fallback("no network"), fallback("no network here"));
    let (one, other) = tokio::join!(server.admin_post("draw/fallback", &one), server.admin_post("draw/fallback", &other));
    assert_eq!((one.ok()["reason"].clone(), other.ok()["fallback"].clone()).1, json!("hall"), "two consoles at once");
    let told = phone.until("outside_fallback").await;
    assert!(told["fallback"] == "hall" && told["reason"].as_str().unwrap().starts_with("no network"), "{told}");
    server.kill();
    relay.turn(Conduct::Honest);
    server.restart().await;
    assert_eq!(current(&server).await["fallback"], "hall");
    server.admin_post("draw/reveal", &json!({})).await.expect_refusal(409, "WAITING_FOR_OUTSIDE");
    server.admin_post("draw/outside", &json!({"draw_id": draw, "words": "red7"})).await.ok();
    server.admin_post("draw/reveal", &json!({})).await.ok();
    server.admin_post("draw/complete", &json!({})).await.ok();
    let proof = server.public("/proof").await;
    let findings = verify_with(proof.to_string().as_bytes(), None, &[chain()]).unwrap();
    assert!(findings.mismatches == 0 && findings.lines[0].contains("drand was given up"), "{findings:?}");
}

#[tokio::test]
async fn a_draw_that_waits_for_a_round_moves_to_another_server_and_the_round_decides_the_same() {
    let relay = Relay::start(Conduct::Missing);
    let server = beacon::serve(&[&relay]).await;
    open_event(&server, "drand").await;
    let draw = server.start_draw(&prize("TV")).await;
    let locked = current(&server).await;
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("gala.luckydraw");
    run_while_serving(&server.data_dir(), &["export", EVENT, "--to", text(&file)]).await.expect_success();
    let mut other = beacon::serve(&[&relay]).await;
    other.terminate();
    other.ended().await;
    run(&other.data_dir(), &["import", text(&file)]).expect_success();
    other.restart().await;
    let moved = current(&other).await;
    assert_eq!((&moved["head"], &moved["outside_round"]), (&locked["head"], &locked["outside_round"]), "the lock is kept");
    relay.turn(Conduct::Honest);
    let mut picks = Vec::new();
    for server in [&server, &other] {
        until_value(server).await;
        server.admin_post("draw/reveal", &json!({"draw_id": draw})).await.ok();
        server.admin_post("draw/complete", &json!({"draw_id": draw})).await.ok();
        let proof = server.public("/proof").await;
        let findings = verify_with(proof.to_string().as_bytes(), None, &[chain()]).unwrap();
        assert_eq!(findings.mismatches, 0, "{findings:?}");
        picks.push(proof["draws"][0]["picks"].clone());
    }
    assert!(picks[0].is_array() && picks[0] == picks[1], "{picks:?}");
}
