//! A floor of agents with the phone page open, in front of the lab: what each says and hears is a tone of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crosspoint::config::Config;
use crosspoint::lab::{self, Behaviour, Customer, CustomerStatus, LabCall, LabCallReport, LabConfig, LabHandle, Sound};
use serde_json::{Value, json};

use crate::agent::{AMPLITUDE, STEP};
use crate::calls::{AGENT_DBM0, LAB_DBFS, LAB_DBM0, LAB_HZ};
use crate::desktop::{connects, has_finished_its_work};
use crate::phone::{click, element, text_becomes};
use crate::rig::{PASSWORD, Rig, free_udp_port};
use crate::shift::agents;
use crate::webdriver::{Browser, Kind};

/// The lab's customer.
pub const CUSTOMER: &str = "5551234567";
/// What it dials.
pub const NUMBER: &str = "18005551234";
/// What whoever is called at [`THIRD`] says.
pub const THIRD_HZ: u16 = 700;
/// Louder than an agent and a customer, so that it is the strongest of three.
const THIRD_DBM0: i8 = -4;
/// A number of the lab that answers with a tone.
pub const THIRD: &str = "6001";
/// What a customer hears while it is on hold.
pub const MUSIC_HZ: u16 = 1500;

/// In place of the microphone: a tone, as loud as the agents of the other tests are.
const MICROPHONE: &str = "
    const context = new AudioContext({ sampleRate: 48000 });
    await context.resume();
    const wave = new OscillatorNode(context, { frequency: args[0] });
    const sink = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    wave.connect(new GainNode(context, { gain: args[1] })).connect(sink);
    wave.start();
    window.microphone = { context, wave, sink };
    navigator.mediaDevices.getUserMedia = async () => sink.stream.clone();";

/// Levels (RMS, dBFS) of the tones that are asked for, the strongest frequency (Hz), and all that is heard (dBFS), of 0.7 s.
const LISTEN: &str = "
    const stream = document.getElementById('remote').srcObject;
    if (!stream) return { hz: 0, total: -120, tones: args.map(() => -120) };
    const context = new AudioContext({ sampleRate: 48000 });
    await context.resume();
    const analyser = new AnalyserNode(context, { fftSize: 32768 });
    context.createMediaStreamSource(stream).connect(analyser);
    await new Promise((done) => setTimeout(done, 1200));
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    await context.close();
    const decibel = (power) => 10 * Math.log10(Math.max(power, 1e-12));
    const level = (hz) => {
        const c = 2 * Math.cos((2 * Math.PI * hz) / 48000);
        let [a, b] = [0, 0];
        for (const s of samples) [a, b] = [s + c * a - b, a];
        return decibel((2 * (a * a + b * b - c * a * b)) / samples.length ** 2);
    };
    const total = decibel(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
    return { hz: bins.indexOf(Math.max(...bins)) * 48000 / analyser.fftSize, total, tones: args.map(level) };";

/// A gateway with the agents 5001 and 5002, the lab behind it, and nobody at work yet.
pub struct Floor {
    pub rig: Rig,
    pub lab: LabHandle,
}

impl Floor {
    pub async fn open() -> Floor {
        Floor::open_with("").await
    }

    /// As [`Floor::open`]; `desk` is added to what the desk is.
    pub async fn open_with(desk: &str) -> Floor {
        let trunk = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), free_udp_port()));
        let more = format!("{}\n[hold]\nmusic = \"tone:{MUSIC_HZ}\"", agents(desk));
        let rig = Rig::start(trunk, &more).await;
        let file = Config::parse(&rig.text, "test.toml", []).expect("it was good before");
        let third = Behaviour::Answer(Sound::Tone { hz: THIRD_HZ, dbm0: THIRD_DBM0 });
        let config = LabConfig {
            sip: trunk,
            gateway: rig.sip(),
            numbers: vec![(THIRD.to_owned(), third)],
            ..LabConfig::of(&file)
        };
        let told = lab::floor::of(rig.app.remote(), &config.queues).await;
        let lab = lab::start_with(config, Some(told)).expect("the lab starts");
        Floor { rig, lab }
    }

    /// Where the page is.
    pub fn page(&self) -> String {
        format!("http://localhost:{}/", self.rig.app.addresses().http[1].port())
    }

    /// A customer dials [`NUMBER`].
    pub async fn customer(&self) -> Customer {
        self.lab.customer(NUMBER).await.expect("the number is routed")
    }

    /// The lab's call with `number`, as soon as there is one.
    pub async fn line(&self, number: &str) -> LabCall {
        let begun = std::time::Instant::now();
        loop {
            if let Some(call) = self.lab.calls().await.into_iter().find(|call| call.number() == number) {
                return call;
            }
            assert!(begun.elapsed() < STEP, "the lab has no call with {number}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// No call is left in the gateway, and the lab could read all that it was sent.
    pub async fn is_empty(&self) {
        let begun = std::time::Instant::now();
        loop {
            let calls = self.rig.app.figures().await.expect("the gateway runs").snapshot.calls;
            if calls.is_empty() {
                break;
            }
            assert!(begun.elapsed() < STEP, "a call is left: {calls:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(self.lab.complaints(), [""; 0]);
    }

    /// Ends all of it.
    pub async fn closes(self) {
        self.lab.stop().await;
        self.rig.app.shutdown().await;
    }
}

/// The tone of the customer, in place of the echo that the lab gives it.
pub async fn speaks(customer: &LabCall) {
    customer.play(Sound::Tone { hz: LAB_HZ, dbm0: LAB_DBM0 }).await;
}

/// What a desktop shows of the customer, whoever has the call.
pub fn is_the_customer(pop: &Value) {
    let known = [
        ("peer", CUSTOMER),
        ("Dialled", NUMBER),
        ("customer_id", "98765"),
        ("account_type", "premium"),
        ("call_reason", "support"),
    ];
    for (name, value) in known {
        assert_eq!(pop[name], value, "{name} of the screen pop: {pop}");
    }
}

/// Waits until the customer stands so.
pub async fn stands(customer: &mut Customer, wanted: CustomerStatus) {
    let found = tokio::time::timeout(STEP, customer.wait_for(|status| *status == wanted)).await;
    assert_eq!(found.unwrap_or_else(|_| customer.status()), wanted, "how the customer stands");
}

/// Waits until somebody in the lab hears a tone of `hz` as its strongest; returns what it heard.
pub async fn is_heard(who: &str, call: &LabCall, hz: u16) -> LabCallReport {
    let begun = std::time::Instant::now();
    loop {
        // A second is what is measured.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let report = call.report().await.expect("it has media");
        if (i32::from(report.dominant_hz) - i32::from(hz)).abs() <= 10 {
            return report;
        }
        assert!(begun.elapsed() < STEP, "{who} does not hear {hz} Hz: {report:?}");
    }
}

/// One agent at work: a browser of its own with the phone and the desktop.
pub struct Seat {
    pub browser: Browser,
    dn: &'static str,
    hz: u16,
}

impl Seat {
    /// Signs the phone of a DN in, with a tone as its microphone, and connects the desktop of its agent.
    pub async fn take(floor: &Floor, dn: &'static str, hz: u16) -> Seat {
        let seat = Seat::sign_in(floor, dn, hz).await;
        seat.connects().await;
        seat
    }

    /// As [`Seat::take`], but for the desktop.
    pub async fn sign_in(floor: &Floor, dn: &'static str, hz: u16) -> Seat {
        let browser = Browser::open(Kind::Chromium, &floor.page(), None).await;
        let seat = Seat { browser, dn, hz };
        seat.sits_down().await;
        seat.picks_up_the_phone().await;
        seat
    }

    /// Gives the page that was just opened its microphone, and waits until it knows its gateway.
    pub async fn sits_down(&self) {
        self.browser.run(MICROPHONE, &[json!(self.hz), json!(AMPLITUDE)]).await.expect("a tone");
        let knows = "return document.getElementById('gws').checkVisibility()";
        self.browser.until("the page knows its gateway", knows, STEP).await;
    }

    /// Signs the phone in.
    pub async fn picks_up_the_phone(&self) {
        for (id, text) in [("dn", self.dn), ("password", PASSWORD)] {
            let field = element(&self.browser, id).await;
            field.clear().await.expect("empty");
            field.send_keys(text).await.expect("typed");
        }
        click(&self.browser, "sign-in-button").await;
        text_becomes(&self.browser, "registration", "Registered").await;
    }

    /// Connects the desktop.
    pub async fn connects(&self) {
        connects(&self.browser, &format!("agent{}", self.dn), "secret").await;
        text_becomes(&self.browser, "gws-status", "Connected").await;
    }

    /// Says that it is ready, and waits until the server says so too.
    pub async fn is_ready(&self) {
        click(&self.browser, "gws-ready").await;
        text_becomes(&self.browser, "gws-state", "Ready").await;
        let green = "return document.getElementById('gws-dot').dataset.state === 'registered'";
        self.browser.until("the light is green", green, STEP).await;
    }

    /// Waits until the desktop has a call in this state, and returns what is known of it.
    pub async fn shows(&self, state: &str) -> Value {
        let facts = "const card = document.querySelector(`#gws-calls article[data-state=${args[0]}]`); if (!card) return null;\
            const facts = [...card.querySelectorAll('dt')].map((name) => [name.textContent, name.nextElementSibling.textContent]);\
            return { peer: card.querySelector('.peer').textContent, ...Object.fromEntries(facts) };";
        let begun = std::time::Instant::now();
        loop {
            let found = self.browser.run(facts, &[json!(state)]).await.unwrap_or_else(|e| panic!("{}: {e}", self.dn));
            if !found.is_null() {
                return found;
            }
            let all = self.browser.run("return document.getElementById('gws-calls').innerText", &[]).await;
            assert!(begun.elapsed() < STEP, "the desktop of {} has no call that is {state}: {all:?}", self.dn);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the phone has no call.
    pub async fn has_no_call(&self) {
        let what = format!("the phone of {} has no call", self.dn);
        self.browser.until(&what, "return document.getElementById('call').hidden", STEP).await;
    }

    /// Hears these tones at these levels, and nothing else. A busy machine makes a browser stretch what it plays: it has some tries.
    pub async fn hears(&self, tones: &[(u16, f64)]) {
        let wanted: Vec<Value> = tones.iter().map(|(hz, _)| json!(hz)).collect();
        let power: f64 = tones.iter().map(|(_, dbfs)| 10f64.powf(dbfs / 10.0)).sum();
        for left in (0..20).rev() {
            let heard = self.browser.run(LISTEN, &wanted).await.unwrap_or_else(|e| panic!("{}: {e}", self.dn));
            let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number in {heard}"));
            let is_right = |(at, (_, dbfs)): (usize, &(u16, f64))| (number(&heard["tones"][at]) - dbfs).abs() <= 3.0;
            let strongest = number(&heard["hz"]);
            let is_one = tones.iter().any(|(hz, _)| (strongest - f64::from(*hz)).abs() <= 5.0);
            let is_all = number(&heard["total"]) - 10.0 * power.log10() <= 3.0;
            if tones.iter().enumerate().all(is_right) && is_one && is_all {
                return;
            }
            assert!(left > 0, "{} hears {heard}, not {tones:?} (Hz, dBFS)", self.dn);
        }
    }

    /// Hears nobody.
    pub async fn hears_nobody(&self) {
        for left in (0..20).rev() {
            let heard = self.browser.run(LISTEN, &[]).await.unwrap_or_else(|e| panic!("{}: {e}", self.dn));
            if heard["total"].as_f64().is_some_and(|total| total < -55.0) {
                return;
            }
            assert!(left > 0, "{} hears {heard}", self.dn);
        }
    }

    /// The agent and the customer hear each other, by frequency and level.
    pub async fn talks_with(&self, customer: &LabCall) {
        self.hears(&[(LAB_HZ, LAB_DBFS)]).await;
        let report = is_heard("the customer", customer, self.hz).await;
        assert!(
            (report.level_dbm0 - AGENT_DBM0).abs() <= 3.0,
            "the customer hears {} at another level: {report:?}",
            self.dn
        );
    }

    /// Types a number into the card of the call that is shown first.
    pub async fn types_number(&self, number: &str) {
        let body = "document.querySelector('#gws-calls .numbered input').value = args[0]";
        self.browser.run(body, &[json!(number)]).await.expect("typed");
    }

    /// Finishes the call by itself, and is ready for the next one.
    pub async fn is_ready_after_its_work(&self) {
        has_finished_its_work(&self.browser).await;
    }
}

/// What the third one says, as a browser hears it.
pub fn third_dbfs() -> f64 {
    LAB_DBFS + f64::from(THIRD_DBM0 - LAB_DBM0)
}
