//! The lines that a start prints: the address to join, with a QR code for phones, and those of the
//! stage and the console.
//!
//! The admin token and the stage's link are printed on a terminal only. Elsewhere stdout is most
//! likely kept in a log, and a log must not open the console or the stage.

use crate::draw::EventId;
use crate::http::bind::{ListenAddress, Protocol};
use crate::ops::admin_token::AdminToken;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use std::fmt;

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
    /// The token, or the file that holds it.
    pub admin_token: &'b AdminToken,
    /// The path that opens the stage, with the token of its link; `None` without such a link.
    pub stage_path: Option<&'b str>,
    /// Open mode: every client is trusted.
    pub open: bool,
    /// True if stdout is a terminal.
    pub on_terminal: bool,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { join_base, event, .. } = self;
        for ListenAddress { address, protocol } in self.listening {
            let verb = if *protocol == Protocol::Redirect { "leading on to https from" } else { "listening on" };
            writeln!(f, "luckydraw is {verb} {}://{address}", protocol.scheme())?;
        }
        if self.open {
            writeln!(f, "\n*** OPEN MODE: every client is trusted, no admin token is asked for. Only for rehearsals. ***")?;
        }
        let join = format!("{join_base}/j/{event}");
        writeln!(f, "\n  join  참가   {join}\n")?;
        self.write_code(f, &join)?;
        match (self.stage_path, self.open) {
            (_, true) => writeln!(f, "  stage 무대   {join_base}/lottery?event={event}")?,
            // The link shows winners before the phones do, so no log has it.
            (Some(path), _) if self.on_terminal => writeln!(f, "  stage 무대   {join_base}{path}")?,
            _ => writeln!(f, "  stage 무대   open it from the console: 링크 · Links")?,
        }
        writeln!(f, "  admin 관리   {join_base}/lottery/admin?event={event}")?;
        match (&self.admin_token.file, self.on_terminal) {
            (_, true) => writeln!(f, "  token 암호   {}\n", self.admin_token.secret.expose()),
            (Some(file), false) => writeln!(f, "  token 암호   in {}\n", file.display()),
            (None, false) => writeln!(f, "  token 암호   the one that LUCKYDRAW_ADMIN_TOKEN says\n"),
        }
    }
}

impl Banner<'_> {
    /// Writes the QR code of `text` with its quiet zone, two rows of modules per line. A text too
    /// long for any code (beyond 2 kB) gets none.
    fn write_code(&self, f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
        let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return Ok(()) };
        let drawn = code.render::<Dense1x2>().quiet_zone(true).build();
        for line in drawn.lines() {
            match self.on_terminal {
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
    use crate::base::secret::Secret;
    use std::path::PathBuf;

    const TOKEN: &str = "a-token-nobody-may-see";
    const STAGE: &str = "/lottery/main?event=demo#token=a-link-nobody-may-see";

    fn banner(on_terminal: bool, file: Option<&str>, open: bool) -> String {
        let admin_token = AdminToken { secret: Secret::parse(TOKEN).unwrap(), file: file.map(PathBuf::from) };
        let banner = Banner {
            listening: &[
                ListenAddress { address: "0.0.0.0:8000".parse().unwrap(), protocol: Protocol::Plain },
                ListenAddress { address: "[::]:443".parse().unwrap(), protocol: Protocol::Tls },
            ],
            join_base: "http://192.168.0.7:8000",
            event: &EventId::parse("demo").unwrap(),
            admin_token: &admin_token,
            stage_path: Some(STAGE),
            open,
            on_terminal,
        };
        banner.to_string()
    }

    #[test]
    fn the_addresses_are_those_that_phones_reach() {
        let text = banner(true, None, false);
        for address in [
            "http://0.0.0.0:8000\n",
            "https://[::]:443\n",
            "http://192.168.0.7:8000/j/demo",
            "http://192.168.0.7:8000/lottery/main?event=demo#token=",
            "/lottery/admin?event=demo",
        ] {
            assert!(text.contains(address), "{address} in {text}");
        }
        assert!(!text.contains("OPEN MODE") && banner(true, None, true).contains("OPEN MODE"));
    }

    #[test]
    fn the_token_is_printed_on_a_terminal_only() {
        assert!(banner(true, Some("/data/admin.token"), false).contains(TOKEN));
        let logged = banner(false, Some("/data/admin.token"), false);
        assert!(!logged.contains(TOKEN) && logged.contains("/data/admin.token"), "{logged}");
        assert!(!banner(false, None, false).contains(TOKEN));
    }

    #[test]
    fn the_stage_s_link_is_printed_on_a_terminal_only_and_not_where_none_is_needed() {
        assert!(banner(true, None, false).contains(STAGE));
        let logged = banner(false, None, false);
        assert!(!logged.contains("nobody-may-see") && logged.contains("Links"), "{logged}");
        assert!(banner(true, None, true).contains("/lottery?event=demo") && !banner(true, None, true).contains("#token"));
    }

    #[test]
    fn the_code_is_dark_on_light_with_a_quiet_zone() {
        let text = banner(true, None, false);
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
