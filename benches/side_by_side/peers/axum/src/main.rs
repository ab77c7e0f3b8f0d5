//! The bench's peer on axum with a broadcast channel, as in axum's own chat example. Runs as
//! `axum-peer PORT`. Its read buffers are 1 KiB, since axum's default of 128 KiB per socket needs
//! gigabytes for 20,000 sockets.
//!
//! With `JOURNAL=1` a registration is answered once it is on the disk, and a retry gets the same
//! number: SQLite in WAL mode with a flush per commit, and one commit for all that wait.

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Json, State};
use axum::response::IntoResponse;
use axum::routing::{any, post};
use futures_util::{SinkExt, StreamExt};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{broadcast, mpsc, oneshot};

/// Registrations that one commit holds at most, as many as the server's.
const BATCH_MAX: usize = 1024;

/// A registration's key, and where its number goes.
type Registration = (String, oneshot::Sender<u64>);

struct App {
    frames: broadcast::Sender<Utf8Bytes>,
    numbers: AtomicU64,
    journal: Option<mpsc::Sender<Registration>>,
}

/// Writes registrations on a thread of its own.
fn start_journal() -> mpsc::Sender<Registration> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut db = Connection::open(folder.path().join("journal")).expect("a journal");
    db.pragma_update(None, "journal_mode", "WAL").expect("it takes a log");
    db.pragma_update(None, "synchronous", "FULL").expect("it flushes each commit");
    db.execute_batch("CREATE TABLE participant (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE)").expect("a table");
    let (sender, mut waiting) = mpsc::channel::<Registration>(BATCH_MAX);
    std::thread::spawn(move || {
        let _folder = folder;
        let mut batch = Vec::new();
        while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
            let tx = db.transaction().expect("it is the only writer");
            let number_of = |key: &str| {
                tx.prepare_cached("INSERT INTO participant (key) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([key])?;
                tx.prepare_cached("SELECT number FROM participant WHERE key = ?1")?.query_row([key], |row| row.get::<_, i64>(0))
            };
            let numbers: Vec<i64> = batch.iter().map(|(key, _)| number_of(key).expect("a number")).collect();
            tx.commit().expect("the disk keeps it");
            for ((_, reply), number) in batch.drain(..).zip(numbers) {
                let _ = reply.send(number as u64);
            }
        }
    });
    sender
}

async fn upgrade(upgrade: WebSocketUpgrade, State(app): State<Arc<App>>) -> impl IntoResponse {
    upgrade.read_buffer_size(1024).write_buffer_size(0).on_upgrade(|socket| serve(socket, app))
}

async fn serve(socket: WebSocket, app: Arc<App>) {
    let (mut sink, mut stream) = socket.split();
    let mut frames = app.frames.subscribe();
    let mut writer = tokio::spawn(async move {
        while let Ok(text) = frames.recv().await {
            if sink.send(Message::Text(text)).await.is_err() {
                break;
            }
        }
    });
    let mut reader = tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
    tokio::select! {
        _ = &mut writer => reader.abort(),
        _ = &mut reader => writer.abort(),
    }
}

async fn trigger(State(app): State<Arc<App>>, text: String) -> &'static str {
    let _ = app.frames.send(text.into());
    r#"{"ok":true}"#
}

async fn register(State(app): State<Arc<App>>, Json(body): Json<Value>) -> Json<Value> {
    let number = match &app.journal {
        None => app.numbers.fetch_add(1, Ordering::Relaxed) + 1,
        Some(journal) => {
            let (reply, number) = oneshot::channel();
            journal.send((body["request_id"].to_string(), reply)).await.expect("the journal lives");
            number.await.expect("it answers")
        }
    };
    Json(json!({"number": number}))
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let journal = std::env::var_os("JOURNAL").map(|_| start_journal());
    let app = Arc::new(App { frames: broadcast::channel(64).0, numbers: AtomicU64::new(0), journal });
    let routes = Router::new().route("/ws", any(upgrade)).route("/trigger", post(trigger)).route("/register", post(register)).with_state(app);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("it is new");
    socket.bind(format!("127.0.0.1:{port}").parse().expect("a port")).expect("the port is free");
    axum::serve(socket.listen(4096).expect("it is bound"), routes).await.expect("it serves");
}
