#!/bin/sh
# implicit's item-item models with K=3 keep two neighbours of each item: the item itself is the third.
#
# Expected: K nearest neighbours without the item, as in the papers on item-kNN and in session-rec, so that K can be
# compared between libraries (K=1 would recommend something).
# Seen with implicit 0.7.3: each row of `similarity` has K entries, one of them the item itself; with K=1 the matrix is the
# diagonal, and a user's list holds nothing but what the user played. A study that gives two libraries the same K gives
# this one a neighbour less.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check implicit==0.7.3 numpy==2.3.4 scipy==1.16.2
env/bin/python - <<'PROGRAM'
import numpy as np
from implicit.nearest_neighbours import CosineRecommender
from scipy import sparse

plays = sparse.csr_matrix(np.random.default_rng(0).random((50, 8)) < 0.4, dtype=float)  # every pair of items is shared
assert ((plays.T @ plays).toarray() > 0).all()
for k in (1, 3):
    model = CosineRecommender(K=k)
    model.fit(plays, show_progress=False)
    entries, diagonal = np.diff(model.similarity.indptr), model.similarity.diagonal()
    print(f"K={k}: entries of each item {set(entries.tolist())}, of them itself {int((diagonal > 0).sum() / 8)}")
    assert (entries == k).all() and np.allclose(diagonal, 1), "changed"
PROGRAM
echo "as stated"
