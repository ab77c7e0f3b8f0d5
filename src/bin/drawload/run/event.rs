//! The event of a scenario: created and removed, or an existing one that nobody uses.
//!
//! An event that a killed tester left behind is removed by the next one of this machine.

use crate::answers::{Anything, Event, Events};
use crate::arguments::RunError;
use crate::client::http::{Request, RequestError};
use crate::client::protocol::Call;
use crate::client::target::Target;
use crate::measure::micros;
use crate::measure::process::ProcessStats;
use crate::measure::recorder::Before;
use crate::scenario::Scenario;
use crate::server_options::ServerOptions;
use serde_json::json;
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

/// Time for an edge to serve a new event.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// Opens the event at the first address, and waits until the others serve it; returns true for a
/// new one.
pub async fn open(targets: &mut [Target], scenario: &Scenario, options: &ServerOptions) -> Result<bool, RunError> {
    let Some((first, others)) = targets.split_first_mut() else { return Ok(false) };
    let is_new = create(first, scenario, options).await?;
    for target in others {
        target.event.clone_from(&first.event);
        let served = async {
            while Request::call(target, Call::State, json!({})).send::<Anything>().await.is_err() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        if target.has(Call::State) && timeout(SERVED_WITHIN, served).await.is_err() {
            let why = format!("{} does not serve the event {} of {}", target.authority, target.event, first.authority);
            if is_new {
                remove(first).await;
            }
            return Err(RunError::CouldNotRun(why));
        }
    }
    Ok(is_new)
}

/// Creates an event, or checks that the named one exists; returns true for a new one. Removes
/// those that killed runs of this machine have left.
async fn create(target: &mut Target, scenario: &Scenario, options: &ServerOptions) -> Result<bool, RunError> {
    if !target.has(Call::CreateEvent) {
        target.event = options.event_id.clone().unwrap_or_else(|| "event".to_owned());
        return Ok(true);
    }
    match &options.event_id {
        None => {
            remove_orphans(target).await;
            let suffix = micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
            target.event = format!("{}{}-{}-{suffix:x}", event_prefix(), std::process::id(), scenario.name);
        }
        Some(event) => {
            // An existing event can be found without the admin token.
            target.event.clone_from(event);
            if Request::call(target, Call::State, json!({})).send_with_retries::<Anything>().await.is_ok() {
                return Ok(false);
            }
        }
    }
    let body = json!({"event_id": target.event, "title": "drawload", "participants_max": (scenario.users * 2).max(100)});
    match Request::call(target, Call::CreateEvent, body).admin().send_with_retries::<Anything>().await {
        Ok(_) => Ok(options.event_id.is_none()),
        // A retry after a lost answer finds its own event.
        Err(RequestError::Refused { status: 409, code }) if code == "EVENT_EXISTS" => Ok(options.event_id.is_none()),
        Err(RequestError::Refused { status: 401, .. }) => {
            Err(RunError::CouldNotRun("the server wants the right --admin-token".into()))
        }
        Err(error) => {
            let why = format!("the event {} cannot be made at {}: {error}", target.event, target.authority);
            Err(RunError::CouldNotRun(why))
        }
    }
}

/// Refuses an event that people use: a load test would draw their prizes.
pub fn require_unused(before: &Before, target: &Target, options: &ServerOptions) -> Result<(), RunError> {
    let people = before.participants_count.max(before.connections);
    if options.into_live_event || (people == 0 && before.seq == 0) {
        return Ok(());
    }
    let why = format!("--event-id {}: {people} people are in it, and it has had {} frames", target.event, before.seq);
    Err(RunError::Usage(format!("{why}; --into-live-event uses it all the same")))
}

/// Removes an event that the tester made.
pub async fn remove(target: &Target) {
    let request = Request::call(target, Call::DeleteEvent, json!({})).admin();
    if request.is_absent() {
        return;
    }
    if let Err(error) = request.send_with_retries::<Anything>().await {
        eprintln!("drawload: the event {} was left behind: {error}", target.event);
    }
}

/// The beginning of the name of every event that a tester of this machine makes; behind it comes
/// the tester's process.
fn event_prefix() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("drawload-{}-", boot.get(..8).unwrap_or("0"))
}

/// Removes events whose tester no longer runs.
async fn remove_orphans(target: &Target) {
    let Ok(listed) = Request::call(target, Call::ListEvents, json!({})).admin().send::<Events>().await else { return };
    let prefix = event_prefix();
    for Event { event_id } in listed.events {
        let tester = event_id.strip_prefix(&prefix).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if tester.is_some_and(|pid| ProcessStats::read(pid).is_err()) {
            let mut orphan = target.clone();
            orphan.event = event_id;
            remove(&orphan).await;
        }
    }
}
