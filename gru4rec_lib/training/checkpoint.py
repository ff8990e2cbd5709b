"""Checkpoints, from which an interrupted training continues exactly, and early stopping that survives them.

One .npz file holds the whole state of training: weights, optimiser rows, lane state, the running loss, and as JSON the
place in the epoch and the history. Order, negatives and dropout are functions of the seed and the step. The file is
renamed when it is complete, so that a kill at any time leaves the former checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType

import numpy as np

from gru4rec_lib.utils.arguments import check_known, user_path, whole
from gru4rec_lib.utils.atomic_write import replacing
from gru4rec_lib.utils.backend import keras, tf

PACKAGE = Path(__file__).resolve().parents[1]
TRAINS = ("data", "model", "ranking", "training", "utils")
LIBRARIES = ("gru4rec_lib", "keras", "tensorflow", "numpy")
VALIDATED = ("val_recall_at_20", "val_mrr_at_20")  # the scores that `fit` computes of validation data


def write(path: Path, variables, record: dict) -> None:
    """Write variables and a record; one array at a time is in memory twice.

    Args:
        path: ends in .npz; its folder is created.
        variables: of Keras or TensorFlow.
        record: plain JSON.

    Raises:
        FloatingPointError: a value is not finite; the former file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, zipfile.ZipFile(partial, "w") as file:
        file.writestr("record.json", json.dumps(record))
        for number, variable in enumerate(variables):
            values = np.asarray(variable)
            if not np.isfinite(values).all():
                raise FloatingPointError(
                    f"{variable.name} holds values that are not finite: lower learning_rate, or momentum, or raise the "
                    "batch size"
                )
            with file.open(f"{number}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, values, allow_pickle=False)


def read_record(path: Path) -> dict:
    """Return the record that `write` wrote.

    Args:
        path: a checkpoint.

    Raises:
        OSError, ValueError, KeyError, zipfile.BadZipFile: the file is no checkpoint.
    """
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("record.json"))


def read_into(path: Path, variables) -> None:
    """Assign to variables the values that `write` wrote.

    Args:
        path: a checkpoint.
        variables: as for `write`, of the same shapes and in the same order.
    """
    with np.load(path, allow_pickle=False) as file:
        for number, variable in enumerate(variables):
            variable.assign(file[str(number)])


def made_with(model, settings: dict, sessions, validation) -> dict:
    """Return all that a training depends on: it continues from a checkpoint only where all of this is the same.

    Args:
        model: a GRU4Rec whose weights that do not train (plays, features) are set.
        settings: plain values and functions, of `compile` and `fit`.
        sessions: `Sessions` for training.
        validation: `Sessions` for validation, or None.

    Returns:
        Plain JSON: settings by name, see `described`; checksums of the data and of the library's code.
    """
    record = model.get_config() | settings
    record |= {"keras": keras.__version__, "tensorflow": tf.__version__, "numpy": np.__version__}
    del record["name"]  # it numbers the models of a process
    record |= {
        "sessions": checksum(sessions.items, sessions.offsets),
        "validation": None if validation is None else checksum(validation.items, validation.offsets),
        "features": checksum(*(np.asarray(weight) for weight in model.non_trainable_variables)),
        "the library's code": checksum(*(path.read_bytes() for path in library_code())),
    }
    return described(record)


def described(value, outer: tuple = ()):
    """Describe a value in plain JSON, the same in every process.

    A function of the library, Keras, TensorFlow or NumPy is described by its name (their versions and `the library's
    code` have the rest); another one by its code, the globals that the code names, its defaults and its closure.

    Args:
        value: of any kind; by default it is described by its text.
        outer: values of which it is a part.

    Returns:
        Texts, numbers, None, and lists and mappings of them.
    """
    if any(value is one for one in outer):
        return "recursive"
    if isinstance(value, float) and np.isnan(value):
        return "nan"  # which equals itself
    if value is None or isinstance(value, str | int | float):
        return value
    inner = partial(described, outer=(*outer, value))
    if isinstance(value, dict):
        return {str(name): inner(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [inner(part) for part in value]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, tf.Tensor | tf.Variable | keras.Variable | np.generic):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return inner(value.tolist())
        return [value.dtype.str, list(value.shape), checksum(value.tobytes())]
    if isinstance(value, CodeType):
        return inner([value.co_code.hex(), value.co_names, value.co_consts])
    if isinstance(value, partial):
        return inner([value.func, value.args, value.keywords])
    if hasattr(value, "python_function"):  # a tf.function
        return inner(value.python_function)
    if isinstance(value, MethodType):
        return inner([value.__func__, value.__self__])
    if hasattr(value, "get_config") and not isinstance(value, type):
        return inner([_name(type(value)), value.get_config()])
    if isinstance(value, FunctionType):
        if value.__module__.partition(".")[0] in LIBRARIES and "<" not in value.__qualname__:
            return _name(value)
        named = {name: value.__globals__[name] for name in _names(value.__code__) & value.__globals__.keys()}
        named = {name: part for name, part in sorted(named.items()) if not isinstance(part, ModuleType | type)}
        enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
        return inner([_name(value), value.__code__, value.__defaults__, value.__kwdefaults__, named, enclosed])
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return _name(value) if callable(value) else _text(value)
    if callable(value):
        return inner([type(value), vars(value), type(value).__call__])
    return inner([type(value), vars(value)]) if type(value).__repr__ is object.__repr__ else _text(value)


def _name(value) -> str:
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None) or _text(value)}"


def _text(value) -> str:
    return re.sub(" at 0x[0-9a-fA-F]+", "", str(value))  # an address differs in every process


def _names(code: CodeType) -> set[str]:
    """The names in a function's code and in the code of the functions within it."""
    return {*code.co_names}.union(*(_names(part) for part in code.co_consts if isinstance(part, CodeType)))


def library_code() -> list[Path]:
    """List the source files of the packages that a training uses."""
    return sorted(path for name in TRAINS for path in (PACKAGE / name).glob("*.py"))


def checksum(*parts: np.ndarray | bytes) -> str:
    """SHA-256 of arrays and bytes and of their lengths."""
    found = hashlib.sha256()
    for part in parts:
        data = memoryview(np.ascontiguousarray(part)) if isinstance(part, np.ndarray) else part
        found.update(f"{len(part)} ".encode())
        found.update(data)
    return found.hexdigest()


class Checkpoint(keras.callbacks.Callback):
    """Write a checkpoint at the end of an epoch, and within it whenever so many seconds have passed.

    It is the last callback: changes by others are in it (learning rate, `stop_training`), but not their own state.
    Early stopping is derived from the history.

    Args:
        path: the .npz file.
        epoch: the `Epoch` of this fit.
        history: its `keras.callbacks.History`.
        variables: all that training changes.
        loss: variables of the running loss, which Keras sets to zero when an epoch begins.
        made_with: returned by `made_with`.
        seconds: between two checkpoints within an epoch; 0 writes one after every stretch.
    """

    stops = ()

    def __init__(self, path: Path, epoch, history, variables, loss, made_with: dict, seconds: float):
        super().__init__()
        self.path, self.epoch, self.history = user_path(path), epoch, history
        self.variables, self.loss, self.made_with, self.seconds = variables, loss, made_with, seconds
        self._running_loss, self._epochs = None, []
        self._written = time.perf_counter()

    def restore(self, initial_epoch: int, epochs: int, stops: Sequence[EarlyStopping] = ()) -> int:
        """Restore the checkpoint if it is of this training; print why not if it is of another one.

        Args:
            initial_epoch: where to begin without one.
            epochs: where to end.
            stops: the early stopping of this training.

        Returns:
            The epoch to begin with; `epochs` where training had been stopped early.
        """
        self.stops = stops
        if not self.path.exists():
            return initial_epoch
        try:
            record = read_record(self.path)
            known, done, scores = record["made_with"], record["epoch"], record["history"]
            stopped, stretches = record["stopped"], record["stretches"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return self._anew(" cannot be read", initial_epoch)
        differ = [name for name in known | self.made_with if known.get(name) != self.made_with.get(name)]
        if differ:
            return self._anew(f" is of another training ({', '.join(differ)})", initial_epoch)
        beyond = f"it has trained beyond epoch {epochs}" if done + bool(stretches) > epochs else ""
        reasons = [beyond, *(stop.contradicts(scores, stretches, epochs - done) for stop in stops)]
        if reason := next(filter(None, reasons), ""):
            return self._anew(f": {reason}", initial_epoch)
        read_into(self.path, [*self.variables, *self.loss])
        if stretches:
            self._running_loss = [np.array(value) for value in self.loss]
        self.history.history, self._epochs = scores, record["epochs"]
        self.epoch.resume(stretches, record["seconds"], record["elapsed"])
        print(f"continuing from {self.path}: epoch {done + 1}, step {record['step']:,}", flush=True)
        return epochs if stopped or any(stop.ends(scores) for stop in stops) else done

    def _anew(self, reason: str, initial_epoch: int) -> int:
        print(f"{self.path}{reason}: training starts anew", flush=True)
        return initial_epoch

    def on_train_begin(self, logs=None):
        """Keras' call, after that of the history, which deletes its epochs there."""
        self.history.epoch = self._epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Keras' call: restore the running loss of an interrupted epoch."""
        if self._running_loss is not None:
            for variable, value in zip(self.loss, self._running_loss, strict=True):
                variable.assign(value)
            self._running_loss = None

    def on_train_batch_end(self, batch, logs=None):
        """Keras' call, after a stretch of mini-batches; one that was trained before is in the file already."""
        if batch >= self.epoch.done and time.perf_counter() - self._written >= self.seconds:
            self._write(self.epoch.epoch, batch + 1, self.epoch.seconds)

    def on_epoch_end(self, epoch, logs=None):
        """Keras' call."""
        self._write(epoch + 1, 0, 0.0)

    def _write(self, epoch: int, stretches: int, seconds: float):
        record = {"made_with": self.made_with, "epoch": epoch, "stretches": stretches, "seconds": seconds}
        stopped = bool(self.model.stop_training) and not any(stop.stopped for stop in self.stops)
        record |= {"step": int(self.model.steps), "stopped": stopped}
        record |= {"history": self.history.history, "epochs": self.history.epoch, "elapsed": self.epoch.elapsed}
        write(self.path, [*self.variables, *self.loss], record)
        self._written = time.perf_counter()


class EarlyStopping(keras.callbacks.Callback):
    """End training when a score has not risen for some epochs, derived from the history alone.

    Keras' own keeps its count and the best weights in memory, where an interruption loses them.

    Args:
        monitor: the score, higher is better.
        patience: epochs without a better one, 1 and more.
        best: a .npz file for the weights of the best epoch, which are restored at the end; None keeps the last ones.

    Raises:
        ValueError: `patience` is no whole number, or below 1.
    """

    stopped = False  # whether this callback ended the training

    def __init__(self, monitor: str, patience: int, best: Path | None = None):
        super().__init__()
        self.monitor, self.patience, self.best = monitor, whole(patience, "patience"), best

    def check_validation(self, validation) -> None:
        """Check that the score is one of a validation that ranks something.

        Args:
            validation: `Sessions` for validation, or None.

        Raises:
            ValueError: it is a score of the validation, and there are no targets to validate with.
        """
        if self.monitor in VALIDATED and (validation is None or not validation.is_target.any()):
            raise ValueError(
                f"early stopping by {self.monitor} needs `validation_data` with a session of two or more events"
            )

    def ends(self, history: dict) -> int | None:
        """Return after how many epochs training ends, or None where the history does not reach so far.

        Args:
            history: values of each epoch by name, of `keras.callbacks.History`.
        """
        best, since = -np.inf, 0
        for number, score in enumerate(history.get(self.monitor, []), 1):
            best, since = (score, 0) if score > best else (best, since + 1)
            if since >= self.patience:
                return number
        return None

    def contradicts(self, history: dict, stretches: int, left: int) -> str:
        """Return why this training does not pass through a checkpoint; an empty text where it does.

        Args:
            history: of the checkpoint, which may have been written under another rule.
            stretches: of a further epoch that are in it.
            left: epochs that it lacks.

        Returns:
            The reason.
        """
        scores = history.get(self.monitor, [])
        end = self.ends(history)
        if end is not None and (end, 0) != (len(scores), stretches):
            return f"by {self.monitor} and patience {self.patience}, training ends with epoch {end}"
        if not self.best or not scores:
            return ""
        try:
            kept = read_record(self.best)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            kept = {}
        # Where training was killed between two files, the weights are those of an epoch that is trained again.
        next_one = kept == self._record(len(scores)) and left > 0 and end is None
        if kept.get("epoch") == int(np.argmax(scores)) or next_one:
            return ""
        return f"the weights of its best epoch by {self.monitor} were not kept"

    def _record(self, epoch):
        return {"epoch": epoch, "monitor": self.monitor}

    def on_train_begin(self, logs=None):
        """Keras' call."""
        self.stopped = False

    def on_epoch_end(self, epoch, logs=None):
        """Keras' call, before that of the history."""
        check_known("monitor", self.monitor, logs)
        scores = [*self.model.history.history.get(self.monitor, []), logs[self.monitor]]
        if self.best and int(np.argmax(scores)) == len(scores) - 1:
            write(self.best, self.model.trainable_variables, self._record(len(scores) - 1))
        if not self.model.stop_training and self.ends({self.monitor: scores}) is not None:
            self.model.stop_training = self.stopped = True

    def on_train_end(self, logs=None):
        """Keras' call."""
        if self.best:
            read_into(self.best, self.model.trainable_variables)
