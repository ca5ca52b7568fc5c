//! Where an image comes from: `IMAGE.sha256` beside it, as its publisher offers it, is compared when it is there.

use std::fs::{self, File};
use std::path::Path;

use sha2::{Digest, Sha256};
use simpul_words::{Card, Language, Words};

use super::image::read_up_to;
use super::problem::Problem;

/// Compare the image file with `IMAGE.sha256`, and say whether there was one.
pub fn check(image: &Path, language: Language) -> Result<(), Problem> {
    let mut beside = image.as_os_str().to_owned();
    beside.push(".sha256");
    let shown = Path::new(&beside).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Ok(text) = fs::read_to_string(&beside) else {
        eprintln!("{}", Card::HashFileMissing { file: &shown }.text(language));
        return Ok(());
    };
    let name = image.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    eprintln!("{}", Card::CheckingHash { image: &name }.text(language));
    let unreadable = |error| Problem::ImageUnreadable { image: name.clone(), error };
    let mut file = File::open(image).map_err(unreadable)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match read_up_to(&mut file, &mut chunk).map_err(unreadable)? {
            0 => break,
            count => hash.update(&chunk[..count]),
        }
    }
    if expected(&text, &name).as_deref() != Some(hex::encode(hash.finalize()).as_str()) {
        return Err(Problem::ImageHashDiffers { image: name, hash_file: shown });
    }
    eprintln!("{}", Card::HashFileMatches { file: &shown }.text(language));
    Ok(())
}

/// The hash that a `sha256sum` file has for `name`; a file of one bare hash is for any name.
fn expected(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let hash = words.next()?.to_ascii_lowercase();
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_for = words.next().is_none_or(|named| named.trim_start_matches('*').rsplit('/').next() == Some(name));
        (is_hash && is_for).then_some(hash)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_file_is_read_for_its_image_only() {
        let hash = "AB".repeat(32);
        for (text, found) in [
            (format!("{hash}  a.img.xz\n"), true),
            (format!("{hash} *./a.img.xz"), true),
            (hash.clone(), true),
            (format!("{hash}  b.img.xz"), false),
            ("<html>404</html>".into(), false),
        ] {
            assert_eq!(expected(&text, "a.img.xz"), found.then(|| hash.to_ascii_lowercase()), "{text}");
        }
    }
}
