"""Addresses of servers and databases: what is wrong with one, and how it is shown without what is secret in it."""

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from dogs_vs_cats.settings.reading import beginning

_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_SQLITE = re.compile(r"sqlite(\+\w+)?:///(?!:memory:)")
_LAST_PORT = 65535
_LONGEST_SCHEME = 40
_LONGEST_LABEL = 63
_QUOTING = " (in a password, write / # ? @ [ as %2F %23 %3F %40 %5B)"


def tracking_fault(uri: str) -> str:
    """Say why MLflow cannot keep runs at an address; nothing if it can, as far as that can be seen from here."""
    scheme = re.split(r"[+:]", uri, maxsplit=1)[0].lower()
    if scheme in {"databricks", "databricks-uc", "uc"}:
        fault = "Databricks is not supported as a tracker"
    elif re.search(r"[\x00-\x1f\x7f]", uri) or uri != uri.strip():
        fault = "not an address: it has blanks or control characters"
    elif scheme == "file" or (":" not in uri) or ("://" not in uri and scheme not in {*_DATABASES, "http", "https"}):
        is_allowed = os.environ.get("MLFLOW_ALLOW_FILE_STORE", "") == "true"
        fault = "" if is_allowed else "MLflow no longer keeps runs in a folder"
    elif scheme in _DATABASES:
        fault = _database_fault(uri)
    else:
        fault = _server_fault(uri)
    advice = "use null (mlflow.db here), sqlite:///FILE or the address of a server, such as http://HOST:PORT"
    return fault and f"{fault}; {advice}"


def storage_fault(url: str) -> str:
    """Say why Optuna cannot keep studies at an address; nothing if it can, as far as that can be seen from here."""
    fault = _database_fault(url)
    return fault and f"{fault}; write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"


def is_local(uri: str) -> bool:
    """Whether MLflow is reached through a database rather than a server."""
    return re.split(r"[+:]", uri, maxsplit=1)[0].lower() in _DATABASES


def absolute(uri: str, root: Path) -> str:
    """Return an address; a SQLite file with its absolute path, since DVC runs stages in copies of the project.

    Args:
        uri: of a server or a database.
        root: the folder that a SQLite file's path is relative to, unless ``~`` begins it.
    """
    match = _SQLITE.match(uri)
    return f"{match[0]}{root.resolve() / os.path.expanduser(uri[match.end() :])}" if match else uri  # noqa: PTH111


def relative(uri: str, root: Path) -> str:
    """Return an address; a SQLite file in a folder with its path from there, for when the folder is moved."""
    match = _SQLITE.match(uri)
    path = Path(uri[match.end() :]) if match else Path()
    return f"{match[0]}{path.relative_to(root.resolve())}" if match and path.is_relative_to(root.resolve()) else uri


def redacted(uri: str) -> str:
    """Return an address without user name, password and query, also where the password has ``/``, ``#``, ``?``, ``@``.

    Where it cannot be told which part is the password, only the scheme is left. A huge one is shown by its beginning.
    """
    return beginning(_without_user(uri))


def _without_user(uri: str) -> str:
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return re.sub(r"\?.*", "?***", uri, flags=re.DOTALL)
    if rest.startswith("/"):  # a file
        return f"{scheme}://{re.sub(r'[?].*', '?***', rest, flags=re.DOTALL)}"
    before, at, place = rest.rpartition("@")
    if "?" in before and not re.fullmatch(r"[^:/?#@]*:(?!\d*[/?#])[^@]*", before):
        return f"{scheme}://***"
    return f"{scheme}://{at and '***@'}{re.sub(r'[?#].*', '?***', place, flags=re.DOTALL)}"


def without_secrets(text: str) -> str:
    """Return a text, such as another library's error, with every address in it redacted.

    The text may be long, such as a server's answer. Its time grows with the length alone: no match is looked for in the
    middle of a word.
    """
    text = re.sub(r"(?<![\w+.-])[\w+.-]+://\S+", lambda match: redacted(match[0]), text)
    text = re.sub(r"([?&][\w.%-]+=)[^\s&]+", r"\1***", text)
    return re.sub(
        r"((?:password|passwd|pwd|secret|token) ?= ?)(?:'[^']*'|[^\s&,;]+)", r"\1***", text, flags=re.IGNORECASE
    )


def _server_fault(uri: str) -> str:
    servers = {"http", "https", *(plugin.name for plugin in entry_points(group="mlflow.tracking_store"))}
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:  # whose words may hold a part of the password
        part = (
            "its port is no number from 1 to 65535" if "ort" in str(error) else "half of an IPv6 address, or a bracket"
        )
        return f"not an address: {part}{_QUOTING * ('@' in uri)}"
    if parts.scheme not in servers:
        return f"MLflow knows no {beginning(parts.scheme, _LONGEST_SCHEME)}:// addresses"
    if parts.scheme not in {"http", "https"}:
        return ""
    if not parts.hostname or re.search(r"\s", uri):
        return "not an address: it has blanks" if parts.hostname else "not an address: it names no host"
    # RFC 1035, section 2.3.4. A number of IPv6 has colons.
    if any(not 0 < len(label) <= _LONGEST_LABEL for label in parts.hostname.removesuffix(".").split(".")):
        return "not an address: a part of its host's name is empty or too long"
    return f"not an address: port {port}" if port == 0 else ""


def _database_fault(url: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
        address.get_dialect()
    except (ArgumentError, ValueError) as error:
        unknown = re.search(r"dialects:([\w.+]+)", str(error))
        return (
            f"there is no kind of database {beginning(unknown[1], _LONGEST_SCHEME)}"
            if unknown
            else "not a database's address" + _QUOTING * ("@" in url)
        )
    except ImportError:  # told, with what to install, when it is opened
        return ""
    if re.search(r"[\x00-\x1f\x7f]", url) or re.search(r"\s", address.host or ""):
        return "not a database's address: it has blanks or control characters"
    if address.port is not None and not 0 < address.port <= _LAST_PORT:
        return f"not a database's address: port {address.port}"
    if address.get_backend_name() == "sqlite" and (address.host or not address.database):
        return "it names no file"
    return ""
