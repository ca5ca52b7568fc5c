//! The technicians' handbook names every finding, in the catalogue's own words: its tables are made from the catalogue.
//!
//! After a text changed: `SIMPUL_WRITE_HANDBOOK=1 cargo test -p simpul-words --test handbook`.

use std::fs;
use std::path::Path;

use simpul_wire::doctor::Code;
use simpul_words::Language;
use simpul_words::findings;

/// What stands before the table; it ends with this line.
const ENDS: [(Language, &str, &str); 2] =
    [(Language::Indonesian, "periksa.md", "\n## Temuan\n"), (Language::English, "doctor.md", "\n## Findings\n")];

/// Text with its places, as a table's cell.
fn cell(text: Option<&str>) -> String {
    let text = text.unwrap_or("–");
    // A place is a word that is filled on site.
    text.replace('{', "⟨").replace('}', "⟩").replace('|', "\\|")
}

fn table(language: Language) -> String {
    let head = match language {
        Language::Indonesian => "| nomor | kode | temuan | sebab | tindakan |",
        Language::English => "| number | code | what | why | do |",
    };
    let mut text = format!("\n{head}\n|---|---|---|---|---|\n");
    for code in Code::ALL {
        let said = findings::of(code.text()).expect("every code has its texts");
        let (what, why, act) = (cell(Some(said.what(language))), cell(said.why(language)), cell(said.act(language)));
        text.push_str(&format!("| {} | `{}` | {what} | {why} | {act} |\n", code.number(), code.text()));
    }
    text
}

#[test]
fn the_handbooks_tables_are_the_catalogues() {
    for (language, file, end) in ENDS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
        let found = fs::read_to_string(&path).expect("the handbook");
        let (before, _) = found.split_once(end).expect("a heading over the table");
        let wanted = format!("{before}{end}{}", table(language));
        if std::env::var_os("SIMPUL_WRITE_HANDBOOK").is_some() {
            fs::write(&path, &wanted).expect("the handbook can be written");
        } else {
            assert!(found == wanted, "{file} is not as the catalogue is: see this file's head");
        }
    }
}
