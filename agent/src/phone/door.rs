//! Who may come in: the code, the one session, and how often wrong codes may be tried. Pure: time and random numbers
//! come in. What must survive a restart is [`Kept`]; a session does not.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use simpul_clock::Moment;
use subtle::ConstantTimeEq;

use super::code;

/// A session, and so long the same address may open its code again: a working day.
pub const SESSION: Duration = Duration::from_secs(12 * 3_600);
/// Wrong codes of one address in [`TRIES_WITHIN`]: a person mistypes twice.
const TRIES_MAX: u32 = 5;
/// See [`TRIES_MAX`].
const TRIES_WITHIN: Duration = Duration::from_secs(60);
/// Most addresses whose tries are counted apart; others share one count.
const ADDRESSES_MAX: usize = 64;

/// What is kept over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Hash of the code that opens; nothing: none, or it was closed.
    pub code: Option<[u8; 32]>,
    /// Hash of the last code that came from a token: the same token is not a new code.
    pub of_token: Option<[u8; 32]>,
    /// Whose code it is since it was used.
    pub used_by: Option<IpAddr>,
    /// Running time since then.
    pub used_for: Duration,
    /// Running time since the code was made.
    pub open_for: Duration,
    /// Who accepted the node.
    pub accepted_by: Option<String>,
}

/// Why somebody does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Another code.
    Wrong,
    /// Wrong codes too often: so many seconds to wait; whether this try was the one too many.
    TooMany(u64, bool),
    /// The code was used, by another phone.
    Used,
    /// It was not used for too long.
    Expired,
    /// The node is accepted, or there is no code.
    Closed,
    /// No session, or it is over.
    NoSession,
    /// The session is another address's.
    OtherAddress,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    token: [u8; 16],
    address: IpAddr,
    until: Moment,
}

#[derive(Debug, Clone, Copy)]
struct Tries {
    wrong: u32,
    since: Moment,
}

/// The door.
#[derive(Debug)]
pub struct Door {
    kept: Kept,
    limit: Duration,
    /// Until when the running time of `kept` is counted.
    counted: Moment,
    session: Option<Session>,
    tries: HashMap<Option<IpAddr>, Tries>,
}

impl Door {
    /// With what was kept; a code opens for `limit` of running time.
    pub fn new(kept: Kept, limit: Duration, now: Moment) -> Self {
        Door { kept, limit, counted: now, session: None, tries: HashMap::new() }
    }

    /// What is to be kept, as of now.
    pub fn kept(&mut self, now: Moment) -> &Kept {
        let passed = now.since(self.counted);
        self.counted = now;
        self.kept.open_for = self.kept.open_for.saturating_add(passed);
        if self.kept.used_by.is_some() {
            self.kept.used_for = self.kept.used_for.saturating_add(passed);
        }
        &self.kept
    }

    /// Whether anybody can still come in, or is in.
    pub fn is_open(&mut self, now: Moment) -> bool {
        let limit = self.limit;
        let in_session = self.session.is_some_and(|session| now < session.until);
        let kept = self.kept(now);
        kept.code.is_some() && (kept.open_for < limit || in_session)
    }

    /// A code that came out of the enrolment token; true: it is new, and opens now.
    pub fn token_code(&mut self, now: Moment, hash: [u8; 32]) -> bool {
        let new = self.kept.of_token != Some(hash);
        if new {
            self.new_code(now, hash);
            self.kept.of_token = Some(hash);
        }
        new
    }

    /// A new code opens, whatever was before.
    pub fn new_code(&mut self, now: Moment, hash: [u8; 32]) {
        let (of_token, accepted_by) = (self.kept.of_token, self.kept.accepted_by.take());
        self.kept = Kept { code: Some(hash), of_token, accepted_by, ..Kept::default() };
        self.counted = now;
        self.session = None;
    }

    /// Try a code; with the right one, `token` is the session's.
    pub fn enter(&mut self, now: Moment, address: IpAddr, given: &str, token: [u8; 16]) -> Result<(), Refused> {
        let limit = self.limit;
        let kept = self.kept(now).clone();
        let Some(expected) = kept.code else { return Err(Refused::Closed) };
        self.may_try(now, address)?;
        if !bool::from(code::hash(given).ct_eq(&expected)) {
            return Err(self.note_wrong(now, address));
        }
        match kept.used_by {
            Some(by) if by != address || kept.used_for >= SESSION => return Err(Refused::Used),
            None if kept.open_for >= limit => return Err(Refused::Expired),
            Some(_) => {}
            None => self.kept.used_by = Some(address),
        }
        self.session = Some(Session { token, address, until: now + SESSION });
        Ok(())
    }

    /// Give back what [`Door::enter`] took: it could not be kept.
    pub fn undo(&mut self, before: Kept) {
        self.kept = before;
        self.session = None;
    }

    /// Whether a session's token is good for this address.
    pub fn admit(&self, now: Moment, address: IpAddr, token: Option<[u8; 16]>) -> Result<(), Refused> {
        match (&self.session, token) {
            _ if self.kept.code.is_none() => Err(Refused::Closed),
            (Some(session), Some(token)) if now < session.until && bool::from(session.token.ct_eq(&token)) => {
                if session.address == address { Ok(()) } else { Err(Refused::OtherAddress) }
            }
            _ => Err(Refused::NoSession),
        }
    }

    /// The node is accepted: code and session are over.
    pub fn close(&mut self, by: &str) {
        self.kept.code = None;
        self.kept.accepted_by = Some(by.to_owned());
        self.session = None;
    }

    fn may_try(&mut self, now: Moment, address: IpAddr) -> Result<(), Refused> {
        self.tries.retain(|_, tries| now.since(tries.since) < TRIES_WITHIN);
        // Who shares a count is not held up by what others try: the right code opens.
        let own = self.place(address).and_then(|address| self.tries.get(&Some(address)));
        match own {
            Some(tries) if tries.wrong >= TRIES_MAX => Err(Refused::TooMany(wait_s(now, tries), false)),
            _ => Ok(()),
        }
    }

    fn note_wrong(&mut self, now: Moment, address: IpAddr) -> Refused {
        let place = self.place(address);
        let tries = self.tries.entry(place).or_insert(Tries { wrong: 0, since: now });
        tries.wrong = tries.wrong.saturating_add(1);
        let last = tries.wrong == TRIES_MAX;
        if tries.wrong >= TRIES_MAX { Refused::TooMany(wait_s(now, tries), last) } else { Refused::Wrong }
    }

    /// Where an address's tries are counted.
    fn place(&self, address: IpAddr) -> Option<IpAddr> {
        (self.tries.contains_key(&Some(address)) || self.tries.len() < ADDRESSES_MAX).then_some(address)
    }
}

fn wait_s(now: Moment, tries: &Tries) -> u64 {
    TRIES_WITHIN.saturating_sub(now.since(tries.since)).as_secs().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(14 * 86_400);
    const CODE: &str = "00112233445566778899aabb";

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    fn door() -> Door {
        let mut door = Door::new(Kept::default(), LIMIT, at(0));
        assert!(door.token_code(at(0), code::hash(CODE)));
        door
    }

    #[test]
    fn a_code_opens_once_and_the_session_is_its_phones_alone() {
        let mut door = door();
        assert_eq!(door.admit(at(1), ip(1), Some([9; 16])), Err(Refused::NoSession));
        assert_eq!(door.enter(at(1), ip(1), CODE, [9; 16]), Ok(()));
        assert_eq!(door.admit(at(2), ip(1), Some([9; 16])), Ok(()));
        assert_eq!(door.admit(at(2), ip(2), Some([9; 16])), Err(Refused::OtherAddress));
        assert_eq!(door.admit(at(2), ip(1), Some([8; 16])), Err(Refused::NoSession));
        assert_eq!(door.admit(at(2), ip(1), None), Err(Refused::NoSession));
        assert_eq!(door.enter(at(3), ip(2), CODE, [7; 16]), Err(Refused::Used));
        assert_eq!(door.admit(at(4), ip(1), Some([9; 16])), Ok(()), "the other one changed nothing");
    }

    #[test]
    fn the_same_phone_opens_its_code_again_and_the_session_before_ends() {
        let mut door = door();
        door.enter(at(1), ip(1), CODE, [9; 16]).unwrap();
        assert_eq!(door.enter(at(100), ip(1), CODE, [8; 16]), Ok(()));
        assert_eq!(door.admit(at(101), ip(1), Some([9; 16])), Err(Refused::NoSession));
        // Also after a restart, until twelve hours of running are over.
        let kept = door.kept(at(3_601)).clone();
        assert_eq!((kept.used_by, kept.used_for), (Some(ip(1)), Duration::from_secs(3_600)));
        let mut door = Door::new(kept, LIMIT, at(0));
        assert_eq!(door.enter(at(1), ip(2), CODE, [7; 16]), Err(Refused::Used));
        assert_eq!(door.enter(at(1), ip(1), CODE, [7; 16]), Ok(()));
        assert_eq!(door.enter(at(11 * 3_600), ip(1), CODE, [7; 16]), Err(Refused::Used));
    }

    #[test]
    fn a_session_ends_after_twelve_hours() {
        let mut door = door();
        door.enter(at(0), ip(1), CODE, [9; 16]).unwrap();
        let end = SESSION.as_secs();
        assert_eq!(door.admit(at(end - 1), ip(1), Some([9; 16])), Ok(()));
        assert_eq!(door.admit(at(end), ip(1), Some([9; 16])), Err(Refused::NoSession));
    }

    #[test]
    fn an_unused_code_expires_by_running_time_over_restarts() {
        let mut first = door();
        let half = LIMIT.as_secs() / 2;
        let kept = first.kept(at(half)).clone();
        let mut door = Door::new(kept, LIMIT, at(0));
        assert!(!door.token_code(at(0), code::hash(CODE)), "the same token is no new code");
        assert!(door.is_open(at(half - 1)));
        assert!(!door.is_open(at(half)));
        assert_eq!(door.enter(at(half), ip(1), CODE, [9; 16]), Err(Refused::Expired));
        door.new_code(at(half), code::hash("other"));
        assert!(door.is_open(at(half)));
        assert_eq!(door.enter(at(half), ip(1), CODE, [9; 16]), Err(Refused::Wrong));
        assert_eq!(door.enter(at(half), ip(1), "other", [9; 16]), Ok(()));
    }

    #[test]
    fn acceptance_closes_code_and_session_for_good() {
        let mut door = door();
        door.enter(at(1), ip(1), CODE, [9; 16]).unwrap();
        door.close("Sari");
        assert!(!door.is_open(at(2)));
        assert_eq!(door.admit(at(2), ip(1), Some([9; 16])), Err(Refused::Closed));
        assert_eq!(door.enter(at(2), ip(1), CODE, [8; 16]), Err(Refused::Closed));
        assert!(!door.token_code(at(3), code::hash(CODE)));
        assert!(door.token_code(at(3), code::hash("another token")), "a new token is a new beginning");
    }

    #[test]
    fn wrong_codes_are_held_up_and_a_flood_of_addresses_is_bounded() {
        let mut door = door();
        for _ in 1..TRIES_MAX {
            assert_eq!(door.enter(at(0), ip(1), "x", [9; 16]), Err(Refused::Wrong));
        }
        assert_eq!(door.enter(at(0), ip(1), "x", [9; 16]), Err(Refused::TooMany(60, true)));
        assert_eq!(door.enter(at(10), ip(1), CODE, [9; 16]), Err(Refused::TooMany(50, false)), "even the right one");
        for number in 0..10_000_u32 {
            let _ = door.enter(at(10), IpAddr::from(number.to_be_bytes()), "x", [9; 16]);
        }
        assert_eq!(door.tries.len(), ADDRESSES_MAX + 1);
        assert_eq!(door.enter(at(60), ip(1), CODE, [9; 16]), Ok(()));
    }
}
