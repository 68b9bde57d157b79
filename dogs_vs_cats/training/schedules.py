"""Learning rates over the length of a training."""

from typing import Any

from keras import ops
from keras.optimizers.schedules import CosineDecay, InverseTimeDecay, LearningRateSchedule, PolynomialDecay

from dogs_vs_cats.settings.training_settings import OptimizerSettings

ONE_CYCLE_RISE = 0.3
"""Share of the updates in which the rate of one cycle rises, unless ``warmup_epochs`` says otherwise."""
_ONE_CYCLE_START = 1 / 25


class WarmUp(LearningRateSchedule):  # type: ignore[misc]
    """Raises the rate linearly from near 0, then follows another schedule from its beginning.

    Args:
        after: the other schedule, or a constant rate.
        updates: how many the rise takes.

    Source: Goyal et al., "Accurate, large minibatch SGD", arXiv 1706.02677, section 2.2.
    """

    def __init__(self, after: LearningRateSchedule | float, updates: int) -> None:
        super().__init__()
        self.after, self.updates = after, updates

    def __call__(self, step: Any) -> Any:
        """Return the rate of an update, counted from 0."""
        step = ops.cast(step, "float32")
        peak = self._after(0.0)
        return ops.where(
            step < self.updates,
            peak * (step + 1) / self.updates,
            self._after(ops.maximum(step - self.updates, 0.0)),
        )

    def _after(self, step: Any) -> Any:
        return self.after(step) if callable(self.after) else self.after

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that this schedule was made with."""
        return {"after": self.after, "updates": self.updates}


def build_schedule(settings: OptimizerSettings, epochs: int, updates: int) -> LearningRateSchedule | float:
    """Build the learning rate of ``settings``.

    Args:
        settings: the schedule's name, its rate and its warm-up.
        epochs: of the whole training.
        updates: in each epoch.

    Returns:
        A rate, or a schedule over the updates. ``time_decay`` is ``learning_rate / (1 + decay * t)`` after t updates,
        which Keras 2 called ``decay``. ``cosine`` and ``linear`` fall to 0 at the last update. ``one_cycle`` rises from
        a 25th of the rate and falls to 0, both as a cosine (Smith and Topin, arXiv 1708.07120).
    """
    rate, total, rise = settings.learning_rate, epochs * updates, round(settings.warmup_epochs * updates)
    if settings.schedule == "one_cycle":
        rise = rise or round(ONE_CYCLE_RISE * total)
        return CosineDecay(rate * _ONE_CYCLE_START, total - rise, warmup_target=rate, warmup_steps=rise)
    schedule: LearningRateSchedule | float = rate
    if settings.schedule == "cosine":
        schedule = CosineDecay(rate, total - rise)
    elif settings.schedule == "linear":
        schedule = PolynomialDecay(rate, total - rise, end_learning_rate=0.0)
    elif settings.schedule == "time_decay":
        decay = rate / epochs if settings.time_decay == "learning_rate/epochs" else settings.time_decay
        schedule = InverseTimeDecay(rate, decay_steps=1, decay_rate=decay) if decay else rate
    return WarmUp(schedule, rise) if rise else schedule
