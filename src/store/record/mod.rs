//! A record: a fact as it lies in the journal, as a kind, a version and a JSON object.
//!
//! JSON, so that a person with `sqlite3` can read an event without this program; a binary layout
//! would save a third of the bytes of a file of a few megabytes. [`layout`] lists the fields of
//! each kind, [`field`] spells them, [`bounds`] limits their values, [`secrets`] seals those that
//! nothing at rest may show yet: the seeds of a chain, and a pick before its reveal.

pub(super) mod bounds;
#[cfg(test)]
mod examples;
mod field;
mod layout;
mod secrets;

use crate::draw::entry_code::EntryDigits;
use crate::draw::fact::SecretScope;
use crate::draw::{Actor, EventId, Fact, LinkId};
use crate::store::seal::Seal;
use layout::FactLayout;
use secrets::{
    ChainBegunLayout, FellBackLayout, OutsideReceivedLayout, StartedLayout, open_pick, open_seed, seal_pick, seal_seed,
};
use serde::Serialize;
use std::borrow::Cow;

/// The current version of a kind's layout. A change takes the next one, and the program goes on
/// reading those before.
fn version(kind: &str) -> i64 {
    match kind {
        // 2 brought `consent_text`, `privacy_purpose` and `rehearsal`; 3 brought `outside`; 4 has
        // rules with drand.
        "opened" | "settings_changed" => 4,
        // 2 has codes of more than four digits.
        "entry_code_set" => 2,
        // 2 brought `needs_address`.
        "prize_added" | "prize_changed" => 2,
        // 2 brought `request`; 3 brought `lock`, and a start without a pick; 4 has locks with a
        // round.
        "started" => 4,
        // 2 has a signature in place of words.
        "outside_received" => 2,
        // 2 has a draw without a pick.
        "cancelled" => 2,
        // 2 has the fields of 1, and the number's secrets are bound to its registration.
        "registered" => 2,
        _ => 1,
    }
}

/// Every kind, in the order of [`Fact`]'s groups.
const KINDS: [&str; 31] = [
    "opened",
    "settings_changed",
    "phase_changed",
    "entry_code_set",
    "entry_code_rotates",
    "prize_added",
    "prize_changed",
    "prize_removed",
    "prizes_ordered",
    "registered",
    "participant_marked",
    "participants_removed",
    "standby_shown",
    "standby_ended",
    "chain_begun",
    "started",
    "outside_received",
    "fell_back",
    "revealed",
    "announced",
    "cancelled",
    "seat_voided",
    "details_received",
    "arrived",
    "handed_over",
    "hand_over_undone",
    "reset",
    "link_made",
    "link_revoked",
    "details_unmasked",
    "epoch_renewed",
];

/// A fact at rest, without its time and actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub kind: &'a str,
    pub version: i64,
    /// A JSON object.
    pub body: &'a str,
}

/// Why a record cannot be read. The text says what the operator can do.
#[expect(missing_docs, reason = "the text of each error shows its fields")]
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The kind is unknown.
    #[error(
        "there is no fact of the kind {kind:?}: a newer program may have written it; start that one, or put a backup back with `luckydraw restore`"
    )]
    Kind { kind: String },
    /// The kind's layout is of an unknown version.
    #[error(
        "a {kind} of version {version} is unknown, this program reads versions up to {known}: a newer program may have written it; \
         start that one, or put a backup back with `luckydraw restore`"
    )]
    Version { kind: String, version: i64, known: i64 },
    /// The body is no object of the kind's layout.
    #[error("not a {kind}: the journal is damaged; put a backup back with `luckydraw restore`")]
    Body { kind: String, source: serde_json::Error },
    /// A value is one that no program wrote.
    #[error("its {field} is out of bounds: the journal is damaged; put a backup back with `luckydraw restore`")]
    Beyond { field: &'static str },
    /// A sealed pick or seed cannot be decrypted.
    #[error("what it seals does not open: it was closed with another secret.key or in another place")]
    Sealed,
    /// The actor is unknown.
    #[error("there is no actor {actor:?}")]
    Actor { actor: String },
}

/// Writes a fact of `event` as a record, into the buffer `text`.
pub(super) fn encode<'a>(event: &EventId, fact: &Fact, picks: &Seal, text: &'a mut Vec<u8>) -> Record<'a> {
    text.clear();
    let mut json = serde_json::Serializer::new(&mut *text);
    let written = match fact {
        Fact::ChainBegun { anchor, length, last } => {
            let sealed = seal_seed(picks, event, anchor, last);
            Tagged::ChainBegun(ChainBegunLayout { anchor: *anchor, length: *length, sealed }).serialize(&mut json)
        }
        Fact::Started { draw, spec, pool, sealed, lock, redraw_of, request } => {
            let sealed = sealed.as_ref().map(|sealed| seal_pick(picks, event, *draw, sealed));
            let (spec, pool, lock, redraw_of, request) = (spec.clone(), pool.clone(), lock.clone(), *redraw_of, *request);
            Tagged::Started(StartedLayout { draw: *draw, spec, pool, sealed, lock, redraw_of, request }).serialize(&mut json)
        }
        Fact::OutsideReceived { draw, value, sealed } => {
            let sealed = seal_pick(picks, event, *draw, sealed);
            Tagged::OutsideReceived(OutsideReceivedLayout::new(*draw, value, sealed)).serialize(&mut json)
        }
        Fact::FellBack { draw, reason, sealed } => {
            let sealed = sealed.as_ref().map(|sealed| seal_pick(picks, event, *draw, sealed));
            Tagged::FellBack(FellBackLayout { draw: *draw, reason: reason.clone(), sealed }).serialize(&mut json)
        }
        fact => FactLayout::serialize(fact, &mut json),
    };
    written.expect("a fact is plain data, and a vector takes every byte");
    let text = std::str::from_utf8(text).expect("JSON is written as UTF-8");
    let tagged = text.strip_prefix("{\"").and_then(|text| text.strip_suffix('}'));
    let (kind, body) = tagged.and_then(|text| text.split_once("\":")).expect("a layout is an object of one field, its kind");
    let version = match fact {
        // Taken in from another server, such a number stays what it was.
        Fact::Registered { secrets: SecretScope::Session, .. } => 1,
        Fact::EntryCodeSet { code } if code.is_none_or(|code| code.as_str().len() == EntryDigits::LEN_MIN) => 1,
        _ => version(kind),
    };
    Record { kind, version, body }
}

/// Reads a record of `event`, with `text` as a buffer.
pub(super) fn decode(event: &EventId, record: Record<'_>, picks: &Seal, text: &mut String) -> Result<Fact, RecordError> {
    let Record { kind, version, body } = record;
    if !KINDS.contains(&kind) {
        return Err(RecordError::Kind { kind: kind.to_owned() });
    }
    let known = self::version(kind);
    if !(1..=known).contains(&version) {
        return Err(RecordError::Version { kind: kind.to_owned(), version, known });
    }
    let malformed = |source| RecordError::Body { kind: kind.to_owned(), source };
    match kind {
        "chain_begun" => {
            let ChainBegunLayout { anchor, length, sealed } = serde_json::from_str(body).map_err(malformed)?;
            let last = open_seed(picks, event, &anchor, &sealed).ok_or(RecordError::Sealed)?;
            return Ok(Fact::ChainBegun { anchor, length, last });
        }
        "started" => {
            let StartedLayout { draw, spec, pool, sealed, lock, redraw_of, request } =
                serde_json::from_str(body).map_err(malformed)?;
            let open = |sealed: String| open_pick(picks, event, draw, &sealed).ok_or(RecordError::Sealed);
            let sealed = sealed.map(open).transpose()?;
            return Ok(Fact::Started { draw, spec, pool, sealed, lock, redraw_of, request });
        }
        "outside_received" => {
            let layout: OutsideReceivedLayout = serde_json::from_str(body).map_err(malformed)?;
            let value = layout.value().ok_or(RecordError::Beyond { field: "value" })?;
            let sealed = open_pick(picks, event, layout.draw, &layout.sealed).ok_or(RecordError::Sealed)?;
            return Ok(Fact::OutsideReceived { draw: layout.draw, value, sealed });
        }
        "fell_back" => {
            let FellBackLayout { draw, reason, sealed } = serde_json::from_str(body).map_err(malformed)?;
            let open = |sealed: String| open_pick(picks, event, draw, &sealed).ok_or(RecordError::Sealed);
            return Ok(Fact::FellBack { draw, reason, sealed: sealed.map(open).transpose()? });
        }
        _ => {}
    }
    text.clear();
    text.extend(["{\"", kind, "\":", body, "}"]);
    let mut json = serde_json::Deserializer::from_str(text);
    let fact = FactLayout::deserialize(&mut json).and_then(|fact| json.end().map(|()| fact)).map_err(malformed)?;
    Ok(match fact {
        Fact::Registered { number, key, .. } if version == 1 => Fact::Registered { number, key, secrets: SecretScope::Session },
        fact => fact,
    })
}

/// Spells an actor as text.
pub(super) fn encode_actor(actor: Actor) -> Cow<'static, str> {
    match actor {
        Actor::Phone => "phone".into(),
        Actor::Display => "display".into(),
        Actor::Admin => "admin".into(),
        Actor::Clock => "clock".into(),
        Actor::Link(LinkId(id)) => format!("link:{id}").into(),
    }
}

/// Reads an actor from its text.
pub(super) fn decode_actor(text: &str) -> Result<Actor, RecordError> {
    let link = || text.strip_prefix("link:")?.parse().ok();
    match text {
        "phone" => Ok(Actor::Phone),
        "display" => Ok(Actor::Display),
        "admin" => Ok(Actor::Admin),
        "clock" => Ok(Actor::Clock),
        _ => link().map(|id| Actor::Link(LinkId(id))).ok_or_else(|| RecordError::Actor { actor: text.to_owned() }),
    }
}

/// A layout of its own with its kind before it, as serde writes the other facts.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Tagged {
    ChainBegun(ChainBegunLayout),
    Started(StartedLayout),
    OutsideReceived(OutsideReceivedLayout),
    FellBack(FellBackLayout),
}

#[cfg(test)]
mod tests {
    use super::examples::{examples, first_version, gala};
    use super::*;
    use crate::draw::fact::{Eligibility, SealedPick};
    use crate::draw::{DrawId, DrawSpec, Entropy, Mode, Number, Pool, PrizeId};

    fn seal() -> Seal {
        Seal::new(&[7; 32])
    }

    fn written(fact: &Fact) -> (String, String) {
        let mut text = Vec::new();
        let record = encode(&gala(), fact, &seal(), &mut text);
        (record.kind.to_owned(), record.body.to_owned())
    }

    fn read(event: &EventId, kind: &str, version: i64, body: &str) -> Result<Fact, RecordError> {
        decode(event, Record { kind, version, body }, &seal(), &mut String::new())
    }

    #[test]
    fn fuzzed_records_are_refused_or_come_back_as_they_were() {
        crate::fuzz::run("records", 3_000, |input| {
            let Some((kind, body)) = std::str::from_utf8(input).ok().and_then(|text| text.split_once(' ')) else {
                return "no record".into();
            };
            let version = if KINDS.contains(&kind) { version(kind) } else { 1 };
            match read(&gala(), kind, version, body) {
                Ok(fact) => {
                    let (kind, body) = written(&fact);
                    assert_eq!(read(&gala(), &kind, version, &body).unwrap(), fact);
                    kind
                }
                Err(error) => error.to_string(),
            }
        });
    }

    #[test]
    fn every_fact_comes_back_as_it_was() {
        for (fact, _) in examples() {
            let (kind, body) = written(&fact);
            assert_eq!(read(&gala(), &kind, version(&kind), &body).unwrap(), fact, "{kind} {body}");
        }
    }

    /// Numbers from a seed, for facts that no example thought of.
    struct Dice(u64);

    impl Dice {
        fn number(&mut self) -> u32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 32) as u32
        }

        /// Edges as often as any other number.
        fn any(&mut self) -> u32 {
            [0, 1, u32::MAX, self.number()][(self.number() % 4) as usize]
        }

        fn text(&mut self) -> String {
            const CHARACTERS: [char; 10] = ['a', '"', '\\', '\n', '\u{0}', '\u{1f}', '가', '🎁', '\u{2028}', '/'];
            (0..self.number() % 12).map(|_| CHARACTERS[(self.number() % 10) as usize]).collect()
        }

        fn facts(&mut self) -> Vec<Fact> {
            let (draw, number) = (DrawId(self.any()), Number(self.any()));
            let picks: Vec<_> = (0..self.number() % 40).map(|_| Number(self.any())).collect();
            let sealed = SealedPick { entropy: Entropy([self.any() as u8; 32]), picks: picks.into() };
            let spec = DrawSpec {
                prize_id: (self.any() > 1).then_some(PrizeId(self.any())),
                prize_name: self.text().into(),
                prize_rank: self.any(),
                prize_grade: (self.any() > 1).then(|| self.text().into()),
                prize_image: (self.any() > 1).then(|| self.text().into()),
                mode: Mode::List,
                winner_count: self.any(),
                show_length: (self.any() > 1).then(|| crate::draw::ShowLength::from_seconds(9)).flatten(),
            };
            let ranges = (0..self.number() % 5).map(|_| (self.any(), self.any())).collect();
            let weights = (0..self.number() % 5).map(|_| (self.any(), self.any() as u16)).collect();
            let pool = Pool { ranges, size: self.any(), through: self.any(), weights };
            let redraw_of = (self.any() > 1).then_some((draw, number));
            let request = (self.any() > 1).then_some([self.any() as u8; 32]);
            let mark = Eligibility { eligible: self.any() > 1, group: Some(self.text().into()), weight: self.any() as u16 };
            vec![
                Fact::Started {
                    draw,
                    spec: spec.into(),
                    pool: pool.into(),
                    sealed: (self.any() > 1).then(|| sealed.clone()),
                    lock: None,
                    redraw_of,
                    request,
                },
                Fact::Revealed { draw, sealed: sealed.clone(), show_at: None },
                Fact::Cancelled { draw, sealed: Some(sealed), reason: self.text().into() },
                Fact::HandedOver { draw, number, desk: self.text().into() },
                Fact::Registered { number, key: [self.any() as u8; 32], secrets: SecretScope::Registration },
                Fact::ParticipantMarked { number, mark },
            ]
        }
    }

    #[test]
    fn facts_of_any_texts_and_numbers_come_back() {
        for seed in 0..200 {
            for fact in Dice(seed).facts() {
                let (kind, body) = written(&fact);
                assert_eq!(read(&gala(), &kind, version(&kind), &body).unwrap(), fact, "seed {seed}: {kind} {body}");
            }
        }
    }

    #[test]
    fn a_body_that_is_cut_short_is_refused() {
        for (fact, _) in examples() {
            let (kind, body) = written(&fact);
            for (cut, _) in body.char_indices() {
                let refusal = read(&gala(), &kind, version(&kind), &body[..cut]);
                assert!(matches!(refusal, Err(RecordError::Body { .. })), "{kind} {}", &body[..cut]);
            }
        }
    }

    #[test]
    fn no_layout_drifts() {
        for (fact, golden) in examples() {
            let (kind, mut body) = written(&fact);
            if let Some(start) = body.find("\"sealed\":\"").map(|start| start + 10) {
                let len = body[start..].find('"').unwrap();
                let picks = if kind == "chain_begun" { 0 } else { 2 };
                assert_eq!(len, ((12 + 32 + picks * 4 + 16_usize) * 4).div_ceil(3), "nonce, secret, numbers and tag");
                body.replace_range(start..start + len, "…");
            }
            assert_eq!(format!("{kind} {body}"), golden);
        }
    }

    #[test]
    fn records_of_the_first_version_are_still_read() {
        for (kind, body, fact) in first_version() {
            assert_eq!(read(&gala(), kind, 1, body).unwrap(), fact, "{kind} {body}");
        }
        let (started, _) = examples().into_iter().find(|(fact, _)| matches!(fact, Fact::Started { .. })).unwrap();
        let Fact::Started { request: Some(_), .. } = started else { panic!("the example has a request") };
        let (_, body) = written(&started);
        let (before, _) = body.split_once(",\"request\"").unwrap();
        let (start, lock) = before.split_once(",\"lock\":{").unwrap();
        let before = format!("{start}{}", lock.split_once('}').unwrap().1);
        let old = read(&gala(), "started", 1, &format!("{before}}}")).unwrap();
        assert!(matches!(old, Fact::Started { request: None, lock: None, draw: DrawId(4), .. }));
    }

    #[test]
    fn every_kind_has_an_example() {
        let mut kinds: Vec<_> = examples().iter().map(|(fact, _)| written(fact).0).collect();
        kinds.dedup();
        assert_eq!(kinds, KINDS);
    }

    #[test]
    fn a_pick_is_unreadable_and_opens_only_in_its_place() {
        let (started, _) = examples().into_iter().find(|(fact, _)| matches!(fact, Fact::Started { .. })).unwrap();
        let (kind, body) = written(&started);
        assert_ne!(written(&started).1, body, "a fresh nonce each time");
        let moved = body.replace("\"draw\":4", "\"draw\":5");
        assert!(matches!(read(&gala(), &kind, 2, &moved), Err(RecordError::Sealed)), "in another draw");
        let elsewhere = EventId::parse("other").unwrap();
        assert!(matches!(read(&elsewhere, &kind, 2, &body), Err(RecordError::Sealed)), "in another event");
        let Fact::Started { sealed: Some(sealed), .. } = started else { unreachable!() };
        let entropy = data_encoding::HEXLOWER.encode(&sealed.entropy.0);
        assert!(!body.contains(&entropy) && !body.contains("picks"), "{body}");
    }

    #[test]
    fn an_unknown_record_is_refused() {
        let check = |kind: &str, version, body: &str, says: &str| {
            let refusal = read(&gala(), kind, version, body).unwrap_err();
            assert!(refusal.to_string().contains(says), "{kind} {version} {body}: {refusal}");
        };
        check("levitated", 1, "{}", "the kind \"levitated\"");
        check("standby_ended", 2, "{}", "standby_ended of version 2");
        check("standby_ended", 1, "{\"more\":1}", "not a standby_ended");
        check("standby_ended", 1, "{}}", "not a standby_ended");
        check("registered", 1, "{\"number\":1}", "not a registered");
        check("registered", 1, "{\"number\":1,\"key\":\"00\"}", "not a registered");
        check("registered", 1, "{\"number\":-1,\"key\":\"\"}", "not a registered");
        check("phase_changed", 1, "{\"phase\":\"later\"}", "not a phase_changed");
        check("started", 1, "{}", "not a started");
        check("started", 5, "{}", "started of version 5");
        check("prize_added", 0, "{}", "prize_added of version 0");
    }

    #[test]
    fn every_actor_comes_back() {
        for actor in
            [Actor::Phone, Actor::Display, Actor::Admin, Actor::Clock, Actor::Link(LinkId(0)), Actor::Link(LinkId(u32::MAX))]
        {
            assert_eq!(decode_actor(&encode_actor(actor)).unwrap(), actor);
        }
        for strange in ["", "Admin", "link:", "link:x", "link:-1"] {
            assert!(matches!(decode_actor(strange), Err(RecordError::Actor { .. })), "{strange}");
        }
    }
}
