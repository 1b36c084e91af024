//! The journal of the outbox, as a crash or a bad disk may leave it.

use std::collections::HashSet;

use crosspoint::desk::StatusName;
use crosspoint::desk::journal::{Heading, Record, Replay, checkpoint, lines};

/// Reads `data` as segments parted by NUL. Never panics; what is read is written as it was; what a journal says is said
/// again by what the next segment begins with; each open call is released once, under an id that nothing else has.
pub fn journal(data: &[u8]) {
    let mut replay = Replay::default();
    for segment in data.split(|b| *b == 0).take(64) {
        for (line, _) in lines(segment) {
            if let Ok(record) = Record::read(line) {
                let mut again = Vec::new();
                record.write(&mut again);
                assert_eq!(Record::read(&again[..again.len() - 1]), Ok(record));
            }
            // With its sum mended a line reaches what is behind it.
            let Some(body) = line.get(9..) else { continue };
            if let Some(mended) = mend(body) {
                replay.take(&mended);
            }
        }
        replay.take(segment);
    }
    let mut begun = Vec::new();
    let cursors: Vec<(String, u64)> = replay.cursors.clone().into_iter().collect();
    checkpoint(replay.next, &replay.open, cursors.iter().map(|(name, number)| (name.as_str(), *number)), &mut begun);
    let mut after = Replay::default();
    after.take(&begun);
    assert_eq!((after.next, after.damaged), (replay.next, 0));
    assert_eq!(after.cursors, replay.cursors);
    let released = after.open.release(StatusName::default(), 1);
    assert_eq!(released, replay.open.clone().release(StatusName::default(), 1));
    let mut ids = HashSet::new();
    for event in &released {
        let heading = Heading::read(event).expect("a release is an event");
        assert!(ids.insert(heading.event_id.into_owned()), "released twice");
    }
    let mut calls = replay.open;
    released.iter().for_each(|event| calls.see(event));
    assert!(calls.release(StatusName::default(), 1).is_empty(), "once is enough");
}

/// Writes a line anew, by what its words mean.
fn mend(body: &[u8]) -> Option<Vec<u8>> {
    let mut words = body.splitn(3, |b| *b == b' ');
    let (kind, number, text) = (words.next()?, words.next()?, words.next()?);
    let number: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    let record = match kind {
        b"b" => Record::Begin { next: number },
        b"o" => Record::Open { sequence: number, envelope: text },
        b"c" => Record::Cursor { sink: std::str::from_utf8(text).ok()?, number },
        b"e" => Record::Event { number, envelope: text },
        _ => return None,
    };
    let mut line = Vec::new();
    record.write(&mut line);
    Some(line)
}
