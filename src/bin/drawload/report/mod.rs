//! Reports of a run: text for the terminal, and in a folder a page, `summary.json`, tables for
//! spreadsheets, distributions, and the environment. All are written from one [`Summary`].

mod chart;
mod files;
mod html;
mod labels;
mod matrix;
mod plots;
mod section;
mod sizing;
pub mod terminal;

use crate::run::summary::Summary;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes the files of a run.
pub fn write(summary: &Summary, folder: &Path) -> io::Result<()> {
    in_file(folder, "summary.json", |file| Ok(serde_json::to_writer_pretty(file, summary)?))?;
    in_file(folder, "env.json", |file| Ok(serde_json::to_writer_pretty(file, &files::Environment::read())?))?;
    in_file(folder, "timeseries.csv", |file| files::write_timeseries(summary, file))?;
    in_file(folder, "failures.csv", |file| files::write_failures(summary, file))?;
    for outcome in &summary.scenarios {
        for (name, histogram) in &outcome.histograms {
            in_file(folder, &format!("{}.{name}.hgrm", outcome.scenario), |file| files::write_hgrm(histogram, file))?;
        }
    }
    fs::write(folder.join("report.html"), html::page(summary))
}

fn in_file(folder: &Path, name: &str, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(folder.join(name))?);
    write(&mut file)?;
    file.flush()
}
