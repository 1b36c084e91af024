//! Fuzz body of the REST reader: whatever comes never panics, and what is taken is within the bounds that the desk relies on.

use crosspoint::desk::operation::{AttachedData, CallOperation, Operation};
use crosspoint::desk::request::{MAX_BODY, Request, read};

/// Reads `data` as `METHOD path?query`, the content type and the body, each but the last on a line of its own.
pub fn rest_request(data: &[u8]) {
    let mut lines = data.splitn(3, |b| *b == b'\n');
    let mut line = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (start, content_type) = (line(), line());
    let (method, target) = start.split_once(' ').unwrap_or((&start, ""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = lines.next().unwrap_or_default();
    let request = Request { method, path, query, content_type: Some(&content_type), body };
    match read(&request) {
        Ok(operation) => {
            assert!(method == "GET" || method == "HEAD" || body.len() <= MAX_BODY);
            check(&operation);
        }
        Err(refusal) => {
            assert!((400..=415).contains(&refusal.http_status()), "{refusal:?}");
            assert!((1..=20).contains(&refusal.status_code()) && refusal.to_string().len() < 400, "{refusal:?}");
        }
    }
}

fn check(operation: &Operation) {
    match operation {
        Operation::Device(name) | Operation::Call(name) => check_name(name),
        Operation::StartSession { channels, dn } => {
            assert!(channels.len() <= 16);
            channels.iter().for_each(|name| check_name(name));
            dn.iter().for_each(|dn| check_number(dn));
        }
        Operation::NotReady { reason: Some(reason) } => {
            assert!(reason.chars().count() <= 64 && !reason.contains(char::is_control));
        }
        Operation::Dial { to, user_data, from } => {
            check_number(to);
            check_data(user_data);
            from.iter().for_each(|from| check_name(from));
        }
        Operation::OnCall(name, operation) => {
            check_name(name);
            check_call(operation);
        }
        _ => {}
    }
}

fn check_call(operation: &CallOperation) {
    match operation {
        CallOperation::SendDtmf { digits } => {
            assert!((1..=64).contains(&digits.len()));
            assert!(digits.bytes().all(|b| b.is_ascii_digit() || b"*#ABCD".contains(&b)), "{digits}");
        }
        CallOperation::SingleStepTransfer { to } | CallOperation::SingleStepConference { to } => check_number(to),
        CallOperation::InitiateTransfer { to, user_data } | CallOperation::InitiateConference { to, user_data } => {
            check_number(to);
            check_data(user_data);
        }
        CallOperation::CompleteTransfer { with }
        | CallOperation::CompleteConference { with }
        | CallOperation::SwapCalls { with } => with.iter().for_each(|with| check_name(with)),
        CallOperation::AttachUserData(data) | CallOperation::UpdateUserData(data) => check_data(data),
        CallOperation::DeleteUserDataPair { key } => assert!((1..=255).contains(&key.chars().count())),
        _ => {}
    }
}

/// What is dialled: never a character that means something in a SIP URI beside `#`, which is escaped there.
fn check_number(number: &str) {
    assert!((1..=64).contains(&number.len()), "{number}");
    assert!(number.bytes().all(|b| b.is_ascii_alphanumeric() || b"+*#._-".contains(&b)), "{number}");
}

fn check_name(name: &str) {
    assert!((1..=128).contains(&name.chars().count()), "{name}");
}

fn check_data(data: &AttachedData) {
    assert!(data.len() <= 128);
    for (key, value) in data {
        assert!((1..=255).contains(&key.chars().count()) && !key.contains(char::is_control), "{key:?}");
        assert!(!value.is_object() && !value.is_array() && !value.is_null(), "{value}");
    }
}
