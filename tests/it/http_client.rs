//! HTTP clients: hyper's for valid requests, raw bytes for invalid ones.

use crate::test_server::{ADMIN_TOKEN, TIMEOUT};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A request; awaiting it sends it.
#[derive(Clone)]
pub struct RequestBuilder {
    address: SocketAddr,
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl RequestBuilder {
    /// A request without a body.
    pub fn new(address: SocketAddr, method: Method, path: &str) -> Self {
        Self { address, method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this token.
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// With the admin token.
    pub fn admin(self) -> Self {
        self.bearer(ADMIN_TOKEN)
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body(CONTENT_TYPE_JSON, body.to_string())
    }

    /// With any body.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// Sends the request and reads the whole response.
    ///
    /// # Errors
    /// The server refuses or drops the connection.
    pub async fn try_send(self) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(HOST, self.address.to_string());
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let (head, body) = sender.send_request(request.body(Full::new(self.body.clone()))?).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        crate::refusals::require_described(&self.method, &self.path, head.status, &body);
        Ok(Response { request_line: format!("{} {}", self.method, self.path), status: head.status, headers: head.headers, body })
    }
}

const CONTENT_TYPE_JSON: &str = "application/json";

impl IntoFuture for RequestBuilder {
    type Output = Response;
    type IntoFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let request_line = format!("{} {}", self.method, self.path);
        Box::pin(async move {
            let answer = timeout(TIMEOUT, self.try_send()).await.unwrap_or_else(|_| panic!("{request_line}: no response"));
            answer.unwrap_or_else(|error| panic!("{request_line}: {error}"))
        })
    }
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Response {
    request_line: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}: not JSON: {:?}", self.request_line, self.body))
    }

    /// The `data` of a success with this status, in the contract's envelope.
    pub fn expect_data(&self, status: u16) -> Value {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{}: {body}", self.request_line);
        assert_eq!(body["success"], true, "{}: {body}", self.request_line);
        assert!(body["message"].is_string(), "{}: a success has a message: {body}", self.request_line);
        body["data"].clone()
    }

    /// The `data` of a plain success.
    pub fn ok(&self) -> Value {
        self.expect_data(200)
    }

    /// Checks that it is a refusal with this status and code, in the contract's envelope.
    pub fn expect_refusal(&self, status: u16, code: &str) {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["detail"]["code"].as_str()),
            (status, Some(code)),
            "{}: {body}",
            self.request_line
        );
        assert_eq!(body["success"], false, "{}: {body}", self.request_line);
        assert!(body["detail"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{}: {body}", self.request_line);
    }

    /// A header's value; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `name=value` of the cookie it sets.
    pub fn cookie(&self) -> Option<String> {
        let cookie = self.headers.get("set-cookie")?.to_str().unwrap();
        Some(cookie.split(';').next().unwrap().to_owned())
    }
}

/// Sends raw bytes, reads until the server closes or has sent one whole response, and returns the
/// bytes received.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut received = Vec::new();
    let reading = async {
        let mut chunk = [0; 4096];
        while !is_whole_response(&received) {
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(length) => received.extend_from_slice(&chunk[..length]),
            }
        }
    };
    timeout(TIMEOUT, reading).await.expect("the server answers or closes");
    String::from_utf8_lossy(&received).into_owned()
}

/// True for one whole response, by its Content-Length.
fn is_whole_response(received: &[u8]) -> bool {
    let text = String::from_utf8_lossy(received);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}
