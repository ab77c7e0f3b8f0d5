//! The texts of the help: the commands in groups, the settings as a list, and what installs them,
//! namely completions for shells and a manual page.
//!
//! All of them are made of the command line's own definition, and none is wider than 80 columns.
//! clap's own list would mix nine commands with some forty settings.

use crate::ops::config::arguments::{self, COLUMNS};
use crate::ops::config::table::SETTINGS;
use clap_complete::Shell;
use std::io;

/// The commands by what they are for. Each is in one group.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Serve otherwise", &["demo", "edge", "edge-code"]),
    ("Check", &["doctor", "healthcheck", "verify"]),
    ("Copy and move", &["backup", "restore", "export", "import"]),
    ("Read and install", &["settings", "licences", "completions", "manual"]),
];

/// Settings that a first start may need.
const FIRST_SETTINGS: [&str; 3] = ["bind", "data-dir", "domain"];

/// Columns of an entry's name.
const NAME_COLUMNS: usize = 15;

/// The text of `luckydraw --help`.
pub fn overview() -> String {
    let command = arguments::command();
    let about = |name: &str| command.find_subcommand(name).and_then(|found| found.get_about()).map(ToString::to_string);
    let mut text = format!(
        "luckydraw {}: {}\n\nUsage: luckydraw [--SETTING VALUE]…    serve, and print addresses and QR code\n       \
         luckydraw COMMAND [--SETTING VALUE]…\n",
        env!("CARGO_PKG_VERSION"),
        command.get_about().map(ToString::to_string).unwrap_or_default(),
    );
    for (title, names) in GROUPS {
        text.push_str(&format!("\n{title}:\n"));
        names.iter().for_each(|name| push_entry(&mut text, name, &about(name).unwrap_or_default()));
    }
    text.push_str("\nSettings, as flags or environment variables; `luckydraw settings` lists all:\n");
    for setting in SETTINGS.iter().filter(|setting| FIRST_SETTINGS.contains(&setting.flag)) {
        push_entry(&mut text, &format!("--{}", setting.flag), &setting.explanation());
    }
    text.push_str("\n`luckydraw COMMAND --help` explains one command.\n");
    text
}

/// The text of `luckydraw settings`: every setting with its default and bounds.
pub fn settings() -> String {
    let mut text = String::from(
        "Every setting is a flag and an environment variable; the flag takes precedence.\nAn empty variable counts as not set.\n",
    );
    for setting in SETTINGS {
        text.push_str(&format!("\n--{} {}   {}\n", setting.flag, setting.placeholder(), setting.variable()));
        push_wrapped(&mut text, "    ", &setting.explanation());
    }
    text
}

/// A shell's completions.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::whole_command(), "luckydraw", &mut script);
    String::from_utf8(script).expect("a completion script is UTF-8")
}

/// The manual page, for `man`.
///
/// # Errors
/// None: it is written to memory.
pub fn manual() -> io::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(arguments::whole_command()).render(&mut page)?;
    Ok(String::from_utf8(page).expect("a manual page is UTF-8"))
}

/// Adds a name and its explanation, the lines of which stand in a column of their own.
fn push_entry(text: &mut String, name: &str, explanation: &str) {
    let mut lines = String::new();
    push_wrapped(&mut lines, &" ".repeat(NAME_COLUMNS), explanation);
    text.push_str(&format!("  {name:<width$}{}", &lines[NAME_COLUMNS..], width = NAME_COLUMNS - 2));
}

/// Adds words in lines of at most [`COLUMNS`], each after `indent`. A longer word has a line of its
/// own.
fn push_wrapped(text: &mut String, indent: &str, words: &str) {
    let mut columns = 0;
    for word in words.split(' ') {
        let width = word.chars().count();
        if columns > 0 && columns + 1 + width > COLUMNS {
            text.push('\n');
            columns = 0;
        }
        text.push_str(if columns == 0 { indent } else { " " });
        text.push_str(word);
        columns = if columns == 0 { indent.chars().count() } else { columns + 1 } + width;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn assert_fits(text: &str) {
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > COLUMNS).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }

    #[test]
    fn every_command_is_in_one_group() {
        let grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let command = arguments::command();
        let defined: BTreeSet<_> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert_eq!(grouped.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), defined);
        assert_eq!(grouped.len(), defined.len(), "{grouped:?}");
    }

    #[test]
    fn no_line_of_any_help_is_wider_than_80_columns_and_no_word_is_broken() {
        assert_fits(&overview());
        let listed = settings();
        let long = |line: &&str| line.contains("://");
        assert_fits(&listed.lines().filter(|line| !long(line)).collect::<Vec<_>>().join("\n"));
        for setting in SETTINGS {
            for word in setting.explanation().split(' ') {
                assert!(listed.contains(word), "{word}");
            }
        }
        for command in arguments::command().get_subcommands() {
            let help = arguments::command().try_get_matches_from(["luckydraw", command.get_name(), "--help"]).unwrap_err();
            assert_fits(&help.render().to_string());
        }
    }

    #[test]
    fn the_settings_are_listed_with_their_defaults_and_bounds() {
        let text = settings();
        for setting in SETTINGS {
            assert!(text.contains(&setting.variable()), "{}", setting.name);
        }
        let flowing = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flowing.contains("0 to 120000 ms") && flowing.contains("[default: 10000]"), "{text}");
    }

    #[test]
    fn completions_and_manual_know_commands_and_settings() {
        let shells = [Shell::Bash, Shell::Zsh, Shell::Fish].map(completions);
        for text in shells.iter().map(String::as_str).chain([manual().unwrap().replace('\\', "").as_str()]) {
            for word in ["healthcheck", "restore", "participants-max", "LUCKYDRAW_BACKUP_KEEP"] {
                assert!(text.contains(word) || word.starts_with("LUCKY") && text.contains("_luckydraw()"), "{word} in {text}");
            }
        }
    }
}
