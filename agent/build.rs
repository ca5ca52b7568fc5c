//! Passes the build's time on: certificates are never judged at an earlier one (`src/uplink/tls.rs`); and makes the phone
//! page (`src/phone/page`): one file with its style, its script and its texts in both languages, compressed, and the
//! content security policy that allows exactly that style and that script.

use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

fn main() {
    build_time();
    phone_page();
}

#[expect(clippy::disallowed_methods, reason = "the build's own clock; a reproducible build sets SOURCE_DATE_EPOCH")]
fn build_time() {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo:rerun-if-changed=Cargo.toml");
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse::<u64>().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    println!("cargo:rustc-env=SIMPUL_BUILD_UNIX_S={}", given.unwrap_or(now));
}

#[expect(clippy::expect_used, reason = "a page that cannot be made ends the build")]
fn phone_page() {
    let folder = Path::new("src/phone/page");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", folder.display());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a part of the phone page");
    let (page, style, script) = (read("page.html"), lines(&read("page.css")), lines(&read("page.js")));
    let words = words(&format!("{page}{script}"));
    let script = script.replace("'@WORDS@'", &words);
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    println!(
        "cargo:rustc-env=SIMPUL_PHONE_POLICY=default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(&script),
        hash(&style)
    );
    let page = page.replace("@STYLE@", &style).replace("@SCRIPT@", &script);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(page.as_bytes()).expect("memory takes all");
    let packed = packed.finish().expect("memory takes all");
    let out = std::env::var_os("OUT_DIR").expect("cargo names the folder");
    std::fs::write(Path::new(&out).join("phone.html.gz"), packed).expect("the build's folder takes it");
}

/// Without indentation and lines of comment.
fn lines(text: &str) -> String {
    let kept = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("/**"));
    kept.collect::<Vec<_>>().join("\n")
}

/// The texts that the page asks for, as JavaScript: `{"Area.Name": [indonesian, english]}`. An unknown one ends the build.
fn words(sources: &str) -> String {
    let mut texts = serde_json::Map::new();
    for key in sources.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.')) {
        let is_text = ["Phone.", "Common.", "Doctor."].iter().any(|area| key.starts_with(area));
        if !is_text {
            continue;
        }
        let found = simpul_words::AREAS.iter().copied().flatten().find(|entry| entry.key == key);
        let Some(entry) = found else { panic!("the phone page says {key}, which is not in the catalogue") };
        texts.insert(key.to_owned(), serde_json::json!([entry.indonesian, entry.english]));
    }
    // Inside of <script>, nothing may end it.
    serde_json::Value::Object(texts).to_string().replace('<', "\\u003c")
}
