//! The layout of each record: the fields that a fact has at rest, and their order.
//!
//! `#[serde(remote)]` lays a layout over a type of the rules: a field added or renamed there does
//! not compile here until its spelling is decided. Old journals are read by these very lines, so
//! another layout gets another version (see [`super::version`]), and a field that it brings has a
//! default for the records of before. The golden test in [`super`] pins the bytes.

use crate::draw::fact::{Cause, Eligibility, SealedPick, SecretScope, Settings, VoidReason};
use crate::draw::proof::{DrandRound, Hash, Lock, OutsideRule, OutsideValue, Seed};
use crate::draw::{
    DrawId, DrawSpec, Entropy, Epoch, EventId, Fact, Link, LinkId, LinkRole, Mode, Number, Phase, Pool, ShowLength, Timestamp,
};
use crate::draw::{Prize, PrizeId, SessionId, entry_code::EntryDigits};
use crate::store::record::field::{self, Field};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// Every fact without a secret, as `{"kind":{fields}}`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Fact", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FactLayout {
    Opened {
        #[serde(with = "field")]
        id: EventId,
        #[serde(with = "field")]
        settings: Settings,
        #[serde(with = "field")]
        session: SessionId,
        #[serde(with = "field")]
        epoch: Epoch,
    },
    SettingsChanged {
        #[serde(with = "field")]
        settings: Settings,
    },
    PhaseChanged {
        #[serde(with = "field")]
        phase: Phase,
    },
    EntryCodeSet {
        #[serde(with = "field")]
        code: Option<EntryDigits>,
    },
    EntryCodeRotates {},
    PrizeAdded {
        #[serde(with = "field")]
        prize: Prize,
    },
    PrizeChanged {
        #[serde(with = "field")]
        prize: Prize,
    },
    PrizeRemoved {
        #[serde(with = "field")]
        prize: PrizeId,
    },
    PrizesOrdered {
        #[serde(with = "field")]
        order: Arc<[PrizeId]>,
    },
    Registered {
        #[serde(with = "field")]
        number: Number,
        #[serde(with = "field")]
        key: [u8; 32],
        // The record's version says it.
        #[serde(skip)]
        secrets: SecretScope,
    },
    ParticipantMarked {
        #[serde(with = "field")]
        number: Number,
        #[serde(with = "field")]
        mark: Eligibility,
    },
    ParticipantsRemoved {
        ranges: Vec<(u32, u32)>,
    },
    StandbyShown {
        #[serde(with = "field")]
        spec: Arc<DrawSpec>,
    },
    StandbyEnded {},
    /// Never written so, as the next three: a secret has to be sealed, which takes a key and a
    /// place. See `secrets`.
    #[serde(skip)]
    ChainBegun {
        anchor: Hash,
        length: u32,
        last: Seed,
    },
    #[serde(skip)]
    Started {
        draw: DrawId,
        spec: Arc<DrawSpec>,
        pool: Arc<Pool>,
        sealed: Option<SealedPick>,
        lock: Option<Arc<Lock>>,
        redraw_of: Option<(DrawId, Number)>,
        request: Option<[u8; 32]>,
    },
    #[serde(skip)]
    OutsideReceived {
        draw: DrawId,
        value: OutsideValue,
        sealed: SealedPick,
    },
    #[serde(skip)]
    FellBack {
        draw: DrawId,
        reason: Arc<str>,
        sealed: Option<SealedPick>,
    },
    Revealed {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        sealed: SealedPick,
        // Older records have no planned show.
        #[serde(with = "field", default, skip_serializing_if = "Option::is_none")]
        show_at: Option<Timestamp>,
    },
    Announced {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        cause: Cause,
    },
    Cancelled {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        sealed: Option<SealedPick>,
        #[serde(with = "field")]
        reason: Arc<str>,
    },
    SeatVoided {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        number: Number,
        #[serde(with = "field")]
        reason: VoidReason,
    },
    DetailsReceived {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        number: Number,
    },
    Arrived {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        number: Number,
    },
    HandedOver {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        number: Number,
        #[serde(with = "field")]
        desk: Arc<str>,
    },
    HandOverUndone {
        #[serde(with = "field")]
        draw: DrawId,
        #[serde(with = "field")]
        number: Number,
    },
    Reset {
        #[serde(with = "field")]
        session: Option<SessionId>,
    },
    LinkMade {
        #[serde(with = "field")]
        link: Link,
    },
    LinkRevoked {
        #[serde(with = "field")]
        link: LinkId,
    },
    DetailsUnmasked {},
    EpochRenewed {
        #[serde(with = "field")]
        epoch: Epoch,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Settings", deny_unknown_fields)]
pub(super) struct SettingsLayout {
    #[serde(with = "field")]
    title: Arc<str>,
    participants_max: u32,
    groups: bool,
    weights: bool,
    #[serde(default, with = "field")]
    consent_text: Option<Arc<str>>,
    #[serde(default, with = "field")]
    privacy_purpose: Option<Arc<str>>,
    #[serde(default)]
    rehearsal: bool,
    #[serde(default, with = "field")]
    outside: OutsideRule,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Lock", deny_unknown_fields)]
pub(super) struct LockLayout {
    #[serde(with = "field")]
    event: EventId,
    #[serde(with = "field")]
    anchor: Hash,
    place: u32,
    #[serde(with = "field")]
    previous: Hash,
    #[serde(with = "field")]
    roster_root: Hash,
    #[serde(with = "field")]
    outside: OutsideRule,
    // Older records have no round.
    #[serde(with = "field", default, skip_serializing_if = "Option::is_none")]
    round: Option<DrandRound>,
    #[serde(with = "field")]
    head: Hash,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DrandRound", deny_unknown_fields)]
pub(super) struct DrandRoundLayout {
    #[serde(with = "field")]
    chain: Hash,
    number: u64,
    #[serde(with = "field")]
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OutsideRule", rename_all = "snake_case")]
pub(super) enum OutsideRuleLayout {
    None,
    Hall,
    Drand,
    DrandOrHall,
    DrandOrNone,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Prize", deny_unknown_fields)]
pub(super) struct PrizeLayout {
    #[serde(with = "field")]
    id: PrizeId,
    #[serde(with = "field")]
    name: Arc<str>,
    rank: u32,
    #[serde(with = "field")]
    grade: Option<Arc<str>>,
    quantity: u32,
    #[serde(with = "field")]
    mode: Option<Mode>,
    winner_count: Option<u32>,
    #[serde(with = "field")]
    image: Option<Arc<str>>,
    repeat_winners: bool,
    #[serde(with = "field")]
    group: Option<Arc<str>>,
    #[serde(default)]
    needs_address: bool,
    // Older records have no length.
    #[serde(with = "field", default, skip_serializing_if = "Option::is_none")]
    show_length: Option<ShowLength>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DrawSpec", deny_unknown_fields)]
pub(super) struct DrawSpecLayout {
    #[serde(with = "field")]
    prize_id: Option<PrizeId>,
    #[serde(with = "field")]
    prize_name: Arc<str>,
    prize_rank: u32,
    // Older records have no grade.
    #[serde(with = "field", default, skip_serializing_if = "Option::is_none")]
    prize_grade: Option<Arc<str>>,
    #[serde(with = "field")]
    prize_image: Option<Arc<str>>,
    #[serde(with = "field")]
    mode: Mode,
    winner_count: u32,
    // Older records have no length.
    #[serde(with = "field", default, skip_serializing_if = "Option::is_none")]
    show_length: Option<ShowLength>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Pool", deny_unknown_fields)]
pub(super) struct PoolLayout {
    ranges: Vec<(u32, u32)>,
    size: u32,
    through: u32,
    weights: Vec<(u32, u16)>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SealedPick", deny_unknown_fields)]
pub(super) struct SealedPickLayout {
    #[serde(with = "field")]
    entropy: Entropy,
    #[serde(with = "field")]
    picks: Arc<[Number]>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Eligibility", deny_unknown_fields)]
pub(super) struct EligibilityLayout {
    eligible: bool,
    #[serde(with = "field")]
    group: Option<Arc<str>>,
    weight: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Link", deny_unknown_fields)]
pub(super) struct LinkLayout {
    #[serde(with = "field")]
    id: LinkId,
    #[serde(with = "field")]
    role: LinkRole,
    #[serde(with = "field")]
    made_at: Timestamp,
    #[serde(with = "field")]
    revoked_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Phase", rename_all = "snake_case")]
pub(super) enum PhaseLayout {
    Open,
    Drawing,
    Closed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Cause", rename_all = "snake_case")]
pub(super) enum CauseLayout {
    Completed,
    Deadline,
    ShowEnd,
    NoDisplay,
    NextDraw,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "VoidReason", rename_all = "snake_case")]
pub(super) enum VoidReasonLayout {
    Absent,
    Declined,
    Ineligible,
    DuplicatePerson,
    OperatorError,
    Other,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Mode", rename_all = "snake_case")]
pub(super) enum ModeLayout {
    Slot,
    Card,
    Network,
    List,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LinkRole", rename_all = "snake_case")]
pub(super) enum LinkRoleLayout {
    Display,
    Staff,
    Host,
}

/// Types of the rules, spelled as their layout.
macro_rules! as_layout {
    ($($name:ident $layout:ident),*) => {$(
        impl Field for $name {
            fn write<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $layout::serialize(self, to)
            }

            fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $layout::deserialize(from)
            }
        }
    )*};
}

as_layout!(Phase PhaseLayout, Cause CauseLayout, VoidReason VoidReasonLayout, Mode ModeLayout, LinkRole LinkRoleLayout);
as_layout!(Settings SettingsLayout, Prize PrizeLayout, DrawSpec DrawSpecLayout, Pool PoolLayout, Eligibility EligibilityLayout);
as_layout!(SealedPick SealedPickLayout, Link LinkLayout, Lock LockLayout, OutsideRule OutsideRuleLayout);
as_layout!(DrandRound DrandRoundLayout);
