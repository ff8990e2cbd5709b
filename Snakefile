"""A study as a graph: raw files -> prepared arrays -> ranks of every run -> tables and figures -> published copies.

`make reproduce` runs it. Every notebook is executed by papermill into runs/<study>/. Its inputs
include the library files that it imports, its parameters the settings: a change reruns what depends on it.
"""

import functools
import os
import shlex
import sys
from pathlib import Path

from gru4rec_lib.study import fingerprints
from gru4rec_lib.study.notebook_copies import cells_alone
from gru4rec_lib.study.workflow.cluster import record_finished_steps
from gru4rec_lib.study.workflow.dependencies import fingerprint, library_files
from gru4rec_lib.study.workspace import Workspace

for name, value in config.items():
    if not isinstance(value, str):
        raise ValueError(
            f"{name}: {value!r} is no text, for --config reads YAML; "
            "use `gru4rec reproduce`, or a JSON file with --configfile"
        )
# Snakemake writes this path into the scripts of a cluster's jobs without quotation marks.
if workflow.executor_plugin and not workflow.local_exec:
    if shlex.quote(sys.executable) != sys.executable:
        raise ValueError(
            f"{sys.executable}: jobs of a cluster need a path without spaces, braces and quotation marks; "
            "move the project or its .venv"
        )
place = Workspace(config["study"], config.get("data", ""))
place.refuse_if_taken()  # Snakemake deletes a step's old outputs before the step runs
study = place.study
runs = {run.name: run for run in study.runs}


def here(path):
    """Return paths inside the project relative to its root."""
    return (
        os.path.relpath(path, place.root)
        if Path(path).is_relative_to(place.root)
        else str(path)
    )


AT = "".join(study.name.partition("@")[1:])
OTHERS = {
    f"{config['study']}@{value:g}": at
    for value, at in place.variants().items()
    if at is not place
}
RUNS, PREPARED = here(place.runs), here(place.prepared)
# A step identifies a user's raw files by hashes of their contents in its params (`study/fingerprints.py`): modification
# times do not show that a file was replaced, and names may contain what Snakemake reads as wildcards.
SIMULATES = place.simulates
RAW = [here(path) for path in place.raw_files()] if SIMULATES else []
SHA256 = {} if SIMULATES else fingerprints.hashes(place)


def verbatim(text):
    """Quote a text for a shell command that Snakemake formats."""
    return shlex.quote(text).replace("{", "{{").replace("}", "}}")


# Texts need -r: with -p, papermill reads a study named 2024 as a number. Snakemake formats the data folder when a step
# runs, so it is not part of a rule's code: the same files in another folder do not trigger a rerun.
GIVEN = f" -r study {verbatim(config['study'])}"
PUBLISHED = f" --study={verbatim(config['study'])}"
if config.get("data"):
    GIVEN += " -r data {config[data]:q}"
    PUBLISHED += " --data={config[data]:q}"
# A job ends with Snakemake, even if that is killed (study/workflow/tied.py). One thread: two runs share two cores.
PYTHON = "{sys.executable:q}"
LIBRARY = f"exec {PYTHON} -m gru4rec_lib.study.workflow.tied {PYTHON} -m gru4rec_lib"
NOTEBOOK = (
    "exec env GRU4REC_STUDY=1 TF_NUM_INTRAOP_THREADS={threads} TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS={threads}"
    f" {PYTHON} -m gru4rec_lib.study.workflow.tied {PYTHON} -m gru4rec_lib.study.workflow.papermill"
    " --no-progress-bar --log-output"
)
TO_LOG = "> {log} 2>&1"


def fixed(value):
    """Return a parameter that Snakemake does not format: it fills in braces unless a function returns the value."""
    return lambda wildcards: value


def papermill_words(parameters):
    """Write the parameters of a run as arguments of papermill."""
    return " ".join(
        f"{'-r' if isinstance(value, str) else '-p'} {name} {shlex.quote(str(value))}"
        for name, value in parameters.items()
    )


# Resources that a step requests from a cluster, in MB and minutes: enough for Dataset03 (docs/cluster.md), and for all
# of MSSD in a study that is prepared log by log. There a training needs 14 GB for the tracks (reports/bench), 40 bytes for
# each event of an epoch (training/memory.py), and 13 hours per epoch. A run on one machine ignores them.
MANY = 4 if place.raw_data.shards else 1


def room(mb):
    """Request more memory when a step is tried again."""
    return lambda wildcards, attempt: mb * attempt


# Within a job of a cluster: its node does not have the process that this variable names.
if workflow.remote_exec:
    os.environ.pop("GRU4REC_PARENT", None)
    record_finished_steps()


@functools.cache  # a rule's input and its params
def notebook(name):
    """Return a copy of a notebook without outputs and metadata, and the library files that it imports."""
    copy = cells_alone(Path(f"notebooks/{name}.ipynb"), Path(RUNS, "notebooks"))
    return [str(copy), *map(here, library_files(copy))]


def content(files):
    """Hash source files for a step's params: unlike times, hashes detect an older file in place of a newer one."""
    return fingerprint(map(Path, files))


def drawn(*names):
    return [
        f"{RUNS}/figures/{name}.{kind}"
        for name in names
        for kind in ("svg", "pdf", "png", "csv")
    ]


EXPLORED = ["plays_per_track", "long_tail", "session_lengths"]
if study.data.layout == "mssd":
    EXPLORED += ["skips_by_position"]
TWIN = ["twin_plays", "twin_lengths", "twin_skips", "twin_features", "calibration"]
EVIDENCE = [
    "differences",
    "quality_by_position",
    "quality_by_popularity",
    *(["coverage"] if study.evaluation.lists else []),
    "validation_and_test",
    "time_to_quality",
    "input_by_loss",
]
TABLES = [
    "table_2",
    "table_2_over_seeds",
    "best_model",
    "content_less_identity",
    "differences",
    "conclusions",
    "fewer_candidates",
    "cold_tracks",
    "strata",
    "coverage",
    "validation_and_test",
    "time_to_quality",
]
ranked_baselines = expand(
    f"{RUNS}/baselines/{{name}}/{{file}}",
    name=[baseline.name for baseline in study.baselines],
    file=["ranks.parquet", "lists.parquet", "validation.csv"],
)

ranked_blends = [
    f"{RUNS}/blends/{blend.name}-seed{seed}/{file}"
    for blend in study.blends
    for seed in study.blend_seeds
    for file in (
        "ranks.parquet",
        "lists.parquet",
        "validation.csv",
        "blend.json",
        "weights.csv",
    )
]


rule all:
    input:
        f"{RUNS}/published.json",
    message:
        "the study is complete"


if SIMULATES:
    SIMULATION = [
        "gru4rec_lib/twin/simulate.py",
        *map(here, library_files(Path("gru4rec_lib/twin/simulate.py"))),
    ]

    rule simulate:
        input:
            SIMULATION,
        output:
            RAW,
        log:
            f"{RUNS}/logs/simulate.log",
        resources:
            mem_mb=room(8000),
            runtime=240,
        params:
            code=content(SIMULATION),
            sessions=study.data.simulate.sessions,
            seed=study.data.simulate.seed,
            dates=list(study.data.simulate.log_dates),
            signal=study.data.simulate.content_signal,
        message:
            f"simulate{AT}: raw files in MSSD layout"
        shell:
            LIBRARY
            + " simulate --sessions {params.sessions} --seed {params.seed} --dates {params.dates}"
            + f" --content-signal {{params.signal}} --out {verbatim(here(place.raw))} {TO_LOG}"

    rule the_twin:
        input:
            notebook("00_the_twin"),
            RAW,
        output:
            f"{RUNS}/00_the_twin.ipynb",
            f"{RUNS}/tables/calibration.csv",
            drawn(*TWIN),
        log:
            f"{RUNS}/logs/00_the_twin.log",
        resources:
            mem_mb=room(12000),
            runtime=60,
        params:
            code=content(notebook("00_the_twin")),
            data=fixed(study.data.model_dump_json()),
        message:
            f"00_the_twin{AT}: simulated data compared with real data"
        shell:
            NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {TO_LOG}"


rule explore:
    input:
        notebook("01_explore_sessions"),
        RAW,
    output:
        f"{RUNS}/01_explore_sessions.ipynb",
        f"{RUNS}/tables/table_1.csv",
        f"{RUNS}/tables/problems.csv",
        drawn(*EXPLORED),
    log:
        f"{RUNS}/logs/01_explore_sessions.log",
    resources:
        mem_mb=room(12000),
        runtime=60,
    params:
        code=content(notebook("01_explore_sessions")),
        data=fixed(study.data.model_dump_json()),
        raw=fingerprints.digest(SHA256),
    message:
        f"01_explore_sessions{AT}: Table 1 and descriptive figures"
    shell:
        NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {TO_LOG}"


if place.raw_data.shards:
    # Imported here: it needs the readers, which no other study needs.
    from gru4rec_lib.preparation import sharded

    LOGS = {
        name: str(path.relative_to(place.raw))
        for name, path in sharded.logs(place.raw_data).items()
    }
    BY_LOG = f"{PREPARED}/shards"
    SHARD = f"{LIBRARY} shard{PUBLISHED} --step"
    SHARD_CODE = [
        "gru4rec_lib/preparation/sharded.py",
        *map(here, library_files(Path("gru4rec_lib/preparation/sharded.py"))),
    ]

    rule shard_read:
        input:
            SHARD_CODE,
        output:
            directory(f"{BY_LOG}/{{log}}/read"),
        log:
            f"{RUNS}/logs/shard_read-{{log}}.log",
        resources:
            mem_mb=room(8000),
            runtime=60,
        params:
            data=fixed(study.data.model_dump_json()),
            code=content(SHARD_CODE),
            raw=lambda wildcards: SHA256[LOGS[wildcards.log]],
        message:
            "read {wildcards.log}"
        shell:
            SHARD + f" read --log {{wildcards.log}} {TO_LOG}"

    rule shard_index:
        input:
            SHARD_CODE,
            expand(f"{BY_LOG}/{{log}}/read", log=LOGS),
        output:
            directory(f"{BY_LOG}/all/index"),
        log:
            f"{RUNS}/logs/shard_index.log",
        resources:
            mem_mb=room(24000),
            runtime=240,
        params:
            split=fixed(study.split.model_dump_json()),
            code=content(SHARD_CODE),
            raw=fingerprints.digest(
                {n: SHA256[n] for n in SHA256 if n not in LOGS.values()}
            ),
        message:
            f"index the tracks of {len(LOGS)} logs"
        shell:
            SHARD + f" index {TO_LOG}"

    rule shard_encode:
        input:
            SHARD_CODE,
            f"{BY_LOG}/{{log}}/read",
            f"{BY_LOG}/all/index",
        output:
            directory(f"{BY_LOG}/{{log}}/encode"),
        log:
            f"{RUNS}/logs/shard_encode-{{log}}.log",
        resources:
            mem_mb=room(8000),
            runtime=60,
        params:
            code=content(SHARD_CODE),
        message:
            "encode {wildcards.log}"
        shell:
            SHARD + f" encode --log {{wildcards.log}} {TO_LOG}"


rule preprocess:
    input:
        notebook("02_preprocess"),
        (
            expand(f"{BY_LOG}/{{log}}/{{step}}", log=LOGS, step=["read", "encode"])
            if place.raw_data.shards
            else RAW
        ),
    output:
        f"{RUNS}/02_preprocess.ipynb",
        f"{PREPARED}/prepared.json",
        f"{RUNS}/tables/counts.csv",
    log:
        f"{RUNS}/logs/02_preprocess.log",
    resources:
        mem_mb=room(16000 * MANY),
        runtime=120 * MANY,
    params:
        code=content(notebook("02_preprocess")),
        data=fixed(study.data.model_dump_json()),
        split=fixed(study.split.model_dump_json()),
        raw=fingerprints.digest(SHA256),
    message:
        f"02_preprocess{AT}: split, index and features"
    shell:
        NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {TO_LOG}"


rule train:
    input:
        notebook("03_train_gru4rec"),
        f"{PREPARED}/prepared.json",
    output:
        f"{RUNS}/gru4rec/{{run}}/03_train_gru4rec.ipynb",
        f"{RUNS}/gru4rec/{{run}}/ranks.parquet",
        f"{RUNS}/gru4rec/{{run}}/lists.parquet",
        f"{RUNS}/gru4rec/{{run}}/history.csv",
        f"{RUNS}/gru4rec/{{run}}/config.json",
        f"{RUNS}/gru4rec/{{run}}/model/model.keras",
    log:
        f"{RUNS}/logs/03_train_gru4rec-{{run}}.log",
    resources:
        mem_mb=room(128000 if place.raw_data.shards else 6000),
        runtime=720 * MANY,
    params:
        code=content(notebook("03_train_gru4rec")),
        run=lambda wildcards: papermill_words(runs[wildcards.run].parameters),
        settings=lambda wildcards: runs[wildcards.run].model_dump_json(),
        evaluation=fixed(study.evaluation.model_dump_json(exclude={"cutoffs"})),
    message:
        f"03_train_gru4rec{AT}: {{wildcards.run}}"
    shell:
        NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {{params.run}} {TO_LOG}"


rule baselines:
    input:
        notebook("04_baselines"),
        f"{PREPARED}/prepared.json",
    output:
        f"{RUNS}/04_baselines.ipynb",
        ranked_baselines,
    log:
        f"{RUNS}/logs/04_baselines.log",
    resources:
        mem_mb=room(16000 * MANY),
        runtime=240 * MANY,
    params:
        code=content(notebook("04_baselines")),
        baselines=study.model_dump(mode="json")["baselines"],
        refit=all(run.training.refit for run in study.runs),
        evaluation=fixed(study.evaluation.model_dump_json(exclude={"cutoffs"})),
    message:
        f"04_baselines{AT}: " + ", ".join(baseline.name for baseline in study.baselines)
    shell:
        NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {TO_LOG}"


if study.blends:

    rule blends:
        input:
            notebook("04_blends"),
            f"{PREPARED}/prepared.json",
            expand(
                f"{RUNS}/gru4rec/{{run}}/{{file}}",
                run=runs,
                file=["history.csv", "config.json", "model/model.keras"],
            ),
        output:
            f"{RUNS}/04_blends.ipynb",
            f"{RUNS}/tables/blend_weights.csv",
            ranked_blends,
            drawn("blend_weights"),
        log:
            f"{RUNS}/logs/04_blends.log",
        resources:
            mem_mb=room(16000 * MANY),
            runtime=240 * MANY,
        params:
            code=content(notebook("04_blends")),
            blends=study.model_dump(mode="json")["blends"],
            baselines=study.model_dump(mode="json")["baselines"],
            evaluation=fixed(study.evaluation.model_dump_json()),
        message:
            f"04_blends{AT}: " + ", ".join(blend.name for blend in study.blends)
        shell:
            NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {TO_LOG}"


rule results:
    input:
        notebook("05_results"),
        f"{PREPARED}/prepared.json",
        expand(
            f"{RUNS}/gru4rec/{{run}}/{{file}}",
            run=runs,
            file=["ranks.parquet", "lists.parquet", "history.csv"],
        ),
        expand(
            f"{RUNS}/gru4rec/{{run}}/model/model.keras",
            run=[name for name, run in runs.items() if run.uses_content],
        ),
        ranked_baselines,
        ranked_blends,
        [
            here(at.blend_folder(blend.name, seed) / "ranks.parquet")
            for at in OTHERS.values()
            for blend in study.blends
            for seed in study.blend_seeds
        ],
        [
            here(at.run_folder(run) / "ranks.parquet")
            for at in OTHERS.values()
            for run in at.study.runs
        ],
        [
            here(at.baseline_folder(baseline.name) / "ranks.parquet")
            for at in OTHERS.values()
            for baseline in study.baselines
        ],
    output:
        f"{RUNS}/05_results.ipynb",
        expand(f"{RUNS}/tables/{{table}}.csv", table=TABLES),
        drawn("model_diagram", "split_sizes", "learning_curves", "table_2", *EVIDENCE),
        [f"{RUNS}/tables/content_signal.csv", *drawn("content_signal")]
        if place.variants("content_signal")
        else [],
        [f"{RUNS}/tables/table_2_over_windows.csv"] if place.variants("windows") else [],
        [f"{RUNS}/tables/feature_importance.csv", *drawn("feature_importance")]
        if study.uses_content
        else [],
        [f"{RUNS}/tables/feature_groups.csv"] if study.ablations else [],
    log:
        f"{RUNS}/logs/05_results.log",
    resources:
        mem_mb=room(16000 * MANY),
        runtime=120 * MANY,
    params:
        code=content(notebook("05_results")),
        settings=fixed(study.training.model_dump_json()),
        cutoffs=study.evaluation.cutoffs,
        features=fixed(study.features),
    message:
        f"05_results{AT}: Table 2 and its figures"
    shell:
        NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {TO_LOG}"


if study.audit:

    rule audit:
        input:
            notebook("06_audit_of_the_paper"),
            RAW,
            f"{PREPARED}/prepared.json",
        output:
            f"{RUNS}/06_audit_of_the_paper.ipynb",
            expand(
                f"{RUNS}/tables/audit{{table}}.csv",
                table=["", "_conclusions", "_measured", "_recoverable"],
            ),
            drawn("audit"),
        log:
            f"{RUNS}/logs/06_audit_of_the_paper.log",
        # The longest job: started last, it would run alone at the end.
        priority: 1
        resources:
            mem_mb=room(16000),
            runtime=720,
        params:
            code=content(notebook("06_audit_of_the_paper")),
            audit=fixed([block.model_dump_json() for block in study.audit]),
            raw=fingerprints.digest(SHA256),
        message:
            f"06_audit_of_the_paper{AT}: the paper's code with each defect fixed"
        shell:
            NOTEBOOK + " {input[0]} {output[0]}" + GIVEN + f" {TO_LOG}"


PAPER = [f"reports/{name}" for name in ("paper.typ", "reading.typ", "references.bib")]
PAPER += ["gru4rec_lib/study/paper.py", "gru4rec_lib/study/publish.py"]


rule paper:
    input:
        rules.audit.output if study.audit else [],
        rules.the_twin.output if SIMULATES else [],
        expand(f"{RUNS}/gru4rec/{{run}}/03_train_gru4rec.ipynb", run=runs),
        rules.explore.output,
        rules.preprocess.output,
        rules.baselines.output,
        rules.blends.output if study.blends else [],
        rules.results.output,
        PAPER,
    output:
        [f"{RUNS}/{name}" for name in ("manifest.json", "paper.pdf", "paper.html")],
    log:
        f"{RUNS}/logs/paper.log",
    resources:
        mem_mb=room(4000),
        runtime=30,
    params:
        code=content(PAPER),
        study=fixed(study.model_dump_json()),
    message:
        f"paper{AT}: {RUNS}/paper.pdf from tables and figures"
    shell:
        f"{LIBRARY} paper{PUBLISHED} {TO_LOG}"


rule publish:
    input:
        rules.paper.input,
        rules.paper.output,
    output:
        f"{RUNS}/published.json",
    log:
        f"{RUNS}/logs/publish.log",
    resources:
        mem_mb=room(4000),
        runtime=30,
    params:
        study=fixed(study.model_dump_json()),
    message:
        f"publish reports/{study.name} and figures/{study.name}"
    shell:
        f"{LIBRARY} publish{PUBLISHED} {TO_LOG}"


# The same rules for the study's other variants; `results` reads their runs.
for other in OTHERS:

    module:
        name: other
        snakefile:
            "Snakefile"
        config:
            {**config, "study": other}

    use rule * from other as other*
