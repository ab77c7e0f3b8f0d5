//! What sockets say, and what is done about it: most is answered at once from what the speaker has been told, the rest becomes an order.
//!
//! Runs on a stage's thread, so that nothing here waits: where the sequencer's inbox is full the peer hears so. A phone can do nothing but be a
//! phone, and what it asks is answered as to the public. An order's answer comes back through the stage, after every frame that was published before.

use super::answer::Failure;
use super::app::Settings;
use super::auth::prove;
use super::participants::{hand_in, number_of};
use super::state::personal;
use crate::draw::command::Which;
use crate::draw::{Actor, Command, DrawId, EventId, Number, Outcome};
use crate::live::directory::Directory;
use crate::live::protocol::{Answer, Protocol, Since, Speaker, Standing};
use crate::live::snapshot::Snapshot;
use crate::live::{CloseCode, PeerId, Role};
use crate::sequencer::inbox::{Denial, Granted, Inbox, Order, Reply};
use crate::token::Tokens;
use crate::wire::message::{Auth, DrawComplete, Identify, ImHere, Message, SubmitWinnerInfo};
use crate::wire::parse::{Invalid, parse};
use crate::wire::state_sync::Voice;
use crate::wire::text::text_frame;
use crate::wire::{reply, request};
use bytes::Bytes;
use std::sync::Arc;

const COMPLETE_ACK: &str = "draw_complete_ack";
const DETAILS_ACK: &str = "submit_winner_info_ack";
const HERE_ACK: &str = "im_here_ack";

/// Understands what peers say.
pub struct Messages {
    settings: Settings,
    tokens: Tokens,
    directory: Arc<Directory>,
    inbox: Inbox,
}

impl Messages {
    /// An interpreter for one stage.
    pub fn new(settings: Settings, tokens: Tokens, directory: Arc<Directory>, inbox: Inbox) -> Self {
        Self { settings, tokens, directory, inbox }
    }
}

impl Protocol for Messages {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes {
        let room = self.directory.find(snapshot.event.id.as_str());
        match (number, room) {
            (Some(number), Some(room)) => text_frame(&personal(&room, snapshot, voice(role), number)),
            // Nobody's own, or a room that is being taken down at this moment.
            _ => snapshot.sync[role].clone(),
        }
    }

    fn hear(&mut self, speaker: &Speaker<'_>, message: &mut [u8]) -> Answer {
        let message = match (parse(message), speaker.standing) {
            (Ok(message), _) => message,
            (Err(_), Standing::Awaiting(_)) => return Answer::Close(CloseCode::BadToken),
            (Err(invalid), Standing::Admitted(_)) => return error("INVALID_REQUEST", &invalid.to_string()),
        };
        match (speaker.standing, message) {
            (Standing::Awaiting(role), Message::Auth(auth)) => self.admit(speaker, role, &auth),
            // The first message proves, or nothing does.
            (Standing::Awaiting(_), _) => Answer::Close(CloseCode::BadToken),
            (Standing::Admitted(_), Message::Ping) => Answer::Reply(reply::pong()),
            (Standing::Admitted(Role::Phone), Message::Auth(_) | Message::DrawComplete(_)) => {
                error("FORBIDDEN", "this is not a phone's to say")
            }
            // A page that was known by its cookie proves itself all the same.
            (Standing::Admitted(_), Message::Auth(_)) => Answer::Nothing,
            (Standing::Admitted(role), Message::Identify(identify)) => self.identify(speaker, role, &identify),
            (Standing::Admitted(role), Message::DrawComplete(complete)) => self.complete(speaker, role, complete),
            (Standing::Admitted(_), Message::SubmitWinnerInfo(info)) => {
                self.take_details(speaker, info).unwrap_or_else(|denied| denied)
            }
            (Standing::Admitted(_), Message::ImHere(here)) => self.note_arrival(speaker, &here),
        }
    }
}

impl Messages {
    fn admit(&self, speaker: &Speaker<'_>, role: Role, auth: &Auth) -> Answer {
        let proved = prove(&self.settings, &self.tokens, Some(&speaker.snapshot.event), &auth.token);
        match proved.filter(|proved| proved.may_be(role)) {
            Some(_) => Answer::Admit(role),
            None => Answer::Close(CloseCode::BadToken),
        }
    }

    /// A token proves a number; an old phone only says one, and is told what anybody may know of it.
    fn identify(&self, speaker: &Speaker<'_>, role: Role, identify: &Identify) -> Answer {
        let event = &speaker.snapshot.event;
        let Some(token) = &identify.session_token else {
            return match identify.draw_number {
                Some(number) => Answer::Reply(reply::identified(event, Number(number))),
                None => error("INVALID_REQUEST", "draw_number: is missing"),
            };
        };
        match (number_of(&self.tokens, event, token), role) {
            (Some(number), Role::Phone) => {
                let epoch = identify.epoch.as_deref().and_then(request::epoch);
                let since = identify.since.zip(epoch).map(|(seq, epoch)| Since { epoch, seq });
                Answer::Identify { number, since, reply: reply::identified(event, number) }
            }
            (Some(number), _) => Answer::Reply(reply::identified(event, number)),
            (None, Role::Phone) => Answer::Close(CloseCode::BadToken),
            (None, _) => error("UNAUTHORIZED", "the token is not of this event"),
        }
    }

    fn complete(&self, speaker: &Speaker<'_>, role: Role, complete: DrawComplete) -> Answer {
        let which = match (complete.draw_id, complete.winners) {
            (Some(id), _) => Which::Draw(DrawId(id)),
            (None, Some(winners)) if !winners.is_empty() => Which::Winners(winners.into_iter().map(Number).collect()),
            _ => Which::Latest,
        };
        let actor = if role == Role::Admin { Actor::Admin } else { Actor::Display };
        self.order(speaker, actor, Command::Complete(which), completed)
    }

    /// The number is the speaker's own; in open mode, as before, the one that the message says.
    fn take_details(&self, speaker: &Speaker<'_>, info: SubmitWinnerInfo) -> Result<Answer, Answer> {
        let denied = |code, why: &str| Answer::Reply(reply::denied(DETAILS_ACK, code, why));
        let invalid = |invalid: Invalid| denied("INVALID_REQUEST", &invalid.to_string());
        if info.event_id.is_some_and(|event| event != speaker.room.id.as_str()) {
            return Err(denied("EVENT_NOT_FOUND", "this socket is another event's"));
        }
        let said = info.draw_number.map(Number);
        let number = match (self.settings.open, speaker.number) {
            (true, own) => said.or(own).ok_or_else(|| invalid(Invalid::field("draw_number", "is missing")))?,
            (false, Some(own)) if said.is_none_or(|said| said == own) => own,
            (false, Some(_)) => return Err(denied("NOT_A_WINNER", "this is another phone's number")),
            (false, None) => return Err(denied("UNAUTHORIZED", "this phone has not proved its number")),
        };
        let pick = request::pick(info.draw_id, info.prize_name).map_err(invalid)?;
        let contact = info.contact.check(self.settings.open).map_err(invalid)?;
        let whisper = Reply::Peer { peer: speaker.id, encode: details_received };
        Ok(self.post(hand_in(speaker.room.id.clone(), number, pick, contact, whisper)))
    }

    fn note_arrival(&self, speaker: &Speaker<'_>, here: &ImHere) -> Answer {
        let Some(number) = speaker.number else {
            return Answer::Reply(reply::denied(HERE_ACK, "UNAUTHORIZED", "this phone has not proved its number"));
        };
        self.order(speaker, Actor::Phone, Command::Arrive { draw: DrawId(here.draw_id), number }, arrived)
    }

    fn order(&self, speaker: &Speaker<'_>, actor: Actor, command: Command, encode: Encode) -> Answer {
        let (event, peer): (EventId, PeerId) = (speaker.room.id.clone(), speaker.id);
        self.post(Order::Command { event, actor, command, details: None, reply: Reply::Peer { peer, encode } })
    }

    fn post(&self, order: Order) -> Answer {
        match self.inbox.post(order) {
            Ok(()) => Answer::Nothing,
            Err(denial) => {
                let Failure { code, message, .. } = denial.into();
                error(code, &message)
            }
        }
    }
}

/// Makes the frames of an order's answer.
type Encode = fn(&Result<Granted, Denial>) -> Bytes;

fn completed(result: &Result<Granted, Denial>) -> Bytes {
    match result {
        Ok(Granted { outcome: Outcome::Completed(id), snapshot }) => match snapshot.event.draw(*id) {
            Some(draw) => reply::completed(draw),
            // A reset in the same batch took it away.
            None => reply::denied(COMPLETE_ACK, "COMPLETE_FAILED", "the draw was reset"),
        },
        other => denied(COMPLETE_ACK, other),
    }
}

fn details_received(result: &Result<Granted, Denial>) -> Bytes {
    match result {
        Ok(Granted { outcome: Outcome::Details { draw, .. }, .. }) => reply::details_received(*draw),
        other => denied(DETAILS_ACK, other),
    }
}

fn arrived(result: &Result<Granted, Denial>) -> Bytes {
    match result {
        Ok(_) => reply::arrived(),
        other => denied(HERE_ACK, other),
    }
}

/// The frame for an order that was denied, or granted with an outcome that is not its own, which the rules rule out.
fn denied(r#type: &'static str, result: &Result<Granted, Denial>) -> Bytes {
    match result {
        Err(denial) => {
            let Failure { code, message, .. } = denial.clone().into();
            reply::denied(r#type, code, &message)
        }
        Ok(_) => reply::denied(r#type, "INTERNAL_ERROR", "the server lost its way"),
    }
}

fn error(code: &str, message: &str) -> Answer {
    Answer::Reply(reply::error(code, message))
}

fn voice(role: Role) -> Voice {
    match role {
        Role::Phone => Voice::Phone,
        Role::Display => Voice::Display,
        Role::Admin => Voice::Admin,
    }
}
