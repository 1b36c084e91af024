//! Gateways of others: what their protocols need, and which of their settings decide the figures.
//!
//! A profile sets defaults of the plan; what the command line says is stronger. Its text is what a person needs to make the peer
//! comparable with ours: 8 kHz where it can, no jitter buffer, no recording, no music.

pub mod bencode;
pub mod rtpengine;

use std::net::SocketAddr;

use super::plan::{Ends, LoadPlan};

/// One peer.
pub struct Profile {
    /// For `--profile`.
    pub name: &'static str,
    /// In one line.
    pub summary: &'static str,
    /// The peer's settings that matter, and how to start the run.
    pub text: &'static str,
    apply: fn(&mut LoadPlan),
}

/// All of them.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "crosspoint",
        summary: "this gateway: browsers by WSS at /ws, the trunk by UDP",
        text: include_str!("crosspoint.txt"),
        apply: |_| {},
    },
    Profile {
        name: "asterisk",
        summary: "Asterisk with chan_pjsip: browsers by WSS at /ws of its HTTP server",
        text: include_str!("asterisk.txt"),
        apply: |plan| {
            plan.browsers.urls = vec!["wss://127.0.0.1:8089/ws".to_owned()];
            plan.browsers.domain = Some("asterisk".to_owned());
        },
    },
    Profile {
        name: "freeswitch",
        summary: "FreeSWITCH with mod_sofia: browsers by WSS at the profile's wss-binding",
        text: include_str!("freeswitch.txt"),
        apply: |plan| plan.browsers.urls = vec!["wss://127.0.0.1:7443/".to_owned()],
    },
    Profile {
        name: "rtpengine",
        summary: "rtpengine by its ng protocol, without any SIP",
        text: include_str!("rtpengine.txt"),
        apply: |plan| plan.ends = Ends::Rtpengine { ng: SocketAddr::from(([127, 0, 0, 1], 22_222)) },
    },
    Profile {
        name: "kamailio",
        summary: "Kamailio with rtpengine: browsers by WS, media by the ng protocol behind it",
        text: include_str!("kamailio.txt"),
        apply: |plan| {
            plan.browsers.urls = vec!["ws://127.0.0.1:8081/".to_owned()];
            plan.browsers.domain = Some("127.0.0.1".to_owned());
        },
    },
    Profile {
        name: "janus",
        summary: "Janus with its SIP plugin: it does not transcode, the text says what follows from that",
        text: include_str!("janus.txt"),
        apply: |_| {},
    },
    Profile {
        name: "rustpbx",
        summary: "RustPBX: browsers by WS at ws_handler of its HTTP server",
        text: include_str!("rustpbx.txt"),
        apply: |plan| plan.browsers.urls = vec!["ws://127.0.0.1:8080/ws".to_owned()],
    },
];

/// The profile of this name.
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// Names with a line each.
pub fn list() -> String {
    let width = PROFILES.iter().map(|profile| profile.name.len()).max().unwrap_or(0);
    PROFILES.iter().map(|profile| format!("{:width$}  {}\n", profile.name, profile.summary)).collect()
}

impl Profile {
    /// Puts the peer's defaults into a plan.
    pub fn apply(&self, plan: &mut LoadPlan) {
        (self.apply)(plan);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_makes_a_plan_that_can_be_carried_out_and_explains_itself() {
        for profile in PROFILES {
            let mut plan = LoadPlan::default();
            plan.browsers.urls = vec!["wss://127.0.0.1:8443/ws".to_owned()];
            profile.apply(&mut plan);
            assert_eq!(plan.check(), Ok(()), "{}", profile.name);
            assert!(profile.text.lines().count() > 8, "{}", profile.name);
            assert!(profile.text.contains("crosspoint load"), "{}: no command", profile.name);
            assert!(list().contains(profile.name));
        }
        assert!(find("nobody").is_none());
    }
}
