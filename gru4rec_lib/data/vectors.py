"""A track's features as one vector, for cosines between tracks."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from gru4rec_lib.data.features import Features


def unit_vectors(features: Features, n_items: int) -> tuple[np.ndarray, sparse.csr_array]:
    """Return features as vectors of length 1: numbers, scaled to length 1, beside categories weighted by tf-idf.

    Args:
        features: of the candidates.
        n_items: training tracks, in which the weights of the categories are counted.

    Returns:
        The two parts of the vectors, float32 [candidates, F] and float32 [candidates, values of all categories]; a
        track without features has length 0.
    """
    # Imported here, as it takes seconds: every command reads the names of the baselines, of which one needs vectors.
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize

    values = category_counts(features)
    if values.shape[1]:
        values = sparse.csr_array(TfidfTransformer().fit(values[:n_items]).transform(values))
    numbers = normalize(features.numeric) if features.numeric.shape[1] else features.numeric
    length = np.sqrt((numbers**2).sum(axis=1) + values.multiply(values).sum(axis=1))
    scale = (1 / np.where(length > 0, length, 1)).astype(np.float32)
    return numbers * scale[:, None], sparse.csr_array(sparse.diags_array(scale) @ values, dtype=np.float32)


def category_counts(features: Features) -> sparse.csr_array:
    """Count the known values of each categorical feature of each candidate.

    Args:
        features: of the candidates.

    Returns:
        float32 [candidates, values of all features], one feature after the other; a value unseen in training (0) and
        no value (-1) are not counted.
    """
    counts = [sparse.csr_array((len(features.numeric), 0), dtype=np.float32)]
    for name, codes in features.categories.items():
        row, column = np.nonzero(codes > 0)
        shape = (len(codes), features.sizes[name])
        counts.append(sparse.csr_array((np.ones(len(row), np.float32), (row, codes[row, column])), shape=shape))
    return sparse.hstack(counts, format="csr")
