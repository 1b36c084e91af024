//! Character classes and small scanners of RFC 3261 25.1, table-driven.

const TOKEN: u8 = 1;
const BLANK: u8 = 2;
const URI: u8 = 4;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut b = 0usize;
    while b < 256 {
        let c = b as u8;
        if c.is_ascii_alphanumeric()
            || matches!(c, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
        {
            table[b] |= TOKEN;
        }
        if c == b' ' || c == b'\t' {
            table[b] |= BLANK;
        }
        if c.is_ascii_graphic() && !matches!(c, b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'}' | b'|') {
            table[b] |= URI;
        }
        b += 1;
    }
    table
}

#[inline]
pub(crate) fn is_token(b: u8) -> bool {
    CLASS[b as usize] & TOKEN != 0
}

#[inline]
pub(crate) fn is_blank(b: u8) -> bool {
    CLASS[b as usize] & BLANK != 0
}

/// A printable character that may stand in a URI (RFC 3986), brackets included.
#[inline]
pub(crate) fn is_uri(b: u8) -> bool {
    CLASS[b as usize] & URI != 0
}

/// `text` as a string when it is a token (RFC 3261 25.1), one character at the least.
#[inline]
pub(crate) fn token(text: &[u8]) -> Option<&str> {
    if text.is_empty() || !text.iter().all(|&b| is_token(b)) {
        return None;
    }
    std::str::from_utf8(text).ok()
}

/// Without blanks at either end.
#[inline]
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_blank(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_blank(*last)
    {
        text = rest;
    }
    text
}

/// Index just behind a quoted string that opens at `text[0]`; `None` when it does not close.
pub(crate) fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut i = 1;
    while i < text.len() {
        match text[i] {
            b'\\' => i += 2,
            b'"' => return Some(i + 1),
            _ => i += 1,
        }
    }
    None
}

/// Index of the first of `stops` outside quoted strings and angle brackets; the length when there is none.
pub(crate) fn find_outside(text: &[u8], stop: u8) -> usize {
    let mut i = 0;
    let mut in_angle = false;
    while i < text.len() {
        match text[i] {
            b'"' => match quoted_end(&text[i..]) {
                Some(n) => {
                    i += n;
                    continue;
                }
                None => return text.len(),
            },
            b'<' => in_angle = true,
            b'>' => in_angle = false,
            b if b == stop && !in_angle => return i,
            _ => {}
        }
        i += 1;
    }
    text.len()
}

/// A run of decimal digits as a number: `None` when empty, not digits, or beyond `max`.
pub(crate) fn number(text: &[u8], max: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut n = 0u64;
    for &b in text {
        if !b.is_ascii_digit() {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u64::from(b - b'0'))?;
        if n > max {
            return None;
        }
    }
    Some(n)
}

/// The elements of a comma list, commas in quoted strings and angle brackets apart; each trimmed.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Elements<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Elements { rest: Some(text) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let at = find_outside(text, b',');
        self.rest = text.get(at + 1..);
        Some(trim(&text[..at]))
    }
}
