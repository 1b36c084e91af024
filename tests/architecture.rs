//! Holds the house together: who may import whom, which rooms are pure, and how large a file may grow.
//!
//! The table is the one of the design; a room that is not in it fails the test, so that nobody adds one by accident.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Vocabulary: every room may import these.
const VOCABULARY: &[&str] = &["id", "path", "plan", "packet", "trust"];

/// Room, the rooms it may import beside the vocabulary, and whether it is pure
/// (bytes in, bytes out, told the time: no sockets, no tokio, no clock, no ambient randomness).
const ROOMS: &[(&str, &[&str], bool)] = &[
    ("id", &[], true),
    ("path", &[], true),
    ("plan", &[], true),
    ("packet", &[], true),
    ("trust", &[], true),
    ("sip", &[], true),
    ("sdp", &[], true),
    ("rtp", &[], true),
    ("capture", &[], true),
    ("bayeux", &[], true),
    ("webrtc", &["rtp"], true),
    ("codec", &[], true),
    ("registrar", &["sip"], true),
    ("call", &["sip", "sdp", "registrar"], true),
    ("media", &["rtp", "webrtc", "codec"], true),
    ("gateway", &["sip", "sdp", "registrar", "call"], true),
    ("desk", &["bayeux", "call"], true),
    ("io", &["gateway", "desk", "bayeux", "call", "sip", "capture", "media", "webrtc", "rtp", "telemetry"], false),
    ("http", &["io", "gateway", "desk", "bayeux", "call", "telemetry"], false),
    (
        "config",
        &["sip", "sdp", "webrtc", "registrar", "call", "gateway", "desk", "bayeux", "media", "io", "http", "telemetry"],
        false,
    ),
    ("telemetry", &["rtp"], false),
    (
        "app",
        &[
            "sip",
            "sdp",
            "webrtc",
            "registrar",
            "call",
            "media",
            "gateway",
            "desk",
            "bayeux",
            "io",
            "http",
            "config",
            "telemetry",
        ],
        false,
    ),
    ("lab", &["app", "config", "http", "desk", "capture", "codec", "rtp"], false),
    ("load", &["sip", "sdp", "rtp", "webrtc", "codec"], false),
];

/// What no pure room may say, and why.
const IMPURE: &[(&str, &str)] = &[
    ("tokio::", "a pure room has no runtime"),
    ("UdpSocket", "a pure room has no sockets"),
    ("TcpStream", "a pure room has no sockets"),
    ("TcpListener", "a pure room has no sockets"),
    ("mio::", "a pure room has no sockets"),
    ("socket2::", "a pure room has no sockets"),
    ("Instant::now", "a pure room is told the time"),
    ("SystemTime::now", "a pure room is told the time"),
    ("rand::rng()", "a pure room is given its randomness"),
    ("thread_rng", "a pure room is given its randomness"),
    ("rand::random", "a pure room is given its randomness"),
    ("from_os_rng", "a pure room is given its randomness"),
    ("TransactionId::generate", "a pure room is given its randomness"),
    ("std::fs", "a pure room has no disk"),
    ("std::env", "a pure room has no environment"),
    ("std::thread", "a pure room has no threads"),
];

/// Crates that belong to one room, which wraps them.
const WRAPPED: &[(&str, &[&str])] = &[
    ("opus::", &["codec"]),
    ("argon2::", &["desk"]),
    ("dimpl::", &["webrtc"]),
    ("stun_types::", &["webrtc"]),
    ("sdp_types::", &["sdp"]),
    ("rsip::", &["lab"]),
    ("mio::", &["io", "load"]),
    ("hyper::", &["http", "io"]),
    ("hickory_resolver::", &["io"]),
    ("rcgen::", &["io", "webrtc", "load"]),
];

/// Longest file, in lines; tables and vectors live in files of their own.
const MAX_LINES: usize = 600;

struct Source {
    room: String,
    file: PathBuf,
    text: String,
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let inside = file.strip_prefix(&src).expect("a file of src").to_path_buf();
            let first = inside.iter().next().expect("a name").to_string_lossy();
            Source {
                room: first.trim_end_matches(".rs").to_owned(),
                text: fs::read_to_string(&file).expect("utf-8"),
                file: inside,
            }
        })
        .collect()
}

/// Tells whether the file holds only tests.
fn is_test_file(source: &Source) -> bool {
    source.file.iter().any(|p| {
        let p = p.to_string_lossy();
        p == "tests" || p == "tests.rs" || p.ends_with("_tests.rs")
    })
}

/// Lines of code with their numbers: no comments, and nothing of a test module.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let mut in_test_module = is_test_file(source);
    source.text.lines().enumerate().filter_map(move |(number, line)| {
        if line.starts_with("mod tests {") {
            in_test_module = true;
        }
        let line = line.trim_start();
        (!in_test_module && !line.starts_with("//")).then_some((number + 1, line))
    })
}

/// Rooms named by `crate::room` on this line, those of a brace list included.
fn imported(line: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let list = rest.strip_prefix('{').map_or(rest, |r| r.split('}').next().unwrap_or(r));
        let one = !rest.starts_with('{');
        for part in list.split(',').take(if one { 1 } else { usize::MAX }) {
            let name: String = part.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !name.is_empty() {
                rooms.insert(name);
            }
        }
    }
    rooms
}

fn is_root(room: &str) -> bool {
    matches!(room, "lib" | "main")
}

#[test]
fn every_room_imports_only_downward() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !is_root(&s.room)) {
        let Some((_, allowed, _)) = ROOMS.iter().find(|(room, ..)| *room == source.room) else {
            wrong.push(format!("{}: the room `{}` is not in the table", source.file.display(), source.room));
            continue;
        };
        for (number, line) in code(source) {
            for room in imported(line) {
                let fine =
                    room == source.room || VOCABULARY.contains(&room.as_str()) || allowed.contains(&room.as_str());
                if !fine {
                    wrong.push(format!(
                        "{}:{number}: `{}` may not import `{room}`",
                        source.file.display(),
                        source.room
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_touch_no_socket_no_clock_and_no_chance() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !ROOMS.iter().any(|(room, _, pure)| *room == source.room && *pure) {
            continue;
        }
        for (number, line) in code(&source) {
            for (word, why) in IMPURE {
                if line.contains(word) {
                    wrong.push(format!("{}:{number}: `{word}`: {why}", source.file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn outside_types_stay_in_the_room_that_wraps_them() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|s| !is_root(&s.room)) {
        for (number, line) in code(source) {
            for (name, homes) in WRAPPED {
                // A room of ours may share the crate's name: `codec::opus` wraps `opus`.
                let ours = format!("crate::{}::", homes[0]);
                if source.text.lines().any(|l| l.contains(&ours) && l.contains(name.trim_end_matches(':'))) {
                    continue;
                }
                let named = line
                    .match_indices(name)
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
                if named && !homes.contains(&source.room.as_str()) {
                    wrong.push(format!("{}:{number}: `{name}` belongs to {homes:?}", source.file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_file_grows_past_its_size() {
    let long: Vec<_> = sources()
        .iter()
        .map(|s| (s.file.display().to_string(), s.text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "over {MAX_LINES} lines: {long:?}");
}

#[test]
fn every_room_opens_by_saying_what_it_is() {
    let silent: Vec<_> = sources()
        .iter()
        .filter(|s| !is_test_file(s) && !s.text.starts_with("//!"))
        .map(|s| s.file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "files without a //! header: {silent:?}");
}

#[test]
fn the_import_reader_sees_single_and_braced_imports() {
    assert_eq!(imported("use crate::sip::uri::Uri;"), BTreeSet::from(["sip".to_owned()]));
    assert_eq!(imported("use crate::{id::LegId, io::worker};"), BTreeSet::from(["id".to_owned(), "io".to_owned()]));
    assert_eq!(imported("let x = crate::media::Engine::new();"), BTreeSet::from(["media".to_owned()]));
}

#[test]
fn the_tests_that_the_table_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        walk(&root.join(folder), &mut files);
    }
    let code: Vec<String> = files.iter().map(|file| fs::read_to_string(file).expect("utf-8")).collect();
    let table = fs::read_to_string(root.join("tests/README.md")).expect("the table");
    let names: BTreeSet<&str> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('_') && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .collect();
    assert!(names.len() > 100, "the table is not read as it is written: {}", names.len());
    let is_there = |name: &&str| code.iter().any(|text| text.contains(&format!("fn {name}(")));
    let gone: Vec<&str> = names.into_iter().filter(|name| !is_there(name)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
