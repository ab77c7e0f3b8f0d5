//! The command line: a flag per setting, and the subcommands with flags of their own.
//!
//! Without a subcommand the program serves. A subcommand takes every setting too, before or after
//! its name, and reads the same variables: a tool that looks after a server finds it by the
//! settings that the server was started with. Values of settings are not checked here.

use crate::backup::BackupCommand;
use crate::draw::EventId;
use crate::ops::config::table::{SETTINGS, Setting};
use clap::builder::UnknownArgumentValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use std::path::PathBuf;

/// The flag that prints the settings.
pub const PRINT_CONFIG: &str = "print-config";

/// Names of other programs for the flag `--bind`.
const BIND_GUESSES: [&str; 3] = ["host", "listen", "port"];

/// The widest line of a help, in characters.
pub const COLUMNS: usize = 80;

/// The program's task.
#[expect(missing_docs, reason = "the variants say what their fields are")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Subcommand {
    /// Serve until a signal.
    #[default]
    Serve,
    /// Serve an event that runs by itself.
    Demo,
    /// Serve phones for an origin elsewhere; `origin_nats` is the NATS between the two.
    Edge { origin_nats: Option<String> },
    /// Print the codes by which edges join; with `name`, that edge's alone.
    EdgeCode { name: Option<String> },
    /// Ask a running server whether it is alive.
    Healthcheck(HealthcheckArguments),
    /// Check whether this machine is fit to serve; with `json`, print the report for machines.
    Doctor { json: bool },
    /// Make or restore a copy.
    Backup(BackupCommand),
    /// Check a proof file, and a phone's receipt against it.
    Verify { proof: PathBuf, receipt: Option<PathBuf> },
    /// Print the licences of all that is in the binary.
    Licences,
    /// Print every setting.
    Settings,
    /// Print a shell's completions.
    Completions(Shell),
    /// Print the manual page.
    Manual,
}

/// The flags of `healthcheck`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthcheckArguments {
    /// The address to ask; `None` for the one in the settings.
    pub url: Option<String>,
    /// Asks for readiness for work, beyond being alive.
    pub ready: bool,
}

/// The command line, whose help leaves the settings to `luckydraw settings`.
pub fn command() -> Command {
    // Defined for each command by clap, from the same table.
    let command = whole_command().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    command.args(BIND_GUESSES.map(not_a_flag)).term_width(COLUMNS)
}

/// The command line with everything that it takes.
pub fn whole_command() -> Command {
    let print = switch(PRINT_CONFIG).global(true).help("Print the settings as NAME=value lines, secrets hidden, and end");
    let url = Arg::new("url").long("url").value_name("URL").help("Ask there; not set: where the settings say");
    let ready = switch("ready").help("Ask for /readyz: whether it takes new work and can keep it");
    let json = switch("json").help("Print a JSON object, for machines");
    Command::new("luckydraw")
        .version(env!("CARGO_PKG_VERSION"))
        .about("a live lucky draw on one small box")
        .arg(print)
        .args(SETTINGS.iter().map(Setting::flag))
        .subcommand(Command::new("demo").about("Serve an event that runs by itself, for a public page").after_help(
            "Simulated phones, a draw per minute, and every hour all is wiped. It keeps\nnothing that matters: \
                     give it a --data-dir of its own, and restart it daily.",
        ))
        .subcommands(edge_commands())
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the running server whether it is alive; exit code 1 if not")
                .args([url, ready]),
        )
        .subcommand(
            Command::new("doctor")
                .about("Report what is wrong with this machine and how to fix it")
                .after_help("Exit code: 0 if nothing is wrong, 1 if something is.")
                .arg(json),
        )
        .subcommands(backup_commands())
        .subcommand(verify_command())
        .subcommands(printing_commands())
}

fn edge_commands() -> [Command; 2] {
    let origin = Arg::new("origin-nats")
        .long("origin-nats")
        .value_name("URL")
        .help("The NATS between the two; not set: LUCKYDRAW_NATS_URL");
    let edge = Command::new("edge").about("Serve phones of an event whose server runs elsewhere").arg(origin).after_help(
        "With --join CODE, which the origin's console gives, it needs nothing else. It\nkeeps nothing: no journal, no key, \
         nothing that is not announced. Stage and\nconsole stay at the origin.",
    );
    let name = Arg::new("name").value_name("NAME").help("The edge's name in NATS; not given: every edge's code");
    let code = Command::new("edge-code")
        .about("Print the codes by which edges join this origin")
        .after_help("A code is a secret. It holds one of LUCKYDRAW_NATS_EDGE_CREDENTIALS.")
        .arg(name);
    [edge, code]
}

fn printing_commands() -> [Command; 4] {
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell));
    [
        Command::new("settings").about("Print every setting, its default and its bounds"),
        Command::new("licences").about("Print the licences of this program and of every package in it"),
        Command::new("completions").about("Print a script that completes this command line").arg(shell.help("For this shell")),
        Command::new("manual").about("Print the manual page; luckydraw manual | man -l -"),
    ]
}

fn backup_commands() -> [Command; 4] {
    let path = |arg: Arg, name: &'static str| arg.value_name(name).value_parser(value_parser!(PathBuf));
    let to = |name| path(Arg::new("to").long("to"), name);
    let keep = Arg::new("keep").long("keep").value_name("N").value_parser(value_parser!(u32).range(1..=1_000));
    let event = Arg::new("event").value_name("EVENT").required(true).value_parser(parse_event);
    let rename = Arg::new("as").long("as").value_name("EVENT").value_parser(parse_event);
    [
        Command::new("backup").about("Copy the data folder, also while the server runs, and verify the copy").args([
            to("FOLDER").help("Make it there; not set: in the folder backups of the data folder"),
            keep.help("Keep so many that were asked for; not set: LUCKYDRAW_BACKUP_KEEP"),
        ]),
        Command::new("restore")
            .about("Put a backup back; the server must not run")
            .after_help("It replaces the data folder's contents; the old ones are kept aside.")
            .arg(path(Arg::new("from"), "BACKUP").required(true).help("A backup's folder, or a copy of a journal")),
        Command::new("export")
            .about("Write one event into a file, for another server to go on with")
            .after_help("The file is a secret. One that is there is not overwritten.")
            .args([event, to("FILE").help("Write it there; not set: EVENT.luckydraw")]),
        Command::new("import")
            .about("Take in an exported event; the server must not run")
            .args([path(Arg::new("file"), "FILE").required(true), rename.help("Import it under this name; not set: its own")]),
    ]
}

fn verify_command() -> Command {
    let path = |name: &'static str| Arg::new(name).value_name("FILE").value_parser(value_parser!(PathBuf));
    Command::new("verify")
        .about("Check a proof without any server")
        .after_help("Exit code: 0 if it holds, 1 if not, 2 if there is none to read.")
        .args([path("proof").required(true), path("receipt").long("receipt").help("A phone's receipt, from its verify page")])
}

fn parse_event(text: &str) -> Result<EventId, String> {
    EventId::parse(text).ok_or_else(|| format!("an event's name is {}", EventId::RULE))
}

/// A flag that does not exist, whose refusal names `--bind`.
fn not_a_flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).global(true).hide(true).value_parser(UnknownArgumentValueParser::suggest_arg("--bind"))
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// The subcommand, and the matches that hold the settings: a subcommand's matches hold those given
/// before it too.
pub fn split_subcommand(mut matches: ArgMatches) -> (Subcommand, ArgMatches) {
    let Some((name, mut own)) = matches.remove_subcommand() else { return (Subcommand::Serve, matches) };
    let subcommand = match name.as_str() {
        "healthcheck" => {
            Subcommand::Healthcheck(HealthcheckArguments { url: own.remove_one("url"), ready: own.get_flag("ready") })
        }
        "demo" => Subcommand::Demo,
        "edge" => Subcommand::Edge { origin_nats: own.remove_one("origin-nats") },
        "edge-code" => Subcommand::EdgeCode { name: own.remove_one("name") },
        "licences" => Subcommand::Licences,
        "settings" => Subcommand::Settings,
        "completions" => Subcommand::Completions(required(&mut own, "shell")),
        "manual" => Subcommand::Manual,
        "doctor" => Subcommand::Doctor { json: own.get_flag("json") },
        "backup" => {
            let keep = own.remove_one::<u32>("keep").map(|keep| keep as usize);
            Subcommand::Backup(BackupCommand::Backup { to: own.remove_one("to"), keep })
        }
        "restore" => Subcommand::Backup(BackupCommand::Restore { from: required(&mut own, "from") }),
        "export" => Subcommand::Backup(BackupCommand::Export { event: required(&mut own, "event"), to: own.remove_one("to") }),
        "import" => {
            Subcommand::Backup(BackupCommand::Import { file: required(&mut own, "file"), as_event: own.remove_one("as") })
        }
        "verify" => Subcommand::Verify { proof: required(&mut own, "proof"), receipt: own.remove_one("receipt") },
        other => unreachable!("{other} is not a subcommand above"),
    };
    (subcommand, own)
}

fn required<T: Clone + Send + Sync + 'static>(own: &mut ArgMatches, name: &str) -> T {
    own.remove_one(name).expect("clap refuses a command line without its required arguments")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Option<Subcommand> {
        let matches = command().try_get_matches_from(std::iter::once("luckydraw").chain(line.split_whitespace()));
        matches.ok().map(|matches| split_subcommand(matches).0)
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn each_backup_command_has_its_own_arguments() {
        let gala = EventId::parse("gala").unwrap();
        for (line, expected) in [
            ("backup", BackupCommand::Backup { to: None, keep: None }),
            ("backup --to /b --keep 3", BackupCommand::Backup { to: Some("/b".into()), keep: Some(3) }),
            ("restore /b/1", BackupCommand::Restore { from: "/b/1".into() }),
            ("export gala", BackupCommand::Export { event: gala.clone(), to: None }),
            ("import f --as gala", BackupCommand::Import { file: "f".into(), as_event: Some(gala.clone()) }),
        ] {
            assert_eq!(check(line), Some(Subcommand::Backup(expected)), "{line}");
        }
        for line in ["restore", "export", "export a/b", "export events", "import", "backup --keep 0", "backup --keep 1001"] {
            assert_eq!(check(line), None, "{line}");
        }
    }
}
