//! Sockets of phones on an edge.
//!
//! A phone is greeted from the mirror's snapshot and gets its frames from this edge's reactors. Its
//! token is verified at the origin, in a request of the link: a reactor never waits. Stages and
//! consoles have nothing here, and are refused as a socket with a wrong token is.

use crate::api::long_poll::{Answer, parse_since};
use crate::api::socket::wanted_role;
use crate::api::turn_meter::TurnMeters;
use crate::draw::{DrawId, EventId, Number};
use crate::edge::app::Edge;
use crate::edge::shared::{AskError, OwnPart, PeerRequest, Shared, Task};
use crate::http::request::RequestContext;
use crate::http::response::HttpResult;
use crate::http::upgrade;
use crate::live::message_handler::{Action, AuthState, MessageHandler, PeerContext, ResumePoint};
use crate::live::reactor::Admission;
use crate::live::room::{Room, Snapshot};
use crate::live::{CloseCode, Identity, Role};
use crate::wire::message::Message;
use crate::wire::{frame_text, reply, request, text_frame};
use bytes::Bytes;
use std::sync::Arc;

/// Proofs of one long poll, at most: a frame may come between a proof and its answer.
const PROOFS_MAX: u32 = 4;

/// `GET /ws/{event_id}`
pub async fn connect(request: RequestContext<Edge>) -> HttpResult {
    let admission = admission_for(&request).await;
    let app = Arc::clone(&request.app);
    upgrade::accept(request, move |socket| crate::api::socket::join(app.reactors.clone(), socket, admission.clone()))
}

async fn admission_for(request: &RequestContext<Edge>) -> Admission {
    let (shared, rejected) = (&request.app.shared, |code| Admission::Rejected { code });
    let Some(room) = EventId::parse(request.param(0)).and_then(|event| shared.directory.find(event.as_str())) else {
        let is_known = shared.origin.borrow().is_known;
        return rejected(if is_known { CloseCode::NoSuchEvent } else { CloseCode::Overloaded });
    };
    let wanted = wanted_role(request.query("role").as_deref(), request.query("client_type").as_deref());
    if wanted.is_some_and(|role| role != Role::Phone) {
        return rejected(CloseCode::BadToken);
    }
    let since = parse_since(request.query("since").as_deref(), request.query("epoch").as_deref()).unwrap_or(None);
    let Some(token) = request.query("token").filter(|token| !token.is_empty()) else {
        return Admission::Admitted { room, role: Role::Phone, identity: None, credential: None, since };
    };
    match shared.prove(&room.id, &token.into()).await {
        Ok(Some(proof)) => {
            let identity = Some(Identity { session: proof.session, number: proof.number });
            Admission::Admitted { room, role: Role::Phone, identity, credential: None, since }
        }
        Ok(None) => rejected(CloseCode::BadToken),
        Err(AskError::Unreachable | AskError::Unanswered) => rejected(CloseCode::Overloaded),
    }
}

/// The answer to a long poll with a token, and the snapshot that it is made of.
///
/// # Errors
/// 503 when the origin does not answer.
pub async fn poll_answer(shared: &Shared, room: &Room, token: &str) -> Result<(Arc<Snapshot>, Answer), AskError> {
    let token = token.into();
    for _ in 0..PROOFS_MAX {
        let Some(proof) = shared.prove(&room.id, &token).await? else {
            return Ok((room.snapshot(), Answer::Refused));
        };
        let snapshot = room.snapshot();
        let own = shared.own_part(&room.id, snapshot.event.session, proof.number);
        if let Some(own) = own.filter(|own| own.seq >= snapshot.ring.last_seq()) {
            let sync = frame_text(&with_own_part(&snapshot.sync[Role::Phone], &own));
            return Ok((snapshot, Answer::Authenticated { sync: String::from_utf8_lossy(&sync).into_owned() }));
        }
        // A draw was announced in between.
    }
    Err(AskError::Unanswered)
}

/// Handles the messages of phones on an edge. Each reactor has one.
pub struct EdgeMessages {
    shared: Arc<Shared>,
}

impl EdgeMessages {
    /// A handler for one reactor.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn post(&self, request: PeerRequest) -> Action {
        match self.shared.peer_requests.try_send(request) {
            Ok(()) => Action::Nothing,
            Err(_) => Action::Reply(reply::error("OVERLOADED", "the server is busy")),
        }
    }

    /// Passes a message on, with the token of a phone that has proved its number.
    fn pass_on(&self, speaker: &PeerContext<'_>, message: &[u8]) -> Action {
        let (event, session) = (speaker.room.id.clone(), speaker.snapshot.event.session);
        let token = speaker.number.and_then(|number| self.shared.token_of(&event, session, number));
        let message = Bytes::copy_from_slice(message);
        self.post(PeerRequest { event, token, task: Task::Message { peer: speaker.id, message } })
    }

    /// Passes the report of a sampled phone on. Nothing answers, since nothing depends on it.
    fn report_turn(&self, speaker: &PeerContext<'_>, draw: DrawId, message: &[u8]) -> Action {
        let (event, session) = (&speaker.room.id, speaker.snapshot.event.session);
        let participants = self.shared.handed_out.borrow().get(event).map_or(0, |(_, participants)| *participants);
        let sampled = |number: &Number| TurnMeters::is_sampled(*number, draw, participants);
        let token = speaker.number.filter(sampled).and_then(|number| self.shared.token_of(event, session, number));
        if token.is_some() {
            let task = Task::Report { message: Bytes::copy_from_slice(message) };
            self.post(PeerRequest { event: event.clone(), token, task });
        }
        Action::Nothing
    }
}

impl MessageHandler for EdgeMessages {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes {
        let (public, event) = (&snapshot.sync[role], &snapshot.event);
        let Some(number) = number else { return public.clone() };
        let Some(own) = self.shared.own_part(&event.id, event.session, number) else { return public.clone() };
        if own.seq < snapshot.ring.last_seq() {
            // A draw was announced since: the phone gets its own part anew.
            let token = self.shared.token_of(&event.id, event.session, number);
            // With a full queue it keeps the older one until it connects again.
            let _ = self.post(PeerRequest { event: event.id.clone(), token, task: Task::Refresh { number } });
        }
        with_own_part(public, &own)
    }

    fn handle(&mut self, speaker: &PeerContext<'_>, message: &mut [u8]) -> Action {
        let AuthState::Admitted(Role::Phone) = speaker.auth else { return Action::Close(CloseCode::BadToken) };
        match Message::read(message) {
            Err(invalid) => Action::Reply(reply::error("INVALID_REQUEST", &invalid.to_string())),
            Ok(Message::Ping) => Action::Reply(reply::pong(self.shared.clock.now())),
            Ok(Message::Identify(identify)) => {
                let Some(token) = identify.session_token else { return self.pass_on(speaker, message) };
                let epoch = identify.epoch.as_deref().and_then(request::epoch);
                let since = identify.since.zip(epoch).map(|(seq, epoch)| ResumePoint { epoch, seq });
                let task = Task::Identify { peer: speaker.id, since };
                self.post(PeerRequest { event: speaker.room.id.clone(), token: Some(token.into()), task })
            }
            Ok(Message::ImHere(_) | Message::SubmitWinnerInfo(..)) => self.pass_on(speaker, message),
            Ok(Message::Turned(turned)) => self.report_turn(speaker, DrawId(turned.draw_id), message),
            Ok(Message::Auth(_) | Message::JoinCode | Message::DrawComplete(_) | Message::Stage(_)) => {
                Action::Reply(reply::error("FORBIDDEN", "this is not a phone's to say"))
            }
        }
    }
}

/// The public state with a phone's own part in it. Both are of JSON that the origin made.
fn with_own_part(public: &Bytes, own: &OwnPart) -> Bytes {
    let text = frame_text(public);
    let Some((open, fields)) = std::str::from_utf8(&text).ok().zip(std::str::from_utf8(&own.fields).ok()) else {
        return public.clone();
    };
    match open.strip_suffix('}') {
        Some(open) if !fields.is_empty() => text_frame(&format!("{open},{fields}}}")),
        _ => public.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_s_own_part_goes_into_the_public_state() {
        let public = text_frame(r#"{"type":"state_sync","seq":7}"#);
        let own = |fields: &str| OwnPart { seq: 7, fields: Bytes::from(fields.to_owned()) };
        let both = frame_text(&with_own_part(&public, &own(r#""you":{"draw_number":3}"#)));
        assert_eq!(&both[..], br#"{"type":"state_sync","seq":7,"you":{"draw_number":3}}"#);
        assert_eq!(with_own_part(&public, &own("")), public);
    }
}
