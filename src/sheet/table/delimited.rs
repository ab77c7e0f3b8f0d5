//! Text with delimiters: pasted cells, CSV, TSV.
//!
//! Text without a byte order mark is UTF-8 if it is valid UTF-8, else CP949, which Excel saves in
//! Korea; the other order would turn every UTF-8 file into nonsense. Bytes of another East Asian
//! encoding often are valid CP949: mostly rare characters of it give them away.
//!
//! The parser follows RFC 4180, with two additions. A quotation mark that does not end its cell is
//! a fault of that cell alone, and the rows after it stay. A quoted cell that holds a whole row is
//! the same fault: a mark in a later row closed it.

use super::{Fault, Row, Rows, Table, TableError, is_error_value};
use crate::sheet::characters::clean;
use crate::sheet::values::is_counter;
use encoding_rs::{EUC_KR, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::borrow::Cow;

/// The delimiters, by precedence.
const DELIMITERS: [char; 4] = ['\t', ';', ',', '|'];

/// The most cells of a row with its empty ones, which are read before they are dropped.
const ROW_CELLS_MAX: usize = 20_000;

/// Reads a text by the delimiter that gives the most headings. A table of one column is the
/// reading that splits nothing.
pub fn read(file: &[u8], headings: fn(&[Row]) -> usize) -> Result<Table, TableError> {
    let (encoding, text) = decoded(file)?;
    if is_markup(&text) {
        return Err(TableError::Markup);
    }
    let (named, text, line) = named_delimiter(&text);
    let table = |delimiter: Option<char>| {
        let format = if delimiter == Some('\t') { "tsv" } else { "csv" };
        let rows = rows(text, delimiter, line)?;
        Ok(Table { format, encoding: Some(encoding), sheet: None, rows })
    };
    if named.is_some() {
        return table(named);
    }
    let mut best = table(None);
    let mut most = best.as_ref().map_or(0, |table| headings(&table.rows));
    for delimiter in DELIMITERS.into_iter().filter(|delimiter| text.contains(*delimiter)) {
        let read = table(Some(delimiter));
        let count = read.as_ref().map_or(0, |table| headings(&table.rows));
        // A text of one column can split into too many cells; one without any heading cannot.
        if count > most.max(1) || most == 0 && read.is_err() {
            (best, most) = (read, count);
        }
    }
    best
}

fn decoded(file: &[u8]) -> Result<(&'static str, Cow<'_, str>), TableError> {
    let encoding = encoding(file);
    // Removes the byte order mark.
    let (text, had_errors) = encoding.decode_with_bom_removal(file);
    if text.contains('\0') {
        return Err(TableError::NoTable);
    }
    let name = if encoding == EUC_KR {
        if had_errors || !is_korean(file) {
            return Err(TableError::Encoding);
        }
        "cp949"
    } else if encoding == UTF_16LE {
        "utf-16le"
    } else if encoding == UTF_16BE {
        "utf-16be"
    } else {
        "utf-8"
    };
    if had_errors { Err(TableError::NoTable) } else { Ok((name, text)) }
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

/// True when at least four fifths of the letters of a CP949 text are the common syllables of
/// KS X 1001, its rows B0 to C8: of Chinese text in GB 18030 three fifths are in these rows. Signs,
/// in the rows below, count for neither side.
fn is_korean(file: &[u8]) -> bool {
    let (mut common, mut rare) = (0_usize, 0_usize);
    let mut bytes = file.iter().copied();
    while let Some(lead) = bytes.next() {
        if lead < 0x80 {
            continue;
        }
        match (lead, bytes.next().unwrap_or(0)) {
            (0xb0..=0xc8, 0xa1..) => common += 1,
            (0xa1..=0xac, 0xa1..) => {}
            _ => rare += 1,
        }
    }
    common >= 4 * rare
}

fn is_markup(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(14).flat_map(char::to_lowercase).collect();
    ["<html", "<!doctype", "<?xml", "<table", "<meta", "<head", "<body", "<style", "mime-version:", "<workbook"]
        .iter()
        .any(|opening| start.starts_with(opening))
}

/// The delimiter that a first line `sep=;` names, with the text after it and the line it begins on.
fn named_delimiter(text: &str) -> (Option<char>, &str, u64) {
    let (first, rest) = text.split_at(text.find(['\r', '\n']).unwrap_or(text.len()));
    let first = first.trim_matches('"');
    let named = first.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).and_then(|_| {
        let mut signs = first[4..].chars();
        signs.next().filter(|_| signs.next().is_none())
    });
    if named.is_some() { (named, rest, 1) } else { (None, text, 1) }
}

/// A cell with the place where it ends.
struct RawCell<'t> {
    text: Cow<'t, str>,
    is_quoted: bool,
    fault: Option<Fault>,
    end: usize,
}

fn rows(text: &str, delimiter: Option<char>, first_line: u64) -> Result<Vec<Row>, TableError> {
    let width = text.lines().find(|line| !line.trim().is_empty()).map_or(0, |line| delimiters_in(line, delimiter));
    let mut rows = Rows::default();
    let (mut at, mut line) = (0, first_line);
    while at < text.len() {
        let (mut cells, mut faults) = (Vec::new(), Vec::new());
        let begin = at;
        let mut is_last_quoted = true;
        loop {
            let cell = raw_cell(text, at, delimiter, width);
            // A line of delimiters alone is an empty row of any number of columns.
            let is_blank = delimiter.is_none() && cell.text.chars().all(|c| c.is_whitespace() || DELIMITERS.contains(&c));
            let cleaned = if is_blank { String::new() } else { clean(&cell.text) };
            let fault = cell.fault.or_else(|| {
                let before = cells.last().filter(|_| !is_last_quoted && !cell.is_quoted && delimiter == Some(','));
                let is_split = before.is_some_and(|before: &String| is_split_number(before, &cell.text));
                let is_joined = delimiter.is_none() && !cell.is_quoted && !is_blank && has_delimiters(&cleaned, &cell.text);
                let is_error = is_error_value(&cleaned);
                is_split
                    .then_some(Fault::SplitNumber)
                    .or(is_joined.then_some(Fault::Delimiters))
                    .or(is_error.then_some(Fault::ErrorValue))
            });
            faults.extend(fault.map(|fault| (cells.len(), fault)));
            is_last_quoted = cell.is_quoted;
            cells.push(cleaned);
            if cells.len() > ROW_CELLS_MAX {
                return Err(TableError::TooManyCells);
            }
            at = cell.end;
            match text[at..].chars().next() {
                Some(sign) if Some(sign) == delimiter => at += sign.len_utf8(),
                Some('\r') => {
                    at += if text[at + 1..].starts_with('\n') { 2 } else { 1 };
                    break;
                }
                Some(_) => {
                    at += 1;
                    break;
                }
                None => break,
            }
        }
        rows.push(line, cells, faults)?;
        line += line_ends(&text[begin..at]);
    }
    Ok(rows.rows)
}

/// The cell that begins at a place; it ends at a delimiter, a line end or the end of the text.
fn raw_cell(text: &str, at: usize, delimiter: Option<char>, width: usize) -> RawCell<'_> {
    let rest = &text[at..];
    let ends = |c: char| Some(c) == delimiter || matches!(c, '\r' | '\n');
    let plain = rest.find(ends).unwrap_or(rest.len());
    let cell = |fault| RawCell { text: rest[..plain].into(), is_quoted: false, fault, end: at + plain };
    if !rest.starts_with('"') {
        return cell(None);
    }
    let Some((content, close)) = quoted(rest) else { return cell(Some(Fault::Quote)) };
    let after = rest[close..].trim_start_matches(' ');
    let holds_row =
        content.contains(['\r', '\n']) && content.split(['\r', '\n']).any(|line| delimiters_in(line, delimiter) >= width.max(1));
    if !(after.is_empty() || after.starts_with(ends)) || holds_row {
        return cell(Some(Fault::Quote));
    }
    RawCell { text: content, is_quoted: true, fault: None, end: at + rest.len() - after.len() }
}

/// The content of a quoted text, and the place after its closing mark.
fn quoted(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut from = 1;
    loop {
        let close = from + text[from..].find('"')?;
        if !text[close + 1..].starts_with('"') {
            let content = &text[1..close];
            let content = if content.contains('"') { content.replace("\"\"", "\"").into() } else { content.into() };
            return Some((content, close + 1));
        }
        from = close + 2;
    }
}

fn delimiters_in(line: &str, delimiter: Option<char>) -> usize {
    delimiter.map_or(0, |delimiter| line.matches(delimiter).count())
}

/// Line ends, each of `\r\n`, `\n` and `\r` counted once.
fn line_ends(text: &str) -> u64 {
    let feeds = text.matches('\n').count();
    let returns = text.matches('\r').count() - text.matches("\r\n").count();
    (feeds + returns) as u64
}

/// True when a comma between two cells is more likely a thousands separator: `커피 5` and `000원권`.
/// A count, such as `아이폰 15` and `100개`, is not.
fn is_split_number(before: &str, after: &str) -> bool {
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let rest = after[digits..].trim();
    before.ends_with(|c: char| c.is_ascii_digit())
        && before.contains(|c: char| !c.is_ascii_digit())
        && digits == 3
        && (after.starts_with('0') || !rest.is_empty() && !is_counter(rest))
}

/// True for a line of one column that holds a delimiter other than a thousands separator.
fn has_delimiters(cleaned: &str, raw: &str) -> bool {
    let is_separator = |at: usize| {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        cleaned[..at].ends_with(|c: char| c.is_ascii_digit()) && digits(&cleaned[at + 1..]) == 3
    };
    raw.contains(['\t', ';']) || cleaned.match_indices(',').any(|(at, _)| !is_separator(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::columns::count_headings;

    fn table(file: &[u8]) -> Table {
        read(file, count_headings).unwrap()
    }

    fn cells(file: &[u8]) -> Vec<Vec<String>> {
        table(file).rows.into_iter().map(|row| row.cells).collect()
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
            assert_eq!(table(&file).encoding, Some(encoding));
            assert_eq!(cells(&file), expected, "{encoding}");
        }
    }

    #[test]
    fn pasted_text_keeps_its_cells_and_lines() {
        let table = table(b"name\tqty\r\nTV\t1\r\n\"two\nlines\"\t2\r\n\t\r\nlast,with;signs\t3");
        assert_eq!(table.format, "tsv");
        let rows: Vec<_> = table.rows.iter().map(|row| (row.line, row.cells.join("|"))).collect();
        let lines = [(1, "name|qty"), (2, "TV|1"), (3, "two lines|2"), (6, "last,with;signs|3")];
        assert_eq!(rows, lines.map(|(line, cells)| (line, cells.to_owned())));
        assert_eq!(cells(b"name;qty\nc;d"), [["name", "qty"], ["c", "d"]]);
        assert_eq!(cells("=1+1\n한 줄".as_bytes()), [["=1+1"], ["한 줄"]], "a formula is a text");
        assert_eq!(cells(b"name,qty\ra,1\r")[1], ["a", "1"], "an old Mac ends lines by CR");
        assert_eq!(cells(b"\"sep=|\"\nname|qty\na|1")[1], ["a", "1"]);
    }

    #[test]
    fn an_open_quotation_mark_costs_its_own_cell_alone() {
        for (text, rows) in [
            ("name\tqty\n\"a\t1\nb\t2", 3),
            ("name\tqty\n\"a\t1\n\"b\"\t2", 3),
            ("name,qty\n\"a,1\nb\",2\nc,3", 4),
            ("name,qty\n\"a\" x,1\nb,2", 3),
        ] {
            let table = table(text.as_bytes());
            assert_eq!((table.rows.len(), &table.rows[1].faults), (rows, &vec![(0, Fault::Quote)]), "{text:?}");
            assert!(table.rows[1].cells[0].starts_with('"'), "{text:?}: the text is as it was");
        }
        let fine = table(b"name,qty\n\"a \"\"b\"\", c\",1\n65\" TV,2");
        assert_eq!((fine.rows[1].cells[0].as_str(), fine.rows[2].cells[0].as_str()), ("a \"b\", c", "65\" TV"));
        assert!(fine.rows.iter().all(|row| row.faults.is_empty()));
    }

    #[test]
    fn a_comma_within_a_number_is_noticed() {
        let faults = |line: &str| table(format!("name,grade,qty\n{line}").as_bytes()).rows[1].faults.clone();
        assert_eq!(faults("커피 5,000원권,1"), [(1, Fault::SplitNumber)]);
        assert_eq!(faults("상품권 10,000,3"), [(1, Fault::SplitNumber)]);
        for fine in ["아이폰 15,100개,1", "1,500W 전자레인지,1", "\"커피 5,000원권\",1등,1", "TV 5,1등,1"] {
            assert_eq!(faults(fine), [], "{fine}");
        }
        let one_column = table("경품명\n커피 5,000원권\n상품권 10,000원\nTV,3".as_bytes());
        assert_eq!(one_column.rows[1].cells, ["커피 5,000원권"]);
        assert_eq!(one_column.rows[3].faults, [(0, Fault::Delimiters)]);
    }
}
