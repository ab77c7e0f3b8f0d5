//! Answers that are the same for every phone, asked of the origin once: the results after a frame,
//! and each picture.
//!
//! After an announcement thousands of phones ask for the same within a second. The first one asks
//! the origin, and the others wait for its answer. Only what nobody needs a credential for may come
//! here.

use crate::edge::shared::{Answer, AskError};
use crate::edge::update::Position;
use hyper::StatusCode;
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// Bytes of all answers, at most; one more empties the store.
const BYTES_MAX: usize = 16 << 20;

/// Answers, at most; one more empties the store.
const ANSWERS_MAX: usize = 512;

/// The answers, by their paths.
#[derive(Default)]
pub struct PublicAnswers {
    answers: Mutex<HashMap<String, Arc<Slot>>>,
    /// Bytes of the bodies. Relaxed: it bounds memory, and orders nothing.
    bytes: AtomicUsize,
}

/// The place of one answer.
struct Slot {
    /// The frame after which it was asked for; `None` for an answer that never changes.
    at: Option<Position>,
    answer: OnceCell<Answer>,
}

/// The reason why an answer is not kept.
enum NotKept {
    Failed(AskError),
    Refused(Box<Answer>),
}

impl PublicAnswers {
    /// The answer to `path` as of `at`, by `ask` where nobody has asked yet. Refusals are not kept.
    ///
    /// # Errors
    /// As `ask`.
    pub async fn get<F>(&self, path: &str, at: Option<Position>, ask: impl FnOnce() -> F) -> Result<Answer, AskError>
    where
        F: Future<Output = Result<Answer, AskError>>,
    {
        let slot = self.slot(path, at);
        let fetch = || async {
            match ask().await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    self.bytes.fetch_add(answer.body.len(), Relaxed);
                    Ok(answer)
                }
                Ok(answer) => Err(NotKept::Refused(Box::new(answer))),
                Err(error) => Err(NotKept::Failed(error)),
            }
        };
        match slot.answer.get_or_try_init(fetch).await {
            Ok(answer) => Ok(answer.clone()),
            Err(NotKept::Refused(answer)) => Ok(*answer),
            Err(NotKept::Failed(error)) => Err(error),
        }
    }

    fn slot(&self, path: &str, at: Option<Position>) -> Arc<Slot> {
        let mut answers = self.lock();
        if let Some(slot) = answers.get(path).filter(|slot| slot.at == at) {
            return Arc::clone(slot);
        }
        if answers.len() >= ANSWERS_MAX || self.bytes.load(Relaxed) > BYTES_MAX {
            answers.clear();
            self.bytes.store(0, Relaxed);
        }
        let slot = Arc::new(Slot { at, answer: OnceCell::new() });
        answers.insert(path.to_owned(), Arc::clone(&slot));
        slot
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Slot>>> {
        // Each change is one insertion, so a thread that panicked left nothing half done.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Epoch;
    use async_nats::HeaderMap;

    fn answer(status: StatusCode, body: &'static str) -> Answer {
        Answer { status, headers: HeaderMap::new(), body: body.into() }
    }

    /// Asks, and returns the body and how often the origin was asked.
    async fn ask(answers: &PublicAnswers, at: Option<Position>, status: StatusCode, body: &'static str) -> (String, usize) {
        let asked = AtomicUsize::new(0);
        let origin = || {
            asked.fetch_add(1, Relaxed);
            std::future::ready(Ok(answer(status, body)))
        };
        let answered = answers.get("/results", at, origin).await.ok().unwrap();
        (String::from_utf8_lossy(&answered.body).into_owned(), asked.load(Relaxed))
    }

    #[tokio::test]
    async fn the_origin_is_asked_once_per_frame() {
        let answers = PublicAnswers::default();
        let at = |seq| Some(Position { epoch: Epoch([1; 8]), seq });
        assert_eq!(ask(&answers, at(1), StatusCode::OK, "first").await, ("first".into(), 1));
        assert_eq!(ask(&answers, at(1), StatusCode::OK, "other").await, ("first".into(), 0));
        assert_eq!(ask(&answers, at(2), StatusCode::OK, "second").await, ("second".into(), 1));
    }

    #[tokio::test]
    async fn a_refusal_is_handed_on_and_not_kept() {
        let answers = PublicAnswers::default();
        assert_eq!(ask(&answers, None, StatusCode::NOT_FOUND, "none").await, ("none".into(), 1));
        assert_eq!(ask(&answers, None, StatusCode::OK, "there").await, ("there".into(), 1));
    }

    #[tokio::test]
    async fn the_store_is_bounded() {
        let answers = PublicAnswers::default();
        for index in 0..2 * ANSWERS_MAX {
            let body = std::future::ready(Ok(answer(StatusCode::OK, "x")));
            answers.get(&index.to_string(), None, || body).await.ok().unwrap();
            assert!(answers.lock().len() <= ANSWERS_MAX);
        }
    }
}
