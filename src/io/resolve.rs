//! DNS for the names of trunks: asks what [`Search`] wants to know, by way of `hickory-resolver` (RFC 3263).
//!
//! What does not exist is an answer; a server that is silent or broken is none, and the last good answer stands.
//! There is one question at a time for each name of the configuration; its answer waits for signalling.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use rand::rngs::StdRng;

use crate::path::Transport;
use crate::sip::locate::{Answer, Naptr, Question, ResolvedTarget, Search, Srv};

/// How long one question may take, with all its repetitions.
const QUESTION: Duration = Duration::from_secs(6);
/// How long a whole search may take.
const SEARCH: Duration = Duration::from_secs(30);

/// Why nothing can be looked up.
#[derive(Debug, thiserror::Error)]
#[error("no resolver: {0}")]
pub struct NoResolver(#[from] NetError);

/// Looks up names; cheap to clone.
#[derive(Clone)]
pub struct Locator(Arc<TokioResolver>);

impl std::fmt::Debug for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Locator")
    }
}

impl Locator {
    /// Asks `servers`, or those of the system where there are none. To be called within the runtime.
    pub fn new(servers: &[SocketAddr]) -> Result<Locator, NoResolver> {
        let mut builder = match servers {
            [] => Resolver::builder_tokio()?,
            servers => {
                let servers = servers.iter().map(name_server).collect();
                let config = ResolverConfig::from_name_servers(servers);
                Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options: &mut ResolverOpts = builder.options_mut();
        // What may be believed for how long is decided by whoever asks.
        options.cache_size = 0;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = Duration::from_secs(2);
        options.attempts = 2;
        Ok(Locator(Arc::new(builder.build()?)))
    }

    /// Returns the servers of a name in the order in which they are to be tried, and how long that may be believed;
    /// nothing where DNS does not answer.
    pub async fn locate(
        &self,
        host: &str,
        port: Option<u16>,
        transport: Option<Transport>,
        mut rng: StdRng,
    ) -> (Vec<ResolvedTarget>, Duration) {
        let mut search = Search::new(host, port, transport);
        let searched = tokio::time::timeout(SEARCH, async {
            while let Some(question) = search.next() {
                let (answer, ttl) = match tokio::time::timeout(QUESTION, self.ask(&question)).await {
                    Ok(Ok(answered)) => answered,
                    // One server of many whose address is not to be had is passed over.
                    _ if matches!(question, Question::Addresses(_)) => (Answer::Addresses(Vec::new()), Duration::ZERO),
                    Ok(Err(error)) => {
                        tracing::info!(host, ?question, %error, "DNS");
                        return false;
                    }
                    Err(_) => return false,
                };
                search.answer(answer, ttl, &mut rng);
            }
            true
        });
        match searched.await {
            Ok(true) => search.finish(),
            _ => (Vec::new(), Duration::ZERO),
        }
    }

    async fn ask(&self, question: &Question) -> Result<(Answer, Duration), NetError> {
        match question {
            Question::Naptr(name) => {
                let (records, ttl) = self.records(name, RecordType::NAPTR).await?;
                Ok((Answer::Naptr(records.iter().filter_map(naptr).collect()), ttl))
            }
            Question::Srv(name) => {
                let (records, ttl) = self.records(name, RecordType::SRV).await?;
                Ok((Answer::Srv(records.iter().filter_map(srv).collect()), ttl))
            }
            Question::Addresses(name) => match self.0.lookup_ip(absolute(name)?).await {
                Ok(found) => {
                    let ttl = left(found.as_lookup().valid_until());
                    Ok((Answer::Addresses(found.iter().collect()), ttl))
                }
                Err(error) if error.is_no_records_found() => Ok((Answer::Addresses(Vec::new()), Duration::ZERO)),
                Err(error) => Err(error),
            },
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<(Vec<RData>, Duration), NetError> {
        match self.0.lookup(absolute(name)?, kind).await {
            Ok(found) => {
                let ttl = left(found.valid_until());
                Ok((found.answers().iter().map(|record| record.data.clone()).collect(), ttl))
            }
            Err(error) if error.is_no_records_found() => Ok((Vec::new(), Duration::ZERO)),
            Err(error) => Err(error),
        }
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

/// A name of the configuration is whole: no search list is tried.
fn absolute(name: &str) -> Result<Name, NetError> {
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    Ok(name)
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn naptr(record: &RData) -> Option<Naptr> {
    let RData::NAPTR(naptr) = record else { return None };
    Some(Naptr {
        order: naptr.order,
        preference: naptr.preference,
        flags: String::from_utf8_lossy(&naptr.flags).into_owned(),
        service: String::from_utf8_lossy(&naptr.services).into_owned(),
        replacement: naptr.replacement.to_ascii(),
    })
}

fn srv(record: &RData) -> Option<Srv> {
    let RData::SRV(srv) = record else { return None };
    Some(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: srv.target.to_ascii() })
}
