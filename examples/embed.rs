//! A gateway inside another Rust program, its call events printed.
//!
//! `cargo run --example embed -- config/gateway.toml`; Ctrl-C ends it.

use std::path::Path;

use crosspoint::app::App;
use crosspoint::call::EventKind;
use crosspoint::config::Config;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).unwrap_or_else(|| "config/gateway.toml".into());
    let gateway = App::start(Config::load(Path::new(&file))?).await?;
    println!("SIP on {:?}, pages on {:?}", gateway.addresses().sip, gateway.addresses().http);

    let mut events = gateway.events();
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else { break };
                let what = match &event.kind {
                    EventKind::Dialing => "is being set up".to_owned(),
                    EventKind::Ringing => "rings".to_owned(),
                    EventKind::Established => "is established".to_owned(),
                    EventKind::Digit { digit, from_agent } => {
                        format!("digit {} from the {}", digit.event, if *from_agent { "agent" } else { "customer" })
                    }
                    EventKind::Held { by_agent } => {
                        format!("is put on hold by the {}", if *by_agent { "agent" } else { "trunk" })
                    }
                    EventKind::Retrieved { by_agent } => {
                        format!("is taken back from hold by the {}", if *by_agent { "agent" } else { "trunk" })
                    }
                    EventKind::Released { cause, .. } => format!("is over: {cause:?}"),
                    other => format!("has news: {other:?}"),
                };
                println!("{} #{}: DN {} with {} {what}", event.call, event.sequence, event.dn, event.peer);
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    gateway.shutdown().await;
    Ok(())
}
