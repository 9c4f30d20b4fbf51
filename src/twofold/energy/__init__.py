"""Joules: the machine that is priced, layers and networks, the index."""

from twofold.energy.machine import EnergyModel
from twofold.energy.price import network_energy

__all__ = ["EnergyModel", "network_energy"]
