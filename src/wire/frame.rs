//! Frames that tell what happened: one fact, one telling, encoded once for the whole hall.
//!
//! Frames for everybody are numbered by `seq`. The numbering is a function of the committed facts alone, so replaying the journal gives
//! every frame its old number and its old bytes.

use super::{entry_code, text_frame};
use crate::base::clock::rfc3339;
use crate::draw::fact::{Fact, VoidReason};
use crate::draw::{Draw, DrawId, DrawSpec, Event, Number, Phase, Timestamp};
use bytes::Bytes;
use serde::Serialize;

/// A frame and who hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingFrame {
    /// Phones, displays and consoles; takes the next `seq`.
    Everyone(Bytes),
    /// Displays and consoles.
    Operators(Bytes),
}

/// The frames that tell of `fact`, which `event` has just applied; `last_seq` is the number of the last frame before them.
pub fn frames_for(event: &Event, fact: &Fact, last_seq: u64) -> Vec<OutgoingFrame> {
    let mut numbered = Numbered { epoch: data_encoding::HEXLOWER.encode(&event.epoch.0), seq: last_seq };
    let of_draw = |id: &DrawId| event.draw(*id).expect("a fact names a draw of its event");
    match fact {
        Fact::StandbyShown { spec } => {
            vec![numbered.frame("draw_standby", Standby { prize: Prize::of(spec), status: "standby" })]
        }
        Fact::StandbyEnded => {
            vec![numbered.frame("draw_voided", Voided { draw_id: None, draw_number: None, reason: "cancelled" })]
        }
        Fact::Started { draw, .. } => vec![numbered.frame("draw_started", Started::of(of_draw(draw)))],
        Fact::Revealed { draw, .. } => vec![OutgoingFrame::Operators(revealed(of_draw(draw)))],
        Fact::Announced { draw, .. } => {
            let result = Outcome::of(of_draw(draw));
            vec![numbered.frame("winner_announced", &result), numbered.frame("draw_complete", &result)]
        }
        Fact::Cancelled { draw, reason, .. } => {
            vec![numbered.frame("draw_voided", Voided { draw_id: Some(draw.0), draw_number: None, reason })]
        }
        Fact::SeatVoided { draw, number, reason } => {
            let voided = Voided { draw_id: Some(draw.0), draw_number: Some(number.0), reason: VoidReason::name(*reason) };
            vec![numbered.frame("draw_voided", voided)]
        }
        Fact::Reset { session } => {
            let event_session_id = session.map(|session| data_encoding::HEXLOWER.encode(&session.0));
            let reset = Reset { reset_participants: session.is_some(), reset_draws: true, event_session_id };
            vec![numbered.frame("event_reset", reset)]
        }
        Fact::EntryCodeSet { code } => vec![OutgoingFrame::Operators(entry_code_set(code.as_ref()))],
        Fact::PhaseChanged { phase } => vec![numbered.frame("notice", notice(*phase))],
        Fact::Opened { .. }
        | Fact::SettingsChanged { .. }
        | Fact::PrizeAdded { .. }
        | Fact::PrizeChanged { .. }
        | Fact::PrizeRemoved { .. }
        | Fact::PrizesOrdered { .. }
        | Fact::Registered { .. }
        | Fact::ParticipantMarked { .. }
        | Fact::DetailsReceived { .. }
        | Fact::Arrived { .. }
        | Fact::HandedOver { .. }
        | Fact::HandOverUndone { .. }
        | Fact::LinkMade { .. }
        | Fact::LinkRevoked { .. }
        | Fact::DetailsUnmasked
        | Fact::EpochRenewed { .. } => vec![],
    }
}

/// `participant_joined`: how many there are, and who came since the last such frame.
pub fn participant_joined(total_count: u32, joined: &[Number]) -> Bytes {
    #[derive(Serialize)]
    struct Joined<'a> {
        total_count: u32,
        draw_number: Option<u32>,
        draw_numbers: &'a [u32],
    }
    let numbers: Vec<_> = joined.iter().map(|number| number.0).collect();
    typed("participant_joined", Joined { total_count, draw_number: numbers.last().copied(), draw_numbers: &numbers })
}

/// `connection_count`: how many sockets are open.
pub fn connection_count(count: u32) -> Bytes {
    #[derive(Serialize)]
    struct Connections {
        count: u32,
    }
    typed("connection_count", Connections { count })
}

/// `winner_info_received`, for consoles; `phone` comes masked.
pub fn winner_info_received(number: Number, prize_name: &str, name: &str, phone: &str, submitted_at: Timestamp) -> Bytes {
    #[derive(Serialize)]
    struct Received<'a> {
        draw_number: u32,
        prize_name: &'a str,
        name: &'a str,
        phone: &'a str,
        submitted_at: String,
    }
    typed(
        "winner_info_received",
        Received { draw_number: number.0, prize_name, name, phone, submitted_at: rfc3339(submitted_at) },
    )
}

/// `winner_updated`, for consoles: this winner came, or the prize changed hands. What holds now is for them to ask.
pub fn winner_updated(draw: DrawId, number: Number) -> Bytes {
    #[derive(Serialize)]
    struct Updated {
        draw_id: u32,
        draw_number: u32,
    }
    typed("winner_updated", Updated { draw_id: draw.0, draw_number: number.0 })
}

/// A prize as it is drawn: the fields that every draw shows, in frames and in answers.
#[derive(Serialize)]
pub(super) struct Prize<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prize_id: Option<u32>,
    prize_name: &'a str,
    prize_rank: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    prize_grade: Option<&'a str>,
    prize_image: Option<&'a str>,
    draw_mode: &'static str,
    winner_count: u32,
}

impl<'a> Prize<'a> {
    pub(super) fn of(spec: &'a DrawSpec) -> Self {
        Self {
            prize_id: spec.prize_id.map(|id| id.0),
            prize_name: &spec.prize_name,
            prize_rank: spec.prize_rank,
            prize_grade: spec.prize_grade.as_deref(),
            prize_image: spec.prize_image.as_deref(),
            draw_mode: spec.mode.name(),
            winner_count: spec.winner_count,
        }
    }
}

#[derive(Serialize)]
struct Standby<'a> {
    #[serde(flatten)]
    prize: Prize<'a>,
    status: &'static str,
}

/// A draw that has begun, as everybody may know it.
#[derive(Serialize)]
pub(super) struct Started<'a> {
    draw_id: u32,
    #[serde(flatten)]
    prize: Prize<'a>,
    /// SHA-256 of the entropy: shown before anybody can know the pick, and checked against the proof afterwards.
    commitment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    redraw_of: Option<u32>,
}

impl<'a> Started<'a> {
    pub(super) fn of(draw: &'a Draw) -> Self {
        Self {
            draw_id: draw.id.0,
            prize: Prize::of(&draw.spec),
            commitment: data_encoding::HEXLOWER.encode(&draw.commitment()),
            redraw_of: draw.redraw_of.map(|(draw, _)| draw.0),
        }
    }
}

/// A draw whose winners may be known.
#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    draw_id: u32,
    #[serde(flatten)]
    prize: Prize<'a>,
    winners: Vec<u32>,
    drawn_at: Option<String>,
}

impl<'a> Outcome<'a> {
    pub(super) fn of(draw: &'a Draw) -> Self {
        Self {
            draw_id: draw.id.0,
            prize: Prize::of(&draw.spec),
            winners: draw.winners().map(|number| number.0).collect(),
            drawn_at: draw.revealed_at.map(rfc3339),
        }
    }
}

#[derive(Serialize)]
struct Voided<'a> {
    /// None: a standby ended.
    draw_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    draw_number: Option<u32>,
    reason: &'a str,
}

#[derive(Serialize)]
struct Reset {
    reset_participants: bool,
    reset_draws: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_session_id: Option<String>,
}

#[derive(Serialize)]
struct Notice {
    code: &'static str,
    message: &'static str,
}

fn notice(phase: Phase) -> Notice {
    let (code, message) = match phase {
        Phase::Open => ("REGISTRATION_OPEN", "registration is open"),
        Phase::Drawing => ("REGISTRATION_CLOSED", "registration is closed"),
        Phase::Closed => ("EVENT_CLOSED", "the event is over"),
    };
    Notice { code, message }
}

fn revealed(draw: &Draw) -> Bytes {
    typed("winner_revealed", Outcome::of(draw))
}

/// The code that displays show to the hall; none: everybody may register.
fn entry_code_set(code: Option<&[u8; 4]>) -> Bytes {
    #[derive(Serialize)]
    struct EntryCodeSet<'a> {
        entry_code: Option<&'a str>,
    }
    typed("entry_code", EntryCodeSet { entry_code: code.map(entry_code) })
}

/// Numbers frames as they are made.
struct Numbered {
    epoch: String,
    seq: u64,
}

impl Numbered {
    fn frame(&mut self, kind: &'static str, body: impl Serialize) -> OutgoingFrame {
        #[derive(Serialize)]
        struct WithSeq<'a, B> {
            #[serde(flatten)]
            body: B,
            seq: u64,
            epoch: &'a str,
        }
        self.seq += 1;
        OutgoingFrame::Everyone(typed(kind, WithSeq { body, seq: self.seq, epoch: &self.epoch }))
    }
}

/// A frame of one JSON object whose first member is its type.
pub(super) fn typed(kind: &'static str, body: impl Serialize) -> Bytes {
    text_frame(&typed_text(kind, body))
}

/// The JSON text of such a frame.
pub(super) fn typed_text(kind: &'static str, body: impl Serialize) -> String {
    #[derive(Serialize)]
    struct Typed<B> {
        r#type: &'static str,
        #[serde(flatten)]
        body: B,
    }
    serde_json::to_string(&Typed { r#type: kind, body }).expect("frames hold only what JSON can say")
}
