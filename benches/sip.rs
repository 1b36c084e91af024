//! SIP on the wire: parse and build of a JsSIP INVITE, in time and in allocations.
#![allow(unsafe_code)] // a counting allocator has to implement `GlobalAlloc`
#![allow(missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use crosspoint::sip::message::{Builder, Message, Method, Name};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const INVITE: &[u8] = include_bytes!("../tests/data/browser/jssip_invite.sip");

fn count<T>(name: &str, mut body: impl FnMut() -> T) {
    drop(black_box(body()));
    let before = ALLOCATIONS.load(Relaxed);
    drop(black_box(body()));
    println!("{name}: {} allocations", ALLOCATIONS.load(Relaxed) - before);
}

fn parse(raw: &Bytes) -> Message {
    Message::parse(raw.clone()).expect("a sound INVITE")
}

/// What every INVITE is asked on its way: identity, route and offer.
fn read(message: &Message) -> usize {
    let options = usize::from(message.has_option(Name::Supported, "replaces"));
    let contacts = message.contacts().flatten().count();
    let from = message.from().tag().map_or(0, str::len);
    let via = message.via().branch().map_or(0, str::len);
    from + via + message.call_id().len() + message.cseq().number as usize + message.body().len() + contacts + options
}

fn build(body: &[u8]) -> Bytes {
    Builder::request(&Method::Invite, "sip:6001@192.0.2.81")
        .header(Name::Via, "SIP/2.0/UDP 192.0.2.54:5060;branch=z9hG4bK9518163;rport")
        .header(Name::MaxForwards, "69")
        .header(Name::From, "\"Agent 5001\" <sip:5001@192.0.2.54>;tag=o1hfnvq1bd")
        .header(Name::To, "<sip:6001@192.0.2.81>")
        .header(Name::CallId, "5b7d1t6q0m3l2k9j8h7g")
        .header(Name::CSeq, "1 INVITE")
        .header(Name::Contact, "<sip:5001@192.0.2.54:5060>")
        .header(Name::Allow, "INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY")
        .header(Name::Supported, "timer,replaces")
        .body("application/sdp", body)
        .build()
}

fn sip(c: &mut Criterion) {
    let raw = Bytes::from_static(INVITE);
    let message = parse(&raw);
    println!("INVITE of {} bytes", raw.len());
    count("parse", || parse(&raw));
    count("read", || read(&message));
    count("build", || build(message.body()));
    count("response", || Builder::response_to(&message, 180, None, Some("tag")).build());
    c.bench_function("sip/parse", |b| b.iter(|| parse(black_box(&raw))));
    c.bench_function("sip/read", |b| b.iter(|| read(black_box(&message))));
    c.bench_function("sip/build", |b| b.iter(|| build(black_box(message.body()))));
    c.bench_function("sip/response", |b| {
        b.iter(|| Builder::response_to(black_box(&message), 180, None, Some("tag")).build());
    });
    let text = String::from_utf8_lossy(INVITE).into_owned();
    c.bench_function("sip/rsip parse", |b| b.iter(|| rsip::SipMessage::try_from(black_box(text.as_str())).is_ok()));
}

criterion_group!(benches, sip);
criterion_main!(benches);
