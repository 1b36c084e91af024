//! Digest credentials as the SIP Server checks them (RFC 2617, MD5).

use md5::{Digest, Md5};

fn hash(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Returns a value of `Digest a="b", c=d`.
pub(super) fn field<'a>(credentials: &'a str, name: &str) -> Option<&'a str> {
    let list = credentials.split_once(' ')?.1;
    list.split(',').find_map(|f| f.trim().strip_prefix(name)?.strip_prefix('=')).map(|v| v.trim_matches('"'))
}

/// Checks credentials, with or without qop.
///
/// # Errors
/// What is wrong with them, in words.
pub(super) fn check(credentials: &str, method: &str, name: &str, password: &str) -> Result<(), String> {
    let of = |key: &str| field(credentials, key).ok_or_else(|| format!("no {key} in {credentials}"));
    if of("username")? != name {
        return Err(format!("the user name is {}", of("username")?));
    }
    let ha1 = hash(&format!("{name}:{}:{password}", of("realm")?));
    let ha2 = hash(&format!("{method}:{}", of("uri")?));
    let wanted = match field(credentials, "qop") {
        Some(qop) => hash(&format!("{ha1}:{}:{}:{}:{qop}:{ha2}", of("nonce")?, of("nc")?, of("cnonce")?)),
        None => hash(&format!("{ha1}:{}:{ha2}", of("nonce")?)),
    };
    if of("response")? == wanted { Ok(()) } else { Err(format!("the response is not {wanted}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_rfc_are_good_with_their_password_alone() {
        // RFC 2617 3.5.
        let credentials = "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
            uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
            opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        assert_eq!(check(credentials, "GET", "Mufasa", "Circle Of Life"), Ok(()));
        assert!(check(credentials, "GET", "Mufasa", "circle of life").is_err());
        assert!(check(credentials, "GET", "Simba", "Circle Of Life").is_err());
    }
}
