//! Header names: the known ones, their compact forms, and which of them are lists or stand alone.

use std::fmt;

/// How a header field may be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A comma list: several fields and several elements in one field mean the same.
    List,
    /// At most one field in a message; a second one is refused.
    Single,
    /// Repeated at will, each field one value.
    Plain,
}

macro_rules! names {
    ($($variant:ident $text:literal $kind:ident $doc:literal),* $(,)?) => {
        /// A header field name that we know; all others are [`Name::Other`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`, ", $doc, ".")] $variant,)*
            /// A name that is not in this list.
            Other,
        }

        const TABLE: &[(&str, Name, Kind)] = &[$(($text, Name::$variant, Kind::$kind)),*];
    };
}

names! {
    Accept "Accept" List "RFC 3261",
    AcceptContact "Accept-Contact" List "RFC 3841",
    AcceptEncoding "Accept-Encoding" List "RFC 3261",
    AcceptLanguage "Accept-Language" List "RFC 3261",
    AlertInfo "Alert-Info" List "RFC 3261",
    Allow "Allow" List "RFC 3261",
    AllowEvents "Allow-Events" List "RFC 6665",
    AuthenticationInfo "Authentication-Info" Plain "RFC 3261",
    Authorization "Authorization" Plain "RFC 3261",
    CallId "Call-ID" Single "RFC 3261",
    CallInfo "Call-Info" List "RFC 3261",
    Contact "Contact" List "RFC 3261",
    ContentDisposition "Content-Disposition" Single "RFC 3261",
    ContentEncoding "Content-Encoding" List "RFC 3261",
    ContentLanguage "Content-Language" List "RFC 3261",
    ContentLength "Content-Length" Single "RFC 3261",
    ContentType "Content-Type" Single "RFC 3261",
    CSeq "CSeq" Single "RFC 3261",
    Date "Date" Single "RFC 3261",
    Diversion "Diversion" List "RFC 5806",
    ErrorInfo "Error-Info" List "RFC 3261",
    Event "Event" Single "RFC 6665",
    Expires "Expires" Single "RFC 3261",
    From "From" Single "RFC 3261",
    HistoryInfo "History-Info" List "RFC 7044",
    Identity "Identity" Plain "RFC 8224",
    IdentityInfo "Identity-Info" Plain "RFC 4474",
    InReplyTo "In-Reply-To" List "RFC 3261",
    Join "Join" Single "RFC 3911",
    MaxForwards "Max-Forwards" Single "RFC 3261",
    MimeVersion "MIME-Version" Single "RFC 3261",
    MinExpires "Min-Expires" Single "RFC 3261",
    MinSe "Min-SE" Single "RFC 4028",
    Organization "Organization" Plain "RFC 3261",
    PAssertedIdentity "P-Asserted-Identity" List "RFC 3325",
    PPreferredIdentity "P-Preferred-Identity" List "RFC 3325",
    Path "Path" List "RFC 3327",
    Priority "Priority" Single "RFC 3261",
    Privacy "Privacy" Plain "RFC 3323",
    ProxyAuthenticate "Proxy-Authenticate" Plain "RFC 3261",
    ProxyAuthorization "Proxy-Authorization" Plain "RFC 3261",
    ProxyRequire "Proxy-Require" List "RFC 3261",
    RAck "RAck" Single "RFC 3262",
    Reason "Reason" List "RFC 3326",
    RecordRoute "Record-Route" List "RFC 3261",
    ReferSub "Refer-Sub" Single "RFC 4488",
    ReferTo "Refer-To" Single "RFC 3515",
    ReferredBy "Referred-By" Single "RFC 3892",
    RejectContact "Reject-Contact" List "RFC 3841",
    Replaces "Replaces" Single "RFC 3891",
    ReplyTo "Reply-To" Single "RFC 3261",
    RequestDisposition "Request-Disposition" List "RFC 3841",
    Require "Require" List "RFC 3261",
    RetryAfter "Retry-After" Single "RFC 3261",
    Route "Route" List "RFC 3261",
    RSeq "RSeq" Single "RFC 3262",
    Server "Server" Plain "RFC 3261",
    ServiceRoute "Service-Route" List "RFC 3608",
    SessionExpires "Session-Expires" Single "RFC 4028",
    SipEtag "SIP-ETag" Single "RFC 3903",
    SipIfMatch "SIP-If-Match" Single "RFC 3903",
    Subject "Subject" Single "RFC 3261",
    SubscriptionState "Subscription-State" Single "RFC 6665",
    Supported "Supported" List "RFC 3261",
    TargetDialog "Target-Dialog" Single "RFC 4538",
    Timestamp "Timestamp" Single "RFC 3261",
    To "To" Single "RFC 3261",
    Unsupported "Unsupported" List "RFC 3261",
    UserAgent "User-Agent" Plain "RFC 3261",
    UserToUser "User-to-User" Plain "RFC 7433",
    Via "Via" List "RFC 3261",
    Warning "Warning" List "RFC 3261",
    WwwAuthenticate "WWW-Authenticate" Plain "RFC 3261",
}

const LONGEST: usize = 20;
const BUCKET: usize = 12;
const NONE: u8 = u8::MAX;

/// For each length the table rows with a name of that length: a look-up compares a handful of first letters.
static BY_LENGTH: [[u8; BUCKET]; LONGEST + 1] = by_length();

const fn by_length() -> [[u8; BUCKET]; LONGEST + 1] {
    let mut index = [[NONE; BUCKET]; LONGEST + 1];
    let mut row = 0;
    while row < TABLE.len() {
        let bucket = &mut index[TABLE[row].0.len()];
        let mut free = 0;
        while bucket[free] != NONE {
            free += 1;
        }
        bucket[free] = row as u8;
        row += 1;
    }
    index
}

impl Name {
    /// Finds a name by its long or compact form, in any case; unknown ones are [`Name::Other`].
    #[inline]
    pub fn lookup(text: &[u8]) -> Name {
        let first = match text {
            [only] => return Name::compact(*only),
            [first, ..] => first | 0x20,
            [] => return Name::Other,
        };
        let Some(bucket) = BY_LENGTH.get(text.len()) else { return Name::Other };
        for &row in bucket {
            let Some((long, name, _)) = TABLE.get(row as usize) else { break };
            if long.as_bytes()[0] | 0x20 == first && long.as_bytes().eq_ignore_ascii_case(text) {
                return *name;
            }
        }
        Name::Other
    }

    fn compact(letter: u8) -> Name {
        match letter | 0x20 {
            b'a' => Name::AcceptContact,
            b'b' => Name::ReferredBy,
            b'c' => Name::ContentType,
            b'd' => Name::RequestDisposition,
            b'e' => Name::ContentEncoding,
            b'f' => Name::From,
            b'i' => Name::CallId,
            b'j' => Name::RejectContact,
            b'k' => Name::Supported,
            b'l' => Name::ContentLength,
            b'm' => Name::Contact,
            b'n' => Name::IdentityInfo,
            b'o' => Name::Event,
            b'r' => Name::ReferTo,
            b's' => Name::Subject,
            b't' => Name::To,
            b'u' => Name::AllowEvents,
            b'v' => Name::Via,
            b'x' => Name::SessionExpires,
            b'y' => Name::Identity,
            _ => Name::Other,
        }
    }

    /// The long form, as we write it; `""` for [`Name::Other`].
    pub fn as_str(self) -> &'static str {
        TABLE.get(self as usize).map_or("", |row| row.0)
    }

    /// Whether the value is a comma list whose elements may be spread over several fields.
    pub fn is_list(self) -> bool {
        TABLE.get(self as usize).is_some_and(|row| row.2 == Kind::List)
    }

    /// Whether a second field of this name is refused.
    pub fn is_single(self) -> bool {
        TABLE.get(self as usize).is_some_and(|row| row.2 == Kind::Single)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// A header name as it stands in a message: known or not, and its spelling there.
#[derive(Clone, Copy, Debug)]
pub struct HeaderName<'a> {
    /// What it means.
    pub name: Name,
    /// How it is spelt; possibly the compact form.
    pub text: &'a str,
}

impl HeaderName<'_> {
    /// The long form of a known name, the spelling of an unknown one.
    pub fn as_str(&self) -> &str {
        if self.name == Name::Other { self.text } else { self.name.as_str() }
    }
}

impl fmt::Display for HeaderName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
