//! Durations for people: `0.3s`, `12.4s`, `3m05s`, `1h02m`.

use std::time::Duration;

/// A duration in at most six characters for anything below a hundred hours.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_stay_short() {
        let told = [0.31, 12.44, 185.0, 3725.0].map(|seconds| short(Duration::from_secs_f64(seconds)));
        assert_eq!(told, ["0.3s", "12.4s", "3m05s", "1h02m"]);
    }
}
