//! The outside value of a draw in a proof: its rule, the round that its lock names, and the value.

use super::draws::{bytes, ensure, hash};
use super::file::LockedDraw;
use crate::draw::Timestamp;
use crate::draw::proof::drand::{QUICKNET, randomness};
use crate::draw::proof::{DrandChain, DrandRound, Fallback, Hash, OutsideRule, Words};

/// The rule of a draw, and its round if the rule asks for one.
pub(super) struct CheckedRule {
    pub outside: OutsideRule,
    pub round: Option<DrandRound>,
    /// When the round became public, where its chain is a known one.
    pub round_at: Option<Timestamp>,
}

/// The value of a draw.
pub(super) struct CheckedValue {
    /// The bytes that decide the winners, empty without a value; `None` for a draw that was
    /// cancelled before its value came.
    pub bytes: Option<Vec<u8>>,
    /// A text about it, for people.
    pub note: String,
}

/// Checks the rule of a draw, and that its round is the first that nobody knew at the lock.
pub(super) fn check_rule(draw: &LockedDraw, chains: &[DrandChain]) -> Result<CheckedRule, String> {
    let outside = OutsideRule::named(&draw.outside).ok_or("its outside rule is unknown")?;
    let round = match (outside.is_drand(), draw.round) {
        (true, Some(number)) => Some(check_round(draw, number)?),
        (false, None) if draw.drand_chain.is_none() => None,
        _ => return Err("its round does not fit its rule".into()),
    };
    let round_at = round.and_then(|round| Some(find_chain(round.chain, chains)?.time_of(round.number)));
    Ok(CheckedRule { outside, round, round_at })
}

/// Quicknet or another chain of these, by its hash.
fn find_chain(name: Hash, chains: &[DrandChain]) -> Option<DrandChain> {
    [QUICKNET].iter().chain(chains).find(|chain| chain.hash() == name).copied()
}

fn check_round(draw: &LockedDraw, number: u64) -> Result<DrandRound, String> {
    let chain = draw.drand_chain.as_ref().map_or(Ok(QUICKNET.hash()), |chain| hash("drand_chain", chain))?;
    if chain == QUICKNET.hash() {
        ensure(draw.drand_chain.is_none(), || "its chain is named although it is quicknet".into())?;
        let first = QUICKNET.round_after(Timestamp(draw.started_at_ms));
        ensure(number == first, || format!("its round is {number}, and the first to come after its lock was {first}"))?;
    }
    ensure((1..1 << 53).contains(&number), || "its round is out of range".into())?;
    Ok(DrandRound { chain, number, at: QUICKNET.time_of(number) })
}

/// Checks the value of a draw. A signature is verified where its chain is quicknet or one of
/// `chains`.
pub(super) fn check_value(
    draw: &LockedDraw,
    rule: &CheckedRule,
    is_cancelled: bool,
    chains: &[DrandChain],
) -> Result<CheckedValue, String> {
    let value = |bytes: Option<Vec<u8>>, note: String| Ok(CheckedValue { bytes, note });
    let fell_back = draw.fallback.as_ref().map(|reason| format!("; NOTE: drand was given up: {reason:?}"));
    ensure(fell_back.is_none() || rule.outside.fallback().is_some(), || "its lock names no fallback".into())?;
    let takes_words =
        rule.outside == OutsideRule::Hall || (fell_back.is_some() && rule.outside.fallback() == Some(Fallback::Hall));
    let note = fell_back.clone().unwrap_or_default();
    match (&rule.round, &draw.outside_value) {
        (_, Some(words)) if takes_words => {
            let is_plain = Words::parse(words).is_some_and(|words| words.as_str() == words_of(draw));
            ensure(is_plain, || "its outside value is not in the spelling that counts".into())?;
            value(Some(words.clone().into_bytes()), note)
        }
        (Some(round), Some(signature)) if fell_back.is_none() => check_signature(round, signature, chains),
        (None, None) if rule.outside == OutsideRule::None => value(Some(Vec::new()), note),
        (Some(_), None) if fell_back.is_some() && !takes_words => value(Some(Vec::new()), note),
        (_, None) if is_cancelled => value(None, note),
        _ => Err("its outside value does not fit its rule".into()),
    }
}

fn words_of(draw: &LockedDraw) -> &str {
    draw.outside_value.as_deref().unwrap_or_default()
}

fn check_signature(round: &DrandRound, signature: &str, chains: &[DrandChain]) -> Result<CheckedValue, String> {
    let signature = bytes::<48>("outside_value", signature)?;
    let chain = find_chain(round.chain, chains);
    if let Some(chain) = chain {
        let is_signed = chain.verify(round.number, &signature).is_some();
        ensure(is_signed, || format!("its outside value is not the signature of round {}", round.number))?;
    }
    let checked = match chain {
        Some(QUICKNET) => "; drand's signature holds",
        Some(_) => "; NOTE: its round is NOT of the chain quicknet; the signature is that of the other chain",
        None => "; NOTE: its round is NOT of the chain quicknet; the signature was not checked",
    };
    Ok(CheckedValue { bytes: Some(randomness(&signature).to_vec()), note: format!("; round {}{checked}", round.number) })
}
