//! How trunks are watched and used, from the configuration's shape to the gateway's.

use std::time::Duration;

use crate::config::{Config, DnRange, RegisterConfig, Secret as Password, TrunkConfig};
use crate::gateway::{DnRegistration, DnSet, Route, Secret, TrunkAccount, TrunkPolicy};

/// Makes the rules of one trunk.
pub(super) fn policy(trunk: &TrunkConfig) -> TrunkPolicy {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let registration = DnRegistration {
        all_targets: trunk.registration.all,
        expires: seconds(trunk.registration.expires_seconds),
        per_second: trunk.registration.per_second,
        grace: seconds(trunk.registration.grace_seconds),
    };
    let account = trunk.account.as_ref().map(|account| TrunkAccount {
        realm: account.realm.clone(),
        username: account.username.clone(),
        secret: secret(account.password.as_ref()),
    });
    TrunkPolicy {
        ping: seconds(trunk.ping_seconds),
        failover: trunk.failover_seconds.0,
        register: (trunk.register == RegisterConfig::Dns).then_some(registration),
        account,
        session: trunk.session.timer(),
        provisionals: trunk.session.reliable(),
    }
}

/// Makes the dial rules; each names a trunk that there is.
pub(super) fn routes(config: &Config) -> Vec<Route> {
    let each = config.routes.iter().filter_map(|route| {
        Some(Route {
            prefix: route.prefix.clone(),
            numbers: route.numbers.iter().map(dn_set).collect(),
            callers: route.dns.iter().map(dn_set).collect(),
            trunk: config.trunks.iter().position(|trunk| trunk.name == route.trunk)?,
            strip: route.strip,
            add: route.add.clone(),
        })
    });
    each.collect()
}

/// Makes a set of DNs out of a number or a range.
pub(super) fn dn_set(range: &DnRange) -> DnSet {
    let (first, last) = range.ends();
    match (range.is_single(), first.parse(), last.parse()) {
        (false, Ok(start), Ok(end)) => DnSet::Range { first: start, last: end, digits: first.len() },
        _ => DnSet::One(first.to_owned()),
    }
}

/// Makes a secret out of a password.
pub(super) fn secret(password: Option<&Password>) -> Option<Secret> {
    password.map(|password| Secret::Plain(password.0.clone()))
}
