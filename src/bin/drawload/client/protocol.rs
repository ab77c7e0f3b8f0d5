//! The protocol of the server under test, as a table: routes, fields, and the ids of frames.
//!
//! The tester speaks luckydraw's protocol, which is the embedded table. With `--protocol` another
//! table says how another server is spoken to, and its answers and frames are read as if they were
//! ours. One ledger then judges both. What a table leaves out the server does not have, and nothing
//! that needs it is judged.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The table of luckydraw.
const LUCKYDRAW: &str = include_str!("luckydraw.toml");

/// A call of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    Health,
    ListEvents,
    CreateEvent,
    DeleteEvent,
    Register,
    State,
    MyNumber,
    CheckWinner,
    Results,
    WinnerInfo,
    Standby,
    Start,
    Reveal,
    Complete,
    History,
    Participants,
    Winners,
}

/// A whole protocol.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// The place of an answer's parts; `None` for answers that are nothing but their data.
    envelope: Option<Envelope>,
    calls: BTreeMap<Call, CallTable>,
    pub socket: SocketTable,
    #[serde(default)]
    frames: FrameTable,
    /// Its text; `None` for luckydraw's own.
    #[serde(skip)]
    pub source: Option<String>,
}

/// The epoch of frames that have none.
pub const NO_EPOCH: &str = "0";

/// JSON pointers into an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    success: String,
    data: String,
    code: String,
}

/// A call. In its route, its body and its answer, `$name` stands for a value of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallTable {
    /// Method and path.
    route: String,
    /// The body; without it, that of luckydraw.
    body: Option<Value>,
    /// The data's fields by our names: a JSON pointer, `$name`, or a constant. Without any, the
    /// data is ours.
    #[serde(default)]
    answer: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketTable {
    path: String,
    /// The server begins with a state sync, and takes `since`.
    pub has_greeting: bool,
    /// The server answers a ping with its time.
    pub has_pong: bool,
    /// A display completes draws.
    pub has_display: bool,
}

/// Frames of another server; empty for those of luckydraw.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameTable {
    /// The field that holds a frame's type.
    #[serde(default)]
    r#type: String,
    /// Our types by theirs: one of theirs may stand for several of ours.
    #[serde(default)]
    types: BTreeMap<String, Vec<String>>,
    /// Their fields by our names.
    #[serde(default)]
    fields: BTreeMap<String, String>,
}

/// A request as the table has it.
#[derive(Clone, Debug)]
pub struct Spoken {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
}

impl Protocol {
    /// The protocol of luckydraw, or that of a file.
    ///
    /// # Errors
    /// Which part of the file is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self, String> {
        let source = file.map(|file| {
            let text = std::fs::read_to_string(file);
            text.map_err(|error| format!("--protocol {}: {error}", file.display()))
        });
        Self::parse(source.transpose()?)
    }

    /// The protocol of luckydraw, or that of a text.
    ///
    /// # Errors
    /// Which part of the text is wrong.
    pub fn parse(source: Option<String>) -> Result<Self, String> {
        let wrong = |why: String| format!("--protocol: {why}");
        let text = source.as_deref().unwrap_or(LUCKYDRAW);
        let protocol: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if let Some(table) = protocol.calls.values().find(|table| parse_route(&table.route).is_none()) {
            return Err(wrong(format!("{} is no route: a method and a path", table.route)));
        }
        Ok(Self { source, ..protocol })
    }

    pub fn has(&self, call: Call) -> bool {
        self.calls.contains_key(&call)
    }

    /// The request of a call with these values, and the body that luckydraw takes; `None` for one
    /// that the server does not have.
    pub fn speak(&self, call: Call, values: &Map<String, Value>, ours: Value) -> Option<Spoken> {
        let CallTable { route, body, .. } = self.calls.get(&call)?;
        let (method, path) = parse_route(route)?;
        let ours = (method == Method::POST).then_some(ours);
        let body = body.as_ref().map(|body| fill(body, values)).or(ours);
        Some(Spoken { method, path: fill_text(path, values), body })
    }

    /// The path of a socket, whose query is empty or begins with a question mark.
    pub fn socket_path(&self, event: &str, query: &str) -> String {
        let path = self.socket.path.replace("$event", event);
        if self.socket.has_greeting { path + query } else { path }
    }

    /// Reads an answer of a successful status: its data by our names, or the code of its failure.
    ///
    /// # Errors
    /// The code that it has, if any.
    pub fn read(&self, call: Call, values: &Map<String, Value>, answer: &Value) -> Result<Value, String> {
        let data = match &self.envelope {
            None => answer,
            Some(envelope) if answer.pointer(&envelope.success) == Some(&Value::Bool(true)) => {
                answer.pointer(&envelope.data).unwrap_or(&Value::Null)
            }
            Some(envelope) => return Err(answer.pointer(&envelope.code).and_then(Value::as_str).unwrap_or_default().to_owned()),
        };
        let Some(table) = self.calls.get(&call).filter(|table| !table.answer.is_empty()) else { return Ok(data.clone()) };
        let read = |value: &Value| match value.as_str() {
            Some(pointer) if pointer.starts_with('/') => data.pointer(pointer).cloned().unwrap_or(Value::Null),
            _ => fill(value, values),
        };
        Ok(table.answer.iter().map(|(name, value)| (name.clone(), read(value))).collect::<Map<_, _>>().into())
    }

    /// Tells whether frames need no translation.
    pub fn has_own_frames(&self) -> bool {
        self.frames.types.is_empty()
    }

    /// Translates a frame into ours. Those without a number get the next one of their socket.
    pub fn translate(&self, text: &str, next_seq: &mut u64) -> Vec<String> {
        let Ok(Value::Object(theirs)) = serde_json::from_str(text) else { return vec![text.to_owned()] };
        let FrameTable { r#type, types, fields } = &self.frames;
        let Some(kinds) = theirs.get(r#type).and_then(Value::as_str).and_then(|kind| types.get(kind)) else {
            return vec![text.to_owned()];
        };
        let translated = kinds.iter().map(|kind| {
            let ours = fields.iter().filter_map(|(ours, name)| Some((ours.clone(), theirs.get(name)?.clone())));
            let mut frame: Map<String, Value> = ours.collect();
            frame.insert("type".into(), kind.as_str().into());
            frame.entry("epoch").or_insert_with(|| NO_EPOCH.into());
            frame.entry("seq").or_insert_with(|| {
                *next_seq += 1;
                (*next_seq).into()
            });
            Value::Object(frame).to_string()
        });
        translated.collect()
    }
}

fn parse_route(route: &str) -> Option<(Method, &str)> {
    let (method, path) = route.split_once(' ')?;
    let method = [Method::GET, Method::POST, Method::PUT, Method::DELETE].into_iter().find(|known| *known == method)?;
    path.starts_with('/').then_some((method, path))
}

/// A template with its values in place: `$name` alone takes the value with its type.
fn fill(template: &Value, values: &Map<String, Value>) -> Value {
    match template {
        Value::String(text) => match text.strip_prefix('$').and_then(|name| values.get(name)) {
            Some(value) => value.clone(),
            None => fill_text(text, values).into(),
        },
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill(value, values))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(|item| fill(item, values)).collect(),
        other => other.clone(),
    }
}

/// A text with its values in place. Longer names come first, since one may begin with another.
fn fill_text(text: &str, values: &Map<String, Value>) -> String {
    let mut names: Vec<&String> = values.keys().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.into_iter().fold(text.to_owned(), |text, name| {
        let value = values[name].as_str().map_or_else(|| values[name].to_string(), str::to_owned);
        text.replace(&format!("${name}"), &value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(json: Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn our_own_protocol_speaks_as_the_server_documents_it() {
        let protocol = Protocol::load(None).unwrap();
        let spoken =
            protocol.speak(Call::CheckWinner, &values(json!({"event_id": "demo", "draw_number": 7})), json!({})).unwrap();
        assert_eq!((spoken.body, &*spoken.path), (None, "/api/luckydraw/check-winner?event_id=demo&draw_number=7"));
        let body = json!({"event_id": "demo", "request_id": "r"});
        let spoken = protocol.speak(Call::Register, &values(body.clone()), body.clone()).unwrap();
        assert_eq!((&*spoken.path, spoken.body), ("/api/luckydraw/register", Some(body)));
        assert!(protocol.has_own_frames() && protocol.has(Call::Winners));
        assert_eq!(protocol.socket_path("demo", "?since=1"), "/api/luckydraw/ws/demo?since=1");
    }

    #[test]
    fn another_server_is_read_as_if_it_were_ours() {
        let table = r#"
            [calls.register]
            route = "POST /join/$event_id"
            body = { who = "$request_id", of = "guest $draw" }
            answer = { draw_number = "/number", session_token = "/a/token", event_id = "$event_id" }
            [socket]
            path = "/ws"
            has_greeting = false
            has_pong = false
            has_display = false
            [frames]
            type = "kind"
            types = { won = ["winner_announced", "draw_complete"] }
            fields = { draw_id = "round", winners = "numbers" }"#;
        let protocol: Protocol = toml::from_str(table).unwrap();
        let request = values(json!({"event_id": "e", "request_id": "r", "draw": 4, "draws": 9}));
        let spoken = protocol.speak(Call::Register, &request, json!({})).unwrap();
        assert_eq!((&*spoken.path, spoken.body), ("/join/e", Some(json!({"who": "r", "of": "guest 4"}))));
        let read = protocol.read(Call::Register, &request, &json!({"number": 3, "a": {"token": "t"}}));
        assert_eq!(read, Ok(json!({"draw_number": 3, "session_token": "t", "event_id": "e"})));
        assert!(protocol.speak(Call::State, &request, json!({})).is_none() && protocol.socket_path("e", "?token=t") == "/ws");
        let mut seq = 6;
        let frames = protocol.translate(r#"{"kind":"won","round":2,"numbers":[5]}"#, &mut seq);
        let frames: Vec<Value> = frames.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let ours = |kind: &str, seq| json!({"type": kind, "seq": seq, "epoch": "0", "draw_id": 2, "winners": [5]});
        assert_eq!(frames, [ours("winner_announced", 7), ours("draw_complete", 8)]);
        assert_eq!(protocol.translate("hello", &mut seq), ["hello"]);
    }
}
