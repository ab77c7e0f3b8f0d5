//! What has happened: the only things that change an event, and all that the journal keeps of it.

use super::{DrawId, DrawSpec, Entropy, Epoch, EventId, Link, LinkId, Number, Phase, Pool, Prize, PrizeId, SessionId, Timestamp};
use std::fmt;
use std::sync::Arc;

/// Who brought a fact about, for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Phone,
    Display,
    Admin,
    /// Somebody who holds a signed link.
    Link(LinkId),
    /// A deadline: an announcement that fell due.
    Clock,
}

/// What made an announcement go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A display or a console said that the show of it is over.
    Completed,
    /// `LUCKYDRAW_ANNOUNCE_AFTER_MS` had passed.
    Deadline,
    /// No display was there to wait for.
    NoDisplay,
    /// The next standby, start or draw was asked for.
    NextDraw,
}

/// Why a seat was voided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoidReason {
    Absent,
    Declined,
    Ineligible,
    DuplicatePerson,
    /// Nobody's fault but the operator's: the only reason after which the number may win again.
    OperatorError,
    Other,
}

impl VoidReason {
    /// Every reason.
    pub const ALL: [VoidReason; 6] = [
        VoidReason::Absent,
        VoidReason::Declined,
        VoidReason::Ineligible,
        VoidReason::DuplicatePerson,
        VoidReason::OperatorError,
        VoidReason::Other,
    ];

    /// The reason's name on the wire and in the journal.
    pub fn name(self) -> &'static str {
        match self {
            VoidReason::Absent => "absent",
            VoidReason::Declined => "declined",
            VoidReason::Ineligible => "ineligible",
            VoidReason::DuplicatePerson => "duplicate_person",
            VoidReason::OperatorError => "operator_error",
            VoidReason::Other => "other",
        }
    }

    /// The reason of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// What an event's host settles about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub title: Arc<str>,
    /// The most participants of one session.
    pub participants_max: u32,
    /// Whether a prize's group binds.
    pub groups: bool,
    /// Whether a participant's weight counts.
    pub weights: bool,
    /// What a phone agrees to before it gets a number; none: nothing is asked.
    pub consent_text: Option<Arc<str>>,
    /// What winners' details are used for, in the host's words.
    pub privacy_purpose: Option<Arc<str>>,
    /// Whether it is only for practice. Settled when the event is opened: what was practised must not become real.
    pub rehearsal: bool,
}

/// What staff noted about a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eligibility {
    pub eligible: bool,
    pub group: Option<Arc<str>>,
    /// Chances relative to the others', from 1.
    pub weight: u16,
}

/// A pick that is not to be known before its reveal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPick {
    pub entropy: Entropy,
    pub picks: Arc<[Number]>,
}

/// Something that happened to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Opened {
        id: EventId,
        settings: Settings,
        session: SessionId,
        epoch: Epoch,
    },
    SettingsChanged {
        settings: Settings,
    },
    PhaseChanged {
        phase: Phase,
    },
    /// Four digits that a phone has to know in order to register; none: everybody may.
    EntryCodeSet {
        code: Option<[u8; 4]>,
    },
    PrizeAdded {
        prize: Prize,
    },
    PrizeChanged {
        prize: Prize,
    },
    PrizeRemoved {
        prize: PrizeId,
    },
    PrizesOrdered {
        order: Arc<[PrizeId]>,
    },
    /// A number was given; `key` is the SHA-256 of its registration's `request_id`.
    Registered {
        number: Number,
        key: [u8; 32],
    },
    ParticipantMarked {
        number: Number,
        mark: Eligibility,
    },
    StandbyShown {
        spec: Arc<DrawSpec>,
    },
    StandbyEnded,
    /// The winners are picked, and nobody knows them. `redraw_of` names the voided seat this draw fills.
    Started {
        draw: DrawId,
        spec: Arc<DrawSpec>,
        pool: Arc<Pool>,
        sealed: SealedPick,
        redraw_of: Option<(DrawId, Number)>,
        /// The SHA-256 of the `request_id` of a draw in one call.
        request: Option<[u8; 32]>,
    },
    /// Displays and consoles know them. Carries the pick again, now in the open, so that the journal can be read.
    Revealed {
        draw: DrawId,
        sealed: SealedPick,
    },
    /// Everybody may know them.
    Announced {
        draw: DrawId,
        cause: Cause,
    },
    /// An unrevealed draw was called off. Its pick is shown in the proof.
    Cancelled {
        draw: DrawId,
        sealed: SealedPick,
        reason: Arc<str>,
    },
    SeatVoided {
        draw: DrawId,
        number: Number,
        reason: VoidReason,
    },
    /// A winner handed in their details, which are kept elsewhere.
    DetailsReceived {
        draw: DrawId,
        number: Number,
    },
    /// A winner said that they are in the hall.
    Arrived {
        draw: DrawId,
        number: Number,
    },
    /// A winner got the prize, at that desk.
    HandedOver {
        draw: DrawId,
        number: Number,
        desk: Arc<str>,
    },
    /// The prize was handed over by mistake, or not at all.
    HandOverUndone {
        draw: DrawId,
        number: Number,
    },
    /// Draws and their winners are gone from the event; with a `session`, the participants too.
    Reset {
        session: Option<SessionId>,
    },
    LinkMade {
        link: Link,
    },
    LinkRevoked {
        link: LinkId,
    },
    /// The winners' details were read unmasked: nothing changes, but it is on record.
    DetailsUnmasked,
    /// The event came back from a backup or from another server: what was told after that copy was made may be told otherwise now, so
    /// the frames begin a new history.
    EpochRenewed {
        epoch: Epoch,
    },
}

/// A fact with its time and author, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFact {
    pub at: Timestamp,
    pub actor: Actor,
    pub fact: Fact,
}

/// A winner's name and address for the delivery of the prize. The rules never read them: a fact says only that they came. `Debug` prints no field.
#[derive(Clone, PartialEq, Eq)]
pub struct WinnerDetails {
    pub draw: DrawId,
    pub number: Number,
    pub name: String,
    pub phone: String,
    pub address: Option<String>,
    pub submitted_at: Timestamp,
}

impl fmt::Debug for WinnerDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WinnerDetails(..)")
    }
}

/// A line of the audit trail: a fact as text, without anything that is still secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Rises with each fact; a page ends here and the next one begins below it.
    pub id: i64,
    pub at: Timestamp,
    /// The actor's name in the journal: `phone`, `admin`, `link:7`.
    pub actor: String,
    /// The fact's kind in the journal: `revealed`.
    pub kind: String,
    /// The fact as a JSON object, without entropy, sealed picks or key hashes.
    pub summary: String,
}
