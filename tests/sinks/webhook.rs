use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crosspoint::io::client::{Trust, address};
use crosspoint::io::sink::{self, SinkKind, WebhookConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::outbox::{config, delivered, failed, free_port, id, published, without_repetitions};
use crate::private_ca::Authority;

const SECRET: &str = "a secret of the two of us";

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub signature: String,
    pub body: String,
}

impl Seen {
    /// Returns the ids of its events.
    pub fn ids(&self) -> Vec<String> {
        let events: Vec<serde_json::Value> = serde_json::from_str(&self.body).unwrap();
        events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()).collect()
    }

    /// Holds the signature against what another implementation of HMAC makes of time and body.
    pub fn assert_is_signed(&self, secret: &str) {
        let (seconds, told) = self.signature.strip_prefix("t=").and_then(|s| s.split_once(",v1=")).unwrap();
        let program = "process.stdout.write(require('crypto').createHmac('sha256', process.argv[1]).update(process.argv[2]).digest('hex'))";
        let signed = format!("{seconds}.{}", self.body);
        let output = Command::new("node").args(["-e", program, secret, &signed]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), told);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(seconds.parse().unwrap()) < 60);
    }
}

/// Serves requests for ever; every answer is asked of `answer`, by the number of the request; an empty one hangs.
pub async fn serve(
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: fn(usize) -> &'static str,
) -> tokio::task::AbortHandle {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let serving = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = seen.clone();
            connections.spawn(async move {
                let mut request = Vec::new();
                let mut chunk = [0; 65536];
                while let Ok(read @ 1..) = stream.read(&mut chunk).await {
                    request.extend_from_slice(&chunk[..read]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let field = |name: &str| {
                        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
                        line.map(|line| line[name.len()..].trim().to_owned()).unwrap_or_default()
                    };
                    if body.len() < field("content-length:").parse().unwrap_or(0) {
                        continue;
                    }
                    let count = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(Seen { signature: field("x-crosspoint-signature:"), body: body.to_owned() });
                        seen.len() - 1
                    };
                    request.clear();
                    match answer(count) {
                        "" => return tokio::time::sleep(Duration::from_secs(60)).await,
                        status => {
                            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                            let _ = stream.write_all(answer.as_bytes()).await;
                        }
                    }
                }
            });
        }
    });
    serving.abort_handle()
}

fn hook(port: u16, batch: usize) -> SinkKind {
    hook_at(&format!("http://127.0.0.1:{port}/events?of=crosspoint"), batch, Trust::default())
}

fn hook_at(url: &str, batch: usize, trust: Trust) -> SinkKind {
    let (url, secret) = (address(url).unwrap(), Some(SECRET.to_owned()));
    SinkKind::Webhook(WebhookConfig { url, secret, batch, patience: Duration::from_millis(300), trust })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_is_what_another_implementation_of_hmac_makes_of_time_and_body() {
    let (folder, seen) = (tempfile::tempdir().unwrap(), Arc::default());
    let port = free_port();
    serve(port, Arc::clone(&seen), |_| "200 OK").await;
    let (outbox, sinks) = sink::spawn(&config(folder.path(), hook(port, 10))).unwrap();
    assert!(outbox.append(&published(0)));
    delivered(&sinks.tally(), 1).await;
    let first = seen.lock().unwrap()[0].clone();
    first.assert_is_signed(SECRET);
    sinks.finish(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_that_fails_hangs_and_goes_away_has_every_event_in_order() {
    let (folder, seen) = (tempfile::tempdir().unwrap(), Arc::default());
    let port = free_port();
    // Every third request fails, every seventh gets no answer.
    let answer = |n: usize| match n {
        n if n % 7 == 6 => "",
        n if n % 3 == 2 => "500 Internal Server Error",
        _ => "202 Accepted",
    };
    let mut server = serve(port, Arc::clone(&seen), answer).await;
    let (outbox, sinks) = sink::spawn(&config(folder.path(), hook(port, 40))).unwrap();
    for n in 0..600 {
        assert!(outbox.append(&published(n)));
        if n == 300 {
            server.abort();
            tokio::time::sleep(Duration::from_millis(300)).await;
            server = serve(port, Arc::clone(&seen), answer).await;
        }
        if n % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    delivered(&sinks.tally(), 600).await;
    sinks.finish(Duration::from_secs(1)).await;
    server.abort();
    let all: Vec<String> = seen.lock().unwrap().iter().flat_map(Seen::ids).collect();
    let (first, repetitions) = without_repetitions(&all);
    assert_eq!(first, (0..600).map(|n| id(1, n)).collect::<Vec<_>>());
    assert!(repetitions > 0, "what got no answer went again");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_of_the_houses_authority_is_believed_and_of_another_one_is_not() {
    let (folder, seen) = (tempfile::tempdir().unwrap(), Arc::default());
    let port = free_port();
    serve(port, Arc::clone(&seen), |_| "200 OK").await;
    let (house, stranger) = (Authority::new(), Authority::new());
    let ca = Some(house.file(folder.path()));
    let events = 20;
    let begin = async |from: &Authority, outbox: &str| {
        let url = format!("https://localhost:{}/events", from.front(([127, 0, 0, 1], port).into()).await.port());
        let kind = hook_at(&url, 10, Trust { ca: ca.clone(), unverified: false });
        let (outbox, sinks) = sink::spawn(&config(&folder.path().join(outbox), kind)).unwrap();
        (0..events).for_each(|n| assert!(outbox.append(&published(n))));
        sinks
    };
    let refused = begin(&stranger, "stranger").await;
    failed(&refused.tally(), 2).await;
    assert_eq!(refused.tally().figures()[0].waiting, events, "what a stranger does not get waits");
    assert_eq!(seen.lock().unwrap().len(), 0, "and it was told nothing");
    refused.finish(Duration::ZERO).await;
    let believed = begin(&house, "house").await;
    delivered(&believed.tally(), events).await;
    believed.finish(Duration::from_secs(1)).await;
    let all: Vec<String> = seen.lock().unwrap().iter().flat_map(Seen::ids).collect();
    assert_eq!(all, (0..events).map(|n| id(1, n)).collect::<Vec<_>>());
}
