//! A phone on a WebSocket without media, as far as signalling goes what JsSIP is: it rings, answers when it is told to,
//! and answers by itself what the page would. Bytes in, bytes out.

use crosspoint::lab::scenario::AgentAct;

use crate::client::OFFER;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Ringing,
    Dialling,
    Talking,
}

/// One phone with at most one call.
pub struct Phone {
    dn: String,
    domain: String,
    state: State,
    /// The INVITE that rings.
    invite: String,
    /// `From`, `To` and `Call-ID` lines of our requests, and where they go.
    dialog: [String; 4],
    cseq: u32,
    is_changing: bool,
    /// What it offers.
    pub sdp: String,
    /// The call to whom is asked beside the first.
    beside: Option<Box<Phone>>,
    /// Needs nobody to answer.
    pub answers_at_once: bool,
    /// Everything that came.
    pub log: Vec<String>,
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_default()
}

fn uri(value: &str) -> &str {
    value.split(['<', '>']).nth(1).unwrap_or(value)
}

fn direction(offer: &str) -> &'static str {
    let has = |line: &str| offer.lines().any(|l| l == line);
    match () {
        () if has("a=sendonly") => "a=recvonly",
        () if has("a=recvonly") => "a=sendonly",
        () if has("a=inactive") => "a=inactive",
        () => "a=sendrecv",
    }
}

/// Answers a browser offer with the first codec and its events.
fn answer(offer: &str) -> String {
    let formats = offer.lines().find_map(|l| l.strip_prefix("m=audio ")).unwrap_or_default();
    let of = |n: usize| formats.split(' ').nth(n).unwrap_or("0").to_owned();
    let maps = offer.lines().filter(|l| l.starts_with(&format!("a=rtpmap:{} ", of(2))));
    let mid = offer.lines().find(|l| l.starts_with("a=mid:")).unwrap_or("a=mid:0");
    let fixed = OFFER.split("m=audio").next().unwrap_or_default();
    let ice: String = OFFER
        .lines()
        .filter(|l| ["a=ice-", "a=fingerprint", "a=rtcp"].iter().any(|p| l.starts_with(p)))
        .map(|l| format!("{l}\r\n"))
        .collect();
    format!(
        "{}m=audio 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\n{ice}a=setup:active\r\n{mid}\r\n{}\r\n{}\r\n",
        fixed.replace("BUNDLE 0", &format!("BUNDLE {}", &mid[6..])),
        of(2),
        direction(offer),
        maps.collect::<Vec<_>>().join("\r\n"),
    )
}

impl Phone {
    pub fn new(dn: &str, domain: &str) -> Phone {
        Phone {
            dn: dn.to_owned(),
            domain: domain.to_owned(),
            state: State::Free,
            invite: String::new(),
            dialog: Default::default(),
            cseq: 0,
            is_changing: false,
            sdp: OFFER.to_owned(),
            beside: None,
            answers_at_once: false,
            log: Vec::new(),
        }
    }

    /// The Call-ID of its call, or of the last one.
    pub fn call_id(&self) -> &str {
        &self.dialog[2]
    }

    fn contact(&self) -> String {
        "Contact: <sip:a1b2c3@k4tn5q.invalid;transport=ws>\r\n".to_owned()
    }

    fn respond(&self, to: &str, status: &str, body: &str) -> String {
        let vias: String = to.lines().filter(|l| l.starts_with("Via: ")).map(|l| format!("{l}\r\n")).collect();
        let mut callee = header(to, "To").to_owned();
        if !callee.contains(";tag=") {
            callee.push_str(&format!(";tag=p{}", self.dn));
        }
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {callee}\r\nCall-ID: {}\r\nCSeq: {}\r\n{}{kind}Content-Length: {}\r\n\r\n{body}",
            header(to, "From"),
            header(to, "Call-ID"),
            header(to, "CSeq"),
            self.contact(),
            body.len(),
        )
    }

    fn request(&mut self, method: &str, more: &str, body: &str) -> String {
        if method != "ACK" && method != "CANCEL" {
            self.cseq += 1;
        }
        let [from, to, call_id, target] = &self.dialog;
        // A CANCEL and the ACK of a refusal belong to the INVITE's branch (RFC 3261 9.1); here all of a number share one.
        let branch = format!("z9hG4bK{call_id}{}", self.cseq);
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/WS k4tn5q.invalid;branch={branch}\r\nMax-Forwards: 69\r\nFrom: {from}\r\n\
             To: {to}\r\nCall-ID: {call_id}\r\nCSeq: {} {method}\r\n{}{more}{kind}Content-Length: {}\r\n\r\n{body}",
            self.cseq,
            self.contact(),
            body.len(),
        )
    }

    /// Takes a message of the gateway; returns what to send.
    pub fn receive(&mut self, text: &str) -> Vec<String> {
        self.log.push(text.to_owned());
        if let Some(beside) = self.beside.as_deref_mut().filter(|b| b.dialog[2] == header(text, "Call-ID")) {
            return beside.receive(text);
        }
        if text.starts_with("SIP/2.0 ") {
            return self.response(text);
        }
        let in_dialog = header(text, "To").contains(";tag=");
        match text.split(' ').next().unwrap_or_default() {
            "INVITE" if !in_dialog => self.invited(text),
            "INVITE" => vec![self.respond(text, "200 OK", &answer(text))],
            "ACK" => Vec::new(),
            "CANCEL" => {
                self.state = State::Free;
                vec![self.respond(text, "200 OK", ""), self.respond(&self.invite, "487 Request Terminated", "")]
            }
            "BYE" => {
                self.state = State::Free;
                vec![self.respond(text, "200 OK", "")]
            }
            "INFO" if text.contains("\"answer\"") => {
                let mut out = vec![self.respond(text, "200 OK", "")];
                out.extend(self.answer());
                out
            }
            _ => vec![self.respond(text, "200 OK", "")],
        }
    }

    fn invited(&mut self, text: &str) -> Vec<String> {
        if self.state != State::Free {
            return vec![self.respond(text, "486 Busy Here", "")];
        }
        self.state = State::Ringing;
        self.invite = text.to_owned();
        self.dialog = [
            format!("{};tag=p{}", header(text, "To"), self.dn),
            header(text, "From").to_owned(),
            header(text, "Call-ID").to_owned(),
            uri(header(text, "Contact")).to_owned(),
        ];
        let ringing = self.respond(text, "180 Ringing", "");
        let is_told_to = text.contains("answer-after=0");
        let answer = if self.answers_at_once || is_told_to { self.answer() } else { None };
        [ringing].into_iter().chain(answer).collect()
    }

    fn answer(&mut self) -> Option<String> {
        if self.state != State::Ringing {
            return None;
        }
        self.state = State::Talking;
        Some(self.respond(&self.invite, "200 OK", &answer(&self.invite)))
    }

    fn response(&mut self, text: &str) -> Vec<String> {
        let status: u16 = text.get(8..11).and_then(|s| s.parse().ok()).unwrap_or(0);
        // The trunk is still being told that nobody is on hold: the phone page asks again, too.
        if status == 491 && header(text, "CSeq").ends_with("INFO") {
            return vec![self.wish("conference")];
        }
        if !header(text, "CSeq").ends_with("INVITE") || status < 200 || header(text, "Call-ID") != self.dialog[2] {
            return Vec::new();
        }
        header(text, "To").clone_into(&mut self.dialog[1]);
        if status < 300 {
            uri(header(text, "Contact")).clone_into(&mut self.dialog[3]);
            self.state = State::Talking;
        } else if self.state == State::Dialling {
            self.state = State::Free;
        }
        self.is_changing = false;
        vec![self.request("ACK", "", "")]
    }

    /// Begins an act; returns what to send.
    pub fn act(&mut self, act: &AgentAct) -> Vec<String> {
        match act {
            AgentAct::Answers => self.answer().into_iter().collect(),
            AgentAct::Dials(number) => vec![self.dial(number)],
            AgentAct::HangsUp => self.hang_up(),
            AgentAct::Holds => vec![self.reinvite("a=sendonly")],
            AgentAct::Retrieves => vec![self.reinvite("a=sendrecv")],
            AgentAct::Transfers(number) => {
                let more = format!("Refer-To: <sip:{number}@{}>\r\n", self.domain);
                vec![self.request("REFER", &more, "")]
            }
            AgentAct::Asks(number) => {
                let mut beside = Box::new(Phone::new(&self.dn, &self.domain));
                let out = vec![self.reinvite("a=sendonly"), beside.dial(number)];
                self.beside = Some(beside);
                out
            }
            AgentAct::Completes => vec![self.wish("transfer")],
            // As the phone page does: first back from hold, then the wish.
            AgentAct::Confers => vec![self.reinvite("a=sendrecv"), self.wish("conference")],
            AgentAct::Presses(keys) => keys.chars().map(|key| self.press(key)).collect(),
            _ => Vec::new(),
        }
    }

    /// What the phone page asks for within a call, with the one beside it.
    fn wish(&mut self, command: &str) -> String {
        let with = self.beside.as_ref().map_or("", |beside| &beside.dialog[2]);
        let body = format!("{{\"command\":\"{command}\",\"with\":\"{with}\"}}");
        let info = self.request("INFO", "", &body);
        info.replace("application/sdp", "application/vnd.crosspoint+json")
    }

    fn press(&mut self, key: char) -> String {
        let info = self.request("INFO", "", &format!("Signal={key}\r\nDuration=160\r\n"));
        info.replace("application/sdp", "application/dtmf-relay")
    }

    fn dial(&mut self, number: &str) -> String {
        self.state = State::Dialling;
        let to = format!("sip:{number}@{}", self.domain);
        self.dialog = [
            format!("<sip:{}@{}>;tag=d{number}", self.dn, self.domain),
            format!("<{to}>"),
            format!("dial-{number}-{}", self.log.len()),
            to,
        ];
        self.cseq = 0;
        let offer = self.sdp.clone();
        self.request("INVITE", "", &offer)
    }

    fn hang_up(&mut self) -> Vec<String> {
        let state = std::mem::replace(&mut self.state, State::Free);
        match state {
            State::Ringing => vec![self.respond(&self.invite, "603 Decline", "")],
            State::Dialling => {
                self.state = State::Dialling;
                vec![self.request("CANCEL", "", "")]
            }
            _ => vec![self.request("BYE", "", "")],
        }
    }

    fn reinvite(&mut self, direction: &str) -> String {
        self.is_changing = true;
        self.request("INVITE", "", &OFFER.replace("a=sendrecv", direction))
    }

    /// Tells whether an act is done.
    pub fn is_done(&self, act: &AgentAct) -> bool {
        match act {
            AgentAct::Rings => self.state == State::Ringing,
            AgentAct::Asks(_) => self.beside.as_ref().is_some_and(|b| b.state != State::Dialling) || !self.is_changing,
            AgentAct::Reads(words) => self.log.iter().any(|message| message.contains(words.as_str())),
            AgentAct::IsTalking => self.state == State::Talking,
            AgentAct::IsFree => self.state == State::Free,
            AgentAct::Holds | AgentAct::Retrieves => !self.is_changing,
            _ => true,
        }
    }
}
