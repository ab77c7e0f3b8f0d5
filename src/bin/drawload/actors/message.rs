//! The lines between a coordinator and its agents: JSON, one value per line.

use super::entry::Entry;
use crate::scenario::Scenario;
use serde::{Deserialize, Serialize};

/// A line to an agent.
#[derive(Serialize, Deserialize)]
pub enum Command {
    /// A question for the agent's clock, before the job and while it is played.
    Clock,
    Job(Box<Job>),
    /// The host has driven every draw.
    Drawn,
    /// Every phone pings once more.
    Leave,
    /// Every phone closes its socket and ends.
    End,
}

/// A scenario, of which an agent plays its share.
#[derive(Serialize, Deserialize)]
pub struct Job {
    pub scenario: Scenario,
    pub share: Share,
    pub seed: u64,
    /// The seed of the phones' paths, where they are simulated.
    pub network_seed: Option<u64>,
    /// The URLs of the server, as the agent is to reach it, and the table of its protocol.
    pub hosts: Vec<String>,
    pub protocol: Option<String>,
    pub event: String,
    pub origin: Option<String>,
    /// When the run starts, by the agent's clock, in microseconds.
    pub starts_us: i64,
}

/// The phones of one machine: each one whose place is `index` among `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    index: usize,
    of: usize,
    /// The host and the display are played here too: never by an agent, also not by the only one.
    pub has_host: bool,
}

impl Share {
    /// Every phone.
    pub const ALL: Self = Self { index: 0, of: 1, has_host: true };

    /// No phone: others play them.
    pub const NONE: Self = Self { index: 1, of: 1, has_host: true };

    pub fn new(index: usize, of: usize) -> Self {
        Self { index, of, has_host: false }
    }

    pub fn has(self, phone: usize) -> bool {
        phone % self.of == self.index
    }
}

/// A line to the coordinator.
#[derive(Serialize, Deserialize)]
pub enum Message<'a> {
    /// The job cannot be played, and why.
    Refused(String),
    /// The agent's clock, in microseconds.
    Clock(i64),
    /// An entry of a phone, and its time in the run in microseconds.
    Entry(usize, u64, #[serde(borrow)] Entry<'a>),
    /// A sign of life, and the number of sockets that roaming phones left open.
    Alive { half_open: u64 },
    /// Every phone has requested its results.
    Over,
    /// Every phone has ended. Reasons why the agent was the bottleneck.
    Done { limited_by: Vec<String> },
}

/// A command or a message as a line.
pub fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}
