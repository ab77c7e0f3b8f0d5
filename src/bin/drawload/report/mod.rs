//! What is told of a run: words for the terminal, `summary.json` for programs. All of it is written from one
//! [`Summary`](crate::outcome::Summary).

pub mod text;

use crate::outcome::Summary;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes the files of a run.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(summary: &Summary, folder: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join("summary.json"))?);
    serde_json::to_writer_pretty(&mut file, summary)?;
    writeln!(file)?;
    file.flush()
}
