"""Models without training by gradients, ranked by the same rule as GRU4Rec.

Each has `fit(train, n_items)`, which takes the training sessions and returns the model, and two methods with the
arguments and results of GRU4Rec's: `rank(sessions, n_candidates, chosen, above)`, which returns float64 [chosen
targets], and `top(sessions, n_candidates, chosen, k)`, which returns the best tracks, int32 [chosen targets, k]. And,
as GRU4Rec, `beyond_training`: whether it can hear or score tracks that training never saw.
"""

from __future__ import annotations

from gru4rec_lib.baselines.bpr_mf import BPRMF
from gru4rec_lib.baselines.content import ContentKNN, SameArtist
from gru4rec_lib.baselines.item_rules import ItemKNN, SequentialRules
from gru4rec_lib.baselines.popularity import MostPopular, Random, SessionPopular
from gru4rec_lib.baselines.session_knn import SKNN, STAN, VSKNN

# What a baseline needs beside the sessions it takes from the arrays; the rest comes with `fit`.
BASELINES = {
    "random": lambda prepared: Random(),
    "most_popular": lambda prepared: MostPopular(),
    "session_popular": lambda prepared: SessionPopular(),
    "item_knn": lambda prepared: ItemKNN(),
    "bpr_mf": lambda prepared: BPRMF(),
    "markov": lambda prepared: SequentialRules(steps=1),
    "sequential_rules": lambda prepared: SequentialRules(),
    "sknn": lambda prepared: SKNN(prepared.ends),
    "v_sknn": lambda prepared: VSKNN(prepared.ends),
    "stan": lambda prepared: STAN(prepared.ends),
    "same_artist": lambda prepared: SameArtist(prepared.features),
    "content_knn": lambda prepared: ContentKNN(prepared.features),
}
