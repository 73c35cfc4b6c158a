#![no_main]

#[allow(dead_code, reason = "one of them is called here")]
#[path = "../entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::storage_cfg(data));
