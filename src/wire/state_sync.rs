//! The `state_sync` frame: the current state of an event, which a socket gets first and a long poll
//! is answered with.
//!
//! Each role has its own. Until a draw is announced, a phone's frame must show a revealed draw as
//! if it had only started. An authenticated phone also gets its private view.

use super::frame::{ConnectionTotals, PrizeFields, RevealedDraw, StartedDraw, shown_ranges, typed_text};
use super::view::people::{AuthenticatedPhone, WinView, wins_with_codes};
use super::view::phase_name;
use super::{Role, display_number, entry_code};
use crate::base::clock::rfc3339;
use crate::draw::entry_code::EntryCode;
use crate::draw::event::Audience;
use crate::draw::{Draw, Event, Phase, Seat, Timestamp};
use serde::Serialize;

/// The number of latest results in the frame.
const RESULTS_MAX: usize = 10;

/// The JSON text of the current state for `role`, covering every frame up to `seq`. `phone` adds
/// the private view of an authenticated phone.
pub fn text(
    event: &Event,
    seq: u64,
    connections: ConnectionTotals,
    role: Role,
    phone: Option<&AuthenticatedPhone<'_>>,
) -> String {
    let (audience, connections) = (role.audience(), connections.told_to(role));
    let draws = || event.draws().filter(|draw| draw.is_known_to(audience));
    let mut results: Vec<_> = draws().rev().take(RESULTS_MAX).map(|draw| ResultView::of(draw, audience)).collect();
    results.reverse();
    // A phone with a number has given its consent, and thousands of them need not download the text
    // again.
    let consent_text = event.settings.consent_text.as_deref().filter(|_| role == Role::Phone && phone.is_none());
    let shown_code = event.entry_code.as_ref().filter(|_| role != Role::Phone);
    typed_text(
        "state_sync",
        StateSync {
            role: role.name(),
            event_id: event.id.as_str(),
            title: &event.settings.title,
            phase: phase_name(event.phase),
            event_session_id: data_encoding::HEXLOWER.encode(&event.session.0),
            registration_open: event.phase == Phase::Open,
            entry_code_required: event.entry_code.is_some(),
            entry_code_rotates: event.entry_code == Some(EntryCode::Rotating),
            entry_code: shown_code.and_then(entry_code),
            consent_required: event.settings.consent_text.is_some(),
            consent_text,
            rehearsal: event.settings.rehearsal,
            participant_count: event.participant_count(),
            connection_count: connections.sockets,
            phones_connected: connections.phones,
            draw_count: draws().count(),
            current: current(event, audience),
            results,
            last_draw_id: event.last_draw_id().0,
            outside: event.settings.outside.name(),
            anchor: event.chain.as_ref().map(|chain| data_encoding::HEXLOWER.encode(&chain.anchor)),
            head: event.last_lock().map(|lock| data_encoding::HEXLOWER.encode(&lock.head)),
            privacy: phone.map(|phone| Privacy::of(event, phone)),
            you: phone.map(|phone| You::of(event, phone)),
            seq,
            epoch: data_encoding::HEXLOWER.encode(&event.epoch.0),
        },
    )
}

#[derive(Serialize)]
struct StateSync<'a> {
    role: &'static str,
    event_id: &'a str,
    title: &'a str,
    phase: &'static str,
    event_session_id: String,
    registration_open: bool,
    entry_code_required: bool,
    entry_code_rotates: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_code: Option<&'a str>,
    consent_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    consent_text: Option<&'a str>,
    rehearsal: bool,
    participant_count: u32,
    connection_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    phones_connected: Option<u32>,
    draw_count: usize,
    current: Option<Current<'a>>,
    results: Vec<ResultView<'a>>,
    last_draw_id: u32,
    outside: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    privacy: Option<Privacy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    you: Option<You<'a>>,
    seq: u64,
    epoch: String,
}

/// The current step of the show: a standby, or a draw that is not announced.
#[derive(Serialize)]
struct Current<'a> {
    status: &'static str,
    #[serde(flatten)]
    step: Step<'a>,
    /// Numbers that can win, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<Vec<(u32, u32)>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Step<'a> {
    Standby(PrizeFields<'a>),
    Started(StartedDraw<'a>),
    Revealed(RevealedDraw<'a>),
}

/// A revealed draw stays current until it is announced; the public sees it as started.
fn current(event: &Event, audience: Audience) -> Option<Current<'_>> {
    let running = event.pending_draw().or(event.unannounced_draw());
    let (status, step) = match (running, &event.standby) {
        (Some(draw), _) if draw.is_known_to(audience) => ("revealed", Step::Revealed(RevealedDraw::of(draw))),
        (Some(draw), _) => ("started", Step::Started(StartedDraw::of(draw))),
        (None, Some(spec)) => ("standby", Step::Standby(PrizeFields::of(spec))),
        (None, None) => return None,
    };
    let pool = running.filter(|_| audience == Audience::Operators).map(|draw| shown_ranges(&draw.pool));
    Some(Current { status, step, pool })
}

#[derive(Serialize)]
struct ResultView<'a> {
    #[serde(flatten)]
    draw: RevealedDraw<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    voided: Vec<u32>,
    /// Winners who are in the hall, which only operators are told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    arrived: Vec<u32>,
}

impl<'a> ResultView<'a> {
    fn of(draw: &'a Draw, audience: Audience) -> Self {
        let numbers = |counts: fn(&Seat) -> bool| draw.seats.iter().filter(move |seat| counts(seat)).map(|seat| seat.number.0);
        let arrived = numbers(|seat| seat.arrived_at.is_some()).filter(|_| audience == Audience::Operators);
        let voided = numbers(|seat| seat.voided.is_some());
        Self { draw: RevealedDraw::without_show(draw), voided: voided.collect(), arrived: arrived.collect() }
    }
}

/// The purpose of winners' details, and their retention period if they came in now.
#[derive(Serialize)]
struct Privacy<'a> {
    purpose: Option<&'a str>,
    days: u32,
    /// The last day of the period, in UTC.
    until: String,
}

impl<'a> Privacy<'a> {
    fn of(event: &'a Event, phone: &AuthenticatedPhone<'_>) -> Self {
        const DAY_MS: i64 = 86_400_000;
        let mut until = rfc3339(Timestamp(phone.now.0 + i64::from(phone.details_days) * DAY_MS));
        until.truncate("2026-12-31".len());
        Self { purpose: event.settings.privacy_purpose.as_deref(), days: phone.details_days, until }
    }
}

/// The private view of an authenticated phone.
#[derive(Serialize)]
struct You<'a> {
    draw_number: u32,
    display_number: String,
    won: bool,
    prizes: Vec<WinView<'a>>,
}

impl<'a> You<'a> {
    fn of(event: &'a Event, phone: &AuthenticatedPhone<'_>) -> Self {
        let (number, prizes) = (phone.number, wins_with_codes(event, phone));
        Self { draw_number: number.0, display_number: display_number(number), won: !prizes.is_empty(), prizes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::entry_code::EntryDigits;
    use crate::draw::fact::Fact;
    use crate::draw::{DrawId, Number, sample};
    use serde_json::{Value, json};

    const CONNECTIONS: ConnectionTotals = ConnectionTotals { sockets: 3, phones: Some(2) };

    fn state(event: &Event, role: Role) -> Value {
        serde_json::from_str(&text(event, 7, CONNECTIONS, role, None)).unwrap()
    }

    #[test]
    fn a_revealed_draw_looks_only_started_to_a_phone() {
        let event = sample::event().announced("TV", &[3]).revealed("Pen", &[7]).build();
        let phone = state(&event, Role::Phone);
        assert_eq!((&phone["current"]["status"], phone["current"].get("winners")), (&json!("started"), None));
        assert_eq!((&phone["draw_count"], phone["results"].as_array().unwrap().len()), (&json!(1), 1));
        for role in [Role::Display, Role::Admin] {
            let state = state(&event, role);
            assert_eq!((&state["current"]["status"], &state["current"]["winners"]), (&json!("revealed"), &json!([7])));
            assert_eq!((&state["draw_count"], &state["role"]), (&json!(2), &json!(role.name())));
        }
    }

    #[test]
    fn operators_are_told_who_can_win_and_how_many_phones_are_connected() {
        let event = sample::event().started("TV", &[3]).build();
        let pool = &event.pending_draw().unwrap().pool;
        for role in [Role::Display, Role::Admin] {
            let state = state(&event, role);
            assert_eq!((&state["current"]["pool"], &state["phones_connected"]), (&json!(pool.ranges), &json!(2)));
        }
        let phone = state(&event, Role::Phone);
        assert_eq!((phone["current"].get("pool"), phone.get("phones_connected")), (None, None));
        assert_eq!(phone["connection_count"], 3);
    }

    #[test]
    fn a_planned_show_tells_a_phone_its_end_and_no_winner() {
        let mut event = sample::event().started("Pen", &[7]).build();
        let (draw, picks) = (event.pending_draw().unwrap().id, [Number(7)].into());
        let sealed = crate::draw::fact::SealedPick { entropy: crate::draw::Entropy([0xab; 32]), picks };
        event.apply(Timestamp(1_000), &Fact::Revealed { draw, sealed, show_at: Some(Timestamp(6_000)) });
        let current = &state(&event, Role::Phone)["current"];
        assert_eq!((&current["status"], current.get("winners")), (&json!("started"), None));
        assert_eq!(current["show_at"], "1970-01-01T00:00:06.000Z");
    }

    #[test]
    fn only_the_last_ten_results_are_sent_oldest_first() {
        let event = (0..12).fold(sample::event(), |event, _| event.announced("Pen", &[1])).build();
        let state = state(&event, Role::Phone);
        let ids: Vec<_> = state["results"].as_array().unwrap().iter().map(|draw| draw["draw_id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (3..=12).collect::<Vec<_>>());
        assert_eq!((&state["draw_count"], &state["last_draw_id"]), (&json!(12), &json!(12)));
    }

    #[test]
    fn an_entry_code_is_shown_to_operators_and_only_required_of_phones() {
        let mut event = sample::event().build();
        event.apply(Timestamp(1), &Fact::EntryCodeSet { code: EntryDigits::parse("0042") });
        let phone = state(&event, Role::Phone);
        assert_eq!((&phone["entry_code_required"], phone.get("entry_code")), (&json!(true), None));
        assert_eq!(state(&event, Role::Display)["entry_code"], "0042");
        event.apply(Timestamp(2), &Fact::EntryCodeRotates);
        for role in [Role::Phone, Role::Display] {
            let state = state(&event, role);
            assert_eq!((&state["entry_code_required"], &state["entry_code_rotates"]), (&json!(true), &json!(true)));
            assert_eq!(state.get("entry_code"), None);
        }
    }

    #[test]
    fn an_authenticated_phone_gets_its_wins_and_the_retention_period() {
        let event = sample::event().announced("TV", &[3]).build();
        let claim_code = |draw: DrawId| format!("CODE{}", draw.0);
        let now = Timestamp(1_795_360_011_042);
        let phone = AuthenticatedPhone { number: Number(3), claim_code: &claim_code, details_days: 30, now };
        let own: Value = serde_json::from_str(&text(&event, 7, CONNECTIONS, Role::Phone, Some(&phone))).unwrap();
        assert_eq!((&own["you"]["display_number"], &own["you"]["won"]), (&json!("003"), &json!(true)));
        assert_eq!(own["you"]["prizes"][0]["claim_code"], "CODE1");
        assert_eq!((&own["privacy"]["days"], &own["privacy"]["until"]), (&json!(30), &json!("2026-12-22")));
        assert_eq!(state(&event, Role::Phone).get("you"), None);
    }
}
