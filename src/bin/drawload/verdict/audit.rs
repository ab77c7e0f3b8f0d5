//! The server's own state after a scenario, compared with what the clients saw.

use crate::client::http::Request;
use crate::client::target::Target;
use crate::measure::recorder::Recorder;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The server's answers. `None` where it did not answer.
#[derive(Debug, Default)]
pub struct ServerState {
    /// The number of the last frame for all roles.
    pub seq: Option<u64>,
    /// Winners by draw.
    pub history: Option<BTreeMap<u32, Vec<u32>>>,
    pub participants: Option<Vec<u32>>,
    pub connections: Option<u64>,
}

/// Contradictions, one line each; `None` where the server did not answer.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub winners_repeated: Option<Vec<String>>,
    pub winners_wrong: Option<Vec<String>>,
    pub history_missing: Option<Vec<String>>,
    pub numbers_duplicated: Option<Vec<String>>,
    pub numbers_lost: Option<Vec<String>>,
    pub number_gaps: Option<Vec<String>>,
}

impl Findings {
    /// All lists, in the order in which they are reported.
    pub fn lists(&self) -> [&Option<Vec<String>>; 6] {
        let Self { winners_repeated, winners_wrong, history_missing, numbers_duplicated, numbers_lost, number_gaps } = self;
        [winners_repeated, winners_wrong, history_missing, numbers_duplicated, numbers_lost, number_gaps]
    }
}

/// Requests the number of the last frame for all roles.
pub async fn last_seq(target: &Target) -> Option<u64> {
    let path = target.path(&format!("/state?event_id={}", target.event));
    let answer = Request::get(target, path).send_with_retries().await.ok()?;
    let found = [&answer["seq"], &answer["data"]["seq"], &answer["data"]["state_sync"]["seq"]];
    found.into_iter().find_map(Value::as_u64).or_else(|| {
        let frames = answer["data"]["frames"].as_array()?;
        frames.iter().filter_map(|frame| frame["seq"].as_u64()).max()
    })
}

/// Requests everything that is compared.
pub async fn fetch_state(target: &Target) -> ServerState {
    let admin = async |rest: &str| Request::get(target, target.admin_path(rest)).admin().send_with_retries().await.ok();
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let history = admin("draws").await.and_then(|answer| {
        let mut draws: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for row in answer["data"]["draws"].as_array()? {
            draws.entry(number(&row["draw_id"])?).or_default().push(number(&row["draw_number"])?);
        }
        Some(draws)
    });
    let participants = admin("participants")
        .await
        .and_then(|answer| answer["data"]["participants"].as_array()?.iter().map(|row| number(&row["draw_number"])).collect());
    let connections = admin("stats").await.and_then(|answer| answer["data"]["connection_count"].as_u64());
    ServerState { seq: last_seq(target).await, history, participants, connections }
}

/// Compares the server's state with the recorder.
pub fn compare(state: &ServerState, recorder: &Recorder) -> Findings {
    let given: Vec<u32> = recorder.phones.iter().flatten().map(|phone| phone.number).collect();
    let failed = recorder.phones.iter().filter(|phone| phone.is_none()).count();
    let (history, participants) = (state.history.as_ref(), state.participants.as_ref());
    Findings {
        winners_repeated: history.map(|history| repeated(history.values().flatten(), "won")),
        winners_wrong: history.map(|history| wrong_winners(history, recorder)),
        history_missing: history.map(|history| {
            let known = recorder.ledger.draws.iter().filter(|(_, draw)| draw.revealed.is_some() || draw.announced.is_some());
            known.filter(|(id, _)| !history.contains_key(id)).map(|(id, _)| format!("draw {id} is not in the history")).collect()
        }),
        numbers_duplicated: Some(repeated(given.iter(), "was given")),
        numbers_lost: participants.map(|listed| {
            let listed: BTreeSet<_> = listed.iter().collect();
            let lost = given.iter().filter(|number| !listed.contains(number));
            lost.map(|number| format!("number {number} was acknowledged and is not listed")).collect()
        }),
        number_gaps: participants.map(|listed| gaps(listed, failed)),
    }
}

fn repeated<'a>(numbers: impl Iterator<Item = &'a u32>, verb: &str) -> Vec<String> {
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    numbers.for_each(|number| *times.entry(*number).or_default() += 1);
    times.iter().filter(|(_, times)| **times > 1).map(|(number, times)| format!("number {number} {verb} {times} times")).collect()
}

fn wrong_winners(history: &BTreeMap<u32, Vec<u32>>, recorder: &Recorder) -> Vec<String> {
    let sorted = |list: &[u32]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let mut wrong = Vec::new();
    for (id, draw) in &recorder.ledger.draws {
        let Some(truth) = history.get(id) else { continue };
        let sources = [
            ("the reveal answered", &draw.revealed),
            ("the display received", &draw.shown),
            ("phones received", &draw.announced),
        ];
        for (source, winners) in sources {
            if let Some(winners) = winners
                && sorted(winners) != sorted(truth)
            {
                wrong.push(format!("draw {id}: the history says {truth:?}, {source} {winners:?}"));
            }
        }
    }
    wrong
}

/// Numbers that are missing between 1 and the highest, beyond what failed registrations explain.
fn gaps(listed: &[u32], failed: usize) -> Vec<String> {
    let highest = listed.iter().max().map_or(0, |number| *number as usize);
    let missing = highest.saturating_sub(listed.len());
    let gaps = format!("{missing} numbers up to {highest} are missing, {failed} registrations failed");
    (missing > failed).then_some(gaps).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::recorder::Registration;

    fn recorder(numbers: &[u32], announced: &[(u32, u32)]) -> Recorder {
        let mut recorder = Recorder::new(numbers.len());
        for (phone, number) in recorder.phones.iter_mut().zip(numbers) {
            *phone = Some(Registration { number: *number, token: String::new() });
        }
        for (draw, winner) in announced {
            recorder.ledger.draws.entry(*draw).or_default().announced = Some(vec![*winner]);
        }
        recorder
    }

    fn state(history: &[(u32, u32)], participants: &[u32]) -> ServerState {
        let history = history.iter().map(|(draw, winner)| (*draw, vec![*winner])).collect();
        ServerState { history: Some(history), participants: Some(participants.to_vec()), ..ServerState::default() }
    }

    #[test]
    fn a_true_state_has_no_findings_and_each_lie_is_found() {
        let check = |history: &[(u32, u32)], listed: &[u32], given: &[u32], announced: &[(u32, u32)]| {
            compare(&state(history, listed), &recorder(given, announced)).lists().map(|list| list.as_ref().unwrap().len())
        };
        assert_eq!(check(&[(1, 2), (2, 3)], &[1, 2, 3], &[1, 2, 3], &[(1, 2), (2, 3)]), [0; 6]);
        assert_eq!(check(&[(1, 2), (2, 2)], &[1, 2, 3], &[1, 2, 3], &[(1, 2), (2, 2)]), [1, 0, 0, 0, 0, 0]);
        assert_eq!(check(&[(1, 2)], &[1, 2], &[1, 2], &[(1, 1)]), [0, 1, 0, 0, 0, 0]);
        assert_eq!(check(&[], &[1, 2], &[1, 2], &[(1, 1)]), [0, 0, 1, 0, 0, 0]);
        assert_eq!(check(&[], &[1, 2], &[1, 1], &[]), [0, 0, 0, 1, 0, 0]);
        assert_eq!(check(&[], &[1, 3], &[1, 2], &[]), [0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn a_missing_answer_does_not_pass() {
        let findings = compare(&ServerState::default(), &recorder(&[1], &[]));
        assert!(findings.winners_repeated.is_none() && findings.history_missing.is_none() && findings.numbers_lost.is_none());
    }
}
