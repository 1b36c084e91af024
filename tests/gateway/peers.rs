//! Scripted user agents: they write what JsSIP and a Genesys SIP Server write, and remember no more than a dialog.

use std::cell::Cell;

use bytes::Bytes;
use crosspoint::path::Path;
use crosspoint::sip::digest::Secret;
use crosspoint::sip::digest::client::Account;
use crosspoint::sip::message::{Builder, Message, Method, Name};

use crate::rig::{PASSWORD, REALM, Rig, trunk_addr, udp};
use crate::sdp;

thread_local! {
    /// Makes branches, tags and Call-IDs of all agents of a test differ.
    static SERIAL: Cell<u64> = const { Cell::new(0) };
}

/// A user agent at the end of a path.
#[derive(Clone, Debug)]
pub struct Ua {
    pub path: Path,
    pub user: String,
    pub via: String,
    pub contact: String,
    /// Empty: it names none, as SIP.js does by default.
    pub instance: String,
    /// It says that it takes calls back after a reload, as our phone page does.
    pub resumes: bool,
    /// The Allow of its REGISTER, where it has one.
    pub allow: Option<&'static str>,
    pub count: u32,
}

/// A dialog as one side sees it.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub call_id: String,
    pub local: String,
    pub remote: String,
    pub target: String,
    pub cseq: u32,
    pub invite: Message,
}

impl Ua {
    /// A browser, on a flow of its own.
    pub fn browser(rig: &mut Rig, dn: &str) -> Ua {
        let path = rig.open_flow();
        Ua::at(path, dn)
    }

    pub fn at(path: Path, dn: &str) -> Ua {
        let flow = path.flow().map_or(0, |flow| flow.0);
        Ua {
            path,
            user: dn.to_owned(),
            via: format!("SIP/2.0/WSS x{flow}.invalid"),
            contact: format!("<sip:u{flow}@x{flow}.invalid;transport=ws>"),
            instance: format!("<urn:uuid:00000000-0000-4000-8000-{flow:012}>"),
            resumes: false,
            allow: None,
            count: 0,
        }
    }

    /// The SIP Server.
    pub fn trunk() -> Ua {
        Ua::server(udp(trunk_addr()))
    }

    pub fn server(path: Path) -> Ua {
        let remote = path.remote();
        Ua {
            path,
            user: "1003".to_owned(),
            via: format!("SIP/2.0/UDP {remote}"),
            contact: format!("<sip:1003@{remote}>"),
            instance: String::new(),
            resumes: false,
            allow: None,
            count: 0,
        }
    }

    fn serial(&mut self) -> String {
        self.count += 1;
        SERIAL.with(|serial| {
            serial.set(serial.get() + 1);
            format!("{}", serial.get())
        })
    }

    fn write(&mut self, method: &Method, uri: &str, call_id: &str, cseq: u32, from: &str, to: &str) -> Builder {
        let branch = format!("z9hG4bK{}", self.serial());
        self.write_on(&branch, method, uri, call_id, cseq, from, to)
    }

    #[allow(clippy::too_many_arguments)]
    fn write_on(
        &self,
        branch: &str,
        method: &Method,
        uri: &str,
        call_id: &str,
        cseq: u32,
        from: &str,
        to: &str,
    ) -> Builder {
        Builder::request(method, uri)
            .header("Via", format!("{};branch={branch}", self.via))
            .header("Max-Forwards", "69")
            .header("From", from)
            .header("To", to)
            .header("Call-ID", call_id)
            .header("CSeq", format!("{cseq} {}", method.as_str()))
    }

    /// A request outside a dialog, from this user to that URI.
    pub fn request(&mut self, method: Method, uri: &str, extra: &[(&str, &str)], body: Option<(&str, &str)>) -> Bytes {
        let serial = self.serial();
        let from = format!("<sip:{}@{REALM}>;tag=f{serial}", self.user);
        let call_id = format!("call-{}", self.serial());
        let mut builder = self.write(&method, uri, &call_id, 1, &from, &format!("<{uri}>"));
        for (name, value) in extra {
            builder = builder.header(name, value);
        }
        if let Some((kind, body)) = body {
            builder = builder.body(kind, body.as_bytes());
        }
        builder.build()
    }

    /// A REGISTER as JsSIP writes it.
    pub fn register(&mut self, cseq: u32, expires: u32, authorization: Option<&str>) -> Bytes {
        let aor = format!("<sip:{}@{REALM}>", self.user);
        let from = format!("{aor};tag=reg{}", self.serial());
        let call_id = format!("reg-{}-{}", self.user, self.via.len() + self.path.remote().port() as usize);
        let instance = match self.instance.as_str() {
            "" => String::new(),
            name => format!(";+sip.instance=\"{name}\";reg-id=1"),
        };
        let contact = format!("{}{instance};expires={expires}", self.contact);
        let mut builder = self
            .write(&Method::Register, &format!("sip:{REALM}"), &call_id, cseq, &from, &aor)
            .header("Contact", contact)
            .header("Expires", expires.to_string())
            .header("Supported", "path,gruu,outbound");
        if self.resumes {
            builder = builder.header("X-Crosspoint-Resume", "yes");
        }
        if let Some(methods) = self.allow {
            builder = builder.header("Allow", methods);
        }
        if let Some(value) = authorization {
            builder = builder.header("Authorization", value);
        }
        builder.build()
    }

    /// Registers as a browser does, challenge and all, and returns the last response.
    pub fn sign_in(&mut self, rig: &mut Rig, password: &str) -> Message {
        self.sign_in_for(rig, password, 600)
    }

    pub fn sign_in_for(&mut self, rig: &mut Rig, password: &str, expires: u32) -> Message {
        let cseq = self.count * 2 + 1;
        let first = self.register(cseq, expires, None);
        rig.deliver(self.path, first);
        let challenge = registered(rig, self.path);
        if challenge.status() != 401 {
            return challenge;
        }
        let answer = self.answer_challenge(&challenge, &Method::Register, &format!("sip:{REALM}"), password);
        let second = self.register(cseq + 1, expires, Some(&answer));
        rig.deliver(self.path, second);
        registered(rig, self.path)
    }

    /// The same page on a new connection: its WebSocket was lost.
    pub fn reconnected(&self, rig: &mut Rig) -> Ua {
        Ua { path: rig.open_flow(), ..self.clone() }
    }

    /// The same tab after a reload: a new page that keeps no more than its instance.
    pub fn reloaded(&self, rig: &mut Rig) -> Ua {
        let page = Ua::browser(rig, &self.user);
        Ua { instance: self.instance.clone(), resumes: self.resumes, ..page }
    }

    pub fn answer_challenge(&self, challenge: &Message, method: &Method, uri: &str, password: &str) -> String {
        let mut account = Account::new(self.user.clone(), REALM, Secret::Password(password.to_owned()));
        account.answer(challenge.headers(Name::WwwAuthenticate), method, uri, "c0ffee", false).unwrap()
    }

    /// An INVITE to that user at the gateway.
    pub fn invite(&mut self, number: &str, sdp: Option<&str>, extra: &[(&str, &str)]) -> Dialog {
        let uri = format!("sip:{number}@{REALM}");
        let serial = self.serial();
        let local = format!("<sip:{}@{REALM}>;tag=l{serial}", self.user);
        let call_id = format!("call-{}", self.serial());
        let to = format!("<{uri}>");
        let contact = self.contact.clone();
        let mut builder = self.write(&Method::Invite, &uri, &call_id, 1, &local, &to).header("Contact", contact);
        for (name, value) in extra {
            builder = builder.header(name, value);
        }
        if let Some(sdp) = sdp {
            builder = builder.body("application/sdp", sdp.as_bytes());
        }
        Dialog { call_id, local, remote: to, target: uri, cseq: 1, invite: builder.build_message() }
    }

    /// Sends [`Ua::invite`].
    pub fn call(&mut self, rig: &mut Rig, number: &str, sdp: Option<&str>, extra: &[(&str, &str)]) -> Dialog {
        let call = self.invite(number, sdp, extra);
        rig.deliver(self.path, call.invite.raw().clone());
        call
    }

    /// A response to a request of the gateway.
    pub fn respond(&self, request: &Message, status: u16, sdp: Option<&str>) -> Bytes {
        let tag = format!("t{}", request.call_id());
        let mut builder = Builder::response_to(request, status, None, (status > 100).then_some(tag.as_str()));
        if request.method() == Method::Invite && status > 100 && status < 300 {
            builder = builder.header("Contact", &self.contact);
        }
        if let Some(sdp) = sdp {
            builder = builder.body("application/sdp", sdp.as_bytes());
        }
        builder.build()
    }

    /// The dialog that an INVITE of the gateway makes.
    pub fn dialog_of(&self, invite: &Message) -> Dialog {
        let header = |name| String::from_utf8_lossy(invite.header(name).unwrap()).into_owned();
        Dialog {
            call_id: invite.call_id().to_owned(),
            local: format!("{};tag=t{}", header(Name::To), invite.call_id()),
            remote: header(Name::From),
            target: invite.contacts().next().unwrap().unwrap().uri.to_owned(),
            cseq: 100,
            invite: invite.clone(),
        }
    }

    /// A request within a dialog.
    pub fn within(
        &mut self,
        dialog: &mut Dialog,
        method: Method,
        extra: &[(&str, &str)],
        body: Option<(&str, &str)>,
    ) -> Bytes {
        dialog.cseq += 1;
        let (cseq, contact) = (dialog.cseq, self.contact.clone());
        let mut builder = self
            .write(&method, &dialog.target, &dialog.call_id, cseq, &dialog.local, &dialog.remote)
            .header("Contact", contact);
        for (name, value) in extra {
            builder = builder.header(name, value);
        }
        if let Some((kind, body)) = body {
            builder = builder.body(kind, body.as_bytes());
        }
        builder.build()
    }

    /// The ACK of a response to an INVITE or re-INVITE of ours.
    pub fn ack(&mut self, dialog: &Dialog, response: &Message, sdp: Option<&str>) -> Bytes {
        let cseq = response.cseq().number;
        let mut builder = if response.status() < 300 {
            self.write(&Method::Ack, &dialog.target, &dialog.call_id, cseq, &dialog.local, &dialog.remote)
        } else {
            let branch = response.via().branch().unwrap_or_default().to_owned();
            let to = String::from_utf8_lossy(response.header(Name::To).unwrap()).into_owned();
            self.write_on(&branch, &Method::Ack, dialog.invite.request_uri(), &dialog.call_id, cseq, &dialog.local, &to)
        };
        if let Some(sdp) = sdp {
            builder = builder.body("application/sdp", sdp.as_bytes());
        }
        builder.build()
    }

    /// Takes the 200 to our INVITE, and acknowledges it.
    pub fn acknowledge(&mut self, rig: &mut Rig, dialog: &mut Dialog) -> Message {
        let ok = last_status(&rig.take(self.path), 200);
        dialog.learn(&ok);
        let ack = self.ack(dialog, &ok, None);
        rig.deliver(self.path, ack);
        ok
    }

    /// The CANCEL of our INVITE.
    pub fn cancel(&self, dialog: &Dialog, reason: Option<&str>) -> Bytes {
        let branch = dialog.invite.via().branch().unwrap().to_owned();
        let uri = dialog.invite.request_uri();
        let to = String::from_utf8_lossy(dialog.invite.header(Name::To).unwrap()).into_owned();
        let mut builder = self.write_on(
            &branch,
            &Method::Cancel,
            uri,
            &dialog.call_id,
            dialog.invite.cseq().number,
            &dialog.local,
            &to,
        );
        if let Some(reason) = reason {
            builder = builder.header("Reason", reason);
        }
        builder.build()
    }
}

impl Dialog {
    /// Takes tag and target from a response to our INVITE.
    pub fn learn(&mut self, response: &Message) {
        self.remote = String::from_utf8_lossy(response.header(Name::To).unwrap()).into_owned();
        if let Some(Ok(contact)) = response.contacts().next() {
            self.target = contact.uri.to_owned();
        }
    }
}

/// Takes the last answer to a REGISTER; what else was sent stays to be looked at.
fn registered(rig: &mut Rig, path: Path) -> Message {
    let mut all = rig.take(path);
    let is_answer = |m: &Message| !m.is_request() && m.cseq().method == Method::Register;
    let answer = all.remove(all.iter().rposition(is_answer).unwrap());
    rig.sent.entry(path).or_default().extend(all);
    answer
}

/// The last message with this status; the others are gone.
pub fn last_status(messages: &[Message], status: u16) -> Message {
    let found = messages.iter().rev().find(|m| !m.is_request() && m.status() == status);
    let lines: Vec<String> = messages.iter().map(crate::rig::first_line).collect();
    found.unwrap_or_else(|| panic!("no {status} in {lines:?}")).clone()
}

/// The request of this method among the messages.
pub fn request(messages: &[Message], method: Method) -> Message {
    let found = messages.iter().find(|m| m.is_request() && m.method() == method);
    let lines: Vec<String> = messages.iter().map(crate::rig::first_line).collect();
    found.unwrap_or_else(|| panic!("no {method:?} in {lines:?}")).clone()
}

/// A registered browser.
pub fn signed_in(rig: &mut Rig, dn: &str) -> Ua {
    let mut browser = Ua::browser(rig, dn);
    assert_eq!(browser.sign_in(rig, PASSWORD).status(), 200);
    browser
}

/// A call that is not answered yet: the caller's dialog, and the INVITE that the callee has.
pub struct Offered {
    pub browser: Ua,
    pub trunk: Ua,
    pub call: Dialog,
    pub invite: Message,
}

impl Offered {
    /// The trunk calls a DN, whose browser has the INVITE and has said nothing yet.
    pub fn inbound(rig: &mut Rig, dn: &str) -> Offered {
        let browser = signed_in(rig, dn);
        let mut trunk = Ua::trunk();
        let call = trunk.call(rig, dn, Some(&sdp::genesys_offer()), &[]);
        let invite = request(&rig.take(browser.path), Method::Invite);
        Offered { browser, trunk, call, invite }
    }

    /// The trunk calls a DN, whose browser rings.
    pub fn ringing(rig: &mut Rig, dn: &str) -> Offered {
        let offered = Offered::inbound(rig, dn);
        rig.deliver(offered.browser.path, offered.browser.respond(&offered.invite, 180, None));
        offered
    }

    /// The browser of 5001 dials a number; the trunk has the INVITE and has said nothing yet.
    pub fn outbound(rig: &mut Rig, number: &str) -> Offered {
        let mut browser = signed_in(rig, "5001");
        let call = browser.call(rig, number, Some(&sdp::chromium_offer()), &[]);
        let trunk = Ua::trunk();
        let invite = request(&rig.take(trunk.path), Method::Invite);
        Offered { browser, trunk, call, invite }
    }
}

/// Two parties in a call, and how the gateway sees each.
pub struct Talk {
    pub browser: Ua,
    pub trunk: Ua,
    pub at_browser: Dialog,
    pub at_trunk: Dialog,
}

/// A call from the trunk to DN 5001, answered.
pub fn inbound_call(rig: &mut Rig) -> Talk {
    let browser = signed_in(rig, "5001");
    inbound_to(rig, browser)
}

pub fn inbound_to(rig: &mut Rig, browser: Ua) -> Talk {
    let mut trunk = Ua::trunk();
    let mut at_trunk = trunk.call(rig, &browser.user, Some(&sdp::genesys_offer()), &[]);
    let ringing = request(&rig.take(browser.path), Method::Invite);
    let at_browser = browser.dialog_of(&ringing);
    rig.deliver(browser.path, browser.respond(&ringing, 180, None));
    rig.deliver(browser.path, browser.respond(&ringing, 200, Some(&sdp::chromium_answer())));
    request(&rig.take(browser.path), Method::Ack);
    trunk.acknowledge(rig, &mut at_trunk);
    Talk { browser, trunk, at_browser, at_trunk }
}

/// A call from DN 5001 to 1003 at the trunk, answered.
pub fn outbound_call(rig: &mut Rig) -> Talk {
    let mut browser = signed_in(rig, "5001");
    let trunk = Ua::trunk();
    let mut at_browser = browser.call(rig, "1003", Some(&sdp::chromium_offer()), &[]);
    let invite = request(&rig.take(trunk.path), Method::Invite);
    let at_trunk = trunk.dialog_of(&invite);
    rig.deliver(trunk.path, trunk.respond(&invite, 200, Some(&sdp::trunk_answer())));
    request(&rig.take(trunk.path), Method::Ack);
    browser.acknowledge(rig, &mut at_browser);
    Talk { browser, trunk, at_browser, at_trunk }
}
