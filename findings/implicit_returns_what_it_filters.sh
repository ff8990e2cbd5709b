#!/bin/sh
# implicit's `recommend(..., filter_already_liked_items=True)` ends with the items that it was to leave out.
#
# Expected: a list without the user's own items, shorter than N where there are not enough others (or padded by -1).
# Seen with implicit 0.7.3: where fewer than N other items have a score, the user's items fill the list, in neighbour
# models with score 0.0, in matrix factorisation with -3.4e38. Whoever keeps the ids and drops the scores recommends, and
# evaluates, items that were filtered.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check implicit==0.7.3 numpy==2.3.4 scipy==1.16.2
env/bin/python - <<'PROGRAM'
import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import CosineRecommender
from scipy import sparse

plays = sparse.csr_matrix(np.random.default_rng(0).random((50, 8)) < 0.4, dtype=float)
own = set(plays[0].indices.tolist())
for model in (CosineRecommender(K=3), BayesianPersonalizedRanking(factors=4, num_threads=1, random_state=1)):
    model.fit(plays, show_progress=False)
    items, scores = model.recommend(0, plays[0], N=8, filter_already_liked_items=True)
    back = [i for i, item in enumerate(items) if item in own]
    print(f"{type(model).__name__}: own items {sorted(own)}; list {items.tolist()}; their scores {scores[back].tolist()}")
    assert back and all(score == 0 or score < -1e38 for score in scores[back]), "changed"
PROGRAM
echo "as stated"
