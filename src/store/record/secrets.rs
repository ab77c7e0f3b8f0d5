//! Records with a sealed part: a pick before its reveal, or the last seed of a chain.
//!
//! Their layouts are here, and as fixed as those of `layout`. Each secret is sealed under the
//! folder's pick key for its own place, so that it opens nowhere else. A pick comes again in the
//! clear with its reveal; a seed is computed from the chain.

use crate::draw::fact::SealedPick;
use crate::draw::proof::{Hash, Lock, OutsideValue, Seed, Signature, Words};
use crate::draw::{DrawId, DrawSpec, Entropy, EventId, Number, Pool};
use crate::store::record::field;
use crate::store::seal::Seal;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A [`Fact::ChainBegun`], with its seed sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChainBegunLayout {
    #[serde(with = "field")]
    pub anchor: Hash,
    pub length: u32,
    /// The last seed, sealed under the folder's pick key, in base64url.
    pub sealed: String,
}

/// A [`Fact::OutsideReceived`], with its pick sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutsideReceivedLayout {
    #[serde(with = "field")]
    pub draw: DrawId,
    /// The hall's words, or else there is a signature.
    #[serde(with = "field", default, skip_serializing_if = "Option::is_none")]
    words: Option<Words>,
    #[serde(with = "field", default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    /// As in [`StartedLayout`].
    pub sealed: String,
}

impl OutsideReceivedLayout {
    /// The layout of a value.
    pub fn new(draw: DrawId, value: &OutsideValue, sealed: String) -> Self {
        let (words, signature) = match value {
            OutsideValue::Words(words) => (Some(words.clone()), None),
            OutsideValue::Signature(signature) => (None, Some(*signature)),
        };
        Self { draw, words, signature, sealed }
    }

    /// The value; `None` for a layout without one, or with two.
    pub fn value(&self) -> Option<OutsideValue> {
        match (&self.words, self.signature) {
            (Some(words), None) => Some(OutsideValue::Words(words.clone())),
            (None, Some(signature)) => Some(OutsideValue::Signature(signature)),
            _ => None,
        }
    }
}

/// A [`Fact::FellBack`], with its pick sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FellBackLayout {
    #[serde(with = "field")]
    pub draw: DrawId,
    #[serde(with = "field")]
    pub reason: Arc<str>,
    /// As in [`StartedLayout`].
    pub sealed: Option<String>,
}

/// A [`Fact::Started`]: like the others, but with its pick sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartedLayout {
    #[serde(with = "field")]
    pub draw: DrawId,
    #[serde(with = "field")]
    pub spec: Arc<DrawSpec>,
    #[serde(with = "field")]
    pub pool: Arc<Pool>,
    /// The pick, sealed under the folder's pick key, in base64url; `None` while an outside value
    /// is awaited.
    pub sealed: Option<String>,
    // Older records have no lock.
    #[serde(default, with = "field")]
    pub lock: Option<Arc<Lock>>,
    #[serde(with = "field")]
    pub redraw_of: Option<(DrawId, Number)>,
    #[serde(default, with = "field")]
    pub request: Option<[u8; 32]>,
}

/// Seals a pick: its entropy and then its numbers, four bytes each.
pub(super) fn seal_pick(picks: &Seal, event: &EventId, draw: DrawId, sealed: &SealedPick) -> String {
    let mut text = sealed.entropy.0.to_vec();
    sealed.picks.iter().for_each(|number| text.extend_from_slice(&number.0.to_le_bytes()));
    BASE64URL_NOPAD.encode(&picks.seal(&place(event, draw), &text))
}

/// Opens a pick that was sealed for that draw.
pub(super) fn open_pick(picks: &Seal, event: &EventId, draw: DrawId, sealed: &str) -> Option<SealedPick> {
    let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
    let text = picks.open(&place(event, draw), &sealed)?;
    let (entropy, numbers) = text.split_first_chunk()?;
    let (numbers, rest) = numbers.as_chunks();
    let picks = numbers.iter().map(|number| Number(u32::from_le_bytes(*number))).collect();
    rest.is_empty().then_some(SealedPick { entropy: Entropy(*entropy), picks })
}

/// Seals the last seed of a chain.
pub(super) fn seal_seed(picks: &Seal, event: &EventId, anchor: &Hash, last: &Seed) -> String {
    BASE64URL_NOPAD.encode(&picks.seal(&chain_place(event, anchor), &last.0))
}

/// Opens the last seed of that chain.
pub(super) fn open_seed(picks: &Seal, event: &EventId, anchor: &Hash, sealed: &str) -> Option<Seed> {
    let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok()?;
    picks.open(&chain_place(event, anchor), &sealed)?.try_into().ok().map(Seed)
}

/// The place of a draw that the seal authenticates. An event's id holds no zero byte, so no two
/// draws share a place.
fn place(event: &EventId, draw: DrawId) -> Vec<u8> {
    [event.as_str().as_bytes(), &[0], &draw.0.to_be_bytes()].concat()
}

/// The place of a chain, which is longer than any draw's.
fn chain_place(event: &EventId, anchor: &Hash) -> Vec<u8> {
    [event.as_str().as_bytes(), &[0], anchor].concat()
}
