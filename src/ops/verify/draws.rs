//! The draws of a proof, one after the other: each names the end of the one before it, so that none
//! can be left out between two.

use super::Proof;
use super::outside::{CheckedRule, check_rule, check_value};
use crate::draw::pick::{commitment, pick};
use crate::draw::proof::{self, DrandChain, Hash, LockedFields, NO_END, Seed, difference, roster_tree};
use crate::draw::{DrawId, DrawSpec, Entropy, Mode, Number, Pool, SessionId, Timestamp};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The highest number of a proof.
const NUMBER_MAX: u32 = 1 << 21;
/// The most numbers in the pools of one file together.
const NUMBERS_MAX: u64 = 200_000_000;

/// A locked draw as the file has it.
#[derive(Deserialize)]
pub(super) struct LockedDraw {
    draw_id: u32,
    status: String,
    event_id: Option<String>,
    chain: usize,
    place: u32,
    prize_name: String,
    prize_rank: u32,
    draw_mode: String,
    winner_count: u32,
    redraw_of: Option<RedrawOf>,
    registered_through: u32,
    roster_root: Option<String>,
    pool_size: u32,
    excluded: Vec<Numbers>,
    weights: Option<Vec<(u32, u16)>>,
    pub outside: String,
    pub round: Option<u64>,
    pub drand_chain: Option<String>,
    pub started_at_ms: i64,
    head: String,
    pub fallback: Option<String>,
    pub outside_value: Option<String>,
    seed: String,
    picks: Vec<u32>,
    code: Option<String>,
    voided: Vec<Voided>,
}

/// A draw from before locks.
#[derive(Deserialize)]
struct FirstVersionDraw {
    draw_id: u32,
    status: String,
    winner_count: u32,
    redraw_of: Option<RedrawOf>,
    pool: Vec<(u32, u32)>,
    pool_size: u32,
    registered_through: u32,
    excluded: Vec<(u32, u32)>,
    weights: Vec<(u32, u16)>,
    entropy: String,
    commitment: String,
    picks: Vec<u32>,
    voided: Vec<Voided>,
}

#[derive(Deserialize)]
struct RedrawOf {
    draw_id: u32,
    draw_number: u32,
}

#[derive(Deserialize)]
struct Voided {
    draw_number: u32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(u32),
    Run(u32, u32),
}

/// A draw that holds, as a receipt is compared with it.
pub(super) struct CheckedLock {
    pub head: Hash,
    pub roster_root: Hash,
    pub registered_through: u32,
    pub code: Option<String>,
    pub pool: Pool,
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
}

/// The state of a check between two draws.
#[derive(Default)]
pub(super) struct Checker<'a> {
    /// The locked draws that hold, by id.
    pub locked: BTreeMap<u32, CheckedLock>,
    /// Chains of drand beside quicknet.
    chains: &'a [DrandChain],
    previous: Option<Previous>,
    /// The voided numbers of each draw so far.
    voided: BTreeMap<u32, Vec<u32>>,
    /// The draw of each entropy of the first version.
    entropies: BTreeMap<Hash, u32>,
    numbers: u64,
}

/// The id of a draw in a file.
pub(super) fn draw_id_of(draw: &Value) -> Option<u32> {
    draw["draw_id"].as_u64()?.try_into().ok()
}

impl<'a> Checker<'a> {
    /// A check that has seen no draw, with chains of drand beside quicknet.
    pub fn new(chains: &'a [DrandChain]) -> Self {
        Self { chains, ..Self::default() }
    }

    /// Checks the next draw; the text says what it shows.
    pub fn check(&mut self, proof: &Proof, draw: &Value) -> Result<String, String> {
        match draw.get("version").map(Value::as_u64) {
            None => self.check_first_version(&FirstVersionDraw::deserialize(draw).map_err(malformed)?),
            Some(Some(2)) => self.check_locked(proof, &LockedDraw::deserialize(draw).map_err(malformed)?),
            Some(_) => Err("is of a version that this program does not know".into()),
        }
    }

    /// Checks what follows the draws: at most one chain has no draw, and the leaves are those of
    /// the newest lock.
    pub fn check_rest(&self, proof: &Proof) -> Result<(), String> {
        let used = self.previous.as_ref().map_or(0, |previous| previous.chain + 1);
        ensure(proof.anchors.len() <= used + 1, || "it has a seed chain without a draw".into())?;
        proof.anchors.iter().try_for_each(|anchor| hash("anchors", anchor).map(drop))?;
        let Some(leaves) = &proof.leaves else { return Ok(()) };
        ensure(leaves.hashes.len() <= NUMBER_MAX as usize, || "it has too many leaves".into())?;
        // A lock without an announcement is not in the file yet.
        let Some(lock) = self.locked.get(&leaves.draw_id) else { return Ok(()) };
        let hashes = leaves.hashes.iter().map(|leaf| hash("leaves", leaf)).collect::<Result<Vec<_>, _>>()?;
        ensure(hashes.len() == lock.registered_through as usize, || "its leaves are not as many as its numbers".into())?;
        ensure(roster_tree::root_of(hashes) == lock.roster_root, || "its leaves do not lead to the root of its lock".into())
    }

    fn check_locked(&mut self, proof: &Proof, draw: &LockedDraw) -> Result<String, String> {
        let is_cancelled = self.check_order(draw)?;
        let seed = self.check_seed(proof, draw)?;
        let pool = self.locked_pool(draw)?;
        ensure(pool.size == draw.pool_size, || format!("pool_size is {}, its ranges hold {}", draw.pool_size, pool.size))?;
        ensure((1..=pool.size).contains(&draw.winner_count), || "its number of winners is impossible".into())?;
        let rule = check_rule(draw)?;
        let (head, roster_root) = self.check_head(proof, draw, &pool, &rule)?;
        let value = check_value(draw, &rule, is_cancelled, self.chains)?;
        let expected = match &value.bytes {
            Some(bytes) => pick(&pool, draw.winner_count, &proof::entropy(&seed, &head, bytes)),
            None => Vec::new(),
        };
        let picks: Vec<Number> = draw.picks.iter().copied().map(Number).collect();
        ensure(picks == expected, || format!("picks are {:?}, recomputed {:?}", draw.picks, plain(&expected)))?;
        let bytes = value.bytes.unwrap_or_default();
        let code = (!is_cancelled).then(|| proof::confirmation_code(&head, &seed, &bytes));
        ensure(draw.code == code, || format!("its code is {:?}, recomputed {code:?}", draw.code))?;
        self.check_voids(draw.draw_id, &draw.picks, &draw.voided, draw.redraw_of.as_ref())?;
        ensure(!is_cancelled || draw.voided.is_empty(), || "it was cancelled and has voided winners".into())?;
        let end = proof::end(&head, &seed, &bytes, is_cancelled, &picks);
        let (id, chain, place, registered_through) = (draw.draw_id, draw.chain, draw.place, draw.registered_through);
        let note = match (place, chain) {
            (1, 1..) => "; NOTE: a new seed chain begins, chosen after the registrations",
            _ => "",
        };
        let picks = &draw.picks;
        let text = format!("ok, {}, {} of {}: {picks:?}{}{note}", draw.status, draw.winner_count, pool.size, value.note);
        self.locked.insert(id, CheckedLock { head, roster_root, registered_through, code, pool: pool.clone() });
        self.previous = Some(Previous { id, chain, place, seed, end, roster_root, pool });
        Ok(text)
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
            None => (draw.chain, draw.place) == (0, 1),
            Some(&Previous { chain, place, .. }) => [(chain, place + 1), (chain + 1, 1)].contains(&(draw.chain, draw.place)),
        };
        ensure(in_place, || "a draw before it is left out, or its seed is of another place".into())?;
        match draw.status.as_str() {
            "announced" => Ok(false),
            "cancelled" => Ok(true),
            _ => Err("its status is unknown".into()),
        }
    }

    fn check_seed(&self, proof: &Proof, draw: &LockedDraw) -> Result<Seed, String> {
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
    fn check_head(&self, proof: &Proof, draw: &LockedDraw, pool: &Pool, rule: &CheckedRule) -> Result<(Hash, Hash), String> {
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
        ensure(!self.voided.contains_key(&draw.draw_id), || "two draws have this id".into())?;
        let entropy = Entropy(hash("entropy", &draw.entropy)?);
        ensure(hash("commitment", &draw.commitment)? == commitment(&entropy), || "the commitment is not the entropy's".into())?;
        check_runs(&draw.excluded, draw.registered_through)?;
        let pool = self.pool(&draw.excluded, draw.registered_through, &draw.weights)?;
        ensure(pool.ranges == draw.pool, || "its pool is not the numbers that are not excluded".into())?;
        ensure(pool.size == draw.pool_size, || format!("pool_size is {}, its ranges hold {}", draw.pool_size, pool.size))?;
        ensure((1..=pool.size).contains(&draw.winner_count), || "its number of winners is impossible".into())?;
        let expected = plain(&pick(&pool, draw.winner_count, &entropy));
        ensure(draw.picks == expected, || format!("picks are {:?}, recomputed {expected:?}", draw.picks))?;
        self.check_voids(draw.draw_id, &draw.picks, &draw.voided, draw.redraw_of.as_ref())?;
        let first = *self.entropies.entry(entropy.0).or_insert(draw.draw_id);
        ensure(first == draw.draw_id, || format!("its entropy is that of draw {first}"))?;
        Ok(format!("ok, version 1, {}, {} of {}: {:?}", draw.status, draw.winner_count, pool.size, draw.picks))
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
