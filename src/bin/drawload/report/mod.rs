//! What is told of a run: words for the terminal, and in a folder a page for people, `summary.json` for programs, tables for spreadsheets,
//! distributions for the HDR tools, and where it was. All of it is written from one [`Summary`].

mod boxes;
mod csv;
mod environment;
mod hgrm;
mod html;
mod matrix;
mod plots;
mod section;
mod steps;
mod svg;
pub mod text;
mod words;

use crate::outcome::Summary;
use environment::Environment;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes the files of a run.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(summary: &Summary, folder: &Path) -> io::Result<()> {
    in_file(folder, "summary.json", |file| Ok(serde_json::to_writer_pretty(file, summary)?))?;
    in_file(folder, "env.json", |file| Ok(serde_json::to_writer_pretty(file, &Environment::read())?))?;
    in_file(folder, "timeseries.csv", |file| csv::write_timeseries(summary, file))?;
    in_file(folder, "failures.csv", |file| csv::write_failures(summary, file))?;
    for outcome in &summary.scenarios {
        for (name, histogram) in &outcome.histograms {
            in_file(folder, &format!("{}.{name}.hgrm", outcome.scenario), |file| hgrm::write(histogram, file))?;
        }
    }
    fs::write(folder.join("report.html"), html::write(summary))
}

fn in_file(folder: &Path, name: &str, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join(name))?);
    write(&mut file)?;
    file.flush()
}
