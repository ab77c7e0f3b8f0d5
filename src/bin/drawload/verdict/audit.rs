//! The server's own state after a scenario, compared with what the clients saw and with the plan.

use super::draw_audit;
use crate::answers::{DrawResult, History, HistoryRow, Participants, Results, State, StateSync, Winners};
use crate::client::http::Request;
use crate::client::protocol::Call;
use crate::client::target::Target;
use crate::measure::recorder::{Before, Recorder};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// A socket that is connected for this long must have its state sync, or it misses what others
/// receive.
const GREETED_WITHIN_US: u64 = 2_000_000;

/// The same over a simulated path, with its delays and stalls.
const GREETED_OVER_PATH_WITHIN_US: u64 = 8_000_000;

/// The server's answers. `None` where it did not answer.
#[derive(Debug, Default)]
pub struct ServerState {
    pub sync: Option<StateSync>,
    pub history: Option<Vec<HistoryRow>>,
    pub participants: Option<Vec<u32>>,
    /// Numbers of winners whose details the server has, and their names.
    pub details: Option<BTreeMap<u32, String>>,
    pub results: Option<Vec<DrawResult>>,
}

/// Contradictions by metric, one line each. A metric without a list was not compared, since the
/// server did not answer; it must not pass.
#[derive(Clone, Debug, Default)]
pub struct Findings(BTreeMap<&'static str, Vec<String>>);

impl Findings {
    /// Adds lines to a metric, which counts as compared from then on.
    pub fn add(&mut self, metric: &'static str, lines: impl IntoIterator<Item = String>) {
        self.0.entry(metric).or_default().extend(lines);
    }

    pub fn count(&self, metric: &str) -> Option<usize> {
        self.0.get(metric).map(Vec::len)
    }

    pub fn lines(&self, metric: &str) -> &[String] {
        self.0.get(metric).map_or(&[], |lines| lines)
    }
}

/// Requests the state that everybody may know.
pub async fn fetch_sync(target: &Target) -> Option<StateSync> {
    Request::call(target, Call::State, json!({})).send_with_retries::<State>().await.ok().map(|state| state.state_sync)
}

async fn ask_admin<T: DeserializeOwned>(target: &Target, call: Call) -> Option<T> {
    Request::call(target, call, json!({})).admin().send_with_retries().await.ok()
}

async fn fetch_participants(target: &Target) -> Option<Vec<u32>> {
    let answer: Participants = ask_admin(target, Call::Participants).await?;
    let numbers: Vec<u32> = answer.participants.iter().map(|seat| seat.draw_number).collect();
    (answer.total_count == numbers.len() as u64).then_some(numbers)
}

async fn fetch_results(target: &Target) -> Option<Vec<DrawResult>> {
    Request::call(target, Call::Results, json!({})).send_with_retries::<Results>().await.ok().map(Results::into_draws)
}

/// Requests everything that is compared.
pub async fn fetch_state(target: &Target) -> ServerState {
    let history = ask_admin::<History>(target, Call::History).await.map(|answer| answer.draws);
    let details = ask_admin::<Winners>(target, Call::Winners).await.map(|answer| {
        answer.winners.into_iter().filter_map(|row| Some((row.draw_number, row.name?))).collect::<BTreeMap<_, _>>()
    });
    let participants = fetch_participants(target).await;
    ServerState { sync: fetch_sync(target).await, history, participants, details, results: fetch_results(target).await }
}

/// Requests what an existing event holds before the run.
pub async fn fetch_before(target: &Target) -> Before {
    let sync = fetch_sync(target).await;
    let (seq, connections, participants_count) =
        sync.map_or((0, 0, 0), |sync| (sync.seq, sync.connection_count, sync.participant_count));
    let results = fetch_results(target).await.unwrap_or_default();
    Before { seq, connections, participants_count, results, participants: fetch_participants(target).await }
}

/// Compares the server's state, and what clients received, with the plan.
pub fn compare(state: &ServerState, recorder: &Recorder) -> Findings {
    let mut findings = Findings::default();
    let truth = recorder.announced_draws();
    draw_audit::audit(recorder, &mut findings);
    let awake_us = |from_us, to_us| recorder.tester.awake_us(from_us, to_us);
    let gone = recorder.is_server_gone.then(|| "nothing reached the server any more, and the run ended".to_owned());
    findings.add("server.unreachable", gone);
    let unread = (recorder.unread > 0).then(|| format!("{} readings failed: {}", recorder.unread, recorder.unread_because));
    findings.add("server.lost", unread);
    findings.add("server.log_errors", recorder.log_errors.iter().flatten().cloned());
    let within_us = if recorder.has_network { GREETED_OVER_PATH_WITHIN_US } else { GREETED_WITHIN_US };
    let late = recorder.connections.greeted_late(&recorder.ledger.frames, within_us, awake_us);
    let late = late.into_iter().map(|(socket, seq)| {
        format!("{} was connected when others received seq {seq}, and was greeted only later", recorder.ledger.name(socket))
    });
    findings.add("ws.greeted_late", late);
    findings.add("answers.wrong", recorder.answers_wrong.iter().cloned());
    let has_won = |number| recorder.before.results.iter().chain(&truth).any(|draw| draw.winners.contains(number));
    let losers = recorder.told_won.iter().filter(|(_, number)| !has_won(number));
    let told = losers.map(|(phone, number)| format!("phone {phone}: number {number} has not won, and check-winner says it has"));
    findings.add("answers.wrong", told);
    findings.add("answers.wrong", statements_wrong(recorder, &truth));
    if let Some(history) = &state.history {
        compare_history(&mut findings, recorder, history, &truth);
    }
    if let Some(results) = &state.results {
        let all: Vec<_> = recorder.before.results.iter().chain(&truth).collect();
        let wrong = results.len() != all.len() || results.iter().zip(&all).any(|(one, other)| one != *other);
        let line = format!("the results list {} draws, and not the {} as they were announced", results.len(), all.len());
        findings.add("results.wrong", wrong.then_some(line));
    }
    if let Some(details) = &state.details {
        let kept = |number: u32| details.get(&number).is_some_and(|name| *name == crate::actors::phone::winner_name(number));
        let lost = recorder.details.iter().filter(|(number, _)| !kept(*number));
        let lost =
            lost.map(|(number, draw)| format!("the details of number {number} for draw {draw} were acknowledged and lost"));
        findings.add("details.lost", lost);
    }
    compare_numbers(&mut findings, recorder, state.participants.as_deref());
    findings
}

/// State syncs that list a draw which was not announced by then, or another number or prize.
fn statements_wrong(recorder: &Recorder, truth: &[DrawResult]) -> Vec<String> {
    let frames = recorder.ledger.frames.iter().filter(|(_, frame)| frame.kind == "winner_announced");
    let announced_at: BTreeMap<u32, u64> = frames.rev().filter_map(|(seq, frame)| Some((frame.draw?, *seq))).collect();
    let known: BTreeMap<u32, &DrawResult> =
        recorder.before.results.iter().chain(truth).map(|draw| (draw.draw_id, draw)).collect();
    let first_base = recorder.ledger.first_base().unwrap_or(0);
    let listened_from_the_start = first_base <= recorder.before.seq;
    let is_true = |seq: u64, draw: &DrawResult| match known.get(&draw.draw_id) {
        Some(announced) => *announced == draw && announced_at.get(&draw.draw_id).is_none_or(|at| *at <= seq),
        // Announced before anybody listened; the history holds it.
        None => seq <= first_base && !listened_from_the_start,
    };
    let mut wrong = Vec::new();
    for (socket, statement) in &recorder.statements {
        let Some(phone) = recorder.phones.get(*socket) else { continue };
        let name = recorder.ledger.name(*socket);
        if let Some(draw) = statement.results.iter().find(|draw| !is_true(statement.seq, draw)) {
            wrong.push(format!("{name}: its state_sync lists draw {} as {draw:?}", draw.draw_id));
        }
        let Some((phone, you)) = phone.as_ref().zip(statement.you.as_ref()) else { continue };
        let has_won = |draw: &DrawResult| draw.winners.contains(&phone.number) && is_true(statement.seq, draw);
        let won = known.values().any(|draw| has_won(draw));
        if you.draw_number != phone.number || (you.won != won && (statement.seq > first_base || listened_from_the_start)) {
            let (number, says) = (you.draw_number, you.won);
            wrong.push(format!("{name}: its state_sync says number {number}, won: {says}; it has {}, won: {won}", phone.number));
        }
    }
    wrong
}

/// Compares the history with the announcements: the same draws, winners and prizes.
fn compare_history(findings: &mut Findings, recorder: &Recorder, history: &[HistoryRow], truth: &[DrawResult]) {
    let mut rows: BTreeMap<u32, Vec<&HistoryRow>> = BTreeMap::new();
    history.iter().for_each(|row| rows.entry(row.draw_id).or_default().push(row));
    let repeated = repeated(history.iter().map(|row| row.draw_number), "won");
    findings.add("winners.repeated", repeated);
    findings.add("winners.wrong", []);
    findings.add("history.missing", []);
    for draw in truth {
        let Some(rows) = rows.get(&draw.draw_id) else {
            findings.add("history.missing", [format!("draw {} is not in the history", draw.draw_id)]);
            continue;
        };
        let mut winners: Vec<u32> = rows.iter().map(|row| row.draw_number).collect();
        let mut announced = draw.winners.clone();
        winners.sort_unstable();
        announced.sort_unstable();
        if winners != announced {
            let line = format!("draw {}: the history says {winners:?}, {announced:?} was announced", draw.draw_id);
            findings.add("winners.wrong", [line]);
        }
        let is_same = |row: &&&HistoryRow| {
            (&*row.prize_name, row.prize_rank, &*row.status) == (&*draw.prize_name, draw.prize_rank, "announced")
        };
        if let Some(row) = rows.iter().find(|row| !is_same(row)) {
            findings.add("winners.wrong", [format!("draw {}: the history says {row:?}", draw.draw_id)]);
        }
    }
    let known: BTreeSet<u32> = recorder.before.results.iter().chain(truth).map(|draw| draw.draw_id).collect();
    // Draws that ended before anybody listened are known by the host's answers.
    let unheard = recorder.plan.iter().filter(|draw| draw.completed.is_some()).filter_map(|draw| draw.id);
    let known: BTreeSet<u32> = known.into_iter().chain(unheard).collect();
    let unannounced = rows.keys().filter(|id| !known.contains(id));
    findings.add("history.unannounced", unannounced.map(|id| format!("draw {id} is in the history and was never announced")));
}

/// Compares the participants with the numbers that phones were given, and those with the plan.
fn compare_numbers(findings: &mut Findings, recorder: &Recorder, listed: Option<&[u32]>) {
    let given: BTreeSet<u32> = recorder.numbers().collect();
    findings.add("numbers.doubled", repeated(recorder.numbers(), "was given"));
    findings.add("numbers.changed", recorder.numbers_changed.iter().cloned());
    let absent = recorder.counts.registrations_due.saturating_sub(recorder.registered());
    let line = format!("{absent} of {} people never got a number", recorder.counts.registrations_due);
    findings.add("numbers.missing", (absent > 0).then_some(line));
    let Some(listed) = listed else { return };
    let before: BTreeSet<u32> = recorder.before.participants.iter().flatten().copied().collect();
    let set: BTreeSet<u32> = listed.iter().copied().collect();
    let lost = given.difference(&set);
    findings.add("numbers.lost", lost.map(|number| format!("number {number} was acknowledged and is not listed")));
    // Each phone without a number may have one that it does not know.
    let failed = usize::try_from(absent).unwrap_or(usize::MAX);
    let unknown: Vec<_> = set.iter().filter(|number| !given.contains(number) && !before.contains(number)).collect();
    let line = format!("{} participants are listed whom nobody registered, as {:?}", unknown.len(), unknown.first());
    findings.add("numbers.unknown", (unknown.len() > failed).then_some(line));
    findings.add("numbers.unknown", (set.len() < listed.len()).then(|| "a participant is listed twice".to_owned()));
    findings.add("numbers.holes", gaps(&set, failed));
    if recorder.has_sockets
        && !recorder.plan.is_empty()
        && let Some(shown) = recorder.display.participants.filter(|shown| *shown != listed.len() as u64)
    {
        let line = format!("the display was last told of {shown} participants, and {} are listed", listed.len());
        findings.add("numbers.unknown", [line]);
    }
}

fn repeated(numbers: impl Iterator<Item = u32>, verb: &str) -> Vec<String> {
    let mut times: BTreeMap<u32, u32> = BTreeMap::new();
    numbers.for_each(|number| *times.entry(number).or_default() += 1);
    times.iter().filter(|(_, times)| **times > 1).map(|(number, times)| format!("number {number} {verb} {times} times")).collect()
}

/// Numbers that are missing between 1 and the highest, beyond what failed registrations explain.
fn gaps(listed: &BTreeSet<u32>, failed: usize) -> Vec<String> {
    let highest = listed.last().map_or(0, |number| *number as usize);
    let missing = highest.saturating_sub(listed.len());
    let gaps = format!("{missing} numbers up to {highest} are missing, {failed} registrations failed");
    (missing > failed).then_some(gaps).into_iter().collect()
}
