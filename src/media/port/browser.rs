//! The port of a browser leg: ICE-lite and DTLS-SRTP on the shared socket.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::path::Path;
use crate::plan::IceCredentials;
use crate::webrtc::dtls::Certificate;
use crate::webrtc::ice::MAX_PATHS;
use crate::webrtc::transport::Transport;

/// A WebRTC port.
#[derive(Debug)]
pub(in crate::media) struct BrowserPort {
    pub transport: Transport,
    /// Paths that valid checks came from, oldest first: our entries in the worker's map.
    paths: Vec<Path>,
    /// Socket and address that media goes to.
    target: Option<(usize, SocketAddr)>,
    /// User fragments under which checks find the leg.
    pub ufrags: Vec<String>,
}

impl BrowserPort {
    pub(in crate::media) fn new(certificate: Arc<Certificate>, local: IceCredentials) -> Self {
        let ufrags = vec![local.ufrag.clone()];
        BrowserPort {
            transport: Transport::new(certificate, local),
            paths: Vec::with_capacity(MAX_PATHS),
            target: None,
            ufrags,
        }
    }

    /// Notes a validated path and returns one that had to make room for it.
    pub(in crate::media) fn note(&mut self, path: Path) -> Option<Path> {
        if self.paths.contains(&path) {
            return None;
        }
        let selected = self.transport.selected_path();
        let oldest = if self.paths.len() >= MAX_PATHS {
            self.paths.iter().position(|p| Some(*p) != selected).map(|at| self.paths.remove(at))
        } else {
            None
        };
        self.paths.push(path);
        oldest
    }

    /// Forgets a path that another leg has taken over.
    pub(in crate::media) fn forget(&mut self, path: Path) {
        self.paths.retain(|p| *p != path);
    }

    /// Returns all paths that were noted.
    pub(in crate::media) fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Follows the selected path; `sockets` are the bound addresses of the browser sockets.
    pub(in crate::media) fn retarget(&mut self, sockets: &[SocketAddr]) {
        self.target = self.transport.selected_path().and_then(|path| socket_of(path, sockets));
    }

    /// Returns where media goes, once it may.
    #[inline]
    pub(in crate::media) fn target(&self) -> Option<(usize, SocketAddr)> {
        self.target.filter(|_| self.transport.is_connected())
    }
}

/// Returns the socket and the peer's address of a path.
pub(in crate::media) fn socket_of(path: Path, sockets: &[SocketAddr]) -> Option<(usize, SocketAddr)> {
    match path {
        Path::Udp { local, remote } => sockets.iter().position(|s| *s == local).map(|index| (index, remote)),
        Path::Tcp { .. } | Path::Relay { .. } => None,
    }
}
