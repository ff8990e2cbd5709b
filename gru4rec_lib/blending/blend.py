"""A model of its own: the weighted sum of the normalised scores of a network and of baselines.

Networks often have the better MRR, neighbours and rules the better recall; their sum can lead in both (Jannach &
Ludewig, "When recurrent neural networks meet the neighborhood for session-based recommendation", RecSys 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np

from gru4rec_lib.baselines import Baseline
from gru4rec_lib.blending.parts import Parts, Scores
from gru4rec_lib.blending.session_weights import SessionWeights, features_of
from gru4rec_lib.data.sessions import Sessions
from gru4rec_lib.ranking.exact import best
from gru4rec_lib.ranking.popularity import NO_RANK, popularity_ranks, popularity_top
from gru4rec_lib.training.gru4rec import GRU4Rec
from gru4rec_lib.utils.arguments import whole


class Blend:
    """Ranks by score(j) = sum of w_i n_i(j), n_i(j) = score_i(j) / max score_i; a network's score is its softmax.

    With session weights the fourth root of n_i(j) takes its place: it tells small scores apart.

    Ranks and lists follow the rules of the other models: among equal scores a rank counts against the model, and a list
    has the lower number first; before the first input that a part with a weight can use, tracks are ranked by plays.

    Args:
        network: trained; its part is called `gru4rec`.
        baselines: fitted on the same training tracks; each with another name.
        weights: for each part its weight, 0 or more; together 1. A part that is left out has 0. Or weights that differ
            from session to session.

    Raises:
        ValueError: a name is unknown or twice, a weight is wrong, or a part was fitted on other tracks.
    """

    def __init__(self, network: GRU4Rec, baselines: Sequence[Baseline], weights: dict[str, float] | SessionWeights):
        self.parts = Parts(network, baselines)
        if isinstance(weights, SessionWeights):
            if list(weights.parts) != self.parts.names:
                has, wants = ", ".join(self.parts.names), ", ".join(weights.parts)
                raise ValueError(f"weights are of {wants}, the parts are {has}; learn them for these parts")
            self.weights, self._used = weights, np.ones(len(weights.parts), bool)
        else:
            self.weights = checked_weights(weights, self.parts.names)
            self._used = np.array([*self.weights.values()]) > 0
        self.n_items, uses_network = self.parts.n_items, bool(self._used[0])
        self.n_scored = self.parts.n_scored if uses_network else self.n_items
        self.n_inputs = network.item_input.n_inputs if uses_network else self.n_items
        self.beyond_training = uses_network and network.beyond_training

    def rank(
        self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, above: bool = False
    ) -> np.ndarray:
        """Rank the targets; see `GRU4Rec.rank`."""
        n_candidates = whole(n_candidates, "n_candidates")
        chosen, plays = sessions.targets(chosen), self.parts.plays[: self.n_scored]
        events = chosen & sessions.known(self.n_scored)
        found = np.full(len(chosen), NO_RANK)
        found[events] = popularity_ranks(plays, above, n_candidates)[sessions.items[events]]
        for scores in self.parts.score(sessions, events):
            weights, root = self._weights(scores, sessions)
            own, ahead = scores.blended_own(weights, root)[:, None], np.ones(len(scores.event), np.int64)
            for first, block in scores.blended(weights, min(n_candidates, self.n_scored), root):
                is_ahead = block > own if above else block >= own
                row = np.flatnonzero((scores.target >= first) & (scores.target < first + block.shape[1]))
                is_ahead[row, scores.target[row] - first] = False
                ahead += is_ahead.sum(axis=1)
            usable = self._usable(scores)
            found[scores.event[usable]] = ahead[usable]
        return found[chosen]

    def top(self, sessions: Sessions, n_candidates: int, chosen: np.ndarray | None = None, k: int = 20) -> np.ndarray:
        """Return the k best candidates at every chosen target; see `GRU4Rec.top`."""
        n_candidates, k = whole(n_candidates, "n_candidates"), whole(k, "k")
        chosen = sessions.targets(chosen)
        most_played = popularity_top(self.parts.plays[: self.n_scored], k, n_candidates)
        found, row = np.tile(most_played, (chosen.sum(), 1)), np.cumsum(chosen) - 1
        for scores in self.parts.score(sessions, chosen):
            usable = self._usable(scores)
            weights, root = self._weights(scores, sessions)
            items = best(scores.blended(weights, min(n_candidates, self.n_scored), root), k)
            found[row[scores.event[usable]]] = items[usable]
        return found

    def _usable(self, scores: Scores) -> np.ndarray:
        """Bool [n], whether a part with a weight has an input before the target."""
        return scores.has_input[self._used].any(axis=0)

    def _weights(self, scores: Scores, sessions: Sessions) -> tuple[np.ndarray, bool]:
        """Float64 [parts] or [n, parts], the weights at the targets, and whether they are of fourth roots."""
        if isinstance(self.weights, SessionWeights):
            return self.weights.at(features_of(scores, sessions, self.parts.n_items)), True
        return np.array([*self.weights.values()]), False


def checked_weights(weights: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    """Return the weight of every part in the order of `names`, 0 for one that is left out.

    Args:
        weights: by name.
        names: of the parts.

    Raises:
        ValueError: a name is unknown, or a weight is wrong.
    """
    unknown = next((name for name in weights if name not in names), None)
    if unknown is not None:
        raise ValueError(f"weights has {unknown!r}, which is no part; the parts are {', '.join(names)}")
    found = {name: weights.get(name, 0) for name in names}
    are_weights = all(isinstance(weight, Real) and weight >= 0 for weight in found.values())
    if not are_weights or abs(sum(found.values()) - 1) > 1e-9:
        raise ValueError(f"weights are {found}; give numbers from 0 on whose sum is 1")
    return {name: float(weight) for name, weight in found.items()}
