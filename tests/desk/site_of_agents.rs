//! A gateway with agents, on a port of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crosspoint::bayeux::channel::Channel;
use crosspoint::bayeux::server;
use crosspoint::desk::{AgentConfig, DeskConfig, PasswordHash, UserName};
use crosspoint::http;
use crosspoint::http::session::DeskRules;
use crosspoint::id::RunId;
use crosspoint::io::accept::Limits;
use crosspoint::io::desk::{self, Config, Handle, Links};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::node::Node;
use crate::rig::{self, Web};

pub const PASSWORD: &str = "secret";

pub struct Site {
    pub web: Web,
    pub desk: Handle,
    task: JoinHandle<()>,
}

/// Agents `anna` and `bert`.
pub fn config() -> Config {
    let password = PasswordHash::make(PASSWORD, [7; 16]);
    let agent = |name: &str, dn: &str| AgentConfig {
        user: name.into(),
        password: password.clone(),
        name: name.to_owned(),
        dns: vec![dn.to_owned()],
        skills: Vec::new(),
    };
    Config::new(DeskConfig {
        run: RunId(7),
        agents: vec![agent("anna", "5001"), agent("bert", "5002")],
        after_call_work: Duration::ZERO,
        base_uri: "http://localhost".to_owned(),
        user_data_fields: Vec::new(),
        user_data_out: None,
        status: crosspoint::desk::StatusName::StatusChange,
    })
}

impl Site {
    pub async fn start() -> Site {
        Site::with(config(), DeskRules::default()).await
    }

    /// With other times or bounds.
    pub async fn bounded(change: impl FnOnce(&mut server::Config)) -> Site {
        let mut config = config();
        change(&mut config.bayeux);
        Site::with(config, DeskRules::default()).await
    }

    pub async fn with(config: Config, rules: DeskRules) -> Site {
        Site::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config, rules).await
    }

    /// Whose pages may be in a frame of this origin.
    pub async fn framed(rules: DeskRules, ancestor: String) -> Site {
        let (desk, task) = desk::spawn(config(), Links::default());
        let rules = http::Config { desk: rules, frame_ancestors: vec![ancestor], ..rig::rules() };
        Site { web: Web::with_desk(rules, Limits::default(), Some(desk.clone())).await, desk, task }
    }

    /// At an address that another one had, too.
    pub async fn at(address: SocketAddr, config: Config, rules: DeskRules) -> Site {
        let (desk, task) = desk::spawn(config, Links::default());
        let rules = http::Config { desk: rules, ..rig::rules() };
        Site { web: Web::at(address, rules, Limits::default(), Some(desk.clone())).await, desk, task }
    }

    /// Ends it as a process that is killed ends; returns where it was.
    pub fn kill(self) -> SocketAddr {
        self.task.abort();
        self.web.address
    }

    pub fn url(&self) -> String {
        format!("http://localhost:{}/genesys/cometd", self.web.address.port())
    }

    /// Opens a tab that will log in as `user` by its handshake.
    pub async fn open(&self, node: &Node, tab: &str, transport: &str, user: &str, extensions: &[&str]) {
        let login = json!({"username": user, "password": PASSWORD});
        let what = json!({"op": "open", "tab": tab, "url": self.url(), "transport": transport,
            "extensions": extensions, "login": login});
        assert_eq!(node.ask(what).await["transports"], json!([transport]));
    }

    /// Publishes to an agent's calls.
    pub async fn publish(&self, user: &str, data: Value) {
        let channel = Channel::parse("/v2/me/calls").expect("a channel");
        let data = data.to_string().into();
        self.desk.publish(Some(&UserName(Arc::from(user))), channel, data).await.expect("alive");
    }
}

/// Shakes hands and subscribes to all that is the agent's.
pub async fn enter(node: &Node, tab: &str) {
    let hands = node.ask(json!({"op": "handshake", "tab": tab})).await;
    assert_eq!(hands["successful"], true, "{hands}");
    let reply = node.ask(json!({"op": "subscribe", "tab": tab, "channel": "/v2/me/*"})).await;
    assert_eq!(reply["successful"], true, "{reply}");
}
