//! The bench's peer on axum with a broadcast channel, as in axum's own chat example. Runs as
//! `axum-peer PORT`. Its read buffers are 1 KiB, since axum's default of 128 KiB per socket needs
//! gigabytes for 20,000 sockets.

use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Json, State};
use axum::response::IntoResponse;
use axum::routing::{any, post};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast;

struct App {
    frames: broadcast::Sender<Utf8Bytes>,
    numbers: AtomicU64,
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

async fn register(State(app): State<Arc<App>>, Json(_): Json<Value>) -> Json<Value> {
    Json(json!({"number": app.numbers.fetch_add(1, Ordering::Relaxed) + 1}))
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let app = Arc::new(App { frames: broadcast::channel(64).0, numbers: AtomicU64::new(0) });
    let routes = Router::new().route("/ws", any(upgrade)).route("/trigger", post(trigger)).route("/register", post(register)).with_state(app);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("it is new");
    socket.bind(format!("127.0.0.1:{port}").parse().expect("a port")).expect("the port is free");
    axum::serve(socket.listen(4096).expect("it is bound"), routes).await.expect("it serves");
}
