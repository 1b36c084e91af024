//! Logins that are cut short, or overtaken by a change of their password; frames that wait for the task.

use std::net::Ipv4Addr;

use super::*;
use crate::bayeux::message::Limits;
use crate::desk::login::attempts::Turn;
use crate::desk::{PasswordHash, StatusName};
use crate::id::RunId;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn anna(password: &str) -> AgentConfig {
    AgentConfig {
        user: "anna".into(),
        password: PasswordHash::make(password, [7; 16]),
        name: "Anna".to_owned(),
        dns: vec!["5001".to_owned()],
        skills: Vec::new(),
    }
}

fn desk(password: &str) -> Handle {
    let desk = DeskConfig {
        run: RunId(7),
        agents: vec![anna(password)],
        after_call_work: Duration::ZERO,
        base_uri: "http://localhost".to_owned(),
        user_data_fields: Vec::new(),
        user_data_out: None,
        status: StatusName::default(),
    };
    spawn(Config::new(desk), Links::default()).0
}

/// Lets a login go as far as it gets at once.
async fn is_waiting(login: impl Future<Output = Result<Session, Denied>>) -> bool {
    tokio::time::timeout(Duration::ZERO, login).await.is_err()
}

/// Says whether an attempt from `HERE` would have its turn now.
fn turn(desk: &Handle, name: &str) -> Turn {
    let mut table = desk.logins.table();
    let mut attempt = table.begin(name, None, HERE, Instant::now());
    let turn = table.turn(&mut attempt, Instant::now());
    table.end(attempt, Outcome::Unheard, Instant::now());
    turn
}

#[tokio::test]
async fn a_login_that_its_client_aborts_is_counted() {
    let desk = desk("one");
    let all = u32::try_from(desk.passwords.threads.available_permits()).expect("few");
    let held = desk.passwords.threads.clone().acquire_many_owned(all).await.expect("open");
    for _ in 0..3 {
        assert_eq!(turn(&desk, "bert"), Turn::Now);
        let mut login = Box::pin(desk.log_in("anna", "wrong", HERE));
        assert!(is_waiting(&mut login).await, "it waits for a thread");
        drop(login);
    }
    assert!(matches!(turn(&desk, "bert"), Turn::After(_)), "{:?}", turn(&desk, "bert"));
    drop(held);
}

#[tokio::test]
async fn a_login_in_flight_does_not_outlive_the_change_of_its_password() {
    let desk = desk("one");
    let all = u32::try_from(desk.passwords.threads.available_permits()).expect("few");
    let held = desk.passwords.threads.clone().acquire_many_owned(all).await.expect("open");
    let mut login = Box::pin(desk.log_in("anna", "one", HERE));
    assert!(is_waiting(&mut login).await, "it waits for a thread");
    desk.set_agents(vec![anna("two")]).await.expect("alive");
    drop(held);
    assert_eq!(login.await, Err(Denied::Wrong));
    assert!(!desk.logins.table().is_in(&"anna".into()));
    assert!(desk.log_in("anna", "two", HERE).await.is_ok());
}

#[tokio::test]
async fn a_name_that_nobody_has_is_checked_against_a_hash_of_the_accounts_of_now() {
    let desk = desk("one");
    assert_eq!(desk.passwords.hash("nobody"), (anna("one").password, false));
    desk.set_agents(vec![anna("two")]).await.expect("alive");
    assert_eq!(desk.passwords.hash("nobody"), (anna("two").password, false));
    assert_eq!(desk.log_in("nobody", "two", HERE).await, Err(Denied::Wrong));
}

/// A WebSocket's way, and both ends of it that are the task's.
fn way() -> (Socket, mpsc::Receiver<ToTask>, mpsc::Sender<Bytes>) {
    let (to, from) = mpsc::channel(100);
    let (writer, bodies) = mpsc::channel(100);
    let flow = FlowId(1);
    let guard = Guard { place: None, peer: Peer::Socket(flow) };
    let places = Arc::new(Semaphore::new(FRAMES));
    (Socket { flow, places, to, bodies, taken: 0, report: 8, _guard: guard }, from, writer)
}

#[tokio::test]
async fn a_websocket_has_at_most_eight_frames_before_the_task() {
    let (way, mut from, _writer) = way();
    let batch = || Batch::read(&Bytes::from_static(b"{}"), &Limits::default()).expect("a batch");
    let hand_over = || tokio::time::timeout(Duration::from_millis(50), way.frame(Caller::default(), batch()));
    for _ in 0..8 {
        assert_eq!(hand_over().await, Ok(Ok(())));
    }
    assert!(hand_over().await.is_err(), "the ninth waits");
    drop(from.recv().await);
    assert_eq!(hand_over().await, Ok(Ok(())), "one was taken");
}

#[tokio::test]
async fn bodies_that_wait_for_a_websocket_are_written_as_one_in_their_order() {
    let (mut way, _from, writer) = way();
    for body in [r#"[{"id":1}]"#, r#"[{"id":2},{"id":3}]"#, r#"[{"id":4}]"#] {
        writer.send(Bytes::from_static(body.as_bytes())).await.expect("open");
    }
    assert_eq!(way.next().await.expect("open"), r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#);
    writer.send(Bytes::from_static(b"[5]")).await.expect("open");
    assert_eq!(way.next().await.expect("open"), "[5]");
    drop(writer);
    assert_eq!(way.next().await, None);
}

#[tokio::test]
async fn bodies_written_as_one_are_bounded() {
    let (mut way, _from, writer) = way();
    let body = Bytes::from(format!("[{}]", "7".repeat(TOGETHER / 2)));
    for _ in 0..5 {
        writer.send(body.clone()).await.expect("open");
    }
    let lengths = [way.next().await, way.next().await, way.next().await].map(|body| body.expect("open").len());
    assert_eq!(lengths, [TOGETHER + 3, TOGETHER + 3, TOGETHER / 2 + 2]);
}

#[tokio::test]
async fn the_task_hears_of_written_bodies_before_a_window_is_full() {
    let (mut way, mut from, writer) = way();
    let mut told = 0;
    for k in 1..=100 {
        writer.send(Bytes::from_static(b"[1]")).await.expect("open");
        way.next().await.expect("open");
        way.written().await.expect("alive");
        while let Ok(message) = from.try_recv() {
            let ToTask::Written(FlowId(1), bodies) = message else { panic!("another message") };
            told += bodies;
        }
        assert!(k - told < 8, "{told} of {k}");
    }
}
