//! Steps that tests share: an event, its phones and consoles, and the steps of a draw.

use crate::http_client::{RequestBuilder, Response};
use crate::test_server::{ADMIN_TOKEN, TIMEOUT, TestServer};
use crate::websocket_client::Socket;
use hyper::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The event of the tests.
pub const EVENT: &str = "gala-2026";

/// A phone that has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    pub number: u64,
    pub token: String,
    pub recovery_code: String,
}

impl Phone {
    /// The phone of a registration's response.
    pub fn from_registration(data: &Value) -> Self {
        Self {
            number: data["draw_number"].as_u64().unwrap(),
            token: data["session_token"].as_str().unwrap().to_owned(),
            recovery_code: data["recovery_code"].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// A valid `request_id`: 32 hex digits.
pub fn request_id(index: u64) -> String {
    format!("{:016x}{:016x}", index.wrapping_mul(0x9e37_79b9_7f4a_7c15), index)
}

/// A draw request of one winner by slot machine.
pub fn prize(name: &str) -> Value {
    json!({"prize_name": name, "prize_rank": 1, "draw_mode": "slot", "winner_count": 1})
}

/// The numbers in a JSON array.
pub fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap_or_else(|| panic!("an array of numbers: {value}")).iter().map(|n| n.as_u64().unwrap()).collect()
}

impl TestServer {
    /// Opens [`EVENT`].
    pub async fn open_event(&self) {
        self.open_event_with(json!({"event_id": EVENT, "title": "Gala", "prizes": []})).await;
    }

    /// Opens an event as described.
    pub async fn open_event_with(&self, event: Value) {
        self.post("/admin/events").admin().json(&event).await.expect_data(201);
    }

    /// An admin call to [`EVENT`].
    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/api/luckydraw/admin/{EVENT}/{path}")).admin()
    }

    /// An admin POST to [`EVENT`].
    pub async fn admin_post(&self, path: &str, body: &Value) -> Response {
        self.admin(Method::POST, path).json(body).await
    }

    /// An admin GET of [`EVENT`]; returns its `data`.
    pub async fn admin_get(&self, path: &str) -> Value {
        self.admin(Method::GET, path).await.ok()
    }

    /// Registers a phone with a `request_id` made from `index`.
    pub async fn register(&self, index: u64) -> Phone {
        let answer = self.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(index)})).await;
        Phone::from_registration(&answer.expect_data(201))
    }

    /// Registers this many phones, one after the other.
    pub async fn register_many(&self, count: u64) -> Vec<Phone> {
        let mut phones = Vec::new();
        for index in 1..=count {
            phones.push(self.register(index).await);
        }
        phones
    }

    /// Waits until the server takes new work and can keep it.
    pub async fn until_ready(&self) {
        let deadline = Instant::now() + TIMEOUT;
        while self.request(Method::GET, "/readyz").await.status != 200 {
            assert!(Instant::now() < deadline, "the server never became ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An authenticated display that has its `state_sync`.
    pub async fn display(&self) -> Socket {
        self.operator_socket("display").await
    }

    /// An authenticated console that has its `state_sync`.
    pub async fn console(&self) -> Socket {
        self.operator_socket("admin").await
    }

    async fn operator_socket(&self, role: &str) -> Socket {
        let mut socket = self.socket(EVENT, &format!("?role={role}")).await;
        socket.send_json(&json!({"type": "auth", "token": ADMIN_TOKEN})).await;
        socket.until("state_sync").await;
        socket
    }

    /// A socket of an authenticated phone that has its `state_sync`.
    pub async fn phone_socket(&self, phone: &Phone) -> Socket {
        let mut socket = self.socket(EVENT, &format!("?token={}", phone.token)).await;
        socket.until("state_sync").await;
        socket
    }

    /// Waits until the event counts this many sockets.
    pub async fn until_connected(&self, count: u64) {
        let deadline = Instant::now() + TIMEOUT;
        while self.admin_get("stats").await["connection_count"] != count {
            assert!(Instant::now() < deadline, "timed out waiting for {count} sockets");
        }
    }

    /// Starts a draw; returns its id.
    pub async fn start_draw(&self, spec: &Value) -> u64 {
        self.admin_post("draw/start-animation", spec).await.ok()["draw_id"].as_u64().expect("a started draw has an id")
    }

    /// Starts and reveals a draw; returns the data of the reveal.
    pub async fn reveal_draw(&self, spec: &Value) -> Value {
        self.start_draw(spec).await;
        self.admin_post("draw/reveal", &json!({})).await.ok()
    }

    /// Starts, reveals and completes a draw; returns its id and winners.
    pub async fn whole_draw(&self, spec: &Value) -> (u64, Vec<u64>) {
        let revealed = self.reveal_draw(spec).await;
        self.admin_post("draw/complete", &json!({})).await.ok();
        (revealed["draw_id"].as_u64().unwrap(), numbers(&revealed["winners"]))
    }

    /// The public answer of a path, with the event in its query.
    pub async fn public(&self, path: &str) -> Value {
        let mark = if path.contains('?') { '&' } else { '?' };
        self.get(&format!("{path}{mark}event_id={EVENT}")).await.ok()
    }
}
