//! A run: scenarios one after the other, or one again and again, and one report of them all.

use crate::arguments::{Common, FullScenario, HttpTest, Trouble, WebsocketTest, Which};
use crate::evening::{self, Stopped};
use crate::measure::process::Reading;
use crate::outcome::Summary;
use crate::plan::{Plan, Size};
use crate::target::Target;
use crate::verdict::{self, Rule, Verdict};
use crate::{ceiling, limits, report, screenplay};

/// Users when nothing is said.
const USERS: u32 = 300;

/// Prizes when nothing is said; a step towards the ceiling is short.
const PRIZES: u32 = 100;
const PRIZES_OF_A_STEP: u32 = 10;

/// What the scenarios of one run have in common.
pub struct Run<'a> {
    pub common: &'a Common,
    pub time_scale: f64,
    pub rules: Vec<Rule>,
}

/// `full-scenario`
///
/// # Errors
/// When it could not begin.
pub async fn full_scenario(asked: &FullScenario) -> Result<u8, Stopped> {
    if let Some(path) = &asked.scenario_file {
        let plan = screenplay::read(path, asked).map_err(Stopped::Usage)?;
        return in_turn(vec![plan], &asked.common, asked.time_scale).await;
    }
    let size = Size {
        users: asked.users.unwrap_or(USERS),
        prizes: asked.prizes.unwrap_or(if asked.scenario == Which::Ceiling { PRIZES_OF_A_STEP } else { PRIZES }),
        draw_interval_s: asked.draw_interval,
        scale: asked.time_scale,
        idle_s: asked.idle,
        dead_fraction: asked.dead_clients,
    };
    let plans = match asked.scenario {
        Which::A => vec![Plan::a(size)],
        Which::B => vec![Plan::b(size)],
        Which::C => vec![Plan::c(size)],
        Which::D => vec![Plan::d(size)],
        Which::All => vec![Plan::a(size), Plan::b(size), Plan::c(size), Plan::d(size)],
        Which::Ceiling => return to_the_ceiling(asked, size).await,
    };
    in_turn(troubled(plans, &asked.trouble), &asked.common, asked.time_scale).await
}

/// `websocket-test`
///
/// # Errors
/// When it could not begin.
pub async fn websocket_test(asked: &WebsocketTest) -> Result<u8, Stopped> {
    let plan = Plan::websocket(asked.users, asked.ramp_up, asked.duration);
    in_turn(troubled(vec![plan], &asked.trouble), &asked.common, 1.0).await
}

/// `http-test`
///
/// # Errors
/// When it could not begin.
pub async fn http_test(asked: &HttpTest) -> Result<u8, Stopped> {
    in_turn(vec![Plan::http(asked.scenario, asked.users, asked.prizes, asked.duration)], &asked.common, 1.0).await
}

fn troubled(plans: Vec<Plan>, trouble: &Trouble) -> Vec<Plan> {
    plans.into_iter().map(|plan| plan.troubled(trouble.slow_clients.unwrap_or(0.0), trouble.reconnect_storm)).collect()
}

/// Plays scenarios, reports them and gives back the exit code.
async fn in_turn(plans: Vec<Plan>, common: &Common, time_scale: f64) -> Result<u8, Stopped> {
    if let Some(plan) = plans.iter().find(|plan| plan.draw_count() as usize > plan.users) {
        return Err(Stopped::Usage(format!("--prizes {}: there are only {} users to win them", plan.draw_count(), plan.users)));
    }
    let (run, target) = prepare(common, time_scale)?;
    let users = plans.iter().map(|plan| plan.users as u64).max().unwrap_or(0);
    limits::make_room(users, target.source_count()).map_err(Stopped::CouldNotRun)?;
    let mut summary = Summary::new(&common.door.host, common.seed, time_scale);
    for plan in plans {
        let outcome = evening::play(plan, target.clone(), &run).await?;
        print!("{}", report::text::of(&outcome));
        let interrupted = outcome.verdict == Verdict::Interrupted;
        summary.add(outcome);
        if interrupted {
            break;
        }
    }
    finish(&summary, common)
}

/// `--scenario ceiling`
async fn to_the_ceiling(asked: &FullScenario, size: Size) -> Result<u8, Stopped> {
    if size.prizes > size.users.min(asked.users_max) {
        return Err(Stopped::Usage(format!("--prizes {}: there are fewer users to win them at the beginning", size.prizes)));
    }
    let (run, target) = prepare(&asked.common, asked.time_scale)?;
    let mut summary = Summary::new(&asked.common.door.host, asked.common.seed, asked.time_scale);
    ceiling::climb(asked, size, target, &run, &mut summary).await?;
    finish(&summary, &asked.common)
}

/// Everything that can be wrong before the first question is asked.
fn prepare(common: &Common, time_scale: f64) -> Result<(Run<'_>, Target), Stopped> {
    let mut rules = verdict::standing_rules();
    for text in &common.thresholds {
        rules.push(Rule::parse(text).map_err(Stopped::Usage)?);
    }
    let target = Target::of(&common.door).map_err(Stopped::Usage)?;
    if let Some(pid) = common.pid {
        Reading::of(pid).map_err(|error| Stopped::CouldNotRun(format!("--pid {pid}: {error}")))?;
    }
    if let Some(folder) = &common.out {
        std::fs::create_dir_all(folder).map_err(|error| Stopped::CouldNotRun(format!("--out {}: {error}", folder.display())))?;
    }
    Ok((Run { common, time_scale, rules }, target))
}

/// Says and writes what came of it.
fn finish(summary: &Summary, common: &Common) -> Result<u8, Stopped> {
    println!("{}", report::text::ending(summary));
    if let Some(folder) = &common.out {
        report::write(summary, folder).map_err(|error| Stopped::CouldNotRun(format!("the report: {error}")))?;
    }
    Ok(summary.exit_code)
}
