#!/bin/sh
# Settings given to Optuna's `enqueue_trial` may lie outside the space that is searched, or have no name in it.
#
# Expected: an error for both, as a category outside the space raises one.
# Seen with optuna 5.0.0: a number outside the range is used as it is and can become `best_params` (a UserWarning is all);
# a name that the objective never suggests is ignored without a word, so that a misspelt first trial is a random one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check optuna==5.0.0
env/bin/python - <<'PROGRAM'
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)


def first_trial(**given):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.enqueue_trial(given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study.optimize(lambda trial: trial.suggest_int("neighbours", 100, 500, step=100), n_trials=1)
    print(given, "->", study.best_params, [str(warning.message) for warning in caught])
    return study.best_params["neighbours"], len(caught)


assert first_trial(neighbours=150) == (150, 1), "changed"
assert first_trial(neighbours=700) == (700, 1), "changed"
value, warned = first_trial(neighbors=200)
assert value != 200 and warned == 0, "changed"
PROGRAM
echo "as stated"
