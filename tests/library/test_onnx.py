"""A finished network is a plain one: torch exports it, and ONNX Runtime gives the same answers."""

import subprocess
import sys
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from companion.study.zoo import build_model
from twofold.masks.generator import GENERATORS
from twofold.sparsity.twofold import Twofold


@pytest.mark.slow  # seven seconds of exporting; the test below is its short form
def test_a_finished_network_agrees_in_onnx(tmp_path):
    torch.manual_seed(0)
    model = build_model("resnet20")
    images = torch.randn(3, 3, 32, 32)
    sparsity = Twofold(model, density=0.5, strength=60.0)
    sparsity.advance(1.0)
    model(images)  # batch norms that have seen something
    sparsity.finish()
    agree(model.eval(), images, tmp_path / "network.onnx")


def test_a_layer_of_every_kind_of_generator_agrees_in_onnx(tmp_path):
    """One network with a layer each, so that it is exported once; every other one shares rows."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Conv2d(6, 6, 3, padding=1) for _ in GENERATORS))
    images = torch.randn(3, 6, 8, 8)
    attached = [
        Twofold(model, layers=str(index), density=0.5, generator=kind, group=1 + 3 * (index % 2))
        for index, kind in enumerate(GENERATORS)
    ]
    assert [layer.group for own in attached for layer in own.finish().values()] == [1, 4, 1, 4, 1]
    agree(model.eval(), images, tmp_path / "network.onnx")


ATTACHED = """
import torch
from torch import nn
from twofold import Twofold
Twofold(model := nn.Sequential(nn.Linear(8, 8)).eval(), scale="channel")
try:
    torch.onnx.export(model, (torch.randn(1, 8),), dynamo=True, verbose=False)
except Exception as error:
    print(error)
"""


@pytest.mark.slow  # the exporter tries all that it knows
def test_an_attached_model_is_refused_without_a_type_checker():
    """The tests check all types at run time: the compiler gives up at that, and never gets to the network."""
    command = [sys.executable, "-c", ATTACHED]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (
        "layer '0' computes its weight anew in each pass, which is no network for ONNX; call finish()" in said
    )


def agree(model, images, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            model,
            (images,),
            path,
            dynamo=True,
            verbose=False,
            dynamic_shapes=({0: torch.export.Dim("n", max=64)},),  # without a bound, torch 2.7 refuses
        )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (put.name for put in session.get_inputs())
    for batch in (images, images[:1]):
        (theirs,) = session.run(None, {name: batch.numpy()})
        np.testing.assert_allclose(theirs, model(batch).detach().numpy(), rtol=1e-5, atol=1e-5)
