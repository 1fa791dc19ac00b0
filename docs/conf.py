"""Configuration of the documentation: ``tox run -e docs`` builds it, with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from native_api.version import __version__

project = "airflow-native-api"
author = "The developers of airflow-native-api"
release = version = __version__
extensions = ["sphinx.ext.autosectionlabel", "sphinx_copybutton"]
autosectionlabel_prefix_document = True
#: The shells' prompts are no part of what is copied.
copybutton_prompt_text = "$ "
nitpicky = True
exclude_patterns = ["_build"]
#: Examples, and the history of a project, which its page makes in the browser.
linkcheck_ignore = [r"http://localhost", r"https://airflow\.example\.com", r"https://pypi\.org/project/[\w-]+/#history"]
html_theme = "furo"
html_title = "airflow-native-api"


def setup(app: Any) -> None:
    """Write the reference of the operations before the pages are read."""
    import reference

    reference.write(Path(__file__).parent / "reference")
