"""The course paper of 2019 as data: its tables, and the findings about its text and code.

Sources: "Session based recommendation system on Spotify's music streaming sessions dataset" (course paper, Pontificia
Universidad Católica de Chile, 2019), its progress report, and the public code behind both
(github.com/yoavnavon/GRU4REC-spotify). `defects.loader` (D3, D4, D9, D10), `defects.losses` (D5, D6, D12) and
`defects.metric` (D1, D2, D8) reproduce the defects; only the audit uses them.
"""

from __future__ import annotations

import pandas as pd

from gru4rec_lib.config.audit import LOSSES

K = 20  # cutoff of both scores

# Table 2 of the paper: Recall@20 and MRR@20 on Dataset03, under each of LOSSES.
_TABLE_2 = {
    "most_popular": ((0.0696, 0.0095), (0.0696, 0.0095), (0.0696, 0.0095)),
    "one_hot": ((0.24, 0.024), (0.1278, 0.0170), (0.2132, 0.0205)),
    "embedding": ((0.2273, 0.023), (0.1017, 0.0130), (0.1293, 0.0126)),
    "content": ((0.1533, 0.0177), (0.0707, 0.0095), (0.1045, 0.0110)),
    "content_mlp": ((0.1640, 0.0191), (0.0532, 0.0082), (0.1101, 0.0119)),
}
TABLE_2 = pd.DataFrame(
    [(model, loss, *pair) for model, row in _TABLE_2.items() for loss, pair in zip(LOSSES, row, strict=True)],
    columns=["input_form", "loss", "recall", "mrr"],
)

# The progress report's scores on the Mini set.
MINI = pd.DataFrame(
    [
        ("one_hot", "cross_entropy", 0.226, 0.056),
        ("embedding (50)", "cross_entropy", 0.201, 0.051),
        ("embedding (100)", "cross_entropy", 0.209, 0.054),
        ("content", "cross_entropy", 0.170, 0.041),
        ("one_hot", "bpr", 0.11, 0.024),
        ("most_popular", "", 0.10, 0.025),
    ],
    columns=["input_form", "loss", "recall", "mrr"],
)

FINDINGS = {
    "D1": "MRR counts from the bottom: rank 1 adds 1/20, rank 20 adds 1",
    "D2": "scores and ids of the first 20 come from two calls, which may order them differently",
    "D3": "the loader runs one step past the shortest session: targets from the next session, repeated pairs",
    "D4": "states are zeroed again until another session ends; in testing never, and test states enter training",
    "D5": "BPR-max normalises along the wrong axis and takes the logarithm before the sum",
    "D6": "BPR has the target itself, and equal targets of other lanes, among the negatives",
    "D7": "all tracks are scored in every step, also where the loss uses those of the batch alone",
    "D8": "the best of many evaluations on the test set is reported",
    "D9": "the test log is older than the training log",
    "D10": "the test ends after 500 mini-batches, in the order of the file",
    "D11": "test events on tracks unseen in training are removed, although features are meant for these",
    "D12": "as last shipped, cross-entropy takes linear scores for probabilities (earlier versions have a softmax)",
    "D13": "the share of rare tracks in the text differs from the progress report's own figure",
}


def findings() -> pd.DataFrame:
    """Return FINDINGS as a table."""
    return pd.Series(FINDINGS, name="what the code or the text does").to_frame()
