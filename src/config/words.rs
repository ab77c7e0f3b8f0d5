//! The words of the command line beside the settings: which errand the program is on, and that errand's own flags.
//!
//! Without a word it serves. A word comes with every setting too, before or after it, and reads the same variables: what looks after a server
//! then finds it by the settings that the server was started with. An errand's flags that are no setting are listed with it, in [`command`].

use clap::{Arg, ArgAction, ArgMatches, Command};

/// What the program is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Errand {
    #[default]
    Serve,
    /// To ask a running server whether it lives.
    Healthcheck(Healthcheck),
    /// To look whether this machine is fit to serve.
    Doctor { json: bool },
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
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

/// The errand that was asked for, and the matches that hold the settings: a word's own ones hold those given before it too.
pub fn understood(matches: ArgMatches) -> (Errand, ArgMatches) {
    let mut matches = matches;
    let Some((word, mut own)) = matches.remove_subcommand() else { return (Errand::Serve, matches) };
    let errand = match word.as_str() {
        "healthcheck" => Errand::Healthcheck(Healthcheck { url: own.remove_one("url"), ready: own.get_flag("ready") }),
        "doctor" => Errand::Doctor { json: own.get_flag("json") },
        other => unreachable!("{other} is not one of the words above"),
    };
    (errand, own)
}
