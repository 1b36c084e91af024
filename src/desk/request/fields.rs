//! The JSON object of a request, each field of it within bounds.
//!
//! `null` counts as absent. Lengths are those of characters, as a JSON schema has them.

use serde_json::{Map, Value};

use super::super::operation::{AttachedData, CallName, MAX_DIGITS, MAX_NUMBER, MAX_PAIRS, MAX_REASON, Refusal};
use super::{MAX_BODY, MAX_NAME};

/// Most characters of any other text.
const MAX_TEXT: usize = 255;
/// Most characters of an address.
const MAX_URI: usize = 1024;
/// Most characters of a value of user data.
const MAX_VALUE: usize = 4096;
/// Largest number of user data: what a page's JavaScript can count to.
const MAX_COUNT: f64 = 9_007_199_254_740_991.0;
/// Most names in a list.
const MAX_NAMES: usize = 16;

/// What a number may be; the OpenAPI document has it as a pattern.
const NUMBER: &str = "at most 64 of the digits, * and #, a + before them, separators between them, or a name of letters, digits, . _ and -";

/// The fields of a body.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body; none at all is an object without fields.
    pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Fields, Refusal> {
        if body.len() > MAX_BODY {
            return Err(Refusal::TooLarge);
        }
        if body.is_empty() {
            return Ok(Fields::default());
        }
        // A page of a foreign site can have a browser send other types unasked.
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::MediaType);
        }
        serde_json::from_slice(body).map(Fields).map_err(|_| Refusal::Malformed)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn bounded(&self, name: &'static str, most: usize, why: &'static str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if is_text(text, most) => Ok(Some(text)),
            Some(_) => Err(Refusal::Invalid { name, why }),
        }
    }

    /// Reads a text that people may see.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        self.bounded(name, MAX_TEXT, "a text of 1 to 255 characters is allowed")
    }

    /// Returns true if it says what is to be done, in either dialect.
    pub(super) fn has_operation(&self) -> bool {
        self.get("operationName").or(self.get("action")).is_some()
    }

    /// Reads what is to be done, in lower case; `operationName` goes before `action`.
    pub(super) fn operation(&self) -> Result<String, Refusal> {
        let name = if self.get("operationName").is_some() { "operationName" } else { "action" };
        self.text(name)?.map(str::to_ascii_lowercase).ok_or(Refusal::Missing("operationName"))
    }

    /// Reads why an agent takes no calls, in either dialect.
    pub(super) fn reason(&self) -> Result<Option<String>, Refusal> {
        const WHY: &str = "a text of 1 to 64 characters is allowed";
        let real = self.bounded("notReadyReason", MAX_REASON, WHY)?;
        Ok(self.bounded("reason", MAX_REASON, WHY)?.or(real).map(str::to_owned))
    }

    /// Reads a number that stands by itself.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_str().and_then(number);
        number.map(Some).ok_or(Refusal::Invalid { name, why: NUMBER })
    }

    /// Reads whom to call: a number, or an object that has it as `phoneNumber`.
    pub(super) fn destination(&self) -> Result<String, Refusal> {
        let said = match self.get("destination") {
            None => return Err(Refusal::Missing("destination")),
            Some(Value::Object(object)) => object.get("phoneNumber").ok_or(Refusal::Missing("phoneNumber"))?,
            Some(value) => value,
        };
        said.as_str().and_then(number).ok_or(Refusal::Invalid { name: "destination", why: NUMBER })
    }

    /// Reads the keys to press, in upper case.
    pub(super) fn digits(&self) -> Result<String, Refusal> {
        const WHY: &str = "1 to 32 of 0-9, *, #, A-D are allowed";
        let digits = self.bounded("digits", MAX_DIGITS, WHY)?.ok_or(Refusal::Missing("digits"))?.to_ascii_uppercase();
        let is_key = |key: char| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D');
        digits.chars().all(is_key).then_some(digits).ok_or(Refusal::Invalid { name: "digits", why: WHY })
    }

    /// Reads which call the consultation is: the end of its address, or its name.
    pub(super) fn consultation(&self) -> Result<Option<CallName>, Refusal> {
        const WHY: &str = "the uri of a call is allowed, or its id";
        let read = |name| match self.bounded(name, MAX_URI, WHY)? {
            None => Ok(None),
            Some(uri) => {
                let last = uri.trim_end_matches('/').rsplit('/').next().and_then(decode);
                let fits = |id: &String| !id.is_empty() && id.chars().count() <= MAX_NAME;
                last.filter(fits).map(Some).ok_or(Refusal::Invalid { name, why: WHY })
            }
        };
        let (uri, with) = (read("consultCallUri")?, read("with")?);
        Ok(uri.or(with))
    }

    /// Reads a list of names; none: an empty list.
    pub(super) fn names(&self, name: &'static str) -> Result<Vec<String>, Refusal> {
        let invalid = || Refusal::Invalid { name, why: "a list of at most 16 names is allowed" };
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let list = value.as_array().filter(|list| list.len() <= MAX_NAMES).ok_or_else(invalid)?;
        let names = list.iter().map(|name| name.as_str().filter(|name| is_text(name, MAX_NAME)).map(str::to_owned));
        names.collect::<Option<_>>().ok_or_else(invalid)
    }

    /// Takes the user data out.
    pub(super) fn user_data(&mut self) -> Result<Option<AttachedData>, Refusal> {
        let invalid = |why| Refusal::Invalid { name: "userData", why };
        match self.0.remove("userData") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(data)) if data.len() > MAX_PAIRS => Err(invalid("at most 256 pairs are allowed")),
            Some(Value::Object(data)) if !data.keys().all(|key| is_text(key, MAX_TEXT)) => {
                Err(invalid("keys of 1 to 255 characters are allowed"))
            }
            Some(Value::Object(data)) if !data.values().all(is_value) => Err(invalid(
                "texts of at most 4096 characters without control characters, numbers, true and false are allowed",
            )),
            Some(Value::Object(data)) => Ok(Some(data)),
            Some(_) => Err(invalid("an object is allowed")),
        }
    }

    /// Takes the user data out, which must be there.
    pub(super) fn some_user_data(&mut self) -> Result<AttachedData, Refusal> {
        self.user_data()?.ok_or(Refusal::Missing("userData"))
    }

    /// Reads the key of a pair.
    pub(super) fn key(&self) -> Result<String, Refusal> {
        self.text("key")?.map(str::to_owned).ok_or(Refusal::Missing("key"))
    }
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.contains(char::is_control)
}

/// Tells the control characters that no text of several lines needs; as JSON each would take six bytes.
fn is_foreign(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\r' | '\t')
}

fn is_value(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().count() <= MAX_VALUE && !text.contains(is_foreign),
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() <= MAX_COUNT),
        Value::Bool(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Returns the number that was meant: without the separators that people write (RFC 3966 5.1.1). Names keep theirs.
fn number(text: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_separator = |c: char| matches!(c, ' ' | '(' | ')' | '.' | '-');
    let is_key = |c: char| matches!(c, '0'..='9' | '*' | '#');
    if text.chars().count() > MAX_NUMBER {
        return None;
    }
    if text.contains(|c: char| c.is_ascii_alphabetic() || c == '_') {
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        return (begins && text.chars().all(is_name)).then(|| text.to_owned());
    }
    let bare = text.strip_prefix('+').unwrap_or(text);
    let bare = bare.strip_prefix('(').unwrap_or(bare);
    if !bare.starts_with(is_key) || !bare.chars().all(|c| is_key(c) || is_separator(c)) {
        return None;
    }
    Some(text.chars().filter(|c| !is_separator(*c)).collect())
}

/// Undoes percent-encoding (RFC 3986 2.1); `None` for what is no UTF-8 then.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        out.push((high << 4 | low) as u8);
    }
    String::from_utf8(out).ok()
}
