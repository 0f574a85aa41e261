"""Settings: what the environment may say, and what an operator reads when it says something else."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from offload.settings import (
    Settings,
    SettingsError,
    child_environment,
    get_settings,
    load_settings,
    reference,
    unknown_variables,
    variable_of,
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    """No OFFLOAD_ variable and no .env of this machine reaches a test."""
    import os

    for name in [name for name in os.environ if name.startswith("OFFLOAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_defaults_are_those_of_the_design():
    """Without any variable, the settings are what the reference promises."""
    settings = load_settings()

    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.jobs == []  # the loader looks for `jobs`, then `offload.jobs`
    assert settings.queues == []
    assert (settings.max_jobs, settings.max_tries, settings.job_timeout) == (100, 5, 300)
    assert (settings.lease_seconds, settings.stall_ms) == (10, 100)
    assert settings.serializer == "json"
    assert settings.artifacts_dir == Path(".offload/artifacts")


def test_lists_are_comma_separated(monkeypatch):
    """A list needs no JSON: names are split at commas and trimmed."""
    monkeypatch.setenv("OFFLOAD_JOBS", "jobs, acme.jobs ,")
    monkeypatch.setenv("OFFLOAD_QUEUES", "mail")
    monkeypatch.setenv("OFFLOAD_API_KEYS", "first,second")

    settings = load_settings()

    assert settings.jobs == ["jobs", "acme.jobs"]
    assert settings.queues == ["mail"]
    assert [key.get_secret_value() for key in settings.api_keys] == ["first", "second"]


def test_an_empty_variable_counts_as_unset(monkeypatch):
    """An empty value, as compose and .env files write one, leaves the default."""
    monkeypatch.setenv("OFFLOAD_PORT", "")

    assert load_settings().port == 8000


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PORT", "http", "OFFLOAD_PORT: input should be a valid integer"),
        ("PORT", "70000", "OFFLOAD_PORT: input should be less than or equal to 65535, not '70000'"),
        ("SERIALIZER", "xml", "OFFLOAD_SERIALIZER: input should be 'json' or 'pickle', not 'xml'"),
        ("REDIS_URL", "http://x", "OFFLOAD_REDIS_URL: must be 'embedded' or start with one of redis://"),
        ("SMTP_URL", "mail.example.com", "OFFLOAD_SMTP_URL: must look like smtp://"),
        ("SMTP_URL", "smtp://host:99999", "OFFLOAD_SMTP_URL: the port must be a number"),
        ("ARTIFACTS_URL", "s3://bucket", "OFFLOAD_ARTIFACTS_URL: must be empty or look like file:///absolute/path"),
        ("ARTIFACTS_URL", "file://relative/path", "OFFLOAD_ARTIFACTS_URL: must be empty or look like"),
        ("LEASE_SECONDS", "inf", "OFFLOAD_LEASE_SECONDS: input should be a finite number"),
    ],
)
def test_a_bad_value_is_one_line_that_names_its_variable(monkeypatch, variable, value, line):
    """A bad value is reported by the name of its variable, with what would be right."""
    monkeypatch.setenv("OFFLOAD_" + variable, value)

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_each_bad_value_has_its_line(monkeypatch):
    """Two bad values are reported together, one line each."""
    monkeypatch.setenv("OFFLOAD_PORT", "-1")
    monkeypatch.setenv("OFFLOAD_MAX_JOBS", "0")

    with pytest.raises(SettingsError) as caught:
        load_settings()

    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["OFFLOAD_PORT", "OFFLOAD_MAX_JOBS"]


def test_a_secret_is_never_shown(monkeypatch):
    """Neither an error nor the representation of the settings shows a password or a key."""
    monkeypatch.setenv("OFFLOAD_SMTP_URL", "http://user:hunter2@host")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    monkeypatch.setenv("OFFLOAD_SMTP_URL", "smtp://user:hunter2@host")
    monkeypatch.setenv("OFFLOAD_REDIS_URL", "redis://:hunter2@host")
    monkeypatch.setenv("OFFLOAD_API_KEYS", "hunter2")

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(load_settings())


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    """OFFLOAD_<NAME>_FILE names a file that holds the value; a list may have one entry a line."""
    (tmp_path / "redis").write_text("redis://:secret@db/1\n")
    (tmp_path / "keys").write_text("one\ntwo\n")
    monkeypatch.setenv("OFFLOAD_REDIS_URL_FILE", str(tmp_path / "redis"))
    monkeypatch.setenv("OFFLOAD_API_KEYS_FILE", str(tmp_path / "keys"))

    settings = load_settings()

    assert settings.redis_url == "redis://:secret@db/1"
    assert settings.redis_url_or("embedded") == "redis://:secret@db/1"
    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]


def test_a_secret_file_that_cannot_be_read_is_one_line(monkeypatch, tmp_path):
    """A missing secret file is an error that names the variable and the file."""
    monkeypatch.setenv("OFFLOAD_API_KEYS_FILE", str(tmp_path / "none"))

    with pytest.raises(SettingsError, match=r"OFFLOAD_API_KEYS_FILE: cannot read '.*none': No such file or directory"):
        load_settings()


def test_a_secret_given_twice_is_refused(monkeypatch, tmp_path):
    """A secret that stands both in its variable and in its file is refused, for nobody can say which is meant."""
    (tmp_path / "keys").write_text("one")
    monkeypatch.setenv("OFFLOAD_API_KEYS", "two")
    monkeypatch.setenv("OFFLOAD_API_KEYS_FILE", str(tmp_path / "keys"))

    with pytest.raises(SettingsError, match="set either this or OFFLOAD_API_KEYS, not both"):
        load_settings()


def test_dotenv_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    """`.env` in the working directory sets what the environment does not."""
    (tmp_path / ".env").write_text("OFFLOAD_PORT=1\nOFFLOAD_HOST=0.0.0.0\nDATABASE_URL=postgres://\n")
    monkeypatch.setenv("OFFLOAD_PORT", "2")

    settings = load_settings()

    assert (settings.port, settings.host) == (2, "0.0.0.0")


def test_an_argument_wins_over_the_environment(monkeypatch):
    """A command-line flag is stronger than a variable."""
    monkeypatch.setenv("OFFLOAD_PORT", "2")

    assert load_settings(port=3).port == 3


def test_the_stack_takes_the_embedded_redis_unless_told_otherwise(monkeypatch):
    """`redis_url_or` gives its default only when nobody set a URL."""
    assert load_settings().redis_url_or("embedded") == "embedded"

    monkeypatch.setenv("OFFLOAD_REDIS_URL", "redis://127.0.0.1:6379/0")

    assert load_settings().redis_url_or("embedded") == "redis://127.0.0.1:6379/0"


def test_an_unknown_offload_variable_is_warned_of(monkeypatch, tmp_path):
    """A misspelt OFFLOAD_ variable is reported with the nearest real one; other programs' variables are not."""
    monkeypatch.setenv("OFFLOAD_PROT", "1")
    monkeypatch.setenv("OFFLOAD_API_KEYS_FILE", "known")
    (tmp_path / ".env").write_text("OFFLOAD_MAXJOBS=1\nOTHER=1\n")

    assert unknown_variables() == [
        "OFFLOAD_MAXJOBS is not a setting; did you mean OFFLOAD_MAX_JOBS?",
        "OFFLOAD_PROT is not a setting; did you mean OFFLOAD_PORT?",
    ]


def test_a_child_gets_changed_settings(monkeypatch):
    """A child's environment carries changed settings in the form that it reads, and drops a _FILE that would clash."""
    monkeypatch.setenv("OFFLOAD_REDIS_URL_FILE", "/run/secrets/redis")
    monkeypatch.setenv("OFFLOAD_LOG_LEVEL", "DEBUG")

    environment = child_environment(
        {"redis_url": "unix:///r.sock", "jobs": ["a", "b"], "api_keys": [SecretStr("k")], "log_level": None}
    )

    assert environment["OFFLOAD_REDIS_URL"] == "unix:///r.sock"
    assert environment["OFFLOAD_JOBS"] == "a,b"
    assert environment["OFFLOAD_API_KEYS"] == "k"
    assert "OFFLOAD_REDIS_URL_FILE" not in environment
    assert "OFFLOAD_LOG_LEVEL" not in environment
    assert "PATH" in environment


def test_a_child_environment_of_an_unknown_setting_is_an_error():
    """A misspelt name in our own code fails at once."""
    with pytest.raises(KeyError):
        child_environment({"redis": "x"})


def test_settings_are_read_once(monkeypatch):
    """`get_settings` gives one value for the life of the process."""
    first = get_settings()
    monkeypatch.setenv("OFFLOAD_PORT", "1")

    assert get_settings() is first


def test_an_artifacts_url_names_a_directory():
    """A file URL is decoded into the directory that it means."""
    assert load_settings(artifacts_url="file:///srv/my%20files").artifacts_dir == Path("/srv/my files")


def test_every_setting_is_described():
    """Every setting has a description that ends with a period, and a row in the reference."""
    page = reference()

    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
        assert f"| `{variable_of(name)}` |" in page
