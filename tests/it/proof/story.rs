//! Histories of an event, told by the rules alone with fixed seeds and times. A twist changes one
//! thing, as a crooked server would.

use super::beacon;
use luckydraw::base::sha256;
use luckydraw::draw::command::{Command, DrawSelector, EligibilityPatch, Redraw, ResetScope, SettingsPatch, Show, Sources};
use luckydraw::draw::decide::open_event;
use luckydraw::draw::fact::{Cause, Fact, SealedPick, Settings, VoidReason};
use luckydraw::draw::proof::drand::QUICKNET;
use luckydraw::draw::proof::{self as formulas, DrandChain, OutsideRule, OutsideValue, Signature, Words};
use luckydraw::draw::{
    DrawId, DrawRequest, DrawSpec, Entropy, Epoch, Event, EventId, Mode, Number, Outcome, Pool, SessionId, Timestamp, pick,
};
use luckydraw::wire::frame::{OutgoingFrame, frames_for};
use luckydraw::wire::view::proof;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time at which events open, in milliseconds since 1970.
const START_MS: i64 = 1_800_000_000_000;

/// The signature of round 1000 of quicknet, from the recorded answer of a relay.
const ROUND_1000: &[u8] = b"b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39";

/// The time of that round, in milliseconds since 1970.
pub const ROUND_1000_AT_MS: i64 = 1_692_803_367_000 + 999 * 3_000;

/// The phone whose receipt is kept.
const WITNESS: u32 = 3;

/// One change of a history.
pub struct Twist {
    /// A number that nobody holds.
    pub ghost: bool,
    /// A number that is not eligible.
    pub dropped: Option<u32>,
    /// Another weight of a number.
    pub weight: Option<(u32, u16)>,
    /// The hall's words of the third and of the last draw.
    pub words: &'static str,
    pub last_words: &'static str,
    /// The seed of the first chain.
    pub seed: u8,
    /// The prize of the first draw.
    pub prize: &'static str,
    /// Leaves out the second draw.
    pub hides_a_draw: bool,
}

impl Default for Twist {
    fn default() -> Self {
        let (words, last_words) = ("사과7", "pear8");
        Self { ghost: false, dropped: None, weight: None, words, last_words, seed: 7, prize: "TV", hides_a_draw: false }
    }
}

/// An event as it goes on.
pub struct Story {
    event: Event,
    at: i64,
    entropy: Entropy,
    drand: DrandChain,
}

impl Story {
    fn opened(at_ms: i64, entropy: Entropy, participants_max: u32) -> Self {
        let settings = Settings { title: "Gala".into(), participants_max, weights: true, ..Settings::default() };
        let (id, session, epoch) = (EventId::parse("gala").unwrap(), SessionId([1; 16]), Epoch([2; 8]));
        let at = Timestamp(at_ms);
        let facts = open_event(id.clone(), settings.clone(), session, epoch, &[], &mut || entropy).unwrap();
        let mut event = Event::new(id, settings, session, epoch, at);
        facts.iter().for_each(|fact| event.apply(at, fact));
        Self { event, at: at.0, entropy, drand: QUICKNET }
    }

    /// The history of the vectors, with one twist.
    pub fn told(twist: &Twist) -> Self {
        let mut story = Self::opened(START_MS, Entropy([twist.seed; 32]), 100);
        // Number 13 was claimed and never committed.
        (1..=40).filter(|number| *number != 13).for_each(|number| story.register(number));
        if twist.ghost {
            story.register(41);
        }
        story.mark(5, Some(false), None);
        story.mark(8, None, Some(3));
        twist.dropped.into_iter().for_each(|number| story.mark(number, Some(false), None));
        twist.weight.into_iter().for_each(|(number, weight)| story.mark(number, None, Some(weight)));
        story.draw(twist.prize, Mode::List, 2, None);
        if !twist.hides_a_draw {
            story.start("Mug \"A\" 🎁", Mode::Slot, 1);
            story.execute(Command::Cancel { reason: "wrong prize".into() });
        }
        story.set_outside(OutsideRule::Hall);
        let third = story.draw("자전거", Mode::Card, 3, Some(twist.words));
        let absent = story.event.draw(third).unwrap().winners().next().unwrap();
        story.start("Bag", Mode::Slot, 1);
        story.execute(Command::Cancel { reason: "nobody called".into() });
        story.execute(Command::Void { draw: third, number: absent, reason: VoidReason::Absent, redraw: Redraw::Yes });
        story.finish(Some("다시1"));
        story.register(43);
        story.set_outside(OutsideRule::None);
        story.execute(Command::Reset(ResetScope::Draws));
        story.draw("TV", Mode::List, 2, None);
        // The server came back from a copy.
        story.event.apply(Timestamp(story.at), &Event::begin_chain([9; 32]));
        story.set_outside(OutsideRule::Hall);
        story.draw("Car", Mode::Slot, 1, Some(twist.last_words));
        story
    }

    /// Draws by drand: a real round of quicknet, rounds of a chain that the tests hold, and
    /// fallbacks. `other_round` takes another round's signature for the last draw.
    pub fn by_drand(other_round: bool) -> Self {
        let mut story = Self::opened(QUICKNET.time_of(1000).0 - 60_000, Entropy([7; 32]), 100);
        (1..=40).for_each(|number| story.register(number));
        story.mark(8, None, Some(3));
        story.set_outside(OutsideRule::Drand);
        story.at = QUICKNET.time_of(1000).0 - 5_000;
        story.start("TV", Mode::List, 2);
        story.give_round(|_| round_1000());
        story.finish(None);
        story.start("Bag", Mode::Slot, 1);
        story.execute(Command::Cancel { reason: "no round came".into() });
        story.set_outside(OutsideRule::DrandOrHall);
        let draw = story.start("자전거", Mode::Card, 3);
        story.execute(Command::FallBack { draw, reason: "no network".into() });
        story.finish(Some("사과7"));
        let draw = story.start("Mug", Mode::Slot, 1);
        story.execute(Command::FallBack { draw, reason: "nobody calls".into() });
        story.execute(Command::Cancel { reason: "wrong prize".into() });
        story.set_outside(OutsideRule::DrandOrNone);
        let draw = story.start("Mug", Mode::Slot, 1);
        story.execute(Command::FallBack { draw, reason: "no network".into() });
        story.finish(None);
        story.drand = beacon::chain();
        story.at = START_MS;
        story.start("Pen", Mode::List, 5);
        story.give_round(beacon::sign);
        story.finish(None);
        story.start("Car", Mode::Slot, 1);
        match other_round {
            true => story.force_round(|round| beacon::sign(round + 1)),
            false => story.give_round(beacon::sign),
        }
        story.finish(None);
        story
    }

    /// Draws from before locks, with weights, exclusions, a void and its redraw, and a cancelled
    /// one; then one draw that a newer program locked.
    pub fn first_version() -> Self {
        let mut story = Self::opened(START_MS, Entropy([7; 32]), 100);
        (1..=40).filter(|number| *number != 13).for_each(|number| story.register(number));
        story.mark(5, Some(false), None);
        story.mark(8, None, Some(3));
        let first = story.unlocked("TV", 3, &[5, 13], None);
        let mut out: Vec<u32> =
            [5, 13].into_iter().chain(story.event.draw(first).unwrap().winners().map(|number| number.0)).collect();
        out.sort_unstable();
        let absent = Number(out.iter().copied().find(|number| ![5, 13].contains(number)).unwrap());
        story.apply(&Fact::SeatVoided { draw: first, number: absent, reason: VoidReason::Absent });
        story.unlocked("TV", 1, &out, Some((first, absent)));
        let cancelled = story.started_unlocked("Mug \"A\" 🎁", 2, &out, None);
        story.apply(&Fact::Cancelled { draw: cancelled.0, sealed: Some(cancelled.1), reason: "wrong prize".into() });
        story.draw("Car", Mode::Slot, 1, None);
        story
    }

    /// A server's story in which draws have locks until the last one, the grand prize.
    pub fn downgraded() -> Self {
        let mut story = Self::told(&Twist::default());
        story.unlocked("Grand prize", 1, &[], None);
        story
    }

    /// A draw of the first version, which had no lock.
    fn unlocked(&mut self, name: &str, count: u32, excluded: &[u32], redraw_of: Option<(DrawId, Number)>) -> DrawId {
        let (draw, sealed) = self.started_unlocked(name, count, excluded, redraw_of);
        self.apply(&Fact::Revealed { draw, sealed, show_at: None });
        self.apply(&Fact::Announced { draw, cause: Cause::Completed });
        draw
    }

    fn started_unlocked(
        &mut self,
        name: &str,
        winner_count: u32,
        excluded: &[u32],
        redraw_of: Option<(DrawId, Number)>,
    ) -> (DrawId, SealedPick) {
        let (draw, mut pool) = (DrawId(self.event.last_draw_id().0 + 1), Pool::new(self.event.highest_number()));
        let eligible = (1..=pool.through).filter(|number| !excluded.contains(number));
        eligible.for_each(|number| pool.push(Number(number), if number == 8 { 3 } else { 1 }));
        let entropy = Entropy([draw.0 as u8; 32]);
        let sealed = SealedPick { entropy, picks: pick::pick(&pool, winner_count, &entropy).into() };
        let (prize_name, mode) = (name.into(), Mode::List);
        let (prize_id, prize_grade, prize_image, show_length) = (None, None, None, None);
        let spec = DrawSpec { prize_id, prize_name, prize_rank: 2, prize_grade, prize_image, mode, winner_count, show_length };
        let (spec, pool, picked) = (Arc::new(spec), Arc::new(pool), Some(sealed.clone()));
        self.apply(&Fact::Started { draw, spec, pool, sealed: picked, lock: None, redraw_of, request: None });
        (draw, sealed)
    }

    fn apply(&mut self, fact: &Fact) {
        self.at += 1_001;
        self.event.apply(Timestamp(self.at), fact);
    }

    /// A draw by a value that a server made up so that number `wanted` wins. Its first four bytes
    /// are those of quicknet's round, and it tells phones the codes and heads of this same story.
    pub fn forged(wanted: u32) -> Self {
        let mut story = Self::opened(QUICKNET.time_of(1000).0 - 60_000, Entropy([7; 32]), 100);
        (1..=40).for_each(|number| story.register(number));
        story.set_outside(OutsideRule::Drand);
        story.at = QUICKNET.time_of(1000).0 - 5_000;
        story.start("TV", Mode::Slot, 1);
        let made_up = (0_u64..).map(|guess| {
            let mut signature = round_1000();
            signature[40..].copy_from_slice(&guess.to_be_bytes());
            signature
        });
        let suits = |signature: &Signature| story.picks_with(signature)[0] == Number(wanted);
        let signature = made_up.into_iter().find(suits).unwrap();
        story.force_round(|_| signature);
        story.finish(None);
        story
    }

    /// A move to another server before the first draw: the chain that phones know decides nothing.
    pub fn moved() -> Self {
        let mut story = Self::opened(START_MS, Entropy([7; 32]), 100);
        (1..=40).for_each(|number| story.register(number));
        story.event.apply(Timestamp(story.at), &Event::begin_chain([9; 32]));
        story.draw("TV", Mode::List, 2, None);
        story
    }

    /// A server whose clock ran ahead and was set right between two draws.
    pub fn with_clock_set_back() -> Self {
        let mut story = Self::moved();
        story.at -= 600_000;
        story.draw("Mug", Mode::Slot, 1, None);
        story
    }

    /// The number of the round that the pending draw waits for.
    fn awaited_round(&self) -> (DrawId, u64) {
        let draw = self.event.pending_draw().unwrap();
        (draw.id, draw.lock.as_ref().unwrap().round.unwrap().number)
    }

    fn give_round(&mut self, sign: impl Fn(u64) -> Signature) {
        let (draw, number) = self.awaited_round();
        let beacon = self.drand.verify(number, &sign(number)).expect("the chain's signature");
        self.execute(Command::GiveBeacon { draw, beacon });
    }

    /// A signature that no rule would take, with the winners that it leads to.
    fn force_round(&mut self, sign: impl Fn(u64) -> Signature) {
        let (id, number) = self.awaited_round();
        let signature = sign(number);
        let sealed = SealedPick { entropy: self.entropy_with(&signature), picks: self.picks_with(&signature).into() };
        let value = OutsideValue::Signature(signature);
        self.event.apply(Timestamp(self.at), &Fact::OutsideReceived { draw: id, value, sealed });
    }

    fn entropy_with(&self, signature: &Signature) -> Entropy {
        let lock = self.event.pending_draw().unwrap().lock.clone().unwrap();
        let seed = self.event.chain.as_ref().unwrap().seed(lock.place).unwrap();
        formulas::entropy(&seed, &lock.head, &OutsideValue::Signature(*signature).bytes())
    }

    /// The winners of the pending draw if its round had this signature.
    fn picks_with(&self, signature: &Signature) -> Vec<Number> {
        let draw = self.event.pending_draw().unwrap();
        pick::pick(&draw.pool, draw.spec.winner_count, &self.entropy_with(signature))
    }

    fn execute(&mut self, command: Command) -> Outcome {
        self.at += 1_001;
        let (at, entropy) = (Timestamp(self.at), self.entropy);
        let sources = Sources { entropy: &mut || entropy, drand: &self.drand };
        let decision = self.event.decide(at, &command, sources).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        decision.facts.iter().for_each(|fact| self.event.apply(at, fact));
        decision.outcome
    }

    fn register(&mut self, number: u32) {
        let (key, session) = (key(number), self.event.session);
        self.execute(Command::Register { number: Number(number), key, session });
    }

    fn mark(&mut self, number: u32, eligible: Option<bool>, weight: Option<u16>) {
        let patch = EligibilityPatch { eligible, weight, group: None };
        self.execute(Command::MarkParticipant { number: Number(number), patch });
    }

    fn set_outside(&mut self, rule: OutsideRule) {
        self.execute(Command::ChangeSettings(SettingsPatch { outside: Some(rule), ..SettingsPatch::default() }));
    }

    fn start(&mut self, name: &str, mode: Mode, count: u32) -> DrawId {
        let (prize_name, winner_count) = (Some(name.into()), Some(count));
        let request = DrawRequest { prize_name, prize_rank: Some(2), mode: Some(mode), winner_count, ..DrawRequest::default() };
        self.execute(Command::Start(request));
        self.event.pending_draw().unwrap().id
    }

    fn finish(&mut self, words: Option<&str>) -> DrawId {
        let draw = self.event.pending_draw().unwrap().id;
        if let Some(words) = words {
            self.execute(Command::GiveWords { draw, words: Words::parse(words).unwrap() });
        }
        self.execute(Command::Reveal(Show::Open));
        self.execute(Command::Complete(DrawSelector::Latest));
        draw
    }

    fn draw(&mut self, name: &str, mode: Mode, count: u32, words: Option<&str>) -> DrawId {
        self.start(name, mode, count);
        self.finish(words)
    }

    /// The proof that the server publishes.
    pub fn proof(&self, with_leaves: bool) -> Value {
        serde_json::from_str(&proof::proof(&self.event, with_leaves)).unwrap()
    }

    /// The receipt of a phone that heard every lock and showed every code.
    pub fn receipt(&self) -> Value {
        let proof = self.proof(false);
        let draws = proof["draws"].as_array().unwrap();
        let heard = |field: &str| {
            let kept = draws.iter().filter(|draw| !draw[field].is_null());
            kept.map(|draw| (draw["draw_id"].to_string(), draw[field].clone())).collect::<serde_json::Map<_, _>>()
        };
        let path: Value = serde_json::from_str(&proof::path(&self.event, Number(WITNESS)).unwrap()).unwrap();
        json!({
            "event_id": "gala", "event_session_id": proof["event_session_id"], "draw_number": WITNESS,
            "receipt": path["receipt"], "anchor": proof["anchors"][0], "heads": heard("head"), "codes": heard("code"),
            "paths": [{"draw_id": path["draw_id"], "path": path["path"]}],
        })
    }
}

fn round_1000() -> Signature {
    data_encoding::HEXLOWER.decode(ROUND_1000).unwrap().try_into().unwrap()
}

/// The key of a phone's registration.
fn key(number: u32) -> [u8; 32] {
    sha256(format!("request of phone {number}").as_bytes())
}

/// Bytes by which the lock lengthens `draw_started` of a draw among so many participants, and the
/// time that its start took.
pub fn start_costs(participants: u32, outside: OutsideRule) -> (usize, Duration) {
    let mut story = Story::opened(START_MS, Entropy([7; 32]), participants);
    (1..=participants).for_each(|number| story.register(number));
    story.set_outside(outside);
    // The call that starts a draw does this on its own thread.
    (0..).take_while(|part| story.event.prepare_lock(*part)).count();
    let (at, entropy) = (Timestamp(story.at), story.entropy);
    let request = DrawRequest { prize_name: Some("TV".into()), prize_rank: Some(2), ..DrawRequest::default() };
    let begun = Instant::now();
    let sources = Sources { entropy: &mut || entropy, drand: &story.drand };
    let mut decided = story.event.decide(at, &Command::Start(request), sources).unwrap();
    let mut locked = story.event.clone();
    decided.facts.iter().for_each(|fact| locked.apply(at, fact));
    let took = begun.elapsed();
    let length = |event: &Event, fact: &Fact| {
        let frames = frames_for(event, fact, 1_000);
        let for_everyone = frames.iter().find_map(|frame| match frame {
            OutgoingFrame::Everyone(frame) => Some(frame.len()),
            _ => None,
        });
        for_everyone.expect("everyone is told of a start")
    };
    let with_lock = length(&locked, &decided.facts[0]);
    let Fact::Started { lock, sealed, .. } = &mut decided.facts[0] else { panic!("the start is the only fact") };
    (*lock, *sealed) = (None, Some(SealedPick { entropy, picks: [Number(1)].into() }));
    story.event.apply(at, &decided.facts[0]);
    (with_lock - length(&story.event, &decided.facts[0]), took)
}

/// The proof of many draws of one winner each among many participants.
pub fn large(participants: u32, draws: u32, outside: OutsideRule) -> Value {
    let mut story = Story::opened(START_MS, Entropy([7; 32]), participants);
    (1..=participants).for_each(|number| story.register(number));
    story.set_outside(outside);
    for _ in 0..draws {
        story.start("TV", Mode::Slot, 1);
        if outside.is_drand() {
            // As long as a real one.
            story.force_round(|round| std::array::from_fn(|byte| (byte as u64 * 7 + round) as u8));
        }
        story.finish(None);
    }
    story.proof(false)
}
