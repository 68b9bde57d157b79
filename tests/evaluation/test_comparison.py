"""Paired tests against known values, verdicts that claim no more than was shown, strict JSON."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit, softmax

from dogs_vs_cats.errors import WorkflowError
from dogs_vs_cats.evaluation import statistics
from dogs_vs_cats.evaluation.comparing import Candidate, Reported, against_article, better_model, compare
from dogs_vs_cats.evaluation.comparison import Comparison, as_json
from dogs_vs_cats.models.kinds.registry import KINDS
from dogs_vs_cats.numerals import points
from dogs_vs_cats.settings.params import CompareSettings
from tests.conftest import both_classes, candidate

RULES = CompareSettings(confidence=0.95, bootstrap_resamples=2000, calibration_bins=15, worst_mistakes=3, seed=1)


def probabilities(labels: np.ndarray, strength: float, seed: int) -> np.ndarray:
    """Probabilities of a model as good as its strength."""
    logits = np.random.default_rng(seed).normal(strength * (2.0 * labels - 1), 2)
    return np.asarray(expit(logits))


def reported(n: int = 400) -> Reported:
    """Photos of the article's kind."""
    labels = np.arange(n) % 2
    files = [f"test/{'dogs' if label else 'cats'}/{index}.jpg" for index, label in enumerate(labels)]
    return Reported(
        "zip", "test", ("cats", "dogs"), comparable=True, files=files, labels=labels, validation_labels=labels
    )


def candidates(facts: Reported, scratch: float, vgg16: float) -> dict[str, Candidate]:
    """Two models as good as their strengths."""
    return {
        kind: candidate(
            kind, probabilities(facts.labels, strength, seed), probabilities(facts.labels, strength, seed + 9)
        )
        for seed, (kind, strength) in enumerate((("scratch", scratch), ("vgg16", vgg16)))
    }


def test_mcnemar_agrees_with_published_values() -> None:
    # 2 and 9 is the example of mcnemar.exact in R's exact2x2; none of six is 2 / 2**6 by hand.
    for only_first, only_second, p_value in ((2, 9, 0.06543), (9, 2, 0.06543), (0, 6, 0.03125), (5, 5, 1.0)):
        first = np.array([True] * only_first + [False] * only_second + [True, False])
        second = np.array([False] * only_first + [True] * only_second + [True, False])
        found = statistics.mcnemar(first, second)
        assert (found.only_first, found.only_second) == (only_first, only_second)
        assert (found.both_right, found.both_wrong) == (1, 1)
        assert found.p_value == pytest.approx(p_value, abs=5e-6)


def test_mcnemar_of_models_that_never_differ_is_1() -> None:
    assert statistics.mcnemar(np.array([True, False]), np.array([True, False])).p_value == 1


def test_bootstrap_agrees_with_the_normal_interval_on_many_photos() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 4000)
    low, high = statistics.bootstrap_interval(differences, 0.95, 4000, seed=2)
    spread = 1.96 * differences.std() / np.sqrt(4000)
    assert low == pytest.approx(differences.mean() - spread, abs=0.003)
    assert high == pytest.approx(differences.mean() + spread, abs=0.003)
    assert statistics.bootstrap_interval(differences, 0.95, 4000, seed=2) == (low, high)


@pytest.mark.parametrize("differences", [[0.0], [1.0], [0.0, 0.0, 0.0], [-1.0, -1.0]])
def test_bootstrap_of_equal_differences_is_that_difference(differences: list[float]) -> None:
    assert statistics.bootstrap_interval(np.array(differences), 0.95, 500, seed=1) == (differences[0], differences[0])


def test_article_is_judged_by_our_interval() -> None:
    def judge(kind: str, low: float, high: float, *, comparable: bool = True) -> str:
        theirs = KINDS[kind].article_accuracy
        return against_article(theirs, (low, high), comparable=comparable).judgement

    assert judge("scratch", 0.88, 0.90) == "reproduced"
    assert judge("scratch", 0.894, 0.91) == "reproduced"
    assert judge("scratch", 0.895, 0.91) == "above"
    assert judge("vgg16", 0.895, 0.906) == "below"
    assert judge("vgg16", 0.895, 0.906, comparable=False) == "not comparable"


def test_clear_difference_is_claimed_with_its_size_and_interval() -> None:
    facts = reported()
    found = compare(candidates(facts, 1.5, 5.0), facts, RULES)
    (gap,) = found.differences
    assert gap.claimed
    assert (gap.second, gap.first) == ("vgg16", "scratch")
    assert gap.accuracy == pytest.approx(found.models["vgg16"].accuracy - found.models["scratch"].accuracy)
    assert found.verdict.startswith("The VGG16 transfer model is better: ")
    for number in (gap.accuracy, *gap.interval):
        assert points(number) in found.verdict
    assert "400 test photos" in found.verdict
    assert found.better == "vgg16"


def test_worse_second_model_makes_the_first_the_winner_with_positive_numbers() -> None:
    facts = reported()
    found = compare(candidates(facts, 5.0, 1.5), facts, RULES)
    assert found.differences[0].accuracy < 0
    assert found.verdict.startswith("The CNN from scratch is better: ")
    assert "\N{MINUS SIGN}" not in found.verdict
    assert found.better == "scratch"


def test_models_alike_lead_to_no_claim() -> None:
    facts = reported()
    verdict = compare(candidates(facts, 2.0, 2.1), facts, RULES).verdict
    assert verdict.startswith("No difference can be claimed: ")
    assert "better" not in verdict


def test_the_same_model_twice_leads_to_no_claim() -> None:
    facts = reported()
    model = candidates(facts, 2.0, 2.0)["scratch"]
    found = compare({"scratch": model, "vgg16": model}, facts, RULES)
    assert found.differences[0].interval == (0.0, 0.0)
    assert found.differences[0].mcnemar.p_value == 1
    assert found.verdict.startswith("No difference can be claimed: both models are right on ")
    assert found.better == "scratch"


def test_interval_alone_does_not_make_a_claim() -> None:
    # One photo, one model right: the bootstrap knows no other photo, McNemar's test does.
    facts = replace(reported(1), labels=np.array([1]), validation_labels=np.array([0, 1]))
    both = {
        "scratch": candidate("scratch", np.array([0.2]), np.array([0.2, 0.8])),
        "vgg16": candidate("vgg16", np.array([0.9]), np.array([0.2, 0.8])),
    }
    found = compare(both, facts, RULES)
    assert found.differences[0].interval == (1.0, 1.0)
    assert not found.differences[0].claimed
    assert found.verdict.startswith("No difference can be claimed: ")
    assert found.models["vgg16"].auc is None
    strictly_parsed(found)


def test_validation_chooses_the_better_model_by_calibrated_log_loss() -> None:
    labels = np.arange(400) % 2
    strong, weak = probabilities(labels, 4, 1), probabilities(labels, 1, 2)
    # Overconfidence costs log-loss, but not once a temperature takes it away.
    boastful = np.asarray(expit(20 * (np.log(strong) - np.log1p(-strong))))
    strong, weak, boastful = (both_classes(second) for second in (strong, weak, boastful))
    assert better_model(labels, {"scratch": weak, "vgg16": boastful}) == "vgg16"
    assert better_model(labels, {"scratch": strong, "vgg16": weak}) == "scratch"
    assert better_model(labels, {"scratch": strong, "vgg16": strong}) == "scratch"


def strictly_parsed(comparison: Comparison) -> Any:
    """The comparison after a journey through JSON, NaN and infinity refused."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} in the JSON")

    return json.loads(as_json(comparison.model_dump(mode="json")), parse_constant=refuse)


def test_json_has_what_others_rely_on_and_is_strict() -> None:
    facts = reported()
    read = strictly_parsed(compare(candidates(facts, 1.0, 3.0), facts, RULES))
    told = {"source", "split", "images", "classes", "confidence", "models", "differences", "verdict", "better"}
    assert {"version", *told} <= set(read)
    assert (read["source"], read["split"], read["images"]) == ("zip", "test", 400)
    for model in read["models"].values():
        assert {"accuracy", "interval", "log_loss", "brier", "auc", "ece", "temperature"} <= set(model)
        assert model["interval"][0] < model["accuracy"] < model["interval"][1]
        assert len(model["mistakes"]) == 3
        assert sum(map(sum, model["confusion"])) == 400
        assert model["photos_per_second"] == 2.0
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_json({"accuracy": float("nan")})


def test_mistakes_name_the_photo_its_class_and_probability() -> None:
    facts = reported()
    both = candidates(facts, 1.0, 3.0)
    for mistake in compare(both, facts, RULES).models["scratch"].mistakes:
        assert mistake.file == facts.files[mistake.index]
        assert mistake.true_class == mistake.file.split("/")[1]
        assert {mistake.true_class, mistake.predicted_class} == {"cats", "dogs"}
        assert mistake.probabilities == both["scratch"].probabilities[mistake.index].tolist()


def test_comparison_is_the_same_twice() -> None:
    facts = reported()
    both = candidates(facts, 1.0, 3.0)
    first, second = (compare(both, facts, RULES) for _ in range(2))
    assert first == second


def test_a_comparison_is_read_as_it_was_written(tmp_path: Path) -> None:
    facts = reported()
    written = compare(candidates(facts, 1.0, 3.0), facts, RULES)
    written.write(tmp_path / "comparison.json")
    assert Comparison.read(tmp_path / "comparison.json") == written


@pytest.mark.parametrize("text", ["", "{}", '{"version": 1, "better": "vgg16"}', "[1"])
def test_a_comparison_of_another_version_or_damaged_names_the_command_that_makes_it_anew(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "comparison.json").write_text(text, encoding="utf-8")
    with pytest.raises(WorkflowError, match=r"comparison\.json: damaged, or of another version.*dvc repro -f compare"):
        Comparison.read(tmp_path / "comparison.json")


def test_three_models_of_three_classes_are_compared_in_pairs() -> None:
    labels = np.arange(300) % 3
    random = np.random.default_rng(0)

    def model(kind: str, strength: float, name: str) -> Candidate:
        logits = random.normal(0, 1, (300, 3)) + strength * np.eye(3)[labels]
        given = np.asarray(softmax(logits, axis=1))
        return replace(candidate(kind, labels == 1, labels == 1, name=name), probabilities=given, validation=given)

    three = {
        "weak": model("scratch", 0.5, "weak net"),
        "strong": model("vgg16", 4.0, "strong net"),
        "middling": model("vgg16", 1.5, "middling net"),
    }
    facts = replace(reported(300), classes=("a", "b", "c"), labels=labels, validation_labels=labels, comparable=False)
    found = compare(three, facts, RULES)
    pairs = [(gap.second, gap.first) for gap in found.differences]
    assert pairs == [("strong", "weak"), ("middling", "weak"), ("middling", "strong")]
    assert found.verdict.startswith("The strong net is better: ")
    assert "the middling net on" in found.verdict
    assert found.better == "strong"
    assert len(found.models["weak"].confusion) == 3
    metrics = found.metrics()
    assert set(metrics) == {*three, "ensemble", "p_value"}
    p_values = {f"{gap.second} minus {gap.first}": gap.mcnemar.p_value for gap in found.differences}
    assert metrics["p_value"] == p_values
    # Three chances of a false claim: the intervals are wider than one pair's.
    alone = compare({kind: three[kind] for kind in ("weak", "middling")}, facts, RULES).differences[0].interval
    together = found.differences[1].interval
    assert together[0] < alone[0]
    assert together[1] > alone[1]


def test_models_with_errors_of_their_own_are_better_together() -> None:
    facts = reported(2000)
    labels, random = facts.labels, np.random.default_rng(5)
    given: dict[str, Any] = {
        kind: [both_classes(expit(random.normal(2.0 * labels - 1, 1))) for _ in range(2)]
        for kind in ("scratch", "vgg16")
    }
    two = {kind: candidate(kind, test[:, 1], validation[:, 1]) for kind, (test, validation) in given.items()}
    found = compare(two, facts, RULES)
    together = found.ensemble
    assert together is not None
    log_odds = {kind: logit(test[:, 1]) for kind, (test, _) in given.items()}
    mean = sum(together.weights[kind] * values for kind, values in log_odds.items())
    assert together.accuracy == pytest.approx(((mean > 0) == labels).mean())
    assert together.gain.first == found.better
    assert together.gain.claimed
    assert together.gain.accuracy == pytest.approx(together.accuracy - found.models[found.better].accuracy)
    assert together.calibrated.log_loss < found.models[found.better].calibrated.log_loss - 0.05
    assert found.metrics()["ensemble"] == {"accuracy": together.accuracy, "log_loss": together.log_loss}
    # What is asked of the test photos changes nothing of the weights.
    others = compare(
        {kind: replace(one, probabilities=one.probabilities[::-1]) for kind, one in two.items()}, facts, RULES
    )
    assert others.ensemble is not None
    assert others.ensemble.weights == together.weights


def test_metrics_for_dvc_are_what_people_compare_and_scores_leave_out_what_is_not_a_number() -> None:
    facts = replace(reported(4), labels=np.ones(4, dtype=int), validation_labels=np.arange(4) % 2)
    found = compare(candidates(facts, 1.0, 3.0), facts, RULES)
    together = found.ensemble
    assert together is not None
    assert found.metrics() == {
        "scratch": {"accuracy": found.models["scratch"].accuracy, "log_loss": found.models["scratch"].log_loss},
        "vgg16": {"accuracy": found.models["vgg16"].accuracy, "log_loss": found.models["vgg16"].log_loss},
        "ensemble": {"accuracy": together.accuracy, "log_loss": together.log_loss},
        "p_value": found.differences[0].mcnemar.p_value,
    }
    scores = found.scores()
    assert set(scores) == {"scratch", "vgg16"}
    assert "auc" not in scores["scratch"]
    assert {"accuracy", "log_loss", "calibrated_log_loss", "brier"} <= set(scores["vgg16"])


def test_drawn_pictures_on_validation_are_called_that() -> None:
    facts = replace(reported(), source="drawn", split="validation", comparable=False)
    found = compare(candidates(facts, 1.0, 3.0), facts, RULES)
    assert "400 drawn validation pictures" in found.verdict
    assert found.models["scratch"].article.judgement == "not comparable"


def test_two_constant_models_on_five_photos_are_called_what_they_are() -> None:
    labels = np.array([0, 0, 0, 0, 1])
    facts = replace(reported(5), labels=labels, validation_labels=labels)
    constant = np.full(5, 0.2)
    both = {kind: candidate(kind, constant, constant) for kind in ("scratch", "vgg16")}
    verdict = compare(both, facts, RULES).verdict
    assert verdict.startswith("No difference can be claimed: both models are right on 80.0 % of 5 test photos")
    for told in (
        "The test is too small: with 5 test photos, an accuracy is known to within 59 points only.",
        "The CNN from scratch always says cats.",
        "The VGG16 transfer model always says cats.",
        "Always saying cats would be right on 80.0 % of them.",
    ):
        assert told in verdict


def test_a_verdict_on_many_photos_of_classes_alike_needs_no_caution() -> None:
    facts = reported()
    found = compare(candidates(facts, 1.5, 5.0), facts, RULES)
    assert found.verdict.endswith("p < 0.001).")
    assert (found.majority.name, found.majority.share) == ("cats", 0.5)


def test_one_sided_classes_and_a_class_without_photos_are_told() -> None:
    labels = np.array([1] * 300 + [0] * 100)
    facts = replace(reported(), labels=labels, validation_labels=labels)
    both = {kind: candidate(kind, *2 * (probabilities(labels, 3.0, 1),)) for kind in ("scratch", "vgg16")}
    told = compare(both, facts, RULES).verdict
    assert "Always saying dogs would be right on 75.0 % of them." in told
    assert "too small" not in told
    facts = replace(facts, labels=np.ones(400, dtype=int))
    assert "None of them is of class cats." in compare(both, facts, RULES).verdict
