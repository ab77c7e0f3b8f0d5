//! Requests of an edge's sockets: what a phone asked on its socket and the origin has to answer.
//!
//! A request runs as a task on the link's thread, which also hands frames out: between its last
//! look at a room and its action on a peer no frame can come.

use crate::draw::{EventId, Number};
use crate::edge::HEARTBEAT;
use crate::edge::shared::{AskError, PeerRequest, Proof, Shared, Task};
use crate::live::CloseCode;
use crate::live::message_handler::Action;
use crate::live::reactor::Reactors;
use crate::wire::reply;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Time that a phone's proof waits for an origin that is away, before the phone is sent away.
const PROOF_WAIT_MAX: Duration = Duration::from_secs(60);

/// Runs a request, and tells the socket.
pub async fn run(shared: &Shared, reactors: &Reactors, request: PeerRequest) {
    let PeerRequest { event, token, task } = request;
    match task {
        Task::Message { peer, message } => {
            let answered = shared.ask_message(&event, token.as_ref(), message).await;
            let action = match answered.map(|answer| answer.frames()) {
                Ok(Some(frames)) => Action::Reply(frames),
                Ok(None) => refusal("INVALID_REQUEST", "the origin does not take this"),
                Err(error) => refusal("OUTCOME_UNKNOWN", &error.to_string()),
            };
            reactors.act(peer, action);
        }
        Task::Identify { peer, since } => {
            let Some(token) = token else { return };
            let action = match prove(shared, &event, &token).await {
                // A reset came in between: after a reconnect the phone learns of it.
                Ok(Some(proof)) if !is_present(shared, &event, &proof) => Action::Close(CloseCode::Restarting),
                Ok(Some(proof)) => Action::Identify { number: proof.number, since, reply: proof.frame },
                Ok(None) => Action::Close(CloseCode::BadToken),
                Err(_) => Action::Close(CloseCode::Overloaded),
            };
            reactors.act(peer, action);
        }
        Task::Report { message } => {
            // It is one of a sample.
            let _ = shared.ask_message(&event, token.as_ref(), message).await;
        }
        Task::Refresh { number } => refresh(shared, reactors, &event, token, number).await,
    }
}

/// Proves a token; waits for an origin that is away, for a bounded time. The phone stays connected
/// meanwhile and gets every frame.
async fn prove(shared: &Shared, event: &EventId, token: &Arc<str>) -> Result<Option<Proof>, AskError> {
    let attempts = async {
        loop {
            let _ = shared.origin.subscribe().wait_for(|origin| origin.is_there).await;
            match shared.prove(event, token).await {
                Err(_) => tokio::time::sleep(HEARTBEAT / 2).await,
                proved => return proved,
            }
        }
    };
    tokio::time::timeout(PROOF_WAIT_MAX, attempts).await.unwrap_or(Err(AskError::Unreachable))
}

/// Sends the sockets of a number their own state anew.
async fn refresh(shared: &Shared, reactors: &Reactors, event: &EventId, token: Option<Arc<str>>, number: Number) {
    let (Some(token), Some(room)) = (token, shared.directory.find(event.as_str())) else { return };
    if let Ok(Some(proof)) = prove(shared, event, &token).await
        && proof.number == number
        && is_present(shared, event, &proof)
    {
        for peer in room.sockets_of(number) {
            reactors.act(peer, Action::Identify { number, since: None, reply: Bytes::new() });
        }
    }
}

/// Returns whether a number was proved in the session that the reactors have. No update comes
/// between this and an action on a peer, since one thread does both.
fn is_present(shared: &Shared, event: &EventId, proof: &Proof) -> bool {
    shared.directory.find(event.as_str()).is_some_and(|room| room.snapshot().event.session == proof.session)
}

fn refusal(code: &str, message: &str) -> Action {
    Action::Reply(reply::error(code, message))
}
