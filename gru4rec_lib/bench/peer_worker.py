"""The other libraries' side of `make bench PEERS=1`: a file that the Python of `.venv-peers` runs, without our library.

Each line of standard input is a list in JSON, the name of a method of `Tasks` and its arguments. The answer is a line:
what the method returns, seconds in most cases.
"""

import json
import sys
import time
from pathlib import Path

import cornac
import faiss
import numpy as np


class Tasks:
    """What can be measured.

    Args:
        folder: has what `peers.beside` wrote: `items.npy` and `sessions.npy` of the training log, `rows.npy` and
            `states.npy`, whose products are the scores.
    """

    def __init__(self, folder: Path):
        items, sessions = np.load(folder / "items.npy"), np.load(folder / "sessions.npy")
        events = list(zip(sessions.tolist(), items.tolist(), range(len(items)), strict=True))
        self._log = cornac.data.SequentialDataset.build(events, fmt="SIT", seed=1)
        rows, self._states = np.load(folder / "rows.npy"), np.load(folder / "states.npy")
        self._index = faiss.IndexFlatIP(rows.shape[1])
        self._index.add(rows)

    def train(self, epochs, options):
        """Return the seconds of some epochs of Cornac's GRU4Rec, without those of building the model.

        Args:
            epochs: 1 and more.
            options: of `cornac.models.GRU4Rec`.
        """
        _, built, trained = (self._fit(n, options) for n in (0, 0, epochs))  # the first of all loads torch
        return trained - built

    def one(self, k, states):
        """Return the seconds in which faiss finds the k best rows of each of the first states, one after the other.

        Args:
            k: 1 and more.
            states: how many.
        """
        began = time.perf_counter()
        for state in self._states[:states]:
            self._index.search(state[None], k)
        return time.perf_counter() - began

    def many(self, k):
        """Return the seconds in which faiss finds the k best rows of every state.

        Args:
            k: 1 and more.
        """
        began = time.perf_counter()
        self._index.search(self._states, k)
        return time.perf_counter() - began

    def best(self, k):
        """Return the k best rows of every state by faiss: a list for each.

        Args:
            k: 1 and more.
        """
        return self._index.search(self._states, k)[1].tolist()

    def _fit(self, epochs, options):
        model = cornac.models.GRU4Rec(n_epochs=epochs, seed=1, **options)
        began = time.perf_counter()
        model.fit(self._log)
        return time.perf_counter() - began


if __name__ == "__main__":
    tasks, answers = Tasks(Path(sys.argv[1])), sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    for line in sys.stdin:
        name, *given = json.loads(line)
        print(json.dumps(getattr(tasks, name)(*given)), file=answers, flush=True)
