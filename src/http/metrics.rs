//! The figures as OpenMetrics text: levels are gauges, counts since the start are counters.

mod agents;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::gateway::{CallState, Health, Snapshot, TargetState, TrunkView};
use crate::id::WorkerId;
use crate::io::desk;
use crate::io::signalling::Figures;
use crate::io::sink::SinkTally;
use crate::io::tally::{Count, Tally};
use crate::io::worker::WorkerCounters;

type Labels = Vec<(&'static str, String)>;

/// A registry made for one answer: the values are those of one moment.
struct Page(Registry);

impl Page {
    fn counter(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn gauge(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Gauge>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.0.register(name, help, family);
    }

    fn ratio(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }

    fn level(&mut self, name: &str, help: &str, value: usize) {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.register(name, help, gauge);
    }
}

/// Writes all figures.
pub fn render(figures: &Figures, tally: &Tally, agents: Option<&desk::Figures>, sinks: Option<&SinkTally>) -> String {
    let mut page = Page(Registry::with_prefix("crosspoint"));
    signalling(&mut page, &figures.snapshot);
    media(&mut page, &figures.workers);
    let shell = Count::ALL.iter().map(|count| (vec![("what", count.name().to_owned())], tally.get(*count)));
    page.counter("shell", "What the sockets and connections saw, dropped and refused", shell);
    if let Some(figures) = agents {
        self::agents::write(&mut page, figures);
    }
    if let Some(tally) = sinks {
        self::sinks(&mut page, tally);
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &page.0);
    text
}

fn sinks(page: &mut Page, tally: &SinkTally) {
    let figures = tally.figures();
    let of = |name: &str| vec![("sink", name.to_owned())];
    page.gauge(
        "sink_waiting",
        "Events that a sink has not taken yet",
        figures.iter().map(|f| (of(&f.name), f.waiting)),
    );
    let counts = figures.iter().flat_map(|f| {
        let each = [("delivered", f.delivered), ("failures", f.failures), ("refused", f.refused), ("lost", f.lost)];
        each.map(|(what, value)| ([of(&f.name), vec![("what", what.to_owned())]].concat(), value))
    });
    page.counter(
        "sink",
        "Events delivered, attempts that failed, events refused for good or lost to the bound",
        counts,
    );
    let refused = Counter::<u64>::default();
    refused.inc_by(tally.refused());
    page.0.register("outbox_refused", "Events that never came into the journal: its queue was full", refused);
}

fn signalling(page: &mut Page, snapshot: &Snapshot) {
    let states =
        [("setup", CallState::Setup), ("established", CallState::Established), ("releasing", CallState::Releasing)];
    let calls = states.map(|(name, state)| {
        let count = snapshot.calls.iter().filter(|call| call.state == state).count();
        (vec![("state", name.to_owned())], count as u64)
    });
    page.gauge("calls", "Calls at present", calls);
    page.level("registrations", "Bindings at present", snapshot.registrations.len());
    page.level("flows", "SIP connections at present", snapshot.flows);
    page.level("transactions", "SIP transactions at present", snapshot.transactions);
    page.level("sessions", "SIP sessions (INVITE dialogs) at present", snapshot.sessions);
    page.level("table_entries", "Entries of all tables of calls and transactions", snapshot.entries);
    let free = snapshot.free_pairs.iter().map(|(id, free)| (worker(*id), *free as u64));
    page.gauge("free_port_pairs", "Port pairs that signalling may give out", free);
    let c = &snapshot.counters;
    let counts = [
        ("calls", c.calls),
        ("answered", c.answered),
        ("refused", c.refused),
        ("strangers", c.strangers),
        ("bad_digests", c.bad_digests),
        ("challenges", c.challenges),
        ("no_port", c.no_port),
        ("info_digits", c.info_digits),
        ("info_digits_sent", c.info_digits_sent),
        ("notifies", c.notifies),
        ("media_failures", c.media_failures),
        ("deaf_pages", c.deaf_pages),
        ("rebound", c.rebound),
        ("resumed", c.resumed),
        ("overload_g711", c.overload_g711),
    ];
    let counts = counts.map(|(name, value)| (vec![("what", name.to_owned())], value));
    page.counter("signalling", "What signalling did and refused", counts);
    let refused = [
        ("overload", c.overload),
        ("calls", c.too_many_calls),
        ("dn_calls", c.too_many_of_dn),
        ("no_port", c.no_port),
        ("draining", c.draining),
    ];
    let refused = refused.map(|(name, value)| (vec![("reason", name.to_owned())], value));
    page.counter("calls_refused", "New calls refused for a limit, by reason", refused);
    let load = snapshot.workers.iter().map(|w| (worker(w.worker), f64::from(w.permille) / 1000.0));
    page.ratio("worker_load_expected", "The load by which calls are placed: with those placed just now", load);
    let over = snapshot.workers.iter().map(|w| (worker(w.worker), u64::from(w.is_overloaded)));
    page.gauge("worker_overloaded", "Media threads that take no new calls, or such with G.711 only: 1", over);
    let trunks = snapshot.trunks.iter().flat_map(|trunk| {
        let c = &trunk.counters;
        let each = [("inbound", c.inbound), ("outbound", c.outbound), ("silent", c.silent)];
        each.map(|(what, value)| (vec![("trunk", trunk.name.clone()), ("what", what.to_owned())], value))
    });
    page.counter("trunk", "INVITEs from and to each trunk, and those that it did not answer", trunks);
    self::trunks(page, &snapshot.trunks);
    let sip = [
        ("malformed", snapshot.sip.malformed),
        ("stray_responses", snapshot.sip.stray_responses),
        ("stray_acks", snapshot.sip.stray_acks),
        ("limited", snapshot.sip.limited),
        ("overloaded", snapshot.sip.overloaded),
    ];
    let sip = sip.map(|(name, value)| (vec![("what", name.to_owned())], value));
    page.counter("sip_dropped", "SIP messages dropped or turned away", sip);
}

fn trunks(page: &mut Page, trunks: &[TrunkView]) {
    let label = |trunk: &TrunkView, name, value: &str| vec![("trunk", trunk.name.clone()), (name, value.to_owned())];
    let up = trunks.iter().flat_map(|trunk| {
        let each =
            |target: &TargetState| (label(trunk, "target", &target.target), u64::from(target.health != Health::Down));
        trunk.state.targets.iter().map(each)
    });
    page.gauge("trunk_up", "Targets of each trunk: 1 unless down", up);
    let states = trunks.iter().flat_map(|trunk| {
        let each = |health: Health| (label(trunk, "state", health.as_str()), u64::from(trunk.state.health == health));
        [Health::Up, Health::Degraded, Health::Unknown, Health::Down].map(each)
    });
    page.gauge("trunk_state", "The state that each trunk is in is 1", states);
    let registrations = trunks.iter().filter_map(|trunk| Some((trunk, trunk.state.registrations?)));
    let registrations = registrations.flat_map(|(trunk, counts)| {
        let each = [
            ("registered", counts.registered),
            ("pending", counts.pending),
            ("refused", counts.refused),
            ("unreachable", counts.unreachable),
        ];
        each.map(|(standing, count)| (label(trunk, "standing", standing), count as u64))
    });
    page.gauge("trunk_registrations", "DNs at each trunk that they are registered with", registrations);
}

fn media(page: &mut Page, workers: &[(WorkerId, WorkerCounters)]) {
    let load = workers.iter().map(|(id, counters)| (worker(*id), counters.load_permille as f64 / 1000.0));
    page.ratio("worker_load", "Share of its core that each media thread used in the last second", load);
    let each = |get: fn(&WorkerCounters) -> u64| workers.iter().map(move |(id, counters)| (worker(*id), get(counters)));
    page.gauge("media_legs", "Open legs", each(|c| c.engine.legs));
    page.counter("media_datagrams", "Datagrams that arrived", each(|c| c.engine.datagrams));
    page.counter("media_received", "RTP packets taken", each(|c| c.engine.received));
    let discards = workers.iter().flat_map(|(id, c)| {
        let reason = |name: &str| [worker(*id), vec![("reason", name.to_owned())]].concat();
        c.engine.discards.iter().map(move |(discard, count)| (reason(discard.name()), count))
    });
    page.counter("media_discarded", "Datagrams dropped, by reason", discards);
    page.counter("media_lost", "RTP packets that never came, of legs that are closed", each(|c| c.engine.closed.lost));
    page.counter(
        "media_late",
        "RTP packets that came too late, of legs that are closed",
        each(|c| c.engine.closed.late),
    );
    page.counter(
        "media_waited",
        "RTP packets that waited for those before them or for their time (reorder_hold_ms, dejitter_ms)",
        each(|c| c.engine.waited),
    );
    page.counter("media_waited_us", "Microseconds that they waited together", each(|c| c.engine.waited_us));
    let pairs = workers.iter().flat_map(|(id, c)| {
        let levels = [("ready", c.pairs_ready), ("used", c.pairs_used), ("draining", c.pairs_draining)];
        levels.map(|(state, value)| ([worker(*id), vec![("state", state.to_owned())]].concat(), value))
    });
    page.gauge("port_pairs", "Bound RTP/RTCP port pairs", pairs);
    page.counter("ports_exhausted", "Times that no free port was found", each(|c| c.ports_exhausted));
    page.counter("media_send_errors", "Datagrams that the kernel did not take", each(|c| c.send_errors));
    page.counter("media_oversized", "Datagrams longer than a packet may be", each(|c| c.oversized));
    page.counter("media_turns", "Turns of the media threads' loops", each(|c| c.turns));
}

fn worker(id: WorkerId) -> Labels {
    vec![("worker", id.0.to_string())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Counters, RegistrationCounts, TrunkCounters, TrunkState, WorkerView};

    fn figures() -> Figures {
        let counters = Counters { calls: 7, bad_digests: 3, overload: 2, ..Counters::default() };
        let snapshot = Snapshot {
            registrations: Vec::new(),
            calls: Vec::new(),
            flows: 2,
            trunks: vec![TrunkView {
                name: "genesys".into(),
                counters: TrunkCounters { silent: 5, ..TrunkCounters::default() },
                state: TrunkState {
                    health: Health::Degraded,
                    targets: [("udp:192.0.2.81:5060", Health::Up), ("udp:192.0.2.82:5060", Health::Down)]
                        .map(|(target, health)| TargetState { target: target.into(), health })
                        .into(),
                    registrations: Some(RegistrationCounts { registered: 12, ..RegistrationCounts::default() }),
                },
            }],
            free_pairs: vec![(WorkerId(1), 30)],
            workers: vec![WorkerView { worker: WorkerId(1), permille: 866, legs: 4, is_overloaded: true }],
            transactions: 0,
            sessions: 0,
            entries: 0,
            counters,
            sip: Default::default(),
        };
        let mut worker =
            WorkerCounters { pairs_ready: 30, send_errors: 4, load_permille: 857, ..WorkerCounters::default() };
        worker.engine.discards.count(crate::media::Discard::NoLeg);
        Figures { snapshot, workers: vec![(WorkerId(1), worker)] }
    }

    #[test]
    fn figures_stand_under_their_names_and_labels() {
        let tally = Tally::default();
        tally.add(Count::SlowReader);
        let agents = desk::Figures { sessions: 3, ..desk::Figures::default() };
        let text = render(&figures(), &tally, Some(&agents), Some(&SinkTally::new(&["desktop"])));
        for line in [
            "crosspoint_flows 2",
            "crosspoint_cometd_sessions 3",
            "crosspoint_cometd_ended_total{why=\"queue_full\"} 0",
            "crosspoint_worker_load{worker=\"1\"} 0.857",
            "crosspoint_worker_load_expected{worker=\"1\"} 0.866",
            "crosspoint_worker_overloaded{worker=\"1\"} 1",
            "crosspoint_calls_refused_total{reason=\"overload\"} 2",
            "crosspoint_calls_refused_total{reason=\"dn_calls\"} 0",
            "crosspoint_free_port_pairs{worker=\"1\"} 30",
            "crosspoint_signalling_total{what=\"bad_digests\"} 3",
            "crosspoint_media_send_errors_total{worker=\"1\"} 4",
            "crosspoint_media_discarded_total{worker=\"1\",reason=\"no_leg\"} 1",
            "crosspoint_media_discarded_total{worker=\"1\",reason=\"srtp_auth\"} 0",
            "crosspoint_port_pairs{worker=\"1\",state=\"ready\"} 30",
            "crosspoint_shell_total{what=\"slow_reader\"} 1",
            "crosspoint_trunk_up{trunk=\"genesys\",target=\"udp:192.0.2.81:5060\"} 1",
            "crosspoint_trunk_up{trunk=\"genesys\",target=\"udp:192.0.2.82:5060\"} 0",
            "crosspoint_trunk_state{trunk=\"genesys\",state=\"degraded\"} 1",
            "crosspoint_trunk_registrations{trunk=\"genesys\",standing=\"registered\"} 12",
            "crosspoint_trunk_total{trunk=\"genesys\",what=\"silent\"} 5",
            "crosspoint_calls{state=\"setup\"} 0",
            "crosspoint_sink_waiting{sink=\"desktop\"} 0",
            "crosspoint_sink_total{sink=\"desktop\",what=\"lost\"} 0",
            "crosspoint_outbox_refused_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
