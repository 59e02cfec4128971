//! Base64url without padding (RFC 4648, section 5). By hand: a codec for any alphabet weighs fifty times as much in the
//! modules that a visitor downloads.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `data` in letters.
pub(super) fn encode(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

/// The bytes that `text` stands for. Only what [`encode`] writes is read: no padding, and no bits set that are left over.
///
/// # Errors
/// Where the first letter stands that does not belong, from 0.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    // A single letter has too few bits for a byte.
    if text.len() % 4 == 1 {
        return Err(text.len() - 1);
    }
    let mut data = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0);
    for (position, &letter) in text.iter().enumerate() {
        bits = bits << 6 | value(letter).ok_or(position)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            data.push((bits >> held) as u8);
        }
    }
    if bits & ((1 << held) - 1) == 0 { Ok(data) } else { Err(text.len() - 1) }
}

fn value(letter: u8) -> Option<u32> {
    let value = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_written_as_others_write_them(data: Vec<u8>) {
            let text = encode(&data);
            prop_assert_eq!(&text, &BASE64URL_NOPAD.encode(&data));
            prop_assert_eq!(decode(text.as_bytes()), Ok(data));
        }

        #[test]
        fn text_is_read_or_refused_as_others_do(text in "[A-Za-z0-9_-]{0,40}[ -~]{0,1}[AQgw]{0,3}") {
            let theirs = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|error| error.position);
            prop_assert_eq!(decode(text.as_bytes()), theirs);
        }
    }
}
