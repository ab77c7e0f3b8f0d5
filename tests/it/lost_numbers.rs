//! Numbers that a restore or an import gives a second time: no two people hold one number, and a
//! phone whose number was lost learns so.

use crate::backup::{back_up, run, text};
use crate::event_steps::{EVENT, Phone, request_id};
use crate::test_server::TestServer;
use hyper::Method;
use luckydraw::backup::{self, BackupCommand};
use luckydraw::base::data_dir::DataDir;
use luckydraw::draw::fact::{RecordedFact, SecretScope, Settings};
use luckydraw::draw::{Actor, DrawId, Epoch, Event, EventId, Fact, Number, SessionId, Timestamp};
use luckydraw::store::tokens::Tokens;
use luckydraw::store::{Journal, JournalEntry, Keys};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The journal and the secret of a data folder of a program that bound secrets to the session.
const OLD_JOURNAL: &str = include_str!("journals/numbers_bound_to_session.sql");
const OLD_SECRET: &str = "b70024be876da9bb2b9f2b205246eba955af3e73623b3aa874fcfd7e4b6e3211";

/// The number, token, recovery code and claim code that each phone got from that program.
const OLD_PHONES: [(u64, &str, &str, &str); 3] = [
    (1, "1._YsXOpwZkkym0rHBLSy-CLnyWZgFdhBbzMNDJtr5rc8", "YR5ST06C", "S4CE80TE"),
    (2, "2.dJQWWQv3zSSOFg7V7Soydqu5D30uTQDiyhx6CfHXI_0", "0FAR1G6X", "RRH7NPW9"),
    (3, "3.MHdxnT-dpMgxLcYnuqzThGZPmGRoK41C_Ey5HrkJxLs", "P8V9Y9C5", "FGDDR2QY"),
];

/// The claim code of a phone in the first draw.
async fn claim_code(server: &TestServer, phone: &Phone) -> String {
    let path = format!("/check-winner?event_id={EVENT}&draw_number={}", phone.number);
    let checked = server.get(&path).bearer(&phone.token).await.ok();
    checked["prizes"][0]["claim_code"].as_str().unwrap().to_owned()
}

/// Announces a draw that all participants win.
async fn let_all_win(server: &TestServer, count: usize) {
    let draw = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": "list", "count": count});
    server.admin_post("draw", &draw).await.ok();
    server.admin_post("draw/complete", &json!({})).await.ok();
}

#[tokio::test]
async fn a_restore_gives_no_number_to_two_people() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let kept = server.register_many(3).await;
    let temp = tempfile::tempdir().unwrap();
    let copy = back_up(&server, temp.path()).await;
    let mut lost = Vec::new();
    for index in 4..=6 {
        lost.push(server.register(index).await);
    }
    let_all_win(&server, 6).await;
    let mut lost_claims = Vec::new();
    for phone in &lost {
        lost_claims.push(claim_code(&server, phone).await);
    }
    server.terminate();
    server.ended().await;
    run(&server.data_dir(), &["restore", text(&copy)]).expect_success();
    server.restart().await;

    let mut next = Vec::new();
    for index in 101..=104 {
        next.push(server.register(index).await);
    }
    assert_eq!(next.iter().map(|phone| phone.number).collect::<Vec<_>>(), [4, 5, 6, 7], "the numbers are given again");
    let_all_win(&server, 7).await;
    for (phone, claim) in lost.iter().zip(&lost_claims) {
        let own = server.get(&format!("/my-number?event_id={EVENT}")).bearer(&phone.token).await;
        own.expect_refusal(404, "PARTICIPANT_NOT_FOUND");
        let polled = server.get(&format!("/state?event_id={EVENT}")).bearer(&phone.token).await.ok();
        assert_eq!((&polled["token_refused"], &polled["state_sync"]["you"]), (&json!(true), &json!(null)), "{polled}");
        let mut socket = server.socket(EVENT, &format!("?token={}", phone.token)).await;
        assert_eq!(socket.closed().await, 4401);
        let recovery = json!({"event_id": EVENT, "draw_number": phone.number, "recovery_code": phone.recovery_code});
        server.post("/recover").json(&recovery).await.expect_refusal(403, "FORBIDDEN");
        server.admin_post("claims/look-up", &json!({"code": claim})).await.expect_refusal(404, "CLAIM_NOT_FOUND");
        let cookie = format!("ld_{EVENT}={}", phone.token);
        let by_cookie =
            server.post("/register").header("cookie", &cookie).json(&json!({"event_id": EVENT})).await.expect_data(201);
        assert!(by_cookie["draw_number"].as_u64().unwrap() > 7, "a number of its own: {by_cookie}");
    }
    for phone in kept.iter().chain(&next) {
        let own = server.get(&format!("/my-number?event_id={EVENT}")).bearer(&phone.token).await.ok();
        assert_eq!(own["draw_number"].as_u64(), Some(phone.number));
        let polled = server.get(&format!("/state?event_id={EVENT}")).bearer(&phone.token).await.ok();
        assert_eq!(polled.get("token_refused"), None);
        server.admin_post("claims/look-up", &json!({"code": claim_code(&server, phone).await})).await.ok();
    }
}

/// Insists that every phone of the old journal has its number by each of its secrets.
async fn old_phones_go_on(server: &TestServer, event: &str) {
    for (number, token, recovery, claim) in OLD_PHONES {
        let own = server.get(&format!("/my-number?event_id={event}")).bearer(token).await.ok();
        assert_eq!(own["draw_number"], number);
        let body = json!({"event_id": event, "draw_number": number, "recovery_code": recovery});
        assert_eq!(server.post("/recover").json(&body).await.ok()["session_token"], token);
        let look_up = server.request(Method::POST, &format!("/api/luckydraw/admin/{event}/claims/look-up")).admin();
        assert_eq!(look_up.json(&json!({"code": claim})).await.ok()["draw_number"], number);
    }
}

#[tokio::test]
async fn a_journal_of_before_opens_and_its_phones_keep_their_numbers() {
    let mut server = TestServer::start().await;
    server.terminate();
    server.ended().await;
    std::fs::remove_dir_all(server.data_dir()).unwrap();
    std::fs::create_dir(server.data_dir()).unwrap();
    let db = rusqlite::Connection::open(server.data_dir().join("luckydraw.sqlite")).unwrap();
    db.execute_batch(OLD_JOURNAL).unwrap();
    drop(db);
    let secret = data_encoding::HEXLOWER.decode(OLD_SECRET.as_bytes()).unwrap();
    std::fs::write(server.data_dir().join("secret.key"), secret).unwrap();
    server.restart().await;
    old_phones_go_on(&server, "gala").await;
    let register = |index| server.post("/register").json(&json!({"event_id": "gala", "request_id": request_id(index)}));
    let new = register(4).await.expect_data(201);
    assert_eq!(new["draw_number"], 4);

    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("gala.luckydraw");
    server.terminate();
    server.ended().await;
    run(&server.data_dir(), &["export", "gala", "--to", text(&file)]).expect_success();
    std::fs::remove_dir_all(server.data_dir()).unwrap();
    run(&server.data_dir(), &["import", text(&file)]).expect_success();
    server.restart().await;
    old_phones_go_on(&server, "gala").await;
    let own = server.get("/my-number?event_id=gala").bearer(new["session_token"].as_str().unwrap()).await.ok();
    assert_eq!(own["draw_number"], 4);
}

/// A person, and the secrets of the number that they were given.
struct Holder {
    number: Number,
    token: String,
    recovery_code: String,
    claim_code: String,
}

/// Two machines with an event that goes back and forth between them, and everybody who ever got a
/// number in it.
struct World {
    machines: [DataDir; 2],
    backups: Vec<PathBuf>,
    exports: Vec<PathBuf>,
    holders: Vec<Holder>,
    state: u64,
    steps: u64,
    folder: tempfile::TempDir,
}

const DRAW: DrawId = DrawId(1);

impl World {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machines = ["here", "there"].map(|name| DataDir::new(folder.path().join(name)));
        let world = Self { machines, backups: vec![], exports: vec![], holders: vec![], state: seed, steps: 0, folder };
        let id = EventId::parse("gala").unwrap();
        let settings = Settings { title: "Gala".into(), participants_max: 1_000, ..Settings::default() };
        let opened = Fact::Opened { id: id.clone(), settings, session: SessionId([1; 16]), epoch: Epoch([2; 8]) };
        world.commit(0, &id, opened);
        world
    }

    /// A number below `bound` (xorshift64; Marsaglia, 2003).
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % bound as u64) as usize
    }

    fn commit(&self, machine: usize, event: &EventId, fact: Fact) {
        let data = &self.machines[machine];
        let mut journal = Journal::open(data, &Keys::open(data).unwrap()).unwrap();
        // The clock stands still, so that the key alone must tell registrations apart.
        let stamped = RecordedFact { at: Timestamp(7), actor: Actor::Phone, fact };
        journal.commit(&[JournalEntry { event: event.clone(), stamped, details: None }]).unwrap();
    }

    fn events(&self, machine: usize) -> BTreeMap<EventId, Event> {
        let data = &self.machines[machine];
        let mut events = BTreeMap::<EventId, Event>::new();
        let apply = |id: EventId, RecordedFact { at, fact, .. }: RecordedFact| match fact {
            Fact::Opened { id: own, settings, session, epoch } => {
                drop(events.insert(id, Event::new(own, settings, session, epoch, at)));
            }
            fact => events.get_mut(&id).unwrap().apply(at, &fact),
        };
        Journal::open(data, &Keys::open(data).unwrap()).unwrap().replay(apply).unwrap();
        events
    }

    fn tokens(&self, machine: usize) -> Tokens {
        Tokens::new(&Keys::open(&self.machines[machine]).unwrap())
    }

    /// Gives the next number of one of the machine's events.
    fn register(&mut self, machine: usize) {
        let events = self.events(machine);
        let Some(id) = events.keys().nth(self.below(events.len().max(1))).cloned() else { return };
        let number = Number(events[&id].highest_number() + 1);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&{ self.below(usize::MAX) as u64 }.to_be_bytes());
        self.commit(machine, &id, Fact::Registered { number, key, secrets: SecretScope::Registration });
        let (of, tokens) = (self.events(machine)[&id].registration(number).unwrap(), self.tokens(machine));
        let (token, recovery_code) = (tokens.session_token(&of), tokens.recovery_code(&of));
        self.holders.push(Holder { number, token, recovery_code, claim_code: tokens.claim_code(&of, DRAW) });
    }

    fn step(&mut self) -> String {
        self.steps += 1;
        let machine = self.below(2);
        let data = self.machines[machine].clone();
        let execute = |command| backup::run(&data, &command, 100, 100).unwrap();
        match self.below(8) {
            0 if !self.events(machine).is_empty() => {
                let to = self.folder.path().join("backups");
                let made = execute(BackupCommand::Backup { to: Some(to), keep: None });
                self.backups.push(made.lines().next().unwrap().into());
                format!("backup of {machine}")
            }
            1 if !self.backups.is_empty() => {
                let place = self.below(self.backups.len());
                let from = self.backups[place].clone();
                execute(BackupCommand::Restore { from });
                format!("restore on {machine}")
            }
            2 if !self.events(machine).is_empty() => {
                let events = self.events(machine);
                let event = events.keys().nth(self.below(events.len())).unwrap().clone();
                let to = self.folder.path().join(format!("{}.luckydraw", self.steps));
                execute(BackupCommand::Export { event, to: Some(to.clone()) });
                self.exports.push(to);
                format!("export from {machine}")
            }
            3 if !self.exports.is_empty() => {
                let place = self.below(self.exports.len());
                let file = self.exports[place].clone();
                let as_event = EventId::parse(&format!("copy-{}", self.steps));
                execute(BackupCommand::Import { file, as_event });
                format!("import on {machine}")
            }
            _ => {
                self.register(machine);
                format!("registration on {machine}")
            }
        }
    }

    /// Insists that every number has one holder, by each of its secrets.
    fn check(&self, history: &[String]) {
        for machine in 0..2 {
            let tokens = self.tokens(machine);
            for (id, event) in self.events(machine) {
                let registrations = || event.participants_after(0).map(|(number, _)| event.registration(number).unwrap());
                for of in registrations() {
                    let named: Vec<_> = self.holders.iter().filter(|holder| holder.number == of.number).collect();
                    let by_token = named.iter().filter(|holder| tokens.verify(&event, &holder.token).is_some()).count();
                    let by_code = named.iter().filter(|holder| tokens.is_recovery_code(&of, &holder.recovery_code)).count();
                    let seats = || registrations().map(|of| (DRAW, of));
                    let claims = |holder: &&&Holder| tokens.find_claim(seats(), &holder.claim_code).is_some();
                    let by_claim = named.iter().filter(claims).count();
                    let at = format!("{id} on {machine}, number {}: {history:?}", of.number.0);
                    assert_eq!((by_token, by_code, by_claim), (1, 1, 1), "holders by token, recovery and claim code: {at}");
                }
            }
        }
    }
}

#[test]
fn no_order_of_registrations_restores_and_imports_gives_a_number_two_holders() {
    for seed in 1..=6 {
        let mut world = World::new(seed * 0x9e37_79b9);
        let mut history = vec![format!("seed {seed}")];
        for _ in 0..20 {
            history.push(world.step());
        }
        world.check(&history);
        assert!(world.holders.len() > 3, "{history:?}");
    }
}
