//! What desktops ask, checked and carried out.

use std::time::Instant;

use super::Desk;
use super::agent::UserName;
use super::operation::{Answer, Operation, Refusal};
use super::resources::body;

impl Desk {
    /// Carries out what an agent asks, or says why not.
    pub(super) fn operate(&mut self, user: &UserName, what: Operation, now: Instant) -> Result<Answer, Refusal> {
        let agent = self.agent(user)?;
        let shown = match what {
            Operation::Me(with) => self.me(agent, with),
            Operation::Devices => body("devices", self.devices(agent)),
            Operation::Device(id) => self.one_device(agent, &id)?,
            Operation::Channels => body("channels", self.channels(agent)),
            Operation::Calls => body("calls", serde_json::Value::Array(Vec::new())),
            Operation::Call(name) | Operation::OnCall(name, _) => return Err(Refusal::NoCall(name)),
            Operation::State => self.state(agent),
            Operation::StartSession { channels, dn } => {
                self.start_session(user, &channels, dn, now)?;
                return Ok(Answer::Done);
            }
            Operation::Dial { .. } => {
                return Err(Refusal::Forbidden { operation: "Dial", why: "calls are made by the phone" });
            }
            state => return self.set_state(user, state, now),
        };
        Ok(Answer::Body(shown))
    }
}
