//! Plays a script: told what arrives and the time, it says what is to be sent, played and done. No socket, no clock.
//!
//! ```text
//!  handle_input(datagram | heard | agent, now) ─► poll_output(): send, talk, play, listen, ask, agent, say, done
//!                                              ─► poll_timeout()
//! ```
//!
//! What arrives lies in a heap until a step takes it, in any order; what no step ever takes is a failure, and so is a
//! message that [`Lint`] does not like. Retransmissions are counted with their first and answered as that was.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::message::{Description, read_sdp};
use super::super::{LabCallReport, Sound};
use super::check;
use super::lint::Lint;
use super::script::{AgentAct, Heard, Line, Params, Pattern, Script, Step, Test};
use super::text;
use super::words::{Seen, Words};

/// How long an end is listened to before it is asked again.
const ASK: Duration = Duration::from_millis(200);
/// What sound may take longer on a busy machine, where there is patience at all.
const SLACK: Duration = Duration::from_secs(10);
/// What still comes after the last step.
const SETTLE: Duration = Duration::from_millis(300);
/// A wait of this length is told to whoever looks on.
const TOLD: Duration = Duration::from_secs(1);

/// Where a scenario is played.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The gateway's SIP address.
    pub gateway: SocketAddr,
    /// Addresses of the SIP Server by name; the first is `server`.
    pub peers: Vec<(String, SocketAddr)>,
    /// Addresses of the RTP ends by name.
    pub ends: Vec<(String, SocketAddr)>,
    /// DN of the agent.
    pub dn: String,
    /// What the agent sends; `None`: a person, who may keep silent.
    pub agent_hz: Option<u16>,
    /// There is media; without it nothing is listened to.
    pub media: bool,
    /// Added to every wait: a person is slower than a test.
    pub patience: Duration,
    /// 32 characters that make this run's identifiers unlike any other's.
    pub guid: String,
}

/// What happens to a player.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A datagram came to a peer's socket.
    Datagram {
        /// Position in [`Stage::peers`].
        peer: usize,
        /// Its source.
        from: SocketAddr,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// What an end heard, as [`Output::Ask`] wished.
    Heard(LabCallReport),
    /// What came of the last [`Output::Agent`].
    Agent(Result<(), String>),
}

/// What a player wants done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Output {
    /// Send from a peer's socket.
    Send { peer: usize, to: SocketAddr, bytes: Vec<u8> },
    /// Send this end's audio there.
    Talk { end: usize, remote: Description },
    /// Play this.
    Play { end: usize, sound: Sound },
    /// Forget what was heard.
    Listen { end: usize },
    /// Answer by [`Input::Heard`].
    Ask { end: usize },
    /// Answer by [`Input::Agent`].
    Agent(AgentAct),
    /// For the person who looks on.
    Say(String),
    /// It is over.
    Done(Result<(), String>),
}

enum Progress {
    Done,
    /// Look again then.
    Until(Instant),
}

/// One run of a script.
#[derive(Debug)]
pub(super) struct Player {
    steps: Vec<Line>,
    at: usize,
    entered: Option<Instant>,
    /// The step that runs has told the driver what it wants.
    is_begun: bool,
    words: Words,
    lint: Lint,
    autos: Vec<(String, String)>,
    later: Vec<(Instant, usize, Vec<u8>)>,
    wake: Option<Instant>,
    /// Answers of the driver to the step that runs.
    answer: Option<Result<(), String>>,
    out: VecDeque<Output>,
    is_over: bool,
}

impl Player {
    /// Begins at the first step with the next [`Player::handle_timeout`].
    pub fn new(script: Script, stage: Stage) -> Self {
        let expects = |m: &str| {
            script
                .steps
                .iter()
                .any(|l| matches!(&l.step, Step::Expect { what, .. } if what.method == m && what.status.is_none()))
        };
        let defaults = [("OPTIONS", "ok"), ("REGISTER", "ok-register")].into_iter().filter(|(m, _)| !expects(m));
        let autos = defaults.map(|(m, s)| (m.to_owned(), s.to_owned())).collect();
        Player {
            steps: script.steps,
            at: 0,
            entered: None,
            is_begun: false,
            words: Words::new(stage),
            lint: Lint::default(),
            autos,
            later: Vec::new(),
            wake: None,
            answer: None,
            out: VecDeque::new(),
            is_over: false,
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`Player::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.later.iter().map(|l| l.0).chain(self.wake).min()
    }

    pub fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        if self.is_over {
            return;
        }
        match input {
            Input::Datagram { peer, from, bytes } => {
                if let Err(why) = self.arrive(peer, from, bytes, now) {
                    return self.fail(&why);
                }
            }
            Input::Heard(report) => self.judge(&report, now),
            Input::Agent(result) => self.answer = Some(result),
        }
        self.handle_timeout(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|l| l.0 <= now);
        self.later = later;
        let due: Vec<(Instant, usize, Vec<u8>)> = due;
        for (_, peer, bytes) in due {
            self.transmit(peer, bytes);
        }
        while !self.is_over {
            let entered = *self.entered.get_or_insert(now);
            self.wake = None;
            let progress = match self.steps.get(self.at).cloned() {
                Some(line) => self.step(&line, entered, now),
                None => return self.finish(entered, now),
            };
            match progress {
                Ok(Progress::Done) => {
                    self.at += 1;
                    self.entered = None;
                    self.is_begun = false;
                    self.answer = None;
                }
                Ok(Progress::Until(when)) => {
                    self.wake = Some(when);
                    return;
                }
                Err(why) => return self.fail(&why),
            }
        }
    }

    fn fail(&mut self, why: &str) {
        let line = self.steps.get(self.at).map_or("the end", |l| l.text.as_str());
        let told = format!("{line}\n  {why}\n{}", self.words.leftovers());
        self.is_over = true;
        self.wake = None;
        self.later.clear();
        self.out.push_back(Output::Done(Err(told)));
    }

    fn finish(&mut self, entered: Instant, now: Instant) {
        let due = self.later.iter().map(|l| l.0).max().unwrap_or(entered) + SETTLE;
        if now < due {
            self.wake = Some(due);
            return;
        }
        if self.words.unexpected().is_some() {
            return self.fail("came, and no step wanted it");
        }
        self.is_over = true;
        self.out.push_back(Output::Done(Ok(())));
    }

    fn say(&mut self, words: String) {
        self.out.push_back(Output::Say(words));
    }

    fn transmit(&mut self, peer: usize, bytes: Vec<u8>) {
        self.out.push_back(Output::Send { peer, to: self.words.stage.gateway, bytes });
    }

    /// A datagram of the gateway.
    fn arrive(&mut self, peer: usize, from: SocketAddr, bytes: &[u8], now: Instant) -> Result<(), String> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(bytes).into_owned();
        if let Some(again) = self.words.again(&shown) {
            // Ours was late or lost: what answered the first answers this.
            if let Some((peer, bytes)) = again {
                self.transmit(peer, bytes);
            }
            return Ok(());
        }
        let dn = self.words.stage.dn.clone();
        self.lint.received(bytes, from, &dn).map_err(|why| format!("{why}:\n{shown}"))?;
        self.say(format!("  <- {}", text::first_line(&shown)));
        let method = text::method(&shown).to_owned();
        let is_request = text::status(&shown).is_none();
        let name = self.words.take_in(peer, shown, now);
        let auto = self.autos.iter().find(|(m, _)| is_request && *m == method).map(|(_, shape)| shape.clone());
        if let Some(shape) = auto {
            self.words.mark_auto(&name);
            self.send(peer, &shape, &vec![("of".to_owned(), name)], "", now)?;
        }
        Ok(())
    }

    fn send(&mut self, peer: usize, shape: &str, params: &Params, name: &str, now: Instant) -> Result<(), String> {
        let message = self.words.write(peer, shape, params)?;
        self.lint.sent(&message);
        self.say(format!("  -> {}", text::first_line(&message)));
        self.transmit(peer, message.clone().into_bytes());
        self.words.sent(peer, message, name, now);
        Ok(())
    }

    fn step(&mut self, line: &Line, entered: Instant, now: Instant) -> Result<Progress, String> {
        match &line.step {
            Step::Send { peer, shape, params, name } => {
                let peer = self.words.peer(peer)?;
                self.send(peer, shape, params, name, now)?;
            }
            Step::Again { name, at } => {
                let first = self.words.find(name)?.clone();
                let bytes = first.text.into_bytes();
                self.later.extend(at.iter().map(|at| (first.at + *at, first.peer, bytes.clone())));
            }
            Step::Expect { what, within, name } => return self.expect(what, entered + *within, name, now),
            Step::Never { what, during } => {
                if let Some(seen) = self.words.first(what)? {
                    return Err(format!("it came: {}", seen.text));
                }
                self.tell_of_a_wait(*during, &line.text);
                return Ok(until(entered + *during, now));
            }
            Step::Check { name, header, test } => self.check(name, header, test)?,
            Step::Repeated { name, least, most } => {
                let repeats = self.words.find(name)?.repeats;
                if !(*least..=*most).contains(&repeats) {
                    return Err(format!("it came {repeats} times more"));
                }
            }
            Step::Elapsed { from, to, least, most } => {
                let took = self.words.find(to)?.at.saturating_duration_since(self.words.find(from)?.at);
                if took < *least || took > *most + self.words.stage.patience {
                    return Err(format!("it took {took:?}"));
                }
            }
            Step::Auto { method, shape } => self.autos.insert(0, (method.clone(), shape.clone())),
            Step::Agent { act, within } => return self.agent(act, entered, *within, now),
            Step::Wait(time) => {
                self.tell_of_a_wait(*time, &line.text);
                return Ok(until(entered + *time, now));
            }
            Step::Talk { end, name, pt } => {
                let message = self.words.find(name)?;
                let mut remote = read_sdp(text::body_of(&message.text))
                    .ok_or_else(|| format!("no audio that the lab speaks in the SDP of {}", message.text))?;
                remote.pt = pt.unwrap_or(remote.pt);
                let end = self.words.end(end)?;
                self.out.push_back(Output::Talk { end, remote });
            }
            Step::Play { end, hz, dbm0 } => {
                let sound = if *hz == 0 { Sound::Silence } else { Sound::Tone { hz: *hz, dbm0: *dbm0 } };
                let end = self.words.end(end)?;
                self.out.push_back(Output::Play { end, sound });
            }
            Step::Hear { end, what, within } => return self.hear(end, what, entered, *within, now),
        }
        Ok(Progress::Done)
    }

    /// A person should not wonder whether it goes on.
    fn tell_of_a_wait(&mut self, time: Duration, line: &str) {
        if !std::mem::replace(&mut self.is_begun, true) && time >= TOLD {
            self.say(format!("  ... {line}"));
        }
    }

    fn expect(&mut self, what: &Pattern, until: Instant, name: &str, now: Instant) -> Result<Progress, String> {
        let until = until + self.words.stage.patience;
        if let Some(seen) = self.words.first(what)? {
            let own = seen.name.clone();
            self.words.mark_taken(&own);
            if !name.is_empty() {
                self.words.rename(&own, name);
            }
            return Ok(Progress::Done);
        }
        if let Some(other) = self.words.other_end(what)? {
            return Err(format!("another final response came: {other}"));
        }
        if now >= until { Err("it did not come".to_owned()) } else { Ok(Progress::Until(until)) }
    }

    fn check(&self, name: &str, header: &str, test: &Test) -> Result<(), String> {
        let seen: &Seen = self.words.find(name)?;
        let wanted = match test {
            Test::Is(v) | Test::Has(v) | Test::HasNot(v) | Test::User(v) => self.words.expand(v)?,
            Test::Digest { user, password } => self.words.expand(&format!("{user} {password}"))?,
            Test::There | Test::Absent => String::new(),
        };
        let values: Vec<&str> = match header {
            "body" => vec![text::body_of(&seen.text)],
            "uri" => vec![text::first_line(&seen.text).split(' ').nth(1).unwrap_or_default()],
            header => text::all(&seen.text, header).collect(),
        };
        let method = text::method(&seen.text);
        check::header(test, &wanted, &values, method).map_err(|why| format!("{why} in\n{}", seen.text))
    }

    fn agent(&mut self, act: &AgentAct, entered: Instant, within: Duration, now: Instant) -> Result<Progress, String> {
        let needs_media = matches!(act, AgentAct::Hears { .. } | AgentAct::HearsSilence);
        if needs_media && !self.words.stage.media {
            return Ok(Progress::Done);
        }
        if !std::mem::replace(&mut self.is_begun, true) {
            self.out.push_back(Output::Agent(act.clone()));
        }
        match self.answer.take() {
            Some(Ok(())) => return Ok(Progress::Done),
            Some(Err(why)) => return Err(why),
            None => {}
        }
        let until = entered + within + self.words.stage.patience;
        if now >= until { Err("the agent did not".to_owned()) } else { Ok(Progress::Until(until)) }
    }

    fn hear(
        &mut self,
        end: &str,
        what: &Heard,
        entered: Instant,
        within: Duration,
        now: Instant,
    ) -> Result<Progress, String> {
        if !self.words.stage.media {
            return Ok(Progress::Done);
        }
        let patience = self.words.stage.patience;
        let slack = if what.waits_for_a_person() { patience } else { patience.min(SLACK) };
        // Silence is listened to for as long as it says.
        let within = if *what == Heard::Silence { within } else { within + slack };
        let end = self.words.end(end)?;
        if !std::mem::replace(&mut self.is_begun, true) {
            self.out.push_back(Output::Listen { end });
            return Ok(Progress::Until(now + if *what == Heard::Silence { within } else { ASK }));
        }
        match self.answer.take() {
            Some(Ok(())) => return Ok(Progress::Done),
            Some(Err(why)) if now >= entered + within || *what == Heard::Silence => return Err(why),
            _ if now >= entered + within * 2 + slack => return Err("nothing was heard".to_owned()),
            _ => {}
        }
        self.out.push_back(Output::Ask { end });
        Ok(Progress::Until(now + ASK))
    }

    fn judge(&mut self, report: &LabCallReport, now: Instant) {
        let Some(Line { step: Step::Hear { end, what, .. }, .. }) = self.steps.get(self.at) else { return };
        let verdict = check::heard(report, what, self.words.stage.agent_hz);
        if let (Some(Err(_)), Ok(end), true) = (&verdict, self.words.end(end), *what != Heard::Silence) {
            // What was heard before the change is forgotten: the next look is at what comes from here on.
            self.out.push_back(Output::Listen { end });
        }
        self.answer = verdict;
        let _ = now;
    }
}

fn until(when: Instant, now: Instant) -> Progress {
    if now >= when { Progress::Done } else { Progress::Until(when) }
}
