//! Crockford's base32: no letter that looks like a digit, upper and lower case alike, and as upper case a QR code holds
//! it at 5.5 bits a character. Read aloud, typed from paper, broken over lines: all of it still reads.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// As lower-case text, without padding.
pub(super) fn encode(bytes: &[u8], out: &mut String) {
    let (mut held, mut bits) = (0u32, 0u32);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
    }
}

/// The bytes; what is left of the last character is ignored. `Err`: the character that is none, from 0.
pub(super) fn decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut held, mut bits) = (0u32, 0u32);
    for (place, symbol) in text.iter().enumerate() {
        held = held << 5 | u32::from(value(*symbol).ok_or(place)?);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 255) as u8);
        }
        held &= (1 << bits) - 1;
    }
    Ok(out)
}

fn value(symbol: u8) -> Option<u8> {
    let symbol = match symbol.to_ascii_lowercase() {
        // What people read for them.
        b'o' => b'0',
        b'i' | b'l' => b'1',
        other => other,
    };
    ALPHABET.iter().position(|known| *known == symbol).and_then(|place| u8::try_from(place).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back_in_either_case_and_with_look_alikes() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..bytes.len() {
            let mut text = String::new();
            encode(&bytes[..length], &mut text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Ok(&bytes[..length]));
            let misread = text.to_ascii_uppercase().replace('0', "O").replace('1', "I");
            assert_eq!(decode(misread.as_bytes()).as_deref(), Ok(&bytes[..length]));
        }
        assert_eq!(decode(b"ab!"), Err(2));
        assert_eq!(decode(b"u"), Err(0));
    }
}
