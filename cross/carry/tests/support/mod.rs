//! Files to break.
#![allow(dead_code, reason = "each test takes what it needs")]

use simpul_carry::{Header, HubSecret, Item, Kind, OpenError, Opener, Opening, Sealer};
use simpul_wire::Epoch;

pub fn hub() -> HubSecret {
    HubSecret::from_bytes([0x42; 32])
}

pub fn header() -> Header {
    Header {
        node: "35.12.07.2003-01".parse().unwrap(),
        epoch: Epoch::from_bytes([0xe5; 16]),
        created_ms: 1_795_000_000_123,
        hub: hub().public(),
    }
}

pub fn opening() -> Opening {
    Opening { certificate: vec![0x30; 500].into(), scheme: 0x0403, signature: vec![7; 70].into(), promises: vec![] }
}

/// A file with these publishes; and where each of them ends in the stream of chunks' plain bytes.
pub fn file(publishes: &[Vec<u8>]) -> Vec<u8> {
    let (mut sealer, mut file) = Sealer::begin(&header()).unwrap();
    sealer.frame(Kind::Opening, &opening().to_vec(), &mut file).unwrap();
    for publish in publishes {
        sealer.frame(Kind::Publish, publish, &mut file).unwrap();
    }
    sealer.end(&mut file).unwrap();
    file
}

/// What comes out of a file that arrives in pieces of so many bytes, and how it ended.
pub fn read(file: &[u8], piece: usize, secrets: Vec<HubSecret>) -> (Vec<Item>, Result<(), OpenError>) {
    let mut opener = Opener::new(secrets);
    let (mut items, mut rest) = (Vec::new(), file);
    let mut closed = false;
    loop {
        match opener.next() {
            Ok(Some(item)) => items.push(item),
            Ok(None) if closed => return (items, Ok(())),
            Ok(None) => {
                let taken = opener.feed(&rest[..rest.len().min(piece)]);
                rest = &rest[taken..];
                if rest.is_empty() {
                    opener.close();
                    closed = true;
                }
            }
            Err(error) => {
                assert_eq!(opener.next(), Err(error.clone()), "asked again, the same is said");
                return (items, Err(error));
            }
        }
    }
}

/// The publishes among items.
pub fn publishes(items: &[Item]) -> Vec<Vec<u8>> {
    let publish = |item: &Item| match item {
        Item::Publish(bytes) => Some(bytes.clone()),
        _ => None,
    };
    items.iter().filter_map(publish).collect()
}
