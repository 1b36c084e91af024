//! Whatever comes, in whatever order: no gap among events, no operation without its answer, nothing left behind.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::call::{Declined, ReleaseCause};

const USERS: [&str; 3] = ["agent5001", "agent5002", "nobody"];
const NUMBERS: [&str; 4] = ["5001", "5002", "5101", "5559876543"];

/// What the outside saw.
#[derive(Default)]
struct Seen {
    /// Next sequence number of each log.
    next: HashMap<String, u64>,
    dials: Vec<DialId>,
}

impl Seen {
    fn look(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Publish(published) => self.look_at(published),
                Output::Command(Command::Dial { dial, .. }) => {
                    assert!(!self.dials.contains(dial), "{dial} twice");
                    self.dials.push(*dial);
                }
                Output::Answer(_, Answer::Body(body)) => {
                    let body: Value = serde_json::from_slice(body).expect("a JSON object");
                    assert_eq!(body["statusCode"], 0);
                }
                _ => {}
            }
        }
    }

    fn look_at(&mut self, published: &Published) {
        let data: Value = serde_json::from_slice(&published.data).expect("a JSON object");
        assert_eq!(data["eventId"], *published.event_id);
        let (log, sequence) = published.event_id.rsplit_once('-').unwrap();
        let next = self.next.entry(log.to_owned()).or_default();
        assert_eq!(sequence, next.to_string(), "{}", published.event_id);
        *next += 1;
        if data["state"] == "Released" {
            assert_eq!(data["call"]["capabilities"], json!([]));
        }
    }
}

fn object(value: Value) -> AttachedData {
    value.as_object().unwrap().clone()
}

fn operation(rng: &mut StdRng, lines: &[Line]) -> Operation {
    let to = NUMBERS[rng.random_range(0..NUMBERS.len())].to_owned();
    let data = json!({ "k": rng.random_range(0..3) }).as_object().unwrap().clone();
    let name = match rng.random_range(0..4) {
        0 => "no such call".to_owned(),
        _ => lines.get(rng.random_range(0..lines.len().max(1))).map_or_else(String::new, Line::name),
    };
    let on_call = match rng.random_range(0..14) {
        0 => CallOperation::Answer,
        1 => CallOperation::Hangup,
        2 => CallOperation::Hold,
        3 => CallOperation::Retrieve,
        4 => CallOperation::SendDtmf { digits: "12#".to_owned() },
        5 => CallOperation::SingleStepTransfer { to },
        6 => CallOperation::InitiateTransfer { to, user_data: data },
        7 => CallOperation::CompleteTransfer { with: None },
        8 => CallOperation::InitiateConference { to, user_data: data },
        9 => CallOperation::CompleteConference { with: Some(name.clone()) },
        10 => CallOperation::SwapCalls { with: None },
        11 => CallOperation::UpdateUserData(data),
        12 => CallOperation::DeleteUserDataPair { key: "k".to_owned() },
        _ => CallOperation::DeleteUserData,
    };
    match rng.random_range(0..20) {
        0 => Operation::Ready,
        1 => Operation::NotReady { reason: Some("Lunch".to_owned()) },
        2 => Operation::AfterCallWork,
        3 => Operation::EndSession,
        4 => Operation::StartSession { channels: Vec::new(), dn: Some(NUMBERS[rng.random_range(0..4)].to_owned()) },
        5 => Operation::Me(Subresources { devices: true, channels: true, calls: true }),
        6 => Operation::Call(name),
        7..10 => Operation::Dial { to: "6001".to_owned(), user_data: AttachedData::new(), from: None },
        _ => Operation::OnCall(name, on_call),
    }
}

fn kind(rng: &mut StdRng) -> EventKind {
    match rng.random_range(0..10) {
        0 | 1 => EventKind::Ringing,
        2 | 3 => EventKind::Established,
        4 => EventKind::Held { by_agent: rng.random_bool(0.8) },
        5 => EventKind::Retrieved { by_agent: rng.random_bool(0.8) },
        6 => EventKind::Declined { why: Declined::Busy, by_agent: rng.random_bool(0.8) },
        7 => EventKind::Transferred { to: "6001".to_owned(), by_agent: rng.random_bool(0.8) },
        8 => EventKind::ParticipantsUpdated { parties: vec!["5559876543".to_owned(), "6001".to_owned()] },
        _ => EventKind::AttachedDataChanged,
    }
}

fn new_line(rng: &mut StdRng, id: u64, seen: &Seen) -> Line {
    let mut line = if rng.random_bool(0.5) { Line::inbound(id) } else { Line::outbound(id, NUMBERS[1]) };
    line.event.dn = NUMBERS[rng.random_range(0..3)].to_owned();
    if line.event.peer == NUMBERS[1] && line.event.dn != NUMBERS[1] && rng.random_bool(0.5) {
        line.event.others = [NUMBERS[1].to_owned()].into();
    }
    line.event.dial = seen.dials.last().copied().filter(|_| rng.random_bool(0.5));
    line.uuid(["A", "B", "C"][rng.random_range(0..3)])
}

fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut room, mut seen) = (Room::new(), Seen::default());
    let mut lines: Vec<Line> = Vec::new();
    for id in 0..400 {
        room.now += Duration::from_millis(rng.random_range(0..5000));
        let at = rng.random_range(0..lines.len().max(1));
        let outputs = match rng.random_range(0..12) {
            0 | 1 => {
                let mut line = new_line(&mut rng, id, &seen);
                let outputs = line.tell(&mut room, EventKind::Dialing);
                lines.push(line);
                outputs
            }
            2 if at < lines.len() => {
                let cause = [ReleaseCause::Agent, ReleaseCause::Merged, ReleaseCause::Refused(486)];
                lines.remove(at).released(&mut room, cause[rng.random_range(0..3)].clone())
            }
            3..6 if at < lines.len() => {
                if rng.random_bool(0.1) {
                    lines[at].event.dn = NUMBERS[rng.random_range(0..3)].to_owned();
                    lines[at].event.others = Box::default();
                }
                if rng.random_bool(0.1) {
                    let dn = &lines[at].event.dn;
                    let guests = NUMBERS[..3].iter().filter(|number| *number != dn && rng.random_bool(0.5));
                    lines[at].event.others = guests.map(|number| (*number).to_owned()).collect();
                }
                let kind = kind(&mut rng);
                lines[at].tell(&mut room, kind)
            }
            6 => room.input(Input::Presence { dn: NUMBERS[rng.random_range(0..3)].into(), is_here: rng.random() }),
            7 => room.input(Input::Told {
                call_uuid: ["A", "B", "C"][rng.random_range(0..3)].to_owned(),
                conn_id: Some("006c".to_owned()),
                user_data: rng.random_bool(0.5).then(|| object(json!({ (NUMBERS[at % 4]): id % 3 }))),
            }),
            8 => match rng.random_range(0..4) {
                0 => {
                    room.input(Input::Reconfigured(config().agents.into_iter().take(rng.random_range(0..3)).collect()))
                }
                1 => room.input(Input::Gone { agent: user(USERS[rng.random_range(0..3)]) }),
                2 => room.input(Input::NotDialled { dial: DialId(rng.random_range(0..9)), status: 480 }),
                _ => room.input(Input::Tick),
            },
            _ => {
                let what = operation(&mut rng, &lines);
                let (answer, mut outputs) = room.ask(USERS[rng.random_range(0..3)], what);
                outputs.push(Output::Answer(OperationId(0), answer));
                outputs
            }
        };
        seen.look(&outputs);
    }
    seen.look(&room.input(Input::Missed { alive: Vec::new() }));
    assert!(room.desk.agents().all(|view| view.calls == 0), "calls are left");
    while let Some(at) = room.desk.poll_timeout() {
        room.now = room.now.max(at);
        seen.look(&room.input(Input::Tick));
    }
    assert!(room.desk.agents().all(|view| view.state != AgentState::AfterCallWork || view.reason.is_none()));
}

#[test]
fn whatever_comes_leaves_no_gap_and_nothing_behind() {
    for seed in 0..200 {
        run(seed);
    }
}
