"""
Measure this API beside Airflow's REST API and command line, in one run, interleaved.

    python -m benchmarks --database sqlite --rounds 200 --sections reads

Starts web servers of the Airflow that is installed here. Prints tables in reStructuredText, and writes the figures as
JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Dict

SECTIONS = ("reads", "share", "growth", "throughput", "user_code", "execution_modes", "memory", "start")


def main() -> None:
    """Measure, print and write."""
    import airflow

    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--command-rounds", type=int, default=1, help="rounds of Airflow's command line")
    parser.add_argument("--output", type=Path, help="the file for the figures (by default named after the Airflow)")
    options = parser.parse_args()
    about = f"Airflow {airflow.__version__}, {options.database}, {options.rounds} rounds"
    measured: Dict[str, Any] = {"about": about}
    for name in options.sections:
        section = import_module(f"benchmarks.{name}")
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            measured[name] = section.measure(Path(folder), options.database, options.rounds, options.command_rounds)
        for title, table in section.tables(measured[name]):
            print(f"{title}; {about}\n\n{table}\n", flush=True)
    output = options.output or Path(f"benchmark-{airflow.__version__}-{options.database}.json")
    output.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
