//! `scripts/verify-proof` against the server's rules: it accepts the server's picks and detects
//! every change to a draw.

use data_encoding::HEXLOWER;
use luckydraw::draw::{Entropy, Number, Pool, pick};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;

fn verify(source: &str, input: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify-proof");
    let mut command = Command::new(script);
    command.arg(source).env("no_proxy", "*").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// A draw as the proof shows it, from the numbers 1 to `through` without those in `excluded`.
fn draw(id: u32, count: u32, through: u32, excluded: &[u32], weights: &[(u32, u16)]) -> Value {
    let mut pool = Pool::new(through);
    for number in (1..=through).filter(|number| !excluded.contains(number)) {
        let weight = weights.iter().find(|(other, _)| *other == number).map_or(1, |(_, weight)| *weight);
        pool.push(Number(number), weight);
    }
    let entropy = Entropy([id as u8; 32]);
    let winners: Vec<u32> = pick::pick(&pool, count, &entropy).into_iter().map(|number| number.0).collect();
    json!({
        "draw_id": id, "prize_name": "상품", "prize_rank": 1, "draw_mode": "list", "winner_count": count, "status": "announced",
        "pool": pool.ranges, "pool_size": pool.size, "registered_through": through, "excluded": pool.excluded(),
        "weights": pool.weights, "entropy": HEXLOWER.encode(&entropy.0), "commitment": HEXLOWER.encode(&pick::commitment(&entropy)),
        "picks": winners, "redraw_of": null, "voided": [],
    })
}

/// Three draws: plain, weighted, and a redraw of one seat of the first.
fn valid_proof() -> Value {
    let mut first = draw(1, 5, 300, &[58, 59, 300], &[]);
    let number = first["picks"][2].clone();
    first["voided"] = json!([{ "draw_number": number, "reason": "absent", "voided_at": "2026-01-01T00:00:00Z" }]);
    let second = draw(2, 10, 300, &[1, 7], &[(8, 3), (200, 65535)]);
    let mut third = draw(3, 1, 301, &[7], &[]);
    third["redraw_of"] = json!({ "draw_id": 1, "draw_number": number });
    json!({ "success": true, "data": { "event_id": "demo", "draws": [first, second, third] } })
}

#[test]
fn a_valid_proof_is_accepted() {
    let output = verify("-", &valid_proof().to_string());
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{lines}");
    assert_eq!(lines.lines().filter(|line| line.contains(": ok, ")).count(), 3, "{lines}");
}

#[test]
fn every_change_to_a_draw_is_detected_in_that_draw() {
    type Change = fn(&mut Value);
    let changes: [(&str, usize, Change); 17] = [
        ("another winner", 0, |draw| draw["picks"][4] = json!(299)),
        ("another order", 0, |draw| draw["picks"].as_array_mut().unwrap().swap(0, 1)),
        ("one winner fewer", 0, |draw| drop(draw["picks"].as_array_mut().unwrap().pop())),
        ("another count", 1, |draw| draw["winner_count"] = json!(9)),
        ("more winners than numbers", 2, |draw| draw["winner_count"] = json!(302)),
        ("other entropy", 0, |draw| draw["entropy"] = json!("ab".repeat(32))),
        ("short entropy", 0, |draw| draw["entropy"] = json!("ab")),
        ("another commitment", 1, |draw| draw["commitment"] = json!("ab".repeat(32))),
        ("an excluded number in the pool", 0, |draw| {
            draw["pool"] = json!([[1, 57], [59, 299]]);
            draw["excluded"] = json!([[58, 58], [300, 300]]);
            draw["pool_size"] = json!(298);
        }),
        ("a number neither in the pool nor excluded", 2, |draw| draw["excluded"] = json!([])),
        ("another size", 0, |draw| draw["pool_size"] = json!(300)),
        ("more registrations", 0, |draw| draw["registered_through"] = json!(400)),
        ("another weight", 1, |draw| draw["weights"] = json!([[8, 3], [200, 2]])),
        ("a weight of a number outside the pool", 1, |draw| draw["weights"][0] = json!([7, 3])),
        ("a voided number that did not win", 1, |draw| draw["voided"] = json!([{ "draw_number": 1 }])),
        ("a redraw of a seat that was not voided", 2, |draw| draw["redraw_of"]["draw_number"] = json!(58)),
        ("a missing field", 2, |draw| drop(draw.as_object_mut().unwrap().remove("pool"))),
    ];
    for (title, index, change) in changes {
        let mut proof = valid_proof();
        change(&mut proof["data"]["draws"][index]);
        let output = verify("-", &proof.to_string());
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{title}: {lines}");
        let draws = lines.lines().filter(|line| line.starts_with("draw "));
        let mismatches: Vec<_> = draws.map(|line| line.contains(": MISMATCH: ")).collect();
        assert_eq!(lines.lines().last(), Some("DOES NOT HOLD"), "{title}");
        assert_eq!(mismatches, [0, 1, 2].map(|draw| draw == index), "{title}: {lines}");
    }
}

#[test]
fn entropy_used_twice_is_detected() {
    let mut proof = valid_proof();
    let draws = proof["data"]["draws"].as_array_mut().unwrap();
    let mut again = draws[1].clone();
    again["draw_id"] = json!(4);
    draws.push(again);
    let output = verify("-", &proof.to_string());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("its entropy is that of draw 2"));
}

#[test]
fn input_without_a_proof_exits_with_2() {
    for input in ["", "not json", "[]", r#"{"success":false,"detail":{"code":"EVENT_NOT_FOUND","message":""}}"#] {
        assert_eq!(verify("-", input).status.code(), Some(2), "{input}");
    }
    assert_eq!(verify("/nowhere/proof.json", "").status.code(), Some(2));
}

#[test]
fn a_proof_is_read_from_a_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/luckydraw/proof?event_id=demo", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let (body, mut request) = (valid_proof().to_string(), Vec::new());
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).unwrap();
        String::from_utf8(request).unwrap()
    });
    let output = verify(&url, "");
    assert!(server.join().unwrap().starts_with("GET /api/luckydraw/proof?event_id=demo "));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
