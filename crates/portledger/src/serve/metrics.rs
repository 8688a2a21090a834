//! The collectors' figures, for Prometheus and whatever else reads OpenMetrics. No figure has a
//! subscriber in it.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use portledger_ledger::State;
use portledger_service::collect::{Collector, DeviceFigures, Figures, ListenerFigures};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
    sync::Notify,
};

use crate::failure::Failure;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The socket on which figures are asked for.
pub(super) struct Metrics {
    runtime: Runtime,
    listener: TcpListener,
    address: SocketAddr,
}

impl Metrics {
    pub(super) fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let listener = runtime
            .block_on(TcpListener::bind(address))
            .map_err(|error| {
                Failure::failed(format!("metrics: cannot listen on {address}: {error}"))
            })?;
        Ok(Self {
            address: listener.local_addr()?,
            runtime,
            listener,
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is told to stop.
    pub(super) fn serve(self, collector: Arc<Collector<'static>>, stop: &Notify) {
        let page = move || {
            let text = text(&collector.figures(), &collector.disk());
            async move { ([(CONTENT_TYPE, OPEN_METRICS)], text) }
        };
        let pages = Router::new().route("/metrics", get(page));
        self.runtime.block_on(async {
            tokio::select! {
                // It does not end by itself.
                _ = axum::serve(self.listener, pages) => {}
                () = stop.notified() => {}
            }
        });
    }
}

/// A figure's name, what it is, and where it is found.
type Named<F> = (&'static str, &'static str, fn(&F) -> u64);

const OF_DEVICES: [Named<DeviceFigures>; 7] = [
    ("messages", "Messages heard of a device", |f| f.messages),
    ("events", "NAT events a device told", |f| f.events),
    (
        "unkept",
        "Events that a ledger has no need of, or that name nobody",
        |f| f.unkept,
    ),
    ("skipped", "Lines of something else", |f| f.skipped),
    (
        "rejected",
        "What was not understood; each is a gap in what is known",
        |f| f.rejected,
    ),
    (
        "missing",
        "Records of IPFIX, or messages of others, that sequence numbers show to be missing",
        |f| f.missing,
    ),
    (
        "gaps",
        "Times in which events may be lost, noted in the ledger",
        |f| f.losses,
    ),
];

const OF_LISTENERS: [Named<ListenerFigures>; 5] = [
    (
        "received",
        "Datagrams, or pieces read of connections",
        |f| f.received,
    ),
    ("received_bytes", "Bytes received", |f| f.bytes),
    ("dropped", "Datagrams that the kernel dropped", |f| {
        f.dropped
    }),
    ("refused", "Messages of nobody who is known", |f| f.refused),
    (
        "refused_connections",
        "Connections that were refused, or failed to agree on TLS",
        |f| f.refused_connections,
    ),
];

/// All figures as OpenMetrics.
fn text(figures: &Figures, disk: &State) -> String {
    let mut registry = Registry::with_prefix("portledger_collector");
    for (name, help, of) in OF_DEVICES {
        let devices = figures.devices.iter();
        let values = devices.map(|(device, figures)| (device.to_string(), of(figures)));
        counters(
            &mut registry,
            &format!("device_{name}"),
            help,
            "device",
            values,
        );
    }
    for (name, help, of) in OF_LISTENERS {
        let listeners = figures.listeners.iter();
        let values = listeners.map(|(address, figures)| (address.to_string(), of(figures)));
        counters(
            &mut registry,
            &format!("listener_{name}"),
            help,
            "listener",
            values,
        );
    }
    let times = Family::<Labels, Gauge>::default();
    for (device, figures) in &figures.devices {
        if let Some(heard) = figures.heard {
            let seconds = heard.as_millis() / 1_000;
            times.get_or_create(&labels("device", device)).set(seconds);
        }
    }
    registry.register(
        "device_heard_seconds",
        "When a device was heard last, by our clock",
        times,
    );
    let open = Family::<Labels, Gauge>::default();
    for (address, figures) in &figures.listeners {
        let connections = i64::try_from(figures.connections).unwrap_or(i64::MAX);
        open.get_or_create(&labels("listener", address))
            .set(connections);
    }
    registry.register("listener_connections", "Connections that are open", open);
    for (name, help, value) in [
        ("records", "Records handed to the ledger", figures.submitted),
        (
            "durable_records",
            "Of these, records that are on the disk",
            figures.durable,
        ),
        ("kept_aside", "Rejections kept aside", figures.kept_aside),
        (
            "not_kept_aside",
            "Rejections for which there was no room",
            figures.not_kept_aside,
        ),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    let is_running = Gauge::<i64>::default();
    is_running.set(i64::from(*disk == State::Running));
    registry.register(
        "disk_takes_records",
        "1 while the disk takes records",
        is_running,
    );
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

type Labels = [(&'static str, String); 1];

fn labels(name: &'static str, value: impl ToString) -> Labels {
    [(name, value.to_string())]
}

fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: impl Iterator<Item = (String, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (value, count) in values {
        family.get_or_create(&labels(label, value)).inc_by(count);
    }
    registry.register(name, help, family);
}
