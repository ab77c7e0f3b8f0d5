//! The first sheet of an XLSX workbook, opened as if somebody meant harm by it.
//!
//! A workbook is a zip of XML, and the library that reads it believes what it says: of how large it is unpacked, how many strings it has and how far
//! its sheet reaches. So everything is unpacked once here and thrown away, counted as it comes and not as it is declared, before the library sees any
//! of it; and cells are taken one by one, never as the rectangle they claim to span. Formulas are not computed: their kept values count.

use super::table::{COLUMNS_MAX, ROWS_MAX, Row, Unreadable, cell, push};
use calamine::{Data, DataRef, Reader, Xlsx};
use std::io::{Cursor, Read};

/// The most files in the zip, and bytes of them unpacked.
const FILES_MAX: usize = 500;
const UNPACKED_MAX: u64 = 12 << 20;
/// The most sheets.
const SHEETS_MAX: usize = 20;
/// The most digits of a count of strings that is reserved for in advance.
const COUNT_DIGITS_MAX: usize = 6;

/// The rows of the first sheet.
pub(super) fn rows(file: &[u8]) -> Result<Vec<Row>, Unreadable> {
    check(file)?;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).map_err(|_| Unreadable::Broken)?;
    let sheets = workbook.sheet_names();
    if sheets.len() > SHEETS_MAX {
        return Err(Unreadable::TooManySheets);
    }
    let first = sheets.first().cloned().ok_or(Unreadable::Broken)?;
    let mut cells = workbook.worksheet_cells_reader(&first).map_err(|_| Unreadable::Broken)?;
    let mut rows = Vec::new();
    let (mut at, mut row) = (0, Vec::new());
    while let Some(next) = cells.next_cell().map_err(|_| Unreadable::Broken)? {
        let (line, column) = next.get_position();
        if line != at {
            push(&mut rows, u64::from(at) + 1, std::mem::take(&mut row))?;
            at = line;
        }
        let text = text(next.get_value());
        if text.is_empty() {
            continue;
        }
        let column = column as usize;
        if column >= COLUMNS_MAX {
            return Err(Unreadable::TooManyCells);
        }
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        row[column] = text;
    }
    push(&mut rows, u64::from(at) + 1, row)?;
    debug_assert!(rows.len() <= ROWS_MAX);
    Ok(rows)
}

/// Unpacks everything once, within bounds.
fn check(file: &[u8]) -> Result<(), Unreadable> {
    let mut zip = zip::ZipArchive::new(Cursor::new(file)).map_err(|_| Unreadable::Broken)?;
    if zip.len() > FILES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let mut left = UNPACKED_MAX;
    let mut unpacked = Vec::new();
    for index in 0..zip.len() {
        let packed = zip.by_index(index).map_err(|_| Unreadable::Broken)?;
        if packed.size() > left {
            return Err(Unreadable::TooLarge);
        }
        unpacked.clear();
        // One byte more than may be: what is declared smaller than it is shows here.
        packed.take(left + 1).read_to_end(&mut unpacked).map_err(|_| Unreadable::Broken)?;
        left = left.checked_sub(unpacked.len() as u64).ok_or(Unreadable::TooLarge)?;
        if promises_too_much(&unpacked) {
            return Err(Unreadable::TooLarge);
        }
    }
    Ok(())
}

/// Whether XML declares so many strings that making room for them would end the process, or is in an encoding in which that could hide.
fn promises_too_much(xml: &[u8]) -> bool {
    const COUNT: &[u8] = b"uniqueCount";
    if !xml.trim_ascii_start().starts_with(b"<") && !xml.starts_with(b"\xef\xbb\xbf") {
        // A picture, or UTF-16, which no program writes here.
        return xml.starts_with(b"\xff\xfe") || xml.starts_with(b"\xfe\xff") || xml.starts_with(b"\0<");
    }
    let places = xml.windows(COUNT.len()).enumerate().filter(|(_, window)| *window == COUNT);
    let mut counts = places.map(|(at, _)| &xml[at + COUNT.len()..]);
    let is_long = |rest: &[u8]| {
        let value =
            rest.iter().skip_while(|byte| byte.is_ascii_whitespace() || matches!(**byte, b'=' | b'"' | b'\'' | b'+' | b'0'));
        value.take_while(|byte| byte.is_ascii_digit()).count() > COUNT_DIGITS_MAX
    };
    counts.any(is_long) || xml.contains(&0)
}

/// A value as it would be typed: whole numbers without a point.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(text) => cell(text),
        DataRef::SharedString(text) => cell(text),
        DataRef::Empty | DataRef::Error(_) => String::new(),
        other => cell(&Data::from(other.clone()).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_xlsxwriter::Workbook;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    /// A zip of files with these names and contents.
    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn the_first_sheet_comes_out_as_it_looks() {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write(0, 0, "경품명").unwrap();
        sheet.write(0, 2, "수량").unwrap();
        sheet.write(4, 0, "😀 =SUM(A1)").unwrap();
        sheet.write(4, 2, 3).unwrap();
        sheet.write(4, 3, true).unwrap();
        workbook.add_worksheet().write(0, 0, "another sheet").unwrap();
        let read = rows(&workbook.save_to_buffer().unwrap()).unwrap();
        let read: Vec<_> = read.into_iter().map(|row| (row.line, row.cells.join("|"))).collect();
        assert_eq!(read, [(1, "경품명||수량".to_owned()), (5, "😀 =SUM(A1)||3|true".to_owned())]);
    }

    #[test]
    fn a_cell_far_away_costs_nothing_and_too_many_are_refused() {
        let with = |cells: &[(u32, u16)]| {
            let mut workbook = Workbook::new();
            let sheet = workbook.add_worksheet();
            cells.iter().for_each(|(row, column)| {
                sheet.write(*row, *column, "x").unwrap();
            });
            rows(&workbook.save_to_buffer().unwrap()).map(|rows| rows.len())
        };
        assert_eq!(with(&[(0, 0), (1_048_575, 0)]), Ok(2), "the rows between are nowhere");
        assert_eq!(with(&[(0, 0), (0, 16_383)]), Err(Unreadable::TooManyCells));
        let many: Vec<_> = (0..1_200).map(|row| (row, 0)).collect();
        assert_eq!(with(&many), Err(Unreadable::TooManyRows));
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        let noughts = vec![b' '; 13 << 20];
        let bomb = zipped(&[("xl/workbook.xml", &noughts)]);
        assert!(bomb.len() < 100_000, "it is small while it is packed");
        assert_eq!(rows(&bomb), Err(Unreadable::TooLarge));
        let many: Vec<_> = (0..600).map(|index| index.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), &b"<a/>"[..])).collect();
        assert_eq!(rows(&zipped(&many)), Err(Unreadable::TooLarge));
        for promise in ["<sst uniqueCount=\"99999999999999\"/>", "<sst uniqueCount = '00099999999999999'/>"] {
            assert_eq!(rows(&zipped(&[("xl/sharedStrings.xml", promise.as_bytes())])), Err(Unreadable::TooLarge), "{promise}");
        }
        assert_eq!(rows(&zipped(&[("readme.txt", b"hello")])), Err(Unreadable::Broken));
        let mut workbook = Workbook::new();
        (0..21).for_each(|_| {
            workbook.add_worksheet();
        });
        assert_eq!(rows(&workbook.save_to_buffer().unwrap()), Err(Unreadable::TooManySheets));
    }
}
