//! Passwords of agents: Argon2id, kept as PHC strings.

use argon2::password_hash::{PasswordHash as Parsed, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// Costliest hash that is taken from a configuration: what one login may take of memory (KiB), rounds and lanes.
const MAX_COST: (u32, u32, u32) = (1 << 20, 64, 16);

/// The hash of a password, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`; never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl PasswordHash {
    /// Reads a PHC string of Argon2; `None` for anything else, and for one that costs too much to be verified.
    pub fn parse(phc: &str) -> Option<PasswordHash> {
        let parsed = Parsed::new(phc).ok()?;
        Algorithm::try_from(parsed.algorithm).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        let (memory, rounds, lanes) = MAX_COST;
        let bearable = params.m_cost() <= memory && params.t_cost() <= rounds && params.p_cost() <= lanes;
        (bearable && parsed.salt.is_some() && parsed.hash.is_some()).then(|| PasswordHash(phc.to_owned()))
    }

    /// Hashes a password: 19 MiB, 2 rounds (OWASP's choice for Argon2id).
    pub fn make(password: &str, salt: [u8; 16]) -> PasswordHash {
        let salt = SaltString::encode_b64(&salt).expect("16 bytes are a salt");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default());
        let hash = argon2.hash_password(password.as_bytes(), &salt).expect("any text under 4 GiB is a password");
        PasswordHash(hash.to_string())
    }

    /// Returns true for the password that was hashed. Takes tens of milliseconds of a core, by intent.
    pub fn verify(&self, password: &str) -> bool {
        let parsed = Parsed::new(&self.0);
        parsed.is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
    }

    /// Returns the PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `crosspoint`, at the least cost, so that a test is quick.
    const CHEAP: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$";

    #[test]
    fn only_the_password_that_was_hashed_verifies() {
        let hash = PasswordHash::make("correct horse", [7; 16]);
        assert!(hash.verify("correct horse"));
        assert!(!hash.verify("correct hors"));
        assert!(!hash.verify(""));
        assert_eq!(PasswordHash::parse(hash.as_str()), Some(hash));
    }

    #[test]
    fn the_salt_makes_equal_passwords_differ() {
        assert_ne!(PasswordHash::make("a", [1; 16]), PasswordHash::make("a", [2; 16]));
    }

    #[test]
    fn what_is_no_argon2_hash_is_not_taken() {
        for bad in ["", "crosspoint", CHEAP, "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA"] {
            assert_eq!(PasswordHash::parse(bad), None, "{bad}");
        }
        let good = PasswordHash::make("a", [1; 16]);
        let dear = good.as_str().replace("m=19456", "m=4194304");
        assert_ne!(dear, good.as_str());
        assert_eq!(PasswordHash::parse(&dear), None);
    }

    #[test]
    fn a_hash_is_not_shown() {
        assert_eq!(format!("{:?}", PasswordHash::make("a", [1; 16])), "PasswordHash(…)");
    }
}
