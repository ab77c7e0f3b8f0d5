//! A small server of the tests' own that speaks the wire of the draw and can lie about anything.
//!
//! It plants one fault at a time, by name. It shares no code with the product and keeps no promise
//! but those that the load tester relies on, so that a fault is one line and everything else is
//! honest.

use crate::faulty_proxy::{Acceptor, read_head};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// The faults, each with the word by which the server plants it.
pub type Fault = &'static str;

/// A fake server. Dropping it ends it.
pub struct FakeServer {
    acceptor: Acceptor,
}

impl FakeServer {
    pub async fn start(fault: Fault) -> Self {
        let server = Arc::new(Server { fault, state: Mutex::default(), started: Instant::now() });
        Self { acceptor: Acceptor::open(move |client, _| server.clone().serve(client)).await }
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.acceptor.address
    }
}

struct Server {
    fault: Fault,
    state: Mutex<State>,
    started: Instant,
}

#[derive(Default)]
struct State {
    participants: Vec<Participant>,
    draws: Vec<Draw>,
    standby: Option<Value>,
    seq: u64,
    peers: BTreeMap<u64, Peer>,
    connected: u64,
    details: Vec<(u32, String)>,
    readings: u64,
    pings: u64,
    /// A stage is there, and shows are planned.
    has_stage: bool,
    /// Phones that have been connected, by number; the display is `None`.
    joined: BTreeSet<Option<u32>>,
}

struct Participant {
    number: u32,
    token: String,
    request_id: String,
}

struct Draw {
    id: u32,
    spec: Value,
    winners: Vec<u32>,
    status: &'static str,
    /// When every page shows it.
    show_at: Option<OffsetDateTime>,
}

struct Peer {
    place: u64,
    is_display: bool,
    outgoing: UnboundedSender<Outgoing>,
}

/// What a peer's writer sends, and when.
enum Outgoing {
    Text(Instant, String),
    Close(u16),
}

/// The epoch of every frame.
const EPOCH: &str = "e0";

/// Length of every planned show; the announcement goes out this much before its end.
const SHOW_MS: u64 = 2_600;
const LEAD_MS: u64 = 400;

fn timestamp(at: OffsetDateTime) -> Value {
    json!(at.format(&Rfc3339).unwrap())
}

impl Draw {
    fn body(&self) -> Value {
        let mut body = self.spec.clone();
        body["draw_id"] = self.id.into();
        body
    }

    /// A result with the moment at which every page shows it.
    fn planned_result(&self) -> Value {
        let mut result = self.result();
        if let Some(show_at) = self.show_at {
            result["show_at"] = timestamp(show_at);
        }
        result
    }

    fn result(&self) -> Value {
        let mut body = self.body();
        (body["winners"], body["drawn_at"]) = (json!(self.winners), json!(format!("2026-01-01T00:00:{:02}Z", self.id % 60)));
        body
    }
}

impl State {
    fn announced(&self) -> impl DoubleEndedIterator<Item = &Draw> {
        self.draws.iter().filter(|draw| draw.status == "announced")
    }

    fn wins(&self, number: u32) -> Vec<Value> {
        self.announced().filter(|draw| draw.winners.contains(&number)).map(Draw::result).collect()
    }
}

impl Server {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    /// Serves one request, or one socket to its end.
    async fn serve(self: Arc<Self>, mut client: TcpStream) -> std::io::Result<()> {
        let head = String::from_utf8_lossy(&read_head(&mut client).await?).into_owned();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
        if let Some(key) = header("sec-websocket-key") {
            return self.socket(client, &path, &key).await;
        }
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        client.read_exact(&mut body).await?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let token = header("authorization").unwrap_or_default().replace("Bearer ", "");
        if self.is("every call takes 1.5 s") && path.contains("luckydraw") {
            sleep_until(Instant::now() + Duration::from_millis(1_500)).await;
        }
        if path.ends_with("/draw/standby") {
            self.hold_draw().await;
        }
        let (status, answer) = self.answer(method, &path, &body, &token);
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        );
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await
    }

    /// Waits until everybody is connected: on a busy machine a fault would otherwise come before
    /// the phone that is to notice it.
    async fn hold_draw(&self) {
        let all_joined = async {
            while {
                let state = self.state.lock().unwrap();
                state.joined.len() <= state.participants.len()
            } {
                sleep(Duration::from_millis(5)).await;
            }
        };
        // A phone that never comes is what some faults are about.
        let _ = timeout(Duration::from_secs(5), all_joined).await;
    }

    fn answer(self: &Arc<Self>, method: &str, path: &str, body: &Value, token: &str) -> (u16, String) {
        if path == "/metrics" {
            return self.metrics();
        }
        if path == "/health" {
            return (200, json!({"status": "healthy"}).to_string());
        }
        let (call, query) = path.trim_start_matches("/api/luckydraw/").split_once('?').unwrap_or((path, ""));
        let call = call.trim_start_matches("/api/luckydraw/");
        let call = call.rsplit_once("/draw/").map_or_else(|| call.rsplit('/').next().unwrap_or_default(), |(_, step)| step);
        let answer = match (method, call) {
            ("POST" | "DELETE", "events") | ("DELETE", _) => Ok(json!({})),
            ("POST", "register") => self.register(body),
            ("POST", "standby" | "start-animation" | "reveal" | "complete") if self.is("draw calls deny with status 200") => {
                Err(200)
            }
            ("POST", "standby" | "start-animation" | "reveal" | "complete") if self.is("draw calls answer {}") => {
                return (200, "{}".to_owned());
            }
            ("POST", "standby") => Ok(self.stand_by(body)),
            ("POST", "start-animation") => self.start(body),
            ("POST", "reveal") => self.reveal(),
            ("POST", "complete") => self.complete().map(|draw| draw.0).ok_or(400),
            ("POST", "winner-info") => self.winner_info(body, token),
            ("GET", _) => self.read(call, query, token),
            _ => Err(404),
        };
        match answer {
            Ok(data) => {
                let status = if call == "register" { 201 } else { 200 };
                (status, json!({"success": true, "data": data, "message": ""}).to_string())
            }
            Err(status) => (status, json!({"success": false, "detail": {"code": "PLANTED", "message": ""}}).to_string()),
        }
    }

    /// Memory in the names that exporters use.
    fn metrics(&self) -> (u16, String) {
        let mut state = self.state.lock().unwrap();
        state.readings += 1;
        let elapsed = self.started.elapsed().as_secs_f64();
        let mib = match self.fault {
            "138 MB leak" => 20.0 + 138.0 * (state.readings as f64 / 20.0).min(1.0),
            _ => 20.0,
        };
        let peak = if self.is("700 MB for 50 ms") && state.readings > 3 { 700.0 } else { mib };
        if self.is("the process is gone in mid-run") && state.readings > 3 {
            return (503, String::new());
        }
        if self.is("its memory is no longer reported") && state.readings > 3 {
            return (200, "process_threads 3\n".to_owned());
        }
        let leaked = if self.is("descriptors leak") { 20 * state.readings } else { 0 };
        let vcpus = std::thread::available_parallelism().unwrap().get() as f64;
        let busy = if self.is("the CPU is busy") { 0.95 * vcpus } else { 0.05 };
        let bytes = |mib: f64| mib * f64::from(1 << 20);
        let text = format!(
            "process_resident_memory_bytes {}\nprocess_resident_memory_peak_bytes {}\nprocess_cpu_seconds_total {}\nprocess_open_fds {}\n",
            bytes(mib),
            bytes(peak),
            elapsed * busy,
            20 + state.connected + leaked,
        );
        (200, text)
    }

    fn register(&self, body: &Value) -> Result<Value, u16> {
        let mut state = self.state.lock().unwrap();
        let request_id = body["request_id"].as_str().unwrap_or_default().to_owned();
        let known = state.participants.iter().position(|known| known.request_id == request_id);
        let is_known = known.is_some() && !self.is("a retry gets another number");
        // The last six digits of a request id are the phone's index.
        if self.is("one phone is refused for ever") && request_id.ends_with("000003") {
            return Err(503);
        }
        let place = match known.filter(|_| is_known) {
            Some(place) => place,
            None => {
                let count = u32::try_from(state.participants.len()).unwrap();
                let number = match self.fault {
                    "two phones share a number" if count == 4 => 4,
                    "numbers have holes" => 2 * count + 1,
                    _ => count + 1,
                };
                state.participants.push(Participant { number, token: format!("token-{number}-{count}"), request_id });
                let joined = json!({"type": "participant_joined", "total_count": count + 1, "draw_number": number});
                let joined = if self.is("the display is told too few participants") {
                    json!({"type": "participant_joined", "total_count": 1})
                } else {
                    joined
                };
                self.send(&state, &joined, |peer| peer.is_display);
                state.participants.len() - 1
            }
        };
        let participant = &state.participants[place];
        let mut answer = json!({"draw_number": participant.number, "session_token": participant.token,
            "event_id": body["event_id"], "is_existing": is_known});
        if self.is("registrations without a token") {
            answer["session_token"] = Value::Null;
        }
        Ok(answer)
    }

    fn stand_by(&self, body: &Value) -> Value {
        let mut state = self.state.lock().unwrap();
        let mut spec = body.clone();
        spec["prize_image"] = Value::Null;
        state.standby = Some(spec.clone());
        spec["status"] = json!("standby");
        if !self.is("no draw_standby") {
            self.publish(&mut state, "draw_standby", spec.clone());
        }
        if self.is("the prize in the answer is another") {
            spec["prize_name"] = json!("Another prize");
        }
        spec
    }

    fn start(&self, body: &Value) -> Result<Value, u16> {
        let mut state = self.state.lock().unwrap();
        let id = u32::try_from(state.draws.len() + 1).unwrap();
        let has_won = |number: &u32| state.draws.iter().any(|draw| draw.winners.contains(number));
        let pool: Vec<u32> = state.participants.iter().map(|one| one.number).filter(|number| !has_won(number)).collect();
        let winner = *pool.get(id as usize % pool.len().max(1)).ok_or(400_u16)?;
        let winners = match self.fault {
            "the winner never registered" => vec![9_000 + id],
            "one number wins every draw" => vec![state.participants[0].number],
            "two winners where one was asked for" => vec![winner, state.participants.last().unwrap().number],
            _ => vec![winner],
        };
        let mut spec = body.clone();
        spec["prize_image"] = Value::Null;
        let draw = Draw { id, spec, winners, status: "started", show_at: None };
        let mut started = draw.body();
        if self.is("the winner is told at the start") {
            started["winners"] = json!(draw.winners);
        }
        if self.is("draw_started has another rank") {
            started["prize_rank"] = json!(9);
        }
        state.draws.push(draw);
        if !self.is("no draw_started") {
            self.publish(&mut state, "draw_started", started.clone());
        }
        if self.is("announced before the reveal") {
            self.announce(&mut state);
        }
        if self.is("a draw of nobody") && id == 2 {
            let spec = json!({"prize_name": "Foreign", "prize_rank": 1, "draw_mode": "slot", "winner_count": 1});
            self.publish(&mut state, "draw_standby", spec);
        }
        for (fault, kind) in [("a draw is voided by nobody", "draw_voided"), ("a reset by nobody", "event_reset")] {
            if self.is(fault) && id == 2 {
                self.publish(&mut state, kind, json!({"draw_id": null, "reason": "x", "reset_draws": false}));
            }
        }
        Ok(started)
    }

    fn reveal(self: &Arc<Self>) -> Result<Value, u16> {
        let mut state = self.state.lock().unwrap();
        let show_at = state.has_stage.then(|| OffsetDateTime::now_utc() + Duration::from_millis(SHOW_MS));
        let draw = state.draws.last_mut().ok_or(400_u16)?;
        draw.status = "revealed";
        draw.show_at = show_at;
        if show_at.is_some() {
            tokio::spawn(self.clone().end_show(draw.id));
        }
        let mut result = draw.result();
        let mut shown = draw.planned_result();
        match draw.show_at {
            Some(_) if self.is("no moment in the reveal") => drop(shown.as_object_mut().unwrap().remove("show_at")),
            Some(at) if self.is("the display is told another moment") => {
                shown["show_at"] = timestamp(at + Duration::from_millis(700));
            }
            _ => {}
        }
        shown["type"] = json!("winner_revealed");
        if self.is("the display is shown another winner") {
            shown["winners"] = json!([1_000]);
        }
        if !self.is("no winner_revealed for the display") {
            let for_phones = self.is("phones receive the reveal");
            self.send(&state, &shown, |peer| peer.is_display || for_phones);
        }
        if self.is("announced with the reveal") {
            self.announce(&mut state);
        }
        if self.is("the reveal answers another winner") {
            result["winners"] = json!([1_000]);
        }
        Ok(result)
    }

    /// Announces a draw shortly before the end of its show.
    async fn end_show(self: Arc<Self>, id: u32) {
        let after_ms = match self.fault {
            "announced after its moment" => SHOW_MS + 250,
            "announced long before its moment" => SHOW_MS - 2_000,
            _ => SHOW_MS - LEAD_MS,
        };
        sleep_until(Instant::now() + Duration::from_millis(after_ms)).await;
        let mut state = self.state.lock().unwrap();
        if state.draws.last().is_some_and(|draw| draw.id == id && draw.status == "revealed") {
            self.announce(&mut state);
        }
    }

    /// Announces the last draw; returns its result.
    fn complete(&self) -> Option<(Value, Vec<u32>)> {
        let mut state = self.state.lock().unwrap();
        if state.draws.last()?.status != "announced" {
            self.announce(&mut state);
        }
        let draw = state.draws.last()?;
        Some((draw.result(), draw.winners.clone()))
    }

    fn announce(&self, state: &mut State) {
        let draw = state.draws.last_mut().expect("a draw is announced");
        draw.status = "announced";
        let (id, mut result) = (draw.id, draw.planned_result());
        if self.is("no moment in the announcement") {
            result.as_object_mut().unwrap().remove("show_at");
        }
        if self.is("announced under another prize") {
            result["prize_name"] = json!("Another prize");
        }
        if self.is("another winner is announced than recorded") {
            result["winners"] = json!([state.participants.last().unwrap().number]);
        }
        let mut complete = result.clone();
        if self.is("draw_complete names another winner") {
            complete["winners"] = json!([1_000]);
        }
        if self.is("draw_complete lacks a field") {
            complete.as_object_mut().unwrap().remove("drawn_at");
        }
        if self.is("no announcement") {
            return;
        }
        if self.is("draw_complete comes first") {
            self.publish(state, "draw_complete", complete.clone());
        }
        self.publish(state, "winner_announced", result.clone());
        if self.is("an announcement without a number") {
            let mut text = result.clone();
            text["type"] = json!("winner_announced");
            self.send(state, &text, |peer| peer.place == 1);
        }
        if !self.is("no draw_complete") && !self.is("draw_complete comes first") {
            self.publish(state, "draw_complete", complete);
        }
        if self.is("announced twice") {
            self.publish(state, "winner_announced", result.clone());
            self.publish(state, "draw_complete", result.clone());
        }
        if self.is("announced again with another winner") {
            result["winners"] = json!([state.participants[0].number]);
            self.publish(state, "winner_announced", result.clone());
            self.publish(state, "draw_complete", result);
        }
        if self.is("every socket is dropped once") && id == 3 {
            std::mem::take(&mut state.peers);
        }
        if self.is("something that is no frame") && id == 2 {
            self.send(state, &json!("hello"), |peer| peer.place == 1);
        }
        if self.is("an error frame") && id == 2 {
            self.send(state, &json!({"type": "error", "code": "X", "message": ""}), |peer| peer.place == 1);
        }
    }

    fn winner_info(&self, body: &Value, token: &str) -> Result<Value, u16> {
        let mut state = self.state.lock().unwrap();
        let number = state.participants.iter().find(|one| one.token == token).ok_or(404_u16)?.number;
        if self.is("details are denied with status 200") {
            return Err(200);
        }
        if !self.is("details are acknowledged and lost") {
            state.details.push((number, body["name"].as_str().unwrap_or_default().to_owned()));
        }
        Ok(json!({"draw_id": body["draw_id"], "draw_number": number, "first": true}))
    }

    fn read(&self, call: &str, query: &str, token: &str) -> Result<Value, u16> {
        let state = self.state.lock().unwrap();
        let number = query.split("draw_number=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok()).unwrap_or(0);
        let own = state.participants.iter().find(|one| one.token == token).map(|one| one.number);
        Ok(match call {
            "my-number" if self.is("my-number is 404 at the end") => return Err(404),
            "my-number" => {
                let number = own.ok_or(404_u16)?;
                json!({"draw_number": if self.is("my-number is another") { number + 1 } else { number }})
            }
            "check-winner" => {
                let told = |draw: &&Draw| {
                    draw.status == "announced" || self.is("check-winner knows a reveal") && draw.status == "revealed"
                };
                let wins = state.draws.iter().filter(told).filter(|draw| draw.winners.contains(&number));
                let wins: Vec<Value> = wins.map(Draw::result).collect();
                let won = match self.fault {
                    "losers are told that they won" => true,
                    "winners are told that they lost" => false,
                    _ => !wins.is_empty(),
                };
                json!({"draw_number": number, "won": won, "prizes": wins})
            }
            "results" if self.is("results deny with status 200") => return Err(200),
            "results" => {
                let told = |draw: &&Draw| draw.status == "announced" || self.is("results know a reveal");
                let mut draws: Vec<Value> = state
                    .draws
                    .iter()
                    .filter(told)
                    .map(|draw| {
                        let mut result = draw.result();
                        result["winners"] = draw.winners.iter().map(|number| json!({"draw_number": number})).collect();
                        result
                    })
                    .collect();
                if self.is("results name another winner") && !draws.is_empty() {
                    draws[0]["winners"] = json!([{"draw_number": 1_000}]);
                }
                if self.is("results lack the last draw") {
                    draws.pop();
                }
                json!({"draws": draws})
            }
            "state" => {
                let mut sync = self.state_sync(&state, "phone", own);
                if self.is("a stale seq hides lost frames") {
                    sync["seq"] = json!(state.seq.saturating_sub(9));
                }
                if self.is("500 ghosts") {
                    sync["connection_count"] = json!(state.connected + 500);
                }
                if self.is("sockets are forgotten") {
                    sync["connection_count"] = json!(1);
                }
                if self.is("the number of draws is wrong") {
                    sync["draw_count"] = json!(99);
                }
                if self.is("the state is of another phone") && own.is_some() {
                    sync["you"]["draw_number"] = json!(77);
                }
                json!({"frames": [], "state_sync": sync, "seq": sync["seq"], "epoch": EPOCH})
            }
            "draws" => self.history(&state),
            "participants" => {
                let mut listed: Vec<u32> = state.participants.iter().map(|one| one.number).collect();
                if self.is("a participant nobody registered") {
                    listed.push(listed.len() as u32 + 1);
                }
                if self.is("a participant is lost") {
                    listed.remove(2);
                }
                let rows: Vec<Value> = listed.iter().map(|number| json!({"draw_number": number})).collect();
                json!({"total_count": rows.len(), "participants": rows})
            }
            "winners" => {
                let rows = state.details.iter().map(|(number, name)| json!({"draw_number": number, "name": name}));
                json!({"winners": rows.collect::<Vec<_>>()})
            }
            _ => return Err(404),
        })
    }

    fn history(&self, state: &State) -> Value {
        let mut rows = Vec::new();
        for draw in &state.draws {
            for number in &draw.winners {
                let status = if self.is("the history says revealed") { "revealed" } else { draw.status };
                let mut row = draw.body();
                (row["draw_number"], row["status"]) = (json!(number), json!(status));
                if self.is("the history names another prize") {
                    row["prize_name"] = json!("Another prize");
                }
                rows.push(row);
            }
        }
        if self.is("the history holds another winner") && !rows.is_empty() {
            rows[0]["draw_number"] = json!(1_000);
        }
        if self.is("the history lacks a draw") {
            rows.pop();
        }
        if self.is("the history holds a draw that was never announced") {
            rows.push(json!({"draw_id": 900, "prize_name": "X", "prize_rank": 1, "draw_number": 1_000, "status": "announced"}));
        }
        json!({"draws": rows})
    }

    fn state_sync(&self, state: &State, role: &str, own: Option<u32>) -> Value {
        let mut results: Vec<Value> = state.announced().rev().take(10).map(Draw::result).collect();
        results.reverse();
        let mut sync = json!({"type": "state_sync", "role": role, "participant_count": state.participants.len(),
            "connection_count": state.connected, "draw_count": state.announced().count(), "current": null, "results": results,
            "seq": state.seq, "epoch": EPOCH});
        if let Some(number) = own {
            let wins = state.wins(number);
            sync["you"] = json!({"draw_number": number, "won": !wins.is_empty(), "prizes": wins});
        }
        sync
    }

    /// Sends a numbered frame to everyone.
    fn publish(&self, state: &mut State, kind: &str, mut body: Value) {
        state.seq += 1;
        (body["type"], body["seq"], body["epoch"]) = (json!(kind), json!(state.seq), json!(EPOCH));
        let announces = kind == "winner_announced";
        let draw = body["draw_id"].as_u64().unwrap_or(0);
        for peer in state.peers.values() {
            let is_chosen = peer.place == 1 && !peer.is_display;
            let mut frame = body.clone();
            let mut due = Instant::now();
            let late_ms = match self.fault {
                "every phone is 2.5 s late" if announces && !peer.is_display => 2_500,
                "one phone is 3 s late" if announces && is_chosen => 3_000,
                "the delay grows" if announces && !peer.is_display => 150 * draw,
                _ => 0,
            };
            due += Duration::from_millis(late_ms);
            let send = |frame: &Value| drop(peer.outgoing.send(Outgoing::Text(due, frame.to_string())));
            match self.fault {
                "one frame is lost" if is_chosen && announces && draw == 2 => continue,
                "a stale seq hides lost frames" if is_chosen && state.seq > 15 => continue,
                "one frame comes twice" if is_chosen && announces && draw == 2 => send(&frame),
                "one phone receives another winner" if is_chosen && announces => frame["winners"] = json!([1_000]),
                "one phone is told another moment" if is_chosen && announces => {
                    frame["show_at"] = timestamp(OffsetDateTime::now_utc() + Duration::from_secs(1));
                }
                "the epoch changes" if draw == 2 => frame["epoch"] = json!("e1"),
                "two frames are swapped" if is_chosen && draw == 2 => {
                    // The announcement is held back until its completion has gone out.
                    due = Instant::now() + Duration::from_millis(50);
                    if announces {
                        let (outgoing, text) = (peer.outgoing.clone(), frame.to_string());
                        tokio::spawn(async move {
                            sleep_until(due).await;
                            outgoing.send(Outgoing::Text(due, text)).ok();
                        });
                        continue;
                    }
                }
                _ => {}
            }
            drop(
                peer.outgoing.send(Outgoing::Text(
                    if self.is("two frames are swapped") { Instant::now() } else { due },
                    frame.to_string(),
                )),
            );
        }
    }

    /// Sends a frame without a number to some.
    fn send(&self, state: &State, body: &Value, to: impl Fn(&Peer) -> bool) {
        for peer in state.peers.values().filter(|peer| to(peer)) {
            drop(peer.outgoing.send(Outgoing::Text(Instant::now(), body.to_string())));
        }
    }

    /// Serves a socket to its end.
    async fn socket(self: Arc<Self>, mut client: TcpStream, path: &str, key: &str) -> std::io::Result<()> {
        let is_display = path.contains("role=display");
        let token = path.split("token=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default();
        let own = {
            let state = self.state.lock().unwrap();
            state.participants.iter().find(|one| one.token == token).map(|one| one.number)
        };
        if self.is("one socket is refused for ever") && own == Some(2) {
            return client.write_all(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        }
        let accept = derive_accept_key(key.as_bytes());
        let head = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        client.write_all(format!("{head}{accept}\r\n\r\n").as_bytes()).await?;
        let (mut sink, mut stream) = WebSocketStream::from_raw_socket(client, Role::Server, None).await.split();
        let (outgoing, mut queue) = unbounded_channel();
        let id = self.join(outgoing.clone(), is_display, own);
        let writer = async {
            while let Some(next) = queue.recv().await {
                let message = match next {
                    Outgoing::Text(due, text) => {
                        sleep_until(due).await;
                        Message::text(text)
                    }
                    Outgoing::Close(code) => Message::Close(Some(CloseFrame { code: CloseCode::from(code), reason: "".into() })),
                };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        };
        let reader = async {
            // A peer that was dropped has no sender left but this one.
            drop(outgoing);
            while let Some(Ok(message)) = stream.next().await {
                let Message::Text(text) = message else { continue };
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                self.hear(id, &message, is_display);
            }
        };
        tokio::select! {
            () = writer => {}
            () = reader => {}
        }
        let mut state = self.state.lock().unwrap();
        state.peers.remove(&id);
        state.connected = state.connected.saturating_sub(1);
        Ok(())
    }

    /// Adds a peer and greets it.
    fn join(self: &Arc<Self>, outgoing: UnboundedSender<Outgoing>, is_display: bool, own: Option<u32>) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.connected += 1;
        state.joined.insert(own.filter(|_| !is_display));
        let id = state.peers.last_key_value().map_or(0, |(id, _)| id + 1).max(state.connected);
        let place = state.peers.values().filter(|peer| !peer.is_display).count() as u64;
        let mut sync = self.state_sync(&state, if is_display { "display" } else { "phone" }, own);
        match self.fault {
            "winners stand in every state_sync" if !is_display => sync["current"] = json!({"draw_id": 1, "winners": [1]}),
            "a phone is greeted as a display" if !is_display && place == 1 => sync["role"] = json!("display"),
            "the greeting says that a loser won" if own.is_some() => sync["you"]["won"] = json!(true),
            "the greeting is ahead of the frames" if place == 1 => sync["seq"] = json!(state.seq + 5),
            "the greeting is of another phone" if own.is_some() => sync["you"]["draw_number"] = json!(77),
            _ => {}
        }
        let text = sync.to_string();
        if self.is("a phone is greeted only at draw 10") && own == Some(1) {
            let server = self.clone();
            tokio::spawn(async move { server.greet_at_draw_10(outgoing, own).await });
            return id;
        }
        if is_display || !self.is("sockets are never greeted") {
            outgoing.send(Outgoing::Text(Instant::now(), text)).ok();
        }
        if self.is("every phone is sent away with 1012 for ever") && !is_display {
            outgoing.send(Outgoing::Close(1012)).ok();
        }
        state.peers.insert(id, Peer { place, is_display, outgoing });
        id
    }

    async fn greet_at_draw_10(&self, outgoing: UnboundedSender<Outgoing>, own: Option<u32>) {
        loop {
            sleep_until(Instant::now() + Duration::from_millis(5)).await;
            let mut state = self.state.lock().unwrap();
            if outgoing.is_closed() {
                return;
            }
            if state.announced().count() >= 10 {
                let text = self.state_sync(&state, "phone", own).to_string();
                outgoing.send(Outgoing::Text(Instant::now(), text)).ok();
                state.peers.insert(u64::MAX, Peer { place: 1, is_display: false, outgoing });
                return;
            }
        }
    }

    /// Answers a message of a peer.
    fn hear(&self, id: u64, message: &Value, is_display: bool) {
        let reply = match message["type"].as_str() {
            Some("ping") if self.is("sockets are dead after their greeting") && !is_display => return,
            Some("ping") if self.is("pongs tell no time") => json!({"type": "pong"}),
            Some("ping") => {
                let mut state = self.state.lock().unwrap();
                state.pings += 1;
                if self.is("all sockets are dropped while idle") && state.pings == 8 {
                    std::mem::take(&mut state.peers);
                }
                let is_chosen = state.peers.get(&id).is_some_and(|peer| peer.place == 1 && !peer.is_display);
                let wrong_s = if self.is("one phone is told another time") && is_chosen { 2 } else { 0 };
                json!({"type": "pong", "server_time": timestamp(OffsetDateTime::now_utc() + Duration::from_secs(wrong_s))})
            }
            Some("stage") => {
                self.state.lock().unwrap().has_stage = true;
                json!({"type": "stage_orders", "is_lead": true})
            }
            Some("draw_complete") => match self.complete() {
                Some(_) if self.is("the completion is denied") => json!({"type": "draw_complete_ack", "success": false}),
                Some(_) if self.is("the completion names other winners") => {
                    json!({"type": "draw_complete_ack", "success": true, "winners": [1_000]})
                }
                Some((_, winners)) => json!({"type": "draw_complete_ack", "success": true, "winners": winners}),
                None => json!({"type": "draw_complete_ack", "success": false}),
            },
            _ => return,
        };
        let state = self.state.lock().unwrap();
        if let Some(peer) = state.peers.get(&id).or_else(|| state.peers.get(&u64::MAX)) {
            peer.outgoing.send(Outgoing::Text(Instant::now(), reply.to_string())).ok();
        }
    }
}
