//! The draws that were played, against the plan: an automaton over all numbered frames, in order.
//!
//! Every socket must receive the same bytes under the same number, without gaps, and the delivery
//! ledger holds them to it. So one automaton over the frames of all judges each phone and each
//! draw: standby, started, announced, complete, each once, and none before the host asked for it.

use super::audit::Findings;
use crate::answers::DrawResult;
use crate::measure::delivery_ledger::HeardFrame;
use crate::measure::draw_record::{DrawRecord, Step, WINNERS};
use crate::measure::recorder::Recorder;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The prize of a standby or a start, as the host asked for it.
#[derive(Deserialize)]
struct Prize {
    prize_name: String,
    prize_rank: u32,
    draw_mode: String,
    winner_count: u32,
}

/// The automaton.
struct Automaton<'a> {
    recorder: &'a Recorder,
    /// Place in the plan, by prize.
    by_prize: BTreeMap<&'a str, usize>,
    /// The next step of each planned draw; `None` once it is complete.
    next: Vec<Option<Step>>,
    /// Draws by the id of their start.
    by_id: BTreeMap<u32, usize>,
    /// The last announcement, which its completion must follow at once.
    last: Option<(u64, Map<String, Value>)>,
    findings: &'a mut Findings,
    /// The first frames may be missing, since nobody was connected yet.
    started_late: bool,
}

/// Audits every draw of the plan.
pub fn audit(recorder: &Recorder, findings: &mut Findings) {
    for metric in ["draws.missing", "draws.order", "draws.early", "draws.wrong", "draws.show", "winners.ineligible"] {
        findings.add(metric, []);
    }
    findings.add("draws.early", recorder.told_early.iter().cloned());
    if recorder.has_sockets {
        Automaton::new(recorder, findings).run();
    } else {
        let unplayed = recorder.plan.iter().filter(|draw| draw.completed.is_none());
        findings.add("draws.missing", unplayed.map(|draw| format!("{} was never completed", draw.name())));
    }
    findings.add("winners.ineligible", ineligible(recorder));
    findings.add("draws.wrong", contradictions(recorder));
    findings.add("draws.show", recorder.plan.iter().filter(|draw| draw.has_stage).filter_map(|draw| show_wrong(recorder, draw)));
}

impl<'a> Automaton<'a> {
    fn new(recorder: &'a Recorder, findings: &'a mut Findings) -> Self {
        let by_prize = recorder.plan.iter().zip(0..).map(|(draw, index)| (&*draw.prize, index)).collect();
        let started_late = recorder.ledger.first_base().is_none_or(|base| base > recorder.before.seq);
        let next = vec![Some(Step::Standby); recorder.plan.len()];
        Self { recorder, by_prize, next, by_id: BTreeMap::new(), last: None, findings, started_late }
    }

    fn run(mut self) {
        for (seq, frame) in &self.recorder.ledger.frames {
            let Ok(Value::Object(body)) = serde_json::from_str(&frame.text) else { continue };
            match &*frame.kind {
                "draw_standby" => self.hear_prize(*seq, frame, body, Step::Standby),
                "draw_started" => self.hear_prize(*seq, frame, body, Step::Start),
                "winner_announced" => self.hear_result(*seq, frame, body, Step::Reveal),
                "draw_complete" => self.hear_result(*seq, frame, body, Step::Complete),
                // The end of a show tells of no winner.
                "notice" | "show_planned" => {}
                other => self.findings.add("draws.order", [format!("nobody asked for seq {seq}, a {other}")]),
            }
        }
        for (draw, next) in self.recorder.plan.iter().zip(&self.next) {
            let missing = match next {
                None => continue,
                // Nobody listened yet. The host's own answers must do.
                Some(Step::Standby) if self.started_late && draw.completed.is_some() => continue,
                Some(Step::Complete) => {
                    self.findings.add("draws.order", [format!("{} was announced, and draw_complete never came", draw.name())]);
                    continue;
                }
                Some(Step::Standby) => "never stood by",
                Some(Step::Start) => "never started",
                Some(Step::Reveal) => "was never announced",
            };
            self.findings.add("draws.missing", [format!("{} {missing}", draw.name())]);
        }
    }

    /// Takes a step of a draw, and records when it was not due or came early.
    fn take(&mut self, index: usize, step: Step, seq: u64, frame: &HeardFrame) {
        let (draw, mut due) = (&self.recorder.plan[index], self.next[index]);
        // The server refused these, and said so.
        while let Some(failed) = due.filter(|due| *due != step && draw.has_failed(*due)) {
            self.findings.add("draws.missing", [format!("{}: its {failed:?} failed", draw.name())]);
            due = failed.next();
        }
        let is_first = std::mem::replace(&mut self.started_late, false);
        if due != Some(step) && !(is_first && due == Some(Step::Standby)) {
            let due = due.map_or("it was over".to_owned(), |due| format!("{due:?} was due"));
            self.findings.add("draws.order", [format!("{}: seq {seq} is a {}, and {due}", draw.name(), frame.kind)]);
        }
        self.next[index] = step.next();
        let allowed_us = match step {
            Step::Standby | Step::Start => draw.asked(step),
            Step::Reveal | Step::Complete => draw.announceable_us(&self.recorder.display.spans),
        };
        if allowed_us.is_none_or(|allowed_us| frame.first_us < allowed_us) {
            let early = format!("{}: {} came before the host had asked for it", draw.name(), frame.kind);
            self.findings.add("draws.early", [early]);
        }
    }

    fn hear_prize(&mut self, seq: u64, frame: &HeardFrame, body: Map<String, Value>, step: Step) {
        if body.contains_key("winners") || body.contains_key("winner") || body.contains_key("draw_number") {
            self.findings.add("draws.early", [format!("seq {seq}, a {}, tells the winners", frame.kind)]);
        }
        let prize = match serde_json::from_value::<Prize>(Value::Object(body)) {
            Ok(prize) => prize,
            Err(error) => return self.findings.add("draws.wrong", [format!("seq {seq}, a {}: {error}", frame.kind)]),
        };
        let Some(index) = self.by_prize.get(&*prize.prize_name).copied() else {
            return self.findings.add("draws.order", [format!("seq {seq}: nobody asked for a draw of {}", prize.prize_name)]);
        };
        self.take(index, step, seq, frame);
        let draw = &self.recorder.plan[index];
        if (prize.prize_rank, &*prize.draw_mode, prize.winner_count) != (draw.rank, draw.mode, WINNERS) {
            let wrong = format!("{}: seq {seq}, a {}, has another rank, mode or number of winners", draw.name(), frame.kind);
            self.findings.add("draws.wrong", [wrong]);
        }
        if step == Step::Start
            && let Some(id) = frame.draw
        {
            self.by_id.insert(id, index);
        }
    }

    fn hear_result(&mut self, seq: u64, frame: &HeardFrame, body: Map<String, Value>, step: Step) {
        let body = payload(body);
        let index = frame.draw.and_then(|id| {
            let by_answer = || self.recorder.plan.iter().position(|draw| draw.id == Some(id));
            self.by_id.get(&id).copied().or_else(by_answer)
        });
        let Some(index) = index else {
            return self.findings.add("draws.order", [format!("seq {seq}, a {}, is of no draw that was started", frame.kind)]);
        };
        self.take(index, step, seq, frame);
        if step == Step::Reveal {
            self.last = Some((seq, body));
            return;
        }
        let name = self.recorder.plan[index].name();
        match self.last.take() {
            Some((before, announced)) if before + 1 == seq && announced == body => {}
            Some((before, _)) if before + 1 == seq => {
                self.findings.add("draws.wrong", [format!("{name}: winner_announced and draw_complete differ")]);
            }
            _ => self.findings.add("draws.order", [format!("{name}: draw_complete did not follow winner_announced")]),
        }
    }
}

/// The payload of a result: all but the fields of its delivery.
fn payload(mut body: Map<String, Value>) -> Map<String, Value> {
    for delivery in ["type", "seq", "epoch"] {
        body.remove(delivery);
    }
    body
}

/// The payload of a result as far as a reveal has it: the seed becomes public with the
/// announcement, and an announcement before the planned end of the show has no `show_at`.
fn told_at_reveal(body: Map<String, Value>) -> Map<String, Value> {
    let mut body = payload(body);
    body.remove("seed");
    body.remove("show_at");
    body
}

/// Winners that never registered, won before, or are too many.
fn ineligible(recorder: &Recorder) -> Vec<String> {
    let registered: BTreeSet<u32> = recorder.numbers().chain(recorder.before.participants.iter().flatten().copied()).collect();
    let mut won: BTreeMap<u32, u32> = BTreeMap::new();
    let mut wrong = Vec::new();
    let before = recorder.before.results.iter();
    for draw in before.chain(&recorder.announced_draws()) {
        if draw.winners.len() != draw.winner_count as usize {
            wrong.push(format!("draw {} has {} winners of {}", draw.draw_id, draw.winners.len(), draw.winner_count));
        }
        for number in &draw.winners {
            if !registered.contains(number) {
                wrong.push(format!("draw {}: the winner {number} never registered", draw.draw_id));
            }
            if let Some(other) = won.insert(*number, draw.draw_id).filter(|other| *other != draw.draw_id) {
                wrong.push(format!("draw {}: the winner {number} had won draw {other}", draw.draw_id));
            }
        }
    }
    wrong
}

/// Differences between the answers to the host, the reveal on the display, and the announcement.
fn contradictions(recorder: &Recorder) -> Vec<String> {
    let announced: BTreeMap<u32, DrawResult> = recorder.announced_draws().into_iter().map(|draw| (draw.draw_id, draw)).collect();
    let mut wrong = Vec::new();
    for draw in &recorder.plan {
        let Some(result) = draw.id.and_then(|id| announced.get(&id)) else { continue };
        let asked = (&*result.prize_name, result.prize_rank, &*result.draw_mode, result.winner_count);
        if asked != (&*draw.prize, draw.rank, draw.mode, WINNERS) {
            wrong.push(format!("{}: announced as {result:?}", draw.name()));
        }
        if let Some(revealed) = draw.revealed.as_ref().filter(|revealed| *revealed != result) {
            wrong.push(format!("{}: the reveal answered {revealed:?}, and {result:?} was announced", draw.name()));
        }
        if draw.completed.as_ref().is_some_and(|winners| *winners != result.winners) {
            wrong.push(format!("{}: its completion was acknowledged with other winners", draw.name()));
        }
        if recorder.has_sockets {
            wrong.extend(shown_wrong(recorder, draw, result));
        }
    }
    wrong
}

/// The reveal on the display: once, before the announcement, with the same payload. A display that
/// was away receives its reveal in a state sync.
fn shown_wrong(recorder: &Recorder, draw: &DrawRecord, result: &DrawResult) -> Option<String> {
    let shown: Vec<_> = recorder.shown.iter().filter(|shown| shown.draw == result.draw_id).collect();
    let announced = recorder.ledger.frames.values().find(|frame| frame.kind == "winner_announced" && frame.draw == draw.id)?;
    let (reveal_us, first_us) = (draw.asked(Step::Reveal)?, announced.first_us);
    let was_there = |(from, to): &(u64, Option<u64>)| *from < reveal_us && to.is_none_or(|to| to > first_us);
    let problem = match &shown[..] {
        [] if !recorder.display.spans.iter().any(was_there) => return None,
        [] => "winner_revealed never reached the display",
        [shown] if shown.at_us < reveal_us => "winner_revealed came before the host had asked for it",
        [shown] => match [&shown.text, &announced.text].map(|text| serde_json::from_str(text).map(told_at_reveal)) {
            [Ok(shown), Ok(announced)] if shown == announced => return None,
            _ => "the display received another result than the phones",
        },
        _ => "winner_revealed reached the display more than once",
    };
    Some(format!("{}: {problem}", draw.name()))
}

/// The moment at which every page shows a draw of a stage: the same to the display and to phones. A
/// draw whose reveal or announcement never came is found elsewhere.
fn show_wrong(recorder: &Recorder, draw: &DrawRecord) -> Option<String> {
    #[derive(Deserialize)]
    struct Planned {
        show_at: Option<String>,
    }
    let shown = recorder.shown.iter().find(|shown| Some(shown.draw) == draw.id)?;
    let announced = recorder.ledger.frames.values().find(|frame| frame.kind == "winner_announced" && frame.draw == draw.id)?;
    let [shown, announced] =
        [&shown.text, &announced.text].map(|text| serde_json::from_str(text).ok().and_then(|Planned { show_at }| show_at));
    let problem = match (shown, announced) {
        (Some(shown), Some(announced)) if shown == announced => return None,
        (None, _) => "the display was told no moment at which every page shows it",
        (_, None) => "phones were told no moment at which every page shows it",
        _ => "the display and phones were told different moments at which to show it",
    };
    Some(format!("{}: {problem}", draw.name()))
}
