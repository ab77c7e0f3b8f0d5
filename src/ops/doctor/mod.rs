//! Whether this machine is fit to serve: one line a finding, with how to mend it.
//!
//! Each check is a file of two halves. One reads the machine, bounded in time, and changes nothing that stays; the other judges what was read, purely, so
//! that tests show it machines that are broken in ways no test machine is. [`finding`] is what they have in common, [`ports`] and [`dns`] look at
//! the street, [`certificate`], [`folder`] and [`disk`] at files, the others at what the operating system grants. A doctor never mends anything itself.

pub mod burst;
pub mod certificate;
pub mod clock;
pub mod cloud;
pub mod disk;
pub mod dns;
pub mod files;
pub mod finding;
pub mod folder;
pub mod memory;
pub mod ports;
pub mod sysctls;

use crate::ops::config::Config;
use finding::Report;

/// Looks at everything. Takes some seconds where a network does not answer.
pub fn examine(config: &Config) -> Report {
    let mut findings = folder::examine(&config.data_dir);
    findings.extend(disk::examine(&config.data_dir));
    findings.extend(ports::examine(config));
    findings.extend(dns::examine(config.app.http.domain.as_deref()));
    findings.extend(certificate::examine(config));
    findings.push(clock::examine(&config.data_dir));
    findings.push(files::examine(config));
    findings.extend(memory::examine());
    findings.extend(sysctls::examine());
    findings.push(burst::examine());
    Report { findings }
}
