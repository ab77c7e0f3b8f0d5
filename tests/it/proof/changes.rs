//! Every change of a published proof: of a byte, a number, a field that goes and one that comes.
//! All three verifiers refuse it alike, or `src/draw/PROOF.md` says that the field is outside the
//! proof.

use super::Case;
use super::story::{Story, Twist};
use super::verifiers::Verifiers;
use serde_json::{Value, json};

/// Fields that no hash holds, as `src/draw/PROOF.md` says: texts and times about what came later,
/// times of the first version, and the present setting of the event.
const UNPROVEN: [&str; 10] = [
    "/reason",
    "/fallback",
    "/reset_at",
    "/voided/0/reason",
    "/voided/0/voided_at",
    "/started_at",
    "/revealed_at",
    "/announced_at",
    "/cancelled_at",
    "/draw_mode",
];

/// Further fields of a draw of the first version that nothing fixes.
const UNPROVEN_IN_FIRST_VERSION: [&str; 2] = ["/prize_name", "/prize_rank"];

/// Texts up to this length are changed at every character, longer ones at their ends and middle.
const SHORT_CHARS: usize = 16;

/// Every text and number of a value, by its JSON pointer.
fn leaves_of(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves_of(value, format!("{at}/{name}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| leaves_of(item, format!("{at}/{i}"), found)),
        _ => found.push(at),
    }
}

/// The value with one character changed, or its neighbours, or values of another type.
fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let count = text.chars().count();
            let places = if count <= SHORT_CHARS { (0..count).collect() } else { vec![0, count / 2, count - 1] };
            let change = |at: usize| {
                let other = |c: char| if c == '0' { '1' } else { '0' };
                let change = |(place, c): (usize, char)| if place == at { other(c) } else { c };
                json!(text.chars().enumerate().map(change).collect::<String>())
            };
            places.into_iter().map(change).collect()
        }
        Value::Number(number) => [1, -1].map(|by| json!(number.as_i64().unwrap() + by)).into(),
        _ => vec![json!(0), json!("0")],
    }
}

fn is_unproven(proof: &Value, pointer: &str) -> bool {
    let draw: Option<usize> = pointer.split('/').nth(2).and_then(|index| index.parse().ok());
    let draw = draw.map(|draw| &proof["draws"][draw]);
    let is_first = draw.is_some_and(|draw| draw.get("version").is_none());
    let ends = |fields: &[&str]| fields.iter().any(|field| pointer.ends_with(field));
    match draw {
        None => pointer == "/outside",
        Some(_) if is_first => ends(&UNPROVEN) || ends(&UNPROVEN_IN_FIRST_VERSION),
        Some(_) => ends(&UNPROVEN[..5]),
    }
}

/// The proof with each text and number changed in turn, and what was changed.
fn changes(proof: &Value) -> Vec<(String, Value)> {
    let mut pointers = Vec::new();
    leaves_of(proof, String::new(), &mut pointers);
    let mut made = Vec::new();
    for pointer in pointers.iter().filter(|pointer| !is_unproven(proof, pointer)) {
        for value in changed(proof.pointer(pointer).unwrap()) {
            let mut other = proof.clone();
            let title = format!("{pointer}: {value}");
            *other.pointer_mut(pointer).unwrap() = value;
            made.push((title, other));
        }
    }
    made
}

/// The proof with each field of each draw removed in turn.
fn removals(proof: &Value) -> Vec<(String, Value)> {
    let mut made = Vec::new();
    let count = proof["draws"].as_array().unwrap().len();
    for place in 0..count {
        let names: Vec<String> = proof["draws"][place].as_object().unwrap().keys().cloned().collect();
        for name in names.into_iter().filter(|name| !is_unproven(proof, &format!("/draws/{place}/{name}"))) {
            let mut other = proof.clone();
            other["draws"][place].as_object_mut().unwrap().remove(&name);
            made.push((format!("draw {place} without {name}"), other));
        }
    }
    made
}

/// The proof with a field that a draw does not have.
fn additions(proof: &Value) -> Vec<(String, Value)> {
    let added = [
        ("version", json!(2)),
        ("round", json!(1000)),
        ("drand_chain", json!("52".repeat(32))),
        ("fallback", json!("no network")),
        ("event_id", json!("other")),
        ("roster_root", json!("00".repeat(32))),
        ("weights", json!([[9, 7]])),
    ];
    let mut made = Vec::new();
    for place in 0..proof["draws"].as_array().unwrap().len() {
        let draw = &proof["draws"][place];
        let is_first = draw.get("version").is_none();
        for (name, value) in added.iter().filter(|(name, _)| draw.get(name).is_none() && (!is_first || *name == "version")) {
            let mut other = proof.clone();
            other["draws"][place][name] = value.clone();
            made.push((format!("draw {place} with {name}"), other));
        }
    }
    made
}

/// The proof with a `null` in place of each field of its draws, there or not. Some fields may be
/// null; the verifiers have to agree which.
fn nulls(proof: &Value) -> Vec<(String, Value)> {
    let mut names: Vec<String> =
        ["version", "round", "drand_chain", "fallback", "event_id", "roster_root", "weights"].map(str::to_owned).into();
    names.extend(proof["draws"][0].as_object().unwrap().keys().cloned());
    let mut made = Vec::new();
    for place in 0..proof["draws"].as_array().unwrap().len() {
        for name in &names {
            let mut other = proof.clone();
            other["draws"][place][name] = Value::Null;
            made.push((format!("draw {place} with {name}: null"), other));
        }
    }
    for name in ["anchors", "leaves", "event_session_id", "draws"] {
        let mut other = proof.clone();
        other[name] = Value::Null;
        made.push((format!("{name}: null"), other));
    }
    made
}

fn stories() -> [Story; 3] {
    [Story::told(&Twist::default()), Story::by_drand(false), Story::first_version()]
}

#[tokio::test]
async fn all_three_accept_the_vectors_and_refuse_every_change() {
    let stories = stories();
    let mut cases: Vec<Case> = stories.iter().map(|story| (story.proof(false), None)).collect();
    cases.extend(stories[..2].iter().map(|story| (story.proof(true), Some(story.receipt()))));
    let honest = cases.len();
    let mut titles = vec![String::new(); honest];
    for proof in stories.iter().map(|story| story.proof(false)) {
        for (title, other) in changes(&proof).into_iter().chain(removals(&proof)).chain(additions(&proof)) {
            titles.push(title);
            cases.push((other, None));
        }
    }
    assert!(cases.len() > 1_500, "{}", cases.len());
    for (name, verdicts) in Verifiers::start().await.run(&cases).await {
        assert!(verdicts[..honest].iter().all(|holds| *holds), "{name} accepts the vectors");
        let accepted = titles.iter().zip(&verdicts).skip(honest).filter(|(_, holds)| **holds);
        let wrong: Vec<_> = accepted.map(|(title, _)| title).collect();
        assert!(wrong.is_empty(), "{name} accepts {wrong:?}");
    }
}

#[tokio::test]
async fn all_three_agree_about_every_null_and_every_unknown_field() {
    let mut titles = Vec::new();
    let mut cases: Vec<Case> = Vec::new();
    for proof in stories().iter().map(|story| story.proof(false)) {
        let mut unknown = proof.clone();
        unknown["draws"][0]["another"] = json!([1, {"two": null}]);
        for (title, other) in nulls(&proof).into_iter().chain([("an unknown field".to_owned(), unknown)]) {
            titles.push(title);
            cases.push((other, None));
        }
    }
    let verdicts = Verifiers::start().await.run(&cases).await;
    let (first, rest) = verdicts.split_first().unwrap();
    for (name, others) in rest {
        let differing: Vec<_> = titles.iter().zip(first.1.iter().zip(others)).filter(|(_, (one, other))| one != other).collect();
        assert!(differing.is_empty(), "{} and {name} differ about {differing:?}", first.0);
    }
    assert!(first.1.iter().any(|holds| *holds) && first.1.iter().any(|holds| !*holds));
}
