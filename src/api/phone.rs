//! Calls of a phone: its number, its number again, whether it won, how its owner can be reached,
//! and the results.
//!
//! A number is claimed from the roster under the key of the phone's `request_id`, and answered only
//! once it is committed: a retry finds the same claim, so that an answer lost on the way costs no
//! number. A token presented here is verified and never adopted.

use crate::api::app::{ApiRequest, App, Settings};
use crate::api::auth::delay_wrong_token;
use crate::api::context::BODY_MAX;
use crate::api::entry::{Entry, require_entry};
use crate::api::rate_limiter::RetryAfter;
use crate::api::registration_meter::NUMBERS_PER_CONNECTION_MAX;
use crate::base::chance;
use crate::base::clock::{monotonic_ms, wall_clock};
use crate::draw::{Actor, Command, DrawId, Event, EventId, Number, Outcome, Phase, Refusal, Registration, WinSelector};
use crate::http::response::{HttpError, HttpResponse, HttpResult, envelope, envelope_text, json, success};
use crate::live::room::Snapshot;
use crate::sequencer::inbox::{Rejection, Request, Responder};
use crate::store::tokens::{Tokens, hash_request_id};
use crate::wire::parse::parse;
use crate::wire::request::{self, Contact, ContactBody, Recover, Register, WinnerInfo};
use crate::wire::view::draws;
use crate::wire::view::people::{self, AuthenticatedPhone, IssuedNumber};
use data_encoding::HEXLOWER;
use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue, SET_COOKIE};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Claims of one registration, at most: a reset, or a deletion and a new opening, may come between
/// claim and commit.
const CLAIMS_MAX: u32 = 4;
/// Time between claims, in which the sequencer publishes what refused the one before.
const CLAIM_RETRY_GAP: Duration = Duration::from_millis(5);
/// Lifetime of a number's cookie: as long as an event stays after its last fact.
const COOKIE_AGE_S: u32 = 30 * 24 * 3600;

/// New numbers that a connection was given.
#[derive(Clone, Copy, Default)]
struct NewNumbers(u32);

/// The result of a registration.
enum Claimed {
    /// The event with the number in it, the number, and whether it was committed before.
    Number(Arc<Snapshot>, Registration, bool),
    /// The answer to a wrong entry code.
    Refused(HttpResponse),
}

/// `POST /register`
pub async fn register(mut request: ApiRequest) -> HttpResult {
    let body: Register = request.json().await?;
    let id = request::event_id(&body.event_id)?;
    let key = registration_key(&request, &body)?;
    let room = request.app.find_or_open_room(id.as_str()).await?;
    let snapshot = room.snapshot();
    if let Some(of) = presented_registration(&request, &body, &snapshot.event) {
        return number_response(&request.app, StatusCode::CREATED, &snapshot.event, &of, true);
    }
    match claim_and_commit(&request, &id, &key, &body).await? {
        Claimed::Number(snapshot, of, existing) => {
            let mut response = number_response(&request.app, StatusCode::CREATED, &snapshot.event, &of, existing)?;
            if request.connection.get::<NewNumbers>().0 >= NUMBERS_PER_CONNECTION_MAX {
                // The next phone behind the same proxy comes by another connection.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
        Claimed::Refused(response) => Ok(response),
    }
}

/// `POST /recover`: the token again, for a number and the code that was shown beside it.
pub async fn recover(mut request: ApiRequest) -> HttpResult {
    let body: Recover = request.json().await?;
    let app = &request.app;
    let snapshot = app.find_room(&body.event_id)?.snapshot();
    let (event, number) = (&snapshot.event, Number(body.draw_number));
    let Some(of) = event.registration(number) else {
        delay_wrong_token().await;
        return Err(Refusal::ParticipantNotFound.into());
    };
    app.rate_limiter.count_recovery_attempt(&event.id, number, monotonic_ms())?;
    if !app.tokens.is_recovery_code(&of, &body.recovery_code) {
        return Err(HttpError::forbidden("the recovery code is wrong"));
    }
    number_response(app, StatusCode::OK, event, &of, true)
}

/// `GET /my-number`
pub async fn my_number(request: ApiRequest) -> HttpResult {
    let snapshot = request.event_in_query()?.snapshot();
    let event = &snapshot.event;
    let number = require_registration(&request, event)?.number;
    let participant = event.participant(number).ok_or(Refusal::ParticipantNotFound)?;
    success(&people::my_number(event, number, participant), "your number")
}

/// `GET /check-winner`
pub async fn check_winner(request: ApiRequest) -> HttpResult {
    let snapshot = request.event_in_query()?.snapshot();
    let number = request.query("draw_number").ok_or_else(|| HttpError::invalid("draw_number: is missing"))?;
    let number: NonZeroU32 = number.parse().map_err(|_| HttpError::invalid("draw_number: must be a number from 1"))?;
    let (app, event, number) = (&request.app, &snapshot.event, Number(number.get()));
    let query = request.query("session_token");
    let token = query.as_deref().or(request.bearer());
    let proved = token.and_then(|token| app.tokens.verify(event, token));
    let data = match proved.filter(|of| of.number == number) {
        Some(of) => with_private_view(&app.tokens, &app.settings, &of, |own| people::check_own(event, own)),
        None => people::check_winner(event, number),
    };
    success(&data, "checked")
}

/// `POST /winner-info`
pub async fn winner_info(mut request: ApiRequest) -> HttpResult {
    let body = request.read_body(BODY_MAX).await?;
    let (info, contact): (WinnerInfo, ContactBody) = (parse(&body)?, parse(&body)?);
    let snapshot = request.app.find_room(&info.event_id)?.snapshot();
    let number = require_registration(&request, &snapshot.event)?.number;
    let contact = contact.check(request.app.settings.http.open)?;
    submit_details(&request.app, snapshot.event.id.clone(), Actor::Phone, (DrawId(info.draw_id), number), contact).await
}

/// Submits a winner's details, and answers with their version.
pub async fn submit_details(
    app: &App,
    event: EventId,
    actor: Actor,
    (draw, number): (DrawId, Number),
    contact: Contact,
) -> HttpResult {
    let win = WinSelector::Draw(draw);
    let submit = |reply| Request::SubmitDetails { event, actor, number, win, contact, reply: Responder::Handler(reply) };
    let accepted = app.inbox.ask(submit).await?;
    let Outcome::Details { draw, number, version, .. } = accepted.outcome else {
        return success("{}", "received");
    };
    success(&people::details_received(draw, number, version), if version == 1 { "received" } else { "corrected" })
}

/// `GET /results`: the announced draws, for everybody.
pub async fn results(request: ApiRequest) -> HttpResult {
    let snapshot = request.event_in_query()?.snapshot();
    let text = || envelope_text(&draws::results(&snapshot.event), "the announced draws");
    Ok(json(StatusCode::OK, request.document(&snapshot.documents.results, text)?))
}

/// Calls `render` with the private view of an authenticated phone: number, claim codes, retention
/// period.
pub fn with_private_view<T>(
    tokens: &Tokens,
    settings: &Settings,
    of: &Registration,
    render: impl FnOnce(&AuthenticatedPhone<'_>) -> T,
) -> T {
    let (number, details_days) = (of.number, settings.details_days);
    let claim_code = |draw| tokens.claim_code(of, draw);
    render(&AuthenticatedPhone { number, claim_code: &claim_code, details_days, now: wall_clock() })
}

/// The key under which a registration claims its number: of the phone's own making, so that its
/// retry finds the claim again, else random.
fn registration_key(request: &ApiRequest, body: &Register) -> Result<[u8; 32], HttpError> {
    match request_id(request, body) {
        Some(id) => Ok(hash_request_id(request::request_id(id)?)),
        None => Ok(chance::bytes()),
    }
}

/// The `request_id`, in the body or the header.
fn request_id<'r>(request: &'r ApiRequest, body: &'r Register) -> Option<&'r str> {
    body.request_id.as_deref().or(request.header("idempotency-key"))
}

/// The registration that the request proves to have already: by the body's token, the header's or
/// the cookie's, the first that is good.
///
/// A page's cookie is its phone's. A script may play many phones out of one jar: its cookie does
/// not count where it names each phone by a key, nor in open mode, whose old scripts know no keys.
fn presented_registration(request: &ApiRequest, body: &Register, event: &Event) -> Option<Registration> {
    let is_script_of_many = request.app.settings.http.open || request_id(request, body).is_some();
    let cookie_counts = request.caller.is_page() || !is_script_of_many;
    let cookie = request.cookie(&cookie_name(&event.id)).filter(|_| cookie_counts);
    let tokens = [body.session_token.as_deref(), request.bearer(), cookie];
    tokens.into_iter().flatten().find_map(|token| request.app.tokens.verify(event, token))
}

/// The caller's registration, by a token in the query or the header.
pub(crate) fn require_registration(request: &ApiRequest, event: &Event) -> Result<Registration, HttpError> {
    let query = request.query("session_token").filter(|token| !token.is_empty());
    let token = query.as_deref().or(request.bearer());
    let token = token.ok_or_else(|| HttpError::new(StatusCode::BAD_REQUEST, "TOKEN_REQUIRED", "this needs the phone's token"))?;
    request.app.tokens.verify(event, token).ok_or_else(|| Refusal::ParticipantNotFound.into())
}

/// Claims a number and has it committed. A claim that exists is a retry and is honoured, whatever
/// has been closed since.
///
/// The event is found anew each time: it may be deleted and opened again meanwhile, and the phone
/// then registers with the new one.
async fn claim_and_commit(request: &ApiRequest, id: &EventId, key: &[u8; 32], body: &Register) -> Result<Claimed, HttpError> {
    let app = &request.app;
    for attempt in 0..CLAIMS_MAX {
        if attempt > 0 {
            tokio::time::sleep(CLAIM_RETRY_GAP).await;
        }
        let mut snapshot = app.find_room(id.as_str())?.snapshot();
        forget_removed(&snapshot, key);
        if snapshot.roster.find(key).is_none() {
            // While the disk is full, claims would only go back and forth.
            if !app.durable.load(Relaxed) {
                return Err(Rejection::NotDurable.into());
            }
            check_consent(&snapshot.event, body.consent)?;
            if let Entry::Refused(response) = require_entry(request, &snapshot.event, body, key).await? {
                return Ok(Claimed::Refused(response));
            }
            require_open(&snapshot.event)?;
            if attempt == 0 {
                take_new_number(request, &snapshot.event)?;
            }
            // The checks may have taken a while: the claim is made in the event as it is now.
            let checked = std::mem::replace(&mut snapshot, app.find_room(id.as_str())?.snapshot());
            if checked.event.epoch != snapshot.event.epoch {
                continue;
            }
        }
        let session = snapshot.event.session;
        let committed = snapshot.roster.find(key).and_then(|number| snapshot.event.registration(Number(number)));
        if let Some(of) = committed {
            return Ok(Claimed::Number(snapshot, of, true));
        }
        // Before the claim, and nothing is awaited between the two: a claim always has its place.
        let place = app.inbox.reserve()?;
        let number = match find_or_claim(&snapshot, key) {
            // A larger roster takes its place.
            Err(_) if snapshot.roster.is_sealed() => continue,
            claimed => claimed?,
        };
        let command = Command::Register { number, key: *key, session };
        match place.submit(id.clone(), Actor::Phone, command).await {
            Ok(accepted) => {
                let existing = matches!(accepted.outcome, Outcome::Registered { existing: true, .. });
                let of = accepted.snapshot.event.registration(number).filter(|of| of.session == session);
                // A reset in the same batch took the number back.
                let Some(of) = of else { continue };
                return Ok(Claimed::Number(accepted.snapshot, of, existing));
            }
            Err(Rejection::Refused(Refusal::StaleSession)) => {}
            Err(rejection) => return Err(rejection.into()),
        }
    }
    Err(HttpError::overloaded())
}

/// Takes a removed participant's number from its key, so that the phone may register anew. Only
/// here is the key known: events keep none.
fn forget_removed(snapshot: &Snapshot, key: &[u8; 32]) {
    if let Some(number) = snapshot.roster.find(key).filter(|number| snapshot.event.is_removed(Number(*number))) {
        snapshot.roster.forget(key, number);
    }
}

/// The number that the roster holds for a key, or a new one while registration is open.
fn find_or_claim(snapshot: &Snapshot, key: &[u8; 32]) -> Result<Number, HttpError> {
    if let Some(number) = snapshot.roster.find(key) {
        return Ok(Number(number));
    }
    require_open(&snapshot.event)?;
    let full = Refusal::EventFull { max: snapshot.event.settings.participants_max };
    snapshot.roster.claim(key).map(Number).ok_or(full.into())
}

/// Requires registration to be open.
fn require_open(event: &Event) -> Result<(), Refusal> {
    match event.phase {
        Phase::Open => Ok(()),
        Phase::Drawing => Err(Refusal::RegistrationClosed),
        Phase::Closed => Err(Refusal::EventClosed),
    }
}

/// Takes a new number from the quotas of its connection and of the event. In open mode old scripts
/// register many phones by one connection.
fn take_new_number(request: &ApiRequest, event: &Event) -> Result<(), HttpError> {
    if request.app.settings.http.open {
        return Ok(());
    }
    let (meters, NewNumbers(before)) = (&request.app.registrations, request.connection.get());
    let now_ms = monotonic_ms();
    if before >= NUMBERS_PER_CONNECTION_MAX {
        meters.count_refusal(&event.id, now_ms);
        return Err(HttpError { closes: true, ..HttpError::too_many("this connection has had its numbers", 1) });
    }
    let seats = event.settings.participants_max;
    meters.count_number(&event.id, seats, before, now_ms).map_err(|wait| HttpError { closes: before > 0, ..wait.into() })?;
    request.connection.set(NewNumbers(before + 1));
    Ok(())
}

/// Requires consent, where the event asks for it.
fn check_consent(event: &Event, given: bool) -> Result<(), HttpError> {
    if event.settings.consent_text.is_none() || given {
        return Ok(());
    }
    Err(HttpError::new(StatusCode::FORBIDDEN, "CONSENT_REQUIRED", "this event asks for consent before it gives a number"))
}

/// A number with its secrets, and a cookie that keeps it in this browser.
fn number_response(app: &App, status: StatusCode, state: &Event, of: &Registration, existing: bool) -> HttpResult {
    let event = &state.id;
    let receipt = state.roster_tree().key(of.number.0).map(|key| HEXLOWER.encode(key));
    let session_token = app.tokens.session_token(of);
    let recovery_code = app.tokens.recovery_code(of);
    let cookie = format!("{}={session_token}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax", cookie_name(event));
    let data = people::registered(&IssuedNumber { event, of, session_token, recovery_code, existing, state, receipt });
    let mut response = envelope(status, &data, if existing { "already registered" } else { "registered" });
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The name of the cookie that keeps an event's number.
pub fn cookie_name(event: &EventId) -> String {
    format!("ld_{event}")
}

impl From<RetryAfter> for HttpError {
    fn from(RetryAfter { seconds }: RetryAfter) -> Self {
        HttpError::too_many("too many tries, come back later", seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::app::{JoinBase, sample_settings};
    use crate::api::revoked_logins::RevokedLogins;
    use crate::api::routes::ROUTES;
    use crate::api::simulated_phones::SimulatedPhones;
    use crate::api::socket::SocketMessages;
    use crate::backup::thread::{BackupSchedule, BackupThread};
    use crate::base::address::Scheme;
    use crate::base::data_dir::DataDir;
    use crate::base::refreshed::Refreshed;
    use crate::base::secret::Secret;
    use crate::draw::fact::SecretScope;
    use crate::draw::{Epoch, Fact, SessionId, Timestamp, sample};
    use crate::http::origin::Caller;
    use crate::http::request_metrics::RequestMetrics;
    use crate::live::ByRole;
    use crate::live::message_handler::MessageHandler;
    use crate::live::reactor::Reactors;
    use crate::live::ring::Ring;
    use crate::live::room::{Directory, Room};
    use crate::live::roster::Roster;
    use crate::sequencer::inbox::{Accepted, RequestQueue, queue};
    use crate::store::keys::Keys;
    use std::path::Path;
    use std::sync::Arc;
    use tokio::sync::Semaphore;
    use tokio::sync::oneshot::Sender;

    const KEY: [u8; 32] = [7; 32];

    /// The room of an event that was opened in this session.
    fn room(session: u8) -> Room {
        let mut event = sample::event().build();
        (event.session, event.epoch) = (SessionId([session; 16]), Epoch([session; 8]));
        let roster = Arc::new(Roster::new(100, event.highest_number() + 1));
        let (ring, sync, documents) = (Ring::default(), ByRole::default(), Arc::default());
        Room::new(Arc::new(Snapshot { revision: 1, event, roster, ring, sync, documents }))
    }

    /// A request to an application whose sequencer is the test.
    fn request(folder: &Path) -> (ApiRequest, RequestQueue) {
        let data = DataDir::new(folder);
        let schedule = BackupSchedule { data: data.clone(), every: None, keep_max: 1 };
        let backups = BackupThread::start(schedule, Box::new(Default::default), Default::default()).unwrap();
        let (inbox, requests) = queue(8);
        let (settings, admin_token, directory) = (sample_settings(), Secret::parse(&"a".repeat(32)).unwrap(), Arc::default());
        let tokens = Tokens::new(&Keys::open(&data).unwrap());
        let revoked_logins = Arc::new(RevokedLogins::open(data.revoked_logins()).unwrap());
        let handler = || -> Box<dyn MessageHandler> {
            let (settings, admin_token, tokens) = (settings.clone(), admin_token.clone(), tokens.clone());
            let (revoked_logins, clock) = (Arc::clone(&revoked_logins), Arc::default());
            let (directory, inbox, (stages, turns)) = (Arc::clone(&directory), inbox.clone(), Default::default());
            Box::new(SocketMessages { settings, admin_token, tokens, revoked_logins, clock, directory, inbox, stages, turns })
        };
        let reactors = Reactors::start(0, handler).unwrap();
        let app = App {
            stages: Arc::default(),
            turns: Arc::default(),
            settings,
            admin_token,
            join_base: Refreshed::new(Duration::ZERO, || JoinBase {
                address: String::new(),
                is_reachable: false,
                detours: Vec::new(),
            }),
            qr_codes: Default::default(),
            simulated_phones: SimulatedPhones::new(2),
            directory,
            inbox,
            reactors,
            tokens,
            rate_limiter: Default::default(),
            registrations: Default::default(),
            revoked_logins,
            images: Default::default(),
            ready: true.into(),
            has_other_origin: false.into(),
            edges: Default::default(),
            led: Default::default(),
            connections_max: 2,
            durable: Arc::new(true.into()),
            clock: Arc::default(),
            backups: backups.handle(),
            long_polls: Semaphore::new(1),
            files: Arc::new(Semaphore::new(1)),
            commits: Arc::default(),
            requests: Arc::new(RequestMetrics::new(ROUTES)),
            credit: Default::default(),
            stopping: Default::default(),
        };
        let head = hyper::Request::new(()).into_parts().0;
        let (scheme, caller, connection) = (Scheme::Http, Caller::Direct, Default::default());
        let request = ApiRequest {
            app: Arc::new(app),
            head,
            scheme,
            host: None,
            caller,
            params: vec![],
            connection,
            body: None,
            memory: Arc::default(),
        };
        (request, requests)
    }

    /// The next registration that reaches the sequencer: its number, its session, and its answer.
    async fn next(requests: &RequestQueue) -> (Number, SessionId, Sender<Result<Accepted, Rejection>>) {
        loop {
            match requests.try_recv() {
                Some(Request::Command { command: Command::Register { number, session, .. }, reply, .. }) => {
                    let Responder::Handler(reply) = reply else { panic!("no handler waits") };
                    return (number, session, reply);
                }
                Some(other) => panic!("no registration: {other:?}"),
                None => tokio::task::yield_now().await,
            }
        }
    }

    #[tokio::test]
    async fn an_event_that_is_deleted_and_opened_again_under_a_registration_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let (request, requests) = request(folder.path());
        let directory: &Directory = &request.app.directory;
        directory.insert(Arc::new(room(1)));
        let id = directory.all()[0].id.clone();
        let body: Register = parse(br#"{"event_id":"gala"}"#).unwrap();
        let registering = tokio::time::timeout(Duration::from_secs(60), claim_and_commit(&request, &id, &KEY, &body));
        let writer = async {
            // Each time, the event is deleted and opened again before the request has its turn.
            for opened in 1..CLAIMS_MAX as u8 {
                let (_, session, reply) = next(&requests).await;
                assert_eq!(session, SessionId([opened; 16]), "each try is in the event as it is then");
                directory.remove(std::slice::from_ref(&id));
                directory.insert(Arc::new(room(opened + 1)));
                drop(reply.send(Err(Refusal::StaleSession.into())));
            }
            let (number, session, reply) = next(&requests).await;
            let mut snapshot = Snapshot::clone(&directory.find(id.as_str()).unwrap().snapshot());
            snapshot.event.apply(Timestamp(1), &Fact::Registered { number, key: KEY, secrets: SecretScope::Registration });
            let outcome = Outcome::Registered { number, existing: false };
            drop(reply.send(Ok(Accepted { outcome, snapshot: Arc::new(snapshot) })));
            (session, number)
        };
        let (registered, (session, number)) = tokio::join!(registering, writer);
        let Ok(Ok(Claimed::Number(_, of, false))) = registered else { panic!("the phone has no number") };
        assert_eq!((of.session, of.number, session), (session, number, SessionId([CLAIMS_MAX as u8; 16])));
    }
}
