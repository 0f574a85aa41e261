"""How long things are kept, as one value."""

from offload.domain.retention import Retention
from offload.settings import Settings
from offload.worker.options import WorkerOptions


def test_settings_and_workers_mean_the_same():
    """The API's settings, and a worker's options with arq's `keep_result`, make the same retention."""
    settings = Settings(keep_result=1.5, keep_records=2, keep_dead=3)
    options = WorkerOptions(keep_records=2, keep_dead=3)

    assert settings.retention == options.retention(1.5) == Retention(1500, 2000, 3000)


def test_a_record_outlives_its_result():
    """It is kept for `record_ttl` beyond the result; one with a result that is kept for ever lasts for years."""
    retention = Retention.of(result_ttl=60, record_ttl=10, dead_ttl=100)

    assert retention.whole_record_ttl_ms(60_000) == 70_000
    assert retention.whole_record_ttl_ms(0) == 10_000
    assert retention.whole_record_ttl_ms(-1) > 5 * 365 * 86_400_000


def test_defaults_are_those_of_the_settings():
    """A retention without arguments is that of settings that nobody changed."""
    assert Retention() == Settings().retention
