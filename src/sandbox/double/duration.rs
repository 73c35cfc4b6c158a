//! Durations as Go writes them: `720h`, `1h30m`, `90s`.

use std::time::Duration;

/// Reads a duration; none for what Go would refuse. Fractions are not used by anybody here.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let (number, more) = rest.split_at(digits);
        let units = more.find(|c: char| c.is_ascii_digit()).unwrap_or(more.len());
        let (unit, more) = more.split_at(units);
        let number: u32 = number.parse().ok()?;
        let one = match unit {
            "h" => Duration::from_secs(3600),
            "m" => Duration::from_secs(60),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return None,
        };
        total = total.checked_add(one.checked_mul(number)?)?;
        rest = more;
    }
    (!text.is_empty()).then_some(total)
}

/// Writes a duration as Go prints it: `24h1m0s`.
pub(super) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations() {
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("90s"), Some(Duration::from_secs(90)));
        assert_eq!([parse(""), parse("h"), parse("5"), parse("5d")], [None; 4]);
        assert_eq!(show(Duration::from_secs(24 * 3600 + 60)), "24h1m0s");
    }
}
