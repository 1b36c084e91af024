//! Who may come in: the directory of DNs, their digest (RFC 7616, RFC 8760), and the brake on guessing.
//!
//! An unknown DN is challenged as a known one is, and costs the same work: nothing tells which DNs exist.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::audio::{BrowserCodec, OpusTerms};
use super::config::{DnRule, DnSet, RegistrationPolicy, Secret};
use super::identity::user;
use super::{Gateway, Output};
use crate::call::AnswerMode;
use crate::path::{Path, source_of};
use crate::sip::digest::server::{Verdict as Proof, Verifier};
use crate::sip::digest::{self, Algorithm, Credentials};
use crate::sip::endpoint::Header;
use crate::sip::message::{Message, Name};

/// Most pairs of address and DN whose failures are remembered.
const MAX_FAILING: usize = 10_000;

/// Characters of a DN by which its failures are remembered: a made-up one may be as long as a message.
const LONGEST_DN: usize = 64;

/// What a request's credentials are worth.
pub(super) enum Verdict {
    /// It is this DN.
    Admitted(String),
    /// 401, with these headers.
    Challenge(Vec<Header>),
    /// This final status.
    Refused(u16),
}

/// What one address did wrong for one DN.
#[derive(Clone, Copy, Debug)]
struct Failures {
    since: Instant,
    count: u32,
}

/// A rule with its secrets as the digest takes them.
struct Rule {
    dns: DnSet,
    secrets: Vec<digest::Secret>,
    sha256: bool,
    dial: Vec<String>,
    trunk_secret: Option<Secret>,
    ring: Option<Duration>,
    answer: AnswerMode,
    resume: bool,
    opus: OpusTerms,
    codecs: Vec<BrowserCodec>,
    calls: usize,
}

/// The directory and its guard.
pub(super) struct Admission {
    single: HashMap<String, usize>,
    rules: Vec<Rule>,
    verifier: Option<Verifier>,
    realm: String,
    key: [u8; 32],
    policy: RegistrationPolicy,
    failing: HashMap<(IpAddr, String), Failures>,
}

impl From<DnRule> for Rule {
    fn from(rule: DnRule) -> Rule {
        let secrets = match rule.secret {
            Secret::Plain(password) => vec![digest::Secret::Password(password)],
            Secret::Ha1 { md5, sha256 } => [md5, sha256].into_iter().flatten().map(digest::Secret::Ha1).collect(),
        };
        Rule {
            dns: rule.dns,
            secrets,
            sha256: rule.sha256,
            dial: rule.dial,
            trunk_secret: rule.trunk_secret,
            ring: rule.ring,
            answer: rule.answer,
            resume: rule.resume,
            opus: rule.opus,
            codecs: rule.codecs,
            calls: rule.calls,
        }
    }
}

impl Admission {
    pub(super) fn new(realm: String, dns: Vec<DnRule>, policy: RegistrationPolicy, mut rng: StdRng) -> Admission {
        let rules: Vec<Rule> = dns.into_iter().map(Rule::from).collect();
        let mut single = HashMap::new();
        for (index, rule) in rules.iter().enumerate() {
            if let DnSet::One(dn) = &rule.dns {
                single.entry(dn.clone()).or_insert(index);
            }
        }
        Admission { single, rules, verifier: None, realm, key: rng.random(), policy, failing: HashMap::new() }
    }

    fn rule(&self, dn: &str) -> Option<&Rule> {
        match self.single.get(dn) {
            Some(&index) => self.rules.get(index),
            None => self.rules.iter().find(|rule| rule.dns.contains(dn)),
        }
    }

    /// Returns what the DN's own requests to a trunk are authenticated with.
    pub(super) fn trunk_secret(&self, dn: &str) -> Option<&Secret> {
        self.rule(dn)?.trunk_secret.as_ref()
    }

    pub(super) fn knows(&self, dn: &str) -> bool {
        self.rule(dn).is_some()
    }

    /// Returns how long the DN rings, where its rule says so.
    pub(super) fn ring(&self, dn: &str) -> Option<Duration> {
        self.rule(dn)?.ring
    }

    /// Returns true if the DN's phones are sent a new INVITE for a call whose dialog they lost, without having asked for it.
    pub(super) fn resumes(&self, dn: &str) -> bool {
        self.rule(dn).is_some_and(|rule| rule.resume)
    }

    /// Returns how many calls the DN may have at a time.
    pub(super) fn most_calls(&self, dn: &str) -> usize {
        self.rule(dn).map_or(0, |rule| rule.calls)
    }

    /// Returns how audio is spoken with the DN's phones: Opus, and codecs in order of preference, where its rule says so.
    pub(super) fn audio(&self, dn: &str) -> (OpusTerms, &[BrowserCodec]) {
        self.rule(dn).map_or((OpusTerms::default(), &[]), |rule| (rule.opus, &rule.codecs))
    }

    /// Returns how the DN's phone is made to answer.
    pub(super) fn answer(&self, dn: &str) -> AnswerMode {
        self.rule(dn).map(|rule| rule.answer).unwrap_or_default()
    }

    /// Returns true if the DN may call this number: a stolen DN cannot dial the world.
    pub(super) fn may_dial(&self, dn: &str, number: &str) -> bool {
        self.rule(dn).is_some_and(|rule| {
            rule.dial.is_empty() || rule.dial.iter().any(|prefix| number.starts_with(prefix.as_str()))
        })
    }

    fn is_failing(&self, key: &(IpAddr, String), now: Instant) -> bool {
        self.failing.get(key).is_some_and(|failures| {
            failures.count >= self.policy.max_failures
                && now.saturating_duration_since(failures.since) < self.policy.failure_window
        })
    }

    fn failed(&mut self, key: (IpAddr, String), now: Instant) {
        let window = self.policy.failure_window;
        if self.failing.len() >= MAX_FAILING {
            self.failing.retain(|_, failures| now.saturating_duration_since(failures.since) < window);
        }
        if self.failing.len() >= MAX_FAILING
            && !self.failing.contains_key(&key)
            && let Some(oldest) = self.failing.iter().min_by_key(|(_, failures)| failures.since).map(|(key, _)| key)
        {
            // Whoever fills this table must not thereby guess uncounted.
            let oldest = oldest.clone();
            self.failing.remove(&oldest);
        }
        let failures = self.failing.entry(key).or_insert(Failures { since: now, count: 0 });
        if now.saturating_duration_since(failures.since) >= window {
            *failures = Failures { since: now, count: 0 };
        }
        failures.count += 1;
    }

    /// Judges the digest of a request that claims to be from `dn`. `at_home`: it came by a connection that carries a
    /// registration of this DN, which no stranger's guessing behind the same address may shut out.
    fn judge(&mut self, request: &Message, dn: &str, at_home: bool, source: Source, now: Instant) -> Judgement {
        let key = (source.ip, dn.chars().take(LONGEST_DN).collect());
        if !at_home && self.is_failing(&key, now) {
            return Judgement::Blocked;
        }
        // An unknown DN is offered what the first known one is.
        let rule = self.rule(dn).or(self.rules.first());
        let sha256 = source.sha256;
        let sha256 = sha256 || rule.is_some_and(|rule| rule.sha256);
        let suits = |algorithm| rule.is_none_or(|rule| rule.secrets.iter().any(|secret| secret.suits(algorithm)));
        let mut offered = vec![Algorithm::Md5];
        if sha256 {
            offered.insert(0, Algorithm::Sha256);
        }
        offered.retain(|algorithm| suits(*algorithm));
        let (realm, policy) = (&self.realm, &self.policy);
        let mut verifier = match self.verifier.take() {
            Some(verifier) => verifier,
            None => Verifier::new(realm.clone(), self.key, policy.nonce_lifetime, now),
        };
        let judgement = self.proof(&mut verifier, request, dn, &offered, now);
        let judgement = match judgement {
            Proof::Granted { username } if username == dn => {
                self.failing.remove(&key);
                Judgement::Admitted
            }
            Proof::Granted { .. } => Judgement::Other,
            Proof::Stale => {
                Judgement::Challenge { headers: challenges(&mut verifier, &offered, true, now), bad: false }
            }
            Proof::Denied(denial) => {
                let bad = request.headers(Name::Authorization).next().is_some();
                if bad {
                    tracing::debug!(?denial, "digest denied");
                    self.failed(key, now);
                }
                Judgement::Challenge { headers: challenges(&mut verifier, &offered, false, now), bad }
            }
        };
        self.verifier = Some(verifier);
        judgement
    }

    fn proof(
        &self,
        verifier: &mut Verifier,
        request: &Message,
        dn: &str,
        offered: &[Algorithm],
        now: Instant,
    ) -> Proof {
        let ours = |value: &&[u8]| Credentials::parse(value).is_ok_and(|found| found.realm == self.realm);
        let mut values = request.headers(Name::Authorization).chain(request.headers(Name::ProxyAuthorization));
        let value = values.find(ours).unwrap_or_default();
        let algorithm = Credentials::parse(value).map_or(Algorithm::Md5, |found| found.algorithm);
        let secret_of = |username: &str| {
            let rule = self.rule(username).filter(|_| username == dn)?;
            rule.secrets.iter().find(|secret| secret.suits(algorithm))
        };
        verifier.verify(value, request.method_ref(), request.request_uri(), offered, secret_of, now)
    }
}

/// Where a digest came by.
struct Source {
    ip: IpAddr,
    /// The listener challenges with SHA-256 too.
    sha256: bool,
}

/// The outcome of one digest.
enum Judgement {
    Admitted,
    /// Proven, but to be someone else.
    Other,
    Challenge {
        headers: Vec<Header>,
        bad: bool,
    },
    /// Too many wrong ones.
    Blocked,
}

fn challenges(verifier: &mut Verifier, offered: &[Algorithm], stale: bool, now: Instant) -> Vec<Header> {
    let challenge = |algorithm: &Algorithm| verifier.challenge(*algorithm, stale, now).to_string().into_bytes();
    offered.iter().map(challenge).map(|value| ("WWW-Authenticate".to_owned(), value)).collect()
}

impl Gateway {
    /// Judges a request of a browser other than REGISTER: it is believed on a flow that carries a live registration of
    /// the same DN, which was made with a digest; else it is challenged. From must be the DN (CVE-2024-35190).
    pub(super) fn authenticate(&mut self, request: &Message, path: &Path, now: Instant) -> Verdict {
        let Some(dn) = user(request.from().uri) else { return Verdict::Refused(403) };
        if self.is_at_home(&dn, path, now) {
            return Verdict::Admitted(dn);
        }
        self.authenticate_always(request, path, &dn, now)
    }

    /// Returns true where the connection carries a live registration of this DN.
    pub(super) fn is_at_home(&self, dn: &str, path: &Path, now: Instant) -> bool {
        path.flow().is_some() && self.registrar.lookup(dn, now).iter().any(|b| b.path.flow() == path.flow())
    }

    /// Judges a request by its digest alone.
    pub(super) fn authenticate_always(&mut self, request: &Message, path: &Path, dn: &str, now: Instant) -> Verdict {
        let sha256 = self.peers.listener_of(path).is_some_and(|listener| listener.sha256);
        let source = Source { ip: source_of(path.remote().ip()), sha256 };
        let at_home = self.is_at_home(dn, path, now);
        match self.admission.judge(request, dn, at_home, source, now) {
            Judgement::Admitted => Verdict::Admitted(dn.to_owned()),
            Judgement::Other => Verdict::Refused(403),
            Judgement::Challenge { headers, bad } => {
                self.counters.challenges += 1;
                self.counters.bad_digests += u64::from(bad);
                Verdict::Challenge(headers)
            }
            Judgement::Blocked => {
                self.counters.bad_digests += 1;
                // A connection that carries a registration may carry calls: those are not the guesser's to end.
                if let Some(flow) = path.flow().filter(|flow| !self.peers.is_trusted(*flow)) {
                    self.outputs.push_back(Output::CloseFlow(flow));
                }
                Verdict::Refused(403)
            }
        }
    }
}
