//! JSON from the street into types: which parser reads it, and what is said of a body that cannot be read.
//!
//! Two parsers, each where it wins (`cargo bench --bench web`, x86-64, two shared cores; figures below). serde_json reads an
//! ordinary body where it lies; simd-json works on a copy that it scribbles over, in buffers kept by the thread, and pays that back only once a
//! body is long: an old console's draw with its image inside. A body that either refuses is read once more by serde_json, which knows the
//! way to the field that is wrong. Nothing a client sent is repeated in the error: bodies hold names and telephone numbers.

use serde::de::DeserializeOwned;
use simd_json::{Buffers, INPUT_PADDING, Tape, fill_tape_padded};
use std::borrow::Cow;
use std::cell::RefCell;

/// The deepest nesting that is read. Ours need 3; a parser that skips an unknown field may recurse into it.
const DEPTH_MAX: usize = 32;

/// From this length on simd-json reads a body.
const LONG: usize = 4 << 10;

/// The most scratch memory a thread keeps between two long bodies.
const SCRATCH_KEPT: usize = 64 << 10;

/// Why a body is not what the call takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the body is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("{field}: {why}")]
    Field { field: Cow<'static, str>, why: Cow<'static, str> },
}

impl Invalid {
    /// A field that is of the right type and still wrong.
    pub fn field(field: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Self::Field { field: field.into(), why: why.into() }
    }
}

/// Reads a body; an empty one as `{}`, so that a call which takes nothing takes an empty body too, and any other says which field is missing.
///
/// # Errors
/// What is wrong with it, and where.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    if is_deep(body) {
        return Err(Invalid::TooDeep);
    }
    let read = if body.len() < LONG { serde_json::from_slice(body).ok() } else { read_long(body) };
    match read {
        Some(value) => Ok(value),
        None => read_again(body),
    }
}

/// Reads by simd-json, on a copy in the thread's own buffers; none when it cannot.
pub fn read_long<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    thread_local! {
        static SCRATCH: RefCell<(Vec<u8>, Buffers)> = RefCell::new((Vec::new(), Buffers::new(0)));
    }
    SCRATCH.with_borrow_mut(|(copy, buffers)| {
        copy.clear();
        copy.extend_from_slice(body);
        copy.resize(body.len() + INPUT_PADDING, b' ');
        let mut tape = Tape::null();
        let filled = fill_tape_padded(copy, body.len(), buffers, &mut tape);
        let read = filled.and_then(|()| T::deserialize(&mut simd_json::Deserializer::from_tape(tape))).ok();
        if copy.capacity() > SCRATCH_KEPT {
            (*copy, *buffers) = (Vec::new(), Buffers::new(0));
        }
        read
    })
}

/// Reads by serde_json and follows the path. Decides alone: where the two parsers should ever differ, this one is right.
fn read_again<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, error.inner())
    })?;
    json.end().map_err(|error| explain(".", &error))?;
    Ok(value)
}

/// An error in our words: the field, and what it should have been; never what it was.
fn explain(path: &str, error: &serde_json::Error) -> Invalid {
    if !error.is_data() {
        return Invalid::NotJson { line: error.line(), column: error.column() };
    }
    let text = error.to_string();
    let (prefix, root) = if path == "." { (String::new(), "body") } else { (format!("{path}."), path) };
    for (kind, why) in [("missing field `", "is missing"), ("duplicate field `", "stands there twice")] {
        if let Some(name) = text.strip_prefix(kind).and_then(|rest| rest.split('`').next()) {
            return Invalid::Field { field: format!("{prefix}{name}").into(), why: why.into() };
        }
    }
    let expected = text.rsplit_once(", expected ").map(|(_, rest)| rest.split(" at line ").next().unwrap_or(rest));
    let why = expected.map_or("is not valid".into(), |expected| format!("must be {expected}"));
    Invalid::Field { field: root.to_owned().into(), why: why.into() }
}

/// Whether brackets outside of strings nest deeper than is read.
fn is_deep(body: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut rest = body;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'[' | b'{' | b']' | b'}')) {
        match rest[at] {
            b'"' => {
                rest = past_string(&rest[at + 1..]);
                continue;
            }
            b'[' | b'{' => depth += 1,
            _ => depth = depth.saturating_sub(1),
        }
        if depth > DEPTH_MAX {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// What follows the string that `rest` begins inside of.
fn past_string(mut rest: &[u8]) -> &[u8] {
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        let skip = if rest[at] == b'"' { 1 } else { 2 };
        let closed = skip == 1;
        rest = rest.get(at + skip..).unwrap_or_default();
        if closed {
            return rest;
        }
    }
    &[]
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
    fn the_error_says_which_field_and_repeats_nothing_that_was_sent() {
        assert_eq!(refusal(""), "name: is missing");
        assert_eq!(refusal("{}"), "name: is missing");
        assert_eq!(refusal(r#"{"name":7}"#), "name: must be a string");
        assert_eq!(refusal(r#"{"name":"a","name":"b"}"#), "name: stands there twice");
        assert_eq!(refusal(r#"{"name":"a","prizes":[{},{"rank":"010-1234-5678"}]}"#), "prizes[1].rank: must be u16");
        assert_eq!(refusal(r#"{"name":"a","prizes":[{"tags":[1,300]}]}"#), "prizes[0].tags[1]: must be u8");

        assert!(!refusal(r#"{"name":{"secret, expected 김철수":1}}"#).contains("김철수"));
    }

    #[test]
    fn what_is_not_json_says_where() {
        for body in [r#"{"name":"#, r#"{"name":"a"} x"#, "name=a", "{\"name\":\"\u{1}\"}", "{'name':1}", "\u{feff}{}"] {
            assert!(refusal(body).starts_with("the body is not JSON"), "{body}: {}", refusal(body));
        }
        assert!(matches!(parse::<Named>(b"{\"name\":\"\xff\"}"), Err(Invalid::NotJson { .. })), "bad UTF-8");
    }

    #[test]
    fn nesting_is_bounded_and_brackets_in_strings_are_not_nesting() {
        let nested = |depth: usize| format!(r#"{{"name":"a","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse::<Named>(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
        assert_eq!(refusal(&nested(DEPTH_MAX)), Invalid::TooDeep.to_string());
        assert_eq!(refusal(&"[".repeat(60_000)), Invalid::TooDeep.to_string());
        let quoted = format!(r#"{{"name":"\"{}\\"}}"#, "[".repeat(100));
        assert!(parse::<Named>(quoted.as_bytes()).is_ok());
    }

    #[test]
    fn both_parsers_read_the_same() {
        let bodies = [
            r#"{"name":"\ud55c\uae00 \"q\" \\ \/","prizes":[{"name":"x","rank":65535,"tags":[0,255]}]}"#,
            r#"{"name":"a","prizes":[{"rank":65536}]}"#,
            r#"{"name":"a","prizes":[{"rank":1.0}]}"#,
            r#"{"name":"a","prizes":[{"rank":-1}]}"#,
            r#"{"name":"a","prizes":[{"rank":1e2}]}"#,
            r#"{"name":"a","prizes":[{"rank":99999999999999999999}]}"#,
            r#"{"name":"a","prizes":[{"tags":[256]}]}"#,
            r#"{"name":"a","prizes":[{"rank":null}],"other":{"a":[1,2,{"b":null}]}}"#,
            r#"{"name":"a","name":"b"}"#,
            r#"{"name":"a"}{"name":"b"}"#,
            r#"{"name":"a",}"#,
            r#"{"name":"\ud800"}"#,
            r#"{"name":"a","prizes":[{"rank":01}]}"#,
        ];
        for body in bodies {
            let plain = serde_json::from_str::<Named>(body).ok();
            assert_eq!(read_long::<Named>(body.as_bytes()), plain, "{body}");
        }
        let long = format!(r#"{{"name":"{}"}}"#, "가나\\n".repeat(100_000));
        assert_eq!(parse::<Named>(long.as_bytes()), Ok(serde_json::from_str(&long).unwrap()));
    }
}
