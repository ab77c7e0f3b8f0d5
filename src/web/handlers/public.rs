//! What everybody may read: the announced results and the proof of how they came about.

use super::participants::{event_named, find};
use crate::web::answer::{Answer, success};
use crate::web::call::Call;
use crate::wire::view::{draws, proof};

/// `GET /results`
pub async fn results(call: Call) -> Answer {
    let snapshot = find(&call.app, &event_named(&call)?)?.snapshot();
    success(&draws::results(&snapshot.event), "the announced draws")
}

/// `GET /proof`
pub async fn proof(call: Call) -> Answer {
    let snapshot = find(&call.app, &event_named(&call)?)?.snapshot();
    success(&proof::proof(&snapshot.event), "what each pick was made of")
}
