//! An edge's application: everything that its handlers share.

use crate::base::secret::Secret;
use crate::edge::public_answers::PublicAnswers;
use crate::edge::shared::Shared;
use crate::live::reactor::Reactors;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// An edge's application, as its handlers reach it.
pub struct Edge {
    /// The state that the threads share.
    pub shared: Arc<Shared>,
    /// The threads that own the sockets.
    pub reactors: Reactors,
    /// The token that opens the metrics.
    pub metrics_token: Option<Secret>,
    /// Answers that are the same for every phone.
    pub public_answers: PublicAnswers,
    /// One permit per long-poll.
    pub long_polls: Semaphore,
    /// Cancelled once, when the edge stops.
    pub stopping: CancellationToken,
}
