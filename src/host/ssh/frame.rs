//! One message on the line: a mark, the length, MessagePack.

use std::io::{self, Read};

use rmp_serde::config::BytesMode;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most bytes of a message. A batch of reads that answers more belongs in several batches.
pub(super) const LIMIT: usize = 64 << 20;

/// Begins every message: what anybody else prints on the line is noticed at once.
const MARK: u8 = 0xF8;
const HEADER: usize = 5;

/// Why a message could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// More than may be sent at once.
    #[error("{} MiB are more than the {} MiB that one message may have", .0 >> 20, LIMIT >> 20)]
    TooLarge(usize),
    /// Something else is on the line.
    #[error("something else spoke on the line")]
    Foreign,
    /// It does not say anything that is known here.
    #[error("a message cannot be understood: {0}")]
    Damaged(String),
    /// The line broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A message as it goes over the line.
pub(super) fn encode(message: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![MARK, 0, 0, 0, 0];
    let mut serializer = rmp_serde::Serializer::new(&mut frame).with_bytes(BytesMode::ForceIterables);
    message.serialize(&mut serializer).map_err(|error| FrameError::Damaged(error.to_string()))?;
    let length = frame.len() - HEADER;
    match u32::try_from(length) {
        Ok(short) if length <= LIMIT => frame[1..HEADER].copy_from_slice(&short.to_be_bytes()),
        _ => return Err(FrameError::TooLarge(length)),
    }
    Ok(frame)
}

/// The next message; none when the line ended between two.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>, FrameError> {
    let mut header = [0; HEADER];
    match from.read(&mut header[..1])? {
        0 => return Ok(None),
        _ if header[0] != MARK => return Err(FrameError::Foreign),
        _ => from.read_exact(&mut header[1..])?,
    }
    let [_, length @ ..] = header;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LIMIT {
        return Err(FrameError::TooLarge(length));
    }
    // Grows with what arrives: a length alone takes no memory.
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    rmp_serde::from_slice(&body).map(Some).map_err(|error| FrameError::Damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_as_they_went() {
        let odd = ("grün\0\n'\"$(id)".to_owned(), vec![0u8, 255, 10, 0xF8], Vec::<u8>::new(), Some(7u64));
        let line = [encode(&odd).unwrap(), encode(&odd).unwrap()].concat();
        let mut line = line.as_slice();
        for _ in 0..2 {
            assert_eq!(read(&mut line).unwrap(), Some(odd.clone()));
        }
        assert_eq!(read::<u8>(&mut line).unwrap(), None);
    }

    #[test]
    fn bytes_take_as_much_room_as_they_are() {
        assert!(encode(&vec![200u8; 1 << 20]).unwrap().len() < (1 << 20) + 16);
    }

    #[test]
    fn what_is_no_message_is_told_so() {
        let read = |bytes: &[u8]| read::<String>(&mut { bytes }).unwrap_err().to_string();
        assert_eq!(read(b"Last login: today\n"), "something else spoke on the line");
        assert_eq!(read(&[MARK, 0xFF, 0, 0, 0]), "4080 MiB are more than the 64 MiB that one message may have");
        assert_eq!(read(&[MARK, 0, 0, 0, 9, 1]), "unexpected end of file");
        assert!(read(&[MARK, 0, 0, 0, 1, 7]).starts_with("a message cannot be understood"));
        assert!(matches!(encode(&vec![0u8; LIMIT + 1]), Err(FrameError::TooLarge(_))));
    }
}
