"""The paper companion around the library `twofold`: its study, its book, its benchmarks. It never ships."""
