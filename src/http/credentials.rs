//! What requests carry of passwords and secrets: the `Cookie` header field (RFC 6265 4.2), Basic credentials (RFC 7617).
//!
//! Lenient in reading, for cookies of other programs on this machine come along too: what is not understood is not there.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 (RFC 4648 4), with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Most cookies of one request that are looked at.
const MAX_COOKIES: usize = 64;

/// Returns the values that a `Cookie` header field gives a name. There may be several: another program on the same host
/// (cookies know no ports) may use the same name.
pub fn cookies<'a>(field: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = field.split(';').take(MAX_COOKIES).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(found, _)| *found == name).map(|(_, value)| value.trim().trim_matches('"'))
}

/// Reads `Basic` credentials: user name and password. `None`: another scheme, not base64, not UTF-8, or no colon.
pub fn basic(field: &str) -> Option<(String, String)> {
    let (scheme, rest) = field.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Returns true for the name of a function that a script may be made to call: 1 to 64 letters, digits, `.`, `_`, `-`.
pub fn is_callback(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Wraps a JSON body into the call of a function that [`is_callback`]. The comment before it keeps the answer from being read
/// as something else than a script; two separators that JSON allows within strings ended lines in scripts until 2019.
pub fn script(callback: &str, body: &str) -> String {
    let body = body.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("/**/{callback}({body})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cookies_of_a_name_are_found_and_no_others() {
        let field = "a=1; JSESSIONID=one;XJSESSIONID=no; JSESSIONID=\"two\"; JSESSIONID; jsessionid=no";
        assert_eq!(cookies(field, "JSESSIONID").collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(cookies("", "JSESSIONID").count(), 0);
    }

    #[test]
    fn basic_credentials_are_read_as_rfc_7617_writes_them() {
        let of = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(basic("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), of("Aladdin", "open sesame"));
        assert_eq!(basic("basic dGVzdDoxMjPCow=="), of("test", "123£"));
        assert_eq!(basic("Basic dGVzdDoxOjI"), of("test", "1:2"), "a colon in the password, no padding");
        for wrong in
            ["", "Basic", "Basic ", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic QQ==", "Basic *", "Basic /w=="]
        {
            assert_eq!(basic(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_callback_is_a_name_and_nothing_that_a_script_could_run() {
        for good in ["cb", "org.cometd.cb_1", "_cometd_jsonp_2", "a-b", &"x".repeat(64)] {
            assert!(is_callback(good), "{good}");
        }
        for bad in ["", "a b", "alert(1)", "a;b", "a\nb", "é", &"x".repeat(65)] {
            assert!(!is_callback(bad), "{bad}");
        }
        assert_eq!(script("cb", "[{\"data\":\"\u{2028}\"}]"), "/**/cb([{\"data\":\"\\u2028\"}])");
    }
}
