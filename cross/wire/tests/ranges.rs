//! Range sets against a plain set of numbers: the same answer after every random step.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use simpul_wire::{RangeSet, SeqRange};

fn ranges_of(numbers: &BTreeSet<u64>) -> Vec<SeqRange> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges.into_iter().map(|(first, last)| SeqRange::new(first, last).unwrap()).collect()
}

proptest! {
    #[test]
    fn a_range_set_behaves_like_a_set_of_numbers(steps in prop::collection::vec((any::<bool>(), 0u64..80, 1u64..12), 1..60)) {
        let mut set = RangeSet::new();
        let mut model = BTreeSet::new();
        for (add, first, count) in steps {
            let range = SeqRange::with_count(first, count).unwrap();
            let numbers: BTreeSet<u64> = (range.first()..=range.last()).collect();
            let held = &numbers & &model;
            let absent = &numbers - &model;
            prop_assert_eq!(set.missing_in(range), ranges_of(&absent));
            prop_assert_eq!(set.contains_range(range), absent.is_empty());
            if add {
                prop_assert_eq!(set.insert(range), ranges_of(&absent));
                model.extend(numbers);
            } else {
                prop_assert_eq!(set.remove(range), ranges_of(&held));
                model.retain(|number| !numbers.contains(number));
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), ranges_of(&model));
            prop_assert_eq!(set.count(), model.len() as u64);
            let decoded: RangeSet = minicbor::decode(&minicbor::to_vec(&set).unwrap()).unwrap();
            prop_assert_eq!(&decoded, &set);
        }
    }
}

#[test]
fn the_largest_numbers_are_no_trap() {
    let mut set = RangeSet::new();
    let top = SeqRange::new(u64::MAX - 1, u64::MAX).unwrap();
    set.insert(top);
    set.insert(SeqRange::one(u64::MAX - 2));
    assert_eq!((set.range_count(), set.count()), (1, 3));
    assert_eq!(set.missing_in(SeqRange::new(u64::MAX - 4, u64::MAX).unwrap()).len(), 1);
    assert_eq!(set.remove(SeqRange::one(u64::MAX)), [SeqRange::one(u64::MAX)]);
    assert_eq!(SeqRange::new(0, u64::MAX), None);
    assert_eq!(SeqRange::with_count(u64::MAX, 2), None);
    assert_eq!(SeqRange::with_count(7, 0), None);
}

#[test]
fn a_set_that_overlaps_or_passes_the_end_is_refused_on_the_wire() {
    for (items, name) in [
        (vec![5u64, 2, 0, 1], "overlap"),
        (vec![5, 2, 1, 1], "touch"),
        (vec![u64::MAX, 1], "past the end"),
        (vec![5], "odd"),
        (vec![0, u64::MAX], "everything"),
    ] {
        let bytes = minicbor::to_vec(&items).unwrap();
        assert!(minicbor::decode::<RangeSet>(&bytes).is_err(), "{name}");
    }
}
