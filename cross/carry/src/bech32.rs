//! Bech32 (BIP 173), as age writes keys: without its limit of 90 characters, which age keeps anyway.

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum, value| {
        let next = (sum & 0x01ff_ffff) << 5 ^ u32::from(value);
        (0..5).filter(|bit| sum >> 25 >> bit & 1 == 1).fold(next, |next, bit| next ^ GENERATOR[bit as usize])
    })
}

fn expanded(prefix: &str) -> impl Iterator<Item = u8> {
    prefix.bytes().map(|b| b >> 5).chain([0]).chain(prefix.bytes().map(|b| b & 31))
}

/// Regroup bits; what is left over must be zeros when `pad` is not set.
fn regroup(values: impl Iterator<Item = u8>, from: u32, to: u32, pad: bool) -> Option<Vec<u8>> {
    let (mut held, mut bits, mut out) = (0u32, 0, Vec::new());
    let mask = (1 << to) - 1;
    for value in values {
        held = (held << from | u32::from(value)) & 0xffff;
        bits += from;
        while bits >= to {
            bits -= to;
            out.push((held >> bits & mask) as u8);
        }
    }
    let rest = held << (to - bits) & mask;
    if pad {
        if bits > 0 {
            out.push(rest as u8);
        }
        return Some(out);
    }
    (bits < from && rest == 0).then_some(out)
}

/// `prefix` in lower case.
pub(crate) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let data = regroup(bytes.iter().copied(), 8, 5, true).unwrap_or_default();
    let sum = polymod(expanded(prefix).chain(data.iter().copied()).chain([0; 6])) ^ 1;
    let check = (0..6).map(|at| (sum >> (5 * (5 - at)) & 31) as u8);
    let tail = data.into_iter().chain(check).map(|value| char::from(ALPHABET[usize::from(value)]));
    format!("{prefix}1{}", tail.collect::<String>())
}

/// 32 bytes under `prefix` (in lower case), from a text in one case; `None` if it is not that.
pub(crate) fn decode(prefix: &str, text: &str) -> Option<[u8; 32]> {
    // 52 characters of data, 6 of check.
    if text.len() != prefix.len() + 1 + 58 || !text.is_ascii() {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    if text != lower && text != text.to_ascii_uppercase() {
        return None;
    }
    let data = lower.strip_prefix(prefix)?.strip_prefix('1')?;
    let values: Option<Vec<u8>> =
        data.bytes().map(|b| ALPHABET.iter().position(|known| *known == b).map(|at| at as u8)).collect();
    let values = values?;
    if polymod(expanded(prefix).chain(values.iter().copied())) != 1 {
        return None;
    }
    regroup(values.iter().take(52).copied(), 5, 8, false)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_age_writes_them() {
        // 32 times 0x42, as in age's own tests.
        let text = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        assert_eq!(decode("age-secret-key-", text), Some([0x42; 32]));
        assert_eq!(encode("age-secret-key-", &[0x42; 32]).to_ascii_uppercase(), text);
    }

    #[test]
    fn a_changed_character_or_a_mixed_case_is_no_key() {
        let good = encode("age", &[7; 32]);
        assert_eq!(decode("age", &good), Some([7; 32]));
        for place in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[place] = if bad[place] == b'q' { b'p' } else { b'q' };
            assert_eq!(decode("age", &String::from_utf8(bad).unwrap()), None, "character {place}");
            assert_eq!(decode("age", &good[..place]), None);
        }
        assert_eq!(decode("age", &good.replacen("age", "AGE", 1)), None);
        assert_eq!(decode("ape", &good), None);
    }
}
