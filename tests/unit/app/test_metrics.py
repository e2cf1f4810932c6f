"""The registry: everything at zero from the start, and a bucket bound exactly at the SLO."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from app.exposition import Exposition
from app.metrics import CATALOGUE, FANOUT_SLO_S, PATHS, STAGES, Metrics, registry_of


def samples() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(registry_of(Metrics())).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_child_exists_at_zero() -> None:
    exposed = samples()
    for path in PATHS:
        assert exposed["messenger_fanout_owed_total", (("path", path),)] == 0
        for stage in STAGES:
            assert exposed["messenger_fanout_stage_seconds_count", (("path", path), ("stage", stage))] == 0
    names = {name for name, _ in exposed}
    for spec in CATALOGUE:
        assert (spec.name if spec.kind != "histogram" else f"{spec.name}_count") in names


def test_a_bucket_bound_lies_at_the_slo() -> None:
    bound = (("le", repr(FANOUT_SLO_S)), ("path", "message"))
    assert ("messenger_fanout_latency_seconds_bucket", bound) in samples()


def test_a_histogram_weighs_by_deliveries() -> None:
    metrics = Metrics()
    histogram = metrics.histogram("messenger_fanout_latency_seconds", "message")
    histogram.observe(FANOUT_SLO_S, 256)  # a value on the bound belongs below it
    histogram.observe(0.3, 2)
    families = {f.name: f for f in metrics.collect()}
    of_messages = [s for s in families["messenger_fanout_latency_seconds"].samples if s.labels.get("path") == "message"]
    by_bound = {s.labels.get("le"): s.value for s in of_messages if s.name.endswith("_bucket")}
    assert by_bound[repr(FANOUT_SLO_S)] == 256
    assert by_bound["+Inf"] == 258


def test_a_scrape_is_what_the_library_would_write() -> None:
    metrics = Metrics()
    metrics.counter("messenger_requests_total", "ws", "ok").add(7)
    metrics.gauge("ws_connections_active").read = lambda: 3
    metrics.histogram("messenger_fanout_stage_seconds", "message", "write").observe(0.003, 5)
    metrics.histogram("messenger_fanout_latency_seconds", "read").observe(99.0)

    def ours(text: str) -> dict[str, object]:
        families = {family.name: family for family in text_string_to_metric_families(text)}
        names = {spec.name.removesuffix("_total") for spec in CATALOGUE}
        assert names <= families.keys()
        assert {"process_resident_memory_bytes", "python_gc_collections"} <= families.keys()
        return {
            name: (
                family.type,
                family.documentation,
                sorted((s.name, *sorted(s.labels.items()), s.value) for s in samples),
            )
            for name, family in families.items()
            for samples in [family.samples]
            if name in names
        }

    page = Exposition(metrics).render().decode()
    assert ours(page) == ours(generate_latest(registry_of(metrics)).decode())


def test_no_label_value_needs_escaping() -> None:
    for spec in CATALOGUE:
        assert not any(set(value) & set('"\\\n') for values in spec.labels.values() for value in values)


def test_no_label_holds_an_id() -> None:
    for spec in CATALOGUE:
        assert not {"user", "device", "conversation", "conv"} & set(spec.labels)
