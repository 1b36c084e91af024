//! Keys of trunks, routes and dial permissions.

use super::*;
use crate::config::tests::LEAST;

/// The least that is accepted, with further keys of its DN, and keys and tables that follow its trunk.
fn parse(dn: &str, trunk: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let named = LEAST.replace("name = \"t\"", "name = \"a-b\"");
    let (before, rest) = named.split_once("[[dn]]").expect("the DN is the last table");
    let text = format!("{before}{trunk}\n[[dn]]{rest}{dn}\n");
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    Config::parse(&text, "f.toml", environment).map_err(|error| error.to_string())
}

#[test]
fn a_trunk_is_watched_by_default_and_gets_no_register() {
    let trunk = parse("", "", &[]).unwrap().trunks.remove(0);
    assert_eq!((trunk.ping_seconds, trunk.failover_seconds.0), (30, Duration::from_secs(2)));
    assert_eq!((trunk.register, trunk.registration), (RegisterConfig::None, RegistrationConfig::default()));
    assert_eq!(trunk.account, None);
}

#[test]
fn all_keys_are_read() {
    let keys = r#"
ping_seconds = 0
failover_seconds = 0.5
register = "dns"
registration = { all = true, expires_seconds = 600, per_second = 5, grace_seconds = 0 }
account = { realm = "genesys", username = "gw", password = "p" }
[[route]]
prefix = "0"
numbers = ["0000-0999"]
dns = ["5001"]
trunk = "a-b"
strip = 1
add = "+49"
"#;
    let config = parse("dial = [\"1\"]\ntrunk_secret = \"t\"", keys, &[]).unwrap();
    let trunk = &config.trunks[0];
    assert_eq!((trunk.ping_seconds, trunk.failover_seconds.0), (0, Duration::from_millis(500)));
    assert_eq!(trunk.register, RegisterConfig::Dns);
    assert!(trunk.registration.all && trunk.registration.grace_seconds == 0);
    assert_eq!(trunk.account.as_ref().unwrap().password, Some(Secret("p".into())));
    assert_eq!((config.routes[0].strip, config.routes[0].add.as_str()), (1, "+49"));
    assert_eq!(config.dns[0].dial.as_deref(), Some(&["1".to_owned()][..]));
    assert_eq!(config.dns[0].trunk_secret, Some(Secret("t".into())));
}

#[test]
fn each_mistake_is_one_line_with_what_is_allowed() {
    for (dn, trunk, line) in [
        ("", "ping_seconds = 4000", "f.toml: trunk[0].ping_seconds = 4000: allowed: 0 (none) to 3600"),
        ("", "failover_seconds = 0", "f.toml: trunk[0].failover_seconds = 0: allowed: 0.1 to 30"),
        ("", "registration.per_second = 0", "f.toml: trunk[0].registration.per_second = 0: allowed: 1 to 1000"),
        ("", "[[route]]\ntrunk = \"c\"", "f.toml: route[0].trunk = c: allowed: a-b"),
        ("dial = []", "", "f.toml: dn[0].dial = []: allowed: at least one beginning of a number; without the key: all"),
        (
            "",
            "account = { realm = \"r\" }",
            "f.toml: trunk[0].account.password = : allowed: a password (or CROSSPOINT_TRUNK_a_b_PASSWORD), \
             or trunk_secret of a [[dn]]",
        ),
    ] {
        assert_eq!(parse(dn, trunk, &[]), Err(line.to_owned()));
    }
    assert!(parse("", "failover_seconds = -1", &[]).unwrap_err().contains("not a time"));
    assert!(parse("", "register = \"all\"", &[]).is_err());
}

#[test]
fn the_password_of_a_trunk_comes_from_the_environment_and_is_shown_nowhere() {
    let account = "account = { realm = \"genesys\" }";
    let config = parse("", account, &[("CROSSPOINT_TRUNK_a_b_PASSWORD", "hidden")]).unwrap();
    assert_eq!(config.trunks[0].account.as_ref().unwrap().password, Some(Secret("hidden".into())));
    assert!(!format!("{config:?}").contains("hidden"));
    let error = parse("", "account = { realm = 5, password = \"hidden\" }", &[]).unwrap_err();
    assert!(!error.contains("hidden"), "{error}");
}
