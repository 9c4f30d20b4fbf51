"""Arrays of cells that compute: converters, devices, a matrix, a whole network."""

from twofold.crossbar.adc import Adc
from twofold.crossbar.device import Device
from twofold.crossbar.matrix import Crossbar
from twofold.crossbar.network import on_crossbars

__all__ = ["Adc", "Crossbar", "Device", "on_crossbars"]
