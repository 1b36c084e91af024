//! A packet across the bridge allocates nothing, neither in Rust nor in C: `malloc` itself is counted (Rust's allocator
//! calls it, libopus and aws-lc do), where the C library is glibc, which has the real one under a second name.
#![allow(unsafe_code)]

#[allow(dead_code)]
#[path = "../media/peer.rs"]
mod peer;
#[allow(dead_code)]
#[path = "../media/rig.rs"]
mod rig;

use std::cell::Cell;

use crosspoint::media::Socket;
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, write_header};

use crate::peer::{Drain, connected, home};
use crate::rig::*;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends has no counter any more; none of these is measured.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod interposed {
    use std::ffi::c_void;

    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
        fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        fn __libc_realloc(memory: *mut c_void, size: usize) -> *mut c_void;
        fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    }

    // SAFETY: every call goes to glibc's own function of the same contract as it came; counting allocates nothing.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        super::count();
        unsafe { __libc_malloc(size) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
        super::count();
        unsafe { __libc_calloc(count, size) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(memory: *mut c_void, size: usize) -> *mut c_void {
        super::count();
        unsafe { __libc_realloc(memory, size) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
        super::count();
        unsafe { __libc_memalign(alignment, size) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
        super::count();
        unsafe { __libc_memalign(alignment, size) }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod interposed {

    /// Counts Rust alone.
    struct Counting;

    // SAFETY: every call goes to the system's allocator as it came.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            super::count();
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            unsafe { System.dealloc(memory, layout) }
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            super::count();
            unsafe { System.realloc(memory, layout, size) }
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;
}

const OPUS: AudioCodec = AudioCodec::Opus(OpusParams { bitrate_bps: 32_000, complexity: 1, fec: true, dtx: false });
const PACKETS: usize = 1000;
const WARM_UP: usize = 20;

/// Feeds prepared datagrams in and returns the allocations and the packets sent after the warm-up.
fn feed(rig: &mut Rig, socket: Socket, from: std::net::SocketAddr, datagrams: &[Vec<u8>]) -> (usize, usize) {
    let mut packet = PacketBuf::new();
    let mut drain = Drain::default();
    let mut begun = 0;
    for (k, datagram) in datagrams.iter().enumerate() {
        if k == WARM_UP {
            begun = COUNT.with(Cell::get);
            drain.0 = 0;
        }
        packet.copy_from(datagram);
        rig.engine.handle_datagram(socket, from, &mut packet, rig.now, &mut drain);
        rig.engine.handle_timeout(rig.now, &mut drain);
        rig.now += std::time::Duration::from_millis(20);
    }
    (COUNT.with(Cell::get) - begun, drain.0)
}

fn plain(speaker: &mut Speaker) -> Vec<u8> {
    let (header, payload) = speaker.next(20);
    let mut bytes = vec![0; HEADER_LEN];
    write_header(&mut bytes, &header);
    bytes.extend(payload);
    bytes
}

/// Without this, the tests below would pass where nothing is counted.
#[test]
fn what_rust_and_c_allocate_is_counted() {
    let begun = COUNT.with(Cell::get);
    drop(std::hint::black_box(vec![0u8; 64]));
    let rust = COUNT.with(Cell::get);
    assert!(rust > begun);
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        // libopus makes its state with the C library's malloc; on our side there is nothing to allocate.
        drop(std::hint::black_box(crosspoint::codec::opus::Decoder::new().expect("libopus")));
        assert!(COUNT.with(Cell::get) > rust);
    }
}

#[test]
fn a_thousand_packets_each_way_allocate_nothing() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(A, plan(OPUS), 700.0);
    let sealed: Vec<_> = (0..WARM_UP + PACKETS)
        .map(|_| {
            let (header, payload) = speaker.next(20);
            browser.seal(&header, &payload)
        })
        .collect();
    let (allocations, sent) = feed(&mut rig, Socket::Browser(0), home(), &sealed);
    assert!(sent >= PACKETS, "{sent}");
    assert_eq!(allocations, 0, "SRTP Opus to G.711");

    let (mut rig, _browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    let mut speaker = Speaker::new(B, plan(AudioCodec::Pcmu), 700.0);
    let datagrams: Vec<_> = (0..WARM_UP + PACKETS).map(|_| plain(&mut speaker)).collect();
    let (allocations, sent) = feed(&mut rig, Socket::Rtp(pair(B)), address(B), &datagrams);
    assert!(sent >= PACKETS, "{sent}");
    assert_eq!(allocations, 0, "G.711 to SRTP Opus");
}

#[test]
fn a_thousand_forwarded_packets_allocate_nothing() {
    let mut rig = Rig::new(plan(AudioCodec::Pcmu), plan(AudioCodec::Pcma));
    let mut speaker = Speaker::new(A, plan(AudioCodec::Pcmu), 700.0);
    let datagrams: Vec<_> = (0..WARM_UP + PACKETS).map(|_| plain(&mut speaker)).collect();
    let (allocations, sent) = feed(&mut rig, Socket::Rtp(pair(A)), address(A), &datagrams);
    assert!(sent >= PACKETS, "{sent}");
    assert_eq!(allocations, 0);
}
