//! The draws of a proof, one after the other: each names the end of the one before it, so that none
//! can be left out between two.

use super::file::{DrawHeader, FirstVersionDraw, LockedDraw, NUMBER_MAX, Numbers, Proof, RedrawOf, Voided, parse_object};
use super::outside::{CheckedRule, check_rule, check_value};
use crate::draw::pick::{commitment, pick};
use crate::draw::proof::{self, DrandChain, Hash, LockedFields, NO_END, OutsideRule, Seed, difference, roster_tree};
use crate::draw::{DrawId, DrawSpec, Entropy, Mode, Number, Pool, SessionId, Timestamp};
use data_encoding::HEXLOWER;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// The most numbers in the pools of one file together.
const NUMBERS_MAX: u64 = 200_000_000;

/// A draw that holds, as a receipt is compared with it.
pub(super) struct CheckedLock {
    pub head: Hash,
    pub roster_root: Hash,
    pub registered_through: u32,
    pub code: Option<String>,
    pub pool: Pool,
    pub outside: OutsideRule,
    /// When the round became public that decided the draw, where a known chain's did.
    pub round_at: Option<Timestamp>,
}

/// The locked draw before, as the next one goes on from it.
struct Previous {
    id: u32,
    chain: usize,
    place: u32,
    seed: Seed,
    end: Hash,
    roster_root: Hash,
    pool: Pool,
    outside: OutsideRule,
    started_at: Timestamp,
}

/// The state of a check between two draws.
#[derive(Default)]
pub(super) struct Checker<'a> {
    /// The locked draws that hold, by id.
    pub locked: BTreeMap<u32, CheckedLock>,
    /// Chains of drand beside quicknet.
    chains: &'a [DrandChain],
    previous: Option<Previous>,
    /// The highest id so far, and true once a draw had a lock, whether it held or not.
    last_id: u32,
    has_locks: bool,
    /// The voided numbers of each draw so far.
    voided: BTreeMap<u32, Vec<u32>>,
    /// The draw of each entropy of the first version.
    entropies: BTreeMap<Hash, u32>,
    numbers: u64,
}

impl<'a> Checker<'a> {
    /// A check that has seen no draw, with chains of drand beside quicknet.
    pub fn new(chains: &'a [DrandChain]) -> Self {
        Self { chains, ..Self::default() }
    }

    /// Checks the next draw. Gives its name, and a text about what it shows.
    pub fn check(&mut self, proof: &Proof<'_>, draw: &RawValue) -> (String, Result<String, String>) {
        match parse_object::<DrawHeader>(draw.get()) {
            Ok(header) => {
                let name = header.prize_name.as_deref().unwrap_or("?");
                (format!("draw {} {name:?}", header.draw_id), self.check_draw(proof, &header, draw.get()))
            }
            Err(error) => ("a draw".to_owned(), Err(malformed(error))),
        }
    }

    fn check_draw(&mut self, proof: &Proof<'_>, header: &DrawHeader, text: &str) -> Result<String, String> {
        ensure(header.draw_id > self.last_id, || "its id is not above those before".into())?;
        self.last_id = header.draw_id;
        match header.version {
            None => {
                // A server could begin any draw without a lock and call it old.
                ensure(!self.has_locks, || "it has no lock, and a draw before it has one".into())?;
                self.check_first_version(&parse_object::<FirstVersionDraw>(text).map_err(malformed)?)
            }
            Some(Some(2)) => {
                self.has_locks = true;
                self.check_locked(proof, &parse_object::<LockedDraw>(text).map_err(malformed)?)
            }
            Some(_) => Err("is of a version that this program does not know".into()),
        }
    }

    /// Checks what follows the draws: no two chains are one, and the leaves are those of the newest
    /// lock.
    pub fn check_rest(&self, proof: &Proof<'_>) -> Result<(), String> {
        let anchors = proof.anchors.iter().map(|anchor| hash("anchors", anchor)).collect::<Result<BTreeSet<_>, _>>()?;
        ensure(anchors.len() == proof.anchors.len(), || "two of its seed chains are one".into())?;
        let Some(leaves) = &proof.leaves else { return Ok(()) };
        // A lock without an announcement is not in the file yet.
        let Some(lock) = self.locked.get(&leaves.draw_id) else { return Ok(()) };
        let hashes = leaves.hashes.iter().map(|leaf| hash("leaves", leaf)).collect::<Result<Vec<_>, _>>()?;
        ensure(hashes.len() == lock.registered_through as usize, || "its leaves are not as many as its numbers".into())?;
        ensure(roster_tree::root_of(hashes) == lock.roster_root, || "its leaves do not lead to the root of its lock".into())
    }

    fn check_locked(&mut self, proof: &Proof<'_>, draw: &LockedDraw) -> Result<String, String> {
        let is_cancelled = self.check_order(draw)?;
        let seed = self.check_seed(proof, draw)?;
        let pool = self.locked_pool(draw)?;
        ensure(pool.size == draw.pool_size, || format!("pool_size is {}, its ranges hold {}", draw.pool_size, pool.size))?;
        ensure((1..=pool.size).contains(&draw.winner_count), || "its number of winners is impossible".into())?;
        let rule = check_rule(draw, self.chains)?;
        let (head, roster_root) = self.check_head(proof, draw, &pool, &rule)?;
        let value = check_value(draw, &rule, is_cancelled, self.chains)?;
        let expected = match &value.bytes {
            Some(bytes) => pick(&pool, draw.winner_count, &proof::entropy(&seed, &head, bytes)),
            None => Vec::new(),
        };
        let picks: Vec<Number> = draw.picks.iter().copied().map(Number).collect();
        ensure(picks == expected, || format!("picks are {:?}, recomputed {:?}", &*draw.picks, plain(&expected)))?;
        let bytes = value.bytes.unwrap_or_default();
        let code = (!is_cancelled).then(|| proof::confirmation_code(&head, &seed, &bytes));
        ensure(draw.code == code, || format!("its code is {:?}, recomputed {code:?}", draw.code))?;
        self.check_voids(draw.draw_id, &draw.picks, &draw.voided, draw.redraw_of.as_ref())?;
        ensure(!is_cancelled || draw.voided.is_empty(), || "it was cancelled and has voided winners".into())?;
        let end = proof::end(&head, &seed, &bytes, is_cancelled, &picks);
        let (id, chain, place, registered_through) = (draw.draw_id, draw.chain, draw.place, draw.registered_through);
        let (outside, started_at) = (rule.outside, Timestamp(draw.started_at_ms));
        let note = self.change_notes(draw, outside);
        let picks = &*draw.picks;
        let text = format!("ok, {}, {} of {}: {picks:?}{}{note}", draw.status, draw.winner_count, pool.size, value.note);
        let round_at = rule.round_at.filter(|_| draw.fallback.is_none());
        let lock = CheckedLock { head, roster_root, registered_through, code, pool: pool.clone(), outside, round_at };
        self.locked.insert(id, lock);
        self.previous = Some(Previous { id, chain, place, seed, end, roster_root, pool, outside, started_at });
        Ok(text)
    }

    /// Notes about changes between two draws, which a server may make and people should know.
    fn change_notes(&self, draw: &LockedDraw, outside: OutsideRule) -> String {
        let mut notes = String::new();
        if draw.chain > 0 && draw.place == 1 {
            notes += "; NOTE: a new seed chain begins, chosen after the registrations";
        }
        let Some(previous) = &self.previous else { return notes };
        if previous.outside != outside {
            notes += &format!("; NOTE: the rule was {} before", previous.outside.name());
        }
        if draw.started_at_ms < previous.started_at.0 {
            notes += "; NOTE: the server's clock was set back since the draw before";
        }
        notes
    }

    /// The pool of a locked draw, which the file tells by what changed since the lock before.
    fn locked_pool(&mut self, draw: &LockedDraw) -> Result<Pool, String> {
        let changes = draw.excluded.iter().map(|numbers| match numbers {
            Numbers::One(number) => (*number, *number),
            Numbers::Run(first, last) => (*first, *last),
        });
        let changes: Vec<(u32, u32)> = changes.collect();
        check_runs(&changes, draw.registered_through)?;
        let before = self.previous.as_ref().map(|previous| previous.pool.excluded()).unwrap_or_default();
        let excluded = difference(&before, &changes);
        match (&draw.weights, &self.previous) {
            (Some(weights), _) => self.pool(&excluded, draw.registered_through, weights),
            (None, Some(previous)) => {
                let weights = previous.pool.weights.clone();
                let mut pool = self.pool(&excluded, draw.registered_through, &[])?;
                pool.weights = weights.into_iter().filter(|(number, _)| pool.holds(*number)).collect();
                Ok(pool)
            }
            (None, None) => Err("its weights are missing".into()),
        }
    }

    /// Checks that no draw is left out before this one; true when it was cancelled.
    fn check_order(&self, draw: &LockedDraw) -> Result<bool, String> {
        let previous = self.previous.as_ref();
        let follows = previous.is_none_or(|previous| draw.draw_id == previous.id.wrapping_add(1));
        ensure(follows, || "a draw before it is left out".into())?;
        let in_place = match previous {
            Some(previous) if previous.chain == draw.chain => draw.place == previous.place + 1,
            // A chain that was replaced before its first draw has none.
            Some(previous) => draw.chain > previous.chain && draw.place == 1,
            None => draw.place == 1,
        };
        ensure(in_place, || "a draw before it is left out, or its seed is of another place".into())?;
        is_cancelled(&draw.status)
    }

    fn check_seed(&self, proof: &Proof<'_>, draw: &LockedDraw) -> Result<Seed, String> {
        let seed = Seed(hash("seed", &draw.seed)?);
        let anchor = proof.anchors.get(draw.chain).ok_or("its seed chain has no anchor")?;
        let before = match &self.previous {
            Some(previous) if previous.chain == draw.chain => previous.seed.0,
            _ => hash("anchors", anchor)?,
        };
        ensure(seed.before().0 == before, || "its seed is not the one that the chain fixed".into())?;
        Ok(seed)
    }

    /// Checks the lock's hash; returns it, and the root that it holds.
    fn check_head(&self, proof: &Proof<'_>, draw: &LockedDraw, pool: &Pool, rule: &CheckedRule) -> Result<(Hash, Hash), String> {
        let session = bytes::<16>("event_session_id", &proof.event_session_id)?;
        let roster_root = match (&draw.roster_root, &self.previous) {
            (Some(root), _) => hash("roster_root", root)?,
            (None, Some(previous)) => previous.roster_root,
            (None, None) => return Err("its roster_root is missing".into()),
        };
        let spec = DrawSpec {
            prize_id: None,
            prize_name: draw.prize_name.as_str().into(),
            prize_rank: draw.prize_rank,
            prize_grade: None,
            prize_image: None,
            mode: Mode::named(&draw.draw_mode).ok_or("its mode is unknown")?,
            winner_count: draw.winner_count,
            show_length: None,
        };
        let fields = LockedFields {
            event: draw.event_id.as_deref().unwrap_or(&proof.event_id),
            session: &SessionId(session),
            anchor: &hash("anchors", proof.anchors.get(draw.chain).map_or("", |anchor| anchor))?,
            place: draw.place,
            previous: &self.previous.as_ref().map_or(NO_END, |previous| previous.end),
            draw: DrawId(draw.draw_id),
            spec: &spec,
            redraw_of: draw.redraw_of.as_ref().map(|of| (DrawId(of.draw_id), Number(of.draw_number))),
            roster_root: &roster_root,
            pool,
            outside: rule.outside,
            round: rule.round,
            at: Timestamp(draw.started_at_ms),
        };
        let head = fields.head();
        ensure(hash("head", &draw.head)? == head, || "its lock does not have this hash: something in it was changed".into())?;
        Ok((head, roster_root))
    }

    fn check_first_version(&mut self, draw: &FirstVersionDraw) -> Result<String, String> {
        is_cancelled(&draw.status)?;
        let entropy = Entropy(hash("entropy", &draw.entropy)?);
        ensure(hash("commitment", &draw.commitment)? == commitment(&entropy), || "the commitment is not the entropy's".into())?;
        check_runs(&draw.excluded, draw.registered_through)?;
        let pool = self.pool(&draw.excluded, draw.registered_through, &draw.weights)?;
        ensure(pool.ranges == *draw.pool, || "its pool is not the numbers that are not excluded".into())?;
        ensure(pool.size == draw.pool_size, || format!("pool_size is {}, its ranges hold {}", draw.pool_size, pool.size))?;
        ensure((1..=pool.size).contains(&draw.winner_count), || "its number of winners is impossible".into())?;
        let expected = plain(&pick(&pool, draw.winner_count, &entropy));
        ensure(*draw.picks == *expected, || format!("picks are {:?}, recomputed {expected:?}", &*draw.picks))?;
        self.check_voids(draw.draw_id, &draw.picks, &draw.voided, draw.redraw_of.as_ref())?;
        let first = *self.entropies.entry(entropy.0).or_insert(draw.draw_id);
        ensure(first == draw.draw_id, || format!("its entropy is that of draw {first}"))?;
        Ok(format!("ok, version 1, {}, {} of {}: {:?}", draw.status, draw.winner_count, pool.size, &*draw.picks))
    }

    /// The pool of all numbers but those excluded, which are rising runs that do not touch.
    fn pool(&mut self, excluded: &[(u32, u32)], through: u32, weights: &[(u32, u16)]) -> Result<Pool, String> {
        ensure((1..=NUMBER_MAX).contains(&through), || "registered_through is out of range".into())?;
        ensure(excluded.last().is_none_or(|(_, last)| *last <= through), || "excluded goes too far".into())?;
        let mut pool = Pool::new(through);
        pool.ranges = difference(&[(1, through)], excluded);
        pool.size = pool.ranges.iter().map(|(first, last)| last - first + 1).sum();
        self.numbers += u64::from(through);
        ensure(self.numbers <= NUMBERS_MAX, || "the file has too many numbers".into())?;
        let mut last = 0;
        for (number, weight) in weights {
            let is_next = last < *number && *weight >= 2 && pool.holds(*number);
            ensure(is_next, || format!("the weight of number {number} is wrong"))?;
            last = *number;
        }
        pool.weights = weights.to_vec();
        Ok(pool)
    }

    fn check_voids(&mut self, id: u32, picks: &[u32], voided: &[Voided], redraw: Option<&RedrawOf>) -> Result<(), String> {
        for Voided { draw_number } in voided {
            ensure(picks.contains(draw_number), || format!("number {draw_number} was voided and had not won"))?;
        }
        if let Some(RedrawOf { draw_id, draw_number }) = redraw {
            let is_voided = self.voided.get(draw_id).is_some_and(|voided| voided.contains(draw_number));
            ensure(is_voided, || format!("it redraws number {draw_number} of draw {draw_id}, which was not voided"))?;
        }
        self.voided.insert(id, voided.iter().map(|voided| voided.draw_number).collect());
        Ok(())
    }
}

/// The status of a draw: true for a cancelled one.
fn is_cancelled(status: &str) -> Result<bool, String> {
    match status {
        "announced" => Ok(false),
        "cancelled" => Ok(true),
        _ => Err("its status is unknown".into()),
    }
}

/// Checks that runs rise from 1 to `through` at most, and that no two touch, which would be one.
fn check_runs(runs: &[(u32, u32)], through: u32) -> Result<(), String> {
    let is_run = |(first, last): &(u32, u32)| 1 <= *first && first <= last && *last <= through;
    let are_apart = runs.windows(2).all(|pair| pair[0].1.saturating_add(1) < pair[1].0);
    ensure(are_apart && runs.iter().all(is_run), || "excluded is not rising, or has two runs that touch".into())
}

pub(super) fn ensure(is_so: bool, mismatch: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(mismatch()) }
}

fn malformed(error: serde_json::Error) -> String {
    format!("malformed: {error}")
}

/// Reads 32 bytes in lower-case hex.
pub(super) fn hash(field: &str, hex: &str) -> Result<Hash, String> {
    bytes(field, hex)
}

pub(super) fn bytes<const LEN: usize>(field: &str, hex: &str) -> Result<[u8; LEN], String> {
    let bytes = HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{field} is not {LEN} bytes in hex"))
}

fn plain(numbers: &[Number]) -> Vec<u32> {
    numbers.iter().map(|number| number.0).collect()
}
