"""Import TensorFlow without the lines that its C++ code prints before its own logging is set up."""

import os
import sys
import tempfile

_NOISE = ("absl::InitializeLog()", "oneDNN custom operations are on", "optimized to use available CPU instructions")


def import_tensorflow() -> None:
    """Import TensorFlow; pass on what is printed meanwhile, but for three lines that tell a user nothing.

    No setting of TensorFlow's silences them, and Python's ``sys.stderr`` does not see them.
    """
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            import tensorflow  # noqa: ICN001, F401
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            printed.seek(0)
            for line in printed.read().decode(errors="replace").splitlines():
                # The rest of a message that names the instructions follows on a line of its own.
                if not any(noise in line for noise in _NOISE) and "rebuild TensorFlow" not in line:
                    print(line, file=sys.stderr)
