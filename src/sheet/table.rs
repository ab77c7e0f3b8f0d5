//! Tables from any file that a spreadsheet program gives: pasted TSV, CSV in the encodings of
//! Korean offices, XLSX.
//!
//! The format is detected from the bytes, never from the name. A file can be read as more than one
//! table: a text by each delimiter, a workbook by each visible sheet. The caller scores them by
//! their headings, since only it knows which table it wants. A cell whose stored value is not what
//! its writer sees carries a [`Fault`], and is never taken for an empty one.
//!
//! No file may be read without a bound on rows, cells and bytes, since a few bytes can promise
//! many.

mod delimited;
mod workbook;

use crate::draw::decide::PRIZES_MAX;

/// The most rows of a table: one per prize of a full list, and room for titles, headings and sums.
pub const ROWS_MAX: usize = PRIZES_MAX as usize + 50;
/// The most cells per row.
pub const COLUMNS_MAX: usize = 64;
/// The most bytes of all texts of a table. A workbook stores a text once and can name it in every
/// cell.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// A table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// `xlsx`, `tsv` or `csv`.
    pub format: &'static str,
    /// The encoding of a text file.
    pub encoding: Option<&'static str>,
    /// The name of a workbook's sheet.
    pub sheet: Option<String>,
    /// The rows that are not empty.
    pub rows: Vec<Row>,
}

/// A row that is not empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The cells, cleaned; the last one is not empty, or has a fault.
    pub cells: Vec<String>,
    /// The cells, by position, whose text is not what their writer sees.
    pub faults: Vec<(usize, Fault)>,
}

/// The reason why a cell's text is not what its writer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error value, such as `#N/A`.
    ErrorValue,
    /// A formula whose value the file does not hold.
    NoValue,
    /// A date or a time.
    Date,
    /// A number that its format shows as something else, such as `7` as `007`.
    Formatted,
    /// A number that its format shows as another, such as `3,000` as `3`.
    Scaled,
    /// The text of a merged cell that begins in a row above.
    Merged,
    /// A quotation mark at the start of a cell that does not end it.
    Quote,
    /// A number with thousands separators that the delimiter splits: `5,000원권`.
    SplitNumber,
    /// Delimiters in a line of a table of one column.
    Delimiters,
}

/// The reason why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Neither text nor a workbook.
    #[error("this is neither text nor an XLSX workbook")]
    NoTable,
    /// Text in an encoding other than UTF-8, UTF-16 and CP949.
    #[error("the encoding of this text is unknown: save it as CSV UTF-8 or as .xlsx")]
    Encoding,
    /// A workbook from before 2007.
    #[error("this is an old .xls workbook: save it as .xlsx")]
    OldWorkbook,
    /// A binary workbook.
    #[error("this is a binary .xlsb workbook: save it as .xlsx")]
    BinaryWorkbook,
    /// A workbook with a password.
    #[error("the workbook is encrypted: remove its password and save it again")]
    Encrypted,
    /// An OpenDocument spreadsheet.
    #[error("this is an OpenDocument .ods file: save it as .xlsx")]
    OpenDocument,
    /// A spreadsheet of Apple Numbers.
    #[error("this is a Numbers document: export it as Excel .xlsx")]
    Numbers,
    /// A web page or XML, which some programs name `.xls`.
    #[error("this is a web page, whatever its name: open it in a spreadsheet program and save it as .xlsx")]
    Markup,
    /// A picture or a PDF.
    #[error("this is a picture or a PDF: copy the cells of the original, or save it as .xlsx")]
    Picture,
    /// A workbook that cannot be parsed.
    #[error("the workbook is broken: open it in a spreadsheet program and save it again")]
    Broken,
    /// A workbook over the bounds of this module.
    #[error("the workbook is too large when it is unpacked")]
    TooLarge,
    /// A workbook of too many sheets.
    #[error("the workbook has too many sheets: keep the one with the list")]
    TooManySheets,
    /// A workbook that shows no sheet with cells.
    #[error("the workbook shows no sheet with cells: unhide the one with the list")]
    NoSheet,
    /// Several sheets have headings.
    #[error("several sheets have lists: keep or show only one of them")]
    SeveralLists,
    /// Several sheets have cells, and none of them headings.
    #[error("no sheet has headings that are known: name the columns")]
    NoList,
    /// A table of too many rows.
    #[error("there are more than {ROWS_MAX} rows")]
    TooManyRows,
    /// A row of too many cells.
    #[error("a row has more than {COLUMNS_MAX} cells")]
    TooManyCells,
}

impl TableError {
    /// Every error of a file.
    pub const ALL: [TableError; 17] = {
        use TableError::*;
        [
            NoTable,
            Encoding,
            OldWorkbook,
            BinaryWorkbook,
            Encrypted,
            OpenDocument,
            Numbers,
            Markup,
            Picture,
            Broken,
            TooLarge,
            TooManySheets,
            NoSheet,
            SeveralLists,
            NoList,
            TooManyRows,
            TooManyCells,
        ]
    };

    /// The error's name on the wire.
    pub fn code(self) -> &'static str {
        match self {
            TableError::NoTable => "no_table",
            TableError::Encoding => "encoding",
            TableError::OldWorkbook => "old_workbook",
            TableError::BinaryWorkbook => "binary_workbook",
            TableError::Encrypted => "encrypted",
            TableError::OpenDocument => "open_document",
            TableError::Numbers => "numbers_document",
            TableError::Markup => "markup",
            TableError::Picture => "picture",
            TableError::Broken => "broken",
            TableError::TooLarge => "too_large",
            TableError::TooManySheets => "too_many_sheets",
            TableError::NoSheet => "no_sheet",
            TableError::SeveralLists => "several_lists",
            TableError::NoList => "no_list",
            TableError::TooManyRows => "too_many_rows",
            TableError::TooManyCells => "too_many_cells",
        }
    }

    /// The bound that the file exceeds.
    pub fn limit(self) -> Option<usize> {
        match self {
            TableError::TooManyRows => Some(ROWS_MAX),
            TableError::TooManyCells => Some(COLUMNS_MAX),
            _ => None,
        }
    }
}

/// Reads a file. `headings` counts the known headings of a table, by which one of the readings is
/// chosen. Takes up to seconds, so callers run it outside their async threads.
///
/// # Errors
/// When the file is no table, holds more than one list, or is over a bound.
pub fn read(file: &[u8], headings: fn(&[Row]) -> usize) -> Result<Table, TableError> {
    match file {
        [b'P', b'K', 3, 4, ..] => workbook::read(file, headings),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(workbook::compound_file_error(file)),
        [b'%', b'P', b'D', b'F', ..] | [0xff, 0xd8, 0xff, ..] | [0x89, b'P', b'N', b'G', ..] | [b'G', b'I', b'F', b'8', ..] => {
            Err(TableError::Picture)
        }
        _ => delimited::read(file, headings),
    }
}

/// The rows of a table, within the bounds.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    text_bytes: usize,
}

impl Rows {
    /// Adds a row, unless it is empty.
    fn push(&mut self, line: u64, mut cells: Vec<String>, faults: Vec<(usize, Fault)>) -> Result<(), TableError> {
        let last = faults.iter().map(|(column, _)| column + 1).max().unwrap_or(0);
        while cells.len() > last && cells.last().is_some_and(String::is_empty) {
            cells.pop();
        }
        if cells.is_empty() {
            return Ok(());
        }
        if cells.len() > COLUMNS_MAX {
            return Err(TableError::TooManyCells);
        }
        if self.rows.len() == ROWS_MAX {
            return Err(TableError::TooManyRows);
        }
        self.text_bytes += cells.iter().map(String::len).sum::<usize>();
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(TableError::TooLarge);
        }
        self.rows.push(Row { line, cells, faults });
        Ok(())
    }
}

/// True for the text of an error value, or of a number that its column was too narrow for.
fn is_error_value(text: &str) -> bool {
    const ERRORS: [&str; 10] =
        ["#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#GETTING_DATA"];
    ERRORS.contains(&text) || text.len() >= 3 && text.bytes().all(|byte| byte == b'#')
}

#[cfg(test)]
mod tests {
    use super::super::columns::count_headings;
    use super::*;

    fn read(file: &[u8]) -> Result<Table, TableError> {
        super::read(file, count_headings)
    }

    #[test]
    fn files_that_are_no_table_or_too_large_are_refused() {
        assert_eq!(read(b"\x89PNG\r\n\x1a\n\0\0\0\x0d"), Err(TableError::Picture));
        assert_eq!(read(b"\xff\xff\xff\xff"), Err(TableError::Encoding));
        assert_eq!(read(b"\xd0\xcf\x11\xe0..."), Err(TableError::OldWorkbook));
        assert_eq!(read(b"PK\x03\x04 and no more"), Err(TableError::Broken));
        assert_eq!(read("a\n".repeat(ROWS_MAX + 1).as_bytes()), Err(TableError::TooManyRows));
        assert_eq!(read(("name,qty".to_owned() + &",x".repeat(COLUMNS_MAX)).as_bytes()), Err(TableError::TooManyCells));
        assert_eq!(read(b"").unwrap().rows, []);
    }
}
