"""Both sparsities attached to any model, and the plain network that comes out.

The weights of every attached layer are computed anew in each forward pass (torch's parametrize), masked
at the positions that the LFSR left out and rounded to codes; the gradient passes straight through.
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from twofold.codes.cells import code_energy, code_energy_table
from twofold.codes.encodings import EncodingName, popcount
from twofold.codes.quantizer import check_bits, check_clip_ratio, code_limit
from twofold.codes.tables import CellTable, load_cell_table
from twofold.layer import StoredLayer, check_unchanged
from twofold.masks.draw import check_group, magnitude_mask
from twofold.masks.generator import GENERATORS
from twofold.masks.kinds import Reduction
from twofold.sparsity.choose import (
    MASKS,
    Choice,
    Coverage,
    MaskKind,
    Place,
    check_layers,
    choose_densities,
    choose_layers,
    coverage_of,
    draw_mask,
    find_module,
    places_of,
    turned,
    uncompiled,
)
from twofold.sparsity.chooser import CodeChooser
from twofold.sparsity.parametrizations import (
    BitPlaneWeight,
    MaskedWeight,
    SparseWeight,
    attach_weight,
    choose_before_passes,
    choose_no_more,
    detach_weight,
    leave_to_each_process,
)
from twofold.sparsity.penalties import POLARITIES, Polarity, network_term, planes_term, popcount_term

__all__ = ["BIT_TERMS", "CHOOSING", "SCALES", "Twofold"]


BitTerm = Literal["energy", "counts", "popcount", "planes"]


BIT_TERMS: tuple[BitTerm, ...] = get_args(BitTerm)
"""The bit terms by name, see `Twofold`."""


CHOOSING: tuple[BitTerm, ...] = ("energy", "counts")
"""Those that choose codes in the forward pass; the others are penalties on trainable bit planes."""


Scale = Literal["layer", "channel", "ternary"]


SCALES: tuple[Scale, ...] = get_args(Scale)
"""What the largest code stands for, by name, see `Twofold`."""


_NEARLY_ALL = 0.99  # of a layer's weights; the strongest bit terms of the study leave 93 % of a layer at 0
_NAMED = 3  # layers that a message names


class Twofold:
    """Masks and bit-sparse codes on the layers of a model.

    Parameters
    ----------
    model : Module
        Its layers are parametrized in place; the rest stays as it is. Of a compiled model it is the model
        inside. Attach before wrapping for several processes, and make the optimizer afterwards.
    layers
        Which, by name, pattern or type; by default every Conv1d, Conv2d, Conv3d and Linear. A name or pattern
        that fits none of those stands for parameters: ``"conv1.lin_weight"``, ``"*.c_attn.weight"``,
        ``"rnn.weight_*"``. They are attached, coded, priced and saved by their own names. That a module of
        your own multiplies by such a parameter as it is, cannot be tried: naming it says so. Where only a
        part of one is multiplied by at a time (cross-attention), or in a transposed convolution, no inputs
        can be measured: a report with images says so, and can be asked for right after attaching.
    exclude, exclude_first, exclude_last
        Which of them not, see :func:`~twofold.sparsity.choose.choose_layers`.
    density : float or mapping
        Share of the weights that are kept, in (0, 1]; 1 attaches codes and no mask. A mapping gives it by
        name, pattern or type, and layers that it does not name stay in float; without ``layers`` it may
        name parameters, too.
    mask : {"lfsr", "iid", "magnitude"}
        Which are kept. The magnitude mask looks at the weights at the moment of pruning, and anew where a
        plain checkpoint is loaded.
    bits : int
        Of a code, 2..16.
    scale : {"layer", "channel", "ternary"}
        What the largest code stands for: a layer's largest weight; in each output channel its own largest
        weight, so that neither an outlier nor a depthwise layer's small channels lose their codes (a scale
        for each output is stored, and applied after the converter); or, for ``bits=2``, the one of
        :func:`~twofold.codes.quantizer.ternary_scale`. Outputs are told by ``transposed``.
    clip_ratio : float
        In (0, 4]. With scale "layer" or "channel": the largest code stands for this multiple of the largest
        weight. Below 1 what lies beyond saturates; in two's complement the finer step spares small negative
        weights, the most expensive ones. Above 1 the highest codes stay unused; where magnitudes are stored
        more weights take cheap small ones.
    bit_term : {"energy", "counts", "popcount", "planes"}
        Energy-aware or count-aware codes, or one of the penalties on trainable bit planes; see
        :mod:`twofold.sparsity.penalties`. Count-aware codes are chosen as energy-aware ones are, with the
        number of ones of a code's pattern as its price. At the weights' learning rate planes move a
        layer less; that rate over ``layer.parametrizations.weight[0].leverage`` moves it as far.
    strength : float
        Of the bit term: LSB^2/pJ for ``"energy"``, LSB^2 a one for ``"counts"``, the slides' beta for the
        others. 0 switches it off.
    network_strength : float
        The slides' lambda: pulls the weights that will be removed towards zero until ``prune_epoch``.
    polarity : {"removed", "printed"}
        See :func:`~twofold.sparsity.penalties.network_term`.
    prune_epoch : int
        The epoch (from 0) before which the masks become hard; 0 prunes at once.
    ramp : float
        Share of the training over which the strength of chosen codes (``"energy"``, ``"counts"``) rises from
        0, in (0, 1].
    penalty_ramp : float
        The same of the penalties, the network term's and those on bit planes, in [0, 1]; 0, as on the slides,
        has them at their full strengths from the first step.
    encoding, table
        What the energy-aware codes are made cheap for: one of
        :data:`~twofold.codes.encodings.CELL_ENCODINGS`, and a :class:`~twofold.codes.tables.CellTable`, by
        default that of the slides.
    generator : str
        What turns the register of an LFSR mask into positions, one of
        :data:`~twofold.masks.generator.GENERATORS`; see :mod:`twofold.masks.kinds`. With ``"rejection"``,
        ``"column"`` and ``"counter"`` each layer has a register of its own polynomial and size.
    group : int
        Neighboring columns (outputs) of a layer that share their kept rows, whatever the mask; 1: none do.
        The last group has what is left, and a group of more columns than a layer has is all of them.
    transposed
        The named parameters of which the second dimension is the output, as in ``inputs @ parameter``; by
        default it is the first. Outputs are the columns of a crossbar, and what ``group`` counts. A
        transposed convolution's, and those of a module that only multiplies by a matrix (transformers'
        ``Conv1D``), are known.
    seed : int
        Of the masks: networks of other seeds, and layers, have far parts of the registers' cycles. A second
        Twofold on a model needs another seed.

    Raises
    ------
    TypeError
        The model is no module, the table no cell table, or a choice is neither text nor a type.
    ValueError
        A value that is no number or out of range, a name that fits no layer, or a layer that cannot be
        attached, each quoted. The model is then as it was.

    Warns
    -----
    UserWarning
        Neither ``layers`` nor a mapping says what is to be attached, and of the weights that the model
        multiplies by (see :func:`~twofold.sparsity.choose.multiplying_weights`), less those that were
        excluded, less than half are in convolutions and linear layers. When the codes are asked for, with a
        strength that was never put to use: no call of ``advance``, or of ``penalty``. And, at attaching or
        when the codes are asked for, once for each layer of whose kept weights other than 0 more than 99 %
        have the code 0. At attaching, where more than 5 % of what a mask keeps is 0, but not all of it:
        another mask was there before.

    Notes
    -----
    A layer's weight is computed anew from a trained one in each forward pass. What sets it after attaching is
    an assignment (``layer.weight = tensor``) or ``load_state_dict``, of a plain checkpoint too;
    ``torch.func.functional_call`` takes the trained one, by its name in ``named_parameters()``. A change in
    place (``nn.init.normal_(layer.weight)``, ``layer.weight.copy_(...)``) would be lost, and raises an error
    at the next use. One that goes by ``.data`` (``layer.weight.data.normal_()``) is lost as well, and cannot
    be seen: torch counts no such change. Nor can it in a recurrent layer on a GPU, whose weights torch itself
    lays out anew. Initialize before attaching.

    The model's state dict carries a training on, once a Twofold of the same arguments is attached; one of
    other bits, masks, scales or prices of codes is refused. Each process of several attaches for itself, with
    the same arguments. A deep copy lives a life of its own; for a running average of the weights copy the
    Twofold, and call ``advance`` and ``prune`` of the copy as well (torch's ``AveragedModel`` alone would
    know neither).

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> sparsity = Twofold(model, density={"0": 0.5, "2": 1.0}, strength=60.0)
    >>> sparsity
    Twofold(2 layers, 60 % of 160 weights kept, mask 'lfsr', 8 bits, strength 60 (energy))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> inputs, labels = torch.randn(32, 8), torch.randint(2, (32,))
    >>> for step in range(10):
    ...     sparsity.advance(step / 10)
    ...     loss = nn.functional.cross_entropy(model(inputs), labels) + sparsity.penalty()
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    >>> layers = sparsity.finish()
    >>> {name: (layer.kept, layer.size) for name, layer in layers.items()}
    {'0': (64, 128), '2': (32, 32)}
    >>> int((model[0].weight != 0).sum()) <= 64  # the model is plain again
    True
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: Choice | Iterable[Choice] | None = None,
        exclude: Choice | Iterable[Choice] = (),
        exclude_first: bool = False,
        exclude_last: bool = False,
        density: float | Mapping[Choice, float] = 1.0,
        mask: MaskKind = "lfsr",
        bits: int = 8,
        scale: Scale = "layer",
        clip_ratio: float = 1.0,
        bit_term: BitTerm = "energy",
        strength: float = 0.0,
        network_strength: float = 0.0,
        polarity: Polarity = "removed",
        prune_epoch: int = 0,
        ramp: float = 0.5,
        penalty_ramp: float = 0.0,
        encoding: EncodingName = "twos_complement",
        table: CellTable | None = None,
        seed: int = 0,
        generator: Reduction = "rejection",
        group: int = 1,
        transposed: Choice | Iterable[Choice] = (),
    ):
        if not isinstance(model, nn.Module):
            raise TypeError(f"model is {model!r}; it must be a torch.nn.Module")
        layers = None if layers is None else _choices("layers", layers)
        exclude, transposed = _choices("exclude", exclude), _choices("transposed", transposed)
        shares = [density] if not isinstance(density, Mapping) else [*density.values()]
        _choices("density", density if isinstance(density, Mapping) else ())
        for name, number in (
            *(("density", share) for share in shares),
            ("clip_ratio", clip_ratio),
            ("strength", strength),
            ("network_strength", network_strength),
            ("ramp", ramp),
            ("penalty_ramp", penalty_ramp),
        ):
            _check_number(name, number)
        if not hasattr(seed, "__index__"):
            raise ValueError(f"seed is {seed!r}; it must be a whole number")
        for name, word, allowed in (
            ("mask", mask, MASKS),
            ("scale", scale, SCALES),
            ("bit_term", bit_term, BIT_TERMS),
            ("polarity", polarity, POLARITIES),
            ("generator", generator, tuple(GENERATORS)),
        ):
            if word not in allowed:
                raise ValueError(f"{name} is {word!r}; it must be one of {', '.join(allowed)}")
        for name, number in (("strength", strength), ("network_strength", network_strength)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} is {number!r}; it must be a finite number of at least 0")
        if not 0 < ramp <= 1:
            raise ValueError(f"ramp is {ramp!r}; it must be a share of the training in (0, 1]")
        if not 0 <= penalty_ramp <= 1:
            raise ValueError(
                f"penalty_ramp is {penalty_ramp!r}; it must be a share of the training in [0, 1]"
            )
        if scale == "ternary" and (bits != 2 or (strength and bit_term not in CHOOSING)):
            raise ValueError(
                f"scale 'ternary' needs bits 2, a bit_term of {', '.join(CHOOSING)}, not {bits}, {bit_term!r}"
            )
        if check_clip_ratio(clip_ratio) != 1 and (
            scale == "ternary" or (strength and bit_term not in CHOOSING)
        ):
            raise ValueError(
                f"clip_ratio {clip_ratio!r} needs scale 'layer' or 'channel', and a bit_term of "
                f"{', '.join(CHOOSING)}, not {scale!r}, {bit_term!r}"
            )
        if strength and bit_term not in CHOOSING and encoding != "twos_complement":
            raise ValueError(
                f"bit_term {bit_term!r} trains the bits of two's complement, and encoding is {encoding!r}; "
                f"allowed with another encoding are {', '.join(CHOOSING)}"
            )
        if not hasattr(prune_epoch, "__index__") or prune_epoch < 0:
            raise ValueError(f"prune_epoch is {prune_epoch!r}; it must be a whole number of at least 0")
        if network_strength and not prune_epoch:
            raise ValueError(f"network_strength {network_strength!r} acts until prune_epoch, which is 0")
        model = uncompiled(model)
        by_name = layers is not None or isinstance(density, Mapping)
        chosen = choose_layers(
            model,
            layers,
            exclude=exclude,
            exclude_first=exclude_first,
            exclude_last=exclude_last,
            also=density if isinstance(density, Mapping) else (),
        )
        self.densities = choose_densities(chosen, density)
        self.layers = {name: chosen[name] for name in self.densities}
        check_layers(model, self.layers, generator=generator if mask == "lfsr" else None)
        self.places: dict[str, Place] = places_of(model, self.layers, transposed)
        self.model = model
        self.bits = check_bits(bits)
        self.mask = mask
        self.group = check_group(group)
        self.scale = scale
        self.bit_term = bit_term
        self.strength = strength
        self.network_strength = network_strength
        self.polarity = polarity
        self.prune_epoch = prune_epoch
        self.ramp, self.penalty_ramp = ramp, penalty_ramp
        self.encoding, self.table = encoding, load_cell_table() if table is None else table
        self.energy_table_j = code_energy_table(bits, encoding, self.table)
        self.finished: dict[str, StoredLayer] | None = None
        self.chooser = None
        if strength and bit_term in CHOOSING:
            self.chooser = CodeChooser(bits, self._prices())
            self.chooser.check_strength(strength)
        # All masks before the first layer is touched: an error leaves the model as it was.
        masks = {}
        for index, (name, place) in enumerate(self.places.items()):
            own, share = place.turned(place.weight.detach()), self.densities[name]
            try:
                masks[name] = draw_mask(own, share, mask, index, seed, generator, group)
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}") from error
        self._warn_if_pruned({name: keep for name, (keep, *_) in masks.items()})
        drawn = None
        if mask != "magnitude":
            drawn = mask, generator if mask == "lfsr" else "", self.group, seed
        taken = {own.drawn for own in model.modules() if isinstance(own, MaskedWeight)}
        if drawn in taken - {None} and any(share < 1 for share in self.densities.values()):
            raise ValueError(
                f"seed is {seed}, and another Twofold on this model has masks of {mask!r} and that seed: the "
                "same ones again; give another seed, or attach all layers at once"
            )
        self.generators = {name: own for name, (_, own, _) in masks.items()}
        self._clocks = {name: clocks for name, (_, _, clocks) in masks.items()}
        self._sizes = {name: keep.numel() for name, (keep, *_) in masks.items()}
        self._exclude = exclude
        if not by_name and (coverage := self.coverage).unasked_share > 0.5:
            warnings.warn(f"{coverage}; name more of it in layers, or exclude it", stacklevel=2)
        for name, (outputs_first, *_) in masks.items():
            place = self.places[name]
            # In the weight's order of memory: products of unlike orders take several times as long.
            keep = torch.empty_like(place.weight, dtype=torch.bool).copy_(place.turned(outputs_first))
            stored = mask == "magnitude" and self.densities[name] < 1
            output = int(place.transposed) if scale == "channel" else None
            if strength and bit_term not in CHOOSING:
                weight: MaskedWeight = BitPlaneWeight(keep, bits, stored, output)
                place.weight.grad = None  # an old one has another shape than the planes
            else:
                weight = SparseWeight(
                    keep, bits, self.chooser, stored, scale == "ternary", clip_ratio, output
                )
            weight.layer = name
            weight.drawn = drawn if self.densities[name] < 1 else None
            if stored:
                weight.largest = partial(_largest, place.transposed, self.densities[name], group)
            path = (place.path, "parametrizations", place.parameter, "original")
            weight.trained = ".".join(filter(None, path))
            weight.to(keep.device, place.weight.dtype)
            attach_weight(place.module, weight, place.parameter)
        self._advanced = self._penalized = False
        self._penalty_share = torch.zeros(())  # of the strengths, that the penalties have risen to
        leave_to_each_process(model)
        choose_before_passes(model)
        if prune_epoch == 0:
            self.prune()
        self._told: set[str] = set()
        self._warn_if_zero({name: weight.coded(own) for name, weight, own in self._parametrized()})

    def __repr__(self) -> str:
        size = sum(self._sizes.values())
        kept = sum(self.densities[name] * own for name, own in self._sizes.items()) / size
        facts = [
            f"{len(self.places)} layers",
            f"{100 * kept:.3g} % of {size:,} weights kept",
            f"mask {self.mask!r}",
            f"{self.bits} bits",
            f"strength {self.strength:g} ({self.bit_term})" if self.strength else "",
            "" if self.finished is None else "finished",
        ]
        return f"Twofold({', '.join(filter(None, facts))})"

    @property
    def coverage(self) -> Coverage:
        """What share of the weights that the model multiplies by is attached, and what is not.

        Counted anew each time: a layer that is not attached may be exchanged or added.
        """
        return coverage_of(self.model, self.places, self._exclude)

    def _prices(self) -> Float[Tensor, " codes"]:
        """What each code costs its chooser, the lowest code first: picojoules, or ones."""
        if self.bit_term == "energy":
            return self.energy_table_j * 1e12
        limit = code_limit(self.bits)
        return popcount(torch.arange(-limit, limit + 1), self.bits, self.encoding).double()

    def _check_training(self) -> None:
        if self.finished is not None:
            raise ValueError("this Twofold is finished, its weights are plain; to train on, attach anew")

    def _parametrized(self):
        self._check_training()
        for name, place in self.places.items():
            slots = getattr(place.module, "parametrizations", {})
            slot = slots[place.parameter] if place.parameter in slots else ()
            steps = [*slot]
            if len(steps) != 1 or not isinstance(steps[0], MaskedWeight):
                raise ValueError(
                    f"the weight of layer {name!r} has been parametrized otherwise since it was attached, so "
                    "its codes are not what it computes with; undo that, and attach last of all"
                )
            yield name, steps[0], slot.original

    def _check_present(self) -> None:
        for name, place in self.places.items():
            if self.finished is not None and place.module._parameters.get(place.parameter) is None:
                raise ValueError(f"layer {name!r} has no plain weight any more, as it had after finish()")
            if find_module(self.model, place.path) is not place.module:
                raise ValueError(
                    f"layer {name!r} is not in the model any more: it was exchanged or removed after "
                    "attaching, by fusion with its norm, say; put it back, or attach to the final model"
                )

    def _warn_if_idle(self) -> None:
        """Say so where a term has been asked for, and the loop has never put it to use."""
        if self.finished is not None:
            return
        idle = ""
        restored = any(weight.restored for _, weight, _ in self._parametrized())
        if self.chooser is not None and self.chooser.rounds and not self._advanced:
            idle = f"strength is {self.strength}, but advance() was never called, so codes are just rounded"
        elif self.chooser is None and self.strength and not (self._penalized or restored):
            idle = f"strength is {self.strength}, but penalty() was never added to a loss"
        elif self.network_strength and not (self._penalized or restored):
            idle = f"network_strength is {self.network_strength}, but penalty() was never added to a loss"
        elif self.penalty_ramp and self._penalized and not self._advanced:
            idle = f"penalty_ramp is {self.penalty_ramp}, but advance() was never called, so no penalty rose"
        if idle:
            warnings.warn(f"{idle}; call it at each step of the training", stacklevel=3)

    def _warn_if_pruned(self, masks: Mapping[str, Bool[Tensor, "out *rest"]]) -> None:
        """Say so where the weights that a mask keeps were removed by another one."""
        shares = {}
        for name, keep in masks.items():
            if self.densities[name] == 1:
                continue
            place = self.places[name]
            left = (place.turned(place.weight.detach()) != 0) & keep
            share = 1 - int(left.count_nonzero()) / int(keep.count_nonzero())
            if 0.05 < share < 1:
                shares[name] = share
        if shares:
            warnings.warn(
                f"of the weights that are kept, {_named(shares)} are 0 already, as another mask leaves them; "
                "what helps: the mask, density, seed and layers of the first time, or unpruned weights",
                stacklevel=3,
            )

    def _warn_if_zero(self, coded: Mapping[str, int]) -> None:
        """Say so, once a layer, where few of its kept weights are coded by anything else than 0."""
        shares = {}
        for name, weight, original in self._parametrized():
            kept = int(weight.keep.count_nonzero())
            if name in self._told or coded[name] >= (1 - _NEARLY_ALL) * kept:
                continue
            if isinstance(weight, SparseWeight):
                weights = int(((original.detach() != 0) & weight.keep).count_nonzero())
            else:  # planes that no penalty has moved yet have no ones only where all weights are 0
                weights = kept if coded[name] or self._penalized else 0
            if weights and coded[name] < (1 - _NEARLY_ALL) * weights:
                shares[name] = 1 - coded[name] / weights
        if not shares:
            return
        self._told |= set(shares)
        helps = ["a lower strength"] if self.strength else []
        helps += ["scale='channel', where an outlier sets the layer's"] if self.scale == "layer" else []
        helps += ["a smaller clip_ratio", "more bits"]
        warnings.warn(
            f"nearly all weights have the code 0 ({_named(shares)}); what helps: {', or '.join(helps)}",
            stacklevel=3,
        )

    @property
    def pruned(self) -> bool:
        """Whether the masks are hard; a state dict carries it, so a resumed training knows."""
        return all(weight.active for _, weight, _ in self._parametrized())

    @property
    def branches(self) -> tuple[bool, bool, int]:
        """What decides which operations a step consists of; while it stays, a recorded step stays valid."""
        chooser = self.chooser
        return (self.pruned, chooser is None or chooser.rounds, 0 if chooser is None else chooser.inside)

    # ---- while training ----

    def penalty(self) -> Float[Tensor, ""]:
        """The terms that join the loss: lambda times the network term, beta times the bit term."""
        self._penalized = True
        attached = list(self._parametrized())
        originals = [original for _, _, original in attached]
        total = originals[0].new_zeros(())
        if self.network_strength and not self.pruned:
            # The slides' W is the float weight; only bit planes have none but the one their codes stand for.
            weights = [
                self.places[name].weight if isinstance(weight, BitPlaneWeight) else original
                for name, weight, original in attached
            ]
            keep = [weight.keep for _, weight, _ in attached]
            total = total + self.network_strength * network_term(weights, keep, self.polarity)
        if self.strength and self.bit_term not in CHOOSING:
            term = popcount_term if self.bit_term == "popcount" else planes_term
            total = total + self.strength * term(originals)
        if not self.penalty_ramp:
            return total
        # A tensor beside the weights: a recorded step reads it anew each time that it is replayed.
        self._penalty_share = self._penalty_share.to(total.device)
        return self._penalty_share * total

    @torch.no_grad()
    def advance(self, progress: float) -> None:
        """Call before each step with the share of the training that is done (0..1)."""
        _check_number("progress", progress)
        if not 0 <= progress <= 1:
            raise ValueError(f"progress is {progress}; it is the share of the training done, in [0, 1]")
        self._check_training()
        self._advanced = True
        if self.penalty_ramp:
            self._penalty_share.fill_(min(1.0, progress / self.penalty_ramp))
        if self.chooser is not None:
            self.chooser.set_strength(self.strength * min(1.0, progress / self.ramp))
            return
        for _, weight, original in self._parametrized():
            if isinstance(weight, BitPlaneWeight):
                original.clamp_(0, 1)

    def prune_due(self, epoch: int) -> bool:
        """Whether the masks have to become hard before ``epoch`` (from 0)."""
        return not self.pruned and epoch >= self.prune_epoch

    def prune(self) -> None:
        """Make the masks hard: from now on, what is not kept is zero."""
        for name, weight, original in self._parametrized():
            if weight.largest is not None:
                # The float weights: many codes are equal, and a tie would be settled by position.
                ranked = original if isinstance(weight, SparseWeight) else self.places[name].weight
                weight.keep.copy_(weight.largest(ranked.detach()))
            weight.active = True

    def requantize(self) -> None:
        """Put trainable bit planes back to the true bits of their codes (call after each epoch)."""
        for _, weight, original in self._parametrized():
            if isinstance(weight, BitPlaneWeight):
                weight.requantize(original)

    def status(self) -> dict[str, float]:
        """What the codes are like now: ``zero_codes`` and ``cell_energy_pj``, both over the kept weights."""
        zero, energy, kept = 0, 0.0, 0
        for layer in self.codes().values():
            codes = layer.codes[layer.keep]
            zero += int((codes == 0).sum())
            energy += float(code_energy(codes, self.energy_table_j.to(codes.device)).sum())
            kept += codes.numel()
        return {"zero_codes": zero / kept, "cell_energy_pj": energy / kept * 1e12}

    # ---- afterwards ----

    def check_pruned(self) -> None:
        """Raise ``ValueError`` while the masks are not hard: the weights outside them are still there."""
        if self.finished is None and not self.pruned:
            raise ValueError("the masks are not active yet, so nothing is removed; call prune() first")

    def codes(self) -> dict[str, StoredLayer]:
        """The codes, scales and mask of every attached layer as they are now, output first.

        Raises
        ------
        ValueError
            A layer that was exchanged, removed or parametrized otherwise after attaching, or whose weight was
            changed in place.
        """
        self._warn_if_idle()
        found = self._codes()
        if self.finished is None:
            self._warn_if_zero(_coded(found))
        return found

    def _codes(self) -> dict[str, StoredLayer]:
        self._check_present()
        if self.finished is not None:
            check_unchanged(
                {n: place.turned(place.weight) for n, place in self.places.items()}, self.finished
            )
            return dict(self.finished)
        found = {}
        for name, weight, original in self._parametrized():
            codes, scale = weight.codes(original)
            place, own = self.places[name], self.generators[name]
            codes, keep = (place.turned(tensor).contiguous() for tensor in (codes, weight.keep.clone()))
            # A layer that keeps all has no mask that columns could share.
            group = self.group if self.densities[name] < 1 else 1
            # A scale for each output goes on as a vector, a copy: planes keep theirs in a buffer.
            scales = float(scale) if scale.dim() == 0 else scale.detach().flatten().clone()
            found[name] = StoredLayer(codes, scales, keep, self.bits, self.encoding, own, group)
            if own is not None:
                vars(found[name])["clocks"] = self._clocks[name]  # walked when it was attached
        return found

    def finish(self) -> dict[str, StoredLayer]:
        """Leave the model with plain weights (the codes times their scale) and hand back the codes."""
        self.check_pruned()
        self._warn_if_idle()
        codes = self._codes()
        if self.finished is None:
            self._warn_if_zero(_coded(codes))
            for place in self.places.values():
                detach_weight(place.module, place.parameter)
            choose_no_more(self.model)
            self.finished = codes
        return dict(codes)


def _check_number(name: str, value: object) -> None:
    """Raise ``ValueError`` where this has no order with numbers: text from a file or a command line, None."""
    if not hasattr(value, "__float__"):
        raise ValueError(f"{name} is {value!r}, a {type(value).__name__}; it must be a number")


def _choices(name: str, choices: Any) -> tuple[Choice, ...]:
    """All of them, or a ``TypeError`` that quotes what is none."""
    one = isinstance(choices, str | type) or not isinstance(choices, Iterable)
    several = (choices,) if one else tuple(choices)
    for choice in several:
        if not isinstance(choice, str | type):
            raise TypeError(f"{name} names {choice!r}; allowed are names, patterns of names, and layer types")
    return several


def _named(shares: Mapping[str, float]) -> str:
    named = ", ".join(f"{100 * share:.1f} % of layer {n!r}" for n, share in [*shares.items()][:_NAMED])
    return named + (f" and of {len(shares) - _NAMED} more" if len(shares) > _NAMED else "")


def _largest(transposed: bool, density: float, group: int, weight: Tensor) -> Tensor:
    """What the magnitude mask keeps of a weight, whose output is its second dimension if `transposed`."""
    return turned(magnitude_mask(turned(weight, transposed), density, group).keep, transposed)


def _coded(layers: Mapping[str, StoredLayer]) -> dict[str, int]:
    """Number of kept weights of each layer whose code is not 0."""
    return {name: int(((own.codes != 0) & own.keep).count_nonzero()) for name, own in layers.items()}
