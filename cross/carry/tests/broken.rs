//! Files that were cut, changed, joined or made for somebody else: what is whole comes out, the rest never does.
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic like the test itself")]

mod support;

use simpul_carry::{HeaderError, HubSecret, Item, OpenError};
use support::{file, header, hub, opening, publishes, read};

const SEALED: usize = 64 * 1024 + 16;

fn head_bytes(file: &[u8]) -> usize {
    let (items, _) = read(file, usize::MAX, vec![hub()]);
    let Some(Item::Head(_, head)) = items.first() else { panic!("no head") };
    head.len()
}

#[test]
fn a_file_comes_out_as_it_went_in_whatever_pieces_it_arrives_in() {
    let small = file(&[b"one".to_vec(), vec![], b"three".to_vec()]);
    for piece in [1, 2, 7, 16, 1_000, usize::MAX] {
        let (items, end) = read(&small, piece, vec![hub()]);
        assert_eq!(end, Ok(()), "pieces of {piece}");
        assert!(matches!(&items[0], Item::Head(read, _) if *read == header()));
        assert_eq!(items[1], Item::Opening(opening()));
        assert_eq!(publishes(&items), [b"one".to_vec(), vec![], b"three".to_vec()]);
    }
    // Full frames, and a last chunk that is just full.
    let full = vec![vec![3; 65_536]; 5];
    let opening_bytes = 5 + opening().to_vec().len();
    let rest = 2 * 65_536 - opening_bytes - 5 - 65_536 - 5;
    for payloads in [full, vec![vec![3; 65_536], vec![4; rest]]] {
        let (items, end) = read(&file(&payloads), 4_096, vec![hub()]);
        assert_eq!((publishes(&items), end), (payloads, Ok(())));
    }
}

#[test]
fn a_cut_at_every_byte_of_a_small_file_gives_the_whole_or_nothing() {
    let whole = file(&[b"one".to_vec(), b"two".to_vec()]);
    for length in 0..whole.len() {
        let (items, end) = read(&whole[..length], 64, vec![hub()]);
        assert!(end.is_err(), "cut at {length}");
        assert!(items.len() <= 1, "cut at {length}: one chunk, so nothing but the head");
    }
}

#[test]
fn a_cut_at_each_chunk_leaves_what_stands_before_it() {
    let payloads: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 10_000]).collect();
    let whole = file(&payloads);
    let head = head_bytes(&whole);
    let opening_bytes = 5 + opening().to_vec().len();
    for chunk in 0..=(whole.len() - head) / SEALED {
        let boundary = head + chunk * SEALED;
        for cut in [boundary.saturating_sub(1), boundary, boundary + 1, boundary + SEALED / 2] {
            if cut >= whole.len() {
                continue;
            }
            let (items, end) = read(&whole[..cut], 50_000, vec![hub()]);
            let chunks = (cut.saturating_sub(head)) / SEALED;
            let frames = (chunks * 65_536).saturating_sub(opening_bytes) / 10_005;
            assert_eq!(publishes(&items), payloads[..frames], "cut at {cut}, in chunk {chunk}");
            let at_bytes = (head + chunks * SEALED) as u64;
            if cut >= head {
                assert_eq!(end, Err(OpenError::CutShort { at_bytes }), "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_seen_and_nothing_behind_it_comes_out() {
    let payloads: Vec<Vec<u8>> = (0..14).map(|number| vec![number; 10_000]).collect();
    let whole = file(&payloads);
    let head = head_bytes(&whole);
    let small = file(&[b"one".to_vec()]);
    for place in 0..small.len() {
        let mut bad = small.clone();
        bad[place] ^= 1;
        let (items, end) = read(&bad, usize::MAX, vec![hub()]);
        assert!(end.is_err() && publishes(&items).is_empty(), "byte {place}: {items:?}");
    }
    for place in (head..whole.len()).step_by(4_999) {
        let mut bad = whole.clone();
        bad[place] ^= 0x80;
        let (items, end) = read(&bad, usize::MAX, vec![hub()]);
        let found = publishes(&items);
        assert_eq!(found, payloads[..found.len()], "byte {place}");
        assert!(found.len() * 10_005 <= (place - head) / SEALED * 65_536, "byte {place}");
        assert!(matches!(end, Err(OpenError::Damaged { .. } | OpenError::CutShort { .. })), "byte {place}: {end:?}");
    }
}

#[test]
fn chunks_that_change_places_or_go_missing_are_seen() {
    let whole = file(&vec![vec![3; 60_000]; 6]);
    let head = head_bytes(&whole);
    let mut swapped = whole.clone();
    let (first, second) = swapped[head..head + 2 * SEALED].split_at_mut(SEALED);
    first.swap_with_slice(second);
    let at_bytes = head as u64;
    assert_eq!(read(&swapped, 9_999, vec![hub()]).1, Err(OpenError::Damaged { at_bytes }));
    let mut missing = whole.clone();
    missing.drain(head + SEALED..head + 2 * SEALED);
    assert_eq!(read(&missing, 9_999, vec![hub()]).1, Err(OpenError::Damaged { at_bytes: at_bytes + SEALED as u64 }));
}

#[test]
fn bytes_behind_the_end_are_told_and_the_file_is_taken() {
    let payloads = vec![vec![9; 65_536], vec![8; 100]];
    let mut longer = file(&payloads);
    longer.push(0);
    let (items, end) = read(&longer, usize::MAX, vec![hub()]);
    // A last chunk that is not full cannot be told from a changed one.
    assert!(end.is_err(), "{end:?}");
    assert!(publishes(&items).is_empty() || publishes(&items) == payloads[..publishes(&items).len()]);
    let rest = 65_536 - 5 - opening().to_vec().len() - 5;
    let mut full = file(&[vec![4; rest]]);
    let at_bytes = full.len() as u64;
    full.extend([0; 10]);
    let (items, end) = read(&full, usize::MAX, vec![hub()]);
    assert_eq!((publishes(&items).len(), end), (1, Err(OpenError::Trailing { at_bytes })));
}

#[test]
fn another_hubs_file_another_version_and_other_files_are_refused_by_name() {
    let good = file(&[b"one".to_vec()]);
    let other = HubSecret::from_bytes([9; 32]);
    let (items, end) = read(&good, usize::MAX, vec![other.clone()]);
    assert!(items.is_empty());
    assert_eq!(end, Err(OpenError::OtherHub { theirs: hub().public(), ours: other.public() }));
    // An older key of the same hub opens too.
    assert_eq!(read(&good, usize::MAX, vec![other, hub()]).1, Ok(()));

    let replaced = |from: &str, to: &str| {
        let place = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&good[..place], to.as_bytes(), &good[place + from.len()..]].concat()
    };
    for (bytes, expected) in [
        (replaced("simpul-carry 1 ", "simpul-carry 2 "), OpenError::Header(HeaderError::OtherVersion(2))),
        (replaced("simpul-carry 1 ", "simpul-carrx 1 "), OpenError::Header(HeaderError::NotCarry)),
        (replaced("2003-01", "2003-02"), OpenError::ChangedHeader),
        (replaced("1795000000123", "1795000000124"), OpenError::ChangedHeader),
        (replaced("age-encryption.org/v1", "age-encryption.org/v2"), OpenError::Header(HeaderError::NotCarry)),
        (b"PK\x03\x04 a zip".to_vec(), OpenError::Header(HeaderError::NotCarry)),
        (vec![], OpenError::CutShort { at_bytes: 0 }),
    ] {
        let (items, end) = read(&bytes, 11, vec![hub()]);
        assert_eq!((items.len(), end), (0, Err(expected)));
    }
}
