"""How far numbers depend on where a run takes place: digits in several settings, each beside one thread.

``python -m companion.benchmarks.determinism`` trains each setting in a process of its own, in a temporary
checkout, and writes ``data/determinism.csv``, a row a setting and seed. Another machine was not at hand. What
differs there is the order of the sums, so one setting tells the libraries to use AVX2 only, as if there were
no AVX-512.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch
import yaml

from companion.paths import repository
from companion.provenance import commit, device_name, versions
from companion.study.networks import FinishedNetwork, load_codes
from twofold._files import written_whole

SEEDS = (1, 2)
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
SETTINGS: dict[str, tuple[dict, dict]] = {
    "one thread": ({}, {"OMP_NUM_THREADS": "1"}),
    "one thread, again": ({}, {"OMP_NUM_THREADS": "1"}),
    "two threads": ({}, {"OMP_NUM_THREADS": "2"}),
    "two threads, again": ({}, {"OMP_NUM_THREADS": "2"}),
    "compiled": ({"compiled": True}, {"OMP_NUM_THREADS": "1"}),
    "compiled, again": ({"compiled": True}, {"OMP_NUM_THREADS": "1"}),
    "AVX2 only": ({}, {"OMP_NUM_THREADS": "1"} | AVX2),
}
CONFIG = {
    "method": "twofold",
    "network": "digits-net",
    "dataset": "digits",
    "epochs": 6,
    "batch_size": 64,
    "sparsity": 0.5,
    "strength": 60.0,
    "precision": "fp32",
}


def trained(
    changes: dict, environment: dict[str, str], root: Path
) -> dict[int, tuple[FinishedNetwork, dict]]:
    """Network and result of each seed, by `twofold train` in a new checkout at ``root``."""
    (root / "book").mkdir(parents=True)
    (root / "book" / "_toc.yml").touch()
    paths = []
    for seed in SEEDS:
        paths.append(root / f"seed-{seed}.yml")
        paths[-1].write_text(yaml.safe_dump(CONFIG | changes | {"run": f"seed-{seed}", "seed": seed}))
    command = [sys.executable, "-c", "from companion.__main__ import main; main()", "train", *map(str, paths)]
    subprocess.run(command, env=os.environ | environment | {"TWOFOLD_REPOSITORY": str(root)}, check=True)
    found = {}
    for seed in SEEDS:
        folder = root / "data" / "results" / f"seed-{seed}"
        sidecar = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        found[seed] = load_codes(folder / "codes.safetensors"), sidecar["result"]
    return found


def difference(ours: FinishedNetwork, theirs: FinishedNetwork) -> dict[str, float]:
    """Share of the kept codes that differ, and by how much at most; the largest change of other tensors."""
    pairs = [(layer, theirs.layers[name]) for name, layer in ours.layers.items()]
    steps = torch.cat([(a.codes.int() - b.codes.int())[a.keep].abs() for a, b in pairs])
    rest = [(tensor.double() - theirs.rest[name].double()).abs().max() for name, tensor in ours.rest.items()]
    scales = [float(abs(a.scale - b.scale) / b.scale) for a, b in pairs]
    return {
        "codes_differing": float((steps > 0).double().mean()),
        "largest_code_step": int(steps.max()),
        "largest_scale_change": max(scales),
        "largest_other_change": float(max(rest)),
    }


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: trained(*setting, Path(folder) / str(number))
            for number, (name, setting) in enumerate(SETTINGS.items())
        }
    for name, networks in runs.items():
        for seed, (network, result) in networks.items():
            reference, its_result = runs["one thread"][seed]
            rows.append(
                {"setting": name, "seed": seed, "threads": result["threads"]}
                | difference(network, reference)
                | {
                    "test_accuracy": result["test_accuracy"],
                    "accuracy_change": result["test_accuracy"] - its_result["test_accuracy"],
                }
            )
    capability = torch.backends.cpu.get_cpu_capability()
    made_by = {"device": device_name(), "instructions": capability, "commit": commit()}
    frame = pd.DataFrame(rows).assign(**made_by, torch=versions()["torch"])
    with written_whole(repository() / "data" / "determinism.csv") as partial:
        frame.to_csv(partial, index=False, float_format="%.6g")
    print(frame.drop(columns=[*made_by, "torch"]).to_string(index=False))


if __name__ == "__main__":
    main()
