"""What a sparse network holds and costs, by layer and in total: weights, cells, bytes, joules, cycles."""

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from twofold.codes.encodings import CELL_ENCODINGS
from twofold.codes.quantizer import channel_scale, quantize
from twofold.codes.tables import load_cell_table
from twofold.energy.machine import Machine
from twofold.energy.price import PARTS, network_energy
from twofold.inputs.activity import Activity, measure_activity
from twofold.inputs.products import ProductWatch
from twofold.inputs.scales import Feed, calibrate, check_images
from twofold.layer import WORD, StoredLayer
from twofold.sparsity.choose import Coverage, convolution_groups, find_module, turned, uncompiled
from twofold.sparsity.parametrizations import MaskedWeight
from twofold.sparsity.twofold import Twofold

__all__ = ["Report", "report"]


ENERGIES = [*PARTS, "energy_j"]


_SPENT = [*ENERGIES, "conversions", "cycles"]


_SUMS = ["weights", "kept", "cells", "sign_cells", "arrays", "bytes_packed", "bytes_int8", *_SPENT]


_PREFIXES = {1e-15: "f", 1e-12: "p", 1e-9: "n", 1e-6: "µ", 1e-3: "m", 1.0: "", 1e3: "k", 1e6: "M", 1e9: "G"}


_WIDTH = 110


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A frame with a row a layer, and a title that says what its numbers mean.

    Attributes
    ----------
    frame : DataFrame
        ``layer``, ``shape``, ``weights``, ``kept``, ``zero_codes`` (share of the kept), ``bits``, ``scales``
        (one, or one for each output), ``cells`` and ``sign_cells`` (stored), ``arrays``, ``bytes_packed``
        (kept codes of ``bits`` bits, scales and seed, and a bitmap where no LFSR made the mask),
        ``bytes_int8`` (a byte for every weight, and the scales), ``cells_j``, ``sign_j``, ``adc_j``,
        ``input_j``, ``index_j``, ``energy_j`` (their sum), ``conversions``, ``cycles`` and the machine's own
        columns, see :meth:`~twofold.energy.machine.Machine.describe`. With a baseline: ``baseline_j`` and
        ``gain``, ``baseline_cycles`` and ``edp_gain`` (of energy times delay); in the encoding that is
        cheapest for the baseline in total, ``baseline_best_j`` and ``gain_best_untrained``. Joules and
        bytes, no prefixes.
    title : str
    coverage : Coverage or None
        What share of the weights that the model multiplies by is in the frame; the title says it where that
        is not all. None where the source does not know it. With images or inputs the title also names what
        else was seen to be multiplied by, such as an embedding that is the last layer, or a buffer.
    """

    frame: pd.DataFrame
    title: str
    coverage: Coverage | None = None

    @property
    def total(self) -> pd.Series:
        """The sums over all layers, the network's own share of zeros and gains, and ``slowest_cycles``.

        Summed cycles are of layers that work one after the other; where each works on an image of its own,
        the slowest layer sets the pace.
        """
        total = self.frame[_SUMS].sum()
        total["zero_codes"] = (self.frame.zero_codes * self.frame.kept).sum() / total.kept
        total["slowest_cycles"] = self.frame.cycles.max()
        if "gain" in self.frame:
            total["baseline_j"] = self.frame.baseline_j.sum()
            total["gain"] = over(total.baseline_j, total.energy_j)
            total["baseline_cycles"] = self.frame.baseline_cycles.sum()
            total["edp_gain"] = total.gain * over(total.baseline_cycles, total.cycles)
            total["baseline_best_j"] = self.frame.baseline_best_j.sum()
            total["gain_best_untrained"] = over(total.baseline_best_j, total.energy_j)
        return total

    def __repr__(self) -> str:
        shown = self._shown()
        # pandas sets text to the right; names of layers read better from the left.
        for column in ("layer", "shape"):
            width = shown[column].str.len().max()
            shown[column] = shown[column].str.ljust(width)
            shown = shown.rename(columns={column: column.ljust(width)})
        return f"{textwrap.fill(self.title, _WIDTH)}\n\n{shown.to_string(index=False)}"

    def _repr_html_(self) -> str:
        table = self._shown().to_html(index=False, border=0)
        head, rows = table.split(">", 1)
        return f"<div>{head}><caption>{escape(self.title)}</caption>{rows}</div>"

    def _shown(self) -> pd.DataFrame:
        """The frame as text, with a row for the total and SI prefixes, one a kind of column.

        Parts that cost nothing have no column.
        """
        rows = pd.concat([self.frame, self.total.to_frame().T.assign(layer="total", shape="", bits=None)])
        shown = pd.DataFrame({"layer": rows.layer, "shape": rows["shape"]})
        for name in ("weights", "kept"):
            shown[name] = [f"{int(value):,}" for value in rows[name]]
        shown["zero codes"] = [f"{100 * value:.1f} %" for value in rows.zero_codes]
        shown["bits"] = ["" if pd.isna(value) else str(int(value)) for value in rows.bits]
        for name in ("cells", "arrays"):
            shown[name] = [f"{int(value):,}" for value in rows[name]]
        charged = [name for name in ENERGIES if name == "energy_j" or self.total[name] > 0]
        for columns, unit in ((["bytes_packed", "bytes_int8"], "B"), (charged, "J")):
            scale, prefix = _prefix(float(self.total[columns].max()))
            for column in columns:
                name = {"bytes_packed": "packed", "bytes_int8": "int8"}.get(column, column.removesuffix("_j"))
                shown[f"{name} ({prefix}{unit})"] = [f"{value / scale:.2f}" for value in rows[column]]
        shown["cycles"] = [f"{value:,.0f}" for value in rows.cycles]
        ratios = {"gain": "gain", "gain_best_untrained": "over best untrained", "edp_gain": "EDP gain"}
        for column, name in ratios.items():
            if column in rows:
                shown[name] = ["" if pd.isna(value) else f"{value:.2f}x" for value in rows[column]]
        return shown


def over(numerator: pd.Series | float, denominator: pd.Series | float) -> pd.Series | float:
    """A ratio that is NaN, not infinite, over nothing: a layer without joules has no gain."""
    if isinstance(denominator, pd.Series):
        return numerator / denominator.where(denominator > 0)
    return numerator / denominator if denominator > 0 else math.nan


def _prefix(value: float) -> tuple[float, str]:
    """The SI prefix in which a value has one to three digits before its point."""
    scale = max((scale for scale in _PREFIXES if scale <= value), default=1.0 if value == 0 else 1e-15)
    return scale, _PREFIXES[scale]


def report(
    source: object,
    machine: Machine | None = None,
    *,
    images: Float[Tensor, "images ..."] | None = None,
    inputs: tuple[Sequence[object], Mapping[str, object]] | Feed | None = None,
    examples: int = 1,
    activity: Mapping[str, Activity] | None = None,
    baseline: object | None = None,
    **changes: object,
) -> Report:
    """Energy, time and storage of a sparse network, per layer and in total.

    Parameters
    ----------
    source
        A `Twofold` in the middle of its training (its codes as they are now), the layers that its ``finish``
        handed back, or a network loaded from its file.
    machine
        What is priced. None: the packed dataflow, grouped where columns share their rows, with one conversion
        a column at the price of the table that the `Twofold` trains for, else of the slides'; inputs and
        index are free. `Machine.whole` charges everything. Codes are held in the encoding that they were
        chosen for, see `StoredLayer.encoding_in`.
    images
        Network inputs that the activity is measured on, their scales calibrated on the same; needs a model,
        so not for the layers of ``finish``. Joules are then those of one image. A layer that the model does
        not use in evaluation mode, a head for training say, spends nothing, and the title names it.
    inputs, examples
        The same for a model of any inputs: the arguments of a call as ``(args, kwargs)``, or a callable that
        is given the model and runs it, on several batches if it likes; it is called twice. ``examples`` says
        how many are in there, and joules are those of one; by default, of all together. For a BERT, whose
        inputs are a dict of tensors as its tokenizer makes it: ``inputs=((), batch), examples=len(texts)``.
    activity
        Of each layer, if measured elsewhere (:func:`~twofold.inputs.activity.measure_activity`); None: what
        the file holds. Joules are those of one read of the layer that is read least often; a linear layer is
        read once an image.
        With neither: each row is read once with an input bit of 1, the slides' way of counting. (The layers
        of ``finish`` alone do not say how many groups a convolution has, and are taken to have one.)
    baseline
        The dense or untrained network: a model, whose float weights are rounded to codes, or a source such
        as above with the same layers. It is read with the same inputs on the same machine. A Twofold
        changes its model, so a copy from before attaching is needed: ``copy.deepcopy(model)``.
    changes
        Fields of :class:`~twofold.energy.machine.Machine` to be set otherwise: ``dataflow="crossbar"``,
        ``adc_rule="none"``, ``input_memory="SRAM"``, ...

    Raises
    ------
    TypeError
        The source is none of these, the images are no tensor, the inputs neither arguments (of tensors, not
        arrays) nor a callable, the machine or the activity of another kind, or a change is of no such field.
    ValueError
        An encoding other than that which the codes were chosen for; a layer without activity or baseline, or
        whose products have its inputs where its outputs are taken to be (named); a baseline that is attached,
        or the finished model itself; and as
        :func:`~twofold.energy.price.layer_energy`.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> for layer in (model[0], model[2]):
    ...     layer.weight.data = torch.linspace(-1, 1, layer.weight.numel()).view_as(layer.weight)
    >>> sparsity = Twofold(model, density=0.5)
    >>> whole = report(sparsity, adc_rule="none")  # print(whole) shows it with prefixes and a total
    >>> whole.frame[["layer", "shape", "weights", "kept", "cells", "bytes_packed", "energy_j"]]
      layer shape  weights  kept  cells  bytes_packed      energy_j
    0     0  8x16      128    64    256            72  2.120390e-10
    1     2   4x8       32    16     64            24  4.729500e-11
    >>> whole.frame[["cells_j", "sign_j", "arrays", "cycles"]]
            cells_j        sign_j  arrays  cycles
    0  1.968670e-10  1.517200e-11       1    34.0
    1  4.378300e-11  3.512000e-12       1    12.0
    >>> whole.total[["weights", "kept", "cells"]].astype(int).to_dict()
    {'weights': 160, 'kept': 80, 'cells': 320}
    """
    sources = {"images": images, "inputs": inputs, "activity": activity}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise ValueError(
            f"{' and '.join(given)} are both given; activity is either measured on one of them or handed over"
        )
    if not hasattr(examples, "__index__") or examples < 1 or (examples != 1 and inputs is None):
        raise ValueError(f"examples is {examples!r}; it must be how many are in inputs, 1 or more")
    _check_given(machine, activity)
    layers, own = _layers(source)
    coverage = _coverage(source)
    machine = _machine(source, layers, machine, changes)
    what, count = "all ones (the slides' counting: each row read once with an input bit of 1)", 1
    idle: list[str] = []
    beside: dict[str, int] = {}
    if images is not None or inputs is not None:
        fed = _checked(images) if inputs is None else _feed(inputs)
        count = len(fed) if isinstance(fed, Tensor) else examples
        model = source.model if isinstance(source, Twofold) else _built(source)
        scales, products = calibrate(model, fed, layers=layers)
        _check_outputs(layers, products.outputs, _transposed(source))
        beside = _beside(products, coverage)
        activity = measure_activity(model, fed, scales=scales, layers=layers)
        if scales and not activity:
            raise ValueError(
                "inputs ran layers of the model at its first call, for their scales, and none at its second, "
                "for what they read; an iterator in it, say, is used up by then"
            )
        if not activity:
            named = ", ".join(name or repr(name) for name in layers)
            raise ValueError(f"the model uses none of its layers {named} in evaluation mode")
        idle = [name for name in layers if name not in activity]
        activity |= {name: _all_ones(source, name, layers[name]) for name in idle}
        what = f"measured, mean of {count} {'images' if inputs is None else 'examples'}"
        if inputs is not None and count == 1:
            what = "measured, all inputs together"
    elif known := activity or own:
        activity = known
        least = min(known, key=lambda name: known[name].reads)
        count = known[least].reads
        what = f"measured, mean of {count} reads of {least}"
    if activity is None:
        activity = {name: _all_ones(source, name, layer) for name, layer in layers.items()}
    elif missing := [name for name in layers if name not in activity]:
        raise ValueError(f"no activity of layer {', '.join(missing)}; there is {', '.join(activity)}")

    frame = _priced(layers, activity, machine, count, idle)
    held = frame.encoding.iloc[0]
    first = frame[["layer", "weights", "kept", "zero_codes", "bits", "cells", "sign_cells", "arrays"]]
    first.insert(1, "shape", ["x".join(map(str, layer.codes.shape)) for layer in layers.values()])
    stored = [layer.scales for layer in layers.values()]
    first.insert(6, "scales", stored)
    bytes_packed = [layer.bytes_packed for layer in layers.values()]
    first = first.assign(bytes_packed=bytes_packed, bytes_int8=first.weights + WORD * np.array(stored))
    out = first.join(frame[_SPENT])
    title = f"Energy and storage: {machine.dataflow} dataflow, encoding {held}, {_charges(machine)}, "
    title += f"table {machine.table.name}; activity {what}"
    if idle:
        title += f"; {', '.join(idle)} not used in evaluation mode, so without energy"
    if coverage is not None and coverage.left:
        title += f"; {coverage}"
    if beside:
        named = ", ".join(f"{name} ({size:,})" for name, size in beside.items())
        title += f"; multiplied by as well, and neither counted among the weights nor priced, are {named}"
    if any(isinstance(layer.scale, Tensor) for layer in layers.values()):
        title += "; a scale for each output channel"
    if isinstance(source, Twofold) and source.finished is None and not source.pruned:
        title += "; MASKS NOT ACTIVE YET: priced as if pruned now, while the model still has all weights"
    if baseline is not None:
        _check_untouched(baseline, source)
        theirs = _baseline_layers(baseline, layers, _transposed(source))
        references = _references(theirs, activity, machine, count, held, idle)
        out["baseline_j"] = references[held].energy_j
        best = min(references, key=lambda encoding: references[encoding].energy_j.sum())
        out["gain"] = over(out.baseline_j, out.energy_j)
        out["baseline_cycles"] = references[held].cycles
        out["edp_gain"] = out.gain * over(out.baseline_cycles, out.cycles)
        out["baseline_best_j"] = references[best].energy_j
        out["gain_best_untrained"] = over(out.baseline_best_j, out.energy_j)
        title += f"; gain over the baseline with the same inputs, and over it in {best}, cheapest for it"
    arguments = {name: value for name, value in machine.describe().items() if name not in out}
    return Report(out.assign(**arguments | {"encoding": frame.encoding}, activity=what), title, coverage)


def _check_given(machine: object, activity: object) -> None:
    """Raise ``TypeError`` where one of them is given, and is something else."""
    if machine is not None and not isinstance(machine, Machine):
        raise TypeError(f"machine is {machine!r}; it must be a Machine; options such as dataflow= change it")
    if activity is None:
        return
    if not isinstance(activity, Mapping) or not all(isinstance(own, Activity) for own in activity.values()):
        raise TypeError(f"activity is {activity!r}; it must be an Activity by layer, as of measure_activity")


def _checked(images: object) -> Tensor:
    check_images(images)
    assert isinstance(images, Tensor)
    if images.dim() < 2 or len(images) == 0:
        raise ValueError(f"images is of shape {tuple(images.shape)}; its first axis must count the images")
    return images


def _feed(inputs: Any) -> Feed:
    """What runs a model on these inputs."""
    if callable(inputs) and not isinstance(inputs, nn.Module):
        return inputs
    pair = isinstance(inputs, tuple | list) and len(inputs) == 2
    if not pair or not isinstance(inputs[0], tuple | list) or not isinstance(inputs[1], Mapping):
        raise TypeError(
            f"inputs is a {type(inputs).__name__}; allowed are the arguments of a call, (args, kwargs), such "
            "as ((), batch) or ((words, mask), {}), or a callable that is given the model and runs it"
        )
    args, options = inputs
    if any(isinstance(value, np.ndarray) for value in (*args, *options.values())):
        raise TypeError(
            "inputs hold a numpy array; torch.from_numpy makes a tensor of it, and a model that takes arrays "
            "is run by a callable"
        )
    return lambda model: model(*args, **options)


def _layers(source: Any) -> tuple[dict[str, StoredLayer], Mapping[str, Activity]]:
    if isinstance(source, Twofold):
        return source.codes(), {}
    if isinstance(source, Mapping) and all(isinstance(layer, StoredLayer) for layer in source.values()):
        if not source:
            raise ValueError("there are no layers to report on")
        return dict(source), {}
    if isinstance(getattr(source, "layers", None), Mapping) and hasattr(source, "activity"):
        return dict(source.layers), source.activity
    hint = "; attach it first: Twofold(model)" if isinstance(source, nn.Module) else ""
    raise TypeError(
        f"report takes a Twofold, the layers that its finish() handed back, or a loaded network, "
        f"not {type(source).__name__}{hint}"
    )


def _transposed(source: Any) -> set[str]:
    """The parameters that lie in the model with their inputs first."""
    if isinstance(source, Twofold):
        return {name for name, place in source.places.items() if place.transposed}
    return set(getattr(source, "facts", {}).get("transposed", ()))


def _all_ones(source: Any, name: str, layer: StoredLayer) -> Activity:
    """Every row of a layer read once, those of each group of a convolution."""
    if isinstance(source, Twofold):
        groups = convolution_groups(source.places[name])
    else:
        groups = getattr(source, "facts", {}).get("groups", {}).get(name, 1)
    return Activity.all_ones(groups * layer.rows)


def _coverage(source: Any) -> Coverage | None:
    if isinstance(source, Twofold):
        return source.coverage
    left = getattr(source, "facts", {}).get("in_float")
    return None if left is None else Coverage({n: own.size for n, own in source.layers.items()}, left)


def _beside(products: ProductWatch, coverage: Coverage | None) -> dict[str, int]:
    """Sizes of what products were seen with that a coverage does not know, a tied embedding's, say."""
    if coverage is None:
        return {}
    tensors = products.tensors
    known = {tensors[name].data_ptr() for name in coverage.left if name in tensors}
    return {n: tensors[n].numel() for n in sorted(products.beside) if tensors[n].data_ptr() not in known}


def _check_outputs(
    layers: Mapping[str, StoredLayer], outputs: Mapping[str, set[int]], transposed: Collection[str]
) -> None:
    """Raise ``ValueError`` where a matrix has been attached the wrong way round, as its products show."""
    for name, seen in outputs.items():
        if -1 in seen:
            raise ValueError(
                f"layer {name} has {layers[name].columns} columns, a single dimension of it, and a product "
                "has others as its outputs, several together (heads of an einsum, say); make it a matrix, "
                "and reshape what goes in or comes out"
            )
        if len(seen) > 1:
            raise ValueError(
                f"layer {name} is multiplied by both ways round, and has a price in one; leave it out, with "
                "exclude when attaching"
            )
        if seen != {int(name in transposed)}:
            how = "without" if name in transposed else "with"
            raise ValueError(
                f"layer {name} has {layers[name].columns} inputs, which are taken for its outputs, the "
                f"columns; attach it {how} transposed={name!r}"
            )


def _machine(
    source: Any, layers: Mapping[str, StoredLayer], machine: Machine | None, changes: Mapping[str, Any]
) -> Machine:
    known = [f.name for f in fields(Machine)]
    if unknown := [name for name in changes if name not in known]:
        raise TypeError(f"report has no option {', '.join(unknown)}; a machine has {', '.join(known)}")
    wanted = changes.get("encoding", "twos_complement")
    for name, layer in layers.items():
        if "encoding" in changes and layer.encoding not in ("twos_complement", wanted):
            raise ValueError(
                f"encoding is {wanted!r}, but the codes of layer {name} were chosen for "
                f"{layer.encoding!r} and are held in that; leave encoding out"
            )
    if machine is None:
        machine = Machine(
            table=source.table if isinstance(source, Twofold) else load_cell_table(),
            encoding="twos_complement",
            dataflow="grouped" if any(layer.group > 1 for layer in layers.values()) else "packed",
            adc_rule="column",
            input_memory="none",
            index_rule="free",
        )
    return replace(machine, **changes)


def _charges(machine: Machine) -> str:
    """What beside the cells is charged, in words."""
    law = "" if machine.adc_energy_j != "walden" else " by Walden's law"
    words = {
        "none": "no ADC",
        "cell": f"ADC per cell{law}",
        "column": f"ADC per column of {machine.array_rows} rows{law}",
    }[machine.adc_rule]
    words += ", inputs free" if machine.input_memory == "none" else f", inputs from {machine.input_memory}"
    return words if machine.dataflow == "crossbar" else f"{words}, index {machine.index_rule}"


def _built(source: object) -> nn.Module:
    if not hasattr(source, "build"):
        raise ValueError(
            "images and inputs need a network to run through, and these are codes alone; measure on your own "
            "model, activity=measure_activity(model, images, scales=activation_scales(model, images))"
        )
    return source.build()


def _priced(
    layers: Mapping[str, StoredLayer],
    activity: Mapping[str, Activity],
    machine: Machine,
    count: int,
    idle: Collection[str],
) -> pd.DataFrame:
    frame = network_energy(layers, activity, machine).rename(columns={"total_j": "energy_j"})
    spent = frame[_SPENT] / count
    return frame.assign(**spent.mask(frame.layer.isin(idle), 0.0))


def _references(
    layers: Mapping[str, StoredLayer],
    activity: Mapping[str, Activity],
    machine: Machine,
    count: int,
    held: str,
    idle: Collection[str],
) -> dict[str, pd.DataFrame]:
    """The baseline's layers in each encoding that the machine and the table have energies for."""
    found: dict[str, pd.DataFrame] = {}
    for encoding in CELL_ENCODINGS:
        try:
            found[encoding] = _priced(layers, activity, replace(machine, encoding=encoding), count, idle)
        except ValueError:
            if encoding == held:
                raise
    return found


def _check_untouched(baseline: object, source: object) -> None:
    """Raise ``ValueError`` where the baseline is a model that a Twofold has made sparse, or is about to."""
    if not isinstance(baseline, nn.Module):
        return
    own = isinstance(source, Twofold) and uncompiled(baseline) is source.model
    if own or any(isinstance(module, MaskedWeight) for module in baseline.modules()):
        raise ValueError(
            f"baseline is a {type(baseline).__name__} that a Twofold was attached to, whose weights are "
            "sparse themselves; give a copy of the model from before, made by copy.deepcopy(model), or a "
            "Twofold"
        )


def _baseline_layers(
    baseline: object, layers: Mapping[str, StoredLayer], transposed: Collection[str] = ()
) -> dict[str, StoredLayer]:
    """The baseline's layers of these names and widths, as codes that were chosen for no encoding."""
    if isinstance(baseline, nn.Module):
        found = {name: _weight(baseline, name) for name in layers}
        missing = [name for name, weight in found.items() if weight is None]
        if empty := [n for n, own in found.items() if own is not None and (is_lazy(own) or own.is_meta)]:
            raise ValueError(
                f"the baseline's layer {empty[0]} has no values: it is lazy or on the meta device; run one "
                "batch through the baseline, or load its weights, first"
            )
        weights = {
            name: turned(weight.detach(), name in transposed)
            for name, weight in found.items()
            if weight is not None
        }
        theirs = {
            name: StoredLayer(
                _rounded(name, weight, layers[name]),
                1.0,
                torch.ones_like(weight, dtype=torch.bool),
                layers[name].bits,
            )
            for name, weight in weights.items()
        }
    else:
        theirs, _ = _layers(baseline)
        missing = [name for name in layers if name not in theirs]
    for name, layer in layers.items():
        if name in missing or theirs[name].codes.shape != layer.codes.shape:
            raise ValueError(f"the baseline has no layer {name} of shape {tuple(layer.codes.shape)}")
        if theirs[name].bits != layer.bits:
            raise ValueError(
                f"the baseline has codes of {theirs[name].bits} bits, the network of {layer.bits}"
            )
    return {name: replace(theirs[name], encoding="twos_complement") for name in layers}


def _rounded(name: str, weight: Float[Tensor, "out *rest"], layer: StoredLayer) -> Tensor:
    """The baseline's codes, with as many scales as the layer has."""
    several = isinstance(layer.scale, Tensor)
    try:
        return quantize(weight, layer.bits, channel_scale(weight).flatten() if several else None)
    except ValueError as error:
        raise ValueError(f"the baseline's layer {name!r}: {error}") from error


def _weight(model: nn.Module, name: str) -> Tensor | None:
    """The weight of a layer, or the parameter of this name, if the model has it."""
    holder, parameter = find_module(model, name), "weight"
    if holder is None:
        path, _, parameter = name.rpartition(".")
        holder = find_module(model, path)
    weight = getattr(holder, parameter, None)
    return weight if isinstance(weight, Tensor) else None
