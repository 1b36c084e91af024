//! What `crosspoint lab` says at the terminal, and what a person can tell it there.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::scenario::{self, AgentAct, Place, Scenario};
use super::{LabHandle, Sound};
use crate::config::{Config, LabBehaviour};
use crate::http::{LabHint, LabNumber};

/// The customer that a person at the terminal sends.
const CUSTOMER: &str = "5551234567";

/// Returns what the phone page shows of a lab: the first `[[dn]]` with a password, and the numbers.
pub fn hint(config: &Config) -> LabHint {
    let entry = config.dns.iter().find(|entry| entry.secret.is_some());
    let what = |does: LabBehaviour| match does {
        LabBehaviour::Echo => "sends back what it hears",
        LabBehaviour::Tone => "plays a tone of 440 Hz",
        LabBehaviour::Time => "speaks the time (UTC)",
        LabBehaviour::Text => "speaks a text",
        LabBehaviour::Refuse => "declines (603)",
        LabBehaviour::Busy => "is busy (486)",
        LabBehaviour::NoAnswer => "rings and never answers",
        LabBehaviour::EarlyMedia => "is heard before it answers (183)",
        LabBehaviour::HangUp => "hangs up after 5 s",
        LabBehaviour::Digits => "sends back the keys that it hears",
    };
    LabHint {
        dns: entry.map(|entry| entry.number.to_string()).unwrap_or_default(),
        password: entry.and_then(|entry| entry.secret.as_ref()).map(|secret| secret.0.clone()).unwrap_or_default(),
        numbers: (config.lab.numbers.iter())
            .map(|number| LabNumber { number: number.number.clone(), what: what(number.does).to_owned() })
            .collect(),
    }
}

/// Returns what a person needs to begin: where the phone is, who can sign in, what to dial. `plain` and `tls` are the
/// addresses of the listeners.
pub fn welcome(hint: &LabHint, plain: &[SocketAddr], tls: &[SocketAddr]) -> String {
    let mut text = String::from("\ncrosspoint lab: the gateway, with a stand-in Genesys behind it\n\n");
    let host = |address: &SocketAddr| match address.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => format!("localhost:{}", address.port()),
        _ => address.to_string(),
    };
    let pages = plain.iter().map(|a| ("http", a, "")).chain(tls.iter().map(|a| ("https", a, "  (self-signed)")));
    for (scheme, address, note) in pages {
        let _ = writeln!(text, "  phone     {scheme}://{}/{note}", host(address));
    }
    let _ = writeln!(text, "  DNs       {}, password {}", hint.dns, hint.password);
    for (at, number) in hint.numbers.iter().enumerate() {
        let _ =
            writeln!(text, "  {}  {}  {}", if at == 0 { "dial    " } else { "        " }, number.number, number.what);
    }
    text.push_str("\nEnter: a customer calls 5001; a DN and Enter: calls that DN; Ctrl-C ends all calls.\n");
    text
}

/// Has a customer call whenever a person types a DN, or nothing for 5001, and Enter. Returns when the input ends.
pub async fn console(lab: &LabHandle) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let dn = if line.trim().is_empty() { "5001" } else { line.trim() };
        if !dn.bytes().all(|b| b.is_ascii_digit()) {
            println!("{dn}: a DN is digits");
            continue;
        }
        let Some(mut call) = lab.call_dn(dn, CUSTOMER, Sound::Echo).await else {
            println!("no call could be made");
            continue;
        };
        println!("customer {CUSTOMER} calls {dn}; it echoes");
        let dn = dn.to_owned();
        tokio::spawn(async move {
            let status = call.wait_for(|_| false).await;
            println!("the call for {dn} is over: {status:?}");
        });
    }
}

/// Plays a scenario whenever the person at the terminal presses Enter, and says what to do at the phone. Returns when the
/// input ends.
///
/// # Errors
/// The input ends after a run that failed: which step, and why.
pub async fn play_by_hand(scenario: &Scenario, place: &Place, hint: &LabHint) -> Result<(), String> {
    println!("\nscenario {}: {}\n", scenario.name(), scenario.about());
    println!("Sign in at the phone page as {} with password {}, then press Enter.", place.dn, hint.password);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut last = Ok(());
    while let Ok(Some(_)) = lines.next_line().await {
        last = scenario::play(scenario, place, &|act| Box::pin(tell(act)), &|line| println!("{line}")).await;
        match &last {
            Ok(()) => println!("\n{}: passed. Enter plays it again, Ctrl-C ends.", scenario.name()),
            Err(why) => println!("\n{}: FAILED at: {why}\nEnter plays it again, Ctrl-C ends.", scenario.name()),
        }
    }
    last
}

/// Tells a person what to do; whether it was done shows in the messages.
async fn tell(act: AgentAct) -> Result<(), String> {
    let words = match act {
        AgentAct::Rings => "the phone rings".to_owned(),
        AgentAct::Answers => "press Answer".to_owned(),
        AgentAct::Dials(number) => format!("dial {number}"),
        AgentAct::HangsUp => "press Hang up".to_owned(),
        AgentAct::Holds => "press Hold".to_owned(),
        AgentAct::Retrieves => "press Hold again, to retrieve".to_owned(),
        AgentAct::Transfers(number) => format!("transfer the call to {number}"),
        AgentAct::IsTalking => "the phone shows a call".to_owned(),
        AgentAct::IsFree => "the phone shows no call".to_owned(),
        AgentAct::Hears(hz) => format!("you hear a tone of {hz} Hz"),
        AgentAct::HearsSilence => "you hear nothing".to_owned(),
    };
    println!("  you: {words}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_names_the_phone_the_password_and_every_number() {
        let config = Config::parse(include_str!("../../config/lab.toml"), "lab.toml", []).expect("the lab's own file");
        let hint = hint(&config);
        let at = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
        let text = welcome(&hint, &at(8080), &at(8443));
        for word in ["http://localhost:8080/", "https://localhost:8443/", "5001-5999", "password crosspoint"] {
            assert!(text.contains(word), "no {word} in {text}");
        }
        assert!(!hint.numbers.is_empty());
        for number in &hint.numbers {
            assert!(text.contains(&number.number), "no {} in {text}", number.number);
        }
    }
}
