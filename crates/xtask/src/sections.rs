//! Sections of wasm modules.

/// Bytes of a module's magic number and version.
const PREAMBLE: usize = 8;

/// A module without its custom sections: names and the like, which only help to debug. Nothing where it is no module.
pub fn without_custom(module: &[u8]) -> Option<Vec<u8>> {
    let mut kept = module.get(..PREAMBLE)?.to_vec();
    let mut rest = module.get(PREAMBLE..)?;
    while let Some((&id, after)) = rest.split_first() {
        let (length, width) = leb128(after)?;
        let (section, next) = rest.split_at_checked(1 + width + length)?;
        if id != 0 {
            kept.extend_from_slice(section);
        }
        rest = next;
    }
    Some(kept)
}

/// An unsigned LEB128 number of at most 32 bits, and how many bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_sections_go_and_all_others_stay() {
        let preamble = *b"\0asm\x01\0\0\0";
        let name = [&[0, 0x84, 0], &b"name"[..]].concat();
        let kinds = [1, 1, 0];
        let module = [&preamble[..], &name, &kinds, &name].concat();
        assert_eq!(without_custom(&module), Some([&preamble[..], &kinds].concat()));
    }

    #[test]
    fn what_is_cut_short_is_no_module() {
        assert_eq!(without_custom(b"\0asm"), None);
        assert_eq!(without_custom(b"\0asm\x01\0\0\0\x01\x05\0"), None);
        assert_eq!(without_custom(b"\0asm\x01\0\0\0\x01\x80"), None);
    }
}
