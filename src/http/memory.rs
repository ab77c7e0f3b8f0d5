//! Budgets of memory that all connections share: bodies being read, and answers under way.
//!
//! A bound per connection bounds no sum: 2,000 slow bodies of 64 KiB took 163 MB. A budget counts
//! bytes, gives them out at once or not at all, and gets them back when the bytes are dropped. What
//! exceeds it is refused with 503. The first bytes of each body and small answers are free, bounded
//! by the number of connections: a phone's usual calls never wait for a stranger's large ones.

use crate::http::response::{HttpError, HttpResponse};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of ordinary bodies being read.
const BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes of uploads being read. Their callers have proved who they are.
const UPLOAD_BYTES_MAX: usize = 24 << 20;
/// Bytes of answers under way that are not shared.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Bytes of the documents that answers share, until their last reader has gone: two of the largest,
/// the proof with the hashes of 300,000 registrations.
const DOCUMENT_BYTES_MAX: usize = 48 << 20;
/// The longest body that is no upload. Longer ones are read for authenticated callers alone.
const ORDINARY_BODY_MAX: usize = 64 << 10;
/// Bytes of a body or an answer that cost nothing.
const FREE_BYTES: usize = 4 << 10;

/// The budgets.
#[derive(Debug)]
pub struct MemoryBudgets {
    bodies: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    documents: Arc<Semaphore>,
}

impl Default for MemoryBudgets {
    fn default() -> Self {
        let [bodies, uploads, answers, documents] =
            [BODY_BYTES_MAX, UPLOAD_BYTES_MAX, ANSWER_BYTES_MAX, DOCUMENT_BYTES_MAX].map(|bytes| Arc::new(Semaphore::new(bytes)));
        Self { bodies, uploads, answers, documents }
    }
}

/// The bytes of one body so far.
#[derive(Debug)]
pub struct BodyCharge {
    budget: Arc<Semaphore>,
    charged: Option<OwnedSemaphorePermit>,
    free: usize,
}

impl MemoryBudgets {
    /// A charge for a body of at most `max` bytes.
    pub fn begin_body(&self, max: usize) -> BodyCharge {
        let budget = if max > ORDINARY_BODY_MAX { &self.uploads } else { &self.bodies };
        BodyCharge { budget: Arc::clone(budget), charged: None, free: FREE_BYTES }
    }

    /// Charges a document that many answers are going to share, once, until the last reference to
    /// it goes: a slow reader keeps an old version long after the newest has taken its place.
    ///
    /// # Errors
    /// 503 when the budget is exhausted.
    pub fn charge_document(&self, document: String) -> Result<Bytes, HttpError> {
        let charged = take(&self.documents, document.len()).ok_or_else(HttpError::overloaded)?;
        Ok(Bytes::from_owner(ChargedBytes { bytes: document.into(), _charged: charged }))
    }

    /// Charges an answer until its last byte is written. Bytes that others hold too cost nothing: a
    /// document is charged when it is made.
    ///
    /// # Errors
    /// 503 when the budget is exhausted.
    pub fn charge_answer(&self, response: HttpResponse) -> Result<HttpResponse, HttpError> {
        if response.body().size_hint().lower() <= FREE_BYTES as u64 {
            return Ok(response);
        }
        let (head, mut body) = response.into_parts();
        // A full body is there at once.
        let whole = body.frame().now_or_never().flatten().and_then(Result::ok).and_then(|frame| frame.into_data().ok());
        let bytes = whole.unwrap_or_default();
        if !bytes.is_unique() {
            return Ok(HttpResponse::from_parts(head, Full::new(bytes)));
        }
        let charged = take(&self.answers, bytes.len()).ok_or_else(HttpError::overloaded)?;
        Ok(HttpResponse::from_parts(head, Full::new(Bytes::from_owner(ChargedBytes { bytes, _charged: charged }))))
    }
}

impl BodyCharge {
    /// Charges further bytes until the charge is dropped.
    ///
    /// # Errors
    /// 503, which closes the connection, when the budget is exhausted.
    pub fn add(&mut self, bytes: usize) -> Result<(), HttpError> {
        let beyond = bytes.saturating_sub(self.free);
        self.free = self.free.saturating_sub(bytes);
        if beyond == 0 {
            return Ok(());
        }
        let more = take(&self.budget, beyond).ok_or_else(|| HttpError { closes: true, ..HttpError::overloaded() })?;
        match &mut self.charged {
            Some(charged) => charged.merge(more),
            None => self.charged = Some(more),
        }
        Ok(())
    }
}

/// Takes bytes from a budget at once, or not at all.
fn take(budget: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    Arc::clone(budget).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
}

/// Bytes that give their charge back when the last reference to them goes.
struct ChargedBytes {
    bytes: Bytes,
    _charged: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::response::with_type;

    fn answer(bytes: impl Into<Bytes>) -> HttpResponse {
        with_type("text/plain", bytes)
    }

    #[test]
    fn answers_are_charged_until_they_are_dropped_unless_they_are_shared() {
        let budgets = MemoryBudgets::default();
        let large = || answer(vec![7; ANSWER_BYTES_MAX / 4]);
        let under_way: Vec<_> = (0..4).map(|_| budgets.charge_answer(large()).unwrap()).collect();
        assert_eq!(under_way[0].body().size_hint().exact(), Some(ANSWER_BYTES_MAX as u64 / 4), "the bytes stay");
        let refused = budgets.charge_answer(answer(vec![7; FREE_BYTES + 1])).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.retry_after), (503, Some(1)));
        let shared = Bytes::from(vec![7; 1 << 20]);
        let free =
            [answer(shared.clone()), answer(shared.clone()), answer(&[7; FREE_BYTES * 2][..]), answer(vec![7; FREE_BYTES])];
        assert!(free.into_iter().all(|answer| budgets.charge_answer(answer).is_ok()));
        drop(under_way);
        assert_eq!(budgets.answers.available_permits(), ANSWER_BYTES_MAX);
    }

    #[test]
    fn a_document_is_charged_once_until_its_last_reader_has_gone() {
        let budgets = MemoryBudgets::default();
        let version = || budgets.charge_document("x".repeat(DOCUMENT_BYTES_MAX / 3 + 1));
        let (first, second) = (version().unwrap(), version().unwrap());
        let slow = budgets.charge_answer(answer(first.clone())).unwrap();
        assert_eq!(budgets.answers.available_permits(), ANSWER_BYTES_MAX, "its readers cost nothing");
        drop(first);
        assert_eq!(version().unwrap_err().status.as_u16(), 503, "a reader keeps the first version");
        drop(slow);
        assert!(version().is_ok());
        drop(second);
        assert_eq!(budgets.documents.available_permits(), DOCUMENT_BYTES_MAX);
    }

    #[test]
    fn small_bodies_are_read_however_many_large_ones_are() {
        let budgets = MemoryBudgets::default();
        let mut hostile = Vec::new();
        let refused = loop {
            let mut body = budgets.begin_body(ORDINARY_BODY_MAX);
            match body.add(ORDINARY_BODY_MAX) {
                Ok(()) => hostile.push(body),
                Err(refused) => break refused,
            }
        };
        assert!((120..=140).contains(&hostile.len()), "{}", hostile.len());
        assert_eq!((refused.status.as_u16(), refused.closes), (503, true));
        assert!(budgets.begin_body(ORDINARY_BODY_MAX).add(300).is_ok(), "a registration");
        assert!(budgets.begin_body(4 << 20).add(4 << 20).is_ok(), "an operator's picture");
        drop(hostile);
        assert_eq!(budgets.bodies.available_permits(), BODY_BYTES_MAX);
    }
}
