//! Looks at a finished program: does it ask for more of a machine than was promised, and does it tell where it was made?

use std::path::Path;

use anyhow::Context;
use object::{Object, ObjectSection};

use super::products::Product;

/// What a program is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Its size.
    pub bytes: u64,
    /// The newest glibc that one of its symbols asks for; none: it is static.
    pub glibc: Option<(u32, u32)>,
    /// What is wrong with it; empty: nothing.
    pub problems: Vec<String>,
}

/// Look at a product's program; `folders` are those whose names must not be in it.
pub fn inspect(product: &Product, program: &Path, folders: &[&Path]) -> anyhow::Result<Findings> {
    let bytes = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    judge(product, &bytes, folders).with_context(|| format!("cannot look into {}", program.display()))
}

fn judge(product: &Product, bytes: &[u8], folders: &[&Path]) -> anyhow::Result<Findings> {
    let file = object::File::parse(bytes)?;
    let mut problems = Vec::new();
    let is_static = file.section_by_name(".interp").is_none();
    let names = match file.section_by_name(".dynstr") {
        Some(section) => section.data()?,
        None => &[],
    };
    let glibc = if is_static { None } else { newest_glibc(names) };
    match (product.glibc, is_static) {
        (None, false) => problems.push("asks for a dynamic loader and should be static".to_owned()),
        (Some(_), true) => problems.push("is static and should not be".to_owned()),
        _ => {}
    }
    if let (Some(promised), Some(needed)) = (product.glibc, glibc)
        && needed > promised
    {
        problems.push(format!("needs glibc {}.{}, promised is {}.{}", needed.0, needed.1, promised.0, promised.1));
    }
    if file.section_by_name(".symtab").is_some() || file.section_by_name(".debug_info").is_some() {
        problems.push("is not stripped".to_owned());
    }
    for folder in folders {
        let name = folder.to_string_lossy();
        // A root folder's name is everywhere.
        if name.len() > 1 && contains(bytes, name.as_bytes()) {
            problems.push(format!("has the name of the folder {name} in it"));
        }
    }
    let size = bytes.len() as u64;
    if let Some(max) = product.bytes_max
        && size > max
    {
        problems.push(format!("has {size} bytes and may have {max}"));
    }
    Ok(Findings { bytes: size, glibc, problems })
}

/// The newest version among a dynamic string table's `GLIBC_2.4`, `GLIBC_2.17`...
fn newest_glibc(names: &[u8]) -> Option<(u32, u32)> {
    let versions = names.split(|byte| *byte == 0).filter_map(|name| {
        let version = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??))
    });
    versions.max()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(wanted) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_is_found_by_number_not_by_letter() {
        assert_eq!(newest_glibc(b"\0puts\0GLIBC_2.4\0GLIBC_2.31\0GLIBC_2.9\0GLIBC_PRIVATE\0"), Some((2, 31)));
        assert_eq!(newest_glibc(b"\0puts\0"), None);
    }

    #[test]
    fn an_unstripped_dynamic_program_with_its_folders_name_in_it_is_told_in_full() {
        // This test's own program is one.
        let own = std::env::current_exe().unwrap();
        let product = Product { bytes_max: Some(1_000), ..*Product::named("agent-amd64").unwrap() };
        let found = inspect(&product, &own, &[Path::new("an_unstripped_dynamic_program"), Path::new("/")]).unwrap();
        let all = found.problems.join("; ");
        for problem in ["should be static", "is not stripped", "an_unstripped_dynamic_program in it", "may have 1000"] {
            assert!(all.contains(problem), "{problem}: {all}");
        }
        assert_eq!(found.problems.len(), 4, "{all}");
        let old = Product { glibc: Some((2, 2)), bytes_max: None, ..product };
        let problems = inspect(&old, &own, &[]).unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains("promised is 2.2")), "{problems:?}");
    }
}
