//! The subcommands. Each checks its options before the first request, runs, and returns the exit
//! code.

pub mod compare;
pub mod monitor;

use crate::arguments::{Accept, Common, FullScenario, HttpTest, RunError, ScenarioChoice, WebsocketTest};
use crate::client::local_server;
use crate::client::process_source::ProcessSource;
use crate::client::target::Target;
use crate::measure::latency::{API, FIGURES, Wait};
use crate::report;
use crate::run::agent::agent_key;
use crate::run::ceiling::find_ceiling;
use crate::run::ceiling::reserve_sockets;
use crate::run::summary::Summary;
use crate::run::{Settings, run_scenario, stop};
use crate::scenario::{Scenario, Size, file};
use crate::verdict::criteria::{Criterion, Origin, Verdict, standing_criteria};
use crate::verdict::metric::{METRICS, needed_call};
use std::cell::Cell;
use std::path::Path;

/// Bytes that the folder of the report must take; a report has about as many.
const PROBE_BYTES: usize = 1 << 20;

/// Number of users by default.
const USERS: u32 = 300;

/// Number of prizes by default; a step of the ceiling is short.
const PRIZES: u32 = 100;
const CEILING_PRIZES: u32 = 10;

/// `full-scenario`
pub async fn full_scenario(options: &FullScenario) -> Result<u8, RunError> {
    if let Some(path) = &options.scenario_file {
        let scenario = file::read(path, options).map_err(RunError::Usage)?;
        return run_all(vec![scenario], &options.common, options.time_scale).await;
    }
    let is_ceiling = options.scenario.contains(&ScenarioChoice::Ceiling);
    if is_ceiling && options.scenario.len() > 1 {
        return Err(RunError::Usage("--scenario ceiling: is a run of its own".into()));
    }
    let (users, prizes) = (options.users.unwrap_or(USERS), if is_ceiling { CEILING_PRIZES } else { PRIZES });
    let size = Size {
        users,
        prizes: options.prizes.unwrap_or(prizes.min(users)),
        draw_interval_s: options.draw_interval,
        scale: options.time_scale,
        idle_s: options.idle,
        dead_fraction: options.dead_clients,
    };
    if is_ceiling {
        return ceiling(options, size).await;
    }
    let names = options.scenario.iter().flat_map(|choice| match choice {
        ScenarioChoice::A => &["a"][..],
        ScenarioChoice::B => &["b"],
        ScenarioChoice::C => &["c"],
        ScenarioChoice::D => &["d"],
        ScenarioChoice::All => &["a", "b", "c", "d"],
        ScenarioChoice::Ceiling => &[],
    });
    let scenarios = names.map(|name| Ok(file::planned(name, size)?.with_trouble(&options.trouble)));
    let scenarios = scenarios.collect::<Result<Vec<_>, String>>().map_err(RunError::Usage)?;
    run_all(scenarios, &options.common, options.time_scale).await
}

/// `websocket-test`
pub async fn websocket_test(options: &WebsocketTest) -> Result<u8, RunError> {
    let scenario = Scenario::websocket(options.users, options.ramp_up, options.duration);
    run_all(vec![scenario.with_trouble(&options.trouble)], &options.common, 1.0).await
}

/// `http-test`
pub async fn http_test(options: &HttpTest) -> Result<u8, RunError> {
    let scenario = Scenario::http(options.scenario, options.users, options.prizes, options.duration);
    run_all(vec![scenario], &options.common, 1.0).await
}

/// Runs scenarios in order and reports them.
async fn run_all(scenarios: Vec<Scenario>, common: &Common, time_scale: f64) -> Result<u8, RunError> {
    if let Some(scenario) = scenarios.iter().find(|scenario| scenario.draw_count() as usize > scenario.users) {
        let (prizes, users) = (scenario.draw_count(), scenario.users);
        return Err(RunError::Usage(format!("--prizes {prizes}: there are only {users} users to win them")));
    }
    scenarios.iter().try_for_each(Scenario::check_stage).map_err(RunError::Usage)?;
    let (settings, targets) = prepare(common, time_scale).await?;
    let asked = settings.criteria.iter().filter(|criterion| criterion.origin == Origin::Asked);
    for criterion in asked {
        if !scenarios.iter().any(|scenario| criterion.applies_to(scenario)) {
            return Err(RunError::Usage(format!("--threshold: no scenario of this run measures {}", criterion.metric)));
        }
    }
    let users = scenarios.iter().map(|scenario| scenario.users as u64).max().unwrap_or(0);
    reserve_sockets(users, targets[0].source_count()).map_err(RunError::CouldNotRun)?;
    let minutes = scenarios.iter().map(|scenario| scenario.end.as_secs_f64()).sum::<f64>() / 60.0;
    let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.to_uppercase()).collect();
    let host = all_authorities(&targets);
    eprintln!("drawload: {} at {host}: about {minutes:.1} min", names.join(", "));
    let mut summary = Summary::new(&host, common.seed, time_scale);
    settings.later.set(scenarios.iter().map(|scenario| scenario.end).sum());
    for scenario in scenarios {
        settings.later.set(settings.later.get().saturating_sub(scenario.end));
        let outcome = match run_scenario(scenario, &targets, &settings).await {
            Err(RunError::Interrupted) if !summary.scenarios.is_empty() => {
                summary.interrupt();
                break;
            }
            outcome => outcome?,
        };
        print!("{}", report::terminal::scenario(&outcome));
        let is_over = outcome.verdict == Verdict::Interrupted || outcome.is_unreachable();
        summary.add(outcome);
        write_report(&summary, common)?;
        if is_over {
            break;
        }
    }
    finish(&summary, common)
}

/// `--scenario ceiling`
async fn ceiling(options: &FullScenario, size: Size) -> Result<u8, RunError> {
    if size.prizes > size.users.min(options.users_max) {
        let prizes = size.prizes;
        return Err(RunError::Usage(format!("--prizes {prizes}: there are fewer users to win them at the beginning")));
    }
    let (settings, targets) = prepare(&options.common, options.time_scale).await?;
    let mut summary = Summary::new(&all_authorities(&targets), options.common.seed, options.time_scale);
    let (ceiling, outcomes) = find_ceiling(options, size, &targets, &settings).await?;
    for outcome in outcomes {
        print!("{}", report::terminal::scenario(&outcome));
        summary.add(outcome);
    }
    print!("{}", ceiling.text());
    summary.set_ceiling(ceiling);
    finish(&summary, &options.common)
}

/// Checks every option before the scenarios, and finds the server.
async fn prepare(common: &Common, time_scale: f64) -> Result<(Settings<'_>, Vec<Target>), RunError> {
    let mut criteria = standing_criteria();
    if common.accept == Accept::Threshold {
        criteria.iter_mut().for_each(Criterion::accept_threshold);
    }
    for text in &common.thresholds {
        criteria.push(Criterion::parse(text).map_err(RunError::Usage)?);
    }
    criteria.retain(|criterion| criterion.metric != "server.log_errors" || common.server_log.is_some());
    let local = if common.server.host.is_empty() { local_server::find() } else { None };
    let found = local.as_ref().map(|local| local.host.as_str());
    let mut targets = Target::all(&common.server, found).map_err(RunError::Usage)?;
    let mut pid = common.pid;
    if let Some(local) = local {
        eprintln!("drawload: found luckydraw at {}, process {}", local.host, local.pid);
        pid = pid.or(common.metrics_url.is_none().then_some(local.pid));
        targets[0].admin_token = targets[0].admin_token.take().or(local.token);
    }
    criteria.retain(|criterion| needed_call(&criterion.metric).is_none_or(|call| targets[0].has(call)));
    for target in &mut targets {
        target.origin.clone_from(&common.origin);
        target.choose_address().await;
    }
    probe_folder(&common.out).map_err(|error| RunError::CouldNotRun(format!("--out {}: {error}", common.out.display())))?;
    let process = match (pid, &common.metrics_url) {
        (Some(pid), _) => Some(ProcessSource::local(pid)?),
        (None, Some(url)) => {
            let token = common.metrics_token.clone().or_else(|| targets[0].admin_token.clone());
            Some(ProcessSource::remote(url, &common.server.trust, token).await?)
        }
        (None, None) => None,
    };
    let agent_key = if common.agents.is_empty() { None } else { Some(agent_key(&common.agent_token)?) };
    let (later, stop) = (Cell::default(), stop::on_signals());
    Ok((Settings { common, time_scale, criteria, process, agent_key, later, stop }, targets))
}

fn all_authorities(targets: &[Target]) -> String {
    targets.iter().map(|target| target.authority.as_str()).collect::<Vec<_>>().join(", ")
}

/// Creates the folder of the report, and checks that it takes a file: a full disk must show before
/// the run, and not after an hour.
fn probe_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let probe = folder.join(".probe");
    std::fs::write(&probe, vec![b'.'; PROBE_BYTES])?;
    std::fs::remove_file(probe)
}

fn write_report(summary: &Summary, common: &Common) -> Result<(), RunError> {
    report::write(summary, &common.out).map_err(|error| RunError::CouldNotRun(format!("the report: {error}")))
}

/// Prints the end of the report and writes its files.
fn finish(summary: &Summary, common: &Common) -> Result<u8, RunError> {
    println!("{}", report::terminal::ending(summary));
    write_report(summary, common)?;
    println!("drawload: the report is {}", common.out.join("report.html").display());
    Ok(summary.exit_code)
}

/// The end of `--help`: exit codes, metrics, and examples.
pub fn help() -> String {
    let counts = METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
    let waits = Wait::ALL.iter().map(|wait| wait.name()).collect::<Vec<_>>().join(", ");
    format!(
        "Exit codes: 0 passed, 99 a criterion was missed, 4 void since the tester was too slow, 3 could not run, 64 wrong \
         arguments, 105 interrupted.\n\n\
         Metrics for --threshold and compare: {counts}; and .{} of each of: {API}, {waits}.\n\n\
         Examples:\n  drawload full-scenario\n  drawload full-scenario --scenario a,b --time-scale 0.1\n  \
         drawload full-scenario --scenario c --host https://draw.example --admin-token-file token \\\n    \
         --metrics-url https://draw.example/metrics --threshold 'draw.spread.p99<100ms'\n  \
         drawload websocket-test --users 300 --duration 2m --ramp-up 10s\n  \
         drawload compare before/summary.json after/summary.json --fail-if 'register.p95>+20%'",
        FIGURES.join(", .")
    )
}
