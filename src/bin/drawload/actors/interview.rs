//! The exit interview: each phone asks for its number, its wins, the results and its own state, and
//! compares them with what it was told during the run.
//!
//! It comes after the last measurement, since its requests are no part of the scenario.

use super::Run;
use crate::answers::{CheckedWinner, DrawResult, MyNumber, Results, State, Win};
use crate::client::http::{Request, RequestError};
use crate::client::protocol::Call;
use crate::client::target::Target;
use crate::measure::recorder::Registration;
use futures_util::StreamExt;
use futures_util::stream;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Phones that are interviewed at a time.
const AT_A_TIME: usize = 16;

/// Maximum number of phones; of more, evenly spread ones are interviewed.
const PHONES_MAX: usize = 2_000;

/// Time for all interviews.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Wrong answers after which nobody else is asked: a server that is gone fails them all.
const WRONG_MAX: usize = 50;

/// Results that a state lists.
const STATE_RESULTS_MAX: usize = 10;

/// Interviews the phones. `truth` holds every announced draw, in order; `participants` the number
/// of people that the event must have, where it is known.
pub async fn interview(run: &Run, truth: &[DrawResult], participants: Option<u64>) {
    if ![Call::MyNumber, Call::CheckWinner, Call::Results, Call::State].iter().all(|call| run.target().has(*call)) {
        return;
    }
    let phones: Vec<(usize, Registration)> = {
        let recorder = run.recorder();
        let phones = recorder.phones.iter().enumerate().filter_map(|(index, phone)| Some((index, phone.clone()?)));
        phones.step_by(recorder.phones.len().div_ceil(PHONES_MAX).max(1)).collect()
    };
    let asked = stream::iter(phones).for_each_concurrent(AT_A_TIME, |(index, phone)| async move {
        if run.recorder().answers_wrong.len() >= WRONG_MAX {
            return;
        }
        let wrong = interview_phone(run.target_of(index), &phone, truth, participants).await;
        run.recorder().answers_wrong.extend(wrong.into_iter().map(|wrong| format!("phone {index}: {wrong}")));
    });
    if timeout(TIME_MAX, asked).await.is_err() {
        run.recorder().answers_wrong.push(format!("the exit interviews took more than {} s", TIME_MAX.as_secs()));
    }
}

/// Everything that is wrong with the answers to one phone.
async fn interview_phone(target: &Target, phone: &Registration, truth: &[DrawResult], participants: Option<u64>) -> Vec<String> {
    let number = phone.number;
    let request = |call| Request::call(target, call, json!({"draw_number": number}));
    let wins = wins(truth, number);
    let mut wrong = Vec::new();
    let mut check = |call: &str, problem: Option<String>| wrong.extend(problem.map(|problem| format!("{call} {problem}")));

    let answer = ask::<MyNumber>(request(Call::MyNumber).bearer(&phone.token)).await;
    check("my-number", compare(answer.map(|answer| answer.draw_number), &number));

    let answer = ask::<CheckedWinner>(request(Call::CheckWinner)).await;
    let seen = answer.map(|answer| (answer.draw_number, answer.won, answer.prizes));
    check("check-winner", compare(seen, &(number, !wins.is_empty(), wins.clone())));

    let answer = ask::<Results>(request(Call::Results)).await;
    check("results", compare_draws(answer.map(Results::into_draws), truth));

    let answer = ask::<State>(request(Call::State).bearer(&phone.token)).await;
    let state = answer.map(|answer| answer.state_sync);
    let own = state.as_ref().map_err(Clone::clone).map(|state| {
        let you = state.you.clone();
        you.map(|you| (you.draw_number, you.won, you.prizes))
    });
    check("state", compare(own, &Some((number, !wins.is_empty(), wins))));
    if let Ok(state) = state {
        let last = &truth[truth.len().saturating_sub(STATE_RESULTS_MAX)..];
        check("state", compare_draws(Ok(state.results), last));
        check("state, number of draws,", compare(Ok(state.draw_count), &(truth.len() as u64)));
        if let Some(participants) = participants {
            check("state, number of participants,", compare(Ok(state.participant_count), &participants));
        }
    }
    wrong
}

async fn ask<T: DeserializeOwned>(request: Request<'_>) -> Result<T, String> {
    request.send_with_retries().await.map_err(|error: RequestError| error.to_string())
}

/// The prizes that a number has won, in order.
fn wins(truth: &[DrawResult], number: u32) -> Vec<Win> {
    let won = truth.iter().filter(|draw| draw.winners.contains(&number));
    let win = |draw: &DrawResult| Win { draw_id: draw.draw_id, prize_name: draw.prize_name.clone(), prize_rank: draw.prize_rank };
    won.map(win).collect()
}

fn compare<T: PartialEq + std::fmt::Debug>(answer: Result<T, String>, truth: &T) -> Option<String> {
    match answer {
        Ok(answer) if answer == *truth => None,
        Ok(answer) => Some(format!("answers {answer:?}, and the truth is {truth:?}")),
        Err(error) => Some(format!("fails: {error}")),
    }
}

/// Compares lists of draws, and names the first that differs.
fn compare_draws(answer: Result<Vec<DrawResult>, String>, truth: &[DrawResult]) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Some(format!("fails: {error}")),
    };
    let differs = answer.iter().zip(truth).find(|(one, other)| one != other);
    match differs {
        Some((one, other)) => Some(format!("lists {one:?}, and {other:?} was announced")),
        None if answer.len() != truth.len() => Some(format!("lists {} draws of {}", answer.len(), truth.len())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(id: u32, winner: u32) -> DrawResult {
        DrawResult {
            draw_id: id,
            prize_name: format!("Prize {id}"),
            prize_rank: 1,
            draw_mode: "slot".into(),
            winner_count: 1,
            winners: vec![winner],
            drawn_at: "t".into(),
        }
    }

    #[test]
    fn lists_of_draws_are_compared_whole() {
        let truth = [draw(1, 7), draw(2, 9)];
        let compare = |answer: &[DrawResult]| compare_draws(Ok(answer.to_vec()), &truth);
        assert_eq!(compare(&truth), None);
        assert_eq!(compare(&truth[..1]).unwrap(), "lists 1 draws of 2");
        assert!(compare(&[draw(1, 7), draw(2, 8)]).unwrap().contains("was announced"));
        assert!(compare(&[draw(1, 7), DrawResult { prize_rank: 2, ..draw(2, 9) }]).is_some());
        assert!(compare_draws(Err("404 ".into()), &truth).unwrap().contains("404"));
        assert_eq!(wins(&truth, 9).iter().map(|win| win.draw_id).collect::<Vec<_>>(), [2]);
        assert_eq!(compare_draws(Ok(vec![]), &[]), None);
    }
}
