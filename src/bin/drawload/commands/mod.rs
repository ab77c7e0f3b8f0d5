//! The subcommands. Each checks its options before the first request, runs, and returns the exit
//! code.

pub mod compare;
pub mod monitor;

use crate::arguments::{Common, FullScenario, HttpTest, RunError, ScenarioChoice, WebsocketTest};
use crate::client::process_source::ProcessSource;
use crate::client::target::Target;
use crate::report;
use crate::run::Summary;
use crate::run::ceiling::find_ceiling;
use crate::run::ceiling::reserve_sockets;
use crate::run::{Settings, run_scenario};
use crate::scenario::{Scenario, Size, file};
use crate::verdict::criteria::{Criterion, Verdict, standing_criteria};

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
    let prizes = if options.scenario == ScenarioChoice::Ceiling { CEILING_PRIZES } else { PRIZES };
    let size = Size {
        users: options.users.unwrap_or(USERS),
        prizes: options.prizes.unwrap_or(prizes),
        draw_interval_s: options.draw_interval,
        scale: options.time_scale,
        idle_s: options.idle,
        dead_fraction: options.dead_clients,
    };
    let scenarios = match options.scenario {
        ScenarioChoice::A => vec![Scenario::a(size)],
        ScenarioChoice::B => vec![Scenario::b(size)],
        ScenarioChoice::C => vec![Scenario::c(size)],
        ScenarioChoice::D => vec![Scenario::d(size)],
        ScenarioChoice::All => vec![Scenario::a(size), Scenario::b(size), Scenario::c(size), Scenario::d(size)],
        ScenarioChoice::Ceiling => return ceiling(options, size).await,
    };
    let scenarios = scenarios.into_iter().map(|scenario| scenario.with_trouble(&options.trouble)).collect();
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
    let (settings, target) = prepare(common, time_scale).await?;
    let users = scenarios.iter().map(|scenario| scenario.users as u64).max().unwrap_or(0);
    reserve_sockets(users, target.source_count()).map_err(RunError::CouldNotRun)?;
    let mut summary = Summary::new(&common.server.host, common.seed, time_scale);
    for scenario in scenarios {
        let outcome = run_scenario(scenario, target.clone(), &settings).await?;
        print!("{}", report::terminal::scenario(&outcome));
        let interrupted = outcome.verdict == Verdict::Interrupted;
        summary.add(outcome);
        if interrupted {
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
    let (settings, target) = prepare(&options.common, options.time_scale).await?;
    let mut summary = Summary::new(&options.common.server.host, options.common.seed, options.time_scale);
    let (ceiling, outcomes) = find_ceiling(options, size, target, &settings).await?;
    for outcome in outcomes {
        print!("{}", report::terminal::scenario(&outcome));
        summary.add(outcome);
    }
    print!("{}", ceiling.text());
    summary.set_ceiling(ceiling);
    finish(&summary, &options.common)
}

/// Checks every option before the first request.
async fn prepare(common: &Common, time_scale: f64) -> Result<(Settings<'_>, Target), RunError> {
    let mut criteria = standing_criteria();
    for text in &common.thresholds {
        criteria.push(Criterion::parse(text).map_err(RunError::Usage)?);
    }
    let target = Target::new(&common.server).map_err(RunError::Usage)?;
    let process = match (common.pid, &common.metrics_url) {
        (Some(pid), _) => Some(ProcessSource::local(pid)?),
        (None, Some(url)) => {
            let token = common.metrics_token.clone().or_else(|| target.admin_token.clone());
            Some(ProcessSource::remote(url, &common.server.trust, token).await?)
        }
        (None, None) => None,
    };
    if let Some(folder) = &common.out {
        std::fs::create_dir_all(folder).map_err(|error| RunError::CouldNotRun(format!("--out {}: {error}", folder.display())))?;
    }
    Ok((Settings { common, time_scale, criteria, process }, target))
}

/// Prints the end of the report and writes its files.
fn finish(summary: &Summary, common: &Common) -> Result<u8, RunError> {
    println!("{}", report::terminal::ending(summary));
    if let Some(folder) = &common.out {
        report::write(summary, folder).map_err(|error| RunError::CouldNotRun(format!("the report: {error}")))?;
    }
    Ok(summary.exit_code)
}
