//! The cases of the Autobahn test suite, which every WebSocket server is measured by, run by
//! `kosoku` against a reactor that echoes.
//!
//! The reactor is the product's own, with other bounds: the suite sends messages of up to 16 MB and
//! thousands of them. The echo is a handler of this test, so no server that is shipped has one.
//! Left out are the cases of binary messages, which this server closes with 1003, and those of
//! compression, which it never negotiates.

use crate::draw::Number;
use crate::live::Role;
use crate::live::limits::Limits;
use crate::live::message_handler::{Action, MessageHandler, PeerContext};
use crate::live::reactor::testing::*;
use crate::live::reactor::{Join, Reactors};
use crate::live::room::Snapshot;
use crate::wire::text_frame;
use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Cases of binary messages.
const BINARY: [&str; 5] = ["1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*"];
/// Cases of compression.
const COMPRESSED: [&str; 2] = ["12.*", "13.*"];
/// Cases that stay, of 301 without compression.
const CASES: usize = 266;

/// Sends every message back, and greets nobody.
struct Echo;

impl MessageHandler for Echo {
    fn state_sync(&self, _: &Snapshot, _: Role, _: Option<Number>) -> Bytes {
        Bytes::new()
    }

    fn handle(&mut self, _: &PeerContext<'_>, message: &mut [u8]) -> Action {
        Action::Reply(text_frame(std::str::from_utf8(message).unwrap()))
    }
}

fn limits() -> Limits {
    let plenty = 64 << 20;
    Limits {
        message_bytes_max: 16 << 20,
        unfinished_bytes_max: plenty,
        own_bytes_max: plenty,
        frame_interval: Duration::ZERO,
        message_age_max: Duration::from_secs(600),
        ..patient_limits()
    }
}

/// Answers one handshake, and hands the socket to the reactor.
fn join(room: &TestRoom, reactors: &Reactors, mut socket: TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let key = head.lines().find_map(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:").then(|| &line[18..]))?;
    let accept = derive_accept_key(key.trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).ok()?;
    socket.set_nodelay(true).ok()?;
    socket.set_nonblocking(true).ok()?;
    reactors.join(Join::new(socket, room.admitted(Role::Phone)));
    Some(())
}

#[test]
fn every_case_of_autobahn_passes() {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/kosoku/bin/kosoku");
    if !installed.exists() {
        return eprintln!("not tried: scripts/test installs kosoku");
    }
    let room = TestRoom::open(patient_limits(), 1);
    let reactors = Reactors::start_with_limits(limits(), 1, || Box::new(Echo)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.arg("300").arg(installed).arg(&address).arg("--outdir").arg(folder.path());
    for left_out in BINARY.iter().chain(&COMPRESSED) {
        command.args(["--exclude", left_out]);
    }
    let has_ended = Arc::new(AtomicBool::new(false));
    let suite = std::thread::spawn({
        let has_ended = Arc::clone(&has_ended);
        move || {
            let output = command.output().unwrap();
            // Before the connection that wakes the accept loop.
            has_ended.store(true, Ordering::Release);
            drop(TcpStream::connect(address));
            output
        }
    });
    while let Ok((socket, _)) = listener.accept() {
        if has_ended.load(Ordering::Acquire) {
            break;
        }
        // A client that breaks off is the suite's matter.
        let _ = join(&room, &reactors, socket);
    }
    let output = suite.join().unwrap();
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    reactors.stop(Duration::ZERO, Duration::from_millis(100));
    assert!(output.status.success() && printed.contains(&format!("{CASES} cases passed")), "{printed}");
}
