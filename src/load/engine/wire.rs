//! The sockets of the media thread under one epoll, and its door bell.
//!
//! We do not use a poll whose time-outs are whole milliseconds, because a packet that leaves a millisecond late is what is measured.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::order::Order;

/// Events taken at a time; sending has its turn in between.
const EVENTS: usize = 32;
/// The bell's number among the sockets.
pub const BELL: u64 = u64::MAX;

/// Where orders go in.
#[derive(Clone)]
pub struct Door {
    orders: Sender<Order>,
    bell: Arc<OwnedFd>,
}

impl Door {
    /// Hands an order in; one for a thread that has ended is dropped.
    pub fn give(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            // A bell that is rung already is heard.
            let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
        }
    }
}

/// The thread's side.
pub struct Wire {
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    /// What was ordered.
    pub orders: Receiver<Order>,
}

impl Wire {
    /// Makes both sides. Fails where the kernel has no more descriptors.
    pub fn new() -> io::Result<(Door, Wire)> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&epoll, &*bell, EventData::new_u64(BELL), EventFlags::IN)?;
        let (sender, orders) = mpsc::channel();
        let door = Door { orders: sender, bell: bell.clone() };
        Ok((door, Wire { epoll, bell, orders }))
    }

    /// Hears a socket from now on, under this number.
    pub fn add(&self, socket: impl AsFd, number: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(number), EventFlags::IN)?)
    }

    /// Hears a socket no more.
    pub fn remove(&self, socket: impl AsFd) {
        // It is closed next, which does the same.
        let _ = epoll::delete(&self.epoll, socket);
    }

    /// Waits at most so long; returns the numbers of the sockets that have something.
    pub fn wait(&self, timeout: Duration, ready: &mut Vec<u64>) -> io::Result<()> {
        ready.clear();
        if !timeout.is_zero() {
            let timeout = Timespec {
                tv_sec: timeout.as_secs().min(1) as i64,
                tv_nsec: i64::from(if timeout.as_secs() >= 1 { 0 } else { timeout.subsec_nanos() }),
            };
            let mut fds = [PollFd::new(&self.epoll, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        let mut events = [MaybeUninit::<Event>::uninit(); EVENTS];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match epoll::wait(&self.epoll, &mut events[..], Some(&now)) {
            Ok((events, _)) => ready.extend(events.iter().map(|event| event.data.u64())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Rings our own bell, for orders that wait.
    pub fn ring(&self) {
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
    }

    /// Silences the bell.
    pub fn answer(&self) {
        let _ = rustix::io::read(&*self.bell, &mut [0u8; 8]);
    }
}
