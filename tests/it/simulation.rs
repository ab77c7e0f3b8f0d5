//! Seeded evenings against a naive model: random commands, double clicks, retries and crashes, decided and kept by the real writer on a real journal,
//! while a model with nothing but vectors and sets says what has to come out.
//!
//! A crash is a copy of the data folder taken between two answers: whatever was answered has to be in it. `SIM_SEEDS=10000` runs more evenings.

use bytes::Bytes;
use crossbeam::channel::bounded;
use luckydraw::draw::command::{Command, Redraw, Scope, Which};
use luckydraw::draw::event::Audience;
use luckydraw::draw::fact::{Settings, VoidReason};
use luckydraw::draw::{Actor, DrawId, EventId, Mode, Number, Outcome, Prize, PrizeId, SessionId, SpecWish, Status};
use luckydraw::live::Role;
use luckydraw::live::directory::Directory;
use luckydraw::live::protocol::{Answer, Protocol, Speaker};
use luckydraw::live::snapshot::Snapshot;
use luckydraw::live::stage::Stages;
use luckydraw::sequencer::inbox::{Denial, Granted, Inbox, Order, Reply};
use luckydraw::sequencer::{Limits, Sequencer};
use luckydraw::store::journal::Journal;
use luckydraw::store::keys::Keys;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

const EVENT: &str = "evening";
const STEPS: u32 = 120;

/// A small generator of chance whose seed is printed when a run fails (SplitMix64, Steele et al. 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// Nobody is connected in these evenings, so nothing is ever heard.
struct Mute;

impl Protocol for Mute {
    fn state_sync(&self, snapshot: &Snapshot, role: Role, _: Option<Number>) -> Bytes {
        snapshot.sync[role].clone()
    }

    fn hear(&mut self, _: &Speaker<'_>, _: &mut [u8]) -> Answer {
        Answer::Nothing
    }
}

/// The real thing: a writer on its thread, and the doors to it.
struct House {
    dir: TempDir,
    inbox: Inbox,
    directory: Arc<Directory>,
    stages: Stages,
    writer: Option<JoinHandle<()>>,
}

impl House {
    fn open(dir: TempDir) -> Self {
        let keys = Keys::open(dir.path()).unwrap();
        let journal = Journal::open(dir.path(), &keys).unwrap();
        let directory = Arc::new(Directory::default());
        let (sender, orders) = bounded(64);
        let limits = Limits {
            events_max: 4,
            announce_after: Duration::from_secs(3_600),
            event_ttl: Duration::from_secs(3_600),
            details_ttl: Duration::from_secs(3_600),
            backups_dir: dir.path().join("backups"),
        };
        let stages = Stages::start(1, || Box::new(Mute)).unwrap();
        let writer = Sequencer::recover(journal, directory.clone(), stages.clone(), orders, limits, Default::default()).unwrap();
        let writer = Some(std::thread::spawn(|| writer.run()));
        Self { dir, inbox: Inbox::new(sender), directory, stages, writer }
    }

    fn begin() -> Self {
        let house = Self::open(tempfile::tempdir().unwrap());
        let settings = Settings { title: "t".into(), participants_max: 60, groups: false, weights: false };
        let prizes = vec![listed("TV", 2, false), listed("Mug", 40, true)];
        let event = EventId::parse(EVENT).unwrap();
        house.wait(|reply| Order::Open { event, settings, prizes, reply: Reply::Handler(reply) }).unwrap();
        house
    }

    fn wait<T>(&self, make: impl FnOnce(tokio::sync::oneshot::Sender<Result<T, Denial>>) -> Order) -> Result<T, Denial> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.inbox.post(make(reply)).unwrap();
        answer.blocking_recv().unwrap()
    }

    fn order(&self, command: Command) -> Result<Granted, Denial> {
        let event = EventId::parse(EVENT).unwrap();
        self.wait(|reply| Order::Command { event, actor: Actor::Admin, command, details: None, reply: Reply::Handler(reply) })
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.directory.find(EVENT).unwrap().snapshot()
    }

    /// The power goes off: the next house has what the disk had, and nothing was closed properly.
    fn crash(mut self) -> Self {
        let image = tempfile::tempdir().unwrap();
        copy_files(self.dir.path(), image.path());
        self.stop();
        Self::open(image)
    }

    fn stop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.inbox.post(Order::Stop).unwrap();
            writer.join().unwrap();
            self.stages.stop(Duration::ZERO, Duration::ZERO);
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn listed(name: &str, quantity: u32, repeat_winners: bool) -> Prize {
    Prize {
        id: PrizeId(0),
        name: name.into(),
        rank: 1,
        grade: None,
        quantity,
        mode: None,
        winner_count: None,
        image: None,
        repeat_winners,
        group: None,
    }
}

/// What has to be true, kept as simply as it can be said.
#[derive(Default)]
struct Model {
    /// What each registration was answered, by its key.
    numbers: BTreeMap<[u8; 32], u32>,
    /// Winners of announced and revealed draws, by prize, with whether they lost their seat for a reason that keeps them out.
    seats: Vec<(u32, &'static str, u32, Option<VoidReason>)>,
    pending: Option<(u32, &'static str, u32)>,
    /// Who could win the pending draw when it was started: a seat voided since changes nothing about a sealed pick.
    pool: BTreeSet<u32>,
    unannounced: Option<u32>,
    announced: BTreeSet<u32>,
    standby: bool,
    announcements: u64,
}

impl Model {
    fn taken(&self, prize: &str) -> u32 {
        self.seats.iter().filter(|(_, of, _, voided)| *of == prize && voided.is_none()).count() as u32
    }

    fn is_out(&self, number: u32, prize: &str) -> bool {
        self.seats.iter().filter(|(_, _, won, _)| *won == number).any(|(_, of, _, voided)| match voided {
            Some(reason) => *reason != VoidReason::OperatorError,
            None => prize != "Mug" || *of == "Mug",
        })
    }

    fn free(&self, prize: &str) -> u32 {
        self.numbers.values().filter(|number| !self.is_out(**number, prize)).count() as u32
    }

    /// The code a start is refused with, if it is.
    fn refuses_start(&self, prize: &'static str, count: u32) -> Option<&'static str> {
        if let Some((_, of, wanted)) = self.pending {
            return (of != prize || wanted != count).then_some("DRAW_IN_PROGRESS");
        }
        let quantity = match prize {
            "TV" => 2,
            "Mug" => 40,
            _ => u32::MAX,
        };
        let exhausted = quantity - self.taken(prize).min(quantity) < count;
        (exhausted || self.free(prize) < count).then_some("DRAW_FAILED")
    }

    fn announce_last(&mut self) {
        if let Some(draw) = self.unannounced.take() {
            self.announced.insert(draw);
            self.announcements += 1;
        }
    }
}

/// One evening of one seed.
struct Evening {
    house: House,
    model: Model,
    dice: Dice,
    keys: u64,
}

impl Evening {
    fn step(mut self) -> Self {
        match self.dice.below(100) {
            0..30 => self.register(),
            30..48 => self.start(),
            48..62 => self.reveal(),
            62..72 => self.complete(),
            72..76 => self.cancel(),
            76..84 => self.void(),
            84..88 => self.stand_by(),
            88..91 => self.reset(),
            _ => self.house = self.house.crash(),
        }
        self.check();
        self
    }

    /// A new phone, or one whose answer was lost and that asks again.
    fn register(&mut self) {
        let retry = self.dice.below(3) == 0 && self.keys > 0;
        let id = if retry { self.dice.below(self.keys) } else { self.keys };
        self.keys = self.keys.max(id + 1);
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(id * 7 + 1).to_le_bytes());
        let snapshot = self.house.snapshot();
        let Some(number) = snapshot.roster.claim(&key) else {
            assert!(self.model.numbers.len() >= 60, "only a full event gives no number");
            return;
        };
        let number = Number(number);
        let command = Command::Register { number, key, session: snapshot.event.session };
        let Outcome::Registered { number: given, existing } = self.house.order(command).unwrap().outcome else {
            panic!("no number")
        };
        assert_eq!(given, number);
        assert_eq!(existing, self.model.numbers.contains_key(&key));
        let kept = *self.model.numbers.entry(key).or_insert(given.0);
        assert_eq!(kept, given.0, "a phone keeps its number");
    }

    fn start(&mut self) {
        let (prize, mode, count) = self.dice.one_of(&[("TV", Mode::Slot, 1), ("Mug", Mode::Card, 3), ("Sock", Mode::List, 4)]);
        let refused = self.model.refuses_start(prize, count);
        match self.house.order(Command::Start(wish(prize, mode, count))) {
            Ok(granted) => {
                assert_eq!(refused, None, "{prize} should have been refused");
                let Outcome::Started(draw) = granted.outcome else { panic!("not started") };
                if let Some((pending, ..)) = self.model.pending {
                    assert_eq!(pending, draw.0, "a second click starts nothing");
                    return;
                }
                self.model.announce_last();
                self.model.pool =
                    self.model.numbers.values().copied().filter(|number| !self.model.is_out(*number, prize)).collect();
                self.model.pending = Some((draw.0, prize, count));
                self.model.standby = false;
            }
            Err(denial) => assert_eq!(refused, code(&denial), "{prize}: {denial}"),
        }
    }

    fn reveal(&mut self) {
        let answer = self.house.order(Command::Reveal);
        let Some((draw, prize, count)) = self.model.pending.take() else {
            assert_eq!(answer.err().as_ref().and_then(code), Some("REVEAL_FAILED"));
            return;
        };
        let snapshot = answer.unwrap().snapshot;
        let revealed = snapshot.event.draw(DrawId(draw)).unwrap();
        let winners: BTreeSet<_> = revealed.winners().map(|number| number.0).collect();
        assert_eq!(winners.len() as u32, count, "as many as were asked for, and nobody twice");
        for number in winners {
            assert!(self.model.pool.contains(&number), "{number} is registered, and might win {prize}");
            self.model.seats.push((draw, prize, number, None));
        }
        self.model.unannounced = Some(draw);
    }

    fn complete(&mut self) {
        let answer = self.house.order(Command::Complete(Which::Latest));
        let nothing = self.model.unannounced.is_none() && self.model.announced.is_empty();
        assert_eq!(answer.err().as_ref().and_then(code), nothing.then_some("COMPLETE_FAILED"));
        self.model.announce_last();
    }

    fn cancel(&mut self) {
        let answer = self.house.order(Command::Cancel { reason: "mistake".into() });
        let nothing = self.model.pending.is_none() && !self.model.standby;
        assert_eq!(answer.is_err(), nothing);
        if self.model.pending.take().is_none() {
            self.model.standby = false;
        }
    }

    fn void(&mut self) {
        let standing: Vec<_> = (0..self.model.seats.len()).filter(|index| self.model.seats[*index].3.is_none()).collect();
        if standing.is_empty() {
            return;
        }
        let index = self.dice.one_of(&standing);
        let (draw, _, number, _) = self.model.seats[index];
        let reason = self.dice.one_of(&VoidReason::ALL);
        let void = Command::Void { draw: DrawId(draw), number: Number(number), reason, redraw: Redraw::No };
        let answer = self.house.order(void);
        if self.model.announced.contains(&draw) {
            answer.unwrap();
            self.model.seats[index].3 = Some(reason);
        } else {
            assert_eq!(answer.err().as_ref().and_then(code), Some("DRAW_IN_PROGRESS"));
        }
    }

    fn stand_by(&mut self) {
        let answer = self.house.order(Command::Standby(wish("Sock", Mode::List, 4)));
        assert_eq!(answer.err().as_ref().and_then(code), self.model.pending.map(|_| "DRAW_IN_PROGRESS"));
        if self.model.pending.is_none() {
            self.model.announce_last();
            self.model.standby = true;
        }
    }

    fn reset(&mut self) {
        let everybody = self.dice.below(3) == 0;
        let session = SessionId([self.dice.next() as u8; 16]);
        let scope = if everybody { Scope::Participants(session) } else { Scope::Draws };
        self.house.order(Command::Reset(scope)).unwrap();
        let numbers = if everybody { BTreeMap::new() } else { std::mem::take(&mut self.model.numbers) };
        self.model = Model { numbers, announcements: self.model.announcements, ..Model::default() };
    }

    /// What everybody can read agrees with the model, whether the house just came back or not.
    fn check(&self) {
        let snapshot = self.house.snapshot();
        let (event, model) = (&snapshot.event, &self.model);
        let numbers: BTreeSet<_> = event.participants_after(0).map(|(number, _)| number.0).collect();
        assert_eq!(numbers, model.numbers.values().copied().collect(), "exactly the acknowledged numbers");
        assert_eq!(numbers, (1..=numbers.len() as u32).collect(), "without a gap");
        assert_eq!(event.pending().map(|draw| draw.id.0), model.pending.map(|(draw, ..)| draw));
        assert_eq!(event.unannounced().map(|draw| draw.id.0), model.unannounced);
        assert_eq!(event.standby.is_some(), model.standby);
        let seats: Vec<_> = event
            .draws()
            .flat_map(|draw| draw.seats.iter().map(|seat| (draw.id.0, seat.number.0, seat.voided.map(|v| v.1))))
            .collect();
        let mut expected: Vec<_> = model.seats.iter().map(|(draw, _, number, voided)| (*draw, *number, *voided)).collect();
        let mut sorted = seats;
        sorted.sort_by_key(|seat| (seat.0, seat.1));
        expected.sort_by_key(|seat| (seat.0, seat.1));
        assert_eq!(sorted, expected);
        let public: BTreeSet<_> = event.draws().filter(|draw| draw.is_known_to(Audience::Public)).map(|draw| draw.id.0).collect();
        assert_eq!(public, model.announced, "the public knows the announced draws and no other");
        assert!(event.draws().all(|draw| draw.status() != Status::Started || draw.opened().is_none()));
        check_frames(&snapshot, model.announcements);
    }
}

/// The frames that are held are numbered without a gap, and every announcement is among them once.
fn check_frames(snapshot: &Snapshot, announcements: u64) {
    let frames: Vec<_> = snapshot.ring.after(0).unwrap().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect();
    assert_eq!(frames.len() as u64, snapshot.ring.last_seq());
    for (seq, frame) in (1..).zip(&frames) {
        assert!(frame.contains(&format!(r#""seq":{seq},"#)), "frame {seq} says {frame}");
    }
    let announced = frames.iter().filter(|frame| frame.contains("winner_announced")).count() as u64;
    assert_eq!(announced, announcements, "an announcement goes out once");
}

fn wish(name: &str, mode: Mode, count: u32) -> SpecWish {
    SpecWish {
        prize_name: Some(name.into()),
        prize_rank: Some(1),
        mode: Some(mode),
        winner_count: Some(count),
        ..SpecWish::default()
    }
}

fn code(denial: &Denial) -> Option<&'static str> {
    match denial {
        Denial::Refused(refusal) => Some(refusal.code()),
        _ => None,
    }
}

#[test]
fn every_evening_comes_out_as_the_model_says() {
    let seeds: u64 = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        eprintln!("seed {seed}");
        let mut evening = Evening { house: House::begin(), model: Model::default(), dice: Dice(seed), keys: 0 };
        for _ in 0..STEPS {
            evening = evening.step();
        }
    }
}
