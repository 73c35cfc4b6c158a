//! Coverage in the format of `lcov`, which `genhtml` and code hosts read.

use crate::script::Covered;

/// One tracefile.
pub fn render(files: &[Covered]) -> String {
    let mut text = String::new();
    for file in files {
        text.push_str(&format!("TN:\nSF:{}\n", file.path));
        for (line, times) in &file.lines {
            text.push_str(&format!("DA:{line},{times}\n"));
        }
        text.push_str(&format!("LF:{}\nLH:{}\nend_of_record\n", file.lines.len(), file.covered()));
    }
    text
}
