//! What a process costs, from `/proc`; and on which core processes run.
//!
//! CPU time is the sum of its threads' `schedstat` (nanoseconds), where the kernel keeps it, else `utime + stime` of `stat`
//! (ticks of 10 ms). See proc(5).

use std::collections::BTreeMap;
use std::fs;
use std::io;

use rustix::thread::{CpuSet, Pid, sched_setaffinity};

use super::LoadError;

/// Length of a tick of `/proc/PID/stat`, µs: USER_HZ is 100 on every Linux.
const TICK_US: u64 = 10_000;

/// Processes that are measured as one: a server, with the helpers that it runs beside it.
#[derive(Debug)]
pub struct Processes {
    each: Vec<Process>,
}

/// One process and what its threads had used when they were last seen.
#[derive(Debug)]
struct Process {
    pid: u32,
    threads: BTreeMap<u32, Run>,
    /// CPU time since we look, and time that threads waited for a core, µs.
    used_us: u64,
    waited_us: u64,
    last_ticks_us: u64,
    is_fine: bool,
}

/// Nanoseconds of a thread on a core, and of its waiting for one.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    on_core: u64,
    waiting: u64,
}

/// What processes cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// CPU time of all threads since the processes were first looked at, µs.
    pub cpu_us: u64,
    /// Time that their threads were ready to run and another thread had the core, µs; 0 where the kernel does not tell.
    pub waited_us: u64,
    /// Resident memory, KiB.
    pub rss_kib: u64,
}

impl Processes {
    /// Begins to look at the processes. Fails where one is not there or not ours to look at.
    pub fn watch(pids: &[u32]) -> Result<Processes, LoadError> {
        let each: Result<Vec<_>, _> = pids.iter().map(|pid| Process::watch(*pid)).collect();
        Ok(Processes { each: each? })
    }

    /// Looks at ourselves.
    pub fn ourselves() -> Result<Processes, LoadError> {
        Processes::watch(&[std::process::id()])
    }

    /// Tells what they cost up to this moment. Fails when one of them is gone.
    pub fn cost(&mut self) -> Result<Cost, LoadError> {
        let mut sum = Cost::default();
        for process in &mut self.each {
            let cost = process.cost()?;
            sum.cpu_us += cost.cpu_us;
            sum.waited_us += cost.waited_us;
            sum.rss_kib += cost.rss_kib;
        }
        Ok(sum)
    }
}

impl Process {
    fn watch(pid: u32) -> Result<Process, LoadError> {
        let mut process = Process {
            pid,
            threads: BTreeMap::new(),
            used_us: 0,
            waited_us: 0,
            last_ticks_us: ticks_us(pid)?,
            is_fine: true,
        };
        process.threads = match process.read_threads() {
            Some(threads) => threads,
            None => {
                process.is_fine = false;
                BTreeMap::new()
            }
        };
        Ok(process)
    }

    /// What each thread has run and waited; `None`: the kernel does not tell.
    fn read_threads(&self) -> Option<BTreeMap<u32, Run>> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?.flatten() {
            let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A thread may end between the two reads.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let mut numbers = text.split_whitespace().map(str::parse);
            threads.insert(tid, Run { on_core: numbers.next()?.ok()?, waiting: numbers.next()?.ok()? });
        }
        threads.values().any(|run| run.on_core > 0).then_some(threads)
    }

    fn cost(&mut self) -> Result<Cost, LoadError> {
        let ticks = ticks_us(self.pid)?;
        let by_ticks = ticks.saturating_sub(self.last_ticks_us);
        self.last_ticks_us = ticks;
        match self.is_fine.then(|| self.read_threads()).flatten() {
            Some(threads) => {
                let (mut used, mut waited) = (0, 0);
                for (tid, run) in &threads {
                    let before = self.threads.get(tid).copied().unwrap_or_default();
                    used += run.on_core.saturating_sub(before.on_core);
                    waited += run.waiting.saturating_sub(before.waiting);
                }
                self.used_us += used / 1000;
                self.waited_us += waited / 1000;
                self.threads = threads;
            }
            None => self.used_us += by_ticks,
        }
        Ok(Cost { cpu_us: self.used_us, waited_us: self.waited_us, rss_kib: rss_kib(self.pid)? })
    }
}

fn read(pid: u32, file: &str) -> Result<String, LoadError> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "there is no such process".to_owned(),
            _ => error.to_string(),
        };
        LoadError::Process { pid, reason }
    })
}

/// `utime + stime` of all threads, ended ones too.
fn ticks_us(pid: u32) -> Result<u64, LoadError> {
    let stat = read(pid, "stat")?;
    let unreadable = || LoadError::Process { pid, reason: "/proc tells nothing of its CPU time".to_owned() };
    // The name, in brackets, may hold anything; fields are counted from behind it (utime is field 14, the state 3).
    let (_, fields) = stat.rsplit_once(')').ok_or_else(unreadable)?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || fields.next().and_then(Result::ok).ok_or_else(unreadable);
    Ok((next()? + next()?) * TICK_US)
}

fn rss_kib(pid: u32) -> Result<u64, LoadError> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.ok_or_else(|| LoadError::Process { pid, reason: "/proc tells nothing of its memory".to_owned() })
}

/// Command of a process, as it was started, at most 200 characters.
pub fn command_of(pid: u32) -> Result<String, LoadError> {
    let line = read(pid, "cmdline")?;
    let words: Vec<&str> = line.split('\0').filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return Ok(read(pid, "comm")?.trim().to_owned());
    }
    Ok(words.join(" ").chars().take(200).collect())
}

fn one(core: usize) -> Result<CpuSet, LoadError> {
    let mut set = CpuSet::new();
    if core >= CpuSet::MAX_CPU {
        return Err(LoadError::Core { core, source: io::ErrorKind::InvalidInput.into() });
    }
    set.set(core);
    Ok(set)
}

/// Pins the calling thread, and every thread and process that it starts later, to one core.
pub fn pin_thread(core: usize) -> Result<(), LoadError> {
    sched_setaffinity(None, &one(core)?).map_err(|error| LoadError::Core { core, source: error.into() })
}

/// Pins every thread that a process has to one core; those that they start later follow them.
pub fn pin_process(pid: u32, core: usize) -> Result<(), LoadError> {
    let set = one(core)?;
    let gone = |_| LoadError::Process { pid, reason: "there is no such process".to_owned() };
    for entry in fs::read_dir(format!("/proc/{pid}/task")).map_err(gone)?.flatten() {
        let tid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        match sched_setaffinity(tid, &set) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(LoadError::Core { core, source: error.into() }),
        }
    }
    Ok(())
}

/// The policy that our threads, and the processes that they start, are scheduled by, where it is not the usual one.
pub fn scheduling() -> Option<&'static str> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Field 41; the state, the first one behind the name, is field 3.
    match stat.rsplit_once(')')?.1.split_whitespace().nth(38)? {
        "1" => Some("SCHED_FIFO"),
        "2" => Some("SCHED_RR"),
        "3" => Some("SCHED_BATCH"),
        "5" => Some("SCHED_IDLE"),
        "6" => Some("SCHED_DEADLINE"),
        _ => None,
    }
}

/// How many cores the machine lets us use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_a_thread_counts_and_so_does_that_of_one_begun_later() {
        let mut ourselves = Processes::ourselves().expect("/proc");
        let before = ourselves.cost().expect("/proc");
        let burn = || {
            let start = std::time::Instant::now();
            let mut x = 1u64;
            while start.elapsed() < std::time::Duration::from_millis(60) {
                x = std::hint::black_box(x.wrapping_mul(3));
            }
        };
        // The thread is still there when we look.
        let (done, seen) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                burn();
                done.wait();
                seen.wait();
            });
            done.wait();
            let after = ourselves.cost().expect("/proc");
            // A busy machine gives us a part of the 60 ms only.
            assert!(after.cpu_us - before.cpu_us >= 5_000, "{before:?} {after:?}");
            assert!(after.rss_kib > 500);
            seen.wait();
        });
    }

    #[test]
    fn a_thread_that_another_keeps_from_its_core_has_waited() {
        let mut ourselves = Processes::ourselves().expect("/proc");
        let done = std::sync::Barrier::new(3);
        let burn = || {
            pin_thread(0).expect("the first core");
            let start = std::time::Instant::now();
            while start.elapsed() < std::time::Duration::from_millis(60) {
                std::hint::spin_loop();
            }
            done.wait();
            done.wait();
        };
        std::thread::scope(|scope| {
            scope.spawn(burn);
            scope.spawn(burn);
            done.wait();
            let waited_us = ourselves.cost().expect("/proc").waited_us;
            done.wait();
            assert!(waited_us >= 5_000, "two threads on one core for 60 ms: {waited_us} µs");
        });
    }

    #[test]
    fn a_process_that_is_not_there_is_told_in_one_line() {
        let error = Processes::watch(&[u32::MAX >> 1]).expect_err("no such process").to_string();
        assert_eq!(error, "pid 2147483647: there is no such process");
    }

    #[test]
    fn a_pinned_thread_runs_on_its_core_and_an_absent_core_is_refused() {
        std::thread::spawn(|| {
            pin_thread(0).expect("the first core");
            assert_eq!(cores(), 1);
        })
        .join()
        .expect("no panic");
        assert!(pin_thread(CpuSet::MAX_CPU - 1).is_err());
        assert!(pin_thread(usize::MAX).is_err());
    }

    #[test]
    fn the_command_of_a_process_is_read_as_it_was_started() {
        let own = command_of(std::process::id()).expect("/proc");
        assert!(own.contains("crosspoint"), "{own}");
    }
}
