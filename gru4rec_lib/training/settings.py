"""The settings of one training, checked; read without TensorFlow."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gru4rec_lib.model import forms
from gru4rec_lib.utils.checked import Count, Counts, Number, Rate, Seed, Share, Strict, Whole

INPUT_FORMS, OUTPUT_FORMS = tuple(forms.INPUT_FORMS), tuple(forms.OUTPUT_FORMS)
FORMS_WITH_CONTENT = forms.WITH_CONTENT
LOSSES = ("cross_entropy", "bpr", "bpr_max", "top1", "top1_max")  # functions of `losses`
ACTIVATIONS = ("linear", "relu", "leaky_relu", "selu", "tanh", "elu")  # see `losses.activation`
OPTIMIZERS = ("adagrad", "lazy_adam", "adam")  # see `optimizers.make`

InputForm = Literal[INPUT_FORMS]
OutputForm = Literal[OUTPUT_FORMS]
Loss = Literal[LOSSES]
Activation = Literal[ACTIVATIONS]


class NetworkSettings(Strict):
    """Settings of `Network`, whose arguments they are.

    Args:
        cell: `gru` or `lstm`.
        hidden_units: width of the recurrence; a list of them makes a recurrent layer of each, the lowest first.
        hidden_activation: of the candidate state.
        embedding_units: width of a learned row per track (input `embedding`) and per category.
        mlp_units: widths of the dense relu layers of `content_mlp`.
        dropout_input, dropout_hidden: share of units dropped before the recurrence and before the scores, 0 to 1.
        dropout_state: carry the dropped units into the next step too, as the official code does.
    """

    cell: Literal["gru", "lstm"] = "gru"
    hidden_units: Counts = (100,)
    hidden_activation: Activation = "tanh"
    embedding_units: Count = 64
    mlp_units: tuple[Count, ...] = (64, 64)
    dropout_input: Rate = 0.0
    dropout_hidden: Rate = 0.0
    dropout_state: bool = False


class CompileSettings(Strict):
    """Settings of `GRU4Rec.compile`.

    Args:
        negatives: `sampled` draws `samples` tracks each step, `in_batch` takes the other lanes' targets; or `all`
            alone, which scores every track.
        samples: sampled tracks a step, shared by its lanes.
        sample_alpha: they are drawn with probability ~ plays ** sample_alpha.
        logq: subtract logq * log(expected count) from every score (sampled softmax); 1 is the full correction.
        score_activation: of the scores before the loss.
        elu_alpha: of `elu`, the negative of its lowest value.
        bpr_max_regularization: weight of BPR-max's score regularisation.
        label_smoothing: share of cross_entropy's label that the negatives share.
        clip_norm: the greatest norm of all gradients of a step together; None leaves them unchanged.
        l2: weight of half the squared L2 norm of the step's rows and of the dense weights.
        optimizer: `adagrad` and `lazy_adam` update only the rows of a step; `adam` is the dense one of the paper.
        learning_rate, momentum: of the optimiser; only `adagrad` takes a momentum.
        mixed_precision: multiply states and scoring rows in bfloat16, for devices that are fast at it; all else is
            float32.
        jit: compile the dense part of a step with XLA.
    """

    negatives: tuple[Literal["in_batch", "sampled", "all"], ...] = ("sampled",)
    samples: Whole = Field(2048, ge=0)
    sample_alpha: Share = 0.75
    logq: Share = 0.0
    score_activation: Activation = "linear"
    elu_alpha: Number = Field(0.5, ge=0)
    bpr_max_regularization: Number = Field(1.0, ge=0)
    label_smoothing: Rate = 0.0
    clip_norm: Number | None = Field(None, gt=0)
    l2: Number = Field(0.0, ge=0)
    optimizer: Literal[OPTIMIZERS] = "adagrad"
    learning_rate: Number = Field(0.05, gt=0)
    momentum: Rate = 0.0
    mixed_precision: bool = False
    jit: bool = True

    @model_validator(mode="after")
    def _has_negatives(self):
        if {*self.negatives} not in ({"all"}, {"in_batch"}, {"sampled"}, {"in_batch", "sampled"}):
            raise ValueError("`negatives` is `all` alone, or `in_batch`, `sampled` or both")
        if "sampled" in self.negatives and self.samples < 1:
            raise ValueError("`negatives: sampled` needs `samples` above 0")
        return self

    def check_lanes(self, batch_size: int) -> None:
        """Check that a batch of this size has negatives: without any, a loss is 0 and nothing is learned.

        Args:
            batch_size: lanes, 1 or more.

        Raises:
            ValueError: all negatives are in the batch, which is one lane.
        """
        if {*self.negatives} == {"in_batch"} and batch_size == 1:
            raise ValueError("in-batch negatives need a `batch_size` above 1")


class FitSettings(Strict):
    """Settings of `GRU4Rec.fit` that a study sets.

    Args:
        batch_size: lanes of the session-parallel mini-batch.
        steps_per_epoch: mini-batches of an epoch, after which comes a validation; None: a pass over the sessions.
        shuffle: new order of the sessions every epoch; false keeps the order of the data.
    """

    batch_size: Count = 64
    steps_per_epoch: Count | None = None
    shuffle: bool = True


class Training(FitSettings, CompileSettings, NetworkSettings):
    """Settings of one training; the field's usual names, the official GRU4Rec's meaning.

    They are those of `NetworkSettings`, `CompileSettings` and `FitSettings`, and these:

    Args:
        max_epochs: the most epochs trained.
        monitor: `val_recall_at_20` or `val_mrr_at_20`, the validation score that chooses the epoch.
        patience: epochs without a better one before training ends.
        refit: train again on training + validation for the best number of epochs, so that the test sees a model of
            all training sessions.
    """

    max_epochs: Count = 10
    monitor: Literal["val_recall_at_20", "val_mrr_at_20"] = "val_recall_at_20"
    patience: Count = 2
    refit: bool = True

    @model_validator(mode="after")
    def _lanes_have_negatives(self):
        self.check_lanes(self.batch_size)
        return self

    def part(self, kind: type[Strict]) -> dict:
        """The settings of one of the three, by name, to be passed on as arguments.

        Args:
            kind: `NetworkSettings`, `CompileSettings` or `FitSettings`.
        """
        return {name: getattr(self, name) for name in kind.model_fields}


class Cell(Strict):
    """What one model is and how it is trained.

    Args:
        input_form: of INPUT_FORMS.
        output_form: of OUTPUT_FORMS.
        loss: of LOSSES.
        seed: of weights, dropout, negatives and session order.
        training: the settings.
    """

    input_form: InputForm
    output_form: OutputForm = "ids"
    loss: Loss
    seed: Seed
    training: Training
