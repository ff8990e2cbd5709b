#!/bin/sh
# A search of Optuna that is resumed with the same seeded sampler tries the same settings a second time.
#
# Expected: a study kept in a file and a sampler with a fixed seed give, in two parts, the trials of one whole run, or at
# least new ones: the finished trials are known to the sampler.
# Seen with optuna 5.0.0: three trials, a stop, and three more with TPESampler(seed=1) are the first three twice. The
# sampler begins its random stream anew, and until `n_startup_trials` are there it does not look at what was tried. A
# search that is stopped every few trials spends its budget on copies, without a warning.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check optuna==5.0.0
env/bin/python - <<'PROGRAM'
import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)


def learning_rate(trial):
    return trial.suggest_float("learning_rate", 0.01, 1, log=True)


def resumed(trials):
    sampler = optuna.samplers.TPESampler(seed=1)
    study = optuna.create_study(
        sampler=sampler, storage="sqlite:///search.db", study_name="search", load_if_exists=True
    )
    study.optimize(learning_rate, n_trials=trials)
    return [round(trial.value, 4) for trial in study.trials]


whole = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))
whole.optimize(learning_rate, n_trials=6)
whole = [round(trial.value, 4) for trial in whole.trials]
resumed(3)
parts = resumed(3)
print("whole:   ", whole)
print("in parts:", parts)
assert len(set(whole)) == 6 and parts == whole[:3] * 2, "changed"
PROGRAM
echo "as stated"
