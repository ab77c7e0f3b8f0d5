//! People: who takes part, who won what, and how winners can be reached.

use super::json;
use crate::base::clock::rfc3339;
use crate::draw::event::Audience;
use crate::draw::fact::Eligibility;
use crate::draw::{Draw, DrawId, Event, EventId, Number, Participant, Seat, SessionId, Timestamp};
use crate::wire::display_number;
use data_encoding::HEXLOWER;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A win as its winner sees it.
#[derive(Serialize)]
pub struct WinView<'a> {
    draw_id: u32,
    prize_name: &'a str,
    prize_rank: u32,
    prize_image: Option<&'a str>,
    drawn_at: Option<String>,
    /// Whether the prize was handed over.
    claimed: bool,
    handed_over_at: Option<String>,
    details_received: bool,
    needs_address: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_code: Option<String>,
}

/// A phone that proved its number, with what only it is told.
#[derive(Clone, Copy)]
pub struct AuthenticatedPhone<'a> {
    pub number: Number,
    /// The code by which it claims what it won in a draw.
    pub claim_code: &'a dyn Fn(DrawId) -> String,
    /// How long winners' details are kept, in days.
    pub details_days: u32,
    pub now: Timestamp,
}

/// Whether telephone numbers are hidden in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    On,
    Off,
}

/// A winner's details on their way to the console.
pub struct WinnerContact<'a> {
    pub draw: DrawId,
    pub number: Number,
    pub name: &'a str,
    pub phone: &'a str,
    pub address: Option<&'a str>,
    pub submitted_at: Timestamp,
}

/// A participant's number with all that proves it.
pub struct Registration<'a> {
    pub event: &'a EventId,
    pub session: SessionId,
    pub number: Number,
    pub session_token: String,
    pub recovery_code: String,
    /// Whether it had the number before it asked.
    pub existing: bool,
}

/// Which winners are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Those who handed in their details.
    HandedIn,
    /// Everybody whose draw is revealed.
    All,
}

#[derive(Serialize)]
struct WinnerView<'a> {
    draw_id: u32,
    draw_number: u32,
    prize_name: &'a str,
    name: Option<&'a str>,
    phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    submitted_at: Option<String>,
    voided: bool,
    arrived_at: Option<String>,
    /// Whether the prize was handed over.
    claimed: bool,
    handed_over_at: Option<String>,
    desk: Option<&'a str>,
}

/// The wins of a number that `audience` may know, voided ones left out.
pub fn wins(event: &Event, number: Number, audience: Audience) -> Vec<WinView<'_>> {
    event.wins(number, audience).map(|(draw, seat)| win(event, draw, seat)).collect()
}

/// The announced wins of a phone, with the codes that claim them.
pub fn own_wins<'a>(event: &'a Event, own: &AuthenticatedPhone<'_>) -> Vec<WinView<'a>> {
    let wins = event.wins(own.number, Audience::Public);
    wins.map(|(draw, seat)| WinView { claim_code: Some((own.claim_code)(draw.id)), ..win(event, draw, seat) }).collect()
}

/// What a phone gets when it registers or recovers its number.
pub fn registered(registered: &Registration<'_>) -> String {
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
    }
    json(&RegisteredView {
        draw_number: registered.number.0,
        participant_number: registered.number.0,
        display_number: display_number(registered.number),
        session_token: &registered.session_token,
        recovery_code: &registered.recovery_code,
        event_id: registered.event.as_str(),
        event_session_id: HEXLOWER.encode(&registered.session.0),
        is_existing: registered.existing,
    })
}

/// A phone's own number.
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

/// Whether a number won, and what: what the public may know of it.
pub fn check_winner(event: &Event, number: Number) -> String {
    checked(number, wins(event, number, Audience::Public))
}

/// Whether a phone's own number won, and how it claims what.
pub fn check_own(event: &Event, own: &AuthenticatedPhone<'_>) -> String {
    checked(own.number, own_wins(event, own))
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

/// Participants above `after`, at most `limit`, by number. Written by hand into one text: a hall of 300,000 is listed whole when no limit is given.
pub fn participants(event: &Event, after: u32, limit: usize) -> String {
    let mut text = format!(r#"{{"total_count":{},"participants":["#, event.participant_count());
    for (place, (number, participant)) in event.participants_after(after).take(limit).enumerate() {
        text.push_str(if place == 0 { "" } else { "," });
        push_participant(&mut text, event, number, participant);
    }
    text.push_str("]}");
    text
}

/// One participant, with what staff noted.
pub fn participant(event: &Event, number: Number, participant: &Participant) -> String {
    let mut text = String::new();
    push_participant(&mut text, event, number, participant);
    text
}

/// The winners, in the order of drawing. With the mask on, nobody can be called.
pub fn winners<'a>(event: &'a Event, details: impl Iterator<Item = WinnerContact<'a>>, mask: Mask, listing: Listing) -> String {
    #[derive(Serialize)]
    struct Winners<'a> {
        winners: Vec<WinnerView<'a>>,
        total_count: usize,
    }
    let details: BTreeMap<_, _> = details.map(|reached| ((reached.draw, reached.number), reached)).collect();
    let known = event.draws().filter(|draw| draw.is_known_to(Audience::Operators));
    let seats = known.flat_map(|draw| draw.seats.iter().map(move |seat| (draw, seat)));
    let reached = seats.map(|(draw, seat)| (draw, seat, details.get(&(draw.id, seat.number))));
    let listed = reached.filter(|(_, _, reached)| listing == Listing::All || reached.is_some());
    let winners: Vec<_> = listed.map(|(draw, seat, reached)| winner(draw, seat, reached, mask)).collect();
    json(&Winners { total_count: winners.len(), winners })
}

fn winner<'a>(draw: &'a Draw, seat: &'a Seat, reached: Option<&WinnerContact<'a>>, mask: Mask) -> WinnerView<'a> {
    let phone = |phone: &str| if mask == Mask::On { masked(phone) } else { phone.to_owned() };
    WinnerView {
        draw_id: draw.id.0,
        draw_number: seat.number.0,
        prize_name: &draw.spec.prize_name,
        name: reached.map(|reached| reached.name),
        phone: reached.map(|reached| phone(reached.phone)),
        address: reached.and_then(|reached| reached.address).filter(|_| mask == Mask::Off),
        submitted_at: reached.map(|reached| rfc3339(reached.submitted_at)),
        voided: seat.voided.is_some(),
        arrived_at: seat.arrived_at.map(rfc3339),
        claimed: seat.handed_over.is_some(),
        handed_over_at: seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at)),
        desk: seat.handed_over.as_ref().map(|(_, desk)| &**desk),
    }
}

/// A name that its owner recognises: the first and the last character stay, of two only the first. `홍*동`.
pub fn masked_name(name: &str) -> String {
    let characters: Vec<char> = name.trim().chars().collect();
    match characters.as_slice() {
        [] | [_] => "*".to_owned(),
        [first, _] => format!("{first}*"),
        [first, between @ .., last] => format!("{first}{}{last}", "*".repeat(between.len())),
    }
}

/// A telephone number that its owner recognises and nobody can call: `010-****-5678`. Of a short one only the last four digits stay.
pub fn masked(phone: &str) -> String {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let last = &digits[digits.len().saturating_sub(4)..];
    match digits.len() {
        0..=6 => "****".to_owned(),
        7..=9 => format!("****-{last}"),
        _ => format!("{}-****-{last}", &digits[..3]),
    }
}

fn win<'a>(event: &Event, draw: &'a Draw, seat: &Seat) -> WinView<'a> {
    WinView {
        draw_id: draw.id.0,
        prize_name: &draw.spec.prize_name,
        prize_rank: draw.spec.prize_rank,
        prize_image: draw.spec.prize_image.as_deref(),
        drawn_at: draw.revealed_at.map(rfc3339),
        claimed: seat.handed_over.is_some(),
        handed_over_at: seat.handed_over.as_ref().map(|(at, _)| rfc3339(*at)),
        details_received: seat.details_at.is_some(),
        needs_address: event.needs_address(draw),
        claim_code: None,
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
            assert_eq!(masked(phone), shown, "{phone}");
        }
    }

    #[test]
    fn a_win_shows_once_it_is_announced_and_while_it_is_not_voided() {
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
    fn winners_are_masked_unless_somebody_asked_on_record() {
        let event = sample::event().announced("TV", &[3]).build();
        let reached = |draw| WinnerContact {
            draw: DrawId(draw),
            number: Number(3),
            name: "김철수",
            phone: "010-1234-5678",
            address: Some("Seoul"),
            submitted_at: Timestamp(0),
        };
        let winners =
            |reached: Vec<WinnerContact<'static>>, mask| super::winners(&event, reached.into_iter(), mask, Listing::HandedIn);
        let hidden = winners(vec![reached(1)], Mask::On);
        assert!(hidden.contains("010-****-5678") && !hidden.contains("1234") && !hidden.contains("Seoul"), "{hidden}");
        let shown = winners(vec![reached(1), reached(9)], Mask::Off);
        assert!(shown.contains("010-1234-5678") && shown.contains("Seoul"));
        assert!(shown.contains(r#""total_count":1"#), "a draw that was reset has no winners");
        assert!(winners(vec![], Mask::On).contains(r#""total_count":0"#));
        let all = super::winners(&event, std::iter::empty(), Mask::On, Listing::All);
        assert!(all.contains(r#""total_count":1"#) && all.contains(r#""name":null"#), "{all}");
    }

    #[test]
    fn a_masked_name_is_known_to_its_owner() {
        for (name, shown) in [("홍길동", "홍*동"), ("김철", "김*"), ("김", "*"), ("Ada Lovelace", "A**********e"), ("", "*")]
        {
            assert_eq!(masked_name(name), shown);
        }
    }
}
