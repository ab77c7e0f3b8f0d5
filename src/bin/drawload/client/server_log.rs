//! The server's log while a scenario runs: lines that report an error.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Lines that are kept; the others are only counted.
const LINES_MAX: usize = 1_000;

/// Characters of a line that are kept.
const LINE_CHARS_MAX: usize = 300;

/// A log from a place on.
pub struct ServerLog {
    path: PathBuf,
    from: u64,
}

impl ServerLog {
    /// The log from its end on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn follow(path: &Path) -> io::Result<Self> {
        File::open(path)?;
        Ok(Self { path: path.to_owned(), from: std::fs::metadata(path)?.len() })
    }

    /// Lines since then that report an error or a panic. A log that was cut or cannot be read is
    /// one too: nothing is known of what it held.
    pub fn errors(&self) -> Vec<String> {
        self.read().unwrap_or_else(|error| vec![format!("the log cannot be read: {error}")])
    }

    fn read(&self) -> io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.from {
            return Err(io::Error::other("it is shorter than before"));
        }
        file.seek(SeekFrom::Start(self.from))?;
        let mut errors = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if reports_error(&line) && errors.len() < LINES_MAX {
                errors.push(line.chars().take(LINE_CHARS_MAX).collect());
            }
        }
        Ok(errors)
    }
}

/// Tells whether a line reports an error, as text or as JSON.
fn reports_error(line: &str) -> bool {
    let level = line.split_once("\"level\":\"").map(|(_, rest)| rest);
    let is_error = level.map_or_else(|| line.split_whitespace().any(|word| word == "ERROR"), |level| level.starts_with("ERROR"));
    is_error || line.contains("panicked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_since_the_log_was_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        std::fs::write(&path, "t ERROR luckydraw: old\n").unwrap();
        let log = ServerLog::follow(&path).unwrap();
        assert_eq!(log.errors(), Vec::<String>::new());
        let more = "t ERROR luckydraw: old\nt  WARN luckydraw: an ERRORS\nt ERROR luckydraw::store: disk\n{\"level\":\"INFO\",\"m\":\" ERROR \"}\n\
            {\"t\":1,\"level\":\"ERROR\"}\nthread 'x' panicked at src\n";
        std::fs::write(&path, more).unwrap();
        assert_eq!(log.errors().len(), 3, "{:?}", log.errors());
        std::fs::write(&path, "").unwrap();
        assert!(log.errors()[0].contains("shorter"));
        assert!(ServerLog::follow(&folder.path().join("none")).is_err());
    }
}
