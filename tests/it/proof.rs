//! The proof and its three verifiers: they agree on one set of vectors, refuse every change, and
//! catch every cheat that a changed server could try, or a phone's receipt does.
//!
//! [`story`] builds histories of an event by the rules alone, with fixed seeds and times;
//! [`verifiers`] runs the verifiers on many files at once.

pub mod beacon;
mod calls;
mod changes;
mod files;
mod liars;
mod relays;
mod story;
mod verifiers;

use crate::browser::chromium::{Browser, Screen};
use crate::test_server::TestServer;
use luckydraw::draw::proof::OutsideRule;
use luckydraw::ops::verify::{verify, verify_with};
use serde_json::{Value, json};
use story::{Story, Twist};
use verifiers::Verifiers;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

/// A proof, and a receipt to compare it with.
type Case = (Value, Option<Value>);

#[test]
fn the_vectors_are_what_the_rules_make() {
    let (story, drand) = (Story::told(&Twist::default()), Story::by_drand(false));
    for (name, made) in [
        ("version1.json", Story::first_version().proof(false)),
        ("proof.json", story.proof(true)),
        ("receipt.json", story.receipt()),
        ("drand.json", drand.proof(true)),
        ("drand-receipt.json", drand.receipt()),
    ] {
        let path = format!("{VECTORS}/{name}");
        if std::env::var_os("WRITE_VECTORS").is_some() {
            std::fs::write(&path, serde_json::to_string(&made).unwrap() + "\n").unwrap();
        }
        let stored: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(stored, made, "{name}: published proofs have to verify for good");
    }
}

#[test]
fn the_signatures_of_a_proof_are_verified_and_other_chains_named() {
    let proof = Story::by_drand(false).proof(false).to_string();
    let lines = verify(proof.as_bytes(), None).unwrap().lines;
    let says = |draw: usize, text: &str| assert!(lines[draw].contains(text), "{text} in {}", lines[draw]);
    says(0, "round 1000; drand's signature holds");
    says(2, "NOTE: drand was given up: \"no network\"");
    says(4, "NOTE: drand was given up");
    says(6, "NOT of the chain quicknet; the signature was not checked");
    let own = verify_with(proof.as_bytes(), None, &[beacon::chain()]).unwrap();
    assert!(own.mismatches == 0 && own.lines[6].contains("NOT of the chain quicknet; the signature is that of the other chain"));
    // Consistent in itself, with the signature of the round after the one that was locked.
    let other_round = Story::by_drand(true).proof(false).to_string();
    let caught = verify_with(other_round.as_bytes(), None, &[beacon::chain()]).unwrap();
    assert_eq!(caught.mismatches, 1);
    assert!(caught.lines[6].contains("is not the signature of round"), "{}", caught.lines[6]);
    assert_eq!(verify(other_round.as_bytes(), None).unwrap().mismatches, 0, "no arithmetic can tell without the chain's key");
}

/// A cheat: the file that a crooked server publishes, and who catches it.
struct Cheat {
    title: &'static str,
    file: Value,
    /// Every verifier refuses the file by itself; otherwise a receipt is needed.
    is_caught_by_the_file_alone: bool,
}

/// What a crooked server would publish instead of the history that the hall saw.
fn cheats() -> Vec<Cheat> {
    let honest = Story::told(&Twist::default()).proof(false);
    let told = |twist: Twist| Story::told(&twist).proof(false);
    // The lock that the hall heard, with the rest of another history: the head does not fit.
    let spliced = |other: &Value, draw: usize| {
        let mut file = other.clone();
        file["draws"][draw]["head"] = honest["draws"][draw]["head"].clone();
        file
    };
    let file = |title, file| Cheat { title, file, is_caught_by_the_file_alone: true };
    let phone = |title, file| Cheat { title, file, is_caught_by_the_file_alone: false };
    let last = honest["draws"].as_array().unwrap().len() - 1;
    let added = told(Twist { ghost: true, ..Twist::default() });
    let dropped = told(Twist { dropped: Some(3), ..Twist::default() });
    let weighed = told(Twist { weight: Some((9, 50)), ..Twist::default() });
    let words = told(Twist { words: "apple8", ..Twist::default() });
    let last_words = told(Twist { last_words: "pear9", ..Twist::default() });
    let seeded = told(Twist { seed: 8, ..Twist::default() });
    let prize = told(Twist { prize: "Other TV", ..Twist::default() });
    let mut hidden = honest.clone();
    hidden["draws"].as_array_mut().unwrap().remove(1);
    let mut other_seed = honest.clone();
    for field in ["seed", "picks", "code"] {
        other_seed["draws"][0][field] = seeded["draws"][0][field].clone();
    }
    let mut words_alone = honest.clone();
    words_alone["draws"][2] = words["draws"][2].clone();
    let mut cut = honest.clone();
    cut["draws"].as_array_mut().unwrap().pop();
    cut["anchors"].as_array_mut().unwrap().pop();
    vec![
        file("begins a draw without a lock after others that have one", Story::downgraded().proof(false)),
        file("grinds its seed after the lock", other_seed),
        phone("grinds its seed and publishes another history", seeded),
        file("adds an entrant after the lock", spliced(&added, 0)),
        phone("adds an entrant and publishes another lock", added),
        file("drops an entrant after the lock", spliced(&dropped, 0)),
        phone("drops an entrant and publishes another lock", dropped),
        file("changes a weight after the lock", spliced(&weighed, 0)),
        phone("changes a weight and publishes another lock", weighed),
        file("hides a draw and draws again", hidden),
        phone("hides the last draw", cut),
        phone("hides a draw and publishes a history without it", told(Twist { hides_a_draw: true, ..Twist::default() })),
        phone("tells one phone another prize", prize),
        file("changes the hall's words of an earlier draw", words_alone),
        phone("changes the hall's words of an earlier draw and all that follows", words),
        phone("changes the hall's words of the last draw", last_words),
        file("uses a seed of another chain", spliced_seed(&honest, last)),
    ]
}

/// The last draw with a seed that no anchor leads to.
fn spliced_seed(honest: &Value, draw: usize) -> Value {
    let mut file = honest.clone();
    file["draws"][draw]["seed"] = json!("5e".repeat(32));
    file
}

#[tokio::test]
async fn every_cheat_is_caught_by_all_three_or_by_one_honest_phone() {
    let receipt = Story::told(&Twist::default()).receipt();
    let (mut cases, mut expected) = (Vec::new(), Vec::new());
    for Cheat { title, file, is_caught_by_the_file_alone } in cheats() {
        cases.push((file.clone(), None));
        expected.push((format!("{title}: the file alone"), !is_caught_by_the_file_alone));
        cases.push((file, Some(receipt.clone())));
        expected.push((format!("{title}: with a phone's receipt"), false));
    }
    // Documented as not caught: numbers that nobody holds, registered before the lock.
    let ghosts = Story::told(&Twist { ghost: true, ..Twist::default() });
    cases.push((ghosts.proof(false), Some(ghosts.receipt())));
    expected.push(("ghosts registered before the lock".to_owned(), true));
    let (drand, other_round) = (Story::by_drand(false), Story::by_drand(true));
    cases.push((other_round.proof(false), Some(drand.receipt())));
    expected.push(("picks another round: with a phone's receipt".to_owned(), false));
    let mut signature_alone = drand.proof(false);
    signature_alone["draws"][6]["outside_value"] = other_round.proof(false)["draws"][6]["outside_value"].clone();
    cases.push((signature_alone, None));
    expected.push(("picks another round after the announcement: the file alone".to_owned(), false));
    for (name, verdicts) in Verifiers::start().await.run(&cases).await {
        for ((title, holds), verdict) in expected.iter().zip(verdicts) {
            assert_eq!(verdict, *holds, "{name}: {title}");
        }
    }
}

#[tokio::test]
async fn hostile_files_are_refused_at_once() {
    let proof = Story::told(&Twist::default()).proof(true);
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut file = proof.clone();
        edit(&mut file);
        (file, None)
    };
    let cases = vec![
        edited(&|file| file["draws"][0]["version"] = json!(3)),
        edited(&|file| file["draws"][0]["version"] = json!(null)),
        edited(&|file| file["draws"][0]["registered_through"] = json!(4_294_967_295_u32)),
        edited(&|file| file["draws"][0]["registered_through"] = json!(-1)),
        edited(&|file| file["draws"][0]["place"] = json!(1.5)),
        edited(&|file| file["draws"][0]["winner_count"] = json!(4_000_000_000_u32)),
        edited(&|file| file["draws"][0]["excluded"] = json!([[1, 2], [3, 4]])),
        edited(&|file| file["draws"][0]["excluded"] = json!([[7, 5]])),
        edited(&|file| file["draws"][0]["seed"] = json!("AB".repeat(32))),
        edited(&|file| file["draws"][0]["round"] = json!(7)),
        edited(&|file| file["draws"][2]["round"] = json!(18_446_744_073_709_551_615_u64)),
        edited(&|file| file["draws"][2]["outside"] = json!("drand-or-hall")),
        edited(&|file| file["draws"][2]["fallback"] = json!("no network")),
        edited(&|file| file["draws"][0]["fallback"] = json!("no network")),
        edited(&|file| drop(file["draws"][0].as_object_mut().unwrap().remove("weights"))),
        edited(&|file| drop(file["draws"][0].as_object_mut().unwrap().remove("roster_root"))),
        edited(&|file| file["draws"][2]["outside_value"] = json!("사과 7")),
        edited(&|file| file["draws"][2]["outside_value"] = json!("x".repeat(10_000))),
        edited(&|file| file["anchors"] = json!([])),
        edited(&|file| file["leaves"]["hashes"][0] = json!("00".repeat(32))),
        edited(&|file| drop(file["leaves"]["hashes"].as_array_mut().unwrap().pop())),
        edited(&|file| {
            let again = file["draws"][0].clone();
            file["draws"].as_array_mut().unwrap().push(again);
        }),
    ];
    for (name, verdicts) in Verifiers::start().await.run(&cases).await {
        assert_eq!(verdicts, vec![false; cases.len()], "{name}");
    }
}

#[test]
fn a_proof_of_a_hundred_draws_among_twenty_thousand_is_small() {
    for outside in [OutsideRule::None, OutsideRule::Drand] {
        let text = story::large(20_000, 100, outside).to_string();
        println!("100 draws of 20,000 people, {}: {} bytes", outside.name(), text.len());
        assert!(text.len() <= 64 << 10, "{} bytes", text.len());
    }
}

#[test]
fn a_lock_makes_the_start_of_a_draw_at_most_a_hundred_bytes_longer() {
    for outside in OutsideRule::ALL {
        let (bytes, took) = story::start_costs(20_000, outside);
        println!("draw_started among 20,000, {}: {bytes} bytes longer; decided and applied in {took:?}", outside.name());
        assert!(bytes <= 100, "{}: {bytes}", outside.name());
    }
}

/// Checks a proof in the page; the milliseconds that it took and the number of draws that hold.
const TIMED_PAGE: &str = r#"
const [proof] = arguments;
const script = document.querySelector('script[type=module]').src;
return (async () => {
  const { $verify_draws: { checkAll } } = await import(script);
  const begun = performance.now();
  const { checked, rest } = await checkAll(proof);
  const held = rest ? 0 : checked.filter(({ mismatch }) => !mismatch).length;
  return [performance.now() - begun, held];
})();
"#;

#[tokio::test]
async fn a_slow_phone_checks_a_hundred_draws_among_twenty_thousand() {
    let (server, browser) = (TestServer::start().await, Browser::start().await);
    let page = browser.open(Screen::Phone, &server.page("/lottery/verify?event=none")).await;
    page.command("Emulation.setCPUThrottlingRate", json!({"rate": 4})).await;
    let proof = story::large(20_000, 100, OutsideRule::None);
    let answer = page.run(TIMED_PAGE, vec![proof]).await;
    let took_ms = answer[0].as_f64().unwrap();
    println!("100 draws of 20,000 people on a CPU of a quarter's speed: {took_ms:.0} ms");
    assert_eq!(answer[1], 100);
    // Two seconds are meant; other tests share this machine.
    assert!(took_ms < 30_000.0, "{took_ms} ms");
}
