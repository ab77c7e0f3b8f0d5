//! Refusals against the API's description: which status and code each call can answer with.
//!
//! One half reads the source: from each handler along the functions it names to the errors they
//! make, and to the refusals of the rules behind its command. The other half checks every answer
//! that any test of this binary gets. A description that leaves a status out fails both.

use crate::tidy::{split_comment, walk, without_tests};
use hyper::{Method, StatusCode};
use luckydraw::api::routes::{ROUTER, ROUTES};
use luckydraw::draw::{DrawId, Mode, Number, Refusal, Timestamp};
use luckydraw::http::response::HttpError;
use luckydraw::http::router::Match;
use luckydraw::sequencer::inbox::Rejection;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

/// A status and a stable code.
type Refused = BTreeSet<(u16, String)>;

/// Answers of the pipeline, before any handler: the description lists them once for all calls.
const OF_EVERY_CALL: &[(u16, &str)] = &[(400, "BAD_REQUEST"), (403, "FORBIDDEN_ORIGIN")];

/// Codes that a function names and never answers with, and why.
const ABSORBED: &[(&str, &str, &str)] = &[
    ("find_or_open_room", "EVENT_EXISTS", "another request opened the same event first: that one is found"),
    ("find_or_open_room", "INVALID_REQUEST", "the operator's settings are checked at the start, and there are no prizes"),
    ("find_or_open_room", "DRAW_FAILED", "there are no prizes"),
    ("hand_over", "NOT_A_WINNER", "its draw is gone: the claim is not found"),
    ("page", "NOT_FOUND", "every page is embedded"),
    ("entry_for", "", "a socket learns every refusal by its close code"),
];

/// A function of the source.
struct Function {
    file: String,
    name: String,
    is_method: bool,
    body: String,
    /// The body without the insides of its quotes.
    code: String,
}

/// The functions of the source that can refuse a call.
static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut |path, text| {
        let can_refuse = ["api/", "draw/", "http/request.rs", "http/response.rs", "http/upgrade.rs"];
        if can_refuse.iter().any(|start| path.starts_with(start)) && path != "draw/sample.rs" {
            found.extend(functions(path, &without_tests(text)));
        }
    });
    found
});

/// The functions of one file. rustfmt ends a function at the brace under its beginning.
fn functions(path: &str, code: &str) -> Vec<Function> {
    let lines: Vec<&str> = code.lines().map(|line| split_comment(line).0).collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some((before, after)) = line.split_once("fn ") else { continue };
        if before.contains(['"', '(', '=']) && !before.trim().starts_with("pub(") {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let length = lines[start..].iter().position(|line| *line == close).unwrap_or(0);
        let body = lines[start..=start + length].join("\n");
        let name = after.split(|c: char| !is_word(c)).next().unwrap().to_owned();
        let head = body.split('{').next().unwrap();
        let code = body.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
        found.push(Function { file: path.to_owned(), name, is_method: head.contains("self"), body, code });
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Words of a text with what stands before each: `""`, `"."` of a method's call, or the path before
/// `::`. Fields are left out.
fn words(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let (mut end, mut last) = (0, "");
    for word in text.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()) {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        let (before, after) = (&text[end..start], &text[start + word.len()..]);
        let is_method = before.ends_with('.') && !before.ends_with("..");
        let is_called = after.starts_with('(') || after.starts_with("::<");
        match before {
            "::" => found.push((last, word)),
            _ if !is_method => found.push(("", word)),
            _ if is_called => found.push((".", word)),
            _ => {}
        }
        (end, last) = (start + word.len(), word);
    }
    found
}

/// The functions that `caller` names by this word.
fn named(caller: &Function, qualifier: &str, word: &str) -> Vec<&'static Function> {
    static BY_NAME: LazyLock<BTreeMap<&str, Vec<&Function>>> = LazyLock::new(|| {
        let mut by_name = BTreeMap::<_, Vec<_>>::new();
        FUNCTIONS.iter().for_each(|function| by_name.entry(function.name.as_str()).or_default().push(function));
        by_name
    });
    let folder = if caller.file.starts_with("draw/") { "draw/" } else { "" };
    let fits = |function: &&Function| {
        let stem = function.file.trim_end_matches(".rs").trim_end_matches("/mod").rsplit('/').next().unwrap();
        let is_limiter = function.file == "api/rate_limiter.rs";
        function.file.starts_with(folder)
            && (!is_limiter || caller.file == function.file || caller.code.contains("limiter"))
            && (folder == "draw/" || !function.file.starts_with("draw/"))
            && match qualifier {
                "." => function.is_method,
                "" if function.is_method => false,
                "" => function.file == caller.file || is_imported(&caller.file, stem, word),
                "Self" => function.file == caller.file,
                "HttpError" => function.file == "http/response.rs",
                module => module == stem,
            }
    };
    BY_NAME.get(word).into_iter().flatten().copied().filter(fits).collect()
}

/// Returns whether a file imports that function by its name.
fn is_imported(file: &str, module: &str, word: &str) -> bool {
    static TEXTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut texts = BTreeMap::new();
        walk(&root, &root, &mut |path, text| drop(texts.insert(path.to_owned(), without_tests(text))));
        texts
    });
    let imports = TEXTS[file].split("use crate::").skip(1).filter_map(|rest| rest.split(';').next());
    imports.into_iter().any(|import| {
        words(import).iter().any(|(_, part)| *part == module) && words(import).iter().any(|(_, part)| *part == word)
    })
}

/// The refusals that a function can answer with.
fn refusals_of(function: &'static Function, seen: &mut BTreeSet<(&'static str, &'static str)>) -> Refused {
    if !seen.insert((&function.file, &function.name)) {
        return Refused::new();
    }
    let mut found = literal_errors(&function.body);
    for (qualifier, word) in words(&function.code) {
        match qualifier {
            "Refusal" => found.extend(SAMPLES.get(word).cloned()),
            "Rejection" => found.extend(SAMPLES.get(word).cloned()),
            "Command" if function.file.starts_with("api/") => found.extend(refusals_of_command(word)),
            "Request" if function.file.starts_with("api/") => found.extend(rejections_of_request(word)),
            "Invalid" => found.extend([(422, "INVALID_REQUEST".to_owned())]),
            _ => {}
        }
        match word {
            "submit" | "ask" if qualifier == "." && function.code.contains("inbox") => {
                found.extend(["NoSuchEvent", "NotDurable", "Overloaded", "Unanswered"].map(|name| SAMPLES[name].clone()));
            }
            "RetryAfter" if !function.file.ends_with("phone.rs") => found.extend([(429, "TOO_MANY".to_owned())]),
            "parse" | "parse_many_fields" if qualifier.is_empty() && named(function, "", word).is_empty() => {
                found.extend([(422, "INVALID_REQUEST".to_owned())])
            }
            _ => {}
        }
        for callee in named(function, qualifier, word) {
            found.extend(refusals_of(callee, seen));
        }
    }
    found.retain(|(_, code)| {
        !ABSORBED.iter().any(|(name, absorbed, _)| *name == function.name && (absorbed.is_empty() || absorbed == code))
    });
    found
}

/// Errors made with a status and a code in place.
fn literal_errors(body: &str) -> Refused {
    let mut found = Refused::new();
    for rest in body.split("StatusCode::").skip(1) {
        let mut parts = rest.splitn(2, ',');
        let (name, after) = (parts.next().unwrap(), parts.next().unwrap_or("").trim_start());
        let code = after.strip_prefix('"').and_then(|rest| rest.split('"').next()).filter(|code| is_code(code));
        if let Some(code) = code {
            found.insert((status(name), code.to_owned()));
        }
    }
    found
}

fn is_code(word: &str) -> bool {
    word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

fn status(name: &str) -> u16 {
    let all = (100..600).filter_map(|code| StatusCode::from_u16(code).ok());
    let reason = |status: &StatusCode| status.canonical_reason().unwrap_or("").to_uppercase().replace([' ', '-'], "_");
    all.into_iter().find(|status| reason(status) == name).unwrap_or_else(|| panic!("no status is named {name}")).as_u16()
}

/// Each refusal and rejection as its answer, by the name of its variant.
static SAMPLES: LazyLock<BTreeMap<String, (u16, String)>> = LazyLock::new(|| {
    let (draw, number, text) = (DrawId(1), Number(1), "x");
    let refusals = [
        Refusal::RegistrationClosed,
        Refusal::EventClosed,
        Refusal::EventFull { max: 1 },
        Refusal::StaleSession,
        Refusal::NobodyRegistered,
        Refusal::NobodyLeft,
        Refusal::TooFewLeft { left: 1 },
        Refusal::TooManyWinners { mode: Mode::Slot, max: 1 },
        Refusal::PrizeExhausted { left: 1 },
        Refusal::DrawInProgress(draw),
        Refusal::NothingToReveal,
        Refusal::WaitingForOutside,
        Refusal::OutsideRequired,
        Refusal::OutsideGiven,
        Refusal::NoOutsideValue,
        Refusal::NoFallback,
        Refusal::NothingToComplete,
        Refusal::NothingToCancel,
        Refusal::NotAWinner,
        Refusal::Outdated,
        Refusal::PrizesOutdated,
        Refusal::DetailsOutdated { version: 2 },
        Refusal::WinVoided,
        Refusal::AlreadyHandedOver { draw, number, prize: text.into(), at: Timestamp(1), desk: text.into() },
        Refusal::NotHandedOver,
        Refusal::NotARehearsal,
        Refusal::ParticipantNotFound,
        Refusal::NotFound(text),
        Refusal::Invalid { field: text, why: text },
        Refusal::OutOfRange { field: text, min: 1, max: 2 },
        Refusal::TooMany { what: text, max: 1 },
    ];
    let rejections = [
        Rejection::NoSuchEvent,
        Rejection::EventExists,
        Rejection::TooManyEvents { max: 1 },
        Rejection::EventInUse,
        Rejection::NotDurable,
        Rejection::Overloaded,
        Rejection::Unanswered,
    ];
    let name = |debug: String| debug.split(|c: char| !is_word(c)).next().unwrap().to_owned();
    let answer = |error: HttpError| (error.status.as_u16(), error.code.to_owned());
    let refusals = refusals.map(|refusal| (name(format!("{refusal:?}")), answer(refusal.into())));
    let rejections = rejections.map(|rejection| (name(format!("{rejection:?}")), answer(rejection.into())));
    refusals.into_iter().chain(rejections).collect()
});

/// The refusals of the rules for a command, and of the writer.
fn refusals_of_command(command: &str) -> Refused {
    let decide = FUNCTIONS.iter().find(|function| function.name == "decide").unwrap();
    let arm = decide.body.split(&format!("Command::{command}")).nth(1).unwrap_or_else(|| panic!("no arm for {command}"));
    let arm = arm.split_once("=>").unwrap().1.lines().next().unwrap();
    let caller =
        Function { file: decide.file.clone(), name: String::new(), is_method: true, body: String::new(), code: String::new() };
    let mut found = Refused::new();
    for (qualifier, word) in words(arm) {
        for callee in named(&caller, qualifier, word) {
            found.extend(refusals_of(callee, &mut BTreeSet::new()));
        }
    }
    let allowed = FUNCTIONS.iter().find(|function| function.name == "is_allowed_when_closed").unwrap();
    let always = allowed
        .body
        .split(&format!("Command::{command}"))
        .nth(1)
        .is_some_and(|rest| !rest.starts_with(is_word) && !rest.starts_with("(Phase"));
    if !always {
        found.insert(SAMPLES["EventClosed"].clone());
    }
    found
}

/// The rejections of the writer for a request.
fn rejections_of_request(request: &str) -> Refused {
    let own: &[&str] = match request {
        "Open" => &["EventExists", "TooManyEvents", "OutOfRange"],
        "Delete" => &["EventInUse"],
        _ => &[],
    };
    let mut found: Refused = own.iter().map(|name| SAMPLES[*name].clone()).collect();
    match request {
        "SubmitDetails" => found.extend(refusals_of_command("ReceiveDetails")),
        "Open" => found.extend(refusals_of_command("AddPrizes").into_iter().filter(|(_, code)| code != "EVENT_CLOSED")),
        _ => {}
    }
    found
}

/// A route as the description names it: its operation.
fn operation(method: &Method, pattern: &str) -> Value {
    static OPENAPI: LazyLock<Value> =
        LazyLock::new(|| serde_json::from_str(include_str!("../../src/api/docs/openapi.json")).unwrap());
    let blanked =
        |path: &str| path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/");
    let paths = OPENAPI["paths"].as_object().unwrap();
    let item =
        paths.iter().find(|(path, item)| blanked(path) == blanked(pattern) && item.get(method.as_str().to_lowercase()).is_some());
    item.unwrap_or_else(|| panic!("{method} {pattern} is not described")).1[method.as_str().to_lowercase()].clone()
}

/// The refusals that an operation describes: the statuses of its responses, and the codes in their
/// descriptions.
fn described(operation: &Value) -> Refused {
    let responses = operation["responses"].as_object().unwrap();
    let refused = responses.iter().filter(|(status, _)| status.starts_with(['4', '5']));
    let codes = |(status, response): (&String, &Value)| {
        let status: u16 = status.parse().unwrap();
        let text = response["description"].as_str().unwrap_or("").to_owned();
        let words: Vec<_> =
            text.split(|c: char| !is_word(c)).filter(|word| is_code(word)).map(|code| (status, code.to_owned())).collect();
        words
    };
    refused.flat_map(codes).collect()
}

#[test]
fn every_refusal_of_a_handler_is_described_and_no_other() {
    let mut wrong = Vec::new();
    for route in ROUTES {
        let handler = handler(&route.method, route.pattern);
        let mut found = refusals_of(handler, &mut BTreeSet::new());
        found.remove(&(403, "FORBIDDEN_ORIGIN".to_owned()));
        let described = described(&operation(&route.method, route.pattern));
        if found != described {
            let missing: Vec<_> = found.difference(&described).collect();
            let unknown: Vec<_> = described.difference(&found).collect();
            wrong.push(format!("{} {}: leaves out {missing:?}, cannot be {unknown:?}", route.method, route.pattern));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The handler of a route, by the table's own text.
fn handler(method: &Method, pattern: &str) -> &'static Function {
    let row = format!("{method} \"{pattern}\" => ");
    let table = include_str!("../../src/api/routes.rs");
    let path = table.split(&row).nth(1).unwrap_or_else(|| panic!("no row {row}")).split(',').next().unwrap();
    let (module, name) = path.split_once("::").unwrap();
    let files = [format!("api/{module}.rs"), format!("api/{module}/mod.rs")];
    FUNCTIONS
        .iter()
        .find(|function| files.contains(&function.file) && function.name == name && !function.is_method)
        .unwrap_or_else(|| panic!("no function {path}"))
}

/// Requires the description to know an answer that a test got.
pub fn require_described(method: &Method, path: &str, status: StatusCode, body: &[u8]) {
    let path = path.split('?').next().unwrap();
    let Ok(Match::Route { index, .. }) = ROUTER.find(method, path) else { return };
    let route = &ROUTES[index];
    let operation = operation(&route.method, route.pattern);
    let place = format!("{} {}", route.method, route.pattern);
    if status.is_client_error() || status.is_server_error() {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(code) = body["detail"]["code"].as_str() else { return };
        let refused = (status.as_u16(), code);
        let is_known = OF_EVERY_CALL.contains(&refused) || described(&operation).contains(&(refused.0, code.to_owned()));
        assert!(is_known, "{place} answered {refused:?}, which its description leaves out");
    } else {
        let is_known = operation["responses"].get(status.as_str()).is_some();
        assert!(is_known, "{place} answered {status}, which its description leaves out");
    }
}
