//! The lines that a start prints: the address to join, with a QR code for phones, and what to do
//! next, in three lines.
//!
//! The links of stage and console are printed on a terminal only. Elsewhere stdout is most likely
//! kept in a log, and a log must not open either. The admin token is printed nowhere: its link
//! opens the console once, and later the token is read from its file.

use crate::draw::EventId;
use crate::http::bind::{ListenAddress, Protocol};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use std::fmt;
use std::path::Path;

/// Black on bright white, against any colours of the terminal: phones look for dark modules on
/// light ground.
const DARK_ON_LIGHT: &str = "\x1b[30;107m";
const PLAIN: &str = "\x1b[0m";

/// The text printed at the start.
#[derive(Debug)]
pub struct Banner<'b> {
    /// Every address that the server listens on.
    pub listening: &'b [ListenAddress],
    /// As [`lan::join_base`](crate::ops::lan::join_base) gives it.
    pub join_base: &'b str,
    /// The event whose addresses are printed.
    pub event: &'b EventId,
    /// The file that holds the admin token; `None` when the settings hold it.
    pub token_file: Option<&'b Path>,
    /// The readers of the text.
    pub audience: Audience,
    /// The output shows colours.
    pub in_colour: bool,
}

/// The readers of the text, and what only they may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The operator at a terminal.
    Terminal {
        /// The path that opens the stage; `None` where no link can be made.
        stage_path: Option<String>,
        /// The path that opens the console, once.
        console_path: String,
    },
    /// Readers of a log.
    Log,
    /// Every client, in open mode.
    Trusted,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { join_base, event, .. } = self;
        f.write_str(&listening(self.listening))?;
        if self.audience == Audience::Trusted {
            writeln!(f, "\n*** OPEN MODE: every client is trusted, no admin token is asked for. Only for rehearsals. ***")?;
        }
        let join = format!("{join_base}/j/{event}");
        writeln!(f, "\n  {join}\n")?;
        self.write_code(f, &join)?;
        let (stage, console) = self.next_steps();
        writeln!(f, "  1. 휴대폰으로 QR 코드를 찍으세요 · Scan the code with a phone")?;
        writeln!(f, "  2. 무대 · Stage     {stage}")?;
        writeln!(f, "  3. 콘솔 · Console   {console}\n")
    }
}

/// A line per address.
pub fn listening(addresses: &[ListenAddress]) -> String {
    let line = |address: &ListenAddress| {
        let verb = if address.protocol == Protocol::Redirect { "leading on to https from" } else { "listening on" };
        format!("luckydraw is {verb} {}\n", url(address))
    };
    addresses.iter().map(line).collect()
}

/// A listener's address; a scheme's own port is not written.
fn url(ListenAddress { address, protocol }: &ListenAddress) -> String {
    let scheme = protocol.scheme();
    let address = address.to_string();
    let default_port = format!(":{}", scheme.default_port());
    format!("{scheme}://{}", address.strip_suffix(&default_port).unwrap_or(&address))
}

impl Banner<'_> {
    /// The ways to the stage and to the console.
    fn next_steps(&self) -> (String, String) {
        let Self { join_base, event, .. } = self;
        let token = match self.token_file {
            Some(file) => format!("암호 · token: {}", file.display()),
            None => "암호 · token: LUCKYDRAW_ADMIN_TOKEN".into(),
        };
        let console = format!("{join_base}/lottery/admin?event={event}");
        let from_console = || "콘솔의 ‘링크’에서 여세요 · Open it from the console: Links".to_owned();
        match &self.audience {
            Audience::Trusted => (format!("{join_base}/lottery?event={event}"), console),
            Audience::Log => (from_console(), format!("{console}\n     {token}")),
            Audience::Terminal { stage_path, console_path } => (
                stage_path.as_ref().map_or_else(from_console, |path| format!("{join_base}{path}")),
                format!("{join_base}{console_path}\n     한 번만 열립니다 · Opens once. {token}"),
            ),
        }
    }

    /// Writes the QR code of `text` with its quiet zone, two rows of modules per line. A text too
    /// long for any code (beyond 2 kB) gets none.
    fn write_code(&self, f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
        let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return Ok(()) };
        let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
        for line in drawn.lines() {
            match self.in_colour {
                true => writeln!(f, "    {DARK_ON_LIGHT}{line}{PLAIN}")?,
                false => writeln!(f, "    {line}")?,
            }
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: &str = "/lottery/main?event=demo#token=a-link-nobody-may-see";
    const CONSOLE: &str = "/lottery/admin?event=demo#login=a-login-nobody-may-see";

    fn terminal() -> Audience {
        Audience::Terminal { stage_path: Some(STAGE.into()), console_path: CONSOLE.into() }
    }

    fn banner(audience: Audience, token_file: Option<&str>) -> String {
        let in_colour = audience != Audience::Log;
        let banner = Banner {
            listening: &[
                ListenAddress { address: "0.0.0.0:8000".parse().unwrap(), protocol: Protocol::Plain },
                ListenAddress { address: "[::]:443".parse().unwrap(), protocol: Protocol::Tls },
                ListenAddress { address: "0.0.0.0:80".parse().unwrap(), protocol: Protocol::Redirect },
            ],
            join_base: "http://192.168.0.7:8000",
            event: &EventId::parse("demo").unwrap(),
            token_file: token_file.map(Path::new),
            audience,
            in_colour,
        };
        banner.to_string()
    }

    #[test]
    fn the_addresses_are_those_that_phones_reach_without_a_scheme_s_own_port() {
        let text = banner(terminal(), None);
        for address in [
            "on http://0.0.0.0:8000\n",
            "on https://[::]\n",
            "from http://0.0.0.0\n",
            "  http://192.168.0.7:8000/j/demo\n",
            "http://192.168.0.7:8000/lottery/main?event=demo#token=",
            "http://192.168.0.7:8000/lottery/admin?event=demo#login=",
        ] {
            assert!(text.contains(address), "{address} in {text}");
        }
        assert!(!text.contains("OPEN MODE") && banner(Audience::Trusted, None).contains("OPEN MODE"));
    }

    #[test]
    fn three_numbered_lines_say_what_to_do_next() {
        for audience in [terminal(), Audience::Log, Audience::Trusted] {
            let text = banner(audience, None);
            let starts: Vec<_> = text.lines().filter_map(|line| line.trim_start().split_once(". ")).map(|(n, _)| n).collect();
            assert_eq!(starts.iter().filter(|start| start.parse::<u8>().is_ok()).collect::<Vec<_>>(), [&"1", &"2", &"3"]);
        }
    }

    #[test]
    fn links_are_printed_on_a_terminal_only_and_not_where_none_is_needed() {
        let shown = banner(terminal(), Some("/data/admin.token"));
        assert!(shown.contains(STAGE) && shown.contains(CONSOLE) && shown.contains("/data/admin.token"), "{shown}");
        let logged = banner(Audience::Log, Some("/data/admin.token"));
        assert!(!logged.contains('#') && logged.contains("Links") && logged.contains("/data/admin.token"), "{logged}");
        assert!(banner(Audience::Log, None).contains("LUCKYDRAW_ADMIN_TOKEN"));
        let open = banner(Audience::Trusted, None);
        assert!(open.contains("/lottery?event=demo\n") && open.contains("/lottery/admin?event=demo\n"), "{open}");
    }

    #[test]
    fn the_code_is_dark_on_light_with_a_quiet_zone() {
        let text = banner(terminal(), None);
        let rows: Vec<&str> = text.lines().filter_map(|line| line.trim_start().strip_prefix(DARK_ON_LIGHT)).collect();
        let rows: Vec<&str> = rows.iter().map(|row| row.strip_suffix(PLAIN).unwrap()).collect();
        let width = rows[0].chars().count();
        // Four light modules all around: two lines above and below, since a line holds two rows of
        // modules.
        assert!(rows[..2].iter().all(|row| row.trim().is_empty()), "{text}");
        assert!(rows[rows.len() - 2..].iter().all(|row| row.trim().is_empty()));
        for row in &rows {
            assert_eq!(row.chars().count(), width);
            assert!(row.starts_with("    ") && row.ends_with("    "), "{row:?}");
        }
        assert!(rows[2].trim_start().starts_with("█▀▀▀▀▀█"), "a finder pattern in the corner: {:?}", rows[2]);
    }
}
