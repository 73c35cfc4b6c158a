//! Paths inside a machine.

use super::MachineError;

/// An absolute path without `.` or `..` and without doubled or trailing slashes.
///
/// # Errors
/// [`MachineError::Invalid`] with the path.
pub(super) fn absolute(path: &str) -> Result<String, MachineError> {
    let invalid = |reason: &str| Err(MachineError::Invalid(format!("path `{path}` {reason}")));
    if !path.starts_with('/') {
        return invalid("is not absolute");
    }
    if path.contains(['\0', '\n']) {
        return invalid("contains a line break or NUL");
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return invalid("contains `..`");
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Permission bits as written in scripts: `"0640"`, `"750"`, `"0o644"`.
///
/// # Errors
/// [`MachineError::Invalid`] with the text.
pub fn mode(text: &str) -> Result<u32, MachineError> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 && digits.len() >= 3 => Ok(mode),
        _ => Err(MachineError::Invalid(format!("`{text}` is no file mode: expected octal digits such as \"0644\""))),
    }
}
