//! Memory that a script holds. The language limits single texts, lists and maps, and does not see what closures hold on
//! to; so while a script computes somebody looks at how much the process grows.
//!
//! Others grow too. What is counted is only what was added while this script computed, between two looks that are near
//! to each other: not while it waited for a machine.

use std::time::{Duration, Instant};

/// More a script must not hold, in bytes: thirty texts of the greatest length.
const LIMIT: u64 = 512 << 20;
/// How often somebody looks.
const EVERY: Duration = Duration::from_millis(20);
/// After a longer pause it is not known who has grown meanwhile.
const NEAR: Duration = Duration::from_millis(250);
/// Bytes of a page, in which `/proc/self/statm` counts.
const PAGE: u64 = 4096;

/// How much was added while one script computed.
#[derive(Default)]
pub(super) struct Growth {
    last: Option<(Instant, u64)>,
    grown: u64,
}

impl Growth {
    /// Whether the script holds too much; looks now and then.
    pub fn is_too_much(&mut self) -> bool {
        let now = Instant::now();
        let pause = self.last.map(|(at, _)| now.duration_since(at));
        if pause.is_some_and(|pause| pause < EVERY) {
            return false;
        }
        let Some(resident) = resident() else { return false };
        if let (Some((_, before)), true) = (self.last, pause.is_some_and(|pause| pause < NEAR)) {
            self.grown = (self.grown + resident).saturating_sub(before);
        }
        self.last = Some((now, resident));
        self.grown > LIMIT
    }

    /// What is wrong then.
    pub fn problem() -> String {
        format!("the script holds more than {} MiB", LIMIT >> 20)
    }
}

/// Memory of this process, in bytes.
fn resident() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/self/statm").ok()?;
    told.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE)
}
