use super::*;

fn published(call: u64, sequence: u64, dn: &str, state: &str) -> Published {
    let event_id = format!("00000000000000aa-call-{call}-{sequence}");
    let data = format!(
        r#"{{"messageType":"CallStateChangeMessage","eventId":"{event_id}","call":{{"id":"{call}","state":"{state}","capabilities":["Hold"]}}}}"#
    );
    Published {
        event_id: event_id.into(),
        channel: "/v2/me/calls",
        owner: Some(UserName::from("anna")),
        dn: dn.to_owned(),
        at_unix_ms: 1000,
        data: data.into(),
    }
}

/// Writes a segment of these events, the first with number `from`.
fn segment(from: u64, events: &[Published]) -> Vec<u8> {
    let mut out = Vec::new();
    checkpoint(from, &OpenCalls::default(), [("desktop", from)], &mut out);
    for (number, event) in (from..).zip(events) {
        Record::Event { number, envelope: &envelope(event).expect("an event") }.write(&mut out);
    }
    out
}

fn ids(events: &[Bytes]) -> Vec<String> {
    events.iter().map(|event| Heading::read(event).expect("an envelope").event_id.into_owned()).collect()
}

#[test]
fn a_line_is_read_as_it_was_written_and_not_with_any_byte_changed() {
    let mut line = Vec::new();
    Record::Event { number: 41, envelope: br#"{"a":1}"# }.write(&mut line);
    assert_eq!(line.pop(), Some(b'\n'));
    assert_eq!(Record::read(&line), Ok(Record::Event { number: 41, envelope: br#"{"a":1}"# }));
    for at in 0..line.len() {
        let mut other = line.clone();
        other[at] ^= 1;
        assert_eq!(Record::read(&other), Err(JournalError::Damaged), "byte {at}");
    }
}

#[test]
fn a_torn_tail_costs_the_torn_event_alone() {
    let whole = segment(7, &[published(1, 0, "5001", "Ringing"), published(1, 1, "5001", "Established")]);
    for cut in 1..60 {
        let mut replay = Replay::default();
        replay.take(&whole[..whole.len() - cut]);
        assert_eq!((replay.next, replay.damaged, replay.open.len()), (8, 1, 1), "{cut} bytes short");
    }
}

#[test]
fn a_damaged_line_in_the_middle_is_left_out_and_reading_goes_on() {
    let mut bytes = segment(0, &[published(1, 0, "5001", "Ringing"), published(2, 0, "5002", "Ringing")]);
    let at = bytes.windows(6).position(|w| w == b"call-1").expect("the first event");
    bytes[at] = b'\0';
    let mut replay = Replay::default();
    replay.take(&bytes);
    assert_eq!((replay.next, replay.damaged), (2, 1));
    assert_eq!(ids(&replay.open.release(StatusName::StatusChange, 0)), ["00000000000000aa-call-2-1"]);
}

#[test]
fn a_call_without_its_end_is_released_with_the_next_sequence_and_the_reason() {
    let events = [
        published(1, 0, "5001", "Ringing"),
        published(2, 0, "5002", "Ringing"),
        published(2, 1, "5002", "Released"),
        published(1, 1, "5001", "Established"),
    ];
    let mut replay = Replay::default();
    replay.take(&segment(0, &events));
    let released = replay.open.release(StatusName::StatusChange, 5000);
    assert_eq!(ids(&released), ["00000000000000aa-call-1-2"]);
    let event: Value = serde_json::from_slice(&released[0]).expect("JSON");
    assert_eq!((&event["owner"], &event["dn"], &event["at"]), (&"anna".into(), &"5001".into(), &5000.into()));
    let data = &event["data"];
    assert_eq!((&data["call"]["state"], &data["reason"]), (&"Released".into(), &"gateway restart".into()));
    assert_eq!((&data["eventId"], &data["call"]["id"]), (&"00000000000000aa-call-1-2".into(), &"1".into()));
    assert_eq!(data["call"]["capabilities"], Value::Array(Vec::new()));
    assert!(replay.open.is_empty(), "once");
}

#[test]
fn each_side_of_a_call_between_two_agents_is_released_under_a_number_of_its_own() {
    let events = [
        published(1, 0, "5001", "Dialing"),
        published(1, 1, "5002", "Ringing"),
        published(1, 2, "5001", "Established"),
    ];
    let mut replay = Replay::default();
    replay.take(&segment(0, &events));
    assert_eq!(
        ids(&replay.open.release(StatusName::StatusChange, 0)),
        ["00000000000000aa-call-1-3", "00000000000000aa-call-1-4"]
    );
}

#[test]
fn a_side_that_was_released_keeps_its_number_from_being_used_again() {
    let mut open = OpenCalls::default();
    for event in
        [published(1, 0, "5001", "Dialing"), published(1, 1, "5002", "Ringing"), published(1, 2, "5002", "Released")]
    {
        open.see(&envelope(&event).expect("an event"));
    }
    let mut begun = Vec::new();
    checkpoint(3, &open, [], &mut begun);
    let mut replay = Replay::default();
    replay.take(&begun);
    assert_eq!(ids(&replay.open.release(StatusName::StatusChange, 0)), ["00000000000000aa-call-1-3"]);
}

#[test]
fn a_segment_says_all_that_those_before_it_said() {
    let before = segment(0, &[published(1, 0, "5001", "Ringing"), published(2, 0, "5002", "Ringing")]);
    let mut all = Replay::default();
    all.take(&before);
    let mut begun = Vec::new();
    checkpoint(all.next, &all.open, [("desktop", 1)], &mut begun);
    let mut alone = Replay::default();
    alone.take(&begun);
    assert_eq!((alone.next, alone.cursors.get("desktop")), (2, Some(&1)));
    assert_eq!(
        alone.open.clone().release(StatusName::StatusChange, 0),
        all.open.clone().release(StatusName::StatusChange, 0)
    );
    // A call that ended in a segment which nobody could read is not open because an older one says so.
    let mut with_gap = Replay::default();
    with_gap.take(&before);
    with_gap.take(&segment(5, &[]));
    assert!(with_gap.open.is_empty());
}

#[test]
fn an_event_is_one_line_whatever_its_data_looks_like() {
    let mut event = published(1, 0, "5001", "Ringing");
    event.data = Bytes::from_static(b"{\n  \"a\": \"b\\n\",\r\n  \"n\": 10000000000000000000000\n}");
    let line = envelope(&event).expect("an event");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    let heading = Heading::read(&line).expect("an envelope");
    assert!(heading.data.get().contains(r#""b\n""#) && heading.data.get().contains("10000000000000000000000"));
    event.data = Bytes::from_static(b"{");
    assert_eq!(envelope(&event), Err(JournalError::NotJson));
    event.data = Bytes::from(format!("\"{}\"", "a".repeat(MAX_EVENT)));
    assert_eq!(envelope(&event), Err(JournalError::TooLong));
}

#[test]
fn a_message_that_something_failed_neither_ends_a_call_nor_takes_its_place() {
    let mut open = OpenCalls::default();
    let failure = |sequence: u64| Published {
        data: Bytes::from_static(br#"{"messageType":"ErrorMessage","errorMessage":"busy"}"#),
        ..published(1, sequence, "5001", "")
    };
    open.see(&envelope(&failure(0)).expect("an event"));
    assert!(open.is_empty());
    open.see(&envelope(&published(1, 1, "5001", "Held")).expect("an event"));
    open.see(&envelope(&failure(2)).expect("an event"));
    assert_eq!(ids(&open.release(StatusName::StatusChange, 0)), ["00000000000000aa-call-1-3"]);
}

#[test]
fn the_end_of_a_call_fits_whatever_was_attached_to_it() {
    let long = format!(r#""userData":{{"a":"{}"}}"#, "b".repeat(MAX_EVENT));
    let mut event = published(1, 3, "5001", "Released");
    event.data = format!(r#"{{"call":{{"id":"1","state":"Released",{long}}},{long}}}"#).into();
    let line = envelope(&event).expect("an event");
    let mut open = OpenCalls::default();
    open.see(&envelope(&published(1, 2, "5001", "Held")).expect("an event"));
    open.see(&line);
    assert!(line.len() < 300 && open.is_empty(), "{}", line.len());
    event.data = format!(r#"{{"call":{{"id":"1","state":"Held",{long}}}}}"#).into();
    assert_eq!(envelope(&event), Err(JournalError::TooLong));
}

#[test]
fn what_is_no_call_is_never_released() {
    let mut event = published(1, 0, "5001", "Ready");
    event.channel = "/v2/me/state";
    let mut replay = Replay::default();
    replay.take(&segment(0, &[event]));
    assert!(replay.open.is_empty());
}
