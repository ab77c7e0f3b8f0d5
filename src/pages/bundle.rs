//! Joins the modules of a page into one script, and its style sheets into one.
//!
//! A phone asks for each file in a request of its own, and a dozen of them cost the server more
//! than its registration. A module becomes a function that returns its exports, so that no name of
//! one meets a name of another. A module that a page imports only later, with
//! `import("./part.js")`, is a part: it is served under its own name, with what it alone imports,
//! and takes the rest from the page's script. So each module runs once.
//!
//! It reads lines and no syntax: what the sources do not need is refused, and the build fails.
//! These are re-exports, exports that change their value, cycles, and imports over several lines.
//! Must not know what any page does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Placeholder in a page for the address of the files' folder.
pub const FOLDER: &str = "{{files}}";

/// Files by `folder/name`.
pub type Files = BTreeMap<String, String>;

/// The modules of one page.
struct Page<'f> {
    files: &'f Files,
    folder: &'f str,
    /// Modules of the page's script, each after those that it imports.
    script: Vec<String>,
    /// Modules of each part by the part's name, in the same order.
    parts: BTreeMap<String, Vec<String>>,
}

/// The page's script and its parts, by the names that they are served under.
///
/// # Panics
/// When a module is missing, or has a form that cannot be joined.
pub fn scripts(files: &Files, folder: &str) -> Files {
    let mut page = Page { files, folder, script: closure(files, &format!("{folder}/main.js")), parts: BTreeMap::new() };
    page.find_parts();
    page.move_shared();
    let main = page.main();
    let mut scripts: Files = page.parts.keys().map(|name| (name.clone(), page.part(name))).collect();
    scripts.insert(format!("{folder}/main.js"), main);
    scripts
}

impl Page<'_> {
    /// Finds each module that a module of the page imports later, directly or not.
    fn find_parts(&mut self) {
        let mut open = self.script.clone();
        while let Some(module) = open.pop() {
            for name in imports_later(self.files, &module) {
                assert!(folder_of(&name) == self.folder, "{module}: a part is in the folder of its page: {name}");
                assert!(!self.script.contains(&name), "{module}: {name} is in the page's script already");
                if !self.parts.contains_key(&name) {
                    let modules = closure(self.files, &name);
                    open.extend(modules.iter().cloned());
                    self.parts.insert(name, modules);
                }
            }
        }
    }

    /// Moves what several parts import into the page's script.
    fn move_shared(&mut self) {
        let count = |module: &String| self.parts.values().filter(|modules| modules.contains(module)).count();
        let shared: Vec<_> = self.parts.values().flatten().filter(|module| count(module) > 1).cloned().collect();
        for module in shared {
            assert!(!self.parts.contains_key(&module), "{module} is a part and is imported by another one");
            // In front of the page's own module, the last.
            for needed in
                closure(self.files, &module).into_iter().filter(|needed| !self.script.contains(needed)).collect::<Vec<_>>()
            {
                self.script.insert(self.script.len() - 1, needed);
            }
        }
        let script = &self.script;
        self.parts.values_mut().for_each(|modules| modules.retain(|module| !script.contains(module)));
    }

    /// The page's script: its modules, and each under its name, for parts and for tests.
    fn main(&self) -> String {
        let mut text: String = self.script.iter().map(|module| self.wrapped(module)).collect();
        let names: Vec<_> =
            self.script.iter().filter(|module| !exports(self.files, module).is_empty()).map(|module| variable(module)).collect();
        if !names.is_empty() {
            writeln!(text, "export {{ {} }};", names.join(", ")).expect("writing to a string cannot fail");
        }
        text
    }

    /// A part: what it takes from the page's script, its modules, and the exports of its own.
    fn part(&self, name: &str) -> String {
        let modules = &self.parts[name];
        let taken: BTreeSet<_> = modules.iter().flat_map(|module| self.taken_by(module)).collect();
        let names: Vec<_> = taken.iter().map(|module| variable(module)).collect();
        let mut text = match names.is_empty() {
            true => String::new(),
            false => format!("import {{ {} }} from \"./main.js\";\n", names.join(", ")),
        };
        text.extend(modules.iter().map(|module| self.wrapped(module)));
        let exports = Module::read(self.files, name).exports.join(", ");
        writeln!(text, "export const {{ {exports} }} = {};", variable(name)).expect("writing to a string cannot fail");
        text
    }

    /// Modules of the page's script that a module of a part imports.
    fn taken_by(&self, module: &str) -> Vec<String> {
        imports(self.files, module).into_iter().filter(|import| self.script.contains(import)).collect()
    }

    /// The module as a function that is called at once and returns the exports.
    fn wrapped(&self, name: &str) -> String {
        let module = Module::read(self.files, name);
        let is_moved = folder_of(name) != self.folder;
        assert!(!(is_moved && module.code.contains("import.meta")), "{name}: import.meta is of another folder there");
        let exports = module.exports.join(", ");
        match exports.is_empty() {
            true => format!("(() => {{\n{}}})();\n", module.code),
            false => format!("const {} = (() => {{\n{}return {{ {exports} }};\n}})();\n", variable(name), module.code),
        }
    }
}

/// The HTML with one link to `name` where its first style sheet was linked; the text of all that it
/// links to; and their names.
///
/// # Panics
/// When a linked sheet is missing, or names another file.
pub fn styles(files: &Files, html: &str, name: &str) -> (String, String, Vec<String>) {
    let (mut page, mut sheet, mut linked) = (String::new(), String::new(), Vec::new());
    let begin = format!("<link rel=\"stylesheet\" href=\"{FOLDER}/");
    for line in html.split_inclusive('\n') {
        let Some(link) = line.trim().strip_prefix(&begin) else {
            page.push_str(line);
            continue;
        };
        let source = link.strip_suffix("\">").unwrap_or_else(|| panic!("{name}: a link on a line of its own: {line}"));
        if linked.is_empty() {
            page.push_str(&line.replace(source, name));
        }
        let text = text(files, source);
        assert!(!text.contains("@import") && !text.contains("url("), "{source}: names no other file");
        sheet.push_str(text);
        linked.push(source.to_owned());
    }
    (page, sheet, linked)
}

/// A module's text as the body of a function.
struct Module {
    /// Statements without `export`; an import takes names from another function's result.
    code: String,
    exports: Vec<String>,
}

impl Module {
    fn read(files: &Files, name: &str) -> Self {
        let mut code = String::new();
        for line in text(files, name).lines() {
            let statement = match line.strip_prefix("export ") {
                Some(declaration) => declaration.to_owned(),
                None if line.starts_with("import ") => {
                    let (names, from) = parse_import(name, line);
                    let known = exports(files, &from);
                    let mut taken = names.strip_prefix('{').into_iter().flat_map(|names| names.trim_end_matches('}').split(','));
                    let is_known = |name: &str| known.iter().any(|known| known == name.split(':').next().unwrap_or(name).trim());
                    assert!(taken.all(is_known), "{name}: {from} exports no such name: {line}");
                    format!("const {names} = {};", variable(&from))
                }
                None => line.to_owned(),
            };
            code.push_str(&statement);
            code.push('\n');
        }
        Self { code, exports: exports(files, name) }
    }
}

/// Names that a module exports.
fn exports(files: &Files, name: &str) -> Vec<String> {
    let declarations = text(files, name).lines().filter_map(|line| line.strip_prefix("export "));
    let declared = |declaration| declared(declaration).unwrap_or_else(|| panic!("{name}: {declaration}")).to_owned();
    declarations.map(declared).collect()
}

/// The name that a declaration makes: of a function, a class or a constant.
fn declared(declaration: &str) -> Option<&str> {
    let kinds = ["async function ", "function ", "class ", "const "];
    let rest = kinds.iter().find_map(|kind| declaration.strip_prefix(kind))?;
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != '$')?;
    (end > 0).then(|| &rest[..end])
}

/// The names that `import NAMES from "FILE";` takes, as the pattern of a constant, and the file's
/// name.
fn parse_import(module: &str, line: &str) -> (String, String) {
    let parts =
        line.strip_prefix("import ").and_then(|rest| rest.strip_suffix("\";")).and_then(|rest| rest.split_once(" from \""));
    let (names, path) = parts.unwrap_or_else(|| panic!("{module}: an import on one line: {line}"));
    let pattern = match names.strip_prefix("* as ") {
        Some(all) => all.to_owned(),
        None => names.replace(" as ", ": "),
    };
    (pattern, resolve(module, path))
}

/// A module and all that it imports, directly or not, each after those that it imports.
fn closure(files: &Files, name: &str) -> Vec<String> {
    fn visit(files: &Files, name: &str, above: &mut Vec<String>, done: &mut Vec<String>) {
        assert!(!above.iter().any(|other| other == name), "{name} imports itself by way of {above:?}");
        if done.iter().any(|other| other == name) {
            return;
        }
        above.push(name.to_owned());
        for import in imports(files, name) {
            visit(files, &import, above, done);
        }
        above.pop();
        done.push(name.to_owned());
    }
    let mut done = Vec::new();
    visit(files, name, &mut Vec::new(), &mut done);
    done
}

/// Modules that a module imports at once.
fn imports(files: &Files, name: &str) -> Vec<String> {
    let lines = text(files, name).lines().filter(|line| line.starts_with("import "));
    lines.map(|line| parse_import(name, line).1).collect()
}

/// Modules that a module imports later.
fn imports_later(files: &Files, name: &str) -> Vec<String> {
    let calls = text(files, name).split("import(\"").skip(1).filter_map(|rest| rest.split('"').next());
    calls.map(|path| resolve(name, path)).collect()
}

fn text<'f>(files: &'f Files, name: &str) -> &'f str {
    files.get(name).unwrap_or_else(|| panic!("there is no {name}"))
}

fn folder_of(name: &str) -> &str {
    name.split_once('/').expect("each file is in a folder").0
}

/// The name of a file, by the path that a module imports it by.
fn resolve(module: &str, path: &str) -> String {
    let inner = path.strip_prefix("./").map(|name| format!("{}/{name}", folder_of(module)));
    inner.or_else(|| path.strip_prefix("../").map(str::to_owned)).unwrap_or_else(|| panic!("{module}: a relative path: {path}"))
}

/// The constant that holds a module's exports.
fn variable(name: &str) -> String {
    format!("${}", name.trim_end_matches(".js").replace('/', "_").replace('-', "$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(texts: &[(&str, &str)]) -> Files {
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// The page `p` of these files.
    fn page(texts: &[(&str, &str)]) -> Files {
        scripts(&files(texts), "p")
    }

    #[test]
    fn a_module_comes_after_what_it_imports_and_shares_no_name_with_it() {
        let page = page(&[
            ("p/main.js", "import { a as b } from \"./one.js\";\nimport * as two from \"../s/two.js\";\nconst x = b + two.c;\n"),
            ("p/one.js", "import { c } from \"../s/two.js\";\nconst x = 1;\nexport const a = c + x;\n"),
            ("s/two.js", "const x = 2;\nexport function c() {}\n"),
        ]);
        let expected = "const $s_two = (() => {\nconst x = 2;\nfunction c() {}\nreturn { c };\n})();\n\
             const $p_one = (() => {\nconst { c } = $s_two;\nconst x = 1;\nconst a = c + x;\nreturn { a };\n})();\n\
             (() => {\nconst { a: b } = $p_one;\nconst two = $s_two;\nconst x = b + two.c;\n})();\n\
             export { $s_two, $p_one };\n";
        assert_eq!(page, files(&[("p/main.js", expected)]));
    }

    #[test]
    fn a_part_takes_from_the_page_what_the_page_has() {
        let page = page(&[
            ("p/main.js", "import { a } from \"../s/a.js\";\nconst load = () => import(\"./late.js\");\n"),
            ("p/late.js", "import { a } from \"../s/a.js\";\nimport { own } from \"./own.js\";\nexport class Late {}\n"),
            ("p/own.js", "export const own = 1;\n"),
            ("s/a.js", "export const a = 1;\n"),
        ]);
        assert!(page["p/main.js"].ends_with("export { $s_a };\n"), "{page:?}");
        let late = &page["p/late.js"];
        assert!(late.starts_with("import { $s_a } from \"./main.js\";\nconst $p_own ="), "{late}");
        assert!(late.ends_with("export const { Late } = $p_late;\n") && !late.contains("a = 1"), "{late}");
        assert_eq!(page.len(), 2, "{page:?}");
    }

    #[test]
    fn what_two_parts_import_is_in_the_page_s_script() {
        let page = page(&[
            ("p/main.js", "const load = () => [ import(\"./one.js\"), import(\"./two.js\")];\n"),
            ("p/one.js", "import { a } from \"./a.js\";\nexport const one = a;\n"),
            ("p/two.js", "import { a } from \"./a.js\";\nexport const two = a;\n"),
            ("p/a.js", "export const a = {};\n"),
        ]);
        assert!(page["p/main.js"].starts_with("const $p_a ="), "{page:?}");
        assert_eq!(page.values().filter(|text| text.contains("a = {}")).count(), 1, "{page:?}");
    }

    #[test]
    fn what_cannot_be_joined_fails_the_build() {
        for (main, other) in [
            ("import { a } from \"./a.js\";\n", "import { b } from \"./main.js\";\nexport const a = b;\n"),
            ("import { a } from \"./a.js\";\n", "export let a = 1;\n"),
            ("import { a } from \"./a.js\";\n", "export { a } from \"./b.js\";\n"),
            ("import { a } from \"./a.js\";\n", "export default 1;\n"),
            ("import {\n  a,\n} from \"./a.js\";\n", "export const a = 1;\n"),
            ("import { a } from \"./b.js\";\n", "export const a = 1;\n"),
            ("import { a } from \"./a.js\";\nconst load = () => import(\"./a.js\");\n", "export const a = 1;\n"),
        ] {
            let files = files(&[("p/main.js", main), ("p/a.js", other)]);
            assert!(std::panic::catch_unwind(|| scripts(&files, "p")).is_err(), "{main}{other}");
        }
    }

    #[test]
    fn the_style_sheets_of_a_page_are_one() {
        let sheets = files(&[("s/base.css", "a {}\n"), ("p/style.css", "b {}\n")]);
        let link = |name: &str| format!("  <link rel=\"stylesheet\" href=\"{FOLDER}/{name}\">\n");
        let html = format!("<head>\n{}<title>t</title>\n{}</head>\n", link("s/base.css"), link("p/style.css"));
        let (page, sheet, linked) = styles(&sheets, &html, "p/style.css");
        assert_eq!(page, format!("<head>\n{}<title>t</title>\n</head>\n", link("p/style.css")));
        assert_eq!((sheet.as_str(), linked), ("a {}\nb {}\n", vec!["s/base.css".to_owned(), "p/style.css".to_owned()]));
    }
}
