//! News to browsers in simulated time.

use super::*;

const ONE: FlowId = FlowId(1);

/// All news that is due up to `until`, looked for when the machine asks for it; `standing` is what holds all the time.
fn news(verdicts: &mut Verdicts, standing: Standing, until: Instant) -> Vec<(Instant, FlowId)> {
    let mut all = Vec::new();
    while let Some(now) = verdicts.poll_timeout().filter(|at| *at <= until) {
        let (dn, flow) = verdicts.next(now).expect("it asked for this time");
        if verdicts.tells(&dn, flow, standing, now) {
            all.push((now, flow));
        }
    }
    all
}

#[test]
fn a_verdict_that_flutters_is_told_at_once_then_after_a_rest_and_as_it_stands_by_then() {
    let start = Instant::now();
    let mut verdicts = Verdicts::new();
    verdicts.welcomed("5001", ONE, Standing::Registered, start);
    verdicts.changed("5001", Standing::Unreachable, start);
    assert_eq!(news(&mut verdicts, Standing::Unreachable, start), [(start, ONE)]);
    for _ in 0..10 {
        verdicts.changed("5001", Standing::Registered, start);
        verdicts.changed("5001", Standing::Unreachable, start);
    }
    assert!(news(&mut verdicts, Standing::Unreachable, start + REST * 2).is_empty(), "it stands as it was told");
    verdicts.changed("5001", Standing::Registered, start);
    assert_eq!(news(&mut verdicts, Standing::Registered, start + REST * 2), [(start + REST, ONE)]);
    assert_eq!(verdicts.poll_timeout(), None);
}

#[test]
fn a_connection_that_is_gone_or_belongs_to_another_dn_is_told_nothing() {
    let now = Instant::now();
    let mut verdicts = Verdicts::new();
    for (dn, flow) in [("5001", ONE), ("5001", FlowId(2)), ("50011", FlowId(3)), ("500", FlowId(4))] {
        verdicts.welcomed(dn, flow, Standing::Pending, now);
    }
    verdicts.changed("5001", Standing::Pending, now);
    assert_eq!(verdicts.poll_timeout(), None, "no verdict yet");
    verdicts.changed("5001", Standing::Unknown, now);
    verdicts.retain("5001", |flow| flow == ONE);
    assert_eq!(news(&mut verdicts, Standing::Unknown, now + REST), [(now, ONE)]);
    verdicts.retain("5001", |_| false);
    assert_eq!(verdicts.lines.len(), 2, "those of other DNs");
}

#[test]
fn a_refresh_that_says_otherwise_takes_no_news_away() {
    let now = Instant::now();
    let mut verdicts = Verdicts::new();
    verdicts.welcomed("5001", ONE, Standing::Registered, now);
    verdicts.welcomed("5001", ONE, Standing::Unknown, now);
    verdicts.changed("5001", Standing::Unknown, now);
    assert_eq!(news(&mut verdicts, Standing::Unknown, now), [(now, ONE)]);
}
