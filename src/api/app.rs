//! The application: the layers below that handlers reach, and the operator's settings.

use crate::api::edges::Edges;
use crate::api::image_cache::ImageCache;
use crate::api::metrics::process::BurstCredit;
use crate::api::placement::Led;
use crate::api::qr_codes::QrCodes;
use crate::api::rate_limiter::RateLimiter;
use crate::api::registration_meter::RegistrationMeters;
use crate::api::revoked_logins::RevokedLogins;
use crate::api::simulated_phones::SimulatedPhones;
use crate::api::stage_registry::Stages;
use crate::api::turn_meter::TurnMeters;
use crate::backup::thread::BackupHandle;
use crate::base::clock::SteadyClock;
use crate::base::data_dir::DataDir;
use crate::base::refreshed::Refreshed;
use crate::base::secret::Secret;
use crate::http::HttpSettings;
use crate::http::request::RequestContext;
use crate::http::request_metrics::RequestMetrics;
use crate::live::reactor::Reactors;
use crate::live::room::Directory;
use crate::sequencer::commit_metrics::CommitMetrics;
use crate::sequencer::inbox::Inbox;
use crate::store::tokens::Tokens;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The operator's settings of this layer.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Settings of the HTTP layer.
    pub http: HttpSettings,
    /// The event of an address that names none.
    pub default_event: Option<String>,
    /// Participants of an event that does not say, at most.
    pub participants_max: u32,
    /// Long-polls at once, at most.
    pub long_polls_max: usize,
    /// The token that opens the metrics alone.
    pub metrics_token: Option<Secret>,
    /// The folder of the journal, the images and the backups.
    pub data_dir: DataDir,
    /// Days for which winners' details are kept.
    pub details_days: u32,
}

/// The address by which phones reach this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinBase {
    /// Without a path: `http://192.168.0.7:8000`.
    pub address: String,
    /// False for an address that only this machine reaches: it is in no network.
    pub is_reachable: bool,
    /// Other addresses of this machine, such as of a VPN, to which no phone should be sent.
    pub detours: Vec<IpAddr>,
}

/// Everything that handlers share.
pub struct App {
    /// The operator's settings.
    pub settings: Settings,
    /// The token that opens every admin call.
    pub admin_token: Secret,
    /// The address by which phones reach this server: networks come and go.
    pub join_base: Refreshed<JoinBase>,
    /// Finds the room of an event.
    pub directory: Arc<Directory>,
    /// The way to the sequencer.
    pub inbox: Inbox,
    /// The threads that own the sockets.
    pub reactors: Reactors,
    /// Derives and verifies tokens and codes.
    pub tokens: Tokens,
    /// Counts guesses.
    pub rate_limiter: RateLimiter,
    /// Meters new numbers.
    pub registrations: RegistrationMeters,
    /// The simulated phones of rehearsals.
    pub simulated_phones: SimulatedPhones,
    /// The screens that show an event.
    pub stages: Arc<Stages>,
    /// The spread of the moments at which phones show winners.
    pub turns: Arc<TurnMeters>,
    /// The edges that serve phones of this server.
    pub edges: Edges,
    /// Phones that were led to edges.
    pub led: Led,
    /// Connections at once, at most.
    pub connections_max: u32,
    /// Logins that were ended by a log-out.
    pub revoked_logins: Arc<RevokedLogins>,
    /// QR codes that were requested last.
    pub qr_codes: QrCodes,
    /// Images that were requested last.
    pub images: ImageCache,
    /// True if the server takes new work: false while it starts, and once it stops. Written by the
    /// server; relaxed, since nothing else is read on the strength of it.
    pub ready: AtomicBool,
    /// True while another origin publishes to the same edges. Written by the thread that serves
    /// edges; relaxed, as above.
    pub has_other_origin: AtomicBool,
    /// True if the last commit succeeded.
    pub durable: Arc<AtomicBool>,
    /// Judges what is old.
    pub clock: Arc<SteadyClock>,
    /// The way to the backup thread.
    pub backups: BackupHandle,
    /// One permit per long-poll.
    pub long_polls: Semaphore,
    /// One permit: held by the thread that reads or writes a spreadsheet or a picture.
    pub files: Arc<Semaphore>,
    /// Counts and times of commits.
    pub commits: Arc<CommitMetrics>,
    /// Counts and times of answers.
    pub requests: Arc<RequestMetrics>,
    /// CPU burst credit that the small box has spent.
    pub credit: BurstCredit,
    /// Cancelled once, when the server stops: long-polls wait no more.
    pub stopping: CancellationToken,
}

/// A request to this application.
pub type ApiRequest = RequestContext<App>;

/// Settings for unit tests: nothing listed, nothing open.
#[cfg(test)]
pub fn sample_settings() -> Settings {
    Settings {
        default_event: Some("demo".into()),
        participants_max: 20_000,
        long_polls_max: 10,
        details_days: 30,
        ..Settings::default()
    }
}
