//! The rules of the source: permitted imports between modules, and the form of every file.
//!
//! The rules are data, and the checks match plain text without comments and tests. The last tests
//! plant violations, so that a rule that cannot fail is detected.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A step of the staircase.
struct Layer {
    name: &'static str,
    /// The modules below that it imports; no others.
    imports: &'static [&'static str],
    /// Words that its files never name: external crates, and rules that belong elsewhere.
    never: &'static [&'static str],
}

/// The staircase of `lib.rs`, from the ground up.
const LAYERS: &[Layer] = &[
    Layer {
        name: "draw",
        imports: &[],
        never: &[
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
    Layer { name: "base", imports: &["draw"], never: &["rusqlite", "hyper::server", "mio::"] },
    Layer { name: "wire", imports: &["draw", "base"], never: &["hyper", "rusqlite", "rustls", "mio::"] },
    Layer { name: "store", imports: &["draw", "base"], never: &["tokio", "hyper", "rustls", "mio::"] },
    Layer { name: "sheet", imports: &["draw", "wire"], never: &["tokio", "hyper", "rusqlite"] },
    Layer { name: "tls", imports: &["draw", "base"], never: &["rusqlite", "mio::", "simd_json"] },
    Layer {
        name: "live",
        imports: &["draw", "base", "wire", "tls"],
        never: &["hyper", "rusqlite", "serde", "simd_json", "rustls"],
    },
    Layer {
        name: "sequencer",
        imports: &["draw", "base", "wire", "store", "live"],
        never: &["hyper", "mio::", "rusqlite", "rustls", "serde", "simd_json"],
    },
    Layer {
        name: "backup",
        imports: &["draw", "base", "store"],
        never: &["hyper", "rusqlite", "rustls", "mio::", ".decide(", ".apply("],
    },
    Layer { name: "http", imports: &["base", "tls"], never: &["rusqlite", "simd_json", ".decide(", ".apply("] },
    Layer {
        name: "api",
        imports: &["draw", "base", "wire", "store", "sheet", "live", "sequencer", "backup", "http"],
        never: &["rusqlite", "mio::", "crate::store::journal", "crate::draw::decide", "crate::draw::pick", ".decide(", ".apply("],
    },
    Layer {
        name: "edge",
        imports: &["draw", "base", "wire", "live", "sequencer", "http", "api"],
        never: &["rusqlite", "rustls", "mio::", "crate::draw::decide", "crate::draw::pick", ".decide("],
    },
    Layer {
        name: "ops",
        imports: &["draw", "base", "store", "tls", "live", "sequencer", "backup", "http", "api", "edge"],
        never: &["rusqlite", ".decide(", ".apply("],
    },
];

/// The load tester: a separate program, which imports only `wire` of the library.
const LOAD_TESTER: &str = "bin/drawload/";

/// The one module that knows NATS.
const NATS_ONLY_IN: &str = "edge/";

/// Words forbidden outside tests.
const FORBIDDEN: &[&str] = &[".unwrap()", "todo!", "unimplemented!", "dbg!(", "TODO", "FIXME"];

/// Lines of a file before its tests, at most.
const FILE_LINES_MAX: usize = 400;
/// Lines of a function, at most.
const FUNCTION_LINES_MAX: usize = 60;
/// Characters of a comment line, at most; tables may be wider.
const COMMENT_CHARS_MAX: usize = 100;
/// Words of a private dialect that the field's words replaced.
const DIALECT: &[&str] = &["house", "whoever", "noughts", "evening", "patience", "tellings", "census", "of its own accord"];

/// Openings of a comment that read as translated.
const TRANSLATED: &[&str] = &["What ", "Whether ", "How ", "Whoever "];

/// Violations of a file; `path` is relative to `src/`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push(format!("{path}: does not open with //!"));
    }
    let code = without_tests(text);
    let lines = code.trim_end().lines().count();
    if lines > FILE_LINES_MAX {
        found.push(format!("{path}: has {lines} lines before its tests"));
    }
    found.extend(long_functions(&code).map(|(line, name, lines)| format!("{path}:{line}: {name} has {lines} lines")));
    let layer = layer_of(path);
    let never = layer.map_or(&[][..], |layer| layer.never);
    for (index, line) in code.lines().enumerate() {
        let (statement, comment) = split_comment(line);
        let at = format!("{path}:{}", index + 1);
        let bad = never.iter().chain(FORBIDDEN).filter(|word| holds_word(statement, word));
        let notes = FORBIDDEN.iter().filter(|word| word.chars().all(char::is_uppercase) && comment.contains(*word));
        found.extend(bad.chain(notes).map(|word| format!("{at}: {word}")));
        if !path.starts_with(NATS_ONLY_IN) && ["async_nats", "nkeys"].iter().any(|word| holds_word(statement, word)) {
            found.push(format!("{at}: no module but {NATS_ONLY_IN} knows NATS"));
        }
        if path.starts_with(LOAD_TESTER) && statement.split("luckydraw::").skip(1).any(|rest| !rest.starts_with("wire")) {
            found.push(format!("{at}: the load tester imports luckydraw::wire and no other module"));
        }
        let is_table = comment.trim_start_matches(['/', '!', ' ']).starts_with('|');
        if statement.trim().is_empty() && !comment.is_empty() && !is_table && line.chars().count() > COMMENT_CHARS_MAX {
            found.push(format!("{at}: a comment of more than {COMMENT_CHARS_MAX} characters"));
        }
    }
    let Some(layer) = layer else { return found };
    let allowed = |module: &String| *module == layer.name || layer.imports.contains(&module.as_str());
    found.extend(imports(&code).into_iter().filter(|module| !allowed(module)).map(|module| format!("{path}: crate::{module}")));
    found
}

fn layer_of(path: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| path.split_once('/').is_some_and(|(folder, _)| folder == layer.name))
}

/// Paths from the crate's root that the code names, `crate::{a, b::C}` taken apart.
fn paths(code: &str) -> BTreeSet<String> {
    let code: String = code.lines().map(|line| split_comment(line).0).collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 1;
                let end = group.char_indices().find(|(_, c)| {
                    depth += i32::from(*c == '{') - i32::from(*c == '}');
                    depth == 0
                });
                let group = end.map_or(group, |(end, _)| &group[..end]);
                found.extend(group.split(',').map(|item| path_at(item.trim())));
            }
            None => {
                found.insert(path_at(rest));
            }
        }
    }
    found.retain(|path| !path.is_empty());
    found
}

/// The path at the start of a text: words joined by `::`.
fn path_at(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    text[..end.unwrap_or(text.len())].trim_matches(':').to_owned()
}

/// Modules of the library that the code names, by its own absolute paths or by `super::super::`.
fn imports(code: &str) -> BTreeSet<String> {
    let code = code.replace("super::super::", "crate::");
    let modules = paths(&code).into_iter().filter_map(|path| path.split("::").next().map(str::to_owned));
    modules.filter(|module| LAYERS.iter().any(|layer| layer.name == module)).collect()
}

/// Functions of more than the permitted lines: the line they begin at, their name, their length.
fn long_functions(code: &str) -> impl Iterator<Item = (usize, String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let (statement, _) = split_comment(line);
        let Some((before, after)) = statement.split_once("fn ") else { continue };
        let is_item = before
            .trim()
            .split(' ')
            .all(|word| matches!(word, "" | "pub" | "async" | "const" | "unsafe" | "default") || word.starts_with("pub("));
        if !is_item || statement.trim_end().ends_with(['}', ';']) {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        if let Some(length) = lines[start..].iter().position(|line| *line == close).map(|length| length + 1)
            && length > FUNCTION_LINES_MAX
        {
            found.push((start + 1, path_at(after), length));
        }
    }
    found.into_iter()
}

/// Files that import each other in a circle; a file may import from the modules that contain it.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let module = |path: &str| {
        let stem = path.strip_suffix(".rs").unwrap_or(path);
        stem.strip_suffix("/mod").unwrap_or(stem).replace('/', "::")
    };
    let modules: BTreeMap<String, &str> = files.iter().map(|(path, _)| (module(path), path.as_str())).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, text) in files {
        let own = module(path);
        let root = path.starts_with(LOAD_TESTER).then(|| LOAD_TESTER.trim_end_matches('/').replace('/', "::"));
        for named in paths(&without_tests(text)) {
            let mut target = root.as_ref().map_or(named.clone(), |root| format!("{root}::{named}"));
            while !modules.contains_key(&target) {
                match target.rsplit_once("::") {
                    Some((outer, _)) => target = outer.to_owned(),
                    None => break,
                }
            }
            let contains_own = own == target || own.starts_with(&format!("{target}::"));
            if let Some(file) = modules.get(&target).filter(|_| !contains_own) {
                edges.entry(path).or_default().insert(file);
            }
        }
    }
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            for next in edges.get(file).into_iter().flatten() {
                if *next == to {
                    return true;
                }
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        false
    };
    edges.keys().filter(|file| reaches(file, file)).map(|file| format!("{file}: imports itself in a circle")).collect()
}

/// True when the text contains this word, and not only a longer one.
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

/// The text with every item under `#[cfg(test)]` blanked, line for line. rustfmt ends an item at a
/// `;` or at a `}` with the indent of its first line.
pub fn without_tests(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    // The line that ends the blanked item.
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

/// Modules that a file declares for tests alone.
fn test_modules(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let (_, name) = rest.lines().next()?.split_once("mod ")?;
        name.strip_suffix(';')
    })
}

/// A line's code and its comment. A `//` within quotes counts as text.
pub fn split_comment(line: &str) -> (&str, &str) {
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

/// Calls `visit` with each Rust file under a directory: its path below `root`, and its text.
pub fn walk(root: &Path, directory: &Path, visit: &mut impl FnMut(&str, &str)) {
    for entry in std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            walk(root, &entry, visit);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let path = entry.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            visit(&path, &std::fs::read_to_string(&entry).unwrap());
        }
    }
}

/// The files of `src` other than tests: their paths below it, and their texts.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut for_tests) = (Vec::new(), Vec::new());
    walk(&root, &root, &mut |path, text| {
        // `a/mod.rs` and `a.rs` have their modules in `a/`, the crate's root beside it.
        let stem = path.strip_suffix(".rs").unwrap();
        let folder = stem.strip_suffix("mod").or(stem.strip_suffix("lib")).map_or(format!("{stem}/"), str::to_owned);
        for_tests.extend(test_modules(text).map(|name| format!("{folder}{name}.rs")));
        files.push((path.to_owned(), text.to_owned()));
    });
    assert!(files.len() > 20, "the source is there to be read");
    files.retain(|(path, _)| !for_tests.contains(path));
    files
}

#[test]
fn the_source_is_tidy() {
    let files = sources();
    let mut found: Vec<_> = files.iter().flat_map(|(path, text)| violations(path, text)).collect();
    found.extend(circles(&files));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_staircase_leads_downwards_and_is_the_one_that_the_map_draws() {
    for (step, layer) in LAYERS.iter().enumerate() {
        for import in layer.imports {
            assert!(LAYERS[..step].iter().any(|below| below.name == *import), "{} is not above {import}", layer.name);
        }
    }
    let map = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let drawn = map.split("```").nth(1).unwrap().lines().filter_map(|line| line.strip_prefix("//!  "));
    let drawn: Vec<_> = drawn.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(drawn, LAYERS.iter().rev().map(|layer| layer.name).collect::<Vec<_>>());
}

#[test]
fn every_permitted_import_is_used() {
    let files = sources();
    for layer in LAYERS {
        let of_layer = files.iter().filter(|(path, _)| path.starts_with(&format!("{}/", layer.name)));
        let used: BTreeSet<String> = of_layer.flat_map(|(_, text)| imports(&without_tests(text))).collect();
        for import in layer.imports {
            assert!(used.contains(*import), "{} does not use {import}: take the permission back", layer.name);
        }
    }
}

#[test]
fn every_test_and_bench_file_opens_with_a_doc_and_wraps_its_comments() {
    for directory in ["tests", "benches"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        walk(&root, &root, &mut |path, text| {
            assert!(text.starts_with("//!"), "{directory}/{path} does not open with //!");
            assert_eq!(wide_comments(text, "//"), Vec::<&str>::new(), "{directory}/{path}");
        });
    }
}

#[test]
fn scripts_wrap_their_comments() {
    let mut count = 0;
    for directory in ["scripts", "scripts/deploy", "scripts/scenarios", "benches/side_by_side", "benches/side_by_side/peers"] {
        let entries = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)).unwrap();
        for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            count += 1;
            // Three blanks begin a command, which cannot wrap.
            let prose: Vec<_> = wide_comments(&text, "#").into_iter().filter(|line| !line.starts_with("#   ")).collect();
            assert_eq!(prose, Vec::<&str>::new(), "{}", path.display());
        }
    }
    assert!(count > 10, "the scripts were read");
    assert_eq!(wide_comments(&format!("# {}\ncode # {}\n", "x".repeat(99), "x".repeat(99)), "#").len(), 1);
}

/// Comment lines of more than the permitted characters.
fn wide_comments<'t>(text: &'t str, marker: &str) -> Vec<&'t str> {
    let is_wide = |line: &&str| line.trim_start().starts_with(marker) && line.chars().count() > COMMENT_CHARS_MAX;
    text.lines().filter(is_wide).collect()
}

#[test]
fn no_word_of_the_old_dialect_returns() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for directory in ["src", "tests", "benches"] {
        walk(root, &root.join(directory), &mut |path, text| {
            let text = if path == "tests/it/tidy.rs" { String::new() } else { text.to_lowercase() };
            let found: Vec<_> = DIALECT.iter().filter(|word| holds_word(&text, word)).collect();
            assert!(found.is_empty(), "{path}: {found:?}");
        });
    }
    assert!(DIALECT.iter().all(|word| holds_word(&format!("a {word}."), word)));
}

#[test]
fn comments_do_not_open_like_translations() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let mut last_was_comment = false;
        for (index, line) in without_tests(&text).lines().enumerate() {
            let comment = line.trim_start().strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!']).trim_start());
            if comment.is_some_and(|comment| !last_was_comment && TRANSLATED.iter().any(|word| comment.starts_with(word))) {
                found.push(format!("{path}:{}", index + 1));
            }
            last_was_comment = comment.is_some();
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    for layer in LAYERS {
        let path = format!("{}/planted.rs", layer.name);
        for word in layer.never {
            let planted = format!("//! Doc.\nuse {word}x_not;\nfn f() {{ {word} }}\n");
            let found = violations(&path, &planted);
            assert!(found.iter().any(|line| line.ends_with(word)), "{word} in {path} is noticed: {found:?}");
            assert!(!violations("elsewhere.rs", &planted).iter().any(|line| line.ends_with(word) && !FORBIDDEN.contains(word)));
        }
        for other in LAYERS.iter().filter(|other| other.name != layer.name && !layer.imports.contains(&other.name)) {
            let planted = format!("//! Doc.\nuse crate::{}::x;\n", other.name);
            assert_eq!(violations(&path, &planted), [format!("{path}: crate::{}", other.name)]);
        }
    }
    for word in FORBIDDEN {
        assert!(!violations("a.rs", &format!("//! Doc.\nfn f() {{ {word} }}\n")).is_empty(), "{word}");
    }
    for planted in ["use luckydraw::draw::Event;", "use luckydraw::{wire, live};", "luckydraw::server::start();"] {
        assert_eq!(violations("bin/drawload/a.rs", &format!("//! D.\n{planted}\n")).len(), 1, "{planted}");
    }
    assert!(violations("bin/drawload/a.rs", "//! D.\nuse luckydraw::wire::text;\n").is_empty());
    assert_eq!(violations("a.rs", "fn f() {}\n").len(), 1, "a missing doc");
    assert_eq!(violations("a.rs", &format!("//! Doc.\n{}", "fn f() {}\n".repeat(FILE_LINES_MAX))).len(), 1, "a long file");
    let long = format!("//! Doc.\npub async fn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES_MAX));
    assert_eq!(violations("a.rs", &long), ["a.rs:2: f has 62 lines"]);
    assert_eq!(violations("a.rs", &format!("//! {}\n", "x".repeat(COMMENT_CHARS_MAX))).len(), 1, "a wide comment");
}

#[test]
fn a_circle_of_files_is_noticed() {
    let file = |path: &str, uses: &str| (path.to_owned(), format!("//! D.\nuse crate::{uses};\n"));
    let circle = [file("live/a.rs", "live::b::B"), file("live/b.rs", "live::c"), file("live/c/mod.rs", "live::a::A")];
    assert_eq!(circles(&circle).len(), 3);
    assert!(circles(&circle[..2]).is_empty());
    let parent = [file("live/mod.rs", "live::a::A"), file("live/a.rs", "live::Role")];
    assert!(circles(&parent).is_empty(), "an import from the containing module is no circle");
}

#[test]
fn every_way_to_name_a_module_is_noticed_and_no_comment_or_test_is() {
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
    let entry = "//! D.\n#[cfg(test)]\nmod testing;\nuse crate::live;\nimpl A {\n    #[cfg(test)]\n    fn f() {\n        x.unwrap()\n    }\n    use crate::http;\n}\n";
    assert_eq!(violations("draw/mod.rs", entry), ["draw/mod.rs: crate::http", "draw/mod.rs: crate::live"]);
    assert_eq!(test_modules(entry).collect::<Vec<_>>(), ["testing"]);
}
