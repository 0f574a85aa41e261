"""The directories that `offload up --reload` watches."""

from offload.cli.local.reload import watched


def test_the_directories_of_job_modules_are_watched(tmp_path, monkeypatch):
    """A package is watched from its root, a module in its directory, and neither is imported for that."""
    (tmp_path / "shop_jobs" / "mail").mkdir(parents=True)
    (tmp_path / "shop_jobs" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "single.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert watched(["shop_jobs.mail", "single"]) == [tmp_path, tmp_path / "shop_jobs"]
    assert watched(["not_there_yet"]) == [tmp_path]
