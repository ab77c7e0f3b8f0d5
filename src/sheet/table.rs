//! A table of texts out of any file that a spreadsheet program gives: TSV as it is pasted, CSV in the encodings Korean offices use, XLSX.
//!
//! What a file is, is seen from its bytes and never from its name. Text without a mark is UTF-8 if it can be, else CP949, which is what Excel in Korea
//! saves; the other way round every UTF-8 file would come out as nonsense. Bounded in rows and cells, since a few bytes can promise many.

use super::workbook;
use encoding_rs::{EUC_KR, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// The most rows that are read, headings and all.
pub const ROWS_MAX: usize = 1_001;
/// The most cells of one row.
pub const COLUMNS_MAX: usize = 64;

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// `xlsx`, `tsv` or `csv`.
    pub format: &'static str,
    /// The encoding of a text.
    pub encoding: Option<&'static str>,
    pub rows: Vec<Row>,
}

/// A row that holds something.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in the file, from 1.
    pub line: u64,
    /// The cells, blanks around them taken off.
    pub cells: Vec<String>,
}

/// Why a file is no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("this is neither text nor an XLSX workbook")]
    NoTable,
    #[error("this is an old .xls workbook: save it as .xlsx")]
    OldWorkbook,
    #[error("the workbook is broken")]
    Broken,
    #[error("the workbook is too large when it is unpacked")]
    TooLarge,
    #[error("the workbook has too many sheets")]
    TooManySheets,
    #[error("there are more than {} rows", ROWS_MAX - 1)]
    TooManyRows,
    #[error("a row has more than {COLUMNS_MAX} cells")]
    TooManyCells,
}

/// Reads a file.
///
/// # Errors
/// When it is no table, or too large a one.
pub fn read(file: &[u8]) -> Result<Table, Unreadable> {
    match file {
        [b'P', b'K', 3, 4, ..] => Ok(Table { format: "xlsx", encoding: None, rows: workbook::rows(file)? }),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(Unreadable::OldWorkbook),
        _ => {
            let (encoding, text) = decoded(file)?;
            let delimiter = delimiter(&text);
            let format = if delimiter == b'\t' { "tsv" } else { "csv" };
            Ok(Table { format, encoding: Some(encoding), rows: split(&text, delimiter)? })
        }
    }
}

/// A cell as it is kept: on one line, blanks around it taken off.
pub(super) fn cell(text: &str) -> String {
    text.split(['\r', '\n', '\t']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

fn decoded(file: &[u8]) -> Result<(&'static str, Cow<'_, str>), Unreadable> {
    let encoding = encoding(file);
    // Takes a mark at the beginning off.
    let (text, had_errors) = encoding.decode_with_bom_removal(file);
    if had_errors || text.contains('\0') {
        return Err(Unreadable::NoTable);
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
    let noughts = |parity| file.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    match (noughts(0), noughts(1)) {
        // Commas and line ends of UTF-16 have a nought byte beside them, and no other text has any.
        (before, after) if before > after => UTF_16BE,
        (_, after) if after > 0 => UTF_16LE,
        _ if std::str::from_utf8(file).is_ok() => UTF_8,
        _ => EUC_KR,
    }
}

/// What stands between the cells: a tab if there is one, else what the first line has more of.
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

fn split(text: &str, delimiter: u8) -> Result<Vec<Row>, Unreadable> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for record in reader.records() {
        let record = record.map_err(|_| Unreadable::NoTable)?;
        if record.len() > COLUMNS_MAX {
            return Err(Unreadable::TooManyCells);
        }
        // The reader's own count is one short after a CRLF, and does not see the lines it skipped.
        let begin = record.position().map_or(counted, |position| position.byte() as usize);
        let skipped = text.as_bytes()[begin..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        line += text.as_bytes()[counted..begin + skipped].iter().filter(|byte| **byte == b'\n').count() as u64;
        counted = begin + skipped;
        push(&mut rows, line, record.iter().map(cell).collect())?;
    }
    Ok(rows)
}

/// Adds a row, unless it holds nothing.
pub(super) fn push(rows: &mut Vec<Row>, line: u64, cells: Vec<String>) -> Result<(), Unreadable> {
    if cells.iter().all(String::is_empty) {
        return Ok(());
    }
    if rows.len() == ROWS_MAX {
        return Err(Unreadable::TooManyRows);
    }
    rows.push(Row { line, cells });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(file: &[u8]) -> Vec<Vec<String>> {
        read(file).unwrap().rows.into_iter().map(|row| row.cells).collect()
    }

    #[test]
    fn a_list_reads_the_same_in_every_encoding() {
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
    fn what_is_pasted_keeps_its_cells_and_lines() {
        let pasted = b"TV\t1\r\n\"two\nlines\"\t2\r\n\t\r\nlast,with;signs\t3";
        let table = read(pasted).unwrap();
        assert_eq!(table.format, "tsv");
        let rows: Vec<_> = table.rows.iter().map(|row| (row.line, row.cells.join("|"))).collect();
        assert_eq!(rows, [(1, "TV|1".into()), (2, "two lines|2".into()), (5, "last,with;signs|3".into())]);
        assert_eq!(cells(b"a;b\nc;d"), [["a", "b"], ["c", "d"]]);
        assert_eq!(cells("=1+1\n한 줄".as_bytes()), [["=1+1"], ["한 줄"]], "a formula is a text");
    }

    #[test]
    fn what_is_no_table_or_too_large_is_refused() {
        assert_eq!(read(b"\x89PNG\r\n\x1a\n\0\0\0\x0d"), Err(Unreadable::NoTable));
        assert_eq!(read(b"\xff\xff\xff\xff"), Err(Unreadable::NoTable));
        assert_eq!(read(b"\xd0\xcf\x11\xe0..."), Err(Unreadable::OldWorkbook));
        assert_eq!(read(b"PK\x03\x04 and no more"), Err(Unreadable::Broken));
        assert_eq!(read("a\n".repeat(ROWS_MAX + 1).as_bytes()), Err(Unreadable::TooManyRows));
        assert_eq!(read(",".repeat(COLUMNS_MAX).as_bytes()), Err(Unreadable::TooManyCells));
        assert_eq!(read(b"").unwrap().rows, []);
    }
}
