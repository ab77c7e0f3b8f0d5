//! Tables from any file that a spreadsheet program gives: pasted TSV, CSV in the encodings of
//! Korean offices, XLSX.
//!
//! The format is detected from the bytes, never from the name. Text without a byte order mark is
//! UTF-8 if it is valid UTF-8, else CP949, which Excel saves in Korea; the other order would turn
//! every UTF-8 file into nonsense.
//!
//! A workbook is a zip of XML, and the library that reads it trusts its claims: the unpacked size,
//! the number of strings, the extent of the sheet. So each file in it is first unpacked here and
//! discarded, counted as it comes and not as it is declared; and cells are read one by one, never
//! as the rectangle that they claim to span. Formulas are not computed: their stored values count.
//! No file may be read without a bound on rows, cells and bytes, since a few bytes can promise
//! many.

use crate::draw::decide::PRIZES_MAX;
use calamine::{Data, DataRef, Reader, Xlsx};
use encoding_rs::{EUC_KR, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;
use std::io::{Cursor, Read};

/// The most rows of a table: a heading, and one row per prize of a full list.
pub const ROWS_MAX: usize = PRIZES_MAX as usize + 1;
/// The most cells per row.
pub const COLUMNS_MAX: usize = 64;
/// The most files in a workbook, and the most unpacked bytes of all of them.
const FILES_MAX: usize = 500;
const UNPACKED_MAX: u64 = 12 << 20;
/// The most sheets of a workbook.
const SHEETS_MAX: usize = 20;
/// The most digits of a declared count of strings, for which the library reserves memory.
const COUNT_DIGITS_MAX: usize = 6;

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// `xlsx`, `tsv` or `csv`.
    pub format: &'static str,
    /// The encoding of a text file.
    pub encoding: Option<&'static str>,
    /// The rows that are not empty.
    pub rows: Vec<Row>,
}

/// A row that is not empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The cells, trimmed.
    pub cells: Vec<String>,
}

/// The reason why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Neither text nor a workbook.
    #[error("this is neither text nor an XLSX workbook")]
    NoTable,
    /// A workbook from before 2007.
    #[error("this is an old .xls workbook: save it as .xlsx")]
    OldWorkbook,
    /// A workbook that cannot be parsed.
    #[error("the workbook is broken")]
    Broken,
    /// A workbook over the bounds of this module.
    #[error("the workbook is too large when it is unpacked")]
    TooLarge,
    /// A workbook of too many sheets.
    #[error("the workbook has too many sheets")]
    TooManySheets,
    /// A table of too many rows.
    #[error("there are more than {} rows", ROWS_MAX - 1)]
    TooManyRows,
    /// A row of too many cells.
    #[error("a row has more than {COLUMNS_MAX} cells")]
    TooManyCells,
}

/// Reads a file. Takes up to seconds, so callers run it outside their async threads.
///
/// # Errors
/// When the file is no table, or over a bound.
pub fn read(file: &[u8]) -> Result<Table, TableError> {
    match file {
        [b'P', b'K', 3, 4, ..] => Ok(Table { format: "xlsx", encoding: None, rows: workbook_rows(file)? }),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(TableError::OldWorkbook),
        _ => {
            let (encoding, text) = decoded(file)?;
            let delimiter = delimiter(&text);
            let format = if delimiter == b'\t' { "tsv" } else { "csv" };
            Ok(Table { format, encoding: Some(encoding), rows: text_rows(&text, delimiter)? })
        }
    }
}

/// A cell on one line, trimmed.
fn one_line(text: &str) -> String {
    text.split(['\r', '\n', '\t']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn decoded(file: &[u8]) -> Result<(&'static str, Cow<'_, str>), TableError> {
    let encoding = encoding(file);
    // Removes the byte order mark.
    let (text, had_errors) = encoding.decode_with_bom_removal(file);
    if had_errors || text.contains('\0') {
        return Err(TableError::NoTable);
    }
    let name = if encoding == EUC_KR {
        "cp949"
    } else if encoding == UTF_16LE {
        "utf-16le"
    } else if encoding == UTF_16BE {
        "utf-16be"
    } else {
        "utf-8"
    };
    Ok((name, text))
}

fn encoding(file: &[u8]) -> &'static Encoding {
    if let Some((marked, _)) = Encoding::for_bom(file) {
        return marked;
    }
    let zeros = |parity| file.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    match (zeros(0), zeros(1)) {
        // Commas and line ends of UTF-16 include a zero byte, and no other text does.
        (before, after) if before > after => UTF_16BE,
        (_, after) if after > 0 => UTF_16LE,
        _ if std::str::from_utf8(file).is_ok() => UTF_8,
        _ => EUC_KR,
    }
}

/// The delimiter of the cells: a tab if the first line has one, else the more frequent of comma and
/// semicolon.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let count = |c| first.matches(c).count();
    match () {
        () if first.contains('\t') => b'\t',
        () if count(';') > count(',') => b';',
        () if count(',') == 0 && text.contains('\t') => b'\t',
        () => b',',
    }
}

fn text_rows(text: &str, delimiter: u8) -> Result<Vec<Row>, TableError> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for record in reader.records() {
        let record = record.map_err(|_| TableError::NoTable)?;
        if record.len() > COLUMNS_MAX {
            return Err(TableError::TooManyCells);
        }
        // The reader's own line count is one short after a CRLF, and leaves out skipped lines.
        let begin = record.position().map_or(counted, |position| position.byte() as usize);
        let skipped = text.as_bytes()[begin..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        line += text.as_bytes()[counted..begin + skipped].iter().filter(|byte| **byte == b'\n').count() as u64;
        counted = begin + skipped;
        push_row(&mut rows, line, record.iter().map(one_line).collect())?;
    }
    Ok(rows)
}

/// Adds a row, unless it is empty.
fn push_row(rows: &mut Vec<Row>, line: u64, cells: Vec<String>) -> Result<(), TableError> {
    if cells.iter().all(String::is_empty) {
        return Ok(());
    }
    if rows.len() == ROWS_MAX {
        return Err(TableError::TooManyRows);
    }
    rows.push(Row { line, cells });
    Ok(())
}

/// The rows of a workbook's first sheet.
fn workbook_rows(file: &[u8]) -> Result<Vec<Row>, TableError> {
    check_bounds(file)?;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).map_err(|_| TableError::Broken)?;
    let sheets = workbook.sheet_names();
    if sheets.len() > SHEETS_MAX {
        return Err(TableError::TooManySheets);
    }
    let first = sheets.first().cloned().ok_or(TableError::Broken)?;
    let mut cells = workbook.worksheet_cells_reader(&first).map_err(|_| TableError::Broken)?;
    let mut rows = Vec::new();
    let (mut at, mut row) = (0, Vec::new());
    while let Some(next) = cells.next_cell().map_err(|_| TableError::Broken)? {
        let (line, column) = next.get_position();
        if line != at {
            push_row(&mut rows, u64::from(at) + 1, std::mem::take(&mut row))?;
            at = line;
        }
        let text = cell_text(next.get_value());
        if text.is_empty() {
            continue;
        }
        let column = column as usize;
        if column >= COLUMNS_MAX {
            return Err(TableError::TooManyCells);
        }
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        row[column] = text;
    }
    push_row(&mut rows, u64::from(at) + 1, row)?;
    debug_assert!(rows.len() <= ROWS_MAX);
    Ok(rows)
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
        if packed.size() > left {
            return Err(TableError::TooLarge);
        }
        unpacked.clear();
        // One byte over the bound, so that a file larger than declared is noticed.
        packed.take(left + 1).read_to_end(&mut unpacked).map_err(|_| TableError::Broken)?;
        left = left.checked_sub(unpacked.len() as u64).ok_or(TableError::TooLarge)?;
        if promises_too_much(&unpacked) {
            return Err(TableError::TooLarge);
        }
    }
    Ok(())
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

/// A value as a person types it: whole numbers without a decimal point.
fn cell_text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(text) => one_line(text),
        DataRef::SharedString(text) => one_line(text),
        DataRef::Empty | DataRef::Error(_) => String::new(),
        other => one_line(&Data::from(other.clone()).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_xlsxwriter::Workbook;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn cells(file: &[u8]) -> Vec<Vec<String>> {
        read(file).unwrap().rows.into_iter().map(|row| row.cells).collect()
    }

    #[test]
    fn a_table_reads_the_same_in_every_encoding() {
        let text = "이름,수량\n\"자전거, 큰\",2\n\n텔레비전 \"A\",1\n";
        let utf_16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<_>>();
        let marked = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
        let files = [
            ("utf-8", text.as_bytes().to_vec()),
            ("utf-8", marked(b"\xef\xbb\xbf", text.into())),
            ("utf-16le", utf_16(u16::to_le_bytes)),
            ("utf-16le", marked(b"\xff\xfe", utf_16(u16::to_le_bytes))),
            ("utf-16be", utf_16(u16::to_be_bytes)),
            ("utf-16be", marked(b"\xfe\xff", utf_16(u16::to_be_bytes))),
            ("cp949", EUC_KR.encode(text).0.into_owned()),
        ];
        let expected = vec![vec!["이름", "수량"], vec!["자전거, 큰", "2"], vec!["텔레비전 \"A\"", "1"]];
        for (encoding, file) in files {
            assert_eq!(read(&file).unwrap().encoding, Some(encoding));
            assert_eq!(cells(&file), expected, "{encoding}");
        }
    }

    #[test]
    fn pasted_text_keeps_its_cells_and_lines() {
        let pasted = b"TV\t1\r\n\"two\nlines\"\t2\r\n\t\r\nlast,with;signs\t3";
        let table = read(pasted).unwrap();
        assert_eq!(table.format, "tsv");
        let rows: Vec<_> = table.rows.iter().map(|row| (row.line, row.cells.join("|"))).collect();
        assert_eq!(rows, [(1, "TV|1".into()), (2, "two lines|2".into()), (5, "last,with;signs|3".into())]);
        assert_eq!(cells(b"a;b\nc;d"), [["a", "b"], ["c", "d"]]);
        assert_eq!(cells("=1+1\n한 줄".as_bytes()), [["=1+1"], ["한 줄"]], "a formula is a text");
    }

    #[test]
    fn files_that_are_no_table_or_too_large_are_refused() {
        assert_eq!(read(b"\x89PNG\r\n\x1a\n\0\0\0\x0d"), Err(TableError::NoTable));
        assert_eq!(read(b"\xff\xff\xff\xff"), Err(TableError::NoTable));
        assert_eq!(read(b"\xd0\xcf\x11\xe0..."), Err(TableError::OldWorkbook));
        assert_eq!(read(b"PK\x03\x04 and no more"), Err(TableError::Broken));
        assert_eq!(read("a\n".repeat(ROWS_MAX + 1).as_bytes()), Err(TableError::TooManyRows));
        assert_eq!(read(",".repeat(COLUMNS_MAX).as_bytes()), Err(TableError::TooManyCells));
        assert_eq!(read(b"").unwrap().rows, []);
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
