//! Patterns of `*` and `?`, as authors and operators write them.

/// Whether a name or a line fits a pattern of `*` (any characters) and `?` (one).
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // The last `*`, and how much of the name it takes so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[n] => (p, n) = (p + 1, n + 1),
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, n) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_take_any_characters_and_question_marks_one() {
        for (pattern, name) in [
            ("", ""),
            ("*", ""),
            ("write /etc/*", "write /etc/x/y"),
            ("*ab*c", "xabyabzc"),
            ("exec step ca init*--dns ?.example.org*", "exec step ca init --x --dns a.example.org"),
            ("ä?", "äö"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "x"), ("?", ""), ("a*b", "ac"), ("install", "install curl")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        // In time that does not explode.
        assert!(!fits(&"*a".repeat(40), &"a".repeat(39)));
    }
}
