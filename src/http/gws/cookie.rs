//! Cookies of a GWS under our own origin (RFC 6265): each goes by a name and a path of its GWS, so that no cookie of ours,
//! or of another GWS, ever goes to it, and none of its own is taken for ours.

use super::super::Link;
use super::Upstream;

/// Longest cookie that is carried, bytes: what browsers keep.
const MAX_COOKIE_BYTES: usize = 4096;
/// Cookies of one answer, or of one request, that are carried.
pub(super) const MAX_COOKIES: usize = 20;

/// How cookies are set for the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    /// The browser sends them under TLS only.
    secure: bool,
    /// The page may stand in a frame of another site.
    framed: bool,
}

impl Flags {
    /// What fits the connection: a browser takes `Secure` from this machine without TLS too.
    pub(super) fn of(link: &Link, framed: bool) -> Flags {
        Flags { secure: link.secure, framed: framed && (link.secure || link.local_only) }
    }

    fn text(self) -> &'static str {
        match (self.framed, self.secure) {
            (true, _) => "; HttpOnly; SameSite=None; Secure; Partitioned",
            (false, true) => "; HttpOnly; SameSite=Lax; Secure",
            (false, false) => "; HttpOnly; SameSite=Lax",
        }
    }
}

fn prefix(upstream: &Upstream) -> String {
    format!("gws.{}.", upstream.name)
}

/// Returns the cookies of a request that are this GWS's, under their own names.
pub(super) fn request<'a>(upstream: &Upstream, cookies: impl Iterator<Item = &'a str>) -> Option<String> {
    let prefix = prefix(upstream);
    let theirs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().strip_prefix(&*prefix));
    let theirs: Vec<&str> = theirs.take(MAX_COOKIES).collect();
    (!theirs.is_empty()).then(|| theirs.join("; "))
}

/// Returns a `Set-Cookie` of this GWS as the page's browser is to keep it; `None`: it is not to.
pub(super) fn response(upstream: &Upstream, set: &str, flags: Flags) -> Option<String> {
    let mut parts = set.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let name = name.trim();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) || set.len() > MAX_COOKIE_BYTES {
        return None;
    }
    let (mut path, mut kept) = ("/", String::new());
    for part in parts {
        let (key, of) = part.split_once('=').unwrap_or((part, ""));
        match &*key.trim().to_ascii_lowercase() {
            "path" => path = of.trim(),
            "max-age" | "expires" => {
                kept.push_str("; ");
                kept.push_str(part);
            }
            // Domain would be another site's; the rest is for us to say.
            _ => {}
        }
    }
    let path = match path.strip_prefix(&*upstream.base) {
        Some(path) if path.starts_with('/') => path,
        _ => "/",
    };
    let (prefix, of) = (prefix(upstream), &upstream.name);
    Some(format!("{prefix}{name}={value}; Path=/gws/{of}{path}{kept}{}", flags.text()))
}
