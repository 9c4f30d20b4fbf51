"""A run: one configuration -> one folder of results -> one row of the table that all figures start from.

Unfinished runs live in ``runs/<run>`` (checkpoints, ignored by git); a finished one appears, whole, as
``data/results/<run>`` with its configuration, a row per epoch, what was measured, and its weights or codes; a
run on held-out images leaves no codes.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from companion import paths
from companion.files import held, read_json
from companion.provenance import commit, device_name, versions
from companion.study.config import METHODS, RunConfig
from companion.study.images import Images, load_images, normalize
from companion.study.networks import FinishedNetwork, save_codes
from companion.study.results import RESULTS_VERSION, Measured, RunRow
from companion.study.train import evaluate, fit
from companion.study.zoo import build_model
from twofold import (
    Twofold,
    activation_scales,
    layer_densities,
    load_cell_table,
    measure_activity,
    quantized_activations,
)
from twofold._files import load_tensors, save_tensors, written_whole
from twofold.codes.cells import code_energy, code_energy_table
from twofold.layer import weight_layers

__all__ = ["Outcome", "carry_out", "carry_out_all", "execute", "finished_alike"]


CHECKPOINT = "checkpoint.safetensors"


CALIBRATION_IMAGES = 1000
"""Training images that set the activation scales; as many test images measure the activity."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run in memory: the plain network, a row per epoch, codes (None for float), its result."""

    model: nn.Module
    epochs: pd.DataFrame
    finished: FinishedNetwork | None
    result: RunRow

    @property
    def row(self) -> dict:
        """The run's row of the results table, by column."""
        return self.result.columns()


def carry_out(
    config: RunConfig, *, checkpoint: Path | None = None, device: str = "cpu", progress_bar: bool = True
) -> Outcome:
    """Train as ``config`` says and measure what came out; writes nothing but the checkpoint.

    Raises
    ------
    FileNotFoundError
        The run named by ``init`` has no weights, or the images are missing.
    """
    made_by = commit()  # now: the checkout may have gone on by the time that the training ends
    train, test = load_images(config.dataset, held_out=config.held_out)
    model = _initial_model(config, train)
    mask, _ = METHODS[config.method]
    sparsity = None
    if config.method != "dense":
        sparsity = Twofold(
            model,
            density=layer_densities(model, 1 - config.sparsity, config.density_rule),
            mask=mask or "lfsr",
            bits=config.bits,
            scale=config.scale,
            clip_ratio=config.clip_ratio,
            bit_term=config.bit_term,
            strength=config.strength,
            network_strength=config.network_strength,
            polarity=config.polarity,
            prune_epoch=config.prune_epoch,
            ramp=config.ramp,
            penalty_ramp=config.penalty_ramp,
            encoding=config.encoding,
            table=load_cell_table(config.energy_table),
            seed=config.seed,
            generator=config.generator,
            group=config.group,
        )
    teacher = _initial_model(config, train) if config.distillation else None
    epochs = fit(
        model,
        train,
        test,
        config,
        sparsity=sparsity,
        teacher=teacher,
        checkpoint=checkpoint,
        device=device,
        progress_bar=progress_bar,
    )
    model.to("cpu").to(memory_format=torch.contiguous_format)
    measured = _of_training(epochs) | _of_machine(device, made_by)
    if sparsity is None:
        measured["kept_weights"] = sum(layer.weight.numel() for layer in weight_layers(model).values())
        return Outcome(model, epochs, None, RunRow(config=config, measured=Measured(**measured)))
    layers = sparsity.finish()
    table_j = code_energy_table(config.bits, config.encoding, load_cell_table(config.energy_table))
    kept = torch.cat([layer.codes[layer.keep] for layer in layers.values()])
    measured["kept_weights"] = kept.numel()
    measured["zero_codes"] = float((kept == 0).double().mean())
    measured["cell_energy_j"] = float(code_energy(kept, table_j).sum())
    scales = activation_scales(model, normalize(train[:CALIBRATION_IMAGES]))
    with quantized_activations(model.to(device), scales):
        measured["test_accuracy_w8a8"] = evaluate(model, test.to(device))
    model.to("cpu")
    activity = measure_activity(model, normalize(test[:CALIBRATION_IMAGES]), scales=scales)
    finished = FinishedNetwork.from_model(
        model,
        layers,
        network=config.network,
        classes=int(train.labels.max()) + 1,
        channels_in=train.pixels.shape[1],
        activity=activity,
    )
    return Outcome(model, epochs, finished, RunRow(config=config, measured=Measured(**measured)))


def carry_out_all(configs: Sequence[RunConfig], *, progress_bar: bool = True) -> list[Outcome]:
    """`carry_out` one after the other, for hours of training whose outcome is kept in memory alone.

    What is trained lies in ``runs/together-...``, a name made from all the configurations, until the last run
    is done: if the process is killed, the same call goes on where it was.

    Raises
    ------
    RuntimeError
        Another process is working on these runs.
    """
    mark = hashlib.sha256("".join(config.to_yaml() for config in configs).encode()).hexdigest()[:16]
    work = paths.runs_dir() / f"together-{mark}"
    with held(work / "lock", f"another process is working on {work}; wait for it or change a parameter"):
        outcomes = [
            carry_out(config, checkpoint=work / f"{number}.safetensors", progress_bar=progress_bar)
            for number, config in enumerate(configs)
        ]
        shutil.rmtree(work)
    return outcomes


def execute(config: RunConfig, *, device: str = "cpu", progress_bar: bool = True) -> Path:
    """Carry a run out, or finish a killed one; returns the folder of its results.

    A run that is already finished is left as it is; to repeat it, remove its folder first. Nothing appears in
    ``data/results`` before the run is complete, and then all of it at once. A run that went on with another
    commit, device or number of threads than it began with says so in the note of its ``run.json``.

    Raises
    ------
    ValueError
        A finished or half-finished run of this name has another configuration, or a file of it is damaged.
    RuntimeError
        Another process is working on the run.
    OSError
        The results cannot be written, or the disk is full. What was trained up to the last whole epoch is
        kept: the same call goes on from there.
    """
    final, work = paths.results_dir() / config.run, paths.runs_dir() / config.run
    if _finished(final, config):
        _forget(work)  # what a kill left there just after the results had appeared
        return final
    place = next(p for p in final.parents if p.exists())
    if not os.access(place, os.W_OK):  # said now, and not after hours of training
        raise PermissionError(f"{place} cannot be written to, and the results of {config.run} belong there")
    with held(work / "lock", f"another process is working on {work}; wait for it or choose another run name"):
        if _finished(final, config):  # by the process that held the folder until now
            return final
        parts = _claim(work, config, device)
        outcome = carry_out(config, checkpoint=work / CHECKPOINT, device=device, progress_bar=progress_bar)
        # Beside its place: `runs` may lie on another file system, from which nothing moves in one piece.
        partial = final.with_name(f".{config.run}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            _write(partial, config, outcome, parts)
            partial.replace(final)
            _forget(work)
        except OSError as error:
            raise OSError(f"the results of {config.run} could not be written: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return final


def finished_alike(config: RunConfig) -> list[str]:
    """Names of the finished runs that have this configuration, apart from its name."""
    records = sorted(paths.results_dir().glob("[!.]*/config.yml"))
    return [p.parent.name for p in records if RunConfig.from_yaml(p).replaced(run=config.run) == config]


def _finished(final: Path, config: RunConfig) -> bool:
    if not final.exists():
        return False
    if RunConfig.from_yaml(final / "config.yml") != config:
        raise ValueError(f"{final} holds a finished run of another configuration; choose another name")
    return True


def _forget(work: Path) -> None:
    """Leave no checkpoint of a finished run: the next of its name would take it for its own."""
    for name in (CHECKPOINT, "parts.json", "config.yml"):
        (work / name).unlink(missing_ok=True)


def _write(folder: Path, config: RunConfig, outcome: Outcome, parts: Sequence[dict]) -> None:
    if outcome.finished is None:
        save_tensors(folder / "weights.safetensors", outcome.model.state_dict())
    elif not config.held_out:  # of a choice among settings only the numbers are needed
        save_codes(folder / "codes.safetensors", outcome.finished)
    with written_whole(folder / "epochs.csv") as partial:
        outcome.epochs.to_csv(partial, index=False, float_format="%.6g")
    with written_whole(folder / "config.yml") as partial:
        partial.write_text(config.to_yaml(), encoding="utf-8")
    result = {"run": config.run} | outcome.result.measured.model_dump()
    sidecar = {"results_version": RESULTS_VERSION, "result": result, "versions": versions()}
    if len(parts) > 1:
        told = [f"{p['device']}, threads {p['threads']}, commit {p['commit']}" for p in parts]
        sidecar["note"] = f"Trained in parts: {'; then '.join(told)}."
    with written_whole(folder / "run.json") as partial:
        partial.write_text(json.dumps(sidecar, indent=1) + "\n", encoding="utf-8")


def _claim(work: Path, config: RunConfig, device: str) -> list[dict]:
    """Note whose checkpoint ``work`` holds, so that no other configuration goes on from it, and who trains.

    Returns the parts that the training has had: commit, device and threads, where they differ from the last.
    """
    note, ledger, begun = work / "config.yml", work / "parts.json", (work / CHECKPOINT).exists()
    if note.exists() and begun and RunConfig.from_yaml(note) != config:
        raise ValueError(
            f"{work} holds a half-finished run of another configuration; move it away or choose another name"
        )
    with written_whole(note) as partial:
        partial.write_text(config.to_yaml(), encoding="utf-8")
    parts = read_json(ledger)["parts"] if begun and ledger.exists() else []
    now = {"commit": commit(), "device": device_name(device), "threads": torch.get_num_threads()}
    if now not in parts[-1:]:
        parts.append(now)
        with written_whole(ledger) as partial:
            partial.write_text(json.dumps({"parts": parts}), encoding="utf-8")
    return parts


def _of_training(epochs: pd.DataFrame) -> dict[str, float]:
    """What the epochs say of the finished run."""
    pruning = [column for column in epochs if column.endswith("_pruning")]
    return {
        "test_accuracy": float(epochs.test_accuracy.iloc[-1]),
        **{column: float(epochs[column].dropna().iloc[0]) for column in pruning},
        "minutes": round(float(epochs.seconds.sum()) / 60, 2),
    }


def _of_machine(device: str, made_by: str) -> dict[str, object]:
    """Where, how and when a run ended."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "commit": made_by,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _initial_model(config: RunConfig, train: Images) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = build_model(config.network, int(train.labels.max()) + 1, train.pixels.shape[1])
    if config.init is not None:
        weights = paths.results_dir() / config.init / "weights.safetensors"
        if not weights.exists():
            raise FileNotFoundError(
                f"{config.run} starts from {config.init}, whose weights are not there: {weights}"
            )
        try:
            model.load_state_dict(load_tensors(weights)[1])
        except RuntimeError as error:  # torch's, of names and shapes
            raise ValueError(
                f"{weights} holds the weights of another network than {config.network!r}"
            ) from error
    return model
