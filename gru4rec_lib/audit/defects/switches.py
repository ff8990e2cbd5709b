"""The defects of the course paper's code as switches, and the variants of the audit that switch them off."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

AS_IN_PAPER, ALL_FIXED = "as_published", "all_mended"  # rows of audit.csv, whose committed copies have these names


@dataclass(frozen=True)
class Defects:
    """The active defects, each with its number in `course_paper.FINDINGS`.

    Args:
        upside_down_mrr: D1. MRR counts ranks from the bottom of the list.
        unpaired_top_k: D2. Scores and ids of the first 20 are computed by two calls, whose orders may differ.
        overrunning: D3 in training. The loader runs one step past the shortest session.
        overrunning_testing: D3 in testing.
        sticky_resets: D4 in training. States are zeroed again in every step until another session ends.
        never_reset: D4 in testing. States are never zeroed, and the last ones go back into training.
        broadcast_bpr_max: D5. BPR-max normalises along the wrong axis.
        target_among_negatives: D6. BPR has the target itself among its negatives.
        selected_on_test: D8. The epoch is selected on the test set.
        older_test: D9. The test log is older than the training log.
        first_steps: D10. Only the first mini-batches of the test count.
        linear_cross_entropy: D12. Cross-entropy takes linear scores for probabilities.
    """

    upside_down_mrr: bool = False
    unpaired_top_k: bool = False
    overrunning: bool = False
    overrunning_testing: bool = False
    sticky_resets: bool = False
    never_reset: bool = False
    broadcast_bpr_max: bool = False
    target_among_negatives: bool = False
    selected_on_test: bool = False
    older_test: bool = False
    first_steps: bool = False
    linear_cross_entropy: bool = False

    @property
    def in_training(self) -> Defects:
        """Those that change the weights: variants that share them share one training."""
        return self._only(
            "overrunning",
            "sticky_resets",
            "broadcast_bpr_max",
            "target_among_negatives",
            "older_test",
            "linear_cross_entropy",
        )

    @property
    def in_test_batches(self) -> Defects:
        """Those that change the mini-batches of the test."""
        return self._only("overrunning_testing", "never_reset", "first_steps")

    @property
    def codes(self) -> list[str]:
        """Codes of the active defects; the part of D3 and D4 in testing has its own."""
        return [code for code, (first, *_) in {**FIXED_ALONE, **ADDED}.items() if getattr(self, first)]

    def _only(self, *names: str) -> Defects:
        return Defects(**{name: getattr(self, name) for name in names})


# Rows of audit.csv in their order, and the fields that each switches off. The part of D3 and D4 in testing can be fixed
# alone.
FIXED_ALONE = {
    "D1": ("upside_down_mrr",),
    "D2": ("unpaired_top_k",),
    "D3": ("overrunning", "overrunning_testing"),
    "D3_testing": ("overrunning_testing",),
    "D4": ("sticky_resets", "never_reset"),
    "D4_testing": ("never_reset",),
    "D5": ("broadcast_bpr_max",),
    "D6": ("target_among_negatives",),
    "D8": ("selected_on_test",),
    "D9": ("older_test",),
    "D10": ("first_steps",),
}
ADDED = {"D12": ("linear_cross_entropy",)}  # of the code as last shipped; earlier versions have a softmax
ROWS = [AS_IN_PAPER, *FIXED_ALONE, *(f"with_{code}" for code in ADDED), ALL_FIXED]


def as_in_paper(loss: str, older_test: bool) -> Defects:
    """Return the defects of the paper's own results.

    Args:
        loss: of `config.audit.LOSSES`.
        older_test: whether the study tests on an older log, as the paper did (D9).
    """
    every = dict.fromkeys((field.name for field in fields(Defects)), True)
    own = {"broadcast_bpr_max": loss == "bpr_max", "target_among_negatives": loss == "bpr"}
    return Defects(**every | own | {"older_test": older_test, "linear_cross_entropy": False})


def variants(paper: Defects, with_linear: bool) -> dict[str, Defects]:
    """Return the active defects of every variant of a run.

    Args:
        paper: of `as_in_paper`.
        with_linear: whether to add D12; it is a defect of cross-entropy over all tracks.

    Returns:
        By the name of its row in audit.csv: the paper's defects, the same with each of them fixed alone, D12 added, and
        none.
    """
    found = {AS_IN_PAPER: paper}
    for code, names in FIXED_ALONE.items():
        if getattr(paper, names[0]):
            found[code] = replace(paper, **dict.fromkeys(names, False))
    for code, names in ADDED.items() if with_linear else ():
        found[f"with_{code}"] = replace(paper, **dict.fromkeys(names, True))
    return found | {ALL_FIXED: Defects()}
