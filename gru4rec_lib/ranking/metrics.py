"""Scores from ranks; a rank is 1 for the best, and infinite for a target that was not ranked.

>>> ranks = np.array([1, 4, 21])
>>> round(recall(ranks, 20), 4), round(mrr(ranks, 20), 4)
(0.6667, 0.4167)

which is 2 of 3 targets within the first 20, and (1/1 + 1/4 + 0) / 3.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gru4rec_lib.utils.arguments import whole


def recall(ranks: np.ndarray, k: int) -> float:
    """Return Recall@k with one target an event: the share of targets among the first k (also called hit rate).

    Args:
        ranks: float or int [n], 1 and more; infinite for a miss.
        k: cutoff, 1 and more.

    Returns:
        0 to 1; NaN when there are no ranks.
    """
    return float(np.mean(ranks <= whole(k, "k"))) if len(ranks) else float("nan")


def mrr(ranks: np.ndarray, k: int) -> float:
    """Return MRR@k, the mean reciprocal rank, 0 beyond the cutoff (arXiv 1511.06939, section 4); see `recall`."""
    return float(np.mean(np.where(ranks <= whole(k, "k"), 1.0 / ranks, 0.0))) if len(ranks) else float("nan")


def ndcg(ranks: np.ndarray, k: int) -> float:
    """Return NDCG@k with one target an event: 1 / log2(1 + rank), 0 beyond the cutoff; see `recall`.

    With one relevant item the ideal gain is 1 (Järvelin & Kekäläinen, ACM TOIS 2002).

    >>> ndcg(np.array([1, 3, 21]), 20)
    0.5
    """
    return float(np.mean(gains(ranks, k)["ndcg"])) if len(ranks) else float("nan")


def gains(ranks: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Return what each target adds to each score.

    Args:
        ranks: as for `recall`, of any shape.
        k: cutoff, 1 and more.

    Returns:
        By score (`recall`, `mrr`, `ndcg`) a float64 array of the shape of `ranks`, 0 to 1.
    """
    within = np.asarray(ranks) <= whole(k, "k")
    discount = {"recall": np.ones_like, "mrr": np.reciprocal, "ndcg": lambda rank: 1 / np.log2(1 + rank)}
    ranks = np.where(within, ranks, np.inf).astype(np.float64)
    return {name: np.where(within, of(ranks), 0.0) for name, of in discount.items()}


def scores(ranks: pd.DataFrame, k: int = 20) -> pd.DataFrame:
    """Return the scores of one run, a row for each protocol.

    Args:
        ranks: a ranks.parquet: columns protocol, rank, n_candidates.
        k: cutoff, 1 and more.

    Returns:
        Columns protocol, n_candidates, n_targets, recall_at_<k>, mrr_at_<k>; no row where there are no ranks.
    """
    k = whole(k, "k")
    rows = [
        {
            "protocol": protocol,
            "n_candidates": int(part["n_candidates"].iloc[0]),
            "n_targets": len(part),
            f"recall_at_{k}": recall(part["rank"].to_numpy(), k),
            f"mrr_at_{k}": mrr(part["rank"].to_numpy(), k),
        }
        for protocol, part in ranks.groupby("protocol", sort=False)
    ]
    return pd.DataFrame(rows, columns=["protocol", "n_candidates", "n_targets", f"recall_at_{k}", f"mrr_at_{k}"])


def cold(ranks: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of targets unseen in training that have features, and so are candidates of `open`.

    Args:
        ranks: a ranks.parquet: columns protocol, target, n_candidates; those of `known` are the training tracks.

    Raises:
        ValueError: there is no row of `known`.
    """
    if not (ranks["protocol"] == "known").any():
        raise ValueError("no target is of protocol `known`, so that the number of training tracks is unknown")
    n_items = ranks.loc[ranks["protocol"] == "known", "n_candidates"].max()
    return ranks[(ranks["protocol"] == "open") & (ranks["target"] >= n_items)]
