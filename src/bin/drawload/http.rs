//! One request on a connection of its own, as a phone makes its first.

use crate::connection::{Connection, Window};
use crate::target::Target;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;

/// How long an answer may take. Later is an error.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The longest answer that is read: the list of 20,000 participants is about 1.5 MB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer to look at.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the exchange broke off: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("{status} {code}")]
    Refused { status: u16, code: String },
}

/// A request to be.
pub struct Ask<'a> {
    target: &'a Target,
    method: Method,
    path: String,
    token: Option<&'a str>,
    body: Option<Value>,
}

impl<'a> Ask<'a> {
    pub fn get(target: &'a Target, path: String) -> Self {
        Self { target, method: Method::GET, path, token: None, body: None }
    }

    pub fn post(target: &'a Target, path: String, body: Value) -> Self {
        Self { target, method: Method::POST, path, token: None, body: Some(body) }
    }

    pub fn delete(target: &'a Target, path: String) -> Self {
        Self { target, method: Method::DELETE, path, token: None, body: None }
    }

    /// As the host.
    pub fn admin(self) -> Self {
        let token = self.target.admin_token.as_deref();
        Self { token, ..self }
    }

    /// As a phone.
    pub fn bearer(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Sends it; gives back the JSON of a success, whole.
    ///
    /// # Errors
    /// Whatever came instead, a refusal by its status and code.
    pub async fn send(self) -> Result<Value, Failure> {
        tokio::time::timeout(PATIENCE, self.exchange()).await.unwrap_or(Err(Failure::Late))
    }

    async fn exchange(self) -> Result<Value, Failure> {
        let (head, body) = self.answer().await?;
        let json = || serde_json::from_slice(&body).map_err(|error| Failure::Body(error.into()));
        if head.is_success() { json() } else { Err(refusal(head, json().ok())) }
    }

    /// Sends it; gives back whatever text comes with a success, as `/metrics` has it.
    ///
    /// # Errors
    /// As for [`Ask::send`].
    pub async fn text(self) -> Result<String, Failure> {
        let (head, body) = tokio::time::timeout(PATIENCE, self.answer()).await.unwrap_or(Err(Failure::Late))?;
        if !head.is_success() {
            return Err(refusal(head, None));
        }
        String::from_utf8(body.into()).map_err(|error| Failure::Body(error.into()))
    }

    /// The answer's status and its whole body.
    async fn answer(self) -> Result<(StatusCode, Bytes), Failure> {
        let connection = Connection::open(self.target, Window::Usual).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
        // Ends by itself when the sender is dropped, at the end of this exchange.
        tokio::task::spawn_local(connection);
        let mut request = Request::builder().method(self.method).uri(self.path).header(HOST, &self.target.authority);
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = self.body.map_or_else(Bytes::new, |body| body.to_string().into());
        let (head, body) = sender.send_request(request.body(Full::new(body))?).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(Failure::Body)?.to_bytes();
        Ok((head.status, body))
    }
}

fn refusal(status: StatusCode, body: Option<Value>) -> Failure {
    let code = body.and_then(|body| body["detail"]["code"].as_str().map(str::to_owned)).unwrap_or_default();
    Failure::Refused { status: status.as_u16(), code }
}
