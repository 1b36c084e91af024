//! Serves the built test page on a loopback address of its own origin.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// A running page server; ends with the test's runtime.
pub struct PageServer {
    address: SocketAddr,
}

impl PageServer {
    /// Binds a free loopback port, and serves `tests/browser/page/dist`.
    pub async fn start() -> PageServer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page/dist");
        assert!(folder.join("index.html").exists(), "the test page is not built; `make test` builds it");
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let router = Router::new().fallback(file).with_state(folder);
        tokio::spawn(async move { axum::serve(listener, router).await });
        PageServer { address }
    }

    /// The page's origin, as it stands in the `Origin` header: `localhost` is a secure context.
    pub fn origin(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }
}

async fn file(State(folder): State<PathBuf>, uri: Uri) -> Response {
    let name = match uri.path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        _ => "application/octet-stream",
    };
    if name.contains("..") {
        return StatusCode::NOT_FOUND.into_response();
    }
    match tokio::fs::read(folder.join(name)).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
