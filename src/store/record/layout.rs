//! The layout of each record: which fields a fact has at rest, and in which order.
//!
//! `#[serde(remote)]` lays a layout over a type of the rules: a field added or renamed there does not compile here until somebody
//! has decided how it is kept. Nothing here may change in silence: old journals are read by these very lines, so another layout
//! gets another version (see [`crate::store::record::version`]), and a field that it brings has a default for the records of before; the golden test in [`super`] holds the bytes fast.

use crate::draw::fact::{Cause, Eligibility, SealedPick, Settings, VoidReason};
use crate::draw::{
    DrawId, DrawSpec, Entropy, Epoch, EventId, Fact, Link, LinkId, LinkRole, Mode, Number, Phase, Pool, Timestamp,
};
use crate::draw::{Prize, PrizeId, SessionId};
use crate::store::record::at_rest;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Every fact but [`Fact::Started`], as `{"kind":{fields}}`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Fact", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FactLayout {
    Opened {
        #[serde(with = "at_rest")]
        id: EventId,
        #[serde(with = "at_rest")]
        settings: Settings,
        #[serde(with = "at_rest")]
        session: SessionId,
        #[serde(with = "at_rest")]
        epoch: Epoch,
    },
    SettingsChanged {
        #[serde(with = "at_rest")]
        settings: Settings,
    },
    PhaseChanged {
        #[serde(with = "at_rest")]
        phase: Phase,
    },
    EntryCodeSet {
        code: Option<[u8; 4]>,
    },
    PrizeAdded {
        #[serde(with = "at_rest")]
        prize: Prize,
    },
    PrizeChanged {
        #[serde(with = "at_rest")]
        prize: Prize,
    },
    PrizeRemoved {
        #[serde(with = "at_rest")]
        prize: PrizeId,
    },
    PrizesOrdered {
        #[serde(with = "at_rest")]
        order: Arc<[PrizeId]>,
    },
    Registered {
        #[serde(with = "at_rest")]
        number: Number,
        #[serde(with = "at_rest")]
        key: [u8; 32],
    },
    ParticipantMarked {
        #[serde(with = "at_rest")]
        number: Number,
        #[serde(with = "at_rest")]
        mark: Eligibility,
    },
    StandbyShown {
        #[serde(with = "at_rest")]
        spec: Arc<DrawSpec>,
    },
    StandbyEnded {},
    /// Never written so: its pick has to be closed, which takes a key and a place. See [`StartedLayout`].
    #[serde(skip)]
    Started {
        draw: DrawId,
        spec: Arc<DrawSpec>,
        pool: Arc<Pool>,
        sealed: SealedPick,
        redraw_of: Option<(DrawId, Number)>,
        request: Option<[u8; 32]>,
    },
    Revealed {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        sealed: SealedPick,
    },
    Announced {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        cause: Cause,
    },
    Cancelled {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        sealed: SealedPick,
        #[serde(with = "at_rest")]
        reason: Arc<str>,
    },
    SeatVoided {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        number: Number,
        #[serde(with = "at_rest")]
        reason: VoidReason,
    },
    DetailsReceived {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        number: Number,
    },
    Arrived {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        number: Number,
    },
    HandedOver {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        number: Number,
        #[serde(with = "at_rest")]
        desk: Arc<str>,
    },
    HandOverUndone {
        #[serde(with = "at_rest")]
        draw: DrawId,
        #[serde(with = "at_rest")]
        number: Number,
    },
    Reset {
        #[serde(with = "at_rest")]
        session: Option<SessionId>,
    },
    LinkMade {
        #[serde(with = "at_rest")]
        link: Link,
    },
    LinkRevoked {
        #[serde(with = "at_rest")]
        link: LinkId,
    },
    DetailsUnmasked {},
    EpochRenewed {
        #[serde(with = "at_rest")]
        epoch: Epoch,
    },
}

/// A start: like the others, but for its pick, which is closed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartedLayout {
    #[serde(with = "at_rest")]
    pub draw: DrawId,
    #[serde(with = "at_rest")]
    pub spec: Arc<DrawSpec>,
    #[serde(with = "at_rest")]
    pub pool: Arc<Pool>,
    /// The pick under the folder's pick key, in base64url.
    pub sealed: String,
    #[serde(with = "at_rest")]
    pub redraw_of: Option<(DrawId, Number)>,
    #[serde(default, with = "at_rest")]
    pub request: Option<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Settings", deny_unknown_fields)]
pub(super) struct SettingsLayout {
    #[serde(with = "at_rest")]
    title: Arc<str>,
    participants_max: u32,
    groups: bool,
    weights: bool,
    #[serde(default, with = "at_rest")]
    consent_text: Option<Arc<str>>,
    #[serde(default, with = "at_rest")]
    privacy_purpose: Option<Arc<str>>,
    #[serde(default)]
    rehearsal: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Prize", deny_unknown_fields)]
pub(super) struct PrizeLayout {
    #[serde(with = "at_rest")]
    id: PrizeId,
    #[serde(with = "at_rest")]
    name: Arc<str>,
    rank: u32,
    #[serde(with = "at_rest")]
    grade: Option<Arc<str>>,
    quantity: u32,
    #[serde(with = "at_rest")]
    mode: Option<Mode>,
    winner_count: Option<u32>,
    #[serde(with = "at_rest")]
    image: Option<Arc<str>>,
    repeat_winners: bool,
    #[serde(with = "at_rest")]
    group: Option<Arc<str>>,
    #[serde(default)]
    needs_address: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DrawSpec", deny_unknown_fields)]
pub(super) struct DrawSpecLayout {
    #[serde(with = "at_rest")]
    prize_id: Option<PrizeId>,
    #[serde(with = "at_rest")]
    prize_name: Arc<str>,
    prize_rank: u32,
    // Older records hold none.
    #[serde(with = "at_rest", default, skip_serializing_if = "Option::is_none")]
    prize_grade: Option<Arc<str>>,
    #[serde(with = "at_rest")]
    prize_image: Option<Arc<str>>,
    #[serde(with = "at_rest")]
    mode: Mode,
    winner_count: u32,
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
pub(super) struct SealedLayout {
    #[serde(with = "at_rest")]
    entropy: Entropy,
    #[serde(with = "at_rest")]
    picks: Arc<[Number]>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Eligibility", deny_unknown_fields)]
pub(super) struct EligibilityLayout {
    eligible: bool,
    #[serde(with = "at_rest")]
    group: Option<Arc<str>>,
    weight: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Link", deny_unknown_fields)]
pub(super) struct LinkLayout {
    #[serde(with = "at_rest")]
    id: LinkId,
    #[serde(with = "at_rest")]
    role: LinkRole,
    #[serde(with = "at_rest")]
    made_at: Timestamp,
    #[serde(with = "at_rest")]
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
