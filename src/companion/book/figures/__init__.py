"""Figures: they draw frames that they are given, and know neither the library nor the study."""
