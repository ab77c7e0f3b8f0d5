//! The measured contract on axum and a broadcast channel, as axum's own chat example does it. Runs as `axum-peer PORT`; its read
//! buffers are of 1 KiB, since with axum's default of 128 KiB a hall needs gigabytes.

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
    all: broadcast::Sender<Utf8Bytes>,
    given: AtomicU64,
}

async fn upgrade(upgrade: WebSocketUpgrade, State(app): State<Arc<App>>) -> impl IntoResponse {
    upgrade.read_buffer_size(1024).write_buffer_size(0).on_upgrade(|socket| serve(socket, app))
}

async fn serve(socket: WebSocket, app: Arc<App>) {
    let (mut out, mut inward) = socket.split();
    let mut heard = app.all.subscribe();
    let mut telling = tokio::spawn(async move {
        while let Ok(text) = heard.recv().await {
            if out.send(Message::Text(text)).await.is_err() {
                break;
            }
        }
    });
    let mut hearing = tokio::spawn(async move { while let Some(Ok(_)) = inward.next().await {} });
    tokio::select! {
        _ = &mut telling => hearing.abort(),
        _ = &mut hearing => telling.abort(),
    }
}

async fn trigger(State(app): State<Arc<App>>, text: String) -> &'static str {
    let _ = app.all.send(text.into());
    r#"{"ok":true}"#
}

async fn register(State(app): State<Arc<App>>, Json(_): Json<Value>) -> Json<Value> {
    Json(json!({"number": app.given.fetch_add(1, Ordering::Relaxed) + 1}))
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let app = Arc::new(App { all: broadcast::channel(64).0, given: AtomicU64::new(0) });
    let routes = Router::new().route("/ws", any(upgrade)).route("/trigger", post(trigger)).route("/register", post(register)).with_state(app);
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("it is new");
    socket.bind(format!("127.0.0.1:{port}").parse().expect("a port")).expect("the port is free");
    axum::serve(socket.listen(4096).expect("it is bound"), routes).await.expect("it serves");
}
