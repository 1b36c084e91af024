//! Text templates, and the headers of messages as plain text: the shapes that the SIP Server writes are not what a SIP
//! library would, so none stands between.

/// Placeholders may stand in the values of placeholders so deep.
const DEPTH: usize = 6;

/// Replaces each `{name}` by what `value` knows of it. Line ends become CRLF; a blank line parts head and body.
///
/// # Errors
/// The name that is not known.
pub(super) fn expand(template: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    expand_to(template, value, DEPTH)
}

fn expand_to(template: &str, value: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<String, String> {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { return Err(format!("{{ without }} in {template}")) };
        out.push_str(before);
        let found = value(name).ok_or_else(|| format!("{{{name}}} is not known"))?;
        if depth > 0 && found.contains('{') {
            out.push_str(&expand_to(&found, value, depth - 1)?);
        } else {
            out.push_str(&found);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Makes a shape of a file into what goes on the wire: CRLF, and a blank line at the end of the head.
pub(super) fn wire(head: &str, body: &str) -> String {
    let mut out = String::new();
    for line in head.trim_end().lines() {
        out.push_str(line.trim_end());
        out.push_str("\r\n");
    }
    out.push_str("\r\n");
    out.push_str(body);
    out
}

/// The same for a body: no blank line.
pub(super) fn body(text: &str) -> String {
    text.trim_end().lines().flat_map(|line| [line.trim_end(), "\r\n"]).collect()
}

/// Returns all values of a header, in order.
pub(super) fn all<'a>(message: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().skip(1).filter_map(move |line| {
        let (n, value) = line.split_once(':')?;
        n.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Returns the first value of a header.
pub(super) fn header<'a>(message: &'a str, name: &'a str) -> Option<&'a str> {
    all(message, name).next()
}

pub(super) fn body_of(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

pub(super) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Returns the status, where it is a response.
pub(super) fn status(message: &str) -> Option<&str> {
    message.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3))
}

/// Returns the method of a request, or of the CSeq of a response.
pub(super) fn method(message: &str) -> &str {
    match status(message) {
        Some(_) => header(message, "CSeq").and_then(|c| c.split_whitespace().nth(1)).unwrap_or_default(),
        None => message.split(' ').next().unwrap_or_default(),
    }
}

/// Returns the URI of a Contact, From or To, without what surrounds it.
pub(super) fn uri(value: &str) -> &str {
    let inner = match (value.find('<'), value.find('>')) {
        (Some(a), Some(b)) if a < b => &value[a + 1..b],
        _ => value.split(';').next().unwrap_or(value),
    };
    inner.trim()
}

/// Returns a parameter that stands behind the URI of a header.
pub(super) fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after = value.find('>').map_or(value, |at| &value[at..]);
    after.split(';').skip(1).find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Returns the user part of a header's URI.
pub(super) fn user(value: &str) -> &str {
    let uri = uri(value);
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    rest.split_once('@').map_or("", |(user, _)| user)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<String> {
        match name {
            "dn" => Some("5001".into()),
            "to" => Some("<sip:{dn}@x>".into()),
            "loop" => Some("{loop}".into()),
            _ => None,
        }
    }

    #[test]
    fn placeholders_are_replaced_those_in_values_too() {
        assert_eq!(expand("To: {to};a={dn}", &known).unwrap(), "To: <sip:5001@x>;a=5001");
    }

    #[test]
    fn an_unknown_placeholder_is_an_error_and_a_circle_ends() {
        assert_eq!(expand("{what}", &known), Err("{what} is not known".into()));
        assert_eq!(expand("{loop}", &known).unwrap(), "{loop}");
        assert!(expand("{dn", &known).is_err());
    }

    #[test]
    fn headers_are_found_whatever_their_case_and_uris_whatever_their_brackets() {
        let message = "SIP/2.0 200 OK\r\nVIA: a\r\nFrom: sip:1@h;tag=x\r\nto: \"D\" <sip:2@h;p=1>;tag=y\r\nvia: b\r\nCSeq: 2 NOTIFY\r\n\r\nFrom: body";
        assert_eq!(all(message, "Via").collect::<Vec<_>>(), ["a", "b"]);
        let of = |name| header(message, name).unwrap();
        assert_eq!((uri(of("From")), parameter(of("From"), "tag"), user(of("From"))), ("sip:1@h", Some("x"), "1"));
        assert_eq!((uri(of("To")), parameter(of("To"), "tag"), user(of("To"))), ("sip:2@h;p=1", Some("y"), "2"));
        assert_eq!((status(message), method(message), body_of(message)), (Some("200"), "NOTIFY", "From: body"));
    }

    #[test]
    fn a_shape_gets_the_line_ends_of_the_wire() {
        assert_eq!(wire("A b\nC: d\n\n", &body("v=0\ns=-\n")), "A b\r\nC: d\r\n\r\nv=0\r\ns=-\r\n");
    }
}
