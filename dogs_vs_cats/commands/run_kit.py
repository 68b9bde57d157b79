"""Join a kit's parts and run it, where there may be no network: python run_kit.py [SCRIPT ARGUMENT...].

Written by ``dogs-vs-cats kit``, and needs nothing but Python. Without arguments it trains what the kit was made for.
The folder ``results`` beside this file is then for ``dogs-vs-cats import-runs``.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT, PACKAGES, RESULTS = HERE / "project", HERE / "packages", HERE / "results"
KIT, RUNNING = "kit.json", ".".join(map(str, sys.version_info[:2]))
MOST_BYTES = 60 << 20


def joined(kit: dict[str, Any]) -> Path:
    """Write the archive that the parts are of, and check each of them."""
    archive = HERE / "kit.tar"
    with archive.open("wb") as out:
        for name, digest in kit["parts"].items():
            part = HERE / name
            if not part.is_file():
                sys.exit(f"error: {name}: missing; copy it beside {Path(__file__).name}")
            content = part.read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                sys.exit(f"error: {name}: damaged, or of another kit; copy it again")
            out.write(content)
    return archive


def unpacked(kit: dict[str, Any]) -> None:
    """Unpack the archive and install its wheels into a folder of their own, where that was not done before."""
    done = HERE / ".unpacked"
    if done.exists() and done.read_text() == kit["digest"]:
        return
    archive = joined(kit)
    for folder in (PROJECT, PACKAGES, HERE / "wheels"):
        shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as tar:
        tar.extractall(HERE, filter="data")
    archive.unlink()
    if wheels := sorted(map(str, (HERE / "wheels").glob("*.whl"))):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        if subprocess.run([*command, "--target", str(PACKAGES), *wheels], check=False).returncode:
            sys.exit("error: pip could not install the kit's wheels; its own message is above")
    done.write_text(kit["digest"])


def main() -> None:
    """Run the kit, and gather what it leaves."""
    kit = json.loads((HERE / KIT).read_text())
    if kit["python"] != RUNNING:
        sys.exit(f"error: this kit is for Python {kit['python']}, this is {RUNNING}; make another: --python {RUNNING}")
    unpacked(kit)
    path = os.pathsep.join(filter(None, [str(PROJECT), str(PACKAGES), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": kit["backend"]}
    status = 0
    for arguments in [sys.argv[1:]] if sys.argv[1:] else kit["commands"]:
        status = (
            status or subprocess.run([sys.executable, *arguments], cwd=PROJECT, env=variables, check=False).returncode
        )
    shutil.rmtree(RESULTS, ignore_errors=True)
    for name in ("mlruns/unsent", "reports", "models"):
        if (PROJECT / name).is_dir():
            left_out = shutil.ignore_patterns(".*")
            shutil.copytree(PROJECT / name, RESULTS / name, ignore=left_out)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / KIT).write_text(json.dumps({"version": kit["version"]}))
    size = sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file())
    if size > MOST_BYTES:
        print(f"{RESULTS}: {size >> 20} MiB, more than {MOST_BYTES >> 20}; models/ may be left out", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
