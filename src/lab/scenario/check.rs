//! Verdicts on a header, on a digest, and on what an RTP end heard.

use super::super::{LabCallReport, digest};
use super::script::{Heard, Test};
use super::text::user;

/// A tone may be heard so far from its frequency, Hz: the measure has steps of 10.
const NEAR_HZ: u16 = 10;
/// Softer than this is silence, dBm0.
const SILENT_DBM0: f64 = -55.0;
/// So much has to be heard before a tone is judged, ms.
const ENOUGH_MS: u64 = 600;

/// Judges the values of a header; `wanted` is the test's value without placeholders, `method` that of the message.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn header(test: &Test, wanted: &str, values: &[&str], method: &str) -> Result<(), String> {
    let good = match test {
        Test::Is(_) => values == [wanted],
        Test::Has(_) => values.iter().any(|v| v.contains(wanted)),
        Test::HasNot(_) => !values.iter().any(|v| v.contains(wanted)),
        Test::User(_) => values.first().is_some_and(|v| user(v) == wanted),
        Test::There => !values.is_empty(),
        Test::Absent => values.is_empty(),
        Test::Digest { .. } => {
            let (name, password) = wanted.split_once(' ').unwrap_or_default();
            return values.first().map_or(Err("no credentials".into()), |v| digest::check(v, method, name, password));
        }
    };
    if good { Ok(()) } else { Err(format!("it is {values:?}")) }
}

/// Judges what an end heard since it began to listen; `None`: not enough yet.
pub(super) fn heard(report: &LabCallReport, what: &Heard, agent_hz: Option<u16>) -> Option<Result<(), String>> {
    let said = || {
        let LabCallReport { dominant_hz, level_dbm0, heard_ms, lost, .. } = report;
        format!("heard {dominant_hz} Hz at {level_dbm0:.1} dBm0 for {heard_ms} ms, {lost} packets lost")
    };
    let is_loud = report.level_dbm0 > SILENT_DBM0;
    let good = match what {
        Heard::Silence => return Some(if is_loud { Err(said()) } else { Ok(()) }),
        Heard::Keys(keys) if report.digits.ends_with(keys.as_str()) => return Some(Ok(())),
        Heard::Keys(_) => return Some(Err(format!("heard the keys {:?}", report.digits))),
        _ if report.heard_ms < ENOUGH_MS => return None,
        // A person may keep silent; the packets are enough.
        Heard::Agent if agent_hz.is_none() => true,
        Heard::Sound => is_loud,
        Heard::Tone(hz) => is_loud && report.dominant_hz.abs_diff(*hz) <= NEAR_HZ,
        Heard::Agent => is_loud && agent_hz.is_some_and(|hz| report.dominant_hz.abs_diff(hz) <= NEAR_HZ),
    };
    Some(if good { Ok(()) } else { Err(said()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_judged_only_after_enough_of_it() {
        let report = |dominant_hz, level_dbm0, heard_ms| LabCallReport {
            dominant_hz,
            level_dbm0,
            heard_ms,
            ..LabCallReport::default()
        };
        let judge = |report, what| heard(&report, &what, Some(1000)).map(|r| r.is_ok());
        assert_eq!(judge(report(440, -10.0, 100), Heard::Tone(440)), None);
        assert_eq!(judge(report(440, -10.0, 800), Heard::Tone(440)), Some(true));
        assert_eq!(judge(report(460, -10.0, 800), Heard::Tone(440)), Some(false));
        assert_eq!(judge(report(1000, -10.0, 800), Heard::Agent), Some(true));
        assert_eq!(judge(report(0, -99.0, 800), Heard::Agent), Some(false));
        assert_eq!(judge(report(0, -99.0, 0), Heard::Silence), Some(true));
        assert_eq!(judge(report(440, -10.0, 20), Heard::Silence), Some(false));
        assert_eq!(judge(report(0, -99.0, 800), Heard::Sound), Some(false));
    }

    #[test]
    fn keys_are_judged_by_the_last_ones() {
        let report = LabCallReport { digits: "99123".into(), ..LabCallReport::default() };
        let judge = |keys: &str| heard(&report, &Heard::Keys(keys.into()), None).map(|r| r.is_ok());
        assert_eq!((judge("123"), judge("12")), (Some(true), Some(false)));
    }

    #[test]
    fn a_person_is_heard_by_packets_alone_and_given_time_for_them() {
        let report = |heard_ms| LabCallReport { level_dbm0: -99.0, heard_ms, ..LabCallReport::default() };
        let judge = |heard_ms| heard(&report(heard_ms), &Heard::Agent, None).map(|r| r.is_ok());
        assert_eq!(judge(100), None, "not enough yet is no verdict: what came would be forgotten");
        assert_eq!(judge(800), Some(true));
    }

    #[test]
    fn a_header_is_judged_by_all_its_values() {
        let judge = |test: Test, wanted: &str, values: &[&str]| header(&test, wanted, values, "INVITE").is_ok();
        assert!(judge(Test::Has(String::new()), "talk", &["hold", "talk"]));
        assert!(!judge(Test::HasNot(String::new()), "talk", &["hold, talk"]));
        assert!(judge(Test::User(String::new()), "5001", &["\"A\" <sip:5001@h;x>"]));
        assert!(!judge(Test::Is(String::new()), "a", &["a", "a"]));
        assert!(judge(Test::Absent, "", &[]) && !judge(Test::There, "", &[]));
    }
}
