"""Reading ``params.yaml`` as DVC reads it: by ruamel.yaml, and so by the rules of YAML 1.2."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, Node
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from dogs_vs_cats.errors import WorkflowError

_DEEPEST = 50
_LONGEST = 60


class _Constructor(SafeConstructor):
    """Names the value and the line where ruamel.yaml lets Python's own error through."""

    def construct_object(self, node: Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - ruamel's signature
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, LookupError, ValueError) as error:
            kind = str(node.tag).rpartition(":")[2]
            problem = f"{shortened(node.value)} cannot be read as {kind} ({shortened(error)})"
            raise ConstructorError(None, None, problem, node.start_mark) from None


def read_text(path: Path) -> str:
    """Read the text of ``params.yaml``.

    Raises:
        WorkflowError: if there is no such file, or its bytes are no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WorkflowError(f"{path}: no such file; run from the project's folder, or restore it from git") from None
    except UnicodeDecodeError as error:
        raise WorkflowError(f"{path}: not UTF-8 text ({error.reason}); save it as UTF-8") from None


def parse_yaml(text: str, name: str) -> Any:
    """Return what a YAML text holds, by the reader and the rules that DVC has for it.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        WorkflowError: with the line, if it is no YAML, has a key twice, a value that its own tag cannot have, or more
            levels than any settings.
    """
    try:
        _check_depth(text)
        yaml = YAML(typ="safe")
        yaml.Constructor = _Constructor
        return yaml.load(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = "" if mark is None else f", line {mark.line + 1}"
        problem = error.problem if isinstance(error, MarkedYAMLError) and error.problem else str(error)
        raise WorkflowError(f"{name}{line}: not valid YAML: {beginning(' '.join(problem.split()))}") from None


def shortened(value: object) -> str:
    """Show a value in an error; a huge one by its beginning."""
    try:
        shown = str(value) if isinstance(value, Exception) else repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        return "a number of thousands of digits"
    return beginning(shown, _LONGEST)


def beginning(text: str, longest: int = 600) -> str:
    """Return a text, of a huge one only its beginning."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def _check_depth(text: str) -> None:
    """Refuse what libyaml's reader would follow until the stack overflows, which ends the process without a word."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            raise MarkedYAMLError(problem=f"more than {_DEEPEST} levels", problem_mark=event.start_mark)
