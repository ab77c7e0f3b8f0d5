//! The load tester cannot be fooled: a server that lies in one way fails, and the verdict names the
//! lie. The same server without a lie passes.
//!
//! The tester is the real binary. The server is [`crate::fake_server`], which plants one fault per
//! run, by name. Runs are short and go side by side.

use crate::fake_server::{FakeServer, Fault};
use crate::load::{Run, drawload};
use crate::load_honesty::Tester;
use crate::test_server::ADMIN_TOKEN;
use futures_util::StreamExt;
use futures_util::stream::iter;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// Runs that go at a time.
const AT_A_TIME: usize = 6;

/// Runs in which a fault has to be noticed: a tester that was too slow judges no times, and says
/// so.
const ATTEMPTS: usize = 3;

/// A run of the tester.
#[derive(Clone, Copy)]
enum Play {
    /// Scenario b.
    Draws,
    /// Scenario c: draws, results and details.
    Mixed,
    /// Scenario a: registrations and sockets.
    Held,
    /// Scenario d.
    Idle,
    /// `websocket-test`.
    Sockets,
    /// Draws at their own pace, so that times are judged, and with the server's metrics.
    Paced,
    /// Draws with a stage, whose shows the server plans.
    Stage,
}

use Play::{Draws, Held, Idle, Mixed, Paced, Sockets, Stage};

/// A draw of a stage, whose show takes 2.6 s, and time for a host that is late.
pub const STAGED: &str = "users = 10\nping_interval = 1\nstage = true\n[[phase]]\nkind = 'arrivals'\nseconds = 0.2\n\
    [[phase]]\nkind = 'sockets'\nseconds = 0.2\n[[phase]]\nkind = 'draws'\ncount = 1\ninterval = 6\n";

/// Draws every 0.35 s, a phone's ping every second.
pub const PACED: &str = "users = 10\nping_interval = 1\n[[phase]]\nkind = 'arrivals'\nseconds = 0.2\n[[phase]]\nkind = 'sockets'\n\
    seconds = 0.2\n[[phase]]\nkind = 'draws'\ncount = 10\ninterval = 0.35\n";

async fn play(play: Play, address: SocketAddr) -> Run {
    let host = address.to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("paced.toml");
    std::fs::write(&file, if matches!(play, Stage) { STAGED } else { PACED }).unwrap();
    let metrics = format!("http://{host}/metrics");
    let small = ["--users", "10", "--prizes", "5"];
    let arguments = match play {
        Draws => [&["full-scenario", "--scenario", "b", "--time-scale", "0.02"][..], &small].concat(),
        Mixed => [&["full-scenario", "--scenario", "c", "--time-scale", "0.005"][..], &small].concat(),
        Held => vec!["full-scenario", "--scenario", "a", "--users", "10", "--time-scale", "0.005"],
        Idle => vec!["full-scenario", "--scenario", "d", "--users", "10", "--idle", "60", "--time-scale", "0.005"],
        Sockets => vec!["websocket-test", "--users", "10", "--duration", "1", "--ramp-up", "0.2"],
        Stage => vec!["full-scenario", "--scenario-file", file.to_str().unwrap()],
        Paced => vec!["full-scenario", "--scenario-file", file.to_str().unwrap(), "--metrics-url", &metrics],
    };
    drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&arguments[..], &["--host", &host]].concat()).await
}

/// Plays each fault, and returns what went unnoticed.
async fn unnoticed(faults: &[(Fault, Play, &str)]) -> Vec<String> {
    let runs = iter(faults.iter().copied()).map(|(fault, kind, metric)| async move {
        let mut unnoticed = None;
        for _ in 0..ATTEMPTS {
            let server = FakeServer::start(fault).await;
            let run = play(kind, server.address()).await;
            let grade = run.judgements().iter().find(|judgement| judgement["metric"] == metric).map(|one| one["grade"].clone());
            let is_missed = grade.as_ref().is_some_and(|grade| grade == "missed" || grade == "tolerable");
            // On a machine so busy that the tester is the bottleneck, a missed time is void.
            let was_slow = run.summary["scenarios"][0]["tester"]["limited_by"] != serde_json::json!([]);
            let is_named =
                (run.code == Some(99) || (was_slow && run.code == Some(4))) && is_missed && run.output.contains(metric);
            unnoticed = (!is_named).then(|| format!("{fault}: exit {:?}, {metric} is {grade:?}\n{}", run.code, run.output));
            if is_named || !was_slow {
                break;
            }
        }
        unnoticed
    });
    runs.buffer_unordered(AT_A_TIME).filter_map(async |unnoticed| unnoticed).collect().await
}

async fn expect_noticed(faults: &[(Fault, Play, &str)]) {
    let unnoticed = unnoticed(faults).await;
    assert!(unnoticed.is_empty(), "{} of {} went unnoticed:\n{}", unnoticed.len(), faults.len(), unnoticed.join("\n\n"));
}

#[tokio::test]
async fn the_fake_server_without_a_fault_passes() {
    for kind in [Draws, Mixed, Held, Idle, Sockets] {
        let server = FakeServer::start("none").await;
        let run = play(kind, server.address()).await;
        run.expect_all_musts_met();
        assert_eq!(run.code, Some(0), "{}", run.output);
    }
    // Times are judged, and this machine may be busy: only the musts are asserted.
    let server = FakeServer::start("none").await;
    let run = play(Stage, server.address()).await;
    run.expect_all_musts_met();
    assert_eq!(run.metric("draw.show.spread.p50").min(0.0), 0.0, "it was measured");
    let server = FakeServer::start("none").await;
    let run = play(Paced, server.address()).await;
    run.expect_all_musts_met();
    assert!(run.metric("delivery.slowest_phone_ms") > 0.0 && run.metric("server.growth_mb").abs() < 1.0, "{}", run.output);
}

#[tokio::test]
async fn draws_that_differ_from_the_plan_are_named() {
    expect_noticed(&[
        ("draw calls deny with status 200", Draws, "draws.missing"),
        ("draw calls answer {}", Draws, "draws.missing"),
        ("no announcement", Draws, "draws.missing"),
        ("no draw_standby", Draws, "draws.order"),
        ("no draw_started", Draws, "draws.order"),
        ("no draw_complete", Draws, "draws.order"),
        ("draw_complete comes first", Draws, "draws.order"),
        ("announced twice", Draws, "draws.order"),
        ("announced again with another winner", Draws, "draws.order"),
        ("a draw of nobody", Draws, "draws.order"),
        ("a draw is voided by nobody", Draws, "draws.order"),
        ("a reset by nobody", Draws, "draws.order"),
        ("draw_complete names another winner", Draws, "draws.wrong"),
        ("draw_complete lacks a field", Draws, "draws.wrong"),
        ("announced under another prize", Draws, "draws.wrong"),
        ("draw_started has another rank", Draws, "draws.wrong"),
        ("the reveal answers another winner", Draws, "draws.wrong"),
        ("the display is shown another winner", Draws, "draws.wrong"),
        ("no winner_revealed for the display", Draws, "draws.wrong"),
        ("the completion names other winners", Draws, "draws.wrong"),
        ("the completion is denied", Draws, "errors.percent"),
        ("the prize in the answer is another", Draws, "answers.wrong"),
    ])
    .await;
}

#[tokio::test]
async fn winners_told_early_or_in_two_ways_are_named() {
    expect_noticed(&[
        ("the winner is told at the start", Draws, "draws.early"),
        ("announced before the reveal", Draws, "draws.early"),
        ("announced with the reveal", Draws, "draws.early"),
        ("phones receive the reveal", Draws, "draws.early"),
        ("check-winner knows a reveal", Draws, "draws.early"),
        ("results know a reveal", Draws, "draws.early"),
        ("winners stand in every state_sync", Draws, "draws.early"),
        ("the winner never registered", Draws, "winners.ineligible"),
        ("one number wins every draw", Draws, "winners.ineligible"),
        ("two winners where one was asked for", Draws, "winners.ineligible"),
        ("another winner is announced than recorded", Draws, "winners.wrong"),
        ("the history holds another winner", Draws, "winners.wrong"),
        ("the history says revealed", Draws, "winners.wrong"),
        ("the history names another prize", Draws, "winners.wrong"),
        ("the history lacks a draw", Draws, "history.missing"),
        ("the history holds a draw that was never announced", Draws, "history.unannounced"),
        ("results name another winner", Draws, "results.wrong"),
        ("results lack the last draw", Draws, "results.wrong"),
        ("the number of draws is wrong", Draws, "answers.wrong"),
    ])
    .await;
}

#[tokio::test]
async fn wrong_numbers_and_answers_are_named() {
    expect_noticed(&[
        ("a participant nobody registered", Held, "numbers.unknown"),
        ("the display is told too few participants", Draws, "numbers.unknown"),
        ("a participant is lost", Held, "numbers.lost"),
        ("two phones share a number", Held, "numbers.doubled"),
        ("numbers have holes", Held, "numbers.holes"),
        ("a retry gets another number", Held, "numbers.changed"),
        ("one phone is refused for ever", Held, "numbers.missing"),
        ("registrations without a token", Held, "errors.percent"),
        ("losers are told that they won", Draws, "answers.wrong"),
        ("winners are told that they lost", Draws, "answers.wrong"),
        ("my-number is 404 at the end", Draws, "answers.wrong"),
        ("my-number is another", Held, "answers.wrong"),
        ("the state is of another phone", Held, "answers.wrong"),
        ("the greeting says that a loser won", Draws, "answers.wrong"),
        ("the greeting is of another phone", Draws, "answers.wrong"),
        ("results deny with status 200", Mixed, "errors.percent"),
        ("details are denied with status 200", Mixed, "errors.percent"),
        ("details are acknowledged and lost", Mixed, "details.lost"),
    ])
    .await;
}

#[tokio::test]
async fn frames_and_sockets_that_are_not_as_promised_are_named() {
    expect_noticed(&[
        ("a stale seq hides lost frames", Draws, "delivery.lost"),
        ("one frame is lost", Draws, "delivery.lost"),
        ("one frame comes twice", Draws, "delivery.doubled"),
        ("two frames are swapped", Draws, "delivery.reordered"),
        ("one phone receives another winner", Draws, "delivery.contradicted"),
        ("the epoch changes", Draws, "delivery.strange"),
        ("an announcement without a number", Draws, "delivery.strange"),
        ("something that is no frame", Draws, "delivery.strange"),
        ("an error frame", Draws, "delivery.strange"),
        ("a phone is greeted as a display", Draws, "delivery.strange"),
        ("the greeting is ahead of the frames", Draws, "delivery.strange"),
        ("sockets are never greeted", Held, "ws.ungreeted"),
        ("sockets are dead after their greeting", Held, "ws.pongs_missing"),
        ("sockets are dead after their greeting", Idle, "ws.pongs_missing"),
        ("sockets are dead after their greeting", Sockets, "ws.pongs_missing"),
        ("a phone is greeted only at draw 10", Paced, "ws.greeted_late"),
        ("one socket is refused for ever", Held, "ws.absent"),
        ("500 ghosts", Held, "ws.ghosts"),
        ("500 ghosts", Sockets, "ws.ghosts"),
        ("sockets are forgotten", Idle, "ws.forgotten"),
        ("every phone is sent away with 1012 for ever", Paced, "ws.restarts_endless"),
        ("every socket is dropped once", Draws, "ws.success.percent"),
        ("all sockets are dropped while idle", Idle, "ws.drops"),
        ("pongs tell no time", Held, "delivery.strange"),
    ])
    .await;
}

#[tokio::test]
async fn a_moment_that_is_not_one_for_all_is_named() {
    expect_noticed(&[
        ("announced after its moment", Stage, "draw.show.late.p99"),
        ("announced long before its moment", Stage, "draws.early"),
        ("no moment in the reveal", Stage, "draws.show"),
        ("no moment in the announcement", Stage, "draws.show"),
        ("the display is told another moment", Stage, "draws.show"),
        ("one phone is told another moment", Stage, "delivery.contradicted"),
        ("one phone is told another time", Stage, "draw.show.spread.p99"),
    ])
    .await;
}

#[tokio::test]
async fn lateness_and_a_server_that_grows_or_ends_are_named() {
    expect_noticed(&[
        ("every phone is 2.5 s late", Paced, "draw.delivery.p99"),
        ("one phone is 3 s late", Paced, "delivery.slowest_phone_ms"),
        ("the delay grows", Paced, "delivery.growth_ms"),
        ("every call takes 1.5 s", Paced, "api.p95"),
        ("138 MB leak", Paced, "server.growth_mb"),
        ("700 MB for 50 ms", Paced, "server.rss_peak_mb"),
        ("the CPU is busy", Paced, "server.cpu_percent"),
        ("descriptors leak", Paced, "server.descriptors_leaked"),
        ("the process is gone in mid-run", Paced, "server.lost"),
        ("its memory is no longer reported", Paced, "server.lost"),
    ])
    .await;
}

#[tokio::test]
async fn a_process_that_ends_in_mid_run_is_named() {
    let server = FakeServer::start("none").await;
    let mut process = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let pid = process.id().to_string();
    let arguments = ["websocket-test", "--users", "3", "--duration", "5", "--ramp-up", "0.2", "--pid", &pid];
    let mut tester = Tester::start(&server.address().to_string(), &arguments);
    tester.until("[").await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(tester.code().await, Some(99), "{}", tester.summary());
    let lost = &tester.summary()["scenarios"][0]["metrics"]["server.lost"];
    assert!(lost.as_f64() >= Some(1.0), "{lost}");
}
