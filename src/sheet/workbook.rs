//! Workbooks of XLSX (ECMA-376), as far as an export needs them: sheets of texts and numbers.
//!
//! A workbook is a zip of XML. Rows are packed as they come, and texts stand in their cells instead
//! of a table beside the sheet, so memory holds the packed file alone. No cell can be a formula: a
//! text is marked as one, and formulas are not written. A crate that also knows styles and charts
//! took 100,000 lines for this.

use super::export::{Cell, Sheet};
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, ZipWriter};

const TYPES: &str = "http://schemas.openxmlformats.org/package/2006/content-types";
const RELATIONS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const OFFICE_RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const SPREADSHEET: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const MEDIA_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";
const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";

const INFALLIBLE: &str = "writing to a string cannot fail";

/// Sheets as an XLSX workbook. The same sheets make the same bytes.
///
/// # Errors
/// When the workbook is larger than a zip can be.
pub fn write(sheets: Vec<Sheet<'_>>) -> Result<Vec<u8>, ZipError> {
    let names: Vec<_> = sheets.iter().map(|sheet| sheet.name).collect();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (name, text) in describe(&names) {
        zip.start_file(name, options)?;
        zip.write_all(text.as_bytes())?;
    }
    for (number, sheet) in (1..).zip(sheets) {
        zip.start_file(format!("xl/worksheets/sheet{number}.xml"), options)?;
        write!(zip, "{XML}<worksheet xmlns=\"{SPREADSHEET}\"><sheetData>")?;
        let headings = sheet.headings.into_iter().map(Cell::Text).collect();
        for (line, cells) in (1..).zip(std::iter::once(headings).chain(sheet.rows)) {
            zip.write_all(row(line, &cells).as_bytes())?;
        }
        zip.write_all(b"</sheetData></worksheet>")?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The files beside the sheets: what they are, where they are, and their names in the order of
/// their tabs.
fn describe(names: &[&str]) -> [(&'static str, String); 4] {
    let [mut types, mut places, mut tabs] = [String::new(), String::new(), String::new()];
    for (number, name) in (1..).zip(names) {
        let file = format!("worksheets/sheet{number}.xml");
        let kind = format!("{OFFICE_RELATIONS}/worksheet");
        types += &format!("<Override PartName=\"/xl/{file}\" ContentType=\"{MEDIA_TYPE}.worksheet+xml\"/>");
        places += &format!("<Relationship Id=\"rId{number}\" Type=\"{kind}\" Target=\"{file}\"/>");
        tabs += &format!("<sheet name=\"{}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>", escaped(name));
    }
    [
        (
            "[Content_Types].xml",
            format!(
                "{XML}<Types xmlns=\"{TYPES}\"><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
                 <Override PartName=\"/xl/workbook.xml\" ContentType=\"{MEDIA_TYPE}.sheet.main+xml\"/>{types}</Types>"
            ),
        ),
        (
            "_rels/.rels",
            format!(
                "{XML}<Relationships xmlns=\"{RELATIONS}\"><Relationship Id=\"rId1\" Type=\"{OFFICE_RELATIONS}/officeDocument\" \
                 Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        ("xl/_rels/workbook.xml.rels", format!("{XML}<Relationships xmlns=\"{RELATIONS}\">{places}</Relationships>")),
        (
            "xl/workbook.xml",
            format!("{XML}<workbook xmlns=\"{SPREADSHEET}\" xmlns:r=\"{OFFICE_RELATIONS}\"><sheets>{tabs}</sheets></workbook>"),
        ),
    ]
}

/// A row; lines count from 1.
fn row(line: u32, cells: &[Cell]) -> String {
    let mut xml = format!("<row r=\"{line}\">");
    for (column, cell) in cells.iter().enumerate() {
        let place = column_name(column);
        match cell {
            Cell::Text(text) | Cell::Phone(text) => {
                let text = escaped(text);
                write!(xml, "<c r=\"{place}{line}\" t=\"inlineStr\"><is><t xml:space=\"preserve\">{text}</t></is></c>")
            }
            Cell::Number(number) => write!(xml, "<c r=\"{place}{line}\"><v>{number}</v></c>"),
            Cell::Empty => continue,
        }
        .expect(INFALLIBLE);
    }
    xml.push_str("</row>");
    xml
}

/// A to Z, then AA to ZZ and so on; columns count from 0.
fn column_name(mut column: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + (column % 26) as u8));
        if column < 26 {
            return letters.into_iter().rev().collect();
        }
        column = column / 26 - 1;
    }
}

/// A text within XML. A character that XML cannot hold is written as `_x0001_`, and so is the
/// underscore of a text that looks like one (ECMA-376, part 1, section 22.9.2.19).
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\t' | '\n' => xml.push(character),
            '_' if is_escape(&text.as_bytes()[at..]) => xml.push_str("_x005F_"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => write!(xml, "_x{:04X}_", u32::from(character)).expect(INFALLIBLE),
            _ => xml.push(character),
        }
    }
    xml
}

/// Returns whether a text begins with `_xHHHH_`.
fn is_escape(text: &[u8]) -> bool {
    matches!(text, [b'_', b'x', digits @ ..] if digits.get(4) == Some(&b'_') && digits[..4].iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_as_spreadsheets_name_them() {
        let names = [0, 1, 25, 26, 27, 51, 52, 701, 702].map(column_name);
        assert_eq!(names, ["A", "B", "Z", "AA", "AB", "AZ", "BA", "ZZ", "AAA"]);
    }

    #[test]
    fn a_text_is_well_formed_xml_and_never_read_as_an_escape() {
        for (text, xml) in [
            ("a<b> & \"c\"", "a&lt;b&gt; &amp; &quot;c&quot;"),
            (" 홍길동\t😀\n", " 홍길동\t😀\n"),
            ("\u{1}\r\0\u{ffff}", "_x0001__x000D__x0000__xFFFF_"),
            ("_x0041_", "_x005F_x0041_"),
            ("_x004_ _x00G1_ _x", "_x004_ _x00G1_ _x"),
        ] {
            assert_eq!(escaped(text), xml, "{text:?}");
        }
    }

    #[test]
    fn the_same_sheets_make_the_same_bytes() {
        let sheet = || Sheet {
            name: "Winners & more",
            headings: vec!["name".into()],
            rows: Box::new((0..2_000).map(|number| vec![Cell::Number(number), Cell::from("text")])),
        };
        let workbook = write(vec![sheet(), sheet()]).unwrap();
        assert_eq!(workbook, write(vec![sheet(), sheet()]).unwrap());
        assert!(workbook.len() < 100_000, "it is packed: {} bytes", workbook.len());
    }
}
