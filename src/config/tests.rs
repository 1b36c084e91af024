use super::*;

const GATEWAY: &str = include_str!("../../config/gateway.toml");
const LAB: &str = include_str!("../../config/lab.toml");

/// The least that is accepted; the DN is its last table.
pub(super) const LEAST: &str = r#"
[[listener]]
bind = "127.0.0.1:8443"
[[sip]]
bind = "127.0.0.1:5060"
[media]
addresses = [{ bind = "127.0.0.1" }]
[[trunk]]
name = "t"
addresses = ["127.0.0.2:5060"]
[[dn]]
number = "5001"
secret = "s"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "f.toml", [])
}

fn error(text: &str) -> String {
    let line = parse(text).expect_err("a mistake").to_string();
    assert!(!line.contains('\n') && line.starts_with("f.toml:"), "{line}");
    line
}

fn with(from: &str, to: &str) -> String {
    assert!(LEAST.contains(from), "{from}");
    LEAST.replacen(from, to, 1)
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

#[test]
fn both_files_of_the_project_are_accepted() {
    let gateway = parse(GATEWAY).unwrap();
    assert_eq!(gateway.listeners.len(), 3);
    assert_eq!(gateway.sip[0].advertised(), "192.0.2.54:5060".parse::<std::net::SocketAddr>().unwrap());
    let lab = parse(LAB).unwrap();
    assert_eq!(lab.trunks[0].addresses[0], lab.lab.sip.into());
    assert_eq!(lab.dn("5001").unwrap().secret, Some("crosspoint"));
    let numbers = |config: &Config| config.lab.numbers.iter().map(|n| (n.number.clone(), n.does)).collect::<Vec<_>>();
    assert_eq!(numbers(&lab), numbers(&parse(GATEWAY).unwrap()), "the file lists what the defaults are");
}

#[test]
fn the_values_commented_out_in_the_file_are_the_defaults() {
    // Takes the comment off every `# key = value` whose key has a default that the file can state.
    let optional = [
        "certificate",
        "key",
        "origins",
        "frame_ancestors",
        "latch",
        "media",
        "ha1",
        "auth",
        "ring_seconds",
        "carry",
        "carry_out",
        "account",
        "session.seconds",
        "session.min_seconds",
        "session.refresher",
        "session.provisionals",
        "dial",
        "trunk_secret",
        "opus.bitrate",
        "opus.frame_ms",
        "folder",
        "name",
        "url",
        "paths",
        "ca",
        "verify",
        "direct",
        "connections",
        "user",
        "password",
        "skills",
        "dns",
        "user_data_out",
    ];
    let sounds = ["waiting", "quiet", "dial", "ringback", "busy", "congestion", "special_information", "hold_music"];
    let transport = ["transport", "tls", "sources", "large_over_tcp", "advertise"];
    let optional = [&optional[..], &sounds, &transport].concat();
    let mut section = "";
    let mut full = String::new();
    for line in GATEWAY.lines() {
        if line.starts_with('[') || line.starts_with("# [[") {
            section = line;
        }
        let shown = line.strip_prefix("# ").filter(|l| l.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')));
        let key = shown.and_then(|l| l.split_once(" = ")).map(|(k, _)| k);
        // Below a header that is commented out there is no table to state a default of.
        let is_stated = !section.starts_with('#')
            && key.is_some_and(|k| section == "[media]" || section == "[limits]" || !optional.contains(&k));
        full.push_str(shown.filter(|_| is_stated).unwrap_or(line));
        full.push('\n');
    }
    assert_ne!(full, GATEWAY);
    assert_eq!(parse(&full).unwrap(), parse(GATEWAY).unwrap());
}

#[test]
fn every_key_is_in_the_file() {
    for key in [
        "batch",
        "timeout_seconds",
        "keep",
        "kind",
        "agents",
        "cometd",
        "login",
        "login_url",
        "user_agent",
        "drain_seconds",
        "certificate",
        "key",
        "path",
        "origins",
        "auth",
        "pages",
        "allow_plain",
        "anonymous_cometd",
        "transports",
        "timeout_seconds",
        "max_interval_seconds",
        "sessions",
        "queue",
        "idle_seconds",
        "csrf",
        "cookie",
        "advertise",
        "ports",
        "workers",
        "reserve",
        "nice",
        "latch",
        "bitrate",
        "complexity",
        "fec",
        "dtx",
        "frame_ms",
        "narrowband",
        "opus.bitrate",
        "opus.frame_ms",
        "codecs",
        "media",
        "ha1",
        "secret",
        "ring_seconds",
        "resume",
        "carry",
        "carry_out",
        "grace_seconds",
        "local_calls",
        "calls",
        "overload_percent",
        "overload",
        "bindings",
        "min_expires_seconds",
        "max_expires_seconds",
        "requests_per_second",
        "connections_per_address",
        "filter",
        "format",
        "music",
        "hold_music",
        "country",
        "level_dbm0",
        "dial",
        "ringback",
        "busy",
        "congestion",
        "special_information",
        "tls",
        "domain",
        "ping_seconds",
        "failover_seconds",
        "register",
        "registration.all",
        "registration.expires_seconds",
        "registration.per_second",
        "registration.grace_seconds",
        "account",
        "prefix",
        "numbers",
        "dns",
        "strip",
        "add",
        "dial",
        "trunk_secret",
        "folder",
        "always",
        "max_mb",
        "total_mb",
        "frame_ancestors",
        "url",
        "paths",
        "direct",
        "connections",
        "after_call_work_seconds",
        "base_uri",
        "user_data_fields",
        "user_data_out",
        "user",
        "password",
        "skills",
    ] {
        let is_there = |l: &str| l.trim_start_matches("# ").starts_with(&format!("{key} ="));
        assert!(GATEWAY.lines().any(is_there), "{key}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_line_and_the_keys_that_exist() {
    let line = error(&with("bind = \"127.0.0.1:5060\"", "bind = \"127.0.0.1:5060\"\nadvertize = \"x\""));
    assert!(line.starts_with("f.toml:6: sip.advertize = \"x\": unknown field"), "{line}");
    assert!(line.contains("`advertise`"), "{line}");
}

#[test]
fn a_wrong_kind_of_value_names_file_line_key_value_and_what_is_allowed() {
    let line = error(&with("127.0.0.1:5060", "localhost"));
    assert!(line.starts_with("f.toml:5: sip.bind = \"localhost\": "), "{line}");
    assert!(line.ends_with("allowed: \"address:port\""), "{line}");
}

#[test]
fn text_that_is_not_toml_is_one_line_of_error() {
    assert!(error("[server\ndomain = 1").starts_with("f.toml:1: "));
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated_in_the_error() {
    let line = error(&with("secret = \"s\"", "secret = hunter2"));
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn secrets_are_not_shown_by_debug() {
    let config = parse(&with("secret = \"s\"", "secret = \"hunter2\"")).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn port_ranges_are_first_to_last_within_1024_to_65535() {
    for bad in ["20000-10000", "10000", "80-90", "10000-70000", "a-b", ""] {
        let line = error(&with("[media]", &format!("[media]\nports = \"{bad}\"")));
        assert!(line.contains("media.ports") && line.contains("allowed: \"first-last\""), "{line}");
    }
    let config = parse(&with("[media]", "[media]\nports = \"30000-30009\"")).unwrap();
    assert_eq!(config.media.ports.count(), 10);
}

#[test]
fn sip_within_the_media_ports_is_refused() {
    let line = error(&with("127.0.0.1:5060", "127.0.0.1:10001"));
    assert!(line.contains("sip[0].bind = 127.0.0.1:10001: allowed: a port outside of media.ports"), "{line}");
}

#[test]
fn overlapping_numbers_are_refused() {
    let text = format!("{LEAST}[[dn]]\nnumber = \"5000-5099\"\nsecret = \"s\"\n");
    assert!(error(&text).contains("dn[1].number = 5000-5099: allowed: numbers that are not in \"5001\" already"));
}

#[test]
fn a_range_holds_its_numbers_and_no_longer_or_shorter_ones() {
    let range = DnRange::try_from("5001-5999".to_owned()).unwrap();
    for inside in ["5001", "5500", "5999"] {
        assert!(range.contains(inside), "{inside}");
    }
    for outside in ["5000", "6000", "500", "50010", "55x0", "", "٥٥٠٠"] {
        assert!(!range.contains(outside), "{outside}");
    }
    for bad in ["5999-5001", "501-5999", "50 01", "", "-", "5001-", "abc"] {
        assert!(DnRange::try_from(bad.to_owned()).is_err(), "{bad}");
    }
}

#[test]
fn the_environment_goes_before_the_file_for_number_and_range() {
    let text = with("number = \"5001\"", "number = \"5001-5999\"");
    let pairs = [("CROSSPOINT_DN_5003_SECRET", "three"), ("CROSSPOINT_DN_5001_5999_SECRET", "range"), ("PATH", "/")];
    let config = Config::parse(&text, "f.toml", environment(&pairs)).unwrap();
    assert_eq!(config.dn("5003").unwrap().secret, Some("three"));
    assert_eq!(config.dn("5004").unwrap().secret, Some("range"));
    assert_eq!(config.dn("6000"), None);
}

#[test]
fn the_general_secret_fills_in_where_the_file_has_none() {
    let text = format!("{}[[dn]]\nnumber = \"5002\"\n", LEAST);
    assert!(error(&text).contains("CROSSPOINT_DN_5002_SECRET"));
    let config = Config::parse(&text, "f.toml", environment(&[("CROSSPOINT_DN_SECRET", "general")])).unwrap();
    assert_eq!(config.dn("5002").unwrap().secret, Some("general"));
    assert_eq!(config.dn("5001").unwrap().secret, Some("s"));
}

#[test]
fn a_secret_for_a_number_that_does_not_exist_is_refused() {
    let e = Config::parse(LEAST, "f.toml", environment(&[("CROSSPOINT_DN_7001_SECRET", "x")])).unwrap_err();
    assert!(e.to_string().contains("CROSSPOINT_DN_7001_SECRET"), "{e}");
}

#[test]
fn a_hash_belongs_to_one_number_and_has_the_length_of_its_algorithm() {
    let md5 = "0123456789abcdef0123456789abcdef";
    let config = parse(&with("secret = \"s\"", &format!("ha1 = \"{md5}\""))).unwrap();
    assert_eq!(config.dn("5001").unwrap().ha1, Some(md5));
    assert!(error(&with("secret = \"s\"", "ha1 = \"0123\"")).contains("32 hex digits"));
    let sha = format!("auth = \"sha-256\"\nha1 = \"{md5}\"");
    assert!(error(&with("secret = \"s\"", &sha)).contains("64 hex digits"));
    let range = LEAST.replace("\"5001\"", "\"5001-5002\"").replace("secret = \"s\"", &format!("ha1 = \"{md5}\""));
    assert!(error(&range).contains("a single number"));
}

#[test]
fn plain_websocket_beyond_loopback_must_be_asked_for() {
    let open = with("bind = \"127.0.0.1:8443\"", "bind = \"0.0.0.0:8080\"\ntls = false");
    assert!(error(&open).contains("listener[0].tls = false: allowed: true, or a loopback address"));
    assert!(parse(&open.replacen("tls = false", "tls = false\nallow_plain = true", 1)).is_ok());
    assert!(parse(&with("bind = \"127.0.0.1:8443\"", "bind = \"[::1]:8080\"\ntls = false")).is_ok());
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let text = with("bind = \"127.0.0.1:8443\"", "bind = \"127.0.0.1:8443\"\ncertificate = \"c.pem\"");
    assert!(error(&text).contains("certificate and key, or neither"));
}

#[test]
fn an_unspecified_address_needs_one_to_advertise() {
    assert!(error(&with("127.0.0.1:5060", "0.0.0.0:5060")).contains("sip[0].advertise"));
    assert!(error(&with("{ bind = \"127.0.0.1\" }", "{ bind = \"::\" }")).contains("media.addresses[0].advertise"));
}

#[test]
fn empty_lists_and_unknown_codecs_are_refused() {
    assert!(error("").contains("at least one [[listener]]"));
    assert!(error(&with("addresses = [\"127.0.0.2:5060\"]", "addresses = []")).contains("trunk[0].addresses"));
    let codecs = |list: &str| with("name = \"t\"", &format!("name = \"t\"\ncodecs = {list}"));
    assert!(error(&codecs("[]")).contains("trunk[0].codecs = []: allowed: \"pcmu\", \"pcma\""));
    assert!(error(&codecs("[\"g729\"]")).contains("expected `pcmu` or `pcma`"));
}

#[test]
fn a_trunk_uses_an_address_that_is_there() {
    assert!(error(&with("name = \"t\"", "name = \"t\"\nmedia = \"192.0.2.1\"")).contains("trunk[0].media"));
    assert!(parse(&with("name = \"t\"", "name = \"t\"\nmedia = \"127.0.0.1\"")).is_ok());
    let both = with("{ bind = \"127.0.0.1\" }", "{ bind = \"127.0.0.1\" }, { bind = \"::1\" }");
    assert!(error(&both.replace("name = \"t\"", "name = \"t\"\nmedia = \"::1\"")).contains("trunk[0].media"));
}

fn trunk(list: &str) -> String {
    with("addresses = [\"127.0.0.2:5060\"]", &format!("addresses = [{list}]"))
}

#[test]
fn a_trunk_is_of_one_address_family_which_media_and_a_socket_have_too() {
    assert!(error(&trunk("\"[::2]:5060\"")).contains("a [[sip]] socket of its transport and family"));
    let six = |text: String| text.replace("[media]", "[[sip]]\nbind = \"[::1]:5060\"\n[media]");
    assert!(error(&six(trunk("\"[::2]:5060\""))).contains("media.addresses"));
    let both = six(trunk("\"127.0.0.2:5060\", \"[::2]:5060\""));
    let both = both.replace("{ bind = \"127.0.0.1\" }", "{ bind = \"127.0.0.1\" }, { bind = \"::1\" }");
    assert!(error(&both).contains("of one family"));
}

#[test]
fn a_trunk_address_is_a_host_with_or_without_port_and_transport() {
    let sockets = "[[sip]]\nbind = \"127.0.0.1:5060\"\ntransport = \"tcp\"\n[media]";
    let of = |text: &str, extra: &str| {
        let list = trunk(&format!("\"{text}\"")).replace("[media]", sockets);
        let config = parse(&list.replace("name = \"t\"", &format!("name = \"t\"\n{extra}"))).expect(text);
        let trunk = config.trunks[0].clone();
        let address = trunk.addresses[0].clone();
        (address.to_string(), address.transport(&trunk), address.socket(&trunk).map(|s| s.to_string()))
    };
    use SipTransport::{Tcp, Udp};
    let told = |text: &str, transport, socket: Option<&str>| (text.to_owned(), transport, socket.map(str::to_owned));
    assert_eq!(of("127.0.0.2", ""), told("127.0.0.2", Some(Udp), Some("127.0.0.2:5060")));
    assert_eq!(of("127.0.0.2:5070;transport=tcp", ""), told("127.0.0.2:5070", Some(Tcp), Some("127.0.0.2:5070")));
    assert_eq!(of("127.0.0.2", "transport = \"tcp\""), told("127.0.0.2", Some(Tcp), Some("127.0.0.2:5060")));
    assert_eq!(of("sip.Example.com", ""), told("sip.example.com", None, None));
    assert_eq!(of("sip.example.com:5070", ""), told("sip.example.com:5070", Some(Udp), None));
    assert_eq!(of("sip.example.com;transport=tcp", ""), told("sip.example.com", Some(Tcp), None));
    for wrong in ["", "a b", "127.0.0.2:x", "127.0.0.256", "host:5060;transport=ws", "host;maddr=1", "-.", "sip:host"] {
        let said = error(&trunk(&format!("\"{wrong}\"")));
        assert!(said.contains("trunk.addresses") || said.contains("trunk[0].addresses"), "{said}");
    }
    let said = error(&trunk("\"127.0.0.2;transport=tcp\""));
    assert!(said.contains("a [[sip]] socket of its transport"), "{said}");
}

#[test]
fn a_peer_by_tls_is_verified_unless_the_file_says_that_it_is_not() {
    let sockets = "[[sip]]\nbind = \"127.0.0.1:5061\"\ntransport = \"tls\"\n[media]";
    let base = trunk("\"127.0.0.2;transport=tls\"").replace("[media]", sockets);
    let tls = |text: &str| base.replace("name = \"t\"", &format!("name = \"t\"\n{text}"));
    assert!(error(&base).contains("trunk[0].tls"));
    assert!(error(&tls("tls = {}")).contains("trunk[0].tls.ca"));
    assert!(error(&tls("tls = { ca = \"a\", key = \"b\" }")).contains("trunk[0].tls.key"));
    assert!(error(&tls("tls = { ca = \"a\", name = \"not a name\" }")).contains("trunk[0].tls.name"));
    assert!(parse(&tls("tls = { verify = false }")).is_ok());
    assert!(parse(&tls("tls = { ca = \"a\", name = \"sip.example\" }")).is_ok());
}

#[test]
fn one_port_is_for_udp_and_for_one_kind_of_stream() {
    let and = |more: &str| LEAST.replace("[media]", &format!("{more}\n[media]"));
    assert!(parse(&and("[[sip]]\nbind = \"127.0.0.1:5060\"\ntransport = \"tcp\"")).is_ok());
    let tcp = "[[sip]]\nbind = \"127.0.0.1:5060\"\ntransport = \"tcp\"\n";
    let said = error(&and(&format!("{tcp}{}", tcp.replace("tcp", "tls"))));
    assert!(said.contains("sip[2].bind"), "{said}");
    let said = error(&and(&format!("{tcp}certificate = \"a\"\nkey = \"b\"")));
    assert!(said.contains("sip[1].certificate"), "{said}");
    let sources = |list: &str| with("name = \"t\"", &format!("name = \"t\"\nsources = [{list}]"));
    assert!(parse(&sources("\"192.0.2.0/24\", \"2001:db8::1\"")).is_ok());
    assert!(error(&sources("\"192.0.2.0/33\"")).contains("address/bits"));
}

#[test]
fn an_origin_is_scheme_and_host_only() {
    let origin =
        |o: &str| with("bind = \"127.0.0.1:8443\"", &format!("bind = \"127.0.0.1:8443\"\norigins = [\"{o}\"]"));
    assert!(parse(&origin("https://desk.example.com:8443")).is_ok());
    for bad in ["desk.example.com", "https://desk.example.com/", "*", "https://"] {
        assert!(error(&origin(bad)).contains("listener[0].origins"), "{bad}");
    }
}

#[test]
fn the_number_of_calls_follows_descriptors_ports_and_limit() {
    let mut config = parse(LEAST).unwrap();
    config.media.workers = 2;
    config.media.reserve = 10;
    // 64 fixed, one listener of each kind, 2 workers of 3 descriptors and 20 reserved sockets each.
    let carried = config.capacity(1024, 8);
    assert_eq!(carried.by_descriptors, (1024 - 64 - 2 - 6 - 40) / 3);
    assert_eq!(carried.by_ports, (10_001 / 2 - 1) / 2 * 2);
    assert_eq!(carried.calls(), carried.by_descriptors);
    assert_eq!(config.capacity(1 << 20, 8).calls(), carried.by_ports);
    config.limits.calls = 7;
    assert_eq!(config.capacity(1 << 20, 8).calls(), 7);
    assert_eq!(config.capacity(10, 8).calls(), 0);
}

#[test]
fn what_is_carried_along_belongs_to_the_call() {
    let trunk = "addresses = [\"127.0.0.2:5060\"]";
    let listed = |list: &str| with(trunk, &format!("{trunk}\ncarry = {list}"));
    let config = parse(&listed("[\"X-Cust*\", \"P-Asserted-Identity\"]")).unwrap();
    assert_eq!(config.trunks[0].carried().inbound, ["X-Cust*", "P-Asserted-Identity"]);
    assert_eq!(config.trunks[0].carried().outbound, ["User-to-User", "Privacy"]);
    for bad in ["[\"Via\"]", "[\"v\"]", "[\"Contact\"]", "[\"X Y\"]", "[\"*X\"]", "[\"\"]", "[\"X-Crosspoint-Resume\"]"]
    {
        assert!(error(&listed(bad)).contains("trunk[0].carry"), "{bad}");
    }
}

#[test]
fn the_rules_of_calls_have_their_ranges() {
    let calls = |line: &str| format!("{LEAST}\n[calls]\n{line}");
    let config = parse(&calls("grace_seconds = 0\nlocal_calls = \"trunk-down\"")).unwrap();
    assert_eq!((config.calls.grace_seconds, config.calls.local_calls), (0, LocalCallsConfig::TrunkDown));
    assert!(error(&calls("grace_seconds = 601")).contains("calls.grace_seconds"));
    let config = parse(&calls("transfer_seconds = 30\nconference_stays = true")).unwrap();
    assert_eq!((config.calls.transfer_seconds, config.calls.conference_stays), (30, true));
    assert!(error(&calls("transfer_seconds = 4")).contains("calls.transfer_seconds"));
    assert!(error(&calls("refusal_tone_seconds = 31")).contains("calls.refusal_tone_seconds"));
    assert!(error(&calls("local_calls = \"sometimes\"")).contains("local_calls"));
}

#[test]
fn captures_have_a_folder_and_their_limits() {
    let config = parse(&format!("{LEAST}[capture]\nfolder = \"/tmp/x\"\ndns = [\"5001\", \"5010-5019\"]")).unwrap();
    assert!(!config.capture.always && config.capture.dns.len() == 2);
    for (keys, key) in [
        ("always = true", "capture.always"),
        ("dns = [\"5001\"]", "capture.dns"),
        ("folder = \"\"", "capture.folder"),
        ("max_mb = 0", "capture.max_mb"),
        ("max_mb = 5\ntotal_mb = 4", "capture.total_mb"),
    ] {
        let said = error(&format!("{LEAST}[capture]\n{keys}"));
        assert!(said.contains(&format!(" {key} = ")) && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn sounds_and_tones_are_read_and_their_mistakes_are_one_line() {
    let more = |more: &str| format!("{LEAST}\n{more}");
    let good = parse(&more(
        "[sounds]\nb = \"b.wav\"\na = { file = \"a.wav\", gain_db = -6 }\n[hold]\nmusic = \"b\"\n\
         [tones]\ncountry = \"UK\"\nlevel_dbm0 = -20\nbusy = \"425/100,0/100\"",
    ))
    .unwrap();
    assert_eq!(good.sounds["a"], SoundConfig { file: "a.wav".into(), gain_db: -6 });
    assert_eq!(good.hold_source(&good.hold.music), crate::plan::Source::Sound(crate::plan::SoundId(1)));
    let tones = good.tones.tones();
    assert_eq!(tones.ringback.parts, crate::call::Tones::of_country("gb").unwrap().ringback.parts);
    assert_eq!((tones.busy.parts.len(), tones.busy.level_dbm0), (2, -20));
    let tone = parse(&more("[hold]\nmusic = \"tone:425/200,0/5000\"")).unwrap();
    assert!(
        matches!(tone.hold_source(&tone.hold.music), crate::plan::Source::Tone(cadence) if cadence.parts.len() == 2)
    );
    for (wrong, told) in [
        (
            "[hold]\nmusic = \"jazz\"",
            "f.toml: hold.music = jazz: allowed: \"silence\", \"tone:hz/ms,0/ms\", or a name of [sounds]",
        ),
        ("[hold]\nmusic = \"tone:9999\"", "hold.music = \"tone:9999\": a frequency is 0 (silence) to 3999 Hz"),
        ("[tones]\ncountry = \"xx\"", "f.toml: tones.country = xx: allowed: at, au,"),
        ("[tones]\nlevel_dbm0 = 3", "f.toml: tones.level_dbm0 = 3: allowed: -40 to 0 dBm0"),
        ("[tones]\nbusy = \"425/0\"", "tones.busy = \"425/0\": a length is 1 to 60000 ms"),
        ("[sounds]\nsilence = \"x\"", "f.toml: sounds = silence: allowed: a name that is neither"),
        ("[sounds]\na = { file = \"x\", gain_db = 30 }", "f.toml: sounds.a.gain_db = 30: allowed: -40 to 20"),
        ("[sounds]\na = 5", "sounds.a = 5: \"file\" or { file = \"file\", gain_db = 0 }"),
    ] {
        let told_instead = error(&more(wrong));
        assert!(told_instead.contains(told), "{told_instead}\nfor {told}");
    }
}

#[test]
fn the_tones_shown_in_the_file_are_those_of_its_country() {
    let shown = |key: &str| {
        let line = GATEWAY.lines().find_map(|line| line.strip_prefix(&format!("# {key} = \""))).unwrap();
        line.trim_end_matches('"').parse::<crate::plan::Cadence>().unwrap()
    };
    let us = crate::call::Tones::default();
    assert_eq!([shown("ringback"), shown("busy"), shown("congestion")], [us.ringback, us.busy, us.congestion]);
    assert_eq!([shown("dial"), shown("special_information")], [us.dial, us.special_information]);
    let listed = GATEWAY.split("the trunk sends none: ").nth(1).and_then(|rest| rest.split("country").next()).unwrap();
    let listed: Vec<_> = listed.split(|c: char| !c.is_ascii_lowercase()).filter(|name| !name.is_empty()).collect();
    for country in crate::call::Tones::countries() {
        assert!(listed.contains(&country), "{country}");
    }
}
