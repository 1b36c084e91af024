//! REFERs of the gateway: a party of ours is to call somebody else.
//!
//! What the target would answer is told (RFC 3515 2.4.4), and the party goes away as if it were there. We do not call the
//! target for real, because both ends of that call would be ours.

use super::super::Behaviour;
use super::super::message::{self, Received, uri_of};
use super::Server;
use super::taken::reason;

impl Server {
    pub(super) fn referred(&mut self, refer: &Received) {
        let target = uri_of(&refer.header("Refer-To"));
        let number = target.split_once(':').and_then(|(_, rest)| rest.split('@').next()).unwrap_or_default().to_owned();
        let known = self.config.numbers.iter().find(|(n, _)| *n == number).map(|(_, behaviour)| behaviour.clone());
        let status = match known {
            None => 404,
            Some(Behaviour::Refuse(status)) => status,
            Some(Behaviour::NoAnswer) => 480,
            Some(_) => 200,
        };
        let contact = format!("<sip:{}@{}>", self.number_of(refer), self.address);
        self.reply(refer, 202, "Accepted", &[("Contact", contact)]);
        let word = if status == 200 { "OK" } else { reason(status) };
        let (lab, id) = (self.address, self.identifier());
        self.with(&refer.call_id(), |call, out| {
            call.dialog.ours += 1;
            let headers = [
                ("From", call.local.clone()),
                ("To", call.remote.clone()),
                ("Call-ID", call.call_id.clone()),
                ("CSeq", format!("{} NOTIFY", call.dialog.ours)),
                ("Via", format!("SIP/2.0/UDP {lab};branch=z9hG4bK{id}")),
                ("Contact", format!("<sip:{}@{lab}>", call.number)),
                ("Max-Forwards", "70".to_owned()),
                ("Event", "refer".to_owned()),
                ("Subscription-State", "terminated;reason=noresource".to_owned()),
                ("Content-Type", "message/sipfrag;version=2.0".to_owned()),
            ];
            let told = format!("SIP/2.0 {status} {word}\r\n");
            if let Some(bytes) = message::request("NOTIFY", &call.target, &headers, &told) {
                out.push((bytes, call.peer));
            }
        });
    }

    fn number_of(&self, message: &Received) -> String {
        self.calls.get(&message.call_id()).map_or_else(String::new, |call| call.number.clone())
    }
}
