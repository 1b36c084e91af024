//! The registrar: from an address of record to its bindings (RFC 3261 10.3, RFC 5626 6).
//!
//! We do not authenticate here, because the digest is judged before; we do not keep bindings across a restart, because a
//! binding is a flow and a flow dies with the process; a request to a binding goes down its `path`, whatever its URI
//! says, because browsers register hosts that do not exist (`….invalid`, RFC 7118 5.2).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::id::FlowId;
use crate::path::Path;
use crate::sip::uri::Uri;

/// Limits of the registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrarConfig {
    /// Granted where the request names no time.
    pub default_expires: Duration,
    /// Shorter times get 423.
    pub min_expires: Duration,
    /// Longer times are cut to this.
    pub max_expires: Duration,
    /// Bindings per address of record; one more replaces the one that was refreshed longest ago.
    pub max_bindings: usize,
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        RegistrarConfig {
            default_expires: Duration::from_secs(600),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
            max_bindings: 10,
        }
    }
}

/// One Contact of a REGISTER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// The URI between the angle brackets, as written.
    pub uri: String,
    /// `expires` parameter in seconds; a value beyond `u32` is `u32::MAX`.
    pub expires: Option<u32>,
    /// `q` parameter in thousandths, 0 to 1000.
    pub q: Option<u16>,
    /// `+sip.instance` without its quotes, angle brackets kept: `<urn:uuid:…>` (RFC 5626 4.1).
    pub instance: Option<String>,
    /// `reg-id` (RFC 5626 4.2).
    pub reg_id: Option<u32>,
    /// The other header parameters as written, without the first semicolon; given back in the 200.
    pub params: String,
}

/// The Contact header fields of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts {
    /// `Contact: *`.
    All,
    /// The contacts in order; none: the request asks for the bindings.
    List(Vec<Contact>),
}

/// A REGISTER, authenticated, in typed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The address of record as the application names it: the DN.
    pub aor: String,
    /// Contact header fields.
    pub contacts: Contacts,
    /// Expires header field, seconds.
    pub expires: Option<u32>,
    /// Call-ID.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// Where the request came from; requests to the binding go there.
    pub path: Path,
}

/// One way to reach an address of record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What was registered.
    pub contact: Contact,
    /// How the peer is reached.
    pub path: Path,
    /// Call-ID of the REGISTER that made it.
    pub call_id: String,
    /// CSeq number of the last REGISTER.
    pub cseq: u32,
    /// When it was last refreshed.
    pub refreshed_at: Instant,
    /// When it ends.
    pub expires_at: Instant,
}

impl Contact {
    /// Returns true where both are the same phone: by instance and reg-id (RFC 5626 6), whatever host the page has made up
    /// this time; by URI where either has no instance.
    pub fn is_same_phone(&self, other: &Contact) -> bool {
        match (&self.instance, &other.instance) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b) && self.reg_id == other.reg_id,
            _ => is_same_uri(&self.uri, &other.uri),
        }
    }
}

impl Binding {
    /// Returns the rest of its life in seconds, rounded up.
    pub fn expires_in(&self, now: Instant) -> u64 {
        let left = self.expires_at.saturating_duration_since(now);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }

    /// Returns the value of the Contact header field in a 200: URI, instance and parameters as registered, and the time
    /// that is left. JsSIP ignores a 200 in which it does not find its instance or its user.
    pub fn contact_value(&self, now: Instant) -> String {
        let mut value = format!("<{}>", self.contact.uri);
        if !self.contact.params.is_empty() {
            value.push(';');
            value.push_str(&self.contact.params);
        }
        if let Some(instance) = &self.contact.instance {
            value.push_str(&format!(";+sip.instance=\"{instance}\""));
        }
        if let Some(reg_id) = self.contact.reg_id {
            value.push_str(&format!(";reg-id={reg_id}"));
        }
        if let Some(q) = self.contact.q {
            value.push_str(&format!(";q={}.{:03}", q / 1000, q % 1000));
        }
        value.push_str(&format!(";expires={}", self.expires_in(now)));
        value
    }

    fn is_live(&self, now: Instant) -> bool {
        self.expires_at > now
    }
}

/// Why a REGISTER is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// 423 Interval Too Brief, with `Min-Expires`.
    #[error("expiry is below {min_expires_s} s")]
    TooBrief {
        /// Value of the Min-Expires header field.
        min_expires_s: u64,
    },
    /// 500: a request that was sent earlier, by Call-ID and CSeq (RFC 3261 10.3 step 7).
    #[error("CSeq is not above the last one of this Call-ID")]
    OutOfOrder,
    /// 400: `Contact: *` with anything but `Expires: 0`.
    #[error("Contact * needs Expires 0")]
    BadWildcard,
    /// 400: more contacts than bindings are allowed.
    #[error("too many contacts")]
    TooManyContacts,
}

impl RegisterError {
    /// Returns the SIP status.
    pub fn status(&self) -> u16 {
        match self {
            RegisterError::TooBrief { .. } => 423,
            RegisterError::OutOfOrder => 500,
            RegisterError::BadWildcard | RegisterError::TooManyContacts => 400,
        }
    }
}

/// What a REGISTER came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// All bindings of the address of record, the most recently refreshed first: each is a Contact of the 200.
    pub bindings: Vec<Binding>,
    /// Bindings that are gone: removed, replaced on another path, or pushed out.
    pub removed: Vec<Binding>,
}

/// All bindings.
#[derive(Debug)]
pub struct Registrar {
    config: RegistrarConfig,
    bindings: HashMap<String, Vec<Binding>>,
    /// No binding ends before.
    soonest: Option<Instant>,
}

impl Registrar {
    /// Makes an empty registrar.
    pub fn new(config: RegistrarConfig) -> Registrar {
        Registrar { config, bindings: HashMap::new(), soonest: None }
    }

    /// Carries out a REGISTER, wholly or not at all. The caller has checked that the address of record exists, which
    /// bounds the number of these.
    pub fn register(&mut self, request: Register, now: Instant) -> Result<Registered, RegisterError> {
        let mut list: Vec<Binding> = self.bindings.get(&request.aor).cloned().unwrap_or_default();
        list.retain(|b| b.is_live(now));
        let before = list.clone();
        match &request.contacts {
            Contacts::All => {
                if request.expires != Some(0) {
                    return Err(RegisterError::BadWildcard);
                }
                if list.iter().any(|b| is_stale(b, &request)) {
                    return Err(RegisterError::OutOfOrder);
                }
                list.clear();
            }
            Contacts::List(contacts) => {
                if contacts.len() > self.config.max_bindings {
                    return Err(RegisterError::TooManyContacts);
                }
                for contact in contacts {
                    if before.iter().any(|b| is_same(b, contact) && is_stale(b, &request)) {
                        return Err(RegisterError::OutOfOrder);
                    }
                    self.apply(&mut list, contact, &request, now)?;
                }
            }
        }
        list.sort_by_key(|b| std::cmp::Reverse(b.refreshed_at));
        list.truncate(self.config.max_bindings);
        let is_kept = |old: &Binding| list.iter().any(|b| is_same(b, &old.contact) && b.path == old.path);
        let removed = before.into_iter().filter(|old| !is_kept(old)).collect();
        self.soonest = list.iter().map(|b| b.expires_at).chain(self.soonest).min();
        if list.is_empty() {
            self.bindings.remove(&request.aor);
        } else {
            self.bindings.insert(request.aor, list.clone());
        }
        Ok(Registered { bindings: list, removed })
    }

    /// Adds, refreshes or removes one contact (RFC 3261 10.3 step 7, RFC 5626 6).
    fn apply(
        &self,
        list: &mut Vec<Binding>,
        contact: &Contact,
        request: &Register,
        now: Instant,
    ) -> Result<(), RegisterError> {
        let asked = contact.expires.or(request.expires).map(|s| Duration::from_secs(u64::from(s)));
        let granted = asked.unwrap_or(self.config.default_expires).min(self.config.max_expires);
        if !granted.is_zero() && granted < self.config.min_expires {
            return Err(RegisterError::TooBrief { min_expires_s: self.config.min_expires.as_secs() });
        }
        list.retain(|b| !is_same(b, contact));
        if !granted.is_zero() {
            list.push(Binding {
                contact: contact.clone(),
                path: request.path,
                call_id: request.call_id.clone(),
                cseq: request.cseq,
                refreshed_at: now,
                expires_at: now + granted,
            });
        }
        Ok(())
    }

    /// Returns the live bindings, the most recently refreshed first.
    pub fn lookup(&self, aor: &str, now: Instant) -> Vec<&Binding> {
        self.bindings.get(aor).into_iter().flatten().filter(|b| b.is_live(now)).collect()
    }

    /// Returns addresses of record and their bindings, live or about to be swept, for pages and metrics.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Binding])> {
        self.bindings.iter().map(|(aor, list)| (aor.as_str(), list.as_slice()))
    }

    /// Removes the bindings of a flow that is closed, and returns them with their addresses of record.
    pub fn drop_flow(&mut self, flow: FlowId) -> Vec<(String, Binding)> {
        self.remove_where(|b| b.path.flow() == Some(flow))
    }

    /// Returns when [`Registrar::handle_timeout`] is due; it may be early, and costs no look at the bindings.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.soonest
    }

    /// Removes the bindings that have ended, and returns them with their addresses of record.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(String, Binding)> {
        if self.soonest.is_none_or(|at| at > now) {
            return Vec::new();
        }
        let removed = self.remove_where(|b| !b.is_live(now));
        self.soonest = self.bindings.values().flatten().map(|b| b.expires_at).min();
        removed
    }

    fn remove_where(&mut self, is_gone: impl Fn(&Binding) -> bool) -> Vec<(String, Binding)> {
        let mut removed = Vec::new();
        self.bindings.retain(|aor, list| {
            removed.extend(list.extract_if(.., |b| is_gone(b)).map(|b| (aor.clone(), b)));
            !list.is_empty()
        });
        removed
    }
}

/// Returns true where this request was sent before the one that made the binding.
fn is_stale(binding: &Binding, request: &Register) -> bool {
    binding.call_id == request.call_id && request.cseq <= binding.cseq
}

/// Returns true where a contact names this binding.
fn is_same(binding: &Binding, contact: &Contact) -> bool {
    binding.contact.is_same_phone(contact)
}

/// Compares URIs by RFC 3261 19.1.4, and by their text where one of them cannot be read.
fn is_same_uri(a: &str, b: &str) -> bool {
    match (Uri::parse(a), Uri::parse(b)) {
        (Ok(a), Ok(b)) => a.equivalent(&b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
