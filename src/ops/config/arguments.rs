//! The words of the command line beside the settings: which errand the program is on, and that errand's own flags.
//!
//! Without a word it serves. A word comes with every setting too, before or after it, and reads the same variables: what looks after a server
//! then finds it by the settings that the server was started with. An errand's flags that are no setting are listed with it, in `command`.

use crate::backup::BackupCommand;
use crate::draw::EventId;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::PathBuf;

/// What the program is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subcommand {
    #[default]
    Serve,
    /// To ask a running server whether it lives.
    Healthcheck(Healthcheck),
    /// To look whether this machine is fit to serve.
    Doctor { json: bool },
    /// To keep copies, or bring them back.
    Archive(BackupCommand),
}

/// Whom to ask, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// Where, if not where the settings say.
    pub url: Option<String>,
    /// Whether it has to be ready for work, beyond living.
    pub ready: bool,
}

/// Adds the words to the command line.
pub fn add_to(command: Command) -> Command {
    let url = Arg::new("url").long("url").value_name("URL").help("Ask there; not set: where the settings say");
    let ready = switch("ready").help("Ask for /readyz: whether it takes new work and can keep it");
    let json = switch("json").help("Print a JSON object, for machines");
    command
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the running server whether it lives: 0 it does, 1 it does not")
                .args([url, ready]),
        )
        .subcommand(
            Command::new("doctor")
                .about("Say what is wrong with this machine and how to mend it: 0 nothing is, 1 something is")
                .arg(json),
        )
        .subcommands(archival())
}

fn archival() -> [Command; 4] {
    let path = |arg: Arg, name: &'static str| arg.value_name(name).value_parser(value_parser!(PathBuf));
    let to = |name| path(Arg::new("to").long("to"), name);
    let keep = Arg::new("keep").long("keep").value_name("N").value_parser(value_parser!(u32).range(1..=1_000));
    let event = Arg::new("event").value_name("EVENT").required(true).value_parser(event_id);
    let other = Arg::new("as").long("as").value_name("EVENT").value_parser(event_id);
    [
        Command::new("backup").about("Copy the data folder, also while the server runs, and read the copy back").args([
            to("FOLDER").help("Make it there; not set: in the folder backups of the data folder"),
            keep.help("Keep so many that were asked for; not set: LUCKYDRAW_BACKUP_KEEP"),
        ]),
        Command::new("restore")
            .about("Put a backup in the place of what is in the data folder, which is kept aside; the server must not run")
            .arg(path(Arg::new("from"), "BACKUP").required(true).help("A backup's folder, or a copy of a journal")),
        Command::new("export")
            .about("Write one event into a file that another server can go on with; the file is a secret")
            .args([event, to("FILE").help("Write it there; not set: EVENT.luckydraw")]),
        Command::new("import")
            .about("Take an exported event in; the server must not run")
            .args([path(Arg::new("file"), "FILE").required(true), other.help("Take it in under this name; not set: its own")]),
    ]
}

fn event_id(text: &str) -> Result<EventId, String> {
    EventId::parse(text).ok_or_else(|| format!("an event's name is {}", EventId::RULE))
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// The errand that was asked for, and the matches that hold the settings: a word's own ones hold those given before it too.
pub fn understood(matches: ArgMatches) -> (Subcommand, ArgMatches) {
    let mut matches = matches;
    let Some((word, mut own)) = matches.remove_subcommand() else { return (Subcommand::Serve, matches) };
    let errand = match word.as_str() {
        "healthcheck" => Subcommand::Healthcheck(Healthcheck { url: own.remove_one("url"), ready: own.get_flag("ready") }),
        "doctor" => Subcommand::Doctor { json: own.get_flag("json") },
        "backup" => {
            let keep = own.remove_one::<u32>("keep").map(|keep| keep as usize);
            Subcommand::Archive(BackupCommand::Backup { to: own.remove_one("to"), keep })
        }
        "restore" => Subcommand::Archive(BackupCommand::Restore { from: asked_for(&mut own, "from") }),
        "export" => Subcommand::Archive(BackupCommand::Export { event: asked_for(&mut own, "event"), to: own.remove_one("to") }),
        "import" => {
            Subcommand::Archive(BackupCommand::Import { file: asked_for(&mut own, "file"), as_event: own.remove_one("as") })
        }
        other => unreachable!("{other} is not one of the words above"),
    };
    (errand, own)
}

/// What clap insists on.
fn asked_for<T: Clone + Send + Sync + 'static>(own: &mut ArgMatches, name: &str) -> T {
    own.remove_one(name).expect("clap lets nothing through without what is required")
}
