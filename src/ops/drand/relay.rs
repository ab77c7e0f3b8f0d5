//! Relays of drand: HTTP servers that hand out rounds. Nothing they say is believed: a round counts
//! once its signature is that of the chain.

use crate::base::http_client::{Request, Url};
use crate::draw::proof::{Beacon, DrandChain, Signature};
use crate::tls;
use data_encoding::HEXLOWER;
use hyper::StatusCode;
use rustls::ClientConfig;
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// The longest answer, in bytes: a round has 250.
const ANSWER_BYTES_MAX: usize = 4096;

/// The reason for which a relay gave no round.
#[expect(missing_docs, reason = "the messages say what failed")]
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no relay is set")]
    NoRelay,
    #[error("{relay} does not answer: {error}")]
    NoAnswer { relay: String, error: io::Error },
    #[error("{relay} has no such round yet ({status})")]
    NoRound { relay: String, status: u16 },
    #[error("{relay} answers with something else than the round")]
    OtherAnswer { relay: String },
    #[error("{relay} gives a signature that is not the chain's")]
    Forged { relay: String },
}

/// The relays, and which of them is asked next.
pub struct Relays {
    urls: Vec<Url>,
    next: usize,
    /// Trust anchors; without a value those of the web, made when a relay first needs them.
    tls: Option<Arc<ClientConfig>>,
}

/// A round as relays write it. Its randomness follows from the signature.
#[derive(Deserialize)]
struct Answer {
    round: u64,
    signature: String,
}

impl Relays {
    /// These relays, the first of which is asked first; trusted by `tls`, or else as the web trusts
    /// them.
    pub fn new(urls: &[Url], tls: Option<Arc<ClientConfig>>) -> Self {
        Self { urls: urls.to_vec(), next: 0, tls }
    }

    /// The number of relays.
    pub fn len(&self) -> u32 {
        self.urls.len() as u32
    }

    /// True without a relay.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// Asks one relay for a round, until the deadline. After a failure, the next relay comes next.
    ///
    /// # Errors
    /// When the relay has no such round, or nothing that it answers is one.
    pub fn fetch(&mut self, chain: &DrandChain, round: u64, deadline: Instant) -> Result<Beacon, FetchError> {
        let url = self.urls.get(self.next).ok_or(FetchError::NoRelay)?.clone();
        let fetched = self.fetch_from(&url, chain, round, deadline);
        if fetched.is_err() {
            self.next = (self.next + 1) % self.urls.len();
        }
        fetched
    }

    fn fetch_from(&mut self, relay: &Url, chain: &DrandChain, round: u64, deadline: Instant) -> Result<Beacon, FetchError> {
        let name = || relay.to_string();
        let no_answer = |error| FetchError::NoAnswer { relay: name(), error };
        let tls = self.client_config().map_err(no_answer)?;
        let path = format!("{}/{}/public/{round}", relay.path.trim_end_matches('/'), HEXLOWER.encode(&chain.hash()));
        let url = Url { path, ..relay.clone() };
        let request = Request { tls: Some(&tls), ..Request::get(&url, deadline) };
        let response = request.send(ANSWER_BYTES_MAX).map_err(no_answer)?;
        if response.status != StatusCode::OK {
            return Err(FetchError::NoRound { relay: name(), status: response.status.as_u16() });
        }
        let other = || FetchError::OtherAnswer { relay: name() };
        let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| other())?;
        let signature: Signature =
            HEXLOWER.decode(answer.signature.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(other)?;
        if answer.round != round {
            return Err(other());
        }
        chain.verify(round, &signature).ok_or_else(|| FetchError::Forged { relay: name() })
    }

    fn client_config(&mut self) -> io::Result<Arc<ClientConfig>> {
        if self.tls.is_none() {
            self.tls = Some(Arc::new(tls::web_client().map_err(io::Error::other)?));
        }
        self.tls.clone().ok_or_else(|| io::Error::other("TLS cannot be set up"))
    }
}
