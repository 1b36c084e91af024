//! Fuzz body of what requests carry of secrets and callbacks: nothing panics, and what is believed has the shape it must.

use crosspoint::http::credentials::{basic, cookies, is_callback, script};

/// Reads `data` as a Cookie field, as credentials, and as a callback with what it is called with, a line each.
pub fn credentials(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (field, authorization, callback, body) = (line(), line(), line(), line());
    for value in cookies(field, "JSESSIONID") {
        assert!(!value.contains(';') && field.contains(value), "{value:?}");
    }
    assert!(cookies(field, "JSESSIONID").count() <= 64);
    if let Some((user, password)) = basic(authorization) {
        assert!(!user.contains(':') && (user.len() + password.len()) * 4 <= authorization.len() * 3);
    }
    if is_callback(callback) {
        let script = script(callback, body);
        assert!(script.starts_with("/**/") && !callback.contains(['(', ')', ';', '<', '\n']));
        assert!(!script.contains(['\u{2028}', '\u{2029}']));
        assert_eq!(script.matches(['<', '(']).count(), body.matches(['<', '(']).count() + 1);
    }
}
