//! The written descriptions against the code: the API's two descriptions, and the documents.
//!
//! Every route and message is described, and no other. A document has short sentences, and every
//! file, setting and figure that it names exists.

use luckydraw::api::routes::ROUTES;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const OPENAPI: &str = include_str!("../../src/api/docs/openapi.json");
const ASYNCAPI: &str = include_str!("../../src/api/docs/asyncapi.json");

/// Types of the messages that the server sends.
const SENT: &[&str] = &[
    "state_sync",
    "draw_standby",
    "draw_pool",
    "draw_started",
    "outside_received",
    "outside_fallback",
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
    "winner_arrived",
    "prizes_changed",
    "step_taken",
    "show_planned",
    "participants_removed",
    "join_code",
    "pong",
    "stage_orders",
    "identify_ack",
    "already_won",
    "draw_complete_ack",
    "submit_winner_info_ack",
    "im_here_ack",
    "error",
];

/// Types of the messages that clients send.
const RECEIVED: &[&str] =
    &["ping", "join_code", "auth", "identify", "draw_complete", "submit_winner_info", "im_here", "stage", "turned"];

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a description is JSON")
}

/// `GET /path` for each operation, with parameter names blanked, since they may differ from the
/// router's.
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
    let unknown: Vec<_> = described.difference(&routed).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not described: {missing:#?}\nnot routed: {unknown:#?}");
}

#[test]
fn every_reference_resolves_and_every_operation_id_is_unique() {
    for (name, text) in [("openapi", OPENAPI), ("asyncapi", ASYNCAPI)] {
        let description = read(text);
        let mut references = Vec::new();
        collect(&description, "$ref", &mut references);
        assert!(references.len() > 20);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{name}: {reference} is external"));
            assert!(description.pointer(pointer).is_some(), "{name}: {reference} does not resolve");
        }
    }
    let mut names = Vec::new();
    collect(&read(OPENAPI), "operationId", &mut names);
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{names:?}");
    assert_eq!(names.len(), described().len());
}

/// Adds every text under this key, at any depth.
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
    for (operation, expected) in [("receive", SENT), ("send", RECEIVED)] {
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
fn every_code_of_a_refusal_is_described() {
    let codes: BTreeSet<String> = read(OPENAPI)["components"]["schemas"]["Code"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap().to_owned())
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut used = BTreeSet::new();
    crate::tidy::walk(&root, &root, &mut |path, text| {
        if ["api/", "edge/", "http/"].iter().any(|module| path.starts_with(module)) || path == "draw/refusal.rs" {
            used.extend(crate::tidy::without_tests(text).split('"').filter(|word| is_code(word)).map(str::to_owned));
        }
    });
    assert!(used.contains("EVENT_NOT_FOUND"), "the source was read");
    // Cargo's variables.
    for word in ["CARGO_PKG_VERSION", "OUT_DIR"] {
        used.remove(word);
    }
    let unknown: Vec<_> = used.difference(&codes).collect();
    assert!(unknown.is_empty(), "not described: {unknown:?}");
}

/// True for a text that looks like a refusal's code: UPPER_SNAKE of two words or more.
fn is_code(word: &str) -> bool {
    word.contains('_') && !word.starts_with("LUCKYDRAW_") && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// The checked documents.
const DOCUMENTS: &[&str] =
    &["README.md", ".github/CONTRIBUTING.md", "benches/README.md", "scripts/deploy/README.md", "src/bin/drawload/README.md"];

const README_LINES_MAX: usize = 200;
const SENTENCE_WORDS_MAX: usize = 30;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn document(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A document without its code blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Paragraphs, list items and table cells of a Markdown text, each on one line. Inline code counts
/// as one word.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in prose(text).lines().map(str::trim) {
        let numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if line.starts_with('|') {
            blocks.extend(line.split('|').map(str::to_owned));
        }
        if line.is_empty() || line.starts_with(['|', '#', '-']) || numbered {
            blocks.push(String::new());
        }
        if !line.starts_with('|') {
            blocks.last_mut().unwrap().push_str(&format!("{line} "));
        }
        if line.starts_with('#') {
            blocks.push(String::new());
        }
    }
    blocks.iter().map(|block| block.split('`').step_by(2).collect::<Vec<_>>().join("code")).collect()
}

/// Sentences of a block that are too long.
fn long_sentences(block: &str) -> Vec<String> {
    let ends = |word: &&str| word.trim_end_matches(['*', ')', '’']).ends_with(['.', '!', '?']);
    let words: Vec<_> = block.split_whitespace().collect();
    let length = |words: &[&str]| words.iter().filter(|word| word.contains(char::is_alphanumeric)).count();
    words.split_inclusive(ends).filter(|words| length(words) > SENTENCE_WORDS_MAX).map(|words| words.join(" ")).collect()
}

#[test]
fn the_readme_is_short() {
    let lines = document("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines");
}

#[test]
fn no_sentence_of_a_document_is_long() {
    for name in DOCUMENTS {
        let found: Vec<_> = blocks(&document(name)).iter().flat_map(|block| long_sentences(block)).collect();
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
    let long = "word ".repeat(SENTENCE_WORDS_MAX + 1);
    for text in [
        long.clone(),
        format!("Short. {long}"),
        format!("| a | {long} |"),
        format!("- {long}"),
        format!("```\ncode\n```\n{long}"),
    ] {
        assert_eq!(blocks(&text).iter().flat_map(|block| long_sentences(block)).count(), 1, "{text}");
    }
    let short = "word ".repeat(SENTENCE_WORDS_MAX);
    for text in [
        format!("{short}."),
        format!("{short}. {short}"),
        format!("# {short}\n{short}"),
        format!("{short} %. {short}"),
        format!("| {short} | {short} |"),
        format!("```\n{long}\n```"),
    ] {
        assert_eq!(blocks(&text).iter().flat_map(|block| long_sentences(block)).count(), 0, "{text}");
    }
}

#[test]
fn every_file_that_a_document_names_exists() {
    let mut count = 0;
    for name in DOCUMENTS {
        let text = document(name);
        let folder = path(name).parent().unwrap().to_owned();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("http")) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            assert!(folder.join(file).exists(), "{name}: {link}");
            let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-") == anchor;
            let has_heading = || std::fs::read_to_string(folder.join(file)).unwrap().lines().any(heading);
            assert!(anchor.is_empty() || has_heading(), "{name}: {link}");
        }
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"/._-*".contains(c)).map(|word| word.trim_matches('.'));
        let roots = ["src/", "tests/", "benches/", "scripts/", ".github/", ".cargo/"];
        let files = words.filter(|word| roots.iter().any(|root| word.starts_with(root)) && !word.contains('*'));
        for file in files {
            count += 1;
            assert!(path(file).exists(), "{name}: {file}");
        }
    }
    assert!(count > 50, "{count} names were checked");
}

/// Every `LUCKYDRAW_` variable in a text.
fn variables(text: &str) -> BTreeSet<&str> {
    let rests = text.split("LUCKYDRAW_").skip(1);
    rests
        .map(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap())
        .filter(|name| !name.is_empty())
        .collect()
}

/// `the_readme_s_table_has_every_setting_and_no_other` compares the README's table with the
/// program.
#[test]
fn every_setting_that_a_document_or_script_names_is_in_the_readme_s_table() {
    let readme = document("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `LUCKYDRAW_")?.split_once('`')).map(|(name, _)| name);
    let known: BTreeSet<_> = rows.collect();
    assert!(known.len() > 30);
    let folders = ["scripts", "scripts/deploy", "scripts/monitoring", "scripts/scenarios"];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(path(folder)).unwrap()).map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file()).chain(DOCUMENTS.iter().map(|name| path(name)));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        // The scripts' own variables.
        let unknown: Vec<_> =
            variables(&text).into_iter().filter(|name| !known.contains(name) && !["BINARY", "EVENT_ID"].contains(name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", file.display());
    }
}

#[test]
fn every_headline_figure_is_in_the_full_table() {
    let section = |text: &str, title: &str| text.split("\n## ").find(|section| section.starts_with(title)).unwrap().to_owned();
    let numbers = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').map(|word| word.trim_matches(['.', ',']));
        words.filter(|word| word.contains(|c: char| c.is_ascii_digit())).map(str::to_owned).collect()
    };
    let headline = section(&document("README.md"), "Figures");
    let rows: String = headline.lines().filter(|line| line.starts_with('|')).collect();
    let full = numbers(&section(&document("benches/README.md"), "The full run"));
    let missing: Vec<_> = numbers(&rows).into_iter().filter(|number| !full.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let bold = |text: &str| text.matches("**").count() / 2;
    assert!(bold(&rows) >= 5, "the misses are marked");
}
