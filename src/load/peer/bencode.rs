//! Bencoding, in which rtpengine's ng protocol is written: texts, numbers, lists, dictionaries.

use std::collections::BTreeMap;

/// Deepest nesting that is read.
const DEPTH: usize = 8;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Bytes.
    Text(Vec<u8>),
    /// A number.
    Number(i64),
    /// A list.
    List(Vec<Value>),
    /// A dictionary, sorted as it is to be.
    Dictionary(BTreeMap<Vec<u8>, Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.as_bytes().to_vec())
    }
}

impl Value {
    /// A list of texts.
    pub fn list(texts: &[&str]) -> Value {
        Value::List(texts.iter().map(|text| Value::from(*text)).collect())
    }

    /// A dictionary.
    pub fn dictionary<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
        Value::Dictionary(entries.into_iter().map(|(key, value)| (key.as_bytes().to_vec(), value)).collect())
    }

    /// The text of a dictionary's key; `None`: it is not there, or no text.
    pub fn text(&self, key: &str) -> Option<&[u8]> {
        match self {
            Value::Dictionary(entries) => match entries.get(key.as_bytes())? {
                Value::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Writes the value.
    pub fn write(&self, out: &mut Vec<u8>) {
        let text = |text: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(format!("{}:", text.len()).as_bytes());
            out.extend_from_slice(text);
        };
        match self {
            Value::Text(bytes) => text(bytes, out),
            Value::Number(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Value::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Value::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    text(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    /// Reads one value that takes up all bytes; `None`: it is none.
    pub fn parse(bytes: &[u8]) -> Option<Value> {
        let mut rest = bytes;
        let value = read(&mut rest, DEPTH)?;
        rest.is_empty().then_some(value)
    }
}

fn number(rest: &mut &[u8], end: u8) -> Option<i64> {
    let at = memchr::memchr(end, rest.get(..rest.len().min(24))?)?;
    let digits = std::str::from_utf8(&rest[..at]).ok()?;
    let number = digits.parse().ok()?;
    *rest = &rest[at + 1..];
    Some(number)
}

fn text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(number(rest, b':')?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text.to_vec())
}

fn read(rest: &mut &[u8], depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let kind = *rest.first()?;
    if kind.is_ascii_digit() {
        return text(rest).map(Value::Text);
    }
    *rest = &rest[1..];
    match kind {
        b'i' => number(rest, b'e').map(Value::Number),
        b'l' => {
            let mut values = Vec::new();
            while *rest.first()? != b'e' {
                values.push(read(rest, depth)?);
            }
            *rest = &rest[1..];
            Some(Value::List(values))
        }
        b'd' => {
            let mut entries = BTreeMap::new();
            while *rest.first()? != b'e' {
                let key = text(rest)?;
                entries.insert(key, read(rest, depth)?);
            }
            *rest = &rest[1..];
            Some(Value::Dictionary(entries))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let value = Value::dictionary([
            ("command", "offer".into()),
            ("codec", Value::dictionary([("transcode", Value::list(&["PCMU"]))])),
            ("number", Value::Number(-7)),
            ("empty", "".into()),
        ]);
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        assert_eq!(bytes, b"d5:codecd9:transcodel4:PCMUee7:command5:offer5:empty0:6:numberi-7ee");
        assert_eq!(Value::parse(&bytes), Some(value.clone()));
        assert_eq!((value.text("command"), value.text("codec"), value.text("none")), (Some(&b"offer"[..]), None, None));
    }

    #[test]
    fn what_is_cut_short_or_too_deep_is_refused() {
        for bytes in ["", "5:abc", "i12", "l", "d1:a", "d1:ae", "99999999999999999999:a", "x", "4:abcde", "di1ei2ee"] {
            assert_eq!(Value::parse(bytes.as_bytes()), None, "{bytes}");
        }
        assert_eq!(Value::parse(&[b"l".repeat(9), b"e".repeat(9)].concat()), None);
        assert!(Value::parse(&[b"l".repeat(8), b"e".repeat(8)].concat()).is_some());
    }
}
