//! HTTP Digest (RFC 7616) for one camera: which challenge to take, and the answer to it. Pure but for the random client
//! nonce that `digest_auth` draws.
//!
//! Only Digest: Basic would send the password in clear text over a village's network, so a camera that offers nothing
//! else is an alarm and not a fallback.

use digest_auth::{AuthContext, HttpMethod, Qop, WwwAuthenticateHeader};

use crate::config::Secret;

/// Longest `WWW-Authenticate` value that is read: real ones have 200 to 300 bytes.
const CHALLENGE_BYTES_MAX: usize = 4_096;

/// User, password, and the camera's last challenge.
#[derive(Debug)]
pub struct Login {
    username: String,
    password: Secret,
    challenge: Option<WwwAuthenticateHeader>,
    /// The camera has accepted an answer to this challenge.
    proven: bool,
}

/// What a 401 said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learned {
    /// A challenge to answer.
    Fresh,
    /// The answer was right but its nonce too old: not a refusal of the password.
    Stale,
    /// The nonce had been accepted before: it may be worn out without the camera saying so.
    WornOut,
    /// The camera offers clear-text passwords only.
    OnlyBasic,
    /// No challenge that can be answered.
    Nothing,
}

impl Login {
    /// For one camera.
    pub fn new(username: String, password: Secret) -> Self {
        Login { username, password, challenge: None, proven: false }
    }

    /// For the SOAP header of ONVIF, which has its own digest.
    pub fn credentials(&self) -> (&str, &Secret) {
        (&self.username, &self.password)
    }

    /// The `Authorization` header for a request, if there is a challenge to answer.
    pub fn answer(&mut self, method: &str, uri: &str, body: Option<&[u8]>) -> Option<String> {
        let challenge = self.challenge.as_mut()?;
        let body = body.or_else(|| {
            // With only auth-int on offer the empty body is part of the answer.
            let only_integrity = challenge.qop.as_ref().is_some_and(|qop| !qop.contains(&Qop::AUTH));
            only_integrity.then_some(&[][..])
        });
        let method = HttpMethod::from(method);
        let context = AuthContext::new_with_method(&*self.username, self.password.expose(), uri, body, method);
        Some(challenge.respond(&context).ok()?.to_header_string())
    }

    /// The camera let a request pass.
    pub fn accepted(&mut self) {
        self.proven = self.challenge.is_some();
    }

    /// A 401 came with these `WWW-Authenticate` values.
    pub fn learn<'h>(&mut self, headers: impl Iterator<Item = &'h str>) -> Learned {
        let (mut best, mut basic) = (None::<WwwAuthenticateHeader>, false);
        for header in headers.filter(|header| header.len() <= CHALLENGE_BYTES_MAX && header.is_ascii()) {
            for challenge in challenges(header) {
                match scheme(challenge) {
                    Some("digest") => {}
                    Some("basic") => {
                        basic = true;
                        continue;
                    }
                    _ => continue,
                }
                let Ok(parsed) = WwwAuthenticateHeader::parse(&challenge["digest".len()..]) else { continue };
                if best.as_ref().is_none_or(|best| strength(&parsed) > strength(best)) {
                    best = Some(parsed);
                }
            }
        }
        let Some(fresh) = best else {
            self.challenge = None;
            return if basic { Learned::OnlyBasic } else { Learned::Nothing };
        };
        let answered = self.challenge.take().is_some_and(|challenge| challenge.nc > 0);
        let learned = match (fresh.stale && answered, self.proven && answered) {
            (true, _) => Learned::Stale,
            (_, true) => Learned::WornOut,
            _ => Learned::Fresh,
        };
        self.challenge = Some(fresh);
        self.proven = false;
        learned
    }
}

fn strength(challenge: &WwwAuthenticateHeader) -> u8 {
    use digest_auth::AlgorithmType::{MD5, SHA2_256, SHA2_512_256};
    match challenge.algorithm.algo {
        MD5 => 0,
        SHA2_256 => 1,
        SHA2_512_256 => 2,
    }
}

/// The scheme that a challenge begins with, in lower case, if it is one that matters.
fn scheme(challenge: &str) -> Option<&'static str> {
    let word = challenge.split([' ', ',']).next().unwrap_or_default();
    ["digest", "basic"].into_iter().find(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// One header may hold several challenges, separated by the same commas as their parameters: a new one begins where a
/// part is `scheme name=value` or a scheme alone.
fn challenges(header: &str) -> Vec<&str> {
    let (mut starts, mut quoted, mut escaped, mut part) = (vec![0], false, false, 0);
    let mut parts = Vec::new();
    for (at, byte) in header.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                parts.push(part);
                part = at + 1;
            }
            _ => {}
        }
    }
    parts.push(part);
    for &start in parts.iter().skip(1) {
        if scheme(header[start..].trim_start()).is_some() {
            starts.push(start);
        }
    }
    let ends = starts.iter().skip(1).map(|start| start - 1).chain([header.len()]);
    starts.iter().zip(ends).map(|(start, end)| header[*start..end].trim()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "Circle of Life").unwrap();
        std::os::unix::fs::PermissionsExt::set_mode(&mut std::fs::metadata(&path).unwrap().permissions(), 0o600);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Login::new("Mufasa".into(), crate::config::read_secret(&path).unwrap())
    }

    const REALM: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth\", \
                         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"o\"";

    #[test]
    fn the_strongest_digest_of_several_challenges_is_answered() {
        let mut login = login();
        let header = format!("Basic realm=\"a, Digest b\", {REALM}, algorithm=MD5, {REALM}, algorithm=SHA-256");
        assert_eq!(login.learn([header.as_str()].into_iter()), Learned::Fresh);
        let answer = login.answer("GET", "/dir/index.html", None).unwrap();
        assert!(answer.contains("algorithm=SHA-256") && answer.contains("nc=00000001"), "{answer}");
        assert!(login.answer("GET", "/", None).unwrap().contains("nc=00000002"));
    }

    #[test]
    fn basic_alone_is_never_answered() {
        let mut login = login();
        assert_eq!(login.learn(["Basic realm=\"camera\""].into_iter()), Learned::OnlyBasic);
        assert_eq!(login.answer("GET", "/", None), None);
        assert_eq!(login.learn([].into_iter()), Learned::Nothing);
    }

    #[test]
    fn stale_worn_out_and_refused_answers_are_told_apart() {
        let mut login = login();
        assert_eq!(login.learn([REALM].into_iter()), Learned::Fresh);
        login.answer("GET", "/", None);
        assert_eq!(login.learn([REALM].into_iter()), Learned::Fresh, "refused: never accepted before");
        login.answer("GET", "/", None);
        login.accepted();
        login.answer("GET", "/", None);
        assert_eq!(login.learn([REALM].into_iter()), Learned::WornOut);
        login.answer("GET", "/", None);
        let stale = format!("{REALM}, stale=TRUE");
        assert_eq!(login.learn([stale.as_str()].into_iter()), Learned::Stale);
    }

    #[test]
    fn no_header_panics() {
        let long = format!("Digest realm=\"{}\"", "a".repeat(5_000));
        for header in [
            "",
            ",",
            "Digest",
            "digest ,",
            "Digest realm",
            "Digest realm=",
            "Digest realm=\"a",
            "Digest realm=\"a\\",
            "Digest realm=\"é\", nonce=\"é\"",
            "Digest nonce=\"a\"",
            "Digest realm=\"a\", nonce=\"b\", qop=\"\"",
            "Digest realm=\"a\", nonce=\"b\", algorithm=SHA-9",
            "Digest =,=,=",
            &long,
        ] {
            let mut login = login();
            login.learn([header].into_iter());
            login.answer("GET", "/", None);
        }
    }
}
