//! The queue, the files and the folder.

use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::file::{CaptureFile, Stop};
use super::*;
use crate::media::tap::{Direction, PacketKind, Tap, Tapped};

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

/// A sink that nobody reads.
fn sink() -> (Sink, Receiver<Note>, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let (notes, inbox) = sync_channel(QUEUE);
    (Sink { notes, waiting: Arc::default(), tally: tally.clone() }, inbox, tally)
}

fn batch(packets: usize, bytes: usize) -> Batch {
    let mut tap = Tap::new(packets * (bytes + 64), Instant::now());
    for _ in 0..packets {
        tap.offer(&Tapped {
            direction: Direction::Sent,
            kind: PacketKind::Rtp,
            local: 0,
            remote: address(4000),
            at: Duration::ZERO,
            packet: &vec![7; bytes],
        });
    }
    let mut out = Vec::new();
    tap.drain(&mut out);
    Batch { call: CallId(1), opened: tap.opened(), locals: [address(5000)].into(), packets: out }
}

#[test]
fn a_full_queue_takes_no_more_packets_but_beginnings_and_ends_of_captures() {
    let (sink, _inbox, tally) = sink();
    let room = QUEUE - QUEUE / 4;
    (0..room).for_each(|_| sink.media(batch(1, 20)));
    assert_eq!((sink.has_room(), tally.get(Count::CaptureMissed)), (false, 0));
    sink.media(batch(3, 20));
    assert_eq!(tally.get(Count::CaptureMissed), 3);
    assert!(sink.send(Note::Open { call: CallId(2), name: "x".into() }).is_ok());
    assert!(sink.send(Note::Close { call: CallId(1), at_once: true }).is_ok());
}

#[test]
fn a_few_large_batches_fill_the_queue_too() {
    let (sink, inbox, tally) = sink();
    let large = || batch(40, 1500);
    while sink.has_room() {
        sink.media(large());
    }
    sink.media(large());
    assert_eq!(tally.get(Count::CaptureMissed), 40);
    let waiting: usize = inbox.try_iter().map(|note| note.len()).sum();
    assert!((QUEUE_BYTES..QUEUE_BYTES + 100_000).contains(&waiting), "{waiting}");
}

#[test]
fn packets_are_written_in_the_order_of_their_times_and_up_to_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pcap");
    let begun = Instant::now();
    // Room for three records of 16 + 28 + 4 bytes behind the header of 24.
    let mut file = CaptureFile::create(&path, 24 + 3 * 48).expect("a file");
    for (ms, payload) in [(30u64, b"cccc"), (10, b"aaaa"), (20, b"bbbb")] {
        assert!(file.datagram(begun + Duration::from_millis(ms), address(1), address(2), payload));
    }
    assert!(matches!(file.write(begun, u64::MAX), Ok(0)), "they wait for what may have been before them");
    assert!(matches!(file.finish(u64::MAX), Ok(144)));
    let written = std::fs::read(&path).expect("a file");
    let payloads: Vec<&[u8]> = written[24..].chunks(48).map(|record| &record[44..]).collect();
    assert_eq!(payloads, [b"aaaa", b"bbbb", b"cccc"]);
    file.datagram(begun, address(1), address(2), b"dddd");
    assert!(matches!(file.finish(u64::MAX), Err(Stop::Full)));
    assert_eq!(std::fs::metadata(&path).expect("a file").len(), 24 + 144, "whole records alone");
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(matches!(CaptureFile::create(&path, 1000), Err(Stop::Disk(_))), "no file is written over");
}

#[test]
fn what_all_files_together_have_left_is_a_limit_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = CaptureFile::create(&folder.path().join("a.pcap"), u64::MAX).expect("a file");
    (0..3).for_each(|_| assert!(file.datagram(Instant::now(), address(1), address(2), b"aaaa")));
    assert!(matches!(file.finish(100), Err(Stop::Full)));
}

#[test]
fn the_folder_is_made_for_nobody_else_and_a_file_is_none() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = state.path().join("one/two");
    assert!(check_folder(&folder).is_ok() && !folder.exists(), "a look makes nothing");
    make_folder(&folder).expect("made");
    assert_eq!(std::fs::metadata(&folder).expect("made").permissions().mode() & 0o777, 0o700);
    make_folder(&folder).expect("there already");
    std::fs::write(folder.join("file"), "").expect("written");
    for wrong in [folder.join("file"), folder.join("file/more")] {
        assert!(check_folder(&wrong).is_err() && make_folder(&wrong).is_err(), "{wrong:?}");
    }
}
