//! JSON from clients into types, with errors that name the wrong field.
//!
//! Two parsers, each where it is faster (`cargo bench --bench web`, medians on x86-64):
//!
//! | body | serde_json | simd-json | read by |
//! |---|---|---|---|
//! | a registration, 80 B | 0.18 µs | 0.22 µs | serde_json |
//! | a draw, 200 B | 0.37 µs | 0.42 µs | serde_json |
//! | an event with 300 prizes, 30 KB | 105 µs | 83 µs | simd-json |
//! | a draw with a 2 MB picture inside | 0.66 ms (0.44 on another day) | 0.56 ms (0.53) | serde_json |
//!
//! serde_json reads a few short fields in place. simd-json first copies the body and builds a tape,
//! which pays only for bodies of many fields: an event with its prizes, the one call that uses it.
//! One long string costs both the same, but simd-json's buffers would keep that memory. A body that
//! a parser refuses is parsed once more by serde_json, which tracks the path to the wrong field.
//! Errors never repeat anything that a client sent, since bodies hold names and telephone numbers.

use serde::de::DeserializeOwned;
use simd_json::{Buffers, INPUT_PADDING, Tape, fill_tape_padded};
use std::borrow::Cow;
use std::cell::RefCell;

/// The shortest body with enough fields to pay for the tape, in bytes.
const MANY_FIELDS_MIN: usize = 1 << 10;

/// The deepest nesting given to simd-json, which recurses into skipped values. serde_json does not.
const DEPTH_MAX: usize = 32;

/// The reason why a body does not fit its call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The body is not JSON.
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A field has the wrong type or value.
    #[error("{field}: {why}")]
    Field {
        /// The path to the field.
        field: Cow<'static, str>,
        /// The rule it breaks.
        why: Cow<'static, str>,
    },
}

impl Invalid {
    /// An error about a field of the right type and a wrong value.
    pub fn field(field: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Field { field: field.into(), why: why.into() }
    }
}

/// Parses a body. An empty one counts as `{}`: a call without fields accepts it, any other reports
/// the missing field.
///
/// # Errors
/// The first thing that is wrong, and its place.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).or_else(|_| parse_with_path(body))
}

/// Fields of numbers that pages of the server before this one send as texts.
const NUMBER_FIELDS: [&str; 7] = ["count", "draw_id", "draw_number", "prize_id", "prize_rank", "winner_count", "winners"];

/// The body with numbers in place of the texts that old pages send for them; `None` where it has no
/// such text.
pub fn numbers_from_texts(body: &[u8]) -> Option<Vec<u8>> {
    let mut value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let mut has_changed = false;
    for (name, field) in value.as_object_mut()? {
        has_changed |= NUMBER_FIELDS.contains(&name.as_str()) && number_from_text(field);
    }
    has_changed.then(|| value.to_string().into_bytes())
}

/// Turns a text of digits into its number, also within a list; returns whether there was one.
fn number_from_text(value: &mut serde_json::Value) -> bool {
    match value {
        serde_json::Value::Array(items) => items.iter_mut().map(number_from_text).filter(|has_changed| *has_changed).count() > 0,
        serde_json::Value::String(text) => text.trim().parse::<u32>().map(|number| *value = number.into()).is_ok(),
        _ => false,
    }
}

/// Parses a body that has many fields when it is long, of at most 64 KiB: a longer body would stay
/// in each thread's buffers. Separate from [`parse`], since each type that both parsers read is
/// compiled twice.
///
/// # Errors
/// The first thing that is wrong, and its place.
pub fn parse_many_fields<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    let pays_for_tape = body.len() >= MANY_FIELDS_MIN && !may_be_deep(body);
    pays_for_tape.then(|| parse_on_tape(body)).flatten().map_or_else(|| parse(body), Ok)
}

/// Parses by simd-json; `None` when it refuses the body. The copy lives in the thread's own
/// buffers, which stay below a few times the longest such body.
pub fn parse_on_tape<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    thread_local! {
        static SCRATCH: RefCell<(Vec<u8>, Buffers)> = RefCell::new((Vec::new(), Buffers::new(0)));
    }
    SCRATCH.with_borrow_mut(|(copy, buffers)| {
        copy.clear();
        copy.extend_from_slice(body);
        copy.resize(body.len() + INPUT_PADDING, b' ');
        let mut tape = Tape::null();
        fill_tape_padded(copy, body.len(), buffers, &mut tape).ok()?;
        T::deserialize(&mut simd_json::Deserializer::from_tape(tape)).ok()
    })
}

/// True when brackets can nest deeper than [`DEPTH_MAX`]. Brackets inside strings count too, and
/// then only cost the other parser.
fn may_be_deep(body: &[u8]) -> bool {
    let mut depth = 0_usize;
    body.iter().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEPTH_MAX
    })
}

/// Parses once more, tracking the path to the wrong field: slower, and only for bodies that another
/// parser refused. Its answer is final, should the parsers ever differ.
fn parse_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, error.inner())
    })?;
    json.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// The error in the words of this server: the field and the expected value, never the value that
/// came.
fn explain(path: &str, error: &serde_json::Error) -> Invalid {
    if !error.is_data() {
        return Invalid::NotJson { line: error.line(), column: error.column() };
    }
    let text = error.to_string();
    let (prefix, root) = if path == "." { (String::new(), "body") } else { (format!("{path}."), path) };
    for (kind, why) in [("missing field `", "is missing"), ("duplicate field `", "is there twice")] {
        if let Some(name) = text.strip_prefix(kind).and_then(|rest| rest.split('`').next()) {
            return Invalid::Field { field: format!("{prefix}{name}").into(), why: why.into() };
        }
    }
    let expected = text.rsplit_once(", expected ").map(|(_, rest)| rest.split(" at line ").next().unwrap_or(rest));
    let why = expected.map_or("is not valid".into(), |expected| format!("must be {}", in_json(expected)));
    Invalid::Field { field: root.to_owned().into(), why: why.into() }
}

/// serde's expectation in JSON's words, since Rust types mean nothing to a client.
fn in_json(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number in range",
        "a sequence" => "an array",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Prize {
        name: String,
        rank: Option<u16>,
        tags: Vec<u8>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Named {
        name: String,
        #[serde(default)]
        prizes: Vec<Prize>,
    }

    fn refusal(body: &str) -> String {
        parse::<Named>(body.as_bytes()).expect_err(body).to_string()
    }

    #[test]
    fn an_error_names_the_field_and_repeats_nothing_that_was_sent() {
        assert_eq!(refusal(""), "name: is missing");
        assert_eq!(refusal("{}"), "name: is missing");
        assert_eq!(refusal(r#"{"name":7}"#), "name: must be a string");
        assert_eq!(refusal(r#"{"name":"a","name":"b"}"#), "name: is there twice");
        assert_eq!(
            refusal(r#"{"name":"a","prizes":[{},{"rank":"010-1234-5678"}]}"#),
            "prizes[1].rank: must be a whole number in range"
        );
        assert_eq!(refusal(r#"{"name":"a","prizes":[{"tags":[1,300]}]}"#), "prizes[0].tags[1]: must be a whole number in range");
        assert_eq!(refusal(r#"{"name":"a","prizes":{}}"#), "prizes: must be an array");
        for body in ["5", "null", r#""name""#, "[]"] {
            assert_eq!(refusal(body), "body: must be an object");
        }
        assert!(!refusal(r#"{"name":{"secret, expected 김철수":1}}"#).contains("김철수"));
    }

    #[test]
    fn an_error_in_the_syntax_has_its_place() {
        for body in [r#"{"name":"#, r#"{"name":"a"} x"#, "name=a", "{\"name\":\"\u{1}\"}", "{'name':1}", "\u{feff}{}"] {
            assert!(refusal(body).starts_with("the body is not JSON"), "{body}: {}", refusal(body));
        }
        assert!(matches!(parse::<Named>(b"{\"name\":\"\xff\"}"), Err(Invalid::NotJson { .. })), "bad UTF-8");
    }

    #[test]
    fn nesting_costs_no_stack() {
        let nested = |depth: usize, open: &str, close: &str| {
            format!(r#"{{"name":"a","x":{}{}}}"#, open.repeat(depth), close.repeat(depth))
        };
        // On half the usual stack, a recursive parser would overflow.
        let read = move || {
            for parse in [parse::<Named>, parse_many_fields::<Named>] {
                for depth in [2_000, 60_000] {
                    assert!(parse(nested(depth, "[", "]").as_bytes()).is_ok(), "an unknown field is skipped");
                    assert!(parse(nested(depth, r#"{"a":"#, "}").as_bytes()).is_err());
                }
                assert!(parse("[".repeat(60_000).as_bytes()).is_err());
            }
            assert!(parse::<serde_json::Value>(nested(60_000, "[", "]").as_bytes()).is_err(), "a parsed value is bounded");
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(read).unwrap().join().unwrap();
    }

    #[test]
    fn both_parsers_give_the_same_values() {
        let bodies = [
            r#"{"name":"\ud55c\uae00 \"q\" \\ \/","prizes":[{"name":"x","rank":65535,"tags":[0,255]}]}"#,
            r#"{"name":"a","prizes":[{"rank":65536}]}"#,
            r#"{"name":"a","prizes":[{"rank":1.0}]}"#,
            r#"{"name":"a","prizes":[{"rank":-1}]}"#,
            r#"{"name":"a","prizes":[{"rank":1e2}]}"#,
            r#"{"name":"a","prizes":[{"rank":99999999999999999999}]}"#,
            r#"{"name":"a","prizes":[{"rank":null}],"other":{"a":[1,2,{"b":null}]}}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a"}{"name":"b"}"#,
            r#"{"name":"a",}"#,
            r#"{"name":"\ud800"}"#,
            r#"{"name":"a","prizes":[{"rank":01}]}"#,
        ];
        for body in bodies {
            assert_eq!(parse_on_tape::<Named>(body.as_bytes()), serde_json::from_str(body).ok(), "{body}");
        }
        let many = format!(r#"{{"name":"가","prizes":[{}]}}"#, [r#"{"name":"나","rank":7}"#; 100].join(","));
        assert_eq!(parse_many_fields::<Named>(many.as_bytes()), Ok(serde_json::from_str(&many).unwrap()));
        let wrong = many.replace("\"rank\":7}]", "\"rank\":\"7\"}]");
        let refused = parse_many_fields::<Named>(wrong.as_bytes()).unwrap_err();
        assert_eq!(refused.to_string(), "prizes[99].rank: must be a whole number in range");
    }
}
