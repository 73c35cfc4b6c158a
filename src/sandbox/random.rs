//! Numbers that look random and follow from a seed alone (SplitMix64), so that a run can be repeated byte for byte.

/// One well mixed number out of any number of parts.
pub(super) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9E37_79B9_7F4A_7C15, |state, part| scramble(state ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15))
}

/// The next number of the sequence that `state` stands for.
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    scramble(*state)
}

fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |mut state: u64| -> Vec<u64> { (0..4).map(|_| next(&mut state)).collect() };
        assert_eq!(numbers(7), numbers(7));
        assert_ne!(numbers(7), numbers(8));
        assert_ne!(mix(&[1, 2]), mix(&[2, 1]));
    }
}
