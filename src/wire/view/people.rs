//! Participants and winners: their numbers, wins, eligibility and contact details.
//!
//! Telephone numbers must leave here masked, unless the caller recorded that it asked for them
//! unmasked.

use super::json;
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::fact::{Eligibility, WinnerDetails};
use crate::draw::{Draw, DrawId, Event, EventId, Number, Participant, Registration, Seat, Timestamp};
use crate::wire::display_number;
use data_encoding::HEXLOWER;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// A win as its winner sees it.
#[derive(Serialize)]
pub struct WinView<'a> {
    draw_id: u32,
    prize_name: &'a str,
    prize_rank: u32,
    prize_grade: Option<&'a str>,
    prize_image: Option<&'a str>,
    drawn_at: Option<String>,
    /// The prize was handed over.
    claimed: bool,
    handed_over_at: Option<String>,
    details_received: bool,
    needs_address: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_code: Option<String>,
    /// For the winner alone: the version that a correction replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    details_version: Option<u32>,
}

/// A phone that proved its number, and the values of its private view.
#[derive(Clone, Copy)]
pub struct AuthenticatedPhone<'a> {
    /// Its number.
    pub number: Number,
    /// The claim code of its win in a draw.
    pub claim_code: &'a dyn Fn(DrawId) -> String,
    /// Retention period of winners' details, in days.
    pub details_days: u32,
    /// The current time.
    pub now: Timestamp,
}

/// Masking of contact details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Telephone numbers are masked and addresses left out.
    On,
    /// Telephone numbers and addresses are shown.
    Off,
}

/// A registration with its token and recovery code, for its phone alone.
pub struct IssuedNumber<'a> {
    /// The event.
    pub event: &'a EventId,
    /// The number, and the session in which it is valid.
    pub of: &'a Registration,
    /// The token that proves the number.
    pub session_token: String,
    /// The code that recovers the token.
    pub recovery_code: String,
    /// The phone had the number before.
    pub existing: bool,
    /// The event, whose anchor and newest head the phone keeps.
    pub state: &'a Event,
    /// The key of the registration, from which the phone computes its leaf.
    pub receipt: Option<String>,
}

/// The extent of a list of winners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Winners who handed in their details.
    HandedIn,
    /// All winners of revealed draws.
    All,
}

#[derive(Serialize)]
struct WinnerView<'a> {
    draw_id: u32,
    draw_number: u32,
    prize_name: &'a str,
    prize_rank: u32,
    prize_grade: Option<&'a str>,
    name: Option<&'a str>,
    phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    submitted_at: Option<String>,
    /// The version that a correction replaces; 0 while there are none.
    details_version: u32,
    voided: bool,
    arrived_at: Option<String>,
    /// The prize was handed over.
    claimed: bool,
    handed_over_at: Option<String>,
    desk: Option<&'a str>,
}

/// The wins of a number, as far as `audience` may know; voided ones are left out.
pub fn wins(event: &Event, number: Number, audience: Audience) -> Vec<WinView<'_>> {
    event.wins(number, audience).map(|(draw, seat)| win(draw, seat)).collect()
}

/// The announced wins of an authenticated phone, with its claim codes.
pub fn wins_with_codes<'a>(event: &'a Event, phone: &AuthenticatedPhone<'_>) -> Vec<WinView<'a>> {
    let wins = event.wins(phone.number, Audience::Public);
    let own = |(draw, seat): (&'a Arc<Draw>, &'a Seat)| WinView {
        claim_code: Some((phone.claim_code)(draw.id)),
        details_version: Some(seat.details_count),
        ..win(draw, seat)
    };
    wins.map(own).collect()
}

/// The answer to a registration or a recovery.
pub fn registered(issued: &IssuedNumber<'_>) -> String {
    #[derive(Serialize)]
    struct RegisteredView<'a> {
        draw_number: u32,
        participant_number: u32,
        display_number: String,
        session_token: &'a str,
        recovery_code: &'a str,
        event_id: &'a str,
        event_session_id: String,
        is_existing: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        receipt: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        anchor: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<String>,
    }
    json(&RegisteredView {
        draw_number: issued.of.number.0,
        participant_number: issued.of.number.0,
        display_number: display_number(issued.of.number),
        session_token: &issued.session_token,
        recovery_code: &issued.recovery_code,
        event_id: issued.event.as_str(),
        event_session_id: HEXLOWER.encode(&issued.of.session.0),
        is_existing: issued.existing,
        receipt: issued.receipt.as_deref(),
        anchor: issued.state.chain.as_ref().map(|chain| HEXLOWER.encode(&chain.anchor)),
        head: issued.state.last_lock().map(|lock| HEXLOWER.encode(&lock.head)),
    })
}

/// The answer to a phone that asks for its number.
pub fn my_number(event: &Event, number: Number, participant: &Participant) -> String {
    #[derive(Serialize)]
    struct MyNumber<'a> {
        draw_number: u32,
        event_id: &'a str,
        created_at: String,
        participant_number: u32,
        display_number: String,
    }
    json(&MyNumber {
        draw_number: number.0,
        event_id: event.id.as_str(),
        created_at: rfc3339(participant.registered_at),
        participant_number: number.0,
        display_number: display_number(number),
    })
}

/// The answer about a number's wins, as far as the public may know.
pub fn check_winner(event: &Event, number: Number) -> String {
    checked(number, wins(event, number, Audience::Public))
}

/// The answer about an authenticated phone's wins, with its claim codes.
pub fn check_own(event: &Event, phone: &AuthenticatedPhone<'_>) -> String {
    checked(phone.number, wins_with_codes(event, phone))
}

fn checked(number: Number, prizes: Vec<WinView<'_>>) -> String {
    #[derive(Serialize)]
    struct CheckWinner<'a> {
        draw_number: u32,
        won: bool,
        prizes: Vec<WinView<'a>>,
    }
    json(&CheckWinner { draw_number: number.0, won: !prizes.is_empty(), prizes })
}

/// At most `limit` participants with numbers above `after`, by number. Appended to one text without
/// a vector between, since a call without a limit lists all 300,000.
pub fn participants(event: &Event, after: u32, limit: usize) -> String {
    let mut text = format!(r#"{{"total_count":{},"participants":["#, event.participant_count());
    for (place, (number, participant)) in event.participants_after(after).take(limit).enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        push_participant(&mut text, event, number, participant);
    }
    text.push_str("]}");
    text
}

/// One participant, with the eligibility that staff set.
pub fn participant(event: &Event, number: Number, participant: &Participant) -> String {
    let mut text = String::new();
    push_participant(&mut text, event, number, participant);
    text
}

/// The winners in the order of drawing.
pub fn winners<'a>(event: &'a Event, details: impl Iterator<Item = &'a WinnerDetails>, mask: Mask, listing: Listing) -> String {
    #[derive(Serialize)]
    struct Winners<'a> {
        winners: Vec<WinnerView<'a>>,
        total_count: usize,
    }
    let details: BTreeMap<_, _> = details.map(|details| ((details.draw, details.number), details)).collect();
    let known = event.draws().filter(|draw| draw.is_known_to(Audience::Operators));
    let seats = known.flat_map(|draw| draw.seats.iter().map(move |seat| (draw, seat)));
    let rows = seats.map(|(draw, seat)| (draw, seat, details.get(&(draw.id, seat.number)).copied()));
    let listed = rows.filter(|(_, _, details)| listing == Listing::All || details.is_some());
    let winners: Vec<_> = listed.map(|(draw, seat, details)| winner(draw, seat, details, mask)).collect();
    json(&Winners { total_count: winners.len(), winners })
}

fn winner<'a>(draw: &'a Draw, seat: &'a Seat, details: Option<&'a WinnerDetails>, mask: Mask) -> WinnerView<'a> {
    let phone = |phone: &str| if mask == Mask::On { masked_phone(phone) } else { phone.to_owned() };
    WinnerView {
        draw_id: draw.id.0,
        draw_number: seat.number.0,
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        prize_grade: draw.spec.prize_grade.as_deref(),
        name: details.map(|details| details.name.as_str()),
        phone: details.map(|details| phone(&details.phone)),
        address: details.and_then(|details| details.address.as_deref()).filter(|_| mask == Mask::Off),
        submitted_at: details.map(|details| rfc3339(details.submitted_at)),
        details_version: seat.details_count,
        voided: seat.voided.is_some(),
        arrived_at: seat.arrived_at.map(rfc3339),
        claimed: seat.handed_over.is_some(),
        handed_over_at: seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at)),
        desk: seat.handed_over.as_ref().map(|(_, desk)| &**desk),
    }
}

/// A seat as the prize desk sees it: the prize, and just enough of the person to recognise them.
/// `None` for a seat that does not exist.
pub fn claim(event: &Event, draw: DrawId, number: Number, details: Option<&WinnerDetails>) -> Option<String> {
    #[derive(Serialize)]
    struct ClaimView<'a> {
        draw_id: u32,
        draw_number: u32,
        display_number: String,
        prize_name: &'a str,
        prize_rank: u32,
        prize_grade: Option<&'a str>,
        prize_image: Option<&'a str>,
        name_masked: Option<String>,
        phone_masked: Option<String>,
        arrived_at: Option<String>,
        handed_over: bool,
        handed_over_at: Option<String>,
        desk: Option<&'a str>,
    }
    let draw = event.draw(draw)?;
    let seat = draw.seat(number)?;
    Some(json(&ClaimView {
        draw_id: draw.id.0,
        draw_number: number.0,
        display_number: display_number(number),
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        prize_grade: draw.spec.prize_grade.as_deref(),
        prize_image: draw.spec.prize_image.as_deref(),
        name_masked: details.map(|details| masked_name(&details.name)),
        phone_masked: details.map(|details| masked_phone(&details.phone)),
        arrived_at: seat.arrived_at.map(rfc3339),
        handed_over: seat.handed_over.is_some(),
        handed_over_at: seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at)),
        desk: seat.handed_over.as_ref().map(|(_, desk)| &**desk),
    }))
}

/// The answer to a hand-over that was undone.
pub fn hand_over_undone(draw: DrawId, number: Number) -> String {
    #[derive(Serialize)]
    struct Undone {
        draw_id: u32,
        draw_number: u32,
        handed_over: bool,
    }
    json(&Undone { draw_id: draw.0, draw_number: number.0, handed_over: false })
}

/// The answer to a winner's details, by their version.
pub fn details_received(draw: DrawId, number: Number, version: u32) -> String {
    #[derive(Serialize)]
    struct Received {
        draw_id: u32,
        draw_number: u32,
        first: bool,
        details_version: u32,
    }
    json(&Received { draw_id: draw.0, draw_number: number.0, first: version == 1, details_version: version })
}

/// A masked name, which its owner recognises: the first and last characters stay, of two only the
/// first. `홍*동`.
fn masked_name(name: &str) -> String {
    let characters: Vec<char> = name.trim().chars().collect();
    match characters.as_slice() {
        [] | [_] => "*".to_owned(),
        [first, _] => format!("{first}*"),
        [first, between @ .., last] => format!("{first}{}{last}", "*".repeat(between.len())),
    }
}

/// A masked telephone number, which its owner recognises and nobody can call: `010-****-5678`. A
/// short one keeps its last four digits only.
pub fn masked_phone(phone: &str) -> String {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let last = &digits[digits.len().saturating_sub(4)..];
    match digits.len() {
        0..=6 => "****".to_owned(),
        7..=9 => format!("****-{last}"),
        _ => format!("{}-****-{last}", &digits[..3]),
    }
}

fn win<'a>(draw: &'a Draw, seat: &Seat) -> WinView<'a> {
    WinView {
        draw_id: draw.id.0,
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        prize_grade: draw.spec.prize_grade.as_deref(),
        prize_image: draw.spec.prize_image.as_deref(),
        drawn_at: draw.revealed_at.map(rfc3339),
        claimed: seat.handed_over.is_some(),
        handed_over_at: seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at)),
        details_received: seat.details_at.is_some(),
        needs_address: draw.rules.needs_address,
        claim_code: None,
        details_version: None,
    }
}

fn push_participant(text: &mut String, event: &Event, number: Number, participant: &Participant) {
    let created_at = rfc3339(participant.registered_at);
    write!(text, r#"{{"draw_number":{},"created_at":"{created_at}""#, number.0).expect("a string takes every byte");
    if let Some(Eligibility { eligible, group, weight }) = event.eligibility(participant) {
        let group = json(&group.as_deref());
        write!(text, r#","eligible":{eligible},"group":{group},"weight":{weight}"#).expect("a string takes every byte");
    }
    text.push('}');
}

/// The participants that were removed, and those that are left.
pub fn participants_removed(event: &Event, removed: u32) -> String {
    #[derive(Serialize)]
    struct Removed {
        removed: u32,
        participant_count: u32,
    }
    json(&Removed { removed, participant_count: event.participant_count() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::VoidReason;
    use crate::draw::sample;

    #[test]
    fn a_masked_number_cannot_be_called() {
        for (phone, shown) in [
            ("010-1234-5678", "010-****-5678"),
            ("01012345678", "010-****-5678"),
            ("+82 10-1234-5678", "821-****-5678"),
            ("123-4567", "****-4567"),
            ("김", "****"),
        ] {
            assert_eq!(masked_phone(phone), shown, "{phone}");
        }
    }

    #[test]
    fn a_win_shows_from_its_announcement_until_it_is_voided() {
        let won = |event: &Event| check_winner(event, Number(3)).contains(r#""won":true"#);
        assert!(!won(&sample::event().started("TV", &[3]).build()));
        assert!(!won(&sample::event().revealed("TV", &[3]).build()));
        assert!(won(&sample::event().announced("TV", &[3]).build()));
        assert!(!won(&sample::event().announced("TV", &[3]).voided(VoidReason::Declined).build()));
    }

    #[test]
    fn participants_are_listed_by_number_and_page() {
        let event = sample::event().build();
        let page: serde_json::Value = serde_json::from_str(&participants(&event, 3, 2)).unwrap();
        assert_eq!(page["total_count"], 10);
        let created_at = "1970-01-01T00:00:04.000Z";
        assert_eq!(page["participants"][0], serde_json::json!({"draw_number": 4, "created_at": created_at}));
        assert_eq!(page["participants"].as_array().unwrap().len(), 2);
        assert_eq!(participants(&event, 10, 5), r#"{"total_count":10,"participants":[]}"#);
    }

    #[test]
    fn winners_are_masked_unless_the_caller_unmasks_them() {
        let event = sample::event().announced("TV", &[3]).build();
        let details = |draw| WinnerDetails {
            draw: DrawId(draw),
            number: Number(3),
            name: "김철수".into(),
            phone: "010-1234-5678".into(),
            address: Some("Seoul".into()),
            submitted_at: Timestamp(0),
        };
        let winners = |details: &[WinnerDetails], mask| winners(&event, details.iter(), mask, Listing::HandedIn);
        let hidden = winners(&[details(1)], Mask::On);
        assert!(hidden.contains("010-****-5678") && !hidden.contains("1234") && !hidden.contains("Seoul"), "{hidden}");
        let shown = winners(&[details(1), details(9)], Mask::Off);
        assert!(shown.contains("010-1234-5678") && shown.contains("Seoul"));
        assert!(shown.contains(r#""total_count":1"#), "a draw that was reset has no winners");
        assert!(winners(&[], Mask::On).contains(r#""total_count":0"#));
        let all = super::winners(&event, std::iter::empty(), Mask::On, Listing::All);
        assert!(all.contains(r#""total_count":1"#) && all.contains(r#""name":null"#), "{all}");
    }

    #[test]
    fn a_masked_name_is_recognised_by_its_owner() {
        for (name, shown) in [("홍길동", "홍*동"), ("김철", "김*"), ("김", "*"), ("Ada Lovelace", "A**********e"), ("", "*")]
        {
            assert_eq!(masked_name(name), shown);
        }
    }
}
