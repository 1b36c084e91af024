//! A sipp of a test, ended by its own pid. It fails by itself where something else comes than its scenario says.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Sipp {
    child: Child,
    folder: tempfile::TempDir,
    /// It gives up by itself after so long.
    time: Duration,
}

impl Sipp {
    /// Starts a scenario, a file below `tests`, at an address of its own.
    pub fn start(scenario: &str, own: SocketAddr, seconds: u64, more: &[&str]) -> Sipp {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(scenario).with_extension("xml");
        let (ip, port) = (own.ip().to_string(), own.port().to_string());
        let child = Command::new("sipp")
            .current_dir(folder.path())
            .args(["-sf", &file.to_string_lossy(), "-i", &ip, "-p", &port, "-mi", &ip])
            .args(["-nostdin", "-trace_err", "-trace_msg", "-timeout", &seconds.to_string()])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("sipp: {e}; `make test` installs it"));
        Sipp { child, folder, time: Duration::from_secs(seconds) }
    }

    /// Waits for the end of the scenario; anything but success fails with what sipp has to say.
    pub async fn succeeds(mut self) {
        let end = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child of ours") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let ended = tokio::time::timeout(self.time + Duration::from_secs(10), end).await;
        let words = self.words();
        let status = ended.unwrap_or_else(|_| panic!("sipp does not end: {words}"));
        assert!(status.success(), "sipp ended with {status}: {words}");
    }

    /// Its error and message logs.
    fn words(&self) -> String {
        let files = std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        files.filter_map(|f| std::fs::read_to_string(f.path()).ok()).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
