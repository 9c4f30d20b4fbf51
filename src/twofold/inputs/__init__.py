"""What a layer is fed: input scales, counted ones, windows of a convolution."""

from twofold.inputs.activity import Activity, measure_activity
from twofold.inputs.scales import activation_scales, quantized_activations

__all__ = ["Activity", "activation_scales", "measure_activity", "quantized_activations"]
