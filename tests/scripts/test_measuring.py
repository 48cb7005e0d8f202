import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "scripts/measuring.py"


def commit_of(file: Path) -> str:
    spec = importlib.util.spec_from_file_location("measuring_elsewhere", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.commit()


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_results_do_not_make_a_source_tree_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setenv("SSL_MIX_COMMIT", "told")
    results = tmp_path / "scripts/results/lines.jsonl"
    results.parent.mkdir(parents=True)
    results.write_text("")
    file = Path(shutil.copy(SOURCE, tmp_path / "scripts/measuring.py"))
    assert commit_of(file) == "told"
    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    clean = commit_of(file)
    results.write_text("a line\n")
    assert len(clean) >= 7 and commit_of(file) == clean
    (tmp_path / "new.py").write_text("")
    assert commit_of(file) == f"{clean}-dirty"
