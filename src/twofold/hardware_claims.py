"""What the synthesised index generator says to the claims of the slides: rows of the `claims` ledger."""

from twofold.lig import LAYER_POLYNOMIAL, layer_seed
from twofold.lig_energy import lig_energy_j, load_lig_cells
from twofold.mask_measures import index_storage_bits
from twofold.masks import lfsr_mask
from twofold.operations import MEMORY_WORD_BITS, memory_word_energy_j

__all__ = ["easy_in_hardware", "energy_of_no_addresses"]

SIZE, DENSITY = 36864, 0.5  # the largest layer of ResNet-20, half of it kept


def easy_in_hardware() -> tuple[float, str, str]:
    """Gate equivalents of the slides' example; "1. LFSRs can be easily be implemented in hardware"."""
    cells = load_lig_cells()
    example = cells[(cells.block == "lig") & (cells.degree == 9) & (cells.reduction == "multiply-shift")]
    raw, first = (example[example.dedup == dedup].iloc[0] for dedup in (0, 1))
    return (
        float(raw.gate_equivalents),
        "holds",
        "Gate equivalents (NAND2) of the slides' example, by Yosys, if every state's index is handed out; "
        f"{first.gate_equivalents:.0f} and {first.scratch_bits:.0f} scratch bits if first sights only.",
    )


def energy_of_no_addresses() -> tuple[float, str, str]:
    """Joules of one index, generated, beside what the cheapest stored one costs to read."""
    mask = lfsr_mask((SIZE,), DENSITY, seed=layer_seed(LAYER_POLYNOMIAL, 0))
    clocks_pj = 1e12 * mask.clocks / mask.kept
    raw = clocks_pj * lig_energy_j(SIZE, dedup=False, density=DENSITY)
    first = clocks_pj * lig_energy_j(SIZE, dedup=True, density=DENSITY)
    stored = index_storage_bits(mask.keep).set_index("scheme").bits.drop("lfsr")
    words = 1e12 * int(stored.min()) / mask.kept / MEMORY_WORD_BITS
    sram, dram = words * memory_word_energy_j("SRAM"), words * memory_word_energy_j("DRAM")
    verdict = "holds" if raw < sram else "holds against DRAM only" if raw < dram else "does not hold"
    return (
        float(raw),
        verdict,
        "One index of the largest layer at 50 %, every state's handed out; "
        f"{first:.1f} pJ if an SRAM recognises the repeats. Reading a stored one ({stored.idxmin()}): "
        f"{sram:.2f} pJ from SRAM, {dram:.0f} pJ from DRAM.",
    )
