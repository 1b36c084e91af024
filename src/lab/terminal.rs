//! What `crosspoint lab` says at the terminal, and what a person can tell it there.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::interactions::Channel;
use super::routing::Queue;
use super::scenario::{self, AgentAct, Place, Scenario};
use super::{Customer, CustomerStatus, LabHandle, Sound};
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
    let agents = config.agents.iter().filter_map(|agent| Some((agent.dns.first()?.clone(), agent.user.clone())));
    let numbers = config.lab.numbers.iter().map(|number| (number.number.clone(), what(number.does).to_owned()));
    let routed = config.lab.queues.iter().map(|queue| (queue.number.clone(), "to an agent who is ready".to_owned()));
    LabHint {
        dns: entry.map(|entry| entry.number.to_string()).unwrap_or_default(),
        password: entry.and_then(|entry| entry.secret.as_ref()).map(|secret| secret.0.clone()).unwrap_or_default(),
        agents: agents.collect(),
        numbers: numbers.chain(routed).map(|(number, what)| LabNumber { number, what }).collect(),
    }
}

/// Returns how a browser on this machine names a listener.
fn host(address: &SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => format!("localhost:{}", address.port()),
        _ => address.to_string(),
    }
}

/// Returns the address of the phone page: the plain one where there is one, since no browser warns of it.
pub fn phone_page(plain: &[SocketAddr], tls: &[SocketAddr]) -> String {
    let first = |scheme: &str, of: &[SocketAddr]| of.first().map(|at| format!("{scheme}://{}/", host(at)));
    first("http", plain).or_else(|| first("https", tls)).unwrap_or_default()
}

/// Returns what a person needs to begin: where the phone is, who can sign in, what to dial. `plain` and `tls` are the
/// addresses of the listeners.
pub fn welcome(hint: &LabHint, queues: &[Queue], plain: &[SocketAddr], tls: &[SocketAddr]) -> String {
    let mut text = String::from("\ncrosspoint lab: the gateway, with a stand-in Genesys behind it\n\n");
    let pages = plain.iter().map(|a| ("http", a, "")).chain(tls.iter().map(|a| ("https", a, "  (self-signed)")));
    for (scheme, address, note) in pages {
        let _ = writeln!(text, "  phone     {scheme}://{}/{note}", host(address));
    }
    let _ = writeln!(text, "  DNs       {}, password {}", hint.dns, hint.password);
    let users: Vec<_> = hint.agents.values().map(String::as_str).collect();
    if !users.is_empty() {
        let _ = writeln!(text, "  agents    {}", users.join(" "));
        let _ = writeln!(
            text,
            "            Connect GWS on the phone's page, or on {}ui/ad/v1/index.html alone",
            phone_page(plain, tls)
        );
    }
    let width = hint.numbers.iter().map(|number| number.number.len()).max().unwrap_or(0);
    for (at, number) in hint.numbers.iter().enumerate() {
        let head = if at == 0 { "dial    " } else { "        " };
        let _ = writeln!(text, "  {head}  {:width$}  {}", number.number, number.what);
    }
    text.push_str("\nEnter: a customer calls 5001; a DN and Enter: calls that DN; Ctrl-C ends all calls.\n");
    if let Some(queue) = queues.first() {
        let _ = writeln!(text, "c and Enter: a customer calls {}, and is routed.", queue.number);
        let _ = writeln!(text, "chat, email or workitem and Enter: one comes to the agent who is longest ready.");
    }
    text
}

/// Has a customer call whenever a person types a DN, a number that is routed, `c` for the first of these, or nothing for 5001,
/// and Enter. Returns when the input ends.
pub async fn console(lab: &LabHandle) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let number = match line.trim() {
            "" => "5001",
            "c" => lab.queues.first().map_or("c", |queue| queue.number.as_str()),
            number => number,
        };
        if let Some(channel) = Channel::find(number) {
            match lab.interaction(channel) {
                Some(agent) => println!("{number} for {agent}"),
                None => println!("no agent is ready"),
            }
        } else if !number.bytes().all(|b| b.is_ascii_digit()) {
            println!("{number}: a number is digits");
        } else if lab.queues.iter().any(|queue| queue.number == number) {
            match lab.customer(number).await {
                Some(customer) => drop(tokio::spawn(narrate(customer, number.to_owned()))),
                None => println!("{number} takes no customers"),
            }
        } else {
            call(lab, number).await;
        }
    }
}

/// Has a customer call a DN.
async fn call(lab: &LabHandle, dn: &str) {
    let Some(mut call) = lab.call_dn(dn, CUSTOMER, Sound::Echo).await else {
        println!("no call could be made");
        return;
    };
    println!("customer {CUSTOMER} calls {dn}; it echoes");
    let dn = dn.to_owned();
    tokio::spawn(async move {
        let status = call.wait_for(|_| false).await;
        println!("the call for {dn} is over: {status:?}");
    });
}

/// Says what becomes of a customer.
async fn narrate(mut customer: Customer, number: String) {
    println!("a customer calls {number}");
    let mut last = CustomerStatus::Arriving;
    loop {
        let before = last.clone();
        last = customer.wait_for(|status| *status != before).await;
        let words = match &last {
            CustomerStatus::Arriving => continue,
            CustomerStatus::Waiting => "nobody is ready: it waits".to_owned(),
            CustomerStatus::Offered(dn) => format!("{dn} rings"),
            CustomerStatus::Talking(dn) => format!("{dn} has answered; the customer echoes"),
            CustomerStatus::Abandoned => "nobody was ready in time: the customer has hung up".to_owned(),
            CustomerStatus::Ended => "the call is over".to_owned(),
        };
        println!("{number}: {words}");
        if matches!(last, CustomerStatus::Abandoned | CustomerStatus::Ended) {
            return;
        }
    }
}

/// Returns what a person is told before a scenario begins; `phone` is the address of the phone page.
fn invitation(scenario: &Scenario, place: &Place, password: &str, phone: &str) -> String {
    let sign_in = format!("in as {} with password {password}", place.dn);
    let begin = if scenario.begins_with(&AgentAct::SignsIn) {
        format!(
            "1. Open {phone} and do not sign in yet; if you are, sign out.\n2. Press Enter here, then sign {sign_in}."
        )
    } else {
        format!("1. Open {phone} and sign {sign_in}.\n2. Press Enter here.")
    };
    format!(
        "\nscenario {}: {}\n\n{begin}\n3. Do what stands behind YOU when it comes. SEE and HEAR say what you should notice; \
         -> and <- are the messages\n   of the SIP Server and of the gateway. You have a minute for each.\n",
        scenario.name(),
        scenario.about()
    )
}

/// Plays a scenario whenever the person at the terminal presses Enter, and says what to do at the phone page, which is at
/// `phone`. Returns when the input ends.
///
/// # Errors
/// The input ends after a run that failed: which step, and why.
pub async fn play_by_hand(scenario: &Scenario, place: &Place, hint: &LabHint, phone: &str) -> Result<(), String> {
    println!("{}", invitation(scenario, place, &hint.password, phone));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut last = Ok(());
    while let Ok(Some(_)) = lines.next_line().await {
        last = scenario::play(scenario, place, &|act| Box::pin(tell(act)), &|line| println!("{line}")).await;
        match &last {
            Ok(()) => println!("\n{}: passed. Enter plays it again, Ctrl-C ends.", scenario.name()),
            Err(why) => {
                let hint = if why.contains("SIP/2.0 480") { "\nIs the phone page signed in?" } else { "" };
                println!("\n{}: FAILED at: {why}{hint}\nEnter plays it again, Ctrl-C ends.", scenario.name());
            }
        }
    }
    last
}

/// Tells a person what to do, and gives time to notice what is to be noticed; whether it was done shows in the messages.
async fn tell(act: AgentAct) -> Result<(), String> {
    let (words, linger) = instruction(&act);
    println!("{words}");
    tokio::time::sleep(linger).await;
    Ok(())
}

/// Returns what a person reads of an act, in the words of the phone page, and how long the scenario then waits.
fn instruction(act: &AgentAct) -> (String, Duration) {
    let see = |words: &str| (format!("  SEE: {words}"), Duration::from_millis(1500));
    let hear = |words: &str| (format!("  HEAR: {words}"), Duration::from_secs(3));
    let deed = |words: &str| (format!("\n  YOU: {words}\n"), Duration::ZERO);
    match act {
        AgentAct::SignsIn => deed("sign in at the phone page; if you are signed in, sign out first"),
        AgentAct::SignsOut => deed("press Sign out"),
        AgentAct::Answers => deed("press Answer"),
        AgentAct::Dials(number) => deed(&format!("dial {number} and press Call")),
        AgentAct::HangsUp => deed("press Hang up"),
        AgentAct::Holds => deed("press Hold"),
        AgentAct::Retrieves => deed("press Retrieve"),
        AgentAct::Transfers(number) => deed(&format!("press Transfer, type {number}, press Transfer now")),
        AgentAct::Asks(number) => deed(&format!("press Transfer, type {number}, press Ask first")),
        AgentAct::Completes => deed("press Hand over"),
        AgentAct::Confers => deed("press Conference"),
        AgentAct::Presses(keys) => deed(&format!("press the keys {keys} on the dial pad")),
        AgentAct::Rings => see("the phone rings"),
        AgentAct::IsTalking => see("the phone shows a call"),
        AgentAct::IsFree => see("the phone shows no call"),
        AgentAct::Reads(words) => see(&format!("the page says: … {words} …")),
        AgentAct::Hears { hz, .. } => hear(&format!("a tone of {hz} Hz")),
        AgentAct::HearsSilence => hear("nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_welcome_names_the_phone_the_password_and_every_number() {
        let config = Config::parse(include_str!("../../config/lab.toml"), "lab.toml", []).expect("the lab's own file");
        let hint = hint(&config);
        let at = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
        let queues = super::super::LabConfig::of(&config).queues;
        let text = welcome(&hint, &queues, &at(8080), &at(8443));
        let pages = ["http://localhost:8080/", "https://localhost:8443/", "http://localhost:8080/ui/ad/v1/index.html"];
        for word in [&pages[..], &["5001-5999", "password crosspoint", "agent5001", "18005551234"]].concat() {
            assert!(text.contains(word), "no {word} in {text}");
        }
        assert_eq!(phone_page(&at(8080), &at(8443)), "http://localhost:8080/");
        assert_eq!(phone_page(&[], &at(8443)), "https://localhost:8443/");
        assert!(!hint.numbers.is_empty());
        for number in &hint.numbers {
            assert!(text.contains(&number.number), "no {} in {text}", number.number);
        }
    }
    #[test]
    fn an_instruction_names_the_buttons_as_the_phone_page_does() {
        let page = include_str!("../../web/index.html");
        let script = include_str!("../../web/src/main.ts");
        let number = || "5559876543".to_owned();
        let deeds = [
            (AgentAct::Answers, vec!["Answer"]),
            (AgentAct::Dials(number()), vec!["Call"]),
            (AgentAct::HangsUp, vec!["Hang up"]),
            (AgentAct::Holds, vec!["Hold"]),
            (AgentAct::Retrieves, vec!["Retrieve"]),
            (AgentAct::Transfers(number()), vec!["Transfer", "Transfer now"]),
            (AgentAct::Asks(number()), vec!["Transfer", "Ask first"]),
            (AgentAct::Completes, vec!["Hand over"]),
            (AgentAct::Confers, vec!["Conference"]),
            (AgentAct::SignsOut, vec!["Sign out"]),
        ];
        for (act, buttons) in deeds {
            let (words, linger) = instruction(&act);
            assert!(words.contains("YOU: ") && linger.is_zero(), "{words}");
            for button in buttons {
                assert!(words.contains(&format!("press {button}")), "{words}");
                let is_there =
                    page.contains(&format!(">{button}</button>")) || script.contains(&format!("\"{button}\""));
                assert!(is_there, "no button {button} in the page");
            }
        }
    }

    #[test]
    fn what_is_to_be_heard_is_left_to_be_heard_for_a_while() {
        for act in [AgentAct::Hears { hz: 440, dbm0: -10 }, AgentAct::HearsSilence] {
            assert!(instruction(&act).1 >= Duration::from_secs(2), "{act:?}");
        }
    }

    #[test]
    fn a_scenario_that_begins_with_a_sign_in_is_begun_before_it() {
        let server = SocketAddr::from(([127, 0, 0, 2], 5060));
        let place = Place::by_hand(server);
        let told = |name: &str| {
            let scenario = Scenario::find(name, server).expect("it is there");
            invitation(&scenario, &place, "crosspoint", "http://localhost:8080/")
        };
        assert!(told("inbound").contains("Open http://localhost:8080/ and sign in as 5001 with password crosspoint"));
        assert!(told("register").contains("do not sign in yet"));
    }
}
