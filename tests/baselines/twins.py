"""A naive version of every baseline, in plain loops, for the tests that run over the registry.

A twin gets the baseline, fitted, and what it was fitted on, as lists, and returns a function: from the items so far to
the scores of all tracks that the baseline can rank; None where it ranks by plays in training.
"""

from collections import Counter, defaultdict
from fractions import Fraction
from math import exp, log, log10, sqrt

import numpy as np
from hypothesis import strategies as st

ITEMS, CANDIDATES = 5, 7  # 5 and 6 are candidates that training never saw, -1 is no candidate
DAY = 86400
WEIGHTINGS = st.sampled_from(["same", "div", "linear", "quadratic", "log"])
SMALL = {"neighbours": st.integers(1, 4), "sample": st.integers(1, 6)}
DECAY = st.sampled_from([0.5, 1.02, 5.0])
TWINS, SETTINGS = {}, {}  # by the baseline's name in a study: the twin, and the settings to try


def twin(kind, **settings):
    def register(function):
        TWINS[kind], SETTINGS[kind] = function, st.fixed_dictionaries({}, optional=settings)
        return function

    return register


def known(items):
    return [item for item in items if 0 <= item < ITEMS]


def plays_of(train, n=ITEMS):
    plays = Counter(item for items in train for item in items)
    return [plays[item] for item in range(n)]


@twin("most_popular")
def most_popular(model, train, features, ends):
    return lambda heard: plays_of(train)


@twin("random", seed=st.integers(0, 3))
def in_random_order(model, train, features, ends):
    order = np.random.default_rng([model.seed, ITEMS]).permutation(ITEMS).tolist()
    return lambda heard: order


@twin("session_popular")
def session_popular(model, train, features, ends):
    plays = plays_of(train)
    return lambda heard: [(heard.count(item), plays[item]) for item in range(ITEMS)]


@twin("session_recent")
def session_recent(model, train, features, ends):
    def score(heard):
        back = known(heard)[::-1]
        return [1 / (1 + back.index(item)) if item in back else 0 for item in range(ITEMS)] if back else None

    return score


def by_distance(weighting, d):
    if weighting == "log":
        return round(1 / log10(d + 1.7), 12)
    linear = max(Fraction(10 - d, 10), 0)
    return {"same": 1, "div": Fraction(1, d), "linear": linear, "quadratic": Fraction(1, d * d)}[weighting]


@twin("markov", weighting=WEIGHTINGS)
@twin("sequential_rules", steps=st.sampled_from([1, 2, 10]), weighting=WEIGHTINGS)
def rules(model, train, features, ends):
    weight = defaultdict(Fraction)
    for items in train:
        for late in range(len(items)):
            for early in range(max(0, late - model.steps), late):
                weight[items[early], items[late]] += Fraction(by_distance(model.weighting, late - early))

    def score(heard):
        return [round(weight[known(heard)[-1], item], 9) for item in range(ITEMS)] if known(heard) else None

    return score


@twin("item_knn", neighbours=SMALL["neighbours"], alpha=st.sampled_from([1.0, 0.3]), shrink=st.sampled_from([0, 5]))
def item_knn(model, train, features, ends):
    plays = plays_of(train)

    def similar(one):
        values = {}
        for other in set(range(ITEMS)) - {one}:
            together = sum(items.count(one) for items in train if other in items)
            support = (plays[one] + model.shrink) ** model.alpha * (plays[other] + model.shrink) ** (1 - model.alpha)
            values[other] = round(together / support, 12) if together else 0
        best = sorted((-value, other) for other, value in values.items())[: model.neighbours]
        return {other: -value for value, other in best}

    def score(heard):
        return [similar(known(heard)[-1]).get(item, 0) for item in range(ITEMS)] if known(heard) else None

    return score


@twin("bpr_mf", seed=st.integers(0, 2))
def bpr_mf(model, train, features, ends):
    # Learning is tested elsewhere. No two of these scores differ only in their last bits.
    factors = np.sqrt([[2, 3], [5, 7], [11, 13], [17, 19], [23, 29]]) * [[1, -1], [-1, 1], [1, 1], [-1, -1], [1, -1]]
    model._factors, model._bias = np.float32(factors), np.float32([1, 0, 0, -2, 0])

    def score(heard):
        return (factors @ factors[known(heard)].mean(axis=0) + model._bias).tolist() if known(heard) else None

    return score


def last_place(items, item):
    return max(place for place, other in enumerate(items, 1) if other == item)


def session_knn(model, train, ends, similarity, match=lambda back: 1, near=lambda distance: 1, idf_weighting=0):
    """The neighbours of a session; similarity(shared: place of each in the session so far, length, a, b, age)."""
    by_time = sorted(range(len(train)), key=lambda n: (n if ends is None else ends[n], n), reverse=True)

    def of(heard, n):
        places = [last_place(heard, item) for item in sorted(set(heard) & set(train[n]))]
        age = 0 if ends is None else (max(ends) - ends[n]) / DAY
        return similarity(places, len(heard), len(set(heard)), len(set(train[n])), age)

    def score(heard):
        heard = known(heard)
        if not heard:
            return None
        near_ones = [n for n in by_time if set(heard) & set(train[n])][: model.sample]
        near_ones = sorted(((round(of(heard, n), 12), n) for n in near_ones), key=lambda pair: -pair[0])
        total = [0.0] * ITEMS
        for value, n in near_ones[: model.neighbours]:
            shared = set(heard) & set(train[n])
            value *= match(1 + len(heard) - max(last_place(heard, item) for item in shared))
            middle = max(last_place(train[n], item) for item in shared)
            for item in set(train[n]):
                holders = sum(item in items for items in train)
                weight = 1 + idf_weighting * log(len(train) / holders)
                total[item] += value * near(abs(last_place(train[n], item) - middle)) * weight
        return [round(log(value), 7) if value else -1e9 for value in total]

    return score


@twin("sknn", similarity=st.sampled_from(["jaccard", "binary"]), **SMALL)
def sknn(model, train, features, ends):
    def similarity(places, length, a, b, age):
        c = len(places)
        return {"cosine": c / sqrt(b), "jaccard": c / (a + b - c), "binary": 2 * c / (2 * c + a + b)}[model.similarity]

    return session_knn(model, train, ends, similarity)


@twin("v_sknn", weighting=WEIGHTINGS, weighting_score=WEIGHTINGS, idf_weighting=st.sampled_from([0.5, 5]), **SMALL)
def v_sknn(model, train, features, ends):
    def weight(place, length):
        weights = {
            "same": 1,
            "div": place / length,
            "linear": 1 - (length - place) / 10,
            "quadratic": (place / length) ** 2,
            "log": 1 / log10(length - place + 1.7),
        }
        return weights[model.weighting]

    def similarity(places, length, a, b, age):
        return sum(weight(place, length) for place in places)

    def match(back):
        return float(by_distance(model.weighting_score, back))

    return session_knn(model, train, ends, similarity, match, idf_weighting=model.idf_weighting)


def stan_similarity(model):
    def similarity(places, length, a, b, age):
        decay = sum(exp(-(length - place) / model.position_decay) for place in places)
        return decay * exp(-age / model.time_decay) / sqrt(b)

    return similarity


DECAYS = {"position_decay": DECAY, "time_decay": DECAY, "distance_decay": DECAY}


@twin("stan", **DECAYS, **SMALL)
def stan(model, train, features, ends):
    return session_knn(
        model, train, ends, stan_similarity(model), near=lambda distance: exp(-distance / model.distance_decay)
    )


@twin("vstan", **DECAYS, **SMALL, match_decay=DECAY, idf_weighting=st.sampled_from([0, 0.5]))
def vstan(model, train, features, ends):
    return session_knn(
        model,
        train,
        ends,
        stan_similarity(model),
        match=lambda back: exp(-(back - 1) / model.match_decay),
        near=lambda distance: exp(-distance / model.distance_decay),
        idf_weighting=model.idf_weighting,
    )


@twin("ct", depth=st.integers(1, 3))
def context_tree(model, train, features, ends):
    def mixture(heard, item):
        score = Fraction(0)
        for depth in range(min(model.depth, len(heard)) + 1):
            context = heard[len(heard) - depth :]
            follow = [
                items[place]
                for items in train
                for place in range(depth, len(items))
                if items[place - depth : place] == context
            ]
            if depth and not follow:
                break
            weight = Fraction(1, 2**depth)
            score = weight * Fraction(1 + follow.count(item), 2 + len(follow)) + (1 - weight) * score
        return score

    def score(heard):
        return [mixture(known(heard), item) for item in range(ITEMS)] if known(heard) else None

    return score


@twin("same_artist")
def same_artist(model, train, features, ends):
    plays, artist = plays_of(train, CANDIDATES), features.categories["artist"]

    def score(heard):
        heard = [item for item in heard if item >= 0 and artist[item, 0] > 0]
        if not heard:
            return None
        group = [int(artist[item, 0] == artist[heard[-1], 0]) for item in range(CANDIDATES)]
        return [(2 * group[item] - (item == heard[-1]), plays[item]) for item in range(CANDIDATES)]

    return score


@twin("content_knn")
def content_knn(model, train, features, ends):
    values = [
        [(name, code) for name, codes in features.categories.items() for code in codes[item].tolist() if code > 0]
        for item in range(CANDIDATES)
    ]
    names = sorted({value for own in values for value in own})
    seen_in = {name: sum(name in values[item] for item in range(ITEMS)) for name in names}
    weight = {name: log((1 + ITEMS) / (1 + seen_in[name])) + 1 for name in names}

    def unit(vector):
        length = sqrt(sum(x * x for x in vector))
        return [x / length for x in vector] if length else vector

    rows = []
    for item in range(CANDIDATES):
        bag = unit([values[item].count(name) * weight[name] for name in names])
        rows.append(unit(unit(features.numeric[item].tolist()) + bag))

    def score(heard):
        heard = [rows[item] for item in heard if item >= 0 and any(rows[item])]
        if not heard:
            return None
        profile = unit([sum(column) for column in zip(*heard, strict=True)])
        # Rounded: the library takes cosines within 1e-6 as equal.
        return [round(sum(x * y for x, y in zip(profile, row, strict=True)), 5) for row in rows]

    return score
