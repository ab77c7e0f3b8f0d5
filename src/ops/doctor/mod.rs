//! The subcommand `doctor`: whether this machine is fit to serve, one line per finding, with how to
//! fix it.
//!
//! Each check has two halves. One reads the machine, in bounded time, and leaves no change; the
//! other grades what was read, purely, so that tests show it machines that are broken in ways no
//! test machine is. [`report`] is what they have in common. [`storage`] looks at the data folder
//! and its disk, [`network`] at addresses, name and certificate, [`kernel`] at the limits that the
//! kernel sets, `nats` at the way to edges, [`machine`] at clock, memory and burst credit. The
//! doctor never fixes anything itself.

pub mod cloud;
pub mod kernel;
pub mod machine;
#[cfg(feature = "edges")]
pub mod nats;
pub mod network;
pub mod report;
pub mod storage;

use crate::ops::config::Config;
use report::Report;

/// Runs every check. Takes some seconds where a network does not answer.
pub fn examine(config: &Config) -> Report {
    let mut findings = vec![storage::check_folder(config.data_dir.path())];
    findings.extend(storage::check_disk(config.data_dir.path()));
    findings.extend(storage::check_copies(&config.data_dir, config.app.details_days));
    findings.extend(storage::check_deletions(&config.data_dir));
    findings.extend(network::check_ports(config));
    findings.extend(network::check_name(config.app.http.domain.as_deref()));
    findings.extend(network::check_certificate(config));
    findings.push(network::check_relays(config));
    #[cfg(feature = "edges")]
    findings.extend(nats::check_link(config));
    findings.push(machine::check_clock(config.data_dir.path()));
    findings.push(kernel::check_open_files(config));
    findings.extend(machine::check_memory());
    findings.extend(kernel::check_sysctls());
    findings.push(machine::check_burst_credit());
    Report { findings }
}
