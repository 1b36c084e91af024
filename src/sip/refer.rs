//! Transfer on the wire: Refer-To (RFC 3515), Replaces (RFC 3891), Referred-By (RFC 3892), sipfrag (RFC 3420).
//!
//! We do not do the signed token of Referred-By, because nobody makes one; it is carried along.

use std::fmt;

use super::message::chars::{is_blank, number, token, trim};
use super::message::{Message, Name, NameAddr, Params, default_reason};
use super::uri::{Scheme, Uri, escape, unescape};

/// The media type of a sipfrag body.
pub const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// What is wrong with a transfer header or body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferError {
    /// Not an address.
    #[error("bad address")]
    BadAddress,
    /// A target that we cannot call: neither SIP, SIPS nor tel.
    #[error("unsupported scheme")]
    Scheme,
    /// A Refer-To that asks for another method than INVITE.
    #[error("unsupported method")]
    Method,
    /// Not a dialog with both tags, or more than one Replaces.
    #[error("bad Replaces")]
    BadReplaces,
    /// Not a status line.
    #[error("bad sipfrag")]
    BadFragment,
}

/// A dialog to be replaced; `Display` writes the header value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: String,
    /// The tag of the side that receives this header.
    pub to_tag: String,
    /// The tag of that side's peer.
    pub from_tag: String,
    /// Only while it is not confirmed.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a header value, escapes already undone.
    pub fn parse(text: &[u8]) -> Result<Replaces, ReferError> {
        let text = trim(text);
        let end = text.iter().position(|&b| b == b';').unwrap_or(text.len());
        let call_id = trim(&text[..end]);
        let params = Params::parse(&text[end..]).ok_or(ReferError::BadReplaces)?;
        let once = |name: &str| params.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name)).count() == 1;
        let tag = |name: &str| {
            params.get(name).filter(|tag| token(tag.as_bytes()).is_some() && once(name)).map(str::to_owned)
        };
        let sound = !call_id.is_empty() && call_id.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b',' | b';'));
        match (tag("to-tag"), tag("from-tag")) {
            (Some(to_tag), Some(from_tag)) if sound => Ok(Replaces {
                call_id: String::from_utf8_lossy(call_id).into_owned(),
                to_tag,
                from_tag,
                early_only: params.has("early-only"),
            }),
            _ => Err(ReferError::BadReplaces),
        }
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        f.write_str(if self.early_only { ";early-only" } else { "" })
    }
}

/// Whom to call in a transfer; `Display` writes the header value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTo {
    /// The URI to call, without its headers and `method` parameter.
    pub target: String,
    /// The dialog that the new call is to replace: an attended transfer.
    pub replaces: Option<Replaces>,
    /// Other headers that the URI carries, escapes undone. They are a stranger's: pick, never copy all.
    pub headers: Vec<(String, String)>,
}

impl ReferTo {
    /// Reads a header value.
    pub fn parse(text: &[u8]) -> Result<ReferTo, ReferError> {
        let address = NameAddr::parse(text).map_err(|_| ReferError::BadAddress)?;
        let uri = Uri::parse(address.uri).map_err(|_| ReferError::BadAddress)?;
        if uri.scheme == Scheme::Other {
            return Err(ReferError::Scheme);
        }
        if uri.param("method").is_some_and(|method| method != "INVITE") {
            return Err(ReferError::Method);
        }
        let (mut replaces, mut headers) = (None, Vec::new());
        for (name, value) in uri.header_pairs() {
            let (name, value) = (unescape(name), unescape(value));
            if name.eq_ignore_ascii_case("Replaces") {
                if replaces.replace(Replaces::parse(value.as_bytes())?).is_some() {
                    return Err(ReferError::BadReplaces);
                }
            } else if token(name.as_bytes()).is_none() || value.contains(['\r', '\n', '\0']) {
                return Err(ReferError::BadAddress);
            } else {
                headers.push((name, value));
            }
        }
        let target = without_headers(&uri);
        Ok(ReferTo { target, replaces, headers })
    }
}

fn without_headers(uri: &Uri<'_>) -> String {
    let text = uri.as_str();
    let text = match uri.headers.len() {
        0 => text,
        length => &text[..text.len() - length - 1],
    };
    if uri.param("method").is_none() {
        return text.to_owned();
    }
    let base = &text[..text.len() - uri.params.len() - 1];
    let others = uri.params.split(';').filter(|param| {
        let name = param.split('=').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("method")
    });
    others.fold(base.to_owned(), |all, param| all + ";" + param)
}

impl fmt::Display for ReferTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.target)?;
        let mut separator = '?';
        if let Some(replaces) = &self.replaces {
            write!(f, "?Replaces={}", escape(&replaces.to_string()))?;
            separator = '&';
        }
        for (name, value) in &self.headers {
            write!(f, "{separator}{}={}", escape(name), escape(value))?;
            separator = '&';
        }
        f.write_str(">")
    }
}

/// Who asked for a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferredBy<'a> {
    /// The address, its parameters included.
    pub address: NameAddr<'a>,
    /// The body part that proves it.
    pub cid: Option<&'a str>,
}

impl<'a> ReferredBy<'a> {
    /// Reads a header value.
    pub fn parse(text: &'a [u8]) -> Result<ReferredBy<'a>, ReferError> {
        let address = NameAddr::parse(text).map_err(|_| ReferError::BadAddress)?;
        if address.is_star() {
            return Err(ReferError::BadAddress);
        }
        Ok(ReferredBy { address, cid: address.param("cid") })
    }
}

/// The progress of a transfer, as a NOTIFY tells it: the status line of the new call's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// From 100 to 699.
    pub status: u16,
    /// The reason phrase, in whatever character set.
    pub reason: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the first line of a body; headers behind it are ignored, and so is a missing line end.
    pub fn parse(body: &'a [u8]) -> Result<Fragment<'a>, ReferError> {
        let end = body.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(body.len());
        let line = &body[..end];
        let version = b"SIP/2.0 ";
        if line.len() < version.len() + 3 || !line[..version.len()].eq_ignore_ascii_case(version) {
            return Err(ReferError::BadFragment);
        }
        let (status, reason) = line[version.len()..].split_at(3);
        let status = number(status, 699).filter(|&status| status >= 100).ok_or(ReferError::BadFragment)?;
        if reason.first().is_some_and(|&b| !is_blank(b)) {
            return Err(ReferError::BadFragment);
        }
        Ok(Fragment { status: status as u16, reason: trim(reason) })
    }

    /// The body that tells of `status`, with its registered reason phrase.
    pub fn write(status: u16) -> Vec<u8> {
        format!("SIP/2.0 {status} {}\r\n", default_reason(status)).into_bytes()
    }
}

/// What a NOTIFY tells of a REFER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The CSeq number of the REFER; `None`: it does not say, there is but one.
    pub id: Option<u32>,
    /// The status of the new call; `None`: the body says nothing.
    pub status: Option<u16>,
    /// The subscription is over, nothing more will come.
    pub is_over: bool,
}

impl Progress {
    /// Reads a NOTIFY; `None`: it tells of another event.
    pub fn of(notify: &Message) -> Option<Progress> {
        let event = notify.header_str(Name::Event)?;
        let (package, params) = event.split_once(';').unwrap_or((event, ""));
        if !package.trim().eq_ignore_ascii_case("refer") {
            return None;
        }
        let id = params.split(';').find_map(|param| param.split_once('=').filter(|(name, _)| name.trim() == "id"));
        let state = notify.header_str(Name::SubscriptionState).unwrap_or_default();
        let state = state.split(';').next().unwrap_or_default().trim();
        Some(Progress {
            id: id.and_then(|(_, id)| id.trim().parse().ok()),
            status: Fragment::parse(notify.body()).ok().map(|fragment| fragment.status),
            is_over: state.eq_ignore_ascii_case("terminated"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blind_refer_to_is_a_plain_target() {
        for text in ["<sip:6001@192.0.2.54>", "sip:6001@192.0.2.54", "\"Six\" <sip:6001@192.0.2.54;method=INVITE>"] {
            let refer = ReferTo::parse(text.as_bytes()).unwrap();
            assert_eq!((refer.target.as_str(), refer.replaces), ("sip:6001@192.0.2.54", None), "{text}");
        }
        assert_eq!(ReferTo::parse(b"<tel:+1555>").unwrap().target, "tel:+1555");
    }

    #[test]
    fn an_attended_refer_to_carries_the_dialog_to_replace() {
        let text = b"<sip:6001@192.0.2.54;x=y?Replaces=GUID-3%40192.0.2.81%3Bto-tag%3D7%3Bfrom-tag%3D9%3Bearly-only&Require=replaces>";
        let refer = ReferTo::parse(text).unwrap();
        let replaces = Replaces {
            call_id: "GUID-3@192.0.2.81".into(),
            to_tag: "7".into(),
            from_tag: "9".into(),
            early_only: true,
        };
        assert_eq!(refer.target, "sip:6001@192.0.2.54;x=y");
        assert_eq!(refer.replaces, Some(replaces));
        assert_eq!(refer.headers, [("Require".to_owned(), "replaces".to_owned())]);
        assert_eq!(ReferTo::parse(refer.to_string().as_bytes()), Ok(refer));
    }

    #[test]
    fn a_method_parameter_is_taken_off_and_must_be_invite() {
        let refer = ReferTo::parse(b"<sip:a@b;x=y;method=INVITE;z?Subject=hi>").unwrap();
        assert_eq!(refer.target, "sip:a@b;x=y;z");
        assert_eq!(ReferTo::parse(b"<sip:a@b;method=BYE>"), Err(ReferError::Method));
    }

    #[test]
    fn a_target_that_cannot_be_called_is_refused() {
        assert_eq!(ReferTo::parse(b"<http://example.com/>"), Err(ReferError::Scheme));
        assert_eq!(ReferTo::parse(b"<sip:a@b?Replaces=x>"), Err(ReferError::BadReplaces));
        assert_eq!(ReferTo::parse(b"nonsense"), Err(ReferError::BadAddress));
        assert_eq!(ReferTo::parse(b"*"), Err(ReferError::BadAddress));
    }

    #[test]
    fn a_line_break_hidden_in_an_escape_is_refused() {
        assert_eq!(ReferTo::parse(b"<sip:a@b?Subject=x%0D%0AEvil:%201>"), Err(ReferError::BadAddress));
        assert_eq!(ReferTo::parse(b"<sip:a@b?Evil%0D%0AX=1>"), Err(ReferError::BadAddress));
        let text = b"<sip:a@b?Replaces=c%3Bto-tag%3D1%0D%0AX%3Bfrom-tag%3D2>";
        assert_eq!(ReferTo::parse(text), Err(ReferError::BadReplaces));
    }

    #[test]
    fn two_replaces_are_refused() {
        let one = "Replaces=c%3Bto-tag%3D1%3Bfrom-tag%3D2";
        assert_eq!(ReferTo::parse(format!("<sip:a@b?{one}&{one}>").as_bytes()), Err(ReferError::BadReplaces));
        assert!(ReferTo::parse(format!("<sip:a@b?{one}>").as_bytes()).is_ok());
    }

    #[test]
    fn replaces_needs_a_call_id_and_each_tag_once() {
        for text in [
            "",
            ";to-tag=1;from-tag=2",
            "c;to-tag=1",
            "c;from-tag=1",
            "c;to-tag=1;to-tag=2;from-tag=3",
            "a b;to-tag=1;from-tag=2",
            "c, d;to-tag=1;from-tag=2",
        ] {
            assert_eq!(Replaces::parse(text.as_bytes()), Err(ReferError::BadReplaces), "{text}");
        }
        assert_eq!(Replaces::parse(b"c@d ; FROM-TAG = 2;to-tag=1;x=y").unwrap().to_string(), "c@d;to-tag=1;from-tag=2");
    }

    #[test]
    fn referred_by_is_an_address_with_an_optional_token() {
        let by =
            ReferredBy::parse(b"\"A\" <sip:5001@192.0.2.54>;cid=\"20398823.2UWQFN309shb3@referrer.example\"").unwrap();
        assert_eq!((by.address.uri, by.cid), ("sip:5001@192.0.2.54", Some("20398823.2UWQFN309shb3@referrer.example")));
        assert_eq!(ReferredBy::parse(b"<sip:a@b>").unwrap().cid, None);
    }

    #[test]
    fn a_sipfrag_is_written_and_read() {
        assert_eq!(Fragment::write(180), b"SIP/2.0 180 Ringing\r\n");
        for body in [&b"SIP/2.0 503 Service Unavailable"[..], b"SIP/2.0 503 Service Unavailable\r\nTo: x\r\n"] {
            let fragment = Fragment::parse(body).unwrap();
            assert_eq!((fragment.status, fragment.reason), (503, &b"Service Unavailable"[..]));
        }
        assert_eq!(Fragment::parse(b"SIP/2.0 200").unwrap().status, 200);
        for body in [&b""[..], b"SIP/2.0 99", b"SIP/2.0 700 x", b"SIP/2.0 1000", b"SIP/2.0 2", b"INVITE sip:a SIP/2.0"]
        {
            assert_eq!(Fragment::parse(body), Err(ReferError::BadFragment));
        }
    }
}
