//! CRC-32 of IEEE 802.3. Four bits at a time: tables for more weigh up to sixteen kilobytes that no compression makes
//! smaller, and links are short.

const POLYNOMIAL: u32 = 0xEDB8_8320;

/// The remainder of each four bits.
const REMAINDERS: [u32; 16] = remainders();

const fn remainders() -> [u32; 16] {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut sum = index as u32;
        let mut bit = 0;
        while bit < 4 {
            sum = if sum & 1 == 0 { sum >> 1 } else { sum >> 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
}

/// CRC-32 of `bytes`.
pub(super) fn crc32(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let step = |sum: u32| sum >> 4 ^ REMAINDERS[(sum & 15) as usize];
    !bytes.into_iter().fold(!0, |sum, byte| step(step(sum ^ u32::from(byte))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::crc32;

    proptest! {
        #[test]
        fn sums_are_those_of_others(bytes: Vec<u8>) {
            let mut theirs = crc32fast::Hasher::new();
            theirs.update(&bytes);
            prop_assert_eq!(crc32(bytes), theirs.finalize());
        }
    }
}
