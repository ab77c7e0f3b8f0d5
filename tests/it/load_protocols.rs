//! The load tester judges a server of another protocol by the same ledger, through a table.
//!
//! The server is the tests' own, in the form of a common one: it registers people and sends what it
//! is told to every socket. It can lie in one way at a time.

use crate::faulty_proxy::{Acceptor, read_head};
use crate::load::{Run, drawload};
use crate::load_agents::Agent;
use crate::load_honesty::AGENT_TOKEN;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

#[derive(Default)]
struct Seed {
    fault: &'static str,
    /// By the number in the order of arrival.
    people: Vec<String>,
    sent: u64,
    sockets: Vec<UnboundedSender<String>>,
}

impl Seed {
    fn answer(&mut self, path: &str, body: &Value) -> Value {
        if path == "/register" {
            let phone = body["phone"].as_str().unwrap_or_default().to_owned();
            if self.fault == "a retry gets another number" || !self.people.contains(&phone) {
                self.people.push(phone.clone());
            }
            let place = 1 + self.people.iter().rposition(|known| *known == phone).unwrap();
            let number = if self.fault == "two share a number" { place.min(9) } else { place };
            return json!({"number": number, "token": format!("t{place}")});
        }
        self.sent += 1;
        let is_sixth = self.sent == 6;
        for (place, socket) in self.sockets.iter().enumerate() {
            let mut body = body.clone();
            match self.fault {
                "one phone misses a frame" if place == 1 && is_sixth => continue,
                "one phone receives another winner" if place == 1 && is_sixth => body["winners"] = json!([1_000]),
                _ => {}
            }
            socket.send(body.to_string()).ok();
        }
        json!({"ok": true})
    }
}

async fn serve(mut client: TcpStream, seed: Arc<Mutex<Seed>>) -> std::io::Result<()> {
    let head = String::from_utf8_lossy(&read_head(&mut client).await?).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    if let Some(key) = header("sec-websocket-key") {
        let accept = derive_accept_key(key.as_bytes());
        let head = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
        let (sender, mut frames) = unbounded_channel();
        // Before the answer: the phone counts on every frame from then on.
        seed.lock().unwrap().sockets.push(sender);
        client.write_all(format!("{head}{accept}\r\n\r\n").as_bytes()).await?;
        let (mut sink, mut stream) = WebSocketStream::from_raw_socket(client, Role::Server, None).await.split();
        let writing = async {
            while let Some(text) = frames.recv().await {
                if sink.send(Message::text(text)).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = writing => {}
            () = async { while stream.next().await.is_some_and(|message| message.is_ok()) {} } => {}
        }
        return Ok(());
    }
    let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    client.read_exact(&mut body).await?;
    let answer = seed.lock().unwrap().answer(&path, &serde_json::from_slice(&body).unwrap_or_default()).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
    client.write_all((head + &answer).as_bytes()).await?;
    client.shutdown().await
}

async fn judge(fault: &'static str, more: &[&str]) -> Run {
    let seed = Arc::new(Mutex::new(Seed { fault, ..Seed::default() }));
    let server = Acceptor::open(move |client, _| serve(client, seed.clone())).await;
    let host = server.address.to_string();
    let protocol = ["--protocol", "scripts/protocols/fastapi-seed.toml", "--host", &host];
    let scenario = ["full-scenario", "--scenario", "b", "--users", "10", "--prizes", "5", "--time-scale", "0.02"];
    drawload(&[("DRAWLOAD_AGENT_TOKEN", AGENT_TOKEN)], &[&scenario[..], &protocol, more].concat()).await
}

#[tokio::test]
async fn a_server_of_another_protocol_is_judged_by_the_same_ledger() {
    let agents = [Agent::start(AGENT_TOKEN).await, Agent::start(AGENT_TOKEN).await];
    let agents = agents.each_ref().map(|agent| &*agent.address).join(",");
    for more in [&[][..], &["--agents", &agents]] {
        let honest = judge("none", more).await;
        assert_eq!(honest.code, Some(0), "{}", honest.output);
        // Ten phones, five draws of four frames each.
        let counts = (honest.metric("delivery.received"), honest.metric("draws.announced"));
        assert_eq!(counts, (200.0, 5.0), "{}", honest.output);
    }
    for (fault, metric) in [
        ("one phone misses a frame", "delivery.contradicted"),
        ("one phone receives another winner", "delivery.contradicted"),
        ("two share a number", "numbers.doubled"),
        ("a retry gets another number", "numbers.changed"),
    ] {
        let run = judge(fault, &[]).await;
        let found = run.judgements().iter().find(|judgement| judgement["metric"] == metric).unwrap();
        assert!(run.code == Some(99) && found["grade"] == "missed", "{fault}: {}", run.output);
    }
}

#[tokio::test]
async fn a_table_that_makes_no_sense_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.toml");
    let socket = "[socket]\npath = '/ws'\nhas_greeting = false\nhas_pong = false\nhas_display = false\n";
    for (text, named) in [
        ("[calls]\n".to_owned(), "socket"),
        (format!("{socket}[calls]\nregistre.route = 'POST /x'\n"), "registre"),
        (format!("{socket}[calls]\nregister.route = 'PUSH /x'\n"), "PUSH /x"),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = drawload(&[], &["full-scenario", "--host", "127.0.0.1:1", "--protocol", file.to_str().unwrap()]).await;
        assert!(run.code == Some(64) && run.output.contains(named), "{named}: {:?} {}", run.code, run.output);
    }
}
