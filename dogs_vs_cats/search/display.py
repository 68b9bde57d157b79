"""What a search shows while it runs: a live table on a terminal, else a line for each trial that ends."""

from types import TracebackType
from typing import Self

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dogs_vs_cats.search.plan import Plan
from dogs_vs_cats.search.rungs import seconds_left
from dogs_vs_cats.search.studies import Tally, elapsed, ranked, rung_of, tally
from dogs_vs_cats.search.trials import Outcome

_MOST_ROWS = 16
"""Running trials that the table lists; of more, it gives the number."""


class Display:
    """Use it in a ``with`` block; leaving it leaves the last table on the screen.

    Args:
        plan: the study.
        study: opened.
        workers: trials that run at a time, for the time left.
        console: where to.
    """

    def __init__(self, plan: Plan, study: Study, workers: int, console: Console | None = None) -> None:
        self._plan, self._study, self._workers = plan, study, workers
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self.refresh()
            self._live.__exit__(kind, error, traceback)

    def ended(self, outcome: Outcome) -> None:
        """Tell of a trial that has ended; a terminal's table tells of those that did not fail."""
        if self._live is not None and not outcome.is_failure:
            return
        if outcome.number is None:
            self._console.print(Text(f"failed: {outcome.reason}"))
            return
        trial = self._study.get_trials(deepcopy=False)[outcome.number]
        values = "" if trial.values is None else " " + ", ".join(f"{value:.4f}" for value in trial.values)
        reason = f": {outcome.reason}" if outcome.reason else ""
        rung = f" in rung {rung_of(trial) + 1} of {len(self._plan.ladder)}" if self._plan.rungs else ""
        self._console.print(
            Text(f"trial {outcome.number}{rung} {outcome.state.lower()}{values}{reason}; {self._status()}")
        )

    def refresh(self) -> None:
        """Show how things stand."""
        if self._live is not None:
            self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Group:
        trials = self._study.get_trials(deepcopy=False)
        table = Table("trial", *self._plan.objectives, "epoch", "time", "", box=None, header_style="bold")
        for best in ranked(self._plan, self._study)[:1]:
            values = [f"{value:.4f}" for value in best.values]
            epochs = str(best.user_attrs.get("epochs", ""))
            table.add_row(str(best.number), *values, epochs, _seconds(best), "best", style="green")
        running = [trial for trial in trials if trial.state is TrialState.RUNNING]
        for trial in running[:_MOST_ROWS]:
            epoch = trial.last_step
            value = "" if epoch is None else f"{trial.intermediate_values[epoch]:.4f}"
            rest = [""] * (len(self._plan.objectives) - 1)
            table.add_row(str(trial.number), value, *rest, "" if epoch is None else str(epoch + 1), _seconds(trial), "")
        more = len(running) - _MOST_ROWS
        status = f"; {len(running)} running" + (f", {more} of them not shown" if more > 0 else "")
        return Group(Text(f"study {self._plan.study}: {self._plan.fidelity}"), table, Text(self._status(status)))

    def _status(self, running: str = "") -> str:
        left = seconds_left(self._plan, self._study, self._workers)
        rest = "" if left is None else f"; about {_duration(left)} left"
        return f"{counted(tally(self._study))} of {self._plan.trials}{running}{rest}"


def counted(counts: Tally) -> str:
    """How many trials ended in which way."""
    return f"{counts.finished} finished, {counts.pruned} pruned, {counts.failed} failed"


def _seconds(trial: FrozenTrial) -> str:
    return _duration(elapsed(trial))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
