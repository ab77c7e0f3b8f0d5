//! Workbooks of XLSX: the one visible sheet that has a list.
//!
//! A workbook is a zip of XML, and the library that reads it trusts its claims: the unpacked size,
//! the number of strings, the extent of the sheet. So each file in it is first unpacked here and
//! discarded, counted as it comes and not as it is declared; and cells are read one by one, never
//! as the rectangle that they claim to span. Formulas are not computed: their stored values count,
//! and a formula without one is a fault of its cell.

use super::{COLUMNS_MAX, Fault, Row, Rows, TEXT_BYTES_MAX, Table, TableError, is_error_value};
use crate::sheet::characters::clean;
use calamine::{Data, DataRef, Dimensions, Reader, SheetType, SheetVisible, Xlsx};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

/// The most files in a workbook, and the most unpacked bytes of all of them.
const FILES_MAX: usize = 500;
const UNPACKED_MAX: u64 = 12 << 20;
/// The most sheets of a workbook.
const SHEETS_MAX: usize = 20;
/// The most merged cells of a sheet.
const MERGED_MAX: usize = 10_000;
/// The most digits of a declared count of strings, for which the library reserves memory.
const COUNT_DIGITS_MAX: usize = 6;
/// Formats that show a number as it is stored.
const PLAIN_FORMATS: [&str; 4] = ["General", "0", "@", ""];

type Book<'f> = Xlsx<Cursor<&'f [u8]>>;

/// Reads the visible sheet whose headings are known, else the only one that has cells.
pub fn read(file: &[u8], headings: fn(&[Row]) -> usize) -> Result<Table, TableError> {
    check_bounds(file)?;
    let mut book: Book<'_> = Xlsx::new(Cursor::new(file)).map_err(|_| TableError::Broken)?;
    if book.sheets_metadata().len() > SHEETS_MAX {
        return Err(TableError::TooManySheets);
    }
    let is_shown = |sheet: &&calamine::Sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet;
    let shown: Vec<_> = book.sheets_metadata().iter().filter(is_shown).map(|sheet| sheet.name.clone()).collect();
    let mut found: Vec<(usize, Table)> = Vec::new();
    let mut first_error = None;
    for name in shown {
        match sheet_rows(&mut book, &name) {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => {
                let count = headings(&rows);
                // One heading alone can be a title of another sheet.
                found.push((count, Table { format: "xlsx", encoding: None, sheet: Some(name), rows }));
            }
            // A sheet beside the list can be of any size.
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let most = found.iter().map(|(count, _)| *count).max().unwrap_or(0);
    let floor = most.min(2);
    let sheets = found.len();
    found.retain(|(count, _)| *count >= floor);
    match (found.len(), first_error) {
        (1, None) => Ok(found.remove(0).1),
        (1, Some(_)) if most >= 2 => Ok(found.remove(0).1),
        (_, Some(error)) if most == 0 => Err(error),
        (0, _) => Err(TableError::NoSheet),
        _ if most == 0 && sheets > 1 => Err(TableError::NoList),
        (1, Some(error)) => Err(error),
        _ => Err(TableError::SeveralLists),
    }
}

/// The error of a compound file (MS-CFB): an old workbook, or a workbook behind a password.
pub fn compound_file_error(file: &[u8]) -> TableError {
    let holds = |name: &str| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        file.windows(name.len()).any(|window| window == name)
    };
    if holds("EncryptedPackage") {
        TableError::Encrypted
    } else if holds("WordDocument") || holds("HwpSummaryInformation") || holds("PowerPoint Document") {
        TableError::NoTable
    } else {
        TableError::OldWorkbook
    }
}

fn sheet_rows(book: &mut Book<'_>, name: &str) -> Result<Vec<Row>, TableError> {
    let broken = |_| TableError::Broken;
    let formatted = formatted_numbers(book, name)?;
    let merged = book.merge_cells_by_sheet_name(name).map_err(broken)?;
    if merged.len() > MERGED_MAX {
        return Err(TableError::TooLarge);
    }
    let mut reader = book.worksheet_cells_reader(name).map_err(broken)?;
    let mut rows = Rows::default();
    let (mut at, mut cells, mut faults) = (0, Vec::new(), Vec::new());
    while let Some(next) = reader.next_cell_with_formula_metadata().map_err(broken)? {
        let (line, column) = next.pos;
        if line != at {
            rows.push(u64::from(at) + 1, std::mem::take(&mut cells), std::mem::take(&mut faults))?;
            at = line;
        }
        let (text, fault) = cell(&next.value, next.formula.is_some());
        let fault = fault.or(formatted.get(&next.pos).copied());
        if text.is_empty() && fault.is_none() {
            continue;
        }
        let column = column as usize;
        if column >= COLUMNS_MAX {
            return Err(TableError::TooManyCells);
        }
        if cells.len() <= column {
            cells.resize(column + 1, String::new());
        }
        cells[column] = text;
        faults.extend(fault.map(|fault| (column, fault)));
    }
    rows.push(u64::from(at) + 1, cells, faults)?;
    fill_down(&mut rows, &merged)?;
    Ok(rows.rows)
}

/// The places of numbers that their format shows as something else, or as another number.
fn formatted_numbers(book: &mut Book<'_>, name: &str) -> Result<BTreeMap<(u32, u32), Fault>, TableError> {
    let mut reader = book.worksheet_cells_reader(name).map_err(|_| TableError::Broken)?;
    let mut places = BTreeMap::new();
    while let Some((cell, style)) = reader.next_cell_with_style_id().map_err(|_| TableError::Broken)? {
        let is_number = matches!(cell.get_value(), DataRef::Int(_) | DataRef::Float(_));
        let format = reader.styles().get(style).and_then(|style| style.number_format.as_ref());
        let code = format.map_or("", |format| format.format_code.as_str());
        let (_, column) = cell.get_position();
        if is_number && !PLAIN_FORMATS.contains(&code) && (column as usize) < COLUMNS_MAX {
            places.insert(cell.get_position(), if is_scaled(code) { Fault::Scaled } else { Fault::Formatted });
        }
    }
    Ok(places)
}

/// True for a format that shows a number in per cent, or in thousands by a comma behind its digits.
fn is_scaled(code: &str) -> bool {
    let plain: String = code.split(';').next().unwrap_or("").split('"').step_by(2).collect();
    let behind = plain.rfind(['0', '#', '?']).map_or("", |last| &plain[last + 1..]);
    plain.contains('%') || behind.starts_with(',')
}

/// A cell's text as a person types it, whole numbers without a decimal point.
fn cell(value: &DataRef<'_>, is_formula: bool) -> (String, Option<Fault>) {
    match value {
        DataRef::String(text) => text_cell(text),
        DataRef::SharedString(text) => text_cell(text),
        DataRef::Empty => (String::new(), is_formula.then_some(Fault::NoValue)),
        DataRef::Error(error) => (error.to_string(), Some(Fault::ErrorValue)),
        DataRef::DateTime(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => {
            (clean(&Data::from(value.clone()).to_string()), Some(Fault::Date))
        }
        DataRef::Int(_) | DataRef::Float(_) | DataRef::Bool(_) => (clean(&Data::from(value.clone()).to_string()), None),
    }
}

fn text_cell(text: &str) -> (String, Option<Fault>) {
    let text = clean(text);
    let fault = is_error_value(&text).then_some(Fault::ErrorValue);
    (text, fault)
}

/// Fills merged cells down from their first row, for rows that have cells of their own.
fn fill_down(rows: &mut Rows, merged: &[Dimensions]) -> Result<(), TableError> {
    for Dimensions { start, end } in merged.iter().filter(|merged| merged.end.0 > merged.start.0) {
        let column = start.1 as usize;
        let first = rows.rows.iter().find(|row| row.line == u64::from(start.0) + 1);
        let Some(text) = first.and_then(|row| row.cells.get(column)).filter(|text| !text.is_empty()).cloned() else { continue };
        let fault = first.and_then(|row| row.faults.iter().find(|(place, _)| *place == column)).map(|(_, fault)| *fault);
        let below = u64::from(start.0) + 2..=u64::from(end.0) + 1;
        for row in rows.rows.iter_mut().filter(|row| below.contains(&row.line)) {
            if row.cells.len() <= column {
                row.cells.resize(column + 1, String::new());
            }
            if row.cells[column].is_empty() {
                rows.text_bytes += text.len();
                if rows.text_bytes > TEXT_BYTES_MAX {
                    return Err(TableError::TooLarge);
                }
                row.cells[column].clone_from(&text);
                row.faults.push((column, fault.unwrap_or(Fault::Merged)));
            }
        }
    }
    Ok(())
}

/// Unpacks each file of a workbook once, within the bounds.
fn check_bounds(file: &[u8]) -> Result<(), TableError> {
    let mut zip = zip::ZipArchive::new(Cursor::new(file)).map_err(|_| TableError::Broken)?;
    if zip.len() > FILES_MAX {
        return Err(TableError::TooLarge);
    }
    let mut left = UNPACKED_MAX;
    let mut unpacked = Vec::new();
    for index in 0..zip.len() {
        let packed = zip.by_index(index).map_err(|_| TableError::Broken)?;
        let name = packed.name().map_err(|_| TableError::Broken)?.into_owned();
        if let Some(error) = foreign_format(&name) {
            return Err(error);
        }
        if packed.size() > left {
            return Err(TableError::TooLarge);
        }
        unpacked.clear();
        // One byte over the bound, so that a file larger than declared is noticed.
        packed.take(left + 1).read_to_end(&mut unpacked).map_err(|_| TableError::Broken)?;
        left = left.checked_sub(unpacked.len() as u64).ok_or(TableError::TooLarge)?;
        if name == "mimetype" {
            let is_spreadsheet = unpacked.starts_with(b"application/vnd.oasis.opendocument.spreadsheet");
            return Err(if is_spreadsheet { TableError::OpenDocument } else { TableError::NoTable });
        }
        if promises_too_much(&unpacked) {
            return Err(TableError::TooLarge);
        }
    }
    Ok(())
}

/// The error of a file that only another format has.
fn foreign_format(name: &str) -> Option<TableError> {
    if name == "xl/workbook.bin" {
        return Some(TableError::BinaryWorkbook);
    }
    if name == "word/document.xml" || name == "ppt/presentation.xml" {
        return Some(TableError::NoTable);
    }
    name.ends_with(".iwa").then_some(TableError::Numbers)
}

/// True when XML declares so many strings that reserving memory for them would end the process, or
/// has an encoding that could hide such a count.
fn promises_too_much(xml: &[u8]) -> bool {
    const COUNT: &[u8] = b"uniqueCount";
    if !xml.trim_ascii_start().starts_with(b"<") && !xml.starts_with(b"\xef\xbb\xbf") {
        // A picture, or UTF-16, which no spreadsheet program writes here.
        return xml.starts_with(b"\xff\xfe") || xml.starts_with(b"\xfe\xff") || xml.starts_with(b"\0<");
    }
    let matches = xml.windows(COUNT.len()).enumerate().filter(|(_, window)| *window == COUNT);
    let mut counts = matches.map(|(at, _)| &xml[at + COUNT.len()..]);
    let is_long = |rest: &[u8]| {
        let value =
            rest.iter().skip_while(|byte| byte.is_ascii_whitespace() || matches!(**byte, b'=' | b'"' | b'\'' | b'+' | b'0'));
        value.take_while(|byte| byte.is_ascii_digit()).count() > COUNT_DIGITS_MAX
    };
    counts.any(is_long) || xml.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::columns::count_headings;
    use rust_xlsxwriter::Workbook;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    #[test]
    fn a_format_that_scales_shows_another_number() {
        for code in ["0,", "#,##0,", "#,##0,\"천\"", "0.0,,", "0%", "#,##0.0%;[Red]-0%"] {
            assert!(is_scaled(code), "{code}");
        }
        for code in ["000", "#,##0", "0\"개\"", "0\"%\"", "#,##0\" 매, 모두\"", "#,##0;-#,##0,", "[Red]0"] {
            assert!(!is_scaled(code), "{code}");
        }
    }

    fn workbook_rows(file: &[u8]) -> Result<Vec<Row>, TableError> {
        read(file, count_headings).map(|table| table.rows)
    }

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
    fn the_first_sheet_reads_as_it_looks() {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        sheet.write(0, 0, "경품명").unwrap();
        sheet.write(0, 2, "수량").unwrap();
        sheet.write(4, 0, "😀 =SUM(A1)").unwrap();
        sheet.write(4, 2, 3).unwrap();
        sheet.write(4, 3, true).unwrap();
        workbook.add_worksheet().write(0, 0, "another sheet").unwrap();
        let read = workbook_rows(&workbook.save_to_buffer().unwrap()).unwrap();
        let read: Vec<_> = read.into_iter().map(|row| (row.line, row.cells.join("|"))).collect();
        assert_eq!(read, [(1, "경품명||수량".to_owned()), (5, "😀 =SUM(A1)||3|true".to_owned())]);
    }

    #[test]
    fn a_distant_cell_costs_nothing_and_too_many_are_refused() {
        let with = |cells: &[(u32, u16)]| {
            let mut workbook = Workbook::new();
            let sheet = workbook.add_worksheet();
            cells.iter().for_each(|(row, column)| {
                sheet.write(*row, *column, "x").unwrap();
            });
            workbook_rows(&workbook.save_to_buffer().unwrap()).map(|rows| rows.len())
        };
        assert_eq!(with(&[(0, 0), (1_048_575, 0)]), Ok(2), "the rows between take no memory");
        assert_eq!(with(&[(0, 0), (0, 16_383)]), Err(TableError::TooManyCells));
        let many: Vec<_> = (0..1_200).map(|row| (row, 0)).collect();
        assert_eq!(with(&many), Err(TableError::TooManyRows));
    }

    #[test]
    fn a_zip_bomb_is_refused_while_it_is_small() {
        let blanks = vec![b' '; 13 << 20];
        let bomb = zipped(&[("xl/workbook.xml", &blanks)]);
        assert!(bomb.len() < 100_000, "the packed file is small");
        assert_eq!(workbook_rows(&bomb), Err(TableError::TooLarge));
        let many: Vec<_> = (0..600).map(|index| index.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), &b"<a/>"[..])).collect();
        assert_eq!(workbook_rows(&zipped(&many)), Err(TableError::TooLarge));
        for promise in ["<sst uniqueCount=\"99999999999999\"/>", "<sst uniqueCount = '00099999999999999'/>"] {
            assert_eq!(
                workbook_rows(&zipped(&[("xl/sharedStrings.xml", promise.as_bytes())])),
                Err(TableError::TooLarge),
                "{promise}"
            );
        }
        assert_eq!(workbook_rows(&zipped(&[("readme.txt", b"hello")])), Err(TableError::Broken));
        let mut workbook = Workbook::new();
        (0..21).for_each(|_| {
            workbook.add_worksheet();
        });
        assert_eq!(workbook_rows(&workbook.save_to_buffer().unwrap()), Err(TableError::TooManySheets));
    }
}
