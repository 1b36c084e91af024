//! A report as a run makes it, for the tests of what is made of it.

use super::*;
use crate::load::outcome::{Histogram, Second};
use crate::load::plan::LoadPlan;

fn way(base_us: u64) -> WayFigures {
    // Most packets at once, a few late.
    let delay: Histogram = (0..2_000u64).map(|k| base_us + (k % 17) + (k % 997 == 0) as u64 * 900).collect();
    WayFigures { delay, sound_us: Some(40), sent: 2_000, received: 2_000, audio_good: 94, ..WayFigures::default() }
}

fn run(subject: Subject, cpu_us: f64) -> Measured {
    let is_target = subject == Subject::Target;
    let base = if is_target { 60 } else { 40 };
    let spread = |from: u64, to: u64| (from..to).step_by(((to - from) / 90) as usize).collect::<Histogram>();
    let server = Share {
        cpu_us_per_call_s: Some(cpu_us),
        load: cpu_us * 94.0 / 1e6,
        rss_before_kib: 12_000,
        rss_kib: 24_000,
        rss_per_call_kib: 127.0,
        ..Share::default()
    };
    let mut figures = Figures {
        to_trunk: way(base),
        to_browser: way(base + 8),
        begun: 94,
        server: Some(server),
        lateness: spread(10, 300),
        ..Figures::default()
    };
    if is_target {
        figures.to_180 = spread(500, 1_500);
        figures.to_200 = spread(700, 2_400);
        figures.to_audio = spread(14_000, 46_000);
        figures.to_trunk.lost = 1;
        figures.failures.insert("486 Busy Here".into(), 1);
    }
    let second = |t: u64| Second {
        t_us: t * 1_000_000,
        ringing: if t < 10 { 2 } else { 0 },
        up: (t * 10).min(94) as u32,
        hold: t >= 10,
        cpu_us: Some((t * 10).min(94) * cpu_us as u64),
        rss_kib: Some(12_000 + (t * 10).min(94) * 127),
        ..Second::default()
    };
    Measured { subject, calls: 94, speaking: 94, percent: Some(40), figures, seconds: (1..=30).map(second).collect() }
}

/// Two runs of a server and of the floor at 40 %.
pub(super) fn sample() -> LoadReport {
    let mut plan = LoadPlan { driver_core: Some(1), ..LoadPlan::default() };
    plan.browsers.urls = vec!["wss://127.0.0.1:8443/ws".into()];
    LoadReport {
        schema: SCHEMA,
        tool: "crosspoint 0.1.0".into(),
        begun_at: 1_700_000_000,
        command: "crosspoint load --self --at 40".into(),
        machine: Machine {
            cpu: "a processor".into(),
            cores: 2,
            memory_mib: 24_000,
            kernel: "6.1".into(),
            scheduling: None,
        },
        server: Server {
            profile: "crosspoint".into(),
            pids: vec![7],
            command: "crosspoint serve".into(),
            core: Some(0),
        },
        plan,
        floor: Some(FloorSettings { complexity: 1, bitrate_bps: 32_000 }),
        runs: vec![
            run(Subject::Target, 4_390.0),
            run(Subject::Floor, 3_990.0),
            run(Subject::Target, 4_400.0),
            run(Subject::Floor, 4_000.0),
        ],
        capacities: vec![Capacity { subject: Subject::Floor, calls: 235, limit: "packets late with 240".into() }],
    }
}
