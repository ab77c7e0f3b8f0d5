//! Tables to write, and CSV files that open as intended, whatever text they hold.
//!
//! No cell may become a formula: in CSV a text that starts like one gets an apostrophe, in XLSX
//! (`workbook.rs`) it is written as a text cell. A telephone number looks like a number, and a
//! program that takes it for one drops its leading zero. Rows are written as they come, so that
//! neither format holds all participants twice.

/// The characters that start a formula; Excel takes the full-width ones for the narrow ones, and
/// looks behind a tab or a line end.
const FORMULA_SIGNS: [char; 11] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n'];

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// A telephone number.
    Phone(String),
    /// A number.
    Number(u32),
    /// An empty cell.
    Empty,
}

/// A table to write.
pub struct Sheet<'a> {
    /// The name of its tab in a workbook.
    pub name: &'static str,
    /// The first row.
    pub headings: Vec<String>,
    /// The other rows.
    pub rows: Box<dyn Iterator<Item = Vec<Cell>> + 'a>,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Cell::Empty, Into::into)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

/// A sheet as CSV: UTF-8 with a byte order mark, without which Excel assumes CP949, and line ends
/// as in RFC 4180.
pub fn csv(sheet: Sheet<'_>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(b"\xef\xbb\xbf".to_vec());
    let infallible = "a vector takes every byte";
    writer.write_record(&sheet.headings).expect(infallible);
    for row in sheet.rows {
        writer.write_record(row.iter().map(csv_text)).expect(infallible);
    }
    writer.into_inner().expect(infallible)
}

fn csv_text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => escaped(text),
        Cell::Phone(phone) => escaped(&hyphenated(phone)),
        Cell::Number(number) => number.to_string(),
        Cell::Empty => String::new(),
    }
}

/// A text that no spreadsheet program takes for a formula.
fn escaped(text: &str) -> String {
    if text.starts_with(FORMULA_SIGNS) { format!("'{text}") } else { text.to_owned() }
}

/// A telephone number that no program takes for a number: a Korean one with its hyphens, other bare
/// digits after an apostrophe.
fn hyphenated(phone: &str) -> String {
    if !phone.bytes().all(|byte| byte.is_ascii_digit()) {
        return phone.to_owned();
    }
    let area = if phone.starts_with("02") { 2 } else { 3 };
    match phone.len() {
        9..=11 if phone.starts_with('0') && phone.len() - area >= 7 => {
            let (area, rest) = phone.split_at(area);
            let (office, line) = rest.split_at(rest.len() - 4);
            format!("{area}-{office}-{line}")
        }
        _ => format!("'{phone}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{self, Row, Table};
    use super::super::workbook;
    use super::*;

    fn read(file: &[u8]) -> Table {
        let width = |rows: &[Row]| rows.first().map_or(0, |row| row.cells.len());
        table::read(file, width).unwrap()
    }

    fn sheet() -> Sheet<'static> {
        let texts = ["=1+1", "+82", "-x", "@SUM", "a,\"b\"", "홍길동 😀"];
        let mut rows: Vec<_> = texts.iter().map(|text| vec![Cell::from(*text), Cell::Empty, Cell::Number(7)]).collect();
        let phones = ["01012345678", "0212345678", "021234567", "+82 10", "1588000", "010-1-2"];
        rows.extend(phones.map(|phone| vec![Cell::Phone(phone.to_owned())]));
        Sheet {
            name: "Winners",
            headings: ["name", "nothing", "count"].map(str::to_owned).to_vec(),
            rows: Box::new(rows.into_iter()),
        }
    }

    #[test]
    fn no_text_of_any_cell_starts_a_formula_and_none_is_lost() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |bound: usize| {
            // xorshift64 (Marsaglia, 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        let signs = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n'];
        let letters = ['1', '0', 'A', '"', ',', '\'', ' ', '김', '😀', '('];
        for round in 0..2_000 {
            let mut text: String = (0..below(6)).map(|_| letters[below(letters.len())]).collect();
            (0..below(3)).for_each(|_| text.insert(0, signs[below(signs.len())]));
            for cell in [Cell::Text(text.clone()), Cell::Phone(text.clone())] {
                let row = vec![vec![cell.clone(), Cell::Number(7)]];
                let bytes = csv(Sheet { name: "x", headings: vec!["a".into(), "b".into()], rows: Box::new(row.into_iter()) });
                let file = String::from_utf8(bytes).unwrap();
                let mut reader = csv::ReaderBuilder::new().from_reader(file.trim_start_matches('\u{feff}').as_bytes());
                let record = reader.records().next().unwrap().unwrap();
                let shown = &record[0];
                assert!(!shown.starts_with(signs), "round {round}: {cell:?} is shown as {shown:?}");
                let plain = |text: &str| text.trim_start_matches('\'').replace('-', "");
                assert_eq!(plain(shown), plain(&text), "round {round}: nothing is lost");
            }
        }
    }

    #[test]
    fn csv_opens_as_text_in_the_right_encoding() {
        let csv = String::from_utf8(csv(Sheet { rows: Box::new(sheet().rows.take(6)), ..sheet() })).unwrap();
        assert_eq!(
            csv,
            "\u{feff}name,nothing,count\r\n'=1+1,,7\r\n'+82,,7\r\n'-x,,7\r\n'@SUM,,7\r\n\"a,\"\"b\"\"\",,7\r\n홍길동 😀,,7\r\n"
        );
        let phones: Vec<_> = sheet().rows.skip(6).map(|row| csv_text(&row[0])).collect();
        assert_eq!(phones, ["010-1234-5678", "02-1234-5678", "02-123-4567", "'+82 10", "'1588000", "010-1-2"]);
        assert_eq!((escaped("\tx"), escaped("\rx")), ("'\tx".into(), "'\rx".into()));
    }

    #[test]
    fn a_workbook_stores_texts_as_texts() {
        let workbook = workbook::write(vec![sheet()]).unwrap();
        let cells: Vec<_> = read(&workbook).rows.into_iter().map(|row| row.cells.join("|")).collect();
        assert_eq!((cells[0].as_str(), cells[1].as_str(), cells[7].as_str()), ("name|nothing|count", "=1+1||7", "01012345678"));
    }

    #[test]
    fn no_exported_text_starts_a_formula_and_every_text_comes_back() {
        let words = ["", "x", "-", "=SUM(A1)", "+1", "@", "a;b", "가,나", "\"q\"", "it's", "0", "two words"];
        let rows = words.map(|word| vec![Cell::from(word), Cell::Number(1)]);
        let csv = csv(Sheet { name: "t", headings: vec!["text".into(), "count".into()], rows: Box::new(rows.into_iter()) });
        let read = read(&csv);
        assert_eq!((read.encoding, read.rows.len()), (Some("utf-8"), words.len() + 1));
        for (row, word) in read.rows.iter().skip(1).zip(words) {
            let text = &row.cells[0];
            assert!(!text.starts_with(FORMULA_SIGNS), "{text}");
            assert_eq!(text.strip_prefix('\'').unwrap_or(text), word.trim());
        }
    }
}
