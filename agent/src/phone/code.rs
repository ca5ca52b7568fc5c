//! The phone code: 96 bits as 24 hex digits, out of the enrolment token, as `simpul label` computes it too.

use sha2::{Digest, Sha256};

use simpul_wire::enrolment::{PHONE_CODE_BYTES, PHONE_CODE_PURPOSE};

/// The code of the node whose token has this hash (`enrolment::token_hash`).
pub fn of_token(token_hash: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    hash.update(PHONE_CODE_PURPOSE);
    hash.update(token_hash);
    hex::encode(&hash.finalize()[..PHONE_CODE_BYTES])
}

/// A code of random numbers.
///
/// # Errors
/// The system gives none.
pub fn random() -> std::io::Result<String> {
    let mut bytes = [0; PHONE_CODE_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(format!("no random numbers: {error}")))?;
    Ok(hex::encode(bytes))
}

/// What is kept of a code.
pub fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    /// The same bytes stand in the test of `simpul label`.
    #[test]
    fn the_code_of_a_token_is_pinned() {
        let token_hash: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest([7; 16]).into();
        assert_eq!(super::of_token(&token_hash), "ff4d29764c3edc8422ecd192");
    }
}
