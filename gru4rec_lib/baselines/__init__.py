"""Models without gradient training by this library, in one registry.

>>> from gru4rec_lib import Sessions, baselines
>>> model = baselines.SequentialRules(steps=2).fit(Sessions.from_lists([[0, 1, 2], [0, 2]]), n_items=3)
>>> model.top(Sessions.from_lists([[0, 1]]), n_candidates=3, k=2).tolist()
[[2, 1]]
"""

from gru4rec_lib.baselines.base import Baseline
from gru4rec_lib.baselines.bpr_mf import BPRMF
from gru4rec_lib.baselines.content import ContentKNN, SameArtist
from gru4rec_lib.baselines.context_tree import ContextTree
from gru4rec_lib.baselines.item_rules import ItemKNN, Markov, SequentialRules
from gru4rec_lib.baselines.popularity import MostPopular, Random, SessionPopular, SessionRecent
from gru4rec_lib.baselines.session_knn import SKNN, STAN, VSKNN, VSTAN

# By the names that studies use. An entry here is all that makes a class a baseline of the project.
BASELINES: dict[str, type[Baseline]] = {
    baseline.kind: baseline
    for baseline in (
        Random,
        MostPopular,
        SessionPopular,
        SessionRecent,
        ItemKNN,
        BPRMF,
        Markov,
        SequentialRules,
        SKNN,
        VSKNN,
        STAN,
        VSTAN,
        ContextTree,
        SameArtist,
        ContentKNN,
    )
}
__all__ = ["BASELINES", "Baseline", *(baseline.__name__ for baseline in BASELINES.values())]
