//! The language of scenarios: one step per line, read once, checked before anything is sent.
//!
//! ```text
//! # The first line says what happens.
//! peer second                             another address of the SIP Server
//! end a                                   an RTP end; `end b at second` at that address
//! config trunk.0.refer = false            a key of the gateway's configuration
//! include inbound                         the steps of another scenario
//! send invite call=1 branch=1 body=sdp/full end=a as invite
//! expect 200 INVITE call=1 within 5s as answer
//! never BYE call=1 for 2s
//! check answer Contact user {dn}
//! repeated answer 8 to 10
//! again notify at 500ms 1500ms
//! elapsed notify answer under 100ms
//! auto OPTIONS ok
//! talk a to answer                        the SDP of `answer`; `talk a to offer pt 8` where we chose
//! tone a 440                              or `tone a 440 loud`
//! hear a agent within 3s                  or its keys: `hear a keys 12#`
//! agent answers
//! wait 1s
//! ```

use std::time::Duration;

/// A step may take so long where the script does not say.
const PATIENCE: Duration = Duration::from_secs(5);
/// The level of tones, dBm0.
const LEVEL: i8 = -10;
/// That of loud ones, which come before a person's voice.
const LOUD: i8 = -3;
/// Includes may nest so deep.
const DEPTH: usize = 4;

/// One scenario as it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Script {
    pub about: String,
    /// Further addresses of the SIP Server, beside `server`.
    pub peers: Vec<String>,
    /// RTP ends, each at the address of a peer.
    pub ends: Vec<(String, String)>,
    /// Keys of the gateway's configuration with their values in TOML; both may hold placeholders.
    pub config: Vec<(String, String)>,
    pub steps: Vec<Line>,
}

/// A step with the line that it stood in, for the report.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub text: String,
    pub step: Step,
}

/// Name and value, in the order of the line.
pub(super) type Params = Vec<(String, String)>;

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern {
    /// `200`, `18x`, or nothing for a request.
    pub status: Option<String>,
    pub method: String,
    /// `call=1` (a dialog that we began) or `of=NAME` (that of a message); `at=PEER` (where it came to); `has=TEXT`;
    /// `frag=STATUS` (its body is a sipfrag of this status).
    pub of: Params,
}

/// What a header is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Is(String),
    Has(String),
    HasNot(String),
    /// The user part of its URI.
    User(String),
    There,
    Absent,
    /// Digest credentials of this user name and password.
    Digest {
        user: String,
        password: String,
    },
}

/// What an RTP end should hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The agent's voice.
    Agent,
    /// This frequency, Hz.
    Tone(u16),
    /// Packets of silence, or none at all.
    Silence,
    /// Something that is no silence: music.
    Sound,
    /// These keys, the last of all that were pressed (RFC 4733).
    Keys(String),
}

impl Heard {
    /// Waits for what a person does.
    pub fn waits_for_a_person(&self) -> bool {
        matches!(self, Heard::Keys(_))
    }
}

/// What the agent does, or must see; a person reads it, a test carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAct {
    /// Signs in, after signing out where that is needed. A test's phone is signed in before the scenario begins.
    SignsIn,
    /// Signs out.
    SignsOut,
    /// Is told by the phone page something with this in it.
    Reads(String),
    /// The phone rings.
    Rings,
    /// Presses Answer.
    Answers,
    /// Dials a number.
    Dials(String),
    /// Ends the call, or refuses it while it rings.
    HangsUp,
    /// Presses Hold.
    Holds,
    /// Presses it again.
    Retrieves,
    /// Sends the call to a number: a blind transfer.
    Transfers(String),
    /// Puts the call on hold and calls a number beside it.
    Asks(String),
    /// Hands the call on to whom was asked.
    Completes,
    /// Makes three of the two calls.
    Confers,
    /// Presses keys in the call.
    Presses(String),
    /// Sees the call established.
    IsTalking,
    /// Sees the call end.
    IsFree,
    /// Hears a tone.
    Hears {
        /// Its frequency, Hz.
        hz: u16,
        /// Its level, dBm0.
        dbm0: i8,
    },
    /// Hears nothing.
    HearsSilence,
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Send {
        peer: String,
        shape: String,
        params: Params,
        name: String,
    },
    Again {
        name: String,
        at: Vec<Duration>,
    },
    Expect {
        what: Pattern,
        within: Duration,
        name: String,
    },
    Never {
        what: Pattern,
        during: Duration,
    },
    Check {
        name: String,
        header: String,
        test: Test,
    },
    Repeated {
        name: String,
        least: usize,
        most: usize,
    },
    Elapsed {
        from: String,
        to: String,
        least: Duration,
        most: Duration,
    },
    Auto {
        method: String,
        shape: String,
    },
    /// `pt`: what was answered to the offer in that message; without it, its first.
    Talk {
        end: String,
        name: String,
        pt: Option<u8>,
    },
    Play {
        end: String,
        hz: u16,
        dbm0: i8,
    },
    Hear {
        end: String,
        what: Heard,
        within: Duration,
    },
    Agent {
        act: AgentAct,
        within: Duration,
    },
    Wait(Duration),
}

/// Reads a script; `find` returns the text of those that it includes.
///
/// # Errors
/// One line: which line, and what is wrong with it.
pub(super) fn parse(text: &str, find: &dyn Fn(&str) -> Option<&'static str>) -> Result<Script, String> {
    let mut script = Script::default();
    read(text, find, &mut script, 0)?;
    Ok(script)
}

fn read(
    text: &str,
    find: &dyn Fn(&str) -> Option<&'static str>,
    script: &mut Script,
    depth: usize,
) -> Result<(), String> {
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            if at == 0 && depth == 0 {
                script.about = comment.trim().to_owned();
            }
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = |why: &str| format!("line {} ({line}): {why}", at + 1);
        match words[..] {
            [] => {}
            ["peer", name] => add(&mut script.peers, name.to_owned()),
            ["end", name] => add(&mut script.ends, (name.to_owned(), "server".to_owned())),
            ["end", name, "at", peer] => add(&mut script.ends, (name.to_owned(), peer.to_owned())),
            ["config", key, "=", ..] => {
                let value = line.split_once('=').map_or("", |(_, value)| value.trim());
                script.config.push((key.to_owned(), value.to_owned()));
            }
            ["include", name] if depth < DEPTH => {
                let other = find(name).ok_or_else(|| wrong("no such scenario"))?;
                read(other, find, script, depth + 1)?;
            }
            _ => {
                let step = step(&words).ok_or_else(|| wrong("not understood"))?;
                script.steps.push(Line { text: line.to_owned(), step });
            }
        }
    }
    Ok(())
}

fn add<T: PartialEq>(list: &mut Vec<T>, one: T) {
    if !list.contains(&one) {
        list.push(one);
    }
}

fn step(words: &[&str]) -> Option<Step> {
    Some(match *words {
        ["send", ref rest @ ..] => {
            let (rest, name) = named(rest)?;
            let (rest, peer) = match rest {
                ["from", peer, rest @ ..] => (rest, (*peer).to_owned()),
                rest => (rest, "server".to_owned()),
            };
            let (shape, params) = rest.split_first()?;
            Step::Send { peer, shape: (*shape).to_owned(), params: pairs(params)?, name }
        }
        ["again", name, "at", ref times @ ..] => {
            Step::Again { name: name.to_owned(), at: times.iter().map(|t| duration(t)).collect::<Option<_>>()? }
        }
        ["expect", ref rest @ ..] => {
            let (rest, name) = named(rest)?;
            let (rest, within) = timed(rest, "within")?;
            Step::Expect { what: pattern(rest)?, within, name }
        }
        ["never", ref rest @ ..] => {
            let (rest, during) = timed(rest, "for")?;
            Step::Never { what: pattern(rest)?, during }
        }
        ["check", name, header, ref test @ ..] => {
            Step::Check { name: name.to_owned(), header: header.to_owned(), test: check(test)? }
        }
        ["repeated", name, least, "to", most] => {
            Step::Repeated { name: name.to_owned(), least: least.parse().ok()?, most: most.parse().ok()? }
        }
        ["elapsed", from, to, "under", most] => {
            Step::Elapsed { from: from.into(), to: to.into(), least: Duration::ZERO, most: duration(most)? }
        }
        ["elapsed", from, to, least, "to", most] => {
            Step::Elapsed { from: from.into(), to: to.into(), least: duration(least)?, most: duration(most)? }
        }
        ["auto", method, shape] => Step::Auto { method: method.to_owned(), shape: shape.to_owned() },
        ["talk", end, "to", name] => Step::Talk { end: end.to_owned(), name: name.to_owned(), pt: None },
        ["talk", end, "to", name, "pt", pt] => {
            Step::Talk { end: end.to_owned(), name: name.to_owned(), pt: Some(pt.parse().ok()?) }
        }
        ["tone", end, hz] => Step::Play { end: end.to_owned(), hz: hz.parse().ok()?, dbm0: LEVEL },
        ["tone", end, hz, "loud"] => Step::Play { end: end.to_owned(), hz: hz.parse().ok()?, dbm0: LOUD },
        ["hear", end, ref rest @ ..] => {
            let (rest, within) = timed(rest, "within")?;
            let what = match rest {
                ["agent"] => Heard::Agent,
                ["silence"] => Heard::Silence,
                ["sound"] => Heard::Sound,
                ["keys", keys] => Heard::Keys((*keys).to_owned()),
                [hz] => Heard::Tone(hz.parse().ok()?),
                _ => return None,
            };
            Step::Hear { end: end.to_owned(), what, within }
        }
        ["agent", ref rest @ ..] => {
            let (rest, within) = timed(rest, "within")?;
            Step::Agent { act: act(rest)?, within: within.max(Duration::from_secs(20)) }
        }
        ["wait", time] => Step::Wait(duration(time)?),
        _ => return None,
    })
}

/// Splits `… as NAME` off.
fn named<'a, 'b>(words: &'a [&'b str]) -> Option<(&'a [&'b str], String)> {
    match words {
        [rest @ .., "as", name] => Some((rest, (*name).to_owned())),
        rest => Some((rest, String::new())),
    }
}

/// Splits `… within 5s` off.
fn timed<'a, 'b>(words: &'a [&'b str], word: &str) -> Option<(&'a [&'b str], Duration)> {
    match words {
        [rest @ .., w, time] if *w == word => Some((rest, duration(time)?)),
        rest => Some((rest, PATIENCE)),
    }
}

fn pairs(words: &[&str]) -> Option<Params> {
    words.iter().map(|w| w.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect()
}

fn pattern(words: &[&str]) -> Option<Pattern> {
    let is_status = |w: &str| w.len() == 3 && w.starts_with(|c: char| c.is_ascii_digit());
    match words {
        [status, method, of @ ..] if is_status(status) => {
            Some(Pattern { status: Some((*status).to_owned()), method: (*method).to_owned(), of: pairs(of)? })
        }
        [method, of @ ..] if method.bytes().all(|b| b.is_ascii_uppercase()) => {
            Some(Pattern { status: None, method: (*method).to_owned(), of: pairs(of)? })
        }
        _ => None,
    }
}

fn check(words: &[&str]) -> Option<Test> {
    Some(match words {
        ["there"] => Test::There,
        ["absent"] => Test::Absent,
        ["is", value @ ..] => Test::Is(value.join(" ")),
        ["has", value @ ..] => Test::Has(value.join(" ")),
        ["lacks", value @ ..] => Test::HasNot(value.join(" ")),
        ["user", value] => Test::User((*value).to_owned()),
        ["digest", user, password] => Test::Digest { user: (*user).to_owned(), password: (*password).to_owned() },
        _ => return None,
    })
}

fn act(words: &[&str]) -> Option<AgentAct> {
    Some(match words {
        ["signs-in"] => AgentAct::SignsIn,
        ["signs-out"] => AgentAct::SignsOut,
        ["reads", words @ ..] => AgentAct::Reads(words.join(" ")),
        ["rings"] => AgentAct::Rings,
        ["answers"] => AgentAct::Answers,
        ["dials", number] => AgentAct::Dials((*number).to_owned()),
        ["hangs-up"] => AgentAct::HangsUp,
        ["holds"] => AgentAct::Holds,
        ["retrieves"] => AgentAct::Retrieves,
        ["transfers", "to", number] => AgentAct::Transfers((*number).to_owned()),
        ["asks", number] => AgentAct::Asks((*number).to_owned()),
        ["completes"] => AgentAct::Completes,
        ["confers"] => AgentAct::Confers,
        ["presses", keys] => AgentAct::Presses((*keys).to_owned()),
        ["is", "talking"] => AgentAct::IsTalking,
        ["is", "free"] => AgentAct::IsFree,
        ["hears", "silence"] => AgentAct::HearsSilence,
        ["hears", hz] => AgentAct::Hears { hz: hz.parse().ok()?, dbm0: LEVEL },
        ["hears", hz, "loud"] => AgentAct::Hears { hz: hz.parse().ok()?, dbm0: LOUD },
        _ => return None,
    })
}

/// Reads `500ms`, `5s` or `23.5s`.
fn duration(word: &str) -> Option<Duration> {
    if let Some(ms) = word.strip_suffix("ms") {
        return ms.parse().ok().map(Duration::from_millis);
    }
    let seconds: f64 = word.strip_suffix('s')?.parse().ok()?;
    (0.0..3600.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<Step, String> {
        parse(line, &|_| None).map(|script| script.steps[0].step.clone())
    }

    #[test]
    fn a_step_is_read_with_its_name_its_time_and_its_dialog() {
        let step = one("expect 18x INVITE call=1 within 1.5s as ringing").unwrap();
        let of = vec![("call".to_owned(), "1".to_owned())];
        let what = Pattern { status: Some("18x".into()), method: "INVITE".into(), of };
        assert_eq!(step, Step::Expect { what, within: Duration::from_millis(1500), name: "ringing".into() });
        assert_eq!(
            one("agent hears 440").unwrap(),
            Step::Agent { act: AgentAct::Hears { hz: 440, dbm0: -10 }, within: Duration::from_secs(20) }
        );
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        for line in ["expect", "wait long", "send invite call", "agent sleeps", "hear a 9,5", "again x at"] {
            let text = format!("# about\n{line}");
            let told = parse(&text, &|_| None);
            if line == "again x at" {
                assert!(told.is_ok());
                continue;
            }
            assert!(told.as_ref().is_err_and(|e| e.starts_with("line 2 ")), "{line}: {told:?}");
        }
        assert!(parse("include none", &|_| None).is_err());
    }

    #[test]
    fn an_included_script_adds_its_steps_and_ends_once() {
        let find = |name: &str| (name == "other").then_some("# other\nend a\nwait 1s");
        let script = parse("# mine\nend a\ninclude other\nwait 2s", &find).unwrap();
        assert_eq!((script.about.as_str(), script.ends.len(), script.steps.len()), ("mine", 1, 2));
    }

    #[test]
    fn a_script_that_includes_itself_is_refused() {
        let find = |_: &str| Some("include me");
        assert!(parse("include me", &find).is_err());
    }
}
