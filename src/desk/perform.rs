//! What desktops ask, checked and carried out.

use std::time::{Duration, Instant};

use serde_json::json;

use super::agent::UserName;
use super::call::{Call, CallState, Wanted};
use super::happened::Happened;
use super::operation::{Answer, AttachedData, CallOperation, MAX_DIGITS, MAX_NUMBER, Operation, Refusal};
use super::resources::body;
use super::{AgentState, Desk, Output};
use crate::call::{CallCommand, Command};
use crate::id::CallId;
use crate::plan::Digit;

/// How long each key is held.
const KEY_TIME: Duration = Duration::from_millis(160);

impl Desk {
    /// Carries out what an agent asks, or says why not.
    pub(super) fn operate(&mut self, user: &UserName, what: Operation, now: Instant) -> Result<Answer, Refusal> {
        let agent = self.agent(user)?;
        let shown = match what {
            Operation::Me(with) => self.me(agent, with, now),
            Operation::Devices => body("devices", self.devices(agent)),
            Operation::Device(id) => self.one_device(agent, &id)?,
            Operation::Channels => body("channels", json!([self.voice(agent)])),
            Operation::Voice => body("channel", self.voice(agent)),
            Operation::Calls => body("calls", self.calls_of(agent, now)),
            Operation::Call(name) => self.one_call(agent, &name, now)?,
            Operation::State => self.state(agent),
            Operation::OnCall(name, what) => {
                self.on_call(user, &name, what, now)?;
                return Ok(Answer::Done);
            }
            Operation::StartSession { channels, dn } => {
                self.start_session(user, &channels, dn, now)?;
                return Ok(Answer::Done);
            }
            Operation::Dial { to, user_data, from } => {
                self.ask_to_dial(user, to, user_data, from, now)?;
                return Ok(Answer::Done);
            }
            state => return self.set_state(user, state, now),
        };
        Ok(Answer::Body(shown))
    }

    fn ask_to_dial(
        &mut self,
        user: &UserName,
        to: String,
        data: AttachedData,
        from: Option<String>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let agent = self.agent(user)?;
        if let Some(device) = from.filter(|device| *device != agent.dn) {
            return Err(Refusal::NoDevice(device));
        }
        let refuse = |why| Err(Refusal::WrongState { operation: "Dial", why });
        if agent.state() != AgentState::Ready {
            return refuse("the agent is not ready");
        }
        let states = agent.calls.iter().filter_map(|id| self.calls.get(id)?.side_of(user)?.state);
        if states.into_iter().any(|state| state != CallState::Held) {
            return refuse("another call is not on hold");
        }
        let wanted = Wanted { user: user.clone(), to, data, operation: "Dial", at: now };
        self.may_dial(&wanted, now)?;
        self.dial(wanted, None, now);
        Ok(())
    }

    /// Looks at whether an agent's phone can call somebody.
    fn may_dial(&mut self, wanted: &Wanted, now: Instant) -> Result<(), Refusal> {
        check_number(&wanted.to)?;
        if !super::call::Facts::default().has_room(&wanted.data) {
            return Err(TOO_MUCH);
        }
        let dn = &self.agent(&wanted.user)?.dn;
        if !self.here.contains(dn) {
            return Err(Refusal::NotRegistered(dn.clone()));
        }
        if self.dials.is_waiting(&wanted.user, now) {
            let why = "a call is being made already";
            return Err(Refusal::WrongState { operation: wanted.operation, why });
        }
        Ok(())
    }

    /// Carries out what an agent asks of one of its calls.
    fn on_call(&mut self, user: &UserName, name: &str, what: CallOperation, now: Instant) -> Result<(), Refusal> {
        let unknown = || Refusal::NoCall(name.to_owned());
        let call = self.find(self.agent(user)?, name).ok_or_else(unknown)?;
        let side = call.side_of(user).filter(|side| side.state.is_some()).ok_or_else(unknown)?;
        let operation = what.name();
        let sight = self.sight(call, side);
        if !sight.allows(&what) {
            let why = match sight.is_conference {
                true => "the call is a conference",
                false => "the call is not in a state for it",
            };
            return Err(Refusal::WrongState { operation, why });
        }
        let call = call.id;
        let command = match what {
            CallOperation::Answer => CallCommand::Answer,
            CallOperation::Hangup => CallCommand::HangUp,
            CallOperation::ClearCall => CallCommand::Release,
            CallOperation::Hold => CallCommand::Hold,
            CallOperation::Retrieve => CallCommand::Retrieve,
            CallOperation::SendDtmf { digits } => CallCommand::SendDigits { digits: keys(&digits)? },
            CallOperation::SingleStepTransfer { to } => {
                check_number(&to)?;
                CallCommand::BlindTransfer { to }
            }
            CallOperation::SingleStepConference { to } => {
                check_number(&to)?;
                CallCommand::SingleStepConference { to }
            }
            CallOperation::InitiateTransfer { to, user_data } | CallOperation::InitiateConference { to, user_data } => {
                let wanted = Wanted { user: user.clone(), to, data: user_data, operation, at: now };
                return self.initiate(call, wanted, now);
            }
            CallOperation::CompleteTransfer { with } => {
                let (call, with) = self.both(user, call, with, operation)?;
                self.ask(user, call, operation, CallCommand::AttendedTransfer { with });
                return Ok(());
            }
            CallOperation::CompleteConference { with } => {
                let (call, with) = self.both(user, call, with, operation)?;
                self.ask(user, call, operation, CallCommand::Conference { with });
                return Ok(());
            }
            CallOperation::SwapCalls { with } => return self.swap(user, call, with),
            data => return self.change_data(call, data, now),
        };
        self.ask(user, call, operation, command);
        Ok(())
    }

    /// Asks something of a call in the name of the number that the agent has it at.
    fn ask(&mut self, user: &UserName, call: CallId, operation: &'static str, what: CallCommand) {
        let Some(side) = self.calls.get_mut(&call).and_then(|call| call.side_of_mut(user)) else { return };
        side.asked = Some(operation);
        let by = Some(side.dn.clone());
        self.outputs.push_back(Output::Command(Command::OnCall { call, by, what }));
    }

    /// Puts the other party on hold; then somebody is called.
    fn initiate(&mut self, call: CallId, wanted: Wanted, now: Instant) -> Result<(), Refusal> {
        self.may_dial(&wanted, now)?;
        let operation = wanted.operation;
        let others = self.agent(&wanted.user)?.calls.iter().filter(|id| **id != call);
        let talks = |id: &CallId| {
            let state = self.calls.get(id).and_then(|call| call.side_of(&wanted.user)?.state);
            state.is_some_and(|state| state != CallState::Held)
        };
        if others.into_iter().any(talks) {
            return Err(Refusal::WrongState { operation, why: "another call is not on hold" });
        }
        let user = wanted.user.clone();
        let Some(own) = self.calls.get_mut(&call).and_then(|parent| parent.side_of_mut(&user)) else { return Ok(()) };
        if own.wanted.as_ref().is_some_and(|wanted| wanted.is_fresh(now)) {
            return Err(Refusal::WrongState { operation, why: "a call is being made already" });
        }
        if own.state == Some(CallState::Held) {
            self.dial(wanted, Some(call), now);
        } else {
            own.wanted = Some(wanted);
            self.ask(&user, call, operation, CallCommand::Hold);
        }
        Ok(())
    }

    /// Returns the call and the consultation for it, whichever of them is named.
    fn both(
        &self,
        user: &UserName,
        named: CallId,
        with: Option<String>,
        operation: &'static str,
    ) -> Result<(CallId, CallId), Refusal> {
        let agent = self.agent(user)?;
        let parent_of = |id: &CallId| self.calls.get(id)?.consultation.map(|consultation| consultation.parent);
        let other = match with {
            Some(name) => {
                // A desktop may give the address of the call, as its events do.
                let last = name.rsplit('/').next().unwrap_or_default();
                self.find(agent, last).map(|call| call.id).ok_or_else(|| Refusal::NoCall(name.clone()))?
            }
            None => {
                let mut others = agent.calls.iter().copied().filter(|id| *id != named);
                let kin = |id: &CallId| parent_of(id) == Some(named) || parent_of(&named) == Some(*id);
                let found = others.clone().find(kin).or_else(|| others.next().filter(|_| agent.calls.len() == 2));
                found.ok_or(Refusal::WrongState { operation, why: "there is no other call, or more than one" })?
            }
        };
        if other == named {
            return Err(Refusal::Invalid { name: "consultCallUri", why: "another call of the agent" });
        }
        Ok(if parent_of(&named) == Some(other) { (other, named) } else { (named, other) })
    }

    fn swap(&mut self, user: &UserName, named: CallId, with: Option<String>) -> Result<(), Refusal> {
        let operation = "SwapCalls";
        let (one, other) = self.both(user, named, with, operation)?;
        let state = |id: &CallId| self.calls.get(id).and_then(|call| call.side_of(user)?.state);
        let (held, talking) = match (state(&one), state(&other)) {
            (Some(CallState::Held), Some(CallState::Established)) => (one, other),
            (Some(CallState::Established), Some(CallState::Held)) => (other, one),
            _ => return Err(Refusal::WrongState { operation, why: "one call has to be on hold, the other one not" }),
        };
        self.ask(user, talking, operation, CallCommand::Hold);
        self.ask(user, held, operation, CallCommand::Retrieve);
        Ok(())
    }

    fn change_data(&mut self, id: CallId, what: CallOperation, now: Instant) -> Result<(), Refusal> {
        let Some(mut call) = self.calls.remove(&id) else { return Ok(()) };
        let changed = change_data(&mut call, what.clone());
        if changed == Ok(true) {
            self.tell_all(&mut call, &Happened::data(), now);
            self.change_parts(&call, &what, now);
        }
        self.calls.insert(id, call);
        changed.map(drop)
    }
}

const TOO_MUCH: Refusal = Refusal::Invalid { name: "userData", why: "up to 256 pairs and 65536 bytes" };

/// Does to user data what a desktop wants; returns true where that changes anything.
pub(super) fn change_data(call: &mut Call, what: CallOperation) -> Result<bool, Refusal> {
    let data = &mut call.facts.data;
    let is_changed = match what {
        CallOperation::AttachUserData(pairs) | CallOperation::UpdateUserData(pairs) => {
            if !call.facts.has_room(&pairs) {
                return Err(TOO_MUCH);
            }
            call.facts.attach(pairs)
        }
        CallOperation::DeleteUserData => !std::mem::take(data).is_empty(),
        CallOperation::DeleteUserDataPair { key } => data.remove(&key).is_some(),
        _ => false,
    };
    call.facts.is_ruled |= is_changed;
    Ok(is_changed)
}

/// Says whether somebody can be dialled by it: what a phone's keys write, and names of SIP.
fn check_number(number: &str) -> Result<(), Refusal> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"+*#-_.".contains(&b);
    match number {
        "" => Err(Refusal::Missing("destination")),
        _ if number.len() <= MAX_NUMBER && number.bytes().all(fits) => Ok(()),
        _ => Err(Refusal::Invalid { name: "destination", why: "up to 64 digits, letters and + * # - _ ." }),
    }
}

fn keys(digits: &str) -> Result<Vec<Digit>, Refusal> {
    let key = |b: u8| {
        let event = match b.to_ascii_uppercase() {
            digit @ b'0'..=b'9' => digit - b'0',
            b'*' => 10,
            b'#' => 11,
            letter @ b'A'..=b'D' => letter - b'A' + 12,
            _ => return None,
        };
        Some(Digit { event, duration: KEY_TIME })
    };
    if digits.is_empty() {
        return Err(Refusal::Missing("digits"));
    }
    let keys = digits.bytes().map(key).collect::<Option<Vec<Digit>>>().filter(|keys| keys.len() <= MAX_DIGITS);
    keys.ok_or(Refusal::Invalid { name: "digits", why: "up to 32 of 0 to 9, *, #, A to D" })
}
