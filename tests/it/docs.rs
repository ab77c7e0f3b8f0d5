//! The written descriptions against the code: every route is described, nothing is described that is not there, every message is named.

use luckydraw::api::routes::ROUTES;
use serde_json::Value;
use std::collections::BTreeSet;

const OPENAPI: &str = include_str!("../../src/api/docs/openapi.json");
const ASYNCAPI: &str = include_str!("../../src/api/docs/asyncapi.json");

/// What the server says on a socket.
const SAID: &[&str] = &[
    "state_sync",
    "draw_standby",
    "draw_started",
    "entry_code",
    "winner_revealed",
    "winner_announced",
    "draw_complete",
    "draw_voided",
    "event_reset",
    "notice",
    "participant_joined",
    "connection_count",
    "winner_info_received",
    "winner_updated",
    "pong",
    "identify_ack",
    "already_won",
    "draw_complete_ack",
    "submit_winner_info_ack",
    "im_here_ack",
    "error",
];

/// What clients say.
const ASKED: &[&str] = &["ping", "auth", "identify", "draw_complete", "submit_winner_info", "im_here"];

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a description is JSON")
}

/// `GET /path` for each operation, with every parameter's name blanked: what it is called is the description's affair.
fn described() -> BTreeSet<String> {
    let openapi = read(OPENAPI);
    let operations = |(path, item): (&String, &Value)| {
        let methods = ["get", "post", "put", "patch", "delete"].into_iter().filter(|method| item.get(*method).is_some());
        methods.map(|method| format!("{} {}", method.to_uppercase(), blanked(path))).collect::<Vec<_>>()
    };
    openapi["paths"].as_object().unwrap().iter().flat_map(operations).collect()
}

fn blanked(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let routed: BTreeSet<String> = ROUTES.iter().map(|route| format!("{} {}", route.method, blanked(route.pattern))).collect();
    let described = described();
    let missing: Vec<_> = routed.difference(&described).collect();
    let invented: Vec<_> = described.difference(&routed).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not described: {missing:#?}\nnot routed: {invented:#?}");
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    for (name, text) in [("openapi", OPENAPI), ("asyncapi", ASYNCAPI)] {
        let description = read(text);
        let mut references = Vec::new();
        collect(&description, "$ref", &mut references);
        assert!(references.len() > 20);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{name}: {reference} leads outside"));
            assert!(description.pointer(pointer).is_some(), "{name}: {reference} leads nowhere");
        }
    }
    let mut names = Vec::new();
    collect(&read(OPENAPI), "operationId", &mut names);
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{names:?}");
    assert_eq!(names.len(), described().len());
}

/// Every text that stands under this key, anywhere.
fn collect(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match value.as_str() {
            Some(text) if name == key => found.push(text.to_owned()),
            _ => collect(value, key, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        _ => {}
    }
}

#[test]
fn every_message_type_is_described_in_its_direction() {
    let asyncapi = read(ASYNCAPI);
    for (operation, expected) in [("hear", SAID), ("say", ASKED)] {
        let messages = asyncapi["operations"][operation]["messages"].as_array().unwrap();
        let types: BTreeSet<String> = messages
            .iter()
            .map(|message| {
                let channel = message["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
                let component = asyncapi.pointer(channel).unwrap()["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
                asyncapi.pointer(component).unwrap()["payload"]["properties"]["type"]["const"].as_str().unwrap().to_owned()
            })
            .collect();
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(types, expected, "{operation}");
    }
}

#[test]
fn every_refusal_s_code_is_described() {
    let codes: BTreeSet<String> = read(OPENAPI)["components"]["schemas"]["Code"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap().to_owned())
        .collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut spoken = BTreeSet::new();
    crate::tidy::walk(&root, &root, &mut |path, text| {
        if path.starts_with("web/") || path == "draw/refusal.rs" {
            spoken.extend(crate::tidy::without_tests(text).split('"').filter(|word| is_code(word)).map(str::to_owned));
        }
    });
    assert!(spoken.contains("EVENT_NOT_FOUND"), "the source is there to be read");
    // Cargo's words, and no codes of ours.
    for word in ["CARGO_PKG_VERSION", "OUT_DIR"] {
        spoken.remove(word);
    }
    let unknown: Vec<_> = spoken.difference(&codes).collect();
    assert!(unknown.is_empty(), "not described: {unknown:?}");
}

/// Whether a text between quotes looks like a refusal's code: UPPER_SNAKE of two words or more.
fn is_code(word: &str) -> bool {
    word.contains('_') && !word.starts_with("LUCKYDRAW_") && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}
