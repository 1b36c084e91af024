//! Processes that we start beside us: the floor, and the gateway of `--self`. They end with us.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Child as Running, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::floor::{Floor, FloorConfig};
use super::plan::{LoadPlan, Transport};
use super::ports::OwnPorts;
use super::report::FloorSettings;
use super::{LoadError, process};
use crate::plan::OpusParams;

/// How long a process may take to come up, and to end in good order.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often we look meanwhile.
const LOOK: Duration = Duration::from_millis(20);
/// Where the floors' ports begin: below the ports that the kernel gives out by itself.
const FLOOR_PORTS: u16 = 22_000;
/// What a floor says when its ports are bound.
const READY: &str = "ready";

/// A process of ours; it is ended when this is dropped.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    running: Running,
    /// Removed with it.
    folder: Option<PathBuf>,
    /// Free again with it.
    ports: Option<OwnPorts>,
}

/// A gateway of our own on loopback, and where it is.
#[derive(Debug)]
pub struct OwnGateway {
    /// Its process.
    pub child: Child,
    /// Where browsers connect.
    pub url: String,
    /// Its SIP address.
    pub sip: SocketAddr,
    /// Where it expects the trunk.
    pub trunk: SocketAddr,
}

impl Child {
    /// Starts a process on a core. The thread that starts it is pinned, for a child inherits the core of its parent's thread.
    fn start(name: &'static str, mut command: Command, core: Option<usize>) -> Result<Child, LoadError> {
        let spawned = std::thread::spawn(move || {
            core.map_or(Ok(()), process::pin_thread)?;
            command.spawn().map_err(|error| LoadError::Child { name, reason: error.to_string() })
        });
        let running = spawned.join().map_err(|_| LoadError::Child { name, reason: "its thread panicked".into() })??;
        Ok(Child { name, running, folder: None, ports: None })
    }

    /// Number of the process.
    pub fn pid(&self) -> u32 {
        self.running.id()
    }

    fn failed(&self, reason: impl Into<String>) -> LoadError {
        LoadError::Child { name: self.name, reason: reason.into() }
    }

    /// Waits until the process takes connections at the address.
    async fn wait_for(&mut self, address: SocketAddr) -> Result<(), LoadError> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect_timeout(&address, LOOK).is_err() {
            if let Ok(Some(status)) = self.running.try_wait() {
                return Err(self.failed(format!("ended at once, {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.failed(format!("does not listen at {address}")));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Asks the process to end, and waits for it.
    pub async fn stop(mut self) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.running.try_wait(), Ok(None)) && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.running.try_wait(), Ok(None)) {
            let _ = self.running.kill();
            let _ = self.running.wait();
        }
        if let Some(folder) = self.folder.take() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn ourselves(name: &'static str) -> Result<Command, LoadError> {
    let program = std::env::current_exe().map_err(|error| LoadError::Child { name, reason: error.to_string() })?;
    Ok(Command::new(program))
}

/// Starts a floor for this many calls on free ports of loopback; tells the first.
pub fn start_floor(calls: u32, settings: FloorSettings, core: Option<usize>) -> Result<(Child, SocketAddr), LoadError> {
    const NAME: &str = "floor";
    let mut last = LoadError::Child { name: NAME, reason: "no ports are free".into() };
    for first in (FLOOR_PORTS..30_000).step_by(1_000) {
        let first = SocketAddr::from((Ipv4Addr::LOCALHOST, first));
        let mut command = ourselves(NAME)?;
        command.args(["load", "--be-floor", &first.to_string(), "--calls", &calls.to_string()]);
        command.args([
            "--complexity",
            &settings.complexity.to_string(),
            "--bitrate",
            &settings.bitrate_bps.to_string(),
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Child::start(NAME, command, core)?;
        let mut said = String::new();
        if let Some(stdout) = child.running.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut said);
        }
        if said.trim() == READY {
            return Ok((child, first));
        }
        last = child.failed(format!("cannot have the ports from {first} on"));
    }
    Err(last)
}

/// Is the floor, until standard input ends.
pub fn be_floor(first: SocketAddr, calls: u32, settings: FloorSettings) -> Result<(), LoadError> {
    let opus =
        OpusParams { bitrate_bps: settings.bitrate_bps, complexity: settings.complexity, ..OpusParams::default() };
    let calls = u16::try_from(calls).unwrap_or(u16::MAX);
    let mut floor = Floor::bind(&FloorConfig { first, calls, opus })
        .map_err(|source| LoadError::Bind { address: first, source })?;
    let stop = Arc::new(AtomicBool::new(false));
    let ends = stop.clone();
    std::thread::spawn(move || {
        // Nothing is said to it: the end of the input is the end of whoever started us.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        ends.store(true, Ordering::Release);
    });
    println!("{READY}");
    std::io::stdout().flush()?;
    Ok(floor.run(&stop)?)
}

/// The gateway's configuration for a run by ourselves.
fn own_configuration(plan: &LoadPlan, floor: FloorSettings, ports: [u16; 3], media: &RangeInclusive<u16>) -> String {
    let [https, sip, trunk] = ports;
    let (first, last) = (media.start(), media.end());
    let transport = if plan.trunk.transport == Transport::Tcp { "tcp" } else { "udp" };
    let (dns, secret) = (plan.browsers.dns, &plan.browsers.secret);
    let FloorSettings { complexity, bitrate_bps } = floor;
    // Call-backs of the reserve are bound at the start: that is not what a call takes.
    format!(
        r#"[server]
domain = "load.crosspoint.invalid"
[[listener]]
bind = "127.0.0.1:{https}"
[[sip]]
bind = "127.0.0.1:{sip}"
[[sip]]
bind = "127.0.0.1:{sip}"
transport = "tcp"
[media]
addresses = [{{ bind = "127.0.0.1" }}]
ports = "{first}-{last}"
workers = 1
[opus]
bitrate = {bitrate_bps}
complexity = {complexity}
[[trunk]]
name = "load"
addresses = ["127.0.0.1:{trunk};transport={transport}"]
codecs = ["pcmu"]
ping_seconds = 0
[[dn]]
number = "{dns}"
secret = {secret:?}
[limits]
connections_per_address = 100000
requests_per_second = 1000
overload_percent = 100
[log]
filter = "error"
"#
    )
}

/// Starts a gateway of this same program for the plan, with the floor's settings, on a core.
pub async fn start_gateway(
    plan: &LoadPlan,
    floor: FloorSettings,
    core: Option<usize>,
) -> Result<OwnGateway, LoadError> {
    const NAME: &str = "gateway";
    let ports = OwnPorts::find(plan)?;
    let [https, sip, trunk] = ports.signalling();
    let folder = std::env::temp_dir().join(format!("crosspoint-load-{}-{}", std::process::id(), https));
    let file = folder.join("gateway.toml");
    let wrong = |error: std::io::Error| LoadError::File { file: file.clone(), reason: error.to_string() };
    std::fs::create_dir_all(&folder).map_err(wrong)?;
    std::fs::write(&file, own_configuration(plan, floor, [https, sip, trunk], &ports.media())).map_err(wrong)?;
    let mut command = ourselves(NAME)?;
    command.arg("serve").arg("--config").arg(&file).env("CROSSPOINT_STATE", folder.join("state"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = Child::start(NAME, command, core)?;
    (child.folder, child.ports) = (Some(folder), Some(ports));
    let [https, sip, trunk] = [https, sip, trunk].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    child.wait_for(https).await?;
    Ok(OwnGateway { child, url: format!("wss://{https}/ws"), sip, trunk })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_a_run_by_ourselves_is_one_that_the_gateway_takes() {
        let mut plan = LoadPlan::default();
        plan.browsers.secret = "with \"quotes\" and \\".into();
        let settings = FloorSettings { complexity: 3, bitrate_bps: 24_000 };
        let text = own_configuration(&plan, settings, [8443, 5060, 5999], &(11_001..=11_999));
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["dn"][0]["secret"].as_str(), Some("with \"quotes\" and \\"));
        assert_eq!(table["opus"]["complexity"].as_integer(), Some(3));
        assert_eq!(table["media"]["ports"].as_str(), Some("11001-11999"));
        assert_eq!(table["trunk"][0]["addresses"][0].as_str(), Some("127.0.0.1:5999;transport=udp"));
    }

    #[test]
    fn a_program_that_is_not_there_is_told_by_the_name_of_the_child() {
        let error = Child::start("gateway", Command::new("/nowhere/at/all"), None).expect_err("no such program");
        assert!(error.to_string().starts_with("gateway: "), "{error}");
    }
}
