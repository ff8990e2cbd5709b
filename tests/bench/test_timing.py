"""The tools of the bench: alternating repetitions, separate processes, plain products, sums of a profile."""

import os

import numpy as np
import pytest

from gru4rec_lib.bench import timing


def test_apart_is_another_process_with_a_separate_peak():
    held = np.ones(30_000_000)  # 240 MB
    assert timing.peak_bytes() > held.nbytes
    assert timing.apart(os.getpid) != os.getpid()
    before = os.getenv("TF_NUM_INTRAOP_THREADS")
    assert timing.apart(os.getenv, "TF_NUM_INTRAOP_THREADS", threads=1) == "1"
    assert os.getenv("TF_NUM_INTRAOP_THREADS") == before
    assert 1e6 < timing.apart(timing.peak_bytes) < held.nbytes


def test_functions_take_turns_and_the_first_turn_does_not_count():
    calls = []
    times = timing.in_turns(2, lambda: calls.append("a"), lambda: calls.append("b"))
    assert calls == ["a", "b"] * 3
    assert times.shape == (2, 2)
    assert (times > 0).all()


def test_scoring_computes_every_block(monkeypatch):
    states, rows, found = np.ones((5, 2), np.float32), np.ones((7, 2), np.float32), []
    monkeypatch.setattr(np, "matmul", lambda a, b, out: found.append((len(a), b.shape[1], out.shape)))
    timing.scoring(states, rows, lanes=3, block=4)()
    assert found == [(3, 4, (3, 4)), (3, 3, (3, 3)), (2, 4, (2, 4)), (2, 3, (2, 3))]


def test_costs_are_of_the_innermost_operations(tmp_path):
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    plane = space.planes.add()
    spans = {"Execute": (0, 9), "MatMul_1.6": (0, 4), "dot": (4, 6), "exp_fusion": (6, 7)}
    spans |= {"end: MatMul_1.6": (3.9, 4.1), "end: dot": (5.9, 6.1)}
    spans |= {"ExecutorState::Process": (13, 50), "while/adagrad/Apply": (9, 12), "while/Gather_1": (12, 13)}
    for name, kinds in (("tf_Compute/1", spans), ("python", {"MatMul": (0, 99)})):
        line = plane.lines.add(name=name)
        for kind, (began, ended) in kinds.items():
            number = len(plane.event_metadata) + 1
            plane.event_metadata[number].name = kind
            line.events.add(metadata_id=number, offset_ps=round(began * 1e9), duration_ps=round((ended - began) * 1e9))
    (tmp_path / "one.xplane.pb").write_bytes(space.SerializeToString())
    expected = {"matrix products": 6, "row updates": 3, "lookups of rows": 1, "element by element": 1}
    assert timing.costs(tmp_path) == pytest.approx(expected)
