"""Run as a process with Airflow's logging configured by its environment: it responds to a call per line."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Read arguments of task_log, and write the responses."""
    # Whatever Airflow prints goes elsewhere.
    responses = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import native_api

    for line in sys.stdin:
        responses.write(json.dumps(native_api.call("task_log", **json.loads(line))) + "\n")
        responses.flush()


if __name__ == "__main__":
    main()
