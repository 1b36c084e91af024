//! What may stand in `opus` and `codecs`, and what a mistake says.

use super::*;

fn parse(trunk: &str, dn: &str, rest: &str) -> Result<Config, ConfigError> {
    let text = format!(
        "[[listener]]\nbind = \"127.0.0.1:8443\"\n[[sip]]\nbind = \"127.0.0.1:5060\"\n[media]\n\
         addresses = [{{ bind = \"127.0.0.1\" }}]\n[[trunk]]\nname = \"t\"\naddresses = [\"127.0.0.2:5060\"]\n{trunk}\n\
         [[dn]]\nnumber = \"5001\"\nsecret = \"s\"\n{dn}\n{rest}\n"
    );
    Config::parse(&text, "f.toml", [])
}

fn error(trunk: &str, dn: &str, rest: &str) -> String {
    let line = parse(trunk, dn, rest).expect_err("a mistake").to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn the_same_bounds_hold_for_all_three_places() {
    for (place, line) in [
        ("opus", error("", "", "[opus]\nframe_ms = 30")),
        ("trunk[0].opus", error("opus.frame_ms = 30", "", "")),
        ("dn[0].opus", error("", "opus.frame_ms = 30", "")),
    ] {
        assert_eq!(line, format!("f.toml: {place}.frame_ms = 30: allowed: 20 or 40"));
    }
    assert!(error("opus.bitrate = 5999", "", "").contains("trunk[0].opus.bitrate = 5999: allowed: 6000 to 510000"));
    assert!(error("", "opus.complexity = 11", "").contains("dn[0].opus.complexity = 11: allowed: 0 to 10"));
    assert!(error("", "opus.ptime = 20", "").contains("unknown field"), "a misspelt key");
}

#[test]
fn what_is_not_said_stays_unsaid_and_what_is_said_is_kept() {
    let config = parse("opus = { dtx = true, frame_ms = 40 }", "opus.narrowband = false", "").expect("good");
    let trunk = OpusTerms { dtx: Some(true), ptime_ms: Some(40), ..OpusTerms::default() };
    assert_eq!(OpusTerms::from(config.trunks[0].opus), trunk);
    let dn = OpusTerms { narrowband: Some(false), ..OpusTerms::default() };
    assert_eq!(OpusTerms::from(config.dns[0].opus), dn);
    assert!(!config.opus.dtx && config.opus.frame_ms == 20);
}

#[test]
fn the_codecs_of_a_dn_are_at_least_one_and_each_once() {
    let allowed = "allowed: \"opus\", \"pcmu\", \"pcma\", at least one, each once";
    assert_eq!(error("", "codecs = []", ""), format!("f.toml: dn[0].codecs = []: {allowed}"));
    let twice = error("", "codecs = [\"pcmu\", \"pcmu\"]", "");
    assert_eq!(twice, format!("f.toml: dn[0].codecs = [pcmu, pcmu]: {allowed}"));
    assert!(error("", "codecs = [\"g722\"]", "").contains("`opus`, `pcmu`, `pcma`"));
    let config = parse("", "codecs = [\"pcma\"]", "").expect("good");
    assert_eq!(config.dns[0].codecs, [BrowserCodecConfig::Pcma]);
}
