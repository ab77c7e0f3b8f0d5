//! Facts: the only things that change an event, and all that the journal keeps of it.
//!
//! A fact is complete in itself, so that replaying the journal needs no clock and no entropy. It
//! must never hold anything that may have to be erased, such as a winner's name.

use super::entry_code::EntryDigits;
use super::proof::{Hash, Lock, OutsideRule, OutsideValue, Seed};
pub use super::void_reason::VoidReason;
use super::{DrawId, DrawSpec, Entropy, Epoch, EventId, Link, LinkId, Number, Phase, Pool, Prize, PrizeId, SessionId, Timestamp};
use std::fmt;
use std::sync::Arc;

/// The author of a fact, for the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A participant's phone.
    Phone,
    /// The projector's page.
    Display,
    /// The administrator.
    Admin,
    /// A holder of a signed link.
    Link(LinkId),
    /// A deadline, such as that of an announcement.
    Clock,
}

/// The cause of an announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A display or a console reported the end of the show.
    Completed,
    /// `LUCKYDRAW_ANNOUNCE_AFTER_MS` had passed since the reveal.
    Deadline,
    /// The planned show is about to end.
    ShowEnd,
    /// No display was connected.
    NoDisplay,
    /// An operator asked for the next standby, start or draw, for a reset or for the end.
    NextDraw,
}

/// The settings of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The title that pages show.
    pub title: Arc<str>,
    /// The most participants per session. Fixed when the event is opened.
    pub participants_max: u32,
    /// Prizes with a group go to members of that group only.
    pub groups: bool,
    /// Participants win in proportion to their weights.
    pub weights: bool,
    /// The text that a phone agrees to before it gets a number; `None` asks for no consent.
    pub consent_text: Option<Arc<str>>,
    /// The purpose of winners' details, in the host's words.
    pub privacy_purpose: Option<Arc<str>>,
    /// The event is for practice. Fixed when the event is opened, since a practised draw must not
    /// become real.
    pub rehearsal: bool,
    /// The rule by which draws get their outside value.
    pub outside: OutsideRule,
}

/// The conditions under which a participant can win, as staff set them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eligibility {
    /// The participant can win at all.
    pub eligible: bool,
    /// The group, for prizes of one group.
    pub group: Option<Arc<str>>,
    /// The chance relative to other participants, from 1.
    pub weight: u16,
}

impl Default for Eligibility {
    /// The eligibility of a participant about whom staff set nothing.
    fn default() -> Self {
        Self { eligible: true, group: None, weight: 1 }
    }
}

/// The scope in which a number's token, recovery code and claim codes are its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretScope {
    /// The session: each holder of the number in it has the same secrets. Programs before this
    /// one gave such numbers, and their phones keep them.
    Session,
    /// The registration: a number that is given again, after a restore or on another server, has
    /// other secrets.
    #[default]
    Registration,
}

/// A pick, secret until its reveal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPick {
    /// The entropy that decided the pick.
    pub entropy: Entropy,
    /// The winners, in the order of picking.
    pub picks: Arc<[Number]>,
}

/// A change of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The event exists.
    Opened {
        /// Its name.
        id: EventId,
        /// Its settings.
        settings: Settings,
        /// The first session.
        session: SessionId,
        /// The first epoch.
        epoch: Epoch,
    },
    /// The settings are these.
    SettingsChanged {
        /// All settings.
        settings: Settings,
    },
    /// The event is in this phase.
    PhaseChanged {
        /// The new phase.
        phase: Phase,
    },
    /// Phones need this code to register.
    EntryCodeSet {
        /// The digits; `None` when no code is needed.
        code: Option<EntryDigits>,
    },
    /// Phones need a code that changes with the time.
    EntryCodeRotates,
    /// A prize is at the end of the list.
    PrizeAdded {
        /// The prize under its new id.
        prize: Prize,
    },
    /// A listed prize is replaced.
    PrizeChanged {
        /// The prize under its old id.
        prize: Prize,
    },
    /// A prize is off the list.
    PrizeRemoved {
        /// Its id.
        prize: PrizeId,
    },
    /// The list is in this order.
    PrizesOrdered {
        /// Each listed prize, once.
        order: Arc<[PrizeId]>,
    },
    /// A number is given.
    Registered {
        /// The number.
        number: Number,
        /// The SHA-256 of the registration's `request_id`.
        key: [u8; 32],
        /// The scope of the number's secrets.
        secrets: SecretScope,
    },
    /// A participant's eligibility is this.
    ParticipantMarked {
        /// The participant.
        number: Number,
        /// The eligibility from now on.
        mark: Eligibility,
    },
    /// Participants are removed; their numbers are never given again.
    ParticipantsRemoved {
        /// First and last number of each run of them, rising.
        ranges: Vec<(u32, u32)>,
    },
    /// A prize is on standby.
    StandbyShown {
        /// The draw that would follow.
        spec: Arc<DrawSpec>,
    },
    /// The standby ended without a draw.
    StandbyEnded,
    /// The session has a new seed chain, whose seeds the next draws use.
    ChainBegun {
        /// The public hash of the first seed.
        anchor: Hash,
        /// The place of the last seed.
        length: u32,
        /// The last seed, secret.
        last: Seed,
    },
    /// A draw is locked. Without an outside value to come, the winners are picked, in secret.
    Started {
        /// The new draw.
        draw: DrawId,
        /// The prize and the number of winners.
        spec: Arc<DrawSpec>,
        /// The numbers that could win.
        pool: Arc<Pool>,
        /// The pick; `None` while an outside value is awaited.
        sealed: Option<SealedPick>,
        /// The lock; `None` in journals from before locks.
        lock: Option<Arc<Lock>>,
        /// The voided seat that this draw fills again.
        redraw_of: Option<(DrawId, Number)>,
        /// The SHA-256 of the `request_id` of a draw in one call.
        request: Option<[u8; 32]>,
    },
    /// The outside value is here, and the winners are picked, in secret.
    OutsideReceived {
        /// The draw.
        draw: DrawId,
        /// The value.
        value: OutsideValue,
        /// The pick.
        sealed: SealedPick,
    },
    /// An operator gave up on the round of drand. What the lock names in its place decides.
    FellBack {
        /// The draw.
        draw: DrawId,
        /// The reason, which is public.
        reason: Arc<str>,
        /// The pick; `None` where the hall's words are awaited now.
        sealed: Option<SealedPick>,
    },
    /// Displays and consoles know the winners.
    Revealed {
        /// The draw.
        draw: DrawId,
        /// The pick again, now in the open, so that a person can read it in the journal.
        sealed: SealedPick,
        /// The planned time at which every page shows the winners.
        show_at: Option<Timestamp>,
    },
    /// The winners are public.
    Announced {
        /// The draw.
        draw: DrawId,
        /// The cause.
        cause: Cause,
    },
    /// A pending draw is cancelled.
    Cancelled {
        /// The draw.
        draw: DrawId,
        /// The pick, which the proof shows; `None` without its outside value.
        sealed: Option<SealedPick>,
        /// The reason, which is public.
        reason: Arc<str>,
    },
    /// A winner's seat is voided.
    SeatVoided {
        /// The draw.
        draw: DrawId,
        /// The winner.
        number: Number,
        /// The reason.
        reason: VoidReason,
    },
    /// A winner handed in details, which are kept outside the facts.
    DetailsReceived {
        /// The draw.
        draw: DrawId,
        /// The winner.
        number: Number,
    },
    /// A winner is present.
    Arrived {
        /// The draw.
        draw: DrawId,
        /// The winner.
        number: Number,
    },
    /// A winner has the prize.
    HandedOver {
        /// The draw.
        draw: DrawId,
        /// The winner.
        number: Number,
        /// The desk's name.
        desk: Arc<str>,
    },
    /// A hand-over was a mistake.
    HandOverUndone {
        /// The draw.
        draw: DrawId,
        /// The winner.
        number: Number,
    },
    /// The draws and their winners are cleared.
    Reset {
        /// The new session, when the participants are cleared too.
        session: Option<SessionId>,
    },
    /// A signed link is made.
    LinkMade {
        /// The link.
        link: Link,
    },
    /// A signed link is revoked.
    LinkRevoked {
        /// The link.
        link: LinkId,
    },
    /// An operator read winners' details unmasked. The event stays as it is, but the audit trail
    /// shows it.
    DetailsUnmasked,
    /// The event came back from a backup or from another server. Frames sent after that copy was
    /// made may be contradicted now, so a new history of frames begins.
    EpochRenewed {
        /// The new epoch.
        epoch: Epoch,
    },
}

/// A fact with its time and author, as the journal records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFact {
    /// The time of its decision.
    pub at: Timestamp,
    /// Its author.
    pub actor: Actor,
    /// The fact.
    pub fact: Fact,
}

/// A winner's contact details, which are kept outside the facts: they are encrypted, and erased
/// after a retention period. `Debug` prints no field.
#[derive(Clone, PartialEq, Eq)]
pub struct WinnerDetails {
    /// The draw that was won.
    pub draw: DrawId,
    /// The winner.
    pub number: Number,
    /// The winner's name.
    pub name: String,
    /// The telephone number.
    pub phone: String,
    /// The postal address, for a prize that is sent.
    pub address: Option<String>,
    /// The time at which they came in.
    pub submitted_at: Timestamp,
}

impl fmt::Debug for WinnerDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WinnerDetails(..)")
    }
}

/// A line of the audit trail: a fact as text, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// The fact's place in the journal, rising.
    pub id: i64,
    /// The time of the fact.
    pub at: Timestamp,
    /// The actor's name in the journal: `phone`, `admin`, `link:7`.
    pub actor: String,
    /// The fact's kind in the journal: `revealed`.
    pub kind: String,
    /// The fact as a JSON object, without entropy, sealed picks or key hashes.
    pub summary: String,
}
