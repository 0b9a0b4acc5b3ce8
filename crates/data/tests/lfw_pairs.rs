//! The list of LFW: the official one where it is at hand, and wrong ones.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // tests may

use npair_data::LfwPairs;
use npair_testkit::require;
use std::collections::{BTreeSet, HashSet};

#[test]
fn the_official_list_has_its_published_counts() {
    let Some(file) = require::data("lfw/pairs.txt") else { return };
    let list = LfwPairs::read(&file).unwrap();
    assert_eq!((list.folds(), list.pairs().len(), list.images().len()), (10, 6000, 7701));
    let people = |fold: usize| -> HashSet<&str> {
        let own = list.pairs().iter().filter(|p| p.fold == fold);
        own.flat_map(|p| p.images.iter().map(|i| i.person.as_str())).collect()
    };
    let folds: Vec<HashSet<&str>> = (0..10).map(people).collect();
    // No identity is in two folds.
    let all: BTreeSet<&str> = folds.iter().flatten().copied().collect();
    assert_eq!((all.len(), folds.iter().map(HashSet::len).sum::<usize>()), (4281, 4281));
    for fold in 0..10 {
        let own = || list.pairs().iter().filter(|p| p.fold == fold);
        assert_eq!((own().count(), own().filter(|p| p.same).count()), (600, 300));
    }
    assert!(list.pairs().iter().all(|p| p.same == (p.images[0].person == p.images[1].person)));
}

#[test]
fn a_byte_order_mark_carriage_returns_and_spaces_are_read() {
    let want = LfwPairs::parse("pairs.txt", "1\t1\nAda\t1\t2\nAda\t1\tBo\t2\n").unwrap();
    for text in ["\u{feff}1\t1\r\nAda\t1\t2\r\nAda\t1\tBo\t2\r\n", "1 1\nAda 1 2\nAda 1 Bo 2\n"] {
        assert_eq!(LfwPairs::parse("pairs.txt", text).unwrap(), want, "{text:?}");
    }
}

#[test]
fn wrong_lists_are_named_by_line() {
    let said = |text: &str| LfwPairs::parse("pairs.txt", text).unwrap_err().to_string();
    assert!(said("").starts_with("pairs.txt, line 1,"));
    assert!(said("ten 300\n").contains("should be the number of folds"));
    assert!(said("10\t300\n").contains("which the file cannot hold"));
    assert!(said("99999999999\t99999999999\n").contains("cannot hold"));
    assert!(
        said("1\t1\nAda\t1\t2\nAda\t1\t2\n")
            .contains("line 3, is `Ada\t1\t2`, but should be name, number, name, number")
    );
    assert!(said("1\t1\nAda\t0\t2\nAda\t1\tBo\t2\n").contains("line 2,"));
    assert!(said("1\t1\nAda\t1\t2\nAda\t1\tAda\t2\n").contains("names Ada twice"));
    assert!(said("1\t1\n../Ada\t1\t2\nAda\t1\tBo\t2\n").contains("line 2,"));
    assert!(said("1\t2\nAda\t1\t2\nAda\t1\t3\nAda\t1\tBo\t2\n").contains("4 pairs were promised, 3 are there"));
    assert!(said("1\t1\nAda\t1\t2\nAda\t1\tBo\t2\nAda\t1\tCy\t2\n").contains("line 4,"));
    assert!(LfwPairs::read("no/such/pairs.txt".as_ref()).unwrap_err().to_string().contains("no/such/pairs.txt"));
}
