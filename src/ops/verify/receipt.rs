//! The receipt of one phone: what it heard and kept, compared with the proof.
//!
//! A server that told two phones two histories, or left out its last draws, is found out here
//! alone: a file by itself can be consistent and be another one than the hall saw.

use super::Findings;
use super::draws::{CheckedLock, hash};
use super::file::Proof;
use crate::draw::proof::roster_tree;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The error of a phone's clock that needs no mismatch, in milliseconds.
const CLOCK_ERROR_MS: i64 = 5_000;

/// A phone's receipt.
#[derive(Deserialize)]
pub(super) struct Receipt {
    event_session_id: String,
    draw_number: u32,
    /// The key of the registration.
    receipt: String,
    /// The anchor that the phone heard first.
    anchor: Option<String>,
    /// The rule for outside values that it heard first.
    outside: Option<String>,
    /// The head of each draw that it heard of, by the draw's id; `None` for a draw that began
    /// without a lock after the anchor was known.
    #[serde(default)]
    heads: BTreeMap<u32, Option<String>>,
    /// When the heads came that the phone heard as their draws began, in milliseconds since 1970 by
    /// its own clock.
    #[serde(default)]
    live: BTreeMap<u32, i64>,
    /// The confirmation code of each draw that it showed, by the draw's id.
    #[serde(default)]
    codes: BTreeMap<u32, String>,
    /// The paths that it was given.
    #[serde(default)]
    paths: Vec<KeptPath>,
}

#[derive(Deserialize)]
struct KeptPath {
    draw_id: u32,
    path: Vec<String>,
}

impl Receipt {
    /// Compares the receipt with the locked draws that hold.
    pub fn check(&self, proof: &Proof<'_>, locked: &BTreeMap<u32, CheckedLock>, findings: &mut Findings) {
        let own = format!("number {}", self.draw_number);
        if self.event_session_id != proof.event_session_id {
            return findings.note(&own, Err("its receipt is of another session".into()));
        }
        if let Some(anchor) = &self.anchor {
            let is_known = proof.anchors.contains(anchor);
            findings
                .note(&own, is_known.then(|| "its anchor is in the proof".into()).ok_or("its anchor is not in the proof".into()));
        }
        for (id, head) in &self.heads {
            findings.note(&format!("draw {id}"), self.check_head(*id, head.as_deref(), locked));
        }
        if let Some(rule) = &self.outside {
            let others: Vec<_> = locked.iter().filter(|(_, lock)| lock.outside.name() != rule).map(|(id, _)| *id).collect();
            if !others.is_empty() {
                findings.note(&own, Ok(format!("NOTE: draws {others:?} are not by {rule}, the rule before registration")));
            }
        }
        for (id, code) in &self.codes {
            let is_same = locked.get(id).is_some_and(|lock| lock.code.as_ref() == Some(code));
            let result = is_same.then(|| "the code is the one that the phone showed".into());
            findings.note(&format!("draw {id}"), result.ok_or("the phone showed another code".into()));
        }
        for path in &self.paths {
            findings.note(&format!("draw {}", path.draw_id), self.check_path(path, locked));
        }
    }

    fn check_head(&self, id: u32, head: Option<&str>, locked: &BTreeMap<u32, CheckedLock>) -> Result<String, String> {
        let head = hash("head", head.ok_or("the phone heard it begin without a lock")?)?;
        let lock = locked.get(&id).ok_or("the phone heard its lock, and the proof leaves it out or does not hold")?;
        if head != lock.head {
            return Err("the phone heard another lock".into());
        }
        let late = self.live.get(&id).zip(lock.round_at).map(|(heard, round)| heard.saturating_sub(round.0));
        match late {
            Some(late @ ..=0) => {
                Ok(format!("the lock is the one that the phone heard {} ms before its round", late.saturating_neg()))
            }
            Some(late @ ..=CLOCK_ERROR_MS) => {
                Ok(format!("the lock is the one that the phone heard; NOTE: {late} ms after its round, by the phone's clock"))
            }
            Some(late) => Err(format!("the phone heard its lock {late} ms after its round was known")),
            None => Ok("the lock is the one that the phone heard".into()),
        }
    }

    fn check_path(&self, kept: &KeptPath, locked: &BTreeMap<u32, CheckedLock>) -> Result<String, String> {
        let lock = locked.get(&kept.draw_id).ok_or("the phone has a path to its lock, and the proof leaves it out")?;
        let path = kept.path.iter().map(|step| hash("path", step)).collect::<Result<Vec<_>, _>>()?;
        let leaf = roster_tree::leaf(self.draw_number, &hash("receipt", &self.receipt)?);
        let root = roster_tree::root_from(leaf, self.draw_number, lock.registered_through, &path);
        if root != Some(lock.roster_root) {
            return Err(format!("number {} of this phone is not in the locked list", self.draw_number));
        }
        let part = if lock.pool.holds(self.draw_number) { "could win" } else { "was excluded" };
        Ok(format!("number {} of this phone is in the locked list and {part}", self.draw_number))
    }
}
