"""Learning rates over 10 epochs of 20 updates."""

from typing import Any

import numpy as np
import pytest

from dogs_vs_cats.settings.training_settings import OptimizerSettings
from dogs_vs_cats.training.schedules import build_schedule


def _rates(**settings: Any) -> np.ndarray:
    schedule = build_schedule(OptimizerSettings(name="sgd", learning_rate=0.1, **settings), epochs=10, updates=20)
    return np.array([float(np.asarray(schedule(step))) if callable(schedule) else schedule for step in range(201)])


def test_a_constant_rate_stays() -> None:
    assert np.allclose(_rates(schedule="constant"), 0.1)
    assert np.allclose(_rates(), 0.1)


def test_linear_and_cosine_fall_to_0_at_the_last_update() -> None:
    steps = np.arange(201) / 200
    assert np.allclose(_rates(schedule="linear"), 0.1 * (1 - steps), atol=1e-6)
    assert np.allclose(_rates(schedule="cosine"), 0.05 * (1 + np.cos(np.pi * steps)), atol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "time_decay"])
def test_a_warm_up_rises_to_the_rate_and_the_schedule_begins_after_it(schedule: str) -> None:
    rates = _rates(schedule=schedule, warmup_epochs=2.0, **({"time_decay": 0.01} if schedule == "time_decay" else {}))
    assert np.allclose(rates[:40], 0.1 * np.arange(1, 41) / 40)
    assert rates[40] == pytest.approx(0.1)
    expected = {"constant": 0.1, "linear": 0.05, "cosine": 0.05, "time_decay": 0.1 / (1 + 0.01 * 80)}[schedule]
    assert rates[120] == pytest.approx(expected)
    assert rates[200] == pytest.approx(
        {"constant": 0.1, "time_decay": 0.1 / (1 + 0.01 * 160)}.get(schedule, 0), abs=1e-7
    )


def test_one_cycle_rises_for_three_tenths_and_falls_to_0() -> None:
    rates = _rates(schedule="one_cycle")
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates.argmax() == 60
    assert rates[60] == pytest.approx(0.1)
    assert rates[200] == pytest.approx(0, abs=1e-7)
    assert _rates(schedule="one_cycle", warmup_epochs=1.0).argmax() == 20
