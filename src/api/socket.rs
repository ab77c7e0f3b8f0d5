//! WebSockets: which role a socket gets when it connects, and what its messages do.
//!
//! A browser shows no reason for a refused handshake, so every proper handshake succeeds, and the
//! close code says why a socket may not stay. A phone proves its number by its token; a display or
//! console its role by a token, the login cookie, or else by its first message within 5 seconds.
//!
//! Messages are handled on a reactor's thread, so nothing here waits: most are answered at once
//! from the peer's snapshot, the rest become requests to the sequencer, and a full inbox is an
//! error frame. A phone can do nothing but be a phone, and its questions are answered as to the
//! public. A request's reply comes back through the reactor, after every frame that was published
//! before.

use crate::api::app::{ApiRequest, Settings};
use crate::api::auth::{Credential, delay_wrong_token, verify};
use crate::api::long_poll::{parse_since, personal_sync};
use crate::api::old_clients;
use crate::api::phone::with_private_view;
use crate::api::revoked_logins::RevokedLogins;
use crate::api::stage_registry::Stages;
use crate::api::turn_meter::TurnMeters;
use crate::base::clock::{SteadyClock, wall_clock};
use crate::base::secret::Secret;
use crate::draw::command::DrawSelector;
use crate::draw::entry_code::EntryCode;
use crate::draw::{Actor, Command, DrawId, Event, Number, Phase, Registration};
use crate::http::response::HttpResult;
use crate::http::upgrade::{self, UpgradedSocket};
use crate::live::message_handler::{Action, AuthState, MessageHandler, PeerContext, ResumePoint, RevocableCredential};
use crate::live::reactor::{Admission, Join, Reactors};
use crate::live::room::{Directory, Room, Snapshot};
use crate::live::{CloseCode, Identity, Role};
use crate::sequencer::inbox::{Inbox, Request, Responder};
use crate::store::tokens::{ENTRY_CODE_PERIOD_MS, Login, Tokens};
use crate::wire::message::{Auth, DrawComplete, Identify, ImHere, Message, SubmitWinnerInfo, Turned};
use crate::wire::parse::Invalid;
use crate::wire::reply::{self, Acknowledged};
use crate::wire::request::{self, ContactBody};
use crate::wire::text_frame;
use bytes::Bytes;
use hyper::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Attempts, and their distance, to find room on a reactor: for 2 seconds, then the socket is
/// closed with 1013.
const JOIN_ATTEMPTS_MAX: u32 = 400;
const JOIN_RETRY_GAP: Duration = Duration::from_millis(5);

/// Credentials of a handshake, already verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presented {
    Nothing,
    /// A valid login, whose cookie came from this server's own page.
    Login(Login),
    /// A token; what it proves as a phone's, and what as any other.
    Token {
        number: Option<Number>,
        credential: Option<Credential>,
    },
}

impl Presented {
    /// The credential, if it may end before its socket.
    fn revocable(self) -> Option<RevocableCredential> {
        match self {
            Presented::Token { credential: Some(Credential::Link(link, _)), .. } => Some(RevocableCredential::Link(link)),
            Presented::Login(Login { id, expires_at }) => Some(RevocableCredential::Login { id, expires_at }),
            Presented::Token { .. } | Presented::Nothing => None,
        }
    }
}

/// The role of a new socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoleDecision {
    Admitted(Role, Option<Number>),
    /// The first message must prove the role.
    Pending(Role),
    BadToken,
}

/// `GET /ws/{event_id}`
pub async fn connect(request: ApiRequest) -> HttpResult {
    let entry = entry_for(&request).await;
    if let Admission::Rejected { code: CloseCode::BadToken } = entry {
        delay_wrong_token().await;
    }
    let app = Arc::clone(&request.app);
    upgrade::accept(request, move |socket| join(app.reactors.clone(), socket, entry.clone()))
}

/// Hands a socket to a reactor that has room. When a hall of phones comes at one instant,
/// handshakes are done faster than a reactor on the same core takes sockets in; they wait here, on
/// their worker, and are not sent away.
pub async fn join(reactors: Reactors, socket: UpgradedSocket, entry: Admission) {
    let UpgradedSocket { socket, tls, response, read_ahead, permit } = socket;
    let mut join = Box::new(Join { socket, tls, response, read_ahead, admission: entry, permit: Some(permit) });
    for _ in 0..JOIN_ATTEMPTS_MAX {
        match reactors.try_join(join) {
            Ok(()) => return,
            Err(full) => join = full,
        }
        tokio::time::sleep(JOIN_RETRY_GAP).await;
    }
    join.reject(CloseCode::Overloaded);
}

async fn entry_for(request: &ApiRequest) -> Admission {
    let app = &request.app;
    let room = match app.find_or_open_room(request.param(0)).await {
        Ok(room) => room,
        Err(error) if error.status == StatusCode::SERVICE_UNAVAILABLE => {
            return Admission::Rejected { code: CloseCode::Overloaded };
        }
        Err(_) => return Admission::Rejected { code: CloseCode::NoSuchEvent },
    };
    let snapshot = room.snapshot();
    if snapshot.event.phase == Phase::Closed {
        return Admission::Rejected { code: CloseCode::NoSuchEvent };
    }
    let presented = match request.query("token").filter(|token| !token.is_empty()) {
        Some(token) => Presented::Token {
            number: app.tokens.verify(&snapshot.event, &token).map(|of| of.number),
            credential: verify(&app.admin_token, &app.tokens, Some(&snapshot.event), &token),
        },
        None => request.login().filter(|_| request.caller.is_same_host()).map_or(Presented::Nothing, Presented::Login),
    };
    let wanted = wanted_role(request.query("role").as_deref(), request.query("client_type").as_deref());
    // A `since` that is no number misses nothing that a state sync would not tell.
    let since = parse_since(request.query("since").as_deref(), request.query("epoch").as_deref()).unwrap_or(None);
    match decide_role(app.settings.http.open, wanted, request.caller.is_page(), presented) {
        RoleDecision::Admitted(role, number) => {
            let session = snapshot.event.session;
            let identity = number.map(|number| Identity { session, number });
            // Nobody has to prove that a socket is a phone's.
            let needs_proof = role != Role::Phone && !app.settings.http.open;
            let credential = presented.revocable().filter(|_| needs_proof);
            Admission::Admitted { room, role, identity, credential, since }
        }
        RoleDecision::Pending(role) => Admission::PendingAuth { room, role, since },
        RoleDecision::BadToken => Admission::Rejected { code: CloseCode::BadToken },
    }
}

/// The role that a query names; old consoles name it `client_type`.
pub fn wanted_role(role: Option<&str>, client_type: Option<&str>) -> Option<Role> {
    Role::named(role.or(client_type)?)
}

/// In open mode a page that names no role and presents no token may be an old phone or an old
/// projector: it gets a projector's frames.
fn decide_role(open: bool, wanted: Option<Role>, is_page: bool, presented: Presented) -> RoleDecision {
    let bare = if open && is_page && !matches!(presented, Presented::Token { .. }) { Role::Display } else { Role::Phone };
    let role = wanted.unwrap_or(bare);
    match (role, presented) {
        (Role::Phone, Presented::Token { number: None, .. }) => RoleDecision::BadToken,
        (Role::Phone, Presented::Token { number, .. }) => RoleDecision::Admitted(role, number),
        (Role::Phone, _) => RoleDecision::Admitted(role, None),
        (Role::Display | Role::Admin, _) if open => RoleDecision::Admitted(role, None),
        (_, Presented::Token { credential: Some(credential), .. }) if credential.allows_role(role) => {
            RoleDecision::Admitted(role, None)
        }
        (_, Presented::Token { .. }) => RoleDecision::BadToken,
        (_, Presented::Login(_)) => RoleDecision::Admitted(role, None),
        (_, Presented::Nothing) => RoleDecision::Pending(role),
    }
}

/// Handles the messages of peers. Each reactor has one.
pub struct SocketMessages {
    /// The operator's settings.
    pub settings: Settings,
    /// The token that opens everything.
    pub admin_token: Secret,
    /// Verifies tokens.
    pub tokens: Tokens,
    /// Logins that were ended by a log-out.
    pub revoked_logins: Arc<RevokedLogins>,
    /// Judges the age of logins.
    pub clock: Arc<SteadyClock>,
    /// Finds the room of an event.
    pub directory: Arc<Directory>,
    /// The way to the sequencer.
    pub inbox: Inbox,
    /// The screens that show an event.
    pub stages: Arc<Stages>,
    /// The spread of the times at which phones show winners.
    pub turns: Arc<TurnMeters>,
}

impl MessageHandler for SocketMessages {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, number: Option<Number>) -> Bytes {
        let room = self.directory.find(snapshot.event.id.as_str());
        // A number may be newer than the snapshot that its peer holds.
        let registration = |room: &Room, number| {
            let known = || snapshot.event.registration(number).or_else(|| room.snapshot().event.registration(number));
            known().filter(|of| of.session == snapshot.event.session)
        };
        let proved = number.zip(room).and_then(|(number, room)| Some((registration(&room, number)?, room)));
        match proved {
            Some((of, room)) => {
                with_private_view(&self.tokens, &self.settings, &of, |own| text_frame(&personal_sync(&room, snapshot, role, own)))
            }
            // No number, or an event that is being removed or reset at this moment.
            None => snapshot.sync[role].clone(),
        }
    }

    fn handle(&mut self, speaker: &PeerContext<'_>, message: &mut [u8]) -> Action {
        let message = match (old_clients::read(self.settings.http.open, message, Message::read), speaker.auth) {
            (Ok(message), _) => message,
            (Err(_), AuthState::Pending(_)) => return Action::Close(CloseCode::BadToken),
            (Err(invalid), AuthState::Admitted(_)) => return error("INVALID_REQUEST", &invalid.to_string()),
        };
        match (speaker.auth, message) {
            (AuthState::Pending(role), Message::Auth(auth)) => self.admit(speaker, role, &auth),
            // The first message proves the role, or the socket is closed.
            (AuthState::Pending(_), _) => Action::Close(CloseCode::BadToken),
            (AuthState::Admitted(_), Message::Ping) => Action::Reply(reply::pong(wall_clock())),
            (AuthState::Admitted(Role::Phone), Message::Auth(_) | Message::JoinCode) => {
                error("FORBIDDEN", "this is not a phone's to say")
            }
            // A bare script of the old server counts as a phone, and ends its draws itself.
            (AuthState::Admitted(Role::Phone), Message::DrawComplete(_)) if !self.settings.http.open => {
                error("FORBIDDEN", "this is not a phone's to say")
            }
            (AuthState::Admitted(Role::Display), Message::Stage(report)) => {
                let orders = self.stages.report(&speaker.room.id, report, Instant::now());
                Action::Reply(reply::stage_orders(&orders))
            }
            (AuthState::Admitted(_), Message::Stage(_)) => error("FORBIDDEN", "this is a display's to say"),
            (AuthState::Admitted(_), Message::JoinCode) => self.join_code(speaker),
            // A page with a login cookie sends its token all the same.
            (AuthState::Admitted(_), Message::Auth(_)) => Action::Nothing,
            (AuthState::Admitted(role), Message::Identify(identify)) => self.identify(speaker, role, &identify),
            (AuthState::Admitted(role), Message::DrawComplete(complete)) => self.complete(speaker, role, complete),
            (AuthState::Admitted(_), Message::SubmitWinnerInfo(info, contact)) => {
                self.submit_details(speaker, info, contact).unwrap_or_else(|refused| refused)
            }
            (AuthState::Admitted(_), Message::ImHere(here)) => self.report_arrival(speaker, &here),
            (AuthState::Admitted(_), Message::Turned(turned)) => self.report_turn(speaker, &turned),
        }
    }

    fn is_valid(&self, room: &Room, credential: RevocableCredential) -> bool {
        match credential {
            RevocableCredential::Link(link) => room.snapshot().event.link_role(link).is_some(),
            RevocableCredential::Login { id, expires_at } => {
                self.revoked_logins.is_valid(Login { id, expires_at }, self.clock.now())
            }
        }
    }
}

impl SocketMessages {
    fn admit(&self, speaker: &PeerContext<'_>, role: Role, auth: &Auth) -> Action {
        // By the room's latest snapshot: a link may be newer than any frame.
        let credential = verify(&self.admin_token, &self.tokens, Some(&speaker.room.snapshot().event), &auth.token);
        match credential.filter(|credential| credential.allows_role(role)) {
            Some(_) => Action::Admit(role),
            None => Action::Close(CloseCode::BadToken),
        }
    }

    /// The present code of an event whose code rotates: only displays and consoles come here.
    fn join_code(&self, speaker: &PeerContext<'_>) -> Action {
        let event = &speaker.room.snapshot().event;
        let now = wall_clock();
        let rotates = event.entry_code == Some(EntryCode::Rotating);
        let code = rotates.then(|| self.tokens.rotating_entry_code(event.session, now));
        Action::Reply(reply::join_code(code.zip(Some(ENTRY_CODE_PERIOD_MS - now.0.rem_euclid(ENTRY_CODE_PERIOD_MS)))))
    }

    /// A token proves a number; an old phone only names one, and gets what everybody may know of
    /// it.
    fn identify(&self, speaker: &PeerContext<'_>, role: Role, identify: &Identify) -> Action {
        let event = &speaker.snapshot.event;
        let Some(token) = &identify.session_token else {
            return match identify.draw_number {
                Some(number) => Action::Reply(reply::identified(event, Number(number))),
                None => error("INVALID_REQUEST", "draw_number: is missing"),
            };
        };
        // By the room's latest snapshot: a number is committed, and its phone may be here, before
        // any frame tells of it.
        let latest = speaker.room.snapshot();
        if latest.event.session != event.session {
            // A reset is on its way to this reactor, and would remove the number again. After a
            // reconnect it is done.
            return Action::Close(CloseCode::Restarting);
        }
        match (self.tokens.verify(&latest.event, token), role) {
            (Some(of), Role::Phone) => {
                let epoch = identify.epoch.as_deref().and_then(request::epoch);
                let since = identify.since.zip(epoch).map(|(seq, epoch)| ResumePoint { epoch, seq });
                Action::Identify { number: of.number, since, reply: self.authenticated(event, &of) }
            }
            (Some(of), _) => Action::Reply(self.authenticated(event, &of)),
            (None, Role::Phone) => Action::Close(CloseCode::BadToken),
            (None, _) => error("UNAUTHORIZED", "the token is not of this event"),
        }
    }

    fn authenticated(&self, event: &Event, of: &Registration) -> Bytes {
        with_private_view(&self.tokens, &self.settings, of, |own| reply::authenticated(event, own))
    }

    /// A display ends no show that is planned: a second screen, a reload and reduced motion are
    /// done with it before the others.
    fn complete(&self, speaker: &PeerContext<'_>, role: Role, complete: DrawComplete) -> Action {
        let is_planned = speaker.room.snapshot().event.unannounced_draw().is_some_and(|draw| draw.show_at.is_some());
        if role != Role::Admin && is_planned {
            return Action::Reply(Acknowledged::DrawComplete.refuse("SHOW_PLANNED", "the server announces this draw"));
        }
        let which = match (complete.draw_id, complete.winners) {
            (Some(id), _) => DrawSelector::Draw(DrawId(id)),
            (None, Some(winners)) if !winners.is_empty() => DrawSelector::Winners(winners.into_iter().map(Number).collect()),
            _ => DrawSelector::Latest,
        };
        let actor = if role == Role::Admin { Actor::Admin } else { Actor::Display };
        self.submit(speaker, actor, Command::Complete(which), Acknowledged::DrawComplete)
    }

    /// The number is the speaker's own; in open mode, as with the old server, the one that the
    /// message names.
    fn submit_details(&self, speaker: &PeerContext<'_>, info: SubmitWinnerInfo, contact: ContactBody) -> Result<Action, Action> {
        let refuse = |code, why: &str| Action::Reply(Acknowledged::SubmitWinnerInfo.refuse(code, why));
        let invalid = |invalid: Invalid| refuse("INVALID_REQUEST", &invalid.to_string());
        if info.event_id.is_some_and(|event| event != speaker.room.id.as_str()) {
            return Err(refuse("EVENT_NOT_FOUND", "this socket is another event's"));
        }
        let named = info.draw_number.map(Number);
        let number = match (self.settings.http.open, speaker.number) {
            (true, own) => named.or(own).ok_or_else(|| invalid(Invalid::field("draw_number", "is missing")))?,
            (false, Some(own)) if named.is_none_or(|named| named == own) => own,
            (false, Some(_)) => return Err(refuse("NOT_A_WINNER", "this is another phone's number")),
            (false, None) => return Err(refuse("UNAUTHORIZED", old_clients::DETAILS_NEED_PROOF)),
        };
        let pick = request::win_selector(info.draw_id, info.prize_name).map_err(invalid)?;
        let contact = contact.check(self.settings.http.open).map_err(invalid)?;
        let reply = Responder::Peer { peer: speaker.id, message: Acknowledged::SubmitWinnerInfo };
        Ok(self.post(Request::SubmitDetails {
            event: speaker.room.id.clone(),
            actor: Actor::Phone,
            number,
            win: pick,
            contact,
            reply,
        }))
    }

    fn report_arrival(&self, speaker: &PeerContext<'_>, here: &ImHere) -> Action {
        let Some(number) = speaker.number else {
            return Action::Reply(Acknowledged::ImHere.refuse("UNAUTHORIZED", "this phone has not proved its number"));
        };
        self.submit(speaker, Actor::Phone, Command::Arrive { draw: DrawId(here.draw_id), number }, Acknowledged::ImHere)
    }

    /// Takes the report of a sampled phone that has proved its number; others cost no lock. Nothing
    /// answers, since nothing depends on it.
    fn report_turn(&self, speaker: &PeerContext<'_>, turned: &Turned) -> Action {
        let (event, draw) = (&speaker.snapshot.event, DrawId(turned.draw_id));
        let is_planned = || event.draw(draw).is_some_and(|draw| draw.announced_at.is_some() && draw.show_at.is_some());
        let sampled = |number: &Number| TurnMeters::is_sampled(*number, draw, event.participant_count());
        if let Some(number) = speaker.number.filter(sampled).filter(|_| is_planned()) {
            self.turns.report(&event.id, draw, number, turned.late_ms);
        }
        Action::Nothing
    }

    fn submit(&self, speaker: &PeerContext<'_>, actor: Actor, command: Command, message: Acknowledged) -> Action {
        let (event, reply) = (speaker.room.id.clone(), Responder::Peer { peer: speaker.id, message });
        self.post(Request::Command { event, actor, command, reply })
    }

    fn post(&self, request: Request) -> Action {
        match self.inbox.post(request) {
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
    use crate::base::clock::ClockReading;
    use crate::draw::fact::Cause;
    use crate::draw::{Fact, LinkId, LinkRole, Timestamp};
    use crate::draw::{WinSelector, sample};
    use crate::http::HttpSettings;
    use crate::live::ring::Ring;
    use crate::live::roster::Roster;
    use crate::live::{ByRole, PeerId};
    use crate::sequencer::inbox::{RequestQueue, queue};
    use crate::store::keys::Keys;
    use crate::wire::frame_text;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    const TV: &str = "TV";
    const CLOCK_READING: ClockReading = ClockReading { elapsed: Duration::ZERO, wall: Timestamp(1_000_000) };
    const PHONE: AuthState = AuthState::Admitted(Role::Phone);
    const DISPLAY: AuthState = AuthState::Admitted(Role::Display);

    /// An event, a message handler, and the inbox behind it.
    struct Fixture {
        messages: SocketMessages,
        room: Arc<Room>,
        requests: RequestQueue,
        token: String,
        _folder: TempDir,
    }

    impl Fixture {
        fn new(event: Event, open: bool, inbox_max: usize) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let tokens = Tokens::new(&Keys::open(&crate::base::data_dir::DataDir::new(folder.path())).unwrap());
            let token = tokens.session_token(&event.registration(Number(3)).unwrap());
            let sync = ByRole::from_fn(|role| text_frame(&format!(r#"{{"for":"{role:?}"}}"#)));
            let roster = Arc::new(Roster::new(10, 11));
            let room = Arc::new(Room::new(Arc::new(Snapshot {
                revision: 1,
                event,
                roster,
                ring: Ring::default(),
                sync,
                documents: Arc::default(),
            })));
            let directory = Arc::new(Directory::default());
            directory.insert(Arc::clone(&room));
            let (inbox, requests) = queue(inbox_max);
            let admin_token = Secret::parse("a-token-for-tests").unwrap();
            let settings = Settings { http: HttpSettings { open, ..HttpSettings::default() }, ..sample_settings() };
            let revoked_logins = Arc::new(RevokedLogins::open(folder.path().join("revoked")).unwrap());
            let clock = Arc::new(SteadyClock::driven(None, Box::new(|| CLOCK_READING)));
            let (stages, turns) = Default::default();
            let messages =
                SocketMessages { settings, admin_token, tokens, revoked_logins, clock, directory, inbox, stages, turns };
            Self { messages, room, requests, token, _folder: folder }
        }

        fn handle(&mut self, standing: AuthState, number: Option<u32>, message: &Value) -> Action {
            self.hear_bytes(standing, number, message.to_string().as_bytes())
        }

        fn hear_bytes(&mut self, standing: AuthState, number: Option<u32>, message: &[u8]) -> Action {
            let (room, snapshot) = (Arc::clone(&self.room), self.room.snapshot());
            let id = PeerId { reactor: 0, slot: 0, generation: 0 };
            let speaker = PeerContext { id, auth: standing, number: number.map(Number), room: &room, snapshot: &snapshot };
            self.messages.handle(&speaker, &mut message.to_vec())
        }

        /// The one command that was submitted, and its actor.
        fn command(&self) -> (Actor, Command) {
            match self.requests.try_recv() {
                Some(Request::Command { actor, command, .. }) => (actor, command),
                other => panic!("no command: {other:?}"),
            }
        }
    }

    fn fixture() -> Fixture {
        Fixture::new(sample::event().announced(TV, &[3]).build(), false, 8)
    }

    fn reply_of(answer: &Action) -> Value {
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
        let mut fixture = fixture();
        let awaiting = AuthState::Pending(Role::Admin);
        let right = fixture.messages.admin_token.expose().to_owned();
        assert_eq!(fixture.handle(awaiting, None, &json!({"type": "auth", "token": right})), Action::Admit(Role::Admin));
        let phones = fixture.token.clone();
        for message in
            [json!({"type": "auth", "token": "wrong"}), json!({"type": "auth", "token": phones}), json!({"type": "ping"})]
        {
            assert_eq!(fixture.handle(awaiting, None, &message), Action::Close(CloseCode::BadToken), "{message}");
        }
        assert_eq!(fixture.hear_bytes(awaiting, None, b"{"), Action::Close(CloseCode::BadToken));
    }

    #[test]
    fn only_a_phone_that_proved_its_number_reports_a_turn_and_only_of_a_planned_show() {
        let planned = |cause| {
            let mut event = sample::event().started(TV, &[3]).build();
            let (draw, picks) = (event.pending_draw().unwrap().id, [Number(3)].into());
            let sealed = crate::draw::fact::SealedPick { entropy: crate::draw::Entropy([0xab; 32]), picks };
            event.apply(Timestamp(0), &Fact::Revealed { draw, sealed, show_at: Some(Timestamp(5_000)) });
            event.apply(Timestamp(5_000), &Fact::Announced { draw, cause });
            Fixture::new(event, false, 8)
        };
        let turned = json!({"type": "turned", "draw_id": 1, "late_ms": 12});
        for (cause, number, reports) in [(Cause::ShowEnd, Some(3), 1), (Cause::ShowEnd, None, 0), (Cause::Completed, Some(3), 0)]
        {
            let mut fixture = planned(cause);
            assert_eq!(fixture.handle(PHONE, number, &turned), Action::Nothing);
            let spread = fixture.messages.turns.spread(&fixture.room.id);
            assert_eq!(spread.map_or(0, |spread| spread.phones), reports, "{cause:?} {number:?}");
        }
    }

    #[test]
    fn a_phone_can_do_nothing_but_be_a_phone() {
        let mut fixture = fixture();
        for message in [
            json!({"type": "draw_complete"}),
            json!({"type": "auth", "token": "a token for tests"}),
            json!({"type": "join_code"}),
            json!({"type": "stage", "stage_id": "a", "page": "main", "scene": "lobby", "width": 1, "height": 1}),
        ] {
            assert_eq!(reply_of(&fixture.handle(PHONE, Some(3), &message))["code"], "FORBIDDEN", "{message}");
        }
        assert!(fixture.requests.try_recv().is_none());
        assert_eq!(reply_of(&fixture.handle(PHONE, None, &json!({"type": "reroll"})))["code"], "INVALID_REQUEST");
        let pong = reply_of(&fixture.handle(PHONE, None, &json!({"type": "ping", "at": 1})));
        assert!(pong["type"] == "pong" && pong["server_time"].is_string());
    }

    #[test]
    fn a_number_that_is_only_said_proves_nothing() {
        let mut fixture = fixture();
        let answer = fixture.handle(PHONE, None, &json!({"type": "identify", "draw_number": 3}));
        assert_eq!((reply_of(&answer)["type"].clone(), reply_of(&answer)["won"].clone()), (json!("already_won"), json!(true)));
        let proof = json!({"type": "identify", "session_token": fixture.token, "since": 7, "epoch": "0202020202020202"});
        let since = Some(ResumePoint { epoch: crate::draw::Epoch([2; 8]), seq: 7 });
        let Action::Identify { number, since: from, .. } = fixture.handle(PHONE, None, &proof) else { panic!("not identified") };
        assert_eq!((number, from), (Number(3), since));
        let forged = json!({"type": "identify", "session_token": "3.forged"});
        assert_eq!(fixture.handle(PHONE, None, &forged), Action::Close(CloseCode::BadToken));
    }

    #[test]
    fn a_revealed_draw_is_nobody_s_win_yet_whoever_asks() {
        let mut fixture = Fixture::new(sample::event().revealed(TV, &[3]).build(), true, 8);
        for standing in [PHONE, DISPLAY] {
            let answer = fixture.handle(standing, None, &json!({"type": "identify", "draw_number": 3}));
            assert_eq!(reply_of(&answer)["type"], "identify_ack");
        }
    }

    #[test]
    fn a_completion_names_its_draw_in_three_ways() {
        let mut fixture = fixture();
        let ways = [
            (json!({"type": "draw_complete", "draw_id": 7, "winners": [1]}), DrawSelector::Draw(DrawId(7))),
            (json!({"type": "draw_complete", "winners": [4, 2]}), DrawSelector::Winners(vec![Number(4), Number(2)])),
            (json!({"type": "draw_complete", "winners": []}), DrawSelector::Latest),
        ];
        for (message, which) in ways {
            assert_eq!(fixture.handle(DISPLAY, None, &message), Action::Nothing);
            assert_eq!(fixture.command(), (Actor::Display, Command::Complete(which)));
        }
    }

    #[test]
    fn details_are_the_speaker_s_own_except_in_open_mode() {
        let mut fixture = fixture();
        assert_eq!(fixture.handle(PHONE, Some(3), &details(3)), Action::Nothing);
        let pick = WinSelector::PrizeNamed(TV.into());
        let Some(Request::SubmitDetails { win, number, contact, .. }) = fixture.requests.try_recv() else {
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
            let answer = reply_of(&fixture.handle(PHONE, number, &message));
            assert_eq!((&answer["success"], &answer["code"]), (&json!(false), &json!(code)), "{answer}");
        }
        let mut open = Fixture::new(sample::event().announced(TV, &[3]).build(), true, 8);
        let mut old = details(3);
        old.as_object_mut().unwrap().remove("consent");
        assert_eq!(open.handle(DISPLAY, None, &old), Action::Nothing, "an old page is trusted");
        assert!(fixture.requests.try_recv().is_none() && open.requests.try_recv().is_some());
    }

    #[test]
    fn a_full_inbox_is_said_to_be_full() {
        let mut fixture = Fixture::new(sample::event().build(), false, 1);
        assert_eq!(fixture.handle(DISPLAY, None, &json!({"type": "draw_complete"})), Action::Nothing);
        assert_eq!(reply_of(&fixture.handle(DISPLAY, None, &json!({"type": "draw_complete"})))["code"], "OVERLOADED");
    }

    #[test]
    fn a_state_sync_is_ready_made_unless_it_is_somebody_s_own() {
        let fixture = fixture();
        let snapshot = fixture.room.snapshot();
        assert_eq!(fixture.messages.state_sync(&snapshot, Role::Admin, None), snapshot.sync[Role::Admin]);
        assert_ne!(fixture.messages.state_sync(&snapshot, Role::Phone, Some(Number(3))), snapshot.sync[Role::Phone]);
    }

    #[test]
    fn a_credential_counts_until_it_ends() {
        let fixture = Fixture::new(sample::event().build(), false, 8);
        let login = |id: u8, expires_at| Login { id: [id; 16], expires_at: Timestamp(expires_at) };
        let is_valid =
            |Login { id, expires_at }| fixture.messages.is_valid(&fixture.room, RevocableCredential::Login { id, expires_at });
        let now = fixture.messages.clock.now();
        assert!(is_valid(login(1, now.0 + 1)) && !is_valid(login(1, now.0)), "its time ends it");
        fixture.messages.revoked_logins.revoke(login(2, now.0 + 1), now).unwrap();
        assert!(!is_valid(login(2, now.0 + 1)) && is_valid(login(1, now.0 + 1)), "a log-out ends it, and no other");
        assert!(!fixture.messages.is_valid(&fixture.room, RevocableCredential::Link(LinkId(9))), "no such link");
    }

    const LOGIN: Presented = Presented::Login(Login { id: [7; 16], expires_at: Timestamp(1) });
    const WRONG_TOKEN: Presented = Presented::Token { number: None, credential: None };
    const PHONE_TOKEN: Presented = Presented::Token { number: Some(Number(7)), credential: None };

    fn link(role: LinkRole) -> Presented {
        Presented::Token { number: None, credential: Some(Credential::Link(LinkId(1), role)) }
    }

    #[test]
    fn roles_are_named_in_two_ways() {
        assert_eq!(wanted_role(Some("display"), None), Some(Role::Display));
        assert_eq!(wanted_role(None, Some("admin")), Some(Role::Admin));
        assert_eq!(wanted_role(Some("phone"), Some("admin")), Some(Role::Phone));
        assert_eq!((wanted_role(Some("root"), None), wanted_role(None, None)), (None, None));
    }

    #[test]
    fn a_socket_without_a_role_is_a_phone() {
        for is_page in [false, true] {
            assert_eq!(decide_role(false, None, is_page, Presented::Nothing), RoleDecision::Admitted(Role::Phone, None));
            assert_eq!(decide_role(false, None, is_page, PHONE_TOKEN), RoleDecision::Admitted(Role::Phone, Some(Number(7))));
            assert_eq!(decide_role(false, None, is_page, LOGIN), RoleDecision::Admitted(Role::Phone, None));
            assert_eq!(decide_role(false, None, is_page, WRONG_TOKEN), RoleDecision::BadToken);
        }
    }

    #[test]
    fn a_display_or_console_proves_itself_now_or_soon() {
        for role in [Role::Display, Role::Admin] {
            assert_eq!(decide_role(false, Some(role), true, Presented::Nothing), RoleDecision::Pending(role));
            assert_eq!(decide_role(false, Some(role), true, LOGIN), RoleDecision::Admitted(role, None));
            assert_eq!(decide_role(false, Some(role), true, WRONG_TOKEN), RoleDecision::BadToken);
            assert_eq!(
                decide_role(false, Some(role), true, PHONE_TOKEN),
                RoleDecision::BadToken,
                "a phone can do nothing but be a phone"
            );
            assert_eq!(decide_role(false, Some(role), true, link(LinkRole::Host)), RoleDecision::Admitted(role, None));
            assert_eq!(decide_role(false, Some(role), true, link(LinkRole::Staff)), RoleDecision::BadToken);
        }
        assert_eq!(
            decide_role(false, Some(Role::Display), true, link(LinkRole::Display)),
            RoleDecision::Admitted(Role::Display, None)
        );
        assert_eq!(decide_role(false, Some(Role::Admin), true, link(LinkRole::Display)), RoleDecision::BadToken);
    }

    #[test]
    fn open_mode_tells_old_pages_from_scripts_by_their_origin() {
        assert_eq!(decide_role(true, None, true, Presented::Nothing), RoleDecision::Admitted(Role::Display, None));
        assert_eq!(decide_role(true, None, false, Presented::Nothing), RoleDecision::Admitted(Role::Phone, None));
        assert_eq!(decide_role(true, None, true, PHONE_TOKEN), RoleDecision::Admitted(Role::Phone, Some(Number(7))));
        assert_eq!(decide_role(true, Some(Role::Phone), true, Presented::Nothing), RoleDecision::Admitted(Role::Phone, None));
        assert_eq!(decide_role(true, Some(Role::Admin), false, Presented::Nothing), RoleDecision::Admitted(Role::Admin, None));
    }
}
