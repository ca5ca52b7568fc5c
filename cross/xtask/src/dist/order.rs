//! The order of functions in a program: those that an agent at work calls come first, side by side.
//!
//! The kernel maps 64 KiB around each page of a program that is touched. Functions in the compiler's order lie among
//! others that never run, so nearly all of the agent's 4 MB of code was in memory; side by side they take half of that.
//!
//! The order is a list of hashed names in `cross/targets/NAME/order.txt` ([`key`]), most called first, recorded from the
//! agent under the load of the footprint bench ([`record`]). What has a new name since then lies with the rest and costs
//! only its pages. rustc calls this program as its linker ([`as_linker`]): the names are looked up in a first link of the
//! same objects, and the second one is told the order. The same objects and list give the same bytes.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};

use super::build::Place;
use super::products::Product;
use crate::measure;
use crate::run::run;

/// Set for rustc, and so for its linker: the list.
const LIST: &str = "SIMPUL_LINK_ORDER";

/// Set too: where the first link goes. It has the names of its functions.
const NAMED: &str = "SIMPUL_LINK_NAMED";

/// Rust's own linker; rustc puts its folder on the path.
const LINKER: &str = "rust-lld";

/// For the link that ships: functions of the same machine code are one. Code alone is folded, never data, so what is
/// told apart by the address of a table stays apart. The first link keeps each, for each has a name in the list.
const FOLD: &str = "--icf=all";

/// Where the kernel's tracing is, for root.
const TRACING: &str = "/sys/kernel/tracing";

/// Seconds of load to record: two pictures, two minutes' readings, and the connecting before them.
const RECORD_SECONDS: u32 = 150;

/// The list of a product; none: it keeps the compiler's order.
fn list(product: &Product, place: &Place) -> Option<PathBuf> {
    let list = place.sources.join("cross/targets").join(product.program).join("order.txt");
    (product.glibc.is_none() && list.is_file()).then_some(list)
}

/// The program with names in it.
fn named(product: &Product, place: &Place) -> PathBuf {
    place.target.join(product.triple).join("dist").join(format!("{}.named", product.program))
}

/// The linker of a static product, with what it finds in its environment.
pub fn linker(product: &Product, place: &Place, build: &mut Command) -> anyhow::Result<PathBuf> {
    let Some(list) = list(product, place) else { return Ok(PathBuf::from(LINKER)) };
    build.env(LIST, list).env(NAMED, named(product, place));
    std::env::current_exe().context("cannot find this program's own path")
}

/// Cargo does not know of the list: where it is newer than the program, let it link again.
pub fn notice(product: &Product, place: &Place) -> anyhow::Result<()> {
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Some(list) = list(product, place) else { return Ok(()) };
    let folder = place.target.join(product.triple).join("dist");
    if changed(&list) <= changed(&folder.join(product.program)) {
        return Ok(());
    }
    let Ok(known) = fs::read_dir(folder.join(".fingerprint")) else { return Ok(()) };
    for entry in known {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(product.program) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// What to end with, if rustc calls this program as its linker.
pub fn as_linker() -> Option<ExitCode> {
    let (list, named) = (std::env::var_os(LIST)?, std::env::var_os(NAMED)?);
    Some(match link(std::env::args_os().skip(1).collect(), Path::new(&list), Path::new(&named)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask, as the linker: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn link(words: Vec<OsString>, list: &Path, named: &Path) -> anyhow::Result<()> {
    let mut first: Vec<OsString> = words.iter().filter(|word| *word != "--strip-all").cloned().collect();
    let output = first.iter().position(|word| word == "-o").and_then(|at| first.get_mut(at + 1));
    *output.context("rustc names no output")? = named.into();
    run(Command::new(LINKER).args(first).arg("--strip-debug"))?;
    let program = fs::read(named).with_context(|| format!("cannot read {}", named.display()))?;
    let names = functions(&program)?;
    let listed = fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let ordered = in_order(&listed, names.iter().map(|(name, _)| name.as_str()));
    let order = named.with_extension("order");
    fs::write(&order, ordered.join("\n")).with_context(|| format!("cannot write {}", order.display()))?;
    run(Command::new(LINKER)
        .args(words)
        .args([FOLD, "-O2"])
        .arg("--symbol-ordering-file")
        .arg(order)
        .arg("--no-warn-symbol-ordering"))
}

/// The functions of a program: name and where in the file.
fn functions(program: &[u8]) -> anyhow::Result<Vec<(String, u64)>> {
    let file = object::File::parse(program)?;
    let offset = |address: u64| {
        let holds = |segment: &object::Segment<'_, '_>| {
            (segment.address()..segment.address() + segment.size()).contains(&address)
        };
        let segment = file.segments().find(holds)?;
        Some(address - segment.address() + segment.file_range().0)
    };
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition());
    Ok(functions.filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), offset(symbol.address())?))).collect())
}

/// Those of `names` that are on the list, in its order.
fn in_order<'n>(list: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut by_key: HashMap<u64, Vec<&str>> = HashMap::new();
    for name in names {
        by_key.entry(key(name)).or_default().push(name);
    }
    let keys = list.lines().filter_map(|line| u64::from_str_radix(line, 16).ok());
    keys.flat_map(|key| by_key.remove(&key).unwrap_or_default()).collect()
}

/// A function's name as a number (FNV-1a), without what differs from build to build: rustc's mark of a crate (`Cs`, base
/// 62, `_` in its mangled names) and LLVM's number behind a dot.
fn key(name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut rest = name.split('.').next().unwrap_or_default().as_bytes();
    while let [byte, after @ ..] = rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        rest = match after {
            [b's', mark @ ..] if *byte == b'C' => {
                let end = mark.iter().position(|letter| !letter.is_ascii_alphanumeric());
                end.filter(|end| mark[*end] == b'_').map_or(after, |end| &mark[end + 1..])
            }
            _ => after,
        };
    }
    hash
}

/// Record the list anew: the agent of this machine under the footprint bench's load, with a probe of the kernel on each
/// of its functions. For root.
pub fn record(product: &Product) -> anyhow::Result<()> {
    let place = Place::here();
    let tracing = Path::new(TRACING);
    if !tracing.join("uprobe_events").is_file() {
        bail!("{TRACING}/uprobe_events is not there: run this as root on a kernel with uprobes (Debian's has them)");
    }
    let named = named(product, &place);
    let program = fs::read(&named).with_context(|| format!("cannot read {}", named.display()))?;
    let functions = functions(&program)?;
    let probes = tracing.join("uprobe_events");
    let mut file = fs::File::options().append(true).open(&probes)?;
    for (number, (_, offset)) in functions.iter().enumerate() {
        let line = format!("p:{GROUP}/f{number} {}:0x{offset:x}\n", named.display());
        // The kernel refuses a few instructions; their functions stay with the rest.
        let _refused = std::io::Write::write_all(&mut file, line.as_bytes());
    }
    let switch = tracing.join("events").join(GROUP).join("enable");
    let recorded = fs::write(&switch, "1").context("cannot switch the probes on").and_then(|()| {
        println!("{} probes; {RECORD_SECONDS} s of load", functions.len());
        measure::footprint_of(&named, RECORD_SECONDS)?;
        Ok(fs::read_to_string(tracing.join("uprobe_profile"))?)
    });
    let _off = fs::write(&switch, "0");
    let _gone = std::io::Write::write_all(&mut file, format!("-:{GROUP}/\n").as_bytes());
    let text = listed(&recorded?, &functions);
    let list = place.sources.join("cross/targets").join(product.program).join("order.txt");
    println!("{} of {} functions were called: {}", text.lines().count(), functions.len(), list.display());
    fs::write(&list, text).with_context(|| format!("cannot write {}", list.display()))
}

/// The probes' group.
const GROUP: &str = "simpul";

/// The list from the kernel's count of each probe, most called first.
fn listed(profile: &str, functions: &[(String, u64)]) -> String {
    let mut called: Vec<(u64, usize)> = Vec::new();
    for line in profile.lines() {
        let mut words = line.split_whitespace().rev();
        let hits = words.next().and_then(|word| word.parse::<u64>().ok());
        let number = words.next().and_then(|word| word.strip_prefix('f')?.parse::<usize>().ok());
        if let (Some(hits @ 1..), Some(number)) = (hits, number) {
            called.push((hits, number));
        }
    }
    called.sort_by_key(|(hits, number)| (std::cmp::Reverse(*hits), *number));
    let mut seen = std::collections::HashSet::new();
    let keys = called.iter().filter_map(|(_, number)| functions.get(*number)).map(|(name, _)| key(name));
    keys.filter(|key| seen.insert(*key)).map(|key| format!("{key:016x}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_key_when_a_crate_is_marked_anew() {
        let one = "_RNvMs2_NtCsbjBKUZvWA1K_4sled6configNtB5_6Config4open";
        assert_eq!(key(one), key("_RNvMs2_NtCs1_4sled6configNtB5_6Config4open"));
        assert_eq!(key(one), key("_RNvMs2_NtC4sled6configNtB5_6Config4open.llvm.17"));
        assert_ne!(key(one), key("_RNvMs2_NtCsbjBKUZvWA1K_4sled6configNtB5_6Config5close"));
        // No mark: nothing of the name is lost.
        assert_ne!(key("Cs"), key("C"));
        assert_ne!(key("CsÄ"), key("CsÖ"));
    }

    #[test]
    fn the_most_called_come_first_and_the_rest_keeps_its_place() {
        let functions: Vec<(String, u64)> = ["a", "b.1", "c", "b.2"].map(|name| (name.to_owned(), 0)).to_vec();
        let profile = "  /a path/x f0   7\n  /a path/x f1  9 0\n /x f2 0\n  /x f3  8\n  /x f1  30\n /x f9 4\n";
        let list = listed(profile, &functions);
        assert_eq!(list, format!("{:016x}\n{:016x}\n", key("b"), key("a")));
        let names = ["new", "c", "a", "b.7", "b.8"];
        assert_eq!(in_order(&list, names.into_iter()), ["b.7", "b.8", "a"]);
        assert!(in_order("no list\n", names.into_iter()).is_empty());
    }

    #[test]
    fn a_program_tells_its_functions() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let functions = functions(&own).unwrap();
        let (_, offset) = functions.iter().find(|(name, _)| name == "main").unwrap();
        assert!(*offset > 0 && *offset < own.len() as u64);
    }
}
