#!/bin/sh
# The first of equal scores in a faiss IndexFlatIP depends on how many results are asked for.
#
# Expected: one order of equal scores, so that the list of k results is the beginning of the list of more, and the same
# order for inner products and for distances.
# Seen with faiss-cpu 1.15.1: among rows of equal inner product, k results are the k rows that were added first, listed
# from the last added to the first. So the first result of k=1 is row 0, of k=2 row 1, of k=5 row 4, alone and in a batch
# of queries. IndexFlatL2 lists the same rows from the first added to the last. A recommender whose items share a vector
# (tracks with the same features, items without any) has another first item, and another MRR of that item, for each
# length of the list.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.3.4 packaging==25.0
env/bin/python - <<'PROGRAM'
import faiss
import numpy as np

same = np.tile(np.float32([1, 2, 3, 4]), (10, 1))  # ten items with one vector
for kind, expected in ((faiss.IndexFlatIP, reversed), (faiss.IndexFlatL2, iter)):
    index = kind(4)
    index.add(same)
    for k in (1, 2, 5):
        for queries in (1, 40):
            lists = index.search(np.ones((queries, 4), np.float32), k)[1]
            assert (lists == [*expected(range(k))]).all(), "changed"
        print(f"{kind.__name__}, k={k}: {lists[0].tolist()}")
PROGRAM
echo "as stated"
