//! The draws of a proof, one after the other: each names the end of the one before it, so that none
//! can be left out between two.

use super::Proof;
use crate::draw::pick::{commitment, pick};
use crate::draw::proof::{self, Hash, LockedFields, NO_END, OutsideRule, Seed, Words, roster_tree};
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
struct LockedDraw {
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
    roster_root: String,
    pool_size: u32,
    excluded: Vec<Numbers>,
    weights: Vec<(u32, u16)>,
    outside: String,
    started_at_ms: i64,
    head: String,
    outside_value: Option<String>,
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

/// The state of a check between two draws.
#[derive(Default)]
pub(super) struct Checker {
    /// The locked draws that hold, by id.
    pub locked: BTreeMap<u32, CheckedLock>,
    /// The chain, the place and the seed of the locked draw before.
    last: Option<(usize, u32, Seed)>,
    /// The end of the locked draw before, and its id.
    previous: Option<(Hash, u32)>,
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

impl Checker {
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
        let used = self.last.map_or(0, |(chain, ..)| chain + 1);
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
        let excluded = draw.excluded.iter().map(|numbers| match numbers {
            Numbers::One(number) => (*number, *number),
            Numbers::Run(first, last) => (*first, *last),
        });
        let pool = self.pool(excluded, draw.registered_through, &draw.weights)?;
        ensure(pool.size == draw.pool_size, || format!("pool_size is {}, its ranges hold {}", draw.pool_size, pool.size))?;
        ensure((1..=pool.size).contains(&draw.winner_count), || "its number of winners is impossible".into())?;
        let previous = self.previous.map_or(NO_END, |(end, _)| end);
        let (head, roster_root) = check_head(proof, draw, &pool, &previous)?;
        let value = check_value(draw, is_cancelled)?;
        let expected = match &value {
            Some(value) => pick(&pool, draw.winner_count, &proof::entropy(&seed, &head, value)),
            None => Vec::new(),
        };
        let picks: Vec<Number> = draw.picks.iter().copied().map(Number).collect();
        ensure(picks == expected, || format!("picks are {:?}, recomputed {:?}", draw.picks, plain(&expected)))?;
        let value = value.unwrap_or_default();
        let code = (!is_cancelled).then(|| proof::confirmation_code(&head, &seed, &value));
        ensure(draw.code == code, || format!("its code is {:?}, recomputed {code:?}", draw.code))?;
        self.check_voids(draw.draw_id, &draw.picks, &draw.voided, draw.redraw_of.as_ref())?;
        ensure(!is_cancelled || draw.voided.is_empty(), || "it was cancelled and has voided winners".into())?;
        self.previous = Some((proof::end(&head, &seed, &value, is_cancelled, &picks), draw.draw_id));
        self.last = Some((draw.chain, draw.place, seed));
        let note = match (draw.place, draw.chain) {
            (1, 1..) => "; NOTE: a new seed chain begins, chosen after the registrations",
            _ => "",
        };
        let text = format!("ok, {}, {} of {}: {:?}{note}", draw.status, draw.winner_count, pool.size, draw.picks);
        let registered_through = draw.registered_through;
        self.locked.insert(draw.draw_id, CheckedLock { head, roster_root, registered_through, code, pool });
        Ok(text)
    }

    /// Checks that no draw is left out before this one; true when it was cancelled.
    fn check_order(&self, draw: &LockedDraw) -> Result<bool, String> {
        let follows = self.previous.is_none_or(|(_, id)| draw.draw_id == id.wrapping_add(1));
        ensure(follows, || "a draw before it is left out".into())?;
        let in_place = match self.last {
            None => (draw.chain, draw.place) == (0, 1),
            Some((chain, place, _)) => [(chain, place + 1), (chain + 1, 1)].contains(&(draw.chain, draw.place)),
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
        let before = match self.last {
            Some((chain, _, seed)) if chain == draw.chain => seed.0,
            _ => hash("anchors", anchor)?,
        };
        ensure(seed.before().0 == before, || "its seed is not the one that the chain fixed".into())?;
        Ok(seed)
    }

    fn check_first_version(&mut self, draw: &FirstVersionDraw) -> Result<String, String> {
        ensure(!self.voided.contains_key(&draw.draw_id), || "two draws have this id".into())?;
        let entropy = Entropy(hash("entropy", &draw.entropy)?);
        ensure(hash("commitment", &draw.commitment)? == commitment(&entropy), || "the commitment is not the entropy's".into())?;
        let pool = self.pool(draw.excluded.iter().copied(), draw.registered_through, &draw.weights)?;
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

    /// The pool of all numbers but those excluded.
    fn pool(&mut self, excluded: impl Iterator<Item = (u32, u32)>, through: u32, weights: &[(u32, u16)]) -> Result<Pool, String> {
        ensure((1..=NUMBER_MAX).contains(&through), || "registered_through is out of range".into())?;
        let mut pool = Pool::new(through);
        let mut next = 1;
        for (first, last) in excluded {
            ensure(first >= next && first <= last && last <= through, || "excluded is not rising".into())?;
            // Two runs that touch would be one.
            ensure(first > next || next == 1, || "excluded has two runs that touch".into())?;
            if first > next {
                pool.ranges.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= through {
            pool.ranges.push((next, through));
        }
        pool.size = pool.ranges.iter().map(|(first, last)| last - first + 1).sum();
        self.numbers += u64::from(through);
        ensure(self.numbers <= NUMBERS_MAX, || "the file has too many numbers".into())?;
        let mut last = 0;
        for (number, weight) in weights {
            let is_next = last < *number && *weight >= 2 && holds(&pool, *number);
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

/// Checks the lock's hash; returns it, and the root that it holds.
fn check_head(proof: &Proof, draw: &LockedDraw, pool: &Pool, previous: &Hash) -> Result<(Hash, Hash), String> {
    let session = bytes::<16>("event_session_id", &proof.event_session_id)?;
    let roster_root = hash("roster_root", &draw.roster_root)?;
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
        previous,
        draw: DrawId(draw.draw_id),
        spec: &spec,
        redraw_of: draw.redraw_of.as_ref().map(|of| (DrawId(of.draw_id), Number(of.draw_number))),
        roster_root: &roster_root,
        pool,
        outside: OutsideRule::named(&draw.outside).ok_or("its outside rule is unknown")?,
        at: Timestamp(draw.started_at_ms),
    };
    let head = fields.head();
    ensure(hash("head", &draw.head)? == head, || "its lock does not have this hash: something in it was changed".into())?;
    Ok((head, roster_root))
}

/// The outside value that decides the winners, empty without one; `None` for a draw that was
/// cancelled before its value came.
fn check_value(draw: &LockedDraw, is_cancelled: bool) -> Result<Option<String>, String> {
    match (OutsideRule::named(&draw.outside), &draw.outside_value) {
        (Some(OutsideRule::None), None) => Ok(Some(String::new())),
        (Some(OutsideRule::Hall), Some(value)) => {
            let is_plain = Words::parse(value).is_some_and(|words| words.as_str() == value);
            ensure(is_plain, || "its outside value is not in the spelling that counts".into())?;
            Ok(Some(value.clone()))
        }
        (Some(OutsideRule::Hall), None) if is_cancelled => Ok(None),
        _ => Err("its outside value does not fit its rule".into()),
    }
}

/// True when the pool holds the number.
pub(super) fn holds(pool: &Pool, number: u32) -> bool {
    let below = pool.ranges.partition_point(|(_, last)| *last < number);
    pool.ranges.get(below).is_some_and(|(first, _)| *first <= number)
}

fn ensure(is_so: bool, mismatch: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(mismatch()) }
}

fn malformed(error: serde_json::Error) -> String {
    format!("malformed: {error}")
}

/// Reads 32 bytes in lower-case hex.
pub(super) fn hash(field: &str, hex: &str) -> Result<Hash, String> {
    bytes(field, hex)
}

fn bytes<const LEN: usize>(field: &str, hex: &str) -> Result<[u8; LEN], String> {
    let bytes = HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{field} is not {LEN} bytes in hex"))
}

fn plain(numbers: &[Number]) -> Vec<u32> {
    numbers.iter().map(|number| number.0).collect()
}
