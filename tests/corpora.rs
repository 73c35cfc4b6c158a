//! What fuzzing has found so far, given again to what it was found in: `tests/fuzz/corpus/NAME`, one input per file.

#[path = "fuzz/entries.rs"]
pub mod entries;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

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

/// The next of a row of numbers that look random (SplitMix64), below `end`.
fn below(seed: &mut u64, end: usize) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
}

/// A few changes to one input, some of them out of another.
fn changed(seed: &mut u64, inputs: &[Vec<u8>]) -> Vec<u8> {
    const ODD: &[&[u8]] = &[
        b"\n",
        b"\0",
        b"\"",
        b":",
        b"=",
        b",",
        b"[",
        b"]",
        b"%",
        b"#",
        b"-",
        b"9999999999999999999",
        b"\xc3\xa4",
        b" ",
        b"{}",
    ];
    let mut bytes = inputs[below(seed, inputs.len())].clone();
    for _ in 0..1 + below(seed, 4) {
        let (from, length) = (below(seed, bytes.len() + 1), below(seed, 12));
        let to = (from + length).min(bytes.len());
        match below(seed, 5) {
            0 => _ = bytes.drain(from..to),
            1 => _ = bytes.splice(from..from, ODD[below(seed, ODD.len())].iter().copied()).count(),
            2 => {
                let other = &inputs[below(seed, inputs.len())];
                let start = below(seed, other.len() + 1);
                let piece = other[start..(start + length * 4).min(other.len())].to_vec();
                bytes.splice(from..to, piece);
            }
            3 => {
                let piece = bytes[from..to].to_vec();
                bytes.splice(from..from, piece);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte = below(seed, 256) as u8;
                }
            }
        }
    }
    bytes
}

/// For those who have no `cargo fuzz`: changes at random, the same each time, without a look at what they reach.
fn nothing_close_to_it_breaks(limit: Duration, most: usize) {
    let mut broken = Vec::new();
    for (name, entry) in entries::ALL {
        let inputs: Vec<Vec<u8>> = corpus(name).iter().map(|input| std::fs::read(input).unwrap()).collect();
        let (mut seed, mut count) = (0, 0);
        let until = Instant::now() + limit;
        while count < most && Instant::now() < until {
            let bytes = changed(&mut seed, &inputs);
            count += 1;
            if let Err(panic) = std::panic::catch_unwind(|| entry(&bytes)) {
                let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                broken.push(format!("{name}: {:?}: {said}", String::from_utf8_lossy(&bytes)));
                break;
            }
        }
        println!("{name}: {count} inputs");
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn nothing_close_to_what_was_found_breaks() {
    nothing_close_to_it_breaks(Duration::from_secs(2), 500);
}

#[test]
#[ignore = "long: 20 s for each kind of input"]
fn nothing_close_to_what_was_found_breaks_for_long() {
    nothing_close_to_it_breaks(Duration::from_secs(20), usize::MAX);
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
