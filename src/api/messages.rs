//! What sockets say, and what is done about it: most is answered at once from what the speaker has been told, the rest becomes an order.
//!
//! Runs on a stage's thread, so that nothing here waits: where the sequencer's inbox is full the peer hears so. A phone can do nothing but be a
//! phone, and what it asks is answered as to the public. An order's answer comes back through the stage, after every frame that was published before.

use crate::api::app::Settings;
use crate::api::auth::prove;
use crate::api::participants::{number_of, own};
use crate::api::state::personal;
use crate::draw::command::DrawSelector;
use crate::draw::{Actor, Command, DrawId, Number};
use crate::live::directory::Directory;
use crate::live::protocol::{Action, MessageHandler, Since, Speaker, Standing};
use crate::live::snapshot::Snapshot;
use crate::live::{CloseCode, Role};
use crate::sequencer::inbox::{Inbox, Request, Responder};
use crate::store::tokens::Tokens;
use crate::wire::message::{Auth, DrawComplete, Identify, ImHere, Message, SubmitWinnerInfo};
use crate::wire::parse::Invalid;
use crate::wire::reply::{self, Acknowledged};
use crate::wire::request::{self, ContactBody};
use crate::wire::text_frame;
use bytes::Bytes;
use std::sync::Arc;

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

impl MessageHandler for Messages {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes {
        let room = self.directory.find(snapshot.event.id.as_str());
        match (number, room) {
            (Some(number), Some(room)) => own(&self.tokens, &self.settings, &snapshot.event, number, |own| {
                text_frame(&personal(&room, snapshot, role, own))
            }),
            // Nobody's own, or a room that is being taken down at this moment.
            _ => snapshot.sync[role].clone(),
        }
    }

    fn hear(&mut self, speaker: &Speaker<'_>, message: &mut [u8]) -> Action {
        let message = match (Message::read(message), speaker.standing) {
            (Ok(message), _) => message,
            (Err(_), Standing::Awaiting(_)) => return Action::Close(CloseCode::BadToken),
            (Err(invalid), Standing::Admitted(_)) => return error("INVALID_REQUEST", &invalid.to_string()),
        };
        match (speaker.standing, message) {
            (Standing::Awaiting(role), Message::Auth(auth)) => self.admit(speaker, role, &auth),
            // The first message proves, or nothing does.
            (Standing::Awaiting(_), _) => Action::Close(CloseCode::BadToken),
            (Standing::Admitted(_), Message::Ping) => Action::Reply(reply::pong()),
            (Standing::Admitted(Role::Phone), Message::Auth(_) | Message::DrawComplete(_)) => {
                error("FORBIDDEN", "this is not a phone's to say")
            }
            // A page that was known by its cookie proves itself all the same.
            (Standing::Admitted(_), Message::Auth(_)) => Action::Nothing,
            (Standing::Admitted(role), Message::Identify(identify)) => self.identify(speaker, role, &identify),
            (Standing::Admitted(role), Message::DrawComplete(complete)) => self.complete(speaker, role, complete),
            (Standing::Admitted(_), Message::SubmitWinnerInfo(info, contact)) => {
                self.take_details(speaker, info, contact).unwrap_or_else(|denied| denied)
            }
            (Standing::Admitted(_), Message::ImHere(here)) => self.note_arrival(speaker, &here),
        }
    }
}

impl Messages {
    fn admit(&self, speaker: &Speaker<'_>, role: Role, auth: &Auth) -> Action {
        // Of the room as it is: a link may be younger than any frame.
        let proved = prove(&self.settings, &self.tokens, Some(&speaker.room.snapshot().event), &auth.token);
        match proved.filter(|proved| proved.may_be(role)) {
            Some(_) => Action::Admit(role),
            None => Action::Close(CloseCode::BadToken),
        }
    }

    /// A token proves a number; an old phone only says one, and is told what anybody may know of it.
    fn identify(&self, speaker: &Speaker<'_>, role: Role, identify: &Identify) -> Action {
        let event = &speaker.snapshot.event;
        let Some(token) = &identify.session_token else {
            return match identify.draw_number {
                Some(number) => Action::Reply(reply::identified(event, Number(number))),
                None => error("INVALID_REQUEST", "draw_number: is missing"),
            };
        };
        // Asked of the room, not of what the stage last walked: a number is committed, and its phone may be here, before any frame tells of it.
        let present = speaker.room.snapshot();
        if present.event.session != event.session {
            // A reset is on its way to this stage, and would take the number away again. Whoever comes back finds it done.
            return Action::Close(CloseCode::Restarting);
        }
        let number = number_of(&self.tokens, &present.event, token);
        match (number, role) {
            (Some(number), Role::Phone) => {
                let epoch = identify.epoch.as_deref().and_then(request::epoch);
                let since = identify.since.zip(epoch).map(|(seq, epoch)| Since { epoch, seq });
                let reply = own(&self.tokens, &self.settings, event, number, |own| reply::recognized(event, own));
                Action::Identify { number, since, reply }
            }
            (Some(number), _) => {
                Action::Reply(own(&self.tokens, &self.settings, event, number, |own| reply::recognized(event, own)))
            }
            (None, Role::Phone) => Action::Close(CloseCode::BadToken),
            (None, _) => error("UNAUTHORIZED", "the token is not of this event"),
        }
    }

    fn complete(&self, speaker: &Speaker<'_>, role: Role, complete: DrawComplete) -> Action {
        let which = match (complete.draw_id, complete.winners) {
            (Some(id), _) => DrawSelector::Draw(DrawId(id)),
            (None, Some(winners)) if !winners.is_empty() => DrawSelector::Winners(winners.into_iter().map(Number).collect()),
            _ => DrawSelector::Latest,
        };
        let actor = if role == Role::Admin { Actor::Admin } else { Actor::Display };
        self.order(speaker, actor, Command::Complete(which), Acknowledged::DrawComplete)
    }

    /// The number is the speaker's own; in open mode, as before, the one that the message says.
    fn take_details(&self, speaker: &Speaker<'_>, info: SubmitWinnerInfo, contact: ContactBody) -> Result<Action, Action> {
        let denied = |code, why: &str| Action::Reply(Acknowledged::SubmitWinnerInfo.refuse(code, why));
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
        let contact = contact.check(self.settings.open).map_err(invalid)?;
        let (event, reply) =
            (speaker.room.id.clone(), Responder::Peer { peer: speaker.id, message: Acknowledged::SubmitWinnerInfo });
        Ok(self.post(Request::SubmitDetails { event, number, win: pick, contact, reply }))
    }

    fn note_arrival(&self, speaker: &Speaker<'_>, here: &ImHere) -> Action {
        let Some(number) = speaker.number else {
            return Action::Reply(Acknowledged::ImHere.refuse("UNAUTHORIZED", "this phone has not proved its number"));
        };
        self.order(speaker, Actor::Phone, Command::Arrive { draw: DrawId(here.draw_id), number }, Acknowledged::ImHere)
    }

    fn order(&self, speaker: &Speaker<'_>, actor: Actor, command: Command, message: Acknowledged) -> Action {
        let (event, reply) = (speaker.room.id.clone(), Responder::Peer { peer: speaker.id, message });
        self.post(Request::Command { event, actor, command, reply })
    }

    fn post(&self, order: Request) -> Action {
        match self.inbox.post(order) {
            Ok(()) => Action::Nothing,
            Err(rejection) => error(rejection.code(), &rejection.to_string()),
        }
    }
}

fn error(code: &str, message: &str) -> Action {
    Action::Reply(reply::error(code, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::app::sample_settings;
    use crate::draw::{Event, WinSelector, sample};
    use crate::live::ByRole;
    use crate::live::ring::Ring;
    use crate::live::room::Room;
    use crate::live::roster::Roster;
    use crate::store::keys::Keys;
    use crate::wire::frame_text;
    use crossbeam::channel::{Receiver, bounded};
    use serde_json::{Value, json};

    const TV: &str = "TV";
    const PHONE: Standing = Standing::Admitted(Role::Phone);
    const DISPLAY: Standing = Standing::Admitted(Role::Display);

    /// An event, an interpreter, and where its orders arrive.
    struct Hall {
        messages: Messages,
        room: Arc<Room>,
        orders: Receiver<Box<Request>>,
        token: String,
    }

    impl Hall {
        fn new(event: Event, open: bool, inbox_max: usize) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let tokens = Tokens::new(&Keys::open(folder.path()).unwrap());
            let token = tokens.session_token(event.session, Number(3));
            let sync = ByRole::from_fn(|role| text_frame(&format!(r#"{{"for":"{role:?}"}}"#)));
            let roster = Arc::new(Roster::new(10, 11));
            let room = Arc::new(Room::new(Arc::new(Snapshot { revision: 1, event, roster, ring: Ring::default(), sync })));
            let directory = Arc::new(Directory::default());
            directory.insert(Arc::clone(&room));
            let (sender, orders) = bounded(inbox_max);
            let settings = Settings { open, ..sample_settings() };
            Self { messages: Messages::new(settings, tokens, directory, Inbox::new(sender)), room, orders, token }
        }

        fn hear(&mut self, standing: Standing, number: Option<u32>, message: &Value) -> Action {
            self.hear_bytes(standing, number, message.to_string().as_bytes())
        }

        fn hear_bytes(&mut self, standing: Standing, number: Option<u32>, message: &[u8]) -> Action {
            let (room, snapshot) = (Arc::clone(&self.room), self.room.snapshot());
            let id = crate::live::PeerId { stage: 0, slot: 0, generation: 0 };
            let speaker = Speaker { id, standing, number: number.map(Number), room: &room, snapshot: &snapshot };
            self.messages.hear(&speaker, &mut message.to_vec())
        }

        /// The one command that was ordered, and by whom.
        fn ordered(&self) -> (Actor, Command) {
            match self.orders.try_recv().map(|order| *order) {
                Ok(Request::Command { actor, command, .. }) => (actor, command),
                other => panic!("no command: {other:?}"),
            }
        }
    }

    fn hall() -> Hall {
        Hall::new(sample::event().announced(TV, &[3]).build(), false, 8)
    }

    fn said(answer: &Action) -> Value {
        match answer {
            Action::Reply(frame) => serde_json::from_slice(&frame_text(frame)).unwrap(),
            other => panic!("no reply: {other:?}"),
        }
    }

    fn details(number: u32) -> Value {
        json!({"type": "submit_winner_info", "event_id": "gala", "draw_number": number, "prize_name": TV,
               "name": "Kim", "phone": "010-1234-5678", "consent": true})
    }

    #[test]
    fn the_first_message_proves_a_role_or_nothing_does() {
        let mut hall = hall();
        let awaiting = Standing::Awaiting(Role::Admin);
        let right = hall.messages.settings.admin_token.clone();
        assert_eq!(hall.hear(awaiting, None, &json!({"type": "auth", "token": right})), Action::Admit(Role::Admin));
        let phones = hall.token.clone();
        for message in
            [json!({"type": "auth", "token": "wrong"}), json!({"type": "auth", "token": phones}), json!({"type": "ping"})]
        {
            assert_eq!(hall.hear(awaiting, None, &message), Action::Close(CloseCode::BadToken), "{message}");
        }
        assert_eq!(hall.hear_bytes(awaiting, None, b"{"), Action::Close(CloseCode::BadToken));
    }

    #[test]
    fn a_phone_can_do_nothing_but_be_a_phone() {
        let mut hall = hall();
        for message in [json!({"type": "draw_complete"}), json!({"type": "auth", "token": "a token for tests"})] {
            assert_eq!(said(&hall.hear(PHONE, Some(3), &message))["code"], "FORBIDDEN", "{message}");
        }
        assert!(hall.orders.is_empty());
        assert_eq!(said(&hall.hear(PHONE, None, &json!({"type": "reroll"})))["code"], "INVALID_REQUEST");
        assert_eq!(hall.hear(PHONE, None, &json!({"type": "ping", "at": 1})), Action::Reply(reply::pong()));
    }

    #[test]
    fn a_number_that_is_only_said_proves_nothing() {
        let mut hall = hall();
        let answer = hall.hear(PHONE, None, &json!({"type": "identify", "draw_number": 3}));
        assert_eq!((said(&answer)["type"].clone(), said(&answer)["won"].clone()), (json!("already_won"), json!(true)));
        let proof = json!({"type": "identify", "session_token": hall.token, "since": 7, "epoch": "0202020202020202"});
        let since = Some(Since { epoch: crate::draw::Epoch([2; 8]), seq: 7 });
        let Action::Identify { number, since: from, .. } = hall.hear(PHONE, None, &proof) else { panic!("not identified") };
        assert_eq!((number, from), (Number(3), since));
        let forged = json!({"type": "identify", "session_token": "3.forged"});
        assert_eq!(hall.hear(PHONE, None, &forged), Action::Close(CloseCode::BadToken));
    }

    #[test]
    fn a_revealed_draw_is_nobody_s_win_yet_whoever_asks() {
        let mut hall = Hall::new(sample::event().revealed(TV, &[3]).build(), true, 8);
        for standing in [PHONE, DISPLAY] {
            let answer = hall.hear(standing, None, &json!({"type": "identify", "draw_number": 3}));
            assert_eq!(said(&answer)["type"], "identify_ack");
        }
    }

    #[test]
    fn a_completion_names_its_draw_in_three_ways() {
        let mut hall = hall();
        let ways = [
            (json!({"type": "draw_complete", "draw_id": 7, "winners": [1]}), DrawSelector::Draw(DrawId(7))),
            (json!({"type": "draw_complete", "winners": [4, 2]}), DrawSelector::Winners(vec![Number(4), Number(2)])),
            (json!({"type": "draw_complete", "winners": []}), DrawSelector::Latest),
        ];
        for (message, which) in ways {
            assert_eq!(hall.hear(DISPLAY, None, &message), Action::Nothing);
            assert_eq!(hall.ordered(), (Actor::Display, Command::Complete(which)));
        }
    }

    #[test]
    fn details_are_the_speaker_s_own_except_in_open_mode() {
        let mut hall = hall();
        assert_eq!(hall.hear(PHONE, Some(3), &details(3)), Action::Nothing);
        let pick = WinSelector::PrizeNamed(TV.into());
        let Ok(Request::SubmitDetails { win, number, contact, .. }) = hall.orders.try_recv().map(|order| *order) else {
            panic!("no details were submitted");
        };
        assert_eq!((win, number, contact.name.as_str(), contact.address), (pick, Number(3), "Kim", None));
        for (number, message, code) in [
            (None, details(3), "UNAUTHORIZED"),
            (Some(4), details(3), "NOT_A_WINNER"),
            (
                Some(3),
                json!({"type": "submit_winner_info", "prize_name": TV, "name": "Kim", "phone": "010-1234-5678"}),
                "INVALID_REQUEST",
            ),
        ] {
            let answer = said(&hall.hear(PHONE, number, &message));
            assert_eq!((&answer["success"], &answer["code"]), (&json!(false), &json!(code)), "{answer}");
        }
        let mut open = Hall::new(sample::event().announced(TV, &[3]).build(), true, 8);
        let mut old = details(3);
        old.as_object_mut().unwrap().remove("consent");
        assert_eq!(open.hear(DISPLAY, None, &old), Action::Nothing, "an old page is trusted");
        assert!(hall.orders.is_empty() && !open.orders.is_empty());
    }

    #[test]
    fn a_full_inbox_is_said_to_be_full() {
        let mut hall = Hall::new(sample::event().build(), false, 1);
        assert_eq!(hall.hear(DISPLAY, None, &json!({"type": "draw_complete"})), Action::Nothing);
        assert_eq!(said(&hall.hear(DISPLAY, None, &json!({"type": "draw_complete"})))["code"], "OVERLOADED");
    }

    #[test]
    fn a_state_sync_is_ready_made_unless_it_is_somebody_s_own() {
        let hall = hall();
        let snapshot = hall.room.snapshot();
        assert_eq!(hall.messages.state_sync(&snapshot, Role::Admin, None), snapshot.sync[Role::Admin]);
        assert_ne!(hall.messages.state_sync(&snapshot, Role::Phone, Some(Number(3))), snapshot.sync[Role::Phone]);
    }
}
