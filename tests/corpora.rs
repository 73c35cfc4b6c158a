//! What fuzzing has found so far, given again to what it was found in: `tests/fuzz/corpus/NAME`, one input per file.

#[path = "fuzz/entries.rs"]
pub mod entries;

use std::path::{Path, PathBuf};

fn corpus(name: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn nothing_that_was_found_breaks_what_reads_it() {
    for (name, entry) in entries::ALL {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in &inputs {
            let bytes = std::fs::read(input).unwrap();
            let held = std::panic::catch_unwind(|| entry(&bytes));
            assert!(held.is_ok(), "{}", input.display());
        }
        println!("{name}: {} inputs", inputs.len());
    }
}

/// Every entry has its target, and small corpora stay small.
#[test]
fn targets_and_corpora_are_those_of_the_entries() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (mut files, mut bytes) = (0, 0);
    for (name, _) in entries::ALL {
        assert!(manifest.contains(&format!("fuzz_targets/{name}.rs")), "{name}");
        assert!(root.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
        let inputs = corpus(name);
        files += inputs.len();
        bytes += inputs.iter().map(|input| input.metadata().unwrap().len()).sum::<u64>();
    }
    assert_eq!(std::fs::read_dir(root.join("corpus")).unwrap().count(), entries::ALL.len());
    assert!(files <= 250 && bytes < 500_000, "{files} files, {bytes} bytes: `cargo fuzz cmin`");
}
