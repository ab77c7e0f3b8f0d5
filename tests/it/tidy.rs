//! The house rules, read from the source: which room may know which, and what every file owes its reader.
//!
//! The rules are data and the reading is plain text matching on code without comments and tests. The last tests plant violations, so that a rule that
//! cannot fail is noticed.

use std::path::Path;

/// A room and what its files may not name.
struct Rule {
    room: &'static str,
    never: &'static [&'static str],
}

/// The import matrix of the architecture.
const MATRIX: &[Rule] = &[
    Rule {
        room: "draw/",
        never: &[
            "crate::live",
            "crate::store",
            "crate::http",
            "crate::wire",
            "crate::sequencer",
            "crate::store::tokens",
            "std::time",
            "std::io",
            "std::fs",
            "std::net",
            "std::thread",
            "std::sync::Mutex",
            "std::sync::RwLock",
            "std::sync::mpsc",
            "std::sync::atomic",
            "HashMap",
            "HashSet",
            "SystemTime",
            "Instant",
            "serde",
            "tokio",
            "async fn",
            "rand::",
            "ring::rand",
            "rustls",
        ],
    },
    Rule {
        room: "live/",
        never: &["hyper", "rusqlite", "serde", "simd_json", "crate::http", "crate::store", "crate::sequencer"],
    },
    Rule { room: "store/", never: &["tokio", "hyper", "rustls", "mio::", "crate::live", "crate::http", "crate::sequencer"] },
    Rule {
        room: "http/",
        never: &["rusqlite", "crate::store", "crate::draw::decide", "crate::draw::pick", ".decide(", ".apply("],
    },
    Rule {
        room: "api/",
        never: &["rusqlite", "crate::store::journal", "crate::draw::decide", "crate::draw::pick", ".decide(", ".apply("],
    },
    Rule {
        room: "wire/",
        never: &["crate::live", "crate::http", "crate::store", "crate::sequencer", "hyper", "rusqlite", "rustls", "mio::"],
    },
    Rule {
        room: "sheet/",
        never: &["crate::live", "crate::http", "crate::store", "crate::sequencer", "tokio", "hyper", "rusqlite"],
    },
    Rule {
        room: "backup/",
        never: &["hyper", "rusqlite", "rustls", "mio::", "crate::live", "crate::http", ".decide(", ".apply("],
    },
    Rule { room: "sequencer/", never: &["hyper", "mio::", "rusqlite", "rustls", "serde", "simd_json", "crate::http"] },
];

/// Where a guest of the house lives: a program of its own, which knows of the library what the street knows.
const GUEST: &str = "bin/drawload/";

/// What no file holds outside its tests.
const NOWHERE: &[&str] = &[".unwrap()", "todo!", "unimplemented!", "dbg!(", "TODO", "FIXME"];

/// The most lines of a file before its tests.
const LINES_MAX: usize = 450;

/// Everything wrong with a file; `path` is relative to `src/`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!("{path}: does not open with //!"));
    }
    let code = without_tests(text);
    let lines = code.trim_end().lines().count();
    if lines > LINES_MAX {
        found.push(format!("{path}: has {lines} lines before its tests"));
    }
    let never = MATRIX.iter().filter(|rule| path.starts_with(rule.room)).flat_map(|rule| rule.never);
    let mut grouped = false;
    for (index, line) in code.lines().enumerate() {
        let (statement, comment) = split_comment(line);
        // A group of imports over several lines is read as if each line began it anew.
        let statement = if grouped { format!("crate::{{{statement}") } else { statement.to_owned() };
        grouped = statement.contains("crate::{") && !statement.contains('}');
        let bad = never.clone().chain(NOWHERE).filter(|word| names(&statement, word));
        let owed = NOWHERE.iter().filter(|word| word.chars().all(char::is_uppercase) && comment.contains(*word));
        if path.starts_with(GUEST) && statement.split("luckydraw::").skip(1).any(|rest| !rest.starts_with("wire")) {
            found.push(format!("{path}:{}: a guest knows luckydraw::wire and no other room", index + 1));
        }
        found.extend(bad.chain(owed).map(|word| format!("{path}:{}: {word}", index + 1)));
    }
    found
}

/// Whether a line of code names this. `super::super::live` is `crate::live` by another way, and `crate::{draw, live}` too.
fn names(statement: &str, word: &str) -> bool {
    let Some(room) = word.strip_prefix("crate::") else { return holds_word(statement, word) };
    let grouped = statement
        .split_once("crate::{")
        .is_some_and(|(_, group)| group.split([',', '{', '}']).any(|item| item.trim().split("::").next() == Some(room)));
    grouped || holds_word(statement, word) || holds_word(statement, &format!("super::super::{room}"))
}

/// Whether the text holds this word and not a longer one.
fn holds_word(text: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let bounded = |c: Option<char>, edge: Option<char>| !(joins(c) && joins(edge));
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + word.len()..].chars().next());
        // `serde` stands for `serde_json` as well.
        let continued = word == "serde" && after == Some('_');
        bounded(before, word.chars().next()) && (continued || bounded(after, word.chars().next_back()))
    })
}

/// The text with every item under `#[cfg(test)]` blanked, line for line; as rustfmt writes it, an item ends at a `;` or at the `}` under its beginning.
pub fn without_tests(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    // What ends the item that is left out.
    let mut end: Option<String> = None;
    let mut begins = false;
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if begins && !line.trim_start().starts_with('#') {
            begins = false;
            end = (!line.ends_with([';', '}'])).then(|| format!("{indent}}}"));
        } else if end.as_deref() == Some(line) {
            end = None;
        } else if line.trim() == "#[cfg(test)]" {
            begins = true;
        } else if !begins && end.is_none() {
            kept.push_str(line);
        }
        kept.push('\n');
    }
    kept
}

/// The modules that a door declares for tests alone.
fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let (_, name) = rest.lines().next()?.split_once("mod ")?;
        name.strip_suffix(';')
    })
}

/// A line's code and its comment. A `//` within quotes is taken for text.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'/' if !quoted && line[at..].starts_with("//") => return line.split_at(at),
            _ => {}
        }
    }
    (line, "")
}

/// Calls `see` with each Rust file under a directory: its path below `root`, and its text.
pub fn walk(root: &Path, directory: &Path, see: &mut impl FnMut(&str, &str)) {
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            walk(root, &entry, see);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let path = entry.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            see(&path, &std::fs::read_to_string(&entry).unwrap());
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut for_tests) = (Vec::new(), Vec::new());
    walk(&root, &root, &mut |path, text| {
        // `a/mod.rs` and `a.rs` have their modules in `a/`, the crate's root beside it.
        let stem = path.strip_suffix(".rs").unwrap();
        let place = stem.strip_suffix("mod").or(stem.strip_suffix("lib")).map_or(format!("{stem}/"), str::to_owned);
        for_tests.extend(test_modules(text).map(|name| format!("{place}{name}.rs")));
        files.push((path.to_owned(), text.to_owned()));
    });
    assert!(files.len() > 20, "the source is there to be read");
    files.retain(|(path, _)| !for_tests.contains(path));
    let found: Vec<_> = files.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_test_and_bench_file_says_what_it_is() {
    for directory in ["tests", "benches"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        if root.is_dir() {
            walk(&root, &root, &mut |path, text| assert!(text.starts_with("//!"), "{directory}/{path} does not open with //!"));
        }
    }
}

#[test]
fn every_rule_can_fail() {
    for rule in MATRIX {
        let path = format!("{}planted.rs", rule.room);
        for word in rule.never {
            let planted = format!("//! Doc.\nuse {word}x_not;\nfn f() {{ {word} }}\n");
            let found = violations(&path, &planted);
            assert!(found.iter().any(|line| line.ends_with(word)), "{word} in {path} is noticed: {found:?}");
            assert!(!violations("elsewhere.rs", &planted).iter().any(|line| line.ends_with(word) && !NOWHERE.contains(word)));
        }
    }
    for word in NOWHERE {
        assert!(!violations("a.rs", &format!("//! Doc.\nfn f() {{ {word} }}\n")).is_empty(), "{word}");
    }
    for planted in ["use luckydraw::draw::Event;", "use luckydraw::{wire, live};", "luckydraw::ops::server::start();"] {
        assert_eq!(violations("bin/drawload/a.rs", &format!("//! D.\n{planted}\n")).len(), 1, "{planted}");
    }
    assert!(violations("bin/drawload/a.rs", "//! D.\nuse luckydraw::wire;\n").is_empty());
    assert_eq!(violations("a.rs", "fn f() {}\n").len(), 1, "a missing doc");
    assert_eq!(violations("a.rs", &format!("//! Doc.\n{}", "fn f() {}\n".repeat(LINES_MAX))).len(), 1, "a long file");
}

#[test]
fn every_way_to_name_a_room_is_noticed_and_no_comment_or_test_is() {
    for planted in [
        "use crate::live;",
        "use crate::live::Role;",
        "use crate::{\n    draw,\n    live::Role,\n};",
        "use crate::{draw, live::Role};",
        "use super::super::live::Role;",
    ] {
        assert_eq!(violations("draw/a.rs", &format!("//! D.\n{planted}\n")).len(), 1, "{planted}");
    }
    for fine in ["// crate::live", "let text = \"//\"; // hyper", "use crate::alive;", "use crate::draw::Event;"] {
        assert!(violations("draw/a.rs", &format!("//! D.\n{fine}\n")).is_empty(), "{fine}");
    }
    let tested = "//! D.\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n use crate::live; fn g() { x.unwrap() }\n}\n";
    assert!(violations("draw/a.rs", tested).is_empty());
    let door = "//! D.\n#[cfg(test)]\nmod testing;\nuse crate::live;\nimpl A {\n    #[cfg(test)]\n    fn f() {\n        x.unwrap()\n    }\n    use crate::http;\n}\n";
    assert_eq!(
        violations("draw/mod.rs", door),
        ["draw/mod.rs:4: crate::live", "draw/mod.rs:10: crate::http"],
        "what follows a test's item is read"
    );
    assert_eq!(test_modules(door).collect::<Vec<_>>(), ["testing"]);
}
