//! Disk sizes as Proxmox writes them: `8G`, `512M`, `104858K`.

/// Bytes in a GiB.
pub const GIB: u64 = 1 << 30;

const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// Bytes of a size like `8G`, `0.5T`, `512M` or `1073741824`; `GiB` and the like are understood too. `None` when it is
/// no size.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.strip_suffix("iB").unwrap_or(text);
    let last = text.chars().last()?;
    let (number, unit) = match UNITS.iter().find(|(name, _)| *name == last.to_ascii_uppercase()) {
        Some((_, unit)) => (&text[..text.len() - 1], *unit),
        None => (text, 1),
    };
    let well_formed =
        number.bytes().all(|b| b.is_ascii_digit() || b == b'.') && number.starts_with(|c: char| c.is_ascii_digit());
    if !well_formed {
        return None;
    }
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(unit),
        Err(_) => number.parse::<f64>().ok().map(|fraction| (fraction * unit as f64) as u64),
    }
}

/// The size in the largest unit that divides it exactly, as Proxmox prints it.
pub fn print(bytes: u64) -> String {
    UNITS
        .iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_spelling() {
        assert_eq!(parse("8G"), Some(8 * GIB));
        assert_eq!(parse("8GiB"), Some(8 * GIB));
        assert_eq!(parse("0.5G"), Some(GIB / 2));
        assert_eq!(parse("104858K"), Some(104_858 << 10));
        assert_eq!(parse("1073741824"), Some(GIB));
        for wrong in ["", "G", "x", "-1G", "1..5G", "1P", "+2G"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_printed_in_the_largest_whole_unit() {
        assert_eq!(print(8 * GIB), "8G");
        assert_eq!(print(1024 * GIB), "1T");
        assert_eq!(print(GIB / 2), "512M");
        assert_eq!(print(104_858 << 10), "104858K");
        assert_eq!(print(1000), "1000");
    }
}
