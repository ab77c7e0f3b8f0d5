//! JSON from the street into types, and what is said of a body that cannot be read.
//!
//! serde_json reads it where it lies. simd-json was to, and won on no body there is: 0.19 µs against 0.24 for a registration of 80 bytes, 0.39
//! against 0.46 for a draw of 200, a draw with a 2 MB picture inside 0.7 ms against 1.1, and neither for 300 prizes in 30 KB (`cargo bench
//! --bench web`, two shared x86-64 cores). Ours are a few short fields or one long string, which serde_json skims at memory speed, while
//! simd-json pays for a copy to scribble over, a tape, and buffers kept by each thread. A body that is refused is read once more, following
//! the way to the field that is wrong. Nothing a client sent is repeated in the error: bodies hold names and telephone numbers.
//!
//! Nesting needs no guard of its own: serde_json follows a value 128 deep at most, and skips an unknown field without recursion.

use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Why a body is not what the call takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
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
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        Err(_) => read_again(body),
    }
}

/// Reads once more, following the path to what is wrong: slower, and only for bodies that are.
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
    fn nesting_costs_no_stack() {
        let nested = |open: &str, close: &str| format!(r#"{{"name":"a","x":{}{}}}"#, open.repeat(60_000), close.repeat(60_000));
        // On half the usual stack a parser that recursed would not come back.
        let read = move || {
            assert!(parse::<Named>(nested("[", "]").as_bytes()).is_ok(), "what nobody asked for is skipped");
            assert!(parse::<Named>(nested(r#"{"a":"#, "}").as_bytes()).is_err());
            assert!(parse::<Named>("[".repeat(60_000).as_bytes()).is_err());
            assert!(parse::<serde_json::Value>(nested("[", "]").as_bytes()).is_err(), "what is followed is bounded");
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(read).unwrap().join().unwrap();
    }
}
