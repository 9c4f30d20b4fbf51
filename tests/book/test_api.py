"""The first page of "The library": its lines of code run."""

import re
from pathlib import Path

import torch

from companion.paths import book_dir


def test_the_lines_on_the_first_page_run(tmp_path: Path, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", (book_dir() / "api.md").read_text(), re.S | re.M)
    monkeypatch.chdir(tmp_path)
    exec(code, {"model": torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4))})
    assert "total" in capsys.readouterr().out
    assert (tmp_path / "sparse.safetensors").is_file()
