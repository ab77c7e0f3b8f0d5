//! What the server says afterwards, held against what the hall saw.

use crate::book::Book;
use crate::http::{Ask, Failure};
use crate::target::Target;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a question is asked again that the server did not answer; it is not the load that is measured here.
const TRIES: u32 = 6;

/// What the server remembers.
#[derive(Debug, Default)]
pub struct Memory {
    /// The number of the last frame for everybody.
    pub seq: Option<u64>,
    /// Seats by draw: the winners, and whether the seat was voided.
    pub history: Option<BTreeMap<u32, Vec<u32>>>,
    pub participants: Option<Vec<u32>>,
    pub connections: Option<u64>,
}

/// What does not fit together. Each list names what was found; none where the server could not be asked.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub winners_repeated: Option<Vec<String>>,
    pub winners_wrong: Option<Vec<String>>,
    pub history_missing: Option<Vec<String>>,
    pub numbers_doubled: Option<Vec<String>>,
    pub numbers_lost: Option<Vec<String>>,
    pub numbers_holes: Option<Vec<String>>,
}

/// Asks until there is an answer, a few times.
///
/// # Errors
/// The last failure.
pub async fn insist<'a>(ask: impl Fn() -> Ask<'a>) -> Result<Value, Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        match ask().send().await {
            Err(Failure::Refused { status, code }) if status < 500 => return Err(Failure::Refused { status, code }),
            Err(failure) if tries >= TRIES => return Err(failure),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Ok(answer) => return Ok(answer),
        }
    }
}

/// The number of the last frame for everybody.
pub async fn last_seq(target: &Target) -> Option<u64> {
    let path = target.path(&format!("/state?event_id={}", target.event));
    let answer = insist(|| Ask::get(target, path.clone())).await.ok()?;
    let found = [&answer["seq"], &answer["data"]["seq"], &answer["data"]["state_sync"]["seq"]];
    found.into_iter().find_map(Value::as_u64).or_else(|| {
        let frames = answer["data"]["frames"].as_array()?;
        frames.iter().filter_map(|frame| frame["seq"].as_u64()).max()
    })
}

/// Asks for everything that is compared.
pub async fn remember(target: &Target) -> Memory {
    let admin = |rest: &'static str| insist(move || Ask::get(target, target.admin_path(rest)).admin());
    let (history, participants, stats) = (admin("draws").await, admin("participants").await, admin("stats").await);
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let history = history.ok().and_then(|answer| {
        let mut draws: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for row in answer["data"]["draws"].as_array()? {
            draws.entry(number(&row["draw_id"])?).or_default().push(number(&row["draw_number"])?);
        }
        Some(draws)
    });
    let participants = participants
        .ok()
        .and_then(|answer| answer["data"]["participants"].as_array()?.iter().map(|row| number(&row["draw_number"])).collect());
    let connections = stats.ok().and_then(|answer| answer["data"]["connection_count"].as_u64());
    Memory { seq: last_seq(target).await, history, participants, connections }
}

/// Holds the server's memory against the book.
pub fn compare(memory: &Memory, book: &Book) -> Findings {
    let given: Vec<u32> = book.phones.iter().flatten().map(|phone| phone.number).collect();
    let failed = book.phones.iter().filter(|phone| phone.is_none()).count();
    Findings {
        winners_repeated: memory.history.as_ref().map(|history| repeated(history.values().flatten(), "won")),
        winners_wrong: memory.history.as_ref().map(|history| wrong_winners(history, book)),
        history_missing: memory.history.as_ref().map(|history| {
            let known = book.ledger.draws.iter().filter(|(_, draw)| draw.revealed.is_some() || draw.announced.is_some());
            known.filter(|(id, _)| !history.contains_key(id)).map(|(id, _)| format!("draw {id} is not in the history")).collect()
        }),
        numbers_doubled: Some(repeated(given.iter(), "was given")),
        numbers_lost: memory.participants.as_ref().map(|listed| {
            let listed: BTreeSet<_> = listed.iter().collect();
            given
                .iter()
                .filter(|number| !listed.contains(number))
                .map(|number| format!("number {number} was acknowledged and is not listed"))
                .collect()
        }),
        numbers_holes: memory.participants.as_ref().map(|listed| holes(listed, failed)),
    }
}

fn repeated<'a>(numbers: impl Iterator<Item = &'a u32>, verb: &str) -> Vec<String> {
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    numbers.for_each(|number| *times.entry(*number).or_default() += 1);
    times.iter().filter(|(_, times)| **times > 1).map(|(number, times)| format!("number {number} {verb} {times} times")).collect()
}

fn wrong_winners(history: &BTreeMap<u32, Vec<u32>>, book: &Book) -> Vec<String> {
    let sorted = |list: &Vec<u32>| {
        let mut list = list.clone();
        list.sort_unstable();
        list
    };
    let mut wrong = Vec::new();
    for (id, draw) in &book.ledger.draws {
        let Some(truth) = history.get(id) else { continue };
        for (where_, told) in
            [("the reveal answered", &draw.revealed), ("the display was shown", &draw.shown), ("phones heard", &draw.announced)]
        {
            if let Some(told) = told.as_ref().filter(|told| sorted(told) != sorted(truth)) {
                wrong.push(format!("draw {id}: the history says {truth:?}, {where_} {told:?}"));
            }
        }
    }
    wrong
}

/// Numbers that are missing between 1 and the highest, beyond what failed registrations explain.
fn holes(listed: &[u32], failed: usize) -> Vec<String> {
    let highest = listed.iter().max().map_or(0, |number| *number as usize);
    let missing = highest.saturating_sub(listed.len());
    if missing > failed {
        vec![format!("{missing} numbers up to {highest} are missing, {failed} registrations failed")]
    } else {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Acknowledged;

    fn book(numbers: &[u32], announced: &[(u32, u32)]) -> Book {
        let mut book = Book::new(numbers.len());
        for (phone, number) in book.phones.iter_mut().zip(numbers) {
            *phone = Some(Acknowledged { number: *number, token: String::new() });
        }
        for (draw, winner) in announced {
            book.ledger.draws.entry(*draw).or_default().announced = Some(vec![*winner]);
        }
        book
    }

    fn memory(history: &[(u32, u32)], participants: &[u32]) -> Memory {
        let history = history.iter().map(|(draw, winner)| (*draw, vec![*winner])).collect();
        Memory { history: Some(history), participants: Some(participants.to_vec()), ..Memory::default() }
    }

    fn counts(findings: &Findings) -> [usize; 6] {
        [
            &findings.winners_repeated,
            &findings.winners_wrong,
            &findings.history_missing,
            &findings.numbers_doubled,
            &findings.numbers_lost,
            &findings.numbers_holes,
        ]
        .map(|list| list.as_ref().unwrap().len())
    }

    #[test]
    fn an_honest_memory_fits_and_each_lie_is_found() {
        let check = |history: &[(u32, u32)], listed: &[u32], given: &[u32], announced: &[(u32, u32)]| {
            counts(&compare(&memory(history, listed), &book(given, announced)))
        };
        assert_eq!(check(&[(1, 2), (2, 3)], &[1, 2, 3], &[1, 2, 3], &[(1, 2), (2, 3)]), [0; 6]);
        assert_eq!(check(&[(1, 2), (2, 2)], &[1, 2, 3], &[1, 2, 3], &[(1, 2), (2, 2)]), [1, 0, 0, 0, 0, 0]);
        assert_eq!(check(&[(1, 2)], &[1, 2], &[1, 2], &[(1, 1)]), [0, 1, 0, 0, 0, 0]);
        assert_eq!(check(&[], &[1, 2], &[1, 2], &[(1, 1)]), [0, 0, 1, 0, 0, 0]);
        assert_eq!(check(&[], &[1, 2], &[1, 1], &[]), [0, 0, 0, 1, 0, 0]);
        assert_eq!(check(&[], &[1, 3], &[1, 2], &[]), [0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn what_could_not_be_asked_is_not_taken_for_good() {
        let findings = compare(&Memory::default(), &book(&[1], &[]));
        assert!(findings.winners_repeated.is_none() && findings.history_missing.is_none() && findings.numbers_lost.is_none());
    }
}
