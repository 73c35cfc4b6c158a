//! Bytes of a text, and lines and characters of the protocol, which counts in UTF-16 unless both sides prefer bytes.

use std::ops::Range;

use lsp_types::{Position, PositionEncodingKind};

/// How characters of a line are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16,
}

impl Encoding {
    /// Its name in the protocol.
    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
        }
    }

    /// The byte at a position; the end of the line or of the text where that is too far.
    pub fn offset(self, text: &str, at: Position) -> usize {
        let mut lines = text.split_inclusive('\n');
        let start: usize = lines.by_ref().take(at.line as usize).map(str::len).sum();
        let line = lines.next().unwrap_or_default().trim_end_matches(['\n', '\r']);
        let mut units = 0;
        let characters = line.char_indices().find(|(_, c)| {
            let here = units >= at.character as usize;
            units += self.length(*c);
            here || units > at.character as usize
        });
        start + characters.map_or(line.len(), |(at, _)| at)
    }

    /// The position of a byte.
    pub fn position(self, text: &str, offset: usize) -> Position {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let character: usize = before[start..].chars().map(|c| self.length(c)).sum();
        Position::new(line as u32, character as u32)
    }

    /// The range of some bytes.
    pub fn range(self, text: &str, span: &Range<usize>) -> lsp_types::Range {
        lsp_types::Range::new(self.position(text, span.start), self.position(text, span.end))
    }

    const fn length(self, c: char) -> usize {
        match self {
            Encoding::Utf8 => c.len_utf8(),
            Encoding::Utf16 => c.len_utf16(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_as_agreed_and_too_far_is_the_end() {
        let text = "aé𝄞b\r\nnext";
        for (encoding, of_b) in [(Encoding::Utf16, 4), (Encoding::Utf8, 7)] {
            let b = text.find('b').unwrap_or_default();
            assert_eq!(encoding.position(text, b), Position::new(0, of_b));
            assert_eq!(encoding.offset(text, Position::new(0, of_b)), b);
            assert_eq!(encoding.offset(text, Position::new(0, 99)), b + 1);
            assert_eq!(encoding.offset(text, Position::new(1, 2)), text.len() - 2);
            assert_eq!(encoding.offset(text, Position::new(9, 9)), text.len());
            assert_eq!(encoding.position(text, 999), Position::new(1, 4));
        }
        // Within a pair of surrogates.
        assert_eq!(Encoding::Utf16.offset(text, Position::new(0, 3)), 3);
    }
}
