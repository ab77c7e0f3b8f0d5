//! One request on a connection of its own, as a phone makes its first.

use super::Window;
use super::target::Target;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Maximum time for an answer. Later is an error.
pub const ANSWER_MAX: Duration = Duration::from_secs(15);

/// The longest answer that is read: the list of 20,000 participants is about 1.5 MB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Attempts of a request whose outcome matters more than its latency.
const ATTEMPTS: u32 = 6;

/// Reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the exchange broke off: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {} s", ANSWER_MAX.as_secs())]
    TimedOut,
    #[error("{status} {code}")]
    Refused { status: u16, code: String },
}

#[derive(Clone)]
pub struct Request<'a> {
    target: &'a Target,
    method: Method,
    path: String,
    token: Option<&'a str>,
    body: Option<Value>,
}

impl<'a> Request<'a> {
    pub fn get(target: &'a Target, path: String) -> Self {
        Self { target, method: Method::GET, path, token: None, body: None }
    }

    pub fn post(target: &'a Target, path: String, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(target, path) }
    }

    pub fn delete(target: &'a Target, path: String) -> Self {
        Self { method: Method::DELETE, ..Self::get(target, path) }
    }

    /// Adds the admin token.
    pub fn admin(self) -> Self {
        let token = self.target.admin_token.as_deref();
        Self { token, ..self }
    }

    /// Adds a phone's token.
    pub fn bearer(self, token: &'a str) -> Self {
        Self { token: Some(token), ..self }
    }

    /// Sends it and returns the whole JSON of a success.
    ///
    /// # Errors
    /// Anything else, a refusal by its status and code.
    pub async fn send(self) -> Result<Value, RequestError> {
        timeout(ANSWER_MAX, self.exchange()).await.unwrap_or(Err(RequestError::TimedOut))
    }

    /// Sends it up to [`ATTEMPTS`] times: for questions beside the measurement.
    ///
    /// # Errors
    /// A refusal below 500 at once, otherwise the last failure.
    pub async fn send_with_retries(self) -> Result<Value, RequestError> {
        for _ in 1..ATTEMPTS {
            match self.clone().send().await {
                Err(RequestError::Refused { status, .. }) if status >= 500 => {}
                Err(error) if !matches!(error, RequestError::Refused { .. }) => drop(error),
                settled => return settled,
            }
            sleep(Duration::from_millis(200)).await;
        }
        self.send().await
    }

    /// Sends it and returns the text of a success, as for `/metrics`.
    pub async fn text(self) -> Result<String, RequestError> {
        let (status, body) = timeout(ANSWER_MAX, self.answer()).await.unwrap_or(Err(RequestError::TimedOut))?;
        if !status.is_success() {
            return Err(refusal(status, None));
        }
        String::from_utf8(body.into()).map_err(|error| RequestError::Body(error.into()))
    }

    async fn exchange(self) -> Result<Value, RequestError> {
        let (status, body) = self.answer().await?;
        let json = || serde_json::from_slice(&body).map_err(|error| RequestError::Body(error.into()));
        if status.is_success() { json() } else { Err(refusal(status, json().ok())) }
    }

    async fn answer(self) -> Result<(StatusCode, Bytes), RequestError> {
        let connection = super::open(self.target, Window::Usual).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
        // Ends by itself when the sender is dropped, at the end of this exchange.
        tokio::task::spawn_local(connection);
        let mut request = hyper::Request::builder().method(self.method).uri(self.path).header(HOST, &self.target.authority);
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = self.body.map_or_else(Bytes::new, |body| body.to_string().into());
        let (head, body) = sender.send_request(request.body(Full::new(body))?).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(RequestError::Body)?.to_bytes();
        Ok((head.status, body))
    }
}

fn refusal(status: StatusCode, body: Option<Value>) -> RequestError {
    let code = body.and_then(|body| body["detail"]["code"].as_str().map(str::to_owned)).unwrap_or_default();
    RequestError::Refused { status: status.as_u16(), code }
}
