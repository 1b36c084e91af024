//! The parameter list of a digest header: `Digest name=token, name="quoted", …`.

use super::DigestError;
use crate::sip::message::chars::{find_outside, is_blank, quoted_end, token, trim};

const LONGEST_BYTES: usize = 4096;
const MOST: usize = 32;

/// Names and values, each name once.
pub(super) struct Fields<'a>(Vec<(&'a str, String)>);

impl<'a> Fields<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Result<Fields<'a>, DigestError> {
        let text = trim(text);
        let end = text.iter().position(|&b| is_blank(b)).unwrap_or(text.len());
        if !text[..end].eq_ignore_ascii_case(b"Digest") {
            return Err(DigestError::OtherScheme);
        }
        if text.len() > LONGEST_BYTES {
            return Err(DigestError::Malformed);
        }
        let mut fields = Fields(Vec::with_capacity(12));
        let mut rest = Some(&text[end..]);
        while let Some(list) = rest {
            let comma = find_outside(list, b',');
            rest = list.get(comma + 1..);
            let (name, value) = field(trim(&list[..comma])).ok_or(DigestError::Malformed)?;
            if fields.get(name).is_some() || fields.0.len() == MOST {
                return Err(DigestError::Malformed);
            }
            fields.0.push((name, value));
        }
        Ok(fields)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(super) fn need(&self, name: &'static str) -> Result<String, DigestError> {
        self.get(name).map(str::to_owned).ok_or(DigestError::Missing(name))
    }
}

fn field(text: &[u8]) -> Option<(&str, String)> {
    let equals = text.iter().position(|&b| b == b'=')?;
    let name = token(trim(&text[..equals]))?;
    let value = trim(&text[equals + 1..]);
    let value = match value {
        [b'"', ..] if quoted_end(value) == Some(value.len()) => unquote(&value[1..value.len() - 1]),
        // Looser than a token: some write nonces and URIs without quotes.
        word if !word.is_empty() && !word.iter().any(|&b| is_blank(b) || b == b'"') => word.to_vec(),
        _ => return None,
    };
    Some((name, String::from_utf8(value).ok()?))
}

fn unquote(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&b) = bytes.next() {
        out.push(if b == b'\\' { bytes.next().copied().unwrap_or(b) } else { b });
    }
    out
}

/// `text` as a quoted string.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
