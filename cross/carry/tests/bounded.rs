//! Noise: nothing panics, nothing comes out that did not go in, and memory stays small whatever is fed.
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic like the test itself")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_carry::{Header, Kind, Opening, Sealer};
use support::{file, header, hub, publishes, read};

/// A chunk, what it is opened into, a frame, and the copies on the way.
const ALLOCATED_BYTES_MAX: usize = 640 * 1024;

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn peak_of(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

/// One test: the counter counts the whole process.
#[test]
fn noise_neither_panics_nor_passes_nor_costs_memory() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seed) = (number("SIMPUL_FUZZ_ROUNDS", 3_000), number("SIMPUL_FUZZ_SEED", 20_261_124));
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let small = file(&[b"one".to_vec(), b"two".to_vec()]);
    let large = file(&[vec![1; 60_000], vec![2; 60_000], vec![3; 100]]);
    // Frames that lie about themselves, from somebody who has the hub's public key.
    let mut liar = {
        let (mut sealer, mut file) = Sealer::begin(&header()).unwrap();
        sealer.frame(Kind::Publish, b"no opening", &mut file).unwrap();
        sealer.end(&mut file).unwrap();
        file
    };
    assert!(read(&liar, 64, vec![hub()]).1.is_err());
    liar.truncate(liar.len() - 1);
    let mut worst = 0;
    for round in 0..rounds {
        let source = [&small, &large, &liar][round as usize % 3];
        let mut bytes = source.clone();
        for _ in 0..random.random_range(1..4) {
            // Half of the blows go where the header is.
            let reach = if random.random() { 600 } else { usize::MAX };
            let place = random.random_range(0..bytes.len().min(reach));
            match random.random_range(0..4) {
                0 => bytes[place] = random.random(),
                1 => bytes.truncate(place.max(1)),
                2 => bytes.insert(place, random.random()),
                _ => {
                    let end = bytes.len().min(place + 32);
                    let copy = bytes[place..end].to_vec();
                    bytes.splice(place..place, copy);
                }
            }
        }
        let piece = random.random_range(1..70_000).max(bytes.len() / 50);
        let mut came = Vec::new();
        let items_and_end = |bytes: &[u8]| read(bytes, piece, vec![hub()]);
        worst = worst.max(peak_of(|| {
            // What comes out is let go of at once, as an import does.
            let (items, _) = items_and_end(&bytes);
            came = publishes(&items);
        }));
        let whole = publishes(&read(source, usize::MAX, vec![hub()]).0);
        assert!(whole.starts_with(&came), "round {round}: something came out that was never sealed");
        let _ = Header::peek(&bytes);
        let _ = Opening::from_slice(&bytes[..bytes.len().min(65_536)]);
    }
    let noise: Vec<u8> = (0..65_536).map(|_| random.random()).collect();
    let begun = [&b"age-encryption.org/v1\n"[..], &noise].concat();
    let lines = [&b"age-encryption.org/v1\n"[..], &b"-> x\n\n".repeat(10_000)].concat();
    for bytes in [noise, begun, lines] {
        worst = worst.max(peak_of(|| assert!(read(&bytes, usize::MAX, vec![hub()]).1.is_err())));
    }
    println!("peak allocation {worst} bytes");
    assert!(worst < ALLOCATED_BYTES_MAX, "{worst} bytes");
}
