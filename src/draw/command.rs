//! Commands to an event, and the decisions and outcomes that answer them.
//!
//! A command carries all that its decision needs but time and random bytes. It must never hold a
//! winner's details: facts stay in the journal for good, details do not.

use super::entry_code::EntryCode;
use super::fact::{Cause, Eligibility, Settings, VoidReason};
use super::prize::PrizeVersion;
use super::proof::{Beacon, DrandChain, OutsideRule, Words};
use super::{DrawId, DrawRequest, Entropy, Fact, LinkId, LinkRole, Number, Phase, Prize, PrizeId, SessionId, Timestamp};
use std::sync::Arc;

/// The show that follows a reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A stage plays it for the length of [`DrawSpec::show_length_ms`](super::DrawSpec): every page
    /// shows the winners at its end, which is planned here.
    Planned,
    /// Nothing is known of its length. A display reports its end, or nobody plays any.
    Open,
}

/// A command to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Commit the number that the roster gave to `key` in `session`.
    Register {
        /// The claimed number.
        number: Number,
        /// The SHA-256 of the registration's `request_id`.
        key: [u8; 32],
        /// The session in which the number was claimed.
        session: SessionId,
    },
    /// Show a prize as the next to be drawn.
    Standby(DrawRequest),
    /// Pick winners in secret.
    Start(DrawRequest),
    /// Give this pending draw the hall's words.
    GiveWords {
        /// The draw.
        draw: DrawId,
        /// The words.
        words: Words,
    },
    /// Give this pending draw the round that its lock names.
    GiveBeacon {
        /// The draw.
        draw: DrawId,
        /// The round with its signature.
        beacon: Beacon,
    },
    /// Go on without the round that this pending draw waits for, where its lock allows that.
    FallBack {
        /// The draw.
        draw: DrawId,
        /// The reason, which is public.
        reason: Arc<str>,
    },
    /// Reveal the pending draw.
    Reveal(Show),
    /// Reveal this draw and no other; a revealed draw stays as it is.
    RevealDraw(DrawId, Show),
    /// Announce a revealed draw, since its show is over.
    Complete(DrawSelector),
    /// Cancel the pending draw, or else the standby.
    Cancel {
        /// The reason, which is public.
        reason: Arc<str>,
    },
    /// Cancel this draw and no other.
    CancelDraw {
        /// The pending draw.
        draw: DrawId,
        /// The reason, which is public.
        reason: Arc<str>,
    },
    /// Void an announced seat, and redraw it if asked.
    Void {
        /// The seat's draw.
        draw: DrawId,
        /// The seat's number.
        number: Number,
        /// The reason, which is public.
        reason: VoidReason,
        /// Redraws the seat in the same decision.
        redraw: Redraw,
    },
    /// Start and reveal in one step, in `list` mode.
    DrawAtOnce(DrawRequest),
    /// Announce a revealed draw, unless it is announced.
    Announce {
        /// The revealed draw.
        draw: DrawId,
        /// The cause, for the audit trail.
        cause: Cause,
    },
    /// Clear draws, or participants and draws.
    Reset(ResetScope),
    /// Clear a rehearsal: participants and all draws. The new session comes from outside.
    Wipe(SessionId),
    /// Change the settings that the patch names.
    ChangeSettings(SettingsPatch),
    /// Move to another phase.
    ChangePhase(Phase),
    /// Ask phones for a code before they register; `None` asks for nothing.
    SetEntryCode(Option<EntryCode>),
    /// Add a prize to the list. Its id is ignored: the event gives the next one.
    AddPrize(Prize),
    /// Add all of these prizes, or none.
    AddPrizes(Arc<[Prize]>),
    /// Replace the listed prize of the same id.
    ChangePrize {
        /// The prize as it is to be.
        prize: Prize,
        /// The version of the prize that the operator saw; `None` replaces any.
        made_from: Option<PrizeVersion>,
    },
    /// Take a prize off the list.
    RemovePrize(PrizeId),
    /// Put the list into another order.
    OrderPrizes {
        /// Each listed prize, once.
        order: Arc<[PrizeId]>,
        /// The order that the operator saw; `None` replaces any.
        made_from: Option<Arc<[PrizeId]>>,
    },
    /// Change the parts of a participant's eligibility that the patch names.
    MarkParticipant {
        /// The participant.
        number: Number,
        /// The change.
        patch: EligibilityPatch,
    },
    /// Remove the participants who registered from `from` to `until`, but for winners.
    RemoveParticipants {
        /// The first time.
        from: Timestamp,
        /// The last time.
        until: Timestamp,
    },
    /// Accept a winner's details: the first ones, or a correction.
    ReceiveDetails(DetailsSubmission),
    /// Note that a winner is present.
    Arrive {
        /// The winner's draw.
        draw: DrawId,
        /// The winner.
        number: Number,
    },
    /// Hand a prize over, once.
    HandOver {
        /// The winner's draw.
        draw: DrawId,
        /// The winner.
        number: Number,
        /// The desk's name.
        desk: Arc<str>,
    },
    /// Take back a mistaken hand-over.
    UndoHandOver {
        /// The winner's draw.
        draw: DrawId,
        /// The winner.
        number: Number,
    },
    /// Make a signed link.
    MakeLink(LinkRole),
    /// Revoke a signed link.
    RevokeLink(LinkId),
    /// Record that an operator reads winners' details unmasked.
    NoteUnmasking,
}

/// A change of settings. It is merged by the writer, into the settings of that moment: merged
/// earlier, it would undo a change that came in between. `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsPatch {
    /// The title.
    pub title: Option<Arc<str>>,
    /// The most participants, which cannot change.
    pub participants_max: Option<u32>,
    /// Prizes with a group go to its members only.
    pub groups: Option<bool>,
    /// Weights count.
    pub weights: Option<bool>,
    /// The text that phones agree to; `Some(None)` removes it.
    pub consent_text: Option<Option<Arc<str>>>,
    /// The purpose of winners' details; `Some(None)` removes it.
    pub privacy_purpose: Option<Option<Arc<str>>>,
    /// The event is for practice, which cannot change.
    pub rehearsal: Option<bool>,
    /// The rule for outside values.
    pub outside: Option<OutsideRule>,
}

/// A change of a participant's eligibility, merged as [`SettingsPatch`] is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EligibilityPatch {
    /// The participant can win.
    pub eligible: Option<bool>,
    /// The group; `Some(None)` removes it.
    pub group: Option<Option<Arc<str>>>,
    /// The chance relative to other participants.
    pub weight: Option<u16>,
}

impl SettingsPatch {
    /// These settings with the change.
    pub fn merged_into(self, settings: &Settings) -> Settings {
        let now = settings.clone();
        Settings {
            title: self.title.unwrap_or(now.title),
            participants_max: self.participants_max.unwrap_or(now.participants_max),
            groups: self.groups.unwrap_or(now.groups),
            weights: self.weights.unwrap_or(now.weights),
            consent_text: self.consent_text.unwrap_or(now.consent_text),
            privacy_purpose: self.privacy_purpose.unwrap_or(now.privacy_purpose),
            rehearsal: self.rehearsal.unwrap_or(now.rehearsal),
            outside: self.outside.unwrap_or(now.outside),
        }
    }
}

impl EligibilityPatch {
    /// This eligibility with the change.
    pub fn merged_into(self, eligibility: Eligibility) -> Eligibility {
        Eligibility {
            eligible: self.eligible.unwrap_or(eligibility.eligible),
            group: self.group.unwrap_or(eligibility.group),
            weight: self.weight.unwrap_or(eligibility.weight),
        }
    }
}

/// The draw that a completion means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrawSelector {
    /// The draw of this id.
    Draw(DrawId),
    /// The latest draw of exactly these winners, in any order.
    Winners(Vec<Number>),
    /// The latest revealed draw.
    Latest,
}

/// A winner's details as the rules see them, which know no name and no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailsSubmission {
    /// The win they belong to.
    pub pick: WinSelector,
    /// The winner.
    pub number: Number,
    /// The person who hands them in.
    pub by: Author,
    /// The details include a postal address.
    pub has_address: bool,
    /// The version of the details that these replace, 0 for none; `None` replaces any.
    pub made_from: Option<u32>,
}

/// The person who hands in a winner's details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// The winner, who can correct them until the prize is handed over.
    Winner,
    /// An operator, whose correction is on record.
    Operator,
}

/// The win that a winner's details belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WinSelector {
    /// The win in this draw.
    Draw(DrawId),
    /// A win of the prize of this name, which is all that old phones know.
    PrizeNamed(Arc<str>),
}

/// The choice to redraw a voided seat at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    /// Start a draw of the one seat.
    Yes,
    /// Leave the seat empty.
    No,
}

/// The extent of a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetScope {
    /// Clears nothing.
    Nothing,
    /// Clears all draws.
    Draws,
    /// Clears the participants and all draws. The new session comes from outside.
    Participants(SessionId),
}

/// The result of an accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The number is the phone's.
    Registered {
        /// The number.
        number: Number,
        /// The number was committed before.
        existing: bool,
    },
    /// The prize is on standby.
    Standby,
    /// The draw is pending.
    Started(DrawId),
    /// The draw has this outside value.
    OutsideGiven(DrawId),
    /// The draw waits for no round any more.
    FellBack(DrawId),
    /// The draw is revealed.
    Revealed(DrawId),
    /// The draw is announced.
    Completed(DrawId),
    /// The draw had been announced before; nothing changed.
    CompletedBefore(DrawId),
    /// The draw that was cancelled; `None` for a standby.
    Cancelled(Option<DrawId>),
    /// The seat is voided.
    Voided {
        /// The draw that fills the seat again, if it was asked for.
        redraw: Option<DrawId>,
    },
    /// The scope is cleared.
    Reset,
    /// This many participants are removed.
    Removed(u32),
    /// The prize is on the list under this id.
    PrizeAdded(PrizeId),
    /// The link has this id.
    LinkMade(LinkId),
    /// The details belong to this win.
    Details {
        /// The draw of the win.
        draw: DrawId,
        /// The winner.
        number: Number,
        /// The version of the win's details: 1 for the first, and one more for each correction.
        version: u32,
        /// The prize is sent, so the address is kept.
        keeps_address: bool,
    },
    /// The command is done and has nothing more to tell.
    Done,
}

/// An accepted command: the facts to commit, in order, and the answer once they are committed. No
/// facts: nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The facts, in order.
    pub facts: Vec<Fact>,
    /// The answer.
    pub outcome: Outcome,
}

impl Decision {
    pub(super) fn new(facts: impl Into<Vec<Fact>>, outcome: Outcome) -> Self {
        Self { facts: facts.into(), outcome }
    }
}

/// The source of random bytes for a seed chain. A decision reads it at most once.
pub type EntropySource<'a> = &'a mut dyn FnMut() -> Entropy;

/// The inputs of a decision that are neither in the event nor in the command.
pub struct Sources<'a> {
    /// Random bytes.
    pub entropy: EntropySource<'a>,
    /// The chain whose rounds decide the draws that ask for drand.
    pub drand: &'a DrandChain,
}
