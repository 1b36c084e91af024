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

use crosspoint::id::CallId;
use crosspoint::media::Socket;
use crosspoint::media::tap::tapped;
use crosspoint::packet::PacketBuf;
use crosspoint::plan::*;
use crosspoint::rtp::{HEADER_LEN, write_header};

use crate::peer::{Browser, Drain, connected, home};
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
    use std::ffi::{c_int, c_void};

    const EINVAL: c_int = 22;
    const ENOMEM: c_int = 12;

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

    // SAFETY: glibc has no second name for this one; its contract is kept over memalign: `out` is written on success alone.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
        super::count();
        if !alignment.is_power_of_two() || !alignment.is_multiple_of(size_of::<*mut c_void>()) {
            return EINVAL;
        }
        let memory = unsafe { __libc_memalign(alignment, size) };
        if memory.is_null() {
            return ENOMEM;
        }
        unsafe { out.write(memory) };
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
        super::count();
        unsafe { __libc_memalign(alignment, size) }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod interposed {
    use std::alloc::{GlobalAlloc, Layout, System};

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

/// What the browser of leg `A` says.
fn sealed(browser: &mut Browser) -> Vec<Vec<u8>> {
    let mut speaker = Speaker::new(A, plan(OPUS), 700.0);
    let packets = (0..WARM_UP + PACKETS).map(|_| speaker.next(20));
    packets.map(|(header, payload)| browser.seal(&header, &payload)).collect()
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
    // Over-aligned memory comes by posix_memalign or aligned_alloc.
    #[repr(align(64))]
    struct Aligned(#[allow(dead_code)] [u8; 64]);
    drop(std::hint::black_box(Box::new(Aligned([0; 64]))));
    let aligned = COUNT.with(Cell::get);
    assert!(aligned > rust);
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        // libopus makes its state with the C library's malloc; on our side there is nothing to allocate.
        drop(std::hint::black_box(crosspoint::codec::opus::Decoder::new().expect("libopus")));
        assert!(COUNT.with(Cell::get) > aligned);
    }
}

#[test]
fn a_thousand_packets_each_way_allocate_nothing() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    let sealed = sealed(&mut browser);
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

/// The tap is full after a while, which costs nothing either; what is drained goes into room that is there.
#[test]
fn a_thousand_packets_that_are_tapped_allocate_nothing() {
    let (mut rig, mut browser) = connected(plan(OPUS), plan(AudioCodec::Pcmu));
    for leg in [A, B] {
        rig.order(Order::Tap(leg, Some(CallId(1))));
    }
    let sealed = sealed(&mut browser);
    let (allocations, sent) = feed(&mut rig, Socket::Browser(0), home(), &sealed);
    assert!(sent >= PACKETS, "{sent}");
    assert_eq!(allocations, 0);
    let mut room = Vec::with_capacity(1 << 20);
    let begun = COUNT.with(Cell::get);
    let missed = rig.engine.tap(B).expect("a tap").drain(&mut room);
    assert_eq!(COUNT.with(Cell::get) - begun, 0);
    assert!(missed > 0 && tapped(&room).count() > 100, "{missed}");
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

#[test]
fn a_thousand_ticks_of_a_mix_allocate_nothing() {
    let codecs = [OPUS, AudioCodec::Pcmu, AudioCodec::Pcma];
    let legs = [A, B, C];
    let mut rig = Rig::parked(&codecs.map(plan), &[]);
    rig.order(Order::Connect(Topology::Mix(legs.to_vec())));
    let mut speakers: Vec<_> =
        legs.iter().zip(codecs).map(|(leg, codec)| Speaker::new(*leg, plan(codec), 700.0)).collect();
    let datagrams: Vec<_> =
        (0..WARM_UP + PACKETS).map(|_| speakers.iter_mut().map(plain).collect::<Vec<_>>()).collect();
    let mut packet = PacketBuf::new();
    let mut drain = Drain::default();
    let mut begun = 0;
    for (k, tick) in datagrams.iter().enumerate() {
        if k == WARM_UP {
            begun = COUNT.with(Cell::get);
            drain.0 = 0;
        }
        for (leg, datagram) in legs.iter().zip(tick) {
            // Some are lost, and made up for.
            if !(k + leg.0 as usize).is_multiple_of(37) {
                packet.copy_from(datagram);
                rig.engine.handle_datagram(Socket::Rtp(pair(*leg)), address(*leg), &mut packet, rig.now, &mut drain);
            }
        }
        rig.now += std::time::Duration::from_millis(20);
        rig.engine.handle_timeout(rig.now, &mut drain);
    }
    let allocations = COUNT.with(Cell::get) - begun;
    assert!(drain.0 >= 3 * PACKETS, "{}", drain.0);
    assert_eq!(allocations, 0);
}

#[test]
fn a_thousand_frames_of_a_sound_allocate_nothing() {
    let sound = crosspoint::media::Sound::new((0..8000).map(|k| k as i16).collect());
    let mut rig = Rig::parked(&[plan(AudioCodec::Pcmu), plan(OPUS)], &[sound]);
    for leg in [A, B] {
        rig.order(Order::Connect(Topology::Parked(leg, Source::Sound(SoundId(0)))));
    }
    let mut drain = Drain::default();
    let mut begun = 0;
    for k in 0..WARM_UP + PACKETS {
        if k == WARM_UP {
            begun = COUNT.with(Cell::get);
        }
        rig.engine.handle_timeout(rig.now, &mut drain);
        rig.now += std::time::Duration::from_millis(20);
    }
    let allocations = COUNT.with(Cell::get) - begun;
    assert!(drain.0 >= 2 * PACKETS, "{}", drain.0);
    assert_eq!(allocations, 0);
}
