//! Agents at their desks, in simulated time.

mod calls;
mod cti;
mod internal;
mod model;
mod operations;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::call::{CallCommand, Direction, EventKind};

static PASSWORD: LazyLock<PasswordHash> = LazyLock::new(|| PasswordHash::make("crosspoint", [1; 16]));

/// Wall time of the first moment of each test, ms.
const START_MS: i64 = 1_700_000_000_000;

struct Room {
    desk: Desk,
    now: Instant,
    requests: u64,
}

fn agent(user: &str, dns: &[&str]) -> AgentConfig {
    AgentConfig {
        user: user.into(),
        password: PASSWORD.clone(),
        name: "Ann Agent".to_owned(),
        dns: dns.iter().map(|dn| (*dn).to_owned()).collect(),
        skills: vec![("support".to_owned(), 5)],
    }
}

fn config() -> DeskConfig {
    DeskConfig {
        run: RunId(0xab),
        agents: vec![agent("agent5001", &["5001", "5101"]), agent("agent5002", &["5002", "5101"])],
        after_call_work: Duration::from_secs(30),
        base_uri: "https://desk.test".to_owned(),
        user_data_fields: vec!["X-Genesys-UserData-".to_owned()],
        user_data_out: Some("X-UserData-".to_owned()),
        status: StatusName::StatusChange,
    }
}

fn user(name: &str) -> UserName {
    name.into()
}

impl Room {
    fn new() -> Room {
        Room::with(config())
    }

    fn with(config: DeskConfig) -> Room {
        let now = Instant::now();
        Room { desk: Desk::new(config, now, START_MS), now, requests: 0 }
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.desk.handle_input(input, self.now);
        std::iter::from_fn(|| self.desk.poll_output()).collect()
    }

    /// Asks, and returns the answer and what else came of it.
    fn ask(&mut self, agent: &str, what: Operation) -> (Answer, Vec<Output>) {
        self.requests += 1;
        let request = OperationId(self.requests);
        let mut outputs = self.input(Input::Operation { request, agent: user(agent), what });
        let at = outputs.iter().position(|output| matches!(output, Output::Answer(id, _) if *id == request));
        let Output::Answer(_, answer) = outputs.remove(at.expect("every operation is answered")) else {
            unreachable!()
        };
        (answer, outputs)
    }

    fn done(&mut self, agent: &str, what: Operation) -> Vec<Output> {
        let (answer, outputs) = self.ask(agent, what.clone());
        assert_eq!(answer, Answer::Done, "{what:?}");
        outputs
    }

    fn refused(&mut self, agent: &str, what: Operation) -> Refusal {
        let (answer, outputs) = self.ask(agent, what.clone());
        assert_eq!(outputs, [], "{what:?}");
        match answer {
            Answer::Refused(refusal) => refusal,
            other => panic!("{what:?}: {other:?}"),
        }
    }

    fn shown(&mut self, agent: &str, what: Operation) -> Value {
        match self.ask(agent, what.clone()).0 {
            Answer::Body(body) => serde_json::from_slice(&body).unwrap(),
            other => panic!("{what:?}: {other:?}"),
        }
    }

    fn state(&mut self, agent: &str) -> String {
        self.shown(agent, Operation::State)["state"].as_str().unwrap().to_owned()
    }
}

/// A call, as signalling tells of it.
struct Line {
    event: CallEvent,
}

impl Line {
    /// A customer calls 5001.
    fn inbound(call: u64) -> Line {
        Line {
            event: CallEvent {
                call: CallId(call),
                sequence: 0,
                at: Instant::now(),
                kind: EventKind::Dialing,
                dn: "5001".to_owned(),
                peer: "5551234567".to_owned(),
                direction: Direction::Inbound,
                call_uuid: None,
                data: Arc::from([]),
                dnis: None,
                dial: None,
                others: Box::default(),
            },
        }
    }

    fn outbound(call: u64, to: &str) -> Line {
        let mut line = Line::inbound(call);
        (line.event.direction, line.event.peer) = (Direction::Outbound, to.to_owned());
        line
    }

    /// 5001 calls 5002, without a trunk.
    fn local(call: u64) -> Line {
        let mut line = Line::outbound(call, "5002");
        line.event.others = ["5002".to_owned()].into();
        line
    }

    fn uuid(mut self, uuid: &str) -> Line {
        self.event.call_uuid = Some(uuid.to_owned());
        self
    }

    fn data(mut self, fields: &[(&str, &str)]) -> Line {
        self.event.data = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self
    }

    fn tell(&mut self, room: &mut Room, kind: EventKind) -> Vec<Output> {
        (self.event.kind, self.event.at) = (kind, room.now);
        let outputs = room.input(Input::Call(Arc::new(self.event.clone())));
        self.event.sequence += 1;
        outputs
    }

    /// Comes to be answered.
    fn answered(&mut self, room: &mut Room) -> Vec<Output> {
        let kinds = [EventKind::Dialing, EventKind::Ringing, EventKind::Established];
        kinds.into_iter().flat_map(|kind| self.tell(room, kind)).collect()
    }

    fn released(&mut self, room: &mut Room, cause: crate::call::ReleaseCause) -> Vec<Output> {
        self.tell(room, EventKind::Released { cause, browser: None, trunk: None })
    }

    fn name(&self) -> String {
        format!("00000000000000AB{:016X}", self.event.call.0)
    }
}

/// What the agent at a number asks of a call.
fn asked(call: CallId, dn: &str, what: CallCommand) -> Command {
    Command::OnCall { call, by: Some(dn.to_owned()), what }
}

fn commands(outputs: &[Output]) -> Vec<Command> {
    let commands = outputs.iter().filter_map(|output| match output {
        Output::Command(command) => Some(command.clone()),
        _ => None,
    });
    commands.collect()
}

/// What desktops of `owner` get on `channel`.
fn told(outputs: &[Output], owner: &str, channel: &str) -> Vec<Value> {
    let published = outputs.iter().filter_map(|output| match output {
        Output::Publish(published) => Some(published),
        _ => None,
    });
    let own = published.filter(|p| p.owner.as_ref() == Some(&user(owner)) && p.channel == channel);
    own.map(|p| serde_json::from_slice(&p.data).unwrap()).collect()
}

#[test]
fn an_agent_is_ready_by_its_own_word_and_its_desktop_learns_it_in_both_dialects() {
    let mut room = Room::new();
    assert_eq!(room.state("agent5001"), "LoggedOut");
    let outputs = room.done("agent5001", Operation::StartSession { channels: vec!["voice".into()], dn: None });
    assert_eq!(told(&outputs, "agent5001", "/v2/me/state")[0]["event"], "NotReady");
    let outputs = room.done("agent5001", Operation::Ready);
    let state = told(&outputs, "agent5001", "/v2/me/state");
    assert_eq!((state.len(), &state[0]["state"], &state[0]["dn"]), (1, &"Ready".into(), &"5001".into()));
    let devices = told(&outputs, "agent5001", "/v2/me/devices");
    assert_eq!(devices[0]["messageType"], "DeviceStateChangeMessage");
    let device = &devices[0]["devices"][0];
    assert_eq!(device["userState"]["state"], "Ready");
    assert_eq!((&device["phoneNumber"], &device["deviceState"]), (&"5001".into(), &"Inactive".into()));
    assert_eq!(told(&outputs, "agent5002", "/v2/me/state"), [Value::Null; 0]);
    assert!(outputs.iter().any(|o| matches!(o, Output::Agent(view) if view.state == AgentState::Ready)));
    assert_eq!(room.done("agent5001", Operation::Ready), []);
}

#[test]
fn a_reason_for_not_being_ready_is_told_until_the_agent_is_ready_again() {
    let mut room = Room::new();
    let outputs = room.done("agent5001", Operation::NotReady { reason: Some("Lunch".into()) });
    assert_eq!(told(&outputs, "agent5001", "/v2/me/state")[0]["reason"], "Lunch");
    let devices = room.shown("agent5001", Operation::Devices);
    assert_eq!(devices["devices"][0]["userState"]["reason"], "Lunch");
    let outputs = room.done("agent5001", Operation::Ready);
    assert_eq!(told(&outputs, "agent5001", "/v2/me/state")[0].get("reason"), None);
    let long = Operation::NotReady { reason: Some("x".repeat(65)) };
    assert_eq!(room.refused("agent5001", long).status_code(), 2);
}

#[test]
fn events_of_an_agent_are_numbered_without_gaps() {
    let mut room = Room::new();
    let mut outputs = room.done("agent5001", Operation::Ready);
    outputs.extend(room.done("agent5001", Operation::NotReady { reason: None }));
    outputs.extend(room.input(Input::Presence { dn: "5001".into(), is_here: true }));
    outputs.extend(room.input(Input::Interaction { agent: user("agent5001"), data: json!({"a": 1}) }));
    let published = outputs.iter().filter_map(|output| match output {
        Output::Publish(published) => Some(published.event_id.to_string()),
        _ => None,
    });
    let ids: Vec<String> = published.collect();
    let wanted: Vec<String> = (0..6).map(|n| format!("00000000000000ab-a1-{n}")).collect();
    assert_eq!(ids, wanted);
}

#[test]
fn a_device_is_active_while_a_browser_has_registered_as_it() {
    let mut room = Room::new();
    let outputs = room.input(Input::Presence { dn: "5001".into(), is_here: true });
    assert_eq!(told(&outputs, "agent5001", "/v2/me/devices")[0]["devices"][0]["deviceState"], "Active");
    assert_eq!(room.input(Input::Presence { dn: "5001".into(), is_here: true }), []);
    let outputs = room.input(Input::Presence { dn: "5001".into(), is_here: false });
    assert_eq!(told(&outputs, "agent5001", "/v2/me/devices")[0]["devices"][0]["deviceState"], "Inactive");
}

#[test]
fn an_agent_works_at_one_of_its_own_numbers_that_nobody_else_works_at() {
    let mut room = Room::new();
    let at = |dn: &str| Operation::StartSession { channels: vec![], dn: Some(dn.to_owned()) };
    assert_eq!(room.refused("agent5001", at("5002")), Refusal::NoDevice("5002".into()));
    room.done("agent5001", at("5101"));
    assert_eq!(room.refused("agent5002", at("5101")).status_code(), 2);
    room.done("agent5001", Operation::EndSession);
    room.done("agent5002", at("5101"));
    assert_eq!(room.desk.owner("5101"), Some(&user("agent5002")));
    let other = Operation::StartSession { channels: vec!["chat".into()], dn: None };
    assert_eq!(room.refused("agent5001", other).status_code(), 2);
}

#[test]
fn who_is_not_configured_is_denied() {
    let mut room = Room::new();
    let refusal = room.refused("nobody", Operation::Ready);
    assert_eq!((refusal.http_status(), refusal.status_code(), refusal.to_string()), (403, 20, "Access denied".into()));
}

#[test]
fn agents_keep_their_states_over_a_new_configuration_and_who_is_gone_from_it_is_logged_out() {
    let mut room = Room::new();
    room.done("agent5001", Operation::Ready);
    room.done("agent5002", Operation::Ready);
    let changed = AgentConfig { skills: vec![("sales".into(), 9)], ..agent("agent5001", &["5001"]) };
    let outputs = room.input(Input::Reconfigured(vec![changed, agent("agent5003", &["5003"])]));
    assert_eq!(room.state("agent5001"), "Ready");
    assert_eq!(told(&outputs, "agent5002", "/v2/me/state")[0]["state"], "LoggedOut");
    assert_eq!(room.refused("agent5002", Operation::State), Refusal::Denied);
    assert_eq!(room.state("agent5003"), "LoggedOut");
    let views: Vec<_> = outputs.iter().filter(|o| matches!(o, Output::Agent(_))).collect();
    assert_eq!(views.len(), 3);
    assert!(room.desk.agents().any(|view| view.skills == [("sales".to_owned(), 9)]));
}

#[test]
fn an_agent_whose_browsers_have_all_logged_out_takes_no_calls() {
    let mut room = Room::new();
    room.done("agent5001", Operation::Ready);
    let outputs = room.input(Input::Gone { agent: user("agent5001") });
    assert_eq!(told(&outputs, "agent5001", "/v2/me/state")[0]["event"], "LoggedOut");
    assert_eq!(room.input(Input::Gone { agent: user("agent5001") }), []);
}

#[test]
fn an_interaction_goes_to_its_agent_as_it_is_with_an_identifier() {
    let mut room = Room::new();
    let data = json!({ "interaction": { "id": "1", "media": "chat" } });
    let outputs = room.input(Input::Interaction { agent: user("agent5002"), data });
    let told = told(&outputs, "agent5002", "/v2/me/interactions");
    assert_eq!(told[0]["interaction"]["media"], "chat");
    assert_eq!(told[0]["eventId"], "00000000000000ab-a2-0");
    let data = json!(["no object"]);
    assert_eq!(room.input(Input::Interaction { agent: user("agent5002"), data }), []);
}
